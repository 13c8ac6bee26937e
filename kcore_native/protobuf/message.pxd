from libc.stdint cimport uint8_t, uint64_t

cdef enum Type:
    BOOL = 0
    BYTES = 1
    DOUBLE = 2
    INT32 = 3
    INT64 = 4
    STRING = 5
    FIELDS = 6
    INT_OR_STRING = 7
    JSON_TEXT = 8
    MICRO_TIME = 9
    QUANTITY = 10
    RAW_EXTENSION = 11
    TIME = 12
    MESSAGE = 13

cdef enum Union:
    NO_UNION = 0
    OR_ARRAY = 1
    OR_BOOL = 2
    OR_STRINGS = 3

cdef class Field:
    cdef int number
    cdef int type
    cdef str name
    cdef str go_name
    cdef Message message
    cdef bint pointer
    cdef bint repeated
    cdef bint mapping
    cdef bint items
    cdef bint omitempty
    cdef bint omitzero
    cdef bint inlined
    cdef bint absent  # nothing is written where the object has none

cdef class Message:
    cdef readonly str name
    cdef int union_
    cdef list fields  # by number
    cdef list numbered  # the field of each number, None where there is none
    cdef list always  # fields that JSON has even where they are zero, those of inlined messages too
    cdef int weight  # objects in the JSON of the message without anything, itself among them
    cdef bytes zero  # how an object without anything is encoded
