"""managedFields read into owners and written back: identity, times, order.

Source: apimachinery pkg/util/managedfields/internal/managedfields.go and capmanagers.go of Kubernetes 1.36.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from kcore.api.field import quoted
from kcore_native.fieldset import sets

UPDATE_MANAGERS_MAX: Final = 10  # owners by update of one object; the oldest beyond are merged into one
ANCIENT_CHANGES: Final = "ancient-changes"  # the manager they are merged into
FIELDS_V1: Final = "FieldsV1"

FieldSet = dict[str, Any]
Entry = dict[str, Any]


class Owner(NamedTuple):
    """Who writes: ``api_version`` is empty for Apply, whose owner stays the same in every version."""

    manager: str
    operation: str
    api_version: str
    subresource: str

    @property
    def identifier(self) -> str:
        """Upstream's name of it, by which it sorts."""
        named = {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "subresource": self.subresource,
        }
        return orjson.dumps({key: value for key, value in named.items() if value}).decode()


class Owned(NamedTuple):
    """What an owner has: fields as of a version."""

    fields: FieldSet
    api_version: str
    applied: bool


@dataclass(slots=True)
class Managed:
    """All owners of an object, and when each wrote last (no time: not said)."""

    owned: dict[Owner, Owned] = field(default_factory=dict)
    times: dict[Owner, str | None] = field(default_factory=dict)


class BadEntry(ValueError):
    """managedFields are not what they should be."""


def owner(manager: str, operation: str, api_version: str, subresource: str) -> Owner:
    """The identity of a writer; one without a name is ``unknown``."""
    return Owner(manager or "unknown", operation, "" if operation == "Apply" else api_version, subresource)


def decode(entries: list[Entry] | None) -> Managed:
    """The owners that the entries name; BadEntry, in upstream's words, where one is malformed."""
    managed = Managed()
    for index, entry in enumerate(entries or ()):
        operation = entry.get("operation", "")
        if operation not in ("Apply", "Update"):
            raise BadEntry("operation must be `Apply` or `Update`")
        api_version = entry.get("apiVersion", "")
        if not api_version:
            raise BadEntry("apiVersion must not be empty")
        fields_type = entry.get("fieldsType", "")
        if fields_type != FIELDS_V1:
            if not fields_type:
                raise BadEntry(f"missing fieldsType in managed fields entry {index}")
            raise BadEntry(f"invalid fieldsType {quoted(fields_type)} in managed fields entry {index}")
        who = Owner(
            entry.get("manager", ""),
            operation,
            "" if operation == "Apply" else api_version,
            entry.get("subresource", ""),
        )
        try:
            fields = sets.decode(entry.get("fieldsV1") or {})
        except ValueError as error:
            raise BadEntry(f"error decoding versioned set from {entry}: {error}") from error
        managed.owned[who] = Owned(fields, api_version, operation == "Apply")
        managed.times[who] = entry.get("time")
    return managed


def encode(managed: Managed) -> list[Entry]:
    """The entries in upstream's order: operation, time, manager, version, subresource."""
    made = [entry_of(who, owned, managed.times.get(who)) for who, owned in managed.owned.items()]
    if len(made) > 1:
        made.sort(key=order_of_entry)
    return made


def order_of_entry(entry: Entry) -> tuple[str, ...]:
    """Upstream's order of entries."""
    return tuple(
        entry.get(name, "") for name in ("operation", "time", "manager", "apiVersion", "subresource")
    )


def entry_of(who: Owner, owned: Owned, time: str | None) -> Entry:
    """One entry, its members in Go's order."""
    made: Entry = {}
    if who.manager:
        made["manager"] = who.manager
    made["operation"] = "Apply" if owned.applied else who.operation
    made["apiVersion"] = owned.api_version
    if time:
        made["time"] = time
    made["fieldsType"] = FIELDS_V1
    made["fieldsV1"] = sets.ordered(owned.fields)
    if who.subresource:
        made["subresource"] = who.subresource
    return made


def is_reset(entries: list[Entry] | None) -> bool:
    """True where a client asks to forget all owners: by an empty list, or by one empty entry."""
    return entries is not None and (not entries or (len(entries) == 1 and not entries[0]))


def cap_update_managers(managed: Managed) -> None:
    """At most UPDATE_MANAGERS_MAX owners by update are left; the oldest of each version became one."""
    updaters = [who for who, owned in managed.owned.items() if not owned.applied]
    count = len(updaters)
    if count <= UPDATE_MANAGERS_MAX:
        return
    updaters.sort(key=lambda who: (managed.times.get(who) or "", who.identifier))
    first_of: dict[str, Owner] = {}
    joined: dict[Owner, list[sets.Set]] = {}  # what each bucket is to own beside what it owns
    for who in updaters:
        if count <= UPDATE_MANAGERS_MAX:
            break
        owned = managed.owned[who]
        bucket = owner(ANCIENT_CHANGES, "Update", owned.api_version, "")
        first = first_of.get(owned.api_version)
        if first is None:
            first_of[owned.api_version] = who
            continue
        if bucket not in managed.owned:
            managed.owned[bucket] = managed.owned.pop(first)
        joined.setdefault(bucket, []).append(owned.fields)
        if who == bucket:
            del joined[bucket]
        del managed.owned[who]
        count -= 1
        managed.times[bucket] = managed.times.get(who)  # the later of the two
    for bucket, parts in joined.items():
        owned = managed.owned[bucket]
        managed.owned[bucket] = owned._replace(fields=_union([owned.fields, *parts]))


def _union(parts: list[sets.Set]) -> sets.Set:
    """All of them in one, two and two: one after the other costs the square of what a body may bring."""
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        parts = [sets.union(one, other) for one, other in pairs] + parts[len(parts) & ~1 :]
    return parts[0]
