"""A stage: for which objects it is, how long they wait, what happens then. Source: kwok stage_types.go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from kcore.hollow.expressions import Condition
from kcore.hollow.gotemplate.template import Template

STRATEGIC: Final = "strategic"
MERGE: Final = "merge"
JSON: Final = "json"
APPLY: Final = "apply"


class ResourceRef(NamedTuple):
    """Of which kind the objects are; ``api_group`` is a group and version as in apiVersion."""

    api_group: str
    kind: str


NODE: Final = ResourceRef("v1", "Node")
POD: Final = ResourceRef("v1", "Pod")


class Event(NamedTuple):
    """An event is recorded."""

    type: str
    reason: str
    message: str


class Finalizers(NamedTuple):
    """The object's finalizers change."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    empty: bool = False


class Delete(NamedTuple):
    """The object is deleted at once."""


class Patch(NamedTuple):
    """The object is patched by what the template yields, below ``root``. ``type`` may be left to the kind."""

    template: Template
    root: str = ""
    subresource: str = ""
    type: str = ""
    user: str = ""


class Apply(NamedTuple):
    """The object that the template yields is created or patched."""

    template: Template
    subresource: str = ""
    type: str = APPLY
    user: str = ""


Step = Event | Finalizers | Delete | Patch | Apply
Value = Callable[[Any], Any]  # of an object: a text, a number, or None where it has none


class Amount(NamedTuple):
    """A number that an object may bring itself: by ``find`` where that yields one, else ``default``."""

    default: int | None = None
    find: Value | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. ``conditions`` must all hold; without a selector a stage is for no object.

    ``weight`` is drawn by where several stages hold; ``delay_ms`` None: at once; ``jitter_ms``: up to that.
    """

    name: str
    resource: ResourceRef
    conditions: tuple[Condition, ...] | None
    weight: Amount
    delay_ms: Amount | None
    jitter_ms: Amount | None
    steps: tuple[Step, ...]
    immediate: bool = False
