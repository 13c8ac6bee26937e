from collections.abc import Iterable
from typing import Any, Final

BLOCK_MAX: Final[int]
NAME_FIELD: Final[int]
NAMESPACE_FIELD: Final[int]
NO_FIELD: Final[int]

class Missing(Exception): ...

class Entry:
    key: Final[bytes]
    value: Final[bytes | None]
    labels: Final[tuple[str, ...]]
    fields: Final[tuple[str, ...]]
    revision: Final[int]
    def __init__(
        self, key: bytes, value: bytes | None, labels: tuple[str, ...], fields: tuple[str, ...], revision: int
    ) -> None: ...

class Predicate:
    prefix: Final[bytes]
    one: Final[bool]
    everything: Final[bool]
    def __init__(
        self,
        prefix: bytes,
        labels: Iterable[tuple[str, str, Iterable[str]]] = (),
        fields: Iterable[tuple[int, str, bool]] = (),
        one: bool = False,
    ) -> None: ...
    def accepts(self, entry: Entry) -> bool: ...

class Table:
    def __len__(self) -> int: ...
    def get(self, key: bytes) -> Entry | None: ...
    def count(self, predicate: Predicate, start: bytes = b"") -> int: ...
    def select(self, predicate: Predicate, start: bytes = b"", limit: int = 0) -> tuple[list[Entry], bool]: ...

# ``store`` is a kcore_native.mvcc.store.Store, None where every entry holds its value
def value_of(store: Any, entry: Entry) -> bytes: ...
def check(store: Any, entries: list[Entry]) -> None: ...
def bodies(store: Any, entries: list[Entry]) -> list[bytes]: ...
def joined(store: Any, entries: list[Entry], before: bytes = b"", after: bytes = b"", bare: bool = False) -> bytes: ...
