from libc.stdint cimport int64_t


cdef Py_ssize_t head_end(const char *value, Py_ssize_t size) noexcept nogil
cdef Py_ssize_t kind_end(const char *value, Py_ssize_t size) noexcept nogil
cdef Py_ssize_t put_version(char *place, int64_t revision, bint more) noexcept nogil
cdef Py_ssize_t skip_string(const char *value, Py_ssize_t at, Py_ssize_t size) noexcept nogil
cdef Py_ssize_t skip_value(const char *value, Py_ssize_t at, Py_ssize_t size) noexcept nogil
cdef Py_ssize_t spliced_size(Py_ssize_t size, int64_t revision, bint more) noexcept nogil


cdef class Plan:
    cdef readonly tuple names
    cdef dict root
    cdef tuple defaults
    cdef dict label_sets
    cdef dict texts
    cdef dict field_sets
    cdef tuple scan(self, const char *value, Py_ssize_t size)
