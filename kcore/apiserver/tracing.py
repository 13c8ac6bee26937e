"""What admission looked at while it judged one object: as long as that is the same, so is the verdict.

Plugins see the cluster through a ``TracedView`` and take chance from ``Tracing.suffix``. The chain says for which
operation, while one of its steps runs; nobody else runs meanwhile, as a step that waits is not traced any further.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kcore.apiserver.view import Object, View


class Read(NamedTuple):
    """One question to the view, and its answer."""

    method: str
    arguments: tuple[str, ...]
    answer: Any

    def holds(self, view: View) -> bool:
        """The view would answer the same: the very objects, or the same revision or labels."""
        found = getattr(view, self.method)(*self.arguments)
        if self.method == "list":
            return len(found) == len(self.answer) and all(map(_is, found, self.answer))
        return found is self.answer or (self.method in ("revision", "labels") and found == self.answer)


def _is(one: object, other: object) -> bool:
    return one is other


@dataclass(slots=True)
class Trace:
    """Of one operation. ``follows``: the verdict follows from the object, ``reads`` and ``drawn`` alone."""

    follows: bool = True
    reads: list[Read] = field(default_factory=list)
    drawn: list[str] = field(default_factory=list)


class Tracing:
    """``trace`` is that of the operation of which a step runs; None: none is traced."""

    def __init__(self) -> None:
        self.trace: Trace | None = None

    def suffix(self, draw: Callable[[], str]) -> Callable[[], str]:
        """``draw``, noted."""

        def drawn() -> str:
            made = draw()
            if self.trace is not None:
                self.trace.drawn.append(made)
            return made

        return drawn


class TracedView:
    """The view, whose answers are noted."""

    def __init__(self, view: View, tracing: Tracing) -> None:
        self._view = view
        self._tracing = tracing
        self.follow = view.follow
        self.live = view.live  # whoever awaits is not traced

    def get(self, group: str, plural: str, namespace: str, name: str) -> Object | None:
        """See ``View``."""
        found = self._view.get(group, plural, namespace, name)
        if self._tracing.trace is not None:
            self._tracing.trace.reads.append(Read("get", (group, plural, namespace, name), found))
        return found

    def list(self, group: str, plural: str, namespace: str = "") -> Sequence[Object]:
        """See ``View``."""
        found = self._view.list(group, plural, namespace)
        if self._tracing.trace is not None:
            self._tracing.trace.reads.append(Read("list", (group, plural, namespace), found))
        return found

    def labels(
        self, group: str, plural: str, namespace: str, name: str, *keys: str
    ) -> tuple[str | None, ...]:
        """See ``View``."""
        found = self._view.labels(group, plural, namespace, name, *keys)
        if self._tracing.trace is not None:
            self._tracing.trace.reads.append(Read("labels", (group, plural, namespace, name, *keys), found))
        return found

    def revision(self, group: str, plural: str) -> int:
        """See ``View``."""
        found = self._view.revision(group, plural)
        if self._tracing.trace is not None:
            self._tracing.trace.reads.append(Read("revision", (group, plural), found))
        return found
