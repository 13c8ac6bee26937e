"""NodePorts: a host port is a ledger row; a pod conflicts with the rows listed in its demand.

Source: plugins/nodeports and HostPortInfo.CheckConflict of Kubernetes 1.36.
"""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.codes import REJECT_PORTS


@kernel
def ports_filter(ports, first, last, ledger, start, stop, verdict):
    """Reject nodes on which a pod holds a conflicting port (``ports.item[first:last]`` are ledger rows)."""
    for index in range(first, last):
        row = ports.item[index, 0]
        for node in range(start, stop):
            if (verdict[node] == 0) & (ledger[row, node] > 0):
                verdict[node] = REJECT_PORTS
