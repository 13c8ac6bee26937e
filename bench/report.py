"""A table of figures: ``python -m bench.report [--save] [FILE...]``, by default of all files in bench/results.

Of several lines of one figure the last counts. ``met`` says whether the best round reaches the target, with
``~`` where the median does not. ``was`` is the median in ``bench/baseline.jsonl`` and ``change`` the ratio of the
medians, above 1 where it is better now; ``--save`` makes the figures the new baseline.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.figures import RESULTS, ROOT

HEAD = ("bench", "what", "figure", "target", "met", "min", "median", "max", "rounds", "was", "change")
BASELINE = ROOT / "bench" / "baseline.jsonl"
KEPT = (
    "bench",
    "what",
    "figure",
    "unit",
    "target",
    "more_is_better",
    "median",
    "min",
    "max",
    "run",
    "commit",
)


def lines(files: Iterable[Path]) -> list[dict[str, Any]]:
    """The last line of each figure, in the order in which figures first appear."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for file in files:
        for text in file.read_text(encoding="utf-8").splitlines():
            if text.strip():
                line = json.loads(text)
                found[line.get("bench"), line.get("what")] = line
    return list(found.values())


def number(value: float) -> str:
    """Three digits or more, none after the point where there are three before."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def change(line: dict[str, Any], before: dict[str, Any] | None) -> tuple[str, str]:
    """The median of the baseline, and how much better the figure is now."""
    if before is None or not before["median"] or not line["median"]:
        return "", ""
    ratio = line["median"] / before["median"]
    return number(before["median"]), f"{ratio if line['more_is_better'] else 1 / ratio:.2f}"


def save(found: Sequence[dict[str, Any]], path: Path = BASELINE) -> None:
    """Make the figures the baseline; those that were not measured stay as they are."""
    kept = {(line["bench"], line["what"]): line for line in (lines([path]) if path.exists() else [])}
    for line in found:
        processor = line["machine"]["processor"]
        kept[line["bench"], line["what"]] = {key: line[key] for key in KEPT} | {"processor": processor}
    path.write_text("".join(json.dumps(line) + "\n" for line in kept.values()))


def row(line: dict[str, Any], before: dict[str, Any] | None = None) -> tuple[str, ...]:
    """The cells of one figure."""
    met = ""
    if line["target"] is not None:
        met = "no" if not line["met"] else "yes" if line["met_by_median"] else "yes~"
    sign = (
        ""
        if line["target"] is None
        else (">= " if line["more_is_better"] else "<= ") + number(line["target"])
    )
    spread = (number(line[key]) for key in ("min", "median", "max"))
    return (
        line["bench"], line["what"], f"{number(line['figure'])} {line['unit']}", sign, met, *spread,
        str(len(line["rounds"])), *change(line, before),
    )  # fmt: skip


def table(rows: Sequence[Sequence[str]]) -> str:
    """The rows under the head, columns aligned."""
    every = [HEAD, *rows]
    widths = [max(len(one[column]) for one in every) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(one, widths, strict=True)).rstrip()
        for one in every
    )


def main(arguments: Sequence[str]) -> int:
    """Print the table and where its figures come from; 1 where there are none."""
    files = [Path(one) for one in arguments if one != "--save"] or sorted(RESULTS.glob("*.jsonl"))
    found = [line for line in lines(files) if "bench" in line]
    if not found:
        print("no figures yet: make bench", file=sys.stderr)
        return 1
    before = lines([BASELINE]) if BASELINE.exists() else []
    known = {(line["bench"], line["what"]): line for line in before}
    print(table([row(line, known.get((line["bench"], line["what"]))) for line in found]))
    origins = {(line["commit"], line["dirty"], line["machine"]["processor"]) for line in found}
    for commit, dirty, processor in sorted(origins, key=str):
        print(f"commit {(commit or 'unknown')[:12]}{' with changes' if dirty else ''} on {processor}")
    loads = [line["load_average"] for line in found]
    print(f"load of the machine while measuring: {min(loads):.1f} to {max(loads):.1f}")
    if "--save" in arguments:
        save(found)
        print(f"saved as {BASELINE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
