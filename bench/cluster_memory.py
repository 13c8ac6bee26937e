"""Where the memory of a living cluster is: KiB a node and a pod, by the part of the cluster that holds them.

``python -m bench.cluster_memory [--nodes N] [--pods FIRST LAST] [--classes N]`` runs a cluster as ``kcore up --nodes N`` does,
all components in one process, a Deployment scaled to FIRST and then to LAST pods, and one of half the nodes without
pods, each in a process of its own. It prints a JSON line for each state: the process's resident size, and MiB by owner
(``bench.memory_owners``); then the slopes, KiB a pod and KiB a node. What is resident and not an owner's is code, kernels, and
holes in the heap; kernels are loaded at the start from 500 nodes on, some 150 MiB, so let both clusters have as many. ``--classes`` names the classes that hold most.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import uvloop

from bench.figures import ROOT
from bench.memory_owners import owners
from bench.memory_probe import resident_bytes

MIB = 1 << 20
POLL_SECONDS = 0.2
SETTLED_SECONDS = 5.0  # informers have let objects share their parts, events are written
PROBE = "--probe"
STATE = "state"
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "containers": [
            {
                "name": "main", "image": "registry.example.com/team/web:1.2.3",
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            }
        ],
    },
}  # fmt: skip


async def probe(nodes: int, pods: Sequence[int], classes: int) -> None:
    """Prints the state with so many nodes, and then with each number of pods."""
    from kcore.apiserver import driver
    from kcore.apiserver.flags import gather
    from kcore.components.assembly import Components
    from kcore.components.choice import choose

    with tempfile.TemporaryDirectory() as folder:
        flags = gather({
            "bind-address": "127.0.0.1", "secure-port": "0", "cert-dir": f"{folder}/pki", "data-dir": f"{folder}/store",
        })  # fmt: skip
        running = await driver.start(flags, driver.bind("127.0.0.1", 0))
        components = Components(choose(None, nodes), running)
        await components.start()
        try:
            while components.counts.nodes_ready < nodes:
                await asyncio.sleep(POLL_SECONDS)
            await settled(running, components, nodes, 0, classes)
            client = components._client("bench", "kcore-admin")
            spec = {
                "replicas": 0,
                "selector": {"matchLabels": TEMPLATE["metadata"]["labels"]},
                "template": TEMPLATE,
            }
            made = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
            await client.create(made, "default")
            for count in pods:
                await client.patch("deployments", "web", {"spec": {"replicas": count}}, "default")
                while components.counts.pods["Running"] < count:
                    await asyncio.sleep(POLL_SECONDS)
                await settled(running, components, nodes, count, classes)
        finally:
            await components.stop()
            await running.stop()


async def settled(running: Any, components: Any, nodes: int, pods: int, classes: int) -> None:
    """Nothing is under way any more; prints what the state takes."""
    await asyncio.sleep(SETTLED_SECONDS)
    while any(
        each._unsettled for each in components._informers._informers.values() if each.resource == "pods"
    ):
        await asyncio.sleep(POLL_SECONDS)
    gc.collect()
    resident = resident_bytes()
    walk = owners(running, components)
    line: dict[str, Any] = {
        "figure": STATE, "nodes": nodes, "pods": pods, "resident_mib": round(resident["now"] / MIB, 1),
        "peak_mib": round(resident["peak"] / MIB, 1),
        "owners_mib": {name: round(size / MIB, 2) for name, size in walk.bytes.most_common()},
    }  # fmt: skip
    if classes:
        line["classes_mib"] = {
            owner: {name: round(size / MIB, 2) for name, size in found.most_common(classes)}
            for owner, found in walk.classes.items()
        }
    print(json.dumps(line), flush=True)


def probed(nodes: int, pods: Sequence[int], classes: int) -> list[dict[str, Any]]:
    """The states of a cluster in a process of its own, printed as they come."""
    command = [
        sys.executable,
        "-m",
        "bench.cluster_memory",
        PROBE,
        f"--nodes={nodes}",
        f"--classes={classes}",
    ]
    states = []
    with subprocess.Popen(
        [*command, "--pods", *map(str, pods)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for text in process.stdout:
            print(text, end="", flush=True)
            states.append(json.loads(text))
    if process.returncode:
        raise SystemExit(process.returncode)
    return states


def slope(what: str, low: dict[str, Any], high: dict[str, Any]) -> None:
    """Prints what each of ``what`` takes, by owner."""
    count = high[what] - low[what]
    each = {
        owner: round((size - low["owners_mib"].get(owner, 0.0)) * 1024 / count, 2)
        for owner, size in high["owners_mib"].items()
    }
    resident = round((high["resident_mib"] - low["resident_mib"]) * 1024 / count, 2)
    print(json.dumps({"figure": f"kib_of_{what}", "resident": resident, "owners": each}), flush=True)


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--pods", type=int, nargs="*", default=[1_000, 4_000])
    parser.add_argument("--classes", type=int, default=0, help="so many classes of each owner")
    parser.add_argument(PROBE, action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.probe:
        logging.basicConfig(level=logging.WARNING)
        uvloop.run(probe(given.nodes, given.pods, given.classes))
        return
    [few] = probed(max(given.nodes // 2, 1), (), given.classes)
    states = probed(given.nodes, given.pods, given.classes)
    slope("nodes", few, states[0])
    if len(states) > 2:
        slope("pods", states[1], states[-1])


if __name__ == "__main__":
    main()
