from libc.stdint cimport uint64_t

from kcore_native.raft.entry cimport Snapshot
from kcore_native.raft.storage cimport MemoryStorage


cdef class Unstable:
    cdef Snapshot snapshot
    cdef list entries
    cdef uint64_t offset
    cdef bint snapshot_in_progress
    cdef uint64_t offset_in_progress

    cdef uint64_t last_index(self) noexcept
    cdef bint find_term(self, uint64_t index, uint64_t *term) noexcept
    cdef bint has_next_entries(self) noexcept
    cdef list next_entries(self)
    cdef Snapshot next_snapshot(self)
    cdef int accept_in_progress(self) except -1
    cdef int stable_to(self, uint64_t index, uint64_t term) except -1
    cdef void stable_snapshot_to(self, uint64_t index) noexcept
    cdef int restore(self, Snapshot snapshot) except -1
    cdef int truncate_and_append(self, list entries) except -1
    cdef list slice(self, uint64_t low, uint64_t high)


cdef class RaftLog:
    cdef object storage
    cdef MemoryStorage memory
    cdef Unstable unstable
    cdef uint64_t committed
    cdef uint64_t applying
    cdef uint64_t applied
    cdef uint64_t max_applying_size
    cdef uint64_t applying_size
    cdef bint applying_paused

    cdef uint64_t first_index(self) except? 0
    cdef uint64_t last_index(self) except? 0
    cdef int find_term(self, uint64_t index, uint64_t *term) except -1
    cdef uint64_t term_or_zero(self, uint64_t index) except? 0
    cdef uint64_t last_term(self) except? 0
    cdef int match_term(self, uint64_t index, uint64_t term) except -1
    cdef int is_up_to_date(self, uint64_t index, uint64_t term) except -1
    cdef int maybe_append(self, uint64_t index, uint64_t term, list entries, uint64_t committed) except -1
    cdef int append(self, list entries) except -1
    cdef uint64_t find_conflict(self, list entries) except? 0
    cdef uint64_t find_conflict_by_term(self, uint64_t index, uint64_t term, uint64_t *found_term) except? 0
    cdef uint64_t max_appliable_index(self, bint allow_unstable) noexcept
    cdef bint has_next_committed(self, bint allow_unstable) noexcept
    cdef list next_committed(self, bint allow_unstable)
    cdef Snapshot snapshot(self)
    cdef int commit_to(self, uint64_t index) except -1
    cdef int maybe_commit(self, uint64_t index, uint64_t term) except -1
    cdef int applied_to(self, uint64_t index, uint64_t size) except -1
    cdef int accept_applying(self, uint64_t index, uint64_t size, bint allow_unstable) except -1
    cdef int restore(self, Snapshot snapshot) except -1
    cdef list entries_from(self, uint64_t index, uint64_t max_size)
    cdef list slice(self, uint64_t low, uint64_t high, uint64_t max_size)
    cdef list unapplied(self, uint64_t low, uint64_t high, uint64_t max_size)
    cdef list stored(self, uint64_t low, uint64_t high, uint64_t max_size)
