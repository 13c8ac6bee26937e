"""What a new cluster has; that a second start changes nothing; what is restored and what is left."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

from kcore.apiserver.bootstrap import ClusterSettings, NamespaceObjects, bootstrap
from kcore.apiserver.bootstrap.cluster import TOKEN_TRACKING, kubernetes_service
from kcore.apiserver.bootstrap.flow_control import flow_control
from kcore.apiserver.bootstrap.namespace_objects import reconcile
from kcore.apiserver.bootstrap.policy import policy
from kcore.apiserver.bootstrap.reconciling import reconciled
from tests.apiserver.view import Cluster, named

NOW = "2026-01-01T00:00:00Z"
RBAC = "rbac.authorization.k8s.io"


def started(cluster: Cluster, **settings: Any) -> Cluster:
    cluster.writes.clear()
    asyncio.run(bootstrap(ClusterSettings(**settings), cluster, cluster, now=lambda: NOW, root_ca="PEM"))
    return cluster


def by_name(kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    return next(
        obj
        for obj in policy()
        if (obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace", ""))
        == (kind, name, namespace)
    )


def test_a_second_start_writes_nothing() -> None:
    cluster = started(Cluster())
    assert len(cluster.objects) > 170
    started(cluster)
    assert cluster.writes == []


def test_what_kubectl_sees() -> None:
    cluster = started(Cluster(), advertise_address="192.0.2.1", service_ranges=("10.96.0.0/16",))
    assert {name for _, plural, _, name in cluster.objects if plural == "namespaces"} == {
        "default", "kube-system", "kube-public", "kube-node-lease",
    }  # fmt: skip
    service = cluster.objects["", "services", "default", "kubernetes"]
    assert service["spec"]["clusterIP"] == "10.96.0.1"
    assert service["metadata"]["labels"] == {"component": "apiserver", "provider": "kubernetes"}
    assert cluster.objects["", "endpoints", "default", "kubernetes"]["subsets"] == [
        {"addresses": [{"ip": "192.0.2.1"}], "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}]}
    ]
    cidr = cluster.objects["networking.k8s.io", "servicecidrs", "", "kubernetes"]
    assert cidr["spec"] == {"cidrs": ["10.96.0.0/16"]}
    assert cidr["status"]["conditions"][0]["type"] == "Ready"
    classes = {
        name: obj["value"]
        for (_, plural, _, name), obj in cluster.objects.items()
        if plural == "priorityclasses"
    }
    assert classes == {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
    for namespace in ("default", "kube-system", "kube-public", "kube-node-lease"):
        assert ("", "serviceaccounts", namespace, "default") in cluster.objects
        assert cluster.objects["", "configmaps", namespace, "kube-root-ca.crt"]["data"] == {"ca.crt": "PEM"}


def test_the_first_day_of_token_tracking_stays() -> None:
    key = ("", "configmaps", "kube-system", TOKEN_TRACKING)
    cluster = started(Cluster())
    assert cluster.objects[key]["data"] == {"since": "2026-01-01"}
    cluster.objects[key]["data"] = {"since": "2025-12-31", "more": "stays"}
    started(cluster)
    assert cluster.objects[key]["data"]["since"] == "2025-12-31"
    cluster.objects[key]["data"]["since"] = "20251231"
    started(cluster)
    assert cluster.objects[key]["data"] == {"since": "2026-01-01", "more": "stays"}


def test_the_policy() -> None:
    objects = policy()
    counts: dict[str, int] = {}
    for obj in objects:
        counts[obj["kind"]] = counts.get(obj["kind"], 0) + 1
        assert obj["metadata"]["labels"]["kubernetes.io/bootstrapping"] == "rbac-defaults"
        assert obj["metadata"]["annotations"] == {"rbac.authorization.kubernetes.io/autoupdate": "true"}
    assert counts["RoleBinding"] == counts["Role"] == 7
    names = [(obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"]) for obj in objects]
    assert len(set(names)) == len(names)
    roles = {obj["metadata"]["name"] for obj in objects if obj["kind"] == "ClusterRole"}
    assert {obj["roleRef"]["name"] for obj in objects if obj["kind"] == "ClusterRoleBinding"} <= roles
    assert by_name("ClusterRole", "cluster-admin")["rules"] == [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ]  # fmt: skip
    admin, edit, view = (by_name("ClusterRole", name)["rules"] for name in ("admin", "edit", "view"))
    assert [rule for rule in view if rule not in edit] == []
    assert [rule for rule in edit if rule not in admin] == []
    assert len(view) < len(edit) < len(admin)
    secrets = [rule for rule in view if "secrets" in rule["resources"]]
    assert secrets == []


def test_flow_schemas_refer_to_levels() -> None:
    objects = flow_control()
    levels = {obj["metadata"]["name"] for obj in objects if obj["kind"] == "PriorityLevelConfiguration"}
    schemas = [obj for obj in objects if obj["kind"] == "FlowSchema"]
    assert (len(levels), len(schemas)) == (8, 11)
    assert {obj["spec"]["priorityLevelConfiguration"]["name"] for obj in schemas} <= levels


def test_what_is_missing_is_added_and_what_was_added_stays() -> None:
    wanted = by_name("ClusterRole", "system:kube-dns")
    extra = {"verbs": ["get"], "apiGroups": ["x"], "resources": ["y"]}
    found = copy.deepcopy(wanted)
    found["rules"] = [extra]
    found["metadata"]["labels"] = {"mine": "yes"}
    made = reconciled(found, wanted)
    assert made is not None
    assert made["rules"] == [extra, *wanted["rules"]]
    assert made["metadata"]["labels"] == {"mine": "yes", "kubernetes.io/bootstrapping": "rbac-defaults"}
    assert reconciled(made, wanted) is None
    found["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] = "false"
    assert reconciled(found, wanted) is None
    # rules that say the same in other words are enough
    found = {**wanted, "rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]}
    assert reconciled(found, wanted) is None


def test_a_binding_to_another_role_is_made_anew() -> None:
    cluster = started(Cluster())
    key = (RBAC, "clusterrolebindings", "", "system:kube-dns")
    changed = copy.deepcopy(cluster.objects[key])
    changed["roleRef"]["name"] = "view"
    cluster.put(changed)
    started(cluster)
    assert cluster.writes == [("delete", key), ("create", key)]
    assert cluster.objects[key]["roleRef"]["name"] == "system:kube-dns"
    changed = copy.deepcopy(cluster.objects[key])
    changed["subjects"] = [{"kind": "User", "name": "joe"}]
    cluster.put(changed)
    started(cluster)
    assert cluster.writes == [("update", key)]
    assert len(cluster.objects[key]["subjects"]) == 2


def test_since_when_tokens_in_secrets_are_tracked() -> None:
    cluster = started(Cluster())
    where = ("", "configmaps", "kube-system", "kube-apiserver-legacy-service-account-token-tracking")
    assert cluster.objects[where]["data"] == {"since": "2026-01-01"}
    cluster.objects[where] = {**cluster.objects[where], "data": {"since": "2024-02-29"}}
    assert started(cluster).writes == []
    cluster.objects[where] = {**cluster.objects[where], "data": {"since": "long ago"}}
    assert started(cluster).objects[where]["data"] == {"since": "2026-01-01"}


def test_the_service_follows_the_port() -> None:
    cluster = started(Cluster())
    started(cluster, secure_port=7443)
    assert ("update", ("", "services", "default", "kubernetes")) in cluster.writes
    assert cluster.objects["", "services", "default", "kubernetes"]["spec"]["ports"][0]["targetPort"] == 7443
    wanted = kubernetes_service(ClusterSettings())
    assert reconciled(wanted, wanted) is None


def test_mandatory_flow_objects_are_restored_and_others_where_they_say_so() -> None:
    by = {(obj["kind"], obj["metadata"]["name"]): obj for obj in flow_control()}
    for key, annotation, is_restored in (
        (("FlowSchema", "catch-all"), "false", True),
        (("FlowSchema", "probes"), "false", False),
        (("FlowSchema", "probes"), "true", True),
    ):
        found = copy.deepcopy(by[key])
        found["metadata"]["annotations"] = {"apf.kubernetes.io/autoupdate-spec": annotation}
        found["spec"]["matchingPrecedence"] = 3
        assert (reconciled(found, by[key]) is not None) == is_restored


def test_every_namespace_gets_its_account_and_authority() -> None:
    cluster = Cluster([named("v1", "Namespace", "one")])

    async def scenario() -> None:
        loop = NamespaceObjects(cluster, cluster, "PEM")
        task = asyncio.create_task(loop.run())

        async def settle() -> None:
            for _ in range(20):
                await asyncio.sleep(0)

        await settle()
        assert reconcile("one", cluster, "PEM") == []
        cluster.put(named("v1", "Namespace", "two"))
        await settle()
        assert ("", "serviceaccounts", "two", "default") in cluster.objects
        cluster.drop(("", "serviceaccounts", "two", "default"))
        cluster.put(named("v1", "ConfigMap", "kube-root-ca.crt", "one", data={"ca.crt": "old"}))
        cluster.put(named("v1", "Namespace", "three", status={"phase": "Terminating"}))
        await settle()
        assert ("", "serviceaccounts", "two", "default") in cluster.objects
        assert cluster.objects["", "configmaps", "one", "kube-root-ca.crt"]["data"] == {"ca.crt": "PEM"}
        assert not any(key[2] == "three" for key in cluster.objects)
        task.cancel()

    asyncio.run(scenario())
