from libc.stdint cimport int64_t, uint32_t, uint64_t

from kcore_native.mvcc.keyspace cimport KeyNode, Keyspace, Rec
from kcore_native.mvcc.values cimport Event, WatchBatch


cdef class Hub:
    cdef Keyspace keys
    cdef dict watchers  # every open one, in the order they were opened
    cdef dict ranges  # those that wait for a range
    cdef dict points  # key -> those that wait for it
    cdef list due  # those whose callback must be called
    cdef uint64_t published_seq
    cdef list events  # of the newest records: without and with previous value by turns, at seq modulo their number
    cdef uint64_t *seqs  # of those records
    cdef uint64_t events_epoch  # of the log that `seqs` are of
    cdef int64_t events_bytes  # made since they were last forgotten
    cdef Event event(self, Rec *rec, bint previous)
    cdef Watcher open(self, bytes key, bytes end, int64_t start, bint prev_kv, bint no_put, bint no_delete, bint fragment)
    cdef int publish(self) except -1
    cdef int before_compaction(self, int64_t revision) except -1
    cdef int rebase(self, Keyspace keys) except -1
    cdef void forget_events(self)
    cdef void disarm(self, Watcher watcher)


cdef class Watcher:
    cdef Hub hub
    cdef bytes key
    cdef bytes end  # None: to the end of all keys
    cdef bint point  # one key
    cdef bint prev_kv
    cdef bint no_put
    cdef bint no_delete
    cdef bint fragment
    cdef bint progress  # a progress mark is asked for
    cdef bint over
    cdef int64_t start
    cdef readonly int64_t next_revision  # the first that is not delivered
    cdef uint32_t next_sub
    cdef uint64_t seq  # of a range: where its place in the log is
    cdef uint64_t epoch  # of the log that `seq` is of
    cdef uint32_t index  # of a point: the next of the key's records
    cdef list backlog  # batches made before a compaction, and the last one of all
    cdef object callback
    cdef void seek(self) noexcept
    cdef Rec *next_match(self) noexcept
    cdef WatchBatch collect(self)
    cdef int finish(self, WatchBatch last) except -1
