"""Runs a workload in-process: its operations in order on one cluster, measured pods on the clock.

There is no API server and no waiting, so time is virtual where operations speak of it: measured pods arrive at the
rate that upstream demands of the workload (its threshold, or PODS_PER_SECOND), and what churn and deletePods do every
so often falls between them accordingly. ``sleep`` and ``barrier`` have nothing to wait for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects
from kcore.cluster import Cluster
from kcore.workloads.catalogue import Chosen
from kcore.workloads.format import Op
from kcore.workloads.objects import Templates
from kcore.workloads.report import Figures

PODS_PER_SECOND = 500.0
"""Virtual rate of arrival where the workload has no threshold."""
PIECE_PODS = 500
"""Pods of a piece, whose time per pod is the latency of an attempt."""
DEFAULT_POD = "templates/pod-default.yaml"


class Overrides(NamedTuple):
    """What a user changes about a workload."""

    params: dict[str, int]
    nodes: int | None = None
    pods: int | None = None


@dataclass
class _Run:
    """The state of one round."""

    chosen: Chosen
    overrides: Overrides
    engine: str
    pieces: bool
    cluster: Cluster
    known: ClusterObjects = field(default_factory=ClusterObjects)
    figures: Figures = field(default_factory=Figures)
    churns: list[Op] = field(default_factory=list)
    deletions: list[tuple[list[str], int]] = field(default_factory=list)
    names: dict[str, list[str]] = field(default_factory=dict)
    measuring: bool = False
    operation: int = 0

    def __post_init__(self) -> None:
        self.templates = Templates(self.chosen.path)


def run(
    chosen: Chosen, overrides: Overrides, engine: str = "auto", *, pieces: bool = False,
    cluster: Cluster | None = None,
) -> Figures:  # fmt: skip
    """One round of a workload; with ``pieces``, how long every PIECE_PODS of it took.

    Raises:
        InputError: a parameter or template that is missing or wrong.
    """
    state = _Run(chosen, overrides, engine, pieces, cluster or Cluster())
    for index, op in enumerate(chosen.case.workload_template):
        state.operation = index
        try:
            _OPERATIONS[op.opcode](state, op)
        except InputError as error:
            raise error.at(file=chosen.path, document=chosen.name) from None
    state.figures.nodes = state.cluster.node_count
    return state.figures


def _count(state: _Run, op: Op) -> int:
    field_name = f"workloadTemplate[{state.operation}]"
    if not op.count_param:
        if op.count is None:
            raise InputError("has no count", field=field_name, expected="count or countParam")
        return op.count
    name = op.count_param.lstrip("$")
    given = state.overrides.params.get(name, state.chosen.workload.params.get(name))
    if state.overrides.nodes is not None and op.opcode == "createNodes":
        given = state.overrides.nodes
    if state.overrides.pods is not None and op.collect_metrics:
        given = state.overrides.pods
    if not isinstance(given, int) or isinstance(given, bool) or given < 0:
        raise InputError(
            f"parameter {name} is {given!r}", field=f"{field_name}.countParam", expected="a number of objects"
        )
    return given


def _create_nodes(state: _Run, op: Op) -> None:
    state.cluster.add(state.templates.nodes(op, _count(state, op)))


def _create_namespaces(state: _Run, op: Op) -> None:
    found = state.templates.namespaces(op, _count(state, op))
    state.known.namespaces.extend(found.namespaces)
    state.cluster.add(found)


def _create_any(state: _Run, op: Op) -> None:
    state.cluster.add(state.templates.any_object(op.template_path, op.namespace))


def _create_pod_sets(state: _Run, op: Op) -> None:
    if op.create_pods_op is None:
        raise InputError("has no createPodsOp", field=f"workloadTemplate[{state.operation}]")
    for index in range(_count(state, op)):
        _create_pods(state, op.create_pods_op, namespace=f"{op.namespace_prefix}-{index}")


def _create_pods(state: _Run, op: Op, namespace: str | None = None) -> None:
    """Create pods and schedule them; measured ones together with what is churned meanwhile."""
    count = _count(state, op)
    template = op.pod_template_path or state.chosen.case.default_pod_template_path or DEFAULT_POD
    namespace = namespace or op.namespace or f"namespace-{state.operation + 1}"
    measured = op.collect_metrics or state.measuring
    if not measured:
        _schedule(state, [(template, namespace)], np.zeros(count, dtype=np.int32), measured=False)
        return
    kinds = [(template, namespace)]
    streams, moments = [], []
    for churn in state.churns:
        if _is_pod_stream(state, churn):
            for path in churn.template_paths:
                streams.append((len(kinds), churn.interval_milliseconds))
                kinds.append((path, f"churn-{len(kinds)}"))
        else:
            moments.append((churn.interval_milliseconds, churn))
    rate = state.chosen.workload.threshold
    rate = float(rate) if isinstance(rate, int | float) and rate else PODS_PER_SECOND
    ends = _segments(state, count, rate, moments)
    start = 0
    for end in ends:
        _between(state, moments, first=start == 0)
        _schedule(state, kinds, _mixed(start, end, rate, streams), measured=True)
        start = end
    state.deletions.clear()


def _is_pod_stream(state: _Run, churn: Op) -> bool:
    """Whether churn only ever creates pods, which then simply stand in the queue."""
    kinds = {state.templates.find(path).get("kind") for path in churn.template_paths}
    return churn.mode == "create" and kinds == {"Pod"}


def _segments(state: _Run, count: int, rate: float, moments: list[tuple[int, Op]]) -> list[int]:
    """Where the queue is cut so that something can happen between two pods."""
    step = [interval / 1000 * rate for interval, _ in moments]
    step += [rate for _ in state.deletions]
    if not step:
        return [count]
    width = max(int(min(step)), 1)
    return [*range(width, count, width), count]


def _mixed(start: int, end: int, rate: float, streams: list[tuple[int, int]]) -> np.ndarray:
    """The kinds of pods from ``start`` to ``end``, those of the streams where their time comes."""
    kind = np.zeros(end - start, dtype=np.int32)
    for number, interval in streams:
        gap = max(interval / 1000 * rate, 1.0)
        due = np.arange(int(np.ceil(start / gap)), int(np.ceil(end / gap))) * gap
        kind = np.insert(kind, (due - start).astype(np.int64).clip(0, len(kind)), number)
    return kind


def _between(state: _Run, moments: list[tuple[int, Op]], *, first: bool) -> None:
    """What happens before the next segment: objects created anew, pods deleted."""
    for _, churn in moments:
        for path in churn.template_paths:
            kind = state.templates.find(path).get("kind")
            if churn.mode == "recreate" and not first:
                _forget(state, path, str(kind))
            found = state.templates.any_object(path, None if kind == "Node" else f"churn-{path}")
            names = [one.metadata.name for one in (*found.nodes, *found.pods)]
            state.names.setdefault(path, []).extend(names)
            if kind == "Pod":
                state.names[path] = [f"churn-{path}/{name}" for name in names]
            state.cluster.add(found)
    for left, per_second in state.deletions:
        for _ in range(min(per_second, len(left))):
            state.cluster.remove_pod(left.pop())


def _forget(state: _Run, path: str, kind: str) -> None:
    for name in state.names.pop(path, []):
        if kind == "Node":
            state.cluster.remove_node(name)
        elif kind == "Pod":
            state.cluster.remove_pod(name)


def _schedule(state: _Run, kinds: list[tuple[str, str]], kind: np.ndarray, *, measured: bool) -> None:
    """Create the pods and schedule them in order of arrival; preemption evicts, as pods that were asked to go do."""
    if not len(kind):
        return
    pods = state.templates.pods(kinds, kind, state.known)
    sliced = measured and state.pieces
    pieces: list[tuple[int, float]] = []
    done, since = 0, time.perf_counter()

    def note(reached: int, _: int) -> None:
        nonlocal done, since
        now = time.perf_counter()
        pieces.append((reached - done, now - since))
        done, since = reached, now

    def stage(_: str) -> None:
        nonlocal since
        since = time.perf_counter()

    result = state.cluster.schedule(
        pods, engine=state.engine, order="file", preemption="evict", stage=stage,
        progress=note if sliced else None, report_every=PIECE_PODS if sliced else 0,
    )  # fmt: skip
    for _, namespace in kinds[:1]:
        names = pods.pod_columns[0].names
        state.names.setdefault(namespace, []).extend(f"{namespace}/{name}" for name in names)
    if measured:
        figures = state.figures
        figures.pods += result.pods
        figures.placed += result.placed
        figures.seconds += result.seconds
        figures.engine = result.engine
        figures.pieces += pieces


def _churn(state: _Run, op: Op) -> None:
    state.churns.append(op)


def _delete_pods(state: _Run, op: Op) -> None:
    """Delete the namespace's pods: at once, or, where nothing waits for it, during the next measured pods."""
    pods = state.names.pop(op.namespace or "", [])
    if op.skip_wait_to_completion and op.delete_pods_per_second:
        state.deletions.append((pods, op.delete_pods_per_second))
        return
    for pod in pods:
        state.cluster.remove_pod(pod)


def _start_collecting(state: _Run, op: Op) -> None:
    state.measuring = True


def _stop_collecting(state: _Run, op: Op) -> None:
    state.measuring = False


def _nothing_to_wait_for(state: _Run, op: Op) -> None:
    """Every pod has been tried when createPods returns."""


_OPERATIONS = {
    "createNodes": _create_nodes,
    "createNamespaces": _create_namespaces,
    "createPods": _create_pods,
    "createPodSets": _create_pod_sets,
    "createAny": _create_any,
    "churn": _churn,
    "deletePods": _delete_pods,
    "barrier": _nothing_to_wait_for,
    "sleep": _nothing_to_wait_for,
    "startCollectingMetrics": _start_collecting,
    "stopCollectingMetrics": _stop_collecting,
}
