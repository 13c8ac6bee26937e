"""Bugs to be caught: a simulation that does not see them sees nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final
from unittest import mock

from kcore.controllers.driver import Driver
from kcore.online.mirror import Mirror

Plant = Callable[[], contextlib.AbstractContextManager[Any]]


async def _sees_at_once(driver: Driver, written: Any) -> None:
    """No round waits for what the last one wrote."""


def blind() -> contextlib.AbstractContextManager[Any]:
    """Controllers go on with what they saw before they wrote: no expectations."""
    return mock.patch.object(Driver, "seen", _sees_at_once)


def forgetful() -> contextlib.AbstractContextManager[Any]:
    """The scheduler believes a late watch that a pod, which it has bound, has no node."""
    return mock.patch.object(Mirror, "is_assumed", return_value=False)


ALL: Final[dict[str, Plant]] = {"blind": blind, "forgetful": forgetful}
