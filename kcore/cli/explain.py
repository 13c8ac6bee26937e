"""One explanation (DESIGN's element of ``explanations``) as text: who rejected which node, who scored how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kcore.cli.text import plural, table_lines

SCORED_SHOWN_MAX = 5  # nodes side by side
REJECTED_SHOWN_MAX = 20  # nodes one by one; more are grouped by reason
NODES_NAMED_MAX = 3  # of a group


def explanation_lines(explanation: dict[str, Any], *, wide: bool) -> Iterator[str]:
    """Scores of the best nodes side by side, then the nodes that were rejected, by their first rejecting plugin."""
    verdicts: dict[str, Any] = explanation.get("filter") or {}
    scores: dict[str, Any] = explanation.get("score") or {}
    rejected = {node: verdict for node, verdict in verdicts.items() if verdict}
    feasible = len(verdicts) - len(rejected)
    node, reason = explanation.get("node"), explanation.get("reason")
    outcome = f" on {node}" if node else ""
    where = (
        f"{feasible:,} of {plural(len(verdicts), 'node')} feasible" if verdicts else "not tried on any node"
    )
    yield f"{explanation['namespace']}/{explanation['name']}{outcome}: {where}"
    if reason:
        yield str(reason)
    if scores:
        yield from _score_lines(scores, wide=wide)
    if rejected:
        yield ""
        if wide or len(rejected) <= REJECTED_SHOWN_MAX:
            rows = (
                [node, verdict["plugin"], ", ".join(verdict["reasons"])] for node, verdict in rejected.items()
            )
            yield from table_lines(["NODE", "REJECTED BY", "REASONS"], rows)
        else:
            yield from _grouped_lines(rejected)


def _score_lines(scores: dict[str, Any], *, wide: bool) -> Iterator[str]:
    """Plugins down, nodes across, best first; a cell is raw/normalized/weighted."""
    nodes = sorted(scores, key=lambda node: (-(scores[node].get("total") or 0), node))
    shown = nodes if wide else nodes[:SCORED_SHOWN_MAX]
    plugins = list(dict.fromkeys(plugin for node in shown for plugin in scores[node] if plugin != "total"))
    for start in range(0, len(shown), SCORED_SHOWN_MAX):
        block = shown[start : start + SCORED_SHOWN_MAX]
        rows = [[plugin, *(_cell(scores[node].get(plugin)) for node in block)] for plugin in plugins]
        rows.append(["total", *(str(scores[node].get("total", "-")) for node in block)])
        yield ""
        yield from table_lines(["RAW/NORMALIZED/WEIGHTED", *block], rows)
    if len(nodes) > len(shown):
        yield f"... and {len(nodes) - len(shown):,} more feasible (-o wide shows all)"


def _cell(score: dict[str, Any] | None) -> str:
    if score is None:
        return "-"
    return "/".join(str(score.get(part, "-")) for part in ("raw", "normalized", "weighted"))


def _grouped_lines(rejected: dict[str, Any]) -> Iterator[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for node, verdict in rejected.items():
        groups.setdefault((verdict["plugin"], ", ".join(verdict["reasons"])), []).append(node)
    rows = []
    for (plugin, reasons), nodes in sorted(groups.items(), key=lambda group: -len(group[1])):
        named = ", ".join(nodes[:NODES_NAMED_MAX]) + (", ..." if len(nodes) > NODES_NAMED_MAX else "")
        rows.append([f"{len(nodes):,}", plugin, reasons, named])
    yield from table_lines(["NODES", "REJECTED BY", "REASONS", "SUCH AS"], rows)
