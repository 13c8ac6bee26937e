"""Single values of a document; see leaves.pyx."""

from cpython.object cimport PyObject

cdef int depth_max

cdef str word_of(object value)
cdef str number_of(object value)
cdef bint is_number(object value)
cdef Py_ssize_t members_of(object value, int depth) except -1
cdef bint plain_clock(const char *c, Py_ssize_t length) noexcept nogil
cdef bint finer_clock(const char *c, Py_ssize_t length) noexcept nogil
cdef str known_time(str text, bint micro)
cdef bint plain_base64(str text)
cdef object quantity_of(object value)
