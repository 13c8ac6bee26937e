"""The API server: rates over TLS and in process, latency, watch fan-out, lists, start, memory.

``python -m bench.bench_apiserver [FIGURE ...] [--rounds N] [--pods N]`` prints a JSON line for each figure: the best, the
median and the worst of the rounds. Each server is a process of its own on one core (``--server-cpu``), the load comes
from another on another core (``--client-cpu``, see ``bench.http_load``). On a machine that is not quiet look at
``server_cpu_us``, the processor time that the server spent on one request: its inverse is what a core could do.
``--tree DIR`` measures the package of another checkout, in turns with this one.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 50
LOADED = (
    "create", "create_distinct", "get", "patch", "bind", "status", "delete", "list", "watch", "memory",
)  # fmt: skip
STOP_SECONDS_MAX = 30.0
UP = "import sys; from kcore.__main__ import main; sys.exit(main())"

IN_PROCESS = """
import asyncio, gc, sys, time
import orjson, uvloop
from bench.registry_steps import body
from kcore.apiserver.assembly import Assembly, Options
from kcore.apiserver.local import LocalCalls
from kcore.client.asynchronous import AsyncClient
from kcore.store.embedded import Embedded

COUNT, DISTINCT, AT_ONCE = int(sys.argv[1]), sys.argv[2] == "distinct", 100

async def main():
    kv = await Embedded.open(None)
    assembly = Assembly(kv, Options())
    await assembly.start()
    client = AsyncClient(LocalCalls(assembly.registry, assembly.cacher, assembly.catalog))
    await client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}})
    gc.freeze()  # as ControlPlane does
    cpu = wall = 0.0
    warm = COUNT // 10 // AT_ONCE * AT_ONCE
    for first in range(0, COUNT, AT_ONCE):
        sent = [orjson.loads(body(number, distinct=DISTINCT)) for number in range(first, first + AT_ONCE)]
        began, spent = time.perf_counter(), time.process_time()
        await asyncio.gather(*map(client.create, sent))
        if first >= warm:
            wall += time.perf_counter() - began
            cpu += time.process_time() - spent
    print((COUNT - warm) / wall, cpu / (COUNT - warm) * 1e6)
    await assembly.stop()
    await kv.close()

uvloop.run(main())
"""

LOAD = """
import asyncio, sys
import uvloop
from bench.registry_steps import POD
from kcore.apiserver.assembly import Assembly, Options
from kcore.apiserver.local import LocalCalls
from kcore.client.asynchronous import AsyncClient
from kcore.store.embedded import Embedded

FOLDER, COUNT, AT_ONCE = sys.argv[1], int(sys.argv[2]), 500

async def main():
    kv = await Embedded.open(FOLDER)
    assembly = Assembly(kv, Options())
    await assembly.start()
    client = AsyncClient(LocalCalls(assembly.registry, assembly.cacher, assembly.catalog))
    await client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}})
    POD["metadata"]["name"] = "web-0"
    await client.create(POD)
    await assembly.stop()
    value = (await kv.get(b"/registry/pods/default/web-0")).value
    for first in range(1, COUNT, AT_ONCE):
        some = range(first, min(COUNT, first + AT_ONCE))
        await asyncio.gather(*(
            kv.put(b"/registry/pods/default/web-%d" % number, value.replace(b'"web-0"', b'"web-%d"' % number)) for number in some
        ))
    await kv.close()
    print(len(value))

uvloop.run(main())
"""

CONTROL_PLANE = """
import time
began = time.perf_counter()
cpu = time.process_time()
import kcore
plane = kcore.ControlPlane()
plane.start()
print(time.perf_counter() - began, time.process_time() - cpu)
plane.stop()
"""


class Server:
    """``kcore up`` in a process of its own, until ``close``; the API server alone unless ``flags`` say otherwise."""

    def __init__(
        self, tree: Path, folder: str, cpu: int | None, *flags: str, log: IO[str] | None = None
    ) -> None:
        began = time.perf_counter()
        flags = flags or ("--components=apiserver",)
        self.process = subprocess.Popen(
            [sys.executable, "-c", UP, "up", *flags, "--data-dir", os.path.abspath(folder), "--port", "0"],
            cwd=tree, env=environment(tree), stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        if cpu is not None:
            os.sched_setaffinity(self.process.pid, {cpu})
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        self.ready_seconds = time.perf_counter() - began
        self.start_cpu_seconds = self.cpu_seconds()
        if "KUBECONFIG=" not in said:
            raise RuntimeError(f"the server did not start: {said!r}")
        self.kubeconfig = said.rsplit("KUBECONFIG=", 1)[1].strip()

    def cpu_seconds(self) -> float:
        """Processor time spent so far, by the threads that there are."""
        return cpu_seconds(self.process.pid)

    def resident_mib(self) -> float:
        """What it holds in memory."""
        return resident_mib(self.process.pid)

    def close(self) -> None:
        """It has ended; TimeoutExpired where it had to be killed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class Client:
    """A ``bench.http_load`` process."""

    def __init__(self, server: Server, cpu: int | None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.http_load", server.kubeconfig, "" if cpu is None else str(cpu)],
            cwd=ROOT, env=environment(ROOT), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def send(self, **what: Any) -> None:
        """It is told to do that."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """What it says when it has done so."""
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        if found.get("failed"):
            raise RuntimeError(f"{found['failed']} requests failed: {found['first_failure']}")
        return found

    def ask(self, **what: Any) -> dict[str, Any]:
        """Both."""
        self.send(**what)
        return self.answer()

    def close(self) -> None:
        """It has ended."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


def cpu_seconds(process: int) -> float:
    """Processor time that the process has spent, by the threads that there are."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def resident_mib(process: int) -> float:
    """What the process holds in memory."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def environment(tree: Path) -> dict[str, str]:
    """Where the package is found; caches of bytecode are used."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": f"{tree}{os.pathsep}{ROOT}"}


class Round:
    """One round over one tree; ``put`` takes each figure."""

    def __init__(self, given: argparse.Namespace, tree: Path, put: Callable[..., None]) -> None:
        self.given = given
        self.tree = tree
        self.put = put

    def wanted(self, *names: str) -> bool:
        """Whether any of those is asked for."""
        return not self.given.figures or any(name in self.given.figures for name in names)

    def run(self) -> None:
        """All that is asked for."""
        if self.wanted("start"):
            self.start()
        for figure, pods in (("in_process_creates", "alike"), ("in_process_creates_distinct", "distinct")):
            if self.wanted(figure):
                rate, cpu = self._script(IN_PROCESS, str(self.given.count), pods)
                self.put(figure, per_second=rate, cpu_us=cpu)
        if self.wanted("in_process_writes"):
            script = str(ROOT / "bench" / "local_writes.py")
            for line in self._run(script, str(self.given.count)).splitlines():
                said = json.loads(line)
                self.put(said.pop("figure"), **said)
        if self.wanted(*LOADED):
            with self._server() as (server, client):
                self.loaded(server, client)
        if self.wanted("memory_large"):
            self.memory_large()
        if self.wanted("idle_watches"):
            with self._server() as (server, client):
                self.idle_watches(server, client)

    def start(self) -> None:
        """Cold (certificates and objects are made) and warm."""
        with tempfile.TemporaryDirectory() as folder:
            for name in ("start_up_first", "start_up_warm"):
                server = Server(self.tree, folder, None)
                self.put(name, seconds=server.ready_seconds, cpu_seconds=server.start_cpu_seconds)
                server.close()
        wall, cpu = self._script(CONTROL_PLANE)
        self.put("start_control_plane", seconds=wall, cpu_seconds=cpu)

    def _script(self, text: str, *arguments: str) -> list[float]:
        return [float(word) for word in self._run("-c", text, *arguments).split()]

    def _run(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, *arguments],
            env=environment(self.tree), cwd=self.tree, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    @contextlib.contextmanager
    def _server(self) -> Iterator[tuple[Server, Client]]:
        with tempfile.TemporaryDirectory(dir=self.given.directory) as folder:
            server = Server(self.tree, folder, self.given.server_cpu)
            try:
                client = Client(server, self.given.client_cpu)
                try:
                    yield server, client
                finally:
                    client.close()
            finally:
                server.close()

    def memory_large(self) -> None:
        """What a server holds that starts with many pods in its store, read into the watch cache; they are put there directly."""
        with tempfile.TemporaryDirectory(dir=self.given.directory) as folder:
            stored = self._script(LOAD, f"{folder}/store", str(self.given.large))
            server = Server(self.tree, folder, self.given.server_cpu)
            client = Client(server, self.given.client_cpu)
            client.ask(do="watch", count=1, wanted=1)
            self.put(
                f"memory_{self.given.large}_pods", mib=server.resident_mib(), ready_seconds=server.ready_seconds,
                stored_bytes=stored[0],
            )  # fmt: skip
            client.ask(do="unwatch")
            client.close()
            server.close()

    def loaded(self, server: Server, client: Client) -> None:
        """Rates, and what they leave in memory."""
        time.sleep(0.5)
        self.put("memory_idle", mib=server.resident_mib())
        pods, count = self.given.pods, self.given.count
        self.rate(server, client, "create", 0, pods)
        self.put(f"memory_{pods}_pods", mib=server.resident_mib())
        for what in ("get", "patch", "bind", "status"):
            if self.wanted(what):
                self.rate(server, client, what, 0, min(count, pods))
        if self.wanted("list"):
            client.ask(do="open", connections=1)
            spent = server.cpu_seconds()
            said = client.ask(do="many", what="list", first=0, count=5)
            self.put(
                f"list_{pods}_pods", least_ms=said["least_ms"], median_ms=said["p50_ms"], mib=said["bytes"] / (1 << 20),
                server_cpu_ms=(server.cpu_seconds() - spent) / 5 * 1e3,
            )  # fmt: skip
        if self.wanted("watch"):
            self.watch(server, client)
        if self.wanted("delete"):
            self.rate(server, client, "delete", 0, min(count, pods))
        if self.wanted("create_distinct"):
            self.rate(server, client, "create_distinct", 0, count)
        self.put("memory_after", mib=server.resident_mib())

    def rate(self, server: Server, client: Client, what: str, first: int, count: int) -> None:
        """So many requests of one verb."""
        client.ask(do="open", connections=CONNECTIONS)
        spent = server.cpu_seconds()
        said = client.ask(do="many", what=what, first=first, count=count)
        self.put(
            what, per_second=count / said["seconds"], server_cpu_us=(server.cpu_seconds() - spent) / count * 1e6,
            client_cpu_us=said["client_cpu"] / count * 1e6, p50_ms=said["p50_ms"], p99_ms=said["p99_ms"],
        )  # fmt: skip

    def watch(self, server: Server, client: Client) -> None:
        """Events to many watchers, while pods are patched by another client.

        The same patches without a watcher, right before, say what the events alone cost; ``per_second`` is what one
        core could send.
        """
        patches, watchers = min(self.given.events, self.given.pods), self.given.watchers
        writer = Client(server, self.given.client_cpu)

        def patch() -> float:
            writer.ask(do="open", connections=CONNECTIONS)
            before = server.cpu_seconds()
            writer.ask(do="many", what="patch", first=0, count=patches)
            return server.cpu_seconds() - before

        bare = patch()
        client.ask(do="watch", count=watchers, wanted=patches, http2=self.given.http2)
        began, before = time.perf_counter(), server.cpu_seconds()
        patch()
        said = client.ask(do="watched")
        wall, spent = time.perf_counter() - began, server.cpu_seconds() - before
        writer.close()
        each = (spent - bare) / said["events"]
        self.put(
            "watch_events_http2" if self.given.http2 else "watch_events", per_second=1 / each, server_cpu_us=each * 1e6,
            patch_cpu_us=bare / patches * 1e6, delivered_per_second=said["events"] / wall, events=said["events"],
            watchers=watchers, client_cpu_us=said["client_cpu"] / said["events"] * 1e6,
        )  # fmt: skip

    def idle_watches(self, server: Server, client: Client) -> None:
        """What a watch that nothing happens on holds in memory; over TLS, and then as many over HTTP/2."""
        count = self.given.idle
        time.sleep(0.5)
        for http2 in (False, True):
            before, spent = server.resident_mib(), server.cpu_seconds()
            client.ask(do="watch", count=count, wanted=1, http2=http2)
            kib = (server.resident_mib() - before) * 1024 / count
            cpu = (server.cpu_seconds() - spent) / count * 1e6
            client.ask(do="unwatch")
            self.put("idle_watches_http2" if http2 else "idle_watches", kib=kib, open_cpu_us=cpu, count=count)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--count", type=int, default=5_000, help="requests of a rate")
    parser.add_argument("--events", type=int, default=1_000)
    parser.add_argument("--watchers", type=int, default=100)
    parser.add_argument("--http2", action="store_true", help="watch over HTTP/2, as Go clients do")
    parser.add_argument("--large", type=int, default=150_000, help="pods of memory_large")
    parser.add_argument("--idle", type=int, default=10_000, help="watches that are idle")
    parser.add_argument("--server-cpu", type=int)
    parser.add_argument("--client-cpu", type=int)
    parser.add_argument("--directory", help="where the store is")
    parser.add_argument("--tree", type=Path, help="another checkout, built, to compare with")
    given = parser.parse_args()
    trees = {"this": ROOT} | ({"other": given.tree.resolve()} if given.tree else {})
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for _ in range(given.rounds):
        for name, tree in trees.items():

            def put(figure: str, *, _name: str = name, **values: float) -> None:
                kept = found.setdefault((figure, _name), {})
                for key, value in values.items():
                    kept.setdefault(key, []).append(value)

            Round(given, tree, put).run()
    for (figure, name), values in found.items():
        line: dict[str, Any] = {"figure": figure, "tree": name, "rounds": given.rounds}
        for key, each in values.items():
            best = max(each) if key == "per_second" else min(each)
            worst = min(each) if key == "per_second" else max(each)
            line[key] = [round(value, 3) for value in (best, statistics.median(each), worst)]
        print(json.dumps(line))


if __name__ == "__main__":
    main()
