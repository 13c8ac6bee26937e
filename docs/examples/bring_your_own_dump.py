"""Ask questions of a cluster by its dump: what fits, where it would go, and why the rest does not.

The dump is what ``kubectl get nodes,pods -A -o json > dump.json`` writes. Without one this script makes one up.

    python docs/examples/bring_your_own_dump.py --dump dump.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import kcore


def made_up_dump() -> dict[str, Any]:
    """Three nodes, one of them for databases only, and two pods that run."""

    def node(name: str, cpu: str, taints: list[dict[str, str]]) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "uid": f"uid-{name}", "labels": {"kubernetes.io/hostname": name}},
            "spec": {"taints": taints},
            "status": {"allocatable": {"cpu": cpu, "memory": "16Gi", "pods": "110"}},
        }

    def pod(name: str, node_name: str, cpu: str) -> dict[str, Any]:
        resources = {"requests": {"cpu": cpu, "memory": "2Gi"}}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
            "spec": {
                "nodeName": node_name,
                "containers": [{"name": "main", "image": "main", "resources": resources}],
            },
            "status": {"phase": "Running"},
        }

    only_databases = [{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]
    items = [node("small", "4", []), node("large", "8", []), node("database", "16", only_databases)]
    items += [pod("web-0", "small", "2500m"), pod("web-1", "large", "3")]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def new_pods(count: int, cpu: str) -> list[dict[str, Any]]:
    """The pods that we would like to add."""
    resources = {"requests": {"cpu": cpu, "memory": "1Gi"}}
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"batch-{number}", "namespace": "default"},
            "spec": {"containers": [{"name": "main", "image": "main", "resources": resources}]},
        }
        for number in range(count)
    ]


def main() -> None:
    """Add pods to the dump's cluster and print what becomes of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dump", help="a file that kubectl wrote")
    parser.add_argument("--pods", type=int, default=4, help="pods to add")
    parser.add_argument("--cpu", default="2", help="of each")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(given.dump or Path(folder) / "dump.json")
        if given.dump is None:
            path.write_text(json.dumps(made_up_dump()))
        cluster = kcore.Cluster.load(path)
    result = cluster.schedule(new_pods(given.pods, given.cpu), preemption="off", explain=True)
    for row in result.placements.to_pylist():
        print(f"{row['name']:10} {row['node'] or '-':10} {row['reason'] or ''}")
    last = f"default/batch-{given.pods - 1}"
    print(f"\nwhy {last}, node by node:")
    why = result.why(last)
    for node, rejected in why["filter"].items():
        found = f"{rejected['plugin']}: {', '.join(rejected['reasons'])}" if rejected else "fits"
        score = why["score"].get(node, {}).get("total", "-")
        print(f"  {node:10} {found}; score {score}")


if __name__ == "__main__":
    main()
