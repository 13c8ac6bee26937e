"""The watch cache: lists, watches and reads of all resources, from memory, as fresh as the client asks for.

A resource's cache begins when it is first asked for, or by ``start``. Reads without a resourceVersion are of the store's
revision at the time they were asked; with 0, of any; with another, not older, or exactly that where the client says so.
What the cache no longer knows exactly (a page of a list of some time ago) is read from the store.

Source: apiserver pkg/storage/cacher/{cacher,delegator,watch_cache}.go of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable, Iterable
from contextlib import suppress
from typing import Any, Final

from kcore.api import status
from kcore.api.fields import METADATA_NAME, METADATA_NAMESPACE
from kcore.api.rows import Row
from kcore.api.status import ApiError
from kcore.apiserver import versions
from kcore.apiserver.feed import Feed, Starting
from kcore.apiserver.list_options import EXACT, ListOptions
from kcore.apiserver.list_page import ListPage
from kcore.apiserver.selectable import plan_of, predicate_of, trigger_of
from kcore.apiserver.storage import Storage, Stored, interpret
from kcore.apiserver.store_lists import list_from_store
from kcore.apiserver.watch_stream import (
    Encode,
    Piece,
    WatchStream,
    bookmark,
    json_frame,
    of_batch,
    of_entries,
)
from kcore.store.errors import StoreError
from kcore_native.cacher.events import Cache
from kcore_native.cacher.table import Entry, Missing, Predicate, value_of

LOG: Final = logging.getLogger(__name__)

FRESH_SECONDS_MAX: Final = 3.0  # that a read waits for the cache
TOO_LARGE_RETRY_SECONDS: Final = 1
PAGE_MAX: Final = 2_000  # keys of one read of the store while a cache begins
ATTEMPTS_MAX: Final = 3
RETRY_SECONDS: Final = 1.0  # before a resource that could not be read is read again

Changed = Callable[[str, str, Stored | None], None]
"""Namespace, name, and the object as it is now; None: it is gone."""


class Resource:
    """One cached resource. ``followers`` are told of each change."""

    def __init__(self, row: Row, cache: Cache) -> None:
        self.row: Final = row
        self.cache = cache
        self.followers: Final[list[Changed]] = []


class Cacher:
    """See the module. ``await start()`` before anything else, ``await close()`` at the end."""

    def __init__(self, storage: Storage) -> None:
        self.storage: Final = storage
        self._feed: Final = Feed(storage.kv, storage.prefix, self._restart)
        self._resources: Final[dict[str, Resource]] = {}  # fed, and so as fresh as the feed
        self._known: Final[dict[str, Resource]] = {}  # also while they are read anew: what ``peek`` sees
        self._beginning: Final[dict[str, asyncio.Future[Resource]]] = {}
        self._started: asyncio.Future[None] | None = None
        machine = getattr(getattr(storage.kv, "replica", None), "machine", None)
        # values that are stored as they are served are read from the store's own memory, where it is in this process
        self._store: Final = None if machine is None or storage.transformer is not None else machine.store

    # -- begin and end -------------------------------------------------------------------------------------------

    async def start(self, *rows: Row) -> None:
        """The store is watched, and those rows are in memory."""
        if self._started is None:
            self._started = asyncio.get_running_loop().create_future()
            try:
                await self._feed.start()
            except StoreError as error:
                self._started = None
                raise interpret(error) from None
            self._started.set_result(None)
        else:
            await asyncio.shield(self._started)
        for row in rows:
            await self._resource(row)

    async def close(self) -> None:
        """All streams have ended; nothing is watched any more."""
        for resource in self._resources.values():
            _stop_streams(resource.cache)
        for beginning in list(self._beginning.values()):
            beginning.cancel()
        self._resources.clear()
        self._known.clear()
        await self._feed.close()

    async def remove(self, row: Row) -> None:
        """The resource is not kept in memory any more; its streams have ended."""
        resource = self._resources.pop(row.storage, None)
        self._known.pop(row.storage, None)
        self._feed.caches.pop(row.storage.encode(), None)
        if resource is not None:
            _stop_streams(resource.cache)

    async def _resource(self, row: Row) -> Resource:
        """The row's resource, in memory."""
        found = self._resources.get(row.storage)
        if found is not None:
            return found
        if self._started is None or not self._started.done():
            await self.start()
        beginning = self._beginning.get(row.storage) or self._begin(row, self._begun(row))
        return await asyncio.shield(beginning)

    def _begin(self, row: Row, begun: Coroutine[Any, Any, Resource]) -> asyncio.Future[Resource]:
        """Whoever asks for the row waits for this."""
        beginning = self._beginning[row.storage] = asyncio.ensure_future(begun)
        beginning.add_done_callback(lambda _: self._beginning.pop(row.storage, None))
        return beginning

    async def _begun(self, row: Row) -> Resource:
        resource = Resource(row, await self._read(row))
        self._resources[row.storage] = self._known[row.storage] = resource
        return resource

    async def _read(self, row: Row) -> Cache:
        """A cache with all that the store has of the row, which the feed tells of what follows."""
        folder, root = row.storage.encode(), self.storage.root(row)
        failed: ApiError = status.unavailable("storage is (re)initializing")
        for _ in range(ATTEMPTS_MAX):
            cache, generation = Cache(root, plan_of(row), self._decode, self._store), self._feed.generation
            starting = self._feed.starting[folder] = Starting()
            try:
                revision = await self._load(cache, root)
            except StoreError as error:  # compacted meanwhile, or out of reach
                failed = interpret(error)
                continue
            finally:
                if self._feed.starting.get(folder) is starting:
                    del self._feed.starting[folder]
            if generation != self._feed.generation:
                continue
            cache.loaded(revision)
            cache.apply(starting.events, asyncio.get_running_loop().time())
            cache.reached(self._feed.revision)
            self._feed.caches[folder] = cache
            return cache
        raise failed

    async def _load(self, cache: Cache, root: bytes) -> int:
        """The cache holds all keys under ``root`` as of one revision, which is returned."""
        revision, start, end = 0, root, self.storage.end(root)
        while True:
            page = await self.storage.page(start, end, revision=revision, limit=PAGE_MAX)
            revision = page.revision
            cache.load(page.kvs)
            if len(page.kvs) == page.key_count:
                return revision
            start = page.kvs[-1].key + b"\0"
            await asyncio.sleep(0)

    def _decode(self, key: bytes, value: bytes) -> bytes | None:
        try:
            return self.storage.value_of(key, value)
        except ApiError as error:
            LOG.error("an object is left out: %s", error)
            return None

    async def _restart(self) -> None:
        """All that is in memory is read anew; streams have ended, as what happened meanwhile is not known."""
        resources = list(self._resources.values())
        self._resources.clear()
        self._feed.caches.clear()
        for resource in resources:
            self._begin(resource.row, self._begun_anew(resource))
        for resource in resources:
            _stop_streams(resource.cache)

    async def _begun_anew(self, resource: Resource) -> Resource:
        before, row = resource.cache, resource.row
        while True:
            try:
                cache = await self._read(row)
                break
            except ApiError as error:
                LOG.warning("%s could not be read: %s", row.plural, error)
                await asyncio.sleep(RETRY_SECONDS)
        if self._known.get(row.storage) is not resource:  # removed meanwhile
            self._feed.caches.pop(row.storage.encode(), None)
            return resource
        resource.cache = cache
        self._resources[row.storage] = resource
        if resource.followers:
            cache.on_change = self._teller(resource)
            self._tell_difference(resource, before)
        return resource

    def before_compaction(self, revision: int) -> None:
        """The store is about to be compacted: what only its past holds is kept here, within bounds."""
        self._feed.pump()
        for resource in self._resources.values():
            resource.cache.before_compaction(revision)

    # -- freshness -----------------------------------------------------------------------------------------------

    async def _fresh(self, revision: int) -> None:
        """The caches are at that revision, or ApiError 504."""
        if not await self._feed.reach(revision, FRESH_SECONDS_MAX):
            raise versions.too_large(revision, self._feed.revision, TOO_LARGE_RETRY_SECONDS)

    @property
    def revision(self) -> int:
        """The revision that the caches are at."""
        return self._feed.revision

    # -- reads ---------------------------------------------------------------------------------------------------

    async def get(self, row: Row, namespace: str, name: str, resource_version: str = "") -> Stored | None:
        """The object: as the store has it now, with "0" as the cache has it, else not older than that version."""
        if not resource_version:
            return await self.storage.get(row, namespace, name)
        wanted = versions.list_version(resource_version)
        await self._resource(row)
        if wanted:
            await self._fresh(wanted)
        resource = await self._resource(row)  # another one where the watch was lost meanwhile
        found = self._stored(resource.cache, self.storage.key(row, namespace, name))
        return found if found is not None else await self.storage.get(row, namespace, name)

    def peek(self, row: Row, namespace: str, name: str) -> Stored | None:
        """The object as the cache has it, without waiting; None also where the row is not in memory (``start``)."""
        resource = self._known.get(row.storage)
        return (
            None if resource is None else self._stored(resource.cache, self.storage.key(row, namespace, name))
        )

    def peek_all(self, row: Row, namespace: str = "") -> list[tuple[str, str, Stored]]:
        """Namespace, name and object of all that the cache has, in the order of keys; none where the row is not in memory."""
        resource = self._known.get(row.storage)
        if resource is None:
            return []
        entries, _ = resource.cache.table.select(Predicate(self.storage.root(row, namespace)))
        found = []
        for entry in entries:
            stored = self._stored(resource.cache, entry.key)
            if stored is not None:
                found.append((*_names(row, entry.key), stored))
        return found

    def last_change(self, row: Row) -> int:
        """The revision of the last change to any object of the row, 0 where it is not in memory."""
        resource = self._known.get(row.storage)
        return 0 if resource is None else max(resource.cache.last_change, resource.cache.list_revision)

    def stamp(self, row: Row) -> tuple[int, int]:
        """Another one after every change to any object of the row; (0, 0) where it is not in memory."""
        resource = self._known.get(row.storage)
        return (0, 0) if resource is None else (resource.cache.list_revision, resource.cache.event_count)

    def stamps(self, folders: Iterable[str]) -> list[tuple[int, int]]:
        """Of those resources, by their place in the store."""
        known = self._known
        caches = [None if (found := known.get(folder)) is None else found.cache for folder in folders]
        return [(0, 0) if cache is None else (cache.list_revision, cache.event_count) for cache in caches]

    def _stored(self, cache: Cache, key: bytes) -> Stored | None:
        entry = cache.table.get(key)
        if entry is None:
            return None
        try:
            return Stored(value_of(cache.store, entry), entry.revision)
        except Missing:  # compacted right behind the newest version
            self._feed.pump()
            entry = cache.table.get(key)
            return None if entry is None else Stored(value_of(cache.store, entry), entry.revision)

    def follow(self, row: Row, changed: Changed) -> None:
        """``changed`` was called for every object that there is, and is called for every change from now on.

        The row is in memory (``start``).
        """
        resource = self._known[row.storage]
        for namespace, name, stored in self.peek_all(row):
            changed(namespace, name, stored)
        resource.followers.append(changed)
        resource.cache.on_change = self._teller(resource)

    def _teller(self, resource: Resource) -> Callable[[bytes, Entry | None], None]:
        def tell(key: bytes, entry: Entry | None) -> None:
            stored = None
            if entry is not None:
                with suppress(Missing):
                    stored = Stored(value_of(resource.cache.store, entry), entry.revision)
            for changed in resource.followers:
                changed(*_names(resource.row, key), stored)

        return tell

    def _tell_difference(self, resource: Resource, before: Cache) -> None:
        """Followers are told of what is not as it was."""
        now, tell = resource.cache, self._teller(resource)
        for key in _keys(before):
            if now.table.get(key) is None:
                tell(key, None)
        for key in _keys(now):
            entry, old = now.table.get(key), before.table.get(key)
            if entry is not None and (old is None or old.revision != entry.revision):
                tell(key, entry)

    # -- lists ---------------------------------------------------------------------------------------------------

    async def list(self, row: Row, namespace: str, options: ListOptions) -> ListPage:
        """The objects that the options ask for, of all namespaces where ``namespace`` is empty.

        ApiError 400 (versions, tokens), 410 (too old), 504 (not reached).
        """
        namespace = namespace or self._selected_namespace(row, options)
        root, key = self._scope(row, namespace, options)
        start = versions.Start(b"", 0)
        if key is None and options.continue_token:
            start = versions.decode_continue(options.continue_token, root)
            if options.resource_version not in ("", "0"):
                raise versions.version_with_continue()
        wanted = versions.list_version(options.resource_version)
        resource = await self._resource(row)
        predicate = predicate_of(
            row, resource.cache.plan, options.label_selector, options.field_selector, root, key
        )
        exact = self._exact_revision(options, start, wanted, one=key is not None)
        for _ in range(ATTEMPTS_MAX):
            if exact:
                await self._fresh(exact)
                resource = await self._resource(row)  # another one where the watch was lost meanwhile
                if resource.cache.last_change > exact or exact < resource.cache.list_revision:
                    return await list_from_store(
                        self.storage, predicate, resource.cache.plan, options, start, exact
                    )
            elif (options.resource_version == "" or start.revision < 0) and not (
                options.resource_version_match
            ):
                await self._fresh(await self.storage.current_revision(row))
            elif wanted:
                await self._fresh(wanted)
            resource = await self._resource(row)
            page = self._page(resource.cache, predicate, options, start, exact)
            if not _behind(resource.cache, resource.cache.revision):
                return page
            try:
                page.check()
            except Missing:
                self._feed.pump()  # compacted right behind the newest version: that one is told of next
                await asyncio.sleep(0)
                continue
            return page
        return await list_from_store(self.storage, predicate, resource.cache.plan, options, start, exact)

    def _scope(self, row: Row, namespace: str, options: ListOptions) -> tuple[bytes, bytes | None]:
        """What the keys begin with, and the one key where one object is named."""
        name = options.field_selector.exact(METADATA_NAME)
        named = name and "/" not in name and name not in (".", "..") and (namespace or not row.namespaced)
        return self.storage.root(row, namespace), self.storage.key(
            row, namespace, name or ""
        ) if named else None

    def _selected_namespace(self, row: Row, options: ListOptions) -> str:
        selected = options.field_selector.exact(METADATA_NAMESPACE) if row.namespaced else None
        return selected if selected and "/" not in selected and selected not in (".", "..") else ""

    @staticmethod
    def _exact_revision(options: ListOptions, start: versions.Start, wanted: int, *, one: bool) -> int:
        """The one revision that the list must be of, 0 where there is none."""
        if options.resource_version_match == EXACT:
            return wanted
        if start.revision > 0:
            return start.revision
        legacy = not options.resource_version_match and options.limit > 0 and not one and not start.revision
        return wanted if legacy else 0

    def _page(
        self, cache: Cache, predicate: Predicate, options: ListOptions, start: versions.Start, exact: int
    ) -> ListPage:
        limit = 0 if options.resource_version == "0" or predicate.one else options.limit
        entries, more = cache.table.select(predicate, start.key, limit)
        revision = exact or cache.revision
        token, remaining = "", None
        if more and limit:
            token = versions.encode_continue(entries[-1].key + b"\0", predicate.prefix, revision)
            if options.selects_all:
                remaining = cache.table.count(predicate, start.key) - limit
        return ListPage(entries, str(revision), token, remaining, cache.store)

    # -- watches -------------------------------------------------------------------------------------------------

    async def watch(
        self,
        row: Row,
        namespace: str,
        options: ListOptions,
        *,
        encode: Encode | None = None,
        representation: Hashable = None,
    ) -> WatchStream:
        """An open stream of the changes that the options ask for; ``options.timeout_seconds`` later it ends.

        ``encode(type, JSON of the object)`` writes each event for all streams of that ``representation``; without it
        they are lines of JSON. A version that is too old, or not reached in time, is told as an event of type ERROR.
        """
        wanted = versions.watch_version(options.resource_version)
        namespace = namespace or self._selected_namespace(row, options)
        await self._resource(row)
        try:
            if options.resource_version == "" and options.send_initial_events is not None:
                wanted = await self.storage.current_revision(row)
            if options.send_initial_events:
                await self._fresh(wanted)
        except ApiError as error:
            return _failed(row, error, encode)
        resource = await self._resource(row)
        return self._stream(resource, row, namespace, options, wanted, encode, representation)

    def _stream(
        self,
        resource: Resource,
        row: Row,
        namespace: str,
        options: ListOptions,
        wanted: int,
        encode: Encode | None,
        representation: Hashable,
    ) -> WatchStream:
        """The stream: what it begins with and what it is told of are taken at one moment."""
        self._feed.pump()
        cache = resource.cache
        root, key = self._scope(row, namespace, options)
        labels, fields = options.label_selector, options.field_selector
        predicate = predicate_of(row, cache.plan, labels, fields, root, key)
        initial = options.send_initial_events or (wanted == 0 and options.send_initial_events is None)
        if initial:
            entries, _ = cache.table.select(predicate)
            first, after = of_entries(cache, entries, encode), cache.revision
            if options.send_initial_events and options.allow_watch_bookmarks:
                end = bookmark(row, cache.revision, initial_end=True)
                first = _followed(first, end, encode or json_frame)
        else:
            after = wanted or cache.revision
            if after < cache.oldest:
                return _failed(row, versions.too_old(after, cache.oldest), encode)
            batch = cache.since(after, predicate)
            if batch is not None and _behind(cache, after) and not batch.is_whole():
                return _failed(row, versions.too_old(after, cache.store.compact_revision), encode)
            first = of_batch(batch, encode, representation)
        identity = (predicate.prefix, predicate.one, labels, fields, representation)
        stream = WatchStream(
            row,
            cache,
            first=first,
            after=max(after, cache.revision) if initial else after,
            allow_bookmarks=options.allow_watch_bookmarks,
            timeout_seconds=options.timeout_seconds or None,
            encode=encode,
            representation=representation,
            identity=identity,
        )
        trigger, value = (-1, None) if key is not None else trigger_of(cache.plan, fields)
        cache.join(identity, predicate, stream, trigger, value)
        return stream

    def stream_count(self, row: Row) -> int:
        """How many streams of the resource are open."""
        resource = self._resources.get(row.storage)
        return 0 if resource is None else len(resource.cache.streams)

    async def __aenter__(self) -> Cacher:
        await self.start()
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()


def _behind(cache: Cache, revision: int) -> bool:
    """True where the store was compacted past that revision: values of that time may be gone from its memory."""
    return cache.store is not None and cache.store.compact_revision > revision


def _keys(cache: Cache) -> list[bytes]:
    return [entry.key for entry in cache.table.select(Predicate(cache.root))[0]]


def _names(row: Row, key: bytes) -> tuple[str, str]:
    """Namespace and name of the object with that key."""
    *_, namespace, name = key.decode(errors="replace").rsplit("/", 2)
    return namespace if row.namespaced else "", name


def _followed(first: Any, end: bytes, encode: Encode) -> Any:
    """The pieces and then the bookmark, which is not written before: the first Table of a stream has the columns."""
    yield from first
    yield Piece(encode("BOOKMARK", end), 1)


def _stop_streams(cache: Cache) -> None:
    for stream in cache.streams:
        stream.stop()


def _failed(row: Row, error: ApiError, encode: Encode | None) -> WatchStream:
    """A stream of nothing but the error."""
    stream = WatchStream(row, None, first=iter(()), encode=encode)
    stream.fail(error)
    return stream
