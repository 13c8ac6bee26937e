"""What has no owner any more goes; an owner deleted in the foreground waits for its dependents, an orphaning one frees them.

Source: pkg/controller/garbagecollector/garbagecollector.go, operations.go, patch.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import ClassVar, Final, TypeVar

from kcore.api.status import ApiError
from kcore.controllers.contract import (
    Action,
    Delete,
    Failed,
    FollowsAll,
    Key,
    Later,
    Object,
    Outcome,
    Patch,
    Read,
    Served,
    Steps,
    View,
    Wake,
    Watched,
)
from kcore.controllers.garbage_collector_graph import (
    FOREGROUND,
    ORPHAN,
    ORPHAN_KEY,
    Graph,
    Identity,
    Node,
    Owner,
    owners_of,
)

IGNORED: Final = (("", "events"), ("events.k8s.io", "events"))
NEEDED_VERBS: Final = frozenset({"delete", "list", "watch"})
CONFLICTS_MAX: Final = 5  # of a finalizer's removal, before the key comes again

T = TypeVar("T")
Doing = Generator[Sequence[Action], list[Outcome], T]


class Settled(Exception):
    """Nothing is left to do in this round, nor would the next find more."""


class GarbageCollector(FollowsAll):
    """``garbage-collector-controller``. Keys are ``delete/UID`` and ``orphan/UID``."""

    name: ClassVar = "garbage-collector-controller"
    aliases: ClassVar = ("garbagecollector",)
    component: ClassVar = "garbage-collector-controller"
    workers: ClassVar[int] = 20

    def __init__(self) -> None:
        self.graph = Graph()
        self._kinds: dict[tuple[str, str], Served] = {}

    @property
    def watches(self) -> Sequence[Watched]:
        """Nothing by name."""
        return ()

    def serves(self, resources: Sequence[Served]) -> Iterable[Served]:
        """Whatever can be listed, watched and deleted, but events."""
        self._kinds = {(each.api_version, each.kind): each for each in resources}
        return [
            each
            for each in resources
            if each.is_preferred
            and NEEDED_VERBS.issubset(each.verbs)
            and (each.group, each.plural) not in IGNORED
        ]

    def followed(
        self, served: Served, old: Object | None, new: Object | None, view: View
    ) -> Iterable[Key | Later]:
        """Whom the change concerns."""
        return self.graph.seen(served, old, new)

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The object is gone if it had to go; or its dependents have been let go."""
        node = self.graph.nodes.get(key.name)
        if node is None:
            return None
        if key.namespace == ORPHAN_KEY:
            yield from self._orphaned(node)
            return None
        if complaints := self.graph.complaints(key.name):
            yield complaints
        try:
            yield from self._deleted(node)
        except Settled:
            return None
        if node.virtual and self.graph.nodes.get(key.name) is node:
            raise Failed(f"{node.identity} has not been seen by an informer yet")
        return None

    # -- deletion ---------------------------------------------------------------------------------------------------

    def _deleted(self, node: Node) -> Doing[None]:
        if node.being_deleted and not node.deleting_dependents:
            return
        identity = node.identity
        latest = yield from self._live(identity)
        if latest is None or latest["metadata"]["uid"] != identity.uid:
            yield from self._absent(identity)
            raise Settled
        if node.deleting_dependents:
            yield from self._waited_for_dependents(node)
            return
        metadata = latest["metadata"]
        solid, dangling, waiting = yield from self._classified(node, owners_of(metadata))
        if solid:
            if dangling or waiting:
                yield from self._let_go(identity, [owner.uid for owner in (*dangling, *waiting)])
            return
        if not dangling and not waiting:
            return
        if waiting and node.dependents:
            if any(each.deleting_dependents for each in node.dependents):  # perhaps a circle
                yield from self._unblocked(node)
            policy = "Foreground"
        else:
            finalizers = metadata.get("finalizers") or ()
            policy = (
                "Orphan"
                if ORPHAN in finalizers
                else "Foreground"
                if FOREGROUND in finalizers
                else "Background"
            )
        yield from self._asked_to_go(identity, metadata, policy)

    def _classified(
        self, node: Node, owners: Sequence[Owner]
    ) -> Doing[tuple[list[Owner], list[Owner], list[Owner]]]:
        """Owners that stay, that are not there, and that wait for their dependents to go."""
        solid: list[Owner] = []
        dangling: list[Owner] = []
        waiting: list[Owner] = []
        for owner in owners:
            found = yield from self._owner(node, owner)
            if found is None:
                dangling.append(owner)
            elif "deletionTimestamp" in found["metadata"] and FOREGROUND in (
                found["metadata"].get("finalizers") or ()
            ):
                waiting.append(owner)
            else:
                solid.append(owner)
        return solid, dangling, waiting

    def _owner(self, node: Node, owner: Owner) -> Doing[Object | None]:
        """The owner as it is; None where it is not there."""
        absent, namespace = self.graph.absent, node.identity.namespace
        if owner.in_namespace("") in absent or owner.in_namespace(namespace) in absent:
            return None
        served = self._mapped(owner.api_version, owner.kind)
        if served.is_namespaced and not namespace:
            raise Settled  # nothing of the cluster may be owned by something of a namespace: no retry will help
        identity = owner.in_namespace(namespace if served.is_namespaced else "")
        found = yield from self._read(served, identity)
        if found is None or found["metadata"]["uid"] != owner.uid:
            absent.add(identity)
            return None
        return found

    def _asked_to_go(self, identity: Identity, metadata: Object, policy: str) -> Doing[None]:
        served = self._mapped(identity.api_version, identity.kind)
        namespace = identity.namespace if served.is_namespaced else ""
        delete = Delete(
            served.named, namespace, identity.name, identity.uid, policy, version=metadata["resourceVersion"]
        )
        (outcome,) = yield [delete]
        if isinstance(outcome, ApiError) and outcome.code == 409:
            live = yield from self._read(served, identity)
            if live is None:
                yield from self._absent(identity)
                raise Settled
            now = live["metadata"]
            if (
                now["uid"] == identity.uid
                and now["resourceVersion"] != metadata["resourceVersion"]
                and now.get("ownerReferences") == metadata.get("ownerReferences")
            ):  # something else has changed: that must not keep it
                (outcome,) = yield [Delete(served.named, namespace, identity.name, identity.uid, policy)]
        if isinstance(outcome, ApiError):
            if outcome.code == 404:
                yield from self._absent(identity)
                raise Settled
            raise Failed(str(outcome)) from outcome

    def _waited_for_dependents(self, node: Node) -> Doing[None]:
        """Its finalizer is gone once no dependent blocks its deletion; those that do are looked at."""
        blocking = node.blocking_dependents()
        if not blocking:
            yield from self._finalized(node.identity, FOREGROUND)
            return
        keys = [Key("delete", each.identity.uid) for each in blocking if not each.deleting_dependents]
        yield [Wake(keys)]

    # -- orphans ----------------------------------------------------------------------------------------------------

    def _orphaned(self, node: Node) -> Doing[None]:
        uid, dependents = node.identity.uid, tuple(node.dependents or ())
        if dependents:
            patches = [self._release_patch(each.identity, [uid]) for each in dependents]
            outcomes = yield patches
            for each, outcome in zip(dependents, outcomes, strict=True):
                if isinstance(outcome, ApiError) and outcome.code == 415:
                    yield from self._let_go(each.identity, [uid])
                elif isinstance(outcome, ApiError) and outcome.code != 404:
                    raise Failed(
                        f"failed to orphan dependents of owner {node.identity}: {outcome}"
                    ) from outcome
        yield from self._finalized(node.identity, ORPHAN)

    # -- writes -----------------------------------------------------------------------------------------------------

    def _release_patch(self, identity: Identity, owners: Sequence[str]) -> Patch:
        references = [{"$patch": "delete", "uid": uid} for uid in owners]
        return self._patch(
            identity, {"metadata": {"uid": identity.uid, "ownerReferences": references}}, "strategic"
        )

    def _let_go(self, identity: Identity, owners: Sequence[str]) -> Doing[None]:
        """The object refers to none of these owners."""
        (outcome,) = yield [self._release_patch(identity, owners)]
        if isinstance(outcome, ApiError) and outcome.code == 415:  # a custom resource: no strategic merge
            live = yield from self._live(identity)
            if live is None:
                return
            metadata = live["metadata"]
            left = [each for each in metadata.get("ownerReferences") or () if each["uid"] not in owners]
            outcome = yield from self._merged(identity, metadata, left)
        if isinstance(outcome, ApiError):
            raise Failed(str(outcome)) from outcome

    def _unblocked(self, node: Node) -> Doing[None]:
        """None of the references blocks its owner's deletion."""
        identity = node.identity
        blocking = [
            {**_reference(owner), "blockOwnerDeletion": False} for owner in node.owners if owner.blocks
        ]
        body = {"metadata": {"uid": identity.uid, "ownerReferences": blocking}}
        (outcome,) = yield [self._patch(identity, body, "strategic")]
        if isinstance(outcome, ApiError) and outcome.code == 415:
            live = yield from self._live(identity)
            if live is None:
                return
            free = [{**_reference(owner), "blockOwnerDeletion": False} for owner in node.owners]
            outcome = yield from self._merged(identity, live["metadata"], free)
        if isinstance(outcome, ApiError):
            raise Failed(str(outcome)) from outcome

    def _merged(self, identity: Identity, metadata: Object, references: list[Object]) -> Doing[Outcome]:
        body = {"resourceVersion": metadata["resourceVersion"], "ownerReferences": references or None}
        (outcome,) = yield [self._patch(identity, {"metadata": body}, "merge")]
        return outcome

    def _finalized(self, identity: Identity, finalizer: str) -> Doing[None]:
        """The object does not have the finalizer."""
        for _ in range(CONFLICTS_MAX):
            live = yield from self._live(identity)
            if live is None:
                return
            metadata = live["metadata"]
            finalizers = metadata.get("finalizers") or []
            if finalizer not in finalizers:
                return
            left = [each for each in finalizers if each != finalizer]
            body = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": left or None}}
            (outcome,) = yield [self._patch(identity, body, "merge")]
            if not isinstance(outcome, ApiError):
                return
            if outcome.code != 409:
                raise Failed(str(outcome)) from outcome
        raise Failed(
            f"updateMaxRetries({CONFLICTS_MAX}) has reached. The garbage collector will retry later for owner {identity}"
        )

    def _patch(self, identity: Identity, body: Object, kind: str) -> Patch:
        served = self._mapped(identity.api_version, identity.kind)
        return Patch(
            served.named, identity.namespace if served.is_namespaced else "", identity.name, body, kind
        )

    # -- reads ------------------------------------------------------------------------------------------------------

    def _mapped(self, api_version: str, kind: str) -> Served:
        """The resource of that kind; Failed where none is served, as it may be later."""
        served = self._kinds.get((api_version, kind))
        if served is None:
            raise Failed(f"unable to get REST mapping for {api_version}/{kind}")
        return served

    def _live(self, identity: Identity) -> Doing[Object | None]:
        """The object as the server has it; None where it does not."""
        served = self._mapped(identity.api_version, identity.kind)
        if served.is_namespaced and not identity.namespace:
            raise Settled  # something of the cluster referred to it as its owner
        return (yield from self._read(served, identity))

    def _read(self, served: Served, identity: Identity) -> Doing[Object | None]:
        (outcome,) = yield [
            Read(served.named, identity.namespace if served.is_namespaced else "", identity.name)
        ]
        if isinstance(outcome, ApiError):
            if outcome.code == 404:
                return None
            raise Failed(str(outcome)) from outcome
        assert isinstance(outcome, dict)
        return outcome

    def _absent(self, identity: Identity) -> Doing[None]:
        """The graph knows that there is none."""
        keys = [*self.graph.absent_says_server(identity)]
        if keys:
            yield [Wake(keys)]


def _reference(owner: Owner) -> Object:
    made: Object = {
        "apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid,
    }  # fmt: skip
    return made if owner.controller is None else {**made, "controller": owner.controller}
