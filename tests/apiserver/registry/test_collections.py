"""DELETE of a collection, and rows whose store holds another version."""

from __future__ import annotations

from dataclasses import replace

from kcore.api.strategy import Strategy
from kcore.apiserver.list_options import ListOptions, from_query
from tests.apiserver.registry.rig import DATA_STRATEGY, Object, Rig, body, config_map, refused, run


def test_what_matches_is_deleted_and_listed() -> None:
    async def test(rig: Rig) -> None:
        for name, label in (("a", "x"), ("b", "x"), ("c", "y")):
            sent = config_map(name)
            sent["metadata"]["labels"] = {"l": label}
            await rig.create("configmaps", sent)
        await rig.create("configmaps", config_map("a"), namespace="other")
        op = rig.op("configmaps")
        options = from_query(op.row, [("labelSelector", "l=x")])
        done = await rig.registry.delete_collection(op, options)
        answer = body(done.body)
        assert (done.code, answer["kind"], answer["apiVersion"]) == (200, "ConfigMapList", "v1")
        assert [item["metadata"]["name"] for item in answer["items"]] == ["a", "b"]
        assert (await refused(rig.get("configmaps", "a"))).code == 404
        await rig.get("configmaps", "c")
        await rig.get("configmaps", "a", namespace="other")

    run(test)


def test_a_dry_run_and_a_refusal_leave_all_there() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("configmaps", config_map("a"))
        await rig.registry.delete_collection(rig.op("configmaps", dry_run=True), ListOptions())
        await rig.get("configmaps", "a")
        error = await refused(
            rig.registry.delete_collection(
                rig.op("configmaps"), ListOptions(), {"preconditions": {"uid": "other"}}
            )
        )
        assert error.code == 409
        await rig.get("configmaps", "a")

    run(test)


def convert(obj: Object, api_version: str) -> None:
    """Events of either group: ``message`` is ``note`` in the other."""
    old, new = ("note", "message") if api_version == "v1" else ("message", "note")
    if old in obj:
        obj[new] = obj.pop(old)


def test_events_of_both_groups_are_one() -> None:
    async def test(rig: Rig) -> None:
        events: Strategy = replace(DATA_STRATEGY, convert=convert)
        catalog = rig.core.catalog
        found = catalog.strategy
        catalog.strategy = lambda row: events if row.kind == "Event" else found(row)  # type: ignore[method-assign]
        sent = {
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "note": "hello",
        }  # fmt: skip
        made = await rig.create("events", sent, group="events.k8s.io", field_manager="m")
        assert (made["apiVersion"], made["note"]) == ("events.k8s.io/v1", "hello")
        core = await rig.get("events", "e")
        assert (core["apiVersion"], core["message"]) == ("v1", "hello")
        assert core["metadata"]["managedFields"][0]["apiVersion"] == "events.k8s.io/v1"
        assert "f:note" in core["metadata"]["managedFields"][0]["fieldsV1"]
        op = rig.op("events", "e", group="events.k8s.io")
        done = await rig.registry.patch(op, "application/merge-patch+json", b'{"note":"again"}')
        assert body(done.body)["note"] == "again"
        assert (await rig.get("events", "e"))["message"] == "again"
        kv = await rig.kv.get(b"/registry/events/default/e")
        assert kv is not None
        assert kv.lease != 0

    run(test)
