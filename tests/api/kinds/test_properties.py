"""Whatever stands in the fields of an object, its strategy has an answer, and its defaults are final."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kcore.api.kinds import STRATEGIES
from tests.api.kinds.samples import CONTEXT, GOOD, Object, container, pod, updated_from, workload

STRINGS = (
    "",
    "a",
    "A.b",
    "-",
    "..",
    "/",
    "web",
    "Always",
    "In",
    "\u00e9",
    "x" * 70,
    "10%",
    "1Gi",
    "2026-01-01T00:00:00Z",
)
NUMBERS = (-1, 0, 1, 2, 300, 70_000, 1 << 31)
QUANTITIES = ("0", "1", "-1", "500m", "1Gi", "1.5", "100n")

RICH = [
    *GOOD.values(),
    pod(
        initContainers=[container(name="i", restartPolicy="Always", resizePolicy=[{"resourceName": "cpu"}])],
        ephemeralContainers=[{"name": "e", "image": "a", "targetContainerName": "c"}],
        containers=[
            container(
                ports=[{"containerPort": 80, "hostPort": 80, "name": "http"}],
                env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                envFrom=[{"prefix": "P", "configMapRef": {"name": "m"}}],
                resources={"limits": {"cpu": "1", "hugepages-2Mi": "2Mi", "a.com/b": "1"}, "claims": [{"name": "r"}]},
                livenessProbe={"httpGet": {"port": "http", "httpHeaders": [{"name": "a", "value": "b"}]}},
                lifecycle={"preStop": {"sleep": {"seconds": 3}}, "stopSignal": "SIGTERM"},
                volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "a", "mountPropagation": "None"}],
                volumeDevices=[{"name": "p", "devicePath": "/p"}],
                securityContext={"privileged": True, "procMount": "Unmasked", "capabilities": {"add": ["A"]}},
            )
        ],
        volumes=[
            {"name": "v", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "p", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}},
            {"name": "d", "downwardAPI": {"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.labels['a']"}}]}},
            {"name": "j", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"secret": {"name": "s"}}]}},
            {"name": "s", "secret": {"secretName": "s", "items": [{"key": "a", "path": "b", "mode": 511}]}},
            {"name": "i", "iscsi": {"targetPortal": "a", "iqn": "iqn.2015-02.example.com:test", "lun": 0}},
        ],
        resourceClaims=[{"name": "r", "resourceClaimName": "r"}],
        tolerations=[{"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute", "tolerationSeconds": 3}],
        affinity={
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]
                },
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {"matchFields": []}}],
            },
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "podAffinityTerm": {"topologyKey": "z", "labelSelector": {}, "matchLabelKeys": ["a"]}}
                ]
            },
        },
        topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}],
        securityContext={"sysctls": [{"name": "net.core.somaxconn", "value": "1"}], "supplementalGroups": [1]},
        dnsConfig={"nameservers": ["1.2.3.4"], "searches": ["a.b"], "options": [{"name": "a"}]},
        hostAliases=[{"ip": "1.2.3.4", "hostnames": ["a"]}],
        resources={"limits": {"cpu": "2"}},
        os={"name": "linux"},
        hostNetwork=True,
        schedulingGates=[{"name": "a"}],
    ),
    workload("Deployment", strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "10%"}}),
]  # fmt: skip


def spoil(value: Any, chance: random.Random, rate: float, quantity: bool = False) -> Any:
    """The value with some of its leaves replaced by others of the same type, some of its parts left out."""
    if isinstance(value, dict):
        made = {}
        for key, each in value.items():
            if chance.random() < rate / 3 and key not in ("metadata", "spec", "template", "jobTemplate"):
                continue
            amounts = key in ("limits", "requests", "overhead", "sizeLimit", "averageValue", "storage")
            made[key] = spoil(each, chance, rate, amounts or (quantity and key != "claims"))
        return made
    if isinstance(value, list):
        kept = [spoil(each, chance, rate) for each in value if chance.random() > rate / 3]
        return [*kept, *kept[:1]] if chance.random() < rate / 3 else kept
    if chance.random() > rate:
        return value
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return chance.choice(NUMBERS)
    return chance.choice(QUANTITIES if quantity else STRINGS)


def spoiled(given: Object, chance: random.Random, rate: float) -> Object:
    made: Object = spoil(given, chance, rate)
    return made | {key: given[key] for key in ("apiVersion", "kind")}


@pytest.mark.parametrize(
    "given_object", RICH, ids=[f"{index}-{each['kind']}" for index, each in enumerate(RICH)]
)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 32), rate=st.sampled_from([0.02, 0.1, 0.4]))
def test_any_object_is_answered(given_object: Object, seed: int, rate: float) -> None:
    chance = random.Random(seed)
    made = spoiled(given_object, chance, rate)
    made["metadata"] |= {"name": "web", "namespace": "default"}
    strategy = STRATEGIES[made["apiVersion"].rpartition("/")[0], made["kind"]]
    strategy.default(made)
    again = copy.deepcopy(made)
    strategy.default(again)
    assert again == made, "defaulting twice is defaulting once"
    strategy.prepare_for_create(made, CONTEXT)
    for error in strategy.validate(made, CONTEXT):
        assert error.text
    assert all(isinstance(warning, str) for warning in strategy.warnings(made, CONTEXT))
    made["metadata"]["resourceVersion"] = "1"
    for way in ("", *strategy.subresources):

        def change(obj: Object) -> None:
            kept = obj["metadata"]
            obj |= spoil(obj, chance, rate) | {key: obj[key] for key in ("apiVersion", "kind")}
            obj["metadata"] = kept

        new, _ = updated_from(made, change, way)
        assert all(isinstance(each, str) for each in strategy.warnings_on_update(new, made, CONTEXT))
