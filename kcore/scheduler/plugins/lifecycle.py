"""Users' plugins around a decision: classes whose methods are asked before a pod is queued, and on its way to its node.

:func:`kcore.scheduler.plugins.contract.plugin` registers a class; the scheduler online makes one object of it for each
profile that names it. Source: staging kube-scheduler/framework/interface.go of Kubernetes 1.36.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from kcore.api.errors import InputError

METHODS = {
    "pre_enqueue": "preEnqueue",
    "sort_key": "queueSort",
    "reserve": "reserve",
    "unreserve": "reserve",
    "permit": "permit",
    "pre_bind": "preBind",
    "post_bind": "postBind",
}
"""The method that makes a class a plugin at a point."""
PLAIN = ("pre_enqueue", "sort_key", "concerns")
"""Methods that may not be async: they are asked for many pods at once."""
_ERROR_CHARS_MAX = 300


class Reject(NamedTuple):
    """The pod may not be queued, or may not go to that node, for this reason; no error, but what a filter would say."""

    reason: str


class Wait(NamedTuple):
    """A permit is not given yet: whoever gives it does so within that time, or the pod is rejected."""

    seconds: float


Answer = Reject | Wait | None


@dataclass(frozen=True, slots=True)
class CyclePlugin:
    """A user's class, at all its points."""

    name: str
    function: type[Any]
    points: frozenset[str]
    parameters: tuple[tuple[str, Any], ...]
    required: frozenset[str]
    takes_scheduler: bool
    events: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, kind: type[Any], events: Collection[str]) -> CyclePlugin:
        """What the class declares. ValueError where it is no plugin."""
        points = frozenset(point for method, point in METHODS.items() if hasattr(kind, method))
        if not points:
            raise ValueError(f"{name} has none of the methods {', '.join(METHODS)}")
        for method in PLAIN:
            if inspect.iscoroutinefunction(getattr(kind, method, None)):
                raise ValueError(f"{name}.{method} cannot be async")
        takes_scheduler, parameters, required = False, [], set()
        signature = inspect.signature(kind) if kind.__init__ is not object.__init__ else inspect.Signature()
        for place, one in enumerate(signature.parameters.values()):
            if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
                raise ValueError(
                    f"{name} cannot take *args or **kwargs: its parameters are those of pluginConfig"
                )
            if place == 0 and one.name == "scheduler":
                takes_scheduler = True
                continue
            parameters.append((one.name, None if one.default is one.empty else one.default))
            if one.default is one.empty:
                required.add(one.name)
        return cls(name, kind, points, tuple(parameters), frozenset(required), takes_scheduler, tuple(events))

    def made(self, scheduler: Any, args: Any, others: Collection[str] = ()) -> Any:
        """One object of the class, for ``pluginConfig`` arguments (a mapping or None).

        ``others`` are parameters of filters and scores of the same name.

        Raises:
            InputError: an argument that is not declared, is missing or is of the wrong kind; or the class fails.
        """
        given = {key: value for key, value in (args or {}).items() if key not in ("apiVersion", "kind")}
        known = dict(self.parameters)
        for key, value in given.items():
            field = f"pluginConfig[name={self.name}].args.{key}"
            if key not in known and key not in others:
                names = ", ".join(sorted({*known, *others})) or "none"
                raise InputError(
                    f"{self.name} has no parameter {key!r}", field=field, expected=f"one of: {names}"
                )
            if key in known:
                _check_kind(field, value, known[key])
        for key in sorted(self.required - given.keys()):
            raise InputError(
                "is missing", field=f"pluginConfig[name={self.name}].args.{key}", expected="a value"
            )
        own = {key: value for key, value in given.items() if key in known}
        try:
            return self.function(scheduler, **own) if self.takes_scheduler else self.function(**own)
        except Exception as error:
            text = " ".join(str(error).split())[:_ERROR_CHARS_MAX]
            raise InputError(
                f"failed with {type(error).__name__}: {text}", field=f"plugin {self.name}"
            ) from error


def _check_kind(field: str, value: Any, default: Any) -> None:
    """Raises where the value is not of the default's kind; a default of None takes everything."""
    for kinds, words in (((bool,), "true or false"), ((int, float), "a number"), ((str,), "a text"), ((list, tuple), "a list"),
                         ((dict,), "a mapping")):  # fmt: skip
        if isinstance(default, kinds):
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise InputError(f"{value!r} is not {words}", field=field, expected=words)
            return
