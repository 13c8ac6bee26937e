"""Many unique names at once, as Arrow strings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

DIGITS_MIN = 5


def numbered(prefix: str, count: int) -> pa.StringArray:
    """``prefix`` followed by 0, 1, 2, ... with leading zeros, so that names sort in order."""
    width = max(DIGITS_MIN, len(str(max(count - 1, 0))))
    digits = pc.utf8_lpad(pc.cast(pa.array(np.arange(count)), pa.string()), width, "0")
    return pc.binary_join_element_wise(pa.scalar(prefix), digits, "")


def suffixed(stems: Sequence[str], stem: np.ndarray, number: np.ndarray) -> pa.StringArray:
    """``stems[stem[i]]-number[i]`` for every i."""
    left = pa.array(stems, pa.string()).take(pa.array(stem))
    return pc.binary_join_element_wise(left, pc.cast(pa.array(number), pa.string()), "-")
