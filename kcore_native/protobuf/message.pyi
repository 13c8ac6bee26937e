from collections.abc import Iterable, Sequence
from typing import Any

class Message:
    @property
    def name(self) -> str: ...

def build(rows: Sequence[tuple[str, str, Iterable[Any]]]) -> dict[str, Message]: ...
