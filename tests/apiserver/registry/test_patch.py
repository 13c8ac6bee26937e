"""Patches in four forms."""

from __future__ import annotations

import orjson

from tests.apiserver.registry.rig import Object, Rig, body, config_map, pod, refused, run

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


async def patched(rig: Rig, plural: str, name: str, patch_type: str, patch: object, **more: object) -> Object:
    """The answer of a patch."""
    text = patch if isinstance(patch, bytes) else orjson.dumps(patch)
    done = await rig.registry.patch(rig.op(plural, name, **more), patch_type, text)  # type: ignore[arg-type]
    return body(done.body)


def test_each_form_changes_what_it_says() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("pods", pod())
        made = await patched(
            rig, "pods", "web", MERGE, {"metadata": {"labels": {"a": "1"}}}, field_manager="m"
        )
        assert made["metadata"]["labels"] == {"a": "1"}
        made = await patched(
            rig, "pods", "web", JSON, [{"op": "replace", "path": "/metadata/labels/a", "value": "2"}]
        )
        assert made["metadata"]["labels"] == {"a": "2"}
        patch = {"spec": {"containers": [{"name": "side", "image": "x"}]}}
        made = await patched(rig, "pods", "web", STRATEGIC, patch)
        assert [each["name"] for each in made["spec"]["containers"]] == ["side", "main"]
        assert await rig.get("pods", "web") == made

    run(test)


def test_a_patch_may_name_the_version_that_it_is_for() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("configmaps", config_map())
        version = made["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version}, "data": {"a": "1"}}
        await patched(rig, "configmaps", "one", MERGE, patch)
        error = await refused(patched(rig, "configmaps", "one", MERGE, patch))
        assert (error.code, error.reason) == (409, "Conflict")

    run(test)


def test_a_patch_without_effect_writes_nothing() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("configmaps", config_map(a="1"))
        assert await patched(rig, "configmaps", "one", MERGE, {"data": {"a": "1"}}) == made
        assert await patched(rig, "configmaps", "one", MERGE, {}) == made

    run(test)


def test_bad_patches() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("pods", pod())
        error = await refused(patched(rig, "pods", "web", "text/plain", {}))
        assert (error.code, error.reason) == (415, "UnsupportedMediaType")
        error = await refused(patched(rig, "pods", "web", MERGE, b"{"))
        assert (error.code, error.reason) == (400, "BadRequest")
        assert error.message == "error decoding patch: unexpected end of JSON input"
        error = await refused(patched(rig, "pods", "none", MERGE, {}))
        assert (error.code, error.message) == (404, 'pods "none" not found')
        error = await refused(patched(rig, "pods", "web", MERGE, {"metadata": {"name": "other"}}))
        assert error.message == "the name of the object (other) does not match the name on the URL (web)"
        error = await refused(patched(rig, "pods", "web", JSON, [{"op": "remove", "path": "/spec/nothing"}]))
        assert error.code == 422
        error = await refused(
            patched(rig, "pods", "web", STRATEGIC, {"spec": {"foo": 1}}, field_validation="Strict")
        )
        assert error.code == 422
        assert error.message == (
            ' "" is invalid: patch: Invalid value: "map[spec:map[foo:1]]": strict decoding error: unknown field '
            '"spec.foo"'
        )

    run(test)


def test_unknown_and_double_fields_are_warned_of() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("pods", pod())
        op = rig.op("pods", "web")
        await rig.registry.patch(op, MERGE, b'{"spec":{"foo":1},"metadata":{"labels":{"a":"1","a":"2"}}}')
        assert op.warnings == ['duplicate field "metadata.labels.a"', 'unknown field "spec.foo"']
        op = rig.op("pods", "web", field_validation="Ignore")
        await rig.registry.patch(op, MERGE, b'{"spec":{"foo":1}}')
        assert op.warnings == []

    run(test)


def test_apply_creates_owns_conflicts_and_forces() -> None:
    async def test(rig: Rig) -> None:
        applied = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  a: '1'\n"
        asked = []
        op = rig.op("configmaps", "one", field_manager="ann", may_create=lambda: asked.append(1))
        done = await rig.registry.patch(op, APPLY, applied)
        assert (done.code, asked) == (201, [1])
        made = body(done.body)
        assert made["metadata"]["managedFields"][0] | {"fieldsV1": 0} == {
            "manager": "ann", "operation": "Apply", "apiVersion": "v1", "time": "2023-11-14T22:13:20Z",
            "fieldsType": "FieldsV1", "fieldsV1": 0,
        }  # fmt: skip
        rig.seconds += 9
        again = await rig.registry.patch(rig.op("configmaps", "one", field_manager="ann"), APPLY, applied)
        assert (again.code, body(again.body)) == (200, made)
        other = applied.replace(b"'1'", b"'2'")
        op = rig.op("configmaps", "one", field_manager="bob")
        error = await refused(rig.registry.patch(op, APPLY, other))
        assert (error.code, error.reason) == (409, "Conflict")
        assert error.details is not None
        assert error.details["causes"] == [
            {"reason": "FieldManagerConflict", "message": 'conflict with "ann"', "field": ".data.a"}
        ]
        op = rig.op("configmaps", "one", field_manager="bob", force=True)
        forced = body((await rig.registry.patch(op, APPLY, other)).body)
        assert forced["data"] == {"a": "2"}
        assert {each["manager"] for each in forced["metadata"]["managedFields"]} == {"bob"}

    run(test)


def test_a_lost_race_is_run_again() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("configmaps", config_map(a="1"))
        replace, races = rig.core.store.replace, [3]

        async def contested(*given: object) -> int | None:
            if races[0]:
                races[0] -= 1
                return None
            return await replace(*given)  # type: ignore[arg-type]

        rig.core.store.replace = contested  # type: ignore[method-assign]
        made = await patched(rig, "configmaps", "one", MERGE, {"data": {"b": "2"}})
        assert made["data"] == {"a": "1", "b": "2"}

    run(test)
