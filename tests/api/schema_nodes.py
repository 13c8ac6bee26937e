"""Schema nodes written by hand, and random ones with documents that fit them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Node:
    """The attributes of ``kcore_native.schema.Node`` that merging reads."""

    kind: str
    fields: dict[str, Node] = field(default_factory=dict)
    items: Node | None = None
    required: tuple[str, ...] = ()
    list_type: str = "atomic"
    list_keys: tuple[str, ...] = ()
    map_type: str = "granular"
    patch_merge_key: str = ""
    patch_strategies: tuple[str, ...] = ()
    type_name: str = "Thing"
    omitempty: frozenset[str] = frozenset()
    definition: str = ""
    defaults: dict[str, Any] = field(default_factory=dict)


STRING, NUMBER, BOOLEAN, ANY = Node("string"), Node("integer"), Node("boolean"), Node("any")


def struct(map_type: str = "granular", **fields: Node) -> Node:
    return Node("object", fields, map_type=map_type)


def a_map(items: Node, map_type: str = "granular") -> Node:
    return Node("map", items=items, map_type=map_type)


def a_list(items: Node) -> Node:
    return Node("list", items=items)


def a_set(items: Node = STRING) -> Node:
    return Node("list", items=items, list_type="set")


def keyed(items: Node, *keys: str) -> Node:
    return Node(
        "list",
        items=items,
        list_type="map",
        list_keys=keys,
        patch_merge_key=keys[0],
        patch_strategies=("merge",),
    )


def random_node(rng: random.Random, depth: int = 3) -> Node:
    """Any schema; the deeper the simpler."""
    if depth == 0:
        return rng.choice([STRING, NUMBER, BOOLEAN, ANY])
    choice = rng.randrange(8)
    if choice == 0:
        return a_map(random_node(rng, depth - 1), rng.choice(["granular", "granular", "atomic"]))
    if choice == 1:
        return a_list(random_node(rng, depth - 1))
    if choice == 2:
        return a_set(rng.choice([STRING, NUMBER]))
    if choice == 3:
        item = random_struct(rng, depth - 1)
        item.fields |= {"name": STRING, "port": NUMBER}
        if rng.random() < 0.3:
            item.defaults = {"port": 80}
        return keyed(item, *rng.choice([("name",), ("port", "name"), ("port",)]))
    if choice == 4:
        return ANY
    return random_struct(rng, depth - 1)


def random_struct(rng: random.Random, depth: int) -> Node:
    names = rng.sample(["a", "b", "c", "d", "spec", "list"], rng.randint(1, 4))
    return struct(
        rng.choice(["granular", "granular", "granular", "atomic"]),
        **{name: random_node(rng, depth) for name in names},
    )


def random_value(rng: random.Random, node: Node, repeated: bool = False, null: float = 0.05) -> Any:
    """A document of that schema; items of one key twice only where ``repeated``."""
    if rng.random() < null:
        return None
    if node.kind == "string":
        return rng.choice(["x", "y", "z", 'q"<', "é"])
    if node.kind == "integer":
        return rng.randint(0, 12)
    if node.kind == "boolean":
        return rng.random() < 0.5
    if node.kind == "any":
        return random_free(rng, 2)
    if node.kind == "object":
        return {
            name: random_value(rng, child, repeated, null)
            for name, child in node.fields.items()
            if rng.random() < 0.7
        }
    assert node.items is not None
    if node.kind == "map":
        return {name: random_value(rng, node.items, repeated, null) for name in "kmn" if rng.random() < 0.5}
    items = [random_value(rng, node.items, repeated, null) for _ in range(rng.randint(0, 3))]
    if node.list_type == "atomic":
        return items
    return associative(rng, node, items, repeated)


def associative(rng: random.Random, node: Node, items: list[Any], repeated: bool) -> list[Any]:
    items = [item for item in items if item is not None]
    if node.list_type == "map":
        for item in items:
            for key in node.list_keys:
                if rng.random() < 0.9 or key == node.list_keys[0]:
                    item[key] = rng.choice(["n1", "n2", "n3"]) if key == "name" else rng.choice([80, 81, 443])
                else:
                    item.pop(key, None)
    if repeated:
        return items
    assert node.items is not None
    seen, made = [], []
    for item in items:
        told = item
        if node.list_type == "map":
            told = [item.get(key, node.items.defaults.get(key)) for key in sorted(node.list_keys)]
        if told not in seen:
            seen.append(told)
            made.append(item)
    return made


def random_free(rng: random.Random, depth: int) -> Any:
    choice = rng.randrange(6 if depth else 4)
    if choice == 4:
        return {name: random_free(rng, depth - 1) for name in "pqr" if rng.random() < 0.6}
    if choice == 5:
        return [random_free(rng, depth - 1) for _ in range(rng.randint(0, 2))]
    return [rng.randint(0, 2), rng.choice("uv"), rng.random() < 0.5, 1.5][choice]
