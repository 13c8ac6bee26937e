from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kcore_native.mvcc.command import Request
from kcore_native.mvcc.lease import LeaseBook
from kcore_native.mvcc.snapshot import SnapshotReader
from kcore_native.mvcc.values import DeleteResult, KeyValue, PutResult, RangeResult, TxnResult
from kcore_native.mvcc.watch import Watcher

class Refused(Exception): ...

class Store:
    def __init__(
        self,
        refuse: Callable[[str], Exception] = ...,
        error: type[Exception] = ...,
        min_lease_ttl: int = 2,
    ) -> None: ...
    guarded: bool
    packed_behind: int
    @property
    def revision(self) -> int: ...
    @property
    def compact_revision(self) -> int: ...
    @property
    def key_count(self) -> int: ...
    @property
    def record_count(self) -> int: ...
    @property
    def watcher_count(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def range_count(self) -> int: ...
    @property
    def put_count(self) -> int: ...
    @property
    def delete_count(self) -> int: ...
    @property
    def txn_count(self) -> int: ...
    @property
    def put_bytes(self) -> int: ...
    @property
    def leases(self) -> LeaseBook: ...
    def put(
        self,
        key: bytes,
        value: bytes,
        lease: int = 0,
        prev_kv: bool = False,
        ignore_value: bool = False,
        ignore_lease: bool = False,
    ) -> PutResult: ...
    def delete_range(self, key: bytes, end: bytes | None = None, prev_kv: bool = False) -> DeleteResult: ...
    def txn(
        self, compares: Sequence[Any] = (), success: Sequence[Any] = (), failure: Sequence[Any] = ()
    ) -> TxnResult: ...
    def range(
        self,
        key: bytes,
        end: bytes | None = None,
        limit: int = 0,
        revision: int = 0,
        sort_order: int = 0,
        sort_target: int = 0,
        keys_only: bool = False,
        count_only: bool = False,
        min_mod_revision: int = 0,
        max_mod_revision: int = 0,
        min_create_revision: int = 0,
        max_create_revision: int = 0,
    ) -> RangeResult: ...
    def get(self, key: bytes) -> KeyValue | None: ...
    def compact(self, revision: int) -> int: ...
    def hash_kv(self, revision: int = 0) -> tuple[int, int, int]: ...
    def apply(
        self,
        payload: bytes,
        check: Callable[[Request], object] | None,
        act: Callable[[Request], object] | None,
        results: bool = True,
    ) -> list[tuple[int, Any]]: ...
    def lease_grant(self, id: int, ttl: int) -> int: ...
    def lease_revoke(self, id: int) -> int: ...
    def watch(
        self,
        key: bytes,
        end: bytes | None = None,
        start_revision: int = 0,
        prev_kv: bool = False,
        no_put: bool = False,
        no_delete: bool = False,
        fragment: bool = False,
        on_ready: Callable[[Watcher], object] | None = None,
    ) -> Watcher: ...
    def publish(self) -> None: ...
    def snapshot(self, head: bytes = b"") -> SnapshotReader: ...
    def restore(
        self, chunks: Iterable[bytes], accept: Callable[[bytes], object] | None = None
    ) -> bytes: ...
    def unpinned(self) -> None: ...
