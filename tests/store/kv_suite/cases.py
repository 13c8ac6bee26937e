"""All cases by name, and the transcripts that a real etcd gave."""

from __future__ import annotations

from pathlib import Path

from tests.store.kv_suite import (
    cases_history,
    cases_leases,
    cases_ranges,
    cases_txns,
    cases_watches,
    cases_writes,
)
from tests.store.kv_suite.recorder import Case

RECORDED = Path(__file__).parent / "recorded.txt"

CASES: dict[str, Case] = {
    name: case
    for module in (cases_ranges, cases_writes, cases_txns, cases_history, cases_leases, cases_watches)
    for name, case in module.CASES.items()
}


def recorded() -> dict[str, list[str]]:
    """The lines of each case as ``record`` wrote them: under ``== name``, after a first line about their origin."""
    found: dict[str, list[str]] = {}
    for line in RECORDED.read_text().splitlines()[1:]:
        if line.startswith("== "):
            found[line[3:]] = current = []
        elif line:
            current.append(line)
    return found
