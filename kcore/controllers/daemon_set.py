"""Daemon sets: a pod on every node that fits.

Source: pkg/controller/daemon/daemon_controller.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Final

from kcore.controllers import controller_revisions as revisions
from kcore.controllers import daemon_set_pods as daemons
from kcore.controllers import pods as podlib
from kcore.controllers.contract import (
    Controller,
    Failed,
    Key,
    Object,
    Steps,
    Tell,
    Update,
    View,
    Watched,
    must,
)
from kcore.controllers.controller_revisions import HASH_LABEL
from kcore.controllers.daemon_set_history import cleaned_up, constructed
from kcore.controllers.daemon_set_pods import RESOURCE, Fit
from kcore.controllers.daemon_set_rollout import Pause, Round
from kcore.controllers.owners import (
    by_controller,
    claim,
    controller_of,
    controller_reference,
    owned_or_orphaned,
    owner_key,
)
from kcore.controllers.pod_writes import created, deleted
from kcore.controllers.selection import selector_of

BURST: Final = 250  # pods created or deleted in one round (BurstReplicas)
ALWAYS_SAID: Final = (
    "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady", "collisionCount",
)  # fmt: skip


class Known:
    """What is remembered of a daemon set: which nodes fit its template, and pauses after failed pods."""

    def __init__(self, uid: str, generation: int) -> None:
        self.of = (uid, generation)
        self.fits: dict[str, tuple[str, Fit]] = {}  # by node: the version of the node that it was found for
        self.pauses: dict[str, Pause] = {}

    def keep_only(self, nodes: Mapping[str, Fit]) -> None:
        """Nothing is remembered of nodes that are not there any more."""
        if len(self.fits) > len(nodes):
            self.fits = {name: found for name, found in self.fits.items() if name in nodes}
            self.pauses = {name: found for name, found in self.pauses.items() if name in nodes}


class DaemonSet(Controller):
    """``daemonset-controller``."""

    name: ClassVar = "daemonset-controller"
    aliases: ClassVar = ("daemonset",)
    component: ClassVar = "daemonset-controller"

    def __init__(self) -> None:
        self._known: dict[Key, Known] = {}

    @property
    def watches(self) -> Sequence[Watched]:
        """Daemon sets, their pods and revisions, and nodes."""
        return (
            Watched(RESOURCE, self._own_keys),
            Watched("pods", self._pod_keys, {"controller": by_controller, "daemon node": _by_node}),
            Watched(revisions.RESOURCE, self._revision_keys, {"controller": by_controller}),
            Watched("nodes", self._node_keys),
        )

    def _own_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        obj = new if new is not None else old
        assert obj is not None
        yield Key(obj["metadata"]["namespace"], obj["metadata"]["name"])

    def _owners(self, old: Object | None, new: Object | None, view: View) -> set[Key]:
        return {
            key
            for each in (old, new)
            if each is not None and (key := owner_key(each, view, RESOURCE, "DaemonSet", "apps")) is not None
        }

    def _pod_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        return self._owners(old, new, view) | self._matching(new, view)

    def _revision_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        if new is not None and old is None:
            return self._matching(new, view)
        return self._owners(old, new, view) | self._matching(new, view)

    def _matching(self, obj: Object | None, view: View) -> set[Key]:
        """Those whose selector matches an orphan."""
        if obj is None or controller_of(obj) is not None or "deletionTimestamp" in obj["metadata"]:
            return set()
        namespace, labels = obj["metadata"]["namespace"], obj["metadata"].get("labels")
        found = set()
        for daemon_set in view.list(RESOURCE, namespace) if labels else ():
            selector = selector_of(daemon_set["spec"].get("selector"))
            if not selector.empty and selector.matches(labels):
                found.add(Key(namespace, daemon_set["metadata"]["name"]))
        return found

    def _node_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        """Daemon sets for which it matters how the node is now."""
        if new is None or (old is not None and _looks_the_same(old, new)):
            return
        here = {
            reference["uid"]
            for pod in view.by("pods", "daemon node", new["metadata"]["name"])
            if (reference := controller_of(pod)) is not None
        }
        for daemon_set in view.list(RESOURCE):
            metadata = daemon_set["metadata"]
            key = Key(metadata["namespace"], metadata["name"])
            fit, has_pod = (
                self._fits(key, daemon_set, [new])[new["metadata"]["name"]],
                metadata["uid"] in here,
            )
            misplaced = (daemon_set.get("status") or {}).get("numberMisscheduled", 0)
            if (not fit.stays or misplaced) if has_pod else fit.runs:
                yield key

    def _remembered(self, key: Key, daemon_set: Object) -> Known:
        metadata = daemon_set["metadata"]
        found = self._known.get(key)
        if found is None or found.of != (metadata["uid"], metadata.get("generation", 0)):
            found = self._known[key] = Known(metadata["uid"], metadata.get("generation", 0))
        return found

    def _fits(self, key: Key, daemon_set: Object, nodes: Iterable[Object]) -> Mapping[str, Fit]:
        """What each node is for the daemon set."""
        known = self._remembered(key, daemon_set).fits
        of = None
        found: dict[str, Fit] = {}
        for node in nodes:
            name, version = node["metadata"]["name"], node["metadata"].get("resourceVersion", "")
            before = known.get(name)
            if before is None or before[0] != version:
                of = of or daemons.fit_of(daemon_set)
                before = known[name] = (version, of(node))
            found[name] = before[1]
        return found

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """Pods are made and deleted, or a step of the rolling update is done; and the status says how it is."""
        daemon_set = view.get(RESOURCE, *key)
        if daemon_set is None:
            self._known.pop(key, None)
            return None
        if daemon_set["spec"].get("selector") == {}:
            text = "This daemon set is selecting all pods. A non-empty selector is required."
            yield [Tell(daemon_set, "Warning", "SelectingAll", text)]
            return None
        if "deletionTimestamp" in daemon_set["metadata"]:
            return None
        selector = selector_of(daemon_set["spec"].get("selector"))
        reference = controller_reference("apps/v1", "DaemonSet", daemon_set)
        claimed = yield from claim(
            daemon_set, owned_or_orphaned(view, revisions.RESOURCE, daemon_set), selector.matches,
            resource=revisions.RESOURCE, owner_resource=RESOURCE, reference=reference,
        )  # fmt: skip
        pods = yield from claim(
            daemon_set, owned_or_orphaned(view, "pods", daemon_set), selector.matches,
            resource="pods", owner_resource=RESOURCE, reference=reference,
        )  # fmt: skip
        current, old = yield from constructed(daemon_set, reference, claimed, pods)
        nodes, known = view.list("nodes"), self._remembered(key, daemon_set)
        fits = self._fits(key, daemon_set, nodes)
        known.keep_only(fits)
        it = Round(
            daemon_set, current["metadata"]["labels"][HASH_LABEL], nodes, fits, pods,
            known.pauses, now_ms,
        )  # fmt: skip
        failure = None
        try:
            yield from _brought_on(it)
            yield from cleaned_up(daemon_set, old, pods)
        except Failed as error:
            failure = error
        yield from _status(it)
        if failure is not None:
            raise failure
        return it.again_ms


def _by_node(pod: Object) -> Iterable[str]:
    """Index: the node that a daemon pod is on."""
    reference = controller_of(pod)
    name = pod["spec"].get("nodeName")
    return (name,) if name and reference is not None and reference["kind"] == "DaemonSet" else ()


def _looks_the_same(old: Object, new: Object) -> bool:
    return (old["metadata"].get("labels") or {}) == (new["metadata"].get("labels") or {}) and (
        (old.get("spec") or {}).get("taints") or []
    ) == ((new.get("spec") or {}).get("taints") or [])


def _brought_on(it: Round) -> Steps:
    it.manage()
    if it.told:
        yield it.told
    if it.missing or it.going:
        yield from _synced(it)
    elif (it.set["spec"].get("updateStrategy") or {}).get("type") == "RollingUpdate":
        it.roll()
        yield from _synced(it)
    return None


def _synced(it: Round) -> Steps:
    """Pods are made for nodes that miss one, and those that are to go are deleted: at most BURST of each."""
    if len(it.missing) > BURST or len(it.going) > BURST:
        it.look_again(0)
    failures = []
    if it.missing:
        of = daemons.made(it.set, it.hashed)
        made = yield from created(it.set, [of(name) for name in it.missing[:BURST]])
        failures.append(made.failure)
    if it.going:
        gone = yield from deleted(it.set, it.going[:BURST])
        failures.append(gone.failure)
    texts = [str(failure) for failure in failures if failure is not None]
    if texts:
        raise Failed(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
    return None


def _status(it: Round) -> Steps:
    before = it.set.get("status") or {}
    generation = it.set["metadata"].get("generation", 0)
    counts = it.counts()
    if any(before.get(name, 0) != count for name, count in counts.items()) or (
        before.get("observedGeneration", 0) < generation
    ):
        status = {**before, **counts, "observedGeneration": generation}
        status = {name: value for name, value in status.items() if value or name in ALWAYS_SAID}
        yield from must(Update(RESOURCE, {**it.set, "status": status}, "status"))
    seconds = it.set["spec"].get("minReadySeconds", 0)
    if seconds and counts["numberReady"] != counts["numberAvailable"]:
        waits = [
            left
            for pods in it.by_node.values()
            for pod in pods
            if (left := podlib.available_in_ms(pod, seconds, it.now_ms))
        ]
        it.look_again(min(waits, default=seconds * 1000))
    return None
