"""STUDY.yaml becomes a Study, read strictly: every field that is unknown, missing or wrong is named.

A study is a product: workloads x policies x parameters x seeds, over one cluster. ``{seed}`` and ``{NAME}`` in the text
of a cluster or workload stand for the seed and the parameter of the run, so that generated inputs can vary too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from kcore import sources, traces
from kcore.api.errors import InputError
from kcore.sources.wrong_type import type_error

Scalar = bool | int | float | str

MODES = ("schedule", "simulate")
SEEDS_MAX = 1_000_000  # of one study; a longer range is a slip of the pen
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
SEED_RANGE = re.compile(r"(\d+)-(\d+)")
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]*)`(?: - at `\$\.?([^`]*)`)?")
_MISSING = re.compile(r"Object missing required field `([^`]*)`(?: - at `\$\.?([^`]*)`)?")
# columns that every run has, which a parameter must not hide
POINT_COLUMNS = ("point", "workload", "policy", "seed", "status", "error")


class Workload(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Pods to be placed: files as ``kcore schedule -f`` reads them, a ``synthetic:`` text, or a trace."""

    name: str
    file: str | list[str] | None = None
    spec: str | None = None
    trace: str | None = None
    form: str = ""
    parameters: dict[str, Scalar] = field(default_factory=dict)


class Policy(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What decides, as ``kcore schedule`` takes it; a plain text ``NAME`` in the file is ``{name: NAME, policy: NAME}``."""

    name: str
    policy: str | None = None
    profile: str | None = None
    config: str | None = None


class _Document(Struct, forbid_unknown_fields=True, kw_only=True):
    """The file as it is written."""

    name: str
    mode: str
    workloads: list[Workload]
    cluster: str | list[str] | None = None
    policies: list[str | Policy] = field(default_factory=lambda: ["default"])
    seeds: int | str | list[int] = 0
    parameters: dict[str, Scalar | list[Scalar]] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)
    plugins: list[str] = field(default_factory=list)


class Study(Struct, kw_only=True, frozen=True):
    """A study that holds together; ``file`` is where it was read, and what relative paths are relative to."""

    file: str
    name: str
    mode: str
    cluster: list[str]
    workloads: list[Workload]
    policies: list[Policy]
    seeds: list[int]
    parameters: dict[str, list[Scalar]]
    tables: list[str]
    plugins: list[str]

    @property
    def placeholders(self) -> set[str]:
        """The names in braces in the texts of the cluster and the workloads."""
        return {name for text in self._texts() for name in PLACEHOLDER.findall(text)}

    def _texts(self) -> Iterator[str]:
        yield from self.cluster
        for one in self.workloads:
            yield from [one.file] if isinstance(one.file, str) else one.file or ()
            yield from filter(None, (one.spec, one.trace))
            yield from (value for value in one.parameters.values() if isinstance(value, str))

    def path(self, text: str) -> str:
        """A path of the file, seen from the working folder; a ``synthetic:`` text as it is."""
        return text if traces.is_spec(text) else os.path.join(os.path.dirname(self.file), text)


_PLACES = {"workloads": Workload, "policies": Policy}


def read_study(path: str | Path) -> Study:
    """The study in a YAML or JSON file.

    Raises:
        InputError: one line that names the file, the field, what is wrong and what would be right.
    """
    file = str(path)
    try:
        value = sources.read_configuration(file)
    except InputError as error:
        if error.expected and error.expected.startswith("one Kube"):
            error.expected = "one study"
        raise
    try:
        return _checked(_decode(value), file)
    except InputError as error:
        raise error.at(file=file) from None


def unknown(problem: str, name: str, known: Collection[str], field_: str) -> InputError:
    """The error for a name that is not known, with the one that was probably meant, or all."""
    close = get_close_matches(name, known, n=1)
    return InputError(
        problem, field=field_, expected=close[0] if close else "one of " + ", ".join(sorted(known))
    )


def _decode(value: dict[str, Any]) -> _Document:
    try:
        return msgspec.convert(value, _Document)
    except msgspec.ValidationError as error:
        message = str(error)
        if match := _UNKNOWN.match(message):
            place = match[2] or ""
            struct = _PLACES.get(place.split("[")[0], _Document)
            where = f"{_indexed(place, value, match[1])}." if place else ""
            raise unknown(
                "is not a field of a study", match[1], struct.__struct_fields__, where + match[1]
            ) from None
        if match := _MISSING.match(message):
            expected = {"mode": " or ".join(MODES), "workloads": "a list"}.get(match[1], "a text")
            raise InputError("is missing", field=_joined(match[2], match[1]), expected=expected) from None
        raise type_error(message, value) from None


def _joined(place: str | None, name: str) -> str:
    return f"{place}.{name}" if place else name


def _indexed(place: str, value: dict[str, Any], name: str) -> str:
    """The path with ``[...]`` made the index of the first item that holds the name."""
    root = place.split("[", maxsplit=1)[0]
    items = value.get(root)
    if "[...]" not in place or not isinstance(items, list):
        return place
    found = next((at for at, item in enumerate(items) if isinstance(item, dict) and name in item), 0)
    return place.replace("[...]", f"[{found}]", 1)


def _checked(given: _Document, file: str) -> Study:
    if not NAME.fullmatch(given.name):
        raise InputError(f"{given.name!r} is no name", field="name", expected="letters, digits and . _ + -")
    if given.mode not in MODES:
        raise InputError(f"{given.mode!r} is not a mode", field="mode", expected=" or ".join(MODES))
    for index, workload in enumerate(given.workloads):
        _check_workload(workload, f"workloads[{index}]", given.mode)
    policies = [_policy(one) for one in given.policies]
    study = Study(
        file=file,
        name=given.name,
        mode=given.mode,
        cluster=[given.cluster] if isinstance(given.cluster, str) else given.cluster or [],
        workloads=given.workloads,
        policies=policies,
        seeds=_seeds(given.seeds),
        parameters={name: _values(name, values) for name, values in given.parameters.items()},
        tables=sorted(set(given.tables)),
        plugins=given.plugins,
    )
    _check_names([one.name for one in study.workloads], "workloads")
    _check_names([one.name for one in policies], "policies")
    _check_placeholders(study)
    for index, policy in enumerate(policies):
        if policy.policy and (policy.profile or policy.config):
            field_ = f"policies[{index}].policy"
            raise InputError("cannot go with profile or config", field=field_, expected="one of them")
    return study


def _policy(given: str | Policy) -> Policy:
    if isinstance(given, Policy):
        return given
    return Policy(name=given, policy=None if given == "default" else given)


def _check_workload(workload: Workload, place: str, mode: str) -> None:
    given = [name for name in ("file", "spec", "trace") if getattr(workload, name)]
    if len(given) != 1:
        problem = f"has {' and '.join(given)}" if given else "says not where its pods come from"
        raise InputError(problem, field=place, expected="one of file, spec and trace")
    if mode == "simulate" and not workload.trace:
        raise InputError(
            "has no times to simulate", field=f"{place}.{given[0]}", expected="trace, or mode: schedule"
        )
    if workload.form and not workload.trace:
        raise InputError("is for traces only", field=f"{place}.form", expected="trace beside it")
    if workload.parameters and workload.file:
        raise InputError("files have none", field=f"{place}.parameters", expected="spec or trace beside it")
    if workload.spec and not traces.is_spec(workload.spec):
        raise InputError(
            f"{workload.spec!r} is no generated workload",
            field=f"{place}.spec",
            expected="synthetic:NAME?...",
        )


def _check_names(names: list[str], field_: str) -> None:
    if not names:
        raise InputError("is empty", field=field_, expected="at least one")
    for index, name in enumerate(names):
        if not name:
            raise InputError("is empty", field=f"{field_}[{index}].name", expected="a text")
        if name in names[:index]:
            raise InputError(
                f"{name!r} is there twice", field=f"{field_}[{index}]", expected="each name once"
            )


def _seeds(given: int | str | list[int]) -> list[int]:
    expected = "a number, a list of numbers, or a range like 42-51"
    if isinstance(given, str):
        match = SEED_RANGE.fullmatch(given.strip())
        if not match or int(match[1]) > int(match[2]):
            raise InputError(f"{given!r} is no range", field="seeds", expected=expected)
        first, last = int(match[1]), int(match[2])
        if last - first >= SEEDS_MAX:
            raise InputError(
                f"{given!r} is more than {SEEDS_MAX:,} seeds", field="seeds", expected="a shorter range"
            )
        return list(range(first, last + 1))
    seeds = [given] if isinstance(given, int) else given
    if not seeds:
        raise InputError("is empty", field="seeds", expected=expected)
    for index, seed in enumerate(seeds):
        if not 0 <= seed < 1 << 63:
            raise InputError(f"{seed} is no seed", field=f"seeds[{index}]", expected="a number of 0 or more")
        if seed in seeds[:index]:
            raise InputError(f"{seed} is there twice", field=f"seeds[{index}]", expected="each seed once")
    return seeds


def _values(name: str, given: Scalar | list[Scalar]) -> list[Scalar]:
    place = f"parameters.{name}"
    if not PARAMETER_NAME.fullmatch(name):
        raise InputError("is no name of a parameter", field=place, expected="letters, digits and _")
    if name in POINT_COLUMNS:
        raise InputError("is a column of every run", field=place, expected="another name")
    values = given if isinstance(given, list) else [given]
    if not values:
        raise InputError("is empty", field=place, expected="at least one value")
    if len({(type(value), value) for value in values}) < len(values):
        raise InputError("holds a value twice", field=place, expected="each value once")
    if any(value != value for value in values):
        raise InputError("holds a value that is no number", field=place, expected="numbers or texts")
    return values


def _check_placeholders(study: Study) -> None:
    known = {"seed", *study.parameters}
    for name in sorted(study.placeholders - known):
        raise InputError(
            f"{{{name}}} stands for nothing",
            expected=f"one of {', '.join(f'{{{one}}}' for one in sorted(known))}",
        )
