"""The revisions of a daemon set's template.

Source: constructHistory, cleanupHistory, snapshot of pkg/controller/daemon/update.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

from kcore.api.status import ApiError
from kcore.controllers import controller_revisions as revisions
from kcore.controllers.contract import (
    Action,
    Create,
    Delete,
    Failed,
    Object,
    Outcome,
    Patch,
    Read,
    Steps,
    Update,
    done,
    must,
)
from kcore.controllers.controller_revisions import HASH_LABEL
from kcore.controllers.daemon_set_pods import RESOURCE
from kcore.controllers.template_hash import template_hash

History = Generator[Sequence[Action], list[Outcome], tuple[Object, list[Object]]]


def constructed(
    daemon_set: Object, reference: Object, claimed: Iterable[Object], pods: Sequence[Object]
) -> History:
    """The revision of the template as it is, with the highest number, and the others."""
    data = revisions.data_of(daemon_set["spec"]["template"])
    current: list[Object] = []
    old: list[Object] = []
    for revision in claimed:
        metadata = revision["metadata"]
        labels = metadata.get("labels") or {}
        if HASH_LABEL not in labels:
            labels = {**labels, HASH_LABEL: metadata["name"]}
            changed = {**revision, "metadata": {**metadata, "labels": labels}}
            revision = yield from must(Update(revisions.RESOURCE, changed))
        (current if revision.get("data") == data else old).append(revision)
    count = max(map(revisions.number, old), default=0) + 1
    if not current:
        return (yield from _snapshot(daemon_set, reference, count)), old
    kept = max(current, key=revisions.number)
    yield from _others_gone(kept, current, pods)
    if revisions.number(kept) < count:
        kept = yield from revisions.renumbered(kept, count)
    return kept, old


def _snapshot(
    daemon_set: Object, reference: Object, count: int
) -> Generator[Sequence[Action], list[Outcome], Object]:
    template = daemon_set["spec"]["template"]
    collisions = (daemon_set.get("status") or {}).get("collisionCount")
    hashed = template_hash(template, collisions)
    labels = (template.get("metadata") or {}).get("labels") or {}
    new = revisions.made(daemon_set, reference, count, 0, labels, hashed)
    namespace, name = new["metadata"]["namespace"], new["metadata"]["name"]
    (outcome,) = yield [Create(revisions.RESOURCE, new)]
    if isinstance(outcome, dict):
        return outcome
    assert isinstance(outcome, ApiError)
    if outcome.reason != "AlreadyExists":
        raise Failed(str(outcome)) from outcome
    there = yield from must(Read(revisions.RESOURCE, namespace, name))
    if there.get("data") == new["data"]:
        return there
    fresh = yield from must(Read(RESOURCE, namespace, daemon_set["metadata"]["name"]))
    status = fresh.get("status") or {}
    if status.get("collisionCount") == collisions:
        counted = {**status, "collisionCount": (collisions or 0) + 1}
        yield from must(Update(RESOURCE, {**fresh, "status": counted}, "status"))
    raise Failed(str(outcome))


def _others_gone(kept: Object, current: Sequence[Object], pods: Sequence[Object]) -> Steps:
    """Of several revisions that are alike one is kept, and all pods are said to be of it."""
    if len(current) == 1:
        return None
    hashed = kept["metadata"]["labels"][HASH_LABEL]
    for pod in pods:
        metadata = pod["metadata"]
        if (metadata.get("labels") or {}).get(HASH_LABEL) != hashed:
            body = {"metadata": {"labels": {HASH_LABEL: hashed}}}
            yield from must(Patch("pods", metadata["namespace"], metadata["name"], body))
    others = [each["metadata"] for each in current if each is not kept]
    done((yield [Delete(revisions.RESOURCE, one["namespace"], one["name"], one["uid"]) for one in others]))
    return None


def cleaned_up(daemon_set: Object, old: Sequence[Object], pods: Iterable[Object]) -> Steps:
    """Revisions beyond the limit go, the oldest first, but for those that pods are of."""
    surplus = len(old) - daemon_set["spec"].get("revisionHistoryLimit", 10)
    if surplus <= 0:
        return None
    live = {(pod["metadata"].get("labels") or {}).get(HASH_LABEL) for pod in pods}
    going = [
        each["metadata"]
        for each in sorted(old, key=revisions.number)
        if each["metadata"]["labels"][HASH_LABEL] not in live
    ][:surplus]
    done((yield [Delete(revisions.RESOURCE, one["namespace"], one["name"], one["uid"]) for one in going]))
    return None
