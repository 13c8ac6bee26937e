"""What the server itself does to metadata: system fields, the namespace and name of the request, owner references.

Sources, Kubernetes 1.36: apiserver pkg/registry/rest/meta.go, pkg/endpoints/handlers/rest.go (checkName,
dedupOwnerReferences), pkg/storage/names/generate.go.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from kcore.api.status import ApiError, bad_request
from kcore.apiserver.operation import Object, Operation

NAME_SUFFIX_LENGTH: Final = 5
GENERATED_NAME_LENGTH_MAX: Final = 63
GENERATE_NAME_ATTEMPTS_MAX: Final = 8

SYSTEM_FIELDS: Final = (
    "creationTimestamp",
    "uid",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
)
NAMESPACE_MISMATCH: Final = (
    "the namespace of the provided object does not match the namespace sent on the request"
)

TOO_LARGE: Final = "etcdserver: request is too large"

DUPLICATE_OWNERS: Final = (
    ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may "
    "reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}"
)
DUPLICATE_OWNERS_AFTER_ADMISSION: Final = (
    ".metadata.ownerReferences contains duplicate entries after mutating admission happens; API server dedups owner "
    "references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) "
    "observed: {}"
)


def metadata_of(obj: Object) -> dict[str, Any]:
    """The object's metadata, made where it has none."""
    metadata: dict[str, Any] | None = obj.get("metadata")
    if metadata is None:
        metadata = obj["metadata"] = {}
    return metadata


def wipe_system_fields(metadata: dict[str, Any]) -> None:
    """What only the server sets is gone."""
    for name in SYSTEM_FIELDS:
        metadata.pop(name, None)


def ensure_namespace(metadata: dict[str, Any], expected: str) -> None:
    """The object is in the namespace of the request; bad request where it says another."""
    found = metadata.get("namespace", "")
    if found == expected:
        return
    if not found:
        metadata["namespace"] = expected
    elif not expected:
        del metadata["namespace"]
    else:
        raise bad_request(NAMESPACE_MISMATCH)


def check_name(op: Operation, metadata: dict[str, Any]) -> None:
    """The object has the name of the URL; its namespace was ensured before."""
    name = metadata.get("name", "")
    if not name:
        raise bad_request(
            f"the name of the object ({op.name} based on URL) was undeterminable: name must be provided"
        )
    if name != op.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({op.name})")


def dedup_owners(op: Operation, metadata: dict[str, Any], text: str) -> None:
    """Each owner is there once; the client is warned of doubles."""
    owners = metadata.get("ownerReferences")
    if not owners or len(owners) < 2:
        return
    kept: dict[bytes, Object] = {}  # by their bytes: a body may have tens of thousands
    doubles = []
    for owner in owners:
        text_of_it = orjson.dumps(owner, option=orjson.OPT_SORT_KEYS)
        if text_of_it in kept:
            doubles.append(owner.get("uid", ""))
        else:
            kept[text_of_it] = owner
    if doubles:
        op.warn(text.format(", ".join(doubles)))
        metadata["ownerReferences"] = [*kept.values()]


def generate_name(base: str, suffix: str) -> str:
    """The base, shortened so that the suffix fits a label, and the suffix."""
    return base[: GENERATED_NAME_LENGTH_MAX - NAME_SUFFIX_LENGTH] + suffix


def is_too_large(error: ApiError) -> bool:
    """True where the store refused the object for its size: without its managed fields it may fit."""
    return error.message == TOO_LARGE


def raised_internal(message: str) -> ApiError:
    """500 for a plain error of Go: no reason, the text alone (responsewriters.ErrorToAPIStatus)."""
    return ApiError(500, "", message)
