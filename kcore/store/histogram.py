"""How long something took, in buckets: Prometheus' histogram, cheap to add to."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

# Seconds: 1 ms, doubled up to 8.192 s, as etcd's histograms of its disk.
DISK_SECONDS: Final = tuple(0.001 * 2**i for i in range(14))


class Histogram:
    """Observations counted by the first bound that is not below them."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = DISK_SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def buckets(self) -> Iterator[tuple[str, int]]:
        """(bound as Prometheus writes it, how many were at most that), the last "+Inf"."""
        labels = (*(f"{bound:g}" for bound in self.bounds), "+Inf")
        return zip(labels, accumulate(self.counts), strict=True)
