"""How many pods each replica set of a deployment is to have; all of it arithmetic.

Source: pkg/controller/deployment/util/deployment_util.go of Kubernetes 1.36.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kcore.controllers.contract import Object
from kcore.controllers.times import ms_of

DESIRED: Final = "deployment.kubernetes.io/desired-replicas"
MAXIMUM: Final = "deployment.kubernetes.io/max-replicas"
INT32_MAX: Final = 2**31 - 1


def scaled(value: Any, total: int, *, up: bool) -> int:
    """An integer as it is, or a percentage of ``total``, rounded up or down (GetScaledValueFromIntOrPercent)."""
    if isinstance(value, str):
        share = int(value.removesuffix("%")) * total
        return -(-share // 100) if up else share // 100
    return int(value or 0)


def wanted(deployment: Object) -> int:
    """``spec.replicas``, 1 where it says nothing."""
    found: int = deployment["spec"].get("replicas", 1)
    return found


def is_rolling(deployment: Object) -> bool:
    """Whether old pods are replaced bit by bit."""
    kind: str = (deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate")
    return kind == "RollingUpdate"


def fenceposts(deployment: Object) -> tuple[int, int]:
    """How many pods there may be too many, and how many may be missing; not both are zero."""
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    surge = scaled(rolling.get("maxSurge", 0), wanted(deployment), up=True)
    missing = scaled(rolling.get("maxUnavailable", 0), wanted(deployment), up=False)
    return surge, 1 if not surge and not missing else missing


def max_surge(deployment: Object) -> int:
    """Pods beyond the wanted ones."""
    return fenceposts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Object) -> int:
    """Pods that may be missing."""
    if not is_rolling(deployment) or not wanted(deployment):
        return 0
    return min(fenceposts(deployment)[1], wanted(deployment))


def size(replica_set: Object) -> int:
    """``spec.replicas`` of a replica set."""
    found: int = replica_set["spec"].get("replicas", 1)
    return found


def total(replica_sets: Iterable[Object]) -> int:
    """The sizes of all."""
    return sum(map(size, replica_sets))


def counted(replica_sets: Iterable[Object], name: str) -> int:
    """A count of the status, summed."""
    return sum((each.get("status") or {}).get(name, 0) for each in replica_sets)


def available_at_most(replica_set: Object) -> int:
    """Pods that are available, and stay: a status from before it was scaled down counts those that are about to go.

    Upstream counts them, and so may for a moment have fewer available pods than maxUnavailable allows.
    """
    return min(size(replica_set), counted((replica_set,), "availableReplicas"))


def by_age(replica_sets: Iterable[Object]) -> list[Object]:
    """The oldest first, of one age by name."""
    return sorted(replica_sets, key=lambda each: (created_ms(each), each["metadata"]["name"]))


def created_ms(obj: Object) -> int:
    """When it was created."""
    return ms_of(obj["metadata"].get("creationTimestamp")) or 0


def active(replica_sets: Iterable[Object]) -> list[Object]:
    """Those that ask for pods."""
    return [each for each in replica_sets if size(each) > 0]


def new_size(deployment: Object, replica_sets: Sequence[Object], new: Object) -> int:
    """The size that the new replica set may have now (NewRSNewReplicas)."""
    if not is_rolling(deployment):
        return wanted(deployment)
    most = wanted(deployment) + scaled(
        ((deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}).get("maxSurge", 0),
        wanted(deployment), up=True,
    )  # fmt: skip
    there = total(replica_sets)
    if there >= most:
        return size(new)
    return size(new) + min(most - there, wanted(deployment) - size(new))


def is_saturated(deployment: Object, replica_set: Object | None) -> bool:
    """It has all the pods that the deployment wants, and they are available."""
    if replica_set is None:
        return False
    count = wanted(deployment)
    return (
        size(replica_set) == count
        and noted(replica_set, DESIRED) == count
        and counted((replica_set,), "availableReplicas") == count
    )


def noted(replica_set: Object, annotation: str) -> int | None:
    """The number of an annotation; None where it is none."""
    text = (replica_set["metadata"].get("annotations") or {}).get(annotation, "")
    return int(text) if text.isdigit() and int(text) <= INT32_MAX else None


def proportional(deployment: Object, replica_sets: Sequence[Object]) -> dict[str, int]:
    """New sizes, by name, for a deployment that is scaled amid a rollout: each in proportion to what it had."""
    allowed = wanted(deployment) + max_surge(deployment) if wanted(deployment) > 0 else 0
    to_add = allowed - total(replica_sets)
    if to_add > 0:  # the larger first, and of one size the newer
        ordered = sorted(by_age(replica_sets), key=lambda each: (-size(each), -created_ms(each)))
    else:
        ordered = sorted(by_age(replica_sets), key=lambda each: (-size(each), created_ms(each)))
    sizes: dict[str, int] = {}
    added = 0
    for each in ordered:
        share = _share(deployment, each, to_add, added) if to_add else 0
        sizes[each["metadata"]["name"]] = size(each) + share
        added += share
    if ordered and to_add:
        first = ordered[0]["metadata"]["name"]
        sizes[first] = max(0, sizes[first] + to_add - added)
    return sizes


def _share(deployment: Object, replica_set: Object, to_add: int, added: int) -> int:
    if not size(replica_set) or to_add == added:
        return 0
    fraction = _fraction(deployment, replica_set)
    left = to_add - added
    return min(fraction, left) if to_add > 0 else max(fraction, left)


def _fraction(deployment: Object, replica_set: Object) -> int:
    if not wanted(deployment):
        return -size(replica_set)
    most = wanted(deployment) + max_surge(deployment)
    before = noted(replica_set, MAXIMUM) or (deployment.get("status") or {}).get("replicas", 0)
    if not before:
        return 0
    exact = size(replica_set) * most / before
    return math.floor(exact + 0.5) - size(replica_set)


def replicas_annotations(deployment: Object) -> Mapping[str, str]:
    """What each replica set is told of the deployment's size."""
    count = wanted(deployment)
    return {DESIRED: str(count), MAXIMUM: str(count + max_surge(deployment))}
