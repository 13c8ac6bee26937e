from collections.abc import Iterable
from typing import Any

from kcore_native.protobuf.message import Message

class EncodeError(ValueError): ...

def encode(message: Message, value: dict[str, Any]) -> bytes: ...
def encode_unknown(message: Message, value: dict[str, Any], api_version: str, kind: str) -> bytes: ...
def wrap_unknown(raw: bytes, api_version: str, kind: str) -> bytes: ...
def encode_list(
    list_meta: Message,
    metadata: dict[str, Any],
    metadata_number: int,
    items_number: int,
    items: Iterable[bytes],
    api_version: str,
    kind: str,
) -> bytes: ...
def encode_watch_event(type_: str, envelope: bytes) -> bytes: ...
