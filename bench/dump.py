"""A ``kubectl get pods -A -o json`` dump of any size, like one of a real cluster: 3 to 4 KB a pod.

``python -m bench.dump PODS NODES > dump.json``; the same arguments give the same bytes.
"""

from __future__ import annotations

import sys
from typing import Any

import orjson

IMAGES = (
    "registry.example/shop/web:1.42.0",
    "registry.example/data/etl:7.1",
    "registry.example/ml/train:0.9.3",
)
REQUESTS = (
    ("100m", "128Mi"),
    ("250m", "256Mi"),
    ("500m", "1Gi"),
    ("1", "2Gi"),
    ("2", "4Gi"),
    ("1500m", "3Gi"),
)
TOKEN_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
CREATED = "2026-04-01T08:30:00Z"


def node(index: int) -> dict[str, Any]:
    """A worker with 64 cores and 256 GiB in one of three zones."""
    name = f"node-{index:05d}"
    amounts = {"cpu": "64", "memory": "263846952Ki", "pods": "250", "ephemeral-storage": "203234260Ki"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "creationTimestamp": CREATED,
            "labels": {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": f"zone-{index % 3}"},
            "name": name,
            "uid": f"00000000-0000-4000-8001-{index:012d}",
        },
        "spec": {"podCIDR": f"10.{index // 256}.{index % 256}.0/24"},
        "status": {"allocatable": amounts, "capacity": amounts, "nodeInfo": {"kubeletVersion": "v1.36.0"}},
    }


def _container(index: int) -> dict[str, Any]:
    app, image = _app(index), _image(index)
    cpu, memory = REQUESTS[index % len(REQUESTS)]
    return {
        "env": [
            {
                "name": "POD_NAME",
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
            },
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}},
            {
                "name": "DATABASE_URL",
                "value": f"postgres://db.{app}.svc.cluster.local:5432/{app}?sslmode=require",
            },
            {"name": "LOG_LEVEL", "value": "info"},
            {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://otel-collector.observability.svc:4317"},
        ],
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "livenessProbe": {
            "failureThreshold": 3,
            "httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"},
            "periodSeconds": 10,
            "successThreshold": 1,
            "timeoutSeconds": 1,
        },
        "name": "main",
        "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
        "resources": {"limits": {"cpu": cpu, "memory": memory}, "requests": {"cpu": cpu, "memory": memory}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"mountPath": "/etc/app", "name": "config"},
            {"mountPath": TOKEN_MOUNT, "name": "kube-api-access", "readOnly": True},
        ],
    }


def _spec(index: int, node_name: str) -> dict[str, Any]:
    return {
        "containers": [_container(index)],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "nodeName": node_name,
        "preemptionPolicy": "PreemptLowerPriority",
        "priority": 0,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "serviceAccount": "default",
        "serviceAccountName": "default",
        "terminationGracePeriodSeconds": 30,
        "tolerations": [
            {
                "effect": "NoExecute",
                "key": f"node.kubernetes.io/{key}",
                "operator": "Exists",
                "tolerationSeconds": 300,
            }
            for key in ("not-ready", "unreachable")
        ],
        "volumes": [
            {"configMap": {"defaultMode": 420, "name": _app(index)}, "name": "config"},
            {
                "name": "kube-api-access",
                "projected": {"defaultMode": 420, "sources": [{"configMap": {"name": "ca"}}]},
            },
        ],
    }


def _running(index: int) -> dict[str, Any]:
    image = _image(index)
    return {
        "conditions": [
            {"lastProbeTime": None, "lastTransitionTime": CREATED, "status": "True", "type": condition}
            for condition in CONDITIONS
        ],
        "containerStatuses": [
            {
                "containerID": f"containerd://{index:064x}",
                "image": image,
                "imageID": f"{image.split(':')[0]}@sha256:{index % 3:064x}",
                "lastState": {},
                "name": "main",
                "ready": True,
                "restartCount": 0,
                "started": True,
                "state": {"running": {"startedAt": CREATED}},
            }
        ],
        "hostIP": "10.0.0.1",
        "phase": "Running",
        "podIP": f"10.{index // 65536 % 256}.{index // 256 % 256}.{index % 256}",
        "qosClass": "Guaranteed",
        "startTime": CREATED,
    }


def _app(index: int) -> str:
    return f"app-{index % 200:03d}"


def _image(index: int) -> str:
    return IMAGES[index % len(IMAGES)]


def pod(index: int, node_count: int) -> dict[str, Any]:
    """A running pod of a Deployment, as the API server prints it; every tenth is pending."""
    app = _app(index)
    spec, status = _spec(index, f"node-{index % node_count:05d}"), _running(index)
    if index % 10 == 0:
        del spec["nodeName"]
        status = {"phase": "Pending", "qosClass": "Guaranteed"}
    owner = {"apiVersion": "apps/v1", "blockOwnerDeletion": True, "controller": True, "kind": "ReplicaSet"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "annotations": {"prometheus.io/port": "8080", "prometheus.io/scrape": "true"},
            "creationTimestamp": CREATED,
            "generateName": f"{app}-6d4cf56db6-",
            "labels": {"app": app, "app.kubernetes.io/part-of": "shop", "pod-template-hash": "6d4cf56db6"},
            "name": f"{app}-6d4cf56db6-{index:07d}",
            "namespace": f"team-{index % 20:02d}",
            "ownerReferences": [{**owner, "name": f"{app}-6d4cf56db6", "uid": f"{index % 200:036d}"}],
            "resourceVersion": str(1000 + index),
            "uid": f"00000000-0000-4000-8000-{index:012d}",
        },
        "spec": spec,
        "status": status,
    }


def dump(pod_count: int, node_count: int, *, indent: bool = True) -> bytes:
    """The text of a List of nodes, then pods; indented by two as kubectl does (it prints four)."""
    items = [node(index) for index in range(node_count)]
    items += [pod(index, max(node_count, 1)) for index in range(pod_count)]
    document = {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 if indent else None)


if __name__ == "__main__":
    sys.stdout.buffer.write(dump(int(sys.argv[1]), int(sys.argv[2])))
