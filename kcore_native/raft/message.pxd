from libc.stdint cimport uint64_t

from kcore_native.raft.entry cimport Snapshot

cpdef enum:
    MSG_HUP = 0
    MSG_BEAT = 1
    MSG_PROP = 2
    MSG_APP = 3
    MSG_APP_RESP = 4
    MSG_VOTE = 5
    MSG_VOTE_RESP = 6
    MSG_SNAP = 7
    MSG_HEARTBEAT = 8
    MSG_HEARTBEAT_RESP = 9
    MSG_UNREACHABLE = 10
    MSG_SNAP_STATUS = 11
    MSG_CHECK_QUORUM = 12
    MSG_TRANSFER_LEADER = 13
    MSG_TIMEOUT_NOW = 14
    MSG_READ_INDEX = 15
    MSG_READ_INDEX_RESP = 16
    MSG_PRE_VOTE = 17
    MSG_PRE_VOTE_RESP = 18
    MSG_STORAGE_APPEND = 19
    MSG_STORAGE_APPEND_RESP = 20
    MSG_STORAGE_APPLY = 21
    MSG_STORAGE_APPLY_RESP = 22
    MSG_FORGET_LEADER = 23


cdef class Message:
    cdef public int type
    cdef public uint64_t to
    cdef public uint64_t from_
    cdef public uint64_t term
    cdef public uint64_t log_term
    cdef public uint64_t index
    cdef public uint64_t commit
    cdef public uint64_t vote
    cdef public uint64_t reject_hint
    cdef public bint reject
    cdef list entry_list  # None: none
    cdef public Snapshot snapshot
    cdef public bytes context
    cdef list response_list  # None: none
    cdef Py_ssize_t encoded_size(self, int depth) except -1
    cdef unsigned char *write(self, unsigned char *at) except NULL


cdef Message new_message(int type, uint64_t to)
cdef bint is_local(int type) noexcept nogil
cdef bint is_response(int type) noexcept nogil
cdef inline bint is_storage_thread(uint64_t node_id) noexcept nogil:
    return node_id >= <uint64_t>-2
