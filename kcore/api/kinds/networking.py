"""NetworkPolicies, IPAddresses and ServiceCIDRs.

Sources, Kubernetes 1.36: pkg/apis/networking/validation/validation.go, pkg/apis/networking/v1/defaults.go,
pkg/registry/networking/{networkpolicy,ipaddress,servicecidr}/strategy.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import FieldError, Struct, forbidden, invalid, not_supported, required
from kcore.api.kinds.addresses import (
    cidr_warnings,
    is_ipv4,
    parse_cidr,
    validate_cidr,
    validate_cidr_of_legacy_field,
    validate_ip,
)
from kcore.api.kinds.metadata import IMMUTABLE, validate_label_selector
from kcore.api.kinds.names import dns1123_subdomain, faults, path_segment, port_name, port_number
from kcore.api.kinds.updates import (
    count_generation,
    keep,
    keep_metadata_for_status,
    semantically_equal,
    validate_named,
    validate_named_update,
)
from kcore.api.strategy import Context, Strategy, UpdateStrategy, always

Object = dict[str, Any]

PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
POLICY_TYPES: Final = ("Ingress", "Egress")
_SIDES: Final = (("ingress", "from"), ("egress", "to"))


# NetworkPolicies


def _rules(spec: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], str]]:
    """Path, rule and the name of its peers."""
    return [
        (f"spec.{side}[{index}]", rule, peers)
        for side, peers in _SIDES
        for index, rule in enumerate(spec.get(side) or ())
    ]


def _blocks(spec: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (f"{path}.{peers}[{index}].ipBlock", peer["ipBlock"])
        for path, rule, peers in _rules(spec)
        for index, peer in enumerate(rule.get(peers) or ())
        if peer.get("ipBlock") is not None
    ]


def _default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    for _, rule, _ in _rules(spec):
        for port in rule.get("ports") or ():
            if port.get("protocol") is None:
                port["protocol"] = "TCP"
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _prepare_for_create(obj: Object, _: Context) -> None:
    obj["metadata"]["generation"] = 1


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    count_generation(obj, old, obj["spec"] != old["spec"])


def _validate_port(port: Mapping[str, Any], path: str, errors: list[FieldError]) -> None:
    protocol, number, end = (port.get(name) for name in ("protocol", "port", "endPort"))
    if protocol is not None and protocol not in PROTOCOLS:
        errors.append(not_supported(f"{path}.protocol", protocol, PROTOCOLS))
    if number is None:
        if end is not None:
            detail = "may not be specified when `port` is not specified"
            errors.append(invalid(f"{path}.endPort", end, detail))
    elif isinstance(number, str):
        if end is not None:
            detail = "may not be specified when `port` is non-numeric"
            errors.append(invalid(f"{path}.endPort", end, detail))
        errors += faults(f"{path}.port", number, port_name(number))
    else:
        errors += faults(f"{path}.port", number, port_number(number))
        if end is not None:
            if end < number:
                detail = "must be greater than or equal to `port`"
                errors.append(invalid(f"{path}.endPort", number, detail))
            errors += faults(f"{path}.endPort", end, port_number(end))


def _validate_block(
    block: Mapping[str, Any], path: str, known: Sequence[str], errors: list[FieldError]
) -> None:
    text = block.get("cidr") or ""
    if not text:
        errors.append(required(f"{path}.cidr"))
        return
    errors += validate_cidr_of_legacy_field(f"{path}.cidr", text, old=known)
    network = parse_cidr(text)
    if network is None:
        return
    for index, excepted in enumerate(block.get("except") or ()):
        at = f"{path}.except[{index}]"
        errors += validate_cidr_of_legacy_field(at, excepted, old=known)
        inner = parse_cidr(excepted)
        if inner is not None and (inner.base not in network or network.prefix >= inner.prefix):
            errors.append(invalid(at, excepted, "must be a strict subset of `cidr`"))


def _validate_peer(
    peer: Mapping[str, Any], path: str, allow: bool, known: Sequence[str], errors: list[FieldError]
) -> None:
    given = [name for name in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(name) is not None]
    for name in given:
        if name == "ipBlock":
            _validate_block(peer[name], f"{path}.{name}", known, errors)
        else:
            errors += validate_label_selector(peer[name], f"{path}.{name}", allow_invalid_values=allow)
    if not given:
        errors.append(required(path, "must specify a peer"))
    elif len(given) > 1 and "ipBlock" in given:
        errors.append(forbidden(path, "may not specify both ipBlock and another peer"))


def _validate_policy(spec: Mapping[str, Any], allow: bool, known: Sequence[str] = ()) -> list[FieldError]:
    selector = spec.get("podSelector")
    errors = validate_label_selector(selector, "spec.podSelector", allow_invalid_values=allow)
    for path, rule, peers in _rules(spec):
        for index, port in enumerate(rule.get("ports") or ()):
            _validate_port(port, f"{path}.ports[{index}]", errors)
        for index, peer in enumerate(rule.get(peers) or ()):
            _validate_peer(peer, f"{path}.{peers}[{index}]", allow, known, errors)
    kinds = spec.get("policyTypes") or ()
    if len(kinds) > len(POLICY_TYPES):
        detail = "may not specify more than two policyTypes"
        return [*errors, invalid("spec.policyTypes", kinds, detail)]
    return errors + [
        not_supported(f"spec.policyTypes[{index}]", kind, POLICY_TYPES)
        for index, kind in enumerate(kinds)
        if kind not in POLICY_TYPES
    ]


def _validate(obj: Object, _: Context) -> list[FieldError]:
    return validate_named(obj) + _validate_policy(obj["spec"], False)


def _validate_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    before = old["spec"]
    allow = bool(validate_label_selector(before.get("podSelector"), ""))
    known = [
        text
        for _, block in _blocks(before)
        for text in (block.get("cidr") or "", *(block.get("except") or ()))
    ]
    return validate_named_update(obj, old) + _validate_policy(obj["spec"], allow, known)


def _warnings(obj: Object, *_: Any) -> list[str]:
    warnings = []
    for path, block in _blocks(obj["spec"]):
        warnings += cidr_warnings(f"{path}.cidr", block.get("cidr") or "")
        for index, text in enumerate(block.get("except") or ()):
            warnings += cidr_warnings(f"{path}.except[{index}]", text)
    return warnings


# IPAddresses


def _name_is_address(name: str, _: bool = False) -> tuple[str, ...]:
    return tuple(error.detail for error in validate_ip("", name))


def _validate_address(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj, _name_is_address, namespaced=False)
    path = "spec.parentRef"
    parent = (obj.get("spec") or {}).get("parentRef")
    if parent is None:
        return [*errors, required(path)]
    if group := parent.get("group"):
        errors += faults(f"{path}.group", group, dns1123_subdomain(group))
    for name in ("resource", "name", "namespace"):
        if value := parent.get(name):
            errors += faults(f"{path}.{name}", value, path_segment(value))
        elif name != "namespace":
            errors.append(required(f"{path}.{name}"))
    return errors


def _validate_address_update(obj: Object, old: Object, context: Context) -> list[FieldError]:
    errors = _validate_address(obj, context) + validate_named_update(obj, old)
    parent = (obj.get("spec") or {}).get("parentRef")
    if not semantically_equal(parent, (old.get("spec") or {}).get("parentRef")):
        names = ("group", "resource", "namespace", "name")
        shown = Struct({name.capitalize(): parent.get(name) or "" for name in names}) if parent else None
        errors.append(invalid("spec.parentRef", shown, IMMUTABLE))
    return errors


# ServiceCIDRs


def _prepare_range(obj: Object, _: Context) -> None:
    obj["status"] = {}


def _prepare_range_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")


def _prepare_range_status(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "spec")
    keep_metadata_for_status(obj, old)


def _validate_ranges(obj: Object) -> list[FieldError]:
    cidrs, path = (obj.get("spec") or {}).get("cidrs") or [], "spec.cidrs"
    if not cidrs:
        return [required(path, "at least one CIDR required")]
    if len(cidrs) > 2:
        return [invalid(path, Struct(CIDRs=cidrs), "may only hold up to 2 values")]
    errors: list[FieldError] = []
    for index, text in enumerate(cidrs):
        errors += validate_cidr(f"{path}[{index}]", text)
    blocks = [block for text in cidrs if (block := parse_cidr(text)) is not None]
    if len(blocks) == 2 and is_ipv4(blocks[0].address) == is_ipv4(blocks[1].address):
        detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        errors.append(invalid(path, cidrs, detail))
    return errors


def _validate_range(obj: Object, _: Context) -> list[FieldError]:
    return validate_named(obj, namespaced=False) + _validate_ranges(obj)


def _validate_range_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    cidrs, had = ((each.get("spec") or {}).get("cidrs") or [] for each in (obj, old))
    if len(cidrs) == len(had):
        errors += [
            invalid(f"spec.cidrs[{index}]", cidrs[index], IMMUTABLE)
            for index, text in enumerate(had)
            if text != cidrs[index]
        ]
    elif len(had) == 1 and len(cidrs) == 2:
        if cidrs[0] != had[0]:
            errors.append(invalid("spec.cidrs[0]", cidrs[0], IMMUTABLE))
        errors += _validate_ranges(obj)
    else:
        errors.append(invalid("spec.cidrs", cidrs or None, IMMUTABLE))
    return errors


def _validate_range_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    return validate_named_update(obj, old)


NETWORK_POLICY: Final = Strategy(
    default=_default,
    prepare_for_create=_prepare_for_create,
    validate=_validate,
    warnings=_warnings,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_update,
    warnings_on_update=_warnings,
    only_named=always,
)
IP_ADDRESS: Final = Strategy(validate=_validate_address, validate_update=_validate_address_update)
SERVICE_CIDR: Final = Strategy(
    prepare_for_create=_prepare_range,
    validate=_validate_range,
    prepare_for_update=_prepare_range_update,
    validate_update=_validate_range_update,
    reset_fields=("status",),
    subresources=MappingProxyType(
        {
            "status": UpdateStrategy(
                _prepare_range_status, _validate_range_status, reset_fields=("metadata", "spec")
            )
        }
    ),
)
