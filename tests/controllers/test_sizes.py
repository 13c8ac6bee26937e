"""The arithmetic of rollouts, with numbers of upstream's own tests."""

import pytest

from kcore.controllers import deployment_sizes as sizes
from kcore.controllers import pods
from kcore.controllers.template_hash import template_hash


def deployment(replicas, surge=0, unavailable=0, kind="RollingUpdate"):
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {
        "spec": {"replicas": replicas, "strategy": {"type": kind, "rollingUpdate": rolling}},
        "status": {},
    }


def replica_set(name, replicas, created=0, available=None, maximum=None):
    annotations = {} if maximum is None else {sizes.MAXIMUM: str(maximum)}
    return {
        "metadata": {"name": name, "creationTimestamp": f"2026-01-01T00:00:{created:02}Z", "annotations": annotations},
        "spec": {"replicas": replicas}, "status": {} if available is None else {"availableReplicas": available},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "wanted"),
    [
        (10, "0%", "0%", (0, 1)), (10, "39%", "39%", (4, 3)), (10, "oops", 0, None), (10, "55%", "urg", None),
        (10, 5, 1, (5, 1)), (1, "25%", "25%", (1, 0)),
    ],
)  # fmt: skip
def test_fenceposts(replicas, surge, unavailable, wanted):
    given = deployment(replicas, surge, unavailable)
    if wanted is None:
        with pytest.raises(ValueError, match="invalid literal"):
            sizes.fenceposts(given)
    else:
        assert sizes.fenceposts(given) == wanted


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "wanted"),
    [(10, 0, 10, 10), (5, 0, 10, 5), (5, 10, 0, 0), (10, 0, "30%", 3), (1, 0, "100%", 1), (0, 0, 5, 0)],
)
def test_max_unavailable(replicas, surge, unavailable, wanted):
    assert sizes.max_unavailable(deployment(replicas, surge, unavailable)) == wanted


@pytest.mark.parametrize(
    ("kind", "replicas", "surge", "new", "old", "wanted"),
    [("Recreate", 1, 0, 0, 5, 1), ("RollingUpdate", 1, "50%", 1, 10, 1), ("RollingUpdate", 6, 5, 0, 10, 1),
     ("RollingUpdate", 10, 2, 5, 0, 10)],
)  # fmt: skip
def test_the_size_that_the_new_replica_set_may_have(kind, replicas, surge, new, old, wanted):
    there = replica_set("new", new)
    assert (
        sizes.new_size(deployment(replicas, surge, kind=kind), [replica_set("old", old), there], there)
        == wanted
    )


@pytest.mark.parametrize(
    ("replicas", "before", "given", "wanted"),
    [
        (12, 10, [10], {"a": 12}), (8, 10, [5, 5], {"a": 4, "b": 4}), (5, 10, [7, 3], {"a": 3, "b": 2}),
        (20, 10, [5, 3, 2], {"a": 10, "b": 6, "c": 4}), (0, 10, [5, 5], {"a": 0, "b": 0}),
    ],
)  # fmt: skip
def test_a_deployment_that_is_scaled_amid_a_rollout_grows_in_proportion(replicas, before, given, wanted):
    there = [
        replica_set(name, count, 9 - number, maximum=before)
        for number, (name, count) in enumerate(zip("abc", given, strict=False))
    ]
    assert sizes.proportional(deployment(replicas), there) == wanted


def pod(name, *, node="n", phase="Running", ready=0, restarts=0, cost=None, created=0):
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": f"2026-01-01T00:00:{ready:02}Z"}]
    annotations = {} if cost is None else {pods.DELETION_COST: cost}
    return {
        "metadata": {
            "name": name, "uid": name, "creationTimestamp": f"2026-01-01T00:00:{created:02}Z", "annotations": annotations,
        },
        "spec": {"nodeName": node, "containers": []},
        "status": {
            "phase": phase, "conditions": conditions if ready else [],
            "containerStatuses": [{"name": "main", "restartCount": restarts}],
        },
    }  # fmt: skip


def test_the_pods_that_are_better_deleted_go_first():
    now_ms = 1767225660000  # a minute after the first
    ordered = [
        pod("unassigned", node=""), pod("pending", phase="Pending"), pod("unknown", phase="Unknown"),
        pod("restarted", restarts=3), pod("unready"), pod("cheap", ready=1, cost="-5"), pod("young", ready=59),
        pod("old", ready=1, created=1), pod("dear", ready=59, cost="9"),
    ]  # fmt: skip
    assert [each["metadata"]["name"] for each in pods.deletion_order(ordered[::-1], (), now_ms)] == [
        each["metadata"]["name"] for each in ordered
    ]


def test_of_two_nodes_the_one_with_more_of_them_loses_one():
    there = [pod("alone", node="a", ready=1), pod("one", node="b", ready=1), pod("two", node="b", ready=1)]
    assert pods.deletion_order(there, there, 1767225660000)[0]["spec"]["nodeName"] == "b"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("10", 10), ("-10", -10), ("+10", 0), ("010", 0), ("0", 0), ("x", 0), ("3000000000", 0)],
)
def test_deletion_costs_are_plain_integers(text, wanted):
    assert pods.deletion_cost({pods.DELETION_COST: text}) == wanted


def test_a_template_has_one_hash_whatever_its_order_and_another_for_each_collision():
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert template_hash(one) == template_hash(other)
    assert len({template_hash(one, count) for count in (None, 0, 1, 2)}) == 4
