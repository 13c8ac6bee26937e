from libc.stdint cimport int32_t, int64_t

cdef object time_text(int64_t seconds, int64_t nanos, bint micro)
cdef bint read_time(str value, int64_t *seconds, int32_t *nanos) except -1
