"""An object between the version that a client speaks and the one that is stored.

Only few built-in resources have more than one version (autoscaling v1 and v2, both groups of events); their strategies
convert. Source: apimachinery pkg/runtime/codec.go of Kubernetes 1.36.
"""

from __future__ import annotations

from kcore.apiserver.operation import Object
from kcore.apiserver.registry.core import Kind
from kcore.apiserver.registry.stored_form import dumps, loads


def from_version(kind: Kind, obj: Object) -> Object:
    """The object in the storage version; changed in place."""
    return _converted(kind, obj, kind.stored)


def in_version(kind: Kind, obj: Object) -> Object:
    """The object in the version of the row; changed in place."""
    return _converted(kind, obj, kind.row.api_version)


def to_version(kind: Kind, body: bytes) -> bytes:
    """The same for bytes."""
    return dumps(in_version(kind, loads(body)))


def _converted(kind: Kind, obj: Object, api_version: str) -> Object:
    convert = kind.strategy.convert
    if convert is not None:
        convert(obj, api_version)
    obj["apiVersion"] = api_version
    return obj
