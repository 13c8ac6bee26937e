"""Devices for claims: the cases of upstream's allocator tests, and random ones beside a search of all combinations."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest

from kcore.scheduler.dynamic.allocated import Allocated
from kcore.scheduler.dynamic.allocator import Allocator
from kcore.scheduler.dynamic.faults import AllocationError, AllocationTimeout, EvaluationError, NodeRefused
from kcore.scheduler.dynamic.objects import Claim, read_claim, read_class, read_slice
from kcore.scheduler.dynamic.selection import NodeView
from tests.naive.device_allocation import exists
from tests.scheduler.device_objects import (
    DRIVER,
    SELECTORS,
    allocate,
    asks,
    claim,
    device,
    device_class,
    devices_of,
    slice_of,
)
from tests.scheduler.device_scenarios import claim as random_claim
from tests.scheduler.device_scenarios import scenario

pytest.importorskip("cel_expr_python", reason="selectors need the extra `cel`")

Object = dict[str, Any]
BIG = 'device.capacity[device.driver].memory.compareTo(quantity("8Gi")) >= 0'
A, B, C = device("a"), device("b"), device("c")
SMALL_AND_LARGE = [slice_of(device("large", memory="8Gi"), device("small", memory="4Gi"))]
NUMA = f"{DRIVER}/numa"
MATCH = [{"matchAttribute": NUMA}]
DISTINCT = [{"distinctAttribute": NUMA}]
ZONE = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}
ELSEWHERE = {
    "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}]
}
SICK = [{"key": "sick", "value": "yes", "effect": "NoSchedule"}]
TOLERANT = [{"key": "sick", "operator": "Exists"}]
INCOMPLETE = f"claim default/c, request r0: asks for all devices, but resource pool {DRIVER}/pool is currently being updated"


def numa(name: str, node: Any, **more: Any) -> Object:
    return device(name, {"numa": node}, **more)


def held(*names: str, **more: Any) -> Object:
    results = [{"request": "r", "driver": DRIVER, "pool": "pool", "device": name, **more} for name in names]
    return {"devices": {"results": results}}


def many(count: int) -> Object:
    return slice_of(*(device(f"d{index:02}") for index in range(count)))


CASES: dict[str, tuple[list[Object], list[Object], Any]] = {
    "nothing is asked": ([slice_of(A)], [], []),
    "one device": ([slice_of(A)], [claim("c", asks())], ["r0=a"]),
    "the device of another node": ([slice_of(A, nodeName="other")], [claim("c", asks())], None),
    "no slices": ([], [claim("c", asks())], None),
    "small and large, selected": (
        SMALL_AND_LARGE, [claim("c", asks("any", 1, BIG), asks("any", 1))], ["r0=large r1=small"]),
    "goes back over requests": (
        SMALL_AND_LARGE, [claim("c", asks("any", 1), asks("any", 1, BIG))], ["r0=small r1=large"]),
    "goes back over claims": (
        SMALL_AND_LARGE, [claim("c", asks("any", 1)), claim("d", asks("any", 1, BIG))], ["r0=small", "r0=large"]),
    "slices by name, not as they come": (
        [slice_of(B, name="z", count=2), slice_of(A, name="y", count=2)], [claim("c", asks("any", 2))], ["r0=a r0=b"]),
    "pools by driver and name": (
        [slice_of(A, name="x", pool="q"), slice_of(B, name="y", pool="p"), slice_of(C, name="z", driver="a.example.com")],
        [claim("c", asks("any", 3))], ["r0=c r0=b r0=a"]),
    "an older generation is not there": (
        [slice_of(A, name="x"), slice_of(B, name="y", generation=2)], [claim("c", asks())], ["r0=b"]),
    "a newer generation elsewhere makes ours obsolete": (
        [slice_of(A, name="x", count=2), slice_of(B, name="y", generation=2, nodeName="other")],
        [claim("c", asks())], None),
    "an incomplete pool gives nothing": ([slice_of(A, count=2)], [claim("c", asks())], None),
    "all of an incomplete pool": ([slice_of(A, count=2)], [claim("c", asks("any", "All"))], INCOMPLETE),
    "names twice in a pool": (
        [slice_of(A, name="x", count=2), slice_of(A, name="y", count=2)], [claim("c", asks())],
        "invalid resource pools were encountered"),
    "an invalid pool beside a good one": (
        [slice_of(A, A, name="x"), slice_of(B, name="y", pool="q")], [claim("c", asks())], ["r0=b"]),
    "an unknown class": (
        [slice_of(A)], [claim("c", asks("gone"))],
        'claim default/c, request r0: could not retrieve device class gone: deviceclass.resource.k8s.io "gone" not found'),
    "no class": (
        [slice_of(A)], [claim("c", asks(""))],
        "claim default/c, request r0: missing device class name (unsupported request type?)"),
    "all devices": ([slice_of(A, B)], [claim("c", asks("any", "All"))], ["r0=a r0=b"]),
    "all of none": ([slice_of()], [claim("c", asks("any", "All"))], None),
    "all, and one more": ([slice_of(A, B)], [claim("c", asks("any", "All"), asks())], None),
    "all by a selector, and one more": (
        SMALL_AND_LARGE, [claim("c", asks("any", 1), asks("any", "All", BIG))], ["r0=small r1=large"]),
    "too many for one claim": (
        [many(40)], [claim("c", asks("any", 33))],
        "claim default/c: number of requested devices 33 exceeds the claim limit of 32"),
    "as many as a claim may have": ([many(40)], [claim("c", asks("any", 32))], [" ".join(f"r0=d{i:02}" for i in range(32))]),
    "too many for one claim in all": (
        [many(40)], [claim("c", asks("any", 30), asks("any", 3))],
        "claim default/c: number of requested devices 33 exceeds the claim limit of 32"),
    "too many only by the first alternative": (
        [many(40)], [claim("c", asks("any", 31), [asks("any", 2), asks("any", 1)])],
        [" ".join(f"r0=d{i:02}" for i in range(31)) + " r1/a1=d31"]),
    "the first alternative": ([slice_of(A, B)], [claim("c", [asks("any", 2), asks()])], ["r0/a0=a r0/a0=b"]),
    "the second alternative": ([slice_of(A)], [claim("c", [asks("any", 2), asks()])], ["r0/a1=a"]),
    "no alternative": ([slice_of(A)], [claim("c", [asks("any", 2), asks("any", 3)])], None),
    "goes back over alternatives": (
        [slice_of(A, B)], [claim("c", [asks("any", 2), asks("any", 1)], asks())], ["r0/a1=a r1=b"]),
    "all as an alternative": ([slice_of(A)], [claim("c", [asks("any", "All", "false"), asks()])], ["r0/a1=a"]),
    "devices that match": (
        [slice_of(numa("a", 1), numa("b", 2), numa("c", 1))], [claim("c", asks("any", 2), constraints=MATCH)], ["r0=a r0=c"]),
    "devices that do not match": (
        [slice_of(numa("a", 1), numa("b", 2))], [claim("c", asks("any", 2), constraints=MATCH)], None),
    "an integer is no text": (
        [slice_of(numa("a", 1), numa("b", "1"))], [claim("c", asks("any", 2), constraints=MATCH)], None),
    "truths that match": (
        [slice_of(numa("a", True), numa("b", False), numa("c", True))],
        [claim("c", asks("any", 2), constraints=MATCH)], ["r0=a r0=c"]),
    "no such attribute": ([slice_of(A, B)], [claim("c", asks("any", 2), constraints=MATCH)], None),
    "an attribute by its full name": (
        [slice_of(device("a", {NUMA: 1}), numa("b", 1), driver=DRIVER)],
        [claim("c", asks("any", 2), constraints=MATCH)], ["r0=a r0=b"]),
    "a constraint of one request only": (
        [slice_of(numa("a", 1), numa("b", 2))],
        [claim("c", asks(), asks(), constraints=[{"matchAttribute": NUMA, "requests": ["r0"]}])], ["r0=a r1=b"]),
    "a constraint of an alternative": (
        [slice_of(A, numa("b", 2))],
        [claim("c", [asks("any", 2), asks()], constraints=[{"matchAttribute": NUMA, "requests": ["r0/a0"]}])], ["r0/a1=a"]),
    "all devices and a constraint": (
        [slice_of(numa("a", 1), numa("b", 2))], [claim("c", asks("any", "All"), constraints=MATCH)],
        f"claim default/c, request r0: cannot add device {DRIVER}/pool/b because a claim constraint would not be satisfied"),
    "a constraint of no known kind": (
        [slice_of(A)], [claim("c", asks(), constraints=[{}])],
        "claim default/c, constraint #0: empty constraint (unsupported constraint type?)"),
    "devices that differ": (
        [slice_of(numa("a", 1), numa("b", 1), numa("c", 2))], [claim("c", asks(), asks(), constraints=DISTINCT)],
        ["r0=a r1=c"]),
    "devices that do not differ": (
        [slice_of(numa("a", 1), numa("b", 1))], [claim("c", asks(), asks(), constraints=DISTINCT)], None),
    "a selector that is no CEL": (
        [slice_of(A)], [claim("c", {**asks(), "selectors": [{}]})],
        "claim default/c, request r0, selector #0: CEL expression empty (unsupported selector type?)"),
    "an expression that fails": (
        [slice_of(A)], [claim("c", asks("any", 1, 'device.attributes["x"].y'))],
        "claim default/c: selector #0: CEL runtime error: no such key: y"),
    "an unknown mode": (
        [slice_of(A)], [claim("c", {**asks(), "allocationMode": "Some"})],
        "claim default/c, request r0: unsupported count mode Some"),
    "a device of the network": ([slice_of(A, nodeSelector=ZONE)], [claim("c", asks())], ["r0=a"]),
    "a network that is elsewhere": ([slice_of(A, nodeSelector=ELSEWHERE)], [claim("c", asks())], None),
    "each device for its own nodes": (
        [slice_of({**A, "nodeName": "other"}, {**B, "nodeSelector": ELSEWHERE}, {**C, "allNodes": True}, perDeviceNodeSelection=True)],
        [claim("c", asks())], ["r0=c"]),
    "a taint": ([slice_of({**A, "taints": SICK}, B)], [claim("c", asks())], ["r0=b"]),
    "a taint that is tolerated": (
        [slice_of({**A, "taints": SICK}, B)], [claim("c", asks(tolerations=TOLERANT))], ["r0=a"]),
    "a taint without effect": (
        [slice_of({**A, "taints": [{**SICK[0], "effect": "None"}]})], [claim("c", asks())], ["r0=a"]),
    "pools that have to be waited for come last": (
        [slice_of({**A, "bindingConditions": ["ready"]}, name="x", pool="a"), slice_of(B, name="y", pool="b")],
        [claim("c", asks())], ["r0=b"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    """The device that upstream's search finds first, or its words."""
    slices, claims, expected = CASES[name]
    assert devices_of(allocate(slices, claims)) == expected


def test_devices_that_others_have_are_taken() -> None:
    """Those of administrators are not, and administrators get any."""
    slices, admin = [slice_of(A, B)], asks(adminAccess=True)
    assert devices_of(allocate(slices, [claim("c", asks())], allocated=[held("a")])) == ["r0=b"]
    assert devices_of(allocate(slices, [claim("c", asks())], allocated=[held("a", "b")])) is None
    assert devices_of(allocate(slices, [claim("c", asks())], allocated=[held("a", adminAccess=True)])) == [
        "r0=a"
    ]
    assert devices_of(allocate(slices, [claim("c", admin)], allocated=[held("a", "b")])) == ["r0=a"]
    assert devices_of(allocate(slices, [claim("c", asks("any", "All"))], allocated=[held("a")])) is None
    two = [claim("c", admin), claim("d", admin)]
    assert devices_of(allocate(slices, two, allocated=[held("a")])) == ["r0=a", "r0=a"]
    assert devices_of(allocate([slice_of(A)], [claim("c", admin, admin)])) is None


def counted(name: str, memory: str, **more: Any) -> Object:
    return device(
        name, consumesCounters=[{"counterSet": "set", "counters": {"memory": {"value": memory}}}], **more
    )


def with_counters(*devices: Object, memory: str = "16Gi", **where: Any) -> list[Object]:
    shared = [{"name": "set", "counters": {"memory": {"value": memory}}}]
    counters = slice_of(name="counters", count=2, allNodes=True)
    counters["spec"]["sharedCounters"] = shared
    return [slice_of(*devices, name="devices", count=2, **where), counters]


def test_parts_of_a_device_share_its_counters() -> None:
    """As many as they last for, those of claims and those of other nodes counted."""
    parts = [counted("a", "10Gi"), counted("b", "8Gi"), counted("c", "8Gi")]
    assert devices_of(allocate(with_counters(*parts), [claim("c", asks("any", 2))])) == ["r0=b r0=c"]
    assert devices_of(allocate(with_counters(*parts), [claim("c", asks("any", 3))])) is None
    assert devices_of(allocate(with_counters(*parts), [claim("c", asks())], allocated=[held("b")])) == [
        "r0=c"
    ]
    assert (
        devices_of(allocate(with_counters(*parts), [claim("c", asks())], allocated=[held("b", "c")])) is None
    )
    over = allocate(with_counters(*parts, memory="8Gi"), [claim("c", asks())], allocated=[held("a")])
    assert over is None  # less than nothing is left
    unknown = with_counters(counted("a", "1Gi"))
    unknown[0]["spec"]["devices"][0]["consumesCounters"][0]["counterSet"] = "gone"
    assert allocate(unknown, [claim("c", asks())]) == "invalid resource pools were encountered"


def test_a_part_that_cannot_be_had_leaves_its_counters() -> None:
    """A taint or a constraint keeps the first from being chosen; the second finds all counters."""
    parts = [counted("a", "10Gi", taints=SICK), counted("b", "10Gi")]
    assert devices_of(allocate(with_counters(*parts), [claim("c", asks())])) == ["r0=b"]
    parts = [counted("a", "10Gi"), counted("b", "10Gi", attributes={"numa": 1})]
    assert devices_of(allocate(with_counters(*parts), [claim("c", asks(), constraints=MATCH)])) == ["r0=b"]


def shared(name: str = "s", memory: str = "10Gi", **policy: Any) -> Object:
    capacity: Object = {"value": memory, **({"requestPolicy": policy} if policy else {})}
    return {"name": name, "allowMultipleAllocations": True, "capacity": {"memory": capacity}}


def wants(memory: str) -> Object:
    return asks(capacity={"requests": {"memory": memory}})


RANGE = {"min": "2Gi", "max": "8Gi", "step": "2Gi"}


@pytest.mark.parametrize(
    ("policy", "asked", "taken"),
    [
        ({}, "3Gi", "3Gi"), ({}, None, "10Gi"), ({}, "11Gi", None),
        ({"default": "1Gi", "validRange": {"min": "1Gi"}}, None, "1Gi"),
        ({"default": "2Gi", "validRange": RANGE}, "1Gi", "2Gi"),
        ({"default": "2Gi", "validRange": RANGE}, "3Gi", "4Gi"),
        ({"default": "2Gi", "validRange": RANGE}, "9Gi", None),
        ({"default": "2Gi", "validValues": ["2Gi", "5Gi"]}, "3Gi", "5Gi"),
        ({"default": "2Gi", "validValues": ["2Gi", "5Gi"]}, "6Gi", None),
    ],
)  # fmt: skip
def test_capacity_is_taken_in_the_parts_that_the_device_gives(
    policy: Object, asked: str | None, taken: str | None
) -> None:
    """The default where none is asked for, rounded up otherwise; beyond the largest part nothing."""
    found = allocate([slice_of(shared(**policy))], [claim("c", asks() if asked is None else wants(asked))])
    if taken is None:
        assert found is None
    else:
        assert isinstance(found, list)
        result = found[0]["devices"]["results"][0]
        assert result["consumedCapacity"] == {"memory": taken}
        assert result["shareID"] == "share"


def test_a_shared_device_lasts_as_long_as_its_capacity() -> None:
    """Within one search and beside what others took; what is asked for has to be there at all."""
    both = [slice_of(shared("s"), shared("t"))]
    assert devices_of(allocate(both, [claim("c", wants("6Gi"), wants("4Gi"), wants("4Gi"))])) == [
        "r0=s r1=s r2=t"
    ]
    taken = held("s", shareID="x", consumedCapacity={"memory": "7Gi"})
    assert devices_of(allocate(both, [claim("c", wants("3Gi"))], allocated=[taken])) == ["r0=s"]
    assert devices_of(allocate(both, [claim("c", wants("4Gi"))], allocated=[taken])) == ["r0=t"]
    assert devices_of(allocate([slice_of(A)], [claim("c", wants("1Gi"))])) is None
    assert devices_of(allocate([slice_of(device("a", memory="4Gi"))], [claim("c", wants("2Gi"))])) == ["r0=a"]


def test_what_is_written_of_an_allocation() -> None:
    """Configuration of class and claim, tolerations, conditions, and the nodes where the device can be used."""
    opaque = {"opaque": {"driver": DRIVER, "parameters": {"x": 1}}}
    classes = [device_class("any", config=[opaque])]
    given = slice_of(
        {**A, "bindingConditions": ["ready"], "bindingFailureConditions": ["failed"]}, B, nodeSelector=ZONE
    )
    asked = claim(
        "c", asks(tolerations=TOLERANT), [asks()], config=[{**opaque, "requests": ["r1/a0"]}, opaque]
    )
    found = allocate([given], [asked], classes=classes)
    named = {"driver": DRIVER, "pool": "pool"}
    assert found == [{
        "devices": {
            "results": [
                {"request": "r0", **named, "device": "a", "tolerations": TOLERANT, "bindingConditions": ["ready"],
                 "bindingFailureConditions": ["failed"]},
                {"request": "r1/a0", **named, "device": "b"},
            ],
            "config": [
                {"source": "FromClass", "requests": ["r0", "r1/a0"], **opaque},
                {"source": "FromClaim", "requests": ["r1/a0"], **opaque},
                {"source": "FromClaim", **opaque},
            ],
        },
        "nodeSelector": ZONE,
    }]  # fmt: skip
    local = [
        {
            "nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["worker"]}]}
            ]
        }
    ]
    for where in (slice_of(A), slice_of({**A, "bindsToNode": True}, allNodes=True)):
        assert [one["nodeSelector"] for one in allocate([where], [claim("c", asks())])] == local  # type: ignore[union-attr]
    everywhere = allocate([slice_of(A, allNodes=True)], [claim("c", asks())])
    assert isinstance(everywhere, list) and "nodeSelector" not in everywhere[0]


def test_a_search_ends_when_it_is_told_to() -> None:
    """However many combinations there are left."""
    clock = itertools.count()
    asked = claim("c", asks("any", 16, "true"), asks("any", 16), asks("any", 1, "false"))
    claims = [claim("c", asks("any", 15)), claim("d", asks("any", 15)), asked]
    assert allocate([many(30)], claims, is_late=lambda: next(clock) > 1_000) == (
        "claim default/c: number of requested devices 33 exceeds the claim limit of 32"
    )
    claims[2] = claim("e", asks("any", 1))
    assert allocate([many(30)], claims, is_late=lambda: next(clock) > 3_000) == "timeout"


def test_many_claims_need_no_deep_stack() -> None:
    """A pod with 70 claims of 30 devices each."""
    slices = [slice_of(*(device(f"d{i:04}") for i in range(2_100)), name="s")]
    found = allocate(slices, [claim(f"c{index}", asks("any", 30)) for index in range(70)])
    assert isinstance(found, list) and len(found) == 70


@pytest.mark.differential
@pytest.mark.parametrize("start", range(0, 800, 200))
def test_a_solution_is_found_where_there_is_one(start: int) -> None:
    """Beside the search of all combinations."""
    compared = 0
    for seed in range(start, start + 200):
        given = scenario(seed)
        if not _is_plain(given):
            continue
        steps = itertools.count()
        node = given["node"]["metadata"]
        found = allocate(
            given["slices"], given["claims"], classes=given["classes"],
            node=NodeView(node["name"], node["labels"]), is_late=lambda steps=steps: next(steps) > 5_000,
        )  # fmt: skip
        if isinstance(found, str):
            continue
        try:
            assert (found is not None) == exists(given, _matches), f"seed {seed}"
        except EvaluationError:
            continue
        compared += 1
    assert compared > 10


def _matches(expression: str, one: Object, device: Object) -> bool:
    only = {**one, "spec": {**one["spec"], "devices": [device]}}
    return SELECTORS.matches(expression, read_slice(only).devices[0])


def _is_plain(given: Object) -> bool:
    """What the slow search is for: few devices, pools that are whole, nothing whose answer depends on the order."""
    text = json.dumps(given["claims"])
    if "adminAccess" in text or "distinctAttribute" in text:
        return False
    counts = [
        max(one.get("count", 1) for one in asked.get("firstAvailable") or [asked["exactly"]])
        for each in given["claims"]
        for asked in each["spec"]["devices"]["requests"]
    ]
    pools: dict[tuple[str, str], list[Object]] = {}
    for one in given["slices"]:
        pools.setdefault((one["spec"]["driver"], one["spec"]["pool"]["name"]), []).append(one["spec"]["pool"])
    return (
        sum(counts) <= 5
        and len({name for _, name in pools}) == len(pools)
        and all(
            len(found) == found[0]["resourceSliceCount"] and len({one["generation"] for one in found}) == 1
            for found in pools.values()
        )
    )


@pytest.mark.differential
def test_what_is_remembered_is_what_would_be_found() -> None:
    """One allocator for pod after pod on two nodes, beside one made anew each time; some claims are given back."""
    kept = 0
    for seed in range(40):
        given, chance = scenario(seed), random.Random(seed)
        held: list[Object] = []
        state = Allocated()
        lasting = _allocator(given, state)
        wishes = [random_claim(chance, "c") for _ in range(2)]
        for _ in range(8):
            claims = [read_claim(chance.choice(wishes))]
            node = NodeView(chance.choice(("node-1", "node-2")), {"zone": chance.choice("ab")})
            steps = itertools.count()
            lasting.begin(lambda steps=steps: next(steps) > 500)
            found = _answer(lasting, node, claims)
            assert found == _answer(_allocator(given, state), node, claims), f"seed {seed}"
            if isinstance(found, list):
                kept += 1
                held += found
                state.add(found[0])
            if held and chance.random() < 0.3:
                state.remove(held.pop(chance.randrange(len(held))))
    assert kept > 20


def _allocator(given: Object, state: Allocated) -> Allocator:
    classes = {one["metadata"]["name"]: read_class(one) for one in given["classes"]}
    steps = itertools.count()
    return Allocator(
        state, classes, [read_slice(one) for one in given["slices"]], SELECTORS.matches, lambda: "share",
        lambda: next(steps) > 500,
    )  # fmt: skip


def _answer(allocator: Allocator, node: NodeView, claims: list[Claim]) -> Any:
    try:
        return allocator.allocate(node, claims)
    except (AllocationError, AllocationTimeout, NodeRefused) as error:
        return repr(error)
