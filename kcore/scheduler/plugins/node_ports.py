"""NodePorts: a host port is a ledger row; a pod conflicts with the rows listed in its demand.

Source: plugins/nodeports and HostPortInfo.CheckConflict of Kubernetes 1.36.
"""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.codes import REJECT_PORTS


@kernel
def ports_filter(ports, first, last, ledger, start, verdict):
    """Reject nodes on which a pod holds a conflicting port (``ports.item[first:last]`` are ledger rows).

    ``verdict`` is the slice of the nodes from ``start`` on.
    """
    for index in range(first, last):
        held = ledger[ports.item[index, 0]][start:]
        for node in range(verdict.shape[0]):
            passes = (verdict[node] != 0) | (held[node] == 0)
            verdict[node] = verdict[node] if passes else REJECT_PORTS


@ports_filter.over_arrays("verdict")
def ports_filter_arrays(ports, first, last, ledger, start, verdict):
    """As :func:`ports_filter`."""
    for row in ports.item[first:last, 0].tolist():
        verdict[(verdict == 0) & (ledger[row, start : start + len(verdict)] != 0)] = REJECT_PORTS
