from libc.stdint cimport uint64_t

cpdef enum:
    VOTE_PENDING = 1
    VOTE_LOST = 2
    VOTE_WON = 3


cdef uint64_t majority_index(uint64_t *acked, Py_ssize_t count) noexcept nogil
cdef int majority_vote(Py_ssize_t count, Py_ssize_t granted, Py_ssize_t missing) noexcept nogil
cdef int joint_vote(int incoming, int outgoing) noexcept nogil
