"""Random scenarios and expressions, answered by Kubernetes' own allocator and by ours: the same, to the letter."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from kcore.scheduler.dynamic.allocated import Allocated
from kcore.scheduler.dynamic.allocator import Allocator
from kcore.scheduler.dynamic.faults import AllocationError, AllocationTimeout, NodeRefused
from kcore.scheduler.dynamic.objects import read_claim, read_class, read_slice
from kcore.scheduler.dynamic.selection import NodeView
from tests.apiserver.goclients.programs import built
from tests.scheduler.device_objects import SELECTORS, asks, claim, device_class, slice_of
from tests.scheduler.device_scenarios import claim as random_claim
from tests.scheduler.device_scenarios import scenario
from tests.scheduler.test_device_expressions import DEVICE, EXPRESSIONS

pytestmark = pytest.mark.slow

SCENARIOS: Final = 1_000
ROUNDS: Final = 3  # of claims that are allocated one after the other in a scenario
STEPS_MAX: Final = 20_000  # of one search; upstream's would go on for hours in some

Object = dict[str, Any]
Ask = Callable[[Object], Object]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Asks Kubernetes' allocator."""
    program = built(Path(__file__).parent / "device_peer", ".", tmp_path_factory.mktemp("peer") / "devices")
    with subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def ask(given: Object) -> Object:
            process.stdin.write(json.dumps(given) + "\n")
            process.stdin.flush()
            answer: Object = json.loads(process.stdout.readline())
            return answer

        yield ask
        process.stdin.close()


def ours(given: Object) -> Object | None:
    """Our answer; None where the search takes too long."""
    state = Allocated()
    for one in given["allocated"]:
        state.add(one["status"]["allocation"])
    shares, steps = itertools.count(len(given["allocated"]) * 100), itertools.count()
    allocator = Allocator(
        state,
        {one["metadata"]["name"]: read_class(one) for one in given["classes"]},
        [read_slice(one) for one in given["slices"]],
        SELECTORS.matches,
        lambda: f"share-{next(shares)}",
        lambda: next(steps) > STEPS_MAX,
    )
    node = given["node"]["metadata"]
    try:
        found = allocator.allocate(
            NodeView(node["name"], node["labels"]), [read_claim(one) for one in given["claims"]]
        )
    except AllocationTimeout:
        return None
    except (AllocationError, NodeRefused) as error:
        return {"allocations": None, "error": str(error), "refused": isinstance(error, NodeRefused)}
    return {"allocations": found, "error": "", "refused": False}


def plain(answer: Object) -> Object:
    """An answer whose shares have no names."""
    answer = json.loads(json.dumps(answer))
    for one in answer["allocations"] or ():
        one["devices"]["results"] = one["devices"].get("results") or []
        for result in one["devices"]["results"]:
            if "shareID" in result:
                result["shareID"] = "share"
    return answer


def test_allocations_are_the_same(peer: Ask) -> None:
    """Devices, their order, configuration, node selectors, and every refusal."""
    seen: Counter[str] = Counter()
    for seed in range(SCENARIOS):
        given, chance = scenario(seed), random.Random(seed)
        for number in range(ROUNDS):
            mine = ours(given)
            if mine is None:
                break
            theirs = peer(given)
            assert plain(mine) == plain(theirs), f"seed {seed}, round {number}"
            seen["refused" if theirs["error"] else "found" if theirs["allocations"] else "none"] += 1
            if not mine["allocations"]:
                break
            given["allocated"] += [
                {**one, "status": {"allocation": allocation}}
                for one, allocation in zip(given["claims"], mine["allocations"], strict=True)
            ]
            given["claims"] = [random_claim(chance, f"more-{number}")]
    assert min(seen["refused"], seen["found"], seen["none"]) > SCENARIOS // 10, seen


def test_expressions_say_the_same(peer: Ask) -> None:
    """Those of test_device_expressions, with the words of their faults."""
    node = {"metadata": {"name": "worker", "labels": {"zone": "a"}}}
    for expression, expected in EXPRESSIONS.items():
        theirs = peer({
            "node": node, "slices": [slice_of(DEVICE)], "classes": [device_class("any")],
            "claims": [claim("c", asks("any", 1, expression))], "allocated": [],
        })  # fmt: skip
        said = theirs["error"].removeprefix("claim default/c: selector #0: ") or bool(theirs["allocations"])
        assert said == expected, expression
