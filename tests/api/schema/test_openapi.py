"""OpenAPI documents have what clients look for, and say the same as JSON and as protobuf."""

from __future__ import annotations

from typing import Any

import pytest

from kcore.api.resources import ROWS
from kcore.api.resources.catalog import Catalog
from kcore.api.rows import Row
from kcore.api.schema import openapi, openapi_protobuf
from kcore.api.schema.openapi import references

APPS = openapi.v3(ROWS, "apps", "v1", release="v1.36.0")
V2 = openapi.v2(ROWS, release="v1.36.0")
META = "io.k8s.apimachinery.pkg.apis.meta.v1."


def test_a_group_version_has_its_paths_and_all_that_they_refer_to() -> None:
    assert APPS is not None
    assert APPS["info"] == {"title": "Kubernetes", "version": "v1.36.0"}
    schemas = APPS["components"]["schemas"]
    assert set(references(APPS["paths"])) | set(references(schemas)) <= set(schemas)
    deployment = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    item = APPS["paths"][deployment]
    assert {key for key in item if key != "parameters"} == {"get", "put", "patch", "delete"}
    assert item["patch"]["x-kubernetes-action"] == "patch"
    assert item["patch"]["operationId"] == "patchAppsV1NamespacedDeployment"
    assert item["patch"]["x-kubernetes-group-version-kind"] == {
        "group": "apps",
        "version": "v1",
        "kind": "Deployment",
    }
    assert [each["name"] for each in item["patch"]["parameters"]] == [
        "dryRun",
        "fieldManager",
        "fieldValidation",
        "force",
    ]
    assert "application/apply-patch+yaml" in item["patch"]["requestBody"]["content"]
    scale = APPS["paths"][f"{deployment}/scale"]["get"]
    assert scale["x-kubernetes-group-version-kind"] == {
        "group": "autoscaling",
        "version": "v1",
        "kind": "Scale",
    }
    assert openapi.v3(ROWS, "apps", "v2") is None


def test_definitions_have_descriptions_defaults_and_merge_keys() -> None:
    assert APPS is not None
    schemas = APPS["components"]["schemas"]
    template = schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["template"]
    assert template["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.core.v1.PodTemplateSpec"}]
    assert template["default"] == {}
    assert template["description"].startswith("Template describes the pods")
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-list-map-keys"] == ["name"]
    assert schemas["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"]["default"] == "TCP"
    assert schemas["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"] == [
        {"group": "apps", "kind": "Deployment", "version": "v1"}
    ]
    assert "enum" not in schemas["io.k8s.api.apps.v1.Deployment"]["properties"]["kind"]
    groups = [each["group"] for each in schemas[f"{META}DeleteOptions"]["x-kubernetes-group-version-kind"]]
    assert groups == ["", "apps"]


def test_the_index_names_every_document_once_and_each_can_be_had() -> None:
    paths = openapi.v3_paths(ROWS)
    assert {"api", "api/v1", "apis", "apis/apps", "apis/apps/v1", "apis/autoscaling/v2", "version"} <= set(
        paths
    )
    index = openapi.v3_index({path: openapi.v3_hash(ROWS, path) for path in paths})
    assert index["paths"]["apis/apps/v1"]["serverRelativeURL"].startswith("/openapi/v3/apis/apps/v1?hash=")
    for path in ("api", "apis", "apis/apps", "version", "apis/policy/v1"):
        document = openapi.v3_document(ROWS, path)
        assert document is not None
        assert f"/{path}/" in document["paths"]
    assert openapi.v3_document(ROWS, "apis/nothing") is None


def test_a_hash_changes_with_the_rows_of_its_group_alone() -> None:
    more = (*ROWS, Row("example.com", "v1", "Thing", "things", "thing", True, "example.com/things", ""))
    assert openapi.v3_hash(ROWS, "apis/apps/v1") == openapi.v3_hash(more, "apis/apps/v1")
    assert openapi.v3_hash(ROWS, "apis") != openapi.v3_hash(more, "apis")
    fewer = [row for row in ROWS if row.plural != "deployments"]
    assert openapi.v3_hash(ROWS, "apis/apps/v1") != openapi.v3_hash(fewer, "apis/apps/v1")


def test_version_2_has_every_path_and_definition() -> None:
    assert set(references(V2["paths"])) | set(references(V2["definitions"])) <= set(V2["definitions"])
    post = V2["paths"]["/api/v1/namespaces/{namespace}/pods"]["post"]
    assert post["parameters"][0] == {
        "in": "body", "name": "body", "required": True, "schema": {"$ref": "#/definitions/io.k8s.api.core.v1.Pod"},
    }  # fmt: skip
    assert V2["definitions"]["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["type"] == "string"
    spec = V2["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"]
    assert spec["$ref"] == "#/definitions/io.k8s.api.core.v1.PodSpec"


def read_back(document: dict[str, Any]) -> Any:
    from google.protobuf import message_factory

    package = "openapi.v2" if "swagger" in document else "openapi.v3"
    kind = openapi_protobuf._pool().FindMessageTypeByName(f"{package}.Document")
    return message_factory.GetMessageClass(kind).FromString(openapi_protobuf.encode(document))


def test_protobuf_of_version_3_says_what_the_json_says() -> None:
    assert APPS is not None
    message = read_back(APPS)
    assert {each.name for each in message.paths.path} == set(APPS["paths"])
    schemas = {each.name: each.value.schema for each in message.components.schemas.additional_properties}
    assert set(schemas) == set(APPS["components"]["schemas"])
    properties = {
        each.name: each.value
        for each in schemas["io.k8s.api.apps.v1.DeploymentSpec"].properties.additional_properties
    }
    assert properties["replicas"].schema.type == "integer"
    assert (
        properties["template"].schema.all_of[0].reference._ref
        == "#/components/schemas/io.k8s.api.core.v1.PodTemplateSpec"
    )
    extensions = {
        each.name: each.value.yaml
        for each in schemas["io.k8s.api.apps.v1.Deployment"].specification_extension
    }
    assert (
        extensions["x-kubernetes-group-version-kind"]
        == '[{"group":"apps","kind":"Deployment","version":"v1"}]'
    )


def test_protobuf_of_version_2_says_what_the_json_says() -> None:
    message = read_back(V2)
    assert {each.name for each in message.paths.path} == set(V2["paths"])
    definitions = {each.name: each.value for each in message.definitions.additional_properties}
    assert set(definitions) == set(V2["definitions"])
    assert list(definitions["io.k8s.api.core.v1.Pod"].type.value) == ["object"]
    item = next(
        each.value for each in message.paths.path if each.name == "/api/v1/namespaces/{namespace}/pods/{name}"
    )
    body = item.put.parameters[0].parameter.body_parameter
    assert getattr(body.schema, "_ref") == "#/definitions/io.k8s.api.core.v1.Pod"  # noqa: B009
    assert item.parameters[0].parameter.non_body_parameter.path_parameter_sub_schema.name == "name"


def test_a_catalog_takes_rows_and_gives_them_up() -> None:
    catalog = Catalog(ROWS)
    row = catalog.row("", "v1", "pods")
    assert row is not None
    assert catalog.by_kind(row.gvk) is row
    assert catalog.node(row).definition == "io.k8s.api.core.v1.Pod"
    thing = Row("example.com", "v1", "Thing", "things", "thing", True, "example.com/things", "")
    before = catalog.version
    catalog.add([thing], node=catalog.node(row))
    assert catalog.row("example.com", "v1", "things") is thing
    assert catalog.version > before
    with pytest.raises(ValueError, match="is served already"):
        catalog.add([thing])
    catalog.remove([thing])
    assert catalog.row("example.com", "v1", "things") is None
    assert catalog.rows == ROWS
