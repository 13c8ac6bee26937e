"""Patches and deletions by plan give, byte for byte, what the general path gives: the same requests to two equal servers."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from random import Random
from typing import Any

import orjson
import pytest

from bench.pod_lives import World
from bench.registry_steps import POD, running
from kcore.api.status import ApiError
from kcore.apiserver import assembly as assemblies
from kcore.apiserver.operation import Operation, Options
from kcore.apiserver.registry.delete_plans import DeletePlans
from kcore.apiserver.registry.update_plans import UpdatePlans
from kcore.apiserver.user import UserInfo
from kcore.hollow.makers import pod_running, pod_succeeded
from tests.apiserver.registry.test_plans import ACCOUNT, SeededChance, Server, pod

pytestmark = pytest.mark.differential

Object = dict[str, Any]
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f8c7b9", "uid": "6f2e3c0a-2c51-4f0b-9f0a-3a1f4a3c2b1d"}  # fmt: skip
OTHER = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "name": "web-map",
    "uid": "9f2e3c0a-2c51-4f0b-9f0a-3a1f4a3c2b1d",
}
SCRIPTS = 15  # lives that are told apart by what happens in them
TIMES = 7  # that each is lived, by pods of other names, uids, addresses and times
TEMPLATES: list[Object] = [
    POD,
    pod(),
    pod(hostname="{name}", terminationGracePeriodSeconds=5),
    pod(hostNetwork=True, restartPolicy="Never"),
    pod(nodeName="node-3", containers=[{"name": "{name}", "image": "i"}, {"name": "n-1", "image": "i"}]),
]


class Pair:
    """Two servers that are asked the same: one with plans, one without."""

    async def __aenter__(self) -> Pair:
        self.sides = (Server(plans=True), Server(plans=False))
        for server in self.sides:
            await server.start()
            await server.create(ACCOUNT)
        cores = [server.assembly.registry.core for server in self.sides]
        self.plans, self.deletions = cores[0].update_plans, cores[0].delete_plans
        assert isinstance(self.plans, UpdatePlans)
        assert isinstance(self.deletions, DeletePlans)
        cores[1].update_plans = cores[1].delete_plans = None
        return self

    async def __aexit__(self, *_: Any) -> None:
        for server in self.sides:
            await server.stop()

    def later(self, seconds: int) -> None:
        for server in self.sides:
            server.seconds += seconds

    @property
    def now_ms(self) -> int:
        return self.sides[0].seconds * 1000

    async def create(self, obj: Object) -> Object:
        made = [await server.create(obj) for server in self.sides]
        assert made[0] == made[1] and made[0][0] == 201, made[0]
        got: Object = orjson.loads(made[0][1])
        return got

    async def ask(self, verb: str, kind: str, name: str, *arguments: Any, **more: Any) -> tuple[int, Object]:
        """Code and body, which both servers gave."""
        made = [await self._asked(server, verb, kind, name, arguments, **more) for server in self.sides]
        assert made[0] == made[1]
        assert self.sides[0].kv.revision == self.sides[1].kv.revision
        body = made[0][1]
        return made[0][0], orjson.loads(body) if isinstance(body, bytes) else body

    async def _asked(
        self, server: Server, verb: str, kind: str, name: str, arguments: tuple[Any, ...], *, subresource: str = "",
        user: str = "someone", namespace: str = "default", **options: Any,
    ) -> tuple[int, Any, list[str], str]:  # fmt: skip
        row = next(each for each in server.assembly.catalog.rows if each.kind == kind)
        given = Options(user_agent=options.pop("agent", "kubelet/1"), **options)
        op = Operation(
            row, namespace if row.namespaced else "", name, subresource, user=UserInfo(user), options=given
        )
        try:
            result = await getattr(server.assembly.registry, verb)(op, *copy.deepcopy(arguments))
        except ApiError as error:
            return error.code, error.status(), op.warnings, op.verb
        await server.settled()
        return result.code, result.body, op.warnings, op.verb


def run(work: Callable[[Pair], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemblies, "SystemChance", SeededChance)

    async def main() -> None:
        async with Pair() as pair:
            await work(pair)

    asyncio.run(main())


def named(template: Object, name: str) -> Object:
    made: Object = orjson.loads(orjson.dumps(template).replace(b"{name}", name.encode()))
    made["metadata"]["name"] = name
    return made


def said(random: Random, live: Object, world: World, now_ms: int) -> tuple[str, Object]:
    """Type and document of a patch of a status, as kubelets and others write them, right and wrong."""
    choice, name = random.randrange(12), live["metadata"]["name"]
    uid = {"metadata": {"uid": live["metadata"]["uid"]}}
    made: Object = orjson.loads(pod_running(live, world, now_ms - random.choice([0, 400, 1000])))
    if choice < 5:
        return STRATEGIC, {**random.choice([uid, {}]), **made}
    if choice == 5:
        return STRATEGIC, {"metadata": {"uid": random.choice([OWNER["uid"], "x"]), "name": random.choice([name, "o-1"])}, **made}  # fmt: skip
    if choice == 6:
        return MERGE, {"status": running(random.choice(["10.3.0.4", "fd00::7", "127.0.0.1", "010.0.0.1"]))}
    if choice == 7:
        pair = [{"ip": f"10.9.0.{random.randrange(1, 9)}"}, {"ip": f"fd00::{random.randrange(1, 9)}"}]
        return STRATEGIC, {"status": {"podIP": pair[0]["ip"], "podIPs": pair}}
    if choice == 8:
        ready = {
            "type": "Ready",
            "status": random.choice(["True", "False"]),
            "message": random.choice([name, "x\ny"]),
        }
        order = [{"type": each["type"]} for each in (live.get("status") or {}).get("conditions") or ()]
        return STRATEGIC, {"status": {"$setElementOrder/conditions": order, "conditions": [ready]}}
    if choice == 9:
        return STRATEGIC, {"status": {"bogus": 1, "podIPs": [{"$patch": "replace"}], "message": "containerd://" + "0" * 64}}  # fmt: skip
    if choice == 10:
        return JSON_PATCH, [
            {"op": "replace", "path": "/status/phase", "value": random.choice(["Running", 7])}
        ]  # type: ignore[return-value]
    return STRATEGIC, orjson.loads(pod_succeeded(live, world, now_ms))


def of_object(random: Random, live: Object) -> tuple[str, Object]:
    """The same of a patch of the object itself."""
    name = live["metadata"]["name"]
    texts = [name, "10.0.0.1", "2026-01-01T00:00:00Z", live["metadata"]["uid"], "kubelet", "x"]
    choice = random.randrange(4)
    if choice == 0:
        return MERGE, {"metadata": {"annotations": {"a/b": random.choice(texts), "c": random.choice([None, "10.0.0.2"])}}}  # fmt: skip
    if choice == 1:
        return STRATEGIC, {"metadata": {"labels": {"who": name, "v": random.choice(["a", None])}}}
    if choice == 2:
        return MERGE, {"metadata": {"ownerReferences": random.choice([[OWNER], [OWNER, OTHER], []])}}
    return JSON_PATCH, [
        {"op": "add", "path": "/metadata/finalizers", "value": random.choice([["a.b/c"], []])}
    ]  # type: ignore[return-value]


async def life(pair: Pair, random: Random, template: Object, name: str, world: World) -> None:
    """A pod is made, bound, written and deleted."""
    made = named(template, name)
    if random.random() < 0.5:
        made["metadata"]["ownerReferences"] = [OWNER]
    live = await pair.create(made)
    pair.later(random.randrange(2))
    if not live["spec"].get("nodeName"):
        binding = {
            "metadata": {"name": name},
            "target": {"kind": "Node", "name": f"node-{random.randrange(4)}"},
        }
        await pair.ask("create", "Pod", name, binding, subresource="binding")
    for _ in range(5):
        pair.later(random.choice([0, 0, 1, 7]))
        got, found = await pair.ask("get", "Pod", name)
        if got != 200:
            return
        live = found
        choice = random.randrange(8)
        if choice < 5:
            form, made = said(random, live, world, pair.now_ms)
            sub = "status" if choice < 4 else ""
        else:
            form, made = of_object(random, live)
            sub = random.choice(["", "", "status"])
        body = orjson.dumps(made)
        agent = random.choice(["kubelet/1", "kubelet/1", "other/1"])
        for _ in range(random.choice([1, 1, 2])):
            await pair.ask("patch", "Pod", name, form, body, subresource=sub, agent=agent)
    grace: Object = random.choice([{}, {}, {"gracePeriodSeconds": 0}, {"gracePeriodSeconds": 9}, {"propagationPolicy": "Foreground"}])  # fmt: skip
    asked: list[Object] = [
        grace,
        {},
        {"gracePeriodSeconds": random.choice([0, 3])},
        {"gracePeriodSeconds": 0},
    ]
    for options in asked:
        uid = random.choice([live["metadata"]["uid"], OWNER["uid"]])
        wanted: Object = random.choice([{}, {"preconditions": {"uid": uid}}])
        await pair.ask("delete", "Pod", name, {**options, **wanted})
        pair.later(random.choice([0, 1, 40]))


def test_lives_of_pods_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pair: Pair) -> None:
        world = World()
        for number in range(SCRIPTS * TIMES):
            script = number % SCRIPTS
            await life(
                pair, Random(script), TEMPLATES[script % len(TEMPLATES)], f"web-{number * 7919 % 1000}", world
            )
        assert pair.plans.planned_count > SCRIPTS * (TIMES - 3), pair.plans.planned_count
        assert pair.deletions.planned_count > SCRIPTS * (TIMES - 3), pair.deletions.planned_count

    run(work, monkeypatch)


LEASE = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l-0"}, "spec": {
    "holderIdentity": "{name}", "leaseDurationSeconds": 40, "renewTime": "2023-11-14T22:13:20.000001Z"}}  # fmt: skip


def renewed(microseconds: int) -> bytes:
    return orjson.dumps({"spec": {"renewTime": f"2023-11-14T22:13:{microseconds / 1e6:09.6f}Z"}})


def test_leases_are_renewed_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pair: Pair) -> None:
        for number in range(4):
            await pair.create(named(LEASE, f"node-{number}.example.com"))
        for microseconds in range(21_000_001, 40_000_000, 1_700_000):
            pair.later(2)
            for number in range(4):
                name, body = f"node-{number}.example.com", renewed(microseconds + number)
                code, made = await pair.ask("patch", "Lease", name, MERGE, body)
                assert (code, made["spec"]["renewTime"].encode()) == (200, body[22:-3])
                await pair.ask("patch", "Lease", name, MERGE, body)  # changes nothing
        assert pair.plans.planned_count > 70
        before = pair.plans.planned_count
        for wrong in (b'{"spec":{"renewTime":"2023-11-14T22:14:20Z"}}', b'{"spec":{"leaseDurationSeconds":0}}', b"[", b"7"):  # fmt: skip
            code, _ = await pair.ask("patch", "Lease", "node-0.example.com", MERGE, wrong)
            assert code >= 400
        assert pair.plans.planned_count == before

    run(work, monkeypatch)


def test_a_version_that_is_asked_for_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pair: Pair) -> None:
        for number in range(6):
            name = f"l-{number}"
            made = await pair.create(named(LEASE, name))
            stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "spec": {"leaseTransitions": 1}}  # fmt: skip
            codes = [
                (await pair.ask("patch", "Lease", name, MERGE, orjson.dumps(stale)))[0] for _ in range(2)
            ]
            assert codes == [200, 409]
            copies = [{"op": "copy", "from": "/metadata", "path": "/spec/x"}]
            await pair.ask("patch", "Lease", name, JSON_PATCH, orjson.dumps(copies))
            version = {"preconditions": {"resourceVersion": made["metadata"]["resourceVersion"]}}
            assert (await pair.ask("delete", "Lease", name, version))[0] == 409
            assert (await pair.ask("delete", "Lease", name, {}))[0] == 200
        assert pair.plans.planned_count == 3
        assert pair.deletions.planned_count == 3

    run(work, monkeypatch)


def test_a_version_that_is_a_value_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pair: Pair) -> None:
        for number in range(7):
            name = f"l-{number}"
            made = await pair.create(named(LEASE, name))
            version = made["metadata"]["resourceVersion"]
            for form in (MERGE, STRATEGIC):
                for place in ({"annotations": {"resourceVersion": version}}, {"resourceVersion": version, "labels": {"resourceVersion": version}}):  # fmt: skip
                    code, made = await pair.ask(
                        "patch", "Lease", name, form, orjson.dumps({"metadata": place})
                    )
                    assert code in (200, 409)
                    version = made["metadata"]["resourceVersion"] if code == 200 else version
            _, made = await pair.ask("get", "Lease", name)
            assert made["metadata"]["annotations"] != {}

    run(work, monkeypatch)


def test_nodes_say_alike_how_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pair: Pair) -> None:
        node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {
            "addresses": [{"type": "Hostname", "address": "{name}"}], "capacity": {"cpu": "4"}}}  # fmt: skip
        for number in range(8):
            name = f"node-{number}"
            await pair.create(named(node, name))
            pair.later(1)
            ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": f"2023-11-14T22:13:2{number}Z"}
            address = {"type": "InternalIP", "address": f"10.0.0.{number + 1}"}
            body = orjson.dumps({"status": {"conditions": [ready], "addresses": [address]}})
            for _ in range(2):
                code, _ = await pair.ask("patch", "Node", name, STRATEGIC, body, subresource="status")
                assert code == 200
        assert pair.plans.planned_count >= 8

    run(work, monkeypatch)


def test_nodes_are_given_networks_and_lose_taints_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pair: Pair) -> None:
        taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
        node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"labels": {"h": "{name}"}}, "spec": {"taints": [taint]}}  # fmt: skip
        networks, wrong = (
            [f"10.244.{number}.0/24" for number in range(8)],
            ["x", "010.244.1.0/24", "10.244.9.1/24"],
        )
        for number, network in enumerate([*networks, "10.245.0.0/20", *wrong, "10.244.2.0/24"]):
            name = f"node-{number}.example.com"
            made = await pair.create(named(node, name))
            gone = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "spec": {"taints": None}}  # fmt: skip
            assert (await pair.ask("patch", "Node", name, MERGE, orjson.dumps(gone)))[0] == 200
            given = orjson.dumps({"spec": {"podCIDR": network, "podCIDRs": [network]}})
            code, _ = await pair.ask("patch", "Node", name, STRATEGIC, given)
            assert code == (422 if network in wrong else 200), network
            code, _ = await pair.ask("patch", "Node", name, STRATEGIC, given.replace(b"10.24", b"10.25"))
            assert code == 422
        assert pair.plans.planned_count >= 15

    run(work, monkeypatch)


def test_what_admission_sees_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pair: Pair) -> None:
        async def some(first: int, *, user: str = "someone", code: int = 200) -> int:
            before = pair.plans.planned_count
            for number in range(first, first + 4):
                await pair.create(named(LEASE, f"l-{number}"))
                got, _ = await pair.ask(
                    "patch", "Lease", f"l-{number}", MERGE, renewed(21_000_000 + number), user=user
                )
                assert got == code
            planned: int = pair.plans.planned_count - before
            return planned

        assert await some(0) == 1
        assert await some(10) == 4
        assert await some(20, user="another") == 1
        await pair.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}})
        assert await some(30) == 2  # the key was met before
        for server in pair.sides:
            view = server.assembly.view
            monkeypatch.setattr(view, "get", _none_of_namespaces(view.get))
            monkeypatch.setattr(view, "stamps", lambda folders: [(-1, -1) for _ in folders])
        before = pair.plans.planned_count
        await pair.ask("patch", "Lease", "l-1", MERGE, renewed(22_000_000))
        assert pair.plans.planned_count == before

    run(work, monkeypatch)


def _none_of_namespaces(get: Callable[..., Any]) -> Callable[..., Any]:
    return lambda group, plural, *rest: None if plural == "namespaces" else get(group, plural, *rest)


def test_writes_at_once_all_count(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pair: Pair) -> None:
        for number in range(3):
            await pair.create(named(LEASE, f"l-{number}"))
            await pair.ask("patch", "Lease", f"l-{number}", MERGE, renewed(21_000_000))
        made = await pair.create(named(LEASE, "l-9"))
        at_once = [pair._asked(side, "patch", "Lease", "l-9", (MERGE, renewed(21_000_000 + at % 2))) for at in range(40) for side in pair.sides]  # fmt: skip
        answers = await asyncio.gather(*at_once)
        assert {each[0] for each in answers} == {200}
        versions = [int(orjson.loads(each[1])["metadata"]["resourceVersion"]) for each in answers[::2]]
        assert sorted(versions)[-1] == pair.sides[0].kv.revision
        assert min(versions) > int(made["metadata"]["resourceVersion"])
        gone = [pair._asked(side, "delete", "Lease", "l-9", ({},)) for _ in range(5) for side in pair.sides]
        codes = [each[0] for each in await asyncio.gather(*gone)]
        assert sorted(codes[::2]) == sorted(codes[1::2]) == [200, 404, 404, 404, 404]

    run(work, monkeypatch)
