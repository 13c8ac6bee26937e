"""IP families of a Service: defaulted from its addresses, its policy and what the cluster has.

Source: pkg/registry/core/service/storage/alloc.go (initIPFamilyFields) of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kcore.api import field
from kcore.api.field import FieldError
from kcore.api.status import invalid
from kcore.apiserver.services.fields import EXTERNAL_NAME, LOAD_BALANCER, NODE_PORT, NONE, Spec

SINGLE: Final = "SingleStack"
PREFER_DUAL: Final = "PreferDualStack"
REQUIRE_DUAL: Final = "RequireDualStack"
IPV4: Final = "IPv4"
IPV6: Final = "IPv6"
WITH_ADDRESS: Final = ("ClusterIP", NODE_PORT, LOAD_BALANCER)
RELEASES_IP: Final = "must be 'SingleStack' to release the secondary cluster IP"
RELEASES_FAMILY: Final = "must be 'SingleStack' to release the secondary IP family"
SEVERAL_IPS: Final = "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified"
SEVERAL_FAMILIES: Final = (
    "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"
)
NO_DUAL_STACK: Final = "this cluster is not configured for dual-stack services"


def family_of(address: str) -> str:
    """The family of an address."""
    return IPV6 if ":" in address else IPV4


def other(family: str) -> str:
    """The family that it is not."""
    return IPV6 if family == IPV4 else IPV4


def is_settled(spec: Spec, old: Spec | None) -> bool:
    """A service that prefers two stacks is neither up- nor downgraded unasked."""
    if old is None or not spec.get("ipFamilyPolicy"):
        return False
    if old.get("type") != spec.get("type") or spec.get("type") not in WITH_ADDRESS:
        return False
    if spec["ipFamilyPolicy"] != PREFER_DUAL or old.get("ipFamilyPolicy", PREFER_DUAL) != PREFER_DUAL:
        return False
    return _same(spec, old, "clusterIPs") and _same(spec, old, "ipFamilies")


def _same(spec: Spec, old: Spec, name: str) -> bool:
    return (spec.get(name) or []) == (old.get(name) or [])


def init_families(spec: Spec, old: Spec | None, name: str, families: Sequence[str]) -> None:
    """ipFamilyPolicy and ipFamilies are set; ``families`` are the cluster's, the default one first."""
    if spec.get("type") == EXTERNAL_NAME or is_settled(spec, old):
        return
    headless_bare = spec.get("clusterIP") == NONE and not spec.get("selector")
    if not spec.get("ipFamilyPolicy"):
        before = (old or {}).get("ipFamilyPolicy")
        spec["ipFamilyPolicy"] = before or (REQUIRE_DUAL if headless_bare else SINGLE)
    errors = _of_update(spec, old) if old is not None else []
    policy = spec["ipFamilyPolicy"]
    if policy == SINGLE:
        if len(spec.get("clusterIPs") or ()) == 2:
            errors.append(field.invalid("spec.ipFamilyPolicy", policy, SEVERAL_IPS))
        if len(spec.get("ipFamilies") or ()) == 2:
            errors.append(field.invalid("spec.ipFamilyPolicy", policy, SEVERAL_FAMILIES))
    errors += _infer(spec, families)
    _raise(name, errors)
    if headless_bare:
        listed = spec.setdefault("ipFamilies", [families[0]])
        if len(listed) < 2 and policy != SINGLE:
            listed.append(other(listed[0]))
        return
    if policy == REQUIRE_DUAL and len(families) < 2:
        errors.append(field.invalid("spec.ipFamilyPolicy", policy, NO_DUAL_STACK))
    for index, family in enumerate(spec.get("ipFamilies") or ()):
        if family not in families:
            text = "not configured on this cluster"
            errors.append(field.invalid(f"spec.ipFamilies[{index}]", family, text))
    _raise(name, errors)
    listed = spec.get("ipFamilies") or []
    if not listed:
        listed = [families[0]]
    if policy != SINGLE and len(listed) == 1 and len(families) == 2:
        listed = [*listed, other(listed[0])]
    spec["ipFamilies"] = listed


def _of_update(spec: Spec, old: Spec) -> list[FieldError]:
    """A change to one stack lets the second go; without one nothing may be taken away."""
    errors = []
    policy = spec["ipFamilyPolicy"]
    for name, text in (("clusterIPs", RELEASES_IP), ("ipFamilies", RELEASES_FAMILY)):
        new, before = spec.get(name) or [], old.get(name) or []
        if policy == SINGLE:
            if new == before and len(new) > 1:
                spec[name] = new[:1]
        elif new and len(new) < len(before):
            errors.append(field.invalid("spec.ipFamilyPolicy", policy, text))
    return errors


def _infer(spec: Spec, families: Sequence[str]) -> list[FieldError]:
    """Families that are not listed follow from the addresses."""
    errors = []
    addresses = spec.get("clusterIPs") or []
    for index, address in enumerate(addresses):
        if address == NONE:
            break
        if index < len(spec.get("ipFamilies") or ()):
            continue
        family = family_of(address)
        if family not in families:
            text = f"{family} is not configured on this cluster"
            errors.append(field.invalid(f"spec.clusterIPs[{index}]", addresses, text))
        else:
            spec["ipFamilies"] = [*(spec.get("ipFamilies") or ()), family]
    return errors


def _raise(name: str, errors: list[FieldError]) -> None:
    if errors:
        raise invalid("", "Service", name, errors)
