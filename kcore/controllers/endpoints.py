"""The pods behind each service are in the Endpoints of its name, a thousand at most.

Source: pkg/controller/endpoint of Kubernetes 1.36.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from kcore.api.status import ApiError
from kcore.controllers import service_pods as behind
from kcore.controllers.contract import (
    Controller,
    Create,
    Delete,
    Failed,
    Key,
    Later,
    Object,
    Steps,
    Tell,
    Update,
    View,
    Watched,
    done,
)
from kcore.controllers.endpoint_subsets import repacked
from kcore.controllers.pods import is_ready
from kcore.controllers.refusals import is_terminating

ADDRESSES_MAX: Final = 1000  # of an Endpoints object (maxCapacity)
OVER_CAPACITY: Final = "endpoints.kubernetes.io/over-capacity"
MANAGED_BY: Final = "endpoints.kubernetes.io/managed-by"
OURS: Final = "endpoint-controller"
LEADER: Final = "control-plane.alpha.kubernetes.io/leader"


class Endpoints(Controller):
    """``endpoints-controller``. ``batch_ms``: how long changes of pods are gathered."""

    name: ClassVar = "endpoints-controller"
    aliases: ClassVar = ("endpoint",)
    component: ClassVar = "endpoint-controller"
    workers: ClassVar[int] = 5

    def __init__(self, *, batch_ms: int = 0) -> None:
        self._batch_ms = batch_ms
        self._times = behind.TriggerTimes()

    @property
    def watches(self) -> Sequence[Watched]:
        """Services, their pods, and endpoints that go."""
        return (
            Watched("services", behind.service_keys),
            Watched("pods", self._pod_keys),
            Watched("endpoints", self._endpoints_keys),
        )

    def _pod_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key | Later]:
        for key in behind.pod_keys(old, new, view):
            wait_ms = max(self._batch_ms, self._times.wait_ms(key))
            yield Later(key, wait_ms) if wait_ms else key

    def _endpoints_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        return (behind.key_of(old),) if new is None and old is not None else ()

    def at_start(self, view: View, now_ms: int) -> Iterable[Key]:
        """Endpoints whose service went while nobody watched. Source: checkLeftoverEndpoints."""
        for found in view.list("endpoints"):
            if LEADER not in (found["metadata"].get("annotations") or {}):
                yield behind.key_of(found)

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The endpoints are the service's pods."""
        service = view.get("services", key.namespace, key.name)
        current = view.get("endpoints", key.namespace, key.name)
        if service is None:
            self._times.forget(key)
            if current is not None:
                done((yield [Delete("endpoints", key.namespace, key.name, current["metadata"]["uid"])]))
            return None
        if not behind.has_endpoints(service):
            return None
        pods = behind.selected(service, view)
        trigger = self._times.next(service, pods)
        subsets = repacked(_subsets(service, pods))
        if current is not None and _is_right(current, subsets, service):
            return None
        wanted = _made(service, current, subsets, trigger)
        (outcome,) = yield [Create("endpoints", wanted) if current is None else Update("endpoints", wanted)]
        if not isinstance(outcome, ApiError):
            return None
        if current is None:
            if is_terminating(outcome):
                return None
            reason, text = "FailedToCreateEndpoint", f"Failed to create endpoint for service {key}: {outcome}"
        else:
            reason, text = "FailedToUpdateEndpoint", f"Failed to update endpoint {key}: {outcome}"
        yield [Tell(wanted, "Warning", reason, text)]
        raise Failed(str(outcome)) from outcome


def _subsets(service: Object, pods: Iterable[Object]) -> Iterable[Object]:
    """One for each pod and port."""
    spec = service["spec"]
    publishes = spec.get("publishNotReadyAddresses", False)
    for pod in pods:
        if not behind.belongs(pod, includes_terminating=publishes):
            continue
        address = _address(service, pod)
        if address is None:
            continue
        name = "addresses" if publishes or is_ready(pod) else "notReadyAddresses"
        if not spec.get("ports"):
            if spec.get("clusterIP") == "None":
                yield {name: [address], "ports": []}
            continue
        for port in spec["ports"]:
            number = behind.find_port(pod, port)
            if number is not None:
                made = {
                    "name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP"),
                    "appProtocol": port.get("appProtocol"),
                }  # fmt: skip
                yield {name: [address], "ports": [made]}


def _address(service: Object, pod: Object) -> Object | None:
    """The pod's first of the service's first family. Source: podToEndpointAddressForService."""
    spec, metadata = service["spec"], pod["metadata"]
    told = spec.get("ipFamilies")
    if told:
        family = told[0]
    else:
        text = spec["clusterIP"] if behind.is_ip_set(service) else pod["status"].get("podIP", "")
        read = behind.read_ip(text)
        family = read[1] if read is not None else "IPv4"
    read_all = (behind.read_ip(ip) for ip in behind.pod_ips(pod))
    ip = next((each[0] for each in read_all if each is not None and each[1] == family), None)
    if ip is None:
        return None
    address: dict[str, Any] = {
        "ip": ip, "nodeName": pod["spec"].get("nodeName", ""),
        "targetRef": {
            "kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"],
        },
    }  # fmt: skip
    if behind.has_hostname(pod, service):
        address["hostname"] = pod["spec"]["hostname"]
    return address


def _is_right(current: Object, subsets: Sequence[Object], service: Object) -> bool:
    """Nothing is to be written."""
    there = [_without_versions(subset) for subset in current.get("subsets") or ()]
    if there != subsets and repacked(there) != subsets:
        return False
    count = sum(
        len(subset.get("addresses") or ()) + len(subset.get("notReadyAddresses") or ()) for subset in there
    )
    annotations = current["metadata"].get("annotations") or {}
    return count <= ADDRESSES_MAX and OVER_CAPACITY not in annotations and _is_labelled(current, service)


def _is_labelled(current: Object, service: Object) -> bool:
    labels: Mapping[str, str] = current["metadata"].get("labels") or {}
    rest = {name: value for name, value in labels.items() if name not in (MANAGED_BY, behind.HEADLESS)}
    return labels.get(MANAGED_BY) == OURS and rest == (service["metadata"].get("labels") or {})


def _without_versions(subset: Object) -> Object:
    made = dict(subset)
    for name in ("addresses", "notReadyAddresses"):
        if made.get(name):
            made[name] = [
                {**address, "targetRef": _unversioned(address["targetRef"])}
                if address.get("targetRef")
                else address
                for address in made[name]
            ]
        else:
            made.pop(name, None)
    return made


def _unversioned(reference: Object) -> Object:
    return {name: value for name, value in reference.items() if name != "resourceVersion"}


def _made(service: Object, current: Object | None, subsets: Sequence[Object], trigger: str | None) -> Object:
    metadata = (
        dict(current["metadata"])
        if current is not None
        else {"name": service["metadata"]["name"], "namespace": service["metadata"]["namespace"]}
    )
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop(behind.LAST_CHANGE, None)
    annotations.pop(OVER_CAPACITY, None)
    if trigger is not None:
        annotations[behind.LAST_CHANGE] = trigger
    kept = truncated(subsets)
    if kept is not subsets:
        annotations[OVER_CAPACITY] = "truncated"
    labels = dict(service["metadata"].get("labels") or {})
    labels.pop(behind.HEADLESS, None)
    if not behind.is_ip_set(service):
        labels[behind.HEADLESS] = ""
    labels[MANAGED_BY] = OURS
    metadata["annotations"], metadata["labels"] = annotations, labels
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": list(kept)}


def truncated(subsets: Sequence[Object]) -> Sequence[Object]:
    """A thousand addresses, ready ones first, from each subset its share. Source: truncateEndpoints."""
    ready = sum(len(subset.get("addresses") or ()) for subset in subsets)
    waiting = sum(len(subset.get("notReadyAddresses") or ()) for subset in subsets)
    if ready + waiting <= ADDRESSES_MAX:
        return subsets
    cuts_ready = ready > ADDRESSES_MAX
    room, total = (ADDRESSES_MAX, ready) if cuts_ready else (ADDRESSES_MAX - ready, waiting)
    name = "addresses" if cuts_ready else "notReadyAddresses"
    left = room
    made = []
    for subset in subsets:
        there = subset.get(name) or []
        kept = there[: min(math.ceil(len(there) / total * room), left)]
        left -= len(kept)
        cut = {field: value for field, value in subset.items() if field != name}
        if cuts_ready:
            cut.pop("notReadyAddresses", None)
        made.append({name: kept, **cut} if kept else cut)
    return made
