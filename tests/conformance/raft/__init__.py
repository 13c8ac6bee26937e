"""The recorded histories of etcd-io/raft: reading them, and replaying them on ours."""
