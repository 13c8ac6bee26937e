"""ConfigMaps, Secrets and ServiceAccounts.

Sources, Kubernetes 1.36: pkg/apis/core/validation/validation.go, pkg/apis/core/v1/conversion.go (stringData),
pkg/registry/core/{configmap,secret,serviceaccount}/strategy.go; crypto/tls of Go for the warnings of a TLS secret.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from kcore.api.field import FieldError, forbidden, invalid, required, too_long
from kcore.api.kinds.key_pairs import key_pair_fault
from kcore.api.kinds.names import byte_count, config_key, faults
from kcore.api.kinds.updates import (
    semantically_equal,
    validate_named,
    validate_named_update,
    validate_unchanged,
)
from kcore.api.schema.syntax import syntax_error
from kcore.api.strategy import Context, Strategy, always

Object = dict[str, Any]

DATA_BYTES_MAX: Final = 1 << 20  # of all values of a ConfigMap or a Secret together
SERVICE_ACCOUNT_NAME: Final = "kubernetes.io/service-account.name"
MOUNTABLE_SECRETS: Final = "kubernetes.io/enforce-mountable-secrets"
_SET: Final = "field is immutable when `immutable` is set"

# the key that a type of secret must have, with JSON in it
_DOCKER_KEYS: Final = {
    "kubernetes.io/dockercfg": ".dockercfg",
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
}


def decoded(value: str | None) -> bytes:
    """The bytes of a value of ``data``; none where it is no base64."""
    try:
        return base64.b64decode(value or "")
    except (binascii.Error, ValueError):
        return b""


def _size(value: str | None) -> int:
    return len(value) * 3 // 4 - value[-2:].count("=") if value else 0


# ConfigMaps


def _validate_config_map(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj)
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    size = 0
    for key, value in data.items():
        errors += faults(f"data[{key}]", key, config_key(key))
        if key in binary:
            errors.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
        size += byte_count(value or "")
    for key, value in binary.items():
        errors += faults(f"binaryData[{key}]", key, config_key(key))
        size += _size(value)
    if size > DATA_BYTES_MAX:
        errors.append(too_long("", DATA_BYTES_MAX))
    return errors


def _immutable_errors(obj: Object, old: Object, *names: str) -> list[FieldError]:
    if not old.get("immutable"):
        return []
    errors = [] if obj.get("immutable") else [forbidden("immutable", _SET)]
    return errors + [
        forbidden(name, _SET) for name in names if not semantically_equal(obj.get(name), old.get(name))
    ]


def _validate_config_map_update(obj: Object, old: Object, context: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    errors += _immutable_errors(obj, old, "data", "binaryData")
    return errors + _validate_config_map(obj, context)


# Secrets


def _default_secret(obj: Object) -> None:
    if not obj.get("type"):
        obj["type"] = "Opaque"
    if (texts := obj.pop("stringData", None)) is not None:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        if data := {**(obj.get("data") or {}), **encoded}:
            obj["data"] = data


def _prepare_secret_update(obj: Object, old: Object, _: Context) -> None:
    if not obj.get("type"):
        obj["type"] = old.get("type")


def _validate_secret(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj)
    data = obj.get("data") or {}
    for key in data:
        errors += faults(f"data[{key}]", key, config_key(key))
    if sum(map(_size, data.values())) > DATA_BYTES_MAX:
        errors.append(too_long("data", DATA_BYTES_MAX))
    return errors + _validate_type(obj, data)


def _validate_type(obj: Object, data: Mapping[str, str]) -> list[FieldError]:
    kind = obj.get("type") or ""
    if kind == "kubernetes.io/service-account-token":
        annotations = obj["metadata"].get("annotations") or {}
        if not annotations.get(SERVICE_ACCOUNT_NAME):
            return [required(f"metadata.annotations[{SERVICE_ACCOUNT_NAME}]")]
    elif kind in _DOCKER_KEYS:
        at = f"data[{_DOCKER_KEYS[kind]}]"
        if (value := data.get(_DOCKER_KEYS[kind])) is None:
            return [required(at)]
        if fault := _json_map_fault(decoded(value)):
            return [invalid(at, "<secret contents redacted>", fault)]
    elif kind == "kubernetes.io/basic-auth":
        if "username" not in data and "password" not in data:
            return [required("data[username]"), required("data[password]")]
    elif kind == "kubernetes.io/ssh-auth":
        if not data.get("ssh-privatekey"):
            return [required("data[ssh-privatekey]")]
    elif kind == "kubernetes.io/tls":
        return [required(f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in data]
    return []


def _json_map_fault(text: bytes) -> str:
    """Go's words where the text is not a JSON object; empty where it is."""
    import orjson

    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return syntax_error(text) or ""
    if value is None or isinstance(value, dict):
        return ""
    word = "array" if isinstance(value, list) else "string" if isinstance(value, str) else "number"
    word = "bool" if isinstance(value, bool) else word
    return f"json: cannot unmarshal {word} into Go value of type map[string]interface {{}}"


def _validate_secret_update(obj: Object, old: Object, context: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    errors += validate_unchanged(obj.get("type"), old.get("type"), "type")
    errors += _immutable_errors(obj, old, "data")
    return errors + _validate_secret(obj, context)


def _secret_warnings(obj: Object, *_: Any) -> list[str]:
    if obj.get("type") != "kubernetes.io/tls":
        return []
    data = obj.get("data") or {}
    fault = key_pair_fault(decoded(data.get("tls.crt")), decoded(data.get("tls.key")))
    return [fault] if fault else []


# ServiceAccounts


def _bare_references(obj: Object, *_: Any) -> None:
    """Of the secrets, only names are kept."""
    if secrets := obj.get("secrets"):
        obj["secrets"] = [{"name": each["name"]} if each.get("name") else {} for each in secrets]


def _validate_account(obj: Object, _: Context) -> list[FieldError]:
    return validate_named(obj)


def _validate_account_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    return validate_named_update(obj, old) + validate_named(obj)


def _is_marked(obj: Object) -> bool:
    return MOUNTABLE_SECRETS in (obj["metadata"].get("annotations") or {})


def _account_warnings(obj: Object, _: Context) -> list[str]:
    if not _is_marked(obj):
        return []
    text = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
    return [f"metadata.annotations[{MOUNTABLE_SECRETS}]: {text}"]


def _account_warnings_on_update(obj: Object, old: Object, context: Context) -> list[str]:
    return [] if _is_marked(old) else _account_warnings(obj, context)


CONFIG_MAP: Final = Strategy(
    validate=_validate_config_map, validate_update=_validate_config_map_update, only_named=always
)
SECRET: Final = Strategy(
    default=_default_secret,
    validate=_validate_secret,
    warnings=_secret_warnings,
    prepare_for_update=_prepare_secret_update,
    validate_update=_validate_secret_update,
    warnings_on_update=_secret_warnings,
    only_named=always,
)
SERVICE_ACCOUNT: Final = Strategy(
    prepare_for_create=_bare_references,
    validate=_validate_account,
    warnings=_account_warnings,
    prepare_for_update=_bare_references,
    validate_update=_validate_account_update,
    warnings_on_update=_account_warnings_on_update,
    only_named=always,
)
