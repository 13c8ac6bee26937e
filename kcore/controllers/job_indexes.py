"""Completion indexes of a job: sets of them as intervals, and what pods say of theirs.

Source: pkg/controller/job/indexed_job_utils.go of Kubernetes 1.36.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from kcore.api.selectors import int64
from kcore.controllers.contract import Object

INDEX: Final = "batch.kubernetes.io/job-completion-index"
FAILURES: Final = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES: Final = "batch.kubernetes.io/job-index-ignored-failure-count"
INDEX_VARIABLE: Final = "JOB_COMPLETION_INDEX"
UNKNOWN: Final = -1
INT32_MAX: Final = 2**31 - 1
PREFIX_CHARACTERS_MAX: Final = 58  # of a generated name, before its five random letters

Intervals = tuple[tuple[int, int], ...]  # first and last, in order, apart from each other by more than one


def merged(a: Iterable[tuple[int, int]], b: Iterable[tuple[int, int]]) -> Intervals:
    """What is in one of them or in both."""
    found: list[tuple[int, int]] = []
    for first, last in sorted([*a, *b]):
        if not found or first > found[-1][1] + 1:
            found.append((first, last))
        elif found[-1][1] < last:
            found[-1] = (found[-1][0], last)
    return tuple(found)


def with_indexes(intervals: Intervals, indexes: Iterable[int]) -> Intervals:
    """Those too."""
    return merged(intervals, [(index, index) for index in indexes])


def total(intervals: Intervals) -> int:
    """How many indexes."""
    return sum(last - first + 1 for first, last in intervals)


def has(intervals: Intervals, index: int) -> bool:
    """Whether it is in one of them."""
    found = bisect_right(intervals, (index, INT32_MAX)) - 1
    return found >= 0 and intervals[found][1] >= index


def text_of(intervals: Intervals) -> str:
    """As a status tells them: ``1,3-5,7``."""
    parts = []
    for first, last in intervals:
        parts.append(
            str(first) if first == last else f"{first},{last}" if last == first + 1 else f"{first}-{last}"
        )
    return ",".join(parts)


def parsed(text: str, completions: int) -> Intervals:
    """What such a text says of indexes below ``completions``; parts that cannot be read are left out."""
    found: list[tuple[int, int]] = []
    for part in text.split(",") if text else ():
        limits = part.split("-")
        first = int64(limits[0])
        last = first if len(limits) == 1 else int64(limits[1])
        if first is None:
            continue
        if first >= completions:
            break
        if last is None:
            continue
        last = min(last, completions - 1)
        if found and found[-1][1] == first - 1:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return tuple(found)


def index_of(pod: Object) -> int:
    """The pod's completion index; UNKNOWN where it has none that can be."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX)
    value = int64(text) if text else None
    return UNKNOWN if value is None or value < 0 else value


def indexes_of(pods: Iterable[Object]) -> set[int]:
    """Those that pods have."""
    return {index_of(pod) for pod in pods} - {UNKNOWN}


def _count(pod: Object, annotation: str) -> int:
    text = (pod["metadata"].get("annotations") or {}).get(annotation)
    value = int64(text) if text else None
    return value if value is not None and 0 <= value <= INT32_MAX else 0


def failures(pod: Object) -> int:
    """How often its index had failed before it."""
    return _count(pod, FAILURES)


def ignored_failures(pod: Object) -> int:
    """How often in ways that a policy ignores."""
    return _count(pod, IGNORED_FAILURES)


def absolute_failures(pod: Object) -> int:
    """How often in any way."""
    return failures(pod) + ignored_failures(pod)


def first_pending(taken: Intervals, count: int, completions: int) -> list[int]:
    """The lowest ``count`` indexes that are not taken."""
    found: list[int] = []
    candidate = 0
    for first, last in (*taken, (completions, completions)):
        end = min(first, completions, candidate + count - len(found))
        found += range(candidate, end)
        if len(found) >= count:
            return found
        candidate = max(candidate, last + 1)
    return found


def generated_prefix(name: str, index: int) -> str:
    """What the name of the pod of an index begins with."""
    suffix = f"-{index}-"
    return name[: PREFIX_CHARACTERS_MAX - len(suffix)] + suffix


def numbered(pod: Object, job_name: str, index: int, counts: Mapping[str, str]) -> Object:
    """The pod as that of the index: by name, label, annotations, host name and environment."""
    metadata = pod["metadata"]
    label = {INDEX: str(index)}
    spec = {**pod["spec"], "hostname": f"{job_name}-{index}"}
    for kind in ("initContainers", "containers"):
        if spec.get(kind):
            spec[kind] = [_with_variable(container) for container in spec[kind]]
    return {
        **pod, "spec": spec,
        "metadata": {
            **metadata, "generateName": generated_prefix(job_name, index),
            "labels": {**metadata.get("labels", {}), **label},
            "annotations": {**metadata.get("annotations", {}), **label, **counts},
        },
    }  # fmt: skip


def _with_variable(container: Object) -> Object:
    environment: Sequence[Object] = container.get("env") or ()
    if any(variable["name"] == INDEX_VARIABLE for variable in environment):
        return container
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}}
    return {**container, "env": [*environment, {"name": INDEX_VARIABLE, "valueFrom": source}]}
