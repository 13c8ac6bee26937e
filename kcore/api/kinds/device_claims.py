"""Dynamic resource allocation: ResourceClaims, their templates and DeviceClasses.

Sources, Kubernetes 1.36: pkg/apis/resource/validation/validation.go, v1/defaults.go, pkg/registry/resource. Not here:
the selectors in CEL, the tolerations of a request, and who may ask for administrative access.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import (
    FieldError,
    Struct,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
)
from kcore.api.kinds.metadata import IMMUTABLE, validate_annotations, validate_labels
from kcore.api.kinds.names import byte_count, c_identifier, dns1123_label, dns1123_subdomain, faults
from kcore.api.kinds.resource_lists import is_extended
from kcore.api.kinds.scheduling_terms import validate_node_selector
from kcore.api.kinds.updates import (
    count_generation,
    keep,
    keep_metadata_for_status,
    semantically_equal,
    validate_named,
    validate_named_update,
)
from kcore.api.kinds.volumes import validate_csi_driver
from kcore.api.strategy import Context, Strategy, UpdateStrategy, always

Object = dict[str, Any]
Part = Mapping[str, Any]

REQUESTS_MAX: Final = 32
ALTERNATIVES_MAX: Final = 8
CONSTRAINTS_MAX: Final = 32
CONFIGS_MAX: Final = 32
SELECTORS_MAX: Final = 32
RESERVATIONS_MAX: Final = 256
RESULTS_MAX: Final = 32
EXPRESSION_BYTES_MAX: Final = 10 * 1024
POOL_NAME_BYTES_MAX: Final = 253
IDENTIFIER_BYTES_MAX: Final = 32
ALLOCATION_MODES: Final = ("All", "ExactCount")
CONFIG_SOURCES: Final = ("FromClaim", "FromClass")
_ONE_OF: Final = "exactly one of `exactly` or `firstAvailable` is required"
_REQUEST_NAME: Final = (
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
)


# Claims and templates


def _default_spec(spec: Object) -> None:
    for request in spec.setdefault("devices", {}).get("requests") or ():
        exact = request.get("exactly")
        for each in (*([exact] if exact is not None else []), *(request.get("firstAvailable") or ())):
            if not each.get("allocationMode"):
                each["allocationMode"] = "ExactCount"
            if each["allocationMode"] == "ExactCount" and not each.get("count"):
                each["count"] = 1


def _default_claim(obj: Object) -> None:
    _default_spec(obj.setdefault("spec", {}))


def _default_template(obj: Object) -> None:
    _default_spec(obj.setdefault("spec", {}).setdefault("spec", {}))


def _prepare_claim(obj: Object, _: Context) -> None:
    obj["status"] = {}


def _prepare_claim_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")


def _identity(device: Part) -> tuple[Any, ...]:
    return tuple(device.get(name) for name in ("driver", "pool", "device", "shareID"))


def _results(obj: Object) -> Sequence[Part]:
    allocation = (obj.get("status") or {}).get("allocation") or {}
    return (allocation.get("devices") or {}).get("results") or ()


def _prepare_claim_status(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "spec")
    keep_metadata_for_status(obj, old)
    status = obj.get("status") or {}
    if devices := status.get("devices"):  # of what is no longer allocated, nothing is said any more
        gone = {_identity(each) for each in _results(old)} - {_identity(each) for each in _results(obj)}
        if kept := [each for each in devices if _identity(each) not in gone]:
            status["devices"] = kept
        else:
            status.pop("devices")


def validate_each(
    items: Sequence[Any],
    path: str,
    count_max: int,
    check: Callable[[Any, str], list[FieldError]],
    key: Callable[[Any], Any] | None = None,
) -> list[FieldError]:
    """The functions validateSlice and, with a key, validateSet."""
    if 0 <= count_max < len(items):
        return [too_many(path, len(items), count_max)]
    errors = [error for index, item in enumerate(items) for error in check(item, f"{path}[{index}]")]
    seen = set()
    for index, item in enumerate(items if key is not None else ()):
        value = key(item) if key is not None else None
        if value in seen:
            errors.append(duplicate(f"{path}[{index}]", value))
        seen.add(value)
    return errors


def validate_identifier(name: str, path: str) -> list[FieldError]:
    """A C identifier, perhaps behind the name of a driver (validateQualifiedName)."""
    parts = name.split("/")
    if len(parts) > 2:
        return []  # upstream looks no further
    errors: list[FieldError] = []
    if len(parts) == 2:
        domain = parts[0]
        errors += (
            validate_csi_driver(domain, path)
            if domain
            else [invalid(path, "", "the domain must not be empty")]
        )
        if not parts[1]:
            return [*errors, invalid(path, "", "the name must not be empty")]
    identifier = parts[-1]
    if byte_count(identifier) > IDENTIFIER_BYTES_MAX:
        errors.append(too_long(path, IDENTIFIER_BYTES_MAX))
    return errors + faults(path, identifier, c_identifier(identifier))


def _validate_attribute_name(name: str, path: str) -> list[FieldError]:
    errors = validate_identifier(name, path)
    if "/" not in name:
        detail = "a fully qualified name must be a domain and a name separated by a slash"
        errors.append(invalid(path, name, detail))
    return errors


def _validate_selector(selector: Part, path: str) -> list[FieldError]:
    if (given := selector.get("cel")) is None:
        return [required(f"{path}.cel")]
    if byte_count(given.get("expression") or "") > EXPRESSION_BYTES_MAX:
        return [too_long(f"{path}.cel.expression", EXPRESSION_BYTES_MAX)]
    return []


def _validate_wish(wish: Part, path: str) -> list[FieldError]:
    """What an exact request and an alternative have alike."""
    name, mode, count = (wish.get(each) for each in ("deviceClassName", "allocationMode", "count"))
    errors = (
        faults(f"{path}.deviceClassName", name, dns1123_subdomain(name))
        if name
        else [required(f"{path}.deviceClassName")]
    )
    errors += validate_each(
        wish.get("selectors") or (), f"{path}.selectors", SELECTORS_MAX, _validate_selector
    )
    count = count or 0
    if mode == "All":
        if count:
            detail = "must not be specified when allocationMode is 'All'"
            errors.append(invalid(f"{path}.count", count, detail))
    elif mode != "ExactCount":
        errors.append(not_supported(f"{path}.allocationMode", mode or "", ALLOCATION_MODES))
    elif count <= 0:
        errors.append(invalid(f"{path}.count", count, "must be greater than zero"))
    return errors


def _name_of(item: Part) -> str:
    return item.get("name") or ""


def _validate_alternative(wish: Part, path: str) -> list[FieldError]:
    name = _name_of(wish)
    return faults(f"{path}.name", name, dns1123_label(name)) + _validate_wish(wish, path)


def _validate_request(request: Part, path: str) -> list[FieldError]:
    name = _name_of(request)
    errors = faults(f"{path}.name", name, dns1123_label(name))
    exact, alternatives = request.get("exactly"), request.get("firstAvailable") or ()
    if exact is None and not alternatives:
        errors.append(required(path, _ONE_OF))
    elif exact is not None and alternatives:
        errors.append(invalid(path, None, f"{_ONE_OF}, but multiple fields are set"))
    elif exact is not None:
        errors += _validate_wish(exact, f"{path}.exactly")
    else:
        at = f"{path}.firstAvailable"
        errors += validate_each(alternatives, at, ALTERNATIVES_MAX, _validate_alternative, _name_of)
    return errors


def _request_names(spec: Part) -> set[str]:
    names = set()
    for request in (spec.get("devices") or {}).get("requests") or ():
        names.add(_name_of(request))
        names |= {f"{_name_of(request)}/{_name_of(each)}" for each in request.get("firstAvailable") or ()}
    return names


def _validate_names(listed: Sequence[str], path: str, names: set[str]) -> list[FieldError]:
    def check(name: str, at: str) -> list[FieldError]:
        return _validate_name(name, at, names)

    return validate_each(listed, path, REQUESTS_MAX, check, lambda name: name)


def _validate_name(name: str, path: str, names: set[str]) -> list[FieldError]:
    segments = name.split("/")
    if len(segments) > 2:
        return [invalid(path, name, _REQUEST_NAME)]
    errors = [error for each in segments for error in faults(path, each, dns1123_label(each))]
    return errors if name in names else [*errors, invalid(path, name, _REQUEST_NAME)]


def _validate_opaque(config: Part, path: str) -> list[FieldError]:
    if (opaque := config.get("opaque")) is None:
        return [required(f"{path}.opaque")]
    errors = validate_csi_driver(opaque.get("driver") or "", f"{path}.opaque.driver")
    parameters, at = opaque.get("parameters"), f"{path}.opaque.parameters"
    if parameters is None:
        errors.append(required(at))
    elif not isinstance(parameters, dict):
        errors.append(invalid(at, "<value omitted>", "must be a valid JSON object"))
    return errors


def _validate_claim_spec(spec: Part, path: str) -> list[FieldError]:
    devices, names = spec.get("devices") or {}, _request_names(spec)

    def constraint(given: Part, at: str) -> list[FieldError]:
        errors = _validate_names(given.get("requests") or (), f"{at}.requests", names)
        for name in ("matchAttribute", "distinctAttribute"):
            if (attribute := given.get(name)) is not None:
                return errors + _validate_attribute_name(attribute, f"{at}.{name}")
        detail = (
            'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
        )
        errors.append(required(at, detail))
        return errors

    def config(given: Part, at: str) -> list[FieldError]:
        errors = _validate_names(given.get("requests") or (), f"{at}.requests", names)
        return errors + _validate_opaque(given, at)

    at = f"{path}.devices"
    errors = validate_each(
        devices.get("requests") or (), f"{at}.requests", REQUESTS_MAX, _validate_request, _name_of
    )
    errors += validate_each(
        devices.get("constraints") or (), f"{at}.constraints", CONSTRAINTS_MAX, constraint
    )
    return errors + validate_each(devices.get("config") or (), f"{at}.config", CONFIGS_MAX, config)


def _validate_claim(obj: Object, _: Context) -> list[FieldError]:
    return validate_named(obj) + _validate_claim_spec(obj["spec"], "spec")


def _spec_kept(obj: Object, old: Object) -> list[FieldError]:
    if semantically_equal(obj["spec"], old["spec"]):
        return []
    shown = Struct({name.capitalize(): value for name, value in obj["spec"].items()})
    return [invalid("spec", shown, IMMUTABLE)]


def _validate_claim_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    return validate_named(obj) + validate_named_update(obj, old) + _spec_kept(obj, old)


def _validate_user(user: Part, path: str) -> list[FieldError]:
    return [required(f"{path}.{name}") for name in ("resource", "name", "uid") if not user.get(name)]


def validate_pool(name: str, path: str) -> list[FieldError]:
    """The name of a pool: names of domains between slashes."""
    if not name:
        return [required(path)]
    errors = [too_long(path, POOL_NAME_BYTES_MAX)] if byte_count(name) > POOL_NAME_BYTES_MAX else []
    return errors + [
        error for part in name.split("/") for error in faults(path, part, dns1123_subdomain(part))
    ]


def _validate_allocation(allocation: Part, path: str, names: set[str]) -> list[FieldError]:
    devices = allocation.get("devices") or {}

    def result(given: Part, at: str) -> list[FieldError]:
        device = given.get("device") or ""
        errors = _validate_name(given.get("request") or "", f"{at}.request", names)
        errors += validate_csi_driver(given.get("driver") or "", f"{at}.driver")
        errors += validate_pool(given.get("pool") or "", f"{at}.pool")
        return errors + faults(f"{at}.device", device, dns1123_label(device))

    def config(given: Part, at: str) -> list[FieldError]:
        source = given.get("source") or ""
        errors = []
        if not source:
            errors.append(required(f"{at}.source"))
        elif source not in CONFIG_SOURCES:
            errors.append(not_supported(f"{at}.source", source, CONFIG_SOURCES))
        errors += _validate_names(given.get("requests") or (), f"{at}.requests", names)
        return errors + _validate_opaque(given, at)

    at = f"{path}.devices"
    errors = validate_each(devices.get("results") or (), f"{at}.results", RESULTS_MAX, result)
    errors += validate_each(devices.get("config") or (), f"{at}.config", 2 * CONFIGS_MAX, config)
    if (selector := allocation.get("nodeSelector")) is not None:
        errors += validate_node_selector(selector, f"{path}.nodeSelector")
    return errors


def _validate_claim_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    status, before = obj.get("status") or {}, old.get("status") or {}
    users, path = status.get("reservedFor") or [], "status.reservedFor"
    errors += validate_each(users, path, RESERVATIONS_MAX, _validate_user, lambda user: user.get("uid"))
    allocation = status.get("allocation")
    if users and allocation is None:
        errors.append(forbidden(path, "may not be specified when `allocated` is not set"))
    elif obj["metadata"].get("deletionTimestamp") and any(
        user not in (before.get("reservedFor") or ()) for user in users
    ):
        detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        errors.append(forbidden(path, detail))
    if allocation is not None and before.get("allocation") is not None:
        if not semantically_equal(allocation, before["allocation"]):
            errors.append(invalid("status.allocation", allocation, IMMUTABLE))
    elif allocation is not None:
        errors += _validate_allocation(allocation, "status.allocation", _request_names(obj["spec"]))
    return errors


def _validate_template(obj: Object, _: Context) -> list[FieldError]:
    metadata = obj["spec"].get("metadata") or {}
    path = "spec.metadata"
    errors = validate_named(obj)
    errors += validate_annotations(metadata.get("annotations") or {}, f"{path}.annotations")
    errors += validate_labels(metadata.get("labels") or {}, f"{path}.labels")
    return errors + _validate_claim_spec(obj["spec"].get("spec") or {}, "spec.spec")


def _validate_template_update(obj: Object, old: Object, context: Context) -> list[FieldError]:
    errors = _validate_template(obj, context) + validate_named_update(obj, old)
    return errors + _spec_kept(obj, old)


# Classes


def _default_class(obj: Object) -> None:
    obj.setdefault("spec", {})


def _prepare_for_create(obj: Object, _: Context) -> None:
    obj["metadata"]["generation"] = 1


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    count_generation(obj, old, not semantically_equal(obj["spec"], old["spec"]))


def _validate_class(obj: Object, *_: Any) -> list[FieldError]:
    errors = validate_named(obj, namespaced=False)
    spec = obj["spec"]
    errors += validate_each(spec.get("selectors") or (), "spec.selectors", SELECTORS_MAX, _validate_selector)
    errors += validate_each(spec.get("config") or (), "spec.config", CONFIGS_MAX, _validate_opaque)
    name = spec.get("extendedResourceName")
    if name is not None and not is_extended(name):
        detail = "must be a valid extended resource name"
        errors.append(invalid("spec.extendedResourceName", name, detail))
    return errors


def _validate_class_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    return _validate_class(obj) + validate_named_update(obj, old)


RESOURCE_CLAIM: Final = Strategy(
    default=_default_claim,
    prepare_for_create=_prepare_claim,
    validate=_validate_claim,
    prepare_for_update=_prepare_claim_update,
    validate_update=_validate_claim_update,
    reset_fields=("status",),
    subresources=MappingProxyType(
        {
            "status": UpdateStrategy(
                _prepare_claim_status, _validate_claim_status, reset_fields=("metadata", "spec")
            )
        }
    ),
    only_named=always,
)
RESOURCE_CLAIM_TEMPLATE: Final = Strategy(
    default=_default_template, validate=_validate_template, validate_update=_validate_template_update
)
DEVICE_CLASS: Final = Strategy(
    default=_default_class,
    prepare_for_create=_prepare_for_create,
    validate=_validate_class,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_class_update,
)
