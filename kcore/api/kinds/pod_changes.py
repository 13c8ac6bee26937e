"""What an update, a resize or an ephemeral container may change of a pod.

Source, Kubernetes 1.36: pkg/apis/core/validation/validation.go (ValidatePodUpdate, ValidatePodResize,
ValidatePodEphemeralContainersUpdate), pkg/api/pod/util.go (options by the old spec).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from kcore.api.field import FieldError, forbidden, invalid, quoted, required
from kcore.api.kinds.internal_form import difference
from kcore.api.kinds.metadata import has_invalid_label_value, validate_label_selector
from kcore.api.kinds.names import between, label_value
from kcore.api.kinds.pod_options import OF_POD, OF_TEMPLATE, PodOptions, containers_of
from kcore.api.kinds.pod_spec import DELETION_COST_KEY, INT32_MAX, MIRROR_KEY, is_deletion_cost
from kcore.api.kinds.relative_paths import validate_local_path
from kcore.api.kinds.resource_lists import equal_amounts, fills_pages, is_huge_pages, quality_of_service
from kcore.api.kinds.scheduling_terms import (
    PREFERRED_TERMS,
    REQUIRED_TERMS,
    label_key_errors,
    validate_tolerations,
)
from kcore.api.kinds.security import APPARMOR_PREFIX, is_host_sysctl
from kcore.api.kinds.updates import semantically_equal

Object = dict[str, Any]

UPDATABLE: Final = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
ONLY_COMPUTE: Final = "only cpu and memory resources are mutable"
_WITH_ANY_COST: Final = replace(OF_POD, allow_invalid_deletion_cost=True)
_AFFINITY: Final = (
    "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
)


def options_of_annotations(metadata: Mapping[str, Any]) -> PodOptions:
    """Those of ``options_by_old`` that annotations are validated by."""
    cost = (metadata.get("annotations") or {}).get(DELETION_COST_KEY)
    return OF_POD if cost is None or is_deletion_cost(cost) else _WITH_ANY_COST


def options_by_old(spec: Mapping[str, Any] | None, metadata: Mapping[str, Any], is_pod: bool) -> PodOptions:
    """What the old spec had is permitted still, right or wrong."""
    if spec is None:
        return replace(OF_TEMPLATE, is_pod=is_pod)
    context = spec.get("securityContext") or {}
    cost = (metadata.get("annotations") or {}).get(DELETION_COST_KEY)
    tokens = [
        token.get("path") or ""
        for volume in spec.get("volumes") or ()
        for source in (volume.get("projected") or {}).get("sources") or ()
        if (token := source.get("serviceAccountToken")) is not None
    ]
    constraints = spec.get("topologySpreadConstraints") or ()
    isolated = spec.get("hostUsers") is False
    return PodOptions(
        is_pod=is_pod,
        allow_invalid_deletion_cost=cost is not None and not is_deletion_cost(cost),
        allow_invalid_label_value_in_selector=_has_bad_selector(spec.get("affinity")),
        allow_invalid_label_value_in_node_affinity=_has_bad_node_affinity(spec.get("affinity")),
        allow_indivisible_huge_pages=_has_indivisible_pages(spec),
        allow_invalid_spread_selector=any(
            validate_label_selector(each.get("labelSelector"), "") for each in constraints
        ),
        old_violates_match_label_keys=any(
            label_key_errors(each.get("matchLabelKeys") or (), (), each.get("labelSelector"), "")
            for each in constraints
        ),
        allow_any_token_path=any(_is_bad_path(path) for path in tokens),
        allow_host_sysctls=any(
            is_host_sysctl(each.get("name") or "", bool(spec.get("hostNetwork")), bool(spec.get("hostIPC")))
            for each in context.get("sysctls") or ()
        ),
        allow_restart_of_plain_init_container=any(
            policy.get("restartPolicy") == "RestartContainer"
            for container in spec.get("initContainers") or ()
            if container.get("restartPolicy") != "Always"
            for policy in container.get("resizePolicy") or ()
        ),
        allow_devices_in_user_namespace=isolated
        and any(container.get("volumeDevices") for _, _, container in containers_of(spec)),
        allow_host_network_in_user_namespace=isolated and bool(spec.get("hostNetwork")),
        allow_comparing_tolerations=any(
            each.get("operator") in ("Lt", "Gt") for each in spec.get("tolerations") or ()
        ),
        allow_selinux_mount_option=context.get("seLinuxChangePolicy") is not None,
    )


def _is_bad_path(path: str) -> bool:
    errors: list[FieldError] = []
    validate_local_path(path, "", errors)
    return bool(errors)


def _has_bad_selector(affinity: Mapping[str, Any] | None) -> bool:
    for name in ("podAffinity", "podAntiAffinity"):
        pods = (affinity or {}).get(name) or {}
        terms = [*(pods.get(REQUIRED_TERMS) or ())]
        terms += [each.get("podAffinityTerm") or {} for each in pods.get(PREFERRED_TERMS) or ()]
        for term in terms:
            if any(
                has_invalid_label_value(term.get(key)) or validate_label_selector(term.get(key), "")
                for key in ("labelSelector", "namespaceSelector")
            ):
                return True
    return False


def _has_bad_node_affinity(affinity: Mapping[str, Any] | None) -> bool:
    selector = ((affinity or {}).get("nodeAffinity") or {}).get(REQUIRED_TERMS) or {}
    return any(
        label_value(value)
        for term in selector.get("nodeSelectorTerms") or ()
        for expression in term.get("matchExpressions") or ()
        for value in expression.get("values") or ()
    )


def _has_indivisible_pages(spec: Mapping[str, Any]) -> bool:
    lists = [spec.get("overhead") or {}]
    for _, _, container in containers_of(spec):
        resources = container.get("resources") or {}
        lists += [resources.get("limits") or {}, resources.get("requests") or {}]
    return any(
        is_huge_pages(name) and not fills_pages(name, amount)
        for amounts in lists
        for name, amount in amounts.items()
    )


def validate_annotation_changes(
    new: Mapping[str, str], old: Mapping[str, str], path: str, errors: list[FieldError]
) -> None:
    """ValidatePodSpecificAnnotationUpdates, what only updates are asked."""
    for key, value in old.items():
        if new.get(key) == value:
            continue
        if key.startswith(APPARMOR_PREFIX):
            errors.append(forbidden(f"{path}[{key}]", "may not remove or update AppArmor annotations"))
        if key == MIRROR_KEY:
            errors.append(forbidden(f"{path}[{key}]", "may not remove or update mirror pod annotation"))
    for key in new:
        if key in old:
            continue
        if key.startswith(APPARMOR_PREFIX):
            errors.append(forbidden(f"{path}[{key}]", "may not add AppArmor annotations"))
        if key == MIRROR_KEY:
            errors.append(forbidden(f"{path}[{key}]", "may not add mirror pod annotation"))


def validate_spec_update(spec: Object, old: Object, options: PodOptions, errors: list[FieldError]) -> None:
    """ValidatePodUpdate from the containers on."""
    for side in ("containers", "initContainers"):
        new_list, old_list = spec.get(side) or [], old.get(side) or []
        if len(new_list) != len(old_list):
            errors.append(forbidden(f"spec.{side}", "pod updates may not add or remove containers"))
            return
        for index, container in enumerate(new_list):
            at, image = f"spec.{side}[{index}].image", container.get("image") or ""
            if not image:
                errors.append(required(at))
            if image.strip() != image:
                errors.append(invalid(at, image, "must not have leading or trailing whitespace"))
    if not _validate_deadline(spec.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds"), errors):
        return
    _validate_toleration_changes(spec.get("tolerations") or [], old.get("tolerations") or [], options, errors)
    _validate_gate_changes(spec.get("schedulingGates") or [], old.get("schedulingGates") or [], errors)
    if semantically_equal(spec, old):
        return
    munged = _munged(spec, old)
    if old.get("schedulingGates"):
        _release_gated(munged, old, errors)
    if not semantically_equal(munged, old):
        detail = (
            f"pod updates may not change fields other than {UPDATABLE}\n{difference(old, munged, 'PodSpec')}"
        )
        errors.append(forbidden("spec", detail))


def _validate_deadline(new: int | None, old: int | None, errors: list[FieldError]) -> bool:
    at = "spec.activeDeadlineSeconds"
    if new is None:
        if old is not None:
            errors.append(invalid(at, None, "must not update from a positive integer to nil value"))
    elif not 0 <= new <= INT32_MAX:
        errors.append(invalid(at, new, between(0, INT32_MAX)))
        return False
    elif old is not None and old < new:
        errors.append(invalid(at, new, "must be less than or equal to previous value"))
        return False
    return True


def _validate_toleration_changes(
    new: list[Object], old: list[Object], options: PodOptions, errors: list[FieldError]
) -> None:
    def timeless(toleration: Object) -> Object:
        return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}

    kept = [timeless(each) for each in new]
    if any(timeless(each) not in kept for each in old):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        errors.append(forbidden("spec.tolerations", detail))
        return
    validate_tolerations(new, "spec.tolerations", errors, options.allow_comparing_tolerations)


def _validate_gate_changes(new: list[Object], old: list[Object], errors: list[FieldError]) -> None:
    before = {each.get("name") for each in old}
    for index, gate in enumerate(new):
        if (name := gate.get("name")) not in before:
            detail = f"only deletion is allowed, but found new scheduling gate '{name or ''}'"
            errors.append(forbidden(f"spec.schedulingGates[{index}].name", detail))


def _munged(spec: Object, old: Object) -> Object:
    """The new spec with what may change as it was."""
    munged = dict(spec)
    for side in ("containers", "initContainers"):
        if side in munged:
            munged[side] = [
                {**container, "image": before.get("image")}
                for container, before in zip(munged[side], old.get(side) or (), strict=True)
            ]
    for name in ("activeDeadlineSeconds", "schedulingGates", "tolerations"):
        munged.pop(name, None)
        if name in old:
            munged[name] = old[name]
    before = old.get("terminationGracePeriodSeconds")
    if before is not None and before < 0 and munged.get("terminationGracePeriodSeconds") == 1:
        munged["terminationGracePeriodSeconds"] = before
    return munged


def _release_gated(munged: Object, old: Object, errors: list[FieldError]) -> None:
    """A pod that waits for its gates may narrow the nodes that it fits."""
    new_selector, old_selector = munged.get("nodeSelector") or {}, old.get("nodeSelector") or {}
    if any(new_selector.get(key) != value for key, value in old_selector.items()):
        detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        errors.append(invalid("spec.nodeSelector", new_selector, detail))
    munged.pop("nodeSelector", None)
    if "nodeSelector" in old:
        munged["nodeSelector"] = old["nodeSelector"]
    new_affinity, old_affinity = munged.get("affinity") or {}, old.get("affinity") or {}
    new_nodes, old_nodes = new_affinity.get("nodeAffinity"), old_affinity.get("nodeAffinity")
    if semantically_equal(new_nodes, old_nodes):
        return
    _validate_node_affinity_change(new_nodes or {}, old_nodes or {}, errors)
    affinity = {key: value for key, value in new_affinity.items() if key != "nodeAffinity"}
    if old_nodes is not None:
        affinity["nodeAffinity"] = old_nodes
    munged.pop("affinity", None)
    if affinity or "affinity" in old:
        munged["affinity"] = affinity


def _validate_node_affinity_change(new: Object, old: Object, errors: list[FieldError]) -> None:
    if old.get(REQUIRED_TERMS) is None:
        return
    old_terms = old[REQUIRED_TERMS].get("nodeSelectorTerms") or []
    new_terms = (new.get(REQUIRED_TERMS) or {}).get("nodeSelectorTerms") or []
    if old_terms and len(old_terms) != len(new_terms):
        detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        errors.append(invalid(_AFFINITY, new_terms or None, detail))
        return
    for index, (term, before) in enumerate(zip(new_terms, old_terms, strict=False)):
        sides = [(term.get(key) or [], before.get(key) or []) for key in ("matchExpressions", "matchFields")]
        widened = not any(b for _, b in sides) and any(a for a, _ in sides)
        if widened or any(a[: len(b)] != b for a, b in sides):
            detail = "only additions are allowed (no mutations or deletions)"
            errors.append(invalid(f"{_AFFINITY}[{index}]", term, detail))


def validate_ephemeral_update(new: list[Object], old: list[Object], errors: list[FieldError]) -> None:
    """Ephemeral containers come, and neither go nor change."""
    by_name = {each.get("name"): each for each in new}
    for before in old:
        name = before.get("name") or ""
        now = by_name.get(name)
        if now is None:
            detail = f"existing ephemeral containers {quoted(name)} may not be removed\n"
            errors.append(forbidden("spec.ephemeralContainers", detail))
        elif not semantically_equal(now, before):
            detail = f"existing ephemeral containers {quoted(name)} may not be changed\n{difference(before, now, 'EphemeralContainer')}"
            errors.append(forbidden("spec.ephemeralContainers", detail))


# Resize


def validate_resize(pod: Object, old: Object, errors: list[FieldError]) -> None:
    """ValidatePodResize after metadata and spec."""
    spec, before = pod["spec"], old["spec"]
    was = (old.get("status") or {}).get("qosClass") or quality_of_service(before)
    if was != quality_of_service(spec):
        shown = (pod.get("status") or {}).get("qosClass") or ""
        errors.append(invalid("spec", shown, "Pod QOS Class may not change as a result of resizing"))
    if not _supports_resize(old):
        errors.append(forbidden("spec", "Pod running on node without support for resize"))
    copy = dict(spec)
    new_level, old_level = spec.get("resources"), before.get("resources")
    if _has_amounts(new_level) or _has_amounts(old_level):
        _validate_pod_level_resize(copy, new_level, old_level, errors)
    ordering = _ordering_errors(spec, before)
    if ordering:
        errors += ordering
        return
    for side in ("initContainers", "containers"):
        for index, container in enumerate(before.get(side) or ()):
            now = (spec[side][index].get("resources")) or {}
            then = container.get("resources") or {}
            for name in ("requests", "limits"):
                if not (then.get(name) or {}).keys() <= (now.get(name) or {}).keys():
                    at = f"spec.{side}[{index}].resources.{name}"
                    errors.append(forbidden(at, f"resource {name} cannot be removed"))
    _validate_resized_containers(copy, before, errors)
    if not errors and not semantically_equal(copy, before):
        errors.append(forbidden("spec", ONLY_COMPUTE))


def _has_amounts(resources: Object | None) -> bool:
    return bool(resources) and bool((resources or {}).get("requests") or (resources or {}).get("limits"))


def _supports_resize(pod: Object) -> bool:
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if (status.get("state") or {}).get("running") is not None:
            return status.get("resources") is not None
    return True


def _validate_pod_level_resize(
    copy: Object, new: Object | None, old: Object | None, errors: list[FieldError]
) -> None:
    if old is not None and new is None:
        errors.append(forbidden("spec.resources", "pod-level resources cannot be removed"))
        return
    for name in ("requests", "limits"):
        if not ((old or {}).get(name) or {}).keys() <= ((new or {}).get(name) or {}).keys():
            detail = f"pod-level resource {name} cannot be removed"
            errors.append(forbidden(f"spec.resources.{name}", detail))
    reset = _without_compute(new or {}, old or {}, keep_claims=True)
    if old is None and not reset:
        copy.pop("resources", None)
    else:
        copy["resources"] = reset
    if not semantically_equal(copy.get("resources"), old):
        errors.append(forbidden("spec", "only cpu and memory resources are mutable at pod-level"))


def _without_compute(new: Object, old: Object, keep_claims: bool = False) -> Object:
    """The new resources with cpu and memory as they were."""
    made: Object = {"claims": new["claims"]} if keep_claims and new.get("claims") else {}
    for name in ("limits", "requests"):
        then = old.get(name) or {}
        amounts = {key: value for key, value in (new.get(name) or {}).items() if key not in ("cpu", "memory")}
        amounts |= {key: then[key] for key in ("cpu", "memory") if key in then}
        if amounts:
            made[name] = then if equal_amounts(amounts, then) else amounts
    return made


def _ordering_errors(spec: Object, before: Object) -> list[FieldError]:
    errors = []
    for side in ("containers", "initContainers"):
        new, old = spec.get(side) or [], before.get(side) or []
        if len(new) != len(old):
            errors.append(forbidden(f"spec.{side}", f"{side} may not be added or removed on resize"))
            continue
        for index, container in enumerate(old):
            if new[index].get("name") != container.get("name"):
                detail = f"{side} may not be renamed or reordered on resize"
                errors.append(forbidden(f"spec.{side}[{index}].name", detail))
    return errors


def _validate_resized_containers(copy: Object, before: Object, errors: list[FieldError]) -> None:
    for side in ("containers", "initContainers"):
        made = []
        for index, container in enumerate(copy.get(side) or ()):
            then = before[side][index]
            changed = not semantically_equal(container, then)
            reset = dict(container)
            reset["resources"] = _without_compute(
                container.get("resources") or {}, then.get("resources") or {}
            )
            made.append(reset)
            if side == "containers":
                if not semantically_equal(reset, then):
                    errors.append(forbidden("spec", ONLY_COMPUTE))
                continue
            at = f"spec.initContainers[{index}]"
            if not semantically_equal(reset, then):
                detail = "only cpu and memory resources for init or sidecar containers are mutable"
                errors.append(forbidden(at, detail))
            if changed and container.get("restartPolicy") != "Always":
                errors += [
                    forbidden(
                        at,
                        "non-sidecar init containers with a resize policy of RestartContainer cannot be resized",
                    )
                    for policy in container.get("resizePolicy") or ()
                    if policy.get("restartPolicy") == "RestartContainer"
                ]
        if side in copy:
            copy[side] = made
