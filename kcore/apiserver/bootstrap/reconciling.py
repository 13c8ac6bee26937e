"""How an object of the bootstrap is brought together with the one that is there.

What an administrator added stays; what upstream would restore is restored, unless the annotation forbids it. Pure
functions; source: component-helpers auth/rbac/reconciliation, apiserver pkg/util/flowcontrol and the reconcilers of
pkg/controlplane of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Final

from kcore.apiserver.authz.rules import Rule, uncovered
from kcore.apiserver.bootstrap.cluster import TOKEN_TRACKING
from kcore.apiserver.bootstrap.flow_control import AUTOUPDATE_ANNOTATION as FLOW_ANNOTATION
from kcore.apiserver.bootstrap.flow_control import MANDATORY
from kcore.apiserver.bootstrap.policy import AUTOUPDATE_ANNOTATION as POLICY_ANNOTATION

Object = dict[str, Any]


def reconciled(found: Object, wanted: Object) -> Object | None:
    """The object as it shall be, None where it stays as it is. Neither argument is changed."""
    made = _BY_KIND.get(wanted["kind"], _kept)(found, wanted)
    return None if made == found else made


def is_of_another_role(found: Object, wanted: Object) -> bool:
    """True for a binding that must be made anew, as nobody may change a binding's role."""
    return (
        wanted["kind"] in ("RoleBinding", "ClusterRoleBinding")
        and _annotation(found, POLICY_ANNOTATION) != "false"
        and found.get("roleRef") != wanted["roleRef"]
    )


def _kept(found: Object, wanted: Object) -> Object:
    return found


def _annotation(found: Object, key: str) -> str:
    return str((found["metadata"].get("annotations") or {}).get(key, ""))


def _with_metadata(found: Object, wanted: Object) -> Object:
    """Labels and annotations of both; what is there wins."""
    metadata = dict(found["metadata"])
    for key in ("labels", "annotations"):
        merged = {**(wanted["metadata"].get(key) or {}), **(metadata.get(key) or {})}
        if merged:
            metadata[key] = merged
    return {**found, "metadata": metadata}


def _role(found: Object, wanted: Object) -> Object:
    if _annotation(found, POLICY_ANNOTATION) == "false":
        return found
    made = _with_metadata(found, wanted)
    selectors = (wanted.get("aggregationRule") or {}).get("clusterRoleSelectors") or []
    if selectors:
        present = (found.get("aggregationRule") or {}).get("clusterRoleSelectors") or []
        missing = [each for each in selectors if each not in present]
        if missing:
            made["aggregationRule"] = {"clusterRoleSelectors": [*present, *missing]}
    if found.get("rules") == wanted["rules"]:
        return made
    held = [Rule.of(rule) for rule in found.get("rules") or ()]
    lacking = [rule for rule in wanted["rules"] if uncovered(held, [Rule.of(rule)])]
    if lacking:
        made["rules"] = [*(found.get("rules") or ()), *lacking]
    return made


def _binding(found: Object, wanted: Object) -> Object:
    if _annotation(found, POLICY_ANNOTATION) == "false":
        return found
    made = _with_metadata(found, wanted)
    present = found.get("subjects") or []
    missing = [each for each in wanted.get("subjects") or () if each not in present]
    if missing:
        made["subjects"] = [*present, *missing]
    return made


def _flow(found: Object, wanted: Object) -> Object:
    """Mandatory objects are always restored, suggested ones where their annotation says so."""
    name = wanted["metadata"]["name"]
    if name not in MANDATORY and _annotation(found, FLOW_ANNOTATION) != "true":
        return found
    if name == "exempt" and wanted["kind"] == "PriorityLevelConfiguration":
        return found  # its shares are the administrator's
    if found.get("spec") == wanted["spec"]:
        return found
    return {**_with_metadata(found, wanted), "spec": wanted["spec"]}


def _service(found: Object, wanted: Object) -> Object:
    """The port follows the server's; all else is left."""
    ports, want = found["spec"].get("ports"), wanted["spec"]["ports"]
    if ports == want and found["spec"].get("type") == wanted["spec"]["type"]:
        return found
    return {**found, "spec": {**found["spec"], "ports": want, "type": wanted["spec"]["type"]}}


def _replaced(*keys: str) -> Callable[[Object, Object], Object]:
    def replace(found: Object, wanted: Object) -> Object:
        if all(found.get(key) == wanted[key] for key in keys):
            return found
        return {**_with_metadata(found, wanted), **{key: wanted[key] for key in keys}}

    return replace


def _config_map(found: Object, wanted: Object) -> Object:
    if wanted["metadata"]["name"] == TOKEN_TRACKING and _is_day((found.get("data") or {}).get("since", "")):
        return found
    data = {**(found.get("data") or {}), **wanted["data"]}
    return found if data == (found.get("data") or {}) else {**found, "data": data}


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


_BY_KIND: Final[dict[str, Callable[[Object, Object], Object]]] = {
    "ClusterRole": _role,
    "Role": _role,
    "ClusterRoleBinding": _binding,
    "RoleBinding": _binding,
    "FlowSchema": _flow,
    "PriorityLevelConfiguration": _flow,
    "Service": _service,
    "Endpoints": _replaced("subsets"),
    "EndpointSlice": _replaced("endpoints", "ports"),
    "ConfigMap": _config_map,
}
