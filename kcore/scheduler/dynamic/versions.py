"""Semantic versions as CEL selectors compare them. Source: blang/semver v4, as Kubernetes 1.36 uses it."""

from __future__ import annotations

from typing import NamedTuple

_ALPHANUMERIC = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-")
_DIGITS = frozenset("0123456789")
UINT64_MAX = (1 << 64) - 1


class Version(NamedTuple):
    """A version, in the order of semver.org; what it was built from does not count.

    A release is later than what came before it: ``is_release`` sorts first. Numbers sort before names in ``before``.
    """

    major: int
    minor: int
    patch: int
    is_release: bool
    before: tuple[tuple[int, int, str], ...]


def parse_version(text: str) -> Version:
    """The version that a text is; ValueError where it is none."""
    if not text:
        raise ValueError("Version string empty")
    parts = text.split(".", 2)
    if len(parts) != 3:
        raise ValueError("No Major.Minor.Patch elements found")
    major, minor = _number(parts[0], "Major", "major"), _number(parts[1], "Minor", "minor")
    patch, plus, build = parts[2].partition("+")
    patch, dash, before = patch.partition("-")
    number = _number(patch, "Patch", "patch")
    if plus:
        for one in build.split("."):
            if not one:
                raise ValueError("Build meta data is empty")
            if not _ALPHANUMERIC.issuperset(one):
                raise ValueError(f"Invalid character(s) found in build meta data {_quoted(one)}")
    identifiers = tuple(_identifier(one) for one in before.split(".")) if dash else ()
    return Version(major, minor, number, not identifiers, identifiers)


def parse_tolerant(text: str) -> Version:
    """The same of a text with a leading ``v``, fewer than three numbers, or numbers with leading zeros."""
    parts = text.removeprefix("v").split(".", 2)
    for index, part in enumerate(parts):
        if len(part) > 1:
            bare = part.lstrip("0")
            parts[index] = bare if bare and bare[0] in _DIGITS else "0" + bare
    if len(parts) < 3:
        if any(mark in parts[-1] for mark in "+-"):
            raise ValueError("short version cannot contain PreRelease/Build meta data")
        parts += ["0"] * (3 - len(parts))
    return parse_version(".".join(parts))


def _number(text: str, title: str, name: str) -> int:
    if not text or not _DIGITS.issuperset(text):
        raise ValueError(f"Invalid character(s) found in {name} number {_quoted(text)}")
    if len(text) > 1 and text[0] == "0":
        raise ValueError(f"{title} number must not contain leading zeroes {_quoted(text)}")
    if len(text) > 20 or int(text) > UINT64_MAX:
        raise ValueError(f"strconv.ParseUint: parsing {_quoted(text)}: value out of range")
    return int(text)


def _identifier(text: str) -> tuple[int, int, str]:
    if not text:
        raise ValueError("Prerelease is empty")
    if _DIGITS.issuperset(text):
        if len(text) > 1 and text[0] == "0":
            raise ValueError(f"Numeric PreRelease version must not contain leading zeroes {_quoted(text)}")
        return 0, int(text[:40]), ""
    if not _ALPHANUMERIC.issuperset(text):
        raise ValueError(f"Invalid character(s) found in prerelease {_quoted(text)}")
    return 1, 0, text


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
