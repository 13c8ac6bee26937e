"""The node table: columns with the node axis last, changed in place, and the names behind their numbers.

Label columns, topology domains and images exist only for the keys and images that some demand refers to; they are
filled from the nodes' own labels when first asked for. A removed node leaves a dead slot that the next new node
takes.
"""

from __future__ import annotations

import msgspec
import numpy as np

from kcore.api.errors import InputError
from kcore.api.objects import Node, Taint
from kcore.api.quantity import milli_value, unit_value
from kcore.scheduler.codes import (
    CPU,
    DOMAIN_NONE,
    GPU_MILLI,
    QUANTITY_MAX,
    RESOURCES_MAX,
)
from kcore.scheduler.columns import NodeColumns
from kcore.scheduler.devices import MODEL_LABEL, node_devices
from kcore.scheduler.plugins.resource_pair import make_pair
from kcore.scheduler.requests import is_scalar, parse
from kcore.scheduler.vocab import Vocab, label_number

TaintSet = tuple[tuple[str, str, str], ...]

NAME_LABEL = "\0name"
"""Row 0 of the label columns: the node's name, for matchFields and spec.nodeName (no label key is spelt so)."""

_GROWTH_MIN = 16


class NodeTable:
    """Columns of all nodes. ``generation[slot]`` grows with every change of the node; ``changed`` of the table."""

    def __init__(self) -> None:
        self.nodes: list[Node | None] = []
        self.index: dict[str, int] = {}
        self.free: list[int] = []
        self.resources: Vocab[str] = Vocab()
        for name in ("cpu", "memory", "ephemeral-storage"):
            self.resources.intern(name)
        self.label_keys: Vocab[str] = Vocab()
        self.label_keys.intern(NAME_LABEL)
        self.label_values: Vocab[str] = Vocab()
        self.topology_keys: Vocab[str] = Vocab()
        self.domains: list[Vocab[str]] = []
        self.taint_sets: Vocab[TaintSet] = Vocab()
        self.taint_sets.intern(())
        self.images: Vocab[str] = Vocab()
        self._images_held: dict[str, list[int]] = {}
        self.gpu_models: Vocab[str] = Vocab()
        self.changed = 0
        self._labels_changed = 0
        self._capacity = 0
        self._allocate(_GROWTH_MIN)
        self._numbers: tuple[int, np.ndarray, np.ndarray] | None = None

    # -- growth

    def _allocate(self, capacity: int) -> None:
        old = self._capacity
        self._capacity = capacity
        self.slots = np.array([len(self.nodes)], dtype=np.int64)

        def grown(name: str, shape: tuple[int, ...], dtype: type, fill: int = 0) -> None:
            array: np.ndarray = np.full(shape, fill, dtype=dtype)
            before = getattr(self, name, None)
            if before is not None:
                array[..., :old] = before
            setattr(self, name, array)

        grown("alive", (capacity,), np.uint8)
        grown("unschedulable", (capacity,), np.uint8)
        grown("rank", (capacity,), np.int32)
        grown("taint_set", (capacity,), np.int32)
        grown("allocatable", (len(self.resources), capacity), np.int64)
        grown("requested", (len(self.resources), capacity), np.int64)
        grown("nonzero", (2, capacity), np.int64)
        grown("pods_allowed", (capacity,), np.int64)
        grown("pod_count", (capacity,), np.int64)
        grown("label", (len(self.label_keys), capacity), np.int32, -1)
        grown("domain", (len(self.topology_keys), capacity), np.int32, DOMAIN_NONE)
        grown("image_present", (len(self.images), capacity), np.uint8)
        grown("first_pod", (capacity,), np.int32, -1)
        grown("generation", (capacity,), np.int64)
        grown("gpu_count", (capacity,), np.int32)
        grown("gpu_model", (capacity,), np.int32, -1)
        devices = self.gpu_left.shape[0] if old else 0
        grown("gpu_left", (devices, capacity), np.int64)
        grown("gpu_kind", (devices + 1, capacity), np.int32)

    alive: np.ndarray
    unschedulable: np.ndarray
    rank: np.ndarray
    taint_set: np.ndarray
    allocatable: np.ndarray
    requested: np.ndarray
    nonzero: np.ndarray
    pods_allowed: np.ndarray
    pod_count: np.ndarray
    label: np.ndarray
    domain: np.ndarray
    image_present: np.ndarray
    first_pod: np.ndarray
    generation: np.ndarray
    gpu_count: np.ndarray
    gpu_model: np.ndarray
    gpu_left: np.ndarray
    gpu_kind: np.ndarray

    @property
    def capacity(self) -> int:
        """Slots allocated: the length of the node axis."""
        return self._capacity

    def reserve(self, count: int) -> None:
        """Make room for ``count`` nodes in all at once."""
        if count > self._capacity:
            self._allocate(count)

    # -- nodes

    def add(self, node: Node) -> int:
        """Take a new node into a slot and return the slot.

        Raises:
            InputError: the name is missing or taken, or an amount is impossible; the table is unchanged.
        """
        name = node.metadata.name
        if not name:
            raise InputError("the node has no name", field="metadata.name")
        if name in self.index:
            raise InputError(f"a node named {name!r} exists already", field="metadata.name")
        amounts, pods = self.amounts_of(node)
        devices = node_devices(node)
        if self.free:
            slot = self.free.pop()
            self.nodes[slot] = node
        else:
            slot = len(self.nodes)
            if slot == self._capacity:
                self._allocate(max(_GROWTH_MIN, 2 * slot))
            self.nodes.append(node)
            self.slots[0] = len(self.nodes)
        self.index[name] = slot
        self.alive[slot] = 1
        self._fill(slot, node, amounts, pods)
        self._set_devices(slot, devices)
        return slot

    def update(self, node: Node) -> int:
        """Replace what is known of a node of the same name; its pods and their accounts stay. Return its slot."""
        slot = self.find(node.metadata.name)
        amounts, pods = self.amounts_of(node)
        devices = node_devices(node)
        self._drop_images(slot)
        self.nodes[slot] = node
        self._fill(slot, node, amounts, pods)
        self._set_devices(slot, devices)
        return slot

    def cordon(self, name: str, unschedulable: bool) -> None:
        """Let the node of that name take new pods, or no more."""
        node = self.nodes[self.find(name)]
        assert node is not None
        spec = msgspec.structs.replace(node.spec, unschedulable=unschedulable)
        self.update(msgspec.structs.replace(node, spec=spec))

    def remove(self, name: str) -> int:
        """Empty the node's slot (the caller has taken its pods off) and return the slot."""
        slot = self.find(name)
        del self.index[name]
        self._drop_images(slot)
        self.nodes[slot] = None
        self.free.append(slot)
        self.alive[slot] = 0
        self.label[:, slot] = -1
        self.domain[:, slot] = DOMAIN_NONE
        self.image_present[:, slot] = 0
        self.allocatable[:, slot] = 0
        self.pods_allowed[slot] = 0
        self.taint_set[slot] = 0
        self._set_devices(slot, 0)
        self._touch(slot)
        return slot

    def find(self, name: str) -> int:
        """The slot of the node of that name.

        Raises:
            InputError: there is none.
        """
        slot = self.index.get(name)
        if slot is None:
            raise InputError(f"no node is named {name!r}", expected="the name of a node of the cluster")
        return slot

    def name(self, slot: int) -> str:
        """The name of the node in a slot."""
        node = self.nodes[slot]
        return node.metadata.name if node is not None else ""

    @property
    def alive_count(self) -> int:
        """How many nodes there are."""
        return len(self.index)

    def _touch(self, slot: int) -> None:
        self.generation[slot] += 1
        self.changed += 1
        self._labels_changed += 1

    def amounts_of(self, node: Node) -> tuple[dict[int, int], int]:
        """What a node has by resource row, and how many pods it may hold."""
        given = node.status.allocatable
        if given is None:
            given = node.status.capacity
        pods = 0
        amounts: dict[int, int] = {}
        for name, nanos in parse(given, "status.allocatable").items():
            value = milli_value(nanos) if name == "cpu" else unit_value(nanos)
            if value > QUANTITY_MAX:
                raise InputError(
                    f"{value} is more than a node can have",
                    field=f"status.allocatable.{name}",
                    expected=f"at most {QUANTITY_MAX}",
                )
            if name == "pods":
                pods = value
            elif name in ("cpu", "memory", "ephemeral-storage") or is_scalar(name):
                amounts[self.resource_row(name)] = value
        return amounts, pods

    def _fill(self, slot: int, node: Node, amounts: dict[int, int], pods: int) -> None:
        self.allocatable[:, slot] = 0
        for row, value in amounts.items():
            self.allocatable[row, slot] = value
        self.pods_allowed[slot] = pods
        self.unschedulable[slot] = 1 if node.spec.unschedulable else 0
        self.taint_set[slot] = self._taint_set(node.spec.taints)
        labels = node.metadata.labels or {}
        self.label[0, slot] = self.label_values.intern(node.metadata.name)
        for row in range(1, len(self.label_keys)):
            text = labels.get(self.label_keys.values[row])
            self.label[row, slot] = -1 if text is None else self.label_values.intern(text)
        for row, key in enumerate(self.topology_keys.values):
            text = labels.get(key)
            self.domain[row, slot] = DOMAIN_NONE if text is None else self.domains[row].intern(text)
        self.image_present[:, slot] = 0
        for image in node.status.images or ():
            for name in image.names or ():
                held = self._images_held.setdefault(name, [image.size_bytes, 0])
                held[1] += 1
                row = self.images.find(name)
                if row >= 0:
                    self.image_present[row, slot] = 1
        self._touch(slot)

    def _set_devices(self, slot: int, count: int) -> None:
        """Give the node so many GPU devices and its model; what its pods use of devices stays used."""
        node = self.nodes[slot]
        model = (node.metadata.labels or {}).get(MODEL_LABEL) if node is not None else None
        self.gpu_model[slot] = -1 if model is None else self.gpu_models.intern(model)
        more = count - self.gpu_left.shape[0]
        if more > 0:
            self.gpu_left = np.vstack([self.gpu_left, np.zeros((more, self._capacity), dtype=np.int64)])
            self.gpu_kind = np.vstack([self.gpu_kind, np.zeros((more, self._capacity), dtype=np.int32)])
        before = int(self.gpu_count[slot])
        self.gpu_left[before:count, slot] += GPU_MILLI
        self.gpu_left[count:before, slot] -= GPU_MILLI
        self.gpu_count[slot] = count

    def largest(self) -> np.ndarray:
        """``int64[2]``: the most milli-CPU and the most GPU milli of any node, 1 at least."""
        cpu = int(self.allocatable[CPU].max(initial=1))
        return np.array([cpu, max(int(self.gpu_count.max(initial=0)) * GPU_MILLI, 1)], dtype=np.int64)

    def _drop_images(self, slot: int) -> None:
        """Forget the images of the slot's node; the size of one that nobody has any more is forgotten, too."""
        node = self.nodes[slot]
        for image in (node.status.images or ()) if node is not None else ():
            for name in image.names or ():
                held = self._images_held[name]
                held[1] -= 1
                if held[1] == 0:
                    del self._images_held[name]

    def _taint_set(self, taints: list[Taint] | None) -> int:
        if not taints:
            return 0
        return self.taint_sets.intern(tuple((taint.key, taint.value, taint.effect) for taint in taints))

    # -- rows on demand

    def resource_row(self, name: str) -> int:
        """The row of a resource, new if it was unknown.

        Raises:
            InputError: more than RESOURCES_MAX different resources.
        """
        row = self.resources.find(name)
        if row >= 0:
            return row
        if len(self.resources) == RESOURCES_MAX:
            raise InputError(f"more than {RESOURCES_MAX} different resources, {name!r} is one too many")
        row = self.resources.intern(name)
        for column in ("allocatable", "requested"):
            before = getattr(self, column)
            array = np.zeros((row + 1, self._capacity), dtype=np.int64)
            array[:row] = before
            setattr(self, column, array)
        self.changed += 1
        return row

    def label_row(self, key: str) -> int:
        """The label column of a key, filled now if nobody has asked before."""
        row = self.label_keys.find(key)
        if row >= 0:
            return row
        row = self.label_keys.intern(key)
        column = np.full(self._capacity, -1, dtype=np.int32)
        for slot, node in enumerate(self.nodes):
            value = node.metadata.labels.get(key) if node is not None and node.metadata.labels else None
            if value is not None:
                column[slot] = self.label_values.intern(value)
        self.label = np.vstack([self.label, column[np.newaxis]])
        self.changed += 1
        return row

    def topology_row(self, key: str) -> int:
        """The topology column of a key: dense domain ids."""
        row = self.topology_keys.find(key)
        if row >= 0:
            return row
        row = self.topology_keys.intern(key)
        domains: Vocab[str] = Vocab()
        column = np.full(self._capacity, DOMAIN_NONE, dtype=np.int32)
        for slot, node in enumerate(self.nodes):
            value = node.metadata.labels.get(key) if node is not None and node.metadata.labels else None
            if value is not None:
                column[slot] = domains.intern(value)
        self.domains.append(domains)
        self.domain = np.vstack([self.domain, column[np.newaxis]])
        self.changed += 1
        return row

    def image_row(self, name: str) -> int:
        """The row of an image by its normalized name.

        Its size is what the first node that came with it says: upstream's cache keeps one size for all nodes.
        """
        row = self.images.find(name)
        if row >= 0:
            return row
        column = np.zeros(self._capacity, dtype=np.uint8)
        for slot, node in enumerate(self.nodes) if name in self._images_held else ():
            for image in (node.status.images or ()) if node is not None else ():
                if image.names and name in image.names:
                    column[slot] = 1
        row = self.images.intern(name)
        self.image_present = np.vstack([self.image_present, column[np.newaxis]])
        self.changed += 1
        return row

    # -- views

    def scaled_images(self) -> np.ndarray:
        """``int64[image, node]``: bytes of the image times the share of nodes that have it, 0 where it is absent."""
        spread = self.image_present.sum(axis=1, dtype=np.int64) / max(self.alive_count, 1)
        sizes = [self._images_held.get(name, (0, 0))[0] for name in self.images.values]
        scaled = (np.array(sizes, dtype=np.float64) * spread).astype(np.int64)
        result: np.ndarray = self.image_present.astype(np.int64) * scaled[:, np.newaxis]
        return result

    def rank_names(self) -> None:
        """Refresh ``rank``: the position of each node by name, bytewise."""
        order = sorted(self.index.items())
        for position, (_, slot) in enumerate(order):
            self.rank[slot] = position

    def _label_numbers(self) -> tuple[np.ndarray, np.ndarray]:
        known = len(self.label_values)
        if self._numbers is None or self._numbers[0] != known:
            number = np.zeros(max(known, 1), dtype=np.int64)
            is_number = np.zeros(max(known, 1), dtype=np.uint8)
            for index, value in enumerate(self.label_values.values):
                parsed = label_number(value)
                if parsed is not None:
                    number[index] = parsed
                    is_number[index] = 1
            self._numbers = (known, number, is_number)
        return self._numbers[1], self._numbers[2]

    def columns(self, ledger: np.ndarray, image: np.ndarray) -> NodeColumns:
        """The kernel's view; ``ledger[row, node]`` and ``image[image, node]`` come from their owners."""
        number, is_number = self._label_numbers()
        domain_count = np.array([len(domains) for domains in self.domains], dtype=np.int64)
        pair, paired = make_pair(self.allocatable, self.requested, self.nonzero, self.alive)
        return NodeColumns(
            self.slots, self.alive, self.unschedulable, self.rank, self.taint_set, self.allocatable,
            self.requested, self.nonzero, pair, paired, self.pods_allowed, self.pod_count, self.label, self.domain, domain_count,
            image, image.max(axis=1, initial=0), self.first_pod, ledger, number, is_number,
            self.gpu_left, self.gpu_count, self.gpu_model, self.gpu_kind, self.largest(),
        )  # fmt: skip
