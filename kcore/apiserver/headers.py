"""The headers of a request as guards read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from kcore.http.message import HEADERS_REMEMBERED_MAX, Header

IMPERSONATE: Final = b"impersonate-"


class HeaderFields:
    """Names and values as they came; names are compared in lower case, values are UTF-8 (else Latin-1)."""

    __slots__ = ("_lowered", "_raw", "impersonates")

    def __init__(self, raw: Sequence[Header]) -> None:
        self._raw = raw
        self._lowered: list[tuple[str, str]] | None = None
        self.impersonates = self.has_prefix(IMPERSONATE)  # asked of every request

    def get(self, name: str) -> str | None:
        """The first value of the header, None where it is not there; ``name`` is lower case."""
        wanted = name.encode()
        for key, value in self._raw:
            if len(key) == len(wanted) and key.lower() == wanted:
                return _text(value)
        return None

    def get_all(self, name: str) -> list[str]:
        """All values of the header in the order sent."""
        wanted = name.encode()
        return [_text(value) for key, value in self._raw if len(key) == len(wanted) and key.lower() == wanted]

    def items(self) -> Iterator[tuple[str, str]]:
        """Every header with its name in lower case."""
        if self._lowered is None:
            self._lowered = [(key.decode("latin-1").lower(), _text(value)) for key, value in self._raw]
        return iter(self._lowered)

    def has_prefix(self, prefix: bytes) -> bool:
        """True where the name of some header begins so; ``prefix`` is lower case."""
        length = len(prefix)
        for key, _ in self._raw:
            if key[:length].lower() == prefix:
                return True
        return False


@lru_cache(maxsize=HEADERS_REMEMBERED_MAX)
def header_fields(raw: tuple[Header, ...]) -> HeaderFields:
    """The same for every request that has the same headers."""
    return HeaderFields(raw)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
