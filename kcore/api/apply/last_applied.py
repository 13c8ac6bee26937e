"""Client-side apply and its annotation, where ``kubectl apply --server-side`` takes over.

Source: apimachinery pkg/util/managedfields/internal/lastappliedmanager.go, lastappliedupdater.go and lastapplied.go of
Kubernetes 1.36.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from kcore.api.apply.entries import FieldSet
from kcore.api.apply.updater import Typed
from kcore.api.field import go_json
from kcore_native.fieldset import merge, sets, walk

ANNOTATION: Final = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL: Final = "kubectl"  # the one manager for whom the annotation is looked at
ANNOTATIONS_BYTES_MAX: Final = 256 * 1024  # of all annotations together


def annotation(obj: dict[str, Any]) -> str:
    """The last applied configuration of client-side apply; empty where there is none."""
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    return annotations.get(ANNOTATION) or ""


def applied_client_side(live: Typed) -> FieldSet | None:
    """The fields that client-side apply set, and that still are as it set them; None where that cannot be told."""
    text = annotation(live.value)
    if not text:
        return None
    try:
        applied = orjson.loads(text)
        if not isinstance(applied, dict) or applied.get("apiVersion", "") != live.api_version:
            return None
        if merge.faults(live.shape, applied):
            return None
        fields = walk.to_set(live.shape, applied)
        comparison = walk.Comparison(live.shape, applied, live.value)
    except ValueError:
        return None
    return sets.difference(sets.difference(fields, comparison.changed), comparison.removed)


def renewed(obj: dict[str, Any], applied: dict[str, Any]) -> dict[str, Any]:
    """The object with the annotation, where it has one, saying what was applied now; left out where it is too large."""
    if not annotation(obj):
        return obj
    metadata = {**applied["metadata"]} if applied.get("metadata") else {}
    if metadata.get("annotations"):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != ANNOTATION}
    value = go_json({**applied, "metadata": metadata} if metadata else applied) + "\n"
    annotations = {**obj["metadata"]["annotations"], ANNOTATION: value}
    if sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items()) > ANNOTATIONS_BYTES_MAX:
        del annotations[ANNOTATION]
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
