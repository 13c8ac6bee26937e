"""Datasets are found by name, and their parameters are checked before anything is made."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from kcore.api.errors import InputError
from kcore.traces import DATASETS, find, from_spec, is_spec, make


def test_every_dataset_has_a_home_a_source_and_a_licence() -> None:
    for dataset in DATASETS:
        module, function = dataset.home.split(":")
        assert callable(getattr(import_module(module), function))
        if dataset.trace:
            module, function = dataset.trace.split(":")
            assert callable(getattr(import_module(module), function))
        assert dataset.source
        assert dataset.licence
        assert "\n" not in dataset.description
        for parameter in dataset.parameters:
            assert parameter.description
            assert parameter.read(parameter.default) == parameter.default


def test_the_registry_loads_nothing_heavy() -> None:
    program = "import sys, kcore.traces; print([m for m in ('numpy', 'pyarrow', 'yaml') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_spec_is_told_from_a_path() -> None:
    assert is_spec("synthetic:heterogeneous?nodes=1")
    assert not is_spec("cluster.yaml")


def test_a_spec_gives_what_its_parameters_say() -> None:
    objects = from_spec("synthetic:scheduler_perf?nodes=3&pods=5&kind=node-affinity")
    assert len(objects.nodes) == 3
    assert len(objects.pod_columns[0].names) == 5


def test_a_spec_without_parameters_takes_the_defaults() -> None:
    assert len(from_spec("synthetic:scheduler_perf").nodes) == 500


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("synthetic:", "there is no dataset ''"),
        (
            "synthetic:nothing",
            "there is no dataset 'nothing' (expected one of scheduler_perf, heterogeneous, openb, ",
        ),
        ("synthetic:scheduler_perf?nodes", "is not a list of parameters"),
        (
            "synthetic:scheduler_perf?node=3",
            "node: scheduler_perf has no parameter 'node' (expected one of nodes,",
        ),
        (
            "synthetic:scheduler_perf?nodes=three",
            "nodes: 'three' is no value (expected a whole number from 1",
        ),
        ("synthetic:scheduler_perf?nodes=0", "nodes: 0 is out of range"),
        ("synthetic:scheduler_perf?nodes=1&nodes=2", "nodes: is given twice"),
        ("synthetic:scheduler_perf?kind=x", "kind: 'x' is not known (expected one of basic,"),
        ("synthetic:heterogeneous?fill=nan", "fill: nan is out of range"),
        (
            "synthetic:heterogeneous?gpu_nodes=1.5",
            "gpu_nodes: 1.5 is out of range (expected a number from 0 to 1)",
        ),
        ("synthetic:openb", "openb: path: openb is not shipped (expected the folder of its CSV files)"),
    ],
)
def test_a_wrong_spec_is_one_line_that_names_the_field(spec: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        from_spec(spec)
    assert message in str(caught.value)
    assert str(caught.value).startswith(spec)
    assert "\n" not in str(caught.value)


def test_python_values_are_checked_as_texts_are() -> None:
    assert len(make("scheduler_perf", nodes=2, pods=1.0).nodes) == 2
    for wrong in (1.5, True, float("inf")):
        with pytest.raises(InputError, match="nodes"):
            make("scheduler_perf", nodes=wrong)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="one of scheduler_perf, heterogeneous, openb"):
        find("borg")
    with pytest.raises(InputError, match="azure_packing, philly, swf, plain"):
        find("borg")
