"""What people do with a cluster, each story in a namespace and on nodes of its own, and what must hold all the while."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Sequence
from typing import Any, Final, Protocol

from tests.cluster.judge import INDEX, Judge, is_live, owner_uid
from tests.cluster.user import Object, User

READY_MS, READY_JITTER_MS = 400, 1_500
GOES_MS, GOES_JITTER_MS = 200, 1_500
WORKS_MS, WORKS_JITTER_MS = 3_000, 9_000
NODES: Final = {"rollout": 3, "stateful": 3, "daemon": 3, "drain": 3, "preempt": 2, "batch": 3, "rest": 3}
NODE_CPU: Final = "16"
PREEMPT_CPU: Final = "4"


class Story(Protocol):
    """``pool`` is the nodes that its pods run on. ``may_delete_pods``: a stranger may, without breaking what holds."""

    name: str
    pool: str
    may_delete_pods: bool

    def watch(self, judge: Judge) -> None:
        """Its rules are the judge's."""

    async def act(self, user: User) -> None:
        """It happens; the namespace is at rest soon afterwards."""


def nodes() -> list[Object]:
    """All nodes of all pools."""
    made = []
    for pool, count in NODES.items():
        for number in range(count):
            cpu = PREEMPT_CPU if pool == "preempt" else NODE_CPU
            amounts = {"cpu": cpu, "memory": "64Gi", "pods": "110"}
            name = f"{pool}-{number}"
            labels = {"pool": pool, "kubernetes.io/hostname": name}
            made.append({
                "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
                "status": {"capacity": amounts, "allocatable": amounts},
            })  # fmt: skip
    return made


def delays(**more: int) -> dict[str, str]:
    """Annotations that say how long a pod takes for each step."""
    times = {
        "pod-ready": (READY_MS, READY_JITTER_MS), "pod-delete": (GOES_MS, GOES_JITTER_MS),
        "pod-complete": (WORKS_MS, WORKS_JITTER_MS),
    }  # fmt: skip
    made = {}
    for stage, (least_ms, most_ms) in times.items():
        made[f"{stage}.stage.kwok.x-k8s.io/delay"] = f"{least_ms}ms"
        made[f"{stage}.stage.kwok.x-k8s.io/jitter-delay"] = f"{most_ms}ms"
    return made


def pods_of(app: str, pool: str, image: str, cpu: str = "100m", **spec: Any) -> Object:
    """A template of pods labelled ``app``."""
    container = {"name": "main", "image": image, "resources": {"requests": {"cpu": cpu}}}
    return {
        "metadata": {"labels": {"app": app}, "annotations": delays()},
        "spec": {"containers": [container], "nodeSelector": {"pool": pool}, **spec},
    }


def made(api_version: str, kind: str, namespace: str, name: str, **parts: Any) -> Object:
    """An object."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **parts}


def namespace(name: str) -> Object:
    """A namespace."""
    return made("v1", "Namespace", "", name)


def workload(kind: str, space: str, name: str, replicas: int, template: Object, **spec: Any) -> Object:
    """A Deployment or the like of pods labelled ``app: NAME``."""
    selector = {"matchLabels": {"app": name}}
    return made("apps/v1", kind, space, name, spec={
        "replicas": replicas, "selector": selector, "template": template, **spec,
    })  # fmt: skip


def image_of(image: str) -> Object:
    """The patch that gives a workload's pods another image."""
    return {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}


def staying(judge: Judge, space: str, live: Sequence[Object]) -> int:
    """How many of the pods their replica sets are to keep: sizes of rollouts are counted in what is asked for."""
    counts = collections.Counter(owner_uid(pod) for pod in live)
    asked = {
        each["metadata"]["uid"]: each["spec"]["replicas"]
        for (folder, namespace, _), each in judge.objects.items()
        if folder == "replicasets" and namespace == space
    }
    return sum(min(count, asked.get(uid, count)) for uid, count in counts.items())


class Rollout:
    """A deployment is rolled, rolled back in the midst of it, and scaled; never too many pods, never too few."""

    name = pool = "rollout"
    may_delete_pods = False
    SURGE, UNAVAILABLE = 2, 1
    DOOMED = 4  # pods besides of old replica sets that are scaled down: the new one is already scaled up, as upstream
    UNDONE = 3  # pods that may be missing besides, while a rollout is undone: counted in a status that is late, as upstream

    def __init__(self) -> None:
        self.live_max, self.ready_min = 0, 0

    def watch(self, judge: Judge) -> None:
        """Sizes within maxSurge and maxUnavailable."""

        def sizes() -> str:
            live = judge.live(self.name, "web")
            stay = staying(judge, self.name, live)
            if stay - judge.maybe[self.name] > self.live_max or len(live) > self.live_max + self.DOOMED:
                return f"{len(live)} live pods, {stay} of them to stay, more than {self.live_max}"
            ready = judge.ready_count(self.name, "web")
            return f"{ready} ready pods, fewer than {self.ready_min}" if ready < self.ready_min else ""

        judge.rules[self.name].append(sizes)

    async def act(self, user: User) -> None:
        """v1, v2, back to v1 half way, v3; ten pods, then fourteen, then six."""
        space = self.name
        strategy = {"rollingUpdate": {"maxSurge": self.SURGE, "maxUnavailable": self.UNAVAILABLE}}
        self.live_max = 10 + self.SURGE
        port = {"port": 80}
        await user.create(
            namespace(space),
            made("v1", "Service", space, "web", spec={"selector": {"app": "web"}, "ports": [port]}),
            workload("Deployment", space, "web", 10, pods_of("web", self.pool, "web:1"), strategy=strategy),
        )
        await user.rolled_out("deployments", "web", space)
        self.ready_min = 10 - self.UNAVAILABLE - self.UNDONE
        for image, pause_s in (("web:2", 3.0), ("web:1", 2.0), ("web:3", 0.0)):
            await user.patch("deployments", "web", image_of(image), space, type="strategic")
            await asyncio.sleep(pause_s)
        await user.rolled_out("deployments", "web", space)
        self.ready_min = 10 - self.UNAVAILABLE
        self.live_max = 14 + self.SURGE
        await user.patch("deployments", "web", {"spec": {"replicas": 14}}, space)
        await user.rolled_out("deployments", "web", space)
        self.ready_min = 6 - self.UNAVAILABLE
        await user.patch("deployments", "web", {"spec": {"replicas": 6}}, space)
        await user.patch("deployments", "web", image_of("web:4"), space, type="strategic")
        await user.rolled_out("deployments", "web", space)


class Stateful:
    """A stateful set is made, scaled, rolled; one pod for each ordinal, in order."""

    name = pool = "stateful"
    may_delete_pods = True

    def watch(self, judge: Judge) -> None:
        """An ordinal is there only where those below are."""

        def ordered() -> str:
            there = {pod["metadata"]["name"] for pod in judge.pods[self.name].values()}
            for pod in judge.pods[self.name].values():
                name, _, ordinal = pod["metadata"]["name"].rpartition("-")
                if name == "db" and int(ordinal) >= 5:
                    return f"an ordinal {ordinal}"
            return "" if len(there) <= 10 else "too many pods"

        judge.rules[self.name].append(ordered)

    async def act(self, user: User) -> None:
        """Three, five, another image, two; beside it one that goes in parallel."""
        space = self.name
        await user.create(
            namespace(space),
            workload("StatefulSet", space, "db", 3, pods_of("db", self.pool, "db:1"), serviceName="db"),
            workload("StatefulSet", space, "mq", 4, pods_of("mq", self.pool, "mq:1"), serviceName="mq",
                     podManagementPolicy="Parallel"),
        )  # fmt: skip
        await user.patch("statefulsets", "db", {"spec": {"replicas": 5}}, space)
        await user.rolled_out("statefulsets", "db", space)
        await user.patch("statefulsets", "db", image_of("db:2"), space, type="strategic")
        await user.patch("statefulsets", "mq", image_of("mq:2"), space, type="strategic")
        await asyncio.sleep(4)
        await user.rolled_out("statefulsets", "mq", space)
        await user.rolled_out("statefulsets", "db", space)
        await user.patch("statefulsets", "db", {"spec": {"replicas": 2}}, space)
        await user.rolled_out("statefulsets", "db", space)


class Batch:
    """Jobs run to their end: every index once, every completion counted once."""

    name = pool = "batch"
    may_delete_pods = False

    def watch(self, judge: Judge) -> None:
        """One live pod for each index, no index finished twice, none begun that is finished."""

        def once() -> str:
            for pod in judge.pods[self.name].values():
                if is_live(pod) and (index := pod["metadata"].get("annotations", {}).get(INDEX)):
                    for job, indexes in judge.finished.items():
                        mine = pod["metadata"]["ownerReferences"][0]["uid"] == job
                        uid = pod["metadata"]["uid"]
                        if mine and indexes[index] - {uid} and uid not in judge.unknown:
                            if judge.maybe[self.name] == 0:
                                return f"index {index} was finished, and is begun again"
            for indexes in judge.finished.values():
                for index, uids in indexes.items():
                    if index and len(uids - judge.unknown) > 1 + judge.maybe[self.name]:
                        return f"index {index} was finished {len(uids)} times"
            return judge.doubled(
                self.name,
                lambda pod: pod["metadata"].get("annotations", {}).get(INDEX) or pod["metadata"]["name"],
            )

        judge.rules[self.name].append(once)

    async def act(self, user: User) -> None:
        """An indexed job, one without indexes, and one that is suspended for a while."""
        space = self.name

        def job(name: str, **spec: Any) -> Object:
            template = pods_of(name, self.pool, "job:1", restartPolicy="Never")
            return made("batch/v1", "Job", space, name, spec={"template": template, **spec})

        await user.create(
            namespace(space),
            job("indexed", completions=8, parallelism=3, completionMode="Indexed"),
            job("plain", completions=7, parallelism=3),
            job("late", completions=3, parallelism=3, suspend=True),
        )
        await asyncio.sleep(5)
        await user.patch("jobs", "late", {"spec": {"suspend": False}}, space)
        await user.patch("jobs", "plain", {"spec": {"parallelism": 5}}, space)

        async def complete() -> bool:
            jobs = await user.list("jobs", space)
            return len(jobs) == 3 and all(
                any(each["type"] == "Complete" and each["status"] == "True" for each in obj["status"].get("conditions") or ())
                for obj in jobs
            )  # fmt: skip

        await user.until("jobs are complete", complete)


class Daemon:
    """A daemon set follows its nodes: one pod on each."""

    name = pool = "daemon"
    may_delete_pods = True

    def watch(self, judge: Judge) -> None:
        """One live pod on a node."""
        judge.rules[self.name].append(lambda: judge.doubled(self.name, _target_node))

    async def act(self, user: User) -> None:
        """Two nodes, three, another image, two again."""
        space = self.name
        selector = {"nodeSelector": {"pool": self.pool, "agent": "yes"}}
        template = pods_of("agent", self.pool, "agent:1")
        template["spec"] |= selector
        spec = {"selector": {"matchLabels": {"app": "agent"}}, "template": template}
        for number in (0, 1):
            await user.patch("nodes", f"daemon-{number}", {"metadata": {"labels": {"agent": "yes"}}})
        await user.create(namespace(space), made("apps/v1", "DaemonSet", space, "agent", spec=spec))
        await user.rolled_out("daemonsets", "agent", space)
        await user.patch("nodes", "daemon-2", {"metadata": {"labels": {"agent": "yes"}}})
        await asyncio.sleep(3)
        await user.patch("daemonsets", "agent", image_of("agent:2"), space, type="strategic")
        await user.rolled_out("daemonsets", "agent", space)
        await user.patch("nodes", "daemon-0", {"metadata": {"labels": {"agent": None}}})

        async def two() -> bool:
            return len(await user.list("pods", space)) == 2

        await user.until("two daemons", two)
        await user.rolled_out("daemonsets", "agent", space)


def _target_node(pod: Object) -> str:
    """The node that a daemon's pod is for."""
    affinity = pod["spec"].get("affinity") or {}
    terms = (affinity.get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in terms.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            return str(field["values"][0])
    return str(pod["metadata"]["name"])


class Drain:
    """Nodes are drained one after the other, and the budget is kept all the while."""

    name = pool = "drain"
    may_delete_pods = False
    MIN = 5

    def __init__(self) -> None:
        self.ready_min = 0

    def watch(self, judge: Judge) -> None:
        """Never fewer ready pods than the budget says."""

        def budget() -> str:
            ready = judge.ready_count(self.name, "shop")
            return f"{ready} ready pods, fewer than {self.ready_min}" if ready < self.ready_min else ""

        judge.rules[self.name].append(budget)

    async def act(self, user: User) -> None:
        """Six pods, of which five must stay; two nodes are drained."""
        space = self.name
        selector = {"matchLabels": {"app": "shop"}}
        await user.create(
            namespace(space),
            made("policy/v1", "PodDisruptionBudget", space, "shop", spec={"minAvailable": self.MIN, "selector": selector}),
            workload("Deployment", space, "shop", 6, pods_of("shop", self.pool, "shop:1")),
        )  # fmt: skip
        await user.rolled_out("deployments", "shop", space)
        self.ready_min = self.MIN
        for number in (0, 1):
            node = f"drain-{number}"
            await user.patch("nodes", node, {"spec": {"unschedulable": True}})
            await self._drained(user, node)
            await user.patch("nodes", node, {"spec": {"unschedulable": None}})
        await user.rolled_out("deployments", "shop", space)

    async def _drained(self, user: User, node: str) -> None:
        async def empty() -> bool:
            pods = await user.list("pods", self.name, field_selector=f"spec.nodeName={node}")
            for pod in pods:
                if "deletionTimestamp" not in pod["metadata"]:
                    await self._evicted(user, pod["metadata"]["name"])
            return not pods

        await user.until(f"{node} is drained", empty)

    async def _evicted(self, user: User, name: str) -> None:
        eviction = made("policy/v1", "Eviction", self.name, name)
        try:
            await user.client.create(eviction, resource="pods", name=name, subresource="eviction")
        except Exception:  # noqa: BLE001 - a budget, a fault: kubectl tries again
            await asyncio.sleep(0.5)


class Preempt:
    """Nodes are full; pods of a higher priority come, each makes one room, and no more."""

    name = pool = "preempt"
    may_delete_pods = False
    HIGH = 3

    def watch(self, judge: Judge) -> None:
        """No more victims than pods that needed room."""

        def victims() -> str:
            count = len(judge.victims[self.name])
            return f"{count} victims for {self.HIGH} preemptors" if count > self.HIGH else ""

        judge.rules[self.name].append(victims)

    async def act(self, user: User) -> None:
        """Eight pods fill two nodes; three come that outrank them."""
        space = self.name
        await user.create(
            namespace(space),
            made("scheduling.k8s.io/v1", "PriorityClass", "", "high", value=1000),
            workload("ReplicaSet", space, "low", 8, pods_of("low", self.pool, "low:1", "1")),
        )
        await user.rolled_out("replicasets", "low", space)
        high = pods_of("high", self.pool, "high:1", "1", priorityClassName="high")
        await user.create(workload("ReplicaSet", space, "high", self.HIGH, high))
        await user.rolled_out("replicasets", "high", space)


class Leave:
    """Namespaces and owners are deleted: what is theirs goes with them, what is orphaned stays."""

    name = pool = "rest"
    may_delete_pods = True

    def watch(self, judge: Judge) -> None:
        """Pods whose owner went as an orphan's stay."""

    async def act(self, user: User) -> None:
        """A namespace goes and comes again; a deployment goes without, and one before its pods."""
        space, gone = self.name, "gone"
        template = pods_of("web", self.pool, "web:1")
        await user.create(
            namespace(space), namespace(gone),
            workload("Deployment", gone, "web", 4, template),
            made("v1", "ConfigMap", gone, "settings", data={"a": "b"}),
            workload("Deployment", space, "orphaned", 2, pods_of("orphaned", self.pool, "web:1")),
            workload("Deployment", space, "fore", 3, pods_of("fore", self.pool, "web:1")),
            workload("Deployment", space, "back", 3, pods_of("back", self.pool, "web:1")),
        )  # fmt: skip
        for name in ("orphaned", "fore", "back"):
            await user.rolled_out("deployments", name, space)
        await user.delete("namespaces", gone)
        await user.delete("deployments", "orphaned", space, propagation_policy="Orphan")
        await user.delete("deployments", "fore", space, propagation_policy="Foreground")
        await user.delete("deployments", "back", space)
        for resource, name, where in (
            ("namespaces", gone, ""), ("deployments", "orphaned", space), ("deployments", "fore", space),
        ):  # fmt: skip

            async def vanished(resource: str = resource, name: str = name, where: str = where) -> bool:
                return await user.get(resource, name, where) is None

            await user.until(f"{resource}/{name} is gone", vanished)
        await user.create(namespace(gone), workload("Deployment", gone, "web", 2, template))
        await user.rolled_out("deployments", "web", gone)


class Quota:
    """A quota holds back pods until it is raised."""

    name = "quota"
    pool = "rest"
    may_delete_pods = True

    def __init__(self) -> None:
        self.count_max = 0

    def watch(self, judge: Judge) -> None:
        """Never more pods than the quota has."""

        def within() -> str:
            count = sum(
                pod["status"].get("phase") not in ("Succeeded", "Failed")
                for pod in judge.pods[self.name].values()
            )
            return f"{count} pods, {self.count_max} are allowed" if count > self.count_max else ""

        judge.rules[self.name].append(within)

    async def act(self, user: User) -> None:
        """Three of five pods, then all."""
        space = self.name
        self.count_max = 3
        await user.create(
            namespace(space), made("v1", "ResourceQuota", space, "pods", spec={"hard": {"pods": "3"}}),
        )  # fmt: skip

        async def counted() -> bool:
            quota = await user.get("resourcequotas", "pods", space)
            return bool(quota and (quota.get("status") or {}).get("hard"))

        await user.until("the quota is known", counted)
        await user.create(workload("ReplicaSet", space, "few", 5, pods_of("few", self.pool, "few:1")))
        await asyncio.sleep(10)
        self.count_max = 5
        await user.patch("resourcequotas", "pods", {"spec": {"hard": {"pods": "5"}}}, space)
        await user.rolled_out("replicasets", "few", space)


ALL: Final = (Rollout, Stateful, Batch, Daemon, Drain, Preempt, Leave, Quota)
SPACES: Final = {Leave.name: (Leave.name, "gone")}


def spaces_of(name: str) -> tuple[str, ...]:
    """The namespaces of a story."""
    return SPACES.get(name, (name,))
