"""The text of a field selector read into terms, and a row's fields to which they are held.

Grammar: ``a=b, a==b, a!=b`` parted by commas; in a value ``\\,``, ``\\=`` and ``\\\\`` stand for the character.
Source: apimachinery pkg/fields/selector.go and pkg/runtime/conversion.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from kcore.api.field import quoted
from kcore.api.rows import Row
from kcore.api.status import bad_request

METADATA_NAME: Final = "metadata.name"
METADATA_NAMESPACE: Final = "metadata.namespace"

EVENTS_GROUP: Final = "events.k8s.io"  # its events are stored, and selected, as core/v1's
_EVENTS_NAMES: Final = {"reportingController": "reportingComponent"}
_EVENTS_PREFIX: Final = ("regarding.", "involvedObject.")


class Term(NamedTuple):
    """One condition: the field has the value, or has it not. A field that is not there has the empty value."""

    field: str
    value: str
    equal: bool = True

    @property
    def text(self) -> str:
        """As it is written."""
        value = self.value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
        return f"{self.field}{'=' if self.equal else '!='}{value}"


class FieldSelector(NamedTuple):
    """AND of terms; without any it matches everything."""

    terms: tuple[Term, ...] = ()

    @property
    def empty(self) -> bool:
        """True where it restricts nothing."""
        return not self.terms

    def exact(self, field: str) -> str | None:
        """The one value of the field that it asks for, None where it asks for none (``RequiresExactMatch``)."""
        return next((term.value for term in self.terms if term.equal and term.field == field), None)

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Tell whether an object's fields meet every term."""
        return all((fields.get(term.field, "") == term.value) == term.equal for term in self.terms)

    @property
    def text(self) -> str:
        """As it is written."""
        return ",".join(term.text for term in self.terms)


EVERYTHING: Final = FieldSelector()


def parse(text: str) -> FieldSelector:
    """The selector that the text says; ApiError 400 where it says none. What the fields are called is not looked at."""
    terms = []
    for part in sorted(_split(text)):
        if not part:
            continue
        found = _split_term(part)
        if found is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        field, operator, value = found
        terms.append(Term(field, _unescape(value), operator != "!="))
    return FieldSelector(tuple(terms))


def _split(text: str) -> list[str]:
    parts, start, escaped = [], 0, False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ",":
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _split_term(term: str) -> tuple[str, str, str] | None:
    for at in range(len(term)):
        for operator in ("!=", "==", "="):
            if term.startswith(operator, at):
                return term[:at], operator, term[at + len(operator) :]
    return None


def _unescape(value: str) -> str:
    if not any(char in value for char in "\\,="):
        return value
    made, escaped = [], False
    for char in value:
        if escaped:
            if char not in "\\,=":
                raise bad_request(f"invalid field selector: invalid escape sequence: \\{char}")
            made.append(char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif char in ",=":
            raise bad_request(f"invalid field selector: unescaped character in value: {ord(char)}")
        else:
            made.append(char)
    if escaped:
        raise bad_request("invalid field selector: invalid escape sequence: \\")
    return "".join(made)


def stored_name(row: Row, field: str) -> str:
    """What the field is called in the storage version of the row's objects."""
    if row.group != EVENTS_GROUP:
        return field
    old, new = _EVENTS_PREFIX
    return new + field[len(old) :] if field.startswith(old) else _EVENTS_NAMES.get(field, field)


def of_row(row: Row, selector: FieldSelector, *, custom: bool = False) -> FieldSelector:
    """The selector in the names of the storage version; ApiError 400 for a field that cannot be selected.

    ``spec.host`` of old clients is a pod's ``spec.nodeName``. ``custom``: the row is of a custom resource.
    """
    made = []
    for term in selector.terms:
        field = term.field
        if field == "spec.host" and not row.group and row.kind == "Pod":
            field = "spec.nodeName"
        # a row without fields of its own takes both, as upstream's default does
        namespaced = row.namespaced or not (row.fields or custom)
        known = field == METADATA_NAME or (field == METADATA_NAMESPACE and namespaced)
        if not known and field not in row.fields:
            raise bad_request(_unknown(row, field, custom=custom))
        if field or term.value:
            made.append(Term(stored_name(row, field), term.value, term.equal))
    return FieldSelector(tuple(made))


def _unknown(row: Row, field: str, *, custom: bool) -> str:
    if row.group == "batch" and row.kind == "Job":
        return f"field label {quoted(field)} not supported for Job"
    if row.group == "resource.k8s.io" and row.kind == "ResourceSlice":
        return f"field label not supported for {row.api_version}, Kind={row.kind}: {field}"
    if custom or row.fields:
        return f"field label not supported: {field}"
    return f'{quoted(field)} is not a known field selector: only "{METADATA_NAME}", "{METADATA_NAMESPACE}"'
