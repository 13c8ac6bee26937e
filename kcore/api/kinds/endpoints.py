"""Endpoints and EndpointSlices.

Sources, Kubernetes 1.36: pkg/apis/core/validation/validation.go (ValidateEndpoints),
pkg/apis/discovery/validation/validation.go, pkg/registry/{core/endpoint,discovery/endpointslice}/strategy.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kcore.api.field import FieldError, duplicate, internal, invalid, not_supported, required, too_many
from kcore.api.kinds.addresses import (
    ip_warnings,
    is_ipv4,
    parse_ip,
    validate_ip,
    validate_ip_of_legacy_field,
)
from kcore.api.kinds.metadata import validate_labels
from kcore.api.kinds.names import (
    dns1123_label,
    dns1123_subdomain,
    faults,
    fully_qualified_domain_name,
    label_value,
    port_number,
)
from kcore.api.kinds.service_addresses import validate_endpoint_ip
from kcore.api.kinds.services import validate_app_protocol, validate_protocol
from kcore.api.kinds.updates import (
    semantically_equal,
    validate_named,
    validate_named_update,
    validate_unchanged,
)
from kcore.api.strategy import Context, Strategy

Object = dict[str, Any]

ENDPOINTS_MAX: Final = 1000
ADDRESSES_MAX: Final = 100
PORTS_MAX: Final = 20_000
TOPOLOGY_LABELS_MAX: Final = 16
ZONE_HINTS_MAX: Final = 8
NODE_HINTS_MAX: Final = 8
ADDRESS_TYPES: Final = ("FQDN", "IPv4", "IPv6")
HOST_LABEL: Final = "kubernetes.io/hostname"
ZONE_LABEL: Final = "topology.kubernetes.io/zone"


# Endpoints


def _default_endpoints(obj: Object) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            if not port.get("protocol"):
                port["protocol"] = "TCP"


def _validate_address(address: Mapping[str, Any], path: str, errors: list[FieldError]) -> None:
    text = address.get("ip") or ""
    errors += validate_ip_of_legacy_field(f"{path}.ip", text)
    if host := address.get("hostname"):
        errors += faults(f"{path}.hostname", host, dns1123_label(host))
    if (node := address.get("nodeName")) is not None:
        errors += faults(f"{path}.nodeName", node, dns1123_subdomain(node))
    errors += validate_endpoint_ip(f"{path}.ip", text)


def _validate_subsets(subsets: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, subset in enumerate(subsets):
        at = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            errors.append(required(at, "must specify `addresses` or `notReadyAddresses`"))
        for side in ("addresses", "notReadyAddresses"):
            for place, address in enumerate(subset.get(side) or ()):
                _validate_address(address, f"{at}.{side}[{place}]", errors)
        ports = subset.get("ports") or ()
        for place, port in enumerate(ports):
            where, name = f"{at}.ports[{place}]", port.get("name") or ""
            if name:
                errors += faults(f"{where}.name", name, dns1123_label(name))
            elif len(ports) > 1:
                errors.append(required(f"{where}.name"))
            number = port.get("port") or 0
            errors += faults(f"{where}.port", number, port_number(number))
            errors += validate_protocol(port.get("protocol") or "", f"{where}.protocol")
            errors += validate_app_protocol(port.get("appProtocol"), f"{where}.appProtocol")
    return errors


def _validate_endpoints(obj: Object, _: Context) -> list[FieldError]:
    return validate_named(obj) + _validate_subsets(obj.get("subsets") or ())


def _validate_endpoints_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old) + validate_named(obj)
    found = _validate_subsets(obj.get("subsets") or ())
    return errors if semantically_equal(obj.get("subsets"), old.get("subsets")) else errors + found


def _endpoints_warnings(obj: Object, *_: Any) -> list[str]:
    labels = obj["metadata"].get("labels") or {}
    if labels.get("endpoints.kubernetes.io/managed-by") == "endpoint-controller":
        return []
    return [
        warning
        for index, subset in enumerate(obj.get("subsets") or ())
        for side in ("addresses", "notReadyAddresses")
        for place, address in enumerate(subset.get(side) or ())
        for warning in ip_warnings(f"subsets[{index}].{side}[{place}].ip", address.get("ip") or "")
    ]


# EndpointSlices


def _default_slice(obj: Object) -> None:
    for port in obj.get("ports") or ():
        if port.get("name") is None:
            port["name"] = ""
        if port.get("protocol") is None:
            port["protocol"] = "TCP"


def _drop_topology(obj: Object, old: Object | None) -> None:
    """The v1 API cannot write it; a node's name in it is kept as ``nodeName``."""
    had = (old.get("endpoints") or ()) if old is not None else ()
    known = {(each.get("deprecatedTopology") or {}).get(HOST_LABEL) for each in had}
    for endpoint in obj.get("endpoints") or ():
        topology = endpoint.pop("deprecatedTopology", None) or {}
        name = topology.get(HOST_LABEL)
        if name and endpoint.get("nodeName") is None and name in known and not dns1123_subdomain(name):
            endpoint["nodeName"] = name


def _prepare_slice(obj: Object, _: Context) -> None:
    obj["metadata"]["generation"] = 1
    _drop_topology(obj, None)


def _prepare_slice_update(obj: Object, old: Object, _: Context) -> None:
    metadata, before = obj["metadata"], old["metadata"]
    changed = not semantically_equal(metadata.get("labels"), before.get("labels")) or any(
        not semantically_equal(obj.get(name), old.get(name)) for name in ("addressType", "endpoints", "ports")
    )
    if changed:
        metadata["generation"] = (before.get("generation") or 0) + 1
    if not semantically_equal(obj.get("endpoints"), old.get("endpoints")):
        _drop_topology(obj, old)


def _validate_slice_address(text: str, kind: str, path: str, index: int) -> list[FieldError]:
    at = f"{path}[{index}]"
    if kind == "FQDN":
        return fully_qualified_domain_name(at, text)
    if kind not in ("IPv4", "IPv6"):
        return []
    errors = validate_ip_of_legacy_field(at, text) if kind == "IPv4" else validate_ip(at, text)
    if errors:
        return errors
    address = parse_ip(text)
    if address is None or is_ipv4(address) != (kind == "IPv4"):
        errors.append(invalid(path, text, f"must be an {kind} address"))
    return errors + validate_endpoint_ip(at, text)


def _validate_hints(hints: Mapping[str, Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    rules = (
        ("forZones", ZONE_HINTS_MAX, label_value),
        ("forNodes", NODE_HINTS_MAX, dns1123_subdomain),
    )
    for side, count_max, rule in rules:
        listed = hints.get(side) or ()
        if len(listed) > count_max:
            errors.append(too_many(f"{path}.{side}", len(listed), count_max))
            return errors
        seen = set()
        for index, hint in enumerate(listed):
            at, name = f"{path}.{side}[{index}].name", hint.get("name") or ""
            if name in seen:
                errors.append(duplicate(at, name))
            seen.add(name)
            errors += faults(at, name, rule(name))
    return errors


def _validate_slice_endpoints(endpoints: Sequence[Mapping[str, Any]], kind: str) -> list[FieldError]:
    if len(endpoints) > ENDPOINTS_MAX:
        return [too_many("endpoints", len(endpoints), ENDPOINTS_MAX)]
    errors: list[FieldError] = []
    for index, endpoint in enumerate(endpoints):
        at = f"endpoints[{index}]"
        addresses = endpoint.get("addresses") or ()
        if not addresses:
            errors.append(required(f"{at}.addresses", "must contain at least 1 address"))
        elif len(addresses) > ADDRESSES_MAX:
            errors.append(too_many(f"{at}.addresses", len(addresses), ADDRESSES_MAX))
        for place, text in enumerate(addresses):
            errors += _validate_slice_address(text, kind, f"{at}.addresses", place)
        if (node := endpoint.get("nodeName")) is not None:
            errors += faults(f"{at}.nodeName", node, dns1123_subdomain(node))
        topology, path = endpoint.get("deprecatedTopology") or {}, f"{at}.deprecatedTopology"
        if len(topology) > TOPOLOGY_LABELS_MAX:
            errors.append(too_many(path, len(topology), TOPOLOGY_LABELS_MAX))
        errors += validate_labels(topology, path)
        if ZONE_LABEL in topology:
            errors.append(internal(f"{path}[{ZONE_LABEL}]", "reserved key was not removed in conversion"))
        if (host := endpoint.get("hostname")) is not None:
            errors += faults(f"{at}.hostname", host, dns1123_label(host))
        if (hints := endpoint.get("hints")) is not None:
            errors += _validate_hints(hints, f"{at}.hints")
    return errors


def _validate_slice_ports(ports: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    if len(ports) > PORTS_MAX:
        return [too_many("ports", len(ports), PORTS_MAX)]
    errors: list[FieldError] = []
    seen = set()
    for index, port in enumerate(ports):
        at, name = f"ports[{index}]", port.get("name") or ""
        if name:
            errors += faults(f"{at}.name", name, dns1123_label(name))
        if name in seen:
            errors.append(duplicate(f"{at}.name", name))
        seen.add(name)
        protocol = port.get("protocol")
        if protocol is None:
            errors.append(required(f"{at}.protocol"))
        elif protocol not in ("SCTP", "TCP", "UDP"):
            errors.append(not_supported(f"{at}.protocol", protocol, ("SCTP", "TCP", "UDP")))
        errors += validate_app_protocol(port.get("appProtocol"), f"{at}.appProtocol")
    return errors


def _validate_rest_of_slice(obj: Object) -> list[FieldError]:
    errors = validate_named(obj)
    kind = obj.get("addressType") or ""
    if not kind:
        errors.append(required("addressType"))
    elif kind not in ADDRESS_TYPES:
        errors.append(not_supported("addressType", kind, ADDRESS_TYPES))
    return errors + _validate_slice_ports(obj.get("ports") or ())


def _validate_slice(obj: Object, _: Context) -> list[FieldError]:
    errors = _validate_rest_of_slice(obj)
    return errors + _validate_slice_endpoints(obj.get("endpoints") or (), obj.get("addressType") or "")


def _validate_slice_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = _validate_rest_of_slice(obj)
    found = _validate_slice_endpoints(obj.get("endpoints") or (), obj.get("addressType") or "")
    if not semantically_equal(obj.get("endpoints"), old.get("endpoints")):
        errors += found
    return errors + validate_unchanged(obj.get("addressType"), old.get("addressType"), "addressType")


def _slice_address_warnings(obj: Object, *_: Any) -> list[str]:
    controller = (obj["metadata"].get("labels") or {}).get("endpointslice.kubernetes.io/managed-by")
    if controller in (
        "endpointslice-controller.k8s.io",
        "endpointslicemirroring-controller.k8s.io",
    ):
        return []
    return [
        warning
        for index, endpoint in enumerate(obj.get("endpoints") or ())
        for place, text in enumerate(endpoint.get("addresses") or ())
        for warning in ip_warnings(f"endpoints[{index}].addresses[{place}]", text)
    ]


def _slice_warnings(obj: Object, _: Context) -> list[str]:
    named = obj.get("addressType") == "FQDN"
    deprecated = ["spec.addressType: FQDN endpoints are deprecated"] if named else []
    return deprecated + _slice_address_warnings(obj)


ENDPOINTS: Final = Strategy(
    default=_default_endpoints,
    validate=_validate_endpoints,
    warnings=_endpoints_warnings,
    validate_update=_validate_endpoints_update,
    warnings_on_update=_endpoints_warnings,
    allow_create_on_update=True,
)
ENDPOINT_SLICE: Final = Strategy(
    default=_default_slice,
    prepare_for_create=_prepare_slice,
    validate=_validate_slice,
    warnings=_slice_warnings,
    prepare_for_update=_prepare_slice_update,
    validate_update=_validate_slice_update,
    warnings_on_update=_slice_address_warnings,
)
