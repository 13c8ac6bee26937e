"""Templates of pods are hashed as Go hashes them: recorded answers, and any template against Go itself."""

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kcore.api.go_printed import printed
from kcore.api.protobuf.table import Field, messages
from kcore.controllers.template_hash import template_hash
from tests.apiserver.goclients.programs import HERE, built

Object = dict[str, Any]
TEMPLATE = "core.v1.PodTemplateSpec"
TEMPLATES = 3_000
DEPTH_MAX = 7
STRINGS = ["", "a", "nginx:1.27", "two words", "ä€𝄞", 'a"b\\c', "[x]", "{y}:z"]
QUANTITIES = [
    "0", "1", "2", "10", "100", "100m", "1500m", "1k", "12k", "1M", "5G", "3T", "7E", "128Mi", "1Gi", "3Ki", "1536Mi", "9Gi",
    "100Gi", "1000Gi", "100000Gi", "5Ti", "100Ti", "3Pi", "7Ei", "1e3", "12e6", "1n", "250u", "-5", "-100m", "123456789",
    "1234567890123456789", "12345678901234567890123", "1.5", "0.1", "1.5Gi", "0.5", "2000m", "1000", "1000Mi", "0.0000000001",
]  # fmt: skip
INTEGERS = [0, 1, -1, 30, 8080, 2**31 - 1]
WEB: Object = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "containers": [
            {
                "name": "nginx", "image": "nginx", "resources": {}, "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File", "imagePullPolicy": "Always",
            }
        ],
        "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst", "securityContext": {},
        "schedulerName": "default-scheduler",
    },
}  # fmt: skip
FULL: Object = {
    "metadata": {"labels": {"app": "web", "a": "b"}, "annotations": {"x": "y"}},
    "spec": {
        **WEB["spec"],
        "volumes": [
            {"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "c", "configMap": {"name": "c", "defaultMode": 420}},
        ],
        "containers": [
            {
                **WEB["spec"]["containers"][0],
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "3Pi"}},
                "readinessProbe": {
                    "httpGet": {"path": "/", "port": "http", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
                    "successThreshold": 1, "failureThreshold": 3,
                },
                "env": [{"name": "N", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}}}],
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "capabilities": {"drop": ["ALL"]}},
            }
        ],
        "tolerations": [{"operator": "Exists", "tolerationSeconds": 5}],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": "web"}},
            }
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("template", "hashes"),
    [
        (WEB, ["7887448d46", "6c9f76dc4b", "75b878dc4f"]), (FULL, ["7cd88d8499", "6b4c4887f", "65cdfbf6fb"]),
        ({}, ["85748b7f68", "777dfcd544", "5cc6759bbc"]),
    ],
    ids=["kubectl create deployment", "much", "nothing"],
)  # fmt: skip
def test_recorded_hashes(template: Object, hashes: list[str]) -> None:
    # by the program below
    assert [template_hash(template, count) for count in (None, 0, 7)] == hashes


def anything(chance: random.Random, field: Field, depth: int) -> Any:
    """A value of the field's type."""

    def one() -> Any:
        if field.type in messages():
            return struct(chance, field.type, depth + 1)
        if field.type == "Quantity":
            return chance.choice(QUANTITIES)
        if field.type == "IntOrString":
            return chance.choice([80, 0, "http", ""])
        if field.type == "bool":
            return chance.random() < 0.5
        return chance.choice(INTEGERS if field.type.startswith("int") else STRINGS)

    if field.repeated:
        return [one() for _ in range(chance.randrange(3))]
    if field.map:
        return {key: one() for key in chance.sample(STRINGS, chance.randrange(4))}
    return one()


def struct(chance: random.Random, message: str, depth: int = 0) -> Object:
    """An object of the message; the deeper, the less is in it."""
    made: Object = {}
    for field in messages()[message].fields:
        if field.inline:
            made |= struct(chance, field.type, depth)
        elif field.type == "Time" or field.type.endswith("ManagedFieldsEntry"):
            continue
        elif depth < DEPTH_MAX and chance.random() < (0.9 if depth < 2 else 0.25):
            made[field.name] = anything(chance, field, depth)
    return made


@pytest.mark.slow
def test_against_go(tmp_path: Path) -> None:
    program = built(HERE, "./printed", tmp_path)
    chance = random.Random(36)
    templates = [{}, WEB, FULL, *(struct(chance, TEMPLATE) for _ in range(TEMPLATES))]
    lines = "".join(json.dumps(each) + "\n" for each in templates)
    run = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    for template, line in zip(templates, run.stdout.splitlines(), strict=True):
        answer = json.loads(line)
        assert printed(TEMPLATE, template) == answer["text"]
        assert [template_hash(template, count) for count in (None, 0, 7)] == answer["hashes"], template
