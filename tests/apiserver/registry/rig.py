"""A registry over an embedded store without a disk, with a clock that stands still and names that are foreseen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import orjson

from kcore.api.apply import managed_fields
from kcore.api.kinds.metadata import validate_metadata
from kcore.api.kinds.names import name_is_subdomain
from kcore.api.resources import ROWS
from kcore.api.resources.catalog import Catalog
from kcore.api.status import ApiError
from kcore.api.strategy import Context, Strategy, UpdateStrategy
from kcore.apiserver.cacher import Cacher
from kcore.apiserver.operation import Operation, Options
from kcore.apiserver.registry import Registry
from kcore.apiserver.registry.core import Core
from kcore.apiserver.registry.objects import Objects
from kcore.apiserver.storage import Storage
from kcore.store.embedded import Embedded

Object = dict[str, Any]
START_SECONDS = 1_700_000_000
START = "2023-11-14T22:13:20Z"


class Chance:
    """Uids in a row; suffixes from a list, then in a row."""

    def __init__(self) -> None:
        self.count = 0
        self.suffixes: list[str] = []

    def uid(self) -> str:
        self.count += 1
        return f"uid-{self.count}"

    def suffix(self) -> str:
        if self.suffixes:
            return self.suffixes.pop(0)
        self.count += 1
        return f"{self.count:05}"


class NoAdmission:
    """Admits everything and remembers what it was asked; ``refuse`` may raise."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []
        self.refuse: Callable[[str, Operation, Object | None, Object | None], None] | None = None

    def keeps_shared(self, op: Operation) -> bool:
        return True

    async def mutate(self, op: Operation, obj: Object | None, old: Object | None, *, now: str = "") -> None:
        self.seen.append(("mutate", op.verb, op.name))
        if self.refuse:
            self.refuse("mutate", op, obj, old)

    async def validate(self, op: Operation, obj: Object | None, old: Object | None, *, now: str = "") -> None:
        self.seen.append(("validate", op.verb, op.name))
        if self.refuse:
            self.refuse("validate", op, obj, old)


def _validate(obj: Object, _: Context) -> list[Any]:
    return validate_metadata(obj["metadata"], name_is_subdomain, namespaced="namespace" in obj["metadata"])


def _new(obj: Object, _: Context) -> None:
    obj.pop("status", None)
    obj["metadata"]["generation"] = 1


def _changed(obj: Object, old: Object, _: Context) -> None:
    obj.pop("status", None)
    if "status" in old:
        obj["status"] = old["status"]
    if obj.get("spec") != old.get("spec"):
        obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _status(obj: Object, old: Object, _: Context) -> None:
    status = obj.get("status")
    obj["spec"] = old["spec"]
    if status is not None:
        obj["status"] = status


PLAIN_STRATEGY = Strategy(
    prepare_for_create=_new,
    prepare_for_update=_changed,
    validate=_validate,
    reset_fields=("status",),
    subresources={"status": UpdateStrategy(prepare_for_update=_status, reset_fields=("spec",))},
)
DATA_STRATEGY = Strategy(validate=_validate)


def _grace(pod: Object, asked: int | None) -> int:
    period = asked if asked is not None else pod["spec"].get("terminationGracePeriodSeconds", 0)
    if not pod["spec"].get("nodeName"):
        period = 0
    return 1 if period < 0 else int(period)


class StandIns(Catalog):
    """The built-in rows with strategies so small that a test can be read beside them."""

    def strategy(self, row: Any) -> Strategy:
        if row.plural in ("configmaps", "namespaces", "secrets"):
            return DATA_STRATEGY
        if row.plural == "pods":
            return replace(PLAIN_STRATEGY, grace_seconds=_grace)
        if row.plural == "ipaddresses":
            return Strategy()
        if row.plural == "leases":
            return replace(DATA_STRATEGY, allow_create_on_update=True, allow_unconditional_update=False)
        if row.plural == "replicationcontrollers":
            return replace(PLAIN_STRATEGY, default_propagation="orphan")
        return PLAIN_STRATEGY


class Rig:
    """What a test has in hand."""

    def __init__(
        self, registry: Registry, core: Core, admission: NoAdmission, chance: Chance, kv: Embedded
    ) -> None:
        self.registry, self.core, self.admission, self.chance, self.kv = registry, core, admission, chance, kv
        self.seconds = START_SECONDS

    def op(
        self, plural: str, name: str = "", *, group: str = "", version: str = "v1", **more: Any
    ) -> Operation:
        row = self.core.catalog.row(group, version, plural)
        assert row is not None, plural
        namespace = more.pop("namespace", "default" if row.namespaced else "")
        options = Options(**{key: more.pop(key) for key in list(more) if key in Options.__slots__})
        return Operation(row, namespace=namespace, name=name, options=options, **more)

    async def create(self, plural: str, obj: Object, **more: Any) -> Object:
        op = self.op(plural, **more)
        done = await self.registry.create(op, obj)
        assert done.code == 201
        return body(done.body)

    async def get(self, plural: str, name: str, **more: Any) -> Object:
        return body((await self.registry.get(self.op(plural, name, **more))).body)


def body(found: bytes | Object) -> Object:
    """The answer as a dict."""
    return orjson.loads(found) if isinstance(found, bytes) else found


def run(test: Callable[[Rig], Awaitable[None]], **more: Any) -> None:
    """The test is run with a rig of its own."""

    async def with_rig() -> None:
        kv = await Embedded.open(None, heartbeat_ms=10, election_ms=50)
        try:
            admission, chance = NoAdmission(), Chance()
            storage = Storage(kv)
            cacher = Cacher(storage)
            await cacher.start()
            objects, catalog = Objects(storage), StandIns(ROWS)
            core = Core(objects, catalog, admission, managed_fields, cacher=cacher, chance=chance, **more)
            rig = Rig(Registry(core), core, admission, chance, kv)
            core.now_seconds = lambda: rig.seconds
            await test(rig)
            await cacher.close()
        finally:
            await kv.close()

    asyncio.run(with_rig())


async def refused(awaitable: Awaitable[Any]) -> ApiError:
    """The error that the call raises."""
    try:
        await awaitable
    except ApiError as error:
        return error
    raise AssertionError("it was not refused")


def config_map(name: str = "one", **data: str) -> Object:
    """A ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str = "web", **spec: Any) -> Object:
    """A pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "nginx"}], **spec},
    }
