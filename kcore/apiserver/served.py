"""Which rows a server serves: all that are built in, less those that ``--runtime-config`` switches off.

Source: apiserver pkg/server/resourceconfig/helpers.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from kcore.api.errors import InputError
from kcore.api.rows import Row

FLAG: Final = "--runtime-config"
WHOLE: Final = frozenset({"api/all", "api/ga", "api/beta", "api/alpha", "api/legacy"})
CORE: Final = "api/v1"  # as upstream's flag names v1, too
EXPECTED: Final = "batch/v1=false or apps/v1/deployments=false"


def served(
    rows: Iterable[Row], switches: Mapping[str, bool], needed: Collection[tuple[str, str]] = ()
) -> tuple[Row, ...]:
    """The rows that are on. ``needed``: group and plural of those that the server cannot do without; InputError.

    Resources are finer than versions, and say the last word; beta and alpha versions are not there to be switched on.
    """
    found = tuple(rows)
    switches = {_canonical(name): on for name, on in switches.items()}
    versions = {row.api_version for row in found}
    resources = {f"{row.api_version}/{row.plural}" for row in found}
    for name, on in switches.items():
        if name in WHOLE:
            if not on and name in ("api/all", "api/ga"):
                raise InputError(f"{name} cannot be off", field=FLAG, expected=EXPECTED)
        elif name not in versions and name not in resources:
            raise InputError(f"unknown api version or resource {name!r}", field=FLAG, expected=EXPECTED)
    kept = []
    for row in found:
        on = switches.get(f"{row.api_version}/{row.plural}", switches.get(row.api_version, True))
        if on:
            kept.append(row)
        elif (row.group, row.plural) in needed:
            raise InputError(
                f"{row.plural} of {row.api_version} cannot be off", field=FLAG, expected=EXPECTED
            )
    stored = {(row.api_version, row.kind) for row in kept}
    for row in kept:
        if (row.storage_api_version, row.kind) not in stored:
            text = (
                f"{row.storage_api_version} cannot be off: {row.plural} of {row.api_version} are stored in it"
            )
            raise InputError(text, field=FLAG, expected=EXPECTED)
    return tuple(kept)


def _canonical(name: str) -> str:
    return name.removeprefix("api/") if name == CORE or name.startswith(f"{CORE}/") else name
