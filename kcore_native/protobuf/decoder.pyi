from typing import Any

from kcore_native.protobuf.message import Message

CONTAINERS_MAX: int
OBJECTS_MAX: int

class DecodeError(ValueError): ...

def decode(message: Message, data: bytes, into: dict[str, Any]) -> Any: ...
def decode_unknown(data: bytes, start: int = 0) -> tuple[str, str, bytes, str, str]: ...
