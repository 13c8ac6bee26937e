"""The skeleton of an object and a patch, by Python's own readers of times and addresses; values by kind and number."""

from __future__ import annotations

import ipaddress
import itertools
import re
from datetime import datetime

Found = tuple[list[tuple[str, int, int]], list[bytes]]
TIME = re.compile(r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z")
UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
SPECIAL = [
    ipaddress.ip_network(each) for each in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")
]
HOSTS = [ipaddress.ip_network(each) for each in ("2000::/3", "fc00::/7")]


def kind_of(text: str) -> str:
    """T, F and M for times, 4 and 6 for addresses, / for networks, U, C, K; "" for anything else."""
    found = TIME.fullmatch(text)
    if found is not None:
        try:
            datetime.fromisoformat(text[:19])
        except ValueError:
            return ""
        if text[5:10] == "02-29":
            return ""
        return "T" if found[1] is None else "M" if len(found[1]) == 7 else "F"
    if UID.fullmatch(text):
        return "U"
    if re.fullmatch(r"[a-z-]{1,61}://[0-9a-f]{64}", text):
        return "C"
    if re.fullmatch(r"kube-api-access-[a-z0-9]{5}", text):
        return "K"
    if "/" in text:
        try:
            network = ipaddress.IPv4Network(text)
        except ValueError:
            return ""
        is_host = network.prefixlen >= 8 and kind_of(str(network[0])) == "4"
        return "/" if is_host and str(network) == text else ""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    if str(address) != text:
        return ""
    if address.version == 4:
        return "" if any(address in each for each in SPECIAL) else "4"
    return "6" if any(address in each for each in HOSTS) else ""


def is_distinct(text: str, words: list[str]) -> bool:
    """A DNS subdomain with a dash, or with a digit behind a letter and not ``v1``, that is none of the words."""
    is_one = len(text) <= 63 and text not in words and all(map(LABEL.fullmatch, text.split(".")))
    has_digit = re.match(r"[a-z].*[0-9]", text) and not re.match(r"v[0-9]", text)
    return is_one and ("-" in text or bool(has_digit))


def holes(text: str, name: str, node: str) -> list[tuple[str, str, int, int]] | None:
    """Kind, value, start and end of each; None where there is no skeleton."""
    if "\x01" in text:
        return None
    found = []
    quotes = [each.start() for each in re.finditer('"', text)]
    for start, end in itertools.pairwise(quotes):
        whole = text[start + 1 : end]
        value = whole.removesuffix("\\")
        kind = kind_of(value) or ("N" if value == (name or None) else "H" if value == (node or None) else "")
        if not kind:
            if re.search(r"(?<!\\)(\\\\)*\\[u/]", whole):
                return None
            continue
        if text[end + 1 :].lstrip(" \t\r\n")[:1] == ":":
            return None
        found.append((kind, value, start + 1, start + 1 + len(value)))
    return found


def skeleton(stored: str, name: str, node: str, asked: str, now: str) -> tuple[str, list[str]] | None:
    """``name`` and ``node`` are "" where they are no values."""
    parts = [holes(stored, name, node), holes(asked, name, node)]
    if parts[0] is None or parts[1] is None:
        return None
    values: list[tuple[str, str]] = [("T", now)]
    for kind, value, _, _ in [*parts[0], *parts[1]]:
        if (kind, value) not in values:
            values.append((kind, value))
        if kind in "FM" and ("T", f"{value[:19]}Z") not in values:
            values.append(("T", f"{value[:19]}Z"))

    def number(kind: str, value: str) -> int:
        if kind in "TM":
            return sorted(each for mine, each in values if mine == kind).index(value)
        if kind in "46":
            return sorted(each for mine, each in values if mine in "46").index(value)
        return [each for mine, each in values if mine == kind].index(value)

    made = [chr(32 + number("T", now))]
    for text, found in ((stored, parts[0]), (asked, parts[1])):
        at = 0
        for kind, value, start, end in found:
            made += [text[at:start], "\x01", kind, chr(32 + number(kind, value))]
            if kind in "FM":
                made.append(chr(32 + number("T", f"{value[:19]}Z")))
            at = end
        made += [text[at:], "\x01"]
    ordered = sorted(values, key=lambda each: (each[0], number(*each)))
    return "".join(made)[:-1], [value for _, value in ordered]
