"""Creates by plan give, byte for byte, what creates by the general path give: the same requests to two equal servers."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import Callable
from random import Random
from typing import Any

import orjson
import pytest

from bench.registry_steps import POD
from kcore.api import protobuf
from kcore.api.schema.decoding import decode_json
from kcore.api.status import ApiError
from kcore.apiserver import assembly as assemblies
from kcore.apiserver.assembly import Assembly
from kcore.apiserver.operation import Operation, Options
from kcore.apiserver.registry import plans
from kcore.apiserver.registry.core import NAME_ALONE
from kcore.apiserver.registry.pieces import Pieces, Undecided, Unlike, Values, pieces_of
from kcore.apiserver.registry.plans import JSON, PROTOBUF, Plans
from kcore.apiserver.user import UserInfo
from kcore.store.embedded import Embedded
from kcore_native.cacher.naming import LABEL_BYTES_MAX, without_name_protobuf

Object = dict[str, Any]
START_SECONDS = 1_700_000_000
LETTERS = "bcdfghjklmnpqrstvwxz2456789"
ACCOUNT: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}


class SeededChance:
    """The same for both servers."""

    def __init__(self) -> None:
        self.random = Random(7)

    def uid(self) -> str:
        made = f"{self.random.getrandbits(128):032x}"
        return f"{made[:8]}-{made[8:12]}-{made[12:16]}-{made[16:20]}-{made[20:]}"

    def suffix(self) -> str:
        return "".join(self.random.choices(LETTERS, k=5))


class Server:
    """An API server without a socket, whose time stands still until it is told otherwise."""

    def __init__(self, *, plans: bool) -> None:
        self.with_plans = plans
        self.seconds = START_SECONDS

    async def start(self) -> None:
        self.kv = await Embedded.open(None)
        self.assembly = Assembly(self.kv, assemblies.Options(compaction_seconds=0))
        await self.assembly.start()
        core = self.assembly.registry.core
        core.now_seconds = lambda: self.seconds
        assert isinstance(core.plans, Plans)
        self.plans = core.plans
        if not self.with_plans:
            core.plans = None

    async def stop(self) -> None:
        await self.assembly.stop()
        await self.kv.close()

    async def create(
        self,
        obj: Object,
        namespace: str = "default",
        *,
        form: str = JSON,
        user: str = "someone",
        **options: Any,
    ) -> tuple[int, bytes, list[str]]:
        """Code, answer and warnings."""
        catalog = self.assembly.catalog
        row = self.assembly._kind_of(obj["apiVersion"], obj["kind"])
        assert row is not None
        body = protobuf.encode(obj) if form == PROTOBUF else orjson.dumps(obj)
        given = Options(user_agent="test/1", **options)
        op = Operation(row, namespace if row.namespaced else "", user=UserInfo(user), options=given)

        def read() -> Object:
            node = catalog.node(row)
            if form == PROTOBUF:
                made = protobuf.decode(body, row.gvk)
                node.clean(made)
                return made
            made, said = decode_json(body, node, given.field_validation or "Warn", row.gvk)
            op.warnings.extend(said)
            return made

        try:
            result = await self.assembly.registry.create_from(op, form, body, read)
        except ApiError as error:
            return error.code, orjson.dumps(error.status()), op.warnings
        await self.settled()
        assert isinstance(result.body, bytes)
        return result.code, result.body, op.warnings

    async def patch(
        self, plural: str, name: str, patch: Object, namespace: str = "", subresource: str = ""
    ) -> None:
        row = self.assembly.catalog.row("", "v1", plural)
        assert row is not None
        op = Operation(row, namespace, name, subresource, options=Options(field_manager="m"))
        await self.assembly.registry.patch(op, "application/merge-patch+json", orjson.dumps(patch))
        await self.settled()

    async def settled(self) -> None:
        """The cache has seen what was written."""
        revision = self.kv.revision
        while self.assembly.cacher.revision < revision:
            await asyncio.sleep(0)


class Pair:
    """Two servers that are asked the same."""

    def __init__(self) -> None:
        self.one, self.other = Server(plans=True), Server(plans=False)

    async def __aenter__(self) -> Pair:
        for server in (self.one, self.other):
            await server.start()
            await server.create(ACCOUNT)
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.one.stop()
        await self.other.stop()

    async def create(self, obj: Object, *given: Any, **options: Any) -> tuple[int, Object, list[str]]:
        made = [await server.create(obj, *given, **options) for server in (self.one, self.other)]
        assert made[0] == made[1]
        return made[0][0], orjson.loads(made[0][1]), made[0][2]

    async def patch(self, *given: Any, **more: Any) -> None:
        for server in (self.one, self.other):
            await server.patch(*given, **more)

    def later(self, seconds: int = 1) -> None:
        self.one.seconds += seconds
        self.other.seconds += seconds

    @property
    def planned(self) -> int:
        return self.one.plans.planned_count


def run(work: Callable[[Pair], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemblies, "SystemChance", SeededChance)

    async def main() -> None:
        async with Pair() as pair:
            await work(pair)

    asyncio.run(main())


def named(template: Object, name: str) -> Object:
    made = copy.deepcopy(template)
    made["metadata"]["name"] = name
    return made


def pod(**spec: Any) -> Object:
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "i"}], **spec},
    }  # fmt: skip


CONTROLLED: Object = {
    "selector": {"matchLabels": {"app": "a"}},
    "template": {"metadata": {"labels": {"app": "a"}}, "spec": pod()["spec"]},
}
TEMPLATES: list[Object] = [
    POD,
    pod(),
    pod(schedulingGates=[{"name": "x/y"}]),
    pod(automountServiceAccountToken=False),
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "é\n\"b\""}},
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "m"}, "stringData": {"a": "b"}},
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "m"}},
    {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
     "spec": {"template": {"spec": {**pod()["spec"], "restartPolicy": "Never"}}}},
    {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": CONTROLLED},
    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "d"}, "spec": CONTROLLED},
    {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"},
     "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
    {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {}},
]  # fmt: skip
UNPLANNED: list[Object] = [
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"clusterIP": "None"}},
    pod(volumes=[{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}}]),
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "managedFields": [{
        "manager": "x", "operation": "Update", "apiVersion": "v1", "time": "2023-11-14T22:13:20Z",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}}]}, "data": {"a": "b"}},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "bogus": 1},
    {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {
        "completionMode": "Indexed", "completions": 2,
        "template": {"spec": {**pod()["spec"], "restartPolicy": "Never"}}}},
]  # fmt: skip


def test_every_kind_comes_out_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pair: Pair) -> None:
        random = Random(3)
        for number, template in enumerate([*TEMPLATES, *UNPLANNED]):
            before = pair.planned
            for count in range(7):
                name = f"{template['kind'].lower()}-{number}-{'x' * random.randrange(20)}{count}"
                code, made, _ = await pair.create(named(template, name))
                assert code == 201, made
                pair.later(random.randrange(2))
            gates = "schedulingGates" in template.get(
                "spec", {}
            )  # a time in their condition: which needs two seconds
            least = 2 if gates else 4
            if template in UNPLANNED:
                assert pair.planned == before, template
            else:
                assert least <= pair.planned - before <= 5, template

    run(work, monkeypatch)


def test_a_change_of_what_admission_saw_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pair: Pair) -> None:
        serial = iter(range(1000))

        async def some(count: int = 4, code: int = 201) -> Object:
            for _ in range(count):
                got, made, _ = await pair.create(named(POD, f"w-{next(serial)}"))
                assert got == code, made
            return made

        made = await some()
        assert pair.planned == 1
        # of no concern: an account of another namespace, a quota there
        await pair.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "far"}})
        await pair.create(ACCOUNT, "far")
        await pair.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}}, "far")
        await some(2)
        assert pair.planned == 3

        await pair.patch("serviceaccounts", "default", {"imagePullSecrets": [{"name": "s"}]}, "default")
        made = await some()
        assert made["spec"]["imagePullSecrets"] == [{"name": "s"}]
        assert pair.planned == 5

        limits = [{"type": "Container", "default": {"memory": "1Gi"}, "min": {"cpu": "1m"}}]
        limit_range = {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "l"},
            "spec": {"limits": limits},
        }
        await pair.create(limit_range)
        made = await some()
        assert made["spec"]["containers"][1]["resources"]["limits"]["memory"] == "1Gi"
        assert pair.planned == 7

        top = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "top"}}
        await pair.create({**top, "value": 77, "globalDefault": True})
        made = await some()
        assert made["spec"]["priority"] == 77
        assert pair.planned == 9

        await pair.patch(
            "namespaces",
            "default",
            {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
        )
        await some(3, 403)
        await pair.patch(
            "namespaces", "default", {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": None}}}
        )
        await some()
        assert pair.planned == 11

    run(work, monkeypatch)


def test_a_quota_counts_every_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pair: Pair) -> None:
        for number in range(4):
            await pair.create(named(POD, f"before-{number}"))
        assert pair.planned == 1
        await pair.create({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "7"}},
        })  # fmt: skip
        status = {"status": {"hard": {"pods": "7"}, "used": {"pods": "4"}}}
        await pair.patch("resourcequotas", "q", status, "default", "status")
        codes = [(await pair.create(named(POD, f"after-{number}")))[0] for number in range(5)]
        assert codes == [201, 201, 201, 403, 403]
        assert pair.planned == 1

    run(work, monkeypatch)


def test_names_are_generated_and_taken_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pair: Pair) -> None:
        template = copy.deepcopy(pod())
        template["metadata"] = {"generateName": "web-", "labels": {"app": "a"}}
        for _ in range(5):
            code, made, _ = await pair.create(template)
            assert code == 201
            assert made["metadata"]["name"].startswith("web-")
        assert pair.planned == 2
        both = named(template, "x")  # another key: the name is given
        for number in range(4):
            await pair.create(named(both, f"y-{number}"))
        assert pair.planned == 3
        code, said, _ = await pair.create(named(both, "y-0"))
        assert (code, said["message"]) == (409, 'pods "y-0" already exists')
        for name in ("Wrong_name", "-x", "a.b", "x" * 64, "x" * 254, ""):
            await pair.create(named(both, name))
        code, _, warned = await pair.create(named(both, "c.d"))
        assert (code, len(warned)) == (201, 1)
        assert pair.planned == 3
        # a suffix that is taken: further ones are tried
        taken = {
            server: copy.deepcopy(server.assembly.registry.core.chance) for server in (pair.one, pair.other)
        }
        await pair.create(template)
        for server, chance in taken.items():
            server.assembly.registry.core.chance = chance
            code, _, _ = await server.create(template)
            assert code == 201

    run(work, monkeypatch)


def test_who_asks_and_how_belongs_to_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pair: Pair) -> None:
        serial = iter(range(1000))

        async def some(**options: Any) -> Object:
            for _ in range(4):
                _, made, _ = await pair.create(named(pod(), f"w-{next(serial)}"), **options)
            return made

        await some()
        made = await some(field_manager="me")
        assert made["metadata"]["managedFields"][0]["manager"] == "me"
        await some(user="other")
        await some(field_validation="Strict")
        await some(form=PROTOBUF)
        assert pair.planned == 5
        await some(dry_run=True)
        assert pair.planned == 5

    run(work, monkeypatch)


def test_protobuf_without_a_name_generates_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pair: Pair) -> None:
        template = copy.deepcopy(POD)
        del template["metadata"]["name"]
        template["metadata"]["generateName"] = "web-"
        for _ in range(4):
            code, _, _ = await pair.create(template, form=PROTOBUF)
            assert code == 201
        assert pair.planned == 1

    run(work, monkeypatch)


def test_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "ENTRIES_MAX", 10)
    monkeypatch.setattr(plans, "BYTES_MAX", 100_000)
    monkeypatch.setattr(plans, "ONCE_MAX", 5)

    async def work(pair: Pair) -> None:
        server = pair.one
        template: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "m"},
            "data": {"a": "b"},
        }
        for number in range(3):
            await server.create(named(template, f"often-{number}"))
        for number in range(30):
            for twice in "ab":
                await server.create({**named(template, f"two-{number}{twice}"), "data": {"n": str(number)}})
            if number % 5 == 0:
                await server.create(named(template, f"often-again-{number}"))
        assert len(server.plans) == 10
        assert server.plans.shelf.once_count == 5
        assert server.plans.planned_count == 6
        large = "x" * 20_000
        for number in range(8):
            for twice in "ab":
                await server.create(
                    {**named(template, f"big-{number}{twice}"), "data": {"n": f"{number}{large}"}}
                )
        assert 0 < server.plans.shelf.byte_count <= 100_000

    run(work, monkeypatch)


LENGTHS = (0, 1, 127, 128)  # around the length that takes two bytes to say


def spelt(metadata: str) -> bytes:
    return (
        b'{"kind":"ConfigMap", "metadata" : ' + metadata.encode() + b', "data":{"name":"n","metadata":"m"}}'
    )


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (spelt('{"name":"a-1"}'), "a-1"),
        (spelt('{ "labels": {"name": "b"} , "name" :\n"a" }'), "a"),
        (spelt('{"generateName":"a"}'), ""),
        (spelt("{}"), ""),
        (spelt('{"annotations":{"x":"\\\\\\"{"},"name":"a"}'), "a"),
        (spelt('{"name":"' + "x" * LABEL_BYTES_MAX + '"}'), "x" * LABEL_BYTES_MAX),
        (spelt('{"name":"' + "x" * (LABEL_BYTES_MAX + 1) + '"}'), None),
        (spelt('{"name":"a","name":"b"}'), None),
        (spelt('{"n\\u0061me":"a","name":"b"}'), None),
        (spelt('{"name":""}'), None),
        (spelt('{"name":null}'), None),
        (spelt('{"name":"A"}'), None),
        (spelt('{"name":"a."}'), None),
        (spelt("null"), None),
        (b'{"metadata":{"name":"a"},"metadata":{}}', None),
        (b'{"metadata":{"name":"a"},"met\\u0061data":{}}', None),
        (b'{"kind":"x"}', None),
        (b'{"metadata":{"name":"a"', None),
        (b"[]", None),
        (b"", None),
        (b"{", None),
    ],
)
def test_the_name_is_found_in_json(body: bytes, name: str | None) -> None:
    found = NAME_ALONE.cut(body)
    if name is None:
        assert found is None
        return
    assert found is not None
    assert found[1] == [name.encode()]
    assert (orjson.loads(body)["metadata"].get("name") or "") == name
    if name:
        assert orjson.loads(found[0])["metadata"]["name"] == ""


def test_rests_are_equal_only_where_all_but_the_name_is() -> None:
    random = Random(5)
    bodies: dict[bytes, Object] = {}
    for encode, cut in ((orjson.dumps, NAME_ALONE.cut), (protobuf.encode, without_name_protobuf)):
        bodies.clear()
        for number in range(300):
            obj = pod(
                nodeName=random.choice("ab") * random.choice(LENGTHS),
                priorityClassName=random.choice(["", "x" * 90]),
            )
            obj["metadata"]["namespace"] = random.choice("xy") * random.choice(LENGTHS)
            body = encode(named(obj, f"n-{'x' * random.randrange(50)}{number}"))
            found = cut(body)
            assert found is not None
            assert bodies.setdefault(found[0], obj) == obj
            for end in random.sample(range(len(body)), 3):
                cut(body[:end])
            broken = bytearray(body)
            broken[random.randrange(min(40, len(body)))] ^= 1 << random.randrange(8)
            with contextlib.suppress(ValueError):
                cut(bytes(broken))
        assert len(bodies) < 300


def filled(pieces: Pieces, values: Values) -> bytes:
    given = values.in_order()
    return b"".join(piece if isinstance(piece, bytes) else given[piece].encode() for piece in pieces)


ONE, OTHER = Values("a", "u-1", "t1", ("s1",)), Values("b", "u-2", "t2", ("s2",))


@pytest.mark.parametrize(
    ("first", "second", "error"),
    [
        ({"x": "a"}, {"x": "b"}, None),
        ({"x": ["u-1", 1, None, True, 1.5]}, {"x": ["u-2", 1, None, True, 1.5]}, None),
        ({"x": "vol-s1", "y": "vol-s1"}, {"x": "vol-s2", "y": "vol-s2"}, None),
        ({"metadata": {"creationTimestamp": "t1"}}, {"metadata": {"creationTimestamp": "t2"}}, None),
        ({"metadata": {"creationTimestamp": "t3"}}, {"metadata": {"creationTimestamp": "t3"}}, Unlike),
        ({"x": "a-y"}, {"x": "b-y"}, Unlike),
        ({"x": "pre-a"}, {"x": "pre-b"}, Unlike),
        ({"x": "vol-s1"}, {"x": "lov-s2"}, Unlike),
        ({"x": 1}, {"x": 2}, Unlike),
        ({"x": 1}, {"x": True}, Unlike),
        ({"x": 1}, {"y": 1}, Unlike),
        ({"x": 1, "y": 1}, {"y": 1, "x": 1}, Unlike),
        ({"x": [1]}, {"x": [1, 1]}, Unlike),
        ({"x": "a"}, {"x": "u-2"}, Unlike),
    ],
)  # fmt: skip
def test_what_differs_is_a_hole_or_no_plan(
    first: Object, second: Object, error: type[Exception] | None
) -> None:
    if error is not None:
        with pytest.raises(error):
            pieces_of(first, second, ONE, OTHER)
        return
    pieces = pieces_of(first, second, ONE, OTHER)
    assert filled(pieces, ONE) == orjson.dumps(first)
    assert filled(pieces, OTHER) == orjson.dumps(second)


def test_what_cannot_be_told_is_not_decided() -> None:
    same = {"x": "t1"}
    with pytest.raises(Undecided):  # the time, or a text that reads like it
        pieces_of(same, same, ONE, OTHER._replace(now="t1"))
    with pytest.raises(Undecided):  # one name: what follows from it would look like text
        pieces_of({}, {}, ONE, OTHER._replace(name="a"))
