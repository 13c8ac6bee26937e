cpdef str canonical(str text)
