"""What Go says of text that is not JSON. Only asked once a faster parser has refused the text.

Source: encoding/json scanner.go, the same in sigs.k8s.io/json.
"""

from __future__ import annotations

from typing import Final

from kcore.api.field import quoted

NESTING_MAX: Final = 10_000  # open objects and arrays, as Go

_SPACE: Final = b" \t\r\n"
_DIGITS: Final = b"0123456789"
_HEX: Final = b"0123456789abcdefABCDEF"
_LITERALS: Final = {0x74: b"true", 0x66: b"false", 0x6E: b"null"}
_END: Final = "unexpected end of JSON input"


class _Refused(Exception):
    """The text stops being JSON here."""


def syntax_error(document: bytes) -> str | None:
    """Go's message for the first byte that cannot stand where it does; None for valid JSON."""
    try:
        _Scan(document).whole()
    except _Refused as refused:
        return str(refused)
    return None


class _Scan:
    """One pass from the left; ``stack`` has what is open, ``{`` or ``[``."""

    def __init__(self, document: bytes) -> None:
        self.document = document
        self.place = 0
        self.stack = bytearray()

    def refuse(self, where: str) -> _Refused:
        """The byte here is wrong, or the text ends here."""
        if self.place >= len(self.document):
            return _Refused(_END)
        char = chr(self.document[self.place])
        if char == "'":
            shown = "\\'"
        elif char == '"':
            shown = '"'
        else:
            shown = quoted(char)[1:-1]
        return _Refused(f"invalid character '{shown}' {where}")

    def space(self) -> int:
        """The byte behind all space, -1 at the end."""
        document, place = self.document, self.place
        while place < len(document) and document[place] in _SPACE:
            place += 1
        self.place = place
        return document[place] if place < len(document) else -1

    def whole(self) -> None:
        """The text is one value and space."""
        self.value()
        while self.stack:
            self.behind_value()
        if self.space() != -1:
            raise self.refuse("after top-level value")

    def value(self) -> None:
        """A scalar is passed, or objects and arrays are opened up to the first scalar inside."""
        while True:
            byte = self.space()
            if byte not in (0x7B, 0x5B):
                self.scalar(byte)
                return
            self.stack.append(byte)
            if len(self.stack) > NESTING_MAX:
                raise self.refuse("exceeded max depth")
            self.place += 1
            if self.space() == (0x7D if byte == 0x7B else 0x5D):
                return  # behind_value closes it
            if byte == 0x7B:
                self.key()

    def behind_value(self) -> None:
        """What may follow a value inside an object or array is passed, and the value after it."""
        byte = self.space()
        in_object = self.stack[-1] == 0x7B
        if byte == (0x7D if in_object else 0x5D):
            self.stack.pop()
            self.place += 1
        elif byte == 0x2C:
            self.place += 1
            if in_object:
                self.key()
            self.value()
        else:
            raise self.refuse("after object key:value pair" if in_object else "after array element")

    def key(self) -> None:
        """A key and its colon are passed."""
        if self.space() != 0x22:
            raise self.refuse("looking for beginning of object key string")
        self.string()
        if self.space() != 0x3A:
            raise self.refuse("after object key")
        self.place += 1

    def scalar(self, byte: int) -> None:
        """A string, number or literal is passed."""
        if byte == 0x22:
            self.string()
        elif byte in _LITERALS:
            for i, expected in enumerate(_LITERALS[byte]):
                if self.document[self.place : self.place + 1] != bytes((expected,)):
                    name = _LITERALS[byte].decode()
                    raise self.refuse(f"in literal {name} (expecting '{name[i]}')")
                self.place += 1
        elif byte != -1 and (byte == 0x2D or byte in _DIGITS):
            self.number()
        else:
            raise self.refuse("looking for beginning of value")

    def string(self) -> None:
        """A string is passed."""
        document = self.document
        self.place += 1
        while self.place < len(document):
            byte = document[self.place]
            if byte == 0x22:
                self.place += 1
                return
            if byte < 0x20:
                raise self.refuse("in string literal")
            self.place += 1
            if byte == 0x5C:
                self.escape()
        raise _Refused(_END)

    def escape(self) -> None:
        """What follows a backslash is passed."""
        byte = self.document[self.place : self.place + 1]
        if not byte or byte not in b'bfnrt\\/"u':
            raise self.refuse("in string escape code")
        self.place += 1
        for _ in range(4 if byte == b"u" else 0):
            if (digit := self.document[self.place : self.place + 1]) == b"" or digit not in _HEX:
                raise self.refuse("in \\u hexadecimal character escape")
            self.place += 1

    def digits(self) -> None:
        """Any digits are passed."""
        while self.place < len(self.document) and self.document[self.place] in _DIGITS:
            self.place += 1

    def need_digit(self, where: str) -> None:
        """A digit stands here, and all digits are passed."""
        if self.place >= len(self.document) or self.document[self.place] not in _DIGITS:
            raise self.refuse(where)
        self.digits()

    def number(self) -> None:
        """A number is passed."""
        document = self.document
        if document[self.place] == 0x2D:
            self.place += 1
        if document[self.place : self.place + 1] == b"0":
            self.place += 1
        else:
            self.need_digit("in numeric literal")
        if document[self.place : self.place + 1] == b".":
            self.place += 1
            self.need_digit("after decimal point in numeric literal")
        if document[self.place : self.place + 1] in (b"e", b"E"):
            self.place += 1
            if document[self.place : self.place + 1] in (b"+", b"-"):
                self.place += 1
            self.need_digit("in exponent of numeric literal")
