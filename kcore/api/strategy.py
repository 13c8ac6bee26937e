"""What a kind does beyond its schema: defaults, what a user may not set, validation, warnings. Pure functions.

Objects are the JSON form as dicts, in the storage version, pruned by the schema and without nulls. A function that
changes its object changes it in place; ``old`` is never changed. The order of a create, as upstream's
``rest.BeforeCreate``: ``default`` (at decoding), mutating admission, ``prepare_for_create``, ``validate``,
``warnings``, ``canonicalize``; of an update ``rest.BeforeUpdate``: ``default``, admission, ``prepare_for_update``,
``validate_update``, ``warnings_on_update``, ``canonicalize``. The registry itself sees to what is the same for all:
name and namespace, generation of names, uid, creationTimestamp, generation where ``counts_generation`` says so,
deletionTimestamp, managedFields, resourceVersion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from kcore.api.field import FieldError

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Context:
    """What a strategy may know of the request. ``now`` is RFC 3339 in UTC, whole seconds."""

    now: str = ""
    namespace: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    dry_run: bool = False
    user_uid: str = ""
    user_extra: Mapping[str, Sequence[str]] = field(default_factory=lambda: MappingProxyType({}))


def nothing(*_: Any) -> None:
    """Changes nothing."""


def always(*_: Any) -> bool:
    """Of every object."""
    return True


def no_errors(*_: Any) -> list[FieldError]:
    """Finds nothing wrong."""
    return []


def no_warnings(*_: Any) -> list[str]:
    """Warns of nothing."""
    return []


class FreeText(NamedTuple):
    """A text of a new object from which nothing follows.

    It stands ``at`` a dotted path of one or two members, and one that is not empty and of that ``form``
    (``kcore_native.cacher.naming``) is ``stored`` as it is at that path of the stored version. It is looked at by nothing
    else: whether the object is right, what else stands in it and who owns what is the same with any other such text.
    """

    at: str
    form: int
    stored: str


@dataclass(frozen=True, slots=True)
class UpdateStrategy:
    """How a subresource that is written like its object (status, resize, approval, finalize) is updated."""

    prepare_for_update: Callable[[Object, Object, Context], None] = nothing  # obj, old
    validate_update: Callable[[Object, Object, Context], list[FieldError]] = no_errors
    warnings_on_update: Callable[[Object, Object, Context], list[str]] = no_warnings
    reset_fields: tuple[
        str, ...
    ] = ()  # dotted paths that it takes back to ``old``: nobody owns them through it


@dataclass(frozen=True, slots=True)
class Strategy:
    """See the module. ``reset_fields``: dotted paths that create and update of the main resource drop."""

    default: Callable[[Object], None] = nothing
    prepare_for_create: Callable[[Object, Context], None] = nothing
    validate: Callable[[Object, Context], list[FieldError]] = no_errors
    warnings: Callable[[Object, Context], list[str]] = no_warnings
    prepare_for_update: Callable[[Object, Object, Context], None] = nothing
    validate_update: Callable[[Object, Object, Context], list[FieldError]] = no_errors
    warnings_on_update: Callable[[Object, Object, Context], list[str]] = no_warnings
    canonicalize: Callable[[Object], None] = nothing
    reset_fields: tuple[str, ...] = ()
    allow_create_on_update: bool = False
    allow_unconditional_update: bool = True
    subresources: Mapping[str, UpdateStrategy] = field(default_factory=lambda: MappingProxyType({}))
    # the grace in seconds that a deletion gets (object, asked for or None), None: deleted at once
    grace_seconds: Callable[[Object, int | None], int | None] | None = None
    # "orphan" where deletion without a policy leaves dependents ("" otherwise: background)
    default_propagation: str = ""
    # whether nothing of this object follows from its name, as long as that is a DNS label, but what is equal to it or to
    # its uid: another of the same template comes out alike. None: it has not been looked into, or never so
    only_named: Callable[[Object], bool] | None = None
    # Texts beside the name of which that is true, too; for ``metadata.name`` itself the form that it may have in place of
    # a label's.
    free_texts: tuple[FreeText, ...] = ()
    # Subresources ("" the object itself) through which an update does nothing with times (of now, too), addresses of
    # hosts, uids, ids of containers, the object's name and its node's but to move them, to ask which are equal, and to
    # order times and addresses: what it does to one object it does to any with other such values in the same order.
    moves_values: frozenset[str] = frozenset()
    # Members that a new object may have from the old one as they are (the same dict): after ``default_changed`` nothing
    # here changes such a member in place, though it may put another in its stead.
    shares: tuple[str, ...] = ()
    default_changed: Callable[[Object, Object], None] | None = (
        None  # obj, old: ``default`` of what is not shared
    )
    # converts an object of another served version of this kind to and from the storage version, in place
    convert: Callable[[Object, str], None] | None = None  # object, api version wanted


PLAIN: Final = Strategy()
