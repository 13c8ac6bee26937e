"""One object under random writes, beside the naive model of its life."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kcore.api.apply import managed_fields
from kcore.api.resources import ROWS
from kcore.api.status import ApiError
from kcore.apiserver.registry import Registry
from kcore.apiserver.registry.core import Core
from kcore.apiserver.registry.objects import Objects
from kcore.apiserver.storage import Storage
from kcore.store.embedded import Embedded
from tests.apiserver.registry.rig import START_SECONDS, Chance, NoAdmission, Object, Rig, StandIns, body
from tests.naive.object_life import Life

pytestmark = pytest.mark.differential

DATA = st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"), max_size=2)
FINALIZERS = st.lists(st.sampled_from(["example.com/a", "example.com/b", "orphan"]), unique=True, max_size=2)


class Lives(RuleBasedStateMachine):
    """Each step is done by the registry and by the model; codes and objects agree."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.kv = self.run(Embedded.open(None, heartbeat_ms=10, election_ms=50))
        storage, admission, chance = Storage(self.kv), NoAdmission(), Chance()
        core = Core(
            Objects(storage), StandIns(ROWS), admission, managed_fields,
            now_seconds=lambda: START_SECONDS, chance=chance,
        )  # fmt: skip
        self.rig = Rig(Registry(core), core, admission, chance, self.kv)
        self.life = Life()
        self.versions: dict[int, str] = {}  # of the model's version: the real one
        self.written = 0

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def code(self, work: Coroutine[Any, Any, Any]) -> int:
        """The code of the answer, or of the error."""
        try:
            return int(self.run(work).code)
        except ApiError as error:
            return error.code

    def sent(self, data: dict[str, str], finalizers: list[str], **metadata: Any) -> Object:
        """A ConfigMap as a client sends it, without empty members."""
        obj: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", **metadata}}
        if finalizers:
            obj["metadata"]["finalizers"] = list(finalizers)
        if data:
            obj["data"] = dict(data)
        return obj

    @rule(data=DATA, finalizers=FINALIZERS)
    def create(self, data: dict[str, str], finalizers: list[str]) -> None:
        code = self.code(self.rig.registry.create(self.rig.op("configmaps"), self.sent(data, finalizers)))
        assert code == self.life.create(f"uid-{self.rig.chance.count}", data, finalizers)

    @rule(data=DATA, finalizers=FINALIZERS, back=st.integers(0, 2), pinned=st.booleans())
    def update(self, data: dict[str, str], finalizers: list[str], back: int, pinned: bool) -> None:
        version = max(self.life.version - back, 1) if pinned else None
        more = {"resourceVersion": self.versions.get(version, "1")} if version is not None else {}
        sent = self.sent(data, finalizers, **more)
        code = self.code(self.rig.registry.update(self.rig.op("configmaps", "one"), sent))
        assert code == self.life.update(version, data, finalizers)

    @rule(policy=st.sampled_from([None, "Orphan", "Foreground", "Background"]), stranger=st.booleans())
    def delete(self, policy: str | None, stranger: bool) -> None:
        uid = "other" if stranger else None
        options: Object = {"preconditions": {"uid": uid}} if uid else {}
        if policy:
            options["propagationPolicy"] = policy
        code = self.code(self.rig.registry.delete(self.rig.op("configmaps", "one"), options))
        assert code == self.life.delete(uid, policy)

    @invariant()
    def they_agree(self) -> None:
        stored = self.run(self.kv.get(b"/registry/configmaps/default/one"))
        assert (stored is None) == (self.life.uid is None)
        if stored is None:
            return
        found = body(self.run(self.rig.registry.get(self.rig.op("configmaps", "one"))).body)
        metadata = found["metadata"]
        assert metadata["uid"] == self.life.uid
        assert found.get("data", {}) == self.life.data
        assert metadata.get("finalizers", []) == self.life.finalizers
        assert ("deletionTimestamp" in metadata) == self.life.going
        known = self.versions.setdefault(self.life.version, metadata["resourceVersion"])
        assert metadata["resourceVersion"] == known, (
            "written where nothing changed, or not where something did"
        )

    def teardown(self) -> None:
        self.run(self.kv.close())
        self.loop.close()


Lives.TestCase.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLives = Lives.TestCase
