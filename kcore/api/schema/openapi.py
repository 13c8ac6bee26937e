"""OpenAPI documents, version 3 for each group version and version 2 for all, from rows and definitions.

Pure functions of rows; they build large documents, so who serves them keeps the bytes (``openapi_bytes``) until the
catalog changes. What differs from upstream's: the descriptions of query parameters are shorter.

Source: kube-openapi pkg/builder3, pkg/builder, pkg/handler3; api/openapi-spec of Kubernetes 1.36.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from kcore.api.rows import Row
from kcore.api.schema.decoding import definitions_by_kind
from kcore.api.schema.definitions import Definitions, Section
from kcore.api.schema.openapi_paths import REFERENCE, GroupVersionPaths, camel, prefix_of

Document = dict[str, Any]

TITLE: Final = "Kubernetes"
DISCOVERY_TYPES: Final = ("application/json", "application/vnd.kubernetes.protobuf", "application/yaml")
SECURITY: Final = {
    "BearerToken": {"type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header"}
}  # fmt: skip
QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING: Final = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
DESCRIPTIONS: Final = {  # of definitions that come without one
    QUANTITY: (
        "Quantity is a fixed-point number as text: digits, then a suffix of powers of 1024 (Ki | Mi | Gi | Ti | Pi | Ei), "
        'of 1000 (n | u | m | "" | k | M | G | T | P | E) or a decimal exponent (e3). A plain number stands for its text. '
        "It is kept in canonical form: no fraction, the largest suffix without loss."
    ),
    INT_OR_STRING: "IntOrString is a type that can hold an int32 or a string.",
}
DEFAULTS: Final[
    dict[str, Any]
] = {  # which Go's zero value is not, or which Go marks (+default) though it may be absent
    "io.k8s.api.autoscaling.v1.ScaleSpec.replicas": 0,
    "io.k8s.api.core.v1.AzureDiskVolumeSource.cachingMode": "ReadWrite",
    "io.k8s.api.core.v1.AzureDiskVolumeSource.fsType": "ext4",
    "io.k8s.api.core.v1.AzureDiskVolumeSource.kind": "Shared",
    "io.k8s.api.core.v1.AzureDiskVolumeSource.readOnly": False,
    "io.k8s.api.core.v1.ConfigMapEnvSource.name": "",
    "io.k8s.api.core.v1.ConfigMapKeySelector.name": "",
    "io.k8s.api.core.v1.ConfigMapProjection.name": "",
    "io.k8s.api.core.v1.ConfigMapVolumeSource.name": "",
    "io.k8s.api.core.v1.ContainerPort.protocol": "TCP",
    "io.k8s.api.core.v1.FileKeySelector.optional": False,
    "io.k8s.api.core.v1.GRPCAction.service": "",
    "io.k8s.api.core.v1.ISCSIPersistentVolumeSource.iscsiInterface": "default",
    "io.k8s.api.core.v1.ISCSIVolumeSource.iscsiInterface": "default",
    "io.k8s.api.core.v1.LocalObjectReference.name": "",
    "io.k8s.api.core.v1.RBDPersistentVolumeSource.keyring": "/etc/ceph/keyring",
    "io.k8s.api.core.v1.RBDPersistentVolumeSource.pool": "rbd",
    "io.k8s.api.core.v1.RBDPersistentVolumeSource.user": "admin",
    "io.k8s.api.core.v1.RBDVolumeSource.keyring": "/etc/ceph/keyring",
    "io.k8s.api.core.v1.RBDVolumeSource.pool": "rbd",
    "io.k8s.api.core.v1.RBDVolumeSource.user": "admin",
    "io.k8s.api.core.v1.ReplicationControllerSpec.minReadySeconds": 0,
    "io.k8s.api.core.v1.ReplicationControllerSpec.replicas": 1,
    "io.k8s.api.core.v1.ScaleIOPersistentVolumeSource.fsType": "xfs",
    "io.k8s.api.core.v1.ScaleIOPersistentVolumeSource.storageMode": "ThinProvisioned",
    "io.k8s.api.core.v1.ScaleIOVolumeSource.fsType": "xfs",
    "io.k8s.api.core.v1.ScaleIOVolumeSource.storageMode": "ThinProvisioned",
    "io.k8s.api.core.v1.SecretEnvSource.name": "",
    "io.k8s.api.core.v1.SecretKeySelector.name": "",
    "io.k8s.api.core.v1.SecretProjection.name": "",
    "io.k8s.api.core.v1.ServicePort.protocol": "TCP",
    "io.k8s.api.resource.v1.DeviceToleration.operator": "Equal",
}
_ZERO: Final = {"string": "", "integer": 0, "number": 0, "boolean": False}


class Components:
    """Definitions as OpenAPI has them. ``refer`` makes a reference from a definition's name."""

    def __init__(
        self, definitions: Definitions, *, version: int, group_version: tuple[str, str] | None = None
    ) -> None:
        self.definitions = definitions
        self.group_version = group_version
        self.version = version
        self.prefix = REFERENCE if version == 3 else "#/definitions/"
        self.descriptions: Section = definitions.descriptions()

    def closure(self, names: Iterable[str]) -> Document:
        """The definitions of those names and all that they refer to, sorted."""
        made: Document = {}
        waiting = [name for name in names if name in self.definitions]
        while waiting:
            name = waiting.pop()
            if name in made:
                continue
            made[name] = self.definition(name)
            waiting += [each for each in references(self.definitions.schema(name)) if each not in made]
        return dict(sorted(made.items()))

    def definition(self, name: str) -> Document:
        """One definition with its descriptions."""
        schema = self.definitions.schema(name)
        go = {field[0]: field[1:] for field in self.definitions.go_fields(name) or ()}
        made = self._schema(schema, self.descriptions.document(name), "", "", go)
        if name in DESCRIPTIONS:
            made["description"] = DESCRIPTIONS[name]
        if name == INT_OR_STRING:
            made["format"] = "int-or-string"
            if self.version == 3:
                made["oneOf"] = [{"type": "integer"}, {"type": "string"}]
        for field, value in made.get("properties", {}).items():
            if self.version == 3 and (default := DEFAULTS.get(f"{name}.{field}")) is not None:
                value["default"] = default
        kinds = schema.get("x-kubernetes-group-version-kind")
        if kinds:
            made["x-kubernetes-group-version-kind"] = self._kinds(kinds)
        return made

    def _kinds(self, kinds: list[dict[str, str]]) -> list[dict[str, str]]:
        """Of kinds that every group has (DeleteOptions): core's and this group's."""
        if len(kinds) < 3 or self.group_version is None:
            return kinds
        wanted = (("", "v1"), self.group_version)
        return [each for each in kinds if (each["group"], each["version"]) in wanted]

    def _schema(
        self,
        schema: Document,
        texts: dict[str, str],
        path: str,
        go_type: str,
        go: dict[str, list[str]] | None = None,
    ) -> Document:
        made: Document = {}
        if (text := texts.get(path)) is not None:
            made["description"] = text
        reference = schema.get("$ref")
        if reference is not None:
            return self._reference(made, reference, schema, go_type)
        for key, value in schema.items():
            if key == "properties":
                made[key] = {
                    name: self._property(each, texts, f"{path}.{name}", (go or {}).get(name))
                    for name, each in value.items()
                }
            elif key in ("items", "additionalProperties") and isinstance(value, dict):
                made[key] = self._schema(value, texts, f"{path}[]", "*")
            elif key == "oneOf" and self.version == 2:
                made["type"] = "string"
            elif key == "enum" and path:
                continue
            elif key != "x-kubernetes-group-version-kind":
                made[key] = value
        return made

    def _property(self, schema: Document, texts: dict[str, str], path: str, go: list[str] | None) -> Document:
        go_type = go[0] if go else "*"
        made = self._schema(schema, texts, path, go_type)
        if self.version == 3 and go and not go_type.startswith("*"):
            kind = schema.get("type")
            if "o" not in go[1] and kind in _ZERO and schema.get("format") != "byte":
                made.setdefault("default", _ZERO[kind])
        return made

    def _reference(self, made: Document, reference: str, schema: Document, go_type: str) -> Document:
        """A reference; in version 3 one that has more beside it is wrapped, and Go's values have a default."""
        more = {key: value for key, value in schema.items() if key != "$ref"}
        target = {"$ref": self.prefix + reference}
        if self.version == 2:
            return {**made, **more, **target}
        if not go_type.startswith("*"):
            resolved = self.definitions.schema(reference)
            if "properties" in resolved:
                made["default"] = {}
        if not made and not more:
            return target
        return {**made, **more, "allOf": [target]}


def references(schema: Any) -> Iterator[str]:
    """The names of all definitions that a schema refers to, or that an operation does."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value.rpartition("/")[2]
            else:
                yield from references(value)
    elif isinstance(schema, list):
        for each in schema:
            yield from references(each)


def group_versions(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """Rows by group and version, in the rows' order."""
    made: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        made.setdefault((row.group, row.version), []).append(row)
    return made


def v3(rows: Iterable[Row], group: str, version: str, *, release: str = "unversioned") -> Document | None:
    """The document of one group version; None where nothing of it is served."""
    members = group_versions(rows).get((group, version))
    if members is None:
        return None
    definitions = Definitions.shipped()
    paths = GroupVersionPaths(group, version, definitions_by_kind()).items(members)
    components = Components(definitions, version=3, group_version=(group, version)).closure(references(paths))
    return _v3(paths, components, release)


def _v3(paths: Document, components: Document, release: str) -> Document:
    return {
        "openapi": "3.0.0",
        "info": {"title": TITLE, "version": release},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": SECURITY},
    }


def _plain_get(
    schema: str, description: str, operation: str, tag: str, types: tuple[str, ...] = DISCOVERY_TYPES
) -> Document:
    content = {each: {"schema": {"$ref": REFERENCE + schema}} for each in types}
    return {
        "description": description,
        "operationId": operation,
        "responses": {
            "200": {"content": content, "description": "OK"},
            "401": {"description": "Unauthorized"},
        },
        "tags": [tag],
    }


def _discovery_item(path: str) -> Document:
    """The path item of ``api``, ``apis``, ``apis/GROUP`` or ``version``."""
    meta = "io.k8s.apimachinery.pkg.apis.meta.v1."
    if path == "version":
        info = "io.k8s.apimachinery.pkg.version.Info"
        text = "get the version information for this server"
        return {"get": _plain_get(info, text, "getCodeVersion", "version", ("application/json",))}
    if path == "api":
        return {
            "get": _plain_get(
                f"{meta}APIVersions", "get available API versions", "getCoreAPIVersions", "core"
            )
        }
    if path == "apis":
        return {
            "get": _plain_get(f"{meta}APIGroupList", "get available API versions", "getAPIVersions", "apis")
        }
    tag = camel(path.removeprefix("apis/"))
    operation = f"get{tag[:1].upper()}{tag[1:]}APIGroup"
    return {"get": _plain_get(f"{meta}APIGroup", "get information of a group", operation, tag)}


def v3_discovery(path: str, *, release: str = "unversioned") -> Document:
    """The document of ``api``, ``apis``, ``apis/GROUP`` or ``version``: one path."""
    item = _discovery_item(path)
    components = Components(Definitions.shipped(), version=3, group_version=("", "v1")).closure(
        references(item)
    )
    return _v3({f"/{path}/": item}, components, release)


def v3_document(rows: Iterable[Row], path: str, *, release: str = "unversioned") -> Document | None:
    """The document of one of ``v3_paths``; None for any other path."""
    known = tuple(rows)
    if path not in v3_paths(known):
        return None
    first, *rest = path.split("/")
    if (first, len(rest)) == ("api", 1):
        return v3(known, "", rest[0], release=release)
    if len(rest) == 2:
        return v3(known, rest[0], rest[1], release=release)
    return v3_discovery(path, release=release)


def v3_hash(rows: Iterable[Row], path: str, *, release: str = "unversioned") -> str:
    """Changes where the document may, without making it: client-go asks anew only for another hash."""
    members = [
        row for row in rows if path in (prefix_of(row.group, row.version)[1:], f"apis/{row.group}", "apis")
    ]
    text = repr((path, release, members)).encode() + Definitions.digest()
    return hashlib.sha512(text).hexdigest().upper()


def v3_paths(rows: Iterable[Row]) -> list[str]:
    """What the index lists: each a name below /openapi/v3/."""
    known = group_versions(rows)
    made = ["api", "apis", "version"]
    for group, version in known:
        made.append(prefix_of(group, version)[1:])
        if group:
            made.append(f"apis/{group}")
    return sorted(set(made))


def v3_index(hashes: dict[str, str]) -> Document:
    """/openapi/v3: for each name of ``v3_paths`` the address that changes with the document's hash."""
    paths = {
        path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={marked}"}
        for path, marked in sorted(hashes.items())
    }
    return {"paths": paths}


def v2(rows: Iterable[Row], *, release: str) -> Document:
    """/openapi/v2: everything in one Swagger document."""
    definitions = Definitions.shipped()
    known = tuple(rows)
    plain = [path for path in v3_paths(known) if path in ("api", "apis", "version") or path.count("/") == 1]
    paths: Document = {f"/{path}/": _v2_item(_discovery_item(path)) for path in plain if path != "api/v1"}
    for (group, version), members in group_versions(known).items():
        items = GroupVersionPaths(group, version, definitions_by_kind()).items(members)
        paths.update({path: _v2_item(item) for path, item in items.items()})
    components = Components(definitions, version=2)
    return {
        "swagger": "2.0",
        "info": {"title": TITLE, "version": release},
        "paths": dict(sorted(paths.items())),
        "definitions": components.closure(references(paths)),
        "securityDefinitions": SECURITY,
        "security": [{"BearerToken": []}],
    }


def _v2_item(item: Document) -> Document:
    convert: dict[str, Callable[[Any], Any]] = {
        "parameters": lambda each: [_v2_parameter(one) for one in each]
    }
    return {key: convert.get(key, _v2_operation)(value) for key, value in item.items()}


def _v2_parameter(parameter: Document) -> Document:
    made = {key: value for key, value in parameter.items() if key != "schema"}
    return {**made, **parameter["schema"]}


def _v2_reference(schema: Document) -> Document:
    if "$ref" in schema:
        return {"$ref": "#/definitions/" + schema["$ref"].rpartition("/")[2]}
    return schema


def _v2_operation(operation: Document) -> Document:
    made = {
        key: value
        for key, value in operation.items()
        if key not in ("parameters", "requestBody", "responses")
    }
    parameters = [_v2_parameter(each) for each in operation.get("parameters", ())]
    body = operation.get("requestBody")
    made["consumes"] = ["*/*"]
    if body is not None:
        types = list(body["content"])
        made["consumes"] = types
        schema = _v2_reference(body["content"][types[0]]["schema"])
        required = {"required": True} if body.get("required") else {}
        parameters.insert(0, {"in": "body", "name": "body", **required, "schema": schema})
    if parameters:
        made["parameters"] = parameters
    responses: Document = {}
    produces: list[str] = []
    for code, response in operation["responses"].items():
        content = response.get("content", {})
        produces = produces or list(content)
        responses[code] = {"description": response["description"]}
        if content:
            responses[code]["schema"] = _v2_reference(next(iter(content.values()))["schema"])
    made["produces"] = produces
    made["responses"] = responses
    made["schemes"] = ["https"]
    return made
