"""CRC32C for other compiled modules: one call of C, no object, no GIL."""

from libc.stdint cimport uint32_t

cdef uint32_t extend(uint32_t crc, const unsigned char *data, size_t length) noexcept nogil
