"""Each generic ephemeral volume of a pod has a claim, made from its template and owned by the pod.

Source: pkg/controller/volume/ephemeral of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from kcore.api.status import ApiError
from kcore.controllers.contract import (
    Controller,
    Create,
    Failed,
    Key,
    Object,
    Steps,
    Tell,
    View,
    Watched,
)
from kcore.controllers.owners import controller_reference
from kcore.controllers.pod_claims import by_claim, claim_name, stranger

CLAIMS: Final = "persistentvolumeclaims"


class EphemeralVolume(Controller):
    """``ephemeral-volume-controller``."""

    name: ClassVar = "ephemeral-volume-controller"
    aliases: ClassVar = ("ephemeral-volume",)
    component: ClassVar = "ephemeral_volume"
    workers: ClassVar[int] = 5

    @property
    def watches(self) -> Sequence[Watched]:
        """Pods that are new, and claims that go."""
        return (Watched("pods", self._pod_keys, {"claim": by_claim}), Watched(CLAIMS, self._claim_keys))

    def _pod_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        return _keys_of(new) if old is None and new is not None else ()

    def _claim_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        if new is None and old is not None:
            metadata = old["metadata"]
            for pod in view.by("pods", "claim", f"{metadata['namespace']}/{metadata['name']}"):
                yield from _keys_of(pod)

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The pod's volumes have their claims."""
        pod = view.get("pods", key.namespace, key.name)
        if pod is None or "deletionTimestamp" in pod["metadata"]:
            return None
        for volume in pod["spec"].get("volumes") or ():
            if "ephemeral" not in volume:
                continue
            name = claim_name(pod, volume)
            claim = view.get(CLAIMS, key.namespace, name)
            problem = "" if claim is None else stranger(pod, claim)
            if claim is None:
                (outcome,) = yield [Create(CLAIMS, _claim(pod, volume, name))]
                if isinstance(outcome, ApiError):
                    problem = f"create PVC {name}: {outcome}"
            if problem:
                text = f"ephemeral volume {volume['name']}: {problem}"
                yield [Tell(pod, "Warning", "FailedBinding", text)]
                raise Failed(f"pod {key}, {text}")
        return None


def _keys_of(pod: Object) -> Iterable[Key]:
    volumes = pod["spec"].get("volumes") or ()
    if "deletionTimestamp" not in pod["metadata"] and any("ephemeral" in volume for volume in volumes):
        yield Key(pod["metadata"]["namespace"], pod["metadata"]["name"])


def _claim(pod: Object, volume: Object, name: str) -> Object:
    template = volume["ephemeral"]["volumeClaimTemplate"]
    told = template.get("metadata") or {}
    metadata: dict[str, Any] = {
        "name": name, "namespace": pod["metadata"]["namespace"],
        "ownerReferences": [controller_reference("v1", "Pod", pod)],
        **{field: dict(told[field]) for field in ("annotations", "labels") if told.get(field)},
    }  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"],
    }  # fmt: skip
