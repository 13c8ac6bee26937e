"""One suite of the kv face for every implementation: each case makes calls, what it sees is a transcript.

``recorded.txt`` holds the transcripts of a real etcd; every other store must give the same lines. All revisions in them
are counted from where the case began. ``python -m tests.store.kv_suite.record ETCD`` makes the file anew.
"""
