"""Revisions of a deployment, kept in annotations of its replica sets.

Source: pkg/controller/deployment/util/deployment_util.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kcore.api.selectors import int64
from kcore.controllers.contract import Object
from kcore.controllers.deployment_sizes import DESIRED, MAXIMUM, replicas_annotations

REVISION: Final = "deployment.kubernetes.io/revision"
HISTORY: Final = "deployment.kubernetes.io/revision-history"
ROLLBACK: Final = "deprecated.deployment.rollback.to"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
OWN: Final = frozenset((LAST_APPLIED, REVISION, HISTORY, DESIRED, MAXIMUM, ROLLBACK))
HISTORY_CHARACTERS_MAX: Final = 2000


def _annotations(obj: Object) -> dict[str, str]:
    return dict(obj["metadata"].get("annotations") or {})


def number(replica_set: Object) -> int:
    """Its revision; 0 where it has none that is a number."""
    return int64(_annotations(replica_set).get(REVISION, "")) or 0


def newest(replica_sets: Iterable[Object]) -> int:
    """The highest revision."""
    return max(map(number, replica_sets), default=0)


def last(replica_sets: Iterable[Object]) -> int:
    """The second highest revision."""
    return ([0, 0, *sorted(map(number, replica_sets))])[-2]


def of_replica_set(deployment: Object, replica_set: Object, revision: int, *, exists: bool) -> dict[str, str]:
    """The annotations that the deployment's new replica set is to have (SetNewReplicaSetAnnotations)."""
    found = _annotations(replica_set)
    for name, value in _annotations(deployment).items():
        if name not in OWN:
            found[name] = value
    before = found.get(REVISION)
    old = int64(before) if before else 0
    if old is None:
        return found
    if old < revision:
        found[REVISION] = str(revision)
        if before is not None:
            _remember(found, before)
    if not exists:
        found.update(replicas_annotations(deployment))
    return found


def _remember(annotations: dict[str, str], revision: str) -> None:
    history = annotations.get(HISTORY, "")
    if not history:
        annotations[HISTORY] = revision
        return
    kept = [*history.split(","), revision]
    while len(",".join(kept)) > HISTORY_CHARACTERS_MAX and len(kept) > 1:
        kept.pop(0)
    annotations[HISTORY] = ",".join(kept)


def rollback_to(deployment: Object) -> int | None:
    """The revision that was asked for, 0 for the last one; None where none was."""
    text = _annotations(deployment).get(ROLLBACK, "")
    return int64(text) if text else None


def without_rollback(deployment: Object) -> Object:
    """The deployment, no longer asking for a rollback."""
    kept = {name: value for name, value in _annotations(deployment).items() if name != ROLLBACK}
    return {**deployment, "metadata": {**deployment["metadata"], "annotations": kept}}


def with_annotations_of(deployment: Object, replica_set: Object) -> Object:
    """The deployment with the annotations of that revision, but for those that are the controller's own."""
    kept = {name: value for name, value in _annotations(deployment).items() if name in OWN}
    kept |= {name: value for name, value in _annotations(replica_set).items() if name not in OWN}
    return {**deployment, "metadata": {**deployment["metadata"], "annotations": kept}}
