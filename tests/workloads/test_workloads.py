"""Workloads in upstream's format: reading, choosing, and what their operations do to the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from kcore.api.errors import InputError
from kcore.workloads import Chosen, Overrides, choose, run, shipped, unsupported
from kcore.workloads.report import Figures, summary
from kcore.workloads.runner import PODS_PER_SECOND

NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"generateName": "node-"},
    "status": {"allocatable": {"cpu": "4", "memory": "32Gi", "pods": "10"}},
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"generateName": "pod-"},
    "spec": {"containers": [{"name": "c", "image": "pause", "resources": {"requests": {"cpu": "100m"}}}]},
}
LARGE = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"generateName": "large-"},
    "spec": {"containers": [{"name": "c", "image": "pause", "resources": {"requests": {"cpu": "9"}}}]},
}
NONE = Overrides({})
NODES_MAX = 100


def case(operations: list[dict[str, Any]], params: dict[str, int], folder: Path, **more: Any) -> Chosen:
    for name, template in (("node.yaml", NODE), ("pod.yaml", POD), ("large.yaml", LARGE)):
        (folder / name).write_text(yaml.safe_dump(template))
    workload = {"name": "small", "params": params, **more}
    content = [{"name": "Case", "workloadTemplate": operations, "workloads": [workload]}]
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return choose(shipped([str(path)]), ["*"], [])[0]


NODES = {"opcode": "createNodes", "countParam": "$nodes", "nodeTemplatePath": "node.yaml"}
PODS = {"opcode": "createPods", "countParam": "$pods", "podTemplatePath": "pod.yaml", "collectMetrics": True}


SHORT = [
    one for one in choose(shipped(), ["*"], ["short"]) if one.workload.params.get("initNodes", 0) <= NODES_MAX
]


@pytest.mark.parametrize("one", SHORT, ids=lambda one: one.name)
def test_every_short_workload_runs_and_both_engines_agree(one: Chosen) -> None:
    first, second = run(one, NONE, "full"), run(one, NONE, "incremental")
    assert first.pods >= 1
    assert (first.nodes, first.pods, first.placed) == (second.nodes, second.pods, second.placed)
    assert first.placed >= 1


def test_all_pods_that_should_fit_are_placed() -> None:
    for name in ("SchedulingBasic/5Nodes", "TopologySpreading/5Nodes", "SchedulingPodAffinity/5Nodes"):
        figures = run(choose(shipped(), [name], [])[0], NONE)
        assert figures.placed == figures.pods > 0


def test_upstreams_tests_are_either_here_or_have_a_reason() -> None:
    here = {one.case.name for one in shipped()}
    assert not here & set(unsupported())
    assert {"SchedulingBasic", "PreemptionBasic", "Unschedulable", "MixedSchedulingBasePod"} <= here


def test_numbers_can_be_overridden(tmp_path: Path) -> None:
    chosen = case([NODES, PODS], {"nodes": 2, "pods": 5}, tmp_path)
    assert (run(chosen, NONE).nodes, run(chosen, NONE).pods) == (2, 5)
    figures = run(chosen, Overrides({"pods": 7}, nodes=3))
    assert (figures.nodes, figures.pods) == (3, 7)
    assert run(chosen, Overrides({"pods": 7}, pods=9)).pods == 9


def test_churned_pods_stand_in_the_queue_at_their_time(tmp_path: Path) -> None:
    churn = {"opcode": "churn", "mode": "create", "templatePaths": ["large.yaml"], "intervalMilliseconds": 20}
    chosen = case([NODES, churn, PODS], {"nodes": 10, "pods": 60}, tmp_path)
    figures = run(chosen, NONE)
    extra = int(np.ceil(60 / (0.02 * PODS_PER_SECOND)))
    assert (figures.pods, figures.placed) == (60 + extra, 60)


def test_recreated_objects_are_there_once(tmp_path: Path) -> None:
    churn = {
        "opcode": "churn",
        "mode": "recreate",
        "templatePaths": ["node.yaml"],
        "intervalMilliseconds": 20,
    }
    chosen = case([NODES, churn, PODS], {"nodes": 10, "pods": 60}, tmp_path)
    figures = run(chosen, NONE)
    assert (figures.nodes, figures.placed) == (11, 60)


def test_deleted_pods_make_room(tmp_path: Path) -> None:
    first = {**PODS, "collectMetrics": False, "namespace": "old"}
    delete = {"opcode": "deletePods", "namespace": "old"}
    operations = [NODES, first, {"opcode": "barrier"}, delete, PODS]
    assert run(case(operations, {"nodes": 1, "pods": 10}, tmp_path), NONE).placed == 10
    assert run(case([NODES, first, PODS], {"nodes": 1, "pods": 10}, tmp_path), NONE).placed == 0


def test_pod_sets_get_a_namespace_each(tmp_path: Path) -> None:
    sets = {
        "opcode": "createPodSets", "countParam": "$sets", "namespacePrefix": "set",
        "createPodsOp": {**PODS, "countParam": "$pods"},
    }  # fmt: skip
    assert run(case([NODES, sets], {"nodes": 9, "pods": 4, "sets": 3}, tmp_path), NONE).pods == 12


def test_sums_and_percentiles(tmp_path: Path) -> None:
    chosen = case([NODES, PODS], {"nodes": 1, "pods": 1}, tmp_path, threshold=100)
    rounds = [Figures(1, 100, 90, seconds, "full") for seconds in (1.0, 0.5, 2.0)]
    sliced = Figures(1, 100, 90, 1.0, "full", [(98, 0.98), (2, 0.2)])
    found = summary(chosen, rounds, sliced)
    assert (found["pods_per_second"], found["best"], found["worst"]) == (100.0, 200.0, 50.0)
    assert found["passed"] is True
    assert (found["p50_us"], found["p99_us"]) == (10_000.0, 100_000.0)
    assert found["rounds"] == 3
    assert found["peak_rss_bytes"] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"opcode": "fly"}, "Case: workloadTemplate[0].opcode: 'fly' is not supported (expected one of createNodes"),
        ({"opcode": "createNodes", "cuont": 3}, "Object contains unknown field `cuont`"),
        ({"opcode": "createNodes"}, "workloadTemplate[0]: has no count (expected count or countParam)"),
        ({"opcode": "createNodes", "countParam": "$x"}, "workloadTemplate[0].countParam: parameter x is None"),
        ({"opcode": "churn", "mode": "often"}, "'often' is not a mode (expected create or recreate)"),
        ({"opcode": "createPods", "count": 1, "persistentVolumeTemplatePath": "v"}, "volumes are not scheduled yet"),
        ({"opcode": "createPods", "count": 1, "podTemplatePath": "node.yaml"}, "is no Pod"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        run(case([change], {}, tmp_path), NONE)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_names_that_mean_nothing() -> None:
    with pytest.raises(InputError, match="no workload is named 'Fly'"):
        choose(shipped(), ["Fly"], [])
    with pytest.raises(InputError, match="SchedulingCSIPVs/5000Nodes cannot be run: volumes"):
        choose(shipped(), ["SchedulingCSIPVs/5000Nodes"], [])


def test_a_file_that_is_no_list_of_cases(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a: 1\n")
    with pytest.raises(InputError, match="expected a list of test cases"):
        shipped([str(path)])
