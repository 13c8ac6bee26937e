"""Runs a kernel in both of its forms on equal arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from kcore.kernel import Kernel


def _copied(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, tuple):
        made = [_copied(one) for one in value]
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    return value


def _assert_equal(first: Any, second: Any) -> None:
    if isinstance(first, tuple):
        for one, other in zip(first, second, strict=True):
            _assert_equal(one, other)
    else:
        np.testing.assert_array_equal(first, second)


def agreed(kernel: Kernel, *arguments: Any) -> tuple[Any, tuple[Any, ...]]:
    """The kernel's answer and its arguments afterwards, after interpreter and machine code have agreed on both."""
    plain, compiled = _copied(arguments), _copied(arguments)
    answer = kernel(*plain)
    _assert_equal(answer, kernel.compiled(*compiled))
    _assert_equal(plain, compiled)
    return answer, plain
