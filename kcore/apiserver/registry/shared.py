"""What a write does not change is taken over: as the same dicts from the object that was there, as bytes into the store.

An object that is read for a write is as ``stored_form.decode`` makes it, but equal ``fieldsV1`` are one dict, which is
decoded once and never changed. Where a member of the new object is the old one's own (``is``, not ``==``), nobody has
touched it: its bytes are copied. Of a pod that ran for a while managed fields are half, and a patch of its metadata or
its status encodes a tenth.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

from orjson import Fragment

from kcore.apiserver.operation import Object
from kcore.apiserver.registry.stored_form import NULL, decode, dumps, loads
from kcore.apiserver.registry.stored_form import encode as encode_whole
from kcore_native.cacher.members import metadata_end, spans, without_fields

FIELD_SETS_MAX: Final = 256  # of one resource; more begin anew
FIELD_SET_BYTES_MAX: Final = 8 << 10  # larger ones are decoded each time
SEEN_MAX: Final = 4096  # sets that were met once; more begin anew
FIELDS: Final = "fieldsV1"
HEAD: Final = ("apiVersion", "kind", "metadata")
ALL_BUT_METADATA: Final = (
    "*",
)  # what is kept: the object has the same members, and all behind its metadata are as they were
NOTHING: Final[Mapping[str, Object]] = MappingProxyType({})


class FieldSets:
    """``fieldsV1`` of stored objects that were met twice: one that names an address is met once.

    Invariant: nobody changes what ``of`` returned.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Object] = {}
        self._raw: dict[int, bytes] = {}  # by identity, which the dict above keeps alive
        self._seen: set[int] = set()

    def of(self, raw: bytes, *, comes_again: bool = False) -> Object:
        """The set that the bytes are."""
        found = self._known.get(raw)
        if found is None:
            found = loads(raw)
            if len(raw) <= FIELD_SET_BYTES_MAX and (comes_again or self._is_met_again(hash(raw))):
                if len(self._known) >= FIELD_SETS_MAX:
                    self._known.clear()
                    self._raw.clear()
                self._known[raw] = found
                self._raw[id(found)] = raw
        return found

    def _is_met_again(self, number: int) -> bool:
        if number in self._seen:
            return True
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen.add(number)
        return False

    def raw(self, fields: Any) -> bytes | None:
        """The bytes of a set that came from here; None for any other."""
        return self._raw.get(id(fields))

    def spliced(self, entries: list[Object]) -> list[Object]:
        """The entries of managedFields for the encoder."""
        made = []
        for entry in entries:
            raw = self._raw.get(id(entry.get(FIELDS)))
            made.append(entry if raw is None else {**entry, FIELDS: Fragment(raw)})
        return made


def read(data: bytes, revision: int, node: Any, known: FieldSets, *, is_going: bool = False) -> Object:
    """The stored object with its resourceVersion, for a write: to be changed no deeper than its own metadata.

    ``is_going``: it is deleted, and nobody looks into its field sets: they are their bytes.
    """
    cut = without_fields(data)
    if cut is None:
        return decode(data, revision, node)
    text, raws = cut
    obj: Object = loads(text)
    metadata = obj["metadata"]
    at = 0
    for entry in metadata["managedFields"]:
        if FIELDS in entry:
            entry[FIELDS] = Fragment(raws[at]) if is_going else known.of(raws[at])
            at += 1
    if node is not None and NULL in text:
        node.drop_nulls(obj)
    metadata["resourceVersion"] = str(revision)
    return obj


def encode(
    obj: Object,
    kept: Collection[str],
    data: bytes,
    api_version: str,
    kind: str,
    node: Any,
    known: FieldSets,
    added: Mapping[str, Object] = NOTHING,
) -> bytes:
    """The stored form of a changed object, whose members ``kept`` are as in ``data``; it loses its resourceVersion.

    ``added``: what such a member has beyond, the new fields of an object at its end.
    """
    metadata = obj["metadata"]
    if kept is ALL_BUT_METADATA:
        end = metadata_end(data)
        if end < 0:
            return encode_whole(obj, api_version, kind, node)
        metadata.pop("resourceVersion", None)
        if node is not None:
            node.write_nulls({"metadata": metadata})
        if entries := metadata.get("managedFields"):
            metadata = {**metadata, "managedFields": known.spliced(entries)}
        return dumps({"apiVersion": api_version, "kind": kind, "metadata": metadata})[:-1] + data[end:]
    places = spans(data) if kept else {}
    if places is None or any(name not in places for name in kept):
        return encode_whole(obj, api_version, kind, node)
    metadata.pop("resourceVersion", None)
    changed = {name: value for name, value in obj.items() if name not in kept}
    if node is not None:
        node.write_nulls(changed)
    if entries := metadata.get("managedFields"):
        metadata = {**metadata, "managedFields": known.spliced(entries)}
    head = {"apiVersion": api_version, "kind": kind, "metadata": metadata}
    taken = {name: Fragment(data[slice(*places[name])]) for name in kept}
    for name, more in added.items():
        start, end = places[name]
        old, new = data[start : end - 1], dumps(more)
        taken[name] = Fragment(old + (b"," if len(old) > 1 else b"") + new[1:])
    return dumps({**head, **dict.fromkeys(obj), **changed, **taken, **head})


def kept_members(obj: Object, old: Object, shares: Collection[str]) -> list[str]:
    """Those of ``shares`` that are the old object's own."""
    return [name for name in shares if name in obj and name in old and obj[name] is old[name]]


def kept_of(obj: Object, old: Object, shares: Collection[str]) -> Collection[str]:
    """The same for ``encode``."""
    kept = kept_members(obj, old, shares)
    whole = bool(kept) and len(obj) == len(old) == len(kept) + len(HEAD) and all(name in obj for name in HEAD)
    return ALL_BUT_METADATA if whole else kept
