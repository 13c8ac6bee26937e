"""A node with devices, a pod that asks for some, and which nodes can take it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

WHOLE = 1000
"""Milli of a whole device."""


@dataclass(frozen=True)
class GpuPod:
    """What a pod asks for: ``count`` devices with ``milli`` of each, of one of the ``models`` (none: of any)."""

    cpu: int
    memory: int = 0
    count: int = 0
    milli: int = 0
    models: str = ""
    """As the trace writes them: ``V100M16|V100M32``."""

    @property
    def kind(self) -> str:
        """The class of GPU pods that gpu_clustering keeps together."""
        if self.count == 0:
            return "none"
        return "share" if self.count == 1 and self.milli < WHOLE else f"{self.count}-gpu"

    def allows(self, model: str) -> bool:
        """Tell whether the pod may use devices of a model."""
        wanted = [name for name in self.models.split("|") if name]
        return not wanted or model in wanted


@dataclass
class GpuNode:
    """A node: what is left of it, by device, and the kinds of GPU pods that it has."""

    name: str
    cpu: int
    memory: int
    model: str = ""
    devices: int = 0
    pods_allowed: int = 1001
    cpu_left: int = field(init=False)
    memory_left: int = field(init=False)
    left: list[int] = field(init=False)
    kinds: Counter[str] = field(default_factory=Counter)
    pods: int = 0

    def __post_init__(self) -> None:
        self.cpu_left, self.memory_left = self.cpu, self.memory
        self.left = [WHOLE] * self.devices

    def fits(self, pod: GpuPod) -> bool:
        """NodeResourcesFit for CPU, memory and pods, then :meth:`has_devices`."""
        if self.pods >= self.pods_allowed or pod.cpu > self.cpu_left or pod.memory > self.memory_left:
            return False
        return self.has_devices(pod)

    def has_devices(self, pod: GpuPod) -> bool:
        """Tell whether the node has the devices: the Filter of GPU sharing."""
        if pod.count == 0:
            return True
        if not pod.allows(self.model):
            return False
        return sum(left >= pod.milli for left in self.left) >= pod.count

    def put(self, pod: GpuPod, devices: list[int]) -> None:
        """Put the pod on the node, on those devices."""
        self.cpu_left -= pod.cpu
        self.memory_left -= pod.memory
        self.pods += 1
        for device in devices:
            self.left[device] -= pod.milli
        if pod.count:
            self.kinds[pod.kind] += 1

    def take(self, pod: GpuPod, devices: list[int]) -> None:
        """Take it off again."""
        self.cpu_left += pod.cpu
        self.memory_left += pod.memory
        self.pods -= 1
        for device in devices:
            self.left[device] += pod.milli
        if pod.count:
            self.kinds[pod.kind] -= 1
            self.kinds += Counter()

    def state(self) -> tuple[object, ...]:
        """Everything that a score depends on."""
        return (self.cpu_left, tuple(self.left), self.model, tuple(sorted(self.kinds)))
