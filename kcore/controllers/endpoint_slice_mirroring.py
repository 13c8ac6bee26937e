"""Endpoints that somebody wrote for a service without a selector are mirrored in endpoint slices.

Source: pkg/controller/endpointslicemirroring of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
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
    Object,
    Outcome,
    Steps,
    Tell,
    Update,
    View,
    Watched,
)
from kcore.controllers.endpoint_slice import MANAGED_BY, RESOURCE, SERVICE_NAME, by_service, slice_keys
from kcore.controllers.endpoint_subsets import repacked
from kcore.controllers.endpoints import LEADER
from kcore.controllers.owners import controller_reference
from kcore.controllers.refusals import is_terminating

OURS: Final = "endpointslicemirroring-controller.k8s.io"
SKIP: Final = "endpointslice.kubernetes.io/skip-mirror"
ENDPOINTS_MAX: Final = 1000  # of a subset (--mirroring-max-endpoints-per-subset)
NOT_MIRRORED: Final = (behind.LAST_CHANGE, "kubectl.kubernetes.io/last-applied-configuration")
PortsKey = tuple[str, packing.Identity]


class EndpointSliceMirroring(Controller):
    """``endpointslice-mirroring-controller``."""

    name: ClassVar = "endpointslice-mirroring-controller"
    aliases: ClassVar = ("endpointslicemirroring",)
    component: ClassVar = "endpoint-slice-mirroring-controller"
    workers: ClassVar[int] = 5

    def __init__(self, *, endpoints_max: int = ENDPOINTS_MAX) -> None:
        self._endpoints_max = endpoints_max

    @property
    def watches(self) -> Sequence[Watched]:
        """Endpoints, services without a selector, and the mirrored slices."""
        return (
            Watched("endpoints", _endpoints_keys),
            Watched("services", _service_keys),
            Watched(RESOURCE, lambda old, new, view: slice_keys(old, new, OURS), {"service": by_service}),
        )

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The slices say what the endpoints say, or there are none."""
        existing = [
            piece
            for piece in view.by(RESOURCE, "service", str(key))
            if piece["metadata"]["labels"].get(MANAGED_BY) == OURS
        ]
        endpoints = view.get("endpoints", key.namespace, key.name)
        service = view.get("services", key.namespace, key.name)
        if (
            endpoints is None
            or not _is_mirrored(endpoints)
            or service is None
            or service["spec"].get("selector")
        ):
            outcomes = (yield [_delete(piece) for piece in existing]) if existing else []
            errors = [each for each in outcomes if isinstance(each, ApiError)]
            if errors:
                raise Failed(
                    f"error(s) deleting {len(errors)}/{len(existing)} EndpointSlices for {key} Endpoints, including: "
                    f"{errors[0]}"
                )
            return None
        desired, ports, told = _desired(endpoints, self._endpoints_max)
        if told:
            yield told
        there: dict[PortsKey, list[Object]] = {}
        for piece in existing:
            there.setdefault((piece["addressType"], packing.ports_key(piece.get("ports"))), []).append(piece)
        changes = packing.Changes()
        for ports_key, wanted in desired.items():
            of_key = there.pop(ports_key, [])
            _add(changes, endpoints, of_key, wanted, ports[ports_key], ports_key[0], self._endpoints_max)
        for pieces in there.values():
            changes.delete += pieces
        yield from _written(endpoints, changes)
        return None


def _is_mirrored(endpoints: Object) -> bool:
    metadata = endpoints["metadata"]
    return (metadata.get("labels") or {}).get(SKIP) != "true" and LEADER not in (
        metadata.get("annotations") or {}
    )


def _endpoints_keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    versions = [each for each in (old, new) if each is not None]
    return (behind.key_of(versions[0]),) if any(_is_mirrored(each) for each in versions) else ()


def _service_keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    versions = [each for each in (old, new) if each is not None]
    selecting = [bool(each["spec"].get("selector")) for each in versions]
    concerns = selecting[0] != selecting[1] if len(versions) > 1 else not selecting[0]
    return (behind.key_of(versions[0]),) if concerns else ()


def _desired(
    endpoints: Object, count_max: int
) -> tuple[dict[PortsKey, dict[packing.Identity, Object]], dict[PortsKey, list[Object]], list[Action]]:
    """Endpoints by family and ports, those ports, and events about what is left out."""
    desired: dict[PortsKey, dict[packing.Identity, Object]] = {}
    ports_of: dict[PortsKey, list[Object]] = {}
    invalid = skipped = 0
    for subset in repacked(endpoints.get("subsets") or ()):
        ports = [_port(port) for port in subset.get("ports") or ()]
        ports_key = packing.ports_key(ports)
        for kind in ("IPv4", "IPv6"):
            desired.setdefault((kind, ports_key), {})
            ports_of[kind, ports_key] = ports
        added = total = 0
        for name, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(name) or ():
                total += 1
                if added >= count_max:
                    continue
                read = behind.read_ip(address["ip"])
                if read is None:
                    invalid += 1
                    continue
                endpoint = _endpoint(address, read[0], ready)
                desired[read[1], ports_key][packing.identity(endpoint)] = endpoint
                added += 1
        skipped += total - added
    told: list[Action] = []
    if invalid:
        text = f"Skipped {invalid} invalid IP addresses when mirroring to EndpointSlices"
        told.append(Tell(endpoints, "Warning", "InvalidIPAddress", text))
    if skipped > invalid:
        text = (
            f"A max of {count_max} addresses can be mirrored to EndpointSlices per Endpoints subset. {skipped} "
            "addresses were skipped"
        )
        told.append(Tell(endpoints, "Warning", "TooManyAddressesToMirror", text))
    return desired, ports_of, told


def _port(port: Object) -> Object:
    made = {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"), "port": port["port"]}
    return {**made, "appProtocol": port["appProtocol"]} if port.get("appProtocol") is not None else made


def _endpoint(address: Object, ip: str, ready: bool) -> Object:
    endpoint: dict[str, Any] = {"addresses": [ip], "conditions": {"ready": ready}}
    for name in ("targetRef", "nodeName"):
        if address.get(name) is not None:
            endpoint[name] = address[name]
    if address.get("hostname"):
        endpoint["hostname"] = address["hostname"]
    return endpoint


def _add(
    changes: packing.Changes, endpoints: Object, existing: Sequence[Object],
    desired: dict[packing.Identity, Object], ports: list[Object], kind: str, count_max: int,
) -> None:  # fmt: skip
    """One slice for each family and set of ports. Source: reconcileByPortMapping."""
    if not desired:
        changes.delete += existing
        return
    changes.delete += existing[1:]
    if existing and _is_right(endpoints, existing[0], desired):
        return
    name = existing[0]["metadata"]["name"] if existing else ""
    made = _made(endpoints, list(desired.values())[:count_max], ports, kind, name)
    (changes.update if name else changes.create).append(made)


def _is_right(endpoints: Object, piece: Object, desired: dict[packing.Identity, Object]) -> bool:
    there = packing.endpoints_of(piece)
    matches = 0
    for endpoint in there:
        wanted = desired.get(packing.identity(endpoint))
        if wanted is None or not packing.is_same(wanted, endpoint):
            return False
        matches += 1
    told, metadata = endpoints["metadata"], piece["metadata"]
    labels = {
        name: value
        for name, value in (metadata.get("labels") or {}).items()
        if name not in (MANAGED_BY, SERVICE_NAME)
    }
    stranger = any(
        each["kind"] == "Endpoints" and each["name"] == told["name"] and each["uid"] != told["uid"]
        for each in metadata.get("ownerReferences") or ()
    )
    return (
        matches == len(desired) and (told.get("labels") or {}) == labels
        and _annotations(endpoints) == (metadata.get("annotations") or {}) and not stranger
    )  # fmt: skip


def _annotations(endpoints: Object) -> dict[str, str]:
    return {
        name: value
        for name, value in (endpoints["metadata"].get("annotations") or {}).items()
        if name not in NOT_MIRRORED
    }


def _made(endpoints: Object, of: list[Object], ports: list[Object], kind: str, name: str) -> Object:
    told = endpoints["metadata"]
    metadata = {
        **({"name": name} if name else {"generateName": behind.slice_prefix(told["name"])}),
        "namespace": told["namespace"],
        "labels": {**(told.get("labels") or {}), SERVICE_NAME: told["name"], MANAGED_BY: OURS},
        "annotations": _annotations(endpoints),
        "ownerReferences": [controller_reference("v1", "Endpoints", endpoints)],
    }
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
        "addressType": kind, "endpoints": of, "ports": ports,
    }  # fmt: skip


def _written(endpoints: Object, changes: packing.Changes) -> Generator[Sequence[Action], list[Outcome], None]:
    """Slices that would go are used for those that would be made. Source: finalize, recycleSlices."""
    metadata = endpoints["metadata"]
    key = f"{metadata['namespace']}/{metadata['name']}"
    create: list[Object] = []
    for piece in changes.create:
        spare = next((each for each in changes.delete if each["addressType"] == piece["addressType"]), None)
        if spare is None:
            create.append(piece)
            continue
        changes.delete.remove(spare)
        named = {**piece["metadata"], "name": spare["metadata"]["name"]}
        changes.update.append({**piece, "metadata": named})
    steps: tuple[tuple[str, Sequence[Object], list[Action]], ...] = (
        ("update", changes.update, [Update(RESOURCE, packing.sent(piece)) for piece in changes.update]),
        ("delete", changes.delete, [_delete(piece) for piece in changes.delete]),
    )
    if create and "deletionTimestamp" not in metadata:
        for outcome in (yield [Create(RESOURCE, packing.sent(piece)) for piece in create]):
            if isinstance(outcome, ApiError):
                if is_terminating(outcome):
                    return
                raise Failed(f"failed to create EndpointSlice for Endpoints {key}: {outcome}") from outcome
    for verb, pieces, actions in steps:
        if not actions:
            continue
        for piece, outcome in zip(pieces, (yield actions), strict=True):
            if isinstance(outcome, ApiError):
                name = piece["metadata"]["name"]
                raise Failed(
                    f"failed to {verb} {name} EndpointSlice for Endpoints {key}: {outcome}"
                ) from outcome


def _delete(piece: Object) -> Delete:
    metadata = piece["metadata"]
    return Delete(RESOURCE, metadata["namespace"], metadata["name"], metadata["uid"])
