"""Pods are defaulted, judged and changed as upstream does; each case is named by what is true."""

from __future__ import annotations

from typing import Any

import pytest

from kcore.api.kinds.pods import grace_seconds, validate_binding
from tests.api.kinds.samples import (
    Object,
    container,
    created,
    faults_of,
    pod,
    updated,
    updated_from,
    warnings_of,
)

MOUNT = {"name": "v", "mountPath": "/v"}

FAULTS: list[tuple[str, Object, list[str]]] = [
    ("a pod has a container", pod(containers=[]), ["spec.containers: Required value"]),
    (
        "a container has a name and an image",
        pod(containers=[{}]),
        ["spec.containers[0].name: Required value", "spec.containers[0].image: Required value"],
    ),
    (
        "names of containers are unique",
        pod(containers=[container(), container()]),
        ['spec.containers[1].name: Duplicate value: "c"'],
    ),
    (
        "an image has no space around it",
        pod(containers=[container(image=" a")]),
        ['spec.containers[0].image: Invalid value: " a": must not have leading or trailing whitespace'],
    ),
    (
        "a port has a number",
        pod(containers=[container(ports=[{"containerPort": 0}, {"containerPort": 70000, "protocol": "X"}])]),
        [
            "spec.containers[0].ports[0].containerPort: Required value",
            "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            'spec.containers[0].ports[1].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
        ],
    ),
    (
        "a port of the node is taken once",
        pod(containers=[container(ports=[{"containerPort": 1, "hostPort": 8}, {"containerPort": 2, "hostPort": 8}])]),
        ['spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//8"'],
    ),
    (
        "requests keep within limits",
        pod(containers=[container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "1500m"}})]),
        [
            'spec.containers[0].resources.requests: Invalid value: "1500m": must be less than or equal to cpu limit of 1'
        ],
    ),
    (
        "a resource of no domain is a standard one",
        pod(containers=[container(resources={"limits": {"gpu": "1"}})]),
        [
            'spec.containers[0].resources.limits[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified',
            'spec.containers[0].resources.limits[gpu]: Invalid value: "gpu": must be a standard resource for containers',
            'spec.containers[0].resources.requests[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified',
            'spec.containers[0].resources.requests[gpu]: Invalid value: "gpu": must be a standard resource for containers',
        ],
    ),
    (
        "devices come whole",
        pod(containers=[container(resources={"limits": {"a.com/gpu": "500m"}})]),
        [
            'spec.containers[0].resources.limits[a.com/gpu]: Invalid value: "500m": must be an integer',
            'spec.containers[0].resources.requests[a.com/gpu]: Invalid value: "500m": must be an integer',
        ],
    ),
    (
        "a mount has its volume",
        pod(containers=[container(volumeMounts=[MOUNT])]),
        ['spec.containers[0].volumeMounts[0].name: Not found: "v"'],
    ),
    (
        "a volume has one source",
        pod(volumes=[{"name": "v", "emptyDir": {}, "hostPath": {"path": "/a"}}]),
        ["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
    ),
    (
        "a path on the host does not lead upwards",
        pod(volumes=[{"name": "v", "hostPath": {"path": "/a/../b", "type": "X"}}]),
        [
            'spec.volumes[0].hostPath.path: Invalid value: "/a/../b": must not contain \'..\'',
            ('spec.volumes[0].hostPath.type: Unsupported value: "X": supported values: "", "BlockDevice", "CharDevice", '
            '"Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"'),
        ],
    ),
    (
        "a token needs a service account",
        pod(volumes=[{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]),
        [
            ("spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: "
            "must not be specified when serviceAccountName is not set")
        ],
    ),
    (
        "a probe does one thing",
        pod(containers=[container(livenessProbe={"exec": {}, "tcpSocket": {"port": 1}, "successThreshold": 2})]),
        [
            "spec.containers[0].livenessProbe.exec.command: Required value",
            "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ],
    ),
    (
        "an init container without restart has no probes",
        pod(initContainers=[container(name="i", readinessProbe={"exec": {"command": ["a"]}})]),
        [
            ("spec.initContainers[0].readinessProbe: Forbidden: "
            "may not be set for init containers without restartPolicy=Always")
        ],
    ),
    (
        "a variable has one source",
        pod(containers=[container(env=[{"name": "A", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}])]),
        [
            ('spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.x": '
            "error converting fieldPath: field label not supported: spec.x"),
            'spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
        ],
    ),
    (
        "policies are those that there are",
        pod(restartPolicy="Sometimes", dnsPolicy="X"),
        [
            'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
            ('spec.dnsPolicy: Unsupported value: "X": supported values: "ClusterFirstWithHostNet", "ClusterFirst", '
            '"Default", "None"'),
        ],
    ),
    (
        "a toleration that tolerates all exists",
        pod(tolerations=[{"operator": "Equal", "tolerationSeconds": 5, "effect": "NoSchedule"}]),
        [
            ('spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which '
            'means "match all values and all keys"'),
            ('spec.tolerations[0].effect: Invalid value: "NoSchedule": effect must be \'NoExecute\' when '
            "`tolerationSeconds` is set"),
        ],
    ),
    (
        "spread constraints have a key and an action",
        pod(topologySpreadConstraints=[{"maxSkew": 0}]),
        [
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
            "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
            ('spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "": supported values: '
            '"DoNotSchedule", "ScheduleAnyway"'),
        ],
    ),
    (
        "a node term names fields of nodes",
        pod(
            affinity={
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Gt"}]}]
                    }
                }
            }
        ),
        [
            ("spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]."
            "matchExpressions[0].values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'")
        ],
    ),
    (
        "privileged is no less than its escalation",
        pod(containers=[container(securityContext={"runAsUser": -1, "seccompProfile": {}})]),
        [
            "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            ("spec.containers[0].securityContext.seccompProfile.type: Required value: "
            "type is required when seccompProfile is set"),
        ],
    ),
    (
        "a gated pod is not bound",
        pod(nodeName="n", schedulingGates=[{"name": "a"}]),
        ["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"],
    ),
    (
        "ephemeral containers come later",
        pod(ephemeralContainers=[{"name": "d", "image": "a"}]),
        ["spec.ephemeralContainers: Forbidden: cannot be set on create"],
    ),
    (
        "pod-level limits hold what containers may use",
        pod(
            resources={"limits": {"cpu": "1"}},
            containers=[container(resources={"limits": {"cpu": "2"}, "requests": {"cpu": "1"}})],
        ),
        ["spec.resources.containers[0][cpu].limits: Invalid value: \"2\": must be less than or equal to pod limits of 1"],
    ),
    (
        "a windows pod has no user of linux",
        pod(os={"name": "windows"}, securityContext={"runAsUser": 1}, hostPID=True),
        [
            "spec.hostPID: Forbidden: cannot be set for a windows pod",
            "spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod",
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS]
)
def test_fault(given: Object, expected: list[str]) -> None:
    assert faults_of(given) == expected
    assert faults_of(given) == expected  # remembered or not


def test_a_pod_is_defaulted() -> None:
    made = created(
        pod(
            containers=[
                container(image="nginx", resources={"limits": {"cpu": "0.5"}}, ports=[{"containerPort": 1}])
            ]
        )
    )
    assert made["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "nginx",
                "imagePullPolicy": "Always",
                "resources": {"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}},
                "ports": [{"containerPort": 1, "protocol": "TCP"}],
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
    }
    assert made["status"] == {"phase": "Pending", "qosClass": "Burstable"}
    assert made["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"), ("nginx:latest", "Always"), ("nginx:1", "IfNotPresent"), ("NOT AN IMAGE", "IfNotPresent"),
        ("localhost:5000/a/b", "Always"), (f"nginx@sha256:{'0' * 64}", "IfNotPresent"),
        (f"nginx:latest@sha256:{'0' * 64}", "Always"),
    ],
)  # fmt: skip
def test_an_image_without_tag_is_pulled_always(image: str, policy: str) -> None:
    assert (
        created(pod(containers=[container(image=image)]))["spec"]["containers"][0]["imagePullPolicy"]
        == policy
    )


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
def test_quality_of_service(resources: Object, expected: str) -> None:
    assert created(pod(containers=[container(resources=resources)]))["status"]["qosClass"] == expected


def test_keys_are_merged_into_selectors() -> None:
    term = {"topologyKey": "zone", "labelSelector": {}, "matchLabelKeys": ["app", "absent"]}
    given = pod(affinity={"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}})
    given["metadata"]["labels"] = {"app": "web"}
    affinity = created(given)["spec"]["affinity"]["podAffinity"]
    assert affinity["requiredDuringSchedulingIgnoredDuringExecution"][0]["labelSelector"] == {
        "matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]
    }


def test_fields_behind_closed_gates_are_dropped() -> None:
    given = pod(
        containers=[container(lifecycle={"stopSignal": "SIGTERM"})], schedulingGroup={"podGroupName": "a"}
    )
    spec = created(given)["spec"]
    assert "schedulingGroup" not in spec
    assert "lifecycle" not in spec["containers"][0]


def test_an_update_may_change_the_image() -> None:
    def change(obj: Object) -> None:
        obj["spec"]["containers"][0]["image"] = "nginx:2"

    made, faults = updated(pod(), change)
    assert faults == []
    assert made["metadata"]["generation"] == 2


def test_an_update_may_change_little_else() -> None:
    _, faults = updated(pod(), lambda obj: obj["spec"]["containers"][0].update(command=["a"]))
    assert len(faults) == 1
    assert faults[0].startswith(
        "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
        "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
        "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n@@ "
    )
    _, faults = updated(pod(), lambda obj: obj["spec"]["containers"].append(container(name="d")))
    assert faults == ["spec.containers: Forbidden: pod updates may not add or remove containers"]


def test_an_update_does_not_touch_the_status() -> None:
    made, faults = updated(pod(), lambda obj: obj["status"].update(phase="Running"))
    assert (made["status"]["phase"], faults) == ("Pending", [])


def test_gates_go_and_do_not_come() -> None:
    gated = pod(schedulingGates=[{"name": "a"}])
    assert updated(gated, lambda obj: obj["spec"].pop("schedulingGates"))[1] == []
    assert updated(pod(), lambda obj: obj["spec"].update(schedulingGates=[{"name": "b"}]))[1][0] == (
        "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'b'"
    )
    assert updated(gated, lambda obj: obj["spec"].update(nodeSelector={"a": "b"}))[1] == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"podIPs": [{"ip": "10.1.1.1"}, {"ip": "fd00::1"}]}, ("10.1.1.1", ["10.1.1.1", "fd00::1"])),
        ({"podIP": "10.1.1.1"}, ("10.1.1.1", ["10.1.1.1"])),
        ({"podIP": "10.1.1.1", "podIPs": [{"ip": "10.1.1.2"}]}, ("10.1.1.1", ["10.1.1.1"])),
    ],
)
def test_the_address_of_a_pod_is_the_first_of_its_addresses(
    given: Object, expected: tuple[str, list[str]]
) -> None:
    made, _ = updated(pod(), lambda obj: obj["status"].update(given), "status")
    status = made["status"]
    assert (status["podIP"], [each["ip"] for each in status["podIPs"]]) == expected


def test_the_status_subresource_keeps_the_spec() -> None:
    def change(obj: Object) -> None:
        obj["spec"]["containers"][0]["image"] = "other"
        obj["status"] |= {"phase": "Running", "podIPs": [{"ip": "010.1.1.1"}]}

    made, faults = updated(pod(), change, "status")
    assert made["spec"]["containers"][0]["image"] == "nginx:1.27"
    assert faults == ['status.podIPs[0]: Invalid value: "010.1.1.1": must not have leading 0s']


def test_a_container_that_ended_does_not_run_again() -> None:
    old = created(pod(restartPolicy="Never"))
    old["metadata"]["resourceVersion"] = "1"
    old["status"]["containerStatuses"] = [{"name": "c", "state": {"terminated": {"exitCode": 0}}}]

    def change(obj: Object) -> None:
        obj["status"]["containerStatuses"][0]["state"] = {"running": {}}

    assert updated_from(old, change, "status")[1] == [
        "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"
    ]


def test_a_resize_changes_cpu_and_memory() -> None:
    given = pod(containers=[container(resources={"requests": {"cpu": "1"}})])

    def change(obj: Object) -> None:
        obj["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "2"}}
        obj["spec"]["nodeSelector"] = {"a": "b"}

    made, faults = updated(given, change, "resize")
    assert faults == []
    assert made["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "2"}}
    assert "nodeSelector" not in made["spec"]
    _, faults = updated(given, lambda obj: obj["spec"]["containers"][0].update(resources={}), "resize")
    assert 'spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing' in faults
    assert "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed" in faults


def test_ephemeral_containers_stay() -> None:
    debug = {"name": "d", "image": "busybox:1"}
    made, faults = updated(
        pod(), lambda obj: obj["spec"].update(ephemeralContainers=[debug]), "ephemeralcontainers"
    )
    assert faults == []
    assert made["metadata"]["generation"] == 2
    made["metadata"]["resourceVersion"] = "2"
    _, faults = updated_from(made, lambda obj: obj["spec"].pop("ephemeralContainers"), "ephemeralcontainers")
    assert faults == [
        'spec.ephemeralContainers: Forbidden: existing ephemeral containers "d" may not be removed\n'
    ]


WARNINGS: list[tuple[str, Object, list[str]]] = [
    ("a usual pod is not warned of", pod(), []),
    (
        "a name with a dot is a poor host name",
        pod() | {"metadata": {"name": "a.b", "namespace": "default"}},
        [
            (
                "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is "
                "recommended: [must not contain dots]"
            )
        ],
    ),
    (
        "a label of old is deprecated",
        pod(nodeSelector={"beta.kubernetes.io/os": "linux"}),
        ['spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'],
    ),
    (
        "memory comes in whole bytes",
        pod(containers=[container(resources={"requests": {"memory": "100m"}})]),
        [
            'spec.containers[0].resources.requests[memory]: fractional byte value "100m" is invalid, must be an integer'
        ],
    ),
    (
        "a port is defined once",
        pod(
            containers=[
                container(ports=[{"containerPort": 1, "name": "a"}]),
                container(name="d", ports=[{"containerPort": 1, "name": "a"}]),
            ]
        ),
        [
            "spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]",
            (
                'spec.containers[1].ports[0]: duplicate port name "a" with spec.containers[0].ports[0], services and probes '
                "that select ports by name will use spec.containers[0].ports[0]"
            ),
        ],
    ),
    (
        "git volumes are out of use",
        pod(volumes=[{"name": "v", "gitRepo": {"repository": "a"}}]),
        ["spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"],
    ),
    (
        "a variable hides another",
        pod(containers=[container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])]),
        [
            'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply'
        ],
    ),
]


@pytest.mark.parametrize(
    ("given", "expected"), [case[1:] for case in WARNINGS], ids=[case[0] for case in WARNINGS]
)
def test_warning(given: Object, expected: list[str]) -> None:
    assert warnings_of(given) == expected


@pytest.mark.parametrize(
    ("spec", "phase", "asked", "expected"),
    [
        ({}, "Pending", None, 0),
        ({"nodeName": "n"}, "Running", None, 30),
        ({"nodeName": "n"}, "Running", 5, 5),
        ({"nodeName": "n"}, "Running", -5, 1),
        ({"nodeName": "n"}, "Succeeded", 5, 0),
    ],
)
def test_a_pod_that_no_kubelet_runs_goes_at_once(
    spec: Any, phase: str, asked: int | None, expected: int
) -> None:
    made = created(pod(**spec))
    made["status"]["phase"] = phase
    assert grace_seconds(made, asked) == expected


def test_a_binding_names_a_node() -> None:
    assert [error.text for error in validate_binding({"target": {"kind": "Pod"}})] == [
        'target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>"',
        "target.name: Required value",
    ]


def test_only_the_drawn_name_of_a_token_volume_is_forgotten() -> None:
    def with_volume(name: str) -> Object:
        source = {"sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}]}
        mount = {"name": name, "mountPath": "/t"}
        return pod(
            serviceAccountName="default",
            containers=[container(volumeMounts=[mount])],
            volumes=[{"name": name, "projected": source}],
        )

    assert faults_of(with_volume("kube-api-access-abcde")) == []
    assert faults_of(with_volume("kube-api-access-vwxyz")) == []
    assert faults_of(with_volume("kube-api-access-ABCDE"))[0].startswith(
        'spec.volumes[0].name: Invalid value: "kube-api-access-ABCDE"'
    )


def test_a_diff_shows_the_internal_type() -> None:
    _, faults = updated(pod(), lambda obj: obj["spec"]["containers"][0].update(command=["a"]))
    assert faults[0].partition("\n")[2].split("\n") == [
        "@@ -5,7 +5,9 @@",
        "   {",
        '    "Name": "c",',
        '    "Image": "nginx:1.27",',
        '-   "Command": null,',
        '+   "Command": [',
        '+    "a"',
        "+   ],",
        '    "Args": null,',
        '    "WorkingDir": "",',
        '    "Ports": null,',
        "",
    ]
