"""RBAC as upstream writes it: every binding, every subject, every rule, each time.

Twin of kcore.apiserver.authz: plugin/pkg/auth/authorizer/rbac/rbac.go and pkg/registry/rbac/validation/rule.go.
"""

from __future__ import annotations

from typing import Any

GROUP = "rbac.authorization.k8s.io"


def allowed(cluster: Any, user: Any, info: Any) -> tuple[bool, set[str]]:
    """Whether the user may, and the reasons that upstream may give (its order of bindings is by chance)."""
    reasons = set()
    missing = []
    for namespace, kind in (("", "clusterrolebindings"), (info.namespace, "rolebindings")):
        if kind == "rolebindings" and (not namespace or not info.is_resource_request):
            continue
        for binding in sorted(
            cluster.list(GROUP, kind, namespace), key=lambda each: each["metadata"]["name"]
        ):
            subject = next((s for s in binding.get("subjects", []) if applies(s, user, namespace)), None)
            if subject is None:
                continue
            reference = binding["roleRef"]
            if reference["kind"] == "ClusterRole":
                role = cluster.get(GROUP, "clusterroles", "", reference["name"])
            else:
                role = cluster.get(GROUP, "roles", namespace, reference["name"])
            if role is None:
                kind_name = reference["kind"].lower()
                missing.append(f'{kind_name}.{GROUP} "{reference["name"]}" not found')
                continue
            for rule in role["rules"]:
                if rule_allows(rule, info):
                    reasons.add(f"RBAC: allowed by {source(binding, reference, subject, namespace)}")
    if reasons:
        return True, reasons
    missing = list(dict.fromkeys(missing))
    if not missing:
        return False, {""}
    return False, {f"RBAC: {missing[0] if len(missing) == 1 else '[' + ', '.join(missing) + ']'}"}


def applies(subject: dict[str, Any], user: Any, namespace: str) -> bool:
    if subject["kind"] == "User":
        return user.name == subject["name"]
    if subject["kind"] == "Group":
        return subject["name"] in user.groups
    home = subject.get("namespace") or namespace
    return bool(home) and user.name == f"system:serviceaccount:{home}:{subject['name']}"


def rule_allows(rule: dict[str, Any], info: Any) -> bool:
    if "*" not in rule["verbs"] and info.verb not in rule["verbs"]:
        return False
    if not info.is_resource_request:
        for url in rule.get("nonResourceURLs", []):
            if url == "*" or url == info.path:
                return True
            if url.endswith("*") and info.path.startswith(url.rstrip("*")):
                return True
        return False
    groups = rule.get("apiGroups", [])
    if "*" not in groups and info.api_group not in groups:
        return False
    combined = info.resource + ("/" + info.subresource if info.subresource else "")
    resources = rule.get("resources", [])
    if "*" not in resources and combined not in resources:
        if not info.subresource or "*/" + info.subresource not in resources:
            return False
    names = rule.get("resourceNames", [])
    return not names or info.name in names


def source(binding: Any, reference: Any, subject: Any, namespace: str) -> str:
    if subject["kind"] == "ServiceAccount":
        home = subject.get("namespace") or namespace
        described = f'ServiceAccount "{subject["name"]}/{home}"'
    else:
        described = f'{subject["kind"]} "{subject["name"]}"'
    name = binding["metadata"]["name"]
    title = f'RoleBinding "{name}/{namespace}"' if namespace else f'ClusterRoleBinding "{name}"'
    return f'{title} of {reference["kind"]} "{reference["name"]}" to {described}'
