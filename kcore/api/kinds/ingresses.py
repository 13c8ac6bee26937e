"""Ingresses and IngressClasses.

Sources, Kubernetes 1.36: pkg/apis/networking/validation/validation.go, pkg/apis/networking/v1/defaults.go,
pkg/registry/networking/{ingress,ingressclass}/strategy.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from kcore.api.field import FieldError, forbidden, invalid, not_supported, required, too_long
from kcore.api.kinds.addresses import ip_warnings, parse_ip, validate_ip_of_legacy_field
from kcore.api.kinds.names import (
    byte_count,
    dns1123_label,
    dns1123_subdomain,
    domain_prefixed_path,
    faults,
    path_segment,
    port_name,
    port_number,
    wildcard_dns1123_subdomain,
)
from kcore.api.kinds.service_addresses import validate_balancer_host
from kcore.api.kinds.updates import (
    count_generation,
    keep,
    keeping,
    semantically_equal,
    validate_named,
    validate_named_update,
    validate_unchanged,
)
from kcore.api.strategy import Context, Strategy, UpdateStrategy

Object = dict[str, Any]

CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"
CONTROLLER_BYTES_MAX: Final = 250
PATH_TYPES: Final = ("Exact", "ImplementationSpecific", "Prefix")
PATH_SEQUENCES: Final = ("//", "/./", "/../", "%2f", "%2F")  # not in a path
PATH_SUFFIXES: Final = ("/..", "/.")  # nor at its end
PARAMETER_SCOPES: Final = ("Cluster", "Namespace")


class _Leave(NamedTuple):
    """What an old Ingress had and a new one may keep."""

    secret_name: bool = False
    wildcard_rule: bool = False


# Ingresses


def _default(obj: Object) -> None:
    obj.setdefault("spec", {})


def _prepare_for_create(obj: Object, _: Context) -> None:
    obj["status"] = {"loadBalancer": {}}
    obj["metadata"]["generation"] = 1


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")
    count_generation(obj, old, not semantically_equal(obj["spec"], old["spec"]))


def _host_complaints(host: str) -> tuple[str, ...]:
    return wildcard_dns1123_subdomain(host) if "*" in host else dns1123_subdomain(host)


def _validate_reference(reference: Mapping[str, Any], path: str) -> list[FieldError]:
    """apiGroup, kind and name of whatever stands behind a backend or a class."""
    errors: list[FieldError] = []
    if (group := reference.get("apiGroup")) is not None:
        errors += faults(f"{path}.apiGroup", group, dns1123_subdomain(group))
    for name in ("kind", "name"):
        if value := reference.get(name):
            errors += faults(f"{path}.{name}", value, path_segment(value))
        else:
            errors.append(required(f"{path}.{name}"))
    return errors


def _validate_backend(backend: Mapping[str, Any], path: str) -> list[FieldError]:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        return [invalid(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return _validate_reference(resource, f"{path}.resource")
    if service is None:
        return [invalid(path, "", "resource or service backend is required")]
    errors: list[FieldError] = []
    if name := service.get("name"):
        errors += faults(f"{path}.service.name", name, dns1123_label(name))
    else:
        errors.append(required(f"{path}.service.name"))
    port = service.get("port") or {}
    name, number = port.get("name"), port.get("number")
    if name and number:
        errors.append(invalid(path, "", "cannot set both port name & port number"))
    elif name:
        errors += faults(f"{path}.service.port.name", name, port_name(name))
    elif number:
        errors += faults(f"{path}.service.port.number", number, port_number(number))
    else:
        errors.append(required(path, "port name or number is required"))
    return errors


def _validate_path(given: Mapping[str, Any], path: str) -> list[FieldError]:
    kind, text = given.get("pathType"), given.get("path") or ""
    if kind is None:
        return [required(f"{path}.pathType", "pathType must be specified")]
    errors = []
    at = f"{path}.path"
    if kind in ("Exact", "Prefix"):
        if not text.startswith("/"):
            errors.append(invalid(at, text, "must be an absolute path"))
        errors += [invalid(at, text, f"must not contain '{each}'") for each in PATH_SEQUENCES if each in text]
        errors += [
            invalid(at, text, f"cannot end with '{each}'") for each in PATH_SUFFIXES if text.endswith(each)
        ]
    elif kind == "ImplementationSpecific":
        if text and not text.startswith("/"):
            errors.append(invalid(at, text, "must be an absolute path"))
    else:
        errors.append(not_supported(f"{path}.pathType", kind, PATH_TYPES))
    return errors + _validate_backend(given.get("backend") or {}, f"{path}.backend")


def _validate_rule_value(rule: Mapping[str, Any], path: str) -> list[FieldError]:
    http = rule.get("http")
    if http is None:
        return []
    paths = http.get("paths") or ()
    errors = [] if paths else [required(f"{path}.http.paths")]
    for index, each in enumerate(paths):
        errors += _validate_path(each, f"{path}.http.paths[{index}]")
    return errors


def _validate_spec(spec: Mapping[str, Any], leave: _Leave) -> list[FieldError]:
    errors: list[FieldError] = []
    rules, backend = spec.get("rules") or (), spec.get("defaultBackend")
    if not rules and backend is None:
        detail = "either `defaultBackend` or `rules` must be specified"
        errors.append(invalid("spec", spec.get("rules"), detail))
    if backend is not None:
        errors += _validate_backend(backend, "spec.defaultBackend")
    for index, rule in enumerate(rules):
        at, host = f"spec.rules[{index}]", rule.get("host") or ""
        if host:
            if parse_ip(host) is not None:
                errors.append(invalid(f"{at}.host", host, "must be a DNS name, not an IP address"))
            errors += faults(f"{at}.host", host, _host_complaints(host))
        if not ("*" in host and leave.wildcard_rule):
            errors += _validate_rule_value(rule, at)
    for index, secured in enumerate(spec.get("tls") or ()):
        at, secret = f"spec.tls[{index}]", secured.get("secretName") or ""
        for place, host in enumerate(secured.get("hosts") or ()):
            errors += faults(f"{at}.hosts[{place}]", host, _host_complaints(host))
        if secret and not leave.secret_name:
            errors += faults(f"{at}.secretName", secret, dns1123_subdomain(secret))
    if (name := spec.get("ingressClassName")) is not None:
        errors += faults("spec.ingressClassName", name, dns1123_subdomain(name))
    return errors


def _validate(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj) + _validate_spec(obj["spec"], _Leave())
    text = (obj["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION)
    name = obj["spec"].get("ingressClassName")
    if text is not None and name is not None and text != name:
        detail = "must match `ingressClassName` when both are specified"
        errors.append(invalid(f"annotations.{CLASS_ANNOTATION}", text, detail))
    return errors


def _validate_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    before = old.get("spec") or {}
    secrets = [each.get("secretName") for each in before.get("tls") or ()]
    leave = _Leave(
        any(secret and dns1123_subdomain(secret) for secret in secrets),
        any(
            "*" in (rule.get("host") or "") and _validate_rule_value(rule, "")
            for rule in before.get("rules") or ()
        ),
    )
    return validate_named_update(obj, old) + validate_named(obj) + _validate_spec(obj["spec"], leave)


def _balancers(obj: Object) -> list[Mapping[str, Any]]:
    return ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []


def _validate_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    known = [each["ip"] for each in _balancers(old) if each.get("ip")]
    for index, balancer in enumerate(_balancers(obj)):
        at = f"status.loadBalancer.ingress[{index}]"
        if text := balancer.get("ip"):
            errors += validate_ip_of_legacy_field(f"{at}.ip", text, old=known)
        errors += validate_balancer_host(balancer.get("hostname") or "", f"{at}.hostname")
    return errors


def _warnings(obj: Object, _: Context) -> list[str]:
    marked = CLASS_ANNOTATION in (obj["metadata"].get("annotations") or {})
    if marked and obj["spec"].get("ingressClassName") is None:
        return [
            f"annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead"
        ]
    return []


def _status_warnings(obj: Object, *_: Any) -> list[str]:
    return [
        warning
        for index, balancer in enumerate(_balancers(obj))
        if balancer.get("ip")
        for warning in ip_warnings(f"status.loadBalancer.ingress[{index}]", balancer["ip"])
    ]


# IngressClasses


def _default_class(obj: Object) -> None:
    parameters = obj.setdefault("spec", {}).get("parameters")
    if parameters is not None and parameters.get("scope") is None:
        parameters["scope"] = "Cluster"


def _prepare_class(obj: Object, _: Context) -> None:
    obj["metadata"]["generation"] = 1


def _prepare_class_update(obj: Object, old: Object, _: Context) -> None:
    count_generation(obj, old, not semantically_equal(obj["spec"], old["spec"]))


def _validate_class(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj, namespaced=False)
    controller = obj["spec"].get("controller") or ""
    if byte_count(controller) > CONTROLLER_BYTES_MAX:
        errors.append(too_long("spec.controller", CONTROLLER_BYTES_MAX))
    errors += domain_prefixed_path("spec.controller", controller)
    if (parameters := obj["spec"].get("parameters")) is not None:
        errors += _validate_parameters(parameters, "spec.parameters")
    return errors


def _validate_parameters(parameters: Mapping[str, Any], path: str) -> list[FieldError]:
    errors = _validate_reference(parameters, path)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope is None:
        errors.append(required(f"{path}.scope"))
    elif scope not in PARAMETER_SCOPES:
        errors.append(not_supported(f"{path}.scope", scope, PARAMETER_SCOPES))
    elif scope == "Namespace":
        if namespace is None:
            errors.append(required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'"))
        else:
            errors += faults(f"{path}.namespace", namespace, dns1123_label(namespace))
    elif namespace is not None:
        errors.append(forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'"))
    return errors


def _validate_class_update(obj: Object, old: Object, context: Context) -> list[FieldError]:
    controller, before = (each["spec"].get("controller") or "" for each in (obj, old))
    errors = validate_named_update(obj, old)
    errors += validate_unchanged(controller, before, "spec.controller")
    return errors + _validate_class(obj, context)


INGRESS: Final = Strategy(
    default=_default,
    prepare_for_create=_prepare_for_create,
    validate=_validate,
    warnings=_warnings,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_update,
    reset_fields=("status",),
    subresources=MappingProxyType(
        {
            "status": UpdateStrategy(
                keeping("spec"), _validate_status, _status_warnings, reset_fields=("spec",)
            )
        }
    ),
)
INGRESS_CLASS: Final = Strategy(
    default=_default_class,
    prepare_for_create=_prepare_class,
    validate=_validate_class,
    prepare_for_update=_prepare_class_update,
    validate_update=_validate_class_update,
)
