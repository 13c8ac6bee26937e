"""Bodies of requests become objects that their schema accepts, or an ApiError with upstream's text.

Source: apiserver pkg/endpoints/handlers (create.go, update.go, rest.go), apimachinery pkg/runtime/serializer/json.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from kcore.api import status
from kcore.api.field import quoted
from kcore.api.rows import GroupVersionKind
from kcore.api.schema.document import read_json, read_literally, settled, strict_errors
from kcore.api.schema.graph import load
from kcore.api.schema.yaml_text import YamlDuplicates, read_yaml
from kcore_native.schema.node import Node, TypeMismatch, count_members

STRICT: Final = "Strict"
WARN: Final = "Warn"
IGNORE: Final = "Ignore"

SUMMARY_BYTES_MAX: Final = 30  # of a body in a message, as upstream

Object = dict[str, Any]

_ANONYMOUS: Final = (
    'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
)
_SCHEME: Final = "pkg/api/legacyscheme/scheme.go:30"
_SCHEMES: Final = {
    "apiextensions.k8s.io": "k8s.io/apiextensions-apiserver/pkg/apiserver/apiserver.go:53",
    "apiregistration.k8s.io": "k8s.io/kube-aggregator/pkg/apiserver/scheme/scheme.go:32",
}


@cache
def kind_of(definition: str) -> GroupVersionKind:
    """The kind that a definition describes; the first where it serves several groups."""
    found = load().definitions.schema(definition).get("x-kubernetes-group-version-kind")
    if not found:
        return GroupVersionKind("", "v1", definition.rpartition(".")[2])
    return GroupVersionKind(found[0]["group"], found[0]["version"], found[0]["kind"])


@cache
def definitions_by_kind() -> dict[GroupVersionKind, str]:
    """The definition of each kind that any group version has."""
    definitions = load().definitions
    return {
        GroupVersionKind(each["group"], each["version"], each["kind"]): name
        for name in definitions.names()
        for each in definitions.schema(name).get("x-kubernetes-group-version-kind", ())
    }


def decode_json(
    body: bytes, node: Node, field_validation: str = WARN, expected: GroupVersionKind | None = None
) -> tuple[Object, list[str]]:
    """The object and what to warn of. ``expected``: the route's kind, which a body without kind or version is.

    Unknown and duplicate fields: Strict refuses them, Warn warns, Ignore drops them without a word.
    """
    want = expected if expected is not None else kind_of(node.definition)
    try:
        value = read_json(body)
    except ValueError as error:
        raise unrecognized(body, want, f"couldn't get version/kind; json parse error: {error}") from None
    obj, kind = _object(value, body, want)
    own = _node_of(kind, node, want)
    forgets = forgets_owners(obj)
    try:
        try:
            unknown, members = own.clean_counting(obj)
        except TypeMismatch as error:
            if not error.literal:
                raise
            obj = read_literally(body)
            unknown, members = own.clean_counting(obj)
            obj = settled(obj)
    except (TypeMismatch, RecursionError) as error:
        raise cannot_be_handled(kind, want, str(error)) from None
    if forgets:
        obj["metadata"]["managedFields"] = []
    problems: list[str] = []
    if field_validation != IGNORE:
        if members != count_members(body):
            problems = _strict_errors(body, own, kind, want)
        elif unknown:
            problems = [f"unknown field {quoted(path)}" for path in unknown]
    return _accepted(obj, kind, want, problems, field_validation)


def forgets_owners(obj: Object) -> bool:
    """True where managedFields is an empty list, which asks to forget all owners and is not the same as none given.

    Go tells them apart (an empty slice and nil); cleaning, which is for what is stored, does not.
    """
    metadata = obj.get("metadata")
    return isinstance(metadata, dict) and metadata.get("managedFields") == []


def _strict_errors(body: bytes, node: Node, kind: GroupVersionKind, want: GroupVersionKind) -> list[str]:
    try:
        return strict_errors(body, node)
    except RecursionError:
        raise cannot_be_handled(kind, want, "json: exceeded max depth") from None


def decode_yaml(
    body: bytes, node: Node, field_validation: str = WARN, expected: GroupVersionKind | None = None
) -> tuple[Object, list[str]]:
    """As ``decode_json``; keys that a mapping has twice are told by their lines."""
    want = expected if expected is not None else kind_of(node.definition)
    try:
        value, duplicates = read_yaml(body)
    except ValueError as error:
        raise unrecognized(body, want, str(error)) from None
    obj, kind = _object(value, body, want)
    own = _node_of(kind, node, want)
    forgets = forgets_owners(obj)
    try:
        unknown = own.clean(obj)
    except TypeMismatch as error:
        raise cannot_be_handled(kind, want, str(error)) from None
    obj = settled(obj)
    if forgets:
        obj["metadata"]["managedFields"] = []
    problems: list[str] = []
    if field_validation != IGNORE:
        if duplicates:
            problems.append(YamlDuplicates.text(duplicates))
        problems += [f"unknown field {quoted(path)}" for path in unknown]
    obj, warnings = _accepted(obj, kind, want, problems, field_validation)
    return obj, _by_line(warnings)


def _by_line(warnings: list[str]) -> list[str]:
    """YAML's one message of several lines is one warning for each line."""
    lines = []
    for warning in warnings:
        lines += YamlDuplicates.lines(warning)
    return lines


def _object(value: Any, body: bytes, want: GroupVersionKind) -> tuple[Object, GroupVersionKind]:
    """The object and the kind that it says it is, filled up from what is expected."""
    if value is None:
        value = {}
    if not isinstance(value, dict):
        word = {str: "string", bool: "bool", list: "array"}.get(type(value), "number")
        problem = f"json: cannot unmarshal {word} into Go value of type {_ANONYMOUS}"
        raise unrecognized(body, want, f"couldn't get version/kind; json parse error: {problem}")
    texts = {"apiVersion": "", "kind": ""}
    for name in texts:
        found = value.get(name)
        if found is None:
            continue
        if not isinstance(found, str):
            word = {bool: "bool", list: "array", dict: "object"}.get(type(found), "number")
            problem = f"json: cannot unmarshal {word} into Go struct field .{name} of type string"
            raise unrecognized(body, want, f"couldn't get version/kind; json parse error: {problem}")
        texts[name] = found
    if texts["apiVersion"].count("/") > 1:
        raise unrecognized(body, want, f"unexpected GroupVersion string: {texts['apiVersion']}")
    kind = GroupVersionKind.of(texts["apiVersion"], texts["kind"])
    if not kind.kind:
        kind = kind._replace(kind=want.kind)
    if not kind.version and not kind.group:
        kind = kind._replace(group=want.group, version=want.version)
    if not kind.version and kind.group == want.group:
        kind = kind._replace(version=want.version)
    return value, kind


def _node_of(kind: GroupVersionKind, node: Node, want: GroupVersionKind) -> Node:
    """The schema of the kind that the body says it is."""
    if kind == want:
        return node
    definition = definitions_by_kind().get(kind)
    if definition is None:
        group_version = f"{kind.group}/{kind.version}" if kind.group else kind.version
        scheme = _SCHEMES.get(want.group, _SCHEME)
        problem = f"no kind {quoted(kind.kind)} is registered for version {quoted(group_version)} in scheme {quoted(scheme)}"
        raise cannot_be_handled(kind, want, problem)
    return load().node(definition)


def _accepted(
    obj: Object, kind: GroupVersionKind, want: GroupVersionKind, problems: list[str], field_validation: str
) -> tuple[Object, list[str]]:
    if kind[::2] != want[::2]:
        internal = want.group.partition(".")[0] or "core"
        problem = f"converting ({kind.version}.{kind.kind}) to ({internal}.{want.kind}): unknown conversion"
        raise cannot_be_handled(kind, want, problem)
    if problems and field_validation == STRICT:
        raise cannot_be_handled(kind, want, f"strict decoding error: {', '.join(problems)}")
    if kind != want:
        message = (
            f"the API version in the data ({kind.api_version}) does not match the expected API version "
            f"({want.api_version})"
        )
        raise status.bad_request(message)
    obj["apiVersion"] = want.api_version
    obj["kind"] = want.kind
    return obj, problems


def cannot_be_handled(kind: GroupVersionKind, want: GroupVersionKind, problem: str) -> status.ApiError:
    """400: the body says what it is and is not that, or not what the route takes."""
    return status.bad_request(
        f"{kind.kind} in version {quoted(kind.version)} cannot be handled as a {want.kind}: {problem}"
    )


def unrecognized(body: bytes, want: GroupVersionKind, problem: str) -> status.ApiError:
    """400: what the body is cannot be told."""
    if not body:
        summary = "<empty>"
    else:
        shown = body[:SUMMARY_BYTES_MAX]
        summary = shown.decode("utf-8", "replace") if body[:1] == b"{" else shown.hex()
        if len(body) > SUMMARY_BYTES_MAX:
            summary += " ..."
    return status.bad_request(
        f"the object provided is unrecognized (must be of type {want.kind}): {problem} ({summary})"
    )
