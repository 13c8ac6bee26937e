"""Lines of a container's log, and which of them are asked for. Source: kubelet pkg/kubelet/kuberuntime/logs of 1.36."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from kcore.hollow.times import time_ns, time_text

FILE_BYTES_MAX: Final = 64 << 20


class Line(NamedTuple):
    """One line and when it was said, in nanoseconds since 1970; 0 where that is not known."""

    at_ns: int
    text: bytes


class Wanted(NamedTuple):
    """The options of a request for logs."""

    tail: int | None = None
    limit_bytes: int | None = None
    since_ns: int | None = None
    timestamps: bool = False
    previous: bool = False
    follow: bool = False


class BadOption(ValueError):
    """An option that is no number or time."""


def wanted(query: Mapping[str, str], now_ns: int) -> Wanted:
    """The options that a query has; BadOption for what is none."""

    def number(name: str) -> int | None:
        text = query.get(name)
        if text is None:
            return None
        if not text.lstrip("-").isdecimal():
            raise BadOption(f"invalid {name}: {text!r}")
        return int(text)

    seconds, time = number("sinceSeconds"), query.get("sinceTime")
    since = None if seconds is None else now_ns - seconds * 1_000_000_000
    if time is not None and (since := time_ns(time)) is None:
        raise BadOption(f"invalid sinceTime: {time!r}")
    flags = (query.get(name) in ("true", "1") for name in ("timestamps", "previous", "follow"))
    return Wanted(number("tailLines"), number("limitBytes"), since, *flags)


def chosen(lines: Iterable[Line], options: Wanted) -> bytes:
    """The log as it is sent."""
    found = [line for line in lines if options.since_ns is None or line.at_ns >= options.since_ns]
    if options.tail is not None and options.tail >= 0:
        found = found[len(found) - options.tail :] if options.tail < len(found) else found
    text = b"".join(_shown(line, options.timestamps) for line in found)
    return text if options.limit_bytes is None else text[: options.limit_bytes]


def _shown(line: Line, timestamps: bool) -> bytes:
    if not timestamps:
        return line.text + b"\n"
    return time_text(line.at_ns // 1_000_000).encode() + b" " + line.text + b"\n"


def file_lines(path: str) -> list[Line]:
    """The lines of a file, plain or in the CRI's format; none where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return list(parsed(file.read(FILE_BYTES_MAX)))
    except OSError:
        return []


def parsed(text: bytes) -> Iterator[Line]:
    """``TIME stdout|stderr F|P TEXT`` a line, or just lines; parts of a line (P) are put together."""
    held = b""
    for raw in text.splitlines():
        parts = raw.split(b" ", 3)
        at = (
            time_ns(parts[0].decode("latin-1"))
            if len(parts) > 2 and parts[1] in (b"stdout", b"stderr")
            else None
        )
        if at is None:
            yield Line(0, raw)
            continue
        said = held + (parts[3] if len(parts) > 3 else b"")
        held = b""
        if parts[2].startswith(b"P"):
            held = said
        else:
            yield Line(at, said)


def simulated(pod: Mapping[str, Any], container: str, previous: bool) -> list[Line]:
    """What a container that is not there has said: that it started, and how it ended."""
    status = pod.get("status") or {}
    every = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    found: dict[str, Any] = next((each for each in every if each["name"] == container), {})
    state = found.get("lastState" if previous else "state") or {}
    where = f"{pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}"
    lines = []
    begun = (state.get("running") or state.get("terminated") or {}).get("startedAt")
    if begun:
        image = found.get("image", "")
        lines.append(Line(time_ns(begun) or 0, f"{container} of {where} started: image {image}".encode()))
    ended = state.get("terminated")
    if ended:
        said = (
            f"{container} of {where} ended: {ended.get('reason', '')}, exit code {ended.get('exitCode', 0)}"
        )
        lines.append(Line(time_ns(ended.get("finishedAt") or "") or 0, said.encode()))
    return lines
