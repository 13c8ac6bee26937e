"""The cluster IPs, IP families and external addresses of a service; addresses that no endpoint may have.

Sources, Kubernetes 1.36: pkg/apis/core/validation/validation.go (ValidateServiceClusterIPsRelatedFields,
validateUpgradeDowngrade*, ValidateEndpointIP). Which addresses are handed out is decided by the registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kcore.api.field import FieldError, duplicate, forbidden, invalid, not_supported, required
from kcore.api.kinds.addresses import is_ipv4, parse_ip, validate_ip_of_legacy_field
from kcore.api.kinds.names import dns1123_subdomain, faults

Spec = Mapping[str, Any]

IP_FAMILIES: Final = ("IPv4", "IPv6")
IP_FAMILY_POLICIES: Final = ("PreferDualStack", "RequireDualStack", "SingleStack")
IP_MODES: Final = ("Proxy", "VIP")
HEADLESS: Final = "None"
_SET_ONCE: Final = "may not change once set"
_IPS: Final = "spec.clusterIPs"
_FAMILIES: Final = "spec.ipFamilies"


def is_headless(spec: Spec) -> bool:
    """True where there is no cluster IP by intent."""
    return spec.get("clusterIPs") == [HEADLESS]


def needs_cluster_ip(spec: Spec) -> bool:
    """True for all types but ExternalName."""
    return spec.get("type") != "ExternalName"


def family_of(text: str) -> str:
    """IPv4 or IPv6; what is no address counts as IPv4, as netutils.IsIPv6String has it."""
    address = parse_ip(text)
    return "IPv4" if address is None or is_ipv4(address) else "IPv6"


def needs_node_port(spec: Spec) -> bool:
    """True for NodePort and LoadBalancer."""
    return spec.get("type") in ("NodePort", "LoadBalancer")


def needs_health_check(spec: Spec) -> bool:
    """NeedsHealthCheck: a load balancer for local traffic only."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def validate_endpoint_ip(path: str, text: str) -> list[FieldError]:
    """ValidateEndpointIP: not unspecified, loopback or link-local."""
    address = parse_ip(text)
    if address is None:
        return [invalid(path, text, "must be a valid IP address")]
    errors = []
    four, low = is_ipv4(address), address & 0xFFFFFFFF
    if (low == 0) if four else (address == 0):
        errors.append(invalid(path, text, f"may not be unspecified ({text})"))
    if low >> 24 == 127 if four else address == 1:
        detail = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
        errors.append(invalid(path, text, detail))
    if low >> 16 == 0xA9FE if four else address >> 118 == 0xFE80 >> 6:
        detail = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        errors.append(invalid(path, text, detail))
    if low >> 8 == 0xE00000 if four else address >> 120 == 0xFF and address >> 112 & 0xF == 2:
        detail = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
        errors.append(invalid(path, text, detail))
    return errors


def validate_cluster_ips(spec: Spec, old: Spec | None) -> list[FieldError]:
    """ValidateServiceClusterIPsRelatedFields."""
    if not needs_cluster_ip(spec):
        return []
    errors: list[FieldError] = []
    single, several = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    families, policy = spec.get("ipFamilies") or [], spec.get("ipFamilyPolicy")
    if single:
        if not several:
            errors.append(required(_IPS))
        elif several[0] != single:
            errors.append(invalid(_IPS, several, "first value must match `clusterIP`"))
    elif several:
        errors.append(invalid(_IPS, several, "must be empty when `clusterIP` is not specified"))
    seen = set()
    for index, family in enumerate(families):
        if family not in IP_FAMILIES:
            errors.append(not_supported(f"{_FAMILIES}[{index}]", family, IP_FAMILIES))
        if family in seen:
            errors.append(duplicate(f"{_FAMILIES}[{index}]", family))
        seen.add(family)
    if policy is not None and policy not in IP_FAMILY_POLICIES:
        errors.append(not_supported("spec.ipFamilyPolicy", policy, IP_FAMILY_POLICIES))
    known = (old.get("clusterIPs") or ()) if old is not None else ()
    malformed = _validate_each(several, known, errors)
    if len(several) > 2:
        errors.append(invalid(_IPS, several, "may only hold up to 2 values"))
    if malformed:
        return errors
    found = {family_of(text) for text in several}
    if len(several) > 1 and len(found) < 2:
        errors.append(invalid(_IPS, several, "may specify no more than one IP for each IP family"))
    if not is_headless(spec):
        for index, (text, family) in enumerate(zip(several, families, strict=False)):
            if family in IP_FAMILIES and family_of(text) != family:
                detail = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
                errors.append(invalid(f"{_IPS}[{index}]", text, detail))
    return errors


def _validate_each(several: list[str], known: Any, errors: list[FieldError]) -> bool:
    malformed = False
    for index, text in enumerate(several):
        if index == 0 and text == HEADLESS:
            if len(several) > 1:
                malformed = True
                errors.append(invalid(_IPS, several, "'None' must be the first and only value"))
            continue
        found = validate_ip_of_legacy_field(f"{_IPS}[{index}]", text, old=known)
        malformed = malformed or bool(found)
        errors += found
    return malformed


def validate_cluster_ips_change(spec: Spec, old: Spec) -> list[FieldError]:
    """validateUpgradeDowngradeClusterIPs and ...IPFamilies: the first is kept, a second comes and goes."""
    if not needs_cluster_ip(spec) or not needs_cluster_ip(old):
        return []
    errors: list[FieldError] = []
    single = spec.get("ipFamilyPolicy") == "SingleStack"
    policy = spec.get("ipFamilyPolicy")
    ips, had = spec.get("clusterIPs") or [], old.get("clusterIPs") or []
    if not (is_headless(spec) and is_headless(old)):
        if len(ips) == len(had):
            errors += [
                invalid(f"{_IPS}[{index}]", ips, _SET_ONCE)
                for index, text in enumerate(had)
                if text != ips[index]
            ]
        else:
            if len(had) > len(ips) and not ips:
                errors.append(invalid(f"{_IPS}[0]", None, "primary clusterIP can not be unset"))
            if had and ips and had[0] != ips[0]:
                errors.append(invalid(f"{_IPS}[0]", ips, _SET_ONCE))
            if len(had) > len(ips) == 1 and not single:
                detail = "must be set to 'SingleStack' when releasing the secondary clusterIP"
                errors.append(invalid("spec.ipFamilyPolicy", policy, detail))
    if is_headless(spec) or is_headless(old):
        return errors
    families, were = spec.get("ipFamilies") or [], old.get("ipFamilies") or []
    if len(families) == len(were):
        errors += [
            invalid(f"{_FAMILIES}[0]", families, _SET_ONCE)
            for index, family in enumerate(were)
            if family != families[index]
        ]
        return errors
    if len(were) > len(families) and not ips:
        errors.append(invalid(f"{_FAMILIES}[0]", families or None, "primary ipFamily can not be unset"))
    if families and were and families[0] != were[0]:
        errors.append(invalid(f"{_FAMILIES}[0]", ips or None, _SET_ONCE))
    if len(were) > len(families) == 1 and not single:
        detail = "must be set to 'SingleStack' when releasing the secondary ipFamily"
        errors.append(invalid("spec.ipFamilyPolicy", policy, detail))
    return errors


def validate_load_balancer_status(status: Spec, old: Spec, kind: str) -> list[FieldError]:
    """ValidateLoadBalancerStatus; ``kind`` is the type of the service."""
    path = "status.loadBalancer.ingress"
    listed = status.get("ingress") or ()
    if kind != "LoadBalancer" and listed:
        return [forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")]
    errors: list[FieldError] = []
    known = [each["ip"] for each in old.get("ingress") or () if each.get("ip")]
    for index, ingress in enumerate(listed):
        at = f"{path}[{index}]"
        text, mode = ingress.get("ip") or "", ingress.get("ipMode")
        if text:
            errors += validate_ip_of_legacy_field(f"{at}.ip", text, old=known)
        if mode is None:
            if text:
                errors.append(required(f"{at}.ipMode", "must be specified when `ip` is set"))
        elif not text:
            errors.append(forbidden(f"{at}.ipMode", "may not be specified when `ip` is not set"))
        elif mode not in IP_MODES:
            errors.append(not_supported(f"{at}.ipMode", mode, IP_MODES))
        errors += validate_balancer_host(ingress.get("hostname") or "", f"{at}.hostname")
    return errors


def validate_balancer_host(host: str, path: str) -> list[FieldError]:
    """The host name of a load balancer is a name, not an address."""
    if not host:
        return []
    errors = faults(path, host, dns1123_subdomain(host))
    if parse_ip(host) is not None:
        errors.append(invalid(path, host, "must be a DNS name, not an IP address"))
    return errors
