"""What a list or a watch asks for, read from a query and checked, with upstream's words where it makes no sense.

Source: apimachinery pkg/apis/meta/internalversion/{validation,defaults.go} and apiserver pkg/endpoints/handlers/get.go
of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from kcore.api import field, fields, labels, status
from kcore.api.field import FieldError, quoted
from kcore.api.fields import METADATA_NAME, FieldSelector, Term
from kcore.api.rows import Row
from kcore.api.selectors import EVERYTHING, Selector, int64

EXACT: Final = "Exact"
NOT_OLDER_THAN: Final = "NotOlderThan"
META_GROUP: Final = "meta.k8s.io"


@dataclass(frozen=True, slots=True)
class ListOptions:
    """``ListOptions`` of meta/v1. Empty, 0 and None stand for what was not given."""

    label_selector: Selector = EVERYTHING
    field_selector: FieldSelector = fields.EVERYTHING
    limit: int = 0
    continue_token: str = ""
    resource_version: str = ""
    resource_version_match: str = ""
    timeout_seconds: int | None = None
    allow_watch_bookmarks: bool = False
    send_initial_events: bool | None = None
    watch: bool = False

    @property
    def selects_all(self) -> bool:
        """True where neither selector restricts anything."""
        return self.label_selector.empty and self.field_selector.empty


def from_query(
    row: Row, query: Iterable[tuple[str, str]], *, name: str = "", watch: bool = False, custom: bool = False
) -> ListOptions:
    """The options of a request for the row's objects, checked; of one of them where there is a ``name`` in the path.

    The first value of a parameter counts. ApiError 400 for what cannot be read, 422 for what makes no sense.
    """
    given: dict[str, str] = {}
    for key, value in query:
        given.setdefault(key, value)
    options = with_defaults(
        ListOptions(
            label_selector=labels.parse(given.get("labelSelector", "")),
            field_selector=fields.parse(given.get("fieldSelector", "")),
            limit=_integer(given.get("limit", "")) or 0,
            continue_token=given.get("continue", ""),
            resource_version=given.get("resourceVersion", ""),
            resource_version_match=given.get("resourceVersionMatch", ""),
            timeout_seconds=_integer(given.get("timeoutSeconds", "")),
            allow_watch_bookmarks=_boolean(given.get("allowWatchBookmarks")) or False,
            send_initial_events=_boolean(given.get("sendInitialEvents")),
            watch=watch or _boolean(given.get("watch")) or False,
        )
    )
    if errors := faults(options):
        raise status.invalid(META_GROUP, "ListOptions", "", errors)
    selector = fields.of_row(row, options.field_selector, custom=custom)
    return replace(options, field_selector=_named(selector, name) if name else selector)


def _named(selector: FieldSelector, name: str) -> FieldSelector:
    """The selector of the one object that the path names."""
    if selector.empty:
        return FieldSelector((Term(METADATA_NAME, name),))
    if selector.exact(METADATA_NAME) != name:
        raise status.bad_request("fieldSelector metadata.name doesn't match requested name")
    return selector


def _integer(text: str) -> int | None:
    if not text:
        return None
    value = int64(text)
    if value is None:
        digits = text[1:] if text[:1] in ("+", "-") else text
        why = "value out of range" if digits.isascii() and digits.isdigit() else "invalid syntax"
        raise status.bad_request(f"strconv.ParseInt: parsing {quoted(text)}: {why}")
    return value


def _boolean(text: str | None) -> bool | None:
    """As apimachinery reads it: "false" and "0" are false, anything else that is there is true."""
    return None if text is None else text.lower() not in ("false", "0")


def with_defaults(options: ListOptions) -> ListOptions:
    """A watch from no version, or from 0, sends the present state first."""
    if options.send_initial_events is not None or options.resource_version_match:
        return options
    if options.watch and options.resource_version in ("", "0"):
        return replace(options, send_initial_events=True, resource_version_match=NOT_OLDER_THAN)
    return options


def faults(options: ListOptions) -> list[FieldError]:
    """What of the options does not go together (``ValidateListOptions``)."""
    if options.watch:
        return _watch_faults(options)
    found: list[FieldError] = []
    match = options.resource_version_match
    if match:
        where = "resourceVersionMatch"
        if not options.resource_version:
            why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
            found.append(field.forbidden(where, why))
        if options.continue_token:
            found.append(
                field.forbidden(where, "resourceVersionMatch is forbidden when continue is provided")
            )
        if match not in (EXACT, NOT_OLDER_THAN):
            found.append(field.not_supported(where, match, (EXACT, NOT_OLDER_THAN, "")))
        if match == EXACT and options.resource_version == "0":
            why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            found.append(field.forbidden(where, why))
    if options.send_initial_events is not None:
        found.append(field.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return found


def _watch_faults(options: ListOptions) -> list[FieldError]:
    found: list[FieldError] = []
    where, match = "resourceVersionMatch", options.resource_version_match
    if options.send_initial_events is not None and match != NOT_OLDER_THAN:
        why = f"sendInitialEvents requires setting resourceVersionMatch to {NOT_OLDER_THAN}"
        found.append(field.forbidden(where, why))
    if match:
        if options.send_initial_events is None:
            why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            found.append(field.forbidden(where, why))
        if match != NOT_OLDER_THAN:
            found.append(field.not_supported(where, match, (NOT_OLDER_THAN,)))
        if options.continue_token:
            found.append(
                field.forbidden(where, "resourceVersionMatch is forbidden when continue is provided")
            )
    return found
