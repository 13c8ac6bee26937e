"""A living cluster from outside: backlogs drained, pods from creation to Running, nodes Ready, a Deployment up and down, idling.

``python -m bench.bench_cluster [FIGURE ...] [--rounds N] [--nodes N ...] [--pods N]`` prints a JSON line for each figure and
cluster: the best, the median and the worst of the rounds. A cluster is ``kcore up`` with all components in one process; with
``--peers FOLDER`` upstream's five processes (bench/peers/cluster.py) take turns with it, with ``--tree DIR`` the package of
another checkout. The clients, one that writes and one that watches, are this process.

============  ==================================================================================================
drain         ``--pods`` pending pods on ``--nodes`` nodes, and a scheduler that starts; nobody runs the pods
drain_all     the same, and controllers and nodes run beside it
created       pods created over HTTP at full rate on the first ``--nodes``: sent to bound, sent to Running
nodes         ``--nodes`` nodes from the start, or their first registration, to Ready
deployment    a Deployment from 0 to ``--pods`` Running and Ready, and to 0 again
idle          processor and memory with ``--idle-pods`` running pods
single        one pod after another on 100 nodes that are idle: sent to Running
============  ==================================================================================================

``cpu_us`` is processor time a pod, of all processes of the cluster: on a machine that is not quiet look at that. A drain counts
from the first binding that is seen to the last; ``first_seconds`` is how long the start and the first batch took before.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import orjson
import uvloop

from bench.bench_apiserver import CONNECTIONS, ROOT, Server
from bench.cluster_view import View
from bench.http_load import MERGE_PATCH, Load

SCHEDULER: Final = "scheduler"
CONTROLLERS: Final = "controller-manager"
NODES: Final = "nodes"
ALL: Final = (SCHEDULER, CONTROLLERS, NODES)
SECONDS_MAX: Final = 600.0
SINGLE_NODES: Final = 100
SINGLE_PODS: Final = 100
SINGLE_PAUSE_SECONDS: Final = 0.02
WARM_NODES: Final = 100
WARM_PODS: Final = 1_000
CALM_SECONDS: Final = 1.0
CALM_COUNT: Final = 2
CALM_CORES_MAX: Final = 0.3
NAMESPACE_PODS: Final = "/api/v1/namespaces/default/pods"
DEPLOYMENTS: Final = "/apis/apps/v1/namespaces/default/deployments"
POLL_SECONDS: Final = 0.05
MORE_IS_BETTER: Final = ("per_second",)
TEMPLATE: Final[dict[str, Any]] = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "containers": [
            {
                "name": "main", "image": "registry.example.com/team/web:1.2.3",
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
            }
        ],
    },
}  # fmt: skip

Put = Callable[..., None]


class Cluster(Protocol):
    """A control plane whose API server is there while the others come and go."""

    name: str
    kubeconfig: str

    async def run(self, components: Sequence[str], nodes: int = 0) -> float:
        """Those run beside the API server, with so many nodes on the way; when that began."""

    def cpu_seconds(self) -> float:
        """Processor time of all processes that run."""

    def resident_mib(self) -> float:
        """Their memory."""

    async def close(self) -> None:
        """Nothing is left of it."""


class OneProcess:
    """``kcore up``; other components are another process over the same data."""

    def __init__(self, name: str, tree: Path, folder: Path) -> None:
        self.name = name
        self.kubeconfig = ""
        self._tree = tree
        self._folder = folder
        self._server: Server | None = None

    async def run(self, components: Sequence[str], nodes: int = 0) -> float:
        await self.close()
        began = time.perf_counter()
        flags = [f"--components={','.join(components) or 'apiserver'}"]
        if NODES in components:
            flags.append(f"--nodes={nodes}")
        with open(self._folder / "log", "a") as log:
            self._server = Server(self._tree, str(self._folder / "data"), None, *flags, log=log)
        self.kubeconfig = self._server.kubeconfig
        return began

    def cpu_seconds(self) -> float:
        assert self._server is not None
        return self._server.cpu_seconds()

    def resident_mib(self) -> float:
        assert self._server is not None
        return self._server.resident_mib()

    async def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()


class Round:
    """One round over one cluster that has nothing in it; ``put`` takes each figure."""

    def __init__(self, given: argparse.Namespace, cluster: Cluster, put: Put) -> None:
        self.given = given
        self.cluster = cluster
        self.put = put
        self.sent: dict[str, float] = {}
        self.load: Load
        self.view: View

    async def open(self, components: Sequence[str], nodes: int = 0, *, listed: bool = True) -> float:
        """Those run, and what happens is seen; when that began."""
        began = await self.cluster.run(components, nodes)
        self.load = Load(self.cluster.kubeconfig)
        self.view = View(self.load)
        await self.view.open(listed=listed)
        return began

    async def open_ready(self, components: Sequence[str], nodes: int) -> None:
        """The same, and all the nodes are Ready."""
        await self.open(components, nodes)
        await self.nodes_ready(nodes)

    async def nodes_ready(self, nodes: int) -> None:
        """So many are."""
        await self.view.until(lambda: len(self.view.ready) >= nodes, SECONDS_MAX, f"{nodes} nodes ready")

    async def create(self, count: int) -> dict[str, Any]:
        """So many pods were created, at full rate."""
        await self.load.open(CONNECTIONS)
        said = await self.load.send(self._creates(count))
        if said["failed"]:
            raise RuntimeError(f"{said['failed']} creates failed: {said['first_failure']}")
        return said

    def _creates(self, count: int) -> Iterator[bytes]:
        bodies = [self.pod(f"web-{number}") for number in range(count)]
        for number, request in enumerate(bodies):
            self.sent[f"web-{number}"] = time.perf_counter()
            yield request

    def pod(self, name: str) -> bytes:
        """The request that creates it."""
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            **TEMPLATE,
            "metadata": {"name": name, **TEMPLATE["metadata"]},
        }
        return self.load.request("POST", NAMESPACE_PODS, orjson.dumps(body))

    async def all(self, state: str, count: int) -> None:
        """So many pods were seen ``bound``, ``running`` or ``gone``."""
        seen: dict[str, float] = getattr(self.view, state)
        await self.view.until(lambda: len(seen) >= count, SECONDS_MAX, f"{count} pods {state}")

    async def calm(self) -> None:
        """The cluster has next to nothing to do for a while: kernels are compiled, leases are renewed."""
        give_up, calm = time.perf_counter() + SECONDS_MAX, 0
        while time.perf_counter() < give_up:
            before, began = self.cluster.cpu_seconds(), time.perf_counter()
            await asyncio.sleep(CALM_SECONDS)
            cores = (self.cluster.cpu_seconds() - before) / CALM_SECONDS
            is_late = time.perf_counter() - began > 2 * CALM_SECONDS  # somebody stopped us all
            calm = calm + 1 if cores < CALM_CORES_MAX and not is_late else 0
            if calm == CALM_COUNT:
                return
        raise TimeoutError(f"{self.cluster.name} is not idle within {SECONDS_MAX:g} s")

    async def warm(self) -> None:
        """What is made once for a machine is there: bytecode, and the kernels that a backlog asks for."""
        await self._backlog(WARM_NODES, WARM_PODS)
        await self.open(ALL, WARM_NODES)
        await self.all("running", WARM_PODS)
        await self.calm()

    async def _backlog(self, nodes: int, pods: int) -> None:
        """So many pods wait, and nodes are ready."""
        await self.open_ready((CONTROLLERS, NODES), nodes)
        self.view.close()
        await self.open(())
        await self.create(pods)
        self.view.close()

    async def drain(self, nodes: int) -> None:
        """A scheduler, and nothing beside it, starts with a backlog."""
        await self._drain(nodes, f"drain_{nodes}_nodes", (SCHEDULER,), "bound")

    async def drain_all(self, nodes: int) -> None:
        """Everything starts with a backlog."""
        await self._drain(nodes, f"drain_all_{nodes}_nodes", ALL, "running")

    async def _drain(self, nodes: int, figure: str, components: Sequence[str], last: str) -> None:
        pods = self.given.pods
        await self._backlog(nodes, pods)
        began = await self.open(components, nodes, listed=False)
        spent = [self.cluster.cpu_seconds()]
        self.view.first_bound = lambda: spent.append(self.cluster.cpu_seconds())
        await self.all(last, pods)
        spent.append(self.cluster.cpu_seconds())
        bound = sorted(self.view.bound.values())
        end = max(getattr(self.view, last).values())
        self.put(
            figure, per_second=(pods - 1) / (end - bound[0]), seconds=end - bound[0], cpu_us=(spent[2] - spent[1]) / pods * 1e6,
            first_seconds=bound[0] - began, first_cpu_seconds=spent[1] - spent[0], mib=self.cluster.resident_mib(), pods=pods,
        )  # fmt: skip

    async def created(self, nodes: int) -> None:
        """Pods come as fast as one client with fifty connections can send them."""
        pods = self.given.pods
        await self.open_ready(ALL, nodes)
        await self.calm()
        spent = self.cluster.cpu_seconds()
        said = await self.create(pods)
        await self.all("running", pods)
        cpu = self.cluster.cpu_seconds() - spent
        view, sent = self.view, self.sent
        bound = [view.bound[name] - sent[name] for name in sent]
        run = [view.running[name] - sent[name] for name in sent]
        wait = [view.bound[name] - view.added[name] for name in sent]
        whole = max(view.running.values()) - min(sent.values())
        self.put(
            f"created_{nodes}_nodes", per_second=pods / whole, created_seconds=said["seconds"], seconds=whole,
            create_p50_ms=said["p50_ms"], create_p99_ms=said["p99_ms"],
            **spread("bound", bound), **spread("running", run), **spread("seen_bound", wait),
            cpu_us=cpu / pods * 1e6, mib=self.cluster.resident_mib(), pods=pods,
        )  # fmt: skip

    async def nodes(self, nodes: int) -> None:
        """All nodes are Ready."""
        began = await self.open(ALL, nodes)
        opened = time.perf_counter()
        await self.nodes_ready(nodes)
        ready = sorted(self.view.ready.values())
        self.put(
            f"nodes_{nodes}", per_second=nodes / (ready[-1] - began), seconds=ready[-1] - began, from_api_seconds=ready[-1] - opened,
            cpu_ms_a_node=self.cluster.cpu_seconds() / nodes * 1e3, mib=self.cluster.resident_mib(),
        )  # fmt: skip

    async def deployment(self, nodes: int) -> None:
        """It is scaled from nothing, and to nothing."""
        pods = self.given.pods
        await self.open_ready(ALL, nodes)
        await self.calm()
        spec = {
            "replicas": 0,
            "selector": {"matchLabels": TEMPLATE["metadata"]["labels"]},
            "template": TEMPLATE,
        }
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
        await self.load.answer(self.load.request("POST", DEPLOYMENTS, orjson.dumps(body)))
        for figure, state, replicas in (
            ("up", "running", pods),
            ("down", "gone", 0),
        ):
            spent, began = self.cluster.cpu_seconds(), time.perf_counter()
            change = orjson.dumps({"spec": {"replicas": replicas}})
            await self.load.answer(self.load.request("PATCH", f"{DEPLOYMENTS}/web", change, MERGE_PATCH))
            await self.all(state, pods)
            seconds = max(getattr(self.view, state).values()) - began
            cpu = self.cluster.cpu_seconds() - spent
            await self._deployed(replicas)
            self.put(
                f"deployment_{figure}_{nodes}_nodes", per_second=pods / seconds, seconds=seconds,
                status_seconds=time.perf_counter() - began, cpu_us=cpu / pods * 1e6, mib=self.cluster.resident_mib(), pods=pods,
            )  # fmt: skip

    async def _deployed(self, replicas: int) -> None:
        """The Deployment says so."""
        request = self.load.request("GET", f"{DEPLOYMENTS}/web")
        give_up = time.perf_counter() + SECONDS_MAX
        while time.perf_counter() < give_up:
            status = (await self.load.answer(request))["status"]
            if status.get("readyReplicas", 0) == status.get("replicas", 0) == replicas:
                return
            await asyncio.sleep(POLL_SECONDS)
        raise TimeoutError(f"the Deployment does not say that it has {replicas} pods ready")

    async def idle(self, nodes: int) -> None:
        """Nothing happens but what goes on by itself."""
        pods = self.given.idle_pods
        await self.open_ready(ALL, nodes)
        await self.create(pods)
        await self.all("running", pods)
        self.view.close()
        await self.calm()
        spent, began = self.cluster.cpu_seconds(), time.perf_counter()
        await asyncio.sleep(self.given.idle_seconds)
        cpu, wall = self.cluster.cpu_seconds() - spent, time.perf_counter() - began
        self.put(f"idle_{nodes}_nodes", cores=cpu / wall, mib=self.cluster.resident_mib(), pods=pods)

    async def single(self) -> None:
        """A pod alone in a cluster that has nothing else to do."""
        await self.open_ready(ALL, SINGLE_NODES)
        await self.calm()
        await self.load.open(1)
        [connection] = self.load.opened
        spent = self.cluster.cpu_seconds()
        for number in range(SINGLE_PODS):
            name = f"one-{number}"
            failed: list[bytes] = []
            connection.use(self._creates_one(name), [], failed)
            connection.begin()
            await self.all("running", number + 1)
            if failed:
                raise RuntimeError(failed[0].decode(errors="replace"))
            await asyncio.sleep(SINGLE_PAUSE_SECONDS)
        cpu = self.cluster.cpu_seconds() - spent
        view, sent = self.view, self.sent
        self.put(
            "single", **spread("bound", [view.bound[name] - sent[name] for name in sent]),
            **spread("running", [view.running[name] - sent[name] for name in sent]), cpu_us=cpu / SINGLE_PODS * 1e6,
        )  # fmt: skip

    def _creates_one(self, name: str) -> Iterator[bytes]:
        request = self.pod(name)
        self.sent[name] = time.perf_counter()
        yield request


def spread(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    return {
        f"{name}_p50_ms": ordered[len(ordered) // 2] * 1e3,
        f"{name}_p99_ms": ordered[int(len(ordered) * 0.99)] * 1e3,
    }


def plan(given: argparse.Namespace) -> list[Callable[[Round], Awaitable[None]]]:
    """What each round does, each in a cluster of its own."""
    sizes = {
        "drain": Round.drain,
        "drain_all": Round.drain_all,
        "created": Round.created,
        "nodes": Round.nodes,
    }
    sizes |= {"deployment": Round.deployment, "idle": Round.idle}
    unknown = {*given.figures} - {*sizes, "single"}
    if unknown:
        raise SystemExit(f"there is no figure {sorted(unknown)[0]!r}: one of {', '.join((*sizes, 'single'))}")
    made: list[Callable[[Round], Awaitable[None]]] = []
    for name, figure in sizes.items():
        if not given.figures or name in given.figures:
            made += [partial(_sized, figure, nodes) for nodes in given.nodes]
    if not given.figures or "single" in given.figures:
        made.append(Round.single)
    return made


async def _sized(figure: Callable[[Round, int], Awaitable[None]], nodes: int, each: Round) -> None:
    await figure(each, nodes)


async def measured(
    given: argparse.Namespace, name: str, work: Callable[[Round], Awaitable[None]], put: Put
) -> None:
    """One figure of one cluster, which has begun empty and is gone."""
    with tempfile.TemporaryDirectory(dir=given.directory) as folder:
        cluster = cluster_of(given, name, Path(folder))
        try:
            each = Round(given, cluster, put)
            await work(each)
            each.view.close()
        finally:
            await cluster.close()


def cluster_of(given: argparse.Namespace, name: str, folder: Path) -> Cluster:
    """The cluster of that name."""
    if name == "upstream":
        from bench.peers.cluster import Upstream

        return Upstream(given.peers.resolve(), folder)
    return OneProcess(name, ROOT if name == "kcore" else given.tree.resolve(), folder)


async def run(given: argparse.Namespace) -> None:
    """Prints the figures."""
    names = ["kcore", *(["other"] if given.tree else []), *(["upstream"] if given.peers else [])]
    work = plan(given)
    gc.freeze()
    for name in names:
        if name != "upstream":
            await measured(given, name, Round.warm, lambda *_, **__: None)
    for step in work:
        found: dict[tuple[str, str], dict[str, list[float]]] = {}
        for _ in range(given.rounds):
            for name in names:
                await measured(given, name, step, partial(kept, found, name))
        for (figure, name), values in found.items():
            print(json.dumps(line(figure, name, values)), flush=True)


def kept(
    found: dict[tuple[str, str], dict[str, list[float]]], name: str, figure: str, **values: float
) -> None:
    """The values of one round are among those that were found, and on standard error."""
    print(name, figure, {key: round(value, 3) for key, value in values.items()}, file=sys.stderr)
    for key, value in values.items():
        found.setdefault((figure, name), {}).setdefault(key, []).append(value)


def line(figure: str, name: str, values: dict[str, list[float]]) -> dict[str, Any]:
    """Best, median and worst of each value; one number where that was given."""
    made: dict[str, Any] = {"figure": figure, "cluster": name}
    for key, each in values.items():
        best, worst = (max, min) if key in MORE_IS_BETTER else (min, max)
        made[key] = [round(value, 3) for value in (best(each), statistics.median(each), worst(each))]
    return made


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1_000, 5_000])
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--idle-pods", type=int, default=10_000)
    parser.add_argument("--idle-seconds", type=float, default=20.0)
    parser.add_argument("--directory", help="where the stores are")
    parser.add_argument("--tree", type=Path, help="another checkout, built, to compare with")
    parser.add_argument("--peers", type=Path, help="folder of upstream's programs, to compare with")
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
