"""What a request's body costs before its kind is asked: decoding by schema; what the server pays once for schemas."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from kcore.api.resources import ROWS
from kcore.api.schema import Schemas, load
from kcore.api.schema.decoding import decode_json
from kcore.api.schema.definitions import Definitions
from kcore_native.schema.node import count_members

POD = load().node("io.k8s.api.core.v1.Pod")


def container(name: str) -> dict[str, Any]:
    return {
        "name": name, "image": "registry/nginx:1.25", "imagePullPolicy": "IfNotPresent",
        "resources": {"limits": {"cpu": "500m", "memory": "128Mi"}, "requests": {"cpu": "250m", "memory": "64Mi"}},
        "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}],
        "env": [{"name": "A", "value": "b"}, {"name": "P", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }  # fmt: skip


BODY = orjson.dumps({
    "apiVersion": "v1", "kind": "Pod",
    "metadata": {
        "name": "web-0001", "namespace": "default", "labels": {"app": "web", "tier": "front"}, "annotations": {"a/b": "x" * 100},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u-1", "controller": True}],
    },
    "spec": {
        "containers": [container("a"), container("b")], "volumes": [{"name": "v", "emptyDir": {}}],
        "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst", "securityContext": {},
        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}],
    },
})  # fmt: skip


@pytest.mark.benchmark(group="api-schema-pod")
def test_parse_json(benchmark: Any) -> None:
    benchmark(orjson.loads, BODY)


@pytest.mark.benchmark(group="api-schema-pod")
def test_clean(benchmark: Any) -> None:
    benchmark(POD.clean, orjson.loads(BODY))


@pytest.mark.benchmark(group="api-schema-pod")
def test_count_members(benchmark: Any) -> None:
    benchmark(count_members, BODY)


@pytest.mark.benchmark(group="api-schema-pod")
def test_decode_json(benchmark: Any) -> None:
    benchmark(decode_json, BODY, POD, "Warn")


@pytest.mark.benchmark(group="api-schema-start")
def test_load(benchmark: Any) -> None:
    benchmark(Definitions.shipped)


@pytest.mark.benchmark(group="api-schema-start")
def test_all_nodes(benchmark: Any) -> None:
    definitions = Definitions.shipped()

    def make() -> None:
        schemas = Schemas(definitions)
        for row in ROWS:
            schemas.node(row.schema)

    benchmark(make)
