"""The autoscaler: its arithmetic with numbers of upstream's tests, and one that scales a deployment."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from kcore.api.resources import metrics
from kcore.apiserver.list_options import ListOptions
from kcore.apiserver.local_groups import LocalGroup
from kcore.controllers import horizontal_autoscaler_pace as pace
from kcore.controllers.deployment import Deployment
from kcore.controllers.horizontal_autoscaler import HorizontalAutoscaler
from kcore.controllers.horizontal_autoscaler_usage import (
    NoCount,
    Tolerances,
    Unreadable,
    Used,
    by_utilization,
    by_value,
    used_by_pod,
)
from kcore.controllers.replica_set import ReplicaSet
from tests.controllers.living import living, workload

Object = dict[str, Any]
NOW = 1_800_000_000_000
TOLERANCES = Tolerances(0.1, 0.1)


def pods(count: int, request: str = "1", unready: int = 0) -> list[Object]:
    made = []
    for number in range(count):
        ready = "False" if number < unready else "True"
        condition = {"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}
        made.append(
            {
                "metadata": {"name": f"pod-{number}"},
                "spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": request}}}]},
                "status": {
                    "phase": "Running",
                    "startTime": "2026-01-01T00:00:00Z",
                    "conditions": [condition],
                },
            }
        )
    return made


@pytest.mark.parametrize(
    ("count", "amounts", "unready", "target", "current", "wanted"),
    [
        (3, [300, 500, 700], 0, 30, 3, (5, 50)),  # scale up
        (3, [300, 500, 700], 1, 30, 3, (4, 60)),  # hot but one unready: scales less
        (3, [100, 300, 500], 1, 30, 3, (3, 40)),  # the unready one is idle, and holds it back
        (3, [400, 500, 600], 0, 47, 3, (3, 50)),  # within the tolerance
        (5, [100, 300, 500, 250, 250], 0, 50, 5, (3, 28)),  # scale down
        (4, [1000, 500], 0, 50, 4, (4, 75)),  # two without metrics
        (2, [1000], 0, 50, 2, (2, 100)),
    ],
)
def test_counts_by_utilization(
    count: int, amounts: list[int], unready: int, target: int, current: int, wanted: tuple[int, int]
) -> None:
    used = {f"pod-{number}": Used(amount) for number, amount in enumerate(amounts)}
    made = by_utilization(pods(count, unready=unready), used, "cpu", "", target, current, TOLERANCES, NOW)
    assert (made.replicas, made.utilization) == wanted


def test_counts_by_value_and_what_keeps_them_from_being_said() -> None:
    used = {f"pod-{number}": Used(20_000) for number in range(3)}
    assert by_value(pods(3), used, "qps", 15_000, 3, TOLERANCES, NOW) == (4, None, 20_000)
    with pytest.raises(NoCount, match="no pods returned by selector"):
        by_value([], used, "qps", 1, 3, TOLERANCES, NOW)
    with pytest.raises(NoCount, match="did not receive metrics for targeted pods"):
        by_value(pods(3), {}, "qps", 1, 3, TOLERANCES, NOW)
    bare = pods(1)
    bare[0]["spec"]["containers"][0] = {"name": "main"}
    with pytest.raises(NoCount, match="missing request for cpu in container main of Pod pod-0"):
        by_utilization(bare, used, "cpu", "", 50, 1, TOLERANCES, NOW)


def test_metrics_are_summed_over_containers() -> None:
    containers = [{"name": "a", "usage": {"cpu": "100m"}}, {"name": "b", "usage": {"cpu": "1"}}]
    metrics = [
        {
            "metadata": {"name": "p"},
            "timestamp": "2026-01-01T00:00:00Z",
            "window": "1m0.5s",
            "containers": containers,
        }
    ]
    assert used_by_pod(metrics, "cpu")["p"][::2] == (1100, 60_500)
    assert used_by_pod(metrics, "cpu", "a")["p"].amount == 100
    assert not used_by_pod(metrics, "memory") and not used_by_pod(metrics, "cpu", "c")


FORMAT = r"quantities must match the regular expression '\^"


def said(**fields: Any) -> Object:
    used = {
        "containers": [{"name": "a", "usage": {"cpu": "1"}}],
        "timestamp": "2026-01-01T00:00:00Z",
        "window": "1m0s",
    }
    return {"metadata": {"name": "p"}, **used, **fields}


def using(*amounts: Any) -> list[Object]:
    return [{"name": f"c{number}", "usage": {"cpu": amount}} for number, amount in enumerate(amounts)]


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (said(containers=using("1", "NaN")), FORMAT),
        (said(containers=using("")), FORMAT),
        (said(containers=using("inf")), FORMAT),
        (said(containers=using(float("nan"))), FORMAT),
        (said(containers=using(True)), FORMAT),
        (said(containers=[{"name": "a", "usage": {"cpu": "1", "memory": "much"}}]), FORMAT),
        (said(timestamp="soon"), 'parsing time "soon" as "2006-01-02T15:04:05Z07:00": cannot parse "soon" as "2006"'),
        (said(window="long"), 'time: invalid duration "long"'),
        (said(containers=5), r"cannot unmarshal number into Go struct field PodMetricsList.items.containers of type \[\]"),
        ("p", "json: cannot unmarshal string into Go struct field PodMetricsList.items of type v1beta1.PodMetrics"),
    ],
)  # fmt: skip
def test_one_metric_that_cannot_be_read_spoils_all_of_the_answer(item: Any, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        used_by_pod([said(), item], "cpu")


def test_less_than_nothing_and_what_was_measured_tomorrow_count_as_they_are_said() -> None:
    less = said(containers=using("-1", "0.9995"), timestamp="2099-01-01T00:00:00Z", window=None)
    assert used_by_pod([less], "cpu")["p"] == Used(0, 4_070_908_800_000, 0)
    used = {"pod-0": Used(-1001), "pod-1": Used(-500), "stranger": Used(-1)}
    assert by_value(pods(2), used, "qps", 1_000, 2, TOLERANCES, NOW) == (-1, None, -500)
    made = by_utilization(pods(2), used, "cpu", "", 50, 2, TOLERANCES, NOW)
    assert (made.replicas, made.utilization, made.average) == (-3, -75, -750)
    assert used_by_pod([said(metadata=None, containers=using(2, None))], "cpu") == {
        "": Used(2000, 1_767_225_600_000, 60_000)
    }


def test_without_behavior_it_doubles_at_most_and_goes_down_after_five_minutes() -> None:
    memory = pace.Memory()

    def go(current: int, desired: int, after_ms: int) -> tuple[int, str, str]:
        made = pace.paced(memory, None, current, desired, 1, 10, NOW + after_ms)
        return made.replicas, made.able[0], made.limit[0]

    assert go(1, 20, 0) == (4, "ReadyForNewScale", "ScaleUpLimit")
    assert go(8, 20, 15_000) == (10, "ReadyForNewScale", "TooManyReplicas")
    assert go(10, 2, 30_000) == (10, "ScaleDownStabilized", "TooManyReplicas")
    assert go(10, 2, 300_000) == (10, "ScaleDownStabilized", "TooManyReplicas")
    assert go(10, 2, 330_001) == (2, "ReadyForNewScale", "DesiredWithinRange")
    assert go(2, 0, 331_000) == (2, "ScaleDownStabilized", "DesiredWithinRange")


def test_policies_limit_the_pace_within_their_periods() -> None:
    up = {
        "stabilizationWindowSeconds": 0, "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}],
    }  # fmt: skip
    down = {
        "stabilizationWindowSeconds": 0, "selectPolicy": "Min",
        "policies": [
            {"type": "Percent", "value": 50, "periodSeconds": 60}, {"type": "Pods", "value": 1, "periodSeconds": 60},
        ],
    }  # fmt: skip
    behavior = {"scaleUp": up, "scaleDown": down}
    memory = pace.Memory()

    def go(current: int, desired: int, after_ms: int) -> tuple[int, str]:
        made = pace.paced(memory, behavior, current, desired, 1, 100, NOW + after_ms)
        pace.remember_change(memory, behavior, current, made.replicas, NOW + after_ms)
        return made.replicas, made.limit[0]

    assert go(2, 9, 0) == (4, "ScaleUpLimit")
    assert go(4, 9, 30_000) == (4, "ScaleUpLimit")
    assert go(4, 9, 60_001) == (6, "ScaleUpLimit")
    assert go(6, 1, 180_000) == (5, "ScaleDownLimit")
    assert (
        pace.paced(
            memory, {**behavior, "scaleDown": {**down, "selectPolicy": "Disabled"}}, 5, 1, 1, 9, NOW
        ).replicas
        == 5
    )


def autoscaler(**spec: Any) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 5, **spec},
    }  # fmt: skip


def condition(obj: Object, kind: str) -> tuple[str, str, str]:
    found = [each for each in obj["status"].get("conditions") or () if each["type"] == kind]
    return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else ("", "", "")


class Told:
    """The source of PodMetrics: what a test says."""

    def __init__(self) -> None:
        self.items: list[Object] = []

    async def get(self, namespace: str, name: str) -> Object:
        raise AssertionError("autoscalers list")

    async def list(self, namespace: str, options: ListOptions) -> list[Object]:
        matches = options.label_selector.matches
        assert namespace == "default" and matches({"app": "web"}) and not matches({"app": "db"})
        return self.items

    def say(self, seen: Sequence[Object], cpu: str) -> None:
        """Each of those pods uses so much."""
        self.items = [
            {
                "metadata": {"name": pod["metadata"]["name"]}, "timestamp": "2027-01-01T00:00:00Z", "window": "10s",
                "containers": [{"name": "main", "usage": {"cpu": cpu}}],
            }
            for pod in seen
        ]  # fmt: skip


def test_a_deployment_follows_its_use_of_cpu() -> None:
    told = Told()

    async def run() -> None:
        async with living(HorizontalAutoscaler(sync_ms=50), Deployment(), ReplicaSet()) as it:
            group = LocalGroup(metrics.GROUP, metrics.VERSION, {metrics.PODS: told}, "reader")
            await it.assembly.serve(group)
            web = workload("Deployment", "web", 2)
            web["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"memory": "1Gi"}}
            await it.client.create(web)
            await it.until_there(
                "deployments", "web", lambda found: found["status"].get("readyReplicas") == 2
            )
            memory = {"name": "memory", "target": {"type": "AverageValue", "averageValue": "100"}}
            await it.client.create(autoscaler(metrics=[{"type": "Resource", "resource": memory}]))
            kind = "ScalingActive"
            found = await it.until_there(
                "horizontalpodautoscalers", "web", lambda found: condition(found, kind)[0]
            )
            why = (
                "failed to get memory usage: unable to get metrics for resource memory: no metrics returned from resource "
                "metrics API"
            )
            assert condition(found, kind) == (
                "False", "FailedGetResourceMetric", "the HPA was unable to compute the replica count: " + why,
            )  # fmt: skip
            said = it.told.said("HorizontalPodAutoscaler")
            assert said[:2] == [
                why,
                "invalid metrics (1 invalid out of 1), first error is: failed to get memory resource metric value: "
                + why,
            ]

            cpu = {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "100m"}}
            patch = {"spec": {"metrics": [{"type": "Resource", "resource": cpu}]}}
            for pod in it.pods.list():
                status = {"status": {"startTime": "2025-01-01T00:00:00Z"}}
                await it.client.patch(
                    "pods", pod["metadata"]["name"], status, "default", subresource="status"
                )
            told.say(it.pods.list(), "200m")
            await it.client.patch("horizontalpodautoscalers", "web", patch, "default")
            found = await it.until_there(
                "horizontalpodautoscalers", "web", lambda found: found["status"]["desiredReplicas"] > 2
            )
            text = "New size: 4; reason: cpu resource above target"
            await it.until(lambda: text in it.told.said("HorizontalPodAutoscaler"))
            web = await it.client.get("deployments", "web", "default")
            assert web["spec"]["replicas"] >= 4 and found["status"]["lastScaleTime"]
            assert found["status"]["currentMetrics"][0]["resource"]["current"] == {"averageValue": "200m"}

    asyncio.run(run())


class Lying(Told):
    """A source that answers what no PodMetrics is, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()
        self.asked = 0

    async def list(self, namespace: str, options: ListOptions) -> list[Object]:
        self.asked += 1
        await self.answers.wait()
        return self.items


def test_metrics_that_hang_or_lie_hold_up_nobody_else() -> None:
    async def run() -> None:
        told = Lying()
        async with living(HorizontalAutoscaler(sync_ms=20), Deployment(), ReplicaSet()) as it:
            await it.assembly.serve(
                LocalGroup(metrics.GROUP, metrics.VERSION, {metrics.PODS: told}, "reader")
            )
            await it.client.create(workload("Deployment", "web", 2))
            memory = {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Mi"}}
            await it.client.create(autoscaler(metrics=[{"type": "Resource", "resource": memory}]))
            await it.until(lambda: told.asked == 1)
            await it.client.patch("deployments", "web", {"spec": {"replicas": 3}}, "default")
            await it.until_there(
                "deployments", "web", lambda found: found["status"].get("readyReplicas") == 3
            )
            told.items = [said(containers=using("NaN"))]
            told.answers.set()
            kind = "ScalingActive"
            found = await it.until_there(
                "horizontalpodautoscalers", "web", lambda found: condition(found, kind)[0]
            )
            status, reason, message = condition(found, kind)
            assert (status, reason) == ("False", "FailedGetResourceMetric")
            assert message.startswith(
                "the HPA was unable to compute the replica count: failed to get memory usage: unable to get metrics for "
                "resource memory: unable to fetch metrics from resource metrics API: quantities must match the regular "
            )
            told.items = [
                {
                    "metadata": {"name": pod["metadata"]["name"]},
                    "containers": [{"name": "main", "usage": {"memory": "-1"}}],
                }
                for pod in it.pods.list()
            ]
            found = await it.until_there(
                "horizontalpodautoscalers", "web", lambda found: condition(found, kind)[0] == "True"
            )
            assert condition(found, kind)[1] == "ValidMetricFound"

    asyncio.run(run())


def test_a_target_that_is_not_there_is_said() -> None:
    async def run() -> None:
        async with living(HorizontalAutoscaler(sync_ms=10)) as it:
            await it.client.create(autoscaler())
            found = await it.until_there(
                "horizontalpodautoscalers", "web", lambda found: condition(found, "AbleToScale")[0]
            )
            text = 'deployments.apps "web" not found'
            assert condition(found, "AbleToScale") == (
                "False", "FailedGetScale", "the HPA controller was unable to get the target's current scale: " + text,
            )  # fmt: skip
            assert it.told.said("HorizontalPodAutoscaler")[0] == text

            await it.client.create(workload("Deployment", "web", 2))
            found = await it.until_there(
                "horizontalpodautoscalers", "web", lambda found: condition(found, "ScalingActive")[0]
            )
            assert condition(found, "AbleToScale")[1] == "SucceededGetScale"
            assert condition(found, "ScalingActive")[2] == (
                "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for "
                "resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested "
                "resource (get pods.metrics.k8s.io)"
            )

    asyncio.run(run())
