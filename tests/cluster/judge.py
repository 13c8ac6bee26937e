"""What must never be: looked for in every write that the store has taken, in the order of revisions.

The judge follows the store itself, past API server and caches, so that no fault of the simulation hides anything from it.
"""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Callable
from typing import Any, Final

import orjson

from kcore.api.quantity import milli_value, parse_quantity
from kcore.api.resources import catalog
from kcore.store.embedded import Embedded
from kcore.store.kv import EventType

Object = dict[str, Any]
Place = tuple[str, str, str]  # folder of the resource, namespace, name

PREFIX: Final = b"/registry/"
ENDED: Final = ("Succeeded", "Failed")
INDEX: Final = "batch.kubernetes.io/job-completion-index"
PREEMPTED: Final = "PreemptionByScheduler"


FOLDERS: Final = {row.storage: row.namespaced for row in catalog.builtin().rows if row.storage}
UNJUDGED: Final = frozenset({"events", "leases"})


def place_of(path: str) -> Place | None:
    """Where in the store an object is; None for what is no object."""
    parts = path.split("/")
    count = 1 if parts[0] in FOLDERS else 2
    is_namespaced = FOLDERS.get("/".join(parts[:count]))
    if is_namespaced is None or len(parts) != count + 1 + is_namespaced:
        return None
    return "/".join(parts[:count]), parts[-2] if is_namespaced else "", parts[-1]


class Violation(AssertionError):
    """Something that must never be."""


def is_live(pod: Object) -> bool:
    """Neither ended nor on its way out."""
    return "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") not in ENDED


def is_ready(pod: Object) -> bool:
    """Live, and its condition says so."""
    return is_live(pod) and any(
        each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions") or ()
    )


def owner_uid(obj: Object) -> str:
    """The controller's uid; empty where it has none."""
    return next(
        (each["uid"] for each in obj["metadata"].get("ownerReferences") or () if each.get("controller")), ""
    )


class Judge:
    """See the module. ``objects`` is everything in the store; ``rules`` are asked after each change of a pod."""

    def __init__(self) -> None:
        self.objects: dict[Place, Object] = {}
        self.pods: dict[str, dict[str, Object]] = collections.defaultdict(dict)  # by namespace, then name
        self.rules: dict[str, list[Callable[[], str]]] = collections.defaultdict(list)  # by namespace
        self.made: dict[str, collections.Counter[Any]] = collections.defaultdict(
            collections.Counter
        )  # by namespace, what pods were ever made for
        self.finished: dict[str, dict[str, set[str]]] = collections.defaultdict(
            lambda: collections.defaultdict(set)
        )  # by uid of a job, of each index the uids of pods that succeeded
        self.victims: dict[str, dict[str, Object]] = collections.defaultdict(
            dict
        )  # by namespace, then uid: who had to make room
        self.unknown: set[str] = set()  # uids of pods whose makers were not told of them
        self.maybe: collections.Counter[str] = (
            collections.Counter()
        )  # by namespace: likewise, nobody knows which
        self.revision = 0
        self.digest = hashlib.sha256()  # of all that was written: equal where runs are
        self.tell: Callable[[Any], None] | None = None  # of every write
        self._requested: collections.Counter[str] = collections.Counter()  # CPU by node
        self._bound: dict[str, str] = {}  # by uid

    async def follow(self, kv: Embedded) -> None:
        """Every change is judged; Violation for the first that may not be."""
        async for batch in kv.watch(PREFIX, PREFIX[:-1] + b"0", start_revision=1):
            for event in batch.events:
                self.revision = event.kv.mod_revision
                self.digest.update(event.kv.key + event.kv.value)
                if self.tell is not None:
                    self.tell(event.kv)
                self._changed(event.kv.key, None if event.type == EventType.DELETE else event.kv.value)

    def _changed(self, key: bytes, value: bytes | None) -> None:
        place = place_of(key[len(PREFIX) :].decode())
        if place is None or place[0] in UNJUDGED:
            return
        folder, namespace, name = place
        before = self.objects.get(place)
        now = None if value is None else orjson.loads(value)
        if now is None:
            self.objects.pop(place, None)
        else:
            self.objects[place] = now
        if folder == "pods":
            self._pod(namespace, name, before, now)
            for rule in self.rules[namespace]:
                if wrong := rule():
                    raise Violation(f"revision {self.revision}: {namespace}: {wrong}")

    # -- pods ---------------------------------------------------------------------------------------------------------
    def _pod(self, namespace: str, name: str, before: Object | None, now: Object | None) -> None:
        pods = self.pods[namespace]
        if before is not None and now is not None and before["metadata"]["uid"] != now["metadata"]["uid"]:
            raise Violation(f"revision {self.revision}: pod {namespace}/{name} is another one")
        self._counted(before, now)
        if now is None:
            pods.pop(name, None)
            return
        pods[name] = now
        uid = now["metadata"]["uid"]
        node = now["spec"].get("nodeName", "")
        if self._bound.setdefault(uid, node) != node:
            if self._bound[uid]:
                raise Violation(
                    f"revision {self.revision}: pod {namespace}/{name} was on {self._bound[uid]} and is on {node!r}"
                )
            self._bound[uid] = node
        if before is None:
            self.made[namespace][self._purpose(now)] += 1
        if now["status"].get("phase") == "Succeeded" and (job := owner_uid(now)):
            self.finished[job][_index(now)].add(uid)
        if "deletionTimestamp" in now["metadata"] and any(
            each.get("reason") == PREEMPTED for each in now["status"].get("conditions") or ()
        ):
            self.victims[namespace].setdefault(uid, now)

    def _purpose(self, pod: Object) -> Any:
        return owner_uid(pod), _index(pod)

    def _counted(self, before: Object | None, now: Object | None) -> None:
        for pod, sign in ((before, -1), (now, 1)):
            if pod is not None and pod["spec"].get("nodeName") and pod["status"].get("phase") not in ENDED:
                self._requested[pod["spec"]["nodeName"]] += sign * cpu_milli(pod)
        if now is not None and (node := now["spec"].get("nodeName")):
            found = self.objects.get(("minions", "", node))
            if found is not None:
                allocatable = milli_of(found["status"]["allocatable"]["cpu"])
                if self._requested[node] > allocatable:
                    raise Violation(
                        f"revision {self.revision}: pods on {node} ask for {self._requested[node]}m of {allocatable}m"
                        f" since {now['metadata']['namespace']}/{now['metadata']['name']} is there"
                    )

    # -- what rules ask for -------------------------------------------------------------------------------------------
    def live(self, namespace: str, app: str = "") -> list[Object]:
        """The pods of that label that are live, but for those whose makers were not told of them."""
        return [
            pod
            for pod in self.pods[namespace].values()
            if is_live(pod)
            and pod["metadata"]["uid"] not in self.unknown
            and (not app or pod["metadata"].get("labels", {}).get("app") == app)
        ]

    def ready_count(self, namespace: str, app: str) -> int:
        """How many pods of that label are ready."""
        return sum(
            is_ready(pod) and pod["metadata"].get("labels", {}).get("app") == app
            for pod in self.pods[namespace].values()
        )

    def doubled(self, namespace: str, key: Callable[[Object], str]) -> str:
        """What two live pods are there for; empty where there is no such thing."""
        counts = collections.Counter(key(pod) for pod in self.live(namespace))
        more = sum(count - 1 for count in counts.values())
        if more > self.maybe[namespace]:
            twice = sorted(name for name, count in counts.items() if count > 1)
            return f"two live pods for {', '.join(twice)}"
        return ""


def _index(pod: Object) -> str:
    found: str = pod["metadata"].get("annotations", {}).get(INDEX, "")
    return found


def milli_of(amount: str) -> int:
    """Thousandths."""
    return milli_value(parse_quantity(amount))


def cpu_milli(pod: Object) -> int:
    """What the pod's containers ask for."""
    return sum(
        milli_of(((each.get("resources") or {}).get("requests") or {}).get("cpu", "0"))
        for each in pod["spec"]["containers"]
    )
