# cython: language_level=3
"""What a decoded JSON document holds, told without making anything."""

from cpython.dict cimport PyDict_Next
from cpython.ref cimport PyObject

DEPTH_MAX = 10_000  # levels that are looked at; more is refused

cdef int depth_max = DEPTH_MAX


cdef Py_ssize_t members(object value, int depth) except -1:
    cdef Py_ssize_t at = 0, count = 0
    cdef PyObject *key
    cdef PyObject *held
    if depth > depth_max:
        raise RecursionError("the document is nested too deeply")
    if type(value) is dict:
        count = len(<dict>value)
        while PyDict_Next(<dict>value, &at, &key, &held):
            if type(<object>held) is dict or type(<object>held) is list:
                count += members(<object>held, depth + 1)
    elif type(value) is list:
        for each in <list>value:
            if type(each) is dict or type(each) is list:
                count += members(each, depth + 1)
    return count


def member_count(value):
    """How many members all objects of the document have."""
    return members(value, 0)


cdef int plain(object value, str directive, int depth) except -1:
    cdef Py_ssize_t at = 0
    cdef PyObject *key
    cdef PyObject *held
    if depth > depth_max:
        raise RecursionError("the document is nested too deeply")
    if type(value) is dict:
        while PyDict_Next(<dict>value, &at, &key, &held):
            if <object>held is None or <object>key == directive:
                return 0
            if (type(<object>held) is dict or type(<object>held) is list) and not plain(<object>held, directive, depth + 1):
                return 0
    elif type(value) is list:
        for each in <list>value:
            if (type(each) is dict or type(each) is list) and not plain(each, directive, depth + 1):
                return 0
    return 1


def is_plain(value, str directive):
    """True where no object of the document has a null member or one of that name."""
    return plain(value, directive, 0) == 1
