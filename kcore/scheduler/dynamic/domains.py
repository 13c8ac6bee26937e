"""Asking a device for a domain that it has nothing of finds an empty map, as upstream's attributes and capacities do.

CEL's own maps find an error there. So ``device.attributes[X]`` is read as ``device.attributes[?X].orValue(dyn({}))``; a map
that was given another name first (``cel.bind(all, device.attributes, ...)``) stays CEL's own.
Source: dynamic-resource-allocation/cel/compile.go (newStringInterfaceMapWithDefault) of Kubernetes 1.36.
"""

from __future__ import annotations

import re
from typing import Final

_MAPS: Final = ("attributes", "capacity")
_TOKEN: Final = re.compile(
    r"""
    (?:[bB]?[rR]|[rR][bB])(?:\"\"\".*?\"\"\"|'''.*?'''|"[^"\n]*"|'[^'\n]*')
    | [bB]?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    | //[^\n]* | \s+ | [A-Za-z_][A-Za-z_0-9]* | .
    """,
    re.VERBOSE | re.DOTALL,
)


def with_default_domains(text: str) -> str:
    """The expression, rewritten as the module says; the text itself where it asks for no domain."""
    tokens = [one for one in _TOKEN.findall(text) if not one.isspace() and not one.startswith("//")]
    found: list[str] = []
    _copy(tokens, 0, len(tokens), found)
    return " ".join(found)


def _copy(tokens: list[str], index: int, stop: int, found: list[str]) -> None:
    while index < stop:
        if not _is_map(tokens, index, stop):
            index = _plain(tokens, index, found)
            continue
        subject, mark = f"device.{tokens[index + 2]}", tokens[index + 3]
        if mark == ".":
            index = _selected(tokens, index, stop, subject, found)
            continue
        close = _closing(tokens, index + 3, stop)
        optional = tokens[index + 4] == "?"
        found += ["optional.of(", subject, "[?"] if optional else [subject, "[?"]
        _copy(tokens, index + 5 if optional else index + 4, close, found)
        found.append("].orValue(dyn({}))" + (")" if optional else ""))
        index = close + 1


def _plain(tokens: list[str], index: int, found: list[str]) -> int:
    """Copy one token, joined to the one before where a space would part what belongs together."""
    token = tokens[index]
    if found and _glues(found[-1][-1:], token):
        found[-1] += token
    else:
        found.append(token)
    return index + 1


def _glues(before: str, token: str) -> bool:
    if before in "&|=!<>" and token in ("&", "|", "="):
        return True
    return (
        (before.isdigit() and (token.isidentifier() or token.isdigit() or token == "."))
        or (before == "." and token.isdigit())
        or (token == "?" and before in ".[")
    )


def _is_map(tokens: list[str], index: int, stop: int) -> bool:
    return (
        tokens[index] == "device"
        and index + 4 < stop
        and tokens[index + 1] == "."
        and tokens[index + 2] in _MAPS
        and tokens[index + 3] in (".", "[")
        and (not index or tokens[index - 1] != ".")
    )


def _selected(tokens: list[str], index: int, stop: int, subject: str, found: list[str]) -> int:
    """``device.attributes.x``: a domain whose name is an identifier, unless it is a call, a macro most likely."""
    name, after = tokens[index + 4], tokens[index + 5] if index + 5 < stop else ""
    if after == "(" or not name.isidentifier():
        found.append(f"{subject}.{name}" if name != "?" else f"{subject}.?")
        return index + 5
    if after == ")" and found[-2:] == ["has", "("]:
        found[-2:] = ["(", "true"]
        return index + 5
    found.append(f'{subject}[?"{name}"].orValue(dyn({{}}))')
    return index + 5


def _closing(tokens: list[str], index: int, stop: int) -> int:
    depth = 0
    for place in range(index, stop):
        depth += (tokens[place] in "([{") - (tokens[place] in ")]}")
        if depth == 0:
            return place
    return stop
