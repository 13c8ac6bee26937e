"""The network between the members: it loses, delays, duplicates, reorders and cuts, as its settings say.

Packets travel as bytes. Links are directed. A proposal or a call that a member hands to the leader is not duplicated:
the real transport is a stream, and neither etcd nor we promise that a request which arrives twice is done once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from kcore.store.calls import Call, Packet, decode, encode
from kcore_native.raft import MSG_PROP, Message
from tests.simulation.timeline import Timeline

FRAME_BYTES_PER_US = 100  # of a link, about 800 Mbit/s


@dataclass(slots=True)
class Weather:
    """How the network is; probabilities are of one packet."""

    latency_us_min: int = 200
    latency_us_max: int = 2_000
    loss: float = 0.0
    duplication: float = 0.0
    lateness: float = 0.0  # probability of being delayed by up to ``late_us_max``
    late_us_max: int = 0


class Network:
    """Delivers bytes to ``deliver[to]`` some time later, or not."""

    def __init__(self, timeline: Timeline, chance: random.Random) -> None:
        self.timeline = timeline
        self.chance = chance
        self.weather = Weather()
        self.cut: set[tuple[int, int]] = set()  # (from, to)
        self.deliver: dict[int, Callable[[Packet], None]] = {}
        self.sent_count = self.lost_count = 0

    def is_cut(self, start: int, to: int) -> bool:
        """True where nothing goes from one to the other."""
        return (start, to) in self.cut

    def latency_us(self, size: int = 0) -> int:
        """How long something of that size takes now."""
        weather = self.weather
        delay = self.chance.randint(weather.latency_us_min, weather.latency_us_max)
        if weather.lateness and self.chance.random() < weather.lateness:
            delay += self.chance.randint(0, weather.late_us_max)
        return delay + size // FRAME_BYTES_PER_US

    def loses(self, start: int, to: int) -> bool:
        """Decides whether the next packet on that link is lost."""
        return (start, to) in self.cut or (self.weather.loss > 0 and self.chance.random() < self.weather.loss)

    def send(self, start: int, packet: Packet) -> None:
        """The packet is on its way."""
        self.sent_count += 1
        to = packet.to
        if self.loses(start, to):
            self.lost_count += 1
            return
        raw = encode(packet)
        self.timeline.after(self.latency_us(len(raw)), self._arrive, start, to, raw)
        once = isinstance(packet, Call) or (isinstance(packet, Message) and packet.type == MSG_PROP)
        if self.weather.duplication and not once and self.chance.random() < self.weather.duplication:
            self.timeline.after(self.latency_us(len(raw)), self._arrive, start, to, raw)

    def _arrive(self, start: int, to: int, raw: bytes) -> None:
        receiver = self.deliver.get(to)
        if receiver is None or (start, to) in self.cut:
            self.lost_count += 1
            return
        receiver(decode(raw))
