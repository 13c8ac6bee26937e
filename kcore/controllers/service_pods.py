"""Which pods stand behind which services, and where they are reached: what endpoints and endpoint slices share.

Source: staging/src/k8s.io/endpointslice/util (controller_utils.go, trigger_time_tracker.go), endpointslice/utils.go of
Kubernetes 1.36.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from kcore.controllers.contract import Key, Object, View
from kcore.controllers.pods import is_ready
from kcore.controllers.times import ms_of, text_of

HEADLESS: Final = "service.kubernetes.io/headless"
LAST_CHANGE: Final = "endpoints.kubernetes.io/last-change-trigger-time"
NAME_LENGTH_MAX: Final = 253  # of a DNS subdomain
ADDRESSES_REMEMBERED: Final = 65536
CROWD: Final = 100  # pods behind a service, above which changes of pods are gathered for a while
PODS_PER_MS: Final = (
    10  # so a round over ten thousand pods, a fifth of a second of work, comes once in a second
)
GATHERED_MS_MAX: Final = 1000


def key_of(service: Object) -> Key:
    """Of a service, or of the endpoints of its name."""
    return Key(service["metadata"]["namespace"], service["metadata"]["name"])


def service_keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    """Keys of a service that changed."""
    service = new if new is not None else old
    assert service is not None
    return (key_of(service),)


def pod_keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    """Keys of the services that a change of a pod concerns. Source: GetPodUpdateProjectionKey, GetServicesToUpdate."""
    pod = new if new is not None else old
    assert pod is not None
    if old is None or new is None:
        return _selecting(pod, view)
    relabelled = (old["metadata"].get("labels") or {}) != (new["metadata"].get("labels") or {}) or any(
        old["spec"].get(field) != new["spec"].get(field) for field in ("hostname", "subdomain")
    )
    changed = _differs(old, new)
    if not relabelled:
        return _selecting(new, view) if changed else ()
    before, after = _selecting(old, view), _selecting(new, view)
    return before | after if changed else before ^ after


def _differs(old: Object, new: Object) -> bool:
    """Being deleted, readiness or addresses are others than before."""
    if "deletionTimestamp" in old["metadata"] or "deletionTimestamp" in new["metadata"]:
        return True
    return is_ready(old) != is_ready(new) or pod_ips(old) != pod_ips(new)


def _selecting(pod: Object, view: View) -> set[Key]:
    labels = (pod["metadata"].get("labels") or {}).items()
    return {
        key_of(service)
        for service in view.list("services", pod["metadata"]["namespace"])
        if (selector := service["spec"].get("selector")) and selector.items() <= labels
    }


def selected(service: Object, view: View) -> list[Object]:
    """The pods that the service selects."""
    wanted = service["spec"]["selector"].items()
    return [
        pod
        for pod in view.list("pods", service["metadata"]["namespace"])
        if wanted <= (pod["metadata"].get("labels") or {}).items()
    ]


def has_endpoints(service: Object) -> bool:
    """Whether its endpoints are made by controllers: it selects pods, and is no alias of a name elsewhere."""
    spec = service["spec"]
    return spec.get("type") != "ExternalName" and bool(spec.get("selector"))


def belongs(pod: Object, *, includes_terminating: bool) -> bool:
    """It has an address and has not ended. Source: ShouldPodBeInEndpoints."""
    status = pod.get("status") or {}
    if status.get("phase") in ("Failed", "Succeeded") or not (status.get("podIP") or status.get("podIPs")):
        return False
    return includes_terminating or "deletionTimestamp" not in pod["metadata"]


def has_hostname(pod: Object, service: Object) -> bool:
    """It is known by its own name below the service's."""
    spec = pod["spec"]
    return bool(spec.get("hostname")) and spec.get("subdomain", "") == service["metadata"]["name"]


def is_ip_set(service: Object) -> bool:
    """It has a cluster IP."""
    return service["spec"].get("clusterIP", "") not in ("", "None")


def pod_ips(pod: Object) -> list[str]:
    """As its status says."""
    return [each.get("ip", "") for each in (pod.get("status") or {}).get("podIPs") or ()]


@lru_cache(maxsize=ADDRESSES_REMEMBERED)
def read_ip(text: str) -> tuple[str, str] | None:
    """An address in canonical form and its family; leading zeros are read as older Go did. None where it is none."""
    try:
        if ":" not in text:
            text = ".".join(str(int(part)) if part.isdecimal() else part for part in text.split("."))
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(address), "IPv6"
        address = address.ipv4_mapped
    return str(address), "IPv4"


def families(service: Object) -> list[str]:
    """The families of addresses that it has. Source: getAddressTypesForService."""
    spec = service["spec"]
    told = [family for family in spec.get("ipFamilies") or () if family in ("IPv4", "IPv6")]
    if told:
        return sorted(set(told))
    if is_ip_set(service):
        read = read_ip(spec["clusterIP"])
        return [read[1] if read is not None else "IPv4"]
    return ["IPv4", "IPv6"]


def find_port(pod: Object, port: Object) -> int | None:
    """The number of the pod's port that the service's port goes to; None where it has none of that name."""
    target = port.get("targetPort", 0)
    if isinstance(target, int):
        return target
    spec = pod["spec"]
    sidecars = [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    for container in [*spec["containers"], *sidecars]:
        for found in container.get("ports") or ():
            if found.get("name") == target and found.get("protocol", "TCP") == port.get("protocol", "TCP"):
                number: int = found["containerPort"]
                return number
    return None


def slice_prefix(name: str) -> str:
    """What the names of a service's slices begin with."""
    return name + "-" if len(name) < NAME_LENGTH_MAX else name


class TriggerTimes:
    """When what changed a service's endpoints happened: the first of the changes that no round has seen yet.

    Source: TriggerTimeTracker.
    """

    def __init__(self) -> None:
        self._seen: dict[Key, tuple[int, dict[str, int]]] = {}

    def forget(self, key: Key) -> None:
        """The service is gone."""
        self._seen.pop(key, None)

    def wait_ms(self, key: Key) -> int:
        """How long changes of pods are gathered; by the pods there were, as a round costs time for each of them.

        Upstream has one period for all (--endpoint-updates-batch-period, 0), and rounds that cost less.
        """
        count = len(self._seen[key][1]) if key in self._seen else 0
        return min(GATHERED_MS_MAX, count // PODS_PER_MS) if count > CROWD else 0

    def next(self, service: Object, pods: Sequence[Object]) -> str | None:
        """That time; None where nothing of the kind happened. It counts as seen from then on."""
        key = key_of(service)
        known = self._seen.get(key)
        created = ms_of(service["metadata"].get("creationTimestamp")) or 0
        before_created, before = known if known is not None else (0, {})
        times: dict[str, int] = {}
        changed: list[int] = [created] if created > before_created else []
        for pod in pods:
            since = _ready_changed_ms(pod)
            if since:
                name = pod["metadata"]["name"]
                times[name] = since
                if since > before.get(name, 0):
                    changed.append(since)
        self._seen[key] = (created, times)
        if known is None:
            return text_of(created)
        return text_of(min(changed)) if changed else None


def _ready_changed_ms(pod: Object) -> int | None:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Ready":
            return ms_of(condition.get("lastTransitionTime"))
    return None
