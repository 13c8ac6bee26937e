from libc.stdint cimport int64_t, uint32_t

from kcore_native.mvcc.keyspace cimport Keyspace

cdef uint32_t hash_keys(Keyspace keys, int64_t revision) except? 0 nogil
