"""The owned fields of an update, remembered for those that are alike: what a kubelet says of one pod it says of the next.

What an update makes of managed fields follows from who owned what, who writes, and which fields the objects differ in.
All three are compared by their bytes, which are at hand: the sets come from ``shared.FieldSets``. Only times are new.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from kcore.api.apply.entries import UPDATE_MANAGERS_MAX, order_of_entry
from kcore.apiserver.operation import Object
from kcore.apiserver.registry.shared import FIELDS, SEEN_MAX, FieldSets
from kcore.apiserver.registry.stored_form import dumps
from kcore_native.fieldset.shape import shape_of
from kcore_native.fieldset.walk import Comparison

UNTOLD: Final = "now"  # the time of the entry that an update renews, until its update is remembered
UPDATES_MAX: Final = 256  # of each resource; the oldest is forgotten first
DIFFERENCE_BYTES_MAX: Final = 8 << 10  # larger ones are worked out each time

Key = tuple[Any, ...]


class Made(NamedTuple):
    """An entry as an update leaves it: the place of the one that it was (-1: none), and whether its time is new."""

    entry: Object
    place: int
    is_new: bool


class Updates:
    """What updates came to, of keys that were met twice: an address in a status makes a key that comes once."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[Made, ...]] = {}
        self._seen: set[int] = set()

    def of(self, key: Key) -> tuple[Made, ...] | None:
        """The entries, None where they are not known."""
        return self._known.get(key)

    def is_met_again(self, key: Key) -> bool:
        """True where the key was asked for before, or one of its hash."""
        number = hash(key)
        if number in self._seen:
            return True
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen.add(number)
        return False

    def put(self, key: Key, made: tuple[Made, ...]) -> None:
        """That is what such an update comes to."""
        if len(self._known) >= UPDATES_MAX:
            del self._known[next(iter(self._known))]
        self._known[key] = made


class Writer(NamedTuple):
    """Who updates, through which version and subresource."""

    manager: str
    api_version: str
    subresource: str


def own_changes_like_before(
    known: Updates,
    sets: FieldSets,
    live: Object,
    new: Object,
    writer: Writer,
    now: str,
    node: Any,
    own: Callable[[str, Comparison | None], None],
) -> None:
    """``new`` has the managed fields that ``own`` (given the time) would give it, as an update of ``live`` by that writer."""
    metadata = new["metadata"]
    before = live["metadata"].get("managedFields")
    given = metadata.get("managedFields")
    if not before or not (given is before or given is None or writer.subresource):
        own(now, None)
        return
    headers = _headers(before, writer.api_version, sets)
    if headers is None:
        own(now, None)
        return
    metadata.pop("managedFields", None)
    try:
        comparison = Comparison(shape_of(node), live, new)
    except ValueError:
        comparison = None
    if given is not None:
        metadata["managedFields"] = given
    difference = b"" if comparison is None else dumps((comparison.changed, comparison.removed))
    key = (writer, difference, headers)
    made = known.of(key) if comparison is not None else None
    if made is not None:
        entries = [_entry(each, before, now) for each in made]
        if len(entries) > 1:
            entries.sort(key=order_of_entry)
        metadata["managedFields"] = entries
        return
    if comparison is None or len(difference) > DIFFERENCE_BYTES_MAX or not known.is_met_again(key):
        own(now, comparison)
        return
    own(UNTOLD, comparison)
    after = metadata.get("managedFields")
    if not after:
        return
    if (told := _told(before, after, sets)) is not None:
        known.put(key, told)
    metadata["managedFields"] = _dated(after, now)


def _dated(entries: list[Object], now: str) -> list[Object]:
    """The entries with that time for one that is yet to be told, in upstream's order."""
    for entry in entries:
        if entry.get("time") == UNTOLD:
            entry["time"] = now
    return sorted(entries, key=order_of_entry) if len(entries) > 1 else entries


def _headers(entries: list[Object], api_version: str, sets: FieldSets) -> tuple[Any, ...] | None:
    """All of the entries but their times; None where they are not to be remembered."""
    if len(entries) >= UPDATE_MANAGERS_MAX:  # then times decide who is merged
        return None
    made: list[Any] = []
    for entry in entries:
        raw = sets.raw(entry.get(FIELDS))
        if raw is None or not entry.get("time") or entry.get("apiVersion") != api_version:
            return None
        made += (
            entry.get("manager"),
            entry.get("operation"),
            entry.get("fieldsType"),
            entry.get("subresource"),
            raw,
        )
    return tuple(made)


def _owner(entry: Object) -> tuple[Any, ...]:
    return entry.get("manager"), entry.get("operation"), entry.get("subresource")


def _entry(made: Made, before: list[Object], now: str) -> Object:
    if made.is_new:
        return {**made.entry, "time": now}
    found = before[made.place]
    return found if found[FIELDS] is made.entry[FIELDS] else {**made.entry, "time": found["time"]}


def _told(before: list[Object], after: list[Object], sets: FieldSets) -> tuple[Made, ...] | None:
    """How the entries came from those before; None where that cannot be told from them."""
    places = {_owner(entry): place for place, entry in enumerate(before)}
    if len(places) != len(before):
        return None
    made = []
    for entry in after:
        place = places.get(_owner(entry), -1)
        is_new = entry.get("time") == UNTOLD
        if not is_new and (place < 0 or entry.get("time") != before[place]["time"]):
            return None
        fields = sets.of(dumps(entry[FIELDS]), comes_again=True)
        if (
            place >= 0
            and not is_new
            and fields is before[place][FIELDS]
            and list(entry.items()) != list(before[place].items())
        ):
            return None
        made.append(Made({**entry, FIELDS: fields}, place, is_new))
    return tuple(made)
