"""What each kind does beyond its schema, one file a kind or family: defaults, validation, resets, warnings."""

from __future__ import annotations

from typing import Final

from kcore.api.strategy import Strategy

STRATEGIES: Final[dict[tuple[str, str], Strategy]] = {}
