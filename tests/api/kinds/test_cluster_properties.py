"""The same of the kinds that are no workloads: always an answer, final defaults, nothing that Go would not write."""

from __future__ import annotations

import copy
import random

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from kcore.api.kinds import STRATEGIES
from kcore.api.resources.catalog import builtin
from kcore_native.schema.leaves import TypeMismatch
from tests.api.kinds.cluster_samples import GOOD, Object
from tests.api.kinds.samples import CONTEXT, created, faults_of, key_of, updated, updated_from
from tests.api.kinds.test_properties import spoiled

NAMES = [f"{index}-{each['kind']}" for index, each in enumerate(GOOD)]
QUANTITIES = (
    "capacity",
    "hard",
    "used",
    "max",
    "min",
    "default",
    "defaultRequest",
    "podFixed",
    "allocatable",
)


def cleaned(obj: Object) -> Object:
    """As it comes from the decoder."""
    catalog = builtin()
    made = copy.deepcopy(obj)
    row = next(
        row for row in catalog.rows if row.api_version == made["apiVersion"] and row.kind == made["kind"]
    )
    assert catalog.node(row).clean(made) == []
    return made


def decoded(obj: Object) -> Object:
    """The same of an object that was spoilt, where the decoder takes it."""
    try:
        return cleaned(obj)
    except TypeMismatch:
        reject()


@pytest.mark.parametrize("given_object", GOOD, ids=NAMES)
def test_a_good_object_is_good(given_object: Object) -> None:
    assert faults_of(cleaned(given_object)) == []
    new, faults = updated(cleaned(given_object), lambda obj: obj["metadata"].update(labels={"a": "b"}))
    assert faults == []
    assert new["metadata"]["labels"]["a"] == "b"


@pytest.mark.parametrize("given_object", GOOD, ids=NAMES)
def test_a_stored_object_is_as_go_would_write_it(given_object: Object) -> None:
    made = created(cleaned(given_object))
    assert cleaned(made) == made


@pytest.mark.parametrize("given_object", GOOD, ids=NAMES)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 32), rate=st.sampled_from([0.02, 0.1, 0.4]))
def test_any_object_is_answered(given_object: Object, seed: int, rate: float) -> None:
    chance = random.Random(seed)
    made = _with_quantities(spoiled(given_object, chance, rate), given_object)
    made["metadata"] = dict(given_object["metadata"])
    made = decoded(made)
    strategy = STRATEGIES[key_of(made)]
    strategy.default(made)
    again = copy.deepcopy(made)
    strategy.default(again)
    assert again == made, "defaulting twice is defaulting once"
    strategy.prepare_for_create(made, CONTEXT)
    for error in strategy.validate(made, CONTEXT):
        assert error.text
    assert all(isinstance(warning, str) for warning in strategy.warnings(made, CONTEXT))
    made["metadata"]["resourceVersion"] = "1"
    for way in ("", *strategy.subresources):

        def change(obj: Object) -> None:
            kept = obj["metadata"]
            changed = decoded(_with_quantities(spoiled(obj, chance, rate), obj) | {"metadata": kept})
            obj.clear()
            obj |= changed

        new, _ = updated_from(made, change, way)
        assert all(isinstance(each, str) for each in strategy.warnings_on_update(new, made, CONTEXT))


def _with_quantities(made: Object, good: Object) -> Object:
    """What must be a quantity is one again: the decoder lets nothing else through."""
    for key, value in made.items():
        was = good.get(key)
        if key in QUANTITIES and isinstance(value, dict | str):
            made[key] = copy.deepcopy(was)
        elif isinstance(value, dict) and isinstance(was, dict):
            _with_quantities(value, was)
        elif isinstance(value, list) and isinstance(was, list):
            for each, before in zip(value, was, strict=False):
                if isinstance(each, dict) and isinstance(before, dict):
                    _with_quantities(each, before)
    return made


def test_every_resource_that_is_stored_has_a_strategy() -> None:
    bare = {(row.group, row.kind) for row in builtin().rows if row.storage} - STRATEGIES.keys()
    assert bare == set()
