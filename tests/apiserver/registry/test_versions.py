"""The autoscaler of both versions, by the strategies that are shipped."""

from __future__ import annotations

import orjson

from kcore.api.resources.catalog import builtin
from kcore.api.schema.decoding import decode_json
from tests.apiserver.registry.rig import Rig, body, run

SENT = {
    "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
    "spec": {
        "minReplicas": 1, "maxReplicas": 5, "targetCPUUtilizationPercentage": 60,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
    },
}  # fmt: skip


def test_an_autoscaler_is_stored_in_one_version_and_served_in_both() -> None:
    async def test(rig: Rig) -> None:
        catalog = builtin()
        rig.core.catalog = catalog
        op = rig.op("horizontalpodautoscalers", group="autoscaling", field_manager="m")
        obj, _ = decode_json(orjson.dumps(SENT), catalog.node(op.row))
        made = body((await rig.registry.create(op, obj)).body)
        assert (made["apiVersion"], made["spec"]["targetCPUUtilizationPercentage"]) == ("autoscaling/v1", 60)
        assert made["metadata"]["managedFields"][0]["apiVersion"] == "autoscaling/v1"
        assert (
            "f:targetCPUUtilizationPercentage" in made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]
        )
        stored = await rig.kv.get(b"/registry/horizontalpodautoscalers/default/h")
        assert stored is not None
        assert stored.value.startswith(b'{"apiVersion":"autoscaling/v2"')
        second = await rig.get("horizontalpodautoscalers", "h", group="autoscaling", version="v2")
        assert second["apiVersion"] == "autoscaling/v2"
        assert second["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 60
        op = rig.op("horizontalpodautoscalers", "h", group="autoscaling", field_manager="p")
        patch = b'{"spec":{"targetCPUUtilizationPercentage":70}}'
        done = body((await rig.registry.patch(op, "application/merge-patch+json", patch)).body)
        assert done["spec"]["targetCPUUtilizationPercentage"] == 70
        assert op.warnings == []
        done["spec"]["maxReplicas"] = 9
        op = rig.op("horizontalpodautoscalers", "h", group="autoscaling", field_manager="u")
        done = body((await rig.registry.update(op, done)).body)
        assert done["spec"]["maxReplicas"] == 9
        owners = {each["manager"]: each["fieldsV1"] for each in done["metadata"]["managedFields"]}
        assert owners["p"] == {"f:spec": {"f:targetCPUUtilizationPercentage": {}}}
        assert owners["u"] == {"f:spec": {"f:maxReplicas": {}}}

    run(test)
