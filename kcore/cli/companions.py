"""The components of ``kcore up`` beside its API server: started once that is ready, and a status line on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final

from kcore.components.choice import CONTROLLER_MANAGER, NODES, SCHEDULER

if TYPE_CHECKING:
    from kcore.apiserver.driver import Running
    from kcore.components.assembly import Components
    from kcore.components.choice import Choice

STATUS_SECONDS: Final = 0.5
ERASE: Final = "\r\033[K"
MODULES: Final = {
    SCHEDULER: ("kcore.online.driver",),
    CONTROLLER_MANAGER: ("kcore.controllers.catalog", "kcore.controllers.driver"),
    NODES: ("kcore.hollow.service",),
}


async def accompany(running: Running, choice: Choice, stop: asyncio.Event) -> None:
    """The components ran until ``stop`` was set; KcoreError names the one that does not start."""
    # Their modules take half a second to load, in which the API is to answer.
    module = await asyncio.to_thread(_loaded, choice)
    components: Components = module.Components(choice, running)
    starting = asyncio.ensure_future(components.start())
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            gc.freeze()  # what they are made of stays
            with _status(components):
                await stopped
    finally:
        stopped.cancel()
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await starting
        await components.stop()


def _loaded(choice: Choice) -> ModuleType:
    """The module of the components; theirs are loaded, too."""
    for name in choice.names:
        for module in MODULES[name]:
            import_module(module)
    return import_module("kcore.components.assembly")


@contextlib.contextmanager
def _status(components: Components) -> Iterator[None]:
    """On a terminal there is a line, below the log, of what the cluster holds; elsewhere nothing is said."""
    if not sys.stderr.isatty():
        yield
        return
    shown = ""

    def show() -> None:
        nonlocal shown, timer
        line = str(components.counts)
        if line != shown:
            print(f"{ERASE}{line}", end="\r", file=sys.stderr, flush=True)
            shown = line
        timer = loop.call_later(STATUS_SECONDS, show)

    def make_room(record: logging.LogRecord) -> bool:
        nonlocal shown
        sys.stderr.write(ERASE)
        shown = ""
        return True

    loop = asyncio.get_running_loop()
    timer = loop.call_soon(show)
    logs = logging.getLogger().handlers
    for handler in logs:
        handler.addFilter(make_room)
    try:
        yield
    finally:
        timer.cancel()
        for handler in logs:
            handler.removeFilter(make_room)
        print(ERASE, end="", file=sys.stderr, flush=True)
