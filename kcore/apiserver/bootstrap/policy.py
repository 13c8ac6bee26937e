"""The RBAC policy of a new cluster as objects.

Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from kcore.apiserver.authz.bindings import GROUP
from kcore.apiserver.bootstrap.cluster_roles import CLUSTER_ROLES, NAMESPACE_ROLES
from kcore.apiserver.bootstrap.controller_roles import CONTROLLER_ROLES

Object = dict[str, Any]

AUTOUPDATE_ANNOTATION: Final = "rbac.authorization.kubernetes.io/autoupdate"
BOOTSTRAP_LABEL: Final = {"kubernetes.io/bootstrapping": "rbac-defaults"}
AGGREGATION_LABEL_PREFIX: Final = "rbac.authorization.k8s.io/aggregate-to-"
CONTROLLER_PREFIX: Final = "system:controller:"
EVERYBODY: Final = ("group:system:authenticated", "group:system:unauthenticated")

# role: its subjects, as kind:name or account:namespace/name; the binding is named like the role
CLUSTER_BINDINGS: Final = {
    "cluster-admin": ("group:system:masters",),
    "system:basic-user": ("group:system:authenticated",),
    "system:discovery": ("group:system:authenticated",),
    "system:kube-controller-manager": ("user:system:kube-controller-manager",),
    "system:kube-dns": ("account:kube-system/kube-dns",),
    "system:kube-scheduler": ("user:system:kube-scheduler",),
    "system:monitoring": ("group:system:monitoring",),
    "system:node": (),
    "system:node-proxier": ("user:system:kube-proxy",),
    "system:public-info-viewer": EVERYBODY,
    "system:service-account-issuer-discovery": ("group:system:serviceaccounts",),
    "system:volume-scheduler": ("user:system:kube-scheduler",),
}
# namespace, binding: its role, its subjects
NAMESPACE_BINDINGS: Final = {
    ("kube-public", "system:controller:bootstrap-signer"): (
        "system:controller:bootstrap-signer", ("account:kube-system/bootstrap-signer",)
    ),
    ("kube-system", "system::extension-apiserver-authentication-reader"): (
        "extension-apiserver-authentication-reader",
        ("user:system:kube-controller-manager", "user:system:kube-scheduler"),
    ),
    ("kube-system", "system::leader-locking-kube-controller-manager"): (
        "system::leader-locking-kube-controller-manager",
        (
            "user:system:kube-controller-manager", "account:kube-system/kube-controller-manager",
            "account:kube-system/leader-election-controller",
        ),
    ),
    ("kube-system", "system::leader-locking-kube-scheduler"): (
        "system::leader-locking-kube-scheduler",
        ("user:system:kube-scheduler", "account:kube-system/kube-scheduler"),
    ),
    ("kube-system", "system:controller:bootstrap-signer"): (
        "system:controller:bootstrap-signer", ("account:kube-system/bootstrap-signer",)
    ),
    ("kube-system", "system:controller:cloud-provider"): (
        "system:controller:cloud-provider", ("account:kube-system/cloud-provider",)
    ),
    ("kube-system", "system:controller:token-cleaner"): (
        "system:controller:token-cleaner", ("account:kube-system/token-cleaner",)
    ),
}  # fmt: skip


def policy() -> list[Object]:
    """All roles and bindings; the rules of aggregated roles are computed."""
    roles = [*_roles(CLUSTER_ROLES), *_roles(CONTROLLER_ROLES)]
    aggregate(roles)
    made = [*roles, *_roles(NAMESPACE_ROLES)]
    for name, subjects in CLUSTER_BINDINGS.items():
        made.append(_binding("", name, "ClusterRole", name, subjects))
    for line in CONTROLLER_ROLES.splitlines():
        if line.startswith(CONTROLLER_PREFIX):
            account = f"account:kube-system/{line.removeprefix(CONTROLLER_PREFIX)}"
            made.append(_binding("", line, "ClusterRole", line, (account,)))
    for (namespace, name), (role, subjects) in NAMESPACE_BINDINGS.items():
        made.append(_binding(namespace, name, "Role", role, subjects))
    return made


def aggregate(roles: list[Object]) -> None:
    """Each role that aggregates holds the rules of those that it selects, in order of their names, each once.

    Source: pkg/controller/clusterroleaggregation of Kubernetes 1.36.
    """
    waiting = [role for role in roles if "aggregationRule" in role]
    names = {role["metadata"]["name"] for role in waiting}
    by_name = sorted(roles, key=lambda role: str(role["metadata"]["name"]))
    while waiting:
        # one whose sources are all computed; a circle is broken at the first
        role = next((each for each in waiting if not _sources(each, by_name, names)), waiting[0])
        rules: list[Object] = []
        for selector in role["aggregationRule"]["clusterRoleSelectors"]:
            for other in by_name:
                if other is not role and _selects(selector, other):
                    rules.extend(rule for rule in other.get("rules", ()) if rule not in rules)
        role["rules"] = rules
        waiting.remove(role)
        names.discard(role["metadata"]["name"])


def _sources(role: Object, roles: list[Object], names: set[str]) -> list[str]:
    return [
        other["metadata"]["name"]
        for other in roles
        if other is not role
        and other["metadata"]["name"] in names
        and any(_selects(selector, other) for selector in role["aggregationRule"]["clusterRoleSelectors"])
    ]


def _selects(selector: Object, role: Object) -> bool:
    labels = role["metadata"].get("labels", {})
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def _metadata(namespace: str, name: str) -> Object:
    made: Object = {
        "name": name, "labels": dict(BOOTSTRAP_LABEL), "annotations": {AUTOUPDATE_ANNOTATION: "true"},
    }  # fmt: skip
    if namespace:
        made["namespace"] = namespace
    return made


def _roles(text: str) -> Iterator[Object]:
    role: Object | None = None
    for line in text.splitlines():
        if line.startswith(" "):
            assert role is not None
            role["rules"].append(_rule(line))
            continue
        if role is not None:
            yield role
        title, *rest = line.split()
        namespace, _, name = title.rpartition("/")
        role = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "Role" if namespace else "ClusterRole",
            "metadata": _metadata(namespace, name),
            "rules": [],
        }
        for word, target in zip(rest[::2], rest[1::2], strict=True):
            label = {f"{AGGREGATION_LABEL_PREFIX}{target}": "true"}
            if word == "to":
                role["metadata"]["labels"] |= label
            else:
                role["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": label}]}
    if role is not None:
        yield role


def _rule(line: str) -> Object:
    words, _, urls = line.partition(" at ")
    if urls:
        return {"verbs": words.split(), "nonResourceURLs": urls.split()}
    verbs, _, rest = line.partition(" on ")
    resources, _, rest = rest.partition(" in ")
    groups, _, names = rest.partition(" named ")
    made: Object = {
        "verbs": verbs.split(),
        "apiGroups": ["" if group == "core" else group for group in groups.split()],
        "resources": resources.split(),
    }
    if names:
        made["resourceNames"] = names.split()
    return made


def _binding(namespace: str, name: str, kind: str, role: str, subjects: tuple[str, ...]) -> Object:
    made: Object = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": _metadata(namespace, name),
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role},
    }
    if subjects:
        made["subjects"] = [_subject(each) for each in subjects]
    return made


def _subject(text: str) -> Object:
    kind, _, name = text.partition(":")
    if kind == "account":
        namespace, _, name = name.partition("/")
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"apiGroup": GROUP, "kind": kind.capitalize(), "name": name}
