"""Letters for names that nobody chose: no vowels, nothing that looks like something else.

Source: apimachinery pkg/util/rand (SafeEncodeString) of Kubernetes 1.36; hash/fnv of Go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
FNV_OFFSET: Final = 0x811C9DC5
FNV_PRIME: Final = 0x01000193
MASK: Final = 0xFFFFFFFF


def letters(number: int) -> str:
    """One for each decimal digit of the number."""
    return "".join(ALPHABET[ord(digit) % len(ALPHABET)] for digit in str(number))


def fnv1(data: Iterable[int]) -> int:
    """The 32-bit FNV-1 hash."""
    value = FNV_OFFSET
    for byte in data:
        value = (value * FNV_PRIME & MASK) ^ byte
    return value


def fnv1a(data: Iterable[int]) -> int:
    """The 32-bit FNV-1a hash."""
    value = FNV_OFFSET
    for byte in data:
        value = (value ^ byte) * FNV_PRIME & MASK
    return value
