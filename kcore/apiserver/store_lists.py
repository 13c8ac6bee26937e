"""Lists read from the store itself: as of a revision that the cache does not hold exactly any more.

Source: apiserver pkg/storage/etcd3/store.go (GetList) and errors.go of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import Final

from kcore.api import status
from kcore.api.status import ApiError
from kcore.apiserver import versions
from kcore.apiserver.list_options import ListOptions
from kcore.apiserver.list_page import ListPage
from kcore.apiserver.storage import Page, Storage, interpret
from kcore.store import errors
from kcore.store.errors import StoreError
from kcore.store.kv import KeyValue
from kcore_native.cacher.scan import Plan
from kcore_native.cacher.table import Entry, Predicate

LIMIT_MAX: Final = 10_000  # keys of one read, however few of them the selectors take


async def list_from_store(
    storage: Storage,
    predicate: Predicate,
    plan: Plan,
    options: ListOptions,
    start: versions.Start,
    revision: int,
) -> ListPage:
    """The list as of ``revision`` (0: now), from ``start`` on; ApiError 410 where that is compacted, 504 where not yet."""
    prefix = predicate.prefix
    end = prefix + b"\0" if predicate.one else storage.end(prefix)
    wanted = 0 if predicate.one else options.limit
    key, limit, found = max(prefix, start.key), wanted, list[Entry]()
    while True:
        try:
            page = await storage.page(key, end, revision=revision, limit=limit)
        except StoreError as error:
            raise await _interpreted(storage, error, options, key, prefix, revision) from None
        revision = page.revision
        more, key = _take(storage, predicate, plan, page, wanted, found)
        if not more or not wanted or len(found) >= wanted:
            break
        limit = min(2 * limit, LIMIT_MAX)
    token, remaining = "", None
    if more and wanted:
        token = versions.encode_continue(key, prefix, revision)
        if options.selects_all:
            remaining = page.key_count - wanted
    return ListPage(found, str(revision), token, remaining)


def _take(
    storage: Storage, predicate: Predicate, plan: Plan, page: Page, wanted: int, found: list[Entry]
) -> tuple[bool, bytes]:
    """What the page has for the list is in ``found``; whether there is more, and the key behind the last one looked at."""
    key = b""
    for kv in page.kvs:
        if wanted and len(found) >= wanted:
            return True, key
        key = kv.key + b"\0"
        entry = entry_of(storage, plan, kv)
        if predicate.accepts(entry):
            found.append(entry)
    return len(page.kvs) < page.key_count, key


def entry_of(storage: Storage, plan: Plan, kv: KeyValue) -> Entry:
    """The key's value as a list's entry."""
    value = storage.stored(kv).value
    labels, fields = plan.attributes(value)
    return Entry(kv.key, value, labels, fields, kv.mod_revision)


async def _interpreted(
    storage: Storage, error: StoreError, options: ListOptions, key: bytes, prefix: bytes, revision: int
) -> ApiError:
    if error.text == errors.TABLE["FutureRev"][1]:
        try:
            page = await storage.page(prefix, prefix + b"\0", limit=1)
        except StoreError:
            return versions.too_large(revision, 0)
        return versions.too_large(revision, page.current)
    if error.text != errors.TABLE["Compacted"][1]:
        return interpret(error)
    if options.continue_token:
        return versions.ExpiredContinue(versions.encode_continue(key, prefix, versions.LATEST))
    return status.expired(versions.LIST_TOO_OLD)
