"""An operator in kopf's framework: handlers and timers of built-in kinds, finalizers, progress, status and events."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("kopf", reason="kopf is not installed: pip install kopf")

import kopf

from kcore import ControlPlane

WAIT_SECONDS_MAX = 30.0
FINALIZER = "kopf.zalando.org/KopfFinalizerMarker"


def until(met: Callable[[], Any]) -> Any:
    """What ``met`` returns as soon as that is true."""
    ends = time.monotonic() + WAIT_SECONDS_MAX
    while not (found := met()):
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)
    return found


class Operator:
    """An operator in a thread and loop of its own, watching one namespace."""

    def __init__(self, plane: ControlPlane, namespace: str, registry: kopf.OperatorRegistry) -> None:
        cluster = plane.kubeconfig_dict["clusters"][0]["cluster"]
        user = plane.kubeconfig_dict["users"][0]["user"]

        @kopf.on.login(registry=registry)
        def login(**_: Any) -> kopf.ConnectionInfo:
            return kopf.ConnectionInfo(
                server=cluster["server"],
                ca_data=cluster["certificate-authority-data"].encode(),
                certificate_data=user["client-certificate-data"].encode(),
                private_key_data=user["client-key-data"].encode(),
            )

        self._executor = concurrent.futures.ThreadPoolExecutor(1)
        self._settings = kopf.OperatorSettings(execution=kopf.OperatorSettings().execution)
        self._settings.execution.executor = self._executor
        self._settings.queueing.exit_timeout = 0.5
        self._settings.queueing.idle_timeout = 0.5
        self._settings.process.ultimate_exiting_timeout = 10
        self._registry = registry
        self._namespace = namespace
        self._stop, self._ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="operator")

    def _run(self) -> None:
        asyncio.run(
            kopf.operator(
                registry=self._registry, settings=self._settings, namespaces=[self._namespace], standalone=True,
                stop_flag=self._stop, ready_flag=self._ready,
            )
        )  # fmt: skip

    def __enter__(self) -> Operator:
        self._thread.start()
        assert self._ready.wait(WAIT_SECONDS_MAX)
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._thread.join(WAIT_SECONDS_MAX)
        self._executor.shutdown()
        assert not self._thread.is_alive()


@pytest.fixture
def registry() -> kopf.OperatorRegistry:
    return kopf.OperatorRegistry()


def config_map(name: str, namespace: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": {"watched": "yes"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def test_a_life_of_config_maps(plane: ControlPlane, namespace: str, registry: kopf.OperatorRegistry) -> None:
    seen: list[str] = []
    watched = {"labels": {"watched": "yes"}, "registry": registry}

    @kopf.on.create("configmaps", **watched)
    async def created(name: str, body: Any, patch: Any, retry: int, **_: Any) -> None:
        if retry == 0:
            raise kopf.TemporaryError("once more", delay=0.1)
        seen.append(f"create {name}")
        patch.metadata.annotations["made"] = "yes"
        kopf.event(body, type="Normal", reason="Made", message="It is there")

    @kopf.on.update("configmaps", field="data", **watched)
    def updated(name: str, old: Any, new: Any, **_: Any) -> None:
        seen.append(f"update {name} {old} {new}")

    @kopf.on.delete("configmaps", **watched)
    def deleted(name: str, **_: Any) -> None:
        seen.append(f"delete {name}")

    client = plane.client
    client.create(config_map("before", namespace, a="1"))
    with Operator(plane, namespace, registry):
        until(lambda: "create before" in seen)
        made = until(lambda: _annotated(client.get("configmaps", "before", namespace), "made"))
        assert made["metadata"]["finalizers"] == [FINALIZER]
        assert "kopf.zalando.org/last-handled-configuration" in made["metadata"]["annotations"]
        client.patch("configmaps", "before", {"data": {"a": "2"}}, namespace)
        until(lambda: "update before {'a': '1'} {'a': '2'}" in seen)
        events = until(lambda: client.list("events", namespace)["items"])
        made_events = until(
            lambda: [each for each in client.list("events", namespace)["items"] if each["reason"] == "Made"]
        )
        assert made_events[0]["involvedObject"]["name"] == "before"
        assert events
        client.delete("configmaps", "before", namespace)
        until(lambda: "delete before" in seen)
        until(lambda: _gone(client, "configmaps", "before", namespace))
    assert seen.count("create before") == 1


def test_timers_daemons_and_status_of_pods(
    plane: ControlPlane, namespace: str, registry: kopf.OperatorRegistry
) -> None:
    ticks: list[str] = []
    raw: list[str] = []
    ended: list[str] = []

    @kopf.timer("pods", interval=0.2, registry=registry)
    async def tick(name: str, patch: Any, **_: Any) -> None:
        ticks.append(name)
        if len(ticks) == 2:
            patch.status["message"] = f"ticked {len(ticks)}"

    @kopf.daemon("pods", registry=registry, cancellation_timeout=5)
    async def daemon(name: str, stopped: Any, **_: Any) -> None:
        while not stopped:
            await stopped.wait(0.1)
        ended.append(name)

    @kopf.on.event("pods", registry=registry)
    async def event(type: str | None, **_: Any) -> None:  # noqa: A002 - kopf's name
        raw.append(str(type))

    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }  # fmt: skip
    client = plane.client
    with Operator(plane, namespace, registry):
        client.create(pod)
        until(lambda: len(ticks) >= 3)
        until(lambda: client.get("pods", "p", namespace)["status"].get("message") == "ticked 2")
        assert client.get("pods", "p", namespace)["metadata"]["finalizers"] == [FINALIZER]
        client.delete("pods", "p", namespace, grace_period_seconds=0)
        until(lambda: _gone(client, "pods", "p", namespace))
        until(lambda: ended == ["p"])
    assert raw[0] in ("ADDED", "None")  # None: it was in the list that the watch began from
    assert {"MODIFIED", "DELETED"} <= set(raw)


def _annotated(obj: dict[str, Any], name: str) -> dict[str, Any] | None:
    return obj if name in obj["metadata"].get("annotations", {}) else None


def _gone(client: Any, resource: str, name: str, namespace: str) -> bool:
    found = client.list(resource, namespace, field_selector=f"metadata.name={name}")
    return not found["items"]
