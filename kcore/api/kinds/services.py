"""Services: what their type implies, ports, traffic policies.

Sources, Kubernetes 1.36: pkg/registry/core/service/strategy.go, pkg/apis/core/validation/validation.go
(validateService), pkg/apis/core/v1/defaults.go, pkg/api/service/warnings.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import FieldError, Struct, duplicate, forbidden, invalid, not_supported, required
from kcore.api.kinds.addresses import (
    cidr_warnings,
    ip_warnings,
    validate_cidr_of_legacy_field,
    validate_ip_of_legacy_field,
)
from kcore.api.kinds.metadata import validate_labels
from kcore.api.kinds.names import (
    dns1123_label,
    dns1123_subdomain,
    faults,
    name_is_label,
    port_name,
    port_number,
    qualified_name,
)
from kcore.api.kinds.service_addresses import (
    is_headless,
    needs_cluster_ip,
    needs_health_check,
    needs_node_port,
    validate_cluster_ips,
    validate_cluster_ips_change,
    validate_endpoint_ip,
    validate_load_balancer_status,
)
from kcore.api.kinds.updates import keep, keeping, validate_named, validate_named_update
from kcore.api.strategy import Context, Strategy, UpdateStrategy

Object = dict[str, Any]
Spec = Mapping[str, Any]

AFFINITY_SECONDS: Final = 10_800
AFFINITY_SECONDS_MAX: Final = 86_400
SERVICE_TYPES: Final = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
PORT_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
AFFINITIES: Final = ("ClientIP", "None")
TRAFFIC_POLICIES: Final = ("Cluster", "Local")
TRAFFIC_DISTRIBUTIONS: Final = ("PreferClose", "PreferSameZone", "PreferSameNode")
TOPOLOGY_HINTS: Final = "service.kubernetes.io/topology-aware-hints"
TOPOLOGY_MODE: Final = "service.kubernetes.io/topology-mode"
SOURCE_RANGES: Final = "service.beta.kubernetes.io/load-balancer-source-ranges"
_BALANCER_ONLY: Final = "may only be used when `type` is 'LoadBalancer'"


def is_externally_accessible(spec: Spec) -> bool:
    """ExternallyAccessible."""
    kind = spec.get("type")
    return needs_node_port(spec) or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def _default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    get = spec.get
    if not get("sessionAffinity"):
        spec["sessionAffinity"] = "None"
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        client = (get("sessionAffinityConfig") or {}).get("clientIP") or {}
        if client.get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}}
    kind = spec["type"] = get("type") or "ClusterIP"
    for port in get("ports") or ():
        if not port.get("protocol"):
            port["protocol"] = "TCP"
        if not port.get("targetPort"):
            port["targetPort"] = port.get("port") or 0
    if is_externally_accessible(spec) and not get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if get("internalTrafficPolicy") is None and kind in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec["internalTrafficPolicy"] = "Cluster"
    status = obj.setdefault("status", {})
    balancer = status.setdefault("loadBalancer", {})
    if kind == "LoadBalancer":
        if get("allocateLoadBalancerNodePorts") is None:
            spec["allocateLoadBalancerNodePorts"] = True
        for ingress in balancer.get("ingress") or ():
            if ingress.get("ip") and ingress.get("ipMode") is None:
                ingress["ipMode"] = "VIP"


def _prepare_for_create(obj: Object, _: Context) -> None:
    obj["status"] = {"loadBalancer": {}}


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")
    _drop_fields_of_old_type(obj["spec"], old["spec"])
    if obj["spec"].get("type") != "LoadBalancer":
        obj["status"] = {**(obj.get("status") or {}), "loadBalancer": {}}


def _node_ports(spec: Spec) -> set[int]:
    return {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}


def _drop_fields_of_old_type(spec: Object, old: Spec) -> None:
    """Fields that only the old type has a use for, where the user left them alone (dropTypeDependentFields)."""

    def same(name: str) -> bool:
        return (spec.get(name) or None) == (old.get(name) or None)

    if needs_cluster_ip(old) and not needs_cluster_ip(spec):
        if same("clusterIP") and same("clusterIPs"):
            spec.pop("clusterIP", None)
            spec.pop("clusterIPs", None)
        for name in ("ipFamilies", "ipFamilyPolicy"):
            if same(name):
                spec.pop(name, None)
    if needs_node_port(old) and not needs_node_port(spec) and _node_ports(spec) <= _node_ports(old):
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
    if needs_health_check(old) and not needs_health_check(spec) and same("healthCheckNodePort"):
        spec.pop("healthCheckNodePort", None)
    if old.get("type") == "LoadBalancer" and spec.get("type") != "LoadBalancer":
        name = "allocateLoadBalancerNodePorts"
        if spec.get(name) == old.get(name):
            spec.pop(name, None)
        if spec.get("loadBalancerClass") == old.get("loadBalancerClass"):
            spec.pop("loadBalancerClass", None)
    if is_externally_accessible(old) and not is_externally_accessible(spec) and same("externalTrafficPolicy"):
        spec.pop("externalTrafficPolicy", None)


def validate_app_protocol(protocol: str | None, path: str) -> list[FieldError]:
    """A qualified name, where there is one."""
    return [] if protocol is None else faults(path, protocol, qualified_name(protocol))


def validate_protocol(protocol: str, path: str) -> list[FieldError]:
    """TCP, UDP or SCTP."""
    if not protocol:
        return [required(path)]
    return [] if protocol in PORT_PROTOCOLS else [not_supported(path, protocol, PORT_PROTOCOLS)]


def _validate_ports(spec: Spec, errors: list[FieldError]) -> None:
    ports = spec.get("ports") or ()
    names = set()
    for index, port in enumerate(ports):
        at, name = f"spec.ports[{index}]", port.get("name") or ""
        if name:
            errors += faults(f"{at}.name", name, dns1123_label(name))
            if name in names:
                errors.append(duplicate(f"{at}.name", name))
            names.add(name)
        elif len(ports) > 1:
            errors.append(required(f"{at}.name"))
        number = port.get("port") or 0
        errors += faults(f"{at}.port", number, port_number(number))
        errors += validate_protocol(port.get("protocol") or "", f"{at}.protocol")
        target = port.get("targetPort", 0)
        complaints = port_name(target) if isinstance(target, str) else port_number(target)
        errors += faults(f"{at}.targetPort", target, complaints)
        errors += validate_app_protocol(port.get("appProtocol"), f"{at}.appProtocol")


def _validate_port_numbers(spec: Spec, errors: list[FieldError]) -> None:
    ports = spec.get("ports") or ()
    if spec.get("type") == "ClusterIP":
        errors += [
            forbidden(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")
            for index, port in enumerate(ports)
            if port.get("nodePort")
        ]
    seen = set()
    for index, port in enumerate(ports):
        if number := port.get("nodePort"):
            if (key := (port.get("protocol"), number)) in seen:
                errors.append(duplicate(f"spec.ports[{index}].nodePort", number))
            seen.add(key)
    seen = set()
    for index, port in enumerate(ports):
        protocol, number = port.get("protocol") or "", port.get("port") or 0
        if (protocol, number) in seen:
            shown = Struct(
                Name="", Protocol=protocol, AppProtocol=None, Port=number, TargetPort=0, NodePort=0
            )
            errors.append(duplicate(f"spec.ports[{index}]", shown))
        seen.add((protocol, number))


def _validate_type(spec: Spec, errors: list[FieldError]) -> None:
    kind, headless = spec.get("type") or "", is_headless(spec)
    if not spec.get("ports") and not headless and kind != "ExternalName":
        errors.append(required("spec.ports"))
    if kind in ("LoadBalancer", "NodePort") and headless:
        errors.append(invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services"))
    if kind == "ExternalName":
        errors += [
            forbidden(f"spec.{name}", "may not be set for ExternalName services")
            for name in ("clusterIPs", "ipFamilies", "ipFamilyPolicy")
            if spec.get(name)
        ]
        if name := (spec.get("externalName") or "").removesuffix("."):
            errors += faults("spec.externalName", name, dns1123_subdomain(name))
        else:
            errors.append(required("spec.externalName"))


def _validate_affinity(spec: Spec, errors: list[FieldError]) -> None:
    affinity, config = spec.get("sessionAffinity") or "", spec.get("sessionAffinityConfig")
    path, why = "spec.sessionAffinityConfig", "when session affinity type is ClientIP"
    if not affinity:
        errors.append(required("spec.sessionAffinity"))
    elif affinity not in AFFINITIES:
        errors.append(not_supported("spec.sessionAffinity", affinity, AFFINITIES))
    if affinity == "None" and config is not None:
        errors.append(forbidden(path, "must not be set when session affinity is None"))
    elif affinity == "ClientIP":
        if config is None:
            errors.append(required(path, why))
        elif (client := config.get("clientIP")) is None:
            errors.append(required(f"{path}.clientIP", why))
        elif (seconds := client.get("timeoutSeconds")) is None:
            errors.append(required(f"{path}.clientIP.timeoutSeconds", why))
        elif not 0 < seconds <= AFFINITY_SECONDS_MAX:
            detail = f"must be greater than 0 and less than {AFFINITY_SECONDS_MAX}"
            errors.append(invalid(f"{path}.clientIP.timeoutSeconds", seconds, detail))


def _validate_source_ranges(obj: Object, old: Object | None, errors: list[FieldError]) -> None:
    spec = obj["spec"]
    balancer = spec.get("type") == "LoadBalancer"
    annotations = obj["metadata"].get("annotations") or {}
    if ranges := spec.get("loadBalancerSourceRanges"):
        path = "spec.LoadBalancerSourceRanges"
        if not balancer:
            errors.append(forbidden(path, _BALANCER_ONLY))
        had = (old["spec"].get("loadBalancerSourceRanges") or ()) if old is not None else ()
        known = [each.strip() for each in had]
        for index, value in enumerate(ranges):
            errors += validate_cidr_of_legacy_field(f"{path}[{index}]", value.strip(), old=known)
    elif (text := annotations.get(SOURCE_RANGES)) is not None:
        path = f"metadata.annotations[{SOURCE_RANGES}]"
        if not balancer:
            errors.append(forbidden(path, _BALANCER_ONLY))
        before = (old["metadata"].get("annotations") or {}).get(SOURCE_RANGES) if old is not None else None
        if (old is None or (before or "") != text) and text.strip():
            for value in text.split(","):
                errors += validate_cidr_of_legacy_field(path, value.strip())


def _validate_class(spec: Spec, old: Spec | None, errors: list[FieldError]) -> None:
    path, name = "spec.loadBalancerClass", spec.get("loadBalancerClass")
    balancer = spec.get("type") == "LoadBalancer"
    if old is not None and balancer and old.get("type") == "LoadBalancer":
        if name != old.get("loadBalancerClass"):
            errors.append(invalid(path, name, "may not change once set"))
    if name is not None:
        if balancer:
            errors += faults(path, name, qualified_name(name))
        else:
            errors.append(forbidden(path, _BALANCER_ONLY))


def _validate_traffic(spec: Spec, errors: list[FieldError]) -> None:
    external, internal = spec.get("externalTrafficPolicy") or "", spec.get("internalTrafficPolicy")
    path = "spec.externalTrafficPolicy"
    if not is_externally_accessible(spec):
        if external:
            errors.append(invalid(path, external, "may only be set for externally-accessible services"))
    elif not external:
        errors.append(required(path))
    elif external not in TRAFFIC_POLICIES:
        errors.append(not_supported(path, external, TRAFFIC_POLICIES))
    path, number = "spec.healthCheckNodePort", spec.get("healthCheckNodePort") or 0
    if not needs_health_check(spec):
        if number:
            detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
            errors.append(invalid(path, number, detail))
    elif not number:
        errors.append(required(path))
    else:
        errors += faults(path, number, port_number(number))
    path = "spec.internalTrafficPolicy"
    if internal is None:
        if spec.get("type") in ("NodePort", "LoadBalancer", "ClusterIP"):
            errors.append(required(path))
    elif internal not in TRAFFIC_POLICIES:
        errors.append(not_supported(path, internal, TRAFFIC_POLICIES))
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in TRAFFIC_DISTRIBUTIONS:
        errors.append(not_supported("spec.trafficDistribution", distribution, TRAFFIC_DISTRIBUTIONS))


def _validate_service(obj: Object, old: Object | None, errors: list[FieldError]) -> None:
    """The function validateService, in its order."""
    spec = obj["spec"]
    before = old["spec"] if old is not None else None
    annotations = obj["metadata"].get("annotations") or {}
    hints, mode = annotations.get(TOPOLOGY_HINTS), annotations.get(TOPOLOGY_MODE)
    if hints is not None and mode is not None and hints != mode:
        detail = f"must match annotations[{TOPOLOGY_HINTS}] when both are specified"
        errors.append(invalid(f"metadata.annotations[{TOPOLOGY_MODE}]", mode, detail))
    _validate_type(spec, errors)
    _validate_ports(spec, errors)
    errors += validate_labels(spec.get("selector") or {}, "spec.selector")
    _validate_affinity(spec, errors)
    errors += validate_cluster_ips(spec, before)
    known = (before.get("externalIPs") or ()) if before is not None else ()
    for index, text in enumerate(spec.get("externalIPs") or ()):
        at = f"spec.externalIPs[{index}]"
        errors += validate_ip_of_legacy_field(at, text, old=known) or validate_endpoint_ip(at, text)
    if not (kind := spec.get("type") or ""):
        errors.append(required("spec.type"))
    elif kind not in SERVICE_TYPES:
        errors.append(not_supported("spec.type", kind, SERVICE_TYPES))
    _validate_port_numbers(spec, errors)
    _validate_source_ranges(obj, old, errors)
    allocates = spec.get("allocateLoadBalancerNodePorts")
    if allocates is not None and kind != "LoadBalancer":
        errors.append(forbidden("spec.allocateLoadBalancerNodePorts", _BALANCER_ONLY))
    if allocates is None and kind == "LoadBalancer":
        errors.append(required("allocateLoadBalancerNodePorts"))
    _validate_class(spec, None, errors)
    _validate_traffic(spec, errors)


def _validate(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj, name_is_label)
    _validate_service(obj, None, errors)
    return errors


def _validate_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    spec, before = obj["spec"], old["spec"]
    errors += validate_cluster_ips_change(spec, before)
    _validate_class(spec, before, errors)
    if needs_health_check(before) and needs_health_check(spec):
        name = "healthCheckNodePort"
        if (spec.get(name) or 0) != (before.get(name) or 0):
            errors.append(forbidden(f"spec.{name}", "field is immutable"))
    _validate_service(obj, old, errors)
    return errors


def _validate_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    status, before = ((each.get("status") or {}).get("loadBalancer") or {} for each in (obj, old))
    kind = obj["spec"].get("type") or ""
    return validate_named_update(obj, old) + validate_load_balancer_status(status, before, kind)


def _status_warnings(obj: Object, *_: Any) -> list[str]:
    listed = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [
        warning
        for index, ingress in enumerate(listed)
        if ingress.get("ip")
        for warning in ip_warnings(f"status.loadBalancer.ingress[{index}]", ingress["ip"])
    ]


def _warnings(obj: Object, *_: Any) -> list[str]:
    """GetWarningsForService."""
    spec, warnings = obj["spec"], []
    headless, kind, external = is_headless(spec), spec.get("type"), spec.get("externalIPs") or ()
    if TOPOLOGY_HINTS in (obj["metadata"].get("annotations") or {}):
        warnings.append(f"annotation {TOPOLOGY_HINTS} is deprecated, please use {TOPOLOGY_MODE} instead")
    if spec.get("clusterIP") not in (None, "", "None"):
        for index, text in enumerate(spec.get("clusterIPs") or ()):
            warnings += ip_warnings(f"spec.clusterIPs[{index}]", text)
    if headless:
        ignored = (
            ("loadBalancerIP", bool(spec.get("loadBalancerIP"))),
            ("externalIPs", bool(external)),
            ("SessionAffinity", spec.get("sessionAffinity") != "None"),
        )
        warnings += [f"spec.{name} is ignored for headless services" for name, given in ignored if given]
    for index, text in enumerate(external):
        warnings += ip_warnings(f"spec.externalIPs[{index}]", text)
    if external and not headless and kind != "ExternalName":
        warnings.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    if text := spec.get("loadBalancerIP"):
        warnings += ip_warnings("spec.loadBalancerIP", text)
    for index, text in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        warnings += cidr_warnings(f"spec.loadBalancerSourceRanges[{index}]", text)
    if kind == "ExternalName" and external:
        warnings.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if kind != "ExternalName" and spec.get("externalName"):
        warnings.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("trafficDistribution") == "PreferClose":
        warnings.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    return warnings


SERVICE: Final = Strategy(
    default=_default,
    prepare_for_create=_prepare_for_create,
    validate=_validate,
    warnings=_warnings,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_update,
    warnings_on_update=_warnings,
    reset_fields=("status",),
    allow_create_on_update=True,
    subresources=MappingProxyType(
        {
            "status": UpdateStrategy(
                keeping("spec"), _validate_status, _status_warnings, reset_fields=("spec",)
            )
        }
    ),
)
