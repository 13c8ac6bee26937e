"""Trees of JSON that the garbage collector need not walk, and whose equal parts are kept once."""

from cpython.dict cimport PyDict_Next
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.ref cimport PyObject

cdef enum:
    ONCE_BITS = 17  # hashes of parts that were met once, each in the place that its low bits name: a later one takes it

cdef extern from "Python.h":
    void PyObject_GC_UnTrack(void *op)
    int PyDict_CheckExact(object op)
    int PyList_CheckExact(object op)


cdef void _untrack(object value):
    cdef Py_ssize_t at = 0
    cdef PyObject *key
    cdef PyObject *found
    if PyDict_CheckExact(value):
        PyObject_GC_UnTrack(<void *>value)
        while PyDict_Next(value, &at, &key, &found):
            _untrack(<object>found)
    elif PyList_CheckExact(value):
        PyObject_GC_UnTrack(<void *>value)
        for item in <list>value:
            _untrack(item)


def untracked(value):
    """The value, whose dicts and lists the collector no longer walks; counting references frees them.

    For what was just decoded from JSON and will not be changed: it holds no cycles. A tree of a pod has some 70 of
    them, and walking 100,000 pods whenever a quarter as many are new costs twice what decoding them does.
    """
    _untrack(value)
    return value


cdef class Sharing:
    """Parts that many trees have in common, each kept once: equal texts, and dicts and lists that are equal.

    A part is kept from its second sight on, ``parts_max`` of them; then all are forgotten and found anew.
    """

    cdef dict _texts
    cdef dict _parts
    cdef Py_hash_t *_once
    cdef Py_ssize_t _parts_max
    cdef bint _is_kept

    def __cinit__(self):
        self._once = <Py_hash_t *>PyMem_Calloc(1 << ONCE_BITS, sizeof(Py_hash_t))
        if self._once == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self._once)

    def __init__(self, Py_ssize_t parts_max=1 << 16):
        self._texts = {}
        self._parts = {}
        self._parts_max = parts_max

    def shared(self, value):
        """The tree, changed in place: parts of it that were met before are those that were met. No part may be changed later."""
        if len(self._parts) > self._parts_max or len(self._texts) > self._parts_max:
            self._parts.clear()
            self._texts.clear()
        self._part(value)
        return value

    cdef object _part(self, object value):
        """What is kept for it, itself where nothing is; ``_is_kept`` tells which."""
        cdef list key
        cdef bint is_kept = True
        cdef Py_ssize_t at = 0
        cdef Py_hash_t number
        cdef PyObject *name
        cdef PyObject *found
        if PyDict_CheckExact(value):
            key = [dict]
            while PyDict_Next(value, &at, &name, &found):
                item = <object>found
                part = self._part(item)
                if part is not item:
                    (<dict>value)[<object>name] = part
                is_kept &= self._is_kept
                key.append(<object>name)
                key.append(_sign(part))
        elif PyList_CheckExact(value):
            key = [list]
            for at in range(len(<list>value)):
                item = (<list>value)[at]
                part = self._part(item)
                if part is not item:
                    (<list>value)[at] = part
                is_kept &= self._is_kept
                key.append(_sign(part))
        else:
            self._is_kept = True
            return self._texts.setdefault(value, value) if type(value) is str else value
        if not is_kept:
            self._is_kept = False
            return value
        whole = tuple(key)
        kept = self._parts.get(whole)
        if kept is None:
            number = hash(whole)
            at = number & ((1 << ONCE_BITS) - 1)
            self._is_kept = self._once[at] == number
            if not self._is_kept:
                self._once[at] = number
                return value
            kept = self._parts[whole] = value
        self._is_kept = True
        return kept


cdef object _sign(object part):
    """What tells it from others: a text is itself, what is kept once is its place, and true is not 1."""
    if type(part) is str or part is None:
        return part
    if PyDict_CheckExact(part) or PyList_CheckExact(part):
        return <Py_ssize_t><void *>part
    return (type(part), repr(part) if type(part) is float else part)  # 0.0 is not -0.0
