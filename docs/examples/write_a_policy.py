"""Write a policy in a few lines, and see what it does to a crowded cluster beside kube-scheduler's default.

The policy puts a pod where the free resources keep the pod's own proportions (Grandl et al., Multi-resource Packing for
Cluster Schedulers, SIGCOMM 2014).

    python docs/examples/write_a_policy.py --nodes 20 --pods 160
"""

from __future__ import annotations

import argparse
from typing import Any

import kcore


@kcore.score_plugin("Alignment", depends="node", resources=["nvidia.com/gpu"])
def alignment(pod: Any, nodes: Any, out: Any) -> None:
    """The cosine between what the pod asks for and what the node has left, 0 to 100."""
    gpu = nodes.rows[0]
    for node in range(out.shape[0]):
        product, asked, free = 0.0, 0.0, 0.0
        for row in (0, 1, gpu):  # CPU, memory, GPUs
            if nodes.allocatable[row, node] > 0:
                want = pod.requests[row] / nodes.allocatable[row, node]
                left = 1 - nodes.requested[row, node] / nodes.allocatable[row, node]
                product += want * left
                asked += want * want
                free += left * left
        if asked > 0 and free > 0:
            out[node] = int(100 * product / (asked * free) ** 0.5)


def main() -> None:
    """Schedule one cluster twice and print what was placed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--pods", type=int, default=160)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for policy in (None, "Alignment"):
        cluster = kcore.Cluster.synthetic(
            "heterogeneous", nodes=given.nodes, pods=given.pods, seed=given.seed, fill=1.3
        )
        summary = cluster.schedule(policy=policy, preemption="off").summary
        used = {name: f"{share:.1%}" for name, share in summary["utilisation"].items()}
        print(f"{policy or 'default':10} placed {summary['placed']} of {summary['pods']}, in use: {used}")


if __name__ == "__main__":
    main()
