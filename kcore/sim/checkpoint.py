"""A simulation in a file: where it stands, to go on from there by the same inputs.

The file is a ``.npz`` of plain arrays and one JSON text; nothing in it is executed, and every number that kernels use as
an index is checked against its bounds. What follows from the inputs (specs, demands, names) is not in the file: a digest
tells whether they are the same. Nodes are brought to their slots by replaying what happened to them.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from kcore.api.errors import InputError
from kcore.scheduler.accounts import bind, unbind
from kcore.scheduler.incremental.columns import Touched
from kcore.scheduler.state import State
from kcore.sim import timeline as names
from kcore.sim.autoscaling import named
from kcore.sim.lines import Jobs
from kcore.sim.scenario import Scenario, new_node
from kcore.sim.timeline import Timeline

if TYPE_CHECKING:
    from kcore.sim.online import Online
    from kcore.traces.trace import Trace

FORMAT = 1
"""Of the file; a newer one is refused."""
META = "meta"
GIVEN = ("submit", "work", "owner", "place_of", "option")
"""Arrays of the timeline that follow from the inputs."""
TIMES_MAX = names.FOREVER


class Origin(NamedTuple):
    """What a simulation was made from, as far as others cannot see it any more."""

    arguments: dict[str, str]  # name -> how it is told from others
    nodes: list[Any]
    bound: np.ndarray  # int32[pod] the node of each, before anything happened


class Standing(Protocol):
    """A simulation, as it is put into a file and taken out of it."""

    state: State
    timeline: Timeline
    jobs: Jobs
    trace: Trace
    scenario: Scenario
    origin: Origin
    placed: np.ndarray
    score: np.ndarray
    _numbers: dict[str, int]
    _online: Online

    @property
    def now_ms(self) -> int:
        """Simulated milliseconds since the first arrival."""

    def go_on(self, touched: Touched, kept: np.ndarray) -> None:
        """Stand where another stood, whose state and timeline have been taken over."""


# -- digests


def _digest(parts: Iterator[bytes]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()


def _trace_parts(simulation: Standing) -> Iterator[bytes]:
    trace, columns = simulation.trace, simulation.trace.columns
    for array in (
        trace.submit_ms,
        trace.duration_ms,
        trace.estimate_ms,
        trace.job,
        trace.owner,
        columns.exemplar,
    ):
        yield np.ascontiguousarray(array).tobytes()
    yield b"" if columns.priority is None else columns.priority.tobytes()
    for name, values in sorted((columns.requests or {}).items()):
        yield name.encode()
        yield np.ascontiguousarray(values).tobytes()
    yield repr((trace.owners, columns.exemplars)).encode()
    for buffer in simulation.state.pods.names_array(simulation.jobs.rows).buffers():
        yield b"" if buffer is None else buffer.to_pybytes()


def _cluster_parts(simulation: Standing) -> Iterator[bytes]:
    yield repr(simulation.origin.nodes).encode()
    state = simulation.state
    before = len(simulation.origin.bound)
    yield simulation.origin.bound.tobytes()
    yield state.pods.request[:before].tobytes()
    yield state.pods.spec_class[:before].tobytes()
    yield repr([one.exemplar for one in state.classes]).encode()


def digests(simulation: Standing) -> dict[str, str]:
    """What the simulation was made from: a digest of the trace, of the cluster, and of each argument."""
    told = {
        name: hashlib.sha256(text.encode()).hexdigest() for name, text in simulation.origin.arguments.items()
    }
    return {
        "trace": _digest(_trace_parts(simulation)),
        "cluster": _digest(_cluster_parts(simulation)),
        **told,
    }


# -- writing


def save(simulation: Standing, path: str | Path) -> None:
    """The simulation is in the file, whole or as it was before: it is written beside it and then renamed."""
    state, timeline = simulation.state, simulation.timeline
    pods, count = state.pods, state.pods.count
    arrays = {f"timeline.{name}": getattr(timeline, name) for name in Timeline._fields if name not in GIVEN}
    arrays["timeline.interval"] = timeline.interval[: timeline.clock[names.INTERVALS]]
    arrays["timeline.eviction"] = timeline.eviction[: timeline.clock[names.EVICTIONS]]
    arrays |= {
        "placed": simulation.placed, "score": simulation.score,
        "kept": simulation._online.kept(), "ledger": state.world().nodes.ledger, "nominated": state.nominated,
    }  # fmt: skip
    arrays |= {f"touched.{name}": array for name, array in simulation._online.touched._asdict().items()}
    for name in ("node", "gone", "start", "priority", "nominated"):
        arrays[f"pods.{name}"] = getattr(pods, name)[:count]
    meta = {
        "format": FORMAT,
        "digests": digests(simulation),
        "now_ms": simulation.now_ms,
        "priority_least": int(timeline.option[names.PRIORITY_LEAST]),
        "node_names": list(simulation._numbers),
        "scenario": simulation.scenario.told(),
    }
    arrays[META] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    target = Path(path)
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as stream:
            np.savez(stream, **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, target)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", file=str(path)) from None
    finally:
        part.unlink(missing_ok=True)


# -- reading


class Found(NamedTuple):
    """What a file holds."""

    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]


def read(path: str | Path) -> Found:
    """The contents of a checkpoint.

    Raises:
        InputError: the file is not one, is damaged, or is of a newer version.
    """
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as stream:
            arrays = {name: stream[name] for name in stream.files}
        meta = json.loads(arrays.pop(META).tobytes())
        version = meta["format"]
    except FileNotFoundError:
        raise InputError("is not there", file=str(path), expected="a checkpoint") from None
    except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile):
        raise InputError(
            "is no checkpoint, or is damaged", file=str(path), expected="what a simulation saved"
        ) from None
    if version != FORMAT:
        raise InputError(
            f"is a checkpoint of version {version}",
            file=str(path),
            expected=f"version {FORMAT}; use a newer kcore",
        )
    return Found(meta, arrays)


def restore(simulation: Standing, path: str | Path) -> None:
    """The simulation, which stands at its beginning, stands where the file says.

    Raises:
        InputError: the file is no checkpoint, or one of other inputs; names what differs.
    """
    found = read(path)
    ours, theirs = digests(simulation), found.meta.get("digests")
    if not isinstance(theirs, dict):
        raise _damaged("digests")
    different = [name for name in ours if theirs.get(name) != ours[name]]
    if different:
        raise InputError(
            f"was saved with another {', another '.join(different)}",
            file=str(path),
            expected="the same inputs",
        )
    try:
        _restore(simulation, found)
    except InputError as error:
        raise error.at(file=str(path)) from None
    except (
        KeyError,
        ValueError,
        TypeError,
        IndexError,
        AttributeError,
        AssertionError,
        StopIteration,
    ) as error:
        raise _damaged(str(error)).at(file=str(path)) from None


def _restore(simulation: Standing, found: Found) -> None:
    meta, arrays = found
    state, before = simulation.state, simulation.timeline
    simulation.scenario.recall(meta["scenario"])
    _replay(simulation)
    world = state.world()
    simulation._numbers.clear()
    simulation._numbers.update({str(name): number for number, name in enumerate(meta["node_names"])})
    kept = {name: getattr(before, name) for name in GIVEN}
    kept["option"][names.PRIORITY_LEAST] = int(meta["priority_least"])
    loaded = {name: arrays[f"timeline.{name}"] for name in Timeline._fields if name not in GIVEN}
    resources = world.requests.amount.shape[1]
    for name, columns in (("interval", names.INTERVAL_FIELDS + 3 * resources), ("eviction", 5)):
        room = np.zeros((getattr(before, name).shape[0] + len(loaded[name]), columns), dtype=np.int64)
        room[: len(loaded[name])] = loaded[name]
        loaded[name] = room
    timeline = Timeline(**{name: {**kept, **loaded}[name] for name in Timeline._fields})
    for name in Timeline._fields:
        _check_like(name, getattr(timeline, name), getattr(before, name))
    slots = int(world.nodes.slots[0])
    _check_timeline(timeline, len(simulation._numbers), slots, resources)
    for name, target in (("placed", simulation.placed), ("score", simulation.score)):
        _check_same(name, arrays[name], target)
        target[:] = arrays[name]
    _check_range("placed", simulation.placed, -1, slots)
    _bind(simulation, timeline, arrays)
    _check_same("ledger", arrays["ledger"], state.world().nodes.ledger)
    state.world().nodes.ledger[:] = arrays["ledger"]
    simulation.timeline = timeline
    kept_shapes = arrays["kept"].astype(np.int64)
    _check_range("kept", kept_shapes, 0, len(simulation.jobs.rows))
    touched = Touched(*(arrays[f"touched.{name}"] for name in Touched._fields))
    ring = 1 << max(len(world.nodes.alive) - 1, 1).bit_length()
    if touched.ring.shape != (ring,) or touched.last.shape != world.nodes.alive.shape:
        raise _damaged("touched")
    _check_range("touched", touched.ring, 0, len(world.nodes.alive))
    simulation.go_on(touched, kept_shapes)


def _replay(simulation: Standing) -> None:
    """Nodes come, go and change as they did, so that each is in its slot."""
    state, scenario = simulation.state, simulation.scenario
    events = (event for event in scenario.events[: scenario.position] if event.kind == "add-node")
    happened, scenario.happened = scenario.happened, []
    for at, kind, name, group in happened:
        if kind == "add-node":
            if group >= 0:
                assert scenario.autoscaler is not None
                state.add_node(named(scenario.autoscaler.groups[group].template, name))
            else:
                event = next(events, None)
                if event is None:
                    raise _damaged("happened")
                state.add_node(new_node(state, scenario.removed, event))
        elif kind in ("remove-node", "fail-node"):
            node = state.nodes.nodes[state.nodes.find(name)]
            assert node is not None
            scenario.removed[name] = node
            state.remove_node(name)
        else:
            state.nodes.cordon(name, kind == "cordon")
        scenario.happened.append((at, kind, name, group))


def _bind(simulation: Standing, timeline: Timeline, arrays: dict[str, np.ndarray]) -> None:
    """Every pod is where the file says, with the start, priority and promise that it has there."""
    state, pods = simulation.state, simulation.state.pods
    count, slots = pods.count, len(state.nodes.nodes)
    for name in ("node", "gone", "start", "priority", "nominated"):
        _check_same(f"pods.{name}", arrays[f"pods.{name}"], getattr(pods, name)[:count])
    target = arrays["pods.node"]
    _check_range("pods.node", target, -1, slots)
    _check_range("pods.nominated", arrays["pods.nominated"], -1, slots)
    _check_range("nominated", arrays["nominated"], 0, count)
    on_node = target[simulation.jobs.rows]
    running = timeline.status == names.RUNNING
    alive = state.nodes.alive[np.maximum(target, 0)] != 0
    if (running != (on_node >= 0)).any() or (on_node[running] != simulation.placed[running]).any():
        raise _damaged("pods.node")
    if (~alive & (target >= 0)).any():
        raise _damaged("pods.node")
    world = state.world()
    for row in np.flatnonzero((pods.node[:count] >= 0) & (pods.node[:count] != target)).tolist():
        unbind(world.nodes, world.pods, world.requests, row)
    for row in np.flatnonzero((target >= 0) & (pods.node[:count] < 0)).tolist():
        bind(world.nodes, world.pods, world.requests, row, int(target[row]))
    for name in ("gone", "start", "priority", "nominated"):
        getattr(pods, name)[:count] = arrays[f"pods.{name}"]
    state.nominated = arrays["nominated"].astype(np.int32)
    state.version += 1


# -- bounds


def _damaged(what: str) -> InputError:
    return InputError("is damaged", field=what, expected="what a simulation saved")


def _check_same(name: str, given: np.ndarray, like: np.ndarray) -> None:
    if given.shape != like.shape or given.dtype != like.dtype:
        raise _damaged(name)


def _check_like(name: str, given: np.ndarray, like: np.ndarray) -> None:
    """The array has the type and the number of axes of what is there."""
    if given.dtype != like.dtype or given.ndim != like.ndim or not given.flags.c_contiguous:
        raise _damaged(name)


def _check_range(name: str, given: np.ndarray, least: int, beyond: int) -> None:
    if len(given) and (int(given.min()) < least or int(given.max()) >= beyond):
        raise _damaged(name)


def _check_timeline(timeline: Timeline, node_names: int, slots: int, resources: int) -> None:
    """Every index is within its bounds, and every array as long as the others that it goes with."""
    clock, places, classes = timeline.clock, len(timeline.submit), len(timeline.head)
    owners = len(timeline.owner_share)
    long = {
        "status": places, "left": places, "start": places, "first_start": places, "end": places, "waited": places,
        "since": places, "attempts": places, "evicted": places, "home": places, "run": places, "key": places,
        "sequence": places, "of_class": places, "following": places, "tail": classes, "seen": classes,
        "is_ready": classes, "is_blocked": classes, "ready": classes + 1, "blocked": classes + 1,
        "clock": names.CLOCK_FIELDS, "number": slots, "allocated": resources, "area": resources + 3,
        "capacity": resources, "capacity_area": resources, "typical": resources, "owner_since": owners,
        "owner_area": owners, "owner_allocated": owners,
        "ending": places + 1, "ending_at": len(timeline.ending), "ending_run": len(timeline.ending),
    }  # fmt: skip
    for name, length in long.items():
        given = len(getattr(timeline, name))
        if given < length if name == "ending" else given != length:
            raise _damaged(name)
    if timeline.owner_allocated.shape[1] != resources or int(timeline.owner.max(initial=0)) >= owners:
        raise _damaged("owner_allocated")
    ranges = {
        "status": (0, names.FAILED + 1), "home": (-1, node_names), "number": (-1, node_names),
        "of_class": (0, max(classes, 1)), "following": (-1, places), "head": (-1, places), "tail": (-1, places),
        "ending": (0, max(places, 1)), "ready": (0, max(classes, 1)), "blocked": (0, max(classes, 1)),
        "first_start": (-1, TIMES_MAX), "since": (0, TIMES_MAX), "end": (-1, TIMES_MAX),
    }  # fmt: skip
    for name, (least, beyond) in ranges.items():
        _check_range(name, getattr(timeline, name), least, beyond)
    used = timeline.eviction[: clock[names.EVICTIONS]]
    _check_range("eviction", used[:, 1], 0, places)
    _check_range("eviction", used[:, 2], -1, node_names)
    bounds = {
        names.ARRIVED: places, names.ENDINGS: len(timeline.ending), names.READY: classes, names.BLOCKED: classes,
        names.INTERVALS: len(timeline.interval), names.EVICTIONS: len(timeline.eviction), names.HELD: classes,
    }  # fmt: skip
    for field, most in bounds.items():
        if not (-1 if field == names.HELD else 0) <= clock[field] <= most:
            raise _damaged("clock")
