"""What strategies write is what the schema would leave: no unknown field, nothing that Go would drop or add."""

from __future__ import annotations

import copy

import pytest

from kcore.api import schema
from kcore.api.kinds import STRATEGIES
from tests.api.kinds.samples import CONTEXT, GOOD, Object, key_of
from tests.api.kinds.test_properties import RICH

PACKAGES = {"": "core", "apps": "apps", "batch": "batch", "policy": "policy", "autoscaling": "autoscaling"}
SAMPLES = [*GOOD.values(), *RICH[len(GOOD) :]]


@pytest.mark.parametrize(
    "given", SAMPLES, ids=[f"{index}-{each['kind']}" for index, each in enumerate(SAMPLES)]
)
def test_a_stored_object_is_as_go_would_write_it(given: Object) -> None:
    group, kind = key_of(given)
    version = given["apiVersion"].rpartition("/")[2]
    node = schema.load().node(f"io.k8s.api.{PACKAGES[group]}.{version}.{kind}")
    made = copy.deepcopy(given)
    assert node.clean(made) == []
    strategy = STRATEGIES[group, kind]
    strategy.default(made)
    strategy.prepare_for_create(made, CONTEXT)
    cleaned = copy.deepcopy(made)
    assert node.clean(cleaned) == []
    assert cleaned == made
