"""Which flow schema a request belongs to, what an answer says of it, and the condition of a schema without its level."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from kcore import ControlPlane
from kcore.apiserver.bootstrap.flow_control import flow_control
from kcore.apiserver.dangling import due
from kcore.apiserver.fairness import LEVEL_HEADER, SCHEMA_HEADER, Classifier
from kcore.apiserver.request import target_of
from kcore.apiserver.user import UserInfo
from tests.apiserver.test_door import Caller

ADMIN = UserInfo("admin", groups=("system:masters", "system:authenticated"))
NODE = UserInfo("system:node:n1", groups=("system:nodes", "system:authenticated"))
MANAGER = UserInfo("system:kube-controller-manager", groups=("system:authenticated",))
NAMESPACED = UserInfo(
    "system:serviceaccount:kube-system:gc", groups=("system:serviceaccounts", "system:authenticated")
)
ACCOUNT = UserInfo("system:serviceaccount:kube-systems:gc", groups=NAMESPACED.groups)
JOE = UserInfo("joe", groups=("system:authenticated",))
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1"


class Objects:
    """What a View has."""

    def __init__(self) -> None:
        self.objects = {(each["kind"], each["metadata"]["name"]): each for each in flow_control()}
        for (kind, name), each in self.objects.items():
            each["metadata"]["uid"] = f"{kind}/{name}"
        self.told: list[Any] = []

    def list(self, group: str, plural: str, namespace: str = "") -> list[Any]:
        return [each for (kind, _), each in self.objects.items() if kind.lower() + "s" == plural]

    def get(self, group: str, plural: str, namespace: str, name: str) -> Any:
        return self.objects.get(("PriorityLevelConfiguration", name))

    def follow(self, group: str, plural: str, changed: Any) -> None:
        self.told.append(changed)


@pytest.mark.parametrize(
    ("user", "method", "target", "schema", "level"),
    [
        (ADMIN, b"GET", "/api/v1/pods", "exempt", "exempt"),
        (JOE, b"GET", "/readyz", "probes", "exempt"),
        (JOE, b"GET", "/readyz/etcd", "probes", "exempt"),
        (JOE, b"GET", "/readyzz", "global-default", "global-default"),
        (MANAGER, b"PUT", LEASE, "system-leader-election", "leader-election"),
        (MANAGER, b"DELETE", LEASE, "kube-controller-manager", "workload-high"),
        (NODE, b"PUT", LEASE, "system-node-high", "node-high"),
        (NODE, b"PATCH", "/api/v1/nodes/n1/status", "system-node-high", "node-high"),
        (NODE, b"GET", "/api/v1/namespaces/default/pods/p", "system-nodes", "system"),
        (NAMESPACED, b"GET", "/api/v1/pods", "kube-system-service-accounts", "workload-high"),
        (ACCOUNT, b"GET", "/api/v1/pods", "service-accounts", "workload-low"),
        (UserInfo("nobody"), b"GET", "/api/v1/pods", "catch-all", "catch-all"),
    ],
)
def test_a_request_belongs_to_the_first_schema_that_is_about_it(
    user: UserInfo, method: bytes, target: str, schema: str, level: str
) -> None:
    classifier = Classifier(Objects())  # type: ignore[arg-type]
    info, _ = target_of(method, target.encode(), b"")
    for _ in range(2):  # found out, and remembered
        assert dict(classifier.headers(user, info)) == {
            SCHEMA_HEADER: b"FlowSchema/" + schema.encode(),
            LEVEL_HEADER: b"PriorityLevelConfiguration/" + level.encode(),
        }


def test_what_lasts_is_not_classified_and_a_schema_without_its_level_is_passed_over() -> None:
    objects = Objects()
    classifier = Classifier(objects)  # type: ignore[arg-type]
    pods, _ = target_of(b"GET", b"/api/v1/pods", b"")
    assert classifier.headers(JOE, target_of(b"POST", b"/api/v1/namespaces/a/pods/p/exec", b"")[0]) == ()
    assert classifier.headers(JOE, pods)[1][1].endswith(b"/global-default")
    del objects.objects["PriorityLevelConfiguration", "global-default"]
    for changed in objects.told:
        changed("", "global-default", None)
    assert classifier.headers(JOE, pods)[1][1].endswith(b"/catch-all")


def test_what_is_due_of_conditions() -> None:
    schema = {"metadata": {"name": "s"}, "spec": {"priorityLevelConfiguration": {"name": "l"}}}
    lost = {
        "type": "Dangling", "status": "True", "reason": "NotFound", "lastTransitionTime": "now",
        "message": 'This FlowSchema references the PriorityLevelConfiguration object named "l" but there is no such object',
    }  # fmt: skip
    found = {
        "type": "Dangling", "status": "False", "reason": "Found", "lastTransitionTime": "now",
        "message": 'This FlowSchema references the PriorityLevelConfiguration object named "l" and it exists',
    }  # fmt: skip
    assert list(due([schema], [], "now")) == [("s", lost)]
    assert list(due([schema], ["l"], "now")) == [("s", found)]
    assert list(due([schema | {"status": {"conditions": [found]}}], ["l"], "later")) == []
    assert list(due([schema | {"status": {"conditions": [lost]}}], ["l"], "now")) == [("s", found)]


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as made:
        yield made


def test_answers_name_their_flow_and_conditions_follow(plane: ControlPlane, tmp_path: Any) -> None:
    call = Caller(plane, tmp_path)

    def uid(plural: str, name: str) -> str:
        return str(plane.client.get(plural, name)["metadata"]["uid"])

    _, answer, _ = call("GET", "/api/v1/namespaces")
    assert answer["x-kubernetes-pf-flowschema-uid"] == uid("flowschemas", "exempt")
    assert answer["x-kubernetes-pf-prioritylevel-uid"] == uid("prioritylevelconfigurations", "exempt")
    code, answer, _ = call("GET", "/api/v1/namespaces", impersonate_user="joe")
    assert code == 403
    assert answer["x-kubernetes-pf-flowschema-uid"] == uid("flowschemas", "global-default")
    spec = {"priorityLevelConfiguration": {"name": "nowhere"}, "matchingPrecedence": 77}
    plane.client.create(
        {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "FlowSchema",
            "metadata": {"name": "lost"},
            "spec": spec,
        }
    )
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        listed = plane.client.list("flowschemas")["items"]
        status = {each["metadata"]["name"]: each.get("status") or {} for each in listed}
        conditions = {name: each.get("conditions") for name, each in status.items()}
        if all(conditions.values()):
            break
        time.sleep(0.05)
    said = {name: each[0]["status"] for name, each in conditions.items() if each}
    assert said.pop("lost") == "True"
    assert len(said) == 11
    assert set(said.values()) == {"False"}
