"""Studies run small, in the interpreter, and leave no plugin registered."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from kcore.scheduler.plugins import contract


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only the plugins that a test's study loads are registered, and they are forgotten afterwards."""
    monkeypatch.setattr(contract, "_registered", {})
    yield
    for name in [name for name in sys.modules if name.startswith("kcore_study_plugin_")]:
        del sys.modules[name]
