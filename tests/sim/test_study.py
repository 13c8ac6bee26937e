"""A study is read strictly: what is wrong is named, with what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kcore import InputError
from kcore.sim.plan import plan
from kcore.sim.study import Policy, read_study
from tests.sim.studies import study_in, write_study


def test_a_study_as_it_is_written(tmp_path: Path) -> None:
    study = study_in(
        tmp_path,
        policies=["default", {"name": "mine", "config": "scheduler.yaml"}, "fgd"],
        parameters={"load": [0.5, 1], "shuffle": True},
        seeds="42-44",
        tables=["placements", "nodes"],
    )
    assert study.seeds == [42, 43, 44]
    assert study.parameters == {"load": [0.5, 1], "shuffle": [True]}
    assert study.tables == ["nodes", "placements"]
    assert study.policies == [
        Policy(name="default"),
        Policy(name="mine", config="scheduler.yaml"),
        Policy(name="fgd", policy="fgd"),
    ]


@pytest.mark.parametrize(("given", "seeds"), [(7, [7]), ([3, 1], [3, 1]), ("0-2", [0, 1, 2]), (None, [0])])
def test_seeds(tmp_path: Path, given: Any, seeds: list[int]) -> None:
    assert study_in(tmp_path, seeds=given).seeds == seeds


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"polices": []}, "polices: is not a field of a study (expected policies)"),
    ({"name": None}, "name: is missing (expected a text)"),
    ({"mode": None}, "mode: is missing (expected schedule or simulate)"),
    ({"mode": "fast"}, "mode: 'fast' is not a mode (expected schedule or simulate)"),
    ({"name": "a b"}, "name: 'a b' is no name (expected letters, digits and . _ + -)"),
    ({"workloads": []}, "workloads: is empty (expected at least one)"),
    ({"workloads": [{"spec": "synthetic:x"}]}, "workloads[0].name: is missing (expected a text)"),
    (
        {"workloads": [{"name": "a", "spec": "synthetic:x"}, {"name": "b", "sepc": "y"}]},
        "workloads[1].sepc: is not a field of a study (expected spec)",
    ),
    (
        {"workloads": [{"name": "a"}]},
        "workloads[0]: says not where its pods come from (expected one of file, spec and trace)",
    ),
    (
        {"workloads": [{"name": "a", "spec": "synthetic:x", "trace": "t"}]},
        "workloads[0]: has spec and trace (expected one of file, spec and trace)",
    ),
    (
        {"mode": "simulate", "workloads": [{"name": "a", "spec": "synthetic:x"}]},
        "workloads[0].spec: has no times to simulate (expected trace, or mode: schedule)",
    ),
    (
        {"workloads": [{"name": "a", "file": "x", "form": "swf"}]},
        "workloads[0].form: is for traces only (expected trace beside it)",
    ),
    (
        {"workloads": [{"name": "a", "file": "x", "parameters": {"pods": 1}}]},
        "workloads[0].parameters: files have none (expected spec or trace beside it)",
    ),
    (
        {"workloads": [{"name": "a", "spec": "pods.yaml"}]},
        "workloads[0].spec: 'pods.yaml' is no generated workload (expected synthetic:NAME?...)",
    ),
    (
        {"workloads": [{"name": 1, "spec": "synthetic:x"}]},
        "workloads[0].name: is an integer, 1 (expected text)",
    ),
    (
        {"workloads": [{"name": "a", "spec": "synthetic:x"}] * 2},
        "workloads[1]: 'a' is there twice (expected each name once)",
    ),
    ({"policies": ["default", "default"]}, "policies[1]: 'default' is there twice (expected each name once)"),
    (
        {"policies": [{"name": "a", "policy": "x", "profile": "y"}]},
        "policies[0].policy: cannot go with profile or config (expected one of them)",
    ),
    (
        {"seeds": "9-1"},
        "seeds: '9-1' is no range (expected a number, a list of numbers, or a range like 42-51)",
    ),
    ({"seeds": [1, -1]}, "seeds[1]: -1 is no seed (expected a number of 0 or more)"),
    ({"seeds": [1, 1]}, "seeds[1]: 1 is there twice (expected each seed once)"),
    ({"seeds": "0-9999999"}, "seeds: '0-9999999' is more than 1,000,000 seeds (expected a shorter range)"),
    ({"parameters": {"load": []}}, "parameters.load: is empty (expected at least one value)"),
    ({"parameters": {"load": [1, 1]}}, "parameters.load: holds a value twice (expected each value once)"),
    ({"parameters": {"seed": [1]}}, "parameters.seed: is a column of every run (expected another name)"),
    (
        {"cluster": "synthetic:x?nodes={node}"},
        "{node} stands for nothing (expected one of {load}, {seed})",
    ),
]


@pytest.mark.parametrize(("changes", "problem"), WRONG)
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    path = write_study(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        read_study(path)
    assert str(caught.value) == f"{path}: {problem}"


WRONG_PLANS: list[tuple[dict[str, Any], str]] = [
    (
        {"parameters": {"tie_brake": ["first"]}},
        "parameters.tie_brake: is not a parameter of mode schedule (expected tie_break)",
    ),
    (
        {"parameters": {"tie_break": ["last"]}},
        "parameters.tie_break[0]: 'last' is not allowed (expected first or random)",
    ),
    (
        {"parameters": {"load": [0.5, -1]}},
        "parameters.load[1]: -1 is not allowed (expected a number from 1e-06 to 1000)",
    ),
    (
        {"parameters": {"shuffle": ["yes"]}},
        "parameters.shuffle[0]: 'yes' is not allowed (expected false or true)",
    ),
    ({"tables": ["node"]}, "tables[0]: 'node' is not a table of mode schedule (expected nodes)"),
    (
        {"plugins": ["none.py"]},
        "plugins[0]: {folder}/none.py: No such file or directory (expected a Python file)",
    ),
    (
        {"cluster": "none.yaml"},
        "cluster: there is no {folder}/none.yaml (expected a file, or synthetic:NAME)",
    ),
]


@pytest.mark.parametrize(("changes", "problem"), WRONG_PLANS)
def test_what_cannot_be_run_is_named(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    study = study_in(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        plan(study)
    assert str(caught.value) == f"{study.file}: {problem.replace('{folder}', str(tmp_path))}"


def test_a_file_that_is_no_study(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("- a\n- b\n")
    with pytest.raises(InputError, match=r"the document is not a mapping \(expected one study\)"):
        read_study(path)


def test_points_are_the_product_in_the_order_of_the_file(tmp_path: Path) -> None:
    study = study_in(
        tmp_path, policies=["default", "b"], parameters={"load": [1, 2], "order": ["file", "queue"]}
    )
    found = [(one.policy, *one.parameters.values(), one.seed) for one in plan(study).points]
    wanted = [
        (policy, load, order, seed)
        for policy in ("default", "b")
        for load in (1, 2)
        for order in ("file", "queue")
        for seed in (1, 2)
    ]
    assert found == wanted
    assert len({one.id for one in plan(study).points}) == 16


def test_ids_follow_from_what_a_result_depends_on(tmp_path: Path) -> None:
    (tmp_path / "pods.yaml").write_text("a")
    changes: dict[str, Any] = {"workloads": [{"name": "w", "file": "pods.yaml"}], "seeds": 1}

    def ids(**more: Any) -> list[str]:
        return [one.id for one in plan(study_in(tmp_path, **{**changes, **more})).points]

    first = ids()
    assert ids() == first
    assert ids(name="renamed") == first
    assert ids(seeds=[2, 1])[1] == first[0]
    assert ids(parameters={"load": [0.02, 0.01]}) == first[::-1]
    for more in ({"cluster": "synthetic:scheduler_perf?nodes=4&pods=0"}, {"tables": ["nodes"]}, {"seeds": 3}):
        assert not set(ids(**more)) & set(first), more
    (tmp_path / "pods.yaml").write_text("b")
    assert not set(ids()) & set(first)


def test_braces_stand_for_the_seed_and_parameters(tmp_path: Path) -> None:
    workload = {
        "name": "w",
        "spec": "synthetic:scheduler_perf?nodes=1&seed={seed}",
        "parameters": {"pods": "{size}"},
    }
    planned = plan(study_in(tmp_path, workloads=[workload], parameters={"size": [5, 6]}))
    assert {planned.sources[one.workload_key].paths for one in planned.points} == {
        (f"synthetic:scheduler_perf?nodes=1&seed={seed}&pods={size}",) for seed in (1, 2) for size in (5, 6)
    }
    assert {tuple(one.options) for one in planned.points} == {()}
    assert {tuple(one.parameters) for one in planned.points} == {("size",)}


def test_paths_are_relative_to_the_study(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "pods.yaml").write_text("a")
    study = study_in(tmp_path / "in", workloads=[{"name": "w", "file": ["pods.yaml"]}])
    paths = [source.paths for source in plan(study).sources.values()]
    assert (str(tmp_path / "in" / "pods.yaml"),) in paths
