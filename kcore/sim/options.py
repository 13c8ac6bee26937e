"""Which parameters a run understands, by mode, and which values each may have."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import NamedTuple

from kcore.api.errors import InputError
from kcore.sim.study import Scalar, Study, unknown

TIME_MS_MAX = 1 << 53  # some 285,000 years; an integer that every reader of Parquet and JSON keeps exact


class Option(NamedTuple):
    """The values that a parameter may have: one of ``choices``, or a number within bounds, or a text."""

    choices: tuple[Scalar, ...] = ()
    kind: type = str
    least: float = 0
    most: float = float("inf")

    @property
    def expected(self) -> str:
        """What would be right, in words."""
        if self.choices:
            return " or ".join(str(choice).lower() for choice in self.choices)
        if self.kind is str:
            return "a text"
        noun = "a whole number" if self.kind is int else "a number"
        return f"{noun} from {self.least:g}" + (f" to {self.most:g}" if self.most != float("inf") else "")

    def allows(self, value: Scalar) -> bool:
        """True where the value is right."""
        if self.choices:
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        if self.kind is str or isinstance(value, str | bool):
            return self.kind is str and isinstance(value, str) and bool(value)
        return (self.kind is float or isinstance(value, int)) and self.least <= value <= self.most


LOAD_MAX = 1000  # times the cluster's capacity
LOAD = {
    "load": Option(kind=float, least=1e-6, most=LOAD_MAX),
    "load_resource": Option(),
    "tie_break": Option(("first", "random")),
    "preemption": Option(("off", "nominate", "evict")),
}
SCHEDULE = {
    **LOAD,
    "shuffle": Option((False, True)),
    "order": Option(("queue", "file")),
    "engine": Option(("auto", "full", "incremental")),
}
SIMULATE = {
    **LOAD,
    "interval_ms": Option(kind=int, least=1, most=TIME_MS_MAX),
    "until_ms": Option(kind=int, least=1, most=TIME_MS_MAX),
}
SCHEDULE_TABLES = ("nodes", "placements")
OWN_ARGUMENTS = (
    "self",
    "cluster",
    "trace",
    "policy",
    "config",
    "profile",
    "seed",
)  # set by the study's other fields


def known_options(mode: str) -> tuple[dict[str, Option | None], bool]:
    """The parameters of a mode, None where any value may do; and whether others are passed on unseen."""
    if mode == "schedule":
        return dict(SCHEDULE), False
    found: dict[str, Option | None] = dict(SIMULATE)
    simulation = import_module("kcore.sim").Simulation
    others = False
    for name, parameter in inspect.signature(simulation).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            others = True
        elif name not in OWN_ARGUMENTS and parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            found.setdefault(name, None)
    return found, others


def check_parameters(study: Study) -> None:
    """InputError for a parameter that neither a run nor a text in braces understands, or for a wrong value."""
    if study.mode == "schedule":
        for index, name in enumerate(study.tables):
            if name not in SCHEDULE_TABLES:
                problem = f"{name!r} is not a table of mode schedule"
                raise unknown(problem, name, SCHEDULE_TABLES, f"tables[{index}]")
    options, others = known_options(study.mode)
    for name, values in study.parameters.items():
        if name not in options:
            if others or name in study.placeholders:
                continue
            known = [*options, *study.placeholders]
            raise unknown(f"is not a parameter of mode {study.mode}", name, known, f"parameters.{name}")
        option = options[name]
        for index, value in enumerate(values):
            if option is not None and not option.allows(value):
                place = f"parameters.{name}[{index}]"
                raise InputError(f"{value!r} is not allowed", field=place, expected=option.expected)


def run_options(study: Study, parameters: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Those of a run's parameters that the run itself understands; the others only fill in texts."""
    options, others = known_options(study.mode)
    return {
        name: value
        for name, value in parameters.items()
        if name in options or (others and name not in study.placeholders)
    }
