"""Strings become small integers once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T", bound=Hashable)


class Vocab(Generic[T]):
    """Distinct values numbered in order of first sight."""

    __slots__ = ("index", "values")

    def __init__(self) -> None:
        self.values: list[T] = []
        self.index: dict[T, int] = {}

    def __len__(self) -> int:
        return len(self.values)

    def intern(self, value: T) -> int:
        """The number of ``value``, new if it was unknown."""
        number = self.index.get(value)
        if number is None:
            number = len(self.values)
            self.index[value] = number
            self.values.append(value)
        return number

    def find(self, value: T) -> int:
        """The number of ``value``, -1 if it is unknown."""
        return self.index.get(value, -1)


def label_number(value: str) -> int | None:
    """The integer that Gt and Lt compare: what Go's strconv.ParseInt(value, 10, 64) accepts, else None."""
    digits = value[1:] if value[:1] in ("+", "-") else value
    if not digits.isascii() or not digits.isdigit():
        return None
    number = int(value)
    return number if -(2**63) <= number < 2**63 else None


def is_contiguous(positions: np.ndarray) -> bool:
    """Whether ascending positions follow each other without a gap."""
    return len(positions) > 0 and int(positions[-1]) - int(positions[0]) + 1 == len(positions)


def window(array: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The entries at ascending positions: a view where these follow each other, so that nothing is copied."""
    if is_contiguous(positions):
        return array[int(positions[0]) : int(positions[-1]) + 1]
    found: np.ndarray = array[positions]
    return found


def taken(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``array[rows]`` for rows in any order: a view where each follows the one before."""
    if is_contiguous(rows) and bool((rows[1:] - rows[:-1] == 1).all()):
        return array[int(rows[0]) : int(rows[-1]) + 1]
    found: np.ndarray = array[rows]
    return found


def only(numbers: np.ndarray) -> int | None:
    """The number that all of them are; None where they differ or there is none."""
    if not len(numbers):
        return None
    low, high = int(numbers.min()), int(numbers.max())
    return low if low == high else None


def members_of(numbers: np.ndarray, wanted: list[int]) -> np.ndarray:
    """Where ``numbers`` (small integers) are among the wanted."""
    table = np.zeros(int(numbers.max(initial=0)) + 1, dtype=bool)
    table[wanted] = True
    found: np.ndarray = table[numbers]
    return found


def positions_of(numbers: np.ndarray, wanted: list[int], kinds: int) -> np.ndarray:
    """The positions, ascending, at which ``numbers``, of which there are so many kinds, are among the wanted."""
    if len(wanted) == kinds:
        return np.arange(len(numbers))
    return np.flatnonzero(members_of(numbers, wanted))


def distinct(numbers: np.ndarray) -> list[int]:
    """The small integers that occur, ascending."""
    single = only(numbers)
    if single is not None:
        return [single]
    occurs = np.zeros(int(numbers.max(initial=-1)) + 1, dtype=bool)
    occurs[numbers] = True
    found: list[int] = np.flatnonzero(occurs).tolist()
    return found
