"""Tables against what kube-apiserver's printers made of the same objects, and rule by rule."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from kcore.api import tables
from kcore.api.rows import Row
from kcore.api.status import ApiError

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC).timestamp()
DAY_AGO = "2026-03-03T05:06:07Z"


def row(group: str, kind: str, version: str = "v1") -> Row:
    return Row(group, version, kind, kind.lower() + "s", kind.lower(), True, kind.lower(), "")


POD = row("", "Pod")


def cells(group: str, kind: str, obj: dict[str, Any], version: str = "v1") -> list[Any]:
    obj.setdefault("metadata", {}).setdefault("name", "x")
    obj["metadata"].setdefault("creationTimestamp", DAY_AGO)
    made = tables.table(row(group, kind, version), [obj], now=NOW, include_object="None")
    [only] = made["rows"]
    return only["cells"]


def printed() -> Iterator[list[Any]]:
    """Recorded: time in seconds, object (random, without nulls), cells, reasons of the row's conditions, columns or null.

    Written by pkg/printers/internalversion of k8s.io/kubernetes 1.36.3, wide as its API server asks for.
    """
    path = Path(__file__).with_name("printed.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as recorded:
        yield from map(json.loads, recorded)


def test_the_cells_are_those_that_upstream_prints() -> None:
    seen = set()
    for now, obj, want, reasons, columns in printed():
        group, _, version = obj["apiVersion"].rpartition("/")
        made = tables.table(row(group, obj["kind"], version), [obj], now=now, include_object="None")
        assert made["rows"][0]["cells"] == want, obj
        assert [each["reason"] for each in made["rows"][0].get("conditions", ())] == reasons
        assert columns is None or made["columnDefinitions"] == columns
        seen.add((group, obj["kind"]))
    ours = {(group, kind) for group, kind in set(tables.TABLES) - seen if group != "metrics.k8s.io"}
    assert ours == {
        ("apiregistration.k8s.io", "APIService")
    }  # kube-aggregator's and metrics-server's were not recorded


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "<invalid>"),
        (-1.5, "0s"),
        (0, "0s"),
        (119.9, "119s"),
        (120, "2m"),
        (121, "2m1s"),
        (599, "9m59s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (8 * 3600, "8h"),
        (48 * 3600 - 1, "47h"),
        (48 * 3600, "2d"),
        (49 * 3600, "2d1h"),
        (8 * 86400, "8d"),
        (2 * 365 * 86400 - 1, "729d"),
        (2 * 365 * 86400, "2y"),
        (2 * 365 * 86400 + 86400, "2y1d"),
        (8 * 365 * 86400, "8y"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert tables.human_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-2, "<invalid>"), (-0.5, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (7200, "2h"), (86400, "1d"), (365 * 86400, "1y")],
)  # fmt: skip
def test_short_durations(seconds: float, text: str) -> None:
    assert tables.short_human_duration(seconds) == text


RUNNING = {"state": {"running": {}}, "ready": True, "name": "c"}
ENDED = {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}, "name": "d"}
DELETED = {"deletionTimestamp": DAY_AGO}
SIDECAR = {"name": "s", "restartPolicy": "Always"}


def pod_of(status: dict[str, Any], *, init: list[Any] | None = None, **metadata: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [{"name": "c"}, {"name": "d"}]}
    if init:
        spec["initContainers"] = init
    return {"metadata": metadata, "spec": spec, "status": status}


@pytest.mark.parametrize(
    ("pod", "ready", "reason", "restarts"),
    [
        (pod_of({"phase": "Pending"}), "0/2", "Pending", "0"),
        (pod_of({"phase": "Running", "containerStatuses": [RUNNING, RUNNING]}), "2/2", "Running", "0"),
        (pod_of({"phase": "Pending", "reason": "Evicted"}), "0/2", "Evicted", "0"),
        (
            pod_of({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}),
            "0/2", "SchedulingGated", "0",
        ),
        (
            pod_of({"containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 7}]}),
            "0/2", "CrashLoopBackOff", "7",
        ),
        (
            pod_of({"containerStatuses": [
                {"restartCount": 3, "lastState": {"terminated": {"finishedAt": "2026-03-04T05:06:00Z"}}, **RUNNING},
            ], "phase": "Running"}),
            "1/2", "Running", "3 (7s ago)",
        ),
        (pod_of({"phase": "Running", "containerStatuses": [{"state": {"terminated": {"signal": 9, "exitCode": 1}}}]}), "0/2", "Signal:9", "0"),
        (pod_of({"phase": "Running", "containerStatuses": [{"state": {"terminated": {"exitCode": 4}}}]}), "0/2", "ExitCode:4", "0"),
        (
            pod_of({"phase": "Running", "containerStatuses": [RUNNING, ENDED], "conditions": [{"type": "Ready", "status": "True"}]}),
            "1/2", "Running", "0",
        ),
        (pod_of({"phase": "Running", "containerStatuses": [ENDED, RUNNING]}), "1/2", "NotReady", "0"),
        (pod_of({"phase": "Succeeded", "containerStatuses": [ENDED, ENDED]}), "0/2", "Completed", "0"),
        (pod_of({"phase": "Running", "containerStatuses": [RUNNING]}, **DELETED), "1/2", "Terminating", "0"),
        (pod_of({"phase": "Failed"}, **DELETED), "0/2", "Failed", "0"),
        (pod_of({"phase": "Running", "reason": "NodeLost"}, **DELETED), "0/2", "Unknown", "0"),
        (
            pod_of({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]}, init=[{"name": "i"}]),
            "0/2", "Init:0/1", "0",
        ),
        (
            pod_of({"initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 2}}, "restartCount": 2}]}, init=[{"name": "i"}]),
            "0/2", "Init:ExitCode:2", "2",
        ),
        (
            pod_of({"initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "ErrImagePull"}}}]}, init=[{"name": "i"}]),
            "0/2", "Init:ErrImagePull", "0",
        ),
        (
            pod_of(
                {
                    "phase": "Running",
                    "initContainerStatuses": [{"name": "s", "started": True, "ready": True, "state": {"running": {}}, "restartCount": 1}],
                    "containerStatuses": [RUNNING, RUNNING],
                },
                init=[SIDECAR],
            ),
            "3/3", "Running", "1",
        ),
    ],
)  # fmt: skip
def test_a_pod(pod: dict[str, Any], ready: str, reason: str, restarts: str) -> None:
    assert cells("", "Pod", pod)[1:4] == [ready, reason, restarts]


def test_a_pod_that_ended_is_completed() -> None:
    made = tables.table(POD, [{"metadata": {"name": "a"}, "status": {"phase": "Succeeded"}}], now=NOW)
    assert made["rows"][0]["conditions"] == [
        {"type": "Completed", "status": "True", "reason": "Succeeded", "message": "The pod has completed successfully."}
    ]  # fmt: skip
    made = tables.table(POD, [{"metadata": {"name": "a"}, "status": {"phase": "Failed"}}], now=NOW)
    assert made["rows"][0]["conditions"][0]["message"] == "The pod failed."
    assert "conditions" not in tables.table(POD, [{"metadata": {}}], now=NOW)["rows"][0]


def test_where_a_pod_is() -> None:
    pod = pod_of({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "nominatedNodeName": "m"})
    pod["spec"] |= {"nodeName": "n", "readinessGates": [{"conditionType": "g"}, {"conditionType": "h"}]}
    pod["status"]["conditions"] = [{"type": "g", "status": "True"}, {"type": "h", "status": "False"}]
    assert cells("", "Pod", pod)[4:] == ["24h", "10.0.0.1", "n", "m", "1/2"]
    assert cells("", "Pod", pod_of({}))[5:] == ["<none>"] * 4


@pytest.mark.parametrize(
    ("spec", "status", "external", "ports"),
    [
        ({"type": "ClusterIP", "ports": [{"port": 80, "protocol": "TCP"}]}, {}, "<none>", "80/TCP"),
        ({"type": "ClusterIP", "externalIPs": ["1.1.1.1", "2.2.2.2"]}, {}, "1.1.1.1,2.2.2.2", "<none>"),
        ({"type": "NodePort", "ports": [{"port": 1, "nodePort": 30000, "protocol": "UDP"}]}, {}, "<none>", "1:30000/UDP"),
        ({"type": "LoadBalancer"}, {}, "<pending>", "<none>"),
        (
            {"type": "LoadBalancer", "externalIPs": ["9.9.9.9"]},
            {"loadBalancer": {"ingress": [{"ip": "2.2.2.2"}, {"hostname": "a.example"}, {"ip": "1.1.1.1"}]}},
            "1.1.1.1,2.2.2.2,a.example,9.9.9.9", "<none>",
        ),
        ({"type": "ExternalName", "externalName": "db.example"}, {}, "db.example", "<none>"),
        ({}, {}, "<unknown>", "<none>"),
    ],
)  # fmt: skip
def test_a_service(spec: dict[str, Any], status: dict[str, Any], external: str, ports: str) -> None:
    spec |= {"clusterIPs": ["10.0.0.1"], "selector": {"b": "2", "a": "1"}}
    shown = cells("", "Service", {"spec": spec, "status": status})
    assert shown[2:] == ["10.0.0.1", external, ports, "24h", "a=1,b=2"]


@pytest.mark.parametrize(
    ("labels", "status", "unschedulable", "want"),
    [
        ({"node-role.kubernetes.io/control-plane": ""}, "True", False, ["Ready", "control-plane"]),
        ({"kubernetes.io/role": "b", "node-role.kubernetes.io/a": ""}, "False", True, ["NotReady,SchedulingDisabled", "a,b"]),
        ({}, None, False, ["Unknown", "<none>"]),
    ],
)  # fmt: skip
def test_a_node(labels: dict[str, str], status: str | None, unschedulable: bool, want: list[str]) -> None:
    conditions = [{"type": "Ready", "status": status}] if status else []
    info = {"kubeletVersion": "v1.36.0", "kernelVersion": "6.1", "architecture": "arm64"}
    node = {
        "metadata": {"labels": labels},
        "spec": {"unschedulable": unschedulable},
        "status": {"conditions": conditions, "nodeInfo": info, "addresses": [{"type": "InternalIP", "address": "10.1.1.1"}]},
    }  # fmt: skip
    shown = cells("", "Node", node)
    assert shown[1:3] == want
    assert shown[4:] == ["v1.36.0", "10.1.1.1", "<none>", "<unknown>", "6.1 (arm64)", "<unknown>"]


@pytest.mark.parametrize(
    ("obj", "want"),
    [
        ({"spec": {"completions": 2}, "status": {"succeeded": 1, "startTime": "2026-03-04T05:05:07Z"}}, ["Running", "1/2", "60s"]),
        (
            {
                "spec": {"completions": 1},
                "status": {
                    "succeeded": 1, "startTime": "2026-03-04T05:05:07Z", "completionTime": "2026-03-04T05:05:27Z",
                    "conditions": [{"type": "Complete", "status": "True"}],
                },
            },
            ["Complete", "1/1", "20s"],
        ),
        ({"spec": {"parallelism": 3}, "status": {"conditions": [{"type": "Suspended", "status": "True"}]}}, ["Suspended", "0/1 of 3", ""]),
        ({"spec": {"parallelism": 1}, "metadata": dict(DELETED)}, ["Terminating", "0/1", ""]),
    ],
)  # fmt: skip
def test_a_job(obj: dict[str, Any], want: list[str]) -> None:
    assert cells("batch", "Job", obj)[1:4] == want


def metric(kind: str, value: Any) -> dict[str, Any]:
    return {"type": kind, kind[:1].lower() + kind[1:]: value}


@pytest.mark.parametrize(
    ("specs", "statuses", "want"),
    [
        ([], [], "<none>"),
        ([metric("Resource", {"name": "cpu", "target": {"averageUtilization": 80}})], [], "cpu: <unknown>/80%"),
        (
            [metric("Resource", {"name": "cpu", "target": {"averageUtilization": 80}})],
            [metric("Resource", {"name": "cpu", "current": {"averageUtilization": 50}})],
            "cpu: 50%/80%",
        ),
        (
            [metric("Pods", {"target": {"averageValue": "100m"}})],
            [metric("Pods", {"current": {"averageValue": "50m"}})],
            "50m/100m",
        ),
        (
            [metric("External", {"target": {"averageValue": "100"}}), metric("Object", {"target": {"value": "1k"}}), {"type": "?"}],
            [],
            "<unknown>/100 (avg), <unknown>/1k + 1 more...",
        ),
    ],
)  # fmt: skip
def test_an_autoscaler(specs: list[Any], statuses: list[Any], want: str) -> None:
    obj = {
        "apiVersion": "autoscaling/v2",
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 9, "metrics": specs},
        "status": {"currentMetrics": statuses, "currentReplicas": 2},
    }
    shown = cells("autoscaling", "HorizontalPodAutoscaler", obj, "v2")
    assert shown[1:6] == ["Deployment/web", want, "<unset>", 9, 2]


def test_an_autoscaler_in_version_1() -> None:
    obj = {
        "apiVersion": "autoscaling/v1",
        "spec": {"targetCPUUtilizationPercentage": 70, "minReplicas": 1},
        "status": {"currentCPUUtilizationPercentage": 12},
    }
    assert cells("autoscaling", "HorizontalPodAutoscaler", obj)[2:4] == ["cpu: 12%/70%", "1"]


def test_endpoints() -> None:
    subset = {"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "ports": [{"port": 80}, {"port": 443}]}
    shown = cells("", "Endpoints", {"subsets": [subset]})
    assert shown[1] == "10.0.0.1:80,[fd00::1]:80,10.0.0.1:443 + 1 more..."
    assert cells("", "Endpoints", {})[1] == "<none>"
    assert cells("", "Endpoints", {"subsets": [{"addresses": [{"ip": "10.0.0.1"}]}]})[1] == "10.0.0.1"


def test_an_endpoint_slice() -> None:
    obj = {
        "addressType": "IPv4",
        "ports": [{"port": 80}, {"name": "x"}, {}, {"port": 4}],
        "endpoints": [{"addresses": ["10.0.0.1", "10.0.0.2"]}],
    }
    shown = cells("discovery.k8s.io", "EndpointSlice", obj)
    assert shown[1:4] == ["IPv4", "80,x,* + 1 more...", "10.0.0.1,10.0.0.2"]
    assert cells("discovery.k8s.io", "EndpointSlice", {})[2:4] == ["<unset>", "<unset>"]


def test_an_event_of_either_group() -> None:
    old = {
        "involvedObject": {"kind": "Pod", "name": "web", "fieldPath": "spec"},
        "source": {"component": "kubelet", "host": "n"},
        "message": " pulled\n", "count": 4, "type": "Normal", "reason": "Pulled",
        "firstTimestamp": "2026-03-04T05:05:07Z", "lastTimestamp": "2026-03-04T05:06:00Z",
    }  # fmt: skip
    want = ["7s", "Normal", "Pulled", "pod/web", "spec", "kubelet, n", "pulled", "60s", 4, "x"]
    assert cells("", "Event", old) == want
    new = {
        "regarding": {"kind": "Pod", "name": "web"}, "reportingController": "kubelet", "note": "x",
        "eventTime": "2026-03-04T05:05:07.500000Z", "series": {"count": 9, "lastObservedTime": "2026-03-04T05:06:06.000000Z"},
    }  # fmt: skip
    shown = cells("events.k8s.io", "Event", new)
    assert shown == ["1s", "", "", "pod/web", "", "kubelet", "x", "59s", 9, "x"]


def test_an_api_service() -> None:
    kind = ("apiregistration.k8s.io", "APIService")
    assert cells(*kind, {})[1:] == ["Local", "Unknown", "24h"]
    condition = {"type": "Available", "status": "False", "reason": "MissingEndpoints"}
    obj = {"spec": {"service": {"namespace": "a", "name": "b"}}, "status": {"conditions": [condition]}}
    assert cells(*kind, obj)[1:3] == ["a/b", "False (MissingEndpoints)"]


def test_flow_schemas_are_sorted_as_they_match() -> None:
    schemas = [
        {"metadata": {"name": name}, "spec": {"matchingPrecedence": precedence}}
        for name, precedence in (("z", 1), ("b", 500), ("a", 500))
    ]
    made = tables.table(row("flowcontrol.apiserver.k8s.io", "FlowSchema"), schemas, now=NOW, list_meta={})
    assert [each["cells"][0] for each in made["rows"]] == ["z", "a", "b"]


def test_a_kind_without_columns_shows_name_and_creation() -> None:
    role = row("rbac.authorization.k8s.io", "Role")
    made = tables.table(role, [{"metadata": {"name": "r", "creationTimestamp": DAY_AGO}}], now=NOW)
    assert [each["name"] for each in made["columnDefinitions"]] == ["Name", "Created At"]
    assert made["columnDefinitions"][1]["type"] == "date"
    assert made["rows"][0]["cells"] == ["r", DAY_AGO]
    assert tables.table(role, [{"metadata": {"name": "r"}}], now=NOW)["rows"][0]["cells"][1].startswith(
        "0001"
    )
    assert tables.table(role, [], now=NOW, list_meta={})["rows"] is None
    assert tables.table(POD, [], now=NOW, list_meta={})["rows"] == []


def test_a_subresource_has_the_table_of_its_kind() -> None:
    scale = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "web", "creationTimestamp": DAY_AGO},
        "spec": {"replicas": 3},
        "status": {"replicas": 2},
    }
    made = tables.table(row("apps", "Deployment"), [scale], now=NOW)
    assert [each["name"] for each in made["columnDefinitions"]] == ["Name", "Desired", "Available", "Age"]
    assert made["rows"][0]["cells"] == ["web", 3, 2, "24h"]


def test_what_a_row_holds_of_its_object() -> None:
    pod = {"metadata": {"name": "a", "resourceVersion": "7"}, "spec": {}}
    made = tables.table(POD, [pod], now=NOW)
    assert (made["kind"], made["apiVersion"], made["metadata"]) == (
        "Table",
        "meta.k8s.io/v1",
        {"resourceVersion": "7"},
    )
    assert made["rows"][0]["object"] == {
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": pod["metadata"],
    }  # fmt: skip
    made = tables.table(POD, [pod], now=NOW, include_object="Object")
    assert made["rows"][0]["object"] == {"kind": "Pod", "apiVersion": "v1", **pod}
    assert tables.table(POD, [pod], now=NOW, include_object="None")["rows"][0]["object"] is None
    pod["metadata"]["annotations"] = {"k8s.io/initial-events-end": "true"}
    made = tables.table(POD, [pod], now=NOW, include_object="None", headers=False)
    assert made["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert made["columnDefinitions"] is None


def test_a_list_brings_its_metadata() -> None:
    meta = {"resourceVersion": "9", "continue": "abc", "remainingItemCount": 4}
    assert tables.table(POD, [], now=NOW, list_meta=meta)["metadata"] == meta


@pytest.mark.parametrize("include", ["Metadata", "Object", "None"])
@pytest.mark.parametrize(
    "kind",
    [("", "Pod"), ("flowcontrol.apiserver.k8s.io", "FlowSchema"), ("rbac.authorization.k8s.io", "Role")],
)
def test_a_list_of_json_becomes_the_same_table(include: str, kind: tuple[str, str]) -> None:
    objects = [obj for _, obj, *_ in printed() if obj["kind"] == kind[1]] + [{"metadata": {"name": "z"}}]
    meta = {"resourceVersion": "9"}
    shown = row(*kind)
    for some in (objects, []):
        made = tables.list_table_json(
            shown, [orjson.dumps(obj) for obj in some], meta, now=NOW, include_object=include
        )
        assert orjson.loads(made) == tables.table(
            shown, some, now=NOW, list_meta=meta, include_object=include
        )


def test_an_include_object_that_is_none_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        tables.table(POD, [], now=NOW, include_object="All")
    assert refused.value.code == 400
    assert refused.value.message == (
        'Unable to convert to Table as requested: includeObject: Invalid value: "All": '
        "must be 'Metadata', 'Object', 'None', or empty"
    )


def test_metadata_alone() -> None:
    pod = {"metadata": {"name": "a"}, "spec": {}}
    made = tables.partial_object_metadata_list([pod], {"resourceVersion": "1"})
    assert made == {
        "kind": "PartialObjectMetadataList",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": "1"},
        "items": [
            {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a"}}
        ],
    }
    assert tables.partial_object_metadata_list([])["items"] is None
