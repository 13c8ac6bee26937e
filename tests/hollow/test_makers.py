"""Makers against the templates that they stand for, and paths against jq."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore.hollow.builtin_stages import builtin_documents
from kcore.hollow.expressions import compile_jq
from kcore.hollow.functions import FUNCTION_NAMES, functions_of
from kcore.hollow.gotemplate.template import compile_template
from kcore.hollow.makers import MAKERS, NODE_INFO
from kcore.hollow.patches import rendered
from kcore.hollow.paths import compile_path

pytestmark = pytest.mark.differential
NOW_MS = 1_800_000_000_123


class World:
    version = "1"

    def node_ips(self, node: str) -> Sequence[str]:
        return {"none": [], "two": ["10.0.0.1", "fd00::1"]}.get(node, ["10.0.0.1"])

    def pod_ips(self, node: str, host_network: bool, uid: str, name: str, namespace: str) -> Sequence[str]:
        return self.node_ips(node) if host_network else [f"10.1.0.{len(uid + name + namespace)}"]

    def node_port(self) -> int:
        return 10250


NAMES = st.sampled_from(["a", "b-1", "web"])
TEXTS = st.sampled_from(["nginx", "reg.io/a/b:1.2@sha256:00", "yes", "012", 'q"uo: te', "é"])
CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": NAMES, "image": TEXTS}, optional={"restartPolicy": st.just("Always")}),
    min_size=1,
    max_size=3,
)
STATES = st.sampled_from([
    {}, {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, {"waiting": {"reason": "x"}}, {"running": {}},
])  # fmt: skip
STATUSES = st.fixed_dictionaries(
    {"phase": st.just("Running")},
    optional={
        "startTime": st.just("2026-01-01T00:00:00Z"),
        "containerStatuses": st.lists(
            st.fixed_dictionaries(
                {"name": NAMES}, optional={"restartCount": st.integers(0, 9), "state": STATES}
            ),
            max_size=4,
        ),
    },
)
PODS = st.fixed_dictionaries({
    "metadata": st.fixed_dictionaries(
        {"name": NAMES}, optional={"uid": NAMES, "namespace": NAMES, "generation": st.integers(0, 3)}
    ),
    "spec": st.fixed_dictionaries(
        {"nodeName": st.sampled_from(["n", "two", "none"]), "containers": CONTAINERS},
        optional={
            "initContainers": CONTAINERS,
            "hostNetwork": st.booleans(),
            "readinessGates": st.lists(st.fixed_dictionaries({"conditionType": NAMES}), max_size=2),
        },
    ),
    "status": STATUSES,
})  # fmt: skip


@settings(max_examples=40)
@given(PODS)
def test_makers_make_what_the_templates_write(pod: dict[str, Any]) -> None:
    _compare("pod-fast", pod, "")


QUANTITIES = st.dictionaries(
    st.sampled_from(["cpu", "memory", "pods"]), st.sampled_from(["8", "16Gi", "110"])
)
NODES = st.fixed_dictionaries({
    "metadata": st.fixed_dictionaries({"name": st.sampled_from(["n", "two", "none"])}),
}, optional={"status": st.fixed_dictionaries({}, optional={
    "capacity": QUANTITIES,
    "allocatable": QUANTITIES,
    "addresses": st.lists(st.fixed_dictionaries({"type": st.just("Hostname"), "address": TEXTS}), max_size=2),
    "nodeInfo": st.dictionaries(st.sampled_from(sorted(NODE_INFO)), TEXTS),
    "conditions": st.lists(
        st.fixed_dictionaries({"type": st.sampled_from(["Ready", "DiskPressure"]), "status": NAMES}), max_size=3
    ),
})})  # fmt: skip


@settings(max_examples=40)
@given(NODES)
def test_makers_make_what_the_templates_of_nodes_write(node: dict[str, Any]) -> None:
    _compare("node", node, node["metadata"]["name"])


def _compare(stages: str, obj: dict[str, Any], node: str) -> None:
    world = World()
    functions = functions_of(world, Random(0), NOW_MS, 0, node)
    for text in _texts(stages) & set(MAKERS):
        template = compile_template(text, FUNCTION_NAMES)
        assert orjson.loads(MAKERS[text](obj, world, NOW_MS)) == {
            "status": rendered(template, obj, functions)
        }


def _texts(stages: str) -> set[str]:
    return {each["spec"]["next"].get("statusTemplate", "").strip() for each in builtin_documents(stages)}


def test_every_maker_has_its_template() -> None:
    assert len(MAKERS) == 4
    assert set(MAKERS) <= _texts("pod-fast") | _texts("node")


PATHS = (
    ".", ".status", ".status.phase", '.metadata.labels["a.b/c"]', '.metadata."labels"', ".status.conditions.[]",
    '.status.conditions.[] | select( .type == "Ready" ) | .status', '.status.conditions[] | select(.type != "Ready").x',
    ".status.conditions[0].type", ".status.conditions.[1]", ".a.b.c", "select(.status.phase == null)",
    ".status.conditions.[].type.below", ".[]", ". | .status | .phase", "select(.status.ok == true) | .status.ok",
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(0, 3), st.sampled_from(["Ready", "True", "Running", ""])
)
CONDITIONS = st.lists(
    st.one_of(LEAVES, st.fixed_dictionaries({}, optional={"type": LEAVES, "status": LEAVES})), max_size=3
)
OBJECTS = st.fixed_dictionaries({}, optional={
    "a": LEAVES,
    "metadata": st.one_of(LEAVES, st.fixed_dictionaries({"labels": st.one_of(LEAVES, st.just({"a.b/c": "true"}))})),
    "status": st.one_of(LEAVES, st.fixed_dictionaries({}, optional={
        "phase": LEAVES, "ok": LEAVES, "conditions": st.one_of(LEAVES, CONDITIONS)})),
})  # fmt: skip


@given(OBJECTS)
def test_paths_find_what_jq_finds(obj: dict[str, Any]) -> None:
    pytest.importorskip("jq")
    for text in PATHS:
        path = compile_path(text)
        if path is None:
            continue
        found, by_jq = path(obj), JQ(text)(obj)
        order = text == ".[]"  # gojq, which Kwok uses, yields an object's values by key, jq as they stand
        assert (sorted(map(repr, found)) == sorted(map(repr, by_jq))) if order else found == by_jq, text


_COMPILED: dict[str, Any] = {}


def JQ(text: str) -> Any:
    if text not in _COMPILED:
        _COMPILED[text] = compile_jq(text)
    return _COMPILED[text]


def test_most_of_what_stages_ask_is_a_path() -> None:
    assert [text for text in PATHS if compile_path(text) is None] == [
        '.status.conditions[] | select(.type != "Ready").x'
    ]
    assert all(
        compile_path(text) is None for text in (".a + 1", ".a?", ".a.", "length", ".a | length", "..", "")
    )
