"""Writes that take over what they leave alone, beside writes of whole objects: same answers, same bytes in the store."""

from __future__ import annotations

import asyncio
import copy
import json
from random import Random
from typing import Any
from unittest.mock import patch

import orjson
import pytest

from kcore.api.apply import managed_fields
from kcore.api.resources.catalog import builtin
from kcore.api.status import ApiError
from kcore.apiserver.admission import Admission, Plugin
from kcore.apiserver.admission.contract import CREATE, UPDATE, Request
from kcore.apiserver.admission.nodes import default_toleration_seconds
from kcore.apiserver.operation import Operation, Options
from kcore.apiserver.registry import Registry, binding
from kcore.apiserver.registry.core import Core
from kcore.apiserver.registry.objects import Objects
from kcore.apiserver.registry.shared import FieldSets, read
from kcore.apiserver.storage import Storage
from kcore.store.embedded import Embedded
from kcore_native.cacher.members import spans, without_fields
from tests.api.kinds.cluster_samples import GOOD as CLUSTER
from tests.api.kinds.samples import GOOD, Object
from tests.api.kinds.test_properties import RICH
from tests.apiserver.documents_at_random import document
from tests.apiserver.registry.rig import START_SECONDS, Chance
from tests.naive.whole_writes import WholeCore

pytestmark = pytest.mark.differential

SAMPLES = [*GOOD.values(), *RICH[len(GOOD) :], *CLUSTER]
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
JSON_PATCH, APPLY = "application/json-patch+json", "application/apply-patch+yaml"
WRITES = 9  # of each object
PODS = 30
CATALOG = builtin()
PLURALS = {(row.group, row.kind): row for row in reversed(CATALOG.rows) if row.version == row.storage_version}


def in_place() -> Plugin:
    """A plugin that changes what it is given, as most do."""

    def mutate(request: Request) -> None:
        assert request.obj is not None
        if "touch" in (request.obj["metadata"].get("annotations") or {}):
            request.obj.setdefault("spec", {})["activeDeadlineSeconds"] = 77

    return Plugin("InPlace", frozenset({CREATE, UPDATE}), frozenset({("", "pods")}), mutate=mutate)


def _nothing(*_: Any) -> None:
    return None


class Side:
    """A registry with a store of its own."""

    def __init__(self, kv: Embedded, core: type[Core], plugins: list[Plugin]) -> None:
        self.kv, self.seconds, self.is_whole = kv, START_SECONDS, core is WholeCore
        self.storage = Storage(kv)
        self.core = core(
            Objects(self.storage), CATALOG, Admission([default_toleration_seconds(), *plugins]), managed_fields,
            chance=Chance(), now_seconds=lambda: self.seconds,
        )  # fmt: skip
        self.registry = Registry(self.core)

    async def ask(self, what: str, row: Any, obj: Object, arguments: tuple[Any, ...], **more: Any) -> Any:
        """What is answered, what is warned of, and what is in the store then."""
        metadata = obj["metadata"]
        namespace = metadata.get("namespace") or ("default" if row.namespaced else "")
        name, sub = metadata["name"], more.pop("subresource", "")
        options = Options(user_agent=more.pop("agent", "kubectl/1"), **more)
        op = Operation(row, namespace, "" if what == "create" and not sub else name, sub, options=options)
        try:
            with patch.object(binding, "spliced", new=_nothing if self.is_whole else binding.spliced):
                done = await getattr(self.registry, what)(op, *copy.deepcopy(arguments))
            answer = (done.code, orjson.loads(done.body) if isinstance(done.body, bytes) else done.body)
        except ApiError as error:
            answer = (error.code, error.reason, error.message, error.details)
        stored = await self.storage.get(row, namespace, name)
        return answer, sorted(op.warnings), stored


def patch_of(random: Random, live: Object, node: Any) -> tuple[str, Any, str]:
    """Type, document and subresource of a patch: mostly of metadata or status, as clients write them."""
    sub = random.choice(["", "", "status"])
    kind = random.choice([MERGE, MERGE, STRATEGIC])
    choice = random.randrange(7)
    if choice == 0:
        return kind, {"metadata": {"annotations": {"a": str(random.random()), "x/y": None}}}, sub
    if choice == 1:
        return kind, {"metadata": {"labels": {"tier": random.choice(["a", "b c", None])}}}, sub
    if choice == 2:
        return kind, {"metadata": {"finalizers": random.choice([[], ["a.b/c"]]), "managedFields": random.choice([[], None])}}, sub  # fmt: skip
    if choice == 3 and "status" in node.fields:
        made = document(node.fields["status"], random)
        return kind, {"status": made}, random.choice(["", "status", "status"])
    if choice == 4:
        conditions = [{"type": each, "status": random.choice(["True", "False"]), "lastTransitionTime": "2026-01-01T00:00:00Z"} for each in random.sample(["Ready", "Initialized", "a.b/C"], 2)]  # fmt: skip
        return kind, {"status": {"conditions": conditions}}, "status"
    if choice == 5:
        member = random.choice(
            [name for name in live if name not in ("apiVersion", "kind", "metadata")] or ["spec"]
        )
        inner = live.get(member)
        if isinstance(inner, dict) and inner:
            return kind, {member: {random.choice(list(inner)): random.choice([None, 1, "x", {}])}}, sub
    return (
        JSON_PATCH,
        [{"op": "add", "path": "/metadata/annotations", "value": {"touch": str(random.randrange(9))}}],
        sub,
    )


async def write(random: Random, sides: tuple[Side, Side], row: Any, live: Object) -> tuple[bool, list[Any]]:
    """Whether it was a PUT, and what one write came to on both sides."""
    node, choice = CATALOG.node(row), random.randrange(10)
    for side in sides:
        side.seconds += random.choice([0, 1])
    sides[1].seconds = sides[0].seconds
    agent = random.choice(["kubectl/1", "kubelet/1"])
    if choice < 5:
        kind, made, sub = patch_of(random, live, node)
        asked: Any = (
            "patch",
            row,
            live,
            (kind, json.dumps(made).encode()),
            {"subresource": sub, "agent": agent},
        )
    elif choice < 7:
        changed = copy.deepcopy(live)
        changed["metadata"].setdefault("labels", {})["round"] = str(random.randrange(3))
        if random.random() < 0.5 and isinstance(changed.get("status"), dict):
            changed["status"]["observedGeneration"] = random.randrange(3)
        node.clean(changed)
        asked = (
            "update",
            row,
            live,
            (changed,),
            {"subresource": random.choice(["", "status"]), "agent": agent},
        )
    elif choice == 7:
        configuration = {"apiVersion": row.api_version, "kind": row.kind, "metadata": {"name": live["metadata"]["name"], "labels": {"applied": agent[:7]}}}  # fmt: skip
        asked = ("patch", row, live, (APPLY, orjson.dumps(configuration)), {"agent": agent, "field_manager": "m", "force": True})  # fmt: skip
    elif choice == 8 and row.kind == "Pod":
        metadata = {"name": live["metadata"]["name"], **random.choice([{}, {"uid": live["metadata"]["uid"]}, {"uid": "other"}, {"annotations": {"bound": "yes"}}])}  # fmt: skip
        bound = {"metadata": metadata, "target": {"kind": "Node", "name": f"node-{random.randrange(3)}"}}
        asked = ("create", row, live, (bound,), {"subresource": "binding"})
    else:
        grace = random.choice([None, 0, 5])
        options = {} if grace is None else {"gracePeriodSeconds": grace}
        asked = ("delete", row, live, (options,), {"dry_run": random.random() < 0.7})
    what, row, obj, arguments, more = asked
    return what == "update", [await side.ask(what, row, obj, arguments, **more) for side in sides]


def same_bytes(found: list[Any], ordered: bool) -> bool:
    """Equal values in the store; the order of members counts where ``ordered``."""
    mine, other = (each[2] for each in found)
    if mine is None or other is None or mine.revision != other.revision:
        return mine is other
    if ordered:
        return bool(mine.value == other.value)
    texts = [orjson.dumps(orjson.loads(each.value), option=orjson.OPT_SORT_KEYS) for each in (mine, other)]
    return texts[0] == texts[1]


async def lives(sample: Object, name: str, sides: tuple[Side, Side], random: Random) -> int:
    """An object is made and written at random; how many writes were done."""
    group = sample["apiVersion"].rpartition("/")[0]
    row = PLURALS.get((group, sample["kind"]))
    if row is None or row.api_version != sample["apiVersion"] or "create" not in row.verbs:
        return 0
    given = copy.deepcopy(sample)
    given["metadata"]["name"] = name
    CATALOG.node(row).clean(given)
    made = [await side.ask("create", row, given, (given,)) for side in sides]
    assert made[0][:2] == made[1][:2]
    written, ordered = 0, True
    for _ in range(WRITES):
        if made[0][2] is None:
            break
        put, made = await write(random, sides, row, made[0][2].object())
        ordered = ordered and not put  # a PUT may list equal members in another order
        assert made[0][:2] == made[1][:2]
        assert same_bytes(made, ordered), (made[0][2], made[1][2])
        written += made[0][0][0] < 300
    return written


@pytest.mark.parametrize("plugins", [(), (in_place(),)], ids=["replacing", "in-place"])
def test_answers_and_stored_bytes_are_those_of_whole_writes(plugins: tuple[Plugin, ...]) -> None:
    async def compare() -> None:
        stores = [await Embedded.open(None), await Embedded.open(None)]
        sides = (Side(stores[0], Core, [*plugins]), Side(stores[1], WholeCore, [*plugins]))
        pods = [each for each in SAMPLES if each["kind"] == "Pod"]
        others = [] if plugins else [each for each in SAMPLES if each["kind"] != "Pod"]
        written = 0
        for number, sample in enumerate(others):
            written += await lives(sample, sample["metadata"].get("name", "web"), sides, Random(number))
        for number in range(PODS):
            written += await lives(pods[number % len(pods)], f"pod-{number}", sides, Random(number))
        assert written > PODS * (1 if plugins else 6)
        for kv in stores:
            await kv.close()

    asyncio.run(compare())


def test_equal_field_sets_are_one_dict_that_writes_leave_as_it_is() -> None:
    async def look() -> None:
        kv = await Embedded.open(None)
        side = Side(kv, Core, [])
        row = PLURALS["", "Pod"]
        given = [{**copy.deepcopy(GOOD["", "Pod"]), "metadata": {"name": name}} for name in ("a", "b")]
        stored = [(await side.ask("create", row, each, (each,)))[2] for each in given]
        kind = side.core.kind(row)
        kind.read(*stored[0][:2])
        sets = [kind.read(*each[:2])["metadata"]["managedFields"][0]["fieldsV1"] for each in stored]
        assert sets[0] is sets[1]
        raw = kind.field_sets.raw(sets[0])
        labelled = (MERGE, b'{"metadata":{"annotations":{"a":"b"},"labels":{"app":"c"}}}')
        await side.ask("patch", row, given[0], labelled, agent="other/1")
        assert orjson.dumps(sets[0]) == raw
        await kv.close()

    asyncio.run(look())


def test_members_are_found_where_they_are() -> None:
    value = b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","managedFields":[{"manager":"m","fieldsV1":{"f:a":{}}},'
    value += b'{"x":1},{"fieldsV1":{"k:{\\"a\\":\\"}\\"}":{}}}]},"spec":{"a":[{"b":"]}"}]},"status":{}}'
    found = spans(value)
    assert found is not None
    assert {name: orjson.loads(value[slice(*place)]) for name, place in found.items()} == orjson.loads(value)
    cut = without_fields(value)
    assert cut is not None
    assert [orjson.loads(each) for each in cut[1]] == [{"f:a": {}}, {'k:{"a":"}"}': {}}]
    assert cut[0].count(b'"fieldsV1":0') == 2
    assert read(value, 7, None, FieldSets()) == {
        **orjson.loads(value),
        "metadata": {**orjson.loads(value)["metadata"], "resourceVersion": "7"},
    }
    for size in range(len(value)):
        spans(value[:size])
        without_fields(value[:size])
    assert spans(b"[]") is spans(b'{"a":1,"a":2}') is spans(b'{"a" :1}') is None
    assert spans(b"{}") == {}
