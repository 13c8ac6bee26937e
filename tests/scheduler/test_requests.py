"""What a pod asks for: sums, peaks, roundings, defaults, and which pods share a row."""

from __future__ import annotations

from typing import Any

import pytest

from kcore.api.errors import InputError
from kcore.scheduler.codes import QUANTITY_MAX
from kcore.scheduler.requests import PodRequest, is_extended, is_scalar, pod_request, request_key
from tests.scheduler.cluster_objects import pod_of

MI = 1 << 20


def container(name: str, *, always: bool = False, **requests: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "resources": {"requests": requests}}
    return found | ({"restartPolicy": "Always"} if always else {})


def asked(**spec: Any) -> PodRequest:
    return pod_request(pod_of("p", **spec), bound=False)


@pytest.mark.parametrize(
    ("spec", "amount", "nonzero"),
    [
        ({"containers": [container("c")]}, {}, (100, 200 * MI)),
        ({"containers": [container("c", cpu="0")]}, {"cpu": 0}, (0, 200 * MI)),
        (
            {"containers": [container("a", cpu="1"), container("b", memory="5Mi")]},
            {"cpu": 1000, "memory": 5 * MI},
            (1100, 205 * MI),
        ),
        # added exactly, rounded once
        ({"containers": [container("a", cpu="100u"), container("b", cpu="900u")]}, {"cpu": 1}, (1, 400 * MI)),
        (
            {"containers": [container("a", memory="0.5"), container("b", memory="0.4")]},
            {"memory": 1},
            (200, 1),
        ),
        # an init container counts where it is larger than all that follow
        (
            {"initContainers": [container("i", cpu="3")], "containers": [container("a", cpu="1")]},
            {"cpu": 3000},
            (3000, 200 * MI),
        ),
        # a sidecar runs beside the containers and beside the init containers after it
        (
            {
                "initContainers": [container("s", always=True, cpu="2"), container("i", cpu="3")],
                "containers": [container("a", cpu="1")],
            },
            {"cpu": 5000},
            (5000, 400 * MI),
        ),
        (
            {
                "initContainers": [container("i", cpu="3"), container("s", always=True, cpu="2")],
                "containers": [container("a", cpu="2")],
            },
            {"cpu": 4000},
            (4000, 400 * MI),
        ),
        (
            {"containers": [container("a", cpu="1")], "overhead": {"cpu": "250m", "memory": "1Mi"}},
            {"cpu": 1250, "memory": MI},
            (1250, 201 * MI),
        ),
        (
            {"containers": [container("a", cpu="1")], "resources": {"requests": {"cpu": "3"}}},
            {"cpu": 3000},
            (3000, 200 * MI),
        ),
    ],
)
def test_requests_add_up_as_upstream_adds_them(
    spec: dict[str, Any], amount: dict[str, int], nonzero: tuple[int, int]
) -> None:
    found = asked(**spec)
    assert dict(found.amount) == amount
    assert found.nonzero == nonzero


def test_only_pods_with_pod_level_requests_are_scored_by_their_containers() -> None:
    plain = asked(containers=[container("a", cpu="1")])
    assert plain.score is None
    level = asked(containers=[container("a", cpu="1")], resources={"requests": {"cpu": "3"}})
    assert level.score is not None
    assert dict(level.score) == {"cpu": 1000, "memory": 200 * MI}


@pytest.mark.parametrize(
    ("name", "scalar", "extended"),
    [
        ("nvidia.com/gpu", True, True),
        ("hugepages-2Mi", True, False),
        ("attachable-volumes-csi", True, False),
        ("kubernetes.io/batch-cpu", True, False),
        ("requests.example.com/gpu", False, False),
        ("cpu", False, False),
        ("gpu", False, False),
    ],
)
def test_resources_are_scalar_or_extended_by_their_names(name: str, scalar: bool, extended: bool) -> None:
    assert (is_scalar(name), is_extended(name)) == (scalar, extended)


def test_resources_that_nobody_counts_are_left_out() -> None:
    assert asked(requests={"gpu": "1", "storage": "1", "nvidia.com/gpu": "2"}).amount == (
        ("nvidia.com/gpu", 2),
    )


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"requests": {"cpu": "x"}}, "spec.containers[0].resources.requests.cpu"),
        ({"requests": {"cpu": "-1"}}, "spec.containers[0].resources.requests.cpu"),
        (
            {"initContainers": [container("i", memory="?")]},
            "spec.initContainers[0].resources.requests.memory",
        ),
        ({"overhead": {"cpu": "1..0"}}, "spec.overhead.cpu"),
        ({"resources": {"requests": {"cpu": "-3"}}}, "spec.resources.requests.cpu"),
    ],
)
def test_what_is_no_amount_is_refused_by_its_field(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        asked(**spec)
    assert caught.value.field == field


def test_sums_beyond_the_largest_amount_are_refused() -> None:
    half = str(QUANTITY_MAX // 2)
    fits = [container("a", memory=half), container("b", memory=half)]
    assert dict(asked(containers=fits).amount)["memory"] == QUANTITY_MAX // 2 * 2
    with pytest.raises(InputError, match="requests of memory add up to") as caught:
        asked(containers=[*fits, container("c", memory="2")])
    assert caught.value.expected == f"at most {QUANTITY_MAX}"


RESIZED = {
    "containerStatuses": [
        {"name": "c", "resources": {"requests": {"cpu": "3"}}, "allocatedResources": {"cpu": "2"}}
    ]
}
INFEASIBLE = RESIZED | {
    "conditions": [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]
}


@pytest.mark.parametrize(
    ("wanted", "status", "bound", "cpu"),
    [("4", RESIZED, True, 4000), ("1", RESIZED, True, 3000), ("1", RESIZED, False, 1000),
     ("4", INFEASIBLE, True, 3000)],
)  # fmt: skip
def test_a_running_pod_counts_what_the_kubelet_reports_of_a_resize(
    wanted: str, status: dict[str, Any], bound: bool, cpu: int
) -> None:
    pod = pod_of("p", wanted, node="a", status=status)
    assert dict(pod_request(pod, bound=bound).amount)["cpu"] == cpu


def test_pods_that_ask_for_the_same_have_the_same_key() -> None:
    one, same = pod_of("p", "1", labels={"app": "x"}), pod_of("q", "1", priority=9)
    assert request_key(one) == request_key(same)


@pytest.mark.parametrize(
    "other",
    [
        {"cpu": "2"},
        {"requests": {"cpu": "1", "memory": "1"}},
        {"containers": [container("c", cpu="1"), container("d")]},
        {"containers": [container("c", always=True, cpu="1")]},
        {"initContainers": [container("i", cpu="1")]},
        {"overhead": {"cpu": "1"}},
        {"resources": {"requests": {"cpu": "1"}}},
        {"node": "a", "status": RESIZED},
    ],
)
def test_pods_that_ask_for_something_else_have_another_key(other: dict[str, Any]) -> None:
    assert request_key(pod_of("p", "1")) != request_key(pod_of("p", **({"cpu": "1"} | other)))
