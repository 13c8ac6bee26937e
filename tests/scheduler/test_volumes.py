"""The volume plugins: against their naive twin, against the real ones where Go is at hand, and case by case."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kcore.api.errors import InputError
from kcore.cluster import Cluster
from tests.apiserver.goclients.programs import built
from tests.scheduler import volume_engine, volume_naive
from tests.scheduler.volume_scenarios import scenario

Object = dict[str, Any]

SEEDS = range(80)
REAL_SEEDS = range(1_000, 2_000)
"""Scenarios for the real plugins: 200 answers a minute, for each makes a scheduler."""


def assert_same(seed: int, ours: list[Object], theirs: list[Object]) -> None:
    """The answers agree up to the first pod for which both failed; of nodes to preempt on, one of the best is named."""
    for mine, other in zip(ours, theirs, strict=False):
        if "error" in mine and "error" in other:
            return
        if "preempt" in mine and "preempt" in other:
            names = other["preempt"] if isinstance(other["preempt"], list) else [other["preempt"]]
            assert set(names) <= set(mine["preempt"]), (seed, mine, other)
            mine = {**mine, "preempt": other["preempt"]}
        assert mine == other, (seed, mine, other)
    assert len(ours) == len(theirs), seed


@pytest.mark.differential
def test_the_engine_and_its_naive_twin_agree_on_every_node() -> None:
    kinds = set()
    for seed in SEEDS:
        given = scenario(seed)
        ours = volume_engine.verdicts(given)
        assert_same(seed, ours, volume_naive.verdicts(given))
        for told in ours:
            statuses = [told.get("preFilter"), *told.get("nodes", {}).values()]
            kinds |= {(one["plugin"], *one["reasons"][:1]) for one in statuses if one is not None}
    plugins = {plugin for plugin, _ in kinds}
    assert plugins >= {"VolumeRestrictions", "NodeVolumeLimits", "VolumeBinding", "VolumeZone"}
    assert len(kinds) > 15


@pytest.mark.slow
def test_the_real_plugins_agree_on_every_node(tmp_path: Path) -> None:
    program = built(Path(__file__).parent / "volume_verdicts", ".", tmp_path)
    given = [scenario(seed) for seed in REAL_SEEDS]
    text = "\n".join(json.dumps(one) for one in given)
    done = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(given)
    for seed, one, line in zip(REAL_SEEDS, given, lines, strict=True):
        assert_same(seed, volume_engine.verdicts(one), [_as_ours(told) for told in json.loads(line)])


def _as_ours(told: Object) -> Object:
    """An answer in which a plugin failed is that, whoever else was asked."""
    statuses = [told.get("preFilter"), *(told.get("nodes") or {}).values()]
    failed = [one["reasons"][0] for one in statuses if one is not None and one["code"] == "Error"]
    return {"pod": told["pod"], "error": failed[0]} if failed else told


# -- case by case

HOST = "kubernetes.io/hostname"


def node(name: str, cpu: str = "4", **labels: str) -> Object:
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {HOST: name, **labels}},
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"}},
    }  # fmt: skip


def pod(name: str, *claims: str, cpu: str = "1", inline: Object | None = None, **spec: Any) -> Object:
    volumes: list[Object] = [{"name": f"v{one}", "persistentVolumeClaim": {"claimName": one}} for one in claims]  # fmt: skip
    if inline is not None:
        volumes.append({"name": "inline", **inline})
    containers = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
        "spec": {"containers": containers, "volumes": volumes, **spec},
    }  # fmt: skip


def of_class(name: str, provisioner: str = "kubernetes.io/no-provisioner", **more: Any) -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
        "provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer", **more,
    }  # fmt: skip


def volume(name: str, on: str = "", size: str = "1Gi", **spec: Any) -> Object:
    if on:
        terms = [{"matchExpressions": [{"key": HOST, "operator": "In", "values": [on]}]}]
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
    base = {
        "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local", **spec,
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": base}


def claim(name: str, size: str = "1Gi", wants: str = "local", **spec: Any) -> Object:
    base = {
        "accessModes": ["ReadWriteOnce"], "storageClassName": wants, "resources": {"requests": {"storage": size}}, **spec,
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": base}


def bound(name: str, to: str, **spec: Any) -> Object:
    found = claim(name, volumeName=to, **spec)
    found["metadata"]["annotations"] = {"pv.kubernetes.io/bind-completed": "yes"}
    return found


def placed(*objects: Object, **options: Any) -> dict[str, str]:
    """By pod its node, or why it has none (up to what preemption says)."""
    result = Cluster.from_objects(objects).schedule(**options)
    return {
        row["name"]: row["node"] or row["reason"].partition(" no new claims")[0]
        for row in result.to_dict()["placements"]
    }


NONE = "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."


def test_each_claim_gets_the_smallest_volume_that_is_left_on_its_node() -> None:
    disks = [volume("small", "a"), volume("large", "a", "9Gi"), volume("other", "b", "2Gi")]
    found = placed(
        node("a"), node("b"), of_class("local"), *disks, claim("one"), claim("two", "500Mi"), claim("three"),
        claim("four"), pod("p", "one"), pod("q", "two"), pod("r", "three"), pod("s", "four"), pod("t", "one"),
    )  # fmt: skip
    # one: small on a; two: other on b, for b has more room; three: large on a
    assert found == {"p": "a", "q": "b", "r": "a", "s": NONE, "t": "a"}


def test_two_claims_of_a_pod_never_get_one_volume() -> None:
    objects = (node("a"), node("b"), of_class("local"), claim("one"), claim("two"), pod("p", "one", "two"))
    assert placed(*objects, volume("v", "a"), volume("w", "b")) == {"p": NONE}
    assert placed(*objects, volume("v", "b"), volume("w", "b")) == {"p": "b"}


def test_a_volume_of_the_claim_s_own_is_waited_for_on_its_node() -> None:
    own = volume("own", "b", "5Gi", claimRef={"namespace": "default", "name": "one"})
    objects = (node("a"), node("b"), of_class("local"), volume("free", "a"), claim("one"), pod("p", "one"))
    assert placed(*objects, own) == {"p": "b"}
    too_small = volume("own", "b", "5Mi", claimRef={"namespace": "default", "name": "one"})
    assert placed(*objects, too_small) == {"p": "a"}


@pytest.mark.parametrize(
    ("amount", "selector", "fits"),
    [("5Gi", {}, "a"), ("500Mi", {}, ""), ("5Gi", {"matchLabels": {"disk": "yes"}}, "b"), (None, {}, "")],
)
def test_a_volume_is_made_where_its_driver_has_room(amount: str | None, selector: Object, fits: str) -> None:
    room: Object = {
        "apiVersion": "storage.k8s.io/v1", "kind": "CSIStorageCapacity", "metadata": {"name": "x", "namespace": "d"},
        "storageClassName": "made", "nodeTopology": selector,
    }  # fmt: skip
    if amount is not None:
        room["capacity"] = amount
    driver = {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": "x.csi"}, "spec": {"storageCapacity": True}}  # fmt: skip
    found = placed(
        node("a"), node("b", disk="yes"), of_class("made", "x.csi"), room, driver, claim("c", wants="made"), pod("p", "c"),
    )  # fmt: skip
    assert found == {"p": fits or "0/2 nodes are available: 2 node(s) did not have enough free storage."}


def test_a_volume_is_made_in_the_topologies_of_its_class_and_stays_there() -> None:
    topologies = [{"matchLabelExpressions": [{"key": "zone", "values": ["z2"]}]}]
    found = placed(
        node("a", zone="z1"), node("b", "1", zone="z2"), of_class("made", "x.csi", allowedTopologies=topologies),
        claim("c", wants="made"), pod("p", "c"), pod("q", "c"),
    )  # fmt: skip
    reason = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't find available persistent volumes to bind."  # fmt: skip
    assert found == {"p": "b", "q": reason}


def test_a_claim_for_one_pod_makes_its_user_give_way_to_a_more_important_one() -> None:
    alone = bound("c", "v", accessModes=["ReadWriteOncePod"])
    user = {**pod("user", "c", priority=1, nodeName="a")}
    objects = (node("a"), node("b"), of_class("local"), volume("v"), alone, user)
    in_use = (
        "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode "
        "already in-use by another pod."
    )
    assert placed(*objects, pod("p", "c", priority=1)) == {"p": in_use}
    result = Cluster.from_objects([*objects, pod("p", "c", priority=9)]).schedule()
    (row,) = result.to_dict()["placements"]
    assert (row["nominatedNode"], row["victims"]) == ("a", ["default/user"])
    assert placed(*objects, pod("p", "c", priority=9), preemption="evict") == {"p": "a"}


def test_a_disk_is_mounted_by_one_pod_of_a_node() -> None:
    disk = {"gcePersistentDisk": {"pdName": "d"}}
    reader = {"gcePersistentDisk": {"pdName": "d", "readOnly": True}}
    full = "0/1 nodes are available: 1 node(s) had no available disk."
    assert placed(node("a"), pod("p", inline=disk), pod("q", inline=reader)) == {"p": "a", "q": full}
    assert placed(node("a"), pod("p", inline=reader), pod("q", inline=reader)) == {"p": "a", "q": "a"}


def test_a_node_attaches_as_many_volumes_as_its_driver_says() -> None:
    limit = {
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": "a"},
        "spec": {"drivers": [{"name": "x.csi", "nodeID": "a", "allocatable": {"count": 2}}]},
    }  # fmt: skip
    claims = [claim(f"c{number}", wants="made") for number in range(4)]
    found = placed(
        node("a"), of_class("made", "x.csi"), limit, *claims, pod("p", "c0", "c1"), pod("q", "c1"), pod("r", "c2"),
    )  # fmt: skip
    full = "0/1 nodes are available: 1 node(s) exceed max volume count."
    assert found == {"p": "a", "q": "a", "r": full}


def test_a_bound_volume_s_labels_say_its_zone() -> None:
    zone = "topology.kubernetes.io/zone"
    there = volume("v")
    there["metadata"]["labels"] = {"failure-domain.beta.kubernetes.io/zone": "z1__z2"}
    found = placed(
        node("a", **{zone: "z3"}), node("b", **{zone: "z2"}), of_class("local"), there, bound("c", "v"), pod("p", "c"),
        pod("q", "c", cpu="4"),
    )  # fmt: skip
    reason = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had no available volume zone."
    assert found == {"p": "b", "q": reason}


def test_what_keeps_a_pod_off_all_nodes_is_said_once() -> None:
    now = of_class("now", volumeBindingMode="Immediate")
    lost = {**bound("lost", "gone"), "status": {"phase": "Lost"}}
    going = claim("going")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    ephemeral = pod("made-for", inline={"ephemeral": {"volumeClaimTemplate": {}}})
    found = placed(
        node("a"), now, of_class("local"), lost, going, claim("early", wants="now"), bound("astray", "nowhere"),
        pod("p", "missing"), pod("q", "lost"), pod("r", "going"), pod("s", "early"), pod("t", "astray"), ephemeral,
    )  # fmt: skip
    told = {name: reason.removeprefix("0/1 nodes are available: ") for name, reason in found.items()}
    assert told == {
        "p": 'persistentvolumeclaim "missing" not found. not found',
        "q": 'persistentvolumeclaim "lost" bound to non-existent persistentvolume "gone". not found',
        "r": 'persistentvolumeclaim "going" is being deleted. not found',
        "s": "pod has unbound immediate PersistentVolumeClaims. not found",
        "t": 'persistentvolume "nowhere" not found. not found',
        "made-for": 'waiting for ephemeral volume controller to create the persistentvolumeclaim "made-for-inline". not found',
    }  # fmt: skip


def test_an_explanation_goes_back_to_what_was_free_then() -> None:
    cluster = Cluster.from_objects([
        node("a"), node("b"), of_class("local"), volume("v", "a"), volume("w", "b"), claim("one"), claim("two"),
        claim("three"), pod("p", "one"), pod("q", "two"), pod("plain"), pod("r", "three"),
    ])  # fmt: skip
    result = cluster.schedule()
    assert result.why("default/p")["filter"] == {"a": None, "b": None}
    taken = {"plugin": "VolumeBinding", "reasons": ["node(s) didn't find available persistent volumes to bind"]}  # fmt: skip
    assert result.why("default/q")["filter"] == {"a": taken, "b": None}
    assert result.why("default/r")["filter"] == {"a": taken, "b": taken}
    assert result.why("default/plain")["filter"] == {"a": None, "b": None}


def test_pods_without_volumes_are_decided_as_ever_beside_those_with() -> None:
    nodes = [node(f"n{number}", "64") for number in range(4)]
    disks = [volume(f"v{number}", f"n{number}") for number in range(3)]
    claims = [claim(f"c{number}") for number in range(3)]
    pods = [pod(f"p{number}", *([f"c{number // 7}"] if number % 7 == 3 else [])) for number in range(28)]
    objects = [*nodes, of_class("local"), *disks, *claims, *pods]
    assert placed(*objects, engine="incremental") == placed(*objects, engine="full")


@pytest.mark.parametrize("engine", ["full", "incremental"])
def test_a_pod_without_volumes_is_not_told_of_those_of_the_pod_before_it(engine: str) -> None:
    found = placed(node("a", "2"), pod("p", "missing"), pod("q", cpu="9"), pod("r", "missing"), engine=engine)
    missing = '0/1 nodes are available: persistentvolumeclaim "missing" not found. not found'
    assert found == {"p": missing, "q": "0/1 nodes are available: 1 Insufficient cpu.", "r": missing}


@pytest.mark.parametrize(
    ("obj", "why"),
    [
        (claim("c", "much"), "(PersistentVolumeClaim c): spec.resources.requests.storage: 'much' is not a quantity"),
        (volume("v", size="1 GB"), "(PersistentVolume v): spec.capacity.storage: '1 GB' is not a quantity"),
        (of_class("s", volumeBindingMode="Late"), '(StorageClass s): volumeBindingMode: is "Late"'),
    ],
)  # fmt: skip
def test_what_is_wrong_in_an_input_is_named(obj: Object, why: str) -> None:
    with pytest.raises(InputError) as caught:
        Cluster.from_objects([node("a"), obj])
    assert why in str(caught.value)


def test_a_volume_that_is_there_twice_is_an_error() -> None:
    with pytest.raises(InputError, match="the PersistentVolume 'v' is there twice"):
        Cluster.from_objects([volume("v"), volume("v")])
