from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    KIND_RANGE = 0
    KIND_PUT = 1
    KIND_DELETE = 2
    KIND_TXN = 3
    KIND_COMPACT = 4
    KIND_LEASE_GRANT = 5
    KIND_LEASE_REVOKE = 6
    KIND_LEASE_CHECKPOINT = 7
    KIND_ALARM = 8
    KIND_OTHER = 9
    KIND_COMPARE = 10  # only inside a transaction

cdef enum:
    FLAG_PREV_KV = 1
    FLAG_IGNORE_VALUE = 2
    FLAG_IGNORE_LEASE = 4
    FLAG_KEYS_ONLY = 1
    FLAG_COUNT_ONLY = 2
    FLAG_AUTH = 128


cdef struct Node:
    # One operation; pointers lead into the payload. A transaction's compares, success and failure branch follow it, each
    # operation before its own children; `next` is the index after all of them.
    uint8_t kind
    uint8_t flags
    uint8_t target  # of a comparison, or the sort target of a range
    uint8_t relation  # of a comparison, or the sort order of a range
    uint8_t taken  # a transaction whose comparisons all hold; the store fills it in
    uint32_t key_size
    uint32_t end_size
    uint32_t value_size
    uint32_t compare_count
    uint32_t success_count
    uint32_t failure_count
    uint32_t next
    const char *key
    const char *end  # NULL: the one key
    const char *value
    const char *username  # NULL: none
    uint32_t username_size
    uint64_t auth_revision
    uint64_t request_id
    int64_t number  # lease of a put, operand of a comparison, revision of a range or a compaction, id of a lease
    int64_t limit  # of a range; ttl of a lease
    int64_t min_mod_revision
    int64_t max_mod_revision
    int64_t min_create_revision
    int64_t max_create_revision


cdef class Reader:
    cdef const char *at
    cdef const char *end
    cdef int need(self, Py_ssize_t count) except -1
    cdef uint8_t u8(self) except? 255
    cdef uint32_t u32(self) except? 0xFFFFFFFF
    cdef int64_t i64(self) except? -1
    cdef const char *raw(self, uint32_t size) except NULL


cdef class Frames:
    cdef bytes payload
    cdef Node *nodes
    cdef uint32_t count
    cdef uint32_t room
    cdef Node *add(self, uint8_t kind, uint8_t flags) except NULL
    cdef int load(self, bytes payload) except -1
    cdef int frame(self, Reader body) except -1
    cdef int body(self, Reader body, uint32_t index, int depth) except -1
    cdef int pair(self, Reader body, Node *node) except -1
    cdef int txn(self, Reader body, uint32_t index, int depth) except -1
    cdef object op(self, uint32_t index)
    cdef object request(self, uint32_t index)
