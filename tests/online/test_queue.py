"""The scheduling queue, on a clock of the test's own."""

from typing import Any

from kcore.online.events import REGISTERED, Event, awaited, of_node
from kcore.online.queue import SchedulingQueue


def pod(name: str, priority: int = 0, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"priority": priority, **spec}, "status": {}}


def put(queue: SchedulingQueue, *names: str, priority: int = 0, now_ms: int = 0, **spec: Any) -> None:
    for name in names:
        queue.put(name, pod(name, priority, **spec), now_ms)


def popped(queue: SchedulingQueue, now_ms: int, count: int = 10) -> list[str]:
    return [each.key for each in queue.pop(count, now_ms)]


def refuse(queue: SchedulingQueue, name: str, plugins: tuple[str, ...], now_ms: int) -> None:
    known = queue.get(name)
    assert known is not None
    queue.unschedulable(known, plugins, now_ms)


def test_pods_come_by_priority_and_then_by_age() -> None:
    queue = SchedulingQueue()
    put(queue, "a", now_ms=1)
    put(queue, "b", priority=5, now_ms=2)
    put(queue, "c", now_ms=0)
    assert popped(queue, 3, count=2) == ["b", "c"]
    assert popped(queue, 3) == ["a"]
    assert popped(queue, 3) == []
    assert queue.counts["in flight"] == 3


def test_a_pod_that_fits_nowhere_waits_for_an_event_that_may_help_it() -> None:
    queue = SchedulingQueue()
    put(queue, "a")
    assert popped(queue, 0) == ["a"]
    refuse(queue, "a", ("NodeResourcesFit",), 0)
    queue.happened(Event.NODE_LABEL, 5_000)
    assert popped(queue, 5_000) == [], "a label cannot give it memory"
    queue.happened(Event.POD_GONE, 5_000)
    assert popped(queue, 5_000) == ["a"]


def test_the_pause_doubles_up_to_ten_seconds_and_ends_with_a_window() -> None:
    queue = SchedulingQueue()
    put(queue, "a")
    now_ms = 300
    for pause_ms in (1_000, 2_000, 4_000, 8_000, 10_000, 10_000):
        assert popped(queue, now_ms) == ["a"]
        known = queue.get("a")
        assert known is not None
        queue.failed(known, now_ms)
        due_ms = (now_ms + pause_ms) // 1_000 * 1_000 + 1_000
        assert queue.next_ms() == due_ms
        assert popped(queue, due_ms - 1) == [], "an error waits for its pause in any case"
        now_ms = due_ms


def test_a_rejected_pod_pauses_only_while_others_wait_and_errors_count_apart_from_rejections() -> None:
    queue = SchedulingQueue()
    put(queue, "a")
    queue.pop(1, 0)
    known = queue.get("a")
    assert known is not None
    queue.failed(known, 0)
    assert popped(queue, 2_000) == ["a"]
    refuse(queue, "a", ("NodeAffinity",), 2_000)
    assert (known.rejected_count, known.error_count) == (1, 0)
    put(queue, "b", now_ms=2_000)
    queue.happened(Event.NODE_ADD, 2_000)
    assert queue.counts["backoff"] == 1
    assert popped(queue, 2_000) == ["b"]
    assert popped(queue, 2_000) == ["a"], "it is in backoff, but there is nothing else to do"


def test_of_pods_that_pause_that_whose_pause_ends_first_comes_first_and_then_the_more_important() -> None:
    queue = SchedulingQueue()
    put(queue, "early")
    queue.pop(1, 0)
    refuse(queue, "early", ("NodeName",), 0)
    put(queue, "late", "later", now_ms=5_000)
    put(queue, "urgent", priority=9, now_ms=5_000)
    queue.pop(3, 5_000)
    for name in ("late", "later", "urgent"):
        refuse(queue, name, ("NodeName",), 5_000)
    refuse_again = queue.pop(1, 5_000)
    assert refuse_again == [], "nothing has happened"
    queue.happened(Event.NODE_ADD, 5_500)
    assert popped(queue, 5_500) == ["early"], "its pause was over"
    assert popped(queue, 5_500) == ["urgent", "late", "later"]


def test_what_happens_while_a_pod_is_in_flight_is_not_missed() -> None:
    queue = SchedulingQueue()
    put(queue, "a", "b", "c")
    queue.pop(2, 0)
    queue.happened(Event.NODE_LABEL, 10)
    refuse(queue, "a", ("NodeResourcesFit",), 20)
    assert queue.counts["unschedulable"] == 1, "a label cannot give it memory"
    refuse(queue, "b", ("NodeAffinity",), 20)
    assert queue.counts["backoff"] == 1 and queue.kept_count == 0
    queue.pop(1, 30)
    queue.put("c", pod("c", tolerations=[{"operator": "Exists"}]), 40)
    refuse(queue, "c", ("TaintToleration",), 50)
    assert queue.counts["backoff"] == 2, "it has changed itself"


def test_nobody_asks_for_what_happened_once_a_pod_is_done() -> None:
    queue = SchedulingQueue()
    put(queue, "a", "b")
    first, second = queue.pop(2, 0)
    queue.happened(Event.NODE_ADD, 10)
    queue.done(first)
    assert queue.kept_count == 1
    queue.done(second)
    assert queue.kept_count == 0 and queue.counts["in flight"] == 2


def test_a_plugin_may_have_a_pod_tried_now_and_a_pending_one_does_not_pause() -> None:
    queue = SchedulingQueue(registered={"Mine": Event.NODE_LABEL})
    put(queue, "a", "b")
    for known in queue.pop(2, 0):
        queue.unschedulable(known, ("Mine",), 0, pending=("Mine",) if known.key == "a" else ())
    queue.happened(Event.NODE_ADD, 10)
    assert queue.counts["unschedulable"] == 2
    queue.happened(Event.NODE_LABEL, 10)
    assert queue.counts["active"] == 1 and queue.counts["backoff"] == 1
    assert queue.activate("b", 10) and queue.counts["active"] == 2
    assert not queue.activate("nobody", 10)


def test_nobody_waits_much_more_than_five_minutes() -> None:
    queue = SchedulingQueue()
    put(queue, "a")
    queue.pop(1, 0)
    refuse(queue, "a", ("NodeName",), 1)
    now_ms = 0
    while queue.counts["unschedulable"]:
        due_ms = queue.next_ms()
        assert due_ms is not None and now_ms < due_ms <= now_ms + 30_000
        now_ms = due_ms
        found = popped(queue, now_ms)
    assert found == ["a"] and now_ms == 330_000


def test_its_gates_and_those_of_plugins_keep_a_pod_out() -> None:
    gates: dict[str, str] = {}
    told: list[tuple[str, str]] = []
    queue = SchedulingQueue(
        gate=lambda obj: gates.get(obj["metadata"]["name"], ""),
        registered={"Quota": Event.POD_GONE},
        told=lambda place, event: told.append((place, event)),
    )
    gates["a"] = "Quota"
    put(queue, "a")
    assert queue.counts["gated"] == 1 and queue.activate("a", 0) and queue.counts["gated"] == 1
    del gates["a"]
    queue.happened(Event.NODE_ADD, 0)
    assert popped(queue, 0) == []
    queue.happened(Event.POD_GONE, 5)
    (known,) = queue.pop(1, 5)
    assert known.first_ms == 5, "it could not be tried before"
    gates["a"] = "Quota"
    queue.failed(known, 5)
    assert queue.counts["gated"] == 1
    assert [place for place, _ in told] == ["gated", "active", "gated"]


def test_a_gated_pod_enters_when_its_last_gate_is_gone() -> None:
    queue = SchedulingQueue()
    put(queue, "a", schedulingGates=[{"name": "x"}])
    queue.happened(Event.ALL, 0)
    assert popped(queue, 0) == [] and queue.counts["gated"] == 1
    queue.put("a", pod("a"), 1)
    assert popped(queue, 1) == ["a"]


def test_a_change_of_its_own_wakes_a_pod_and_its_status_does_not() -> None:
    queue = SchedulingQueue()
    put(queue, "a")
    queue.pop(1, 0)
    refuse(queue, "a", ("TaintToleration",), 0)
    queue.put("a", {**pod("a"), "status": {"conditions": [{"type": "PodScheduled"}]}}, 2_000)
    assert popped(queue, 2_000) == []
    queue.put("a", pod("a", tolerations=[{"operator": "Exists"}]), 2_000)
    assert popped(queue, 2_000) == ["a"]


def test_what_is_deleted_is_nowhere() -> None:
    queue = SchedulingQueue()
    put(queue, "a", "b", "c")
    queue.delete("a")
    known = queue.pop(1, 0)[0]
    queue.delete("b")
    queue.unschedulable(known, ("NodeName",), 0)
    assert len(queue) == 1 and popped(queue, 0) == ["c"]
    queue.delete("c")
    assert not any(queue.counts.values())


def test_a_plugin_that_is_not_known_here_may_wait_for_anything() -> None:
    assert awaited(()) == Event.ALL == awaited(("SomebodyElse",))
    assert awaited(("NodeName",)) == REGISTERED["NodeName"]


def test_what_a_change_of_a_node_is() -> None:
    old = {"metadata": {"labels": {"a": "b"}}, "spec": {}, "status": {"allocatable": {"cpu": "1"}}}
    assert of_node(None, old) == Event.NODE_ADD
    assert of_node(old, None) == Event.NODE_DELETE
    beat = {**old, "status": {**old["status"], "conditions": [{"lastHeartbeatTime": "now"}]}}
    assert of_node(old, beat) == Event.NONE
    more = {**old, "spec": {"unschedulable": True}, "status": {"allocatable": {"cpu": "2"}}}
    assert of_node(old, more) == Event.NODE_TAINT | Event.NODE_ALLOCATABLE
