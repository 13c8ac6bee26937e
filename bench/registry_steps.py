"""What a create of a pod costs in the registry, step by step, in CPU time.

``python -m bench.registry_steps [--profile]`` prints the table. The store keeps nothing and admission has no plugins;
a loop that decodes a JSON document stands beside it, to tell a slow machine from slow code.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import sys
import time
from collections.abc import Callable
from typing import Any

import orjson

from kcore.api.apply import managed_fields
from kcore.api.resources.catalog import builtin
from kcore.api.schema.decoding import decode_json
from kcore.api.strategy import Context
from kcore.apiserver.admission import Admission
from kcore.apiserver.cacher import Cacher
from kcore.apiserver.operation import Operation, Options
from kcore.apiserver.registry.stored_form import encode, splice
from kcore.apiserver.registry_of import make_registry
from kcore.apiserver.storage import Storage
from kcore.store.embedded import Embedded

WARM_UP = 300
CREATES = 3_000
AT_ONCE = 100
STEPS = 1_500

PROBES = {
    "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10},
    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
}
POD: dict[str, Any] = {
    "apiVersion": "v1", "kind": "Pod",
    "metadata": {
        "name": "web-0", "namespace": "default",
        "labels": {"app": "web", "tier": "front", "pod-template-hash": "5d4f8c7b9"},
        "annotations": {"example.com/checksum": "d2b1f3e4c5a6978812345", "example.com/note": "x" * 200},
    },
    "spec": {
        "containers": [
            {
                "name": "main", "image": "registry.example.com/team/web:1.2.3", "command": ["/bin/web"],
                "args": ["--port=8080", "--verbose"],
                "env": [
                    {"name": "A", "value": "1"}, {"name": "B", "value": "2"},
                    {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                ],
                "ports": [{"name": "http", "containerPort": 8080}],
                "resources": {
                    "requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "512Mi"},
                },
                "volumeMounts": [{"name": "config", "mountPath": "/etc/config"}],
                **PROBES,
            },
            {
                "name": "side", "image": "registry.example.com/team/side:2",
                "resources": {"requests": {"cpu": "50m"}},
            },
        ],
        "volumes": [{"name": "config", "configMap": {"name": "web-config"}}],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [
            {
                "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": 300,
            }
        ],
        "serviceAccountName": "default", "terminationGracePeriodSeconds": 30,
    },
}  # fmt: skip
STARTED = "2026-01-02T03:04:05Z"


def condition(kind: str, status: str = "True", **more: str) -> dict[str, Any]:
    """A condition as a kubelet writes it."""
    return {"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": STARTED, **more}


def container_status(name: str, image: str) -> dict[str, Any]:
    """A container that runs."""
    return {
        "name": name, "image": image, "imageID": f"{image}@sha256:{'0' * 64}", "containerID": f"containerd://{'1' * 64}",
        "ready": True, "restartCount": 0, "started": True, "state": {"running": {"startedAt": STARTED}}, "lastState": {},
    }  # fmt: skip


def running(address: str) -> dict[str, Any]:
    """The status of a pod that runs."""
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    return {
        "phase": "Running", "startTime": STARTED, "hostIP": "10.0.0.1", "hostIPs": [{"ip": "10.0.0.1"}],
        "podIP": address, "podIPs": [{"ip": address}], "conditions": [*map(condition, kinds)],
        "containerStatuses": [container_status(each["name"], each["image"]) for each in POD["spec"]["containers"]],
        "qosClass": "Burstable",
    }  # fmt: skip


def body(number: int, *, distinct: bool = False) -> bytes:
    """A request: of one template, which differs in the name; or ``distinct``, with a spec and labels of its own."""
    metadata, container = POD["metadata"], POD["spec"]["containers"][0]
    labels, env = metadata["labels"], container["env"]
    metadata["name"] = f"{'own' if distinct else 'web'}-{number}"
    if not distinct:
        return orjson.dumps(POD)
    metadata["labels"] = {**labels, "run": f"r-{number}"}
    container["env"] = [*env, {"name": "RUN", "value": str(number)}]
    made = orjson.dumps(POD)
    metadata["labels"], container["env"] = labels, env
    return made


def bodies(count: int) -> list[bytes]:
    """Requests of one template."""
    return [body(number) for number in range(count)]


def show(name: str, seconds: float, count: int) -> None:
    """One line of the table."""
    print(f"{name:28}{seconds / count * 1e6:9.1f} us")


def steps(core: Any, row: Any, sent: list[bytes]) -> None:
    """Each step by itself, over the same pods."""
    kind = core.kind(row)
    strategy, node = kind.strategy, kind.node
    context = Context(now=core.now(), namespace="default")
    spent: dict[str, float] = {}

    def lap(name: str, work: Callable[..., Any], *given: Any, **more: Any) -> Any:
        start = time.process_time()
        made = work(*given, **more)
        spent[name] = spent.get(name, 0.0) + time.process_time() - start
        return made

    for body in sent[:STEPS]:
        lap("(orjson.loads alone)", orjson.loads, body)
        obj, _ = lap("decode and clean", decode_json, body, node)
        lap("default", strategy.default, obj)
        owned = {
            "manager": "bench", "operation": "Update", "api_version": "v1", "subresource": "", "now": context.now,
            "node": node, "reset_fields": strategy.reset_fields,
        }  # fmt: skip
        lap("managed fields", managed_fields.update, None, obj, **owned)
        obj["metadata"] |= {"uid": "x", "creationTimestamp": context.now}
        lap("prepare", strategy.prepare_for_create, obj, context)
        lap("validate", strategy.validate, obj, context)
        lap("warnings", strategy.warnings, obj, context)
        stored = lap("encode", encode, obj, "v1", "Pod", node)
        lap("splice", splice, stored, 5)
    for name, seconds in spent.items():
        show(name, seconds, STEPS)
    print(f"request {len(sent[0])} bytes, stored {len(stored)} bytes")


async def main() -> None:
    """See the module."""
    kv = await Embedded.open(None)
    storage, catalog = Storage(kv), builtin()
    cacher = Cacher(storage)
    row = catalog.row("", "v1", "pods")
    assert row is not None
    await cacher.start(row)
    registry = make_registry(storage, cacher, catalog, Admission(()))
    node = catalog.node(row)
    sent = bodies(WARM_UP + 4 * CREATES)
    done = 0

    async def create(count: int, at_once: int) -> float:
        nonlocal done

        async def one(body: bytes) -> None:
            obj, _ = decode_json(body, node)
            op = Operation(row, namespace="default", options=Options(user_agent="bench/1"))
            await registry.create(op, obj)

        start = time.process_time()
        for first in range(done, done + count, at_once):
            if at_once == 1:
                await one(sent[first])
            else:
                await asyncio.gather(*map(one, sent[first : first + at_once]))
        done += count
        return time.process_time() - start

    await create(WARM_UP, 1)
    show("create, one by one", await create(CREATES, 1), CREATES)
    show(f"create, {AT_ONCE} at once", await create(CREATES, AT_ONCE), CREATES)
    value = orjson.dumps(POD)
    start = time.process_time()
    for number in range(CREATES):
        await storage.create(row, "bare", str(number), value)
    show("the store alone, one by one", time.process_time() - start, CREATES)
    steps(registry.core, row, sent)
    if "--profile" in sys.argv:
        profile = cProfile.Profile()
        profile.enable()
        await create(CREATES, AT_ONCE)
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
    await cacher.close()
    await kv.close()


if __name__ == "__main__":
    asyncio.run(main())
