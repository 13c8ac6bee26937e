"""Every command of etcdctl against a cluster, and what it printed against a real etcd.

``recorded_one.txt`` and ``recorded_three.txt`` hold commands, exit codes and output of etcdctl 3.6 against etcd 3.6,
with TLS and client certificates; ``python -m tests.store.etcdctl_suite.record ETCD ETCDCTL`` makes them anew. Ids,
ports, times, sizes and Raft's numbers are replaced by names; revisions are not, since each run begins with an empty
store.
"""
