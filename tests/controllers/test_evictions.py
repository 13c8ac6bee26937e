"""Taints that evict, roles that aggregate, tokens that expire."""

import asyncio
import base64
from typing import Any

from kcore.api.status import ApiError
from kcore.controllers.bootstrap_tokens import TokenCleaner, remaining_ms
from kcore.controllers.cluster_role_aggregation import ClusterRoleAggregation
from kcore.controllers.contract import Delete, Key, Patch, Read, Tell
from kcore.controllers.taint_eviction import TaintEviction, tolerated_ms
from tests.controllers.living import living

Object = dict[str, Any]
TAINT = {"key": "gone", "value": "yes", "effect": "NoExecute"}
FIVE = {"key": "gone", "operator": "Exists", "tolerationSeconds": 5}
KEY = Key("a", "web")


class Seen:
    """A view of a pod and its node."""

    def __init__(self, taints: list[Object], tolerations: list[Object]) -> None:
        self.pod = {
            "metadata": {"namespace": "a", "name": "web", "uid": "u", "generation": 3},
            "spec": {"nodeName": "n", "tolerations": tolerations},
        }
        self.node = {"metadata": {"name": "n"}, "spec": {"taints": taints}}

    def get(self, resource: str, namespace: str, name: str) -> Object:
        return self.pod if resource == "pods" else self.node


def run(controller: TaintEviction, view: Any, now_ms: int) -> tuple[list[str], int | None]:
    """What it says, deletes and patches, and when it wants to look again."""
    steps, made = controller.reconcile(KEY, view, now_ms), list[str]()
    outcomes: Any = None
    try:
        while True:
            actions = steps.send(outcomes)
            outcomes = []
            for action in actions:
                if isinstance(action, Tell):
                    assert action.reason == "TaintManagerEviction"
                    made.append(action.message)
                    outcomes.append(None)
                elif isinstance(action, Read):
                    outcomes.append({**view.pod, "status": {}})
                elif isinstance(action, Patch):
                    (condition,) = action.body["status"]["conditions"]
                    assert condition["observedGeneration"] == 3
                    made.append(condition["reason"])
                    outcomes.append(view.pod)
                else:
                    assert action == Delete("pods", "a", "web", "u")
                    made.append("deleted")
                    outcomes.append(view.pod)
    except StopIteration as ended:
        return made, ended.value


def test_a_taint_that_is_not_tolerated_evicts_at_once() -> None:
    evicted = ["Marking for deletion Pod a/web", "DeletionByTaintManager", "deleted"]
    assert run(TaintEviction(), Seen([TAINT], []), 0) == (evicted, None)
    assert run(TaintEviction(), Seen([{**TAINT, "effect": "NoSchedule"}], []), 0) == ([], None)
    assert run(TaintEviction(), Seen([TAINT], [{"operator": "Exists"}]), 0) == ([], None)


def test_an_eviction_is_planned_called_off_and_done() -> None:
    controller = TaintEviction()
    assert run(controller, Seen([TAINT], [FIVE]), 1000) == ([], 5000)
    longer = {**FIVE, "tolerationSeconds": 60}
    assert run(controller, Seen([TAINT], [longer]), 2000) == ([], 4000), "what is planned stays planned"
    assert run(controller, Seen([], [FIVE]), 3000) == (["Cancelling deletion of Pod a/web"], None)
    assert run(controller, Seen([TAINT], [FIVE]), 4000) == ([], 5000)
    made, again = run(controller, Seen([TAINT], [FIVE]), 9000)
    assert made[-1] == "deleted" and again is None


def test_the_shortest_of_the_tolerations_that_are_used_counts() -> None:
    other = {"key": "other", "effect": "NoExecute"}
    assert tolerated_ms([TAINT, other], [FIVE]) == 0
    assert tolerated_ms([TAINT, other], [FIVE, {"key": "other", "operator": "Exists"}]) == 5000
    assert tolerated_ms([TAINT], [{"operator": "Exists"}, FIVE]) is None, "the first that matches is used"
    assert tolerated_ms([TAINT], [{**FIVE, "tolerationSeconds": -1}]) == 0


def test_a_bootstrap_token_holds_until_its_time() -> None:
    def token(text: str) -> Object:
        return {"data": {"expiration": base64.b64encode(text.encode()).decode()}}

    assert remaining_ms({}, 0) is None
    assert remaining_ms(token("1970-01-01T00:00:09Z"), 2000) == 7000
    assert remaining_ms(token("1970-01-01T00:00:01Z"), 2000) == 0
    assert remaining_ms(token("tomorrow"), 2000) == 0


def test_in_a_cluster() -> None:
    async def run() -> None:
        async with living(TaintEviction(), ClusterRoleAggregation(), TokenCleaner()) as it:
            token = {
                "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
                "metadata": {"name": "bootstrap-token-abcdef", "namespace": "kube-system"},
                "stringData": {"token-id": "abcdef", "token-secret": "0" * 16, "expiration": "2020-01-01T00:00:00Z"},
            }  # fmt: skip
            for obj in (
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}},
                token,
                {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}},
                {
                    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"},
                    "spec": {"nodeName": "n", "containers": [{"name": "main", "image": "web:1"}]},
                },
            ):  # fmt: skip
                try:
                    await it.client.create(obj)
                except ApiError as error:
                    assert error.reason == "AlreadyExists"  # noqa: PT017 - the namespace may be there
            for name, rules in (
                ("b", [{"apiGroups": ["x"], "resources": ["y"], "verbs": ["get"]}]),
                ("a", [{"apiGroups": ["x"], "resources": ["z"], "verbs": ["get"]}]),
                ("c", [{"apiGroups": ["x"], "resources": ["z"], "verbs": ["get"]}]),
            ):
                metadata = {"name": name, "labels": {"into": "all"}}
                role = {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "ClusterRole",
                    "metadata": metadata,
                }
                await it.client.create({**role, "rules": rules})
            await it.client.create({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "all"},
                "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"into": "all"}}]},
            })  # fmt: skip
            made = await it.until_there("clusterroles", "all", lambda role: len(role.get("rules") or ()) == 2)
            assert [rule["resources"] for rule in made["rules"]] == [["z"], ["y"]]
            managers = {each["manager"]: each["operation"] for each in made["metadata"]["managedFields"]}
            assert managers["clusterrole-aggregation-controller"] == "Apply"

            await it.client.patch("nodes", "n", {"spec": {"taints": [TAINT]}})
            await it.until(
                lambda: (
                    "deletionTimestamp"
                    in (it.pods.get("default/web") or {"metadata": ["deletionTimestamp"]})["metadata"]
                )
            )
            async with asyncio.timeout(10):
                while True:
                    try:
                        await it.client.get("secrets", "bootstrap-token-abcdef", "kube-system")
                        await asyncio.sleep(0.01)
                    except ApiError:
                        break
            assert it.told.said("Pod") == ["Marking for deletion Pod default/web"]

    asyncio.run(run())
