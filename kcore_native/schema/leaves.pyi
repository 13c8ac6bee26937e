from typing import Any, Final

DEPTH_MAX: Final[int]
QUANTITIES_MAX: Final[int]

class TypeMismatch(ValueError):
    literal: bool
    def __init__(self, text: str, literal: bool = False) -> None: ...

def count_members(document: bytes) -> int: ...
