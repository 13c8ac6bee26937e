"""Workloads are defaulted, judged and changed as upstream does; each case is named by what is true."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kcore.api.kinds import STRATEGIES
from kcore.api.kinds.schedules import schedule_problem
from kcore.api.kinds.templates import selector_matches
from tests.api.kinds.samples import (
    GOOD,
    Object,
    autoscaler,
    budget,
    container,
    controller,
    created,
    cron_job,
    faults_of,
    job,
    template,
    updated,
    updated_from,
    warnings_of,
    workload,
)

NO_MATCH = "`selector` does not match template `labels`"
CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}

FAULTS: list[tuple[str, Object, list[str]]] = [
    (
        "a Deployment selects its template",
        workload("Deployment", selector={"matchLabels": {"app": "other"}}),
        [f'spec.template.metadata.labels: Invalid value: {{"app":"web"}}: {NO_MATCH}'],
    ),
    (
        "a Deployment has a selector",
        workload("Deployment", selector=None),
        [
            "spec.selector: Required value",
            f'spec.template.metadata.labels: Invalid value: {{"app":"web"}}: {NO_MATCH}',
        ],
    ),
    (
        "a selector selects something",
        workload("ReplicaSet", selector={}),
        ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
    ),
    (
        "pods of a Deployment are always restarted",
        workload("Deployment", template=template(restartPolicy="Never")),
        ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
    ),
    (
        "a rolling update goes on",
        workload("Deployment", strategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}}),
        ["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
    ),
    (
        "a recreation has no rolling update",
        workload("Deployment", strategy={"type": "Recreate", "rollingUpdate": {}}),
        ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
    ),
    (
        "progress is slower than readiness",
        workload("Deployment", progressDeadlineSeconds=5, minReadySeconds=10, replicas=-1),
        [
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds",
        ],
    ),
    (
        "a DaemonSet rolls one way",
        workload("DaemonSet", updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}}),
        ["spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"],
    ),
    (
        "a StatefulSet's name is a label",
        workload("StatefulSet") | {"metadata": {"name": "a.b", "namespace": "default"}},
        ['metadata.name: Invalid value: "a.b": must not contain dots'],
    ),
    (
        "claims of a StatefulSet are volumes of its pods",
        workload("StatefulSet", volumeClaimTemplates=[CLAIM], template=template(containers=[container(volumeMounts=[{"name": "data", "mountPath": "/d"}])])),
        [],
    ),
    (
        "a claim asks for storage",
        workload("StatefulSet", volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": {}}], podManagementPolicy="Random"),
        [
            "spec.podManagementPolicy: Invalid value: \"Random\": must be 'OrderedReady' or 'Parallel'",
            "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required",
            "spec.volumeClaimTemplates[0].spec.resources[storage]: Required value",
        ],
    ),
    (
        "a ReplicationController has a selector and a template",
        controller(selector={}, template=None),
        ["spec.selector: Required value", "spec.template: Required value"],
    ),
    (
        "a Job's pods end",
        job() | {"spec": {"template": template()}},
        ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
    ),
    (
        "limits by index need an index",
        job(backoffLimitPerIndex=1, maxFailedIndexes=-1),
        [
            "spec.maxFailedIndexes: Invalid value: -1: must be greater than or equal to 0",
            "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
            "spec.maxFailedIndexes: Invalid value: -1: requires indexed completion mode",
        ],
    ),
    (
        "an indexed Job has completions",
        job(completionMode="Indexed", parallelism=2),
        ["spec.completions: Required value: when completion mode is Indexed"],
    ),
    (
        "a rule of failure says on what",
        job(podFailurePolicy={"rules": [{"action": "Ignore"}, {"onExitCodes": {"operator": "In", "values": [2, 1, 0]}}]}),
        [
            "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
            'spec.podFailurePolicy.rules[1].action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]',
            "spec.podFailurePolicy.rules[1].onExitCodes.values[2]: Invalid value: 0: must not be 0 for the In operator",
            "spec.podFailurePolicy.rules[1].onExitCodes.values: Invalid value: [2,1,0]: must be ordered",
        ],
    ),
    (
        "indexes of success are among the completions",
        job(completionMode="Indexed", completions=3, parallelism=1, successPolicy={"rules": [{"succeededIndexes": "0-1,5"}]}),
        [
            ('spec.successPolicy.rules[0].succeededIndexes: Invalid value: "0-1,5": error parsing succeededIndexes: '
            'too large index: "5"')
        ],
    ),
    (
        "a CronJob has a schedule that its parser reads",
        cron_job(schedule="60 * * * *", timeZone="Mars/Olympus", concurrencyPolicy="Never"),
        [
            'spec.schedule: Invalid value: "60 * * * *": end of range (60) above maximum (59): 60',
            'spec.timeZone: Invalid value: "Mars/Olympus": unknown time zone Mars/Olympus',
            'spec.concurrencyPolicy: Unsupported value: "Never": supported values: "Allow", "Forbid", "Replace"',
        ],
    ),
    (
        "a zone has its own field",
        cron_job(schedule="TZ=UTC 0 * * * *"),
        [
            'spec.schedule: Invalid value: "TZ=UTC 0 * * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead'
        ],
    ),
    (
        "an autoscaler's bounds are in order",
        autoscaler(minReplicas=5, maxReplicas=3),
        ["spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"],
    ),
    (
        "an autoscaler's target has a group",
        autoscaler(minReplicas=0, maxReplicas=0, scaleTargetRef={"kind": "Deployment", "name": "a/b", "apiVersion": "v1"}),
        [
            "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
            "spec.maxReplicas: Required value: must be set and greater than 0",
            'spec.scaleTargetRef.name: Invalid value: "a/b": may not contain \'/\'',
            'spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group',
            "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas",
        ],
    ),
    (
        "a metric is of its type",
        autoscaler(metrics=[{"type": "Pods", "resource": {"name": "cpu", "target": {"type": "X"}}}]),
        [
            'spec.metrics[0].resource.target.type: Invalid value: "X": must be either Utilization, Value, or AverageValue',
            ("spec.metrics[0].resource.target.averageUtilization: Required value: "
            "must set either a target raw value or a target utilization"),
            "spec.metrics[0].pods: Required value: must populate information for the given metric source",
        ],
    ),
    (
        "a budget says one thing",
        budget(maxUnavailable="200%"),
        [
            ('spec: Invalid value: {"MaxUnavailable":"200%","MinAvailable":1,"Selector":{"matchLabels":{"app":"web"}},'
            '"UnhealthyPodEvictionPolicy":null}: minAvailable and maxUnavailable cannot be both set'),
            'spec.maxUnavailable: Invalid value: "200%": must not be greater than 100%',
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS]
)
def test_fault(given: Object, expected: list[str]) -> None:
    assert faults_of(given) == expected


@pytest.mark.parametrize("given", GOOD.values(), ids=[kind for _, kind in GOOD])
def test_a_good_object_is_good_and_stays_as_it_is(given: Object) -> None:
    assert faults_of(given) == []
    assert warnings_of(given) == []
    made, faults = updated(given, lambda _: None)
    assert faults == []
    assert made == created(given) | {"metadata": created(given)["metadata"] | {"resourceVersion": "1"}}


def test_every_kind_of_ours_has_its_strategy() -> None:
    assert set(GOOD) <= set(STRATEGIES)


def test_defaults_of_a_deployment() -> None:
    spec = created(workload("Deployment"))["spec"]
    del spec["template"]
    assert spec == {
        "progressDeadlineSeconds": 600,
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
    }


def test_a_daemon_set_counts_its_templates_in_an_annotation() -> None:
    key = "deprecated.daemonset.template.generation"
    made = created(workload("DaemonSet"))
    assert made["metadata"]["annotations"] == {key: "1"}
    changed, _ = updated(
        workload("DaemonSet"), lambda obj: obj["spec"]["template"]["metadata"].update(annotations={"a": "b"})
    )
    assert changed["metadata"]["annotations"] == {key: "2"}
    assert changed["metadata"]["generation"] == 2


def test_a_job_selects_its_pods_by_its_uid() -> None:
    made = created(job())
    labels = {
        "app": "web",
        "batch.kubernetes.io/controller-uid": "u-1",
        "batch.kubernetes.io/job-name": "web",
        "controller-uid": "u-1",
        "job-name": "web",
    }
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}}
    assert made["spec"]["template"]["metadata"]["labels"] == labels
    assert made["metadata"]["labels"] == labels
    assert made["spec"]["backoffLimit"] == 6
    assert made["spec"]["completions"] == made["spec"]["parallelism"] == 1


def test_a_replication_controller_takes_its_selector_from_its_template() -> None:
    made = created(controller(selector={}))
    assert made["spec"]["selector"] == {"app": "web"}
    assert made["metadata"]["labels"] == {"app": "web"}


CHANGES: list[tuple[str, Object, Any, list[str]]] = [
    ("replicas may change", workload("Deployment"), lambda obj: obj["spec"].update(replicas=3), []),
    (
        "a Deployment's selector may not",
        workload("Deployment"),
        lambda obj: obj["spec"].update(selector={"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
        [
            'spec.selector: Invalid value: {"matchExpressions":[{"key":"app","operator":"Exists"}]}: field is immutable'
        ],
    ),
    (
        "little of a StatefulSet may change",
        workload("StatefulSet"),
        lambda obj: obj["spec"].update(serviceName="other", replicas=2),
        [
            (
                "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
                "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are "
                "forbidden"
            )
        ],
    ),
    ("a Job's parallelism may change", job(), lambda obj: obj["spec"].update(parallelism=3), []),
    (
        "a Job's completions may not",
        job(),
        lambda obj: obj["spec"].update(completions=3),
        ["spec.completions: Invalid value: 3: field is immutable"],
    ),
    (
        "a suspended Job may move its pods",
        job(suspend=True),
        lambda obj: obj["spec"]["template"]["spec"].update(nodeSelector={"a": "b"}),
        [],
    ),
]


@pytest.mark.parametrize(
    ("given", "change", "expected"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES]
)
def test_change(given: Object, change: Any, expected: list[str]) -> None:
    assert updated(given, change)[1] == expected


def test_a_running_job_keeps_its_template() -> None:
    _, faults = updated(job(), lambda obj: obj["spec"]["template"]["spec"].update(nodeSelector={"a": "b"}))
    assert len(faults) == 1
    assert faults[0].startswith("spec.template: Invalid value: ")
    assert faults[0].endswith(": field is immutable")


def test_a_job_does_not_become_unfinished() -> None:
    old = created(job())
    old["metadata"]["resourceVersion"] = "1"
    done = [{"type": each, "status": "True"} for each in ("SuccessCriteriaMet", "Complete")]
    times = {"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:01Z"}
    made, faults = updated_from(old, lambda obj: obj["status"].update(conditions=done, **times), "status")
    assert faults == []
    _, faults = updated_from(made, lambda obj: obj["status"].update(conditions=[]), "status")
    assert faults == [
        (
            'status.completionTime: Invalid value: "2026-01-01T00:00:01Z": cannot set completionTime when there is no '
            "Complete=True condition"
        ),
        "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
        "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
    ]
    _, faults = updated_from(old, lambda obj: obj["status"].update(conditions=done[1:], active=1), "status")
    assert faults == [
        "status.completionTime: Required value: completionTime is required for Complete jobs",
        "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        "status.active: Invalid value: 1: active>0 is invalid for finished job",
        "status.startTime: Required value: startTime is required for finished job",
    ]


def test_a_status_counts_no_more_than_there_is() -> None:
    _, faults = updated(
        workload("ReplicaSet"), lambda obj: obj["status"].update(replicas=1, availableReplicas=2), "status"
    )
    assert faults == [
        "status.availableReplicas: Invalid value: 2: cannot be greater than status.replicas",
        "status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas",
    ]


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        ("*/15 0-6,12 1 jan-mar mon", ""),
        ("@hourly", ""),
        ("@every 1h30m", ""),
        ("@never", "unrecognized descriptor: @never"),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("a * * * *", 'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax'),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
    ],
)
def test_a_schedule_is_five_fields(schedule: str, problem: str) -> None:
    assert schedule_problem(schedule) == problem


def test_an_autoscaler_comes_back_from_v1_as_it_went() -> None:
    convert = STRATEGIES["autoscaling", "HorizontalPodAutoscaler"].convert
    assert convert is not None
    metrics = [
        {
            "type": "Pods",
            "pods": {"metric": {"name": "qps"}, "target": {"type": "AverageValue", "averageValue": "10"}},
        },
        {
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
        },
    ]
    stored = created(autoscaler(metrics=metrics, behavior={"scaleDown": {"stabilizationWindowSeconds": 60}}))
    stored["status"] |= {"currentReplicas": 2, "conditions": [{"type": "AbleToScale", "status": "True"}]}
    made = copy.deepcopy(stored)
    convert(made, "autoscaling/v1")
    assert made["apiVersion"] == "autoscaling/v1"
    assert made["spec"]["targetCPUUtilizationPercentage"] == 70
    assert "metrics" not in made["spec"]
    convert(made, "autoscaling/v2")
    assert made == stored


def test_an_autoscaler_of_v1_wants_a_utilization() -> None:
    convert = STRATEGIES["autoscaling", "HorizontalPodAutoscaler"].convert
    assert convert is not None
    made = autoscaler()
    made["apiVersion"] = "autoscaling/v1"
    convert(made, "autoscaling/v2")
    target = {"type": "Utilization", "averageUtilization": 80}
    assert made["spec"]["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def test_selectors_that_are_none_select_nothing() -> None:
    assert selector_matches(None, {"a": "b"}) is False
    assert selector_matches({}, {"a": "b"}) is True
    assert selector_matches({"matchExpressions": [{"key": "a", "operator": "In"}]}, {}) is None
    assert (
        selector_matches({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, {})
        is True
    )
