from collections.abc import Iterable
from typing import Final

from kcore_native.raft.entry import Entry, Snapshot

NONE: Final = 0
LOCAL_APPEND_THREAD: Final = 0xFFFFFFFFFFFFFFFF
LOCAL_APPLY_THREAD: Final = 0xFFFFFFFFFFFFFFFE
TEXT_BYTES_MAX: Final = 0xFFFFFFFF
MSG_HUP: Final = 0
MSG_BEAT: Final = 1
MSG_PROP: Final = 2
MSG_APP: Final = 3
MSG_APP_RESP: Final = 4
MSG_VOTE: Final = 5
MSG_VOTE_RESP: Final = 6
MSG_SNAP: Final = 7
MSG_HEARTBEAT: Final = 8
MSG_HEARTBEAT_RESP: Final = 9
MSG_UNREACHABLE: Final = 10
MSG_SNAP_STATUS: Final = 11
MSG_CHECK_QUORUM: Final = 12
MSG_TRANSFER_LEADER: Final = 13
MSG_TIMEOUT_NOW: Final = 14
MSG_READ_INDEX: Final = 15
MSG_READ_INDEX_RESP: Final = 16
MSG_PRE_VOTE: Final = 17
MSG_PRE_VOTE_RESP: Final = 18
MSG_STORAGE_APPEND: Final = 19
MSG_STORAGE_APPEND_RESP: Final = 20
MSG_STORAGE_APPLY: Final = 21
MSG_STORAGE_APPLY_RESP: Final = 22
MSG_FORGET_LEADER: Final = 23

def is_local_message(type: int) -> bool: ...
def is_local_target(node_id: int) -> bool: ...

class Message:
    type: int
    to: int
    from_: int
    term: int
    log_term: int
    index: int
    commit: int
    vote: int
    reject_hint: int
    reject: bool
    snapshot: Snapshot | None
    context: bytes
    @property
    def entries(self) -> list[Entry]: ...
    @property
    def responses(self) -> list[Message]: ...
    def __init__(
        self,
        type: int = 0,
        to: int = 0,
        from_: int = 0,
        term: int = 0,
        log_term: int = 0,
        index: int = 0,
        entries: Iterable[Entry] = (),
        commit: int = 0,
        vote: int = 0,
        snapshot: Snapshot | None = None,
        reject: bool = False,
        reject_hint: int = 0,
        context: bytes = b"",
        responses: Iterable[Message] = (),
    ) -> None: ...
    def encode(self) -> bytes: ...
    @staticmethod
    def decode(data: bytes | bytearray | memoryview) -> Message: ...
