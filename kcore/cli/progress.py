"""Progress on standard error: a bar on a terminal, timed lines with -v, nothing otherwise."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

UPDATE_SECONDS = 0.1  # the bar moves no more often


class Progress:
    """Shows the stages of a job and how far its pods, bytes or what ``unit`` names are, from ``with`` to its end."""

    def __init__(self, *, bar: bool, verbose: bool, unit: str = "pods") -> None:
        self._unit = unit
        self._verbose = verbose
        self._wants_bar = bar and not verbose and sys.stderr.isatty()
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._stage = ""
        self._unit = "pods"
        self._since = time.perf_counter()
        self._shown = 0.0

    def __enter__(self) -> Progress:
        if self._wants_bar:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=None, count="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_stage()
        if self._bar is not None:
            self._bar.stop()

    def stage(self, name: str, unit: str = "pods") -> None:
        """What is being done from now on, and what is counted."""
        self._end_stage()
        self._stage = name
        self._unit = unit
        self._since = time.perf_counter()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=name, total=None, completed=0, count="")

    def advance(self, done: int, total: int, note: str = "") -> None:
        """``done`` of ``total`` (0: not known) are dealt with; cheap enough to be called for each. ``note`` is shown too."""
        if self._bar is None or self._task is None:
            return
        now = time.perf_counter()
        if now - self._shown < UPDATE_SECONDS and done != total:
            return
        self._shown = now
        count = f"{done:,} of {total:,} {self._unit}" if total else f"{done:,} {self._unit}"
        count = f"{count}, {note}" if note else count
        self._bar.update(self._task, completed=done, total=total or None, count=count)

    def _end_stage(self) -> None:
        if self._verbose and self._stage:
            seconds = time.perf_counter() - self._since
            print(f"kcore: {self._stage}: {seconds:.3f} s", file=sys.stderr)
        self._stage = ""
