"""The default selector of a pod: its services and its controller, merged as upstream merges them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kcore.api.objects import ClusterObjects, ReplicaSet, ReplicationController, Service, StatefulSet
from kcore.api.selectors import Requirement, Selector, from_labels
from kcore.scheduler.owners import Owners, controller_of
from tests.scheduler.cluster_objects import pod_of

Object = dict[str, Any]


def named(name: str, selector: Any, namespace: str = "default") -> Object:
    spec = {} if selector is None else {"selector": selector}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def owners(**kinds: list[Object]) -> Owners:
    types = {
        "services": Service,
        "replication_controllers": ReplicationController,
        "replica_sets": ReplicaSet,
        "stateful_sets": StatefulSet,
    }
    given = {kind: [msgspec.convert(one, types[kind]) for one in found] for kind, found in kinds.items()}
    found = Owners()
    found.add(ClusterObjects(**given))
    return found


def selector(found: Owners, labels: dict[str, str], owner: tuple[str, str, str] | None = None) -> Selector:
    metadata: Object = {}
    if owner is not None:
        version, kind, name = owner
        reference = {"apiVersion": version, "kind": kind, "name": name, "controller": True}
        metadata["ownerReferences"] = [reference]
    pod = pod_of("p", labels=labels, metadata=metadata)
    return found.default_selector(pod, "default", labels)


def test_services_that_match_are_merged() -> None:
    found = owners(
        services=[
            named("a", {"app": "web"}),
            named("b", {"tier": "front"}),
            named("c", {"app": "db"}),
            named("d", {}),
            named("e", None),
            named("f", {"app": "web", "x": "y"}),
            named("g", {"track": "stable"}, "other"),
        ]
    )
    labels = {"app": "web", "tier": "front", "track": "stable"}
    assert selector(found, labels) == from_labels({"app": "web", "tier": "front"})
    assert selector(found, {}).empty


@pytest.mark.parametrize(
    ("owner", "wanted"),
    [
        (("apps/v1", "ReplicaSet", "r"), {"app": "web", "set": "r"}),
        (("apps/v1", "StatefulSet", "s"), {"app": "web", "set": "s"}),
        (("v1", "ReplicationController", "c"), {"app": "web", "set": "c"}),
        (("apps/v1", "ReplicaSet", "gone"), {"app": "web"}),
        (("apps/v1", "StatefulSet", "r"), {"app": "web"}),
        (("extensions/v1beta1", "ReplicaSet", "r"), {"app": "web"}),
        (("batch/v1", "Job", "r"), {"app": "web"}),
        (("apps/v1", "ReplicationController", "c"), {"app": "web"}),
    ],
)
def test_the_controllers_selector_is_added_to_the_services(
    owner: tuple[str, str, str], wanted: dict[str, str]
) -> None:
    found = owners(
        services=[named("svc", {"app": "web"})],
        replica_sets=[named("r", {"matchLabels": {"set": "r"}}), named("none", None)],
        stateful_sets=[named("s", {"matchLabels": {"set": "s"}})],
        replication_controllers=[named("c", {"set": "c"})],
    )
    assert selector(found, {"app": "web"}, owner) == from_labels(wanted)


def test_expressions_of_a_replica_set_are_kept() -> None:
    expression = {"key": "tier", "operator": "NotIn", "values": ["data"]}
    found = owners(replica_sets=[named("r", {"matchExpressions": [expression]})])
    wanted = Selector((Requirement("tier", "NotIn", ("data",)),))
    assert selector(found, {}, ("apps/v1", "ReplicaSet", "r")) == wanted


def test_a_replica_set_without_a_selector_adds_nothing() -> None:
    found = owners(replica_sets=[named("r", None)])
    assert selector(found, {}, ("apps/v1", "ReplicaSet", "r")).empty


def test_a_replication_controller_overrides_a_services_value() -> None:
    found = owners(
        services=[named("svc", {"app": "web"})], replication_controllers=[named("c", {"app": "other"})]
    )
    owner = ("v1", "ReplicationController", "c")
    assert selector(found, {"app": "web"}, owner) == from_labels({"app": "other"})


def test_all_keys_that_selectors_read_are_known() -> None:
    expression = {"key": "tier", "operator": "Exists"}
    found = owners(
        services=[named("a", {"app": "web"})],
        replica_sets=[named("r", {"matchLabels": {"x": "1"}, "matchExpressions": [expression]})],
        replication_controllers=[named("c", {"rc": "c"})],
    )
    assert found.label_keys() == {"app", "x", "tier", "rc"}


def test_of_several_owners_the_controller_counts() -> None:
    references = [
        {"apiVersion": "v1", "kind": "Node", "name": "n"},
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "controller": True},
    ]
    pod = pod_of("p", metadata={"ownerReferences": references})
    found = controller_of(pod.metadata.owner_references or ())
    assert found is not None
    assert found.name == "r"
    assert controller_of(()) is None
