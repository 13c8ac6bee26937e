"""The pods behind each service are in its endpoint slices, with where they are and whether they are ready.

Hints by ``trafficDistribution`` are given; those of the annotation ``service.kubernetes.io/topology-mode: Auto`` are not.
Source: pkg/controller/endpointslice, staging/src/k8s.io/endpointslice of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from kcore.api.status import ApiError
from kcore.controllers import endpoint_slice_packing as packing
from kcore.controllers import service_pods as behind
from kcore.controllers.contract import (
    Action,
    Controller,
    Create,
    Delete,
    Failed,
    Key,
    Later,
    Object,
    Outcome,
    Steps,
    Tell,
    Update,
    View,
    Watched,
)
from kcore.controllers.owners import controller_reference
from kcore.controllers.pods import is_ready
from kcore.controllers.refusals import is_terminating

RESOURCE: Final = "endpointslices.discovery.k8s.io"
SERVICE_NAME: Final = "kubernetes.io/service-name"
MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
OURS: Final = "endpointslice-controller.k8s.io"
RESERVED: Final = frozenset((SERVICE_NAME, MANAGED_BY, behind.HEADLESS))
ENDPOINTS_MAX: Final = 100  # of a slice (--max-endpoints-per-slice)
CHANGE_WAIT_MS: Final = 1000  # after a slice changed (endpointSliceChangeMinSyncDelay)
TOPOLOGY: Final = ("service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode")


def by_service(piece: Object) -> Iterable[str]:
    """Index: ``NAMESPACE/SERVICE`` of a slice."""
    name = (piece["metadata"].get("labels") or {}).get(SERVICE_NAME)
    return (f"{piece['metadata']['namespace']}/{name}",) if name else ()


def slice_keys(old: Object | None, new: Object | None, managed_by: str) -> set[Key]:
    """Keys of the services of a slice that somebody else may have changed."""
    keys = set()
    versions = [each for each in (old, new) if each is not None]
    for each in versions:
        labels = each["metadata"].get("labels") or {}
        if labels.get(SERVICE_NAME):
            keys.add(Key(each["metadata"]["namespace"], labels[SERVICE_NAME]))
    managed = [(each["metadata"].get("labels") or {}).get(MANAGED_BY) == managed_by for each in versions]
    return keys if any(managed) or len(keys) > 1 else set()


class EndpointSlice(Controller):
    """``endpointslice-controller``. ``batch_ms``: how long changes of pods are gathered."""

    name: ClassVar = "endpointslice-controller"
    aliases: ClassVar = ("endpointslice",)
    component: ClassVar = "endpoint-slice-controller"
    workers: ClassVar[int] = 5

    def __init__(self, *, endpoints_max: int = ENDPOINTS_MAX, batch_ms: int = 0) -> None:
        self._endpoints_max = endpoints_max
        self._batch_ms = batch_ms
        self._times = behind.TriggerTimes()

    @property
    def watches(self) -> Sequence[Watched]:
        """Services, their pods and slices; nodes are only looked up."""
        return (
            Watched("services", behind.service_keys),
            Watched("pods", self._pod_keys),
            Watched(RESOURCE, self._slice_keys, {"service": by_service}),
            Watched("nodes", lambda old, new, view: ()),
        )

    def _pod_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key | Later]:
        for key in behind.pod_keys(old, new, view):
            wait_ms = max(self._batch_ms, self._times.wait_ms(key))
            yield Later(key, wait_ms) if wait_ms else key

    def _slice_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Later]:
        wait_ms = max(CHANGE_WAIT_MS, self._batch_ms)
        return [Later(key, wait_ms) for key in slice_keys(old, new, OURS)]

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The service's slices have its pods."""
        service = view.get("services", key.namespace, key.name)
        if service is None:
            self._times.forget(key)
            return None
        if not behind.has_endpoints(service):
            return None
        pods = behind.selected(service, view)
        existing = [
            piece
            for piece in view.by(RESOURCE, "service", str(key))
            if piece["metadata"]["labels"].get(MANAGED_BY) == OURS
            and "deletionTimestamp" not in piece["metadata"]
        ]
        trigger = self._times.next(service, pods)
        kinds = behind.families(service)
        errors: list[str] = []
        for kind in kinds:
            of_kind = [piece for piece in existing if piece["addressType"] == kind]
            changes, problems = _wanted(service, pods, of_kind, kind, view, self._endpoints_max)
            failure = yield from _written(service, changes, trigger)
            problems += [failure] if failure else []
            errors += [aggregate(problems)] if problems else []
        stray = [piece for piece in existing if piece["addressType"] not in kinds]
        outcomes = (yield [_delete(piece) for piece in stray]) if stray else []
        for piece, outcome in zip(stray, outcomes, strict=True):
            if isinstance(outcome, ApiError):
                errors.append(
                    f"error deleting {piece['metadata']['name']} EndpointSlice for Service {key}: {outcome}"
                )
        if errors:
            text = aggregate(errors)
            message = f"Error updating Endpoint Slices for Service {key}: {text}"
            yield [Tell(service, "Warning", "FailedToUpdateEndpointSlices", message)]
            raise Failed(text)
        return None


def aggregate(errors: Sequence[str]) -> str:
    """Several errors in one text, as utilerrors.NewAggregate writes them."""
    distinct = list(dict.fromkeys(errors))
    return distinct[0] if len(distinct) == 1 else "[" + ", ".join(distinct) + "]"


def _is_owned(piece: Object, service: Object) -> bool:
    uid = service["metadata"]["uid"]
    return any(
        each["uid"] == uid and each["kind"] == "Service" and each["apiVersion"] == "v1"
        for each in piece["metadata"].get("ownerReferences") or ()
    )


def _wanted(
    service: Object, pods: Iterable[Object], existing: Sequence[Object], kind: str, view: View, count_max: int
) -> tuple[packing.Changes, list[str]]:
    """What is to be written for one family of addresses, and what keeps pods out. Source: reconcileByAddressType."""
    changes = packing.Changes(delete=[piece for piece in existing if not _is_owned(piece, service)])
    there: dict[packing.Identity, list[Object]] = {}
    for piece in existing:
        if _is_owned(piece, service):
            there.setdefault(packing.ports_key(piece.get("ports")), []).append(piece)
    desired, ports, problems = _desired(service, pods, kind, view)
    for ports_key, endpoints in desired.items():
        changes.add(
            packing.packed(
                there.get(ports_key, ()), endpoints, lambda key=ports_key: _made(service, ports[key], kind),  # type: ignore[misc]
                lambda piece: _labels(piece, service), count_max,
            )
        )  # fmt: skip
    for ports_key, pieces in there.items():
        if ports_key not in desired:
            changes.delete += pieces
    if len(existing) == len(changes.delete) and not changes.create:
        placeholder = _made(service, [], kind)
        if len(changes.delete) == 1 and _is_placeholder(changes.delete[0], placeholder):
            changes.delete.clear()
        else:
            changes.create.append(placeholder)
    written = {piece["metadata"].get("name") for piece in (*changes.update, *changes.delete)}
    unchanged = [piece for piece in existing if piece["metadata"]["name"] not in written]
    packing.hinted(changes, unchanged, _distribution(service))
    return changes, problems


def _distribution(service: Object) -> str | None:
    annotations = service["metadata"].get("annotations") or {}
    asked = next((annotations[name] for name in TOPOLOGY if name in annotations), None)
    return None if asked in ("Auto", "auto") else service["spec"].get("trafficDistribution")


def _desired(
    service: Object, pods: Iterable[Object], kind: str, view: View
) -> tuple[
    dict[packing.Identity, dict[packing.Identity, Object]], dict[packing.Identity, list[Object]], list[str]
]:
    """Endpoints by set of ports, those sets, and what keeps pods out."""
    desired: dict[packing.Identity, dict[packing.Identity, Object]] = {}
    ports: dict[packing.Identity, list[Object]] = {}
    problems: list[str] = []
    keys: dict[tuple[int | None, ...], packing.Identity] = {}
    publishes = service["spec"].get("publishNotReadyAddresses", False)
    for pod in pods:
        if not behind.belongs(pod, includes_terminating=True):
            continue
        numbers = tuple(behind.find_port(pod, port) for port in service["spec"].get("ports") or ())
        ports_key = keys.get(numbers)
        if ports_key is None:
            of_pod = _ports(service, numbers)
            ports_key = keys[numbers] = packing.ports_key(of_pod)
            ports.setdefault(ports_key, of_pod)
            desired.setdefault(ports_key, {})
        node_name = pod["spec"].get("nodeName", "")
        node = view.get("nodes", "", node_name) if node_name else None
        if node is None and not publishes:
            problems.append(
                f"skipping Pod {pod['metadata']['name']} for Service {service['metadata']['namespace']}/"
                f"{service['metadata']['name']}: Node {node_name} Not Found"
            )
            continue
        endpoint = _endpoint(pod, node, service, kind)
        if endpoint["addresses"]:
            desired[ports_key][packing.identity(endpoint)] = endpoint
    return desired, ports, problems


def _ports(service: Object, numbers: Sequence[int | None]) -> list[Object]:
    made = []
    for port, number in zip(service["spec"].get("ports") or (), numbers, strict=True):
        if number is not None:
            found = {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"), "port": number}
            made.append(
                {**found, "appProtocol": port["appProtocol"]}
                if port.get("appProtocol") is not None
                else found
            )
    return made


def _endpoint(pod: Object, node: Object | None, service: Object, kind: str) -> Object:
    """Source: podToEndpoint."""
    metadata, spec = pod["metadata"], pod["spec"]
    serving = is_ready(pod)
    terminating = "deletionTimestamp" in metadata
    ready = service["spec"].get("publishNotReadyAddresses", False) or (serving and not terminating)
    read = [behind.read_ip(ip) for ip in behind.pod_ips(pod)]
    endpoint: dict[str, Any] = {
        "addresses": [each[0] for each in read if each is not None and each[1] == kind],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": {
            "kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"],
        },
    }  # fmt: skip
    if spec.get("nodeName"):
        endpoint["nodeName"] = spec["nodeName"]
    zone = None if node is None else (node["metadata"].get("labels") or {}).get("topology.kubernetes.io/zone")
    if zone:
        endpoint["zone"] = zone
    if behind.has_hostname(pod, service):
        endpoint["hostname"] = spec["hostname"]
    return endpoint


def _made(service: Object, ports: Sequence[Object], kind: str) -> Object:
    metadata = service["metadata"]
    labels, _ = _labels({"metadata": {}}, service)
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "generateName": behind.slice_prefix(metadata["name"]), "namespace": metadata["namespace"],
            "labels": labels, "ownerReferences": [controller_reference("v1", "Service", service)],
        },
        "addressType": kind, "endpoints": [], "ports": list(ports),
    }  # fmt: skip


def _labels(piece: Object, service: Object) -> tuple[dict[str, str], bool]:
    """The labels the slice should have; and whether the service's are others. Source: setEndpointSliceLabels."""
    given: Mapping[str, str] = piece["metadata"].get("labels") or {}
    before = {name: value for name, value in given.items() if name not in RESERVED}
    told: Mapping[str, str] = service["metadata"].get("labels") or {}
    labels = {name: value for name, value in told.items() if name not in RESERVED}
    changed = before != labels
    if not behind.is_ip_set(service):
        labels[behind.HEADLESS] = ""
    labels[SERVICE_NAME] = service["metadata"]["name"]
    labels[MANAGED_BY] = OURS
    return labels, changed


def _is_placeholder(piece: Object, placeholder: Object) -> bool:
    return (
        not packing.endpoints_of(piece) and not piece.get("ports")
        and piece["metadata"].get("labels") == placeholder["metadata"]["labels"]
        and piece["metadata"].get("ownerReferences") == placeholder["metadata"]["ownerReferences"]
    )  # fmt: skip


def _written(
    service: Object, changes: packing.Changes, trigger: str | None
) -> Generator[Sequence[Action], list[Outcome], str]:
    """The slices are written; what failed, "" where nothing did. Source: finalize."""
    metadata = service["metadata"]
    key = f"{metadata['namespace']}/{metadata['name']}"
    left: list[Object] = []
    for piece in changes.delete:
        if (
            changes.create
            and piece["addressType"] == changes.create[-1]["addressType"]
            and _is_owned(piece, service)
        ):
            taken = changes.create.pop()
            name = piece["metadata"]["name"]
            changes.update.append({**taken, "metadata": {**taken["metadata"], "name": name}})
        else:
            left.append(piece)
    if "deletionTimestamp" not in metadata and changes.create:
        outcomes = yield [Create(RESOURCE, _stamped(piece, trigger)) for piece in changes.create]
        for outcome in outcomes:
            if isinstance(outcome, ApiError):
                if is_terminating(outcome):
                    return ""
                return f"failed to create EndpointSlice for Service {key}: {outcome}"
    if changes.update:
        outcomes = yield [Update(RESOURCE, _stamped(piece, trigger)) for piece in changes.update]
        for piece, outcome in zip(changes.update, outcomes, strict=True):
            if isinstance(outcome, ApiError):
                name = piece["metadata"]["name"]
                return f"failed to update {name} EndpointSlice for Service {key}: {outcome}"
    if left:
        outcomes = yield [_delete(piece) for piece in left]
        for piece, outcome in zip(left, outcomes, strict=True):
            if isinstance(outcome, ApiError):
                name = piece["metadata"]["name"]
                return f"failed to delete {name} EndpointSlice for Service {key}: {outcome}"
    return ""


def _delete(piece: Object) -> Delete:
    metadata = piece["metadata"]
    return Delete(RESOURCE, metadata["namespace"], metadata["name"], metadata["uid"])


def _stamped(piece: Object, trigger: str | None) -> Object:
    annotations = dict(piece["metadata"].get("annotations") or {})
    annotations.pop(behind.LAST_CHANGE, None)
    if trigger is not None:
        annotations[behind.LAST_CHANGE] = trigger
    metadata = {**piece["metadata"], "annotations": annotations}
    if not annotations:
        del metadata["annotations"]
    return packing.sent({**piece, "metadata": metadata})
