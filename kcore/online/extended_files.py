"""A whole queue of pods from files, decided with extenders: as the scheduler online decides, pod by pod where one is asked.

An extender hears of nodes and pods what scheduling reads of them; nothing is bound, so its bind verb is not asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects, Node, Pod
from kcore.online.extended import Extended
from kcore.online.extenders import Extender, ExtenderError
from kcore.scheduler.decisions import Decisions
from kcore.scheduler.engine import Engine, Options
from kcore.scheduler.profile import ExtenderSettings
from kcore.scheduler.state import State

Object = dict[str, Any]


class FileObjects:
    """Nodes and pods as they stand in files. InputError where there are pods of tables, which are no objects."""

    def __init__(self, state: State, given: Sequence[ClusterObjects]) -> None:
        if any(one.pod_columns for one in given):
            raise InputError(
                "cannot be asked about pods of tables", field="extenders", expected="pods in manifests"
            )
        self._state = state
        self._nodes: Mapping[str, Node] = {node.metadata.name: node for one in given for node in one.nodes}
        self._pods: Mapping[tuple[str, str], Pod] = {
            (pod.metadata.namespace or "default", pod.metadata.name): pod for one in given for pod in one.pods
        }

    def node_object(self, name: str) -> Object:
        """The node."""
        return {"kind": "Node", "apiVersion": "v1", **_plain(self._nodes[name])}

    def pod_at(self, row: int) -> Object:
        """The pod of that row; its uid is its namespace and name where the file gives none."""
        namespace, name = self._state.namespace(row), self._state.pods.name(row)
        state = self._state
        alike = state.classes[
            state.pods.spec_class[row]
        ].exemplar  # of a pod that came when no extender was asked
        made: Object = {
            "kind": "Pod", "apiVersion": "v1", **_plain(self._pods.get((namespace, name), alike)),
        }  # fmt: skip
        metadata = {**made["metadata"], "name": name, "namespace": namespace}
        return {**made, "metadata": {**metadata, "uid": metadata.get("uid") or f"{namespace}/{name}"}}


def _plain(obj: Node | Pod) -> Object:
    """The object as JSON has it, without what is not said."""
    found: Object = _said(msgspec.to_builtins(obj))
    return found


def _said(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _said(one) for key, one in value.items() if one is not None}
    return [_said(one) for one in value] if isinstance(value, list) else value


def decide(
    engine: Engine,
    files: FileObjects,
    rows: np.ndarray,
    options: Options,
    settings: Sequence[ExtenderSettings],
) -> Decisions:
    """As ``Engine.schedule``, with the extenders asked. One that fails, and may not be ignored, is its pod's reason."""

    async def run() -> Decisions:
        extenders = [Extender(one) for one in settings]
        try:
            return await _decide(engine, files, rows, options, extenders)
        finally:
            for extender in extenders:
                await extender.close()

    with ThreadPoolExecutor(1) as apart:  # the caller may have a loop of its own
        return apart.submit(asyncio.run, run()).result()


async def _decide(
    engine: Engine, files: FileObjects, rows: np.ndarray, options: Options, extenders: Sequence[Extender]
) -> Decisions:
    if options.order == "queue":
        rows = rows[np.argsort(-engine.state.pods.priority[rows].astype(np.int64), kind="stable")]
    result = Decisions(rows, np.full(len(rows), -1, dtype=np.int32), np.zeros(len(rows), dtype=np.int64))
    alone = replace(options, order="file", progress=None)
    waiting: list[int] = []  # positions of pods that no extender is asked about
    for position, row in enumerate(rows.tolist()):
        pod = files.pod_at(row)
        interested = [one for one in extenders if one.is_interested(pod)]
        if not interested:
            waiting.append(position)
            continue
        _decide_plain(engine, alone, waiting, result)
        waiting = []
        try:
            one = await Extended(engine, files, row, pod, interested).decide(alone)
        except ExtenderError as error:
            result.reason[position] = str(error)
            result.failed.add(position)
        else:
            _hand_over(one, [position], result)
        if options.progress is not None:
            options.progress(position + 1, len(rows))
    _decide_plain(engine, alone, waiting, result)
    return result


def _decide_plain(engine: Engine, options: Options, positions: Sequence[int], result: Decisions) -> None:
    if positions:
        _hand_over(engine.schedule(result.rows[list(positions)], options), positions, result)


def _hand_over(one: Decisions, positions: Sequence[int], result: Decisions) -> None:
    """What was decided of some pods is what was decided of those at these positions."""
    result.node[list(positions)] = one.node
    result.score[list(positions)] = one.score
    for name in ("reason", "rejectors", "preemptions", "reservations"):
        getattr(result, name).update({positions[at]: value for at, value in getattr(one, name).items()})
    for name in ("untried", "denied", "failed"):
        getattr(result, name).update(positions[at] for at in getattr(one, name))
