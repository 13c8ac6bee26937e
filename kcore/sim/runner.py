"""Runs one point: places a workload at once by ``Cluster.schedule``, or lets it arrive and end in a simulation."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects
from kcore.cluster import Cluster
from kcore.scheduler.plugins.contract import registered
from kcore.sim.offered import amounts_of, as_columns, capacity, offered, together
from kcore.sim.points import Figure, Plugin, Point, Runner, RunOutput, digest_of
from kcore.sim.shelf import objects_of
from kcore.sim.study import unknown

if TYPE_CHECKING:
    import pyarrow as pa

Inputs = Callable[[str], Any]  # the ClusterObjects or Trace of a key

PLUGIN_MODULE = "kcore_study_plugin_"  # and a digest: what a study's plugin is imported as
LOAD_RESOURCE = "cpu"  # where a study does not say
CLOCK_FIGURES = (
    "seconds",
    "pods_per_second",
    "engine",
    "notes",
)  # differ from run to run, or say nothing of it


def runner_of(mode: str, inputs: Inputs) -> Runner:
    """The runner of a mode."""
    return ScheduleRunner(inputs) if mode == "schedule" else SimulationRunner(inputs)


def load_plugins(plugins: Sequence[Plugin]) -> None:
    """The users' plugins are registered as their files say now, in place of an earlier study's and of the same files'.

    Raises:
        InputError: a file fails, or a plugin has the name of another's.
    """
    names = [PLUGIN_MODULE + digest_of([plugin.path, plugin.source]) for plugin in plugins]
    for earlier in {
        key
        for key, function in _registered_functions()
        if function.__module__.startswith(PLUGIN_MODULE) and function.__module__ not in names
    }:
        del registered()[earlier]
    for name, plugin in zip(names, plugins, strict=True):
        if any(function.__module__ == name for _, function in _registered_functions()):
            continue
        for earlier in {
            key for key, function in _registered_functions() if _file_of(function) == plugin.path
        }:
            del registered()[earlier]
        module = ModuleType(name)
        module.__file__ = plugin.path
        sys.modules[name] = module
        try:
            exec(compile(plugin.source, plugin.path, "exec"), module.__dict__)
        except Exception as error:
            del sys.modules[name]
            problem = f"cannot be loaded: {type(error).__name__}: {error}"
            raise InputError(problem, file=plugin.path, field="plugins") from error


def _registered_functions() -> list[tuple[str, Any]]:
    """Every registered plugin's name with its function."""
    return [(name, plugin.function) for name, points in registered().items() for plugin in points.values()]


def _file_of(function: Any) -> str | None:
    """The file that the function was read from."""
    file = getattr(sys.modules.get(function.__module__), "__file__", None)
    return None if file is None else os.path.realpath(file)


class ScheduleRunner:
    """Places every pod of the workload, one after another, on the nodes that there are.

    Figures: nodes, pods, placed, unschedulable, nominated, victims, nodes_used, ``utilisation_R`` (requested over
    allocatable of the whole cluster, for cpu, memory, pods and all that a node has), ``asked_R`` (what the offered pods
    ask for over allocatable, of load_resource). Tables: placements (see Result.placements), nodes (one row a node: name,
    pod_count, ``allocatable:R``, ``requested:R``, ``utilisation:R``).
    """

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    def run(self, point: Point) -> RunOutput:
        """Place the workload of the point."""
        options = dict(point.options)
        load, shuffle = options.pop("load", None), options.pop("shuffle", False)
        resource = str(options.pop("load_resource", LOAD_RESOURCE))
        cluster = self._inputs(point.cluster_key) if point.cluster_key else None
        workload = objects_of(self._inputs(point.workload_key))
        random = np.random.default_rng(point.seed) if shuffle else None
        nodes = objects_of(cluster) if cluster is not None else workload
        chosen = offered(
            workload, nodes, load=None if load is None else float(load), resource=resource, random=random
        )
        built = Cluster(together(None if cluster is None else objects_of(cluster), chosen))
        result = built.schedule(
            None,
            config=point.config,
            profile=point.profile,
            policy=point.score_policy,
            seed=point.seed,
            **options,  # type: ignore[arg-type]
        )
        nodes_table = _nodes(built)
        used = int(np.count_nonzero(nodes_table["pod_count"].to_numpy()))
        summary = {"nodes": built.node_count, "nodes_used": used} | _flat(result.summary)
        if load is not None:
            asked = int(amounts_of(as_columns(chosen), resource).sum())
            summary[f"asked_{resource}"] = round(asked / capacity(nodes, resource), 6)
        makers: dict[str, Callable[[], pa.Table]] = {
            "nodes": lambda: nodes_table,
            "placements": lambda: result.placements,
        }
        return RunOutput(
            summary=summary, tables={name: makers[name]() for name in point.tables}, seconds=result.seconds
        )


def _flat(summary: dict[str, Any]) -> dict[str, Figure]:
    """The summary without clock and words, its mappings as ``NAME_KEY``."""
    flat: dict[str, Figure] = {}
    for name, value in summary.items():
        if name in CLOCK_FIGURES:
            continue
        if isinstance(value, dict):
            flat |= {f"{name}_{key}": part for key, part in value.items()}
        else:
            flat[name] = value
    return flat


def _nodes(cluster: Cluster) -> pa.Table:
    """The nodes that there are, with what is in use of each resource."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = cluster.nodes_table()
    alive = pa.array(table["alive"].to_numpy().astype(bool))
    table = table.filter(alive).drop_columns(["alive"]).combine_chunks()
    for name in [name for name in table.column_names if name.startswith("allocatable:")]:
        resource = name.removeprefix("allocatable:")
        there = table[name].cast(pa.float64())
        share = pc.divide(table[f"requested:{resource}"].cast(pa.float64()), there)
        table = table.append_column(f"utilisation:{resource}", pc.if_else(pc.greater(there, 0), share, None))
    return table


class SimulationRunner:
    """Lets the trace's pods arrive, run and end on a simulated clock; figures and tables are those of the simulation."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    def run(self, point: Point) -> RunOutput:
        """Simulate the trace of the point."""
        simulation = import_module("kcore.sim").Simulation
        options = dict(point.options)
        load, until_ms = options.pop("load", None), options.pop("until_ms", None)
        resource = str(options.pop("load_resource", LOAD_RESOURCE))
        trace = self._inputs(point.workload_key)
        given = objects_of(self._inputs(point.cluster_key)) if point.cluster_key else trace.objects
        empty = ClusterObjects(nodes=list(given.nodes), node_origins=list(given.node_origins))
        nodes = together(given, ClusterObjects()) if point.cluster_key else empty
        if load is not None:
            trace = at_load(trace, float(load), resource, capacity(nodes, resource))
        if point.profile is not None:
            options["profile"] = point.profile
        started = time.perf_counter()
        result = simulation(
            Cluster(nodes),
            trace,
            policy=point.score_policy or "default",
            config=point.config,
            seed=point.seed,
            **options,
        ).run(until_ms=until_ms)
        seconds = time.perf_counter() - started
        for name in point.tables:
            if name not in result.metrics:
                raise unknown(f"{name!r} is no table of the simulation", name, result.metrics, "tables")
        return RunOutput(
            summary=_flat(result.summary),
            tables={name: result.metrics[name] for name in point.tables},
            seconds=seconds,
        )


def at_load(trace: Any, load: float, resource: str, available: int) -> Any:
    """The trace with its arrivals spread or drawn together, so that its pods keep ``load`` of the resource busy.

    The offered load of a trace is the sum of request x duration over capacity x the time from first to last arrival;
    durations stay as they are. Pods without an end count for nothing.

    Raises:
        InputError: no pod asks for the resource for a known time, or all arrive at once.
    """
    amounts = amounts_of(as_columns(trace.objects), resource).astype(np.float64)
    work = float((amounts * np.maximum(trace.duration_ms, 0)).sum())
    span_ms = int(trace.submit_ms[-1] - trace.submit_ms[0]) if len(trace.submit_ms) else 0
    if work <= 0 or available <= 0:
        raise InputError(
            f"no pod or no node has {resource} for a known time",
            field="load",
            expected="another load_resource",
        )
    if span_ms <= 0:
        raise InputError("all pods arrive at once", field="load", expected="a trace that takes time")
    stretch = work / (available * span_ms) / load
    submit_ms = np.rint(trace.submit_ms * stretch).astype(np.int64)
    return dataclasses.replace(trace, submit_ms=submit_ms)
