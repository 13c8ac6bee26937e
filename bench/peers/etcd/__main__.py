"""Compares ``kcore etcd`` with the real etcd: ``make bench-etcd``, or ``python -m bench.peers.etcd --folder BUILT``.

Both run at once, each member pinned to the same one core, with fsync, and are loaded in turn from the other core by one
Go client, so that only one of them works at a time. ``--folder`` holds what ``go build`` made: ``etcd`` and ``load``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.conftest import machine
from bench.figures import RESULTS
from kcore.workloads.report import commit

CLIENTS = (1, 100, 1000)
OPERATIONS = ("put", "range")
CONNECTIONS_MAX = 100  # as etcd's own benchmarks are run
PORT_FIRST = 23_790
READY_S_MAX = 30.0
WANTED = {1: 1.0, 100: 0.6, 1000: 0.25}  # of the real etcd's rate, by clients


def pinned(core: int | None, command: Sequence[str]) -> list[str]:
    """The command on that core alone, where the machine can do so."""
    return (
        ["taskset", "-c", str(core), *command] if core is not None and shutil.which("taskset") else [*command]
    )


@contextmanager
def cluster(
    name: str, program: Sequence[str], members: int, folder: Path, port: int, core: int | None
) -> Iterator[str]:
    """The endpoints, separated by commas, of so many members that answer /health."""
    urls = [
        (f"http://127.0.0.1:{port + 2 * i}", f"http://127.0.0.1:{port + 2 * i + 1}") for i in range(members)
    ]
    initial = ",".join(f"{name}{i}={peer}" for i, (_, peer) in enumerate(urls))
    started = []
    try:
        for i, (client, peer) in enumerate(urls):
            flags = [
                f"--name={name}{i}", f"--data-dir={folder / f'{name}{i}'}", f"--initial-cluster={initial}",
                f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            ]  # fmt: skip
            with (folder / f"{name}{i}.log").open("wb") as log:
                started.append(
                    subprocess.Popen(pinned(core, [*program, *flags]), stdout=log, stderr=subprocess.STDOUT)
                )
        for client, _ in urls:
            wait_healthy(client)
        yield ",".join(client for client, _ in urls)
    finally:
        for one in started:
            one.terminate()
        for one in started:
            try:
                one.wait(10)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()


def wait_healthy(url: str) -> None:
    """Returns once the member says that it is healthy."""
    deadline = time.monotonic() + READY_S_MAX
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
                if json.load(answer)["health"] == "true":
                    return
        except (urllib.error.URLError, OSError, ValueError):
            pass
        if time.monotonic() > deadline:
            sys.exit(f"{url} is not healthy after {READY_S_MAX:.0f} s")
        time.sleep(0.1)


def load(
    program: Path, endpoints: str, operation: str, clients: int, seconds: float, core: int | None
) -> dict[str, Any]:
    """One round's figures."""
    command = [
        str(program), f"-endpoints={endpoints}", f"-operation={operation}", f"-clients={clients}",
        f"-connections={min(clients, CONNECTIONS_MAX)}", f"-seconds={seconds}",
    ]  # fmt: skip
    done = subprocess.run(pinned(core, command), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{program.name}: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rounds(given: argparse.Namespace, members: int) -> list[dict[str, Any]]:
    """One line for each operation and number of clients: both stores' rates of all rounds, and what they say."""
    programs = {"etcd": [str(given.folder / "etcd")], "kcore": [sys.executable, "-m", "kcore", "etcd"]}
    lines = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=given.data)))
        endpoints = {
            name: stack.enter_context(
                cluster(name, program, members, folder, PORT_FIRST + 20 * number, given.server_core)
            )
            for number, (name, program) in enumerate(programs.items())
        }
        for operation in given.operations:
            for clients in given.clients:
                found: dict[str, list[dict[str, Any]]] = {name: [] for name in programs}
                for number in range(given.rounds):
                    for name, where in endpoints.items():
                        print(
                            f"{members} members, {operation}, {clients} clients: round {number + 1}, {name}",
                            file=sys.stderr,
                        )
                        found[name].append(
                            load(
                                given.folder / "load",
                                where,
                                operation,
                                clients,
                                given.seconds,
                                given.load_core,
                            )
                        )
                lines.append(line(members, operation, clients, found))
    return lines


def line(
    members: int, operation: str, clients: int, found: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """The figures as one object of JSON lines; the ratio is of medians."""
    made: dict[str, Any] = {"members": members, "operation": operation, "clients": clients}
    for name, some in found.items():
        rates = [one["per_second"] for one in some]
        made |= {
            name: statistics.median(rates), f"{name}_rounds": rates,
            f"{name}_p50_us": statistics.median(one["p50_us"] for one in some),
            f"{name}_p99_us": statistics.median(one["p99_us"] for one in some),
            f"{name}_failed": sum(one["failed"] for one in some),
        }  # fmt: skip
    made["ratio"] = made["kcore"] / made["etcd"]
    made["wanted"] = WANTED.get(clients)
    return made


def table(lines: Sequence[dict[str, Any]]) -> str:
    """The lines as a Markdown table."""
    rows = [
        "| members | operation | clients | kcore etcd /s | p99 ms | etcd /s | p99 ms | ratio | wanted |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    rows += [
        f"| {one['members']} | {one['operation']} | {one['clients']:,} | {one['kcore']:,.0f} | {one['kcore_p99_us'] / 1000:.1f} "
        f"| {one['etcd']:,.0f} | {one['etcd_p99_us'] / 1000:.1f} | {one['ratio']:.2f} | {one['wanted']} |"
        for one in lines
    ]
    return "\n".join(rows)


def main() -> int:
    """Run all rounds; 1 if a request failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="where the built etcd and load are")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one round of one store")
    parser.add_argument("--members", type=int, nargs="*", default=[1, 3])
    parser.add_argument("--clients", type=int, nargs="*", default=[*CLIENTS])
    parser.add_argument("--operations", nargs="*", default=[*OPERATIONS])
    parser.add_argument("--server-core", type=int, default=0, help="core of all members")
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--data", type=Path, default=None, help="folder for the data; of the disk to measure")
    parser.add_argument("--out", type=Path, default=RESULTS / "etcd.jsonl")
    given = parser.parse_args()
    lines = [one for members in given.members for one in rounds(given, members)]
    stamp = {"commit": commit(), "machine": machine()}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with given.out.open("w") as stream:
        stream.writelines(json.dumps({**one, **stamp}) + "\n" for one in lines)
    print(table(lines))
    return 1 if any(one["kcore_failed"] or one["etcd_failed"] for one in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
