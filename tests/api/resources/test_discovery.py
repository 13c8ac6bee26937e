"""Rows and discovery agree with what a real API server 1.36 answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kcore.api import schema
from kcore.api.resources import ROWS
from kcore.api.schema import discovery
from tests.shared import SHARED

REFERENCE = SHARED / "reference"

pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs the recorded discovery answers")


def reference(name: str) -> Any:
    return json.loads((REFERENCE / name).read_text())


def test_the_core_group_agrees() -> None:
    assert discovery.api_resource_list(ROWS, "", "v1") == reference("discovery_core_v1.36.json")


def served_of_reference() -> list[dict[str, Any]]:
    served = {(row.group, row.version) for row in ROWS}
    items = []
    for item in reference("discovery_v1.36.json")["items"]:
        group = item["metadata"]["name"]
        versions = [each for each in item["versions"] if (group, each["version"]) in served]
        if versions:
            items.append({**item, "versions": versions})
    return items


def test_the_named_groups_agree_in_order_and_in_every_field() -> None:
    document = discovery.aggregated(ROWS, core=False)
    assert document["items"] == served_of_reference()
    assert document["apiVersion"] == "apidiscovery.k8s.io/v2"


def test_the_stable_groups_are_all_served() -> None:
    stable = {
        (item["metadata"]["name"], version["version"])
        for item in reference("discovery_v1.36.json")["items"]
        for version in item["versions"]
        if version["version"] in ("v1", "v2")
    }
    assert stable == {(row.group, row.version) for row in ROWS if row.group}


def test_the_aggregated_form_of_core_says_the_same_as_the_legacy_one() -> None:
    (item,) = discovery.aggregated(ROWS, core=True, version="v2beta1")["items"]
    assert item["metadata"] == {}
    (version,) = item["versions"]
    names = [each["resource"] for each in version["resources"]]
    assert names == [
        each["name"]
        for each in reference("discovery_core_v1.36.json")["resources"]
        if "/" not in each["name"]
    ]


def test_legacy_documents_follow_from_the_same_rows() -> None:
    listed = discovery.api_group_list(ROWS)
    assert [group["name"] for group in listed["groups"]][:3] == [
        "apiregistration.k8s.io",
        "apps",
        "events.k8s.io",
    ]
    autoscaling = discovery.api_group(ROWS, "autoscaling")
    assert autoscaling is not None
    assert autoscaling["preferredVersion"] == {"groupVersion": "autoscaling/v2", "version": "v2"}
    assert [each["version"] for each in autoscaling["versions"]] == ["v2", "v1"]
    apps = discovery.api_resource_list(ROWS, "apps", "v1")
    assert apps is not None
    scale = next(each for each in apps["resources"] if each["name"] == "deployments/scale")
    assert scale == {
        "name": "deployments/scale", "singularName": "", "namespaced": True, "group": "autoscaling", "version": "v1",
        "kind": "Scale", "verbs": ["get", "patch", "update"],
    }  # fmt: skip
    assert discovery.api_group(ROWS, "nothing") is None
    assert discovery.api_resource_list(ROWS, "apps", "v2") is None


def test_every_row_has_a_schema_of_its_kind() -> None:
    definitions = schema.load().definitions
    for row in ROWS:
        kinds = definitions.schema(row.schema)["x-kubernetes-group-version-kind"]
        assert {"group": row.group, "version": row.version, "kind": row.kind} in kinds
