"""A result as one HTML file that needs nothing else: the picture, the summary, the reasons of what did not fit."""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING

from kcore.cli.output import summary_lines
from kcore.cli.text import headline, reason_kinds
from kcore.sim.look import PAGE_STYLE

if TYPE_CHECKING:
    from kcore.scheduler.result import Result

REASONS_SHOWN_MAX = 50
PODS_SHOWN_MAX = 500


def page(result: Result, svg: str) -> str:
    """The whole page; texts from the cluster are escaped."""
    title = escape(headline(result.summary))
    picture = svg[svg.index("<svg") :]
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f"<style>{PAGE_STYLE}</style></head><body><h1>{title}</h1>{picture}",
        f"<h2>Summary</h2><pre>{escape(chr(10).join(summary_lines(result.summary)))}</pre>",
        *_failures(result),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _failures(result: Result) -> list[str]:
    import pyarrow.compute as pc

    failed = result.placements.filter(pc.is_null(result.placements["node"]))
    if not len(failed):
        return []
    counts = Counter(map(reason_kinds, failed["reason"].to_pylist()))
    parts = ["<h2>Why pods were not placed</h2><table><tr><th>Pods</th><th>Nodes had</th></tr>"]
    parts += [
        f'<tr><td class="number">{count:,}</td><td>{escape(reason)}</td></tr>'
        for reason, count in counts.most_common(REASONS_SHOWN_MAX)
    ]
    parts.append("</table><h2>Pods that were not placed</h2><table>")
    parts.append("<tr><th>Namespace</th><th>Name</th><th>Reason</th></tr>")
    parts += [
        f"<tr><td>{escape(row['namespace'])}</td><td>{escape(row['name'])}</td>"
        f"<td>{escape(row['reason'] or '')}</td></tr>"
        for row in failed.slice(0, PODS_SHOWN_MAX).to_pylist()
    ]
    parts.append("</table>")
    if len(failed) > PODS_SHOWN_MAX:
        parts.append(f"<p>... and {len(failed) - PODS_SHOWN_MAX:,} more</p>")
    return parts
