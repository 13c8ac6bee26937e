"""Which daemon pods are to be made and which to go: node by node, and in a rolling update.

Source: podsShouldBeOnNode of pkg/controller/daemon/daemon_controller.go, rollingUpdate of update.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from kcore.controllers import daemon_set_pods as daemons
from kcore.controllers import pods as podlib
from kcore.controllers.contract import Action, Failed, Object, Tell
from kcore.controllers.controller_revisions import HASH_LABEL

BACKOFF_MS: Final = 1000  # after which a failed pod is deleted, doubled with each
BACKOFF_MS_MAX: Final = 900_000


class Pause(NamedTuple):
    """How long a node's failed pods are left, since when."""

    pause_ms: int
    since_ms: int


class Round:
    """One look at a daemon set: nodes, what they are for it, and the pods by node."""

    def __init__(
        self, daemon_set: Object, hashed: str, nodes: Sequence[Object], fits: Mapping[str, daemons.Fit],
        pods: Iterable[Object], pauses: dict[str, Pause], now_ms: int,
    ) -> None:  # fmt: skip
        self.set = daemon_set
        self.hashed = hashed
        self.nodes = nodes
        self.fits = fits
        self.pauses = pauses
        self.now_ms = now_ms
        self.generation = daemons.template_generation(daemon_set)
        self.by_node: dict[str, list[Object]] = {}
        self.missing: list[str] = []
        self.going: list[Object] = []
        self.told: list[Action] = []
        self.again_ms: int | None = None
        for pod in pods:
            finished = pod["status"].get("phase") in ("Succeeded", "Failed")
            name = daemons.node_of(pod)
            if name is not None and not (finished and "deletionTimestamp" in pod["metadata"]):
                self.by_node.setdefault(name, []).append(pod)

    def is_available(self, pod: Object) -> bool:
        """Ready for as long as the set asks."""
        seconds = self.set["spec"].get("minReadySeconds", 0)
        return podlib.available_in_ms(pod, seconds, self.now_ms) == 0

    def look_again(self, after_ms: int) -> None:
        """Not later than after so long."""
        self.again_ms = after_ms if self.again_ms is None else min(self.again_ms, after_ms)

    # -- node by node -----------------------------------------------------------------------------------------------
    def manage(self) -> None:
        """``missing`` are nodes that are to have a pod, ``going`` pods that are to go."""
        for name in (node["metadata"]["name"] for node in self.nodes):
            fit, pods = self.fits[name], self.by_node.get(name)
            if fit.runs and pods is None:
                self.missing.append(name)
            elif fit.stays:
                self._on_node(name, fit, pods or [])
            elif pods is not None:
                self.going += [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        there = {node["metadata"]["name"] for node in self.nodes}
        for name, pods in self.by_node.items():
            if name not in there:
                self.going += [pod for pod in pods if not pod["spec"].get("nodeName")]

    def _on_node(self, name: str, fit: daemons.Fit, pods: Sequence[Object]) -> None:
        running = [pod for pod in pods if self._is_running(pod, name)]
        if daemons.max_surge(self.set, 1) <= 0:
            self.going += daemons.by_age(running)[1:]
            return
        if len(running) <= 1:
            if not running and fit.runs:
                self.missing.append(name)
            return
        new: Object | None = None
        old: Object | None = None
        for pod in daemons.by_age(running):
            is_new = (pod["metadata"].get("labels") or {}).get(HASH_LABEL) == self.hashed
            if is_new and new is None:
                new = pod
            elif not is_new and old is None:
                old = pod
            else:
                self.going.append(pod)
        if new is not None and old is not None and (not podlib.is_ready(old) or self.is_available(new)):
            self.going.append(old)

    def _is_running(self, pod: Object, name: str) -> bool:
        """Neither going nor finished; finished ones go, failed ones after a pause that grows."""
        if "deletionTimestamp" in pod["metadata"]:
            return False
        phase = pod["status"].get("phase")
        which = f"{pod['metadata']['namespace']}/{pod['metadata']['name']} on node {name}"
        if phase == "Failed":
            left_ms = self._pause_left_ms(name)
            if left_ms > 0:
                self.look_again(left_ms)
                return False
            message = f"Found failed daemon pod {which}, will try to kill it"
            self.told.append(Tell(self.set, "Warning", "FailedDaemonPod", message))
        elif phase == "Succeeded":
            message = f"Found succeeded daemon pod {which}, will try to delete it"
            self.told.append(Tell(self.set, "Normal", "SucceededDaemonPod", message))
        else:
            return True
        self.going.append(pod)
        return False

    def _pause_left_ms(self, name: str) -> int:
        """What is left of the node's pause; the next one begins where nothing is."""
        found = self.pauses.get(name)
        if found is not None and self.now_ms - found.since_ms > 2 * BACKOFF_MS_MAX:
            found = None
        if found is not None and self.now_ms - found.since_ms < found.pause_ms:
            return found.since_ms + found.pause_ms - self.now_ms
        pause_ms = BACKOFF_MS if found is None else min(2 * found.pause_ms, BACKOFF_MS_MAX)
        self.pauses[name] = Pause(pause_ms, self.now_ms)
        return 0

    # -- a rolling update -------------------------------------------------------------------------------------------
    def roll(self) -> None:
        """``missing`` and ``going`` as the rolling update has them."""
        wanted = [name for name, fit in self.fits.items() if fit.runs]
        by_node = {**self.by_node, **{name: [] for name in wanted if name not in self.by_node}}
        surge = daemons.max_surge(self.set, len(wanted))
        unavailable = daemons.max_unavailable(self.set, len(wanted))
        if wanted and not surge and not unavailable:
            unavailable = 1
        self.missing, self.going = [], []
        if surge:
            self._roll_by_surge(by_node, surge, len(wanted))
        else:
            self._roll_by_absence(by_node, unavailable)

    def _new_and_old(self, pods: Iterable[Object]) -> tuple[Object | None, Object | None] | None:
        """None where there are several of one sort."""
        new: Object | None = None
        old: Object | None = None
        for pod in pods:
            if "deletionTimestamp" in pod["metadata"]:
                continue
            if daemons.is_updated(pod, self.hashed, self.generation):
                if new is not None:
                    return None
                new = pod
            elif old is not None:
                return None
            else:
                old = pod
        return new, old

    def _roll_by_absence(self, by_node: Mapping[str, Sequence[Object]], most: int) -> None:
        unavailable = 0
        broken: list[Object] = []
        candidates: list[Object] = []
        for pods in by_node.values():
            found = self._new_and_old(pods)
            new, old = (None, None) if found is None else found
            if (new is None) == (old is None):
                unavailable += 1
            elif new is not None:
                unavailable += not self.is_available(new)
            elif old is not None and not self.is_available(old):
                broken.append(old)
                unavailable += 1
            elif old is not None and unavailable < most:
                candidates.append(old)
        self.going = broken + candidates[: max(0, most - unavailable)]

    def _roll_by_surge(self, by_node: Mapping[str, Sequence[Object]], most: int, wanted: int) -> None:
        surged = available = 0
        misplaced: list[Object] = []
        broken: list[str] = []
        candidates: list[str] = []
        for name, pods in by_node.items():
            found = self._new_and_old(pods)
            if found is None:
                surged += 1
                continue
            new, old = found
            first = old if old is not None else new
            available += first is not None and self.is_available(first)
            if old is None:
                continue
            if new is not None:
                if self.is_available(new):
                    self.going.append(old)
                else:
                    surged += 1
                continue
            fit = self.fits.get(name)
            if fit is None:
                raise Failed(f'couldn\'t get node for nodeName "{name}": node "{name}" not found')
            if not self.is_available(old):
                if fit.runs:
                    broken.append(name)
                else:
                    self.going.append(old)
            elif not fit.runs:
                misplaced.append(old)
            elif surged < most:
                candidates.append(name)
        self.going += misplaced[: max(0, available - wanted)]
        self.missing = broken + candidates[: max(0, most - surged)]

    # -- the status -------------------------------------------------------------------------------------------------
    def counts(self) -> dict[str, int]:
        """The numbers of the status."""
        desired = current = misplaced = ready = updated = available = 0
        for name, fit in self.fits.items():
            pods = self.by_node.get(name)
            if not fit.runs:
                misplaced += bool(pods)
                continue
            desired += 1
            if not pods:
                continue
            current += 1
            pod = daemons.by_age(pods)[0]
            ready += podlib.is_ready(pod)
            available += self.is_available(pod)
            updated += daemons.is_updated(pod, self.hashed, self.generation)
        return {
            "currentNumberScheduled": current, "numberMisscheduled": misplaced, "desiredNumberScheduled": desired,
            "numberReady": ready, "updatedNumberScheduled": updated, "numberAvailable": available,
            "numberUnavailable": desired - available,
        }  # fmt: skip
