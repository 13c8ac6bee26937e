"""Pods that the node lifecycle controller called unready are ready again, and what they were doing goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from kcore.hollow.actions import Changed, Done, Failed, Gone, Object
from kcore.hollow.configuration import load
from kcore.hollow.core import BACKOFF_MS_MIN, Core
from kcore.hollow.readiness import ready_again
from kcore.hollow.stage import NODE, POD
from kcore.hollow.stage_file import API_VERSION
from tests.hollow.test_core import T0, core_of, key, node, plays, pod, status_of

SINCE = "2026-01-01T00:00:00Z"
MARKED = "2026-01-01T01:00:00Z"


def ready(status: str = "True", **more: Any) -> Object:
    return {"type": "Ready", "status": status, "lastTransitionTime": MARKED, **more}


CONTAINERS_READY = {"type": "ContainersReady", "status": "True", "lastTransitionTime": SINCE}


def running(*conditions: Object, version: int = 5, gates: tuple[str, ...] = (), **metadata: Any) -> Object:
    made = pod(version=version, phase="Running", **metadata)
    made["status"]["conditions"] = [*(conditions or (ready("False"), CONTAINERS_READY))]
    if gates:
        made["spec"]["readinessGates"] = [{"conditionType": each} for each in gates]
    return made


def core(*names: str) -> Core:
    return core_of(*names, says_ready_again=True)


def asleep(version: int = 1) -> Object:
    return {**node(version=version), "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}


def test_a_pod_that_was_called_unready_is_ready_since_its_containers_are() -> None:
    (play,) = plays(core().step(T0, [Changed(NODE, node()), Changed(POD, running(generation=2))]))
    (write,) = play.sends
    assert (play.stage, write.type, write.subresource) == ("ready-again", "strategic", "status")
    assert status_of(play)["conditions"] == [
        {"type": "Ready", "status": "True", "reason": None, "message": None, "lastTransitionTime": SINCE,
         "observedGeneration": 2}]  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        running(ready(), CONTAINERS_READY),
        running(ready("False", reason="ContainersNotReady"), {**CONTAINERS_READY, "status": "False"}),
        running(ready("False")),
        running(CONTAINERS_READY),
        running(deletionTimestamp=MARKED, deletionGracePeriodSeconds=30),
        {**running(), "status": {**running()["status"], "phase": "Failed"}},
        {**running(), "status": {**running()["status"], "phase": "Pending"}},
    ],
    ids=["ready", "its containers are not", "nothing of containers", "nothing of Ready", "to go", "ended", "not begun"],
)  # fmt: skip
def test_others_are_let_be(given: Object) -> None:
    assert ready_again(given, T0) == b""


def test_readiness_gates_have_their_say() -> None:
    def said(*conditions: Object) -> Object:
        patch = orjson.loads(ready_again(running(CONTAINERS_READY, *conditions, gates=("a/b", "c")), T0))
        (found,) = patch["status"]["conditions"]
        return {name: found[name] for name in ("status", "reason", "message")}

    met, unmet = {"type": "a/b", "status": "True"}, {"type": "c", "status": "False"}
    message = 'the status of pod readiness gate "c" is not "True", but False'
    assert said(ready(), met, unmet) == {
        "status": "False", "reason": "ReadinessGatesNotReady", "message": message,
    }  # fmt: skip
    none = 'corresponding condition of pod readiness gate "a/b" does not exist.'
    assert said(ready(), unmet)["message"] == f"{none}, {message}"
    assert said(ready("False"), met, {**unmet, "status": "True"})["status"] == "True"
    settled = ready("False", reason="ReadinessGatesNotReady", message=message)
    assert ready_again(running(CONTAINERS_READY, settled, met, unmet, gates=("a/b", "c")), T0) == b""


def test_pods_wait_until_their_node_is_ready() -> None:
    made = core("pod-fast")
    assert plays(made.step(T0, [Changed(NODE, asleep()), Changed(POD, running())])) == []
    gone = pod("q", phase="Running")
    gone["status"]["conditions"] = running()["status"]["conditions"]
    assert plays(made.step(T0, [Changed(POD, gone), Gone(POD, gone)])) == []
    assert [play.key for play in plays(made.step(T0, [Changed(NODE, node(version=2))]))] == [key()]
    assert plays(made.step(T0, [Done(key(), running(ready(), CONTAINERS_READY, version=6))])) == []
    assert plays(made.step(T0, [Changed(NODE, asleep(3)), Changed(NODE, node(version=4))])) == []


@pytest.mark.parametrize("answer", ["done", "refused", "later"])
def test_the_stage_that_the_pod_is_in_goes_on(answer: str) -> None:
    made = core("node", "pod-general")
    of_job: dict[str, Any] = {
        "ownerReferences": [{"kind": "Job", "name": "j"}],
        "annotations": {
            f"pod-complete.stage.kwok.x-k8s.io/{each}": "20s" for each in ("delay", "jitter-delay")
        },
    }
    working = running(ready(), CONTAINERS_READY, **of_job)
    assert plays(made.step(T0, [Changed(NODE, node()), Changed(POD, working)])) == []
    marked = running(version=6, **of_job)
    (play,) = plays(made.step(T0 + 10_000, [Changed(POD, marked)]))
    assert play.stage == "ready-again"
    if answer == "later":
        made.step(T0 + 10_000, [Failed(key(), 0, True)])
        (play,) = plays(made.step(T0 + 10_000 + 2 * BACKOFF_MS_MIN))
        assert play.stage == "ready-again"
    if answer == "refused":
        made.step(T0 + 10_000, [Failed(key(), 0, False)])
    else:
        well = running(ready(), CONTAINERS_READY, version=7, **of_job)
        assert plays(made.step(T0 + 12_500, [Done(key(), well), Changed(POD, well)])) == []
    assert plays(made.step(T0 + 19_000)) == []
    assert [each.stage for each in plays(made.step(T0 + 20_010))] == ["pod-complete"]


def test_with_stages_of_others_pods_stay_as_they_are_told(tmp_path: Path) -> None:
    assert load(["node", "pod-fast", "pod-chaos"]).are_pods_ours
    assert not load(["node"]).are_pods_ours
    more = tmp_path / "more.yaml"
    more.write_text(
        f"{{apiVersion: {API_VERSION}, kind: Stage, metadata: {{name: a}}, "
        "spec: {resourceRef: {kind: Pod}, next: {delete: true}}}"
    )
    assert not load(["node", "pod-fast", str(more)]).are_pods_ours
    assert plays(core_of().step(T0, [Changed(NODE, node()), Changed(POD, running())])) == []
