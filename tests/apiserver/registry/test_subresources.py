"""Scale, bindings, evictions."""

from __future__ import annotations

import orjson

from tests.apiserver.registry.rig import START, Object, Rig, body, pod, refused, run


def deployment(replicas: int = 2) -> Object:
    """A Deployment."""
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {
            "replicas": replicas,
            "selector": {
                "matchLabels": {"b": "2", "a": "1"},
                "matchExpressions": [{"key": "c", "operator": "In", "values": ["y", "x"]}],
            },
        },
    }  # fmt: skip


def test_scale_is_read_updated_and_patched() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("deployments", deployment(), group="apps", field_manager="m")

        def op(**more: object) -> object:
            return rig.op("deployments", "d", group="apps", subresource="scale", **more)

        scale = body((await rig.registry.get(op())).body)
        assert scale == {
            "kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": {name: made["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")},
            "spec": {"replicas": 2}, "status": {"replicas": 0, "selector": "a=1,b=2,c in (x,y)"},
        }  # fmt: skip
        scale["spec"]["replicas"] = 5
        done = await rig.registry.update(op(field_manager="scaler"), scale)
        assert (done.code, body(done.body)["spec"]) == (200, {"replicas": 5})
        found = await rig.get("deployments", "d", group="apps")
        assert (found["spec"]["replicas"], found["metadata"]["generation"]) == (5, 2)
        owners = {each["manager"]: each for each in found["metadata"]["managedFields"]}
        assert owners["scaler"] == {
            "manager": "scaler", "operation": "Update", "apiVersion": "apps/v1", "subresource": "scale",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}},
        }  # fmt: skip
        assert "f:replicas" not in owners["m"]["fieldsV1"]["f:spec"]
        error = await refused(rig.registry.update(op(), scale))
        assert (error.code, error.reason) == (409, "Conflict")
        patch = orjson.dumps({"spec": {"replicas": 1}})
        done = await rig.registry.patch(op(), "application/merge-patch+json", patch)
        assert body(done.body)["spec"] == {"replicas": 1}
        patch = orjson.dumps({"spec": {"replicas": -1}})
        error = await refused(rig.registry.patch(op(), "application/merge-patch+json", patch))
        assert error.message == (
            'Scale.autoscaling "d" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
        )
        applied = b"apiVersion: autoscaling/v1\nkind: Scale\nmetadata: {name: d}\nspec: {replicas: 7}\n"
        asked = op(field_manager="applier", force=True)
        done = await rig.registry.patch(asked, "application/apply-patch+yaml", applied)
        assert body(done.body)["spec"] == {"replicas": 7}
        found = await rig.get("deployments", "d", group="apps")
        assert ("applier", "Apply") in {
            (each["manager"], each["operation"]) for each in found["metadata"]["managedFields"]
        }

    run(test)


def binding(node: str = "n1", **metadata: object) -> Object:
    """A Binding of the pod ``web``."""
    return {
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web", **metadata},
        "target": {"kind": "Node", "name": node},
    }  # fmt: skip


def test_a_pod_is_bound_once() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("pods", pod())
        op = rig.op("pods", "web", subresource="binding")
        done = await rig.registry.create(op, binding(annotations={"a": "b"}))
        assert (done.code, body(done.body)["status"]) == (201, "Success")
        found = await rig.get("pods", "web")
        assert found["spec"]["nodeName"] == "n1"
        assert found["metadata"]["annotations"] == {"a": "b"}
        assert found["status"]["conditions"] == [
            {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": START}
        ]
        error = await refused(
            rig.registry.create(rig.op("pods", "web", subresource="binding"), binding("n2"))
        )
        assert (error.code, error.reason) == (409, "Conflict")
        assert error.message == (
            'Operation cannot be fulfilled on pods/binding "web": pod web is already assigned to node "n1"'
        )

    run(test)


def test_bindings_that_do_not_fit() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("pods", pod(schedulingGates=[{"name": "g"}]))

        async def bound(sent: Object, name: str = "web") -> str:
            op = rig.op("pods", name, subresource="binding")
            return (await refused(rig.registry.create(op, sent))).message

        assert await bound(binding()) == (
            'Operation cannot be fulfilled on pods/binding "web": pod web has non-empty .spec.schedulingGates'
        )
        assert await bound(binding(), "other") == "name in URL does not match name in Binding object"
        assert await bound(binding("")) == "target.name: Required value"
        assert "Precondition failed: UID in precondition: x" in await bound(binding(uid="x"))
        error = await refused(
            rig.registry.create(rig.op("bindings"), binding() | {"metadata": {"name": "no"}})
        )
        assert (error.code, error.message) == (404, 'pods "no" not found')

    run(test)


def budget(**status: object) -> Object:
    """A PodDisruptionBudget of all pods with ``app=web``."""
    return {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}}, "status": status,
    }  # fmt: skip


async def set_up(rig: Rig, phase: str = "Running", **status: object) -> None:
    """A running pod and a budget in that state."""
    sent = pod(nodeName="n", terminationGracePeriodSeconds=30)
    sent["metadata"]["labels"] = {"app": "web"}
    sent = await rig.create("pods", sent)
    ready = {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}]}
    await rig.registry.update(rig.op("pods", "web", subresource="status"), {**sent, "status": ready})
    await rig.create("poddisruptionbudgets", budget(), group="policy")
    op = rig.op("poddisruptionbudgets", "b", group="policy", subresource="status")
    await rig.registry.update(op, budget(observedGeneration=1, **status))


async def evicted(rig: Rig) -> object:
    """The result of an eviction of the pod ``web``."""
    sent = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web"}}
    return await rig.registry.create(rig.op("pods", "web", subresource="eviction"), sent)


def test_an_eviction_is_counted_and_refused_when_none_is_left() -> None:
    async def test(rig: Rig) -> None:
        await set_up(rig, disruptionsAllowed=1, currentHealthy=2, desiredHealthy=1)
        done = await evicted(rig)
        assert done.code == 201  # type: ignore[attr-defined]
        found = await rig.get("pods", "web")
        assert found["metadata"]["deletionGracePeriodSeconds"] == 30
        assert found["status"]["conditions"][1]["reason"] == "EvictionByEvictionAPI"
        counted = (await rig.get("poddisruptionbudgets", "b", group="policy"))["status"]
        assert counted["disruptionsAllowed"] == 0
        assert counted["disruptedPods"] == {"web": START}
        assert counted["conditions"][0]["reason"] == "InsufficientPods"

    run(test)


def test_an_eviction_that_the_budget_forbids() -> None:
    async def test(rig: Rig) -> None:
        await set_up(rig, disruptionsAllowed=0, currentHealthy=1, desiredHealthy=1)
        error = await refused(evicted(rig))  # type: ignore[arg-type]
        assert (error.code, error.reason) == (429, "TooManyRequests")
        assert error.message == "Cannot evict pod as it would violate the pod's disruption budget."
        assert error.details == {
            "causes": [
                {
                    "reason": "DisruptionBudget",
                    "message": "The disruption budget b needs 1 healthy pods and has 1 currently",
                }
            ]
        }
        assert "deletionTimestamp" not in (await rig.get("pods", "web"))["metadata"]

    run(test)


def test_a_pod_that_has_ended_is_evicted_whatever_the_budget() -> None:
    async def test(rig: Rig) -> None:
        await set_up(rig, "Succeeded", disruptionsAllowed=0)
        assert (await evicted(rig)).code == 201  # type: ignore[attr-defined]

    run(test)
