"""The core on virtual time: stages begin and end, plays are answered, nothing is played twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from kcore.hollow import builtin_stages
from kcore.hollow.actions import (
    Action,
    Changed,
    Done,
    Failed,
    Gone,
    Key,
    Listed,
    Object,
    Play,
    Refused,
    Remove,
    Renew,
)
from kcore.hollow.configuration import load
from kcore.hollow.core import BACKOFF_MS_MIN, ROW_MAX, ROW_PAUSE_MS, Core
from kcore.hollow.lifecycle import by_resource
from kcore.hollow.nodes import Managed, Nodes, managed_by
from kcore.hollow.stage import NODE, POD
from kcore.hollow.stage_file import read_stage

T0 = 1_800_000_000_000


def core_of(*names: str, managed: Managed | None = None, cidr: str = "10.128.0.0/9", **more: Any) -> Core:
    nodes = Nodes(managed or Managed(), "127.0.0.1", lambda: 10250, cidr)
    stages = load(names or builtin_stages.DEFAULT).stages
    return Core(by_resource(stages), nodes, started_ms=T0, **more)


def node(name: str = "n", version: int = 1, **metadata: Any) -> Object:
    return {"metadata": {"name": name, "uid": f"u-{name}", "resourceVersion": str(version), **metadata}, "status": {
        "conditions": [{"type": "Ready", "status": "True"}]}}  # fmt: skip


def pod(
    name: str = "p", version: int = 5, *, on: str = "n", phase: str = "Pending", **metadata: Any
) -> Object:
    spec = {"nodeName": on, "containers": [{"name": "c", "image": "i"}]}
    whole = {"name": name, "namespace": "d", "uid": f"u-{name}", "resourceVersion": str(version), **metadata}
    return {"metadata": whole, "spec": spec, "status": {"phase": phase}}


def plays(actions: Sequence[Action]) -> list[Play]:
    return [each for each in actions if isinstance(each, Play)]


def key(name: str = "p") -> Key:
    return Key(POD, "d", name)


def status_of(play: Play) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(play.sends[-1].body)["status"]
    return found


def test_a_bound_pod_runs_at_once_and_has_an_address() -> None:
    core = core_of()
    (play,) = plays(core.step(T0, [Changed(NODE, node()), Changed(POD, pod())]))
    assert (play.key, play.uid, play.stage) == (key(), "u-p", "pod-ready")
    status = status_of(play)
    assert (status["phase"], status["podIP"], status["hostIP"]) == ("Running", "10.128.0.1", "127.0.0.1")


def test_a_pod_seen_before_its_node_waits_for_it() -> None:
    core = core_of()
    assert core.step(T0, [Changed(POD, pod())]) == []
    assert [play.key for play in plays(core.step(T0, [Changed(NODE, node())]))] == [key()]


def test_nothing_is_played_twice_while_an_answer_is_awaited_or_late() -> None:
    core = core_of()
    assert plays(core.step(T0, [Changed(NODE, node()), Changed(POD, pod())]))
    assert core.step(T0 + 1, [Changed(POD, pod(version=6))]) == []
    answered = pod(version=8, phase="Running")
    assert core.step(T0 + 2, [Done(key(), answered)]) == []
    assert core.step(T0 + 3, [Changed(POD, pod(version=7))]) == [], "it was so before our write"
    assert core.step(T0 + 4, [Changed(POD, answered)]) == []
    assert core.waiting_count == 1, "the node alone, until its heartbeat"
    assert core.playing_count == 0


def test_what_fails_for_now_is_tried_again_later_each_time() -> None:
    core = core_of()
    (first,) = plays(core.step(T0, [Changed(NODE, node()), Changed(POD, pod())]))
    core.step(T0, [Failed(key(), 0, True)])
    assert plays(core.step(T0 + BACKOFF_MS_MIN - 1)) == []
    (again,) = plays(core.step(T0 + 2 * BACKOFF_MS_MIN))
    assert again.sends == first.sends
    core.step(T0 + 2 * BACKOFF_MS_MIN, [Failed(key(), 0, True)])
    assert plays(core.step(T0 + 4 * BACKOFF_MS_MIN - 1)) == []
    assert plays(core.step(T0 + 5 * BACKOFF_MS_MIN))


def test_what_fails_for_good_gives_its_address_back() -> None:
    core = core_of()
    core.step(T0, [Changed(NODE, node()), Changed(POD, pod())])
    assert core.step(T0, [Failed(key(), 0, False)]) == []
    (play,) = plays(core.step(T0, [Changed(POD, pod("q"))]))
    assert status_of(play)["podIP"] == "10.128.0.1"


def test_a_jobs_pod_ends_after_the_delay_that_it_asks_for() -> None:
    core = core_of()
    owner = [{"kind": "Job", "name": "j"}]
    annotated = {"pod-complete.stage.kwok.x-k8s.io/delay": "10s"}
    running = pod(phase="Running", ownerReferences=owner, annotations=annotated)
    assert plays(core.step(T0, [Changed(NODE, node()), Changed(POD, running)])) == []
    labelled = pod(
        version=6, phase="Running", ownerReferences=owner, annotations=annotated, labels={"a": "b"}
    )
    assert plays(core.step(T0 + 5_000, [Changed(POD, labelled)])) == [], (
        "another change does not begin it anew"
    )
    assert plays(core.step(T0 + 9_999)) == []
    (play,) = plays(core.step(T0 + 10_000))
    assert (play.stage, status_of(play)["phase"]) == ("pod-complete", "Succeeded")


def test_a_duration_may_be_drawn_and_is_the_same_for_the_same_seed() -> None:
    def ended_ms(seed: int) -> int:
        core = core_of(seed=seed)
        drawn = {"pod-complete.stage.kwok.x-k8s.io/delay": "exponential(60s)"}
        running = pod(phase="Running", ownerReferences=[{"kind": "Job"}], annotations=drawn)
        core.step(T0, [Changed(NODE, node()), Changed(POD, running)])
        assert core.next_ms is not None
        return next(at for at in range(T0, T0 + 3_600_000, 10) if plays(core.step(at)))

    assert ended_ms(1) == ended_ms(1) != ended_ms(2)


def test_a_pod_that_is_to_go_is_deleted_and_its_address_is_free() -> None:
    core = core_of()
    going = pod(phase="Running", deletionTimestamp="2027-01-15T08:00:30Z", deletionGracePeriodSeconds=30)
    going["status"]["podIP"] = "10.128.0.1"
    (play,) = plays(core.step(T0, [Changed(NODE, node()), Changed(POD, going)]))
    assert play.sends == (Remove(),)
    gone = {
        **going,
        "metadata": {**going["metadata"], "deletionGracePeriodSeconds": 0, "resourceVersion": "9"},
    }
    assert core.step(T0, [Done(key(), None), Changed(POD, gone), Gone(POD, gone)]) == []
    (play,) = plays(core.step(T0, [Changed(POD, pod("q"))]))
    assert status_of(play)["podIP"] == "10.128.0.1"
    assert plays(core.step(T0 + 60_000)) == []


def test_a_range_that_is_used_up_is_said_and_asked_again() -> None:
    core = core_of(cidr="10.0.0.0/30")
    changes = [Changed(NODE, node()), *(Changed(POD, pod(name)) for name in "abc")]
    actions = core.step(T0, changes)
    assert len(plays(actions)) == 2
    assert [(each.key.name, each.reason) for each in actions if isinstance(each, Refused)] == [
        ("c", "no address is left in 10.0.0.0/30")
    ]
    a = pod("a", phase="Running")
    a["status"]["podIP"] = "10.0.0.1"
    core.step(T0, [Done(key("a"), a), Gone(POD, a)])
    assert [play.key.name for play in plays(core.step(T0 + 5_000))] == ["c"]


def test_leases_are_renewed_together_twice_in_their_length() -> None:
    core = core_of(lease_seconds=40)
    (renew,) = core.step(T0, [Changed(NODE, node(name)) for name in ("a", "b")])
    assert renew == Renew(("a", "b"), ("u-a", "u-b"))
    renewed = [
        name
        for at in range(T0 + 100, T0 + 42_000, 100)
        for each in core.step(at)
        if isinstance(each, Renew)
        for name in each.names
    ]
    assert sorted(renewed) == ["a"] * 2 + ["b"] * 2


def test_only_chosen_nodes_are_simulated() -> None:
    core = core_of(managed=managed_by(labels="type=hollow"))
    assert core.step(T0, [Changed(NODE, node()), Changed(POD, pod())]) == []
    actions = core.step(T0, [Changed(NODE, node(version=2, labels={"type": "hollow"}))])
    assert [type(each).__name__ for each in actions] == ["ListPods", "Renew"]


def test_a_list_forgets_what_is_not_in_it() -> None:
    core = core_of("node", "pod-general")
    core.step(T0, [Changed(NODE, node()), Changed(POD, pod("a")), Changed(POD, pod("b"))])
    assert core.waiting_count == 3
    core.step(T0, [Listed(POD, [pod("b")]), Listed(NODE, [])])
    assert core.waiting_count == 1


def test_a_general_pod_passes_all_its_stages_in_order() -> None:
    core = core_of("node", "pod-general")
    now, obj = T0, pod()
    obj["spec"]["initContainers"] = [{"name": "i", "image": "i"}]
    obj["metadata"]["ownerReferences"] = [{"kind": "Job"}]
    core.step(now, [Changed(NODE, node()), Changed(POD, obj)])
    stages = []
    for version in range(6, 30):
        played: list[Play] = []
        for at in range(now, now + 20_000, 50):
            now, played = at, plays(core.step(at))
            if played:
                break
        if not played:
            break
        stages.append(played[0].stage)
        obj = orjson.loads(orjson.dumps(obj))
        conditions = {each["type"]: each for each in obj["status"].get("conditions", ())}
        patch = status_of(played[0])
        conditions.update({each["type"]: each for each in patch.pop("conditions", ())})
        obj["status"].update(patch, conditions=[*conditions.values()])
        obj["metadata"]["resourceVersion"] = str(version)
        core.step(now, [Done(key(), obj), Changed(POD, obj)])
    assert stages == [
        "pod-create", "pod-init-container-running", "pod-init-container-completed", "pod-ready", "pod-complete",
    ]  # fmt: skip
    assert obj["status"]["phase"] == "Succeeded"


def test_a_stage_may_be_followed_by_the_next_without_an_event() -> None:
    text = {"metadata": {"name": "s"}, "spec": {
        "resourceRef": {"kind": "Pod"}, "immediateNextStage": True,
        "selector": {"matchExpressions": [{"key": ".status.n", "operator": "NotIn", "values": ["done"]}]},
        "next": {"statusTemplate": "n: done"}}}  # fmt: skip
    stages = [read_stage(text), read_stage({"metadata": {"name": "t"}, "spec": {
        "resourceRef": {"kind": "Pod"}, "next": {"delete": True},
        "selector": {"matchExpressions": [{"key": ".status.n", "operator": "In", "values": ["done"]}]}}})]  # fmt: skip
    core = Core(by_resource(stages), Nodes(Managed(), "127.0.0.1", lambda: 0, "10.0.0.0/8"), started_ms=T0)
    (play,) = plays(core.step(T0, [Changed(NODE, node()), Changed(POD, pod())]))
    after = pod(version=7)
    after["status"]["n"] = "done"
    (following,) = plays(core.step(T0, [Done(play.key, after)]))
    assert following.stage == "t"
    assert core.step(T0, [Changed(POD, after)]) == [], "the event of our own write comes late"


def test_a_template_that_cannot_be_played_is_said() -> None:
    stage = read_stage({"metadata": {"name": "s"}, "spec": {
        "resourceRef": {"kind": "Pod"}, "selector": {}, "next": {"statusTemplate": "a: {{ index .spec.none 0 }}"}}})  # fmt: skip
    core = Core(by_resource([stage]), Nodes(Managed(), "127.0.0.1", lambda: 0, "10.0.0.0/8"), started_ms=T0)
    actions = core.step(T0, [Changed(NODE, node()), Changed(POD, pod())])
    said = [each.reason for each in actions if isinstance(each, Refused)]
    assert said == ["template line 1: error calling index: index of untyped nil"]


@pytest.mark.parametrize("name", builtin_stages.NAMES)
def test_built_in_stages_are_right(name: str) -> None:
    assert load([name]).stages


@pytest.mark.parametrize("is_seen_first", [False, True])
def test_a_stage_that_follows_upon_itself_is_told_once_and_slowed_down(is_seen_first: bool) -> None:
    spec = {
        "resourceRef": {"kind": "Pod"}, "selector": {"matchLabels": {"spins": "y"}},
        "next": {"patches": [{"root": "metadata", "template": "labels: {at: {{ Now | Quote }}}"}]},
    }  # fmt: skip
    stage = read_stage({"metadata": {"name": "spin"}, "spec": spec})
    core = Core(by_resource([stage]), Nodes(Managed(), "127.0.0.1", lambda: 0, "10.128.0.0/9"), started_ms=T0)
    version, labels = 10, {"spins": "y"}
    found = core.step(T0, [Changed(NODE, node()), Changed(POD, pod(version=version, labels=labels))])
    plays_count, told = 0, []
    while made := plays(found):
        plays_count += len(made)
        version += 1
        answer = pod(version=version, labels=labels)
        seen, done = Changed(POD, answer), Done(key(), answer)
        found = core.step(T0, [seen, done] if is_seen_first else [done, seen])
        told += [each for each in found if isinstance(each, Refused)]
    assert (plays_count, len(told)) == (ROW_MAX, 1) and told[0].stage == "spin"
    for number in range(1, 4):
        assert plays(core.step(T0 + number * ROW_PAUSE_MS))
        answer = pod(version=version + number, labels=labels)
        assert core.step(T0 + number * ROW_PAUSE_MS, [Done(key(), answer), Changed(POD, answer)]) == []
    other = pod(version=version + 9, labels=labels)
    assert plays(core.step(T0 + 4 * ROW_PAUSE_MS, [Changed(POD, other)]))
