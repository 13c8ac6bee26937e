"""Trees of JSON that the garbage collector need not walk."""

from cpython.dict cimport PyDict_Next
from cpython.ref cimport PyObject

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
