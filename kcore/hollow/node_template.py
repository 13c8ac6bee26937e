"""Nodes to be registered, made from templates: manifests of nodes, in turn, named and numbered."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from kcore.api.errors import InputError
from kcore.hollow.gotemplate.errors import TemplateError
from kcore.hollow.gotemplate.template import Template, compile_template
from kcore.sources.files import read
from kcore.sources.yaml_text import documents

DIGITS: Final = 6  # of a node's number, as kwokctl's names have
NODES_MAX: Final = 1_000_000
OPENING: Final = b"{{"
PREFIX: Final = "node"
PARTS: Final = ("apiVersion", "kind", "metadata", "spec", "status")  # of a manifest of a node
Object = dict[str, Any]


class NodeTemplate:
    """Where nodes come from. A text with ``{{`` is a Go template, rendered with ``.Name`` and ``.Index`` for each node."""

    def __init__(
        self, templates: Sequence[Object] = (), text: Template | None = None, file: str = ""
    ) -> None:
        self._templates = templates or ({"metadata": {}},)
        self._text = text
        self._file = file

    def check(self, count: int) -> None:
        """InputError where that many nodes cannot be made: there is none, or each has the name of the one before."""
        self._within_limit(count)
        names = [node["metadata"]["name"] for node in self.nodes(min(count, 2))]
        if len(names) > len({*names}):
            raise InputError(
                f"every node is {names[0]!r}", file=self._file, field="metadata.name",
                expected="a name with .Name or .Index in it",
            )  # fmt: skip

    def refused(self, why: str) -> InputError:
        """The error that the server has made of a node."""
        return InputError(f"the server refuses a node: {why}", file=self._file or None)

    def _within_limit(self, count: int) -> None:
        if not 0 <= count <= NODES_MAX:
            raise InputError(f"is {count}", field="--nodes", expected=f"a number from 0 to {NODES_MAX}")

    def nodes(self, count: int) -> Iterator[Object]:
        """That many nodes; InputError where the template makes none."""
        self._within_limit(count)
        for index in range(count):
            if self._text is not None:
                yield self._rendered(index)
                continue
            template = self._templates[index % len(self._templates)]
            metadata = template.get("metadata") or {}
            name = f"{metadata.get('name') or metadata.get('generateName', '').rstrip('-') or PREFIX}-{index:0{DIGITS}}"
            yield _named(template, name)

    def _rendered(self, index: int) -> Object:
        assert self._text is not None
        name = f"{PREFIX}-{index:0{DIGITS}}"
        try:
            text = self._text.render({"Name": name, "Index": index})
        except TemplateError as error:
            raise InputError(str(error), file=self._file) from None
        found = [_checked(each.value, self._file, 1) for each in documents(text.encode(), self._file)]
        if not found:
            raise InputError("makes no node", file=self._file, expected="a manifest of a node")
        node = found[index % len(found)]
        return _named(node, (node.get("metadata") or {}).get("name") or name)


def _named(template: Object, name: str) -> Object:
    metadata = {
        key: value
        for key, value in (template.get("metadata") or {}).items()
        if key in ("labels", "annotations", "finalizers")
    }
    labels = {
        "kubernetes.io/hostname": name,
        **(metadata.pop("labels", None) or {}),
    }
    labels["kubernetes.io/hostname"] = name
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels, **metadata},
        **{part: template[part] for part in ("spec", "status") if template.get(part)},
    }  # fmt: skip


def read_template(path: str) -> NodeTemplate:
    """The template of that file; InputError with file and document where it is none."""
    content = read(path)
    if content.format not in ("yaml", "json"):
        raise InputError(f"is {content.format}", file=path, expected="YAML or JSON")
    if OPENING in content.data:
        try:
            return NodeTemplate((), compile_template(bytes(content.data).decode()), path)
        except (TemplateError, UnicodeDecodeError) as error:
            raise InputError(str(error), file=path, expected="Go's text/template") from None
    found = [
        _checked(each.value, path, number) for number, each in enumerate(documents(content.data, path), 1)
    ]
    if not found:
        raise InputError("holds no node", file=path, expected="a manifest of a node")
    return NodeTemplate(found, None, path)


def _checked(value: Any, file: str, number: int) -> Object:
    place = f"document {number}"
    if not isinstance(value, dict) or value.get("kind") != "Node" or value.get("apiVersion") != "v1":
        raise InputError(
            "is no node", file=file, document=place, field="kind", expected="apiVersion v1, kind Node"
        )
    for part in value:
        if part not in PARTS:
            near = difflib.get_close_matches(str(part), PARTS, 1)
            raise InputError(
                "is no field of a node", file=file, document=place, field=str(part),
                expected=near[0] if near else f"one of {', '.join(PARTS)}",
            )  # fmt: skip
    for part in PARTS[2:]:
        if not isinstance(value.get(part, {}), dict):
            raise InputError("is no object", file=file, document=place, field=part, expected="an object")
    return value
