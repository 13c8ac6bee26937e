"""Pods with resource claims in a scheduling run: the texts, the order of claims, scores, and what keeps a pod out."""

from __future__ import annotations

from typing import Any

import pytest

from kcore import Cluster, InputError, Result
from kcore.scheduler.state import State
from kcore.sources import decode_objects
from tests.scheduler.cluster_objects import node_dict, pod_dict
from tests.scheduler.device_objects import DRIVER, asks, claim, device, device_class, slice_of

pytest.importorskip("cel_expr_python", reason="selectors need the extra `cel`")

Object = dict[str, Any]
GROUP = {"apiVersion": "resource.k8s.io/v1"}
NOT_HELPFUL = "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
OF_DRIVER = f'device.driver == "{DRIVER}"'


def kinds(*objects: tuple[str, Object]) -> list[Object]:
    return [{**GROUP, "kind": kind, **obj} for kind, obj in objects]


def devices_on(node: str, *names: str, **more: Any) -> tuple[str, Object]:
    return "ResourceSlice", slice_of(
        *(device(name) for name in names), name=f"of-{node}", pool=node, nodeName=node, **more
    )


def using(name: str, *claims: str, **more: Any) -> Object:
    pod = pod_dict(name, **more)
    pod["spec"]["resourceClaims"] = [
        {"name": f"c{i}", "resourceClaimName": each} for i, each in enumerate(claims)
    ]
    return pod


def schedule(*objects: tuple[str, Object], pods: list[Object], **options: Any) -> Result:
    found = [node_dict("a"), node_dict("b"), *kinds(*objects), *pods]
    return Cluster.from_objects(found).schedule(**options)


def outcome(result: Result) -> dict[str, str]:
    """By pod, its node or its reason."""
    return {row["name"]: row["node"] or row["reason"] for row in result.placements.to_pylist()}


CLASS = ("DeviceClass", device_class("any", OF_DRIVER))


def test_pods_go_where_their_devices_are_while_there_are_any() -> None:
    """Devices of pods that were placed before are taken."""
    claims = [("ResourceClaim", claim(name, asks())) for name in ("x", "y", "z")]
    found = outcome(
        schedule(
            devices_on("b", "d0", "d1"), CLASS, *claims, pods=[using(f"pod-{name}", name) for name in "xyz"]
        )
    )
    assert found["pod-x"] == found["pod-y"] == "b"
    assert (
        found["pod-z"]
        == f"0/2 nodes are available: 2 cannot allocate all claims. still not schedulable, {NOT_HELPFUL}"
    )


def test_a_claim_that_several_pods_share_brings_them_together() -> None:
    """What is allocated for one is there for the others, on its node alone."""
    shared = ("ResourceClaim", claim("x", asks()))
    found = outcome(schedule(devices_on("b", "d0"), CLASS, shared, pods=[using("p", "x"), using("q", "x")]))
    assert found == {"p": "b", "q": "b"}


def test_a_claim_allocated_elsewhere_is_given_up_where_nobody_else_has_it() -> None:
    """The pod is still told that it does not fit now."""
    taken = claim("x", asks())
    local = {
        "nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gone"]}]}
        ]
    }
    results = [{"request": "r0", "driver": DRIVER, "pool": "b", "device": "d0"}]
    taken["status"] = {"allocation": {"devices": {"results": results}, "nodeSelector": local}}
    given = [devices_on("b", "d0"), CLASS, ("ResourceClaim", taken)]
    words = "0/2 nodes are available: 2 resourceclaim not available on the node."
    found = outcome(schedule(*given, pods=[using("p", "x"), using("q", "x")], order="file"))
    assert found == {"p": f"{words} deallocation of ResourceClaim completed, {NOT_HELPFUL}", "q": "b"}
    taken["status"]["reservedFor"] = [{"resource": "pods", "name": "other", "uid": "u"}]
    found = outcome(schedule(*given, pods=[using("p", "x")]))
    assert found == {"p": f"{words} still not schedulable, {NOT_HELPFUL}"}


def test_what_keeps_a_pod_from_every_node() -> None:
    """A claim or class that is not there, or a claim on its way out."""
    leaving = claim("x", asks())
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    no_template = pod_dict("p")
    no_template["spec"]["resourceClaims"] = [{"name": "c", "resourceClaimTemplateName": "t"}]
    cases: list[tuple[list[tuple[str, Object]], Object, str]] = [
        ([], using("p", "x"), "object not found"),
        ([("ResourceClaim", leaving)], using("p", "x"), 'resourceclaim "x" is being deleted'),
        (
            [("ResourceClaim", claim("x", asks("gone")))],
            using("p", "x"),
            "request r0: device class gone does not exist",
        ),
        (
            [("ResourceClaim", claim("x", [asks("gone")]))],
            using("p", "x"),
            "request r0/a0: device class gone does not exist",
        ),
        ([], no_template, 'pod "default/p": ResourceClaim not created yet'),
    ]
    for objects, pod, words in cases:
        found = outcome(schedule(CLASS, *objects, pods=[pod]))
        assert found == {"p": f"0/2 nodes are available: {words}. no new claims to deallocate, {NOT_HELPFUL}"}


def test_a_selector_that_fails_is_no_verdict() -> None:
    """The pod's cycle fails, in upstream's words; others go on."""
    broken = ("ResourceClaim", claim("x", asks("any", 1, 'device.attributes["a"].b')))
    found = outcome(
        schedule(
            devices_on("b", "d0"), CLASS, broken, pods=[using("p", "x"), pod_dict("q")], tie_break="first"
        )
    )
    assert found == {
        "p": 'running "DynamicResources" filter plugin: claim default/x: selector #0: CEL runtime error: no such key: b',
        "q": "a",
    }


def test_earlier_alternatives_score_more() -> None:
    """The node with the device that stands first in the list, though another fits as well."""
    large = device("large", memory="8Gi")
    slices = [
        devices_on("a", "d0"),
        ("ResourceSlice", slice_of(large, name="of-b", pool="b", nodeName="b")),
    ]
    big = "has(device.capacity[device.driver].memory)"
    wanted = ("ResourceClaim", claim("x", [asks("any", 1, big), asks("any", 1)]))
    result = schedule(*slices, CLASS, wanted, pods=[using("p", "x")], explain=True)
    assert outcome(result) == {"p": "b"}
    scores = {node: found["DynamicResources"] for node, found in result.why("default/p")["score"].items()}
    assert scores["a"] == {"raw": 7, "normalized": 87, "weighted": 174}
    assert scores["b"] == {"raw": 8, "normalized": 100, "weighted": 200}


def test_pods_of_workloads_get_claims_of_their_templates() -> None:
    """One each, as the controller would make them."""
    template = (
        "ResourceClaimTemplate",
        {"metadata": {"name": "t"}, "spec": {"spec": claim("x", asks())["spec"]}},
    )
    pod = pod_dict("p")
    pod["spec"]["resourceClaims"] = [{"name": "c", "resourceClaimTemplateName": "t"}]
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "default"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}},
                 "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod["spec"]}},
    }  # fmt: skip
    found = outcome(
        schedule(devices_on("a", "d0"), devices_on("b", "d0"), CLASS, template, pods=[deployment])
    )
    assert sorted(found.values())[1:] == ["a", "b"]
    assert "cannot allocate all claims" in min(found.values())


def test_a_copy_of_a_cluster_has_devices_of_its_own() -> None:
    """What is allocated in one is free in the other."""
    objects = [node_dict("a"), *kinds(devices_on("a", "d0"), CLASS, ("ResourceClaim", claim("x", asks())))]
    state = State()
    state.load(decode_objects([*objects, using("p", "x")]))
    other = state.copy()
    claims = [one.devices.claim("default", "x") for one in (state, other)]
    assert claims[0] is claims[1] is not None
    other.devices.hold(
        claims[1], {"devices": {"results": [{"driver": DRIVER, "pool": "a", "device": "d0"}]}}, {}
    )
    assert len(other.devices.allocated.devices) == 1
    assert not state.devices.allocated.devices


@pytest.mark.parametrize(
    ("kind", "obj", "words"),
    [
        ("ResourceClaim", {"metadata": {"name": "x"}, "spec": {"devices": {"requests": [{"name": "r"}]}}}, "asks for nothing"),
        ("ResourceSlice", {"metadata": {"name": "x"}, "spec": {"driver": "d", "pool": {"name": "p"}, "devices": [{"basic": {}, "name": "n"}]}},
         "basic: is not there"),
        ("ResourceSlice", {"metadata": {"name": "x"}, "spec": {"pool": {"name": "p"}}}, "spec.driver: is missing"),
        ("ResourceSlice", {"metadata": {"name": "x"}, "spec": {"driver": "d", "pool": {"name": "p"},
         "devices": [{"name": "n", "capacity": {"m": {"value": "much"}}}]}}, "'much' is not a quantity"),
    ],
)  # fmt: skip
def test_what_is_no_device_or_claim_is_said(kind: str, obj: Object, words: str) -> None:
    """With the object and the field."""
    with pytest.raises(InputError, match=f"{kind} x") as caught:
        schedule((kind, obj), pods=[])
    assert words in str(caught.value)
