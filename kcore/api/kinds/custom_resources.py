"""CustomResourceDefinitions.

Sources, Kubernetes 1.36: apiextensions-apiserver pkg/apis/apiextensions/validation/validation.go, v1/defaults.go and
conversion.go, pkg/registry/customresourcedefinition/strategy.go, pkg/apihelpers. What all versions have alike is
reported at the top of the spec, where upstream's internal type has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, cast

from kcore.api.field import (
    FieldError,
    Struct,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    quoted,
    required,
    too_many,
)
from kcore.api.kinds.metadata import validate_metadata, validate_metadata_update
from kcore.api.kinds.names import dns1035_label, dns1123_subdomain, name_is_subdomain
from kcore.api.kinds.structural_schemas import unrecognized_formats, validate_schema
from kcore.api.kinds.updates import count_generation, keep, semantically_equal, validate_unchanged
from kcore.api.kinds.webhooks import PORT, validate_client, validate_review_versions
from kcore.api.strategy import Context, Strategy, UpdateStrategy

Object = dict[str, Any]
Part = Mapping[str, Any]

APPROVED: Final = "api-approved.kubernetes.io"
WARNING_BYTES_MAX: Final = 256
SELECTABLE_FIELDS_MAX: Final = 8
COLUMN_TYPES: Final = ("boolean", "date", "integer", "number", "string")
COLUMN_FORMATS: Final = (
    "byte", "date", "date-time", "double", "float", "int32", "int64", "password",
)  # fmt: skip
SCOPES: Final = ("Cluster", "Namespaced")
CONVERSIONS: Final = ("None", "Webhook")
_match_url = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]+[^\s]*").fullmatch
_REQUEST: Final = "see https://github.com/kubernetes/enhancements/pull/1111"
_NO_WEBHOOK: Final = "should not be set when strategy is not set to Webhook"


def _default(obj: Object) -> None:
    spec, status = obj.setdefault("spec", {}), obj.setdefault("status", {})
    names = spec.setdefault("names", {})
    kind = names.get("kind") or ""
    if not names.get("singular") and kind:
        names["singular"] = kind.lower()
    if not names.get("listKind") and kind:
        names["listKind"] = f"{kind}List"
    conversion = spec.get("conversion")
    if conversion is None:
        spec["conversion"] = {"strategy": "None"}
    else:
        service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
        if service is not None and service.get("port") is None:
            service["port"] = PORT
    if not status.get("storedVersions"):
        _store(obj)


def _store(obj: Object) -> None:
    """The storage version is among those that something may be stored in."""
    for version in obj["spec"].get("versions") or ():
        if version.get("storage"):
            stored = obj["status"].get("storedVersions") or []
            if version.get("name") not in stored:
                obj["status"]["storedVersions"] = [*stored, version.get("name") or ""]
            return


def _prepare_for_create(obj: Object, _: Context) -> None:
    obj["status"] = {"acceptedNames": {"kind": "", "plural": ""}}
    obj["metadata"]["generation"] = 1
    _store(obj)


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")
    obj["status"] = dict(obj.get("status") or {})
    count_generation(obj, old, not semantically_equal(obj["spec"], old["spec"]))
    _store(obj)


def _prepare_status(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "spec")


# Names


def _validate_names(names: Part, path: str) -> list[FieldError]:
    errors = [
        invalid(f"{path}.{name}", value, ",".join(complaints))
        for name in ("plural", "singular")
        if (value := names.get(name)) and (complaints := dns1035_label(value))
    ]
    for name in ("kind", "listKind"):
        if (value := names.get(name)) and (complaints := dns1035_label(value.lower())):
            detail = f"may have mixed case, but should otherwise match: {','.join(complaints)}"
            errors.append(invalid(f"{path}.{name}", value, detail))
    errors += _validate_labels(names.get("shortNames") or (), f"{path}.shortNames")
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        detail = "kind and listKind may not be the same"
        errors.append(invalid(f"{path}.listKind", names["listKind"], detail))
    return errors + _validate_labels(names.get("categories") or (), f"{path}.categories")


def _validate_labels(values: Any, path: str) -> list[FieldError]:
    return [
        invalid(f"{path}[{index}]", value, ",".join(complaints))
        for index, value in enumerate(values)
        if (complaints := dns1035_label(value))
    ]


# Versions


def _validate_json_path(text: str, path: str) -> list[FieldError]:
    """validateSimpleJSONPath."""
    if text.startswith("."):
        return []
    return [invalid(path, text, "must be a simple json path starting with .")]


def _validate_columns(columns: Any, path: str) -> list[FieldError]:
    errors = []
    types, formats = f"must be one of {','.join(COLUMN_TYPES)}", f"must be one of {','.join(COLUMN_FORMATS)}"
    for index, column in enumerate(columns):
        at, kind = f"{path}[{index}]", column.get("type") or ""
        if not column.get("name"):
            errors.append(required(f"{at}.name"))
        if not kind:
            errors.append(required(f"{at}.type", types))
        elif kind not in COLUMN_TYPES:
            errors.append(invalid(f"{at}.type", kind, types))
        if (form := column.get("format")) and form not in COLUMN_FORMATS:
            errors.append(invalid(f"{at}.format", form, formats))
        if not (where := column.get("jsonPath")):
            errors.append(required(f"{at}.JSONPath"))
        else:
            errors += _validate_json_path(where, f"{at}.JSONPath")
    return errors


# field of a scale, where its path must begin, the words for it
_SCALE: Final = (
    ("specReplicasPath", (".spec.",), "under .spec"),
    ("statusReplicasPath", (".status.",), "under .status"),
    ("labelSelectorPath", (".spec.", ".status."), "under either .spec or .status"),
)


def _validate_subresources(subresources: Part, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if (scale := subresources.get("scale")) is None:
        return errors
    for name, starts, words in _SCALE:
        at, where = f"{path}.scale.{name}", scale.get(name)
        if not where:
            if name != "labelSelectorPath":
                errors.append(required(at))
        elif found := _validate_json_path(where, at):
            errors += found
        elif not where.startswith(starts):
            errors.append(invalid(at, where, f"should be a json path {words}"))
    return errors


def _property_at(schema: Part, steps: list[str]) -> Part | None:
    found: Any = schema
    for step in steps:
        found = (found.get("properties") or {}).get(step)
        if found is None:
            return None
    return cast(Part, found)


def _validate_selectable(fields: Any, schema: Part | None, path: str, top: bool) -> list[FieldError]:
    if not fields:
        return []
    if schema is None:
        what = "validations.schema is included" if top else "`version.schema.openAPIV3Schema` is not included"
        return [invalid(path, "", f"may only be set when {what}")]
    errors: list[FieldError] = []
    seen = set()
    for index, selectable in enumerate(fields):
        at, where = f"{path}[{index}].jsonPath", selectable.get("jsonPath") or ""
        if not where:
            errors.append(required(at))
            continue
        steps = where.removeprefix(".").split(".")
        found = _property_at(schema, steps) if where.startswith(".") else None
        if found is None:
            detail = f'is an invalid path: does not refer to a valid field: "{where}"'
            errors.append(invalid(at, where, detail))
            continue
        if steps[0] == "metadata":
            errors.append(invalid(at, where, "must not point to fields in metadata"))
        if found.get("type") not in ("string", "boolean", "integer"):
            detail = (
                "must point to a field of type string, boolean or integer. Enum string fields and strings with "
                "formats are allowed."
            )
            errors.append(invalid(at, where, detail))
        if where in seen:
            errors.append(duplicate(at, where))
        seen.add(where)
    if len(seen) > SELECTABLE_FIELDS_MAX:
        errors.append(too_many(path, len(seen), SELECTABLE_FIELDS_MAX))
    return errors


def _warning_faults(version: Part) -> list[str]:
    """validateDeprecationWarning."""
    text = version.get("deprecationWarning")
    if text is None:
        return []
    if not version.get("deprecated"):
        return ["can only be set for deprecated versions"]
    faults = []
    if len(text.encode()) > WARNING_BYTES_MAX:
        faults.append(f"must be <= {WARNING_BYTES_MAX} characters long")
    if not text:
        faults.append("must not be an empty string")
    place = 0
    for char in text:
        if not char.isprintable():
            faults.append(
                f"must only contain printable UTF-8 characters; non-printable character found at index {place}"
            )
            break
        place += len(char.encode())
    return faults


_SHARED: Final = ("schema", "subresources", "additionalPrinterColumns", "selectableFields")


class _Layout:
    """Of what all versions have alike, upstream speaks at the top of the spec."""

    def __init__(self, spec: Part) -> None:
        self.versions: list[Part] = spec.get("versions") or []
        first: Part = self.versions[0] if self.versions else {}
        self.top = {
            name: first.get(name)
            for name in _SHARED
            if all(semantically_equal(each.get(name), first.get(name)) for each in self.versions)
        }

    def of_version(self, version: Part, name: str) -> Any:
        """What a version alone has."""
        return None if name in self.top else version.get(name)

    def shown(self) -> list[Struct]:
        """The versions as upstream's messages show them, schemas as they were given."""
        return [
            Struct(
                Name=each.get("name") or "",
                Served=bool(each.get("served")),
                Storage=bool(each.get("storage")),
                Deprecated=bool(each.get("deprecated")),
                DeprecationWarning=each.get("deprecationWarning"),
                Schema=self.of_version(each, "schema"),
                Subresources=self.of_version(each, "subresources"),
                AdditionalPrinterColumns=self.of_version(each, "additionalPrinterColumns"),
                SelectableFields=self.of_version(each, "selectableFields"),
            )
            for each in self.versions
        ]


def _has_status(version: Part) -> bool:
    return (version.get("subresources") or {}).get("status") is not None


def _schema_of(version: Part) -> Part | None:
    return (version.get("schema") or {}).get("openAPIV3Schema")


def _validate_version(version: Part, layout: _Layout, path: str) -> list[FieldError]:
    errors = []
    if complaints := dns1035_label(version.get("name") or ""):
        errors.append(invalid(f"{path}.name", version.get("name") or "", ",".join(complaints)))
    warning = version.get("deprecationWarning")
    errors += [invalid(f"{path}.deprecationWarning", warning, fault) for fault in _warning_faults(version)]
    schema = _schema_of(version) if "schema" not in layout.top else None
    if schema is not None:
        errors += validate_schema(schema, f"{path}.schema.openAPIV3Schema", _has_status(version))
    subresources = layout.of_version(version, "subresources") or {}
    errors += _validate_subresources(subresources, f"{path}.subresources")
    columns = layout.of_version(version, "additionalPrinterColumns") or ()
    errors += _validate_columns(columns, f"{path}.additionalPrinterColumns")
    fields = layout.of_version(version, "selectableFields")
    return errors + _validate_selectable(fields, schema, f"{path}.selectableFields", False)


# The whole


def _validate_conversion(conversion: Part, recognized: bool) -> list[FieldError]:
    path, strategy = "spec.conversion", conversion.get("strategy") or ""
    webhook = conversion.get("webhook") or {}
    client, versions = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    errors: list[FieldError] = []
    if not strategy:
        errors.append(required(f"{path}.strategy"))
    elif strategy not in CONVERSIONS:
        errors.append(not_supported(f"{path}.strategy", strategy, CONVERSIONS))
    if strategy != "Webhook":
        if client is not None:
            errors.append(forbidden(f"{path}.webhookClientConfig", _NO_WEBHOOK))
        if versions:
            errors.append(forbidden(f"{path}.conversionReviewVersions", _NO_WEBHOOK))
        return errors
    if client is None:
        detail = "required when strategy is set to Webhook"
        errors.append(required(f"{path}.webhookClientConfig", detail))
    else:
        errors += validate_client(client, f"{path}.webhookClientConfig")
    at = f"{path}.conversionReviewVersions"
    if not versions:
        return [*errors, required(at)]
    return errors + validate_review_versions(versions, at, recognized)


def _validate_spec(spec: Part, *, recognized: bool = True) -> list[FieldError]:
    errors: list[FieldError] = []
    group, scope = spec.get("group") or "", spec.get("scope") or ""
    layout = _Layout(spec)
    if not group:
        errors.append(required("spec.group"))
    elif complaints := dns1123_subdomain(group):
        errors.append(invalid("spec.group", group, ",".join(complaints)))
    elif "." not in group:
        errors.append(invalid("spec.group", group, "should be a domain with at least one dot"))
    if not scope:
        errors.append(required("spec.scope"))
    elif scope not in SCOPES:
        errors.append(not_supported("spec.scope", scope, SCOPES))
    errors += [
        required(f"spec.versions[{index}].schema.openAPIV3Schema")
        for index, version in enumerate(layout.versions)
        if _schema_of(version) is None
    ]
    for index, version in enumerate(layout.versions):
        errors += _validate_version(version, layout, f"spec.versions[{index}]")
    names = [version.get("name") or "" for version in layout.versions]
    if len(set(names)) < len(names):
        errors.append(invalid("spec.versions", layout.shown(), "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in layout.versions) != 1:
        detail = "must have exactly one version marked as storage version"
        errors.append(invalid("spec.versions", layout.shown() or None, detail))
    if names and names[0] and (complaints := dns1035_label(names[0])):
        errors.append(invalid("spec.version", names[0], ",".join(complaints)))
    given = spec.get("names") or {}
    errors += [
        required(f"spec.names.{name}")
        for name in ("plural", "singular", "kind", "listKind")
        if not given.get(name)
    ]
    errors += _validate_names(given, "spec.names")
    errors += _validate_top(layout)
    if (conversion := spec.get("conversion")) is not None:
        if conversion.get("strategy") != "None" and spec.get("preserveUnknownFields"):
            detail = "must be None if spec.preserveUnknownFields is true"
            errors.append(invalid("spec.conversion.strategy", conversion.get("strategy") or "", detail))
        errors += _validate_conversion(conversion, recognized)
    return errors


def _validate_top(layout: _Layout) -> list[FieldError]:
    """What all versions have alike."""
    errors: list[FieldError] = []
    top = layout.top
    schema = (top.get("schema") or {}).get("openAPIV3Schema")
    if schema is not None:
        has_status = any(map(_has_status, layout.versions))
        errors += validate_schema(schema, "spec.validation.openAPIV3Schema", has_status)
    errors += _validate_subresources(top.get("subresources") or {}, "spec.subresources")
    errors += _validate_columns(top.get("additionalPrinterColumns") or (), "spec.additionalPrinterColumns")
    return errors + _validate_selectable(top.get("selectableFields"), schema, "spec.selectableFields", True)


def _approval(obj: Object) -> tuple[str, str]:
    """GetAPIApprovalState: the state and why."""
    text = (obj["metadata"].get("annotations") or {}).get(APPROVED) or ""
    needs = f'protected groups must have approval annotation "{APPROVED}"'
    if not text:
        return "missing", f"{needs}, {_REQUEST}"
    if text.startswith("unapproved"):
        return "bypassed", ""
    if _match_url(text):
        return "approved", ""
    return "invalid", f'{needs} with either a URL or a reason starting with "unapproved", {_REQUEST}'


def _validate_approval(obj: Object, old: Object | None) -> list[FieldError]:
    group = f".{obj['spec'].get('group') or ''}"
    if not group.endswith((".k8s.io", ".kubernetes.io")):
        return []
    state, why = _approval(obj)
    if old is not None and _approval(old)[0] == state:
        return []
    path = f"metadata.annotations[{APPROVED}]"
    if state == "missing":
        return [required(path, why)]
    if state == "invalid":
        return [invalid(path, obj["metadata"]["annotations"][APPROVED], why)]
    return []


def _validate_stored(obj: Object) -> list[FieldError]:
    path = "status.storedVersions"
    status = obj.get("status") or {}
    stored = status.get("storedVersions") or []
    errors = _validate_names(status.get("acceptedNames") or {}, "status.acceptedNames")
    if not stored:
        return [*errors, invalid(path, None, "must have at least one stored version")]
    names = [version.get("name") or "" for version in obj["spec"].get("versions") or ()]
    for version in obj["spec"].get("versions") or ():
        if version.get("storage") and version.get("name") not in stored:
            detail = f"must have the storage version {version.get('name') or ''}"
            errors.append(invalid(path, stored, detail))
    return errors + [
        invalid(
            f"{path}[{index}]",
            name,
            f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions "
            f"until a storage migration ensures no data remains persisted in {name} and removes {name} from "
            "status.storedVersions",
        )
        for index, name in enumerate(stored)
        if name not in names
    ]


def _validate_preserving(obj: Object, old: Object | None) -> list[FieldError]:
    name = "preserveUnknownFields"
    if not obj["spec"].get(name) or (old is not None and old["spec"].get(name)):
        return []
    detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
    return [invalid(f"spec.{name}", True, detail)]


def _validate(obj: Object, _: Context) -> list[FieldError]:
    spec = obj["spec"]
    needed = f"{(spec.get('names') or {}).get('plural') or ''}.{spec.get('group') or ''}"

    def name_rule(name: str, prefix: bool) -> tuple[str, ...]:
        complaints = name_is_subdomain(name, prefix)
        return complaints if name == needed else (*complaints, 'must be spec.names.plural+"."+spec.group')

    errors = validate_metadata(obj["metadata"], name_rule, namespaced=False)
    errors += _validate_spec(spec) + _validate_stored(obj)
    return errors + _validate_approval(obj, None) + _validate_preserving(obj, None)


def _is_established(obj: Object) -> bool:
    return any(
        condition.get("type") == "Established" and condition.get("status") == "True"
        for condition in (obj.get("status") or {}).get("conditions") or ()
    )


def _validate_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    spec, before = obj["spec"], old["spec"]
    webhook = (before.get("conversion") or {}).get("webhook") or {}
    had = webhook.get("conversionReviewVersions") or ()
    recognized = not had or bool({"v1", "v1beta1"}.intersection(had))
    errors = validate_metadata_update(obj["metadata"], old["metadata"])
    errors += _validate_spec(spec, recognized=recognized)
    names, were = spec.get("names") or {}, before.get("names") or {}
    if _is_established(old):
        errors += validate_unchanged(spec.get("scope"), before.get("scope"), "spec.scope")
        errors += validate_unchanged(names.get("kind"), were.get("kind"), "spec.names.kind")
    errors += validate_unchanged(spec.get("group"), before.get("group"), "spec.group")
    errors += validate_unchanged(names.get("plural"), were.get("plural"), "spec.names.plural")
    errors += _validate_stored(obj)
    return errors + _validate_approval(obj, old) + _validate_preserving(obj, old)


def _validate_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_metadata_update(obj["metadata"], old["metadata"])
    names = (obj.get("status") or {}).get("acceptedNames") or {}
    return errors + _validate_names(names, "status.acceptedNames")


def _formats(obj: Object) -> list[str]:
    layout = _Layout(obj["spec"])
    versions = layout.versions[:1] if "schema" in layout.top else layout.versions
    return [form for version in versions for form in unrecognized_formats(_schema_of(version) or {})]


def _warnings(obj: Object, _: Context) -> list[str]:
    return [f"unrecognized format {quoted(form)}" for form in _formats(obj)]


def _warnings_on_update(obj: Object, old: Object, _: Context) -> list[str]:
    known = _formats(old)
    return [f"unrecognized format {quoted(form)}" for form in _formats(obj) if form not in known]


CUSTOM_RESOURCE_DEFINITION: Final = Strategy(
    default=_default,
    prepare_for_create=_prepare_for_create,
    validate=_validate,
    warnings=_warnings,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_update,
    warnings_on_update=_warnings_on_update,
    reset_fields=("status",),
    allow_unconditional_update=False,
    subresources=MappingProxyType(
        {"status": UpdateStrategy(_prepare_status, _validate_status, reset_fields=("spec",))}
    ),
)
