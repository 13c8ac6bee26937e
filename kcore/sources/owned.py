"""Which workloads already have their pods (or their ReplicaSets, or their Jobs) in the input."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kcore.api.objects import ObjectMeta, Pod

HASH_LABEL = "pod-template-hash"

Key = tuple[str, str, str]  # namespace, kind, name


class Owned:
    """The owners that pods, ReplicaSets and Jobs of the input name."""

    def __init__(self, pods: Iterable[Pod], dependents: Iterable[Any]) -> None:
        self.owners: set[Key] = set()
        for pod in pods:
            if pod.metadata.owner_references:
                self._add(pod.metadata)
                labels = pod.metadata.labels or {}
                hash_ = labels.get(HASH_LABEL)
                for owner in pod.metadata.owner_references:
                    # a Deployment whose ReplicaSet is not in the input: the ReplicaSet's name tells
                    if owner.kind == "ReplicaSet" and hash_ and owner.name.endswith(f"-{hash_}"):
                        name = owner.name.removesuffix(f"-{hash_}")
                        self.owners.add((pod.metadata.namespace, "Deployment", name))
                    # likewise a CronJob's Job, whose name ends in the minute of its run
                    elif owner.kind == "Job":
                        name, _, minute = owner.name.rpartition("-")
                        if name and minute.isdigit():
                            self.owners.add((pod.metadata.namespace, "CronJob", name))
        for dependent in dependents:
            self._add(dependent.metadata)

    def _add(self, metadata: ObjectMeta) -> None:
        for owner in metadata.owner_references or ():
            self.owners.add((metadata.namespace, owner.kind, owner.name))

    def has(self, kind: str, metadata: ObjectMeta) -> bool:
        """True where something in the input is owned by this workload."""
        return (metadata.namespace, kind, metadata.name) in self.owners
