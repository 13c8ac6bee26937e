from libc.stdint cimport uint8_t, uint32_t, uint64_t

cpdef enum:
    ENTRY_NORMAL = 0
    ENTRY_CONF_CHANGE = 1  # data is a ConfChange
    ENTRY_CONF_CHANGE_V2 = 2  # data is a ConfChangeV2; none is the change that leaves a joint configuration

cpdef enum:
    CONF_CHANGE_ADD_NODE = 0
    CONF_CHANGE_REMOVE_NODE = 1
    CONF_CHANGE_UPDATE_NODE = 2
    CONF_CHANGE_ADD_LEARNER_NODE = 3

cpdef enum:
    TRANSITION_AUTO = 0
    TRANSITION_JOINT_IMPLICIT = 1
    TRANSITION_JOINT_EXPLICIT = 2


cdef class Entry:
    cdef readonly uint64_t term
    cdef readonly uint64_t index
    cdef readonly int type
    cdef readonly bytes data


cdef class HardState:
    cdef readonly uint64_t term
    cdef readonly uint64_t vote
    cdef readonly uint64_t commit


cdef class ConfState:
    cdef readonly tuple voters
    cdef readonly tuple learners
    cdef readonly tuple voters_outgoing
    cdef readonly tuple learners_next
    cdef readonly bint auto_leave


cdef class SnapshotMetadata:
    cdef readonly ConfState conf_state
    cdef readonly uint64_t index
    cdef readonly uint64_t term


cdef class Snapshot:
    cdef readonly bytes data
    cdef readonly SnapshotMetadata metadata


cdef class ConfChangeSingle:
    cdef readonly int type
    cdef readonly uint64_t node_id


cdef class ConfChange:
    cdef readonly int type
    cdef readonly uint64_t node_id
    cdef readonly bytes context


cdef class ConfChangeV2:
    cdef readonly int transition
    cdef readonly tuple changes
    cdef readonly bytes context


cdef Entry new_entry(uint64_t term, uint64_t index, int type, bytes data)
cdef uint64_t entry_size(Entry entry) noexcept
cdef uint64_t entries_size(list entries) except? 0
cdef uint64_t payloads_size(list entries) except? 0
cdef list limit_size(list entries, uint64_t max_size)


cdef inline void put_u32(unsigned char *at, uint32_t value) noexcept nogil:
    cdef int i
    for i in range(4):
        at[i] = <unsigned char>(value >> (8 * i))


cdef inline void put_u64(unsigned char *at, uint64_t value) noexcept nogil:
    cdef int i
    for i in range(8):
        at[i] = <unsigned char>(value >> (8 * i))


cdef inline uint32_t get_u32(const unsigned char *at) noexcept nogil:
    return at[0] | (<uint32_t>at[1] << 8) | (<uint32_t>at[2] << 16) | (<uint32_t>at[3] << 24)


cdef inline uint64_t get_u64(const unsigned char *at) noexcept nogil:
    return get_u32(at) | (<uint64_t>get_u32(at + 4) << 32)
