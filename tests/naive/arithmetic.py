"""Go's rounding in Python."""

from __future__ import annotations

import math


def divide(dividend: int, divisor: int) -> int:
    """The quotient, rounded towards zero."""
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


def round_half_up(value: float) -> int:
    """``math.Round`` of a value that is not negative: halves go up."""
    floor = math.floor(value)
    return floor + 1 if value - floor >= 0.5 else floor
