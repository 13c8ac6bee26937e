"""What is wrong with files made of other objects: keys as files, the downward API, projected volumes.

Source, Kubernetes 1.36: pkg/apis/core/validation/validation.go (validateProjectionSources and around it),
pkg/apis/core/pods/helpers.go, pkg/fieldpath/fieldpath.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kcore.api.field import FieldError, forbidden, invalid, not_supported, required
from kcore.api.kinds.names import faults, qualified_name
from kcore.api.kinds.pod_options import PodOptions
from kcore.api.kinds.relative_paths import validate_local_path
from kcore.api.quantity import canonical, parse_quantity

Object = Mapping[str, Any]

MODE_MAX: Final = 0o777
MODE_MESSAGE: Final = "must be a number between 0 and 0777 (octal), both inclusive"
TOKEN_SECONDS_MIN: Final = 600
TOKEN_SECONDS_MAX: Final = 1 << 32
VOLUME_FIELDS: Final = (
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",
)  # fmt: skip
VARIABLE_FIELDS: Final = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
RESOURCE_FIELDS: Final = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
    "requests.memory",
)  # fmt: skip
_FIELDS: Final = frozenset({
    *VOLUME_FIELDS, *VARIABLE_FIELDS, "spec.restartPolicy", "spec.schedulerName", "status.phase",
})  # fmt: skip
_HUGE_PAGES: Final = ("limits.hugepages-", "requests.hugepages-")
_BYTES: Final = ("1", *(f"1{each}" for each in "kMGTPE"), *(f"1{each}i" for each in "KMGTPE"))
_DIVISORS: Final = {
    "cpu": (("1m", "1"), "1m and 1 are supported with the cpu resource"),
    "memory": (_BYTES, f"{', '.join(_BYTES)} are supported with the memory resource"),
    "ephemeral-storage": (
        _BYTES,
        f"{', '.join(_BYTES)} are supported with the local ephemeral storage resource",
    ),
}


def validate_mode(mode: int | None, path: str, errors: list[FieldError]) -> None:
    """The mode of a file, where one is given."""
    if mode is not None and not 0 <= mode <= MODE_MAX:
        errors.append(invalid(path, mode, MODE_MESSAGE))


def validate_items(items: Iterable[Object], path: str, errors: list[FieldError]) -> None:
    """validateKeyToPath of each."""
    for index, item in enumerate(items):
        _validate_item(item, f"{path}[{index}]", errors)


def _validate_item(item: Object, path: str, errors: list[FieldError]) -> None:
    where = item.get("path") or ""
    if not item.get("key"):
        errors.append(required(f"{path}.key"))
    if not where:
        errors.append(required(f"{path}.path"))
    validate_local_path(where, f"{path}.path", errors)
    validate_mode(item.get("mode"), f"{path}.mode", errors)


def split_subscript(field_path: str) -> tuple[str, str, bool]:
    """SplitMaybeSubscriptedPath: ``metadata.labels['a']`` is ``metadata.labels`` and ``a``."""
    if field_path.endswith("']"):
        path, bracket, key = field_path[:-2].partition("['")
        if bracket and path:
            return path, key, True
    return field_path, "", False


def validate_field_selector(
    selector: Object, expressions: tuple[str, ...], path: str, errors: list[FieldError]
) -> None:
    """validateObjectFieldSelector."""
    version, field_path = selector.get("apiVersion") or "", selector.get("fieldPath") or ""
    for name, value in (("apiVersion", version), ("fieldPath", field_path)):
        if not value:
            errors.append(required(f"{path}.{name}"))
            return
    base, key, subscripted = split_subscript(field_path)
    problem = ""
    if version != "v1":
        problem = f"unsupported pod version: {version}"
    elif subscripted and base not in ("metadata.annotations", "metadata.labels"):
        problem = f"field label does not support subscript: {field_path}"
    elif not subscripted and field_path not in _FIELDS and field_path != "spec.host":
        problem = f"field label not supported: {field_path}"
    if problem:
        errors.append(invalid(f"{path}.fieldPath", field_path, f"error converting fieldPath: {problem}"))
    elif subscripted:
        key = key.lower() if base == "metadata.annotations" else key
        errors += faults(path, key, qualified_name(key))
    else:
        base = "spec.nodeName" if base == "spec.host" else base
        if base not in expressions:
            errors.append(not_supported(f"{path}.fieldPath", base, expressions))


def validate_resource_selector(selector: Object, path: str, volume: bool, errors: list[FieldError]) -> None:
    """validateContainerResourceFieldSelector."""
    resource = selector.get("resource") or ""
    if volume and not selector.get("containerName"):
        errors.append(required(f"{path}.containerName"))
    elif not resource:
        errors.append(required(f"{path}.resource"))
    elif resource not in RESOURCE_FIELDS and not resource.startswith(_HUGE_PAGES):
        errors.append(not_supported(f"{path}.resource", resource, RESOURCE_FIELDS))
    divisor = selector.get("divisor")
    if divisor is None or parse_quantity(divisor) == 0:
        return
    side, _, kind = resource.partition(".")
    allowed = _DIVISORS.get(kind) if side in ("limits", "requests") else None
    if resource.startswith(_HUGE_PAGES):
        allowed = (_BYTES, f"{', '.join(_BYTES)} are supported with the hugepages resource")
    if allowed is not None and canonical(divisor) not in allowed[0]:
        errors.append(invalid(f"{path}.divisor", resource, f"only divisor's values {allowed[1]}"))


def validate_downward_items(items: Iterable[Object], path: str, errors: list[FieldError]) -> None:
    """validateDownwardAPIVolumeFile of each; the path does not say which, as upstream's."""
    for item in items:
        _validate_downward(item, path, errors)


def _validate_downward(item: Object, path: str, errors: list[FieldError]) -> None:
    where = item.get("path") or ""
    if not where:
        errors.append(required(f"{path}.path"))
    validate_local_path(where, f"{path}.path", errors)
    field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if field is not None:
        validate_field_selector(field, VOLUME_FIELDS, f"{path}.fieldRef", errors)
        if resource is not None:
            detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
            errors.append(invalid(path, "resource", detail))
    elif resource is not None:
        validate_resource_selector(resource, f"{path}.resourceFieldRef", True, errors)
    else:
        errors.append(required(path, "one of fieldRef and resourceFieldRef is required"))
    validate_mode(item.get("mode"), f"{path}.mode", errors)


def validate_projected(source: Object, path: str, options: PodOptions, errors: list[FieldError]) -> None:
    """validateProjectedVolumeSource."""
    validate_mode(source.get("defaultMode"), f"{path}.defaultMode", errors)
    taken: set[str] = set()

    def take(where: str, shown: str) -> None:
        if where in taken:
            errors.append(invalid(path, shown, "conflicting duplicate paths"))
        taken.add(where)

    for index, projection in enumerate(source.get("sources") or ()):
        at = f"{path}.sources[{index}]"
        count = 0
        for name in ("secret", "configMap"):
            if (each := projection.get(name)) is not None:
                count += 1
                _project_keys(each, f"{at}.{name}", take, errors)
        if (each := projection.get("downwardAPI")) is not None:
            count += 1
            for item in each.get("items") or ():
                _validate_downward(item, f"{at}.downwardAPI", errors)
                if where := item.get("path"):
                    take(where, where)
        if (each := projection.get("serviceAccountToken")) is not None:
            count += 1
            _project_token(each, f"{at}.serviceAccountToken", path, options, errors)
        # clusterTrustBundle and podCertificate: their gates are off, so these fields are dropped before
        if count > 1:
            errors.append(forbidden(at, "may not specify more than 1 volume type per source"))


def _project_keys(
    source: Object, path: str, take: Callable[[str, str], None], errors: list[FieldError]
) -> None:
    name = source.get("name") or ""
    if not name:
        errors.append(required(f"{path}.name"))
    for index, item in enumerate(source.get("items") or ()):
        _validate_item(item, f"{path}.items[{index}]", errors)
        if where := item.get("path"):
            take(where, name)


def _project_token(
    token: Object, path: str, volume_path: str, options: PodOptions, errors: list[FieldError]
) -> None:
    seconds = token.get("expirationSeconds") or 0
    at = f"{path}.expirationSeconds"
    if seconds < TOKEN_SECONDS_MIN:
        errors.append(invalid(at, seconds, "may not specify a duration less than 10 minutes"))
    if seconds > TOKEN_SECONDS_MAX:
        errors.append(invalid(at, seconds, "may not specify a duration larger than 2^32 seconds"))
    if not (where := token.get("path")):
        errors.append(required(f"{volume_path}.path"))
    elif not options.allow_any_token_path:
        validate_local_path(where, f"{volume_path}.path", errors)
