"""Pods are made and deleted, and events about their owner tell of each.

Source: RealPodControl of pkg/controller/controller_utils.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple

from kcore.api.status import ApiError
from kcore.controllers.contract import Action, Create, Delete, Object, Outcome, Skipped, Tell, slow_start
from kcore.controllers.refusals import is_terminating


class Written(NamedTuple):
    """How many pods were made, or are gone or going; the first failure."""

    pod_count: int
    failure: ApiError | None


Writing = Generator[Sequence[Action], list[Outcome], Written]


def created(owner: Object, pods: Sequence[Object]) -> Writing:
    """In batches that grow; that its namespace is being deleted is no failure."""
    outcomes = yield from slow_start([Create("pods", pod, answered=False) for pod in pods])
    told: list[Action] = []
    count, failure = 0, None
    for outcome in outcomes:
        if isinstance(outcome, dict):
            count += 1
            message = f"Created pod: {outcome['metadata']['name']}"
            told.append(Tell(owner, "Normal", "SuccessfulCreate", message))
        elif isinstance(outcome, ApiError) and not is_terminating(outcome):
            told.append(Tell(owner, "Warning", "FailedCreate", f"Error creating: {outcome}"))
            failure = failure or outcome
        elif isinstance(outcome, Skipped):
            break
    yield told
    return Written(count, failure)


def deleted(owner: Object, pods: Sequence[Object]) -> Writing:
    """All at once; one that is not there any more counts too."""
    outcomes = yield [
        Delete("pods", pod["metadata"]["namespace"], pod["metadata"]["name"], pod["metadata"]["uid"])
        for pod in pods
    ]
    told: list[Action] = []
    count, failure = 0, None
    for pod, outcome in zip(pods, outcomes, strict=True):
        if not isinstance(outcome, ApiError):
            count += 1
            message = f"Deleted pod: {pod['metadata']['name']}"
            told.append(Tell(owner, "Normal", "SuccessfulDelete", message))
        elif outcome.code == 404:
            count += 1
        else:
            told.append(Tell(owner, "Warning", "FailedDelete", f"Error deleting: {outcome}"))
            failure = failure or outcome
    yield told
    return Written(count, failure)
