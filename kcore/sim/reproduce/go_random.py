"""The random numbers of Go's ``math/rand``, so that an experiment seeded there is the same experiment here.

The generator is an additive lagged Fibonacci one: ``y[n] = y[n-607] + y[n-273]`` modulo 2**64. A seed fills the 607
words of state from a linear congruential generator and exclusive-ors them with the state that the recurrence reaches
from seed 1 after 7.8e12 steps. Go keeps that state as a table; here it is computed by raising the recurrence to that
power.

Sources: the documentation of Go's math/rand; Mitchell and Reeds' generator as described in Knuth, The Art of Computer
Programming, volume 2, 3.2.2; Lemire, "Fast random integer generation in an interval" (2019) for :meth:`shuffle`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

LENGTH = 607
LAG = 273
WARM_STEPS = 7_800_000_000_000
MODULUS = (1 << 31) - 1
MULTIPLIER = 48271
MASK_63 = (1 << 63) - 1
MASK_64 = (1 << 64) - 1


def _congruential(seed: int) -> int:
    """The state of the linear congruential generator that a seed begins with."""
    return seed % MODULUS or 89482311


def _words(seed: int, high: int, middle: int) -> list[int]:
    """The 607 words that a seed makes from three congruential numbers each, shifted by ``high``, ``middle`` and 0."""
    number = _congruential(seed)
    for _ in range(20):
        number = number * MULTIPLIER % MODULUS
    words = []
    for _ in range(LENGTH):
        word = 0
        for shift in (high, middle, 0):
            number = number * MULTIPLIER % MODULUS
            word ^= number << shift
        words.append(word)
    return words


def _reduced(product: np.ndarray) -> np.ndarray:
    """A polynomial modulo ``t**607 - t**334 - 1``, coefficients modulo 2**64."""
    while len(product) > LENGTH:
        low, high = product[:LENGTH].copy(), product[LENGTH:]
        product = np.zeros(max(LENGTH, len(high) + LENGTH - LAG), dtype=np.uint64)
        product[:LENGTH] = low
        product[: len(high)] += high
        product[LENGTH - LAG : LENGTH - LAG + len(high)] += high
    return product


@cache
def _warm_state() -> tuple[int, ...]:
    """The words by place in the generator's ring, ``WARM_STEPS`` steps after seed 1."""
    one, step = np.zeros(LENGTH, dtype=np.uint64), np.zeros(LENGTH, dtype=np.uint64)
    one[0], step[1] = 1, 1
    power, left = one, WARM_STEPS
    while left:
        if left & 1:
            power = _reduced(np.convolve(power, step))
        step = _reduced(np.convolve(step, step))
        left >>= 1
    first = _words(1, 20, 10)
    # history[i] is y[i - 606]; place p of the ring holds the latest y[n] with n = 334 - p modulo 607
    history = np.zeros(2 * LENGTH, dtype=np.uint64)
    for index in range(LENGTH):
        history[index] = first[(334 - (index - 606)) % LENGTH]
    for index in range(LENGTH, 2 * LENGTH):
        history[index] = history[index - LENGTH] + history[index - LAG]
    state = [0] * LENGTH
    for index in range(LENGTH):
        word = int((power * history[index : index + LENGTH]).sum())
        state[(334 - (WARM_STEPS + index - 606)) % LENGTH] = word
    return tuple(state)


class GoRandom:
    """Draws what Go's ``rand.New(rand.NewSource(seed))`` draws, and what ``rand.Seed(seed)`` makes the package draw."""

    def __init__(self, seed: int) -> None:
        self._ring = [word ^ warm for word, warm in zip(_words(seed, 40, 20), _warm_state(), strict=True)]
        self._tap, self._feed = 0, LENGTH - LAG

    def int63(self) -> int:
        """A number below 2**63."""
        self._tap = (self._tap - 1) % LENGTH
        self._feed = (self._feed - 1) % LENGTH
        ring = self._ring
        word = ring[self._feed] = (ring[self._feed] + ring[self._tap]) & MASK_64
        return word & MASK_63

    def intn(self, limit: int) -> int:
        """A number below ``limit`` (1 to 2**31 - 1), without bias."""
        if limit & (limit - 1) == 0:
            return (self.int63() >> 32) & (limit - 1)
        most = (1 << 31) - 1 - (1 << 31) % limit
        value = self.int63() >> 32
        while value > most:
            value = self.int63() >> 32
        return value % limit

    def _below(self, limit: int) -> int:
        """A number below ``limit`` by Lemire's method, as Go's Shuffle draws it."""
        product = (self.int63() >> 31) * limit
        if product & 0xFFFFFFFF < limit:
            threshold = ((1 << 32) - limit) % limit
            while product & 0xFFFFFFFF < threshold:
                product = (self.int63() >> 31) * limit
        return product >> 32

    def shuffle(self, items: list[Any]) -> None:
        """Put the items in random order (Fisher and Yates)."""
        for index in range(len(items) - 1, 0, -1):
            other = self._below(index + 1)
            items[index], items[other] = items[other], items[index]

    def perm(self, count: int) -> list[int]:
        """The numbers 0 to ``count`` - 1 in random order."""
        order = [0] * count
        for index in range(count):
            other = self.intn(index + 1)
            order[index] = order[other]
            order[other] = index
        return order
