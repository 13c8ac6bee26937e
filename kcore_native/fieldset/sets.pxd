cdef dict LEAF
cdef bint is_member(dict node)
cdef bint has_children(dict node)
cdef dict child_union(dict left, dict right)
cpdef dict union(dict left, dict right)
cpdef dict ordered(dict node)
