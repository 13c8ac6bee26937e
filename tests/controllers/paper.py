"""A cluster on paper: objects in a dict, to play a controller's rounds against at any time, without a server."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from kcore.api.status import ApiError
from kcore.controllers.contract import (
    Action,
    Controller,
    Create,
    Delete,
    Discover,
    Failed,
    Key,
    Outcome,
    Patch,
    Read,
    Served,
    Skipped,
    Tell,
    Update,
)
from kcore.controllers.times import text_of
from tests.controllers.permissions import refused

Object = dict[str, Any]
Objects = list[Object]
NOW_MS = 1_790_000_000_000
RESOURCES = {
    "Pod": "pods", "Job": "jobs.batch", "CronJob": "cronjobs.batch", "StatefulSet": "statefulsets.apps",
    "DaemonSet": "daemonsets.apps", "ControllerRevision": "controllerrevisions.apps", "Node": "nodes",
    "ReplicaSet": "replicasets.apps", "Deployment": "deployments.apps", "PersistentVolumeClaim": "persistentvolumeclaims",
    "PodDisruptionBudget": "poddisruptionbudgets.policy", "ServiceCIDR": "servicecidrs.networking.k8s.io",
    "IPAddress": "ipaddresses.networking.k8s.io", "ConfigMap": "configmaps", "Secret": "secrets",
    "PersistentVolume": "persistentvolumes", "VolumeAttachment": "volumeattachments.storage.k8s.io",
    "CSIDriver": "csidrivers.storage.k8s.io", "ResourceClaim": "resourceclaims.resource.k8s.io",
    "ResourceSlice": "resourceslices.resource.k8s.io",
}  # fmt: skip
WIDGETS = Served(
    "widgets.example.com", "example.com", "v1", "widgets", "Widget", True, ("get",), has_scale=True
)
FIXED = WIDGETS._replace(named="blocks.example.com", plural="blocks", kind="Block", has_scale=False)


class Paper:
    """Such a cluster. ``refuse`` may answer an action with an error."""

    def __init__(self, controller: Controller, now_ms: int = NOW_MS) -> None:
        self.controller = controller
        self.now_ms = now_ms
        self.objects: dict[str, dict[tuple[str, str], Object]] = {}
        self.told: list[str] = []
        self.scales: dict[str, Object] = {}
        self.acted: list[Action] = []
        self.refuse: Callable[[Action], ApiError | None] = lambda action: None
        self._indexes = {each.resource: each.indexes for each in controller.watches}
        self._numbers = itertools.count(1)

    def put(self, obj: Object) -> Object:
        """The object is there, with a uid and a time of creation."""
        obj = copy.deepcopy(obj)
        metadata, number = obj["metadata"], next(self._numbers)
        if "name" not in metadata:
            metadata["name"] = f"{metadata['generateName']}{number:05}"
        metadata.setdefault("uid", f"uid-{number}")
        metadata.setdefault("creationTimestamp", text_of(self.now_ms))
        metadata["resourceVersion"] = str(number)
        resource = RESOURCES[obj["kind"]]
        if resource == "pods":
            obj.setdefault("status", {"phase": "Pending"})
        self.objects.setdefault(resource, {})[metadata.get("namespace", ""), metadata["name"]] = obj
        return obj

    # -- the view ---------------------------------------------------------------------------------------------------
    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        return self.objects.get(resource, {}).get((namespace, name))

    def list(self, resource: str, namespace: str = "") -> Sequence[Object]:
        return [
            obj for (of, _), obj in self.objects.get(resource, {}).items() if not namespace or of == namespace
        ]

    def by(self, resource: str, index: str, value: str) -> Sequence[Object]:
        function = self._indexes[resource][index]
        return [obj for obj in self.list(resource) if value in function(obj)]

    # -- rounds -----------------------------------------------------------------------------------------------------
    def round(self, name: str, namespace: str = "default") -> int | None:
        """One round of the key: what it returned; -1 where it failed."""
        steps = self.controller.reconcile(Key(namespace, name), self, self.now_ms)
        before = copy.deepcopy(self.objects)
        try:
            actions = next(steps)
            while True:
                assert self.objects == before, "the view's objects were changed"
                outcomes = [self._done(action) for action in actions]
                before = copy.deepcopy(self.objects)
                actions = steps.send(outcomes)
        except StopIteration as ended:
            again: int | None = ended.value
            return again
        except Failed:
            return -1

    def _done(self, action: Action) -> Outcome:
        self.acted.append(action)
        assert not refused(self.controller.name, action)
        refusal = self.refuse(action)
        if refusal is not None:
            return refusal
        match action:
            case Tell():
                self.told.append(f"{action.type} {action.reason} {action.message}")
                return None
            case Create():
                return self.put(action.obj)
            case Update():
                return self.put(action.obj)
            case Patch():
                return self._patched(action)
            case Delete():
                return self._deleted(action)
            case Discover():
                return {"resources": [WIDGETS, FIXED]}
            case Read(subresource="scale"):
                return self.scales.get(action.name) or _gone(action.name)
            case Read():
                found = self.get(action.resource, action.namespace, action.name)
                return _gone(action.name) if found is None else found
        return Skipped()

    def _patched(self, action: Patch) -> Outcome:
        found = self.get(action.resource, action.namespace, action.name)
        if found is None:
            return _gone(action.name)
        obj = copy.deepcopy(found)
        body = copy.deepcopy(action.body)
        metadata = body.get("metadata") or {}
        removed = metadata.pop("$deleteFromPrimitiveList/finalizers", [])
        _merge(obj, body)
        kept = [name for name in obj["metadata"].get("finalizers", []) if name not in removed]
        obj["metadata"]["finalizers"] = kept
        if not kept and "deletionTimestamp" in obj["metadata"] and not obj.get("spec", {}).get("nodeName"):
            del self.objects[action.resource][action.namespace, action.name]
            return obj
        return self.put(obj)

    def _deleted(self, action: Delete) -> Outcome:
        found = self.get(action.resource, action.namespace, action.name)
        if found is None:
            return _gone(action.name)
        is_placed = action.resource == "pods" and found["spec"].get("nodeName")
        if found["metadata"].get("finalizers") or is_placed:
            obj = copy.deepcopy(found)
            obj["metadata"]["deletionTimestamp"] = text_of(self.now_ms)
            return self.put(obj)
        del self.objects[action.resource][action.namespace, action.name]
        return found

    # -- what happens to pods ---------------------------------------------------------------------------------------
    def pods(self, phase: str | None = None) -> Objects:
        """Those of that phase, by name."""
        found = [pod for pod in self.list("pods") if phase is None or pod["status"].get("phase") == phase]
        return sorted(found, key=lambda pod: pod["metadata"]["name"])

    def goes(self, pod: Object, phase: str, **status: Any) -> None:
        """The pod has that phase now; a running one is ready."""
        conditions = (
            [{"type": "Ready", "status": "True", "lastTransitionTime": text_of(self.now_ms)}]
            if phase == "Running"
            else [{"type": "Ready", "status": "False", "lastTransitionTime": text_of(self.now_ms)}]
        )
        self.put({**pod, "status": {"phase": phase, "conditions": conditions, **status}})

    def leaves(self, pod: Object) -> None:
        """The pod is not there any more."""
        self.objects["pods"].pop((pod["metadata"]["namespace"], pod["metadata"]["name"]))


def _gone(name: str) -> ApiError:
    return ApiError(404, "NotFound", f'"{name}" not found')


def _merge(into: Object, body: Object) -> None:
    for name, value in body.items():
        if value is None:
            into.pop(name, None)
        elif isinstance(value, dict):
            _merge(into.setdefault(name, {}), value)
        else:
            into[name] = value


def pod_template(name: str, **spec: Any) -> Object:
    """A template of pods labelled ``app: NAME``."""
    containers = [{"name": "main", "image": "web:1"}]
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers, **spec}}
