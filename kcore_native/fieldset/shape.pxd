cdef class Field:
    cdef readonly str key
    cdef readonly Shape shape


cdef class Shape:
    cdef readonly bint scalar
    cdef readonly bint is_map
    cdef readonly bint is_list
    cdef readonly bint map_atomic
    cdef readonly bint list_atomic
    cdef readonly bint deduced
    cdef readonly str scalar_type
    cdef readonly dict fields
    cdef readonly Shape element
    cdef readonly Shape item
    cdef readonly tuple keys
    cdef readonly dict key_defaults
    cdef readonly dict zero
    cdef str key_prefix

    cdef Shape of_field(self, str name)


cdef str quoted(str text)
cdef str scalar_text(object value)
cdef str field_key(str name)
cdef str item_key(Shape shape, object child)
cdef str key_value_text(object value)
cpdef Shape shape_of(object node)
