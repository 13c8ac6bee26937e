"""Why the server refuses something, where that matters."""

from __future__ import annotations

from kcore.api.status import ApiError


def is_terminating(error: ApiError) -> bool:
    """The namespace is being deleted: nothing can be created there."""
    causes = (error.details or {}).get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
