from libc.stdint cimport uint32_t

cdef uint32_t packed_by(
    const char *value, uint32_t size, const char *base, uint32_t base_size, char *out, uint32_t room
) noexcept nogil
cdef void unpack(const char *packed, const char *base, char *value, uint32_t size) noexcept nogil
