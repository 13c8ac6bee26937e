"""From files to a state that is ready to schedule: a large kubectl dump, a large Parquet table, a YAML file.

Each file is made once, before the clock starts, and stays in the page cache. Reading includes all checks of
names, amounts and bindings. The alternative of each round only parses the same bytes, into plain dicts or an
Arrow table.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest
import yaml
from pytest_benchmark.fixture import BenchmarkFixture

from bench.clusters import plain_pods
from bench.dump import dump
from bench.figures import Figures, stopwatch
from kcore import sources, traces
from kcore.api.objects import ClusterObjects, PodColumns
from kcore.cluster import Cluster
from kcore.kernel import JIT

ROUNDS = 4
YAML_SLICE = 500  # pods that the pure parser reads for comparison

Objects = ClusterObjects


def ready(objects: Objects) -> Cluster:
    """A cluster whose columns are complete: the next step would be to schedule."""
    cluster = Cluster(objects)
    cluster.state.world()
    return cluster


def read_ready(*paths: str) -> Cluster:
    """The files as a cluster that is ready to schedule."""
    return ready(sources.read(paths))


class Alternative:
    """Another way to the same bytes, timed once before each round."""

    def __init__(self, enabled: bool, function: Callable[..., Any], *arguments: Any) -> None:
        self.seconds: list[float] = []
        self._enabled, self._function, self._arguments = enabled, function, arguments

    def setup(self) -> None:
        """Run it; what it returns is dropped before the round."""
        if self._enabled:
            self.seconds.append(stopwatch(self._function, *self._arguments)[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files are."""
    return tmp_path_factory.mktemp("reading")


def load_binding_kernel(full: bool) -> None:
    """Bound pods are put on their nodes by a kernel: have it loaded before the clock starts."""
    if full and JIT:
        objects = traces.make("scheduler_perf", nodes=100, pods=0, init_pods=5_000)
        Cluster(objects).state.world()


def test_json_dump(benchmark: BenchmarkFixture, figures: Figures, folder: Path) -> None:
    """``kubectl get nodes,pods -A -o json`` of 100,000 pods, nine in ten bound."""
    nodes, pods = (1_000, 100_000) if figures.enabled else (10, 200)
    file = folder / "dump.json"
    file.write_bytes(dump(pods, nodes))
    load_binding_kernel(figures.enabled)
    parse = Alternative(figures.enabled, lambda: orjson.loads(file.read_bytes()))
    stages: dict[str, list[float]] = {"read": [], "state": []}

    def read() -> Cluster:
        seconds, objects = stopwatch(sources.read, [str(file)])
        stages["read"].append(seconds)
        seconds, cluster = stopwatch(ready, objects)
        stages["state"].append(seconds)
        return cluster

    benchmark.group = "reading"
    cluster = benchmark.pedantic(read, setup=parse.setup, rounds=ROUNDS if figures.enabled else 1)
    assert cluster.node_count == nodes and cluster.pending == pods / 10
    assert int(cluster.state.nodes.pod_count.sum()) == pods - pods // 10
    work = {"nodes": nodes, "pods": pods, "bytes": os.path.getsize(file)}
    if figures.enabled:
        seconds = list(benchmark.stats.stats.data)
        figures.add("JSON dump to a ready state", seconds, "s", target=3, work=work)
        figures.add("JSON dump: objects read and checked", stages["read"], "s", work=work)
        figures.add("JSON dump: objects to a ready state", stages["state"], "s", work=work)
        figures.ratio("JSON dump: kcore / orjson.loads", seconds, parse.seconds, work=work)


def tables(folder: Path, nodes: int, pods: int) -> tuple[Path, Path]:
    """Parquet files of a generated cluster of many applications, with requests, specs and labels."""
    if not (folder / "pods.parquet").exists():
        traces.write_objects(traces.make("heterogeneous", nodes=nodes, pods=pods), folder, "parquet")
    return folder / "nodes.parquet", folder / "pods.parquet"


def test_parquet_columns(benchmark: BenchmarkFixture, figures: Figures, folder: Path) -> None:
    """1,000,000 pods in Parquet to checked PodColumns."""
    nodes, pods = (5_000, 1_000_000) if figures.enabled else (20, 300)
    _, file = tables(folder, nodes, pods)
    parse = Alternative(figures.enabled, pq.read_table, file)
    benchmark.group = "reading"
    objects = benchmark.pedantic(
        lambda: sources.read([str(file)]), setup=parse.setup, rounds=ROUNDS if figures.enabled else 1
    )
    assert sum(len(columns.exemplar) for columns in objects.pod_columns) == pods
    work = {"pods": pods, "bytes": os.path.getsize(file)}
    if figures.enabled:
        seconds = list(benchmark.stats.stats.data)
        figures.add("Parquet pods to columns", seconds, "s", target=1, work=work)
        figures.ratio("Parquet pods: kcore / pyarrow alone", seconds, parse.seconds, work=work)


def test_parquet_state(benchmark: BenchmarkFixture, figures: Figures, folder: Path) -> None:
    """The same table, and its nodes, to a state that is ready to schedule."""
    nodes, pods = (5_000, 1_000_000) if figures.enabled else (20, 300)
    files = [str(file) for file in tables(folder, nodes, pods)]
    benchmark.group = "reading"
    cluster = benchmark.pedantic(read_ready, args=files, rounds=ROUNDS if figures.enabled else 1)
    assert cluster.node_count == nodes and cluster.pending == pods
    if figures.enabled:
        seconds = list(benchmark.stats.stats.data)
        figures.add("Parquet to a ready state", seconds, "s", work={"nodes": nodes, "pods": pods})


def test_yaml(benchmark: BenchmarkFixture, figures: Figures, folder: Path) -> None:
    """10,000 pods as YAML manifests."""
    nodes, pods = (100, 10_000) if figures.enabled else (5, 50)
    files = [folder / "cluster.yaml", folder / "slice.yaml"]
    traces.write_objects(plain_pods(nodes, pods), files[0], "yaml")
    traces.write_objects(plain_pods(1, min(pods, YAML_SLICE)), files[1], "yaml")
    parse = Alternative(figures.enabled, lambda: yaml.load(files[1].read_bytes(), yaml.CSafeLoader))
    benchmark.group = "reading"
    cluster = benchmark.pedantic(
        read_ready, args=(str(files[0]),), rounds=3 if figures.enabled else 1, setup=parse.setup
    )
    assert cluster.node_count == nodes and cluster.pending == pods
    requests = cluster.state.requests
    assert len(np.unique(cluster.state.pods.request[:pods])) == requests.count == pods
    if figures.enabled:
        seconds = list(benchmark.stats.stats.data)
        size = [os.path.getsize(file) for file in files]
        figures.add(
            "YAML to a ready state", seconds, "s", work={"nodes": nodes, "pods": pods, "bytes": size[0]}
        )
        alone = [one * size[0] / size[1] for one in parse.seconds]
        figures.ratio("YAML: kcore / CSafeLoader, by bytes", seconds, alone, work={"slice": YAML_SLICE})


def test_columns_stay_views(folder: Path) -> None:
    """Numbers of a table are not copied on the way to PodColumns."""
    _, file = tables(folder, 20, 300)
    columns: PodColumns = sources.read([str(file)]).pod_columns[0]
    assert columns.requests is not None
    assert not any(values.flags.owndata for values in columns.requests.values())
