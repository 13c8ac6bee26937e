"""The engine's state, kept in step with what watches say of nodes, pods and all that scheduling looks at.

A pod that the scheduler has placed counts on its node at once (assumed); what watches say of it later confirms that, and
a binding that failed takes it off again. Source: pkg/scheduler/backend/cache/cache.go, pkg/scheduler/eventhandlers.go of
Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import numpy as np
import orjson

from kcore.api.errors import InputError
from kcore.api.objects import (
    ClusterObjects,
    Node,
    Pod,
    PodDisruptionBudget,
    ReplicaSet,
    ReplicationController,
    Service,
    StatefulSet,
)
from kcore.client.store import key_of
from kcore.online.devices import CLAIMS, DEVICES, DeviceMirror
from kcore.online.events import Event, of_node
from kcore.online.storage import STORAGE, StorageMirror
from kcore.scheduler.pods import parse_start
from kcore.scheduler.state import State

Object = dict[str, Any]
T = TypeVar("T")
GONE_ROWS_MAX: Final = (
    100_000  # of pods that are no more, beyond as many as there are: then the state is made anew
)

CLAIM_RESOURCES: Final = ("persistentvolumeclaims", CLAIMS)

TEMPLATES_MAX: Final = 10_000  # pods that are alike but for their names are read once; then all are forgotten

CONTAINERS: Final = ("containers", "initContainers")

SPREADING: Final[dict[str, tuple[str, type[Any]]]] = {
    "services": ("services", Service),
    "replicationcontrollers": ("replication_controllers", ReplicationController),
    "replicasets.apps": ("replica_sets", ReplicaSet),
    "statefulsets.apps": ("stateful_sets", StatefulSet),
}


class Held(NamedTuple):
    """A pod in the state: its row, the object that was read, its node (\"\" while it waits), and what it is made by."""

    row: int
    obj: Object
    node: str
    template: bytes = b""
    is_confirmed: bool = False  # a watch has shown it on its node


class Mirror:
    """See the module. ``tell`` hears of objects that cannot be read, by key and fault."""

    def __init__(self, tell: Callable[[str, InputError], None]) -> None:
        self._tell = tell
        self.state = State()
        self.storage = StorageMirror(self.state.storage, tell)
        self.devices = DeviceMirror(self.state.devices, tell)
        self._pods: dict[str, Held] = {}
        self._by_row: dict[int, str] = {}
        self._homeless: dict[
            str, dict[str, Object]
        ] = {}  # pods of nodes that are not there (yet, or any more), by node
        self._nodes: dict[str, Object] = {}
        self._others: dict[str, dict[str, Object]] = {
            name: {} for name in (*SPREADING, "namespaces", "poddisruptionbudgets.policy")
        }
        self._stale: set[str] = set()
        self._read_as: dict[str, dict[str, Any]] = {name: {} for name in self._others}
        self._templates: dict[bytes, tuple[int, Pod, bytes]] = {}  # with the template that others share

    # -- nodes ------------------------------------------------------------------------------------------------------
    def node(self, old: Object | None, new: Object | None) -> Event:
        """A node came, changed or went; what that may mean for pods that wait."""
        obj = new if new is not None else old
        assert obj is not None
        name: str = obj["metadata"]["name"]
        known = self._nodes.get(name)
        if new is None:
            if known is not None:
                del self._nodes[name]
                self._drop_node(name)
            return Event.NODE_DELETE if known is not None else Event.NONE
        event = of_node(known, new)
        if event is Event.NONE:
            self._nodes[name] = new
            return event
        try:
            read = msgspec.convert(new, Node)
            if known is None:
                self.state.add_node(read)
            else:
                self.state.nodes.update(read)
        except (InputError, msgspec.ValidationError) as error:
            self._tell(name, _fault(error))
            return Event.NONE
        self._nodes[name] = new
        if known is None:
            for key, pod in self._homeless.pop(name, {}).items():
                self._settle(key, pod, name)
        return event

    def _drop_node(self, name: str) -> None:
        homeless = self._homeless.setdefault(name, {})
        for row in self.state.remove_node(name):
            key = self._by_row.pop(row, None)
            if key is not None:
                homeless[key] = self._pods.pop(key).obj
        if not homeless:
            del self._homeless[name]

    # -- pods with a node -------------------------------------------------------------------------------------------
    def bound(self, key: str, obj: Object) -> Event:
        """A pod has a node and runs, or will: it counts there."""
        name: str = obj["spec"]["nodeName"]
        held = self._pods.get(key)
        if held is not None and held.node == name:
            event = _changed(held.obj, obj)
            if event is Event.NONE:
                self._pods[key] = Held(held.row, obj, name, held.template, True)
                self._began(held, obj)
            else:
                self._remove(key)
                self._settle(key, obj, name)
            # One that this scheduler has put there: those that wait for its like hear of it now.
            if held.is_confirmed:
                return event
            return Event.POD_ASSIGNED if event is Event.NONE else event | Event.POD_ASSIGNED
        if held is not None:
            self._remove(key)
        self._homeless.get(name, {}).pop(key, None)
        self._settle(key, obj, name)
        return Event.POD_ASSIGNED

    def _began(self, held: Held, obj: Object) -> None:
        """The pod is as old as its kubelet says: of equal pods the youngest makes room."""
        started = (obj.get("status") or {}).get("startTime")
        if started is not None and started != (held.obj.get("status") or {}).get("startTime"):
            try:
                self.state.pods.start[held.row] = parse_start(started)
            except InputError as error:
                self._tell(f"{obj['metadata'].get('namespace')}/{obj['metadata']['name']}", error)

    def _settle(self, key: str, obj: Object, name: str) -> None:
        if name not in self._nodes:
            self._homeless.setdefault(name, {})[key] = obj
            return
        try:
            row = self.state.add_pod(msgspec.convert(obj, Pod), pending=False)
        except (InputError, msgspec.ValidationError) as error:
            self._tell(key, _fault(error))
            return
        self._keep(key, Held(row, obj, name, is_confirmed=True))

    def gone(self, key: str, node: str = "") -> Event:
        """A pod is gone, or has ended: its node is free of it."""
        homeless = self._homeless.get(node)
        if homeless is not None and homeless.pop(key, None) is not None and not homeless:
            del self._homeless[node]
        held = self._pods.get(key)
        if held is None:
            return Event.NONE
        was_promised = not held.node and int(self.state.pods.nominated[held.row]) >= 0
        self._remove(key)
        return Event.POD_GONE if held.node or was_promised else Event.NONE

    # -- pods that wait ---------------------------------------------------------------------------------------------
    def pending(self, key: str, obj: Object) -> int | None:
        """The row of a pod that waits for a node; None where it cannot be read, as has been told."""
        held = self._pods.get(key)
        if held is not None and held.obj is obj and not held.node:
            return held.row
        template = _template(obj)
        if held is not None:
            if not held.node and held.template == template:
                self._pods[key] = Held(held.row, obj, "", held.template)
                self._renominate(held, obj)
                return held.row
            self._remove(key)
        try:
            row, template = self._added(obj, template)
        except (InputError, msgspec.ValidationError) as error:
            self._tell(key, _fault(error))
            return None
        self._keep(key, Held(row, obj, "", template))
        return row

    def _added(self, obj: Object, template: bytes) -> tuple[int, bytes]:
        """Its row, and the template, which pods that are alike have in common."""
        nominated = (obj.get("status") or {}).get("nominatedNodeName")
        known = self._templates.get(template)
        if known is None or nominated:
            pod = msgspec.convert(obj, Pod)
            row = self.state.add_pod(pod, pending=True)
            if len(self._templates) >= TEMPLATES_MAX:
                self._templates.clear()
            self._templates[template] = (row, pod, template)
            return row, template
        like, exemplar, template = known
        metadata = msgspec.structs.replace(
            exemplar.metadata, name=obj["metadata"]["name"], uid=obj["metadata"].get("uid", "")
        )
        row = self.state.add_alike(like, msgspec.structs.replace(exemplar, metadata=metadata))
        return row, template

    def _renominate(self, held: Held, obj: Object) -> None:
        """The pod is nominated where its status says now; a promise that has not been written down yet stays."""
        before = (held.obj.get("status") or {}).get("nominatedNodeName") or ""
        now = (obj.get("status") or {}).get("nominatedNodeName") or ""
        if before == now:
            return
        slot = self.state.nodes.index.get(now)
        if slot is None:
            self.state.forget_nomination(held.row)
        elif int(self.state.pods.nominated[held.row]) != slot:
            self.state.nominate(held.row, slot)

    def assumed(self, row: int, node: str) -> None:
        """The engine has put the pod on the node."""
        key = self._by_row[row]
        held = self._pods[key]
        self._pods[key] = Held(row, held.obj, node, held.template)

    def is_assumed(self, key: str) -> bool:
        """Whether the pod has been placed, and no watch has shown it on its node yet."""
        held = self._pods.get(key)
        return held is not None and bool(held.node) and not held.is_confirmed

    def forget(self, key: str, obj: Object) -> None:
        """The pod waits again, as its binding failed; unless a watch has shown it bound, or another has its name by now."""
        held = self._pods.get(key)
        if (
            held is not None
            and not held.is_confirmed
            and held.obj["metadata"]["uid"] == obj["metadata"]["uid"]
        ):
            self._remove(key)

    def key_of(self, row: int) -> str:
        """The key of the pod in that row."""
        return self._by_row[row]

    def pod_at(self, row: int) -> Object:
        """The pod in that row as it was read last."""
        return self._pods[self._by_row[row]].obj

    def object_of(self, key: str) -> Object | None:
        """The pod as it was read last."""
        held = self._pods.get(key)
        return None if held is None else held.obj

    def spared(self, keys: Iterable[str]) -> None:
        """These pods were to be preempted, and stay."""
        for key in keys:
            if key in self._pods:
                self.state.preempting.discard(self._pods[key].row)

    @property
    def node_names(self) -> set[str]:
        """The nodes that there are."""
        return set(self._nodes)

    def node_object(self, name: str) -> Object:
        """The node as it was read last."""
        return self._nodes[name]

    def placed(self) -> Iterator[tuple[str, Object]]:
        """Every pod that has a node, and which, be it there or not."""
        for held in self._pods.values():
            if held.node:
                yield held.node, held.obj
        for name, pods in self._homeless.items():
            for pod in pods.values():
                yield name, pod

    @property
    def pod_count(self) -> int:
        """Pods on nodes, assumed ones included."""
        return sum(1 for _ in self.placed())

    @property
    def assumed_count(self) -> int:
        """Pods that have been placed and that no watch has shown on their node yet."""
        return sum(1 for held in self._pods.values() if held.node and not held.is_confirmed)

    def requested(self, name: str) -> dict[str, int]:
        """What the pods of a node ask for, by resource, in the engine's units."""
        return self._amounts(name, self.state.world().nodes.requested)

    def allocatable(self, name: str) -> dict[str, int]:
        """What a node has for pods, likewise."""
        return self._amounts(name, self.state.world().nodes.allocatable)

    def _amounts(self, name: str, table: np.ndarray) -> dict[str, int]:
        slot = self.state.nodes.index.get(name)
        if slot is None:
            return {}
        return {one: int(table[row, slot]) for row, one in enumerate(self.state.nodes.resources.values)}

    @property
    def nominations(self) -> dict[str, str]:
        """The pods that are promised a node, and which."""
        pods, nodes = self.state.pods, self.state.nodes
        rows = self.state.nominated.tolist()
        return {
            self._by_row[row]: nodes.name(int(pods.nominated[row])) for row in rows if row in self._by_row
        }

    def _keep(self, key: str, held: Held) -> None:
        self._pods[key] = held
        self._by_row[held.row] = key

    def _remove(self, key: str) -> None:
        held = self._pods.pop(key)
        del self._by_row[held.row]
        self.state.preempting.discard(held.row)
        self.state.remove_soon(held.row)

    # -- everything else --------------------------------------------------------------------------------------------
    def changed(self, resource: str, old: Object | None, new: Object | None) -> Event:
        """Anything but a node or a pod came, changed or (None) went; what that may mean for pods that wait."""
        obj = new if new is not None else old
        assert obj is not None
        key = key_of(obj)
        if resource in STORAGE:
            return self.storage.take(resource, key, old, new)
        if resource in DEVICES:
            return self.devices.take(resource, key, old, new)
        return self.other(resource, key, new)

    def other(self, resource: str, key: str, obj: Object | None) -> Event:
        """A service, a controller of pods, a budget or a namespace came, changed (``obj``) or went (None)."""
        kept = self._others[resource]
        before = kept.get(key)
        if obj is None:
            kept.pop(key, None)
        else:
            kept[key] = obj
        if _meaning(resource, before) == _meaning(resource, obj):
            return Event.NONE
        self._read_as[resource].pop(key, None)
        self._stale.add(resource)
        return Event.NAMESPACE_LABEL if resource == "namespaces" else Event.NONE

    def refresh(self) -> None:
        """What selectors of services, controllers and namespaces and budgets mean is as last told."""
        if not self._stale:
            return
        budgets = self._read("poddisruptionbudgets.policy", PodDisruptionBudget)
        objects = ClusterObjects(pdbs=budgets)
        for resource, (field, kind) in SPREADING.items():
            setattr(objects, field, self._read(resource, kind))
        namespaces = {
            name: (obj["metadata"].get("labels") or {}) for name, obj in self._others["namespaces"].items()
        }
        meaning = bool(self._stale - {"poddisruptionbudgets.policy"})
        self._stale.clear()
        self.state.replace_policies(objects, namespaces, meaning=meaning)

    def _read(self, resource: str, kind: type[T]) -> list[T]:
        """All of them; only what is new or has changed is read."""
        read: dict[str, T] = self._read_as[resource]
        found = []
        for key, obj in self._others[resource].items():
            made = read.get(key)
            if made is None:
                try:
                    made = read[key] = msgspec.convert(obj, kind)
                except msgspec.ValidationError as error:
                    self._tell(key, _fault(error))
                    continue
            found.append(made)
        return found

    def compact(self) -> bool:
        """Where rows of pods that are no more outnumber the others, the state is made anew from what is there."""
        count = self.state.pods.count
        if count - len(self._pods) <= max(GONE_ROWS_MAX, len(self._pods)):
            return False
        self.state = State()
        self.state.storage, self.state.devices = self.storage.storage, self.devices.catalog
        for obj in self._nodes.values():
            self.state.add_node(msgspec.convert(obj, Node))
        pods, self._pods, self._by_row = self._pods, {}, {}
        self._templates.clear()
        self._stale.update(self._others)
        self.refresh()
        for key, held in pods.items():
            if held.node:
                self._settle(key, _on(held.obj, held.node), held.node)
        return True


def rows_of(rows: Iterable[int]) -> np.ndarray:
    """As the engine takes them."""
    return np.fromiter(rows, dtype=np.int32)


def _template(obj: Object) -> bytes:
    """What is equal for pods that scheduling tells apart by nothing but their names."""
    metadata = obj["metadata"]
    status = obj.get("status") or {}
    return orjson.dumps((
        metadata.get("namespace"), metadata.get("labels"), metadata.get("annotations"),
        metadata.get("ownerReferences"), metadata.get("deletionTimestamp"), _unnamed(obj["spec"]),
        status.get("startTime"), status.get("resources"), status.get("resourceClaimStatuses"),
    ))  # fmt: skip


def _unnamed(spec: Object) -> Object:
    """The spec without what names the volume of a service account's token, which admission draws for each pod anew."""
    volumes = spec.get("volumes")
    if not volumes or not any("projected" in one for one in volumes):
        return spec
    made = {**spec, "volumes": [{**one, "name": ""} if "projected" in one else one for one in volumes]}
    for field in CONTAINERS:
        if found := spec.get(field):
            made[field] = [{**one, "volumeMounts": None} for one in found]
    return made


def _on(obj: Object, node: str) -> Object:
    return {**obj, "spec": {**obj["spec"], "nodeName": node}}


def _fault(error: InputError | msgspec.ValidationError) -> InputError:
    return error if isinstance(error, InputError) else InputError(str(error))


def _changed(old: Object, new: Object) -> Event:
    """How a pod on a node is other than it was, for scheduling; the node that a binding wrote is no change."""
    found = Event.NONE
    if old["metadata"].get("labels") != new["metadata"].get("labels"):
        found |= Event.POD_LABEL
    if ("deletionTimestamp" in old["metadata"]) != ("deletionTimestamp" in new["metadata"]):
        found |= Event.POD_LABEL
    before, after = old["spec"], new["spec"]
    if before.get("containers") != after.get("containers") or before.get("resources") != after.get(
        "resources"
    ):
        found |= Event.POD_SCALED_DOWN
    was, now = old.get("status") or {}, new.get("status") or {}
    if _allocated(was) != _allocated(now) or was.get("resources") != now.get("resources"):
        found |= Event.POD_SCALED_DOWN
    return found


def _allocated(status: Object) -> Sequence[Any]:
    return [
        (one.get("name"), one.get("allocatedResources"), one.get("resources"))
        for one in status.get("containerStatuses") or ()
        if one.get("allocatedResources") or one.get("resources")
    ]


def _meaning(resource: str, obj: Object | None) -> Any:
    """What of such an object scheduling looks at."""
    if obj is None:
        return None
    if resource == "namespaces":
        return obj["metadata"].get("labels")
    spec = (obj.get("spec") or {}).get("selector")
    if resource == "poddisruptionbudgets.policy":
        status = obj.get("status") or {}
        return spec, status.get("disruptionsAllowed"), status.get("disruptedPods")
    return (spec,)
