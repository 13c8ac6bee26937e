"""When a run gets its kernels: before it begins, or where none are cached, once the interpreter takes too long."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from kcore import kernel
from kcore.scheduler.engine import Engine, Options

PATIENCE_S = 15.0
"""Seconds that the interpreter decides where no kernels are cached: compiling takes longer."""
LOOKS_EVERY = 200
"""Pods between two looks at the clock meanwhile."""


class Loading:
    """The kernels of one engine; ``seconds`` is the time that they took so far."""

    def __init__(self, engine: Engine, stage: Callable[[str], None], *, explains: bool) -> None:
        self.seconds = 0.0
        self._engine = engine
        self._stage = stage
        self._explains = explains

    def load(self) -> None:
        """The engine decides by machine code from now on; it is loaded, or compiled if it must be."""
        began = time.perf_counter()
        self._stage("loading kernels" if kernel.is_cached() else "compiling kernels, once: about a minute")
        self._engine.compiled = True
        self._engine.warm(explain=self._explains)
        kernel.mark_cached()
        self.seconds += time.perf_counter() - began

    def after_a_while(self, options: Options) -> Options:
        """The same options for a run that begins without kernels and gets them when it takes long."""
        began, progress = time.perf_counter(), options.progress

        def advance(done: int, count: int) -> None:
            if progress is not None:
                progress(done, count)
            if not self._engine.compiled and done < count and time.perf_counter() - began > PATIENCE_S:
                self.load()
                self._stage("scheduling")

        every = min(options.report_every or LOOKS_EVERY, LOOKS_EVERY)
        return replace(options, progress=advance, report_every=every)
