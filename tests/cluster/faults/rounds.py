"""Rounds of real faults: a rollout and a job, a fault in the midst of it, and what has come of both."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from kcore.api.status import ApiError
from kcore.client import kubeconfig
from kcore.client.asynchronous import AsyncClient
from kcore.client.informer import Informer
from kcore.client.remote import connect
from tests.cluster.faults.processes import Cluster, Daemon
from tests.cluster.judge import INDEX, is_live, is_ready
from tests.cluster.stories import image_of, made
from tests.cluster.user import User, is_rolled_out

NODES: Final = 10
INDEXES: Final = 6
START_SECONDS_MAX: Final = 90.0
ROUND_SECONDS_MAX: Final = 180.0
STEP_S: Final = 0.2
FAULT_S_MAX: Final = 3.0  # from the begin of a rollout
DOWN_S_MAX: Final = 1.5
STOPPED_S_MAX: Final = 5.0
OUTAGE_S: Final = 65.0
SPACE: Final = "default"

Object = dict[str, Any]
Tell = Callable[[str], None]


class Wrong(AssertionError):
    """What must not be."""


class Watcher:
    """What pods did, as a watch that outlives servers sees it."""

    def __init__(self, pods_max: int) -> None:
        self.pods_max = pods_max
        self.wrong: list[str] = []
        self.preempted = 0
        self._nodes: dict[str, str] = {}

    def seen(self, old: Object | None, new: Object | None) -> None:
        """One step of a pod."""
        if new is None:
            return
        metadata, node = new["metadata"], new["spec"].get("nodeName", "")
        before = self._nodes.setdefault(metadata["uid"], node)
        if before and before != node:
            self.wrong.append(f"{metadata['name']} was on {before} and is on {node}")
        self._nodes[metadata["uid"]] = node
        self.preempted += any(
            each.get("reason") == "PreemptionByScheduler" for each in new["status"].get("conditions") or ()
        )


def kill(daemon: Daemon, chance: random.Random) -> float:
    """kill -9; how long it is to stay down."""
    daemon.kill()
    return chance.random() * DOWN_S_MAX


def stop(daemon: Daemon, chance: random.Random) -> float:
    """SIGSTOP; how long."""
    daemon.pause(on=True)
    return chance.random() * STOPPED_S_MAX


def outage(daemon: Daemon, chance: random.Random) -> float:
    """Away for a minute."""
    daemon.kill()
    return OUTAGE_S


FAULTS: Final = {"kill": kill, "stop": stop, "outage": outage}


async def run(
    folder: Path,
    rounds: int,
    seed: int,
    *,
    pods: int = 100,
    is_whole: bool = False,
    fault: str = "",
    tell: Tell = print,
) -> None:
    """So many rounds on one cluster; raises Wrong with what is wrong. A seed repeats the faults, not the moments."""
    chance = random.Random(seed)
    cluster = Cluster(folder, NODES, is_whole=is_whole)
    cluster.first_start(START_SECONDS_MAX)
    try:
        async with connect(kubeconfig.load(str(cluster.kubeconfig))) as client:
            user = User(client)
            watcher = Watcher(2 * pods)
            await _begun(cluster, user, pods)
            async with Informer(client, "pods", namespace=SPACE) as informer:
                informer.add_listener(watcher.seen)
                for number in range(1, rounds + 1):
                    name = fault or chance.choice(("kill", "kill", "kill", "stop"))
                    daemon = chance.choice(cluster.daemons) if name != "outage" else cluster.daemons[0]
                    begun_s = asyncio.get_running_loop().time()
                    try:
                        async with asyncio.timeout(ROUND_SECONDS_MAX + (OUTAGE_S if name == "outage" else 0)):
                            await _round(cluster, user, informer, daemon, FAULTS[name], chance, number, pods)
                    except TimeoutError:
                        state = f"{await _state(client)}; {_wrong(informer.list(), f'job-{number}', number, pods)}"
                        raise Wrong(
                            f"round {number}: {name} {daemon.name}: {state}\n{daemon.said()}"
                        ) from None
                    except BaseExceptionGroup as failed:
                        raise failed.exceptions[0] from None
                    if watcher.wrong:
                        raise Wrong(f"round {number}: {name} {daemon.name}: {watcher.wrong}")
                    took_s = asyncio.get_running_loop().time() - begun_s
                    tell(f"round {number}: {name} {daemon.name}: {took_s:.1f} s")
            if watcher.preempted:
                raise Wrong(f"{watcher.preempted} pods were preempted, for nobody")
    finally:
        cluster.stop()


def _template(app: str, image: str, **spec: Any) -> Object:
    annotations = {
        "pod-ready.stage.kwok.x-k8s.io/delay": "100ms", "pod-ready.stage.kwok.x-k8s.io/jitter-delay": "800ms",
        "pod-complete.stage.kwok.x-k8s.io/delay": "500ms", "pod-complete.stage.kwok.x-k8s.io/jitter-delay": "2s",
    }  # fmt: skip
    container = {"name": "main", "image": image, "resources": {"requests": {"cpu": "100m"}}}
    return {
        "metadata": {"labels": {"app": app}, "annotations": annotations},
        "spec": {"containers": [container], **spec},
    }


async def _begun(cluster: Cluster, user: User, pods: int) -> None:
    spec = {
        "replicas": pods, "selector": {"matchLabels": {"app": "web"}}, "template": _template("web", "web:0"),
        "strategy": {"rollingUpdate": {"maxSurge": "50%", "maxUnavailable": "25%"}},
    }  # fmt: skip
    async with asyncio.timeout(START_SECONDS_MAX):
        while True:
            cluster.revive()
            with contextlib.suppress(ApiError, OSError):
                if len((await user.client.list("nodes"))["items"]) == NODES:
                    await user.client.get("serviceaccounts", "default", SPACE)
                    break
            await asyncio.sleep(STEP_S)
    await user.create(made("apps/v1", "Deployment", SPACE, "web", spec=spec))


async def _round(
    cluster: Cluster, user: User, pods: Informer, daemon: Daemon, strike: Callable[[Daemon, random.Random], float],
    chance: random.Random, number: int, count: int,
) -> None:  # fmt: skip
    """Begin, fault, and rest; Wrong where the rest is not what it should be."""
    loop = asyncio.get_running_loop()
    job = f"job-{number}"
    template = _template(job, "job:1", restartPolicy="Never")
    spec = {"completions": INDEXES, "parallelism": 3, "completionMode": "Indexed", "template": template}
    await user.patch("deployments", "web", image_of(f"web:{number}"), SPACE, type="strategic")
    await user.create(made("batch/v1", "Job", SPACE, job, spec=spec))
    await asyncio.sleep(chance.random() * FAULT_S_MAX)
    until_s = loop.time() + strike(daemon, chance)
    while loop.time() < until_s:
        await asyncio.sleep(min(STEP_S, max(0.0, until_s - loop.time())))
    daemon.pause(on=False)
    async with asyncio.TaskGroup() as tasks:
        reviving = tasks.create_task(_revived(cluster))
        while not await _is_done(user, job):
            await asyncio.sleep(STEP_S)
        while _wrong(pods.list(), job, number, count):
            await asyncio.sleep(
                STEP_S
            )  # what is too many is about to go; the round's time says when it should have
        await user.delete("jobs", job, SPACE, propagation_policy="Background")
        reviving.cancel()


async def _revived(cluster: Cluster) -> None:
    """Whatever ends is started again, as an init system would."""
    while True:
        cluster.revive()
        await asyncio.sleep(STEP_S)


async def _is_done(user: User, job: str) -> bool:
    web, batch = await user.get("deployments", "web", SPACE), await user.get("jobs", job, SPACE)
    if web is None or batch is None or not is_rolled_out(web):
        return False
    status = batch.get("status") or {}
    complete = any(
        each["type"] == "Complete" and each["status"] == "True" for each in status.get("conditions") or ()
    )
    if complete and (status.get("succeeded"), status.get("completedIndexes")) != (
        INDEXES,
        f"0-{INDEXES - 1}",
    ):
        raise Wrong(f"{job}: {status}")
    return complete


def _wrong(pods: list[Object], job: str, number: int, count: int) -> str:
    """How the pods differ from what a cluster without faults has; empty where they do not."""
    web = [pod for pod in pods if pod["metadata"]["labels"].get("app") == "web"]
    live = [pod for pod in web if is_live(pod)]
    images = collections.Counter(pod["spec"]["containers"][0]["image"] for pod in web)
    if images != {f"web:{number}": count} or len(live) != count:
        return f"{dict(images)}, {len(live)} of them live"
    if not all(is_ready(pod) and pod["spec"].get("nodeName") for pod in live):
        return "not all are ready on a node"
    indexes = collections.Counter(
        pod["metadata"]["annotations"][INDEX] for pod in pods
        if pod["metadata"]["labels"].get("app") == job and pod["status"].get("phase") == "Succeeded"
    )  # fmt: skip
    twice = [index for index, finished in indexes.items() if finished > 1]
    return f"{job}: indexes {twice} were finished twice" if twice or len(indexes) != INDEXES else ""


async def _state(client: AsyncClient) -> str:
    try:
        async with asyncio.timeout(5):
            web = await client.get("deployments", "web", SPACE)
            pods = (await client.list("pods", SPACE))["items"]
    except (ApiError, OSError, TimeoutError) as error:
        return f"the server does not answer: {error!r}"
    kinds = collections.Counter(
        f"{pod['metadata']['labels'].get('app')} {pod['spec']['containers'][0]['image']} {pod['status'].get('phase')}"
        f"{' going' if 'deletionTimestamp' in pod['metadata'] else ''}{'' if pod['spec'].get('nodeName') else ' waits'}"
        for pod in pods
    )
    return f"{web['status']}, {dict(kinds)}"
