"""What the loaders of traces do with columns, one event and one pod at a time."""

from __future__ import annotations

from collections.abc import Sequence

SCHEDULE, ENDS = 3, (4, 5, 6, 7, 8)


def run_ms(events: Sequence[tuple[int, int]]) -> int | None:
    """How long an instance of Borg ran, from its events (time in us, type); -1 for ever, None if it never did."""
    total, since, ran = 0, None, False
    for time_us, kind in sorted(events):
        if kind == SCHEDULE and since is None:
            since, ran = time_us, True
        elif kind in ENDS and since is not None:
            total += time_us // 1000 - since // 1000
            since = None
    if not ran:
        return None
    return -1 if since is not None else total


def arrival_order(pods: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Row and job number of each pod (submit, job) in order of arrival: by time, then by job, then as they stood."""
    numbers: dict[int, int] = {}
    for _, job in sorted(pods, key=lambda pod: pod[0]):
        numbers.setdefault(job, len(numbers))
    rows = sorted(range(len(pods)), key=lambda row: (pods[row][0], numbers[pods[row][1]], row))
    return [(row, numbers[pods[row][1]]) for row in rows]


def presence(
    events: Sequence[tuple[str, int, bool]], start: int
) -> tuple[set[str], list[tuple[int, str, str]]]:
    """The machines that are there at some time from ``start`` on, and their changes after it."""
    ever, changes = set(), []
    for name in {event[0] for event in events}:
        own = sorted((event for event in events if event[0] == name), key=lambda event: event[1])
        there = own[0][2] if own[0][1] <= start else not own[0][2]
        for _, time, present in own:
            if time <= start:
                there = present
                continue
            if there:
                ever.add(name)
            if present != there:
                changes.append((time - start, "add" if present else "remove", name))
                ever.add(name)
            there = present
        if there:
            ever.add(name)
    return ever, sorted(changes)
