"""What a figure shows, taken from a table: means and spreads, distributions, courses over time, shares by node.

Pure arithmetic on the tables that a sweep writes, so that the figures' numbers can be tested without looking.
Rows of failed runs, and rows without the asked value, do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kcore.api.errors import InputError
from kcore.sim.study import unknown

if TYPE_CHECKING:
    import pyarrow as pa

NAMES_SHOWN_MAX = 40  # columns that an error lists
GROUPS_MAX = 30  # more than that nobody can tell apart
ALL = ""  # the label of the only group
UTILISATION = "utilisation:"
TIME_COLUMN = "time_ms"
NODE_COLUMNS = ("name", "node")


class Line(NamedTuple):
    """One group: ``mean`` and ``sd`` (of the sample; nan for one run) over so many ``runs`` at each ``x``, ascending."""

    label: str
    x: list[Any]
    mean: np.ndarray  # float64[x]
    sd: np.ndarray  # float64[x]
    runs: np.ndarray  # int64[x]


class Curve(NamedTuple):
    """One group's distribution: the ``share`` of rows that are at most ``value``, ascending."""

    label: str
    value: np.ndarray  # float64[step]
    share: np.ndarray  # float64[step]
    rows: int


class Grid(NamedTuple):
    """One group's nodes: ``share[resource, node]``, nan where a node lacks the resource; the mean over its runs."""

    label: str
    resources: list[str]
    nodes: list[str]
    share: np.ndarray  # float64[resource, node]
    runs: int


def column(table: pa.Table, name: str, flag: str) -> pa.ChunkedArray:
    """The column; InputError that lists those there are."""
    if name not in table.column_names:
        close = unknown("", name, table.column_names, flag).expected or ""
        listed = ", ".join(table.column_names[:NAMES_SHOWN_MAX])
        listed += ", ..." if table.num_columns > NAMES_SHOWN_MAX else ""
        meant = "" if close.startswith("one of") else f"{close}; there are "
        raise InputError(f"there is no column {name!r}", field=flag, expected=f"{meant}{listed}")
    return table[name]


def numbers(table: pa.Table, name: str, flag: str) -> np.ndarray:
    """The column as ``float64[row]``, nan for null; InputError where it holds no numbers."""
    import pyarrow as pa

    found = column(table, name, flag)
    kind = found.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        usable = ", ".join(numeric_names(table)[:NAMES_SHOWN_MAX])
        raise InputError(f"{name} holds no numbers", field=flag, expected=usable or "a column of numbers")
    if pa.types.is_boolean(kind):
        found = found.cast(pa.int8())
    values: np.ndarray = found.cast(pa.float64()).to_numpy()
    return values


def numeric_names(table: pa.Table) -> list[str]:
    """The columns that hold numbers."""
    import pyarrow as pa

    return [
        field.name
        for field in table.schema
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    ]


def done(table: pa.Table) -> pa.Table:
    """The table without failed runs."""
    import pyarrow.compute as pc

    return table.filter(pc.equal(table["status"], "done")) if "status" in table.column_names else table


def where(table: pa.Table, conditions: Sequence[tuple[str, str]]) -> pa.Table:
    """The rows in which each column has one of the texts or numbers asked for; conditions on one column add up.

    Raises:
        InputError: no such column, or nothing is left.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted: dict[str, list[str]] = {}
    for name, text in conditions:
        wanted.setdefault(name, []).append(text)
    for name, texts in wanted.items():
        found = column(table, name, "--where")
        try:
            allowed = pa.array(texts, pa.string()).cast(found.type)
        except pa.ArrowInvalid:
            raise InputError(
                f"{name} holds {found.type}, not {', '.join(texts)}", field="--where", expected=_some(found)
            ) from None
        left = table.filter(pc.is_in(found, allowed))
        if not len(left):
            raise InputError(
                f"no row has {name}={' or '.join(texts)}", field="--where", expected=_some(found)
            )
        table = left
    return table


def _some(found: pa.ChunkedArray) -> str:
    values = [str(value) for value in found.unique().to_pylist()[: NAMES_SHOWN_MAX + 1]]
    return ", ".join(values[:NAMES_SHOWN_MAX]) + (", ..." if len(values) > NAMES_SHOWN_MAX else "")


def varying(table: pa.Table, but: Sequence[str | None] = ()) -> list[str]:
    """The columns of the point (workload, policy, seed, parameters) with several values, ``but`` those."""
    return [name for name in point_names(table) if name not in but and len(table[name].unique()) > 1]


def point_names(table: pa.Table) -> list[str]:
    """workload, policy, seed and the parameters: in a tidy table, what stands before ``status``."""
    names: list[str] = table.column_names
    found: list[str] = [name for name in ("workload", "policy", "seed") if name in names]
    if "status" in names and "seed" in names:
        found += names[names.index("seed") + 1 : names.index("status")]
    return found


def groups(table: pa.Table, name: str | None) -> list[tuple[str, np.ndarray]]:
    """The groups of the column, in order of appearance, each with a ``bool[row]``; one group without a name."""
    if name is None:
        return [(ALL, np.ones(len(table), dtype=bool))]
    coded = column(table, name, "--group").combine_chunks().dictionary_encode()
    labels = coded.dictionary.to_pylist()
    if len(labels) > GROUPS_MAX:
        raise InputError(
            f"{name} has {len(labels):,} values",
            field="--group",
            expected=f"a column with {GROUPS_MAX} at most",
        )
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return [(str(label), codes == code) for code, label in enumerate(labels)]


def lines(table: pa.Table, x: str, y: str, group: str | None) -> list[Line]:
    """For each group the mean and spread of ``y`` at each value of ``x``.

    Numbers are sorted; texts stay in order of appearance.
    """
    import pyarrow as pa

    values = numbers(table, y, "--y")
    at = column(table, x, "--x").combine_chunks()
    coded = at.dictionary_encode()
    ticks = coded.dictionary.to_pylist()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    if pa.types.is_integer(at.type) or pa.types.is_floating(at.type):
        order = np.argsort(np.array(ticks, dtype=float), kind="stable")
        rank = np.full(len(ticks) + 1, -1, np.int64)  # the last one for null, which has the code -1
        rank[order] = np.arange(len(ticks))
        codes = rank[codes]
        ticks = [ticks[index] for index in order]
    found = []
    for label, mask in groups(table, group):
        usable = mask & (codes >= 0) & ~np.isnan(values)
        there, which = np.unique(codes[usable], return_inverse=True)
        count = np.bincount(which, minlength=len(there))
        mean, sd = mean_and_sd(values[usable], which, count)
        if len(there):
            found.append(Line(label, [ticks[code] for code in there.tolist()], mean, sd, count))
    if not found:
        raise InputError(f"no run has a value of {y}", field="--y", expected=", ".join(numeric_names(table)))
    return found


def mean_and_sd(values: np.ndarray, which: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the sample in each of the classes, ``float64[class]``; nan for one value."""
    mean = np.bincount(which, values, minlength=len(count)) / np.maximum(count, 1)
    apart = np.bincount(which, (values - mean[which]) ** 2, minlength=len(count))
    with np.errstate(invalid="ignore"):
        sd = np.sqrt(apart / np.where(count > 1, count - 1, np.nan))
    return mean, sd


def curves(table: pa.Table, value: str, group: str | None) -> list[Curve]:
    """For each group the share of rows that are at most each of its values."""
    values = numbers(table, value, "--x")
    found = []
    for label, mask in groups(table, group):
        chosen = np.sort(values[mask & ~np.isnan(values)])
        if len(chosen):
            steps, counts = np.unique(chosen, return_counts=True)
            found.append(Curve(label, steps, np.cumsum(counts) / len(chosen), len(chosen)))
    if not found:
        raise InputError(
            f"no row has a value of {value}", field="--x", expected=", ".join(numeric_names(table))
        )
    return found


def utilisation_names(table: pa.Table, flag: str) -> list[str]:
    """The columns ``utilisation:R``; InputError where there is none."""
    names = [name for name in table.column_names if name.startswith(UTILISATION)]
    if not names:
        listed = ", ".join(table.column_names[:NAMES_SHOWN_MAX])
        raise InputError(
            f"there is no column {UTILISATION}RESOURCE, only {listed}",
            field=flag,
            expected="a table of intervals or nodes",
        )
    return names


def grids(table: pa.Table, group: str | None) -> list[Grid]:
    """For each group the share in use of each resource on each node, the mean over the group's runs.

    Nodes are sorted by the mean of their shares, the fullest first.
    """
    names = utilisation_names(table, "KIND")
    node = next((name for name in NODE_COLUMNS if name in table.column_names), None)
    if node is None:
        column(table, NODE_COLUMNS[0], "KIND")
    coded = table[node].combine_chunks().dictionary_encode()
    nodes = coded.dictionary.to_pylist()
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    found = []
    for label, mask in groups(table, group):
        there, which = np.unique(codes[mask], return_inverse=True)
        share = np.full((len(names), len(there)), np.nan)
        for row, name in enumerate(names):
            values = numbers(table, name, "KIND")[mask]
            known = ~np.isnan(values)
            count = np.bincount(which[known], minlength=len(there))
            total = np.bincount(which[known], values[known], minlength=len(there))
            share[row] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        used = np.flatnonzero(~np.isnan(share).all(axis=1))
        share = share[used]
        known = np.maximum(np.isfinite(share).sum(axis=0), 1)
        order = np.argsort(-np.nan_to_num(share).sum(axis=0) / known, kind="stable")
        runs = (
            len(set(table["point"].filter(_mask(mask)).to_pylist())) if "point" in table.column_names else 1
        )
        found.append(
            Grid(
                label,
                [names[row].removeprefix(UTILISATION) for row in used.tolist()],
                [nodes[code] for code in there[order].tolist()],
                share[:, order],
                runs,
            )
        )
    return found


def _mask(mask: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.array(mask)
