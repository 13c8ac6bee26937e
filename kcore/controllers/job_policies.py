"""What a failed pod means for its job, when a job has succeeded, and how long it waits after failures.

Source: pkg/controller/job/pod_failure_policy.go, success_policy.go, backoff_utils.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from kcore.controllers import pods as podlib
from kcore.controllers.contract import Object
from kcore.controllers.job_indexes import Intervals, has, parsed, total
from kcore.controllers.times import ms_of

BACKOFF_MS: Final = 10_000  # after the first failure; doubled by each that follows
BACKOFF_MS_MAX: Final = 600_000


class Verdict(NamedTuple):
    """What the policy says of a failed pod: why the job fails, if it does; whether it counts; the rule's action."""

    message: str | None
    counts: bool
    action: str | None


COUNTED: Final = Verdict(None, True, None)


def verdict(policy: Object | None, pod: Object) -> Verdict:
    """By the first rule that matches."""
    for number, rule in enumerate((policy or {}).get("rules") or ()):
        action = rule["action"]
        if rule.get("onExitCodes") is not None:
            container = _exited(pod, rule["onExitCodes"])
            if container is None:
                continue
            code = container["state"]["terminated"].get("exitCode", 0)
            why = f"Container {container['name']} for pod {_named(pod)} failed with exit code {code}"
        elif rule.get("onPodConditions"):
            found = _condition(pod, rule["onPodConditions"])
            if found is None:
                continue
            why = f"Pod {_named(pod)} has condition {found}"
        else:
            continue
        message = f"{why} matching {action} rule at index {number}" if action == "FailJob" else None
        return Verdict(message, action != "Ignore", action)
    return COUNTED


def _named(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _exited(pod: Object, wanted: Object) -> Object | None:
    status = pod.get("status") or {}
    for name in ("containerStatuses", "initContainerStatuses"):
        for container in status.get(name) or ():
            ended = (container.get("state") or {}).get("terminated")
            if ended is None or wanted.get("containerName") not in (None, container["name"]):
                continue
            code = ended.get("exitCode", 0)
            if code and (code in wanted["values"]) == (wanted["operator"] == "In"):
                found: Object = container
                return found
    return None


def _condition(pod: Object, patterns: Iterable[Object]) -> str | None:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        for pattern in patterns:
            if condition["type"] == pattern["type"] and condition["status"] == pattern.get("status", "True"):
                kind: str = condition["type"]
                return kind
    return None


def success(policy: Object | None, completions: int, succeeded: Intervals) -> str | None:
    """The message where the succeeded indexes meet a rule."""
    if policy is None or not succeeded:
        return None
    for number, rule in enumerate(policy.get("rules") or ()):
        count = rule.get("succeededCount")
        if rule.get("succeededIndexes") is not None:
            required = parsed(rule["succeededIndexes"], completions)
            common = sum(
                max(0, min(last, other_last) - max(first, other_first) + 1)
                for first, last in required
                for other_first, other_last in succeeded
            )
            met = bool(required) and (common == total(required) or (count is not None and common >= count))
        else:
            met = count is not None and total(succeeded) >= count
        if met:
            return f"Matched rules at index {number}"
    return None


class Backoff(NamedTuple):
    """Failures since the last success, and when the last was."""

    failures: int = 0
    last_ms: int = 0

    def left_ms(self, now_ms: int) -> int:
        """How long no pod is to be made yet."""
        return waiting_ms(self.failures, self.last_ms, now_ms)


def waiting_ms(failures: int, last_ms: int, now_ms: int) -> int:
    """What is left of the pause after so many failures."""
    if not failures:
        return 0
    pause = min(BACKOFF_MS << min(failures - 1, 16), BACKOFF_MS_MAX)
    return max(0, last_ms + pause - now_ms)


def backoff(before: Backoff, succeeded: Sequence[Object], failed: Sequence[Object]) -> Backoff:
    """With pods that have finished since: a success forgives the failures before it."""
    times = sorted(map(finished_ms, failed))
    if not succeeded:
        return Backoff(before.failures + len(times), times[-1]) if times else before
    last_success = max(map(finished_ms, succeeded))
    later = [time for time in times if time > last_success]
    return Backoff(len(later), later[-1]) if later else Backoff()


def index_waiting_ms(failed: Object | None, earlier_failures: int, now_ms: int) -> int:
    """What is left of the pause of an index whose last pod failed."""
    return 0 if failed is None else waiting_ms(earlier_failures + 1, finished_ms(failed), now_ms)


def finished_ms(pod: Object) -> int:
    """When it finished: by its containers, its Ready condition, its deletion, or else its creation."""
    metadata = pod["metadata"]
    ended = _containers_finished_ms(pod)
    if ended is not None:
        return ended
    ready = podlib.condition(pod, "Ready")
    if ready is not None and ready["status"] == "False":
        since = ms_of(ready.get("lastTransitionTime"))
        if since is not None:
            return since
    deleted = ms_of(metadata.get("deletionTimestamp"))
    if deleted is not None:
        return deleted - 1000 * (metadata.get("deletionGracePeriodSeconds") or 0)
    return ms_of(metadata.get("creationTimestamp")) or 0


def _containers_finished_ms(pod: Object) -> int | None:
    """When the last one ended; None where one of a kind has not."""
    status = pod.get("status") or {}
    sidecars = {
        each["name"]
        for each in pod["spec"].get("initContainers") or ()
        if each.get("restartPolicy") == "Always"
    }
    latest: int | None = None
    for each in status.get("containerStatuses") or ():
        ended = _ended_ms(each)
        if ended is None:
            latest = None
            break
        latest = ended if latest is None else max(latest, ended)
    for each in status.get("initContainerStatuses") or ():
        if each["name"] not in sidecars:
            continue
        ended = _ended_ms(each)
        if ended is None:
            return None
        latest = ended if latest is None else max(latest, ended)
    return latest


def _ended_ms(container: Object) -> int | None:
    return ms_of(((container.get("state") or {}).get("terminated") or {}).get("finishedAt"))


def is_delayed(index: int, succeeded: Intervals, failed: Intervals, active: set[int]) -> bool:
    """A failed pod of the index is kept until another takes its place."""
    return not (has(succeeded, index) or has(failed, index) or index in active)
