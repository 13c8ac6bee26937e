"""Where a cluster is and as whom to go there: a kubeconfig, or the account of the pod that this runs in."""

from __future__ import annotations
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Access:
    """See the module (client-go's rest.Config)."""

    server: str


def load(path: str = "", context: str = "") -> Access: ...
def in_cluster() -> Access: ...
def of(config: dict[str, Any], context: str = "", *, file: str = "kubeconfig") -> Access: ...
