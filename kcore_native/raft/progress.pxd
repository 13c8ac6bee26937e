from libc.stdint cimport uint64_t

cpdef enum:
    PROBE = 0
    REPLICATE = 1
    SNAPSHOT = 2

cdef struct Inflight:
    uint64_t index
    uint64_t bytes


cdef class Inflights:
    cdef Inflight *ring
    cdef Py_ssize_t capacity  # of the ring as it has grown so far
    cdef Py_ssize_t start
    cdef readonly Py_ssize_t count
    cdef readonly uint64_t bytes
    cdef readonly Py_ssize_t size
    cdef readonly uint64_t bytes_max

    cdef int grow(self) except -1
    cpdef int add(self, uint64_t index, uint64_t size) except -1
    cpdef int free_to(self, uint64_t index) except -1
    cdef bint is_full(self) noexcept nogil
    cdef void reset(self) noexcept nogil


cdef class Progress:
    cdef readonly uint64_t id
    cdef readonly uint64_t match
    cdef readonly uint64_t next
    cdef uint64_t sent_commit
    cdef readonly int state
    cdef readonly uint64_t pending_snapshot
    cdef readonly bint recent_active
    cdef readonly bint flow_paused
    cdef public bint is_learner
    cdef bint is_incoming
    cdef bint is_outgoing
    cdef Inflights inflights

    cdef void enter(self, int state) noexcept
    cdef void become_probe(self) noexcept
    cdef void become_replicate(self) noexcept
    cdef void become_snapshot(self, uint64_t index) noexcept
    cdef int sent_entries(self, Py_ssize_t count, uint64_t size) except -1
    cdef bint can_bump_commit(self, uint64_t index) noexcept
    cdef bint maybe_update(self, uint64_t index) noexcept
    cdef bint maybe_decrease(self, uint64_t rejected, uint64_t hint) noexcept
    cdef bint is_paused(self) noexcept
    cdef void restart(self, uint64_t next_index) noexcept


cdef class Tracker:
    cdef readonly object configuration
    cdef list progress  # of Progress, by id
    cdef dict votes
    cdef uint64_t *scratch
    cdef Py_ssize_t max_inflight
    cdef uint64_t max_inflight_bytes
    cdef Py_ssize_t incoming_count
    cdef Py_ssize_t outgoing_count

    cdef Progress find(self, uint64_t node_id)
    cdef bint is_singleton(self) noexcept
    cdef bint is_joint(self) noexcept
    cdef uint64_t committed(self) except? 0
    cdef uint64_t reads_confirmed(self, dict acked) except? 0
    cdef int quorum_active(self) except -1
    cdef int vote_result(self) except -1
    cdef int adopt(self, object configuration, dict progress) except -1
