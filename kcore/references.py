"""Groups of arrays that kernels hand on as one pointer.

Numba takes a NamedTuple apart wherever it is passed: a call with the state of the nodes would have some hundred
arguments, seven numbers an array. That is most of what there is to compile. A class under ``@by_reference`` is passed
as the address of its arrays' data, shapes and strides, which the way in from Python writes down once; they do not
change while a kernel runs, which the loads say, so that loops need not repeat them.
"""

from __future__ import annotations

import functools
from typing import Any, TypeVar

C = TypeVar("C")

_CLASSES: list[type] = []


def by_reference(cls: type[C]) -> type[C]:
    """The NamedTuple of arrays, and of such NamedTuples, is one pointer in compiled code."""
    _CLASSES.append(cls)
    if install.cache_info().currsize:
        install().register(cls)
    return cls


@functools.cache
def install() -> Any:
    """Numba knows the classes; what makes known those to come."""
    from kcore import reference_types

    for cls in _CLASSES:
        reference_types.register(cls)
    return reference_types
