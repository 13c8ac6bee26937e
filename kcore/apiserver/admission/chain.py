"""The admission chain: for each kind of operation the steps that concern it, found once.

Source: pkg/kubeapiserver/options/plugins.go and apiserver pkg/admission/chain.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kcore.apiserver.admission.contract import (
    CONNECT,
    CREATE,
    DELETE,
    UPDATE,
    AdmittedOperation,
    Object,
    Plugin,
    Request,
    Step,
)
from kcore.apiserver.tracing import Tracing


class Steps(NamedTuple):
    """Of one kind of operation, in both phases."""

    mutate: tuple[Step, ...]
    validate: tuple[Step, ...]
    traceable: bool


class Admission:
    """``mutate`` before, ``validate`` after the strategy has prepared the object; plugins in the order given."""

    def __init__(self, plugins: Sequence[Plugin], tracing: Tracing | None = None) -> None:
        self._plugins = tuple(plugins)
        self._steps: dict[tuple[str, str, str, str], Steps] = {}
        self._tracing = tracing or Tracing()
        self._keeping: dict[tuple[str, str, str], bool] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The plugins that are on, in order."""
        return tuple(plugin.name for plugin in self._plugins)

    def keeps_shared(self, op: AdmittedOperation) -> bool:
        """True where mutating an update replaces what it changes, and changes no value in place below the metadata."""
        key = (op.row.group, op.row.plural, op.subresource)
        found = self._keeping.get(key)
        if found is None:
            mutating = [plugin for plugin in self._concerned(UPDATE, *key) if plugin.mutate is not None]
            found = self._keeping[key] = all(
                "*" in plugin.keeps_shared or op.subresource in plugin.keeps_shared for plugin in mutating
            )
        return found

    async def mutate(
        self, op: AdmittedOperation, obj: Object | None, old: Object | None, *, now: str = ""
    ) -> None:
        """``obj`` is as the mutating plugins make it; ApiError where one refuses.

        A creation has no ``old``, a deletion no ``obj``.
        """
        await self._run(0, op, obj, old, now)

    async def validate(
        self, op: AdmittedOperation, obj: Object | None, old: Object | None, *, now: str = ""
    ) -> None:
        """ApiError where a validating plugin refuses; nothing is changed."""
        await self._run(1, op, obj, old, now)

    async def connect(self, op: AdmittedOperation, options: Object | None, *, now: str = "") -> None:
        """Both phases of a connection (exec, attach, portforward, proxy)."""
        for phase in (0, 1):
            await self._run(phase, op, options, None, now, CONNECT)

    async def _run(
        self,
        phase: int,
        op: AdmittedOperation,
        obj: Object | None,
        old: Object | None,
        now: str,
        verb: str = "",
    ) -> None:
        verb = verb or (DELETE if obj is None else CREATE if old is None else UPDATE)
        row = op.row
        key = (verb, row.group, row.plural, op.subresource)
        steps = self._steps.get(key) or self._found(key)
        trace = op.trace
        if trace is not None and not steps.traceable:
            trace.follows = False
        concerned = steps.validate if phase else steps.mutate
        if concerned:
            request = Request(verb, op, obj, old, now)
            tracing = self._tracing
            for step in concerned:
                tracing.trace = trace
                try:
                    waiting = step(request)
                finally:
                    tracing.trace = None
                if waiting is not None:
                    if trace is not None:
                        trace.follows, trace = False, None
                    await waiting

    def _concerned(self, verb: str, group: str, plural: str, subresource: str) -> list[Plugin]:
        return [
            plugin
            for plugin in self._plugins
            if verb in plugin.verbs
            and ((group, plural) in plugin.resources or ("*", "*") in plugin.resources)
            and (subresource in plugin.subresources or "*" in plugin.subresources)
        ]

    def _found(self, key: tuple[str, str, str, str]) -> Steps:
        mine = self._concerned(*key)
        found = Steps(
            tuple(plugin.mutate for plugin in mine if plugin.mutate is not None),
            tuple(plugin.validate for plugin in mine if plugin.validate is not None),
            all(plugin.traceable for plugin in mine),
        )
        self._steps[key] = found
        return found
