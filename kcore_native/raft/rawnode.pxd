from libc.stdint cimport uint64_t

from kcore_native.raft.core cimport Raft
from kcore_native.raft.entry cimport ConfState, HardState, Snapshot
from kcore_native.raft.message cimport Message


cdef class Ready:
    cdef readonly tuple soft_state
    cdef readonly HardState hard_state
    cdef readonly list read_states
    cdef readonly list entries
    cdef readonly Snapshot snapshot
    cdef readonly list committed_entries
    cdef readonly list messages
    cdef readonly bint must_sync


cdef class RawNode:
    cdef Raft raft
    cdef bint async_storage_writes
    cdef uint64_t told_lead
    cdef int told_role
    cdef uint64_t told_term
    cdef uint64_t told_vote
    cdef uint64_t told_commit
    cdef list steps_on_advance

    cdef Message append_response(self, Ready ready)
    cdef Message apply_response(self, Ready ready)
    cdef int add_storage_messages(self, Ready ready) except -1
    cdef bint hard_state_changed(self) noexcept
    cdef int accept(self, Ready ready) except -1
    cdef int step_local(self, int type, uint64_t from_, bint reject) except -1
