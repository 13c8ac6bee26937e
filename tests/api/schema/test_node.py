"""Objects walked by their schema are as Go's decoder and encoder leave them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore.api import schema
from kcore.api.field import quoted
from kcore.api.protobuf.table import messages
from kcore.api.resources import ROWS
from kcore.api.schema.document import read_json, read_literally, strict_errors
from kcore_native.quantity_text import canonical
from kcore_native.schema import literals
from kcore_native.schema.node import DEPTH_MAX, Node, TypeMismatch, count_members
from tests.naive.schema_walk import Walk, Wrong

HERE = Path(__file__).parent
SCHEMAS = schema.load()
POD = SCHEMAS.node("io.k8s.api.core.v1.Pod")


def walked(node: Node, body: bytes) -> tuple[str, list[str], Any]:
    """The error, the strict errors, the object: as the recordings have them."""
    obj = read_json(body)
    try:
        try:
            unknown, members = node.clean_counting(obj)
        except TypeMismatch as error:
            if not error.literal:
                raise
            obj = read_literally(body)
            unknown, members = node.clean_counting(obj)
    except TypeMismatch as error:
        return str(error), [], None
    strict = [f"unknown field {quoted(path)}" for path in unknown]
    if members != count_members(body):
        strict = strict_errors(body, node)
    node.write_nulls(obj)
    return "", strict, obj


# recorded from sigs.k8s.io/json and k8s.io/api 0.36.2: UnmarshalStrict into the kind's Go type, then json.Marshal
@pytest.mark.parametrize("line", (HERE / "decoded.jsonl").read_text().splitlines())
def test_documents_are_decoded_as_go_decodes_them(line: str) -> None:
    recorded = json.loads(line)
    error, strict, obj = walked(SCHEMAS.node(recorded["schema"]), recorded["document"].encode())
    assert error == recorded["error"]
    if not error:
        assert strict == recorded["strict"]
        if not any("duplicate" in each for each in strict):  # Go merges what stands twice, here the last wins
            assert obj == recorded["object"]


LITERALS = json.loads((HERE / "literals.json").read_text())


@pytest.mark.parametrize(("name", "read"), [
    ("quantity", lambda text: canonical(text.strip())),
    ("time", literals.time),
    ("micro_time", lambda text: literals.time(text, micro=True)),
    ("base64", literals.base64_text),
])  # fmt: skip
def test_texts_are_read_and_written_as_go_does(name: str, read: Any) -> None:
    for text, written, error in LITERALS[name]:
        try:
            found = (read(text), None)
        except ValueError as problem:
            found = (None, str(problem))
        assert found == (written, error), text


def test_what_go_drops_goes_and_what_it_writes_comes() -> None:
    pod = {
        "metadata": {"name": "a", "creationTimestamp": None, "annotations": {}},
        "spec": {
            "containers": [{"name": "c", "image": "", "command": [], "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}}}],
            "hostNetwork": False, "activeDeadlineSeconds": 0, "nodeSelector": None, "volumes": [{"name": "v", "emptyDir": {}}],
        },
    }  # fmt: skip
    assert POD.clean(pod) == []
    assert pod == {
        "metadata": {"name": "a"},
        "spec": {
            "containers": [{"name": "c", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}],
            "activeDeadlineSeconds": 0, "volumes": [{"name": "v", "emptyDir": {}}],
        },
        "status": {},
    }  # fmt: skip


def test_unknown_fields_are_named_in_the_documents_order() -> None:
    pod = {
        "z": 1,
        "spec": {"containers": [{"name": "a"}, {"name": "b", "foo": {"x": 1}, "ports": [{"bar": 1}]}]},
        "a": None,
    }
    assert POD.clean(pod) == ["z", "spec.containers[1].foo", "spec.containers[1].ports[0].bar", "a"]
    assert pod["spec"]["containers"][1] == {"name": "b", "ports": [{"containerPort": 0}], "resources": {}}


def test_nulls_that_go_writes_are_put_in_and_taken_out() -> None:
    role = {"metadata": {"name": "a"}}
    node = SCHEMAS.node("io.k8s.api.rbac.v1.ClusterRole")
    node.write_nulls(role)
    assert role == {"metadata": {"name": "a"}, "rules": None}
    assert node.clean(role) == []
    assert role == {"metadata": {"name": "a"}}
    pod: dict[str, Any] = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    POD.write_nulls(pod)
    assert pod["status"]["conditions"] == [
        {"type": "Ready", "status": "True", "lastProbeTime": None, "lastTransitionTime": None}
    ]
    pod["metadata"] = {"labels": None}
    POD.drop_nulls(pod)
    assert pod["status"]["conditions"] == [{"type": "Ready", "status": "True"}]
    assert pod["metadata"] == {"labels": None}


def test_a_document_too_deep_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(DEPTH_MAX + 1):
        deep = {"not": deep}
    crd = {"spec": {"versions": [{"schema": {"openAPIV3Schema": deep}}]}}
    with pytest.raises(TypeMismatch, match="exceeded max depth"):
        SCHEMAS.node(
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"
        ).clean(crd)
    with pytest.raises(TypeMismatch, match="exceeded max depth"):
        POD.clean({"foo": deep})


def test_members_are_counted_as_the_text_has_them() -> None:
    for text in ("{}", '{"a":{"b":[{"c":":"},{"d\\"":1,"e":null}]}}', '{"a":"\\\\","b":1}'):
        assert POD.clean_counting(orjson.loads(text))[1] == count_members(text.encode())


def test_nodes_say_how_their_values_merge() -> None:
    spec = POD.fields["spec"]
    containers = spec.fields["containers"]
    assert (containers.kind, containers.list_type, containers.list_keys) == ("list", "map", ("name",))
    assert (containers.patch_merge_key, containers.patch_strategies) == ("name", ("merge",))
    assert spec.fields["volumes"].patch_strategies == ("merge", "retainKeys")
    assert spec.fields["nodeSelector"].map_type == "atomic"
    assert spec.fields["tolerations"].list_type == "atomic"
    assert POD.fields["metadata"].fields["finalizers"].list_type == "set"
    assert SCHEMAS.node("io.k8s.api.apps.v1.Deployment").fields["spec"].fields[
        "strategy"
    ].patch_strategies == ("retainKeys",)
    assert POD.fields["metadata"].fields["labels"].omitempty == frozenset()
    assert "hostNetwork" in spec.omitempty
    assert "priority" not in spec.omitempty


# -- the slow twin

SCALARS = st.one_of(
    st.none(), st.booleans(), st.sampled_from([0, 1, -1, 2**31, 2**63, -(2**63) - 1]), st.sampled_from([1.5, 0.25]),
    st.sampled_from(["", "a", "1Gi", "1000m", "2026-01-02T03:04:05Z", "YQ==", "YR==", "x y"]),
)  # fmt: skip
WRONG = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.sampled_from("ab"), SCALARS, max_size=2)
)


def values(node: Node, depth: int) -> st.SearchStrategy[Any]:
    """Values that mostly fit."""
    good: st.SearchStrategy[Any]
    if node.kind == "object" and depth < 6 and node.fields:
        names = st.lists(st.sampled_from([*node.fields, "unknown"]), max_size=4, unique=True)
        good = names.flatmap(
            lambda chosen: st.fixed_dictionaries(
                {
                    name: values(node.fields[name], depth + 1) if name in node.fields else WRONG
                    for name in chosen
                }
            )
        )
    elif node.kind == "list" and node.items is not None and depth < 6:
        good = st.lists(values(node.items, depth + 1), max_size=2)
    elif node.kind == "map" and node.items is not None and depth < 6:
        good = st.dictionaries(st.sampled_from("abc"), values(node.items, depth + 1), max_size=2)
    else:
        good = {
            "string": st.sampled_from(["", "a"]), "boolean": st.booleans(), "integer": st.sampled_from([0, 1]),
            "quantity": st.sampled_from(["1", "0.5", "1024Ki", "2000m"]), "int-or-string": st.sampled_from([0, 80, "http"]),
            "time": st.sampled_from(["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000001+01:00"]),
            "bytes": st.sampled_from(["", "YWJj", "YQ=="]),
        }.get(node.kind, WRONG)  # fmt: skip
    return st.integers(0, 19).flatmap(lambda draw: WRONG if draw == 0 and depth else good)


def documents() -> st.SearchStrategy[tuple[str, Any]]:
    return st.sampled_from(sorted({row.schema for row in ROWS})).flatmap(
        lambda name: st.tuples(st.just(name), values(SCHEMAS.node(name), 0))
    )


@pytest.mark.differential
@settings(max_examples=200, deadline=None)
@given(documents())
def test_the_walk_does_what_its_slow_twin_does(case: tuple[str, Any]) -> None:
    name, document = case
    twin = Walk(SCHEMAS.definitions)
    try:
        expected: Any = (twin.document(name, copy.deepcopy(document)), twin.unknown)
    except Wrong as error:
        expected = str(error)
    try:
        found: Any = (document, SCHEMAS.node(name).clean(document))
    except TypeMismatch as error:
        found = str(error)
    assert found == expected


def test_cleaning_twice_changes_nothing() -> None:
    for row in ROWS:
        once: dict[str, Any] = {}
        SCHEMAS.node(row.schema).clean(once)
        again = copy.deepcopy(once)
        assert SCHEMAS.node(row.schema).clean(again) == []
        assert again == once


def test_the_table_of_go_types_and_that_of_messages_say_the_same() -> None:
    definitions = SCHEMAS.definitions
    prefixes = {"meta.v1": "io.k8s.apimachinery.pkg.apis.meta.v1", "apiextensions.v1": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
                "apiregistration.v1": "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1"}  # fmt: skip
    compared = 0
    for message in messages().values():
        name = f"{prefixes.get(message.package, 'io.k8s.api.' + message.package)}.{message.short_name}"
        if name not in definitions or message.short_name.startswith("JSONSchemaPropsOr"):
            continue
        ours = {field: (go_type, flags) for field, go_type, flags, *_ in definitions.go_fields(name) or ()}
        for field in message.fields:
            if field.inline or field.name not in ours:
                continue
            go_type, flags = ours[field.name]
            assert (field.pointer, field.omitempty, field.omitzero) == (
                go_type.startswith("*"),
                "o" in flags,
                "z" in flags,
            ), (name, field)
            compared += 1
    assert compared > 2000
