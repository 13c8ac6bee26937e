"""Who owns what in the whole cluster: a graph by uid, kept up to date by every change, and who is to be looked at for it.

An owner that somebody refers to and nobody has seen is a *virtual* node: whether it is there must be asked.

Source: pkg/controller/garbagecollector/graph.go, graph_builder.go, uid_cache.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from kcore.controllers.contract import Key, Later, Object, Served, Tell

FOREGROUND: Final = "foregroundDeletion"
ORPHAN: Final = "orphan"
ABSENT_OWNERS_MAX: Final = 500
DELETE_KEY: Final = "delete"  # the namespace of keys of nodes that may have to go
ORPHAN_KEY: Final = "orphan"  # and of those whose dependents are to be let go
ALTERNATIVE_MS: Final = 5  # before another identity of an owner is tried


class Identity(NamedTuple):
    """What an object is called. ``namespace`` last: without it these are an owner reference's coordinates."""

    api_version: str
    kind: str
    name: str
    uid: str
    namespace: str

    def __str__(self) -> str:
        """As upstream prints it."""
        return f"[{self.api_version}/{self.kind}, namespace: {self.namespace}, name: {self.name}, uid: {self.uid}]"


class Owner(NamedTuple):
    """An owner reference."""

    api_version: str
    kind: str
    name: str
    uid: str
    blocks: bool
    controller: bool | None

    def in_namespace(self, namespace: str) -> Identity:
        """The owner that it would be there."""
        return Identity(*self[:4], namespace)


@lru_cache(maxsize=4096)
def _shared(owners: tuple[Owner, ...]) -> tuple[Owner, ...]:
    """One tuple for all the objects that one owner has made."""
    return owners


def owners_of(metadata: Object) -> tuple[Owner, ...]:
    """The owner references of an object's metadata."""
    references = metadata.get("ownerReferences")
    if not references:
        return ()
    return _shared(
        tuple(
            Owner(
                each["apiVersion"], each["kind"], each["name"], each["uid"],
                bool(each.get("blockOwnerDeletion")), each.get("controller"),
            )
            for each in references
        )
    )  # fmt: skip


class Node:
    """An object in the graph. Invariant: it is among the dependents of the node of each of its ``owners``."""

    __slots__ = ("being_deleted", "deleting_dependents", "dependents", "identity", "owners", "virtual")

    def __init__(self, identity: Identity, owners: tuple[Owner, ...] = (), *, virtual: bool = False) -> None:
        self.identity = identity
        self.owners = owners
        self.virtual = virtual
        self.being_deleted = False
        self.deleting_dependents = False
        self.dependents: dict[Node, None] | None = None  # most have none

    def blocking_dependents(self) -> list[Node]:
        """Those that must go before this one may."""
        uid = self.identity.uid
        return [
            each
            for each in self.dependents or ()
            if any(owner.uid == uid and owner.blocks for owner in each.owners)
        ]


class AbsentOwners:
    """The last owners that were found not to be there."""

    def __init__(self) -> None:
        self._found: OrderedDict[Identity, None] = OrderedDict()

    def add(self, identity: Identity) -> None:
        """It is not there."""
        self._found[identity] = None
        self._found.move_to_end(identity)
        if len(self._found) > ABSENT_OWNERS_MAX:
            self._found.popitem(last=False)

    def __contains__(self, identity: Identity) -> bool:
        if identity not in self._found:
            return False
        self._found.move_to_end(identity)
        return True


class Graph:
    """See the module. What changes it returns the keys that are to be looked at."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.absent = AbsentOwners()
        self._complaints: dict[str, list[Tell]] = {}

    def complaints(self, uid: str) -> list[Tell]:
        """Events about the object that are to be told, once."""
        return self._complaints.pop(uid, [])

    # -- changes ----------------------------------------------------------------------------------------------------

    def seen(self, served: Served, old: Object | None, new: Object | None) -> Iterator[Key | Later]:
        """An informer has seen the change."""
        if new is None:
            assert old is not None
            yield from self._deleted(_identity(served, old["metadata"]))
            return
        metadata = new["metadata"]
        was = None if old is None else old["metadata"]
        node = self.nodes.get(metadata["uid"])
        if node is not None and node.virtual:
            yield from self._observed(node, _identity(served, metadata))
        elif (
            node is not None
            and was is not None
            and "deletionTimestamp" not in metadata
            and was.get("ownerReferences") == metadata.get("ownerReferences")
        ):
            return  # most changes are none to the graph
        owners = owners_of(metadata)
        if node is None:
            node = Node(_identity(served, metadata), owners)
            node.being_deleted = "deletionTimestamp" in metadata
            node.deleting_dependents = node.being_deleted and FOREGROUND in (metadata.get("finalizers") or ())
            self.nodes[node.identity.uid] = node
            yield from self._depend(node, owners)
        else:
            if owners != node.owners:
                yield from self._owned_by(node, owners)
            if "deletionTimestamp" in metadata:
                node.being_deleted = True
        yield from self._transitions(was, metadata, node)

    def _owned_by(self, node: Node, owners: tuple[Owner, ...]) -> Iterator[Key]:
        """The node has other owners now; those that it no longer holds are looked at."""
        before = {owner.uid: owner for owner in node.owners}
        after = {owner.uid: owner for owner in owners}
        for uid, owner in before.items():
            now = after.get(uid)
            if owner.blocks and (now is None or not now.blocks) and uid in self.nodes:
                yield Key(DELETE_KEY, uid)
        node.owners = owners
        yield from self._depend(node, [owner for owner in owners if owner.uid not in before])
        self._release(node, [owner for uid, owner in before.items() if uid not in after])

    def _depend(self, node: Node, owners: Iterable[Owner]) -> Iterator[Key]:
        """The node is a dependent of these, which are virtual where nobody has seen them."""
        doubtful = False
        namespace = node.identity.namespace
        for owner in owners:
            found = self.nodes.get(owner.uid)
            if found is None:
                found = Node(owner.in_namespace(namespace), virtual=True)
                self.nodes[owner.uid] = found
                yield Key(DELETE_KEY, owner.uid)
            elif not doubtful:
                theirs = found.identity
                if theirs.namespace and theirs.namespace != namespace:
                    if not found.virtual:
                        self._complain(node, owner.uid)
                    doubtful = True
                elif owner[:4] != theirs[:4] or (theirs.namespace != namespace and found.virtual):
                    doubtful = True
            if found.dependents is None:
                found.dependents = {}
            found.dependents[node] = None
        if doubtful:
            yield Key(DELETE_KEY, node.identity.uid)

    def _release(self, node: Node, owners: Iterable[Owner]) -> None:
        for owner in owners:
            found = self.nodes.get(owner.uid)
            if found is not None and found.dependents is not None:
                found.dependents.pop(node, None)
                found.dependents = found.dependents or None

    def _observed(self, node: Node, identity: Identity) -> Iterator[Key]:
        """What was virtual is there; dependents that call it something else are looked at."""
        if node.identity != identity:
            _, others = partitioned(tuple(node.dependents or ()), identity)
            for each in others:
                if identity.namespace and each.identity.namespace != identity.namespace:
                    self._complain(each, identity.uid)
                yield Key(DELETE_KEY, each.identity.uid)
            node.identity = identity
        node.virtual = False

    def _transitions(self, was: Object | None, metadata: Object, node: Node) -> Iterator[Key]:
        """A deletion that begins with a finalizer of ours sets work off."""
        if _starts(was, metadata, ORPHAN):
            yield Key(ORPHAN_KEY, node.identity.uid)
        elif _starts(was, metadata, FOREGROUND):
            node.deleting_dependents = True
            for each in node.dependents or ():
                yield Key(DELETE_KEY, each.identity.uid)
            yield Key(DELETE_KEY, node.identity.uid)

    def _deleted(self, identity: Identity) -> Iterator[Key | Later]:
        node = self.nodes.get(identity.uid)
        if node is not None:
            yield from self._removed(node, identity)

    def absent_says_server(self, identity: Identity) -> Iterator[Key | Later]:
        """The server has been asked: there is no object of that identity (a virtual delete event)."""
        node = self.nodes.get(identity.uid)
        if node is None:
            return
        dependents = tuple(node.dependents or ())
        matching, others = partitioned(dependents, identity)
        if not ((node.virtual and others) or (not node.virtual and node.identity != identity)):
            yield from self._removed(node, identity)
            return
        if matching:
            self.absent.add(identity)
            for each in matching:
                yield Key(DELETE_KEY, each.identity.uid)
        if node.virtual and node.identity == identity:
            alternative = alternative_identity(others, identity)
            if alternative is not None:
                node.identity = alternative
                yield Later(Key(DELETE_KEY, identity.uid), ALTERNATIVE_MS)

    def _removed(self, node: Node, identity: Identity) -> Iterator[Key]:
        """The node is gone: its dependents, and owners that wait for theirs, are looked at."""
        uid = node.identity.uid
        del self.nodes[uid]
        self._complaints.pop(uid, None)
        self._release(node, node.owners)
        if node.dependents:
            self.absent.add(identity)
            for each in node.dependents:
                yield Key(DELETE_KEY, each.identity.uid)
        for owner in node.owners:
            found = self.nodes.get(owner.uid)
            if found is not None and found.deleting_dependents:
                yield Key(DELETE_KEY, owner.uid)

    def _complain(self, node: Node, owner_uid: str) -> None:
        reference = next((owner for owner in node.owners if owner.uid == owner_uid), None)
        if reference is None:
            return
        api_version, kind, name, uid, namespace = node.identity
        about = {
            "apiVersion": api_version, "kind": kind, "metadata": {"namespace": namespace, "name": name, "uid": uid},
        }  # fmt: skip
        message = f'ownerRef {reference.in_namespace(namespace)} does not exist in namespace "{namespace}"'
        self._complaints.setdefault(uid, []).append(
            Tell(about, "Warning", "OwnerRefInvalidNamespace", message)
        )


def _identity(served: Served, metadata: Object) -> Identity:
    return Identity(
        served.api_version, served.kind, metadata["name"], metadata["uid"], metadata.get("namespace", "")
    )


def _starts(was: Object | None, metadata: Object, finalizer: str) -> bool:
    """Whether it is being deleted with the finalizer, and was not before."""
    return _is_deleted_with(metadata, finalizer) and (was is None or not _is_deleted_with(was, finalizer))


def _is_deleted_with(metadata: Object, finalizer: str) -> bool:
    return "deletionTimestamp" in metadata and finalizer in (metadata.get("finalizers") or ())


def partitioned(dependents: Sequence[Node], identity: Identity) -> tuple[list[Node], list[Node]]:
    """Those that refer to the owner by that identity, and those that call it something else; one may be among both."""
    matching: list[Node] = []
    others: list[Node] = []
    for each in dependents:
        if identity.namespace and identity.namespace != each.identity.namespace:
            others.append(each)
            continue
        same = {owner[:4] == identity[:4] for owner in each.owners if owner.uid == identity.uid}
        if True in same:
            matching.append(each)
        if False in same:
            others.append(each)
    return matching, others


def alternative_identity(dependents: Iterable[Node], absent: Identity) -> Identity | None:
    """What else the dependents call the owner: the next in order, or the first (getAlternateOwnerIdentity)."""
    found: set[Identity] = set()
    for each in dependents:
        namespace = each.identity.namespace
        for owner in each.owners:
            if owner.uid != absent.uid:
                continue
            if owner[:4] == absent[:4] and absent.namespace in ("", namespace):
                continue
            same_kind = owner[:2] == absent[:2]
            found.add(owner.in_namespace("" if not absent.namespace and same_kind else namespace))
    found.discard(absent)
    ordered = sorted(found, key=_order)
    return next((each for each in ordered if _order(each) > _order(absent)), next(iter(ordered), None))


def _order(each: Identity) -> tuple[str, ...]:
    return (each.kind, each.api_version, each.namespace, each.name, each.uid)
