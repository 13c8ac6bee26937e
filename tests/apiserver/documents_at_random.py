"""Documents that nearly are what a schema says: right types mostly, wrong ones now and then, limits often."""

from __future__ import annotations

from random import Random
from typing import Any

from kcore_native.schema.node import Node

DEPTH_MAX = 9
WRONG: list[Any] = [
    None, True, 0, -1, 2**31, 2**63, 2**64, 10**30, 1.5, 1e308, "", "A b", "é", "\x00", "x" * 300, "\U0001f600", [], {},
    [None], [{}], {"": None}, {"a": {"b": [1]}}, [[[]]], "1e3", "-1Mi", "2020-13-01T00:00:00Z", "::1", "a/b/c",
]  # fmt: skip
TEXTS = [
    "a", "web-0", "default", "In", "Exists", "Always", "TCP", "Deployment", "apps/v1", "v1", "", "10.0.0.1", "10.0.0.0/24",
    "RollingUpdate", "*", "kubernetes.io/x", "Pod", "Node",
]  # fmt: skip
SCALARS: dict[str, list[Any]] = {
    "string": TEXTS,
    "integer": [0, 1, 2, 80, -1, 30000, 70000, 2**31],
    "number": [0, 1.5, -1],
    "boolean": [True, False],
    "int-or-string": [1, "50%", "http", -1, "x%", "150%"],
    "quantity": ["1", "100m", "1Gi", "-1", "1e3", "x", 0, 1.5, "9" * 22],
    "time": ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.123456Z", "x", ""],
    "bytes": ["YQ==", "x", "", 0],
}
KEYS = ["a", "b.c/d", "", "é", "cpu", "memory", "matchLabels", "x y"]


def document(node: Node, random: Random, depth: int = 0) -> Any:
    """A value for the node."""
    if depth > DEPTH_MAX or random.random() < 0.1:
        return random.choice(WRONG)
    if node.kind == "object":
        return _object(node, random, depth)
    if node.kind == "map" and node.items is not None:
        return {
            random.choice(KEYS): document(node.items, random, depth + 1) for _ in range(random.randrange(3))
        }
    if node.kind == "list" and node.items is not None:
        return [document(node.items, random, depth + 1) for _ in range(random.randrange(3))]
    return random.choice(SCALARS.get(node.kind, WRONG))


def _object(node: Node, random: Random, depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, inner in node.fields.items():
        likely = 0.85 if name in node.required else 0.25 if depth < 3 else 0.12
        if random.random() < (0.02 if name == "managedFields" else likely):
            made[name] = document(inner, random, depth + 1)
    if random.random() < 0.05:
        made[random.choice(["bogus", "", "spec", "é"])] = random.choice(WRONG)
    return made


def operations(random: Random) -> list[Any]:
    """A JSON patch."""
    paths = [
        "/spec",
        "",
        "/metadata/labels",
        "x",
        "/metadata/name",
        "/spec/containers/0",
        "/spec/-",
        "/a~1b",
        "/data/99999999999",
    ]
    kinds = ["add", "remove", "replace", "test", "copy", "move", "zz"]
    return [
        {"op": random.choice(kinds), "path": random.choice(paths), "from": "/metadata", "value": random.choice(WRONG)}
        for _ in range(random.randrange(1, 4))
    ]  # fmt: skip
