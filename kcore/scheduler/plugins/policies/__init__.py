"""Placing policies: each scores the feasible nodes by the node alone, and says how devices are chosen there.

``kcore schedule --policy NAME`` and ``Cluster.schedule(policy=NAME)`` put one in place of all score plugins of the default
profile; ``default`` keeps them. docs/policies.md tells what each does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kcore.scheduler.plugins.policies import (
    best_fit,
    dot_prod,
    fgd,
    first_fit,
    gpu_clustering,
    gpu_packing,
    random,
)

POLICIES = (
    random.POLICY,
    first_fit.POLICY,
    best_fit.BEST_FIT,
    best_fit.WORST_FIT,
    dot_prod.DOT_PROD,
    dot_prod.TETRIS,
    gpu_packing.POLICY,
    gpu_clustering.POLICY,
    fgd.POLICY,
)
BY_NAME = {policy.name: policy for policy in POLICIES}

DEFAULT = "default"
"""The policy that is kube-scheduler's default profile."""
NAMES = (DEFAULT, *BY_NAME)


def policy_document(policy: str, has_gpus: bool, args: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A KubeSchedulerConfiguration whose one profile scores by the policy alone; ``has_gpus`` adds GpuShare.

    ``args`` are the policy's arguments.
    """
    plugins: dict[str, Any] = {}
    if policy != DEFAULT:
        plugins["score"] = {"disabled": [{"name": "*"}], "enabled": [{"name": policy}]}
    if has_gpus:
        plugins["filter"] = {"enabled": [{"name": "GpuShare"}]}
    profile: dict[str, Any] = {"schedulerName": "default-scheduler", "plugins": plugins}
    if args is not None:
        profile["pluginConfig"] = [{"name": policy, "args": dict(args)}]
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "profiles": [profile],
    }
