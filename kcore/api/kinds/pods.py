"""Pods: what is set, dropped, checked and warned of on each way to write one, and how long a deletion may take.

Sources, Kubernetes 1.36: pkg/registry/core/pod/strategy.go, pkg/api/pod/util.go (dropDisabledFields),
pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import orjson

from kcore.api.field import FieldError, forbidden, not_supported, required
from kcore.api.kinds.addresses import ip_warnings
from kcore.api.kinds.names import dns1123_label
from kcore.api.kinds.pod_changes import (
    options_by_old,
    options_of_annotations,
    validate_annotation_changes,
    validate_ephemeral_update,
    validate_resize,
    validate_spec_update,
)
from kcore.api.kinds.pod_defaults import default_changed_pod, default_pod, unify_service_account
from kcore.api.kinds.pod_options import OF_POD, PodOptions, containers_of
from kcore.api.kinds.pod_spec import (
    MIRROR_KEY,
    REMEMBERED_COUNT_MAX,
    is_sound,
    pod_spec_errors,
    remembered_text,
    validate_pod_annotations,
    validate_spec_of_pod,
)
from kcore.api.kinds.pod_status import validate_pod_status
from kcore.api.kinds.pod_warnings import WARNED_OF, pod_warnings
from kcore.api.kinds.resource_lists import quality_of_service
from kcore.api.kinds.scheduling_terms import PREFERRED_TERMS, REQUIRED_TERMS
from kcore.api.kinds.security import APPARMOR_PREFIX, validate_annotations_match, validate_apparmor
from kcore.api.kinds.updates import (
    count_generation,
    keep,
    keep_metadata_for_status,
    semantically_equal,
    validate_named,
    validate_named_update,
)
from kcore.api.strategy import Context, Strategy, UpdateStrategy

Object = dict[str, Any]

_HOSTNAME: Final = (
    "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; "
    "a DNS label is recommended: "
)
_GATED: Final = "Scheduling is blocked due to non-empty scheduling gates"


# Fields behind gates that are off


def drop_disabled(spec: Object, old: Mapping[str, Any] | None = None) -> None:
    """Fields whose gates are off in 1.36 are gone, unless the old spec had them."""
    if spec.get("schedulingGroup") is not None and (old or {}).get("schedulingGroup") is None:
        del spec["schedulingGroup"]
    for volume in spec.get("volumes") or ():
        if (projected := volume.get("projected")) is not None:
            for source in projected.get("sources") or ():
                for name in ("clusterTrustBundle", "podCertificate"):
                    if name in source and not _projects(old, name):
                        del source[name]
    for _, _, container in containers_of(spec):
        lifecycle = container.get("lifecycle")
        if lifecycle and "stopSignal" in lifecycle and not _has_stop_signal(old):
            del lifecycle["stopSignal"]
            if not lifecycle:
                del container["lifecycle"]  # type: ignore[attr-defined]


def _projects(spec: Mapping[str, Any] | None, name: str) -> bool:
    return spec is not None and any(
        source.get(name) is not None
        for volume in spec.get("volumes") or ()
        for source in (volume.get("projected") or {}).get("sources") or ()
    )


def _has_stop_signal(spec: Mapping[str, Any] | None) -> bool:
    return spec is not None and any(
        (container.get("lifecycle") or {}).get("stopSignal") is not None
        for _, _, container in containers_of(spec)
    )


def _drop_disabled_status(status: Object, old: Mapping[str, Any]) -> None:
    if not old.get("nodeAllocatableResourceClaimStatuses"):
        status.pop("nodeAllocatableResourceClaimStatuses", None)
    names = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")

    def mounts(of: Mapping[str, Any]) -> list[Object]:
        return [
            mount for name in names for each in of.get(name) or () for mount in each.get("volumeMounts") or ()
        ]

    if not any(mount.get("volumeStatus") is not None for mount in mounts(old)):
        for mount in mounts(status):
            mount.pop("volumeStatus", None)


# Create


def _prepare_for_create(pod: Object, context: Context) -> None:
    metadata, spec = pod["metadata"], pod["spec"]
    metadata["generation"] = 1
    unify_service_account(spec)
    status: Object = {"phase": "Pending", "qosClass": quality_of_service(spec)}
    pod["status"] = status
    drop_disabled(spec)
    if spec.get("schedulingGates"):
        status["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "lastTransitionTime": context.now,
                "reason": "SchedulingGated",
                "message": _GATED,
            }
        ]
    labels = metadata.get("labels") or {}
    if affinity := spec.get("affinity"):
        _merge_affinity_keys(affinity, labels)
    for constraint in spec.get("topologySpreadConstraints") or ():
        _merge_keys(constraint, labels)
    if (annotations := metadata.get("annotations")) and any(
        key.startswith(APPARMOR_PREFIX) for key in annotations
    ):
        _apply_apparmor_annotations(spec, annotations)


def _merge_affinity_keys(affinity: Object, labels: Mapping[str, str]) -> None:
    for name in ("podAffinity", "podAntiAffinity"):
        if pods := affinity.get(name):
            for weighted in pods.get(PREFERRED_TERMS) or ():
                if (term := weighted.get("podAffinityTerm")) is not None:
                    _merge_keys(term, labels)
            for term in pods.get(REQUIRED_TERMS) or ():
                _merge_keys(term, labels)


def _merge_keys(term: Object, labels: Mapping[str, str]) -> None:
    """matchLabelKeys and mismatchLabelKeys stand in the term's selector, too."""
    selector = term.get("labelSelector")
    if selector is None:
        return
    for name, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
        for key in term.get(name) or ():
            if key in labels:
                expressions = selector.setdefault("matchExpressions", [])
                expressions.append({"key": key, "operator": operator, "values": [labels[key]]})


def apparmor_field(annotation: str) -> Object | None:
    """ApparmorFieldForAnnotation."""
    if annotation == "unconfined":
        return {"type": "Unconfined"}
    if annotation == "runtime/default":
        return {"type": "RuntimeDefault"}
    name = annotation.removeprefix("localhost/")
    return (
        {"type": "Localhost", "localhostProfile": name}
        if annotation.startswith("localhost/") and name
        else None
    )


def _apply_apparmor_annotations(spec: Object, annotations: Mapping[str, str]) -> None:
    """applyAppArmorVersionSkew: the annotation of a container without the field becomes the field."""
    if (spec.get("os") or {}).get("name") == "windows":
        return
    of_pod = (spec.get("securityContext") or {}).get("appArmorProfile")
    for side in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(side) or ():
            annotation = annotations.get(f"{APPARMOR_PREFIX}{container.get('name') or ''}")
            own = (container.get("securityContext") or {}).get("appArmorProfile")
            if annotation is None or own is not None:
                continue
            made = apparmor_field(annotation)
            if made is not None and not validate_apparmor(made, "") and made != of_pod:
                container.setdefault("securityContext", {})["appArmorProfile"] = made


def _apparmor_warnings(pod: Object) -> list[str]:
    """What upstream warns of while it turns annotations into fields: each that was not said by a field before."""
    annotations = pod["metadata"].get("annotations") or {}
    if (pod["spec"].get("os") or {}).get("name") == "windows":
        return []
    of_pod = (pod["spec"].get("securityContext") or {}).get("appArmorProfile")
    found = []
    for _, _, container in containers_of(pod["spec"]):
        key = f"{APPARMOR_PREFIX}{container.get('name') or ''}"
        if (annotation := annotations.get(key)) is None:
            continue
        made = apparmor_field(annotation)
        if made is not None and validate_apparmor(made, ""):
            made = None
        own = (container.get("securityContext") or {}).get("appArmorProfile")
        if (made is None and own is None) or (made is not None and made != of_pod and own == made):
            found.append(
                f'metadata.annotations[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead'
            )
    return found


def _validate_all(pod: Object, options: PodOptions, errors: list[FieldError]) -> None:
    """validatePodMetadataAndSpec."""
    metadata, spec = pod["metadata"], pod["spec"]
    errors += validate_named(pod)
    if annotations := metadata.get("annotations"):
        validate_pod_annotations(annotations, spec, "metadata.annotations", options, errors)
    errors += pod_spec_errors(spec, options, metadata)
    validate_spec_of_pod(spec, errors)


def _validate(pod: Object, _: Context) -> list[FieldError]:
    errors: list[FieldError] = []
    _validate_all(pod, OF_POD, errors)
    spec = pod["spec"]
    if spec.get("ephemeralContainers"):
        errors.append(forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        detail = "cannot be set until all schedulingGates have been cleared"
        errors.append(forbidden("spec.nodeName", detail))
    if annotations := pod["metadata"].get("annotations"):
        validate_annotations_match(annotations, spec, "spec", errors)
    return errors


def _warnings(pod: Object, _: Context) -> list[str]:
    metadata = pod["metadata"]
    complaints = dns1123_label(metadata.get("name") or "")
    found = [f"{_HOSTNAME}[{' '.join(complaints)}]"] if complaints else []
    if metadata.get("annotations"):
        found = _apparmor_warnings(pod) + found
    spec = pod["spec"]
    plain = not any(key.startswith(WARNED_OF) for key in metadata.get("annotations") or ())
    text = remembered_text(spec) if plain else None
    if text is not None and not _warns(
        text
    ):  # the warnings name what is in the spec: only their absence is remembered
        return found
    return found + pod_warnings(spec, metadata, "")


def _only_named(pod: Object) -> bool:
    """Claims that are made for a pod are called after it."""
    spec = pod["spec"]
    return not spec.get("resourceClaims") and not any(
        "ephemeral" in each for each in spec.get("volumes") or ()
    )


@lru_cache(maxsize=REMEMBERED_COUNT_MAX)
def _warns(text: bytes) -> bool:
    return bool(pod_warnings(orjson.loads(text), {}, ""))


# Update


def _prepare_for_update(pod: Object, old: Object, _: Context) -> None:
    keep(pod, old, "status")
    if pod["spec"] is old["spec"]:
        count_generation(pod, old, False)
        return
    unify_service_account(pod["spec"])
    drop_disabled(pod["spec"], old["spec"])
    count_generation(pod, old, not semantically_equal(pod["spec"], old["spec"]))


def _options(old: Object) -> PodOptions:
    return options_by_old(old["spec"], old["metadata"], True)


def _validate_update(pod: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(pod, old)
    if pod["spec"] is old["spec"] and is_sound(pod["spec"]):  # whatever the old spec permits beyond
        errors += validate_named(pod)
        options = options_of_annotations(old["metadata"])
        if annotations := pod["metadata"].get("annotations"):
            validate_pod_annotations(annotations, pod["spec"], "metadata.annotations", options, errors)
        _validate_annotations(pod, old, options, errors)
        return errors
    options = _options(old)
    _validate_all(pod, options, errors)
    _validate_annotations(pod, old, options, errors)
    validate_spec_update(pod["spec"], old["spec"], options, errors)
    return errors


def _validate_annotations(pod: Object, old: Object, options: PodOptions, errors: list[FieldError]) -> None:
    new, before = pod["metadata"].get("annotations") or {}, old["metadata"].get("annotations") or {}
    if new or before:
        path = "metadata.annotations"
        validate_annotation_changes(new, before, path, errors)
        validate_pod_annotations(new, pod["spec"], path, options, errors)


# Status


def _prepare_status(pod: Object, old: Object, _: Context) -> None:
    keep(pod, old, "spec")
    metadata, before = pod["metadata"], old["metadata"]
    metadata.pop("deletionTimestamp", None)
    keep(metadata, before, "ownerReferences")
    status, was = pod.setdefault("status", {}), old.get("status") or {}
    if status is was:
        return
    if not status.get("qosClass") and was.get("qosClass"):
        status["qosClass"] = was["qosClass"]
    if not status.get("observedGeneration") and was.get("observedGeneration"):
        status["observedGeneration"] = was["observedGeneration"]
    seen: dict[str, list[int]] = {}
    for condition in was.get("conditions") or ():
        seen.setdefault(condition.get("type") or "", []).append(condition.get("observedGeneration") or 0)
    for condition in status.get("conditions") or ():
        generations = seen.get(condition.get("type") or "")
        generation = generations.pop(0) if generations else 0
        if not condition.get("observedGeneration") and generation:
            condition["observedGeneration"] = generation
    _drop_disabled_status(status, was)


def _validate_status(pod: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(pod, old)
    _validate_annotations(pod, old, options_of_annotations(old["metadata"]), errors)
    validate_pod_status(pod, old, errors)
    return errors


def _status_warnings(pod: Object, _: Object, __: Context) -> list[str]:
    status = pod.get("status") or {}
    return [
        warning
        for name in ("podIPs", "hostIPs")
        for index, each in enumerate(status.get(name) or ())
        for warning in ip_warnings(f"status.{name}[{index}].ip", each.get("ip") or "")
    ]


# Ephemeral containers and resize


def _prepare_ephemeral(pod: Object, old: Object, context: Context) -> None:
    containers = pod["spec"].get("ephemeralContainers")
    pod["spec"] = {key: value for key, value in old["spec"].items() if key != "ephemeralContainers"}
    if containers:
        pod["spec"]["ephemeralContainers"] = containers
    keep(pod, old, "status")
    keep_metadata_for_status(pod, old)
    drop_disabled(pod["spec"], old["spec"])
    count_generation(pod, old, not semantically_equal(pod["spec"], old["spec"]))


def _validate_ephemeral(pod: Object, old: Object, _: Context) -> list[FieldError]:
    if MIRROR_KEY in (old["metadata"].get("annotations") or {}):
        return [forbidden("", "static pods do not support ephemeral containers")]
    options = _options(old)
    errors = validate_named_update(pod, old)
    _validate_all(pod, options, errors)
    _validate_annotations(pod, old, options, errors)
    validate_ephemeral_update(
        pod["spec"].get("ephemeralContainers") or [], old["spec"].get("ephemeralContainers") or [], errors
    )
    return errors


def _prepare_resize(pod: Object, old: Object, _: Context) -> None:
    spec, before = pod["spec"], old["spec"]
    if all(
        len(spec.get(side) or ()) == len(before.get(side) or ()) for side in ("containers", "initContainers")
    ):
        pod["spec"] = made = dict(before)
        made.pop("resources", None)
        if "resources" in spec:
            made["resources"] = spec["resources"]
        for side in ("containers", "initContainers"):
            if before.get(side):
                made[side] = _resized(spec[side], before[side])
        keep(pod, old, "status")
        keep_metadata_for_status(pod, old)
    drop_disabled(pod["spec"], before)
    count_generation(pod, old, not semantically_equal(pod["spec"], before))


def _resized(new: list[Object], old: list[Object]) -> list[Object]:
    """The old containers with the new resources and resize policies; the new ones where their names differ."""
    made = []
    for container, before in zip(new, old, strict=True):
        if container.get("name") != before.get("name"):
            return new
        merged = dict(before)
        keep(merged, container, "resources", "resizePolicy")
        made.append(merged)
    return made


def _validate_resize(pod: Object, old: Object, _: Context) -> list[FieldError]:
    if MIRROR_KEY in (old["metadata"].get("annotations") or {}):
        return [forbidden("", "static pods cannot be resized")]
    if (old["spec"].get("os") or {}).get("name") == "windows":
        return [forbidden("", "windows pods cannot be resized")]
    errors = validate_named_update(pod, old)
    _validate_all(pod, _options(old), errors)
    validate_resize(pod, old, errors)
    return errors


def grace_seconds(pod: Object, asked: int | None) -> int:
    """The grace of a deletion: as asked, else the pod's; none where no kubelet needs it; CheckGracefulDelete."""
    spec = pod.get("spec") or {}
    period = asked if asked is not None else spec.get("terminationGracePeriodSeconds") or 0
    if not spec.get("nodeName") or (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
        period = 0
    return 1 if period < 0 else period


def validate_binding(binding: Mapping[str, Any]) -> list[FieldError]:
    """ValidatePodBinding."""
    target = binding.get("target") or {}
    errors = []
    if (kind := target.get("kind") or "") not in ("", "Node"):
        errors.append(not_supported("target.kind", kind, ("Node", "<empty>")))
    if not target.get("name"):
        errors.append(required("target.name"))
    return errors


POD: Final = Strategy(
    default=default_pod,
    shares=("spec", "status"),
    default_changed=default_changed_pod,
    prepare_for_create=_prepare_for_create,
    validate=_validate,
    warnings=_warnings,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_update,
    reset_fields=("status",),
    grace_seconds=grace_seconds,
    subresources=MappingProxyType(
        {
            "status": UpdateStrategy(
                _prepare_status,
                _validate_status,
                _status_warnings,
                ("spec", "metadata.deletionTimestamp", "metadata.ownerReferences"),
            ),
            "ephemeralcontainers": UpdateStrategy(_prepare_ephemeral, _validate_ephemeral),
            "resize": UpdateStrategy(_prepare_resize, _validate_resize),
        }
    ),
    only_named=_only_named,
    moves_values=frozenset({"", "status"}),
)
