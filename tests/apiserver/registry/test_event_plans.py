"""Events and bindings by plan give, byte for byte, what the general path gives: the same requests to two equal servers."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

import orjson
import pytest

from kcore.api.schema import decoding, load
from kcore.api.status import ApiError
from kcore.apiserver import assembly as assemblies
from kcore.apiserver.operation import Operation, Options
from kcore.apiserver.registry.binding_plans import PLACES, BindingPlans
from kcore.apiserver.registry.plans import LOCAL, PROTOBUF
from kcore.apiserver.user import UserInfo
from kcore_native.cacher.naming import (
    LABEL,
    MICRO_TIME,
    PLACES_MAX,
    SUBDOMAIN,
    TEXT,
    TEXT_BYTES_MAX,
    TIME,
    Places,
)
from tests.apiserver.registry import test_update_plans as updates
from tests.apiserver.registry.test_plans import Pair, SeededChance, Server, named, pod, run
from tests.naive import naming as naive

pytestmark = pytest.mark.differential

Object = dict[str, Any]
UID = "6f2e3c0a-2c51-4f0b-9f0a-3a1f4a3c2b1d"
NAMES = ["web-1.17a5", "web-1", "a.b-c", "x" * 70, "Web", "a..b", ".a", "a.", "-a", "x" * 253, "x" * 254, ""]
NOTES = [
    "Created pod: web-1", 'image "nginx"', "a\\b", "one\ntwo\tthree", "é", "x" * TEXT_BYTES_MAX, "x" * (TEXT_BYTES_MAX + 1),
    "", "\u007f", "\x01", "a/b <c> & 'd'", "2023-11-14T22:13:20Z", "\r",
]  # fmt: skip
TIMES = [
    "2023-11-14T22:13:20Z", "2024-02-28T23:59:59Z", "2024-02-29T00:00:00Z", "2023-02-29T00:00:00Z", "0001-01-01T00:00:00Z",
    "2023-11-14T22:13:20.123456Z", "2023-11-14T22:13:20.000000Z", "2023-11-14T22:13:20.1Z", "2023-11-14T22:13:20.123456789Z",
    "2023-11-14T22:13:20+01:00", "2023-13-14T22:13:20Z", "2023-11-14T24:13:20Z", "0001-01-01T00:00:00.000000Z", "x", "",
]  # fmt: skip


def test_what_is_cut_out_is_what_a_whole_reading_finds() -> None:
    random, cut = Random(11), 0
    places = (
        ("metadata.name", SUBDOMAIN), ("note", TEXT), ("regarding.uid", TEXT), ("regarding.name", LABEL), ("at", TIME),
        ("eventTime", MICRO_TIME),
    )  # fmt: skip
    native = Places(places)
    rests: dict[bytes, Any] = {}
    for _ in range(1500):
        often = random.random() < 0.6

        def one(texts: list[str], often: bool = often) -> Any:
            if often:
                return texts[0]
            return random.choice([*texts, random.choice([None, 7, {}, [], True])])

        members: list[tuple[str, Any]] = [
            ("metadata", {"labels": {"name": "x"}, "name": one(NAMES)}), ("note", one(NOTES)),
            ("regarding", {"uid": one([UID, *NOTES]), "name": one(NAMES[1:])}), ("at", one(TIMES)), ("eventTime", one(TIMES[5:])),
            ("x", {"note": one(NOTES), "metadata": {"name": "y"}}), ("n", random.choice([1, 2.5, None])),
        ]  # fmt: skip
        random.shuffle(members)
        obj = dict(members[: random.choice([7, 7, 7, 5])])
        if random.random() < 0.1:
            obj["metadata"] = random.choice([{}, None, {"generateName": "a-"}])
        if random.random() < 0.1:
            obj["regarding"] = random.choice([{}, None, "x"])
        body = json.dumps(obj, ensure_ascii=False, indent=random.choice([None, 1])).encode()
        if random.random() < 0.05:
            body = body.replace(b'"x"', random.choice([b'"note"', b'"no\\u0074e"']), 1)
        found, wanted = native.cut(body), naive.cut(body, places)
        if found is None:
            assert wanted is None or b"\\u0074" in body, body
            continue
        cut += 1
        assert wanted is not None, body
        assert (orjson.loads(found[0]), found[1]) == wanted
        assert rests.setdefault(found[0], wanted[0]) == wanted[0]
        for end in random.sample(range(len(body)), 2):
            native.cut(body[:end])
    assert cut > 600


def test_places_are_few_and_begin_with_the_name() -> None:
    for wrong in (
        (),
        (("note", TEXT),),
        tuple((f"metadata.{each}", TEXT) for each in ["name", *range(PLACES_MAX)]),
    ):
        with pytest.raises(ValueError, match=r"metadata\.name|places"):
            Places(wrong)


def reported(random: Random, number: int, *, is_right: bool) -> Object:
    """An event of either version: one that differs in what is free, or one that is wrong or odd somewhere."""
    script = number % 4
    name = f"web-{number}.{random.getrandbits(60):x}"
    involved = {
        "kind": "Pod", "namespace": "default", "name": f"web-{number}", "uid": UID[:-4] + f"{number:04}",
        "apiVersion": "v1", "resourceVersion": str(number),
    }  # fmt: skip
    note = random.choice(NOTES[:4]) + f" {number}"
    if script < 2:
        made: Object = {
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": name, "namespace": "default"},
            "eventTime": f"2023-11-14T22:13:20.{number:06}Z", "reportingController": "s", "reportingInstance": "s-1",
            "action": "Binding", "reason": ("Scheduled", "FailedScheduling")[script], "regarding": involved, "note": note,
            "type": "Normal",
        }  # fmt: skip
        where, message, times = "regarding", "note", ["eventTime"]
    else:
        made = {
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "involvedObject": involved,
            "reason": "Created", "message": note, "source": {"component": "c"}, "count": 1, "type": "Normal",
            "firstTimestamp": "2023-11-14T22:13:20Z", "lastTimestamp": f"2023-11-14T22:13:{number % 60:02}Z",
            "reportingComponent": "c",
        }  # fmt: skip
        where, message, times = "involvedObject", "message", ["firstTimestamp", "lastTimestamp"]
        if script == 3:
            made |= {
                "eventTime": "2023-11-14T22:13:20.000001Z",
                "reportingInstance": "c-1",
                "action": "Making",
            }
    if not is_right:
        choice = random.randrange(8)
        if choice == 0:
            made["metadata"]["name"] = random.choice(NAMES)
        elif choice == 1:
            made[message] = random.choice(NOTES)
        elif choice == 2:
            made[random.choice(times)] = random.choice([*TIMES, None, 7])
        elif choice == 3:
            involved[random.choice(["namespace", "uid", "name", "resourceVersion"])] = random.choice(NOTES)
        elif choice == 4:
            del involved[random.choice(["namespace", "uid", "name", "resourceVersion"])]
        elif choice == 5:
            made["metadata"] = {"generateName": random.choice(["web-", "w.", "W"])}
        elif choice == 6:
            made |= random.choice(
                [{"bogus": 1}, {"reason": ""}, {"type": "x"}, {where: None}, {"related": involved}]
            )
        else:
            made["metadata"] |= {
                "labels": {"a": random.choice("bc")},
                "namespace": random.choice(["default", "far"]),
            }
    return made


def test_events_come_out_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pair: Pair) -> None:
        random, codes = Random(13), set()
        for number in range(320):
            made = reported(random, number, is_right=number < 24 or random.random() < 0.5)
            form = random.choice([LOCAL, PROTOBUF]) if number > 300 and "bogus" not in made else LOCAL
            try:
                code, _, _ = await pair.create(made, form=form)
            except (TypeError, ValueError, KeyError):
                assert form == PROTOBUF  # what is wrong cannot be written so
                continue
            codes.add(code)
            if code == 201 and random.random() < 0.1 and "name" in made["metadata"]:
                again, _, _ = await pair.create(made)
                assert again == 409
            pair.later(random.randrange(2))
        assert {201, 400, 422} <= codes
        assert pair.planned > 110, pair.planned
        left = [
            await server.kv.range(b"/registry/events/", b"/registry/events0")
            for server in (pair.one, pair.other)
        ]
        assert [(each.key, each.value) for each in left[0].kvs] == [
            (each.key, each.value) for each in left[1].kvs
        ]
        assert all(each.lease for each in left[0].kvs)

    run(work, monkeypatch)


class Bound(updates.Pair):
    """Two servers that are asked for bindings by their bodies: one with plans, one without."""

    async def __aenter__(self) -> Bound:
        await super().__aenter__()
        cores = [server.assembly.registry.core for server in self.sides]
        plans = cores[0].binding_plans
        assert isinstance(plans, BindingPlans)
        self.bindings = plans
        cores[1].binding_plans = None
        return self

    async def bind(self, name: str, binding: Object, *, namespace: str = "default", **options: Any) -> int:
        made = [await self._bound(server, name, binding, namespace, options) for server in self.sides]
        assert made[0] == made[1]
        left = [await server.kv.get(f"/registry/pods/{namespace}/{name}".encode()) for server in self.sides]
        assert [each and each.value for each in left[:1]] == [each and each.value for each in left[1:]]
        assert self.sides[0].kv.revision == self.sides[1].kv.revision
        code: int = made[0][0]
        return code

    async def _bound(
        self, server: Server, name: str, binding: Object, namespace: str, options: dict[str, Any]
    ) -> tuple[int, Any, list[str], str]:
        row = server.assembly.catalog.row("", "v1", "pods")
        assert row is not None
        given = Options(user_agent="scheduler/1", **options)
        op = Operation(row, namespace, name, "binding", user=UserInfo("scheduler"), options=given)
        body = orjson.dumps(binding)
        sub = row.subresource("binding")
        assert sub is not None and sub.kind is not None
        node = load().node(decoding.definitions_by_kind()[sub.kind])

        def read() -> Object:
            made, said = decoding.decode_json(body, node, given.field_validation or "Warn", sub.kind)
            op.warnings.extend(said)
            return made

        try:
            result = await server.assembly.registry.create_from(op, LOCAL, body, read)
        except ApiError as error:
            return error.code, error.status(), op.warnings, op.verb
        await server.settled()
        return result.code, result.body, op.warnings, op.verb


def bound(random: Random, name: str, live: Object) -> Object:
    """A Binding of the pod, mostly right."""
    metadata: Object = {"name": name, "namespace": "default", "uid": live["metadata"]["uid"]}
    made: Object = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata}
    made["target"] = {"kind": "Node", "name": f"node-{random.randrange(6)}"}
    choice = random.randrange(24)
    if choice == 0:
        metadata["uid"] = random.choice([UID, "x", "", 'a"b'])
    elif choice == 1:
        del metadata[random.choice(["uid", "namespace", "name"])]
    elif choice == 2:
        metadata |= random.choice([{"labels": {"a": "b"}}, {"annotations": {"a": "b"}}, {"resourceVersion": "1"}, {"labels": {}}])  # fmt: skip
    elif choice == 3:
        made["target"] = random.choice([{}, {"name": "node-1"}, {"kind": "Pod", "name": "n"}, {"kind": "Node", "name": "N\t1"}])  # fmt: skip
    elif choice == 4:
        metadata |= random.choice([{"name": "other"}, {"namespace": "far"}, {"creationTimestamp": None}])
    elif choice == 5:
        made["bogus"] = 1
    return made


def test_bindings_come_out_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemblies, "SystemChance", SeededChance)
    random, codes = Random(17), set()

    async def work() -> None:
        async with Bound() as pair:
            zone = {"topology.kubernetes.io/zone": "a", "topology.kubernetes.io/region": ""}
            for number in range(5):  # a further node is not there
                metadata = {"name": f"node-{number}", "labels": zone if number == 4 else {"x": "y"}}
                await pair.create({"apiVersion": "v1", "kind": "Node", "metadata": metadata})
            for number in range(160):
                name = f"web-{number}"
                gates: Object = {"schedulingGates": [{"name": "a/b"}]} if random.random() < 0.05 else {}
                live = await pair.create(named(pod(**gates), name))
                pair.later(random.randrange(2))
                if random.random() < 0.05:
                    status = orjson.dumps({"status": {"nominatedNodeName": "node-1", "phase": random.choice(["Pending", "Failed"])}})  # fmt: skip
                    await pair.ask("patch", "Pod", name, updates.MERGE, status, subresource="status")
                if random.random() < 0.05:
                    held = orjson.dumps({"metadata": {"finalizers": ["a.b/c"]}})
                    await pair.ask("patch", "Pod", name, updates.MERGE, held)
                    await pair.ask("delete", "Pod", name, {})
                if random.random() < 0.03:
                    await pair.ask("delete", "Pod", name, {"gracePeriodSeconds": 0})
                options: Object = random.choice(
                    [{}] * 9 + [{"dry_run": True}, {"field_validation": "Strict"}]
                )
                for _ in range(random.choice([1, 1, 1, 2])):
                    codes.add(await pair.bind(name, bound(random, name, live), **options))
                if number == 80:  # a node that is now in a zone, and one that no longer is
                    for node, labels in (("node-2", zone), ("node-4", dict.fromkeys(zone))):
                        patch = orjson.dumps({"metadata": {"labels": labels}})
                        await pair.ask("patch", "Node", node, updates.MERGE, patch)
            assert {201, 400, 404, 409, 500} <= codes, codes
            assert 70 < pair.bindings.planned_count < 140, pair.bindings.planned_count

    asyncio.run(work())


def test_a_body_that_says_more_is_decoded() -> None:
    assert PLACES.cut(b'{"metadata":{"name":"a","uid":"u"},"target":{"name":"n"}}') is not None
    assert PLACES.cut(b'{"metadata":{"name":"a","uid":7},"target":{"name":"n"}}') is None
    assert PLACES.cut(b'{"metadata":{"name":"a"},"target":{"name":"N"}}') is None
