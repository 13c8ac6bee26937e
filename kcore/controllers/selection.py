"""Label selectors of objects in JSON form, read once for each distinct one."""

from __future__ import annotations

from functools import lru_cache

import msgspec
import orjson

from kcore.api.errors import InputError
from kcore.api.objects import LabelSelector
from kcore.api.selectors import NOTHING, Selector, from_label_selector
from kcore.controllers.contract import Object

REMEMBERED: int = 4096  # distinct selectors


def selector_of(given: Object | None) -> Selector:
    """What it selects: nothing where there is none or it is not valid, everything where it is empty."""
    return NOTHING if given is None else _read(orjson.dumps(given))


@lru_cache(maxsize=REMEMBERED)
def _read(text: bytes) -> Selector:
    try:
        return from_label_selector(msgspec.json.decode(text, type=LabelSelector))
    except (InputError, msgspec.ValidationError):
        return NOTHING
