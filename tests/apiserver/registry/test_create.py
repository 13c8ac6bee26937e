"""What a POST stores, and what it refuses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from kcore.api.apply import managed_fields
from kcore.api.rows import Row
from kcore.api.status import ApiError
from tests.apiserver.registry.rig import START, Rig, config_map, pod, refused, run


def test_the_object_is_stored_with_what_only_the_server_sets() -> None:
    async def test(rig: Rig) -> None:
        sent = config_map("one", a="b")
        sent["metadata"] |= {"uid": "mine", "creationTimestamp": "1999-01-01T00:00:00Z", "selfLink": "/x"}
        made = await rig.create("configmaps", sent, field_manager="tester")
        assert made["metadata"] | {"managedFields": 0} == {
            "name": "one", "namespace": "default", "uid": "uid-1", "creationTimestamp": START,
            "resourceVersion": made["metadata"]["resourceVersion"], "managedFields": 0,
        }  # fmt: skip
        assert made["metadata"]["managedFields"] == [
            {
                "manager": "tester", "operation": "Update", "apiVersion": "v1", "time": START,
                "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {".": {}, "f:a": {}}},
            }
        ]  # fmt: skip
        assert await rig.get("configmaps", "one") == made
        stored = await rig.kv.get(b"/registry/configmaps/default/one")
        assert stored is not None
        assert stored.value.startswith(b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one"')
        assert b"resourceVersion" not in stored.value
        assert made["metadata"]["resourceVersion"] == str(stored.mod_revision)

    run(test)


def test_a_name_is_taken_once() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("configmaps", config_map())
        error = await refused(rig.create("configmaps", config_map()))
        assert (error.code, error.reason) == (409, "AlreadyExists")
        assert error.message == 'configmaps "one" already exists'
        assert error.details == {"name": "one", "kind": "configmaps"}

    run(test)


def test_the_namespace_is_that_of_the_request() -> None:
    async def test(rig: Rig) -> None:
        sent = config_map()
        sent["metadata"]["namespace"] = "other"
        error = await refused(rig.create("configmaps", sent))
        assert (error.code, error.message) == (
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        )
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "namespace": "b"}}
        made = await rig.create("namespaces", space)
        assert "namespace" not in made["metadata"]

    run(test)


def test_a_generated_name_is_tried_again() -> None:
    async def test(rig: Rig) -> None:
        def sent() -> dict[str, object]:
            return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "gen-"}}

        rig.chance.suffixes = ["aaaaa", "aaaaa", "bbbbb"]
        first = await rig.create("configmaps", sent())
        second = await rig.create("configmaps", sent())
        assert [each["metadata"]["name"] for each in (first, second)] == ["gen-aaaaa", "gen-bbbbb"]
        rig.chance.suffixes = ["aaaaa"] * 8
        error = await refused(rig.create("configmaps", sent()))
        assert (
            error.message
            == 'configmaps "gen-aaaaa" already exists, the server was not able to generate a unique name for the object'
        )
        assert error.retry_after_seconds == 1
        assert rig.chance.suffixes == []

    run(test)


def test_a_long_base_is_shortened() -> None:
    async def test(rig: Rig) -> None:
        rig.chance.suffixes = ["ccccc"]
        sent = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x" * 70}}
        made = await rig.create("configmaps", sent)
        assert made["metadata"]["name"] == "x" * 58 + "ccccc"

    run(test)


def test_invalid_objects_are_not_stored() -> None:
    async def test(rig: Rig) -> None:
        error = await refused(rig.create("configmaps", config_map("Big")))
        assert (error.code, error.reason) == (422, "Invalid")
        assert error.message.startswith('ConfigMap "Big" is invalid: metadata.name: Invalid value: "Big": ')
        sent = config_map("versioned")
        sent["metadata"]["resourceVersion"] = "12"
        error = await refused(rig.create("configmaps", sent))
        assert (error.code, error.reason) == (500, "")
        assert error.message == "resourceVersion should not be set on objects to be created"
        assert (await rig.kv.range(b"/registry/", b"/registry0")).count == 0

    run(test)


def test_a_dry_run_answers_and_stores_nothing() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("configmaps", config_map(), dry_run=True)
        assert made["metadata"]["uid"] == "uid-1"
        assert "resourceVersion" not in made["metadata"]
        assert (await rig.kv.range(b"/registry/", b"/registry0")).count == 0
        await rig.create("configmaps", config_map())
        error = await refused(rig.create("configmaps", config_map(), dry_run=True))
        assert error.reason == "AlreadyExists"

    run(test)


def test_an_object_on_its_way_out_says_so() -> None:
    async def test(rig: Rig) -> None:
        held = config_map()
        held["metadata"]["finalizers"] = ["example.com/hold"]
        await rig.create("configmaps", held)
        await rig.registry.delete(rig.op("configmaps", "one"))
        error = await refused(rig.create("configmaps", config_map()))
        assert error.message == 'object is being deleted: configmaps "one" already exists'

    run(test)


def test_double_owners_are_warned_of() -> None:
    async def test(rig: Rig) -> None:
        owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}
        sent = config_map()
        sent["metadata"]["ownerReferences"] = [dict(owner), dict(owner)]
        op = rig.op("configmaps")
        await rig.registry.create(op, sent)
        assert sent["metadata"]["ownerReferences"] == [owner]
        assert op.warnings == [
            (
                ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and "
                "may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: u"
            )
        ]

    run(test)


def test_admission_is_asked_before_and_after_the_strategy() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("configmaps", config_map())
        assert rig.admission.seen == [("mutate", "CREATE", "one"), ("validate", "CREATE", "one")]

    run(test)


def test_the_manager_is_the_user_agent_where_none_is_named() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("configmaps", config_map(a="b"), user_agent="kubectl/v1.36 (linux)")
        assert made["metadata"]["managedFields"][0]["manager"] == "kubectl"

    run(test)


def test_an_object_that_is_too_large_loses_its_managed_fields() -> None:
    async def test(rig: Rig) -> None:
        create, sizes = rig.core.store.create, []

        async def limited(row: Row, namespace: str, name: str, value: bytes) -> int | None:
            sizes.append(len(value))
            if b"managedFields" in value:
                raise ApiError(500, "", "etcdserver: request is too large")
            return await create(row, namespace, name, value)

        rig.core.store.create = limited  # type: ignore[method-assign]
        made = await rig.create("configmaps", config_map(a="b"))
        assert "managedFields" not in made["metadata"]
        assert len(sizes) == 2

    run(test)


def test_objects_that_are_alike_have_the_same_owned_fields() -> None:
    async def test(rig: Rig) -> None:
        def sent(name: str, **labels: str) -> dict[str, Any]:
            made = pod(name)
            made["metadata"]["labels"] = labels
            return made

        worked_out = 0
        update = managed_fields.update

        def counted(*given: Any, **more: Any) -> None:
            nonlocal worked_out
            worked_out += 1
            update(*given, **more)

        rig.core.managed_fields = SimpleNamespace(update=counted)  # type: ignore[assignment]
        first = await rig.create("pods", sent("a", x="1"), field_manager="m")
        rig.seconds += 7
        second = await rig.create("pods", sent("b", x="1"), field_manager="m")
        third = await rig.create("pods", sent("c", y="1"), field_manager="m")
        fourth = await rig.create("pods", sent("d", x="1"), field_manager="n")
        assert worked_out == 3
        (one,), (two,) = first["metadata"]["managedFields"], second["metadata"]["managedFields"]
        assert (one["time"], two["time"]) == (START, "2023-11-14T22:13:27Z")
        assert {**one, "time": ""} == {**two, "time": ""}
        assert third["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"] == {
            "f:labels": {".": {}, "f:y": {}}
        }
        assert fourth["metadata"]["managedFields"][0]["manager"] == "n"

    run(test)
