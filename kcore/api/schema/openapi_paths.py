"""The paths of a group version as OpenAPI 3 describes them, from its rows.

Source: apiserver pkg/endpoints/installer.go; the documents below api/openapi-spec/v3 of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final

from kcore.api.rows import GroupVersionKind, Row, Subresource

Document = dict[str, Any]

REFERENCE: Final = "#/components/schemas/"
META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
PLAIN_TYPES: Final = (
    "application/cbor", "application/json", "application/vnd.kubernetes.protobuf", "application/yaml",
)  # fmt: skip
STREAM_TYPES: Final = (
    "application/cbor", "application/cbor-seq", "application/json", "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf;stream=watch", "application/yaml",
)  # fmt: skip
PATCH_TYPES: Final = (
    "application/apply-patch+cbor", "application/apply-patch+yaml", "application/json-patch+json",
    "application/merge-patch+json", "application/strategic-merge-patch+json",
)  # fmt: skip
CONNECT_METHODS: Final = {
    "create": ("post",),
    "delete": ("delete",),
    "get": ("get", "head", "options"),
    "patch": ("patch",),
    "update": ("put",),
}

# name: type, description
QUERY: Final = {
    "allowWatchBookmarks": ("boolean", "A watch may have events of type BOOKMARK. Ignored where it is not a watch."),
    "command": ("string", "Command is the remote command to execute. argv array. Not executed within a shell."),
    "container": ("string", "The container. Defaults to the only one where the pod has one."),
    "continue": ("string", "Where a list that limit cut off goes on: the token that the list gave."),
    "dryRun": ("string", "When present, indicates that modifications should not be persisted. Valid values are: - All: all dry run stages will be processed"),
    "fieldManager": ("string", "fieldManager is a name associated with the actor or entity that is making these changes. It must be less than 128 characters long and only contain printable characters."),
    "fieldSelector": ("string", "A selector to restrict the list of returned objects by their fields. Defaults to everything."),
    "fieldValidation": ("string", "What becomes of unknown and duplicate fields. Valid values are: - Ignore: they are dropped; - Warn: they are dropped and each gives a warning, the default; - Strict: the request fails with all of them in the error."),
    "follow": ("boolean", "Follow the log stream of the pod. Defaults to false."),
    "force": ("boolean", "Force is going to \"force\" Apply requests. It means user will re-acquire conflicting fields owned by other people. Force flag must be unset for non-apply patch requests."),
    "gracePeriodSeconds": ("integer", "The duration in seconds before the object should be deleted; zero deletes immediately. Defaults to a per object value."),
    "ignoreStoreReadErrorWithClusterBreakingPotential": ("boolean", "Deletes an object that cannot be read from storage, without finalizers and preconditions."),
    "insecureSkipTLSVerifyBackend": ("boolean", "The certificate of the node that has the log is not verified."),
    "labelSelector": ("string", "A selector to restrict the list of returned objects by their labels. Defaults to everything."),
    "limit": ("integer", "The most items that one answer has; where there are more, its metadata has a continue token."),
    "limitBytes": ("integer", "If set, the number of bytes to read from the server before terminating the log output."),
    "orphanDependents": ("boolean", "Deprecated: please use the PropagationPolicy."),
    "path": ("string", "Path is the part of URLs that include service endpoints, suffixes, and parameters to use for the current proxy request."),
    "ports": ("integer", "List of ports to forward. Required when using WebSockets."),
    "pretty": ("string", "If 'true', then the output is pretty printed. Defaults to 'false' unless the user-agent indicates a browser or command-line HTTP tool (curl and wget)."),
    "previous": ("boolean", "Return previous terminated container logs. Defaults to false."),
    "propagationPolicy": ("string", "Whether and how garbage collection will be performed. Acceptable values are: 'Orphan', 'Background', 'Foreground'."),
    "resourceVersion": ("string", "resourceVersion sets a constraint on what resource versions a request may be served from."),
    "resourceVersionMatch": ("string", "resourceVersionMatch determines how resourceVersion is applied to list calls."),
    "sendInitialEvents": ("boolean", "A watch begins with events for what is there, and a bookmark after them."),
    "shardSelector": ("string", "Restricts the list of returned objects to ranges of a hash. Alpha, and not served."),
    "sinceSeconds": ("integer", "A relative time in seconds before the current time from which to show logs."),
    "stderr": ("boolean", "Stderr is redirected. Defaults to true."),
    "stdin": ("boolean", "Stdin is redirected. Defaults to false."),
    "stdout": ("boolean", "Stdout is redirected. Defaults to true."),
    "stream": ("string", "Which of the container's streams to return: \"All\", \"Stdout\" or \"Stderr\"."),
    "tailLines": ("integer", "If set, the number of lines from the end of the logs to show."),
    "timeoutSeconds": ("integer", "Timeout for the list/watch call. This limits the duration of the call, regardless of any activity or inactivity."),
    "timestamps": ("boolean", "If true, add an RFC3339 timestamp at the beginning of every line of log output. Defaults to false."),
    "tty": ("boolean", "A terminal is allocated. Defaults to false."),
    "watch": ("boolean", "Watch for changes to the described resources and return them as a stream of add, update, and remove notifications. Specify resourceVersion."),
}  # fmt: skip

LIST: Final = (
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion",
    "resourceVersionMatch", "sendInitialEvents", "shardSelector", "timeoutSeconds", "watch",
)  # fmt: skip
DELETE: Final = (
    "dryRun", "gracePeriodSeconds", "ignoreStoreReadErrorWithClusterBreakingPotential", "orphanDependents",
    "propagationPolicy",
)  # fmt: skip
DELETE_COLLECTION: Final = tuple(sorted({*DELETE, *LIST} - {"allowWatchBookmarks", "watch"}))
WRITE: Final = ("dryRun", "fieldManager", "fieldValidation")
LOG: Final = (
    "container", "follow", "insecureSkipTLSVerifyBackend", "limitBytes", "previous", "sinceSeconds", "stream",
    "tailLines", "timestamps",
)  # fmt: skip
CONNECT: Final = {
    "attach": ("container", "stderr", "stdin", "stdout", "tty"),
    "exec": ("command", "container", "stderr", "stdin", "stdout", "tty"),
    "portforward": ("ports",),
    "proxy": ("path",),
}
WATCH_DEPRECATED: Final = "deprecated: use the 'watch' parameter with a list operation instead"


@cache
def _query(name: str) -> Document:
    kind, description = QUERY[name]
    return {
        "description": description,
        "in": "query",
        "name": name,
        "schema": {"type": kind, "uniqueItems": True},
    }


def _path(name: str, description: str) -> Document:
    schema = {"type": "string", "uniqueItems": True}
    return {"description": description, "in": "path", "name": name, "required": True, "schema": schema}


def _content(types: Iterable[str], schema: str) -> Document:
    return {name: {"schema": {"$ref": REFERENCE + schema}} for name in types}


def _responses(types: Sequence[str], schema: str, *codes: str) -> Document:
    words = {"200": "OK", "201": "Created", "202": "Accepted"}
    made: Document = {
        code: {"content": _content(types, schema), "description": words[code]} for code in ("200", *codes)
    }
    return {**made, "401": {"description": "Unauthorized"}}


def camel(group: str) -> str:
    """``rbacAuthorization`` for ``rbac.authorization.k8s.io``."""
    parts = group.removesuffix(".k8s.io").split(".") if group else ["core"]
    return parts[0] + "".join(part[0].upper() + part[1:] for part in parts[1:])


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def prefix_of(group: str, version: str) -> str:
    """``/api/v1`` or ``/apis/apps/v1``."""
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


class GroupVersionPaths:
    """All paths of one group version. ``schemas``: the definition of a kind, for bodies of subresources."""

    def __init__(self, group: str, version: str, schemas: dict[GroupVersionKind, str]) -> None:
        self.group = group
        self.version = version
        self.schemas = schemas
        self.prefix = prefix_of(group, version)
        self.name = _upper(camel(group)) + _upper(version)
        self.tag = f"{camel(group)}_{version}"

    def items(self, rows: Iterable[Row]) -> Document:
        """Path items by path, sorted."""
        made: Document = {f"{self.prefix}/": {"get": self._resources()}}
        for row in rows:
            made.update(self._row(row))
        return dict(sorted(made.items()))

    def _resources(self) -> Document:
        return {
            "description": "get available resources",
            "operationId": f"get{self.name}APIResources",
            "responses": _responses(PLAIN_TYPES, f"{META}APIResourceList"),
            "tags": [self.tag],
        }

    def _operation(
        self,
        action: str,
        operation: str,
        description: str,
        kind: GroupVersionKind,
        responses: Document,
        parameters: Sequence[str] = (),
        body: Document | None = None,
    ) -> Document:
        made: Document = {"description": description, "operationId": operation}
        if parameters:
            made["parameters"] = [_query(name) for name in parameters]
        if body is not None:
            made["requestBody"] = body
        made["responses"] = responses
        made["tags"] = [self.tag]
        made["x-kubernetes-action"] = action
        made["x-kubernetes-group-version-kind"] = kind._asdict()
        return made

    def _row(self, row: Row) -> Iterator[tuple[str, Document]]:
        """The paths of the resource, its watches and its subresources."""
        scope = "Namespaced" if row.namespaced else ""
        collection = (
            f"{self.prefix}/namespaces/{{namespace}}/{row.plural}"
            if row.namespaced
            else f"{self.prefix}/{row.plural}"
        )
        namespace = [_path("namespace", "object name and auth scope, such as for teams and projects")]
        fixed = namespace if row.namespaced else []
        name = [_path("name", f"name of the {row.kind}")]
        pretty = [_query("pretty")]
        everywhere = [_query(each) for each in LIST]
        list_operation = self._list(row, f"list{self.name}{scope}{row.kind}")
        methods = self._collection_methods(row, scope, list_operation)
        if methods:
            yield collection, _hoisted(methods, [*fixed, *pretty])
        single = self._single_methods(row, scope)
        if single:
            yield f"{collection}/{{name}}", _hoisted(single, [*name, *fixed, *pretty])
        if row.namespaced and "list" in row.verbs:
            operation = self._list(row, f"list{self.name}{row.kind}ForAllNamespaces")
            yield f"{self.prefix}/{row.plural}", _hoisted({"get": operation}, pretty)
        if "watch" in row.verbs:
            watched = collection.replace(self.prefix, f"{self.prefix}/watch", 1)
            text = f"watch individual changes to a list of {row.kind}. {WATCH_DEPRECATED}."
            operation = self._watch("watchlist", f"watch{self.name}{scope}{row.kind}List", text, row)
            yield watched, {"get": operation, "parameters": _ordered([*everywhere, *fixed, *pretty])}
            if "get" in row.verbs:
                text = (
                    f"watch changes to an object of kind {row.kind}. {WATCH_DEPRECATED}, "
                    "filtered to a single item with the 'fieldSelector' parameter."
                )
                operation = self._watch("watch", f"watch{self.name}{scope}{row.kind}", text, row)
                parameters = _ordered([*everywhere, *name, *fixed, *pretty])
                yield f"{watched}/{{name}}", {"get": operation, "parameters": parameters}
            if row.namespaced:
                text = f"watch individual changes to a list of {row.kind}. {WATCH_DEPRECATED}."
                operation = self._watch(
                    "watchlist", f"watch{self.name}{row.kind}ListForAllNamespaces", text, row
                )
                parameters = _ordered([*everywhere, *pretty])
                yield f"{self.prefix}/watch/{row.plural}", {"get": operation, "parameters": parameters}
        for subresource in row.subresources:
            yield from self._subresource(row, subresource, f"{collection}/{{name}}", scope, [*name, *fixed])

    def _list(self, row: Row, operation: str) -> Document:
        responses = _responses(
            STREAM_TYPES if "watch" in row.verbs or not row.storage else PLAIN_TYPES, f"{row.schema}List"
        )
        text = (
            f"list or watch objects of kind {row.kind}"
            if "watch" in row.verbs
            else f"list objects of kind {row.kind}"
        )
        return self._operation("list", operation, text, row.gvk, responses, LIST)

    def _watch(self, action: str, operation: str, text: str, row: Row) -> Document:
        return self._operation(
            action, operation, text, row.gvk, _responses(STREAM_TYPES, f"{META}WatchEvent")
        )

    def _collection_methods(self, row: Row, scope: str, list_operation: Document) -> Document:
        methods: Document = {}
        if "list" in row.verbs:
            methods["get"] = list_operation
        if "create" in row.verbs:
            methods["post"] = self._create(
                row.schema, row.gvk, f"create{self.name}{scope}{row.kind}", f"create {_article(row.kind)}"
            )
        if "deletecollection" in row.verbs:
            methods["delete"] = self._operation(
                "deletecollection", f"delete{self.name}Collection{scope}{row.kind}", f"delete collection of {row.kind}",
                row.gvk, _responses(PLAIN_TYPES, f"{META}Status"), DELETE_COLLECTION, _body("*/*", f"{META}DeleteOptions", required=False),
            )  # fmt: skip
        return methods

    def _create(self, schema: str, kind: GroupVersionKind, operation: str, text: str) -> Document:
        responses = _responses(PLAIN_TYPES, schema, "201", "202")
        return self._operation("post", operation, text, kind, responses, WRITE, _body("*/*", schema))

    def _single_methods(self, row: Row, scope: str) -> Document:
        methods = self._written(row, row.verbs, row.schema, row.gvk, f"{self.name}{scope}{row.kind}", "")
        if "delete" in row.verbs:
            deleted = row.schema if row.answers_with_deleted else f"{META}Status"
            methods["delete"] = self._operation(
                "delete", f"delete{self.name}{scope}{row.kind}", f"delete {_article(row.kind)}", row.gvk,
                _responses(PLAIN_TYPES, deleted, "202"), DELETE, _body("*/*", f"{META}DeleteOptions", required=False),
            )  # fmt: skip
        return methods

    def _written(
        self, row: Row, verbs: Sequence[str], schema: str, kind: GroupVersionKind, operation: str, part: str
    ) -> Document:
        """get, put and patch of one object or of a part of it."""
        methods: Document = {}
        of = f"{part} of the specified {row.kind}" if part else f"the specified {row.kind}"
        if "get" in verbs:
            methods["get"] = self._operation(
                "get", f"read{operation}", f"read {of}", kind, _responses(PLAIN_TYPES, schema)
            )
        if "update" in verbs:
            responses = _responses(PLAIN_TYPES, schema, "201")
            methods["put"] = self._operation(
                "put", f"replace{operation}", f"replace {of}", kind, responses, WRITE, _body("*/*", schema)
            )
        if "patch" in verbs:
            responses = _responses(PLAIN_TYPES, schema, "201")
            body = {"content": _content(PATCH_TYPES, f"{META}Patch"), "required": True}
            methods["patch"] = self._operation(
                "patch",
                f"patch{operation}",
                f"partially update {of}",
                kind,
                responses,
                (*WRITE, "force"),
                body,
            )
        return methods

    def _subresource(
        self, row: Row, subresource: Subresource, base: str, scope: str, fixed: list[Document]
    ) -> Iterator[tuple[str, Document]]:
        kind = subresource.kind or row.gvk
        path = f"{base}/{subresource.name}"
        operation = f"{self.name}{scope}{row.kind}{_upper(subresource.name)}"
        if subresource.name == "log":
            methods = self._written(row, ("get",), "", kind, operation, "log")
            types = (*PLAIN_TYPES, "text/plain")
            content = {name: {"schema": {"type": "string"}} for name in types}
            methods["get"]["responses"]["200"]["content"] = content
            yield path, {**methods, "parameters": _ordered([*fixed, *map(_query, LOG), _query("pretty")])}
            return
        if subresource.connects:
            parameters = _ordered([*fixed, *map(_query, CONNECT[subresource.name])])
            yield path, {**self._connect(row, subresource, kind, scope, ""), "parameters": parameters}
            if subresource.name == "proxy":
                tail = _path("path", "path to the resource")
                methods = self._connect(row, subresource, kind, scope, "WithPath")
                yield f"{path}/{{path}}", {**methods, "parameters": _ordered([*fixed, tail, _query("path")])}
            return
        schema = self.schemas[kind]
        methods = self._written(row, subresource.verbs, schema, kind, operation, subresource.name)
        if "create" in subresource.verbs:
            methods["post"] = self._create(
                schema, kind, f"create{operation}", f"create {subresource.name} of {_article(row.kind)}"
            )
        yield path, _hoisted(methods, [*fixed, _query("pretty")])

    def _connect(
        self, row: Row, subresource: Subresource, kind: GroupVersionKind, scope: str, suffix: str
    ) -> Document:
        methods: Document = {}
        responses = {
            "200": {"content": {"*/*": {"schema": {"type": "string"}}}, "description": "OK"},
            "401": {"description": "Unauthorized"},
        }
        for verb in subresource.verbs:
            for method in CONNECT_METHODS[verb] if subresource.name == "proxy" else CONNECT_METHODS[verb][:1]:
                operation = (
                    f"connect{self.name}{_upper(method)}{scope}{row.kind}{_upper(subresource.name)}{suffix}"
                )
                text = f"connect {method.upper()} requests to {subresource.name} of {row.kind}"
                methods[method] = self._operation("connect", operation, text, kind, responses)
        return methods


def _article(kind: str) -> str:
    """``a Pod``, ``an Event``, ``Endpoints``."""
    if kind.endswith("s") and not kind.endswith("ss"):
        return kind
    return f"an {kind}" if kind[0] in "AEIOU" else f"a {kind}"


def _body(content_type: str, schema: str, *, required: bool = True) -> Document:
    made: Document = {"content": _content((content_type,), schema)}
    return {**made, "required": True} if required else made


def _ordered(parameters: Iterable[Document]) -> list[Document]:
    return sorted(parameters, key=lambda each: (str(each["name"]), str(each["in"])))


def _hoisted(methods: Document, shared: list[Document]) -> Document:
    """The path item: where all its methods have a parameter, the item has it."""
    lists = [
        {each["name"]: each for each in operation.get("parameters", ())} for operation in methods.values()
    ]
    common = {name: each for name, each in lists[0].items() if all(name in other for other in lists[1:])}
    made = {}
    for method, operation in methods.items():
        rest = [each for each in operation.get("parameters", ()) if each["name"] not in common]
        operation = {key: value for key, value in operation.items() if key != "parameters"}
        made[method] = {**operation, "parameters": rest} if rest else operation
    return {**made, "parameters": _ordered([*shared, *common.values()])}
