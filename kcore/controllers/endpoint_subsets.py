"""Subsets of Endpoints in their canonical form: addresses with the same ports together, in a fixed order.

Source: pkg/api/v1/endpoints/util.go of Kubernetes 1.36. The order of ports and of subsets is that of FNV-1a hashes of
Go's printed form of them, which ``_text`` writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kcore.controllers.contract import Object

FNV_OFFSET: Final = 0x6C62272E07BB014262B821756295C58D
FNV_PRIME: Final = 0x0000000001000000000000000000013B
MASK: Final = (1 << 128) - 1
REFERENCE: Final = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
Identity = tuple[str, str]
Port = tuple[str, int, str, str | None]


def fnv_128a(text: bytes) -> int:
    """FNV-1a in 128 bits."""
    number = FNV_OFFSET
    for byte in text:
        number = ((number ^ byte) * FNV_PRIME) & MASK
    return number


def repacked(subsets: Iterable[Object]) -> list[Object]:
    """The same endpoints in canonical form. Source: RepackSubsets."""
    addresses: dict[Identity, Object] = {}
    ready_by_port: dict[Port | None, dict[Identity, bool]] = {}
    for subset in subsets:
        given: Sequence[Port | None] = [_port(each) for each in subset.get("ports") or ()]
        for port in given or (None,):
            of_port = ready_by_port.setdefault(port, {})
            for name, ready in (("addresses", True), ("notReadyAddresses", False)):
                for address in subset.get(name) or ():
                    key = _identity(address)
                    addresses.setdefault(key, address)
                    of_port[key] = ready and of_port.get(key, True)
    ports_of: dict[frozenset[tuple[Identity, bool]], list[Port]] = {}
    for offered, states in ready_by_port.items():
        ports = ports_of.setdefault(frozenset(states.items()), [])
        if offered is not None:
            ports.append(offered)
    made = [_subset(states, ports, addresses) for states, ports in ports_of.items()]
    return sorted(made, key=subset_hash) if len(made) > 1 else made


def _port(port: Mapping[str, Any]) -> Port:
    return port.get("name", ""), port["port"], port.get("protocol", ""), port.get("appProtocol")


def _identity(address: Mapping[str, Any]) -> Identity:
    return address["ip"], (address.get("targetRef") or {}).get("uid", "")


def _subset(
    states: Iterable[tuple[Identity, bool]], ports: Sequence[Port], addresses: Mapping[Identity, Object]
) -> Object:
    ordered = sorted(states)
    ready = [addresses[key] for key, is_ready in ordered if is_ready]
    waiting = [addresses[key] for key, is_ready in ordered if not is_ready]
    if len(ports) > 1:
        ports = sorted(ports, key=lambda port: fnv_128a(_port_text(port, named=True).encode()))
    return {
        **({"addresses": ready} if ready else {}), **({"notReadyAddresses": waiting} if waiting else {}),
        **({"ports": [_port_object(port) for port in ports]} if ports else {}),
    }  # fmt: skip


def _port_object(port: Port) -> Object:
    name, number, protocol, app_protocol = port
    return {
        **({"name": name} if name else {}), "port": number, **({"protocol": protocol} if protocol else {}),
        **({"appProtocol": app_protocol} if app_protocol is not None else {}),
    }  # fmt: skip


# -- Go's printed form (dump.ForHash) -------------------------------------------------------------------------------


def _pointer(text: str | None) -> str:
    return f"(*string){'<nil>' if text is None else text}"


def _port_text(port: Port, *, named: bool) -> str:
    name, number, protocol, app_protocol = port
    text = (
        f"{{Name:(string){name} Port:(int32){number} Protocol:(v1.Protocol){protocol} "
        f"AppProtocol:{_pointer(app_protocol)}}}"
    )
    return "(v1.EndpointPort)" + text if named else text


def _address_text(address: Mapping[str, Any]) -> str:
    reference = address.get("targetRef")
    if reference is None:
        target = "(*v1.ObjectReference)<nil>"
    else:
        names = {"uid": "UID", "apiVersion": "APIVersion"}
        kinds = {"uid": "types.UID"}
        told = " ".join(
            f"{names.get(name, name[0].upper() + name[1:])}:({kinds.get(name, 'string')}){reference.get(name, '')}"
            for name in REFERENCE
        )
        target = f"(*v1.ObjectReference){{{told}}}"
    return (
        f"{{IP:(string){address['ip']} Hostname:(string){address.get('hostname', '')} "
        f"NodeName:{_pointer(address.get('nodeName'))} TargetRef:{target}}}"
    )


def subset_hash(subset: Object) -> int:
    """What subsets are ordered by."""

    def listed(kind: str, texts: Sequence[str]) -> str:
        return f"([]v1.{kind})" + (f"[{' '.join(texts)}]" if texts else "<nil>")

    ready, waiting = (
        listed("EndpointAddress", [_address_text(each) for each in subset.get(name) or ()])
        for name in ("addresses", "notReadyAddresses")
    )
    ports = listed(
        "EndpointPort", [_port_text(_port(each), named=False) for each in subset.get("ports") or ()]
    )
    return fnv_128a(
        f"(v1.EndpointSubset){{Addresses:{ready} NotReadyAddresses:{waiting} Ports:{ports}}}".encode()
    )
