"""A store that writes down what it is asked and answers, so that two stores can be compared line by line."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from kcore.store.errors import StoreError
from kcore.store.kv import FROM_KEY, Event, KeyValue, WatchBatch

PATIENCE_S = 10.0  # for what must come
QUIET_S = 0.15  # for what must not
BYTES_SHOWN_MAX = 48
ITEMS_SHOWN_MAX = 12  # of a list; of a longer one the first three, and a digest of all
ANSWER_A_REVISION = ("compact", "lease_revoke")

Case = Callable[["Recorder"], Awaitable[None]]


class Revision(int):
    """A revision that shows itself as counted from the case's beginning."""

    offset: int

    def __repr__(self) -> str:
        return f"@{self.offset}"


def shown_bytes(value: bytes) -> str:
    """Short values as they are, long ones as length and digest."""
    if len(value) <= BYTES_SHOWN_MAX:
        return repr(bytes(value))
    return f"{len(value)} bytes {hashlib.sha256(value).hexdigest()[:12]}"


def joined(items: Sequence[str], separator: str) -> str:
    """All items, or the first few of a long list and a digest of the whole."""
    if len(items) <= ITEMS_SHOWN_MAX:
        return separator.join(items)
    digest = hashlib.sha256("\n".join(items).encode()).hexdigest()[:12]
    return f"{separator.join(items[:3])}{separator}... {len(items)} in all, {digest}"


class Recorder:
    """``await recorder.put(b"a", b"1")`` is the store's put, and a line of the transcript."""

    def __init__(self, store: Any, base: int) -> None:
        self.store = store
        self.base = base
        self.lines: list[str] = []
        self.opened: list[WatchRecorder] = []

    def at(self, offset: int) -> Revision:
        """The revision that many after the beginning."""
        made = Revision(self.base + offset)
        made.offset = offset
        return made

    def note(self, line: str) -> None:
        """One more line."""
        self.lines.append(line)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        return partial(self._call, name)

    async def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        said = ", ".join(
            [*map(self._argument, args), *(f"{k}={self._argument(v)}" for k, v in kwargs.items())]
        )
        try:
            result = await asyncio.wait_for(getattr(self.store, name)(*args, **kwargs), PATIENCE_S)
        except StoreError as refused:
            self.note(f"{name}({said}) refused: {refused.code.name} {refused.text}")
            return None
        shown = self.rev(result) if name in ANSWER_A_REVISION else self.show(result)
        self.note(f"{name}({said}) = {shown}")
        return result

    def _argument(self, value: Any) -> str:
        if isinstance(value, bytes):
            return shown_bytes(value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            given = [
                self._argument(one) if name not in value._field_defaults else f"{name}={self._argument(one)}"
                for name, one in zip(value._fields, value, strict=True)
                if name not in value._field_defaults or one != value._field_defaults[name]
            ]
            return f"{type(value).__name__}({', '.join(given)})"
        if isinstance(value, Sequence) and not isinstance(value, str):
            return f"[{joined([self._argument(one) for one in value], ', ')}]"
        return (
            str(int(value))
            if isinstance(value, int) and not isinstance(value, bool | Revision)
            else repr(value)
        )

    def rev(self, revision: int) -> str:
        """The revision counted from the beginning; 0 stays 0."""
        return f"@{revision - self.base}" if revision else "0"

    def show(self, value: Any, inner: bool = False) -> str:
        """A result, in words that are equal where two stores agree."""
        kind = type(value).__name__
        if value is None or isinstance(value, int):
            return str(value)
        if isinstance(value, KeyValue):
            return self.show_key_value(value)
        if isinstance(value, list | tuple) and kind in ("list", "tuple"):
            return f"[{joined([self.show(one, inner) for one in value], '; ')}]"
        head = "" if inner else f"{self.rev(value.revision)} "
        if kind == "RangeResult":
            kvs = joined([self.show_key_value(one) for one in value.kvs], "; ")
            return f"{head}count {value.count}{' more' if value.more else ''} [{kvs}]"
        if kind == "PutResult":
            return f"{head}previous {self.show(value.previous)}"
        if kind == "DeleteResult":
            return f"{head}deleted {value.deleted} previous {self.show(list(value.previous))}"
        if kind == "TxnResult":
            return f"{head}{'then' if value.succeeded else 'else'} {self.show(list(value.results), True)}"
        if kind == "LeaseResult":
            about = value.granted_ttl - 1 <= value.ttl <= value.granted_ttl
            left = "full" if about and value.granted_ttl else str(value.ttl)
            keys = [shown_bytes(key) for key in sorted(value.keys)]
            return f"id {value.id} ttl {left} of {value.granted_ttl} keys {keys}"
        raise TypeError(kind)

    def show_key_value(self, one: KeyValue) -> str:
        """One version of a key."""
        lease = f" lease {one.lease}" if one.lease else ""
        return (
            f"{shown_bytes(one.key)}={shown_bytes(one.value)}"
            f" [{self.rev(one.create_revision)} {self.rev(one.mod_revision)} v{one.version}{lease}]"
        )

    def watch(self, *args: Any, **kwargs: Any) -> WatchRecorder:
        """The store's watch, recorded."""
        said = ", ".join(
            [*map(self._argument, args), *(f"{k}={self._argument(v)}" for k, v in kwargs.items())]
        )
        self.note(f"watch({said})")
        opened = WatchRecorder(self, self.store.watch(*args, **kwargs), bool(kwargs.get("fragment")))
        self.opened.append(opened)
        return opened


class WatchRecorder:
    """A watch whose events are lines; how they were cut into batches is checked, not recorded."""

    def __init__(self, recorder: Recorder, watch: Any, fragmented: bool) -> None:
        self._recorder = recorder
        self._watch = watch
        self._fragmented = fragmented
        self._last_revision = 0
        self._inside = False

    async def _next(self, patience_s: float) -> WatchBatch | None:
        try:
            return await asyncio.wait_for(self._watch.__anext__(), patience_s)
        except StopAsyncIteration:
            return None

    async def events(self, count: int) -> list[Event]:
        """So many events arrive, in order, whole revisions in one batch unless fragments were asked for."""
        found: list[Event] = []
        while len(found) < count:
            batch = await self._next(PATIENCE_S)
            if batch is None:
                self._recorder.note("the watch ended")
                return found
            if batch.compact_revision or batch.cancel_reason:
                self._over(batch)
                return found
            self._check(batch)
            found.extend(batch.events)
        for one in found:
            kind = "delete" if one.type else "put"
            previous = f" previous {self._recorder.show(one.previous)}" if one.previous is not None else ""
            self._recorder.note(f"event {kind} {self._recorder.show_key_value(one.kv)}{previous}")
        return found

    def _check(self, batch: WatchBatch) -> None:
        revisions = [one.kv.mod_revision for one in batch.events]
        assert revisions == sorted(revisions)
        assert not batch.fragment or self._fragmented
        if revisions:
            assert revisions[0] > self._last_revision or (
                self._inside and revisions[0] == self._last_revision
            )
            self._last_revision = revisions[-1]
        self._inside = batch.fragment
        assert not revisions or batch.revision >= revisions[-1]

    async def progress(self) -> None:
        """A mark without events arrives, which says that all up to now was delivered."""
        self._watch.request_progress()
        batch = await self._next(PATIENCE_S)
        assert batch is not None
        self._recorder.note(f"progress {self._recorder.rev(batch.revision)} events {len(batch.events)}")

    async def quiet(self) -> None:
        """Nothing arrives."""
        try:
            batch = await self._next(QUIET_S)
        except TimeoutError:
            self._recorder.note("quiet")
        else:
            self._recorder.note(f"not quiet: {len(batch.events) if batch else 'the watch ended'}")

    async def end(self) -> None:
        """The watch is over, for the reason that its last batch says."""
        while (batch := await self._next(PATIENCE_S)) is not None:
            self._over(batch)
        self._recorder.note("the watch ended")

    def _over(self, batch: WatchBatch) -> None:
        self._recorder.note(
            f"over: compacted {self._recorder.rev(batch.compact_revision)} reason {batch.cancel_reason!r}"
            f" events {len(batch.events)}"
        )

    def cancel(self) -> None:
        """The watch is given up."""
        self._watch.cancel()


async def transcript(store: Any, case: Case) -> list[str]:
    """The lines of the case on that store, which is emptied first."""
    for lease in await store.leases():
        await store.lease_revoke(lease)
    emptied = await store.delete_range(FROM_KEY, FROM_KEY)
    recorder = Recorder(store, emptied.revision)
    try:
        await case(recorder)
    finally:
        for opened in recorder.opened:
            opened.cancel()
    return recorder.lines
