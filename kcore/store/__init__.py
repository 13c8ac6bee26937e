"""Where objects are kept: a Raft-replicated, multi-version key-value store with etcd's semantics.

What flows in: keys and values as bytes, through the kv face (``kcore.store.kv``). Where it goes: one entry of the
Raft log a turn of the loop (``member``), the write-ahead log on disk (``disk``), the state machine (``machine``), and
out again as results and watch events. Deciding code has no clock, socket or file; ``replica`` is the only driver.
"""
