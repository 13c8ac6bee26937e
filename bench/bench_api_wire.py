"""Bytes and tables of the API server: a pod of about 1.8 KB of JSON as protobuf and back, lists of it, Tables of it.

orjson does the same object beside them, in the same process: how many times slower the codec is.
"""

from __future__ import annotations

from typing import Any

import orjson
from pytest_benchmark.fixture import BenchmarkFixture

from kcore.api import protobuf, tables
from kcore.api.rows import Row

LIST_COUNT = 500
TABLE_COUNT = 10_000
NOW = 1_767_330_645.0
POD_ROW = Row("", "v1", "Pod", "pods", "pod", True, "pods", "io.k8s.api.core.v1.Pod")


def pod() -> dict[str, Any]:
    """A running pod of a Deployment, with a probe, requests, a projected volume and conditions."""
    token = {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
    authority = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    container = {
        "name": "web",
        "image": "nginx:1.25",
        "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}],
        "env": [{"name": "A", "value": "b"}],
        "resources": {"limits": {"cpu": "500m", "memory": "128Mi"}, "requests": {"cpu": "250m", "memory": "64Mi"}},
        "volumeMounts": [{"name": "access", "readOnly": True, "mountPath": "/var/run/secrets"}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "periodSeconds": 10},
        "imagePullPolicy": "IfNotPresent",
    }  # fmt: skip
    owner = {
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d78c9869d", "controller": True,
        "uid": "aaaaaaaa-2a1d-4f5b-9c49-7d4b5f2d8a11", "blockOwnerDeletion": True,
    }  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web-5d78c9869d-abcde",
            "namespace": "default",
            "uid": "6b1f7d1e-2a1d-4f5b-9c49-7d4b5f2d8a11",
            "resourceVersion": "12345",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {"app": "web", "pod-template-hash": "5d78c9869d"},
            "ownerReferences": [owner],
        },
        "spec": {
            "volumes": [{"name": "access", "projected": {"sources": [token, authority], "defaultMode": 420}}],
            "containers": [container],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default",
            "nodeName": "node-1",
            "schedulerName": "default-scheduler",
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}],
            "priority": 0,
            "enableServiceLinks": True,
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:06Z"}],
            "containerStatuses": [{"name": "web", "ready": True, "restartCount": 2, "state": {"running": {}}}],
            "podIPs": [{"ip": "10.0.0.1"}],
            "startTime": "2026-01-02T03:04:05Z",
            "qosClass": "Burstable",
        },
    }  # fmt: skip


def test_decode(benchmark: BenchmarkFixture) -> None:
    """A request body."""
    benchmark.group = "protobuf"
    body = protobuf.encode(pod())
    assert benchmark(protobuf.decode, body)["metadata"]["name"] == "web-5d78c9869d-abcde"


def test_decode_beside(benchmark: BenchmarkFixture) -> None:
    """The same object from JSON."""
    benchmark.group = "protobuf"
    benchmark(orjson.loads, orjson.dumps(pod()))


def test_encode(benchmark: BenchmarkFixture) -> None:
    """An answer."""
    benchmark.group = "protobuf"
    assert benchmark(protobuf.encode, pod())[:4] == protobuf.PREFIX


def test_encode_beside(benchmark: BenchmarkFixture) -> None:
    """The same object to JSON."""
    benchmark.group = "protobuf"
    benchmark(orjson.dumps, pod())


def test_list_of_encoded_items(benchmark: BenchmarkFixture) -> None:
    """A list from items that are encoded already."""
    benchmark.group = "protobuf lists"
    items = [protobuf.encode_body(pod(), "v1", "Pod")] * LIST_COUNT
    benchmark(protobuf.encode_list, "v1", "PodList", {"resourceVersion": "1"}, items)


def test_table(benchmark: BenchmarkFixture) -> None:
    """The Table of many pods with their metadata, as kubectl asks for it."""
    benchmark.group = "tables"
    text = orjson.dumps(pod())
    pods = [orjson.loads(text) for _ in range(TABLE_COUNT)]
    made = benchmark(lambda: tables.table(POD_ROW, pods, now=NOW, list_meta={}))
    assert made["rows"][0]["cells"][1:4] == ["1/1", "Running", "2"]


def test_table_in_json(benchmark: BenchmarkFixture) -> None:
    """The same Table from stored bytes to the answer's bytes."""
    benchmark.group = "tables"
    pods = [orjson.dumps(pod())] * TABLE_COUNT
    made = benchmark(lambda: tables.list_table_json(POD_ROW, pods, {}, now=NOW))
    assert made.startswith(b'{"kind":"Table"')
