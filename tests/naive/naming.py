"""What is cut out of the body of a create, read from its JSON as a whole."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from kcore_native.cacher import naming

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
PLAIN = re.compile(r'(?:[ !#-\[\]-~]|\\["\\nt])+')


class Twice(Exception):
    """A name stands twice in an object."""


def cut(body: bytes, places: Sequence[tuple[str, int]]) -> tuple[Any, list[bytes]] | None:
    """The document without those texts, and the texts by place; None where one is not as it should be."""
    try:
        document = json.loads(body, object_pairs_hook=_once)
    except (ValueError, Twice):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
        return None
    values = []
    for path, form in places:
        *heads, last = path.split(".")
        holder = document
        for head in heads:
            holder = holder.get(head, {})
            if not isinstance(holder, dict):
                return None
        text = holder.get(last)
        if last not in holder:
            values.append(b"")
            continue
        if not isinstance(text, str) or not has_form(text, form):
            return None
        holder[last] = ""
        values.append(json.dumps(text)[1:-1].encode())
    return document, values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Twice
    return made


def has_form(text: str, form: int) -> bool:
    """Whether the text looks like that."""
    if form == naming.LABEL:
        return len(text) <= naming.LABEL_BYTES_MAX and LABEL.fullmatch(text) is not None
    if form == naming.SUBDOMAIN:
        return len(text) <= naming.SUBDOMAIN_BYTES_MAX and all(map(LABEL.fullmatch, text.split(".")))
    if form == naming.TEXT:
        written = json.dumps(text)[1:-1]
        return len(written) <= naming.TEXT_BYTES_MAX and PLAIN.fullmatch(written) is not None
    pattern = "%Y-%m-%dT%H:%M:%SZ" if form == naming.TIME else "%Y-%m-%dT%H:%M:%S.%fZ"
    if len(text) != (20 if form == naming.TIME else 27) or text[0] == "0" or "-02-29T" in text:
        return False
    try:
        datetime.strptime(text, pattern).replace(tzinfo=UTC)
    except ValueError:
        return False
    return True
