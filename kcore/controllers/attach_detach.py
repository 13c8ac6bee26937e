"""Volumes of CSI drivers are attached to the nodes whose pods use them, and detached where none does any more.

A driver's own attacher does it, and says so in the VolumeAttachment that it is asked by. A key is ``volume/DRIVER^HANDLE``
or ``node/NAME``. Nodes without the annotation ``volumes.kubernetes.io/controller-managed-attach-detach``, which kubelets
set, are left alone, as are volumes of in-tree plugins. Source: pkg/controller/volume/attachdetach,
pkg/volume/csi/csi_attacher.go of Kubernetes 1.36.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Sequence
from typing import Any, ClassVar, Final

from kcore.api.status import ApiError
from kcore.controllers.attachments import (
    ATTACHMENTS,
    CLAIMS,
    DRIVERS,
    PREFIX,
    VOLUMES,
    Attachment,
    attachment_name,
    by_driver,
    by_handle,
    fault_of,
    handle_of,
    in_use,
    is_managed,
    is_out_of_service,
    is_shared,
    reported,
    users,
    wants,
)
from kcore.controllers.contract import (
    Action,
    Controller,
    Create,
    Delete,
    Failed,
    Key,
    Later,
    Object,
    Outcome,
    Patch,
    Read,
    Steps,
    Tell,
    View,
    Wake,
    Watched,
    done,
)
from kcore.controllers.node_lifecycle import by_node
from kcore.controllers.pod_claims import by_claim
from kcore.controllers.pods import condition

VOLUME: Final = "volume/"
NODE: Final = "node/"
UNMOUNT_MS_MAX: Final = 6 * 60_000  # after which a node that is not ready loses what it has mounted
ATTACH_MS_MAX: Final = 120_000  # that an attacher has
Doing = Generator[Sequence[Action], list[Outcome], Any]


class AttachDetach(Controller):
    """``persistentvolume-attach-detach-controller``. ``forces``: nodes that are not ready are not waited for for ever."""

    name: ClassVar = "persistentvolume-attach-detach-controller"
    aliases: ClassVar = ("attachdetach",)
    component: ClassVar = "attachdetach-controller"

    def __init__(self, *, forces: bool = True) -> None:
        self._forces = forces
        self._known: dict[str, dict[str, Attachment]] = {}  # by volume and node: attached, or perhaps
        self._on: dict[str, set[str]] = {}  # the same by node
        self._volumes: dict[str, str] = {}  # by name of an attachment
        self._in_use: dict[str, Sequence[str]] = {}  # of nodes that are gone
        self._complained: set[tuple[str, str]] = set()  # of a volume that another node has

    @property
    def watches(self) -> Sequence[Watched]:
        """Pods, their claims and volumes, attachments, nodes and drivers."""
        return (
            Watched("pods", _pod_keys, {"claim": by_claim, "node": by_node}),
            Watched(CLAIMS, _claim_keys),
            Watched(VOLUMES, _volume_keys, {"handle": by_handle, "driver": by_driver}),
            Watched(ATTACHMENTS, self._attachment_keys),
            Watched("nodes", self._node_keys),
            Watched(DRIVERS, _driver_keys),
        )

    def at_start(self, view: View, now_ms: int) -> Iterable[Key | Later]:
        """What nodes and attachments say is attached is taken for that, or for perhaps attached."""
        for memory in (self._known, self._on, self._volumes, self._in_use, self._complained):
            memory.clear()
        for node in view.list("nodes"):
            for name in reported(node):
                if name.startswith(PREFIX):
                    self._state(name.removeprefix(PREFIX), node["metadata"]["name"]).is_confirmed = True
        for attachment in view.list(ATTACHMENTS):
            source = attachment["spec"]["source"].get("persistentVolumeName") or ""
            volume = view.get(VOLUMES, "", source)
            if volume is not None and handle_of(volume) and _is_attachable(volume, view):
                self._state(handle_of(volume), attachment["spec"]["nodeName"])
        return [
            *(Key("", VOLUME + handle) for handle in self._known),
            *(Key("", NODE + node) for node in self._on),
        ]

    # -- what is known ----------------------------------------------------------------------------------------------
    def _state(self, handle: str, node: str) -> Attachment:
        found = self._known.setdefault(handle, {})
        if node not in found:
            found[node] = Attachment()
            self._on.setdefault(node, set()).add(handle)
            self._volumes[attachment_name(handle, node)] = handle
        return found[node]

    def _forget(self, handle: str, node: str) -> None:
        del self._known[handle][node]
        if not self._known[handle]:
            del self._known[handle]
        self._on[node].discard(handle)
        if not self._on[node]:
            del self._on[node]
        self._volumes.pop(attachment_name(handle, node), None)

    def _attachment_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        attachment = new if new is not None else old
        assert attachment is not None
        handle = self._volumes.get(attachment["metadata"]["name"])
        if handle is not None:
            yield Key("", VOLUME + handle)

    def _node_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        node = new if new is not None else old
        assert node is not None
        name = node["metadata"]["name"]
        if new is None:
            self._in_use[name] = in_use(node)
        else:
            self._in_use.pop(name, None)
        if new is not None and is_managed(new) and (old is None or not is_managed(old)):
            for pod in view.by("pods", "node", name):
                yield from _pod_keys(None, pod, view)
        if name in self._on and (old is None or new is None or _matters(old) != _matters(new)):
            yield Key("", NODE + name)
            for handle in self._on[name]:
                yield Key("", VOLUME + handle)

    # -- rounds -----------------------------------------------------------------------------------------------------
    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The volume is where it is used, as far as may be now; or the node says what is attached to it."""
        if key.name.startswith(NODE):
            yield from self._report(key.name.removeprefix(NODE), view)
            return None
        handle = key.name.removeprefix(VOLUME)
        volumes = view.by(VOLUMES, "handle", handle)
        wanted: dict[str, list[Object]] = {}
        for volume in volumes:
            if _is_attachable(volume, view):
                for node, pods in users(volume, view).items():
                    wanted.setdefault(node, []).extend(pods)
        again: list[int | None] = []
        for node in sorted(self._known.get(handle, {}).keys() - wanted.keys()):
            again.append((yield from self._detached(handle, node, view, now_ms)))  # noqa: PERF401 - no comprehension may yield
        for node in sorted(wanted):
            found = view.get("nodes", "", node)
            if found is not None and is_managed(found):
                pods = sorted(
                    wanted[node], key=lambda pod: (pod["metadata"]["namespace"], pod["metadata"]["name"])
                )
                again.append((yield from self._attached(volumes[0], node, pods, wanted, view, now_ms)))
        return min((each for each in again if each is not None), default=None)

    def _report(self, name: str, view: View) -> Doing:
        """The node's status lists what is attached, and of what goes nothing (UpdateNodeStatuses)."""
        node = view.get("nodes", "", name)
        if node is None:
            return
        listed = (node.get("status") or {}).get("volumesAttached") or []
        wanted = {
            PREFIX + handle
            for handle in self._on.get(name, ())
            if (state := self._known[handle][name]).is_confirmed and not state.is_leaving
        }
        there = {each["name"] for each in listed if each["name"].startswith(PREFIX)}
        if there == wanted:
            return
        kept = [each for each in listed if each["name"] in wanted or not each["name"].startswith(PREFIX)]
        kept += [{"name": each, "devicePath": ""} for each in sorted(wanted - there)]
        body = {"status": {"volumesAttached": kept or None}}
        done((yield [Patch("nodes", "", name, body, "strategic", "status")]))

    def _detached(self, handle: str, node: str, view: View, now_ms: int) -> Doing:
        """It is being detached unless the node has it mounted still; returns when to look again."""
        state = self._known[handle][node]
        if state.since_ms is None:
            state.since_ms = now_ms
        found = view.get("nodes", "", node)
        mounted = in_use(found) if found is not None else self._in_use.get(node, ())
        is_late = now_ms - state.since_ms > UNMOUNT_MS_MAX and self._forces
        is_out = found is not None and is_out_of_service(found)
        if PREFIX + handle in mounted and not is_out and not (is_late and not _is_ready(found)):
            return (
                max(0, state.since_ms + UNMOUNT_MS_MAX + 1 - now_ms) if self._forces and not is_late else None
            )
        state.is_leaving = True
        if found is not None and PREFIX + handle in reported(found):
            yield [Wake([Key("", NODE + node)])]
            return None  # until the node says that it is not safe to mount any more
        attachment = view.get(ATTACHMENTS, "", attachment_name(handle, node))
        if attachment is None:
            self._forget(handle, node)
            return None
        if not is_late and not is_out:
            yield from _surely_unmounted(handle, node)
        if "deletionTimestamp" not in attachment["metadata"]:
            metadata = attachment["metadata"]
            done((yield [Delete(ATTACHMENTS, "", metadata["name"], metadata["uid"])]))
        return None

    def _attached(
        self,
        volume: Object,
        node: str,
        pods: Sequence[Object],
        wanted: dict[str, list[Object]],
        view: View,
        now_ms: int,
    ) -> Doing:
        """It is attached there or its attacher has been asked; returns when to look again."""
        handle = handle_of(volume)
        state = self._known.get(handle, {}).get(node)
        attachment = view.get(ATTACHMENTS, "", attachment_name(handle, node))
        if state is not None:
            if state.is_leaving and attachment is not None and "deletionTimestamp" in attachment["metadata"]:
                return None  # it comes back once it is gone
            state.is_leaving, state.since_ms = False, None
        if attachment is not None and (attachment.get("status") or {}).get("attached"):
            yield from self._arrived(volume, node, pods)
            return None
        if state is not None and state.is_confirmed:
            state.is_confirmed = False
            yield [Wake([Key("", NODE + node)])]
        if not is_shared(volume):
            others = {name: each for name, each in self._known.get(handle, {}).items() if name != node}
            if any(each.is_under_way for each in others.values()):
                return None
            holders = [name for name, each in others.items() if each.is_confirmed]
            if holders:
                yield self._complaints(volume, node, pods, holders, wanted)
                return None
        state = self._state(handle, node)
        if attachment is None:
            return (yield from self._asked(volume, node, pods, state, now_ms))
        if now_ms < state.retry_ms:
            return state.retry_ms - now_ms
        if state.began_ms is None:
            state.began_ms = now_ms
        why = fault_of(attachment)
        if not why:
            if now_ms - state.began_ms < ATTACH_MS_MAX:
                return state.began_ms + ATTACH_MS_MAX - now_ms
            driver, _, name = handle.partition("^")
            why = f"timed out waiting for external-attacher of {driver} CSI driver to attach volume {name}"
        yield _failure(volume, pods, why)
        return state.failed(now_ms)

    def _arrived(self, volume: Object, node: str, pods: Sequence[Object]) -> Doing:
        """The pods are told, once, and the node's status says it."""
        handle = handle_of(volume)
        state = self._state(handle, node)
        self._complained.discard((handle, node))
        state.failures_count, state.retry_ms, state.began_ms = 0, 0, None
        if not state.is_confirmed:
            state.is_confirmed = True
            text = f"AttachVolume.Attach succeeded for volume {_quoted(volume)} "
            yield [Tell(pod, "Normal", "SuccessfulAttachVolume", text) for pod in pods]
        yield [Wake([Key("", NODE + node)])]

    def _asked(
        self, volume: Object, node: str, pods: Sequence[Object], state: Attachment, now_ms: int
    ) -> Doing:
        """The attachment is made, which is what asks the attacher."""
        if now_ms < state.retry_ms:
            return state.retry_ms - now_ms
        handle = handle_of(volume)
        made = {
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
            "metadata": {"name": attachment_name(handle, node)},
            "spec": {
                "attacher": volume["spec"]["csi"]["driver"], "nodeName": node,
                "source": {"persistentVolumeName": volume["metadata"]["name"]},
            },
        }  # fmt: skip
        (outcome,) = yield [Create(ATTACHMENTS, made)]
        if isinstance(outcome, ApiError) and outcome.reason != "AlreadyExists":
            yield _failure(volume, pods, f"kubernetes.io/csi: attacher.Attach failed: {outcome}")
            return state.failed(now_ms)
        state.began_ms = now_ms
        return ATTACH_MS_MAX

    def _complaints(
        self,
        volume: Object,
        node: str,
        pods: Sequence[Object],
        others: Iterable[str],
        wanted: dict[str, list[Object]],
    ) -> list[Action]:
        """The pods are told, once, who has the volume (reportMultiAttachError)."""
        handle = handle_of(volume)
        if (handle, node) in self._complained:
            return []
        self._complained.add((handle, node))
        holders = [pod["metadata"] for name in others for pod in wanted.get(name, ())]
        return [
            Tell(
                pod, "Warning", "FailedAttachVolume",
                f"Multi-Attach error for volume {_quoted(volume)} {_held(pod['metadata']['namespace'], holders)}",
            )
            for pod in pods
        ]  # fmt: skip


def _held(namespace: str, holders: Sequence[Object]) -> str:
    """By whom, as somebody of that namespace may know it."""
    if not holders:
        return "Volume is already exclusively attached to one node and can't be attached to another"
    here = sorted(each["name"] for each in holders if each["namespace"] == namespace)
    elsewhere = f"{len(holders) - len(here)} pod(s) in different namespaces"
    if not here:
        return f"Volume is already used by {elsewhere}"
    text = f"Volume is already used by pod(s) {', '.join(here)}"
    return text if len(here) == len(holders) else f"{text} and {elsewhere}"


def _failure(volume: Object, pods: Sequence[Object], why: str) -> list[Action]:
    text = f"AttachVolume.Attach failed for volume {_quoted(volume)} : {why}"
    return [Tell(pod, "Warning", "FailedAttachVolume", text) for pod in pods]


def _quoted(volume: Object) -> str:
    return json.dumps(volume["metadata"]["name"])


def _surely_unmounted(handle: str, node: str) -> Doing:
    """Failed where the node itself says that it uses the volume (verifyVolumeIsSafeToDetach)."""
    (outcome,) = yield [Read("nodes", "", node)]
    if isinstance(outcome, ApiError):
        if outcome.code == 404:
            return
        raise Failed(f"DetachVolume failed fetching node from API server: {outcome}") from outcome
    assert isinstance(outcome, dict)
    if PREFIX + handle in in_use(outcome):
        raise Failed(f"{handle}: volume is still in use by node, according to Node status")


def _is_attachable(volume: Object, view: View) -> bool:
    """Its driver attaches; one that nobody has registered does (skipAttach)."""
    driver = view.get(DRIVERS, "", volume["spec"]["csi"]["driver"])
    return driver is None or driver["spec"].get("attachRequired") is not False


def _is_ready(node: Object | None) -> bool:
    found = condition(node, "Ready") if node is not None else None
    return found is not None and found["status"] == "True"


def _matters(node: Object) -> tuple[Any, ...]:
    return (
        node["metadata"]["uid"], is_managed(node), in_use(node), reported(node), is_out_of_service(node), _is_ready(node)
    )  # fmt: skip


def _pod_keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    """Volumes of a pod that begins or ends to want them."""
    pod = new if new is not None else old
    assert pod is not None
    for volume in pod["spec"].get("volumes") or ():
        if "persistentVolumeClaim" in volume or "ephemeral" in volume:
            break
    else:
        return  # most pods, of which there are many
    if old is not None and new is not None and wants(old) == wants(new):
        return
    for claim in by_claim(pod):
        yield from _of_claim(view.get(CLAIMS, *claim.split("/")), view)


def _claim_keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    return _of_claim(new if new is not None else old, view)


def _of_claim(claim: Object | None, view: View) -> Iterable[Key]:
    name = claim["spec"].get("volumeName") if claim is not None else None
    volume = view.get(VOLUMES, "", name) if name else None
    return () if volume is None else _volume_keys(None, volume, view)


def _volume_keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    volume = new if new is not None else old
    assert volume is not None
    handle = handle_of(volume)
    return (Key("", VOLUME + handle),) if handle else ()


def _driver_keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    driver = new if new is not None else old
    assert driver is not None
    for volume in view.by(VOLUMES, "driver", driver["metadata"]["name"]):
        yield Key("", VOLUME + handle_of(volume))
