"""What strategies do alike when they compare an object with its old self.

Source, Kubernetes 1.36: apimachinery pkg/api/equality (Semantic), pkg/apis/core/validation (ValidateObjectMeta),
apiserver registry/rest/meta.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kcore.api.field import FieldError, invalid
from kcore.api.kinds.internal_form import shown_selector
from kcore.api.kinds.metadata import IMMUTABLE, validate_metadata, validate_metadata_update
from kcore.api.kinds.names import NameRule, dns1123_label, name_is_subdomain
from kcore.api.strategy import Context

Object = dict[str, Any]

STANDARD_FINALIZERS: Final = ("kubernetes", "orphan", "foregroundDeletion")
FINALIZER_FAULT: Final = "name is neither a standard finalizer name nor is it fully qualified"
_POD_NAMES: Final = (
    "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
    "a DNS label is recommended: "
)


def semantically_equal(new: Any, old: Any) -> bool:
    """True where both say the same: an empty list or map is as good as none (Semantic.DeepEqual)."""
    if new == old:
        return True
    if isinstance(new, dict) and isinstance(old, dict):
        return all(semantically_equal(new.get(key), old.get(key)) for key in new.keys() | old.keys())
    if isinstance(new, list) and isinstance(old, list):
        return len(new) == len(old) and all(map(semantically_equal, new, old))
    return new in _NOTHING and old in _NOTHING


_NOTHING: Final[tuple[Any, ...]] = (None, [])


def validate_unchanged(new: Any, old: Any, path: str) -> list[FieldError]:
    """ValidateImmutableField."""
    return [] if semantically_equal(new, old) else [invalid(path, new, IMMUTABLE)]


def validate_selector_unchanged(new: Any, old: Any) -> list[FieldError]:
    """The same of ``spec.selector``, which is shown in Go's order."""
    if semantically_equal(new, old):
        return []
    return [invalid("spec.selector", shown_selector(new), IMMUTABLE)]


def count_generation(obj: Object, old: Object, changed: bool) -> None:
    """The generation is the old one, one more where what it counts changed."""
    generation = (old["metadata"].get("generation") or 0) + changed
    if generation:
        obj["metadata"]["generation"] = generation


def keep(obj: Object, old: Object, *names: str) -> None:
    """The fields are as in the old object."""
    for name in names:
        if name in old:
            obj[name] = old[name]
        else:
            obj.pop(name, None)


def keep_metadata_for_status(obj: Object, old: Object) -> None:
    """Metadata that a write to a subresource may not change is as it was (ResetObjectMetaForStatus)."""
    metadata, before = obj["metadata"], old["metadata"]
    for name in (
        "deletionTimestamp", "generation", "selfLink", "labels", "annotations", "finalizers", "ownerReferences",
    ):  # fmt: skip
        if name in before:
            metadata[name] = before[name]
        else:
            metadata.pop(name, None)


def validate_named(
    obj: Object, rule: NameRule = name_is_subdomain, namespaced: bool = True
) -> list[FieldError]:
    """ValidateObjectMeta of the core group: finalizers are standard or qualified, too."""
    metadata = obj.get("metadata") or {}
    errors = validate_metadata(metadata, rule, namespaced=namespaced)
    return errors + finalizer_errors(metadata) if metadata.get("finalizers") else errors


def validate_named_update(obj: Object, old: Object) -> list[FieldError]:
    """ValidateObjectMetaUpdate of the core group."""
    metadata = obj.get("metadata") or {}
    errors = validate_metadata_update(metadata, old.get("metadata") or {})
    return errors + finalizer_errors(metadata) if metadata.get("finalizers") else errors


def finalizer_errors(metadata: Mapping[str, Any]) -> list[FieldError]:
    """validateKubeFinalizerName of each."""
    return [
        invalid(f"metadata.finalizers[{index}]", name, FINALIZER_FAULT)
        for index, name in enumerate(metadata.get("finalizers") or ())
        if "/" not in name and name not in STANDARD_FINALIZERS
    ]


def pod_name_warnings(obj: Object) -> list[str]:
    """A name that is no DNS label makes poor host names of pods."""
    complaints = dns1123_label(obj["metadata"].get("name") or "")
    return [f"{_POD_NAMES}[{' '.join(complaints)}]"] if complaints else []


def keeping(*names: str) -> Callable[[Object, Object, Context], None]:
    """What a write to the status does first: the fields are as they were."""

    def prepare(obj: Object, old: Object, _: Context) -> None:
        keep(obj, old, *names)

    return prepare
