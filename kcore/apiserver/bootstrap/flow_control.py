"""The flow schemas and priority levels that every API server keeps: mandatory and suggested ones.

Source: apiserver pkg/apis/flowcontrol/bootstrap/default.go of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

Object = dict[str, Any]

GROUP: Final = "flowcontrol.apiserver.k8s.io"
AUTOUPDATE_ANNOTATION: Final = "apf.kubernetes.io/autoupdate-spec"


class Level(NamedTuple):
    """A limited priority level; without queues it rejects what is too much."""

    name: str
    shares: int
    lendable_percent: int
    queues: int = 0
    hand_size: int = 0


LEVELS: Final = (
    Level("catch-all", 5, 0),
    Level("system", 30, 33, 64, 6),
    Level("node-high", 40, 25, 64, 6),
    Level("leader-election", 10, 0, 16, 4),
    Level("workload-high", 40, 50, 128, 6),
    Level("workload-low", 100, 90, 128, 6),
    Level("global-default", 20, 50, 128, 6),
)
QUEUE_LENGTH: Final = 50
MANDATORY: Final = frozenset({"exempt", "catch-all"})
ALL_USERS: Final = ("Group:system:unauthenticated", "Group:system:authenticated")
ANY: Final = ("*",)


class Schema(NamedTuple):
    """A flow schema: ``resources`` are (verbs, groups, resources, cluster scope), ``urls`` (verbs, URLs)."""

    name: str
    level: str
    precedence: int
    distinguisher: str
    subjects: tuple[str, ...]
    resources: tuple[tuple[tuple[str, ...], str, tuple[str, ...], bool], ...] = ((ANY, "*", ANY, True),)
    urls: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ((ANY, ANY),)


_MANAGER, _SCHEDULER = "User:system:kube-controller-manager", "User:system:kube-scheduler"
_SYSTEM_ACCOUNTS = "ServiceAccount:*"
SCHEMAS: Final = (
    Schema("exempt", "exempt", 1, "", ("Group:system:masters",)),
    Schema("catch-all", "catch-all", 10_000, "ByUser", ALL_USERS),
    Schema("probes", "exempt", 2, "", ALL_USERS, (), ((("get",), ("/healthz", "/readyz", "/livez")),)),
    Schema(
        "system-leader-election", "leader-election", 100, "ByUser", (_MANAGER, _SCHEDULER, _SYSTEM_ACCOUNTS),
        ((("get", "create", "update"), "coordination.k8s.io", ("leases",), False),), (),
    ),
    Schema(
        "system-node-high", "node-high", 400, "ByUser", ("Group:system:nodes",),
        ((ANY, "", ("nodes", "nodes/status"), True), (ANY, "coordination.k8s.io", ("leases",), False)), (),
    ),
    Schema("system-nodes", "system", 500, "ByUser", ("Group:system:nodes",)),
    Schema("kube-controller-manager", "workload-high", 800, "ByNamespace", (_MANAGER,)),
    Schema("kube-scheduler", "workload-high", 800, "ByNamespace", (_SCHEDULER,)),
    Schema("kube-system-service-accounts", "workload-high", 900, "ByNamespace", (_SYSTEM_ACCOUNTS,)),
    Schema("service-accounts", "workload-low", 9_000, "ByUser", ("Group:system:serviceaccounts",)),
    Schema("global-default", "global-default", 9_900, "ByUser", ALL_USERS),
)  # fmt: skip


def flow_control() -> list[Object]:
    """Priority levels, then the schemas that refer to them."""
    return [_exempt_level(), *map(_level, LEVELS), *map(_schema, SCHEMAS)]


def _object(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "annotations": {AUTOUPDATE_ANNOTATION: "true"}}
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _exempt_level() -> Object:
    exempt = {"nominalConcurrencyShares": 0, "lendablePercent": 0}
    return _object("PriorityLevelConfiguration", "exempt", {"type": "Exempt", "exempt": exempt})


def _level(level: Level) -> Object:
    response: Object = {"type": "Reject"}
    if level.queues:
        queuing = {"queues": level.queues, "handSize": level.hand_size, "queueLengthLimit": QUEUE_LENGTH}
        response = {"type": "Queue", "queuing": queuing}
    limited = {
        "nominalConcurrencyShares": level.shares, "limitResponse": response,
        "lendablePercent": level.lendable_percent,
    }  # fmt: skip
    return _object("PriorityLevelConfiguration", level.name, {"type": "Limited", "limited": limited})


def _schema(schema: Schema) -> Object:
    rules: Object = {"subjects": [_subject(each) for each in schema.subjects]}
    if schema.resources:
        rules["resourceRules"] = [_resource_rule(*each) for each in schema.resources]
    if schema.urls:
        rules["nonResourceRules"] = [
            {"verbs": list(verbs), "nonResourceURLs": list(urls)} for verbs, urls in schema.urls
        ]
    spec: Object = {
        "priorityLevelConfiguration": {"name": schema.level},
        "matchingPrecedence": schema.precedence,
    }
    if schema.distinguisher:
        spec["distinguisherMethod"] = {"type": schema.distinguisher}
    spec["rules"] = [rules]
    return _object("FlowSchema", schema.name, spec)


def _resource_rule(
    verbs: tuple[str, ...], group: str, resources: tuple[str, ...], is_cluster_scoped: bool
) -> Object:
    made: Object = {"verbs": list(verbs), "apiGroups": [group], "resources": list(resources)}
    if is_cluster_scoped:
        made["clusterScope"] = True
    made["namespaces"] = ["*"]
    return made


def _subject(text: str) -> Object:
    kind, _, name = text.partition(":")
    if kind == "ServiceAccount":
        return {"kind": kind, "serviceAccount": {"namespace": "kube-system", "name": name}}
    return {"kind": kind, kind.lower(): {"name": name}}
