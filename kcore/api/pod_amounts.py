"""What the containers of a pod ask for together: one rule for the API server's dicts and the scheduler's structs.

Source, Kubernetes 1.36: component-helpers/resource/helpers.go (AggregateContainerRequests).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kcore.api.quantity import parse_quantity

Amounts = Mapping[str, Any]

DEFAULT_SCHEDULER = "default-scheduler"


def aggregate(
    containers: Iterable[Amounts | None], init_containers: Iterable[tuple[Amounts | None, bool]]
) -> dict[str, int]:
    """What containers ask for together, in nano-units: their sum, or the largest init step with its sidecars.

    The second of each pair says that the init container goes on beside the others (a sidecar).
    """
    total: dict[str, int] = {}
    for amounts in containers:
        for name, amount in (amounts or {}).items():
            total[name] = total.get(name, 0) + parse_quantity(amount)
    sidecars: dict[str, int] = {}
    steps: dict[str, int] = {}
    for amounts, goes_on in init_containers:
        wanted = {name: parse_quantity(amount) for name, amount in (amounts or {}).items()}
        if goes_on:
            for name, nanos in wanted.items():
                total[name] = total.get(name, 0) + nanos
                sidecars[name] = sidecars.get(name, 0) + nanos
            wanted = sidecars
        else:
            wanted = {
                name: wanted.get(name, 0) + sidecars.get(name, 0) for name in wanted.keys() | sidecars.keys()
            }
        for name, nanos in wanted.items():
            steps[name] = max(steps.get(name, 0), nanos)
    return {name: max(total.get(name, 0), steps.get(name, 0)) for name in total.keys() | steps.keys()}
