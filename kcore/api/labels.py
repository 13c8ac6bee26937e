"""The text of a label selector, as in a query, read into a ``Selector``.

Grammar: ``a=b, a==b, a!=b, a in (b,c), a notin (b), a, !a, a>1, a<1``, parted by commas. A query is refused with
upstream's words, odd as some are (``<nil>`` is the path that Go does not know).
Source: apimachinery pkg/labels/selector.go, pkg/api/validate/content/kube.go and dns.go of Kubernetes 1.36.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from kcore.api import field
from kcore.api.field import FieldError
from kcore.api.selectors import Requirement, Selector, int64
from kcore.api.status import bad_request

NAME_BYTES_MAX: Final = 63
PREFIX_BYTES_MAX: Final = 253

_NAME: Final = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = f"{_LABEL}(\\.{_LABEL})*"
_NAME_PATTERN: Final = re.compile(_NAME, re.ASCII)
_SUBDOMAIN_PATTERN: Final = re.compile(_SUBDOMAIN, re.ASCII)
_WORDS: Final = "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
_KEY_FAULT: Final = (
    f"must {_WORDS} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_NAME}')"
)
_VALUE_FAULT: Final = (
    f"a valid label must be an empty string or {_WORDS} "
    f"(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '({_NAME})?')"
)
_PREFIX_FAULT: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)

_SPACE: Final = " \t\r\n"
_SPECIAL: Final = "=!(),><"
_OPERATORS: Final = ("in", "notin", "=", "==", "!=", "gt", "lt")  # as upstream lists them
_SYMBOLS: Final = frozenset((")", ",", "!", "==", "=", ">", "<", "!=", "("))
_KEYWORDS: Final = frozenset(("in", "notin"))
_END: Final = "end"
_WORD: Final = "word"


def key_faults(key: str) -> list[str]:
    """What is wrong with a label key (content.IsLabelKey); also of a qualified name."""
    prefix, slash, name = key.rpartition("/")
    found: list[str] = []
    if "/" in prefix:
        return [
            f"a valid label key {_KEY_FAULT} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    if slash and not prefix:
        found.append("prefix part must be non-empty")
    elif slash:
        if len(prefix.encode()) > PREFIX_BYTES_MAX:
            found.append(f"prefix part must be no more than {PREFIX_BYTES_MAX} bytes")
        if not _SUBDOMAIN_PATTERN.fullmatch(prefix):
            found.append(f"prefix part {_PREFIX_FAULT}")
    if not name:
        found.append("name part must be non-empty")
    elif len(name.encode()) > NAME_BYTES_MAX:
        found.append(f"name part must be no more than {NAME_BYTES_MAX} bytes")
    if not _NAME_PATTERN.fullmatch(name):
        found.append(f"name part {_KEY_FAULT}")
    return found


def value_faults(value: str) -> list[str]:
    """What is wrong with a label value (content.IsLabelValue)."""
    found: list[str] = []
    if len(value.encode()) > NAME_BYTES_MAX:
        found.append(f"must be no more than {NAME_BYTES_MAX} bytes")
    if value and not _NAME_PATTERN.fullmatch(value):
        found.append(_VALUE_FAULT)
    return found


class _Token(NamedTuple):
    kind: str  # a symbol, a keyword, or one of the two above
    text: str


def _tokens(text: str) -> list[_Token]:
    """All tokens with the end as the last; a NUL character ends the text, as for upstream's lexer."""
    made: list[_Token] = []
    at, end = 0, len(text) if "\0" not in text else text.index("\0")
    while True:
        while at < end and text[at] in _SPACE:
            at += 1
        if at == end:
            return [*made, _Token(_END, "")]
        start = at
        if text[at] in _SPECIAL:
            best = ""
            while at < end and text[at] in _SPECIAL:
                if text[start : at + 1] in _SYMBOLS:
                    best = text[start : at + 1]
                elif best:
                    break
                at += 1
            made.append(_Token(best, best))
        else:
            while at < end and text[at] not in _SPECIAL and text[at] not in _SPACE:
                at += 1
            word = text[start:at]
            made.append(_Token(word if word in _KEYWORDS else _WORD, word))


class _Fault(Exception):
    """The text is no selector; ``str`` says why."""


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: Final = _tokens(text)
        self.at = 0

    def look(self, *, words: bool = True) -> _Token:
        """The next token; keywords are words where ``words``."""
        kind, text = self.tokens[self.at]
        return _Token(_WORD, text) if words and kind in _KEYWORDS else _Token(kind, text)

    def take(self, *, words: bool = True) -> _Token:
        token = self.look(words=words)
        self.at += 1
        return token

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while True:
            kind, text = self.look()
            if kind == _END:
                return found
            if kind not in (_WORD, "!"):
                raise _Fault(f"found '{text}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self.requirement())
            except _Fault as fault:
                raise _Fault(f"unable to parse requirement: {fault}") from None
            kind, text = self.take()
            if kind == _END:
                return found
            if kind != ",":
                raise _Fault(f"found '{text}', expected: ',' or 'end of string'")
            kind, text = self.look()
            if kind not in (_WORD, "!"):
                raise _Fault(f"found '{text}', expected: identifier after ','")

    def requirement(self) -> Requirement:
        kind, key = self.take()
        absent = kind == "!"
        if absent:
            kind, key = self.take()
        if kind != _WORD:
            raise _Fault(f"found '{key}', expected: identifier")
        if faults := key_faults(key):
            raise _Fault(field.invalid("<nil>", key, "; ".join(faults)).text)
        if absent:
            return Requirement(key, "DoesNotExist")
        if self.look().kind in (_END, ","):
            return Requirement(key, "Exists")
        return self.comparison(key)

    def comparison(self, key: str) -> Requirement:
        """What follows the key."""
        kind, text = self.take(words=False)
        if kind in ("in", "notin"):
            values = self.values()
            return _checked(Requirement(key, "In" if kind == "in" else "NotIn", tuple(sorted(values))))
        operator = {"=": "In", "==": "In", "!=": "NotIn", ">": "Gt", "<": "Lt"}.get(kind)
        if operator is None:
            raise _Fault(f"found '{text}', expected: {', '.join(_OPERATORS)}")
        return _checked(Requirement(key, operator, (self.value(),)))

    def value(self) -> str:
        """The value after ``=``; nothing is the empty one."""
        if self.look().kind in (_END, ","):
            return ""
        kind, text = self.take()
        if kind != _WORD:
            raise _Fault(f"found '{text}', expected: identifier")
        return text

    def values(self) -> set[str]:
        """The values of ``(a,b)``; nothing between commas is the empty one."""
        kind, text = self.take()
        if kind != "(":
            raise _Fault(f"found '{text}' expected: '('")
        kind, text = self.look()
        if kind == ")":
            self.take()
            return {""}
        if kind not in (_WORD, ","):
            raise _Fault(f"found '{text}', expected: ',', ')' or identifier")
        found = self.listed()
        self.take()  # the ")" that ended the list
        return found

    def listed(self) -> set[str]:
        found: set[str] = set()
        while True:
            kind, text = self.take()
            if kind == _WORD:
                found.add(text)
                kind, text = self.look()
                if kind == ")":
                    return found
                if kind != ",":
                    raise _Fault(f"found '{text}', expected: ',' or ')'")
            elif kind == ",":
                if not found:
                    found.add("")
                kind = self.look().kind
                if kind in (")", ","):
                    found.add("")
                if kind == ")":
                    return found
            else:
                raise _Fault(f"found '{text}', expected: ',', or identifier")


def _checked(requirement: Requirement) -> Requirement:
    faults: list[FieldError] = []
    for index, value in enumerate(requirement.values):
        if requirement.operator in ("Gt", "Lt") and int64(value) is None:
            why = "for 'Gt', 'Lt' operators, the value must be an integer"
            faults.append(field.invalid(f"values[{index}]", value, why))
    for index, value in enumerate(requirement.values):
        if found := value_faults(value):
            faults.append(field.invalid(f"values[{index}][{requirement.key}]", value, "; ".join(found)))
    if faults:
        raise _Fault(field.aggregate(each.text for each in faults))
    return requirement


def parse(text: str) -> Selector:
    """The selector that the text says; ApiError 400 where it says none."""
    try:
        found = _Parser(text).requirements()
    except _Fault as fault:
        raise bad_request(str(fault)) from None
    return Selector(tuple(sorted(set(found))))
