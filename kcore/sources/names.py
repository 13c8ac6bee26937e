"""Names that the API server or a controller would draw at random, drawn here so that the same input gives the same."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from kcore.api.safe_names import ALPHABET, fnv1a, letters

SUFFIX_CHARS = 5
BASE_CHARS_MAX = 58  # 63 less the suffix
SUFFIX_COUNT = len(ALPHABET) ** SUFFIX_CHARS
STRIDE = 8_876_543  # no multiple of three, so that ordinals map to suffixes one to one


def suffix(seed: int, ordinal: int) -> str:
    """Five characters of the alphabet; different for each ordinal below SUFFIX_COUNT under one seed."""
    number = (ordinal * STRIDE + seed) % SUFFIX_COUNT
    letters = []
    for _ in range(SUFFIX_CHARS):
        number, index = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[index])
    return "".join(letters)


def generated(base: str, seed: int, ordinal: int) -> str:
    """The name that ``generateName: base`` ends up as."""
    return base[:BASE_CHARS_MAX] + suffix(seed, ordinal)


def template_hash(template: Struct) -> str:
    """A hash of a pod template in the form of ``pod-template-hash``; stable, though not the controller's own."""
    return letters(fnv1a(msgspec.json.encode(template, order="deterministic")))
