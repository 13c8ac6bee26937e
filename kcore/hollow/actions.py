"""What goes into the core and what comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from kcore.hollow.stage import Event, ResourceRef

Object = dict[str, Any]


class Key(NamedTuple):
    """One object."""

    resource: ResourceRef
    namespace: str
    name: str


def key_of(resource: ResourceRef, obj: Object) -> Key:
    """The object's key."""
    metadata = obj["metadata"]
    return Key(resource, metadata.get("namespace", ""), metadata["name"])


# -- in


class Changed(NamedTuple):
    """The object is there, or is other than it was."""

    resource: ResourceRef
    obj: Object


class Gone(NamedTuple):
    """The object is deleted; this was its last state."""

    resource: ResourceRef
    obj: Object


class Listed(NamedTuple):
    """These are all objects there are of the kind; whatever else was known of it is gone."""

    resource: ResourceRef
    objs: Sequence[Object]


class Done(NamedTuple):
    """All of a ``Play`` was performed. ``obj`` is what the last write of the object itself returned, if there was one."""

    key: Key
    obj: Object | None


class Failed(NamedTuple):
    """The ``Play`` stopped at that send; ``again`` where the same may work later."""

    key: Key
    at: int
    again: bool


Change = Changed | Gone | Listed | Done | Failed


# -- out


class Write(NamedTuple):
    """A patch of the object. ``type`` is strategic, merge or json."""

    body: bytes
    type: str
    subresource: str
    user: str


class Remove(NamedTuple):
    """The object is deleted without grace."""


class Put(NamedTuple):
    """Another object is created, or patched where it is there."""

    obj: Object
    type: str
    subresource: str
    user: str


Send = Event | Write | Remove | Put


class Play(NamedTuple):
    """What is to be sent of one object, one after the other; ``Done`` or ``Failed`` answers it."""

    key: Key
    uid: str
    stage: str
    sends: tuple[Send, ...]


class Renew(NamedTuple):
    """The leases of those nodes are to be renewed, or made. ``uids`` beside the names."""

    names: tuple[str, ...]
    uids: tuple[str, ...]


class ListPods(NamedTuple):
    """A node is simulated from now on, and its pods are not known: they are to come as ``Changed``."""

    node: str


class Refused(NamedTuple):
    """The stage's template could not be played for the object, for that reason."""

    key: Key
    stage: str
    reason: str


Action = Play | Renew | ListPods | Refused
