"""Exact integer arithmetic that compiles to vector instructions."""

from __future__ import annotations

from kcore.kernel import inner_kernel, kernel


@inner_kernel
def divide(numerator, denominator):
    """Return ``numerator // denominator`` for 0 <= numerator < 2**63 and denominator > 0, exactly, quotient < 2**50.

    A 64-bit integer division costs some 25 cycles and does not vectorise; a double division does, and is off by at
    most one, which the remainder shows.
    """
    quotient = int(numerator / denominator)
    remainder = numerator - quotient * denominator
    return quotient + (1 if remainder >= denominator else 0) - (1 if remainder < 0 else 0)


@kernel
def divide_toward_zero(numerator, denominator):
    """Return Go's ``numerator / denominator`` (denominator > 0): rounds toward zero."""
    quotient = abs(numerator) // denominator
    return quotient if numerator >= 0 else -quotient


@inner_kernel
def round_half_away(value):
    """Return Go's ``math.Round`` for value >= 0."""
    whole = int(value)
    return whole + 1 if value - whole >= 0.5 else whole
