from collections.abc import Sequence
from typing import Any, Final, NamedTuple

RANGE: Final[int]
PUT: Final[int]
DELETE: Final[int]
TXN: Final[int]
COMPACT: Final[int]
LEASE_GRANT: Final[int]
LEASE_REVOKE: Final[int]
LEASE_CHECKPOINT: Final[int]
ALARM: Final[int]
OTHER: Final[int]
NESTING_MAX: Final[int]

class Request(NamedTuple):
    request_id: int
    kind: int
    op: tuple[Any, ...]
    username: str | None
    auth_revision: int

def put(
    request_id: int,
    key: bytes,
    value: bytes,
    lease: int = 0,
    prev_kv: bool = False,
    ignore_value: bool = False,
    ignore_lease: bool = False,
    username: str | None = None,
    auth_revision: int = 0,
) -> bytes: ...
def delete_range(
    request_id: int,
    key: bytes,
    end: bytes | None = None,
    prev_kv: bool = False,
    username: str | None = None,
    auth_revision: int = 0,
) -> bytes: ...
def txn(
    request_id: int,
    compares: Sequence[Any] = (),
    success: Sequence[Any] = (),
    failure: Sequence[Any] = (),
    username: str | None = None,
    auth_revision: int = 0,
) -> bytes: ...
def compact(
    request_id: int, revision: int, username: str | None = None, auth_revision: int = 0
) -> bytes: ...
def lease_grant(
    request_id: int, id: int, ttl: int, username: str | None = None, auth_revision: int = 0
) -> bytes: ...
def lease_revoke(request_id: int, id: int, username: str | None = None, auth_revision: int = 0) -> bytes: ...
def lease_checkpoint(
    request_id: int,
    remaining: Sequence[tuple[int, int]],
    username: str | None = None,
    auth_revision: int = 0,
) -> bytes: ...
def alarm(
    request_id: int,
    action: int,
    member_id: int,
    alarm: int,
    username: str | None = None,
    auth_revision: int = 0,
) -> bytes: ...
def other(
    request_id: int, kind: int, body: bytes, username: str | None = None, auth_revision: int = 0
) -> bytes: ...
def decode(payload: bytes) -> list[Request]: ...
def request_ids(payload: bytes) -> list[int]: ...
