"""What one request asks of the registry, and what the registry answers: the value that goes through the chain.

The door makes an ``Operation`` once the request is authenticated and authorized; registry, admission, audit and
webhooks read it. Source: apiserver pkg/admission/attributes.go and apimachinery pkg/apis/meta/v1 (options).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from kcore.api.rows import Row
from kcore.apiserver.tracing import Trace
from kcore.apiserver.user import APISERVER_USER, UserInfo

Object = dict[str, Any]

CREATE: Final = "CREATE"
UPDATE: Final = "UPDATE"
DELETE: Final = "DELETE"
CONNECT: Final = "CONNECT"

WARNINGS_MAX: Final = 1000  # of one request; how many of them an answer carries, its bytes decide

IGNORE: Final = "Ignore"
WARN: Final = "Warn"
STRICT: Final = "Strict"


@dataclass(slots=True)
class Options:
    """CreateOptions, UpdateOptions and PatchOptions together; DeleteOptions go beside it.

    ``field_manager`` is what the request names; ``user_agent`` stands in for it where it names none.
    """

    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = ""
    force: bool | None = None
    user_agent: str = ""


@dataclass(slots=True)
class Operation:
    """One request for one resource. ``warnings`` is filled on the way and sent as Warning headers.

    ``verb`` is admission's operation at the moment: a PUT that creates becomes CREATE. ``name`` is empty until it
    has been generated. ``may_create`` is asked before an update or an apply creates (None: it may): it returns the
    reason why not, None where the user may. ``delete_options`` is the DeleteOptions of a deletion.
    """

    row: Row
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    verb: str = ""
    user: UserInfo = APISERVER_USER
    options: Options = field(default_factory=Options)
    warnings: list[str] = field(default_factory=list)
    may_create: Callable[[], str | None] | None = None
    delete_options: Object | None = None
    annotations: dict[str, str] = field(default_factory=dict)  # of the audit event
    trace: Trace | None = None  # what admission looks at, where that is to be known

    @property
    def dry_run(self) -> bool:
        """Nothing is stored."""
        return self.options.dry_run

    def warn(self, text: str) -> None:
        """The client is told; each text once, of WARNINGS_MAX."""
        if len(self.warnings) < WARNINGS_MAX and text not in self.warnings:
            self.warnings.append(text)


@dataclass(slots=True)
class Result:
    """The answer: ``body`` is an object as JSON bytes, or a dict that the door encodes."""

    code: int
    body: bytes | Object


class Written(Result):
    """The answer to a write. ``stored`` is the object's stored form, ``revision`` the write's.

    ``body`` is what ``answer`` makes of both, when it is asked for: nobody may ask.
    """

    __slots__ = ("_answer", "revision", "stored")

    def __init__(
        self, code: int, stored: bytes, revision: int, answer: Callable[[bytes, int], bytes]
    ) -> None:
        self.code = code
        self.stored = stored
        self.revision = revision
        self._answer = answer

    @property
    def body(self) -> bytes:  # type: ignore[override]
        """The object as the client gets it."""
        return self._answer(self.stored, self.revision)
