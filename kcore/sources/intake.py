"""Documents become typed objects by kind, each with the place it came from.

JSON takes a fast way: a whole List is decoded in one pass into a union tagged by kind. Whatever the fast way
does not take (other kinds, nulls, errors) goes the slow way, item by item, which also writes all error messages.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from kcore.api.errors import InputError
from kcore.api.objects import Pod
from kcore.sources import json_text
from kcore.sources.kinds import (
    ADVICE_BY_KEY,
    CLUSTER_SCOPED,
    KIND_BY_KEY,
    KIND_BY_NAME,
    KINDS,
    PASSED_OVER_KEYS,
    Kind,
    api_group,
)
from kcore.sources.wrong_type import noun, type_error

Origin = tuple[str, str]

HEAD_BYTES = 4096  # of a document, in which its list begins or its kind stands
_LIST_START = re.compile(rb'"items"\s*:\s*\[')
_LIST_KIND = re.compile(rb'"kind"\s*:\s*"(\w*)List"')


def _tagged(kind: Kind) -> type[Struct]:
    """The kind's Struct with ``kind`` as its tag and the apiVersion beside its fields."""
    fields = [
        (each.name, each.type, msgspec.field(default_factory=each.default_factory, name=each.encode_name))
        if each.default_factory is not msgspec.NODEFAULT
        else (each.name, each.type, msgspec.field(default=each.default, name=each.encode_name))
        for each in msgspec.structs.fields(kind.type)
    ]
    return msgspec.defstruct(
        kind.name,
        [("api_version", str, ""), *fields],
        tag=kind.name,
        tag_field="kind",
        rename={"api_version": "apiVersion"},
        gc=False,
    )


class Intake:
    """All objects taken in so far, by kind, in file order, with their origins; and what was passed over."""

    def __init__(self) -> None:
        self.objects: dict[str, list[Any]] = {kind.name: [] for kind in KINDS}
        self.origins: dict[str, list[Origin]] = {kind.name: [] for kind in KINDS}
        self.passed_over: dict[str, int] = {}

    def json(self, data: bytes | bytearray, file: str) -> None:
        """Every document of a JSON text is taken in."""
        if self._fast_list(data, file, ""):
            return  # one list, in one pass over the text
        for index, text in enumerate(json_text.documents(data, file)):
            document = f"document {index + 1}" if index or len(text) < len(data.rstrip()) else ""
            if not self._fast_list(text, file, document):
                self._json_document(text, file, document)

    def _json_document(self, text: json_text.Text, file: str, document: str) -> None:
        try:
            head = _HEAD.decode(text)
        except msgspec.ValidationError:
            head = _Head()
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise json_text.malformed(error, bytes(text), 0, file) from None
        if head.items is not None and head.kind.endswith("List") and head.kind != "List":
            item_kind, item_version = head.kind.removesuffix("List"), head.api_version
        else:
            item_kind, item_version = "", ""
        if head.items is not None and head.kind.endswith("List"):
            for index, raw in enumerate(head.items):
                place = f"{document}, items[{index}]" if document else f"items[{index}]"
                self._json_item(raw, file, place, item_kind, item_version)
        else:
            self._json_item(text, file, document, "", "")

    def _json_item(self, raw: Any, file: str, document: str, kind_name: str, api_version: str) -> None:
        """One object of a JSON text is taken in: straight to its type, or through a dict where that fails."""
        try:
            head = _HEAD.decode(raw)
            if not head.kind.endswith("List") and head.kind != "":
                kind = self._kind(head.kind, head.api_version)
                if kind is None:
                    return
                self._add(kind, _DECODERS[kind.name].decode(raw), file, document)
                return
        except InputError as error:
            raise error.at(file=file, document=document) from None
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            pass  # the dict says what is wrong with it
        try:
            value = _ANY.decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise json_text.malformed(error, bytes(raw), 0, file).at(document=document) from None
        self.add(value, file, document, kind_name, api_version)

    def _fast_list(self, text: json_text.Text, file: str, document: str) -> bool:
        """True once a list of known kinds has been taken in whole; False, and nothing taken, otherwise."""
        head = bytes(text[:HEAD_BYTES])
        if _LIST_START.search(head) is None:
            return False
        list_kind = _LIST_KIND.search(head)
        name = list_kind[1].decode() if list_kind is not None else ""
        decoder = _LIST_DECODERS.get(name)
        if decoder is None:
            return False
        try:
            decoded = decoder.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return False
        if name:
            kind = KIND_BY_NAME[name]
            if decoded.kind != f"{name}List" or api_group(decoded.api_version) != kind.group:
                return False
            kinds = [kind] * len(decoded.items)
            items = decoded.items
        else:
            versions = {(type(item), item.api_version) for item in decoded.items}
            if not decoded.kind.endswith("List") or not all(
                not version or api_group(version) == _FIELDS[tagged][0].group for tagged, version in versions
            ):
                return False
            kinds = [_FIELDS[type(item)][0] for item in decoded.items]
            items = [_untagged(item) for item in decoded.items]
        if not all(
            _has_name(kinds[index], item) for index, item in enumerate(items) if not item.metadata.name
        ):
            return False
        prefix = f"{document}, items[" if document else "items["
        for kind in dict.fromkeys(kinds):
            at = [index for index, each in enumerate(kinds) if each is kind]
            self.objects[kind.name] += [items[index] for index in at]
            self.origins[kind.name] += [(file, f"{prefix}{index}]") for index in at]
        return True

    def add(self, value: Any, file: str, document: str, kind_name: str = "", api_version: str = "") -> None:
        """A parsed object, or each item of a parsed list, is taken in; InputError with its place where it is wrong.

        ``kind_name`` and ``api_version`` are those of the list around it, for items that do not say their own.
        """
        try:
            if not isinstance(value, Mapping):
                raise InputError(f"holds {noun(value)}", expected="a mapping with apiVersion and kind")
            name = value.get("kind", kind_name)
            version = value.get("apiVersion", api_version)
            if not isinstance(name, str) or not name:
                raise InputError("has no kind", field="kind", expected="a Kubernetes object")
            if not isinstance(version, str):
                raise InputError("is no text", field="apiVersion", expected="for example v1")
            items = value.get("items")
            if name.endswith("List") and isinstance(items, list | tuple):
                for index, item in enumerate(items):
                    place = f"{document}, items[{index}]" if document else f"items[{index}]"
                    self.add(item, file, place, "" if name == "List" else name.removesuffix("List"), version)
                return
            kind = self._kind(name, version)
            if kind is None:
                return
            self._add(kind, _converted(kind, value), file, document)
        except InputError as error:
            raise error.at(file=file, document=_titled(document, value)) from None
        except RecursionError:
            raise InputError("is nested too deeply", file=file, document=document) from None

    def _kind(self, name: str, api_version: str) -> Kind | None:
        """The row of a kind that is read; None, counted, for one that is passed over; InputError for others."""
        key = (api_group(api_version), name)
        kind = KIND_BY_KEY.get(key)
        if kind is None and not api_version:
            kind = KIND_BY_NAME.get(name)
        if kind is not None:
            return kind
        if key in PASSED_OVER_KEYS:
            self.passed_over[name] = self.passed_over.get(name, 0) + 1
            return None
        if key in ADVICE_BY_KEY:
            raise InputError(f"{name} is not an object of the cluster: {ADVICE_BY_KEY[key]}", field="kind")
        full = f"{api_version} {name}" if api_version else name
        raise InputError(
            f"the kind {full!r} is not known",
            field="kind",
            expected="a kind of Kubernetes 1.36, such as v1 Pod, v1 Node or apps/v1 Deployment",
        )

    def _add(self, kind: Kind, item: Any, file: str, document: str) -> None:
        if not _has_name(kind, item):
            raise InputError(
                f"the {kind.name} has no name",
                field="metadata.name",
                expected="a text",
                file=file,
                document=document,
            )
        self.objects[kind.name].append(item)
        self.origins[kind.name].append((file, document))


def _titled(document: str, value: Any) -> str:
    """The place with the object's kind and name, where it has them."""
    metadata = value.get("metadata") if isinstance(value, Mapping) else None
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not name or not isinstance(name, str):
        return document
    title = f"{value.get('kind') or 'object'} {name}"
    return f"{document[:-1]}, {title})" if document.endswith(")") else f"{document} ({title})".lstrip()


def _has_name(kind: Kind, item: Any) -> bool:
    metadata = item.metadata
    return bool(metadata.name) or (bool(metadata.generate_name) and kind.name not in CLUSTER_SCOPED)


def _untagged(item: Any) -> Struct:
    """The plain Struct of a tagged one."""
    tagged: Any = type(item)
    if tagged is _TAGGED_POD:  # spelled out: this is once per pod
        return Pod(metadata=item.metadata, spec=item.spec, status=item.status)
    kind, names = _FIELDS[tagged]
    return kind.type(**{name: getattr(item, name) for name in names})


def _converted(kind: Kind, value: Mapping[str, Any]) -> Any:
    """The typed object of a mapping; a null counts as absent, as in Go."""
    try:
        return msgspec.convert(value, kind.type)
    except msgspec.ValidationError:
        pass
    cleaned = _without_nulls(value)
    try:
        return msgspec.convert(cleaned, kind.type)
    except msgspec.ValidationError as error:
        raise type_error(str(error), cleaned) from None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(each) for each in value]
    return value


def add_all(intake: Intake, objects: Iterable[Any], file: str) -> None:
    """Every parsed object is taken in, numbered by its place in the iterable."""
    for index, value in enumerate(objects):
        intake.add(value, file, f"object {index + 1}")


class _Head(Struct, rename="camel", gc=False):
    api_version: str = ""
    kind: str = ""
    items: list[msgspec.Raw] | None = None


_TAGGED = {kind.name: _tagged(kind) for kind in KINDS}
_FIELDS = {
    _TAGGED[kind.name]: (kind, tuple(each.name for each in msgspec.structs.fields(kind.type)))
    for kind in KINDS
}
_TAGGED_POD = _TAGGED["Pod"]
_HEAD = msgspec.json.Decoder(_Head)
_ANY = msgspec.json.Decoder()
_DECODERS = {kind.name: msgspec.json.Decoder(kind.type) for kind in KINDS}


def _list_decoder(item: Any) -> msgspec.json.Decoder[Any]:
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        ("api_version", str, ""),
        ("kind", str, ""),
        ("items", list[item]),
    ]
    return msgspec.json.Decoder(msgspec.defstruct("List", fields, rename="camel", gc=False, kw_only=True))


# by the kind that the list's kind names; the empty one is for lists whose items say their own
_LIST_DECODERS = {
    "": _list_decoder(functools.reduce(operator.or_, _TAGGED.values())),
    **{kind.name: _list_decoder(kind.type) for kind in KINDS},
}
