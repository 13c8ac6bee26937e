"""The timeline's arrays: made for a trace, and made larger or anew while the simulation stands still."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kcore.scheduler.state import State, World
from kcore.sim import timeline as names
from kcore.sim.timeline import Timeline

INTERVALS_MIN = 1_024
EVICTIONS_MIN = 4_096
ENDINGS_MORE = 16


class Jobs(NamedTuple):
    """What a simulation knows of its pods, by place."""

    rows: np.ndarray  # int32[place] rows in the state
    submit: np.ndarray  # int64[place] ms, ascending
    work: np.ndarray  # int64[place] ms, -1 for ever
    estimate: np.ndarray  # int64[place] ms, -1 unknown
    owner: np.ndarray  # int32[place]
    owners: list[str]
    job: np.ndarray  # int32[place]
    cut: np.ndarray | None = None  # bool[place] it is killed before its work is done; ``work`` is up to then

    @property
    def length(self) -> np.ndarray:
        """``int64[place]`` ms that the pod runs as far as the scheduler knows: its estimate, else its work; FOREVER."""
        known = np.where(self.estimate >= 0, self.estimate, self.work)
        return np.where(known >= 0, known, names.FOREVER).astype(np.int64)

    def killed_at_estimate(self) -> Jobs:
        """The same pods, none of which runs longer than its estimate."""
        cut = (self.estimate >= 0) & ((self.work < 0) | (self.work > self.estimate))
        return self._replace(work=np.where(cut, self.estimate, self.work), cut=cut)


def make_timeline(
    jobs: Jobs, key: np.ndarray, option: np.ndarray, state: State, world: World, evictions_min: int
) -> Timeline:
    """The timeline at the beginning: nothing has arrived."""
    places, resources = len(jobs.rows), world.requests.amount.shape[1]

    def filled(dtype: type, value: int = 0) -> np.ndarray:
        return np.full(places, value, dtype=dtype)

    place_of = np.full(state.pods.capacity, names.NONE, dtype=np.int32)
    place_of[jobs.rows] = np.arange(places, dtype=np.int32)
    nodes = world.nodes
    clock = np.zeros(names.CLOCK_FIELDS, dtype=np.int64)
    clock[names.NODES_USED] = int(((nodes.pod_count > 0) & (nodes.alive != 0)).sum())
    clock[names.STRANDED_AT] = -1
    owners = len(jobs.owners)
    # runs that were cut short stay in the heap until it is full
    endings = places + places // 2 + ENDINGS_MORE
    return Timeline(
        clock=clock, option=option, submit=jobs.submit, work=jobs.work, left=jobs.work.copy(),
        status=filled(np.uint8), start=filled(np.int64, -1), first_start=filled(np.int64, -1),
        end=filled(np.int64, -1), waited=filled(np.int64), since=filled(np.int64), attempts=filled(np.int32),
        evicted=filled(np.int32), run=filled(np.int32), home=filled(np.int32, -1), number=np.zeros(0, dtype=np.int32), key=key, sequence=filled(np.int64),
        of_class=filled(np.int32), owner=jobs.owner, following=filled(np.int32, -1),
        ending_at=np.zeros(endings, dtype=np.int64), ending=np.zeros(endings, dtype=np.int32),
        ending_run=np.zeros(endings, dtype=np.int32),
        **class_arrays(0), place_of=place_of,
        allocated=requested_of(world), area=np.zeros(resources + 3),
        owner_allocated=np.zeros((owners, resources), dtype=np.int64), owner_share=np.zeros(owners),
        owner_since=np.zeros(owners, dtype=np.int64), owner_area=np.zeros(owners),
        capacity=capacity_of(world), capacity_area=np.zeros(resources), typical=typical_request(world, jobs.rows),
        interval=np.zeros((INTERVALS_MIN, names.INTERVAL_FIELDS + 3 * resources), dtype=np.int64),
        eviction=np.zeros((evictions_min + EVICTIONS_MIN, 5), dtype=np.int64),
    )  # fmt: skip


def class_arrays(classes: int) -> dict[str, np.ndarray]:
    """The arrays with one item a class; nobody waits."""
    return {
        "head": np.full(classes, names.NONE, dtype=np.int32),
        "tail": np.full(classes, names.NONE, dtype=np.int32),
        "seen": np.zeros(classes, dtype=np.int64),
        "is_ready": np.zeros(classes, dtype=np.uint8),
        "is_blocked": np.zeros(classes, dtype=np.uint8),
        "ready": np.zeros(classes + 1, dtype=np.int32),
        "blocked": np.zeros(classes + 1, dtype=np.int32),
    }


def with_classes(timeline: Timeline, numbers: np.ndarray, shared: bool) -> Timeline:
    """The timeline with pods told apart by shape (``numbers``) and key; those that wait stand in line again, all to be tried."""
    known = np.flatnonzero(numbers >= 0)
    code = numbers[known].astype(np.int64)
    others = (timeline.key[known], timeline.owner[known]) if shared else (timeline.key[known],)
    for column in others:
        if len(column) and column.min() != column.max():
            inverse = np.unique(column, return_inverse=True)[1].reshape(-1)
            code = code * (int(inverse.max()) + 1) + inverse
    distinct, inverse = np.unique(code, return_inverse=True)
    timeline.of_class[known] = inverse.reshape(-1)
    made = timeline._replace(**class_arrays(len(distinct)))
    made.clock[[names.READY, names.BLOCKED, names.BEYOND]] = 0
    made.clock[names.HELD] = names.NONE
    waiting = np.flatnonzero(made.status == names.WAITING)
    made.following[waiting] = names.NONE
    for place in waiting[np.argsort(made.sequence[waiting], kind="stable")].tolist():
        one = made.of_class[place]
        if made.head[one] < 0:
            made.head[one] = place
        else:
            made.following[made.tail[one]] = place
        made.tail[one] = place
    for one in np.flatnonzero(made.head >= 0).tolist():
        names.make_ready(made, one)
    return made


def requested_of(world: World) -> np.ndarray:
    """``int64[resource]``: what the pods on all nodes ask for together."""
    nodes = world.nodes
    slots = int(nodes.slots[0])
    found: np.ndarray = (nodes.requested[:, :slots] * nodes.alive[:slots]).sum(axis=1)
    return found


def capacity_of(world: World) -> np.ndarray:
    """``int64[resource]``: what all nodes have together."""
    nodes = world.nodes
    slots = int(nodes.slots[0])
    found: np.ndarray = (nodes.allocatable[:, :slots] * nodes.alive[:slots]).sum(axis=1)
    return found


def typical_request(world: World, rows: np.ndarray) -> np.ndarray:
    """``int64[resource]``: the median of what pods ask for that ask for the resource."""
    requests, counts = np.unique(world.pods.request[rows], return_counts=True)
    typical = np.zeros(world.requests.amount.shape[1], dtype=np.int64)
    for row in range(len(typical)):
        amount = world.requests.amount[requests, row]
        asked = amount > 0
        if asked.any():
            order = np.argsort(amount[asked])
            weight = np.cumsum(counts[asked][order])
            typical[row] = amount[asked][order][np.searchsorted(weight, weight[-1] / 2)]
    return typical


def number_nodes(state: State, known: dict[str, int]) -> np.ndarray:
    """``int32[node]``: the numbers of the nodes that there are, by name; new ones are added to ``known``."""
    number = np.full(len(state.nodes.nodes), names.NONE, dtype=np.int32)
    for slot, node in enumerate(state.nodes.nodes):
        if node is not None:
            number[slot] = known.setdefault(node.metadata.name, len(known))
    return number


def with_resources(timeline: Timeline, world: World) -> Timeline:
    """The timeline for the nodes and resources that there are now."""
    before, after = len(timeline.allocated), world.requests.amount.shape[1]
    more = after - before
    if more:
        fields, old = names.INTERVAL_FIELDS, timeline.interval
        interval = np.zeros((old.shape[0], fields + 3 * after), dtype=np.int64)
        interval[:, :fields] = old[:, :fields]
        for block in range(3):
            there = old[:, fields + block * before : fields + (block + 1) * before]
            interval[:, fields + block * after : fields + block * after + before] = there
        area = timeline.area
        timeline = timeline._replace(
            allocated=np.pad(timeline.allocated, (0, more)),
            area=np.concatenate([area[:before], np.zeros(more), area[before:]]),
            owner_allocated=np.pad(timeline.owner_allocated, ((0, 0), (0, more))),
            typical=np.pad(timeline.typical, (0, more)),
            capacity_area=np.pad(timeline.capacity_area, (0, more)),
            interval=interval,
        )
    made = timeline._replace(capacity=capacity_of(world))
    _share_anew(made)
    return made


def _share_anew(timeline: Timeline) -> None:
    """The owners' shares are of the capacity that there is now."""
    now, there = int(timeline.clock[names.NOW]), timeline.capacity > 0
    timeline.owner_area[:] += timeline.owner_share * (now - timeline.owner_since)
    timeline.owner_since[:] = now
    part = timeline.owner_allocated[:, there] / timeline.capacity[there]
    timeline.owner_share[:] = part.max(axis=1, initial=0.0)


def copy_timeline(timeline: Timeline) -> Timeline:
    """The same in arrays of its own."""
    return Timeline(**{name: array.copy() for name, array in timeline._asdict().items()})


def longer(timeline: Timeline, field: str) -> Timeline:
    """The timeline with room for twice as many intervals or evictions."""
    array = getattr(timeline, field)
    grown = np.zeros((2 * array.shape[0], array.shape[1]), dtype=np.int64)
    grown[: array.shape[0]] = array
    return timeline._replace(**{field: grown})
