"""What an admission plugin is: a name, the operations it handles, what it changes and what it refuses.

Source: apiserver pkg/admission/interfaces.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol

from kcore.api import status
from kcore.api.rows import Row
from kcore.api.status import ApiError
from kcore.apiserver.tracing import Trace
from kcore.apiserver.user import UserInfo

Object = dict[str, Any]
Verb = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]

CREATE: Final = "CREATE"
UPDATE: Final = "UPDATE"
DELETE: Final = "DELETE"
CONNECT: Final = "CONNECT"


class Options(Protocol):
    """What admission reads of the request's options."""

    @property
    def dry_run(self) -> bool: ...


class AdmittedOperation(Protocol):
    """What admission reads of the registry's Operation. ``name`` is empty where it is still to be generated."""

    @property
    def row(self) -> Row: ...
    @property
    def subresource(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def user(self) -> UserInfo: ...
    @property
    def options(self) -> Options: ...
    @property
    def warnings(self) -> list[str]: ...
    @property
    def trace(self) -> Trace | None: ...


class Request(NamedTuple):
    """One operation as a plugin sees it.

    ``obj`` is the new object (of a subresource: its own kind; of a CONNECT: its options), None for a deletion;
    ``old`` the one that is, None for a creation. A plugin changes ``obj`` in place, and only in ``mutate``.
    """

    verb: str
    op: AdmittedOperation
    obj: Object | None
    old: Object | None
    now: str  # RFC 3339

    @property
    def dry_run(self) -> bool:
        """True where nothing will be stored."""
        return bool(self.op.options.dry_run)


Step = Callable[[Request], Awaitable[None] | None]


@dataclass(frozen=True, slots=True)
class Plugin:
    """``resources``: what it handles, as (group, plural) with ``("", "*")`` for all; ``verbs`` likewise.

    ``mutate`` and ``validate`` raise ApiError; either may be a plain function or one that returns an awaitable.
    ``traceable``: what they do to a new object follows from it (its name aside), from the user, and from what they ask
    of the view and of chance, unless they return an awaitable. Whoever asks an authorizer, say, or the clock is not.
    """

    name: str
    verbs: frozenset[str]
    resources: frozenset[tuple[str, str]]
    subresources: frozenset[str] = frozenset({""})
    mutate: Step | None = None
    validate: Step | None = None
    traceable: bool = False
    # Subresources on whose updates ``mutate`` replaces what it changes, and changes no value below the metadata in place:
    # the object may share those with the one that is there.
    keeps_shared: frozenset[str] = frozenset()


ALL: Final = frozenset({("*", "*")})
EVERY_SUBRESOURCE: Final = frozenset({"*"})


def refused(request: Request, why: str) -> ApiError:
    """403 in the words of admission; the object's name, or what it will be generated from, stands in it."""
    op = request.op
    name = op.name
    if not name:
        metadata = (request.obj or {}).get("metadata") or {}
        name = metadata.get("name") or metadata.get("generateName") or "Unknown"
    return status.forbidden(op.row.group, op.row.plural, name, why)
