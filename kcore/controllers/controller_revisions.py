"""Revisions of a StatefulSet's or DaemonSet's template, each in a ControllerRevision.

Source: pkg/controller/history/controller_history.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from kcore.api import go_json
from kcore.api.safe_names import fnv1, letters
from kcore.api.selectors import Selector
from kcore.api.status import ApiError
from kcore.controllers.contract import Action, Create, Failed, Object, Outcome, Read, Update, View, must
from kcore.controllers.owners import owned_or_orphaned
from kcore.controllers.times import ms_of

RESOURCE: Final = "controllerrevisions.apps"
HASH_LABEL: Final = "controller-revision-hash"  # of pods, and of a DaemonSet's revisions
DATA_HASH_LABEL: Final = "controller.kubernetes.io/hash"  # of other revisions
PREFIX_CHARACTERS_MAX: Final = 223


def listed(view: View, owner: Object, selector: Selector) -> list[Object]:
    """Its revisions and nobody's that its selector matches."""
    return [
        revision
        for revision in owned_or_orphaned(view, RESOURCE, owner)
        if selector.matches(revision["metadata"].get("labels") or {})
    ]


def in_order(revisions: Iterable[Object]) -> list[Object]:
    """By number, then age, then name."""
    return sorted(
        revisions,
        key=lambda each: (
            number(each), ms_of(each["metadata"].get("creationTimestamp")) or 0, each["metadata"]["name"],
        ),
    )  # fmt: skip


def number(revision: Object) -> int:
    """Its number."""
    found: int = revision.get("revision", 0)
    return found


def next_number(ordered: Sequence[Object]) -> int:
    """One more than the last has."""
    return number(ordered[-1]) + 1 if ordered else 1


def data_of(template: Object) -> Object:
    """What a revision keeps: the patch that brings the template back.

    By name, as Go's maps are written: kube-apiserver refuses every patch of a revision whose data it would write in
    another order.
    """
    data = {"spec": {"template": {**template, "$patch": "replace"}}}
    made: Object = orjson.loads(orjson.dumps(data, option=orjson.OPT_SORT_KEYS))
    return made


def template_of(revision: Object) -> Object:
    """The template that it keeps."""
    found: Object = revision["data"]["spec"]["template"]
    return {name: value for name, value in found.items() if name != "$patch"}


def made(
    owner: Object, reference: Object, count: int, collisions: int, labels: Mapping[str, str], hashed: str = ""
) -> Object:
    """The revision of the owner's template as it is, with that number; ``hashed``: by the owner's own hash."""
    label = HASH_LABEL if hashed else DATA_HASH_LABEL
    data = data_of(owner["spec"]["template"])
    hashed = hashed or data_hash(data, collisions)
    metadata: dict[str, Any] = {
        "name": name_of(owner, hashed), "namespace": owner["metadata"]["namespace"],
        "labels": {**labels, label: hashed}, "ownerReferences": [reference],
    }  # fmt: skip
    if owner["metadata"].get("annotations"):
        metadata["annotations"] = dict(owner["metadata"]["annotations"])
    return {
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "data": data, "revision": count,
    }  # fmt: skip


def name_of(owner: Object, hashed: str) -> str:
    """The name of a revision of that hash."""
    return f"{owner['metadata']['name'][:PREFIX_CHARACTERS_MAX]}-{hashed}"


def data_hash(data: Object, collisions: int) -> str:
    """FNV-1 of the data as Go writes it, and of the count of collisions, in letters that make no words."""
    text = go_json.dumps(data, is_sorted=True)
    return letters(fnv1(text + str(collisions).encode()))


def created(
    owner: Object, revision: Object, collisions: int
) -> Generator[Sequence[Action], list[Outcome], tuple[Object, int]]:
    """The revision as the server has it, and the count of collisions: one more for each name that was taken."""
    namespace = revision["metadata"]["namespace"]
    while True:
        name = name_of(owner, data_hash(revision["data"], collisions))
        (outcome,) = yield [
            Create(RESOURCE, {**revision, "metadata": {**revision["metadata"], "name": name}})
        ]
        if isinstance(outcome, dict):
            return outcome, collisions
        assert isinstance(outcome, ApiError)
        if outcome.reason != "AlreadyExists":
            raise Failed(str(outcome)) from outcome
        there = yield from must(Read(RESOURCE, namespace, name))
        if there.get("data") == revision["data"]:
            return there, collisions
        collisions += 1


def renumbered(revision: Object, count: int) -> Generator[Sequence[Action], list[Outcome], Object]:
    """The revision with that number."""
    if number(revision) == count:
        return revision
    return (yield from must(Update(RESOURCE, {**revision, "revision": count})))
