from collections.abc import Callable, Iterable
from typing import Any, Protocol

from typing_extensions import Buffer

METADATA: int
ENTRY: int
STATE: int
SNAPSHOT: int
KNOWN_SNAPSHOT: int
DURABLE: int

SECTOR_BYTES: int
HEADER_BYTES: int
RECORD_BYTES_MAX: int

CLEAN: int
TORN: int
CORRUPT: int

class _Entry(Protocol):
    @property
    def term(self) -> int: ...
    @property
    def index(self) -> int: ...
    @property
    def type(self) -> int: ...
    @property
    def data(self) -> bytes: ...

class Encoder:
    def __init__(self, salt: int, offset: int, previous: int) -> None: ...
    @property
    def salt(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def previous(self) -> int: ...
    def add(self, kind: int, payload: Buffer) -> None: ...
    def add_durable(self, offset: int) -> None: ...
    def add_entries(self, entries: Iterable[_Entry]) -> None: ...
    def take(self) -> bytes: ...
    def rewind(self, offset: int, previous: int) -> None: ...

class Scan:
    @property
    def records(self) -> list[tuple[int, int, Any]]: ...
    @property
    def end(self) -> int: ...
    @property
    def last(self) -> int: ...
    @property
    def previous(self) -> int: ...
    @property
    def verdict(self) -> int: ...
    @property
    def why(self) -> str: ...

def scan(
    data: Buffer,
    salt: int,
    offset: int = 0,
    previous: int | None = None,
    entry: Callable[[int, int, int, bytes], Any] | None = None,
    tail: bool = True,
    records_max: int | None = None,
) -> Scan: ...
