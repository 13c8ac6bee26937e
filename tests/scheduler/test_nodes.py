"""The node table: slots, columns made late, amounts, images, names."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from kcore.api.errors import InputError
from kcore.api.objects import Node
from kcore.scheduler.codes import QUANTITY_MAX, RESOURCES_MAX
from kcore.scheduler.nodes import NodeTable
from tests.scheduler.cluster_objects import ZONE, node_dict, node_of


def table(*names: str) -> NodeTable:
    found = NodeTable()
    for name in names:
        found.add(node_of(name))
    return found


def test_amounts_are_milli_cpu_bytes_and_counts() -> None:
    nodes = NodeTable()
    slot = nodes.add(
        node_of(
            "a", "1.5", "1Gi", "7", **{"nvidia.com/gpu": "4", "ephemeral-storage": "1k", "requests.x/y": "3"}
        )
    )
    of = {name: int(nodes.allocatable[row, slot]) for row, name in enumerate(nodes.resources.values)}
    assert of == {"cpu": 1500, "memory": 1 << 30, "ephemeral-storage": 1000, "nvidia.com/gpu": 4}
    assert nodes.pods_allowed[slot] == 7


def test_capacity_stands_in_for_a_missing_allocatable_but_not_for_an_empty_one() -> None:
    given = {"metadata": {"name": "a"}, "status": {"capacity": {"cpu": "2"}}}
    nodes = NodeTable()
    assert nodes.allocatable[0, nodes.add(msgspec.convert(given, Node))] == 2000
    given = {"metadata": {"name": "b"}, "status": {"capacity": {"cpu": "2"}, "allocatable": {}}}
    assert nodes.allocatable[0, nodes.add(msgspec.convert(given, Node))] == 0


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"cpu": "much"}, "status.allocatable.cpu", "is not a quantity"),
        ({"memory": "-1"}, "status.allocatable.memory", "is negative"),
        ({"memory": str(QUANTITY_MAX + 1)}, "status.allocatable.memory", f"at most {QUANTITY_MAX}"),
        ({"pods": str(QUANTITY_MAX + 1)}, "status.allocatable.pods", f"at most {QUANTITY_MAX}"),
        ({"cpu": "1E30"}, "status.allocatable.cpu", "more than a node can have"),
    ],
)
def test_impossible_amounts_are_refused_and_leave_the_table_unchanged(
    fields: dict[str, str], field: str, words: str
) -> None:
    nodes = table("a")
    changed = nodes.changed
    with pytest.raises(InputError, match=words) as caught:
        nodes.add(node_of("b", **fields))
    assert caught.value.field == field
    assert (list(nodes.index), len(nodes.nodes), nodes.changed) == (["a"], 1, changed)
    with pytest.raises(InputError):
        nodes.update(node_of("a", **fields))
    assert nodes.allocatable[0, 0] == 4000


def test_the_largest_amount_is_taken() -> None:
    nodes = NodeTable()
    nodes.add(node_of("a", memory=str(QUANTITY_MAX)))
    assert 100 * int(nodes.allocatable[1, 0]) <= 2**63 - 1


@pytest.mark.parametrize(("name", "words"), [("", "has no name"), ("a", "exists already")])
def test_names_are_there_and_unique(name: str, words: str) -> None:
    nodes = table("a")
    with pytest.raises(InputError, match=words) as caught:
        nodes.add(node_of(name))
    assert caught.value.field == "metadata.name"


def test_a_node_that_is_not_there_is_neither_found_nor_removed_nor_updated() -> None:
    nodes = table("a")
    for ask in (lambda: nodes.find("b"), lambda: nodes.remove("b"), lambda: nodes.update(node_of("b"))):
        with pytest.raises(InputError, match="no node is named 'b'"):
            ask()


def test_a_removed_nodes_slot_is_dead_until_the_next_new_node_takes_it() -> None:
    nodes = table("a", "b", "c")
    generation = int(nodes.generation[1])
    assert nodes.remove("b") == 1
    assert nodes.alive[:3].tolist() == [1, 0, 1]
    assert nodes.name(1) == ""
    assert nodes.alive_count == 2
    assert nodes.allocatable[:, 1].tolist() == [0, 0, 0]
    assert nodes.add(node_of("d", "1")) == 1
    assert nodes.add(node_of("e")) == 3
    assert nodes.alive[:4].tolist() == [1, 1, 1, 1]
    assert nodes.generation[1] == generation + 2
    assert nodes.name(1) == "d"


def test_every_change_of_a_node_raises_its_generation_alone() -> None:
    nodes = table("a", "b")
    before = nodes.generation.copy()
    changed = nodes.changed
    nodes.update(node_of("b", "9"))
    assert (nodes.generation - before)[:2].tolist() == [0, 1]
    assert nodes.changed > changed


def test_the_table_grows_and_keeps_its_columns() -> None:
    nodes = NodeTable()
    nodes.label_row("disk")
    nodes.topology_row(ZONE)
    for number in range(100):
        nodes.add(
            node_of(f"n{number}", str(number), labels={"disk": f"d{number % 3}", ZONE: f"z{number % 2}"})
        )
    assert nodes.capacity >= 100
    assert nodes.slots[0] == 100
    assert nodes.allocatable[0, :100].tolist() == [1000 * number for number in range(100)]
    disks = [nodes.label_values.values[value] for value in nodes.label[nodes.label_row("disk"), :100]]
    assert disks == [f"d{number % 3}" for number in range(100)]
    assert nodes.domain[0, :100].tolist() == [0, 1] * 50
    assert (nodes.label[:, 100:] == -1).all()
    assert (nodes.domain[:, 100:] == -1).all()
    nodes.reserve(500)
    assert nodes.capacity == 500
    assert nodes.allocatable[0, 99] == 99_000


def test_a_label_row_made_late_equals_one_made_early() -> None:
    early, late = NodeTable(), NodeTable()
    early.label_row("disk")
    early.topology_row("disk")
    for nodes in (early, late):
        nodes.add(node_of("a", labels={"disk": "ssd"}))
        nodes.add(node_of("b"))
        nodes.add(node_of("c", labels={"disk": ""}))
        nodes.add(node_of("d", labels={"disk": "ssd"}))
        nodes.remove("a")
    for nodes in (early, late):
        row, topology = nodes.label_row("disk"), nodes.topology_row("disk")
        values = [nodes.label_values.values[value] if value >= 0 else None for value in nodes.label[row, :4]]
        assert values == [None, None, "", "ssd"]
        domain = nodes.domain[topology, :4]
        assert (domain < 0).tolist() == [True, True, False, False]
        assert domain[2] != domain[3]


def test_a_new_resource_has_a_row_on_every_node() -> None:
    nodes = table("a")
    slot = nodes.add(node_of("b", **{"x.y/z": "3"}))
    row = nodes.resources.find("x.y/z")
    assert nodes.allocatable[row, : slot + 1].tolist() == [0, 3]
    assert nodes.requested.shape == nodes.allocatable.shape
    nodes.update(node_of("b"))
    assert nodes.allocatable[row, slot] == 0


def test_more_resources_than_reason_bits_are_refused() -> None:
    nodes = table("a")
    for number in range(RESOURCES_MAX - 3):
        nodes.resource_row(f"x.y/{number}")
    assert nodes.resource_row("x.y/0") == 3
    with pytest.raises(InputError, match=f"more than {RESOURCES_MAX} different resources, 'x.y/more'"):
        nodes.resource_row("x.y/more")
    assert len(nodes.resources) == RESOURCES_MAX


def test_ranks_follow_the_names_bytewise() -> None:
    nodes = table("b", "a", "B", "a0")
    nodes.rank_names()
    assert [nodes.name(slot) for slot in np.argsort(nodes.rank[:4])] == ["B", "a", "a0", "b"]


def test_an_image_counts_by_the_share_of_nodes_that_have_it() -> None:
    nodes = NodeTable()
    for name, images in (("a", ["x:1", "y:1"]), ("b", ["x:1"]), ("c", [])):
        nodes.add(node_of(name, images=[{"names": [image], "sizeBytes": 900} for image in images]))
    rows = [nodes.image_row(name) for name in ("x:1", "y:1", "absent:1")]
    assert nodes.scaled_images()[rows, :3].tolist() == [[600, 600, 0], [300, 0, 0], [0, 0, 0]]
    nodes.update(node_of("b"))
    nodes.remove("c")
    assert nodes.scaled_images()[rows, :3].tolist() == [[450, 0, 0], [450, 0, 0], [0, 0, 0]]


def test_equal_taints_share_a_number() -> None:
    taint = {"key": "k", "value": "v", "effect": "NoSchedule"}
    nodes = NodeTable()
    for name, taints in (("a", [taint]), ("b", []), ("c", [dict(taint)]), ("d", [taint, taint])):
        nodes.add(node_of(name, spec={"taints": taints}))
    assert nodes.taint_set[:4].tolist() == [1, 0, 1, 2]


def test_a_node_object_may_lack_everything_but_its_name() -> None:
    nodes = NodeTable()
    slot = nodes.add(msgspec.convert({"metadata": {"name": "a"}}, Node))
    assert nodes.allocatable[:, slot].tolist() == [0, 0, 0]
    assert nodes.pods_allowed[slot] == 0
    assert node_dict("a")["metadata"]["name"] == "a"
