"""What a PUT changes, and what stops it."""

from __future__ import annotations

from tests.apiserver.registry.rig import Rig, body, config_map, pod, refused, run

MODIFIED = (
    'Operation cannot be fulfilled on configmaps "one": the object has been modified; please apply your changes to '
    "the latest version and try again"
)


def test_an_update_keeps_what_only_the_server_sets() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("configmaps", config_map(a="1"), field_manager="first")
        rig.seconds += 60
        sent = config_map(a="2")
        sent["metadata"] |= {"creationTimestamp": "1999-01-01T00:00:00Z", "generation": 9}
        done = await rig.registry.update(rig.op("configmaps", "one", field_manager="second"), sent)
        changed = body(done.body)
        assert done.code == 200
        for name in ("uid", "creationTimestamp"):
            assert changed["metadata"][name] == made["metadata"][name]
        assert "generation" not in changed["metadata"]
        assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
        assert [each["manager"] for each in changed["metadata"]["managedFields"]] == ["first", "second"]
        assert await rig.get("configmaps", "one") == changed

    run(test)


def test_an_update_of_an_old_version_conflicts() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("configmaps", config_map(a="1"))
        await rig.registry.update(rig.op("configmaps", "one"), config_map(a="2"))
        made["data"]["a"] = "3"
        error = await refused(rig.registry.update(rig.op("configmaps", "one"), made))
        assert (error.code, error.reason, error.message) == (409, "Conflict", MODIFIED)

    run(test)


def test_an_update_that_changes_nothing_writes_nothing() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("configmaps", config_map(a="1"), field_manager="m")
        rig.seconds += 60
        done = await rig.registry.update(rig.op("configmaps", "one", field_manager="m"), config_map(a="1"))
        assert body(done.body) == made

    run(test)


def test_another_object_of_the_same_name_is_not_updated() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("configmaps", config_map())
        sent = config_map()
        sent["metadata"]["uid"] = "other"
        error = await refused(rig.registry.update(rig.op("configmaps", "one"), sent))
        assert (error.code, error.message) == (
            409,
            (
                'Operation cannot be fulfilled on configmaps "one": StorageError: invalid object, Code: 4, Key: '
                "/registry/configmaps/default/one, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in "
                "precondition: other, UID in object meta: uid-1"
            ),
        )

    run(test)


def test_names_must_agree() -> None:
    async def test(rig: Rig) -> None:
        error = await refused(rig.registry.update(rig.op("configmaps", "two"), config_map("one")))
        assert error.message == "the name of the object (one) does not match the name on the URL (two)"
        nameless = config_map()
        del nameless["metadata"]["name"]
        error = await refused(rig.registry.update(rig.op("configmaps", "two"), nameless))
        assert (
            error.message
            == "the name of the object (two based on URL) was undeterminable: name must be provided"
        )
        error = await refused(rig.registry.update(rig.op("configmaps", "one"), config_map()))
        assert (error.code, error.message) == (404, 'configmaps "one" not found')

    run(test)


def test_a_lease_is_created_by_a_put_and_needs_a_version_then() -> None:
    async def test(rig: Rig) -> None:
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "l"},
            "spec": {},
        }

        def op() -> object:
            return rig.op("leases", "l", group="coordination.k8s.io")

        asked = []
        first = rig.op("leases", "l", group="coordination.k8s.io", may_create=lambda: asked.append(1))
        done = await rig.registry.update(first, {**lease, "metadata": {"name": "l"}})
        assert (done.code, asked) == (201, [1])
        error = await refused(rig.registry.update(op(), {**lease, "metadata": {"name": "l"}}))
        assert (error.code, error.reason) == (422, "Invalid")
        assert error.message == (
            'leases.coordination.k8s.io "l" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified '
            "for an update"
        )
        done = await rig.registry.update(op(), body(done.body))
        assert done.code == 200

    run(test)


def test_status_is_written_by_its_own_path_alone() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("pods", pod(), field_manager="m")
        sent = pod() | {"status": {"phase": "Running"}}
        sent["spec"]["nodeName"] = "n"
        done = body((await rig.registry.update(rig.op("pods", "web", subresource="status"), sent)).body)
        assert done["status"] == {"phase": "Running"}
        assert "nodeName" not in done["spec"]
        sent = pod() | {"status": {"phase": "Failed"}}
        done = body((await rig.registry.update(rig.op("pods", "web"), sent)).body)
        assert done["status"] == {"phase": "Running"}
        assert {entry.get("subresource", "") for entry in done["metadata"]["managedFields"]} == {"", "status"}

    run(test)


def test_metadata_that_is_immutable() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("configmaps", config_map())
        made["metadata"]["labels"] = {"a": "not valid!"}
        error = await refused(rig.registry.update(rig.op("configmaps", "one"), made))
        assert error.code == 422
        assert error.message.startswith(
            'ConfigMap "one" is invalid: metadata.labels: Invalid value: "not valid!": '
        )

    run(test)


def test_the_last_finalizer_ends_the_object() -> None:
    async def test(rig: Rig) -> None:
        held = config_map()
        held["metadata"]["finalizers"] = ["example.com/a", "example.com/b"]
        await rig.create("configmaps", held)
        await rig.registry.delete(rig.op("configmaps", "one"))
        going = await rig.get("configmaps", "one")
        assert going["metadata"]["deletionGracePeriodSeconds"] == 0
        more = {
            **going,
            "metadata": {
                **going["metadata"],
                "finalizers": ["example.com/c", *held["metadata"]["finalizers"]],
            },
        }
        error = await refused(rig.registry.update(rig.op("configmaps", "one"), more))
        assert "no new finalizers can be added if the object is being deleted" in error.message
        going["metadata"]["finalizers"] = ["example.com/b"]
        going = body((await rig.registry.update(rig.op("configmaps", "one"), going)).body)
        assert "deletionTimestamp" in going["metadata"]
        del going["metadata"]["finalizers"]
        done = await rig.registry.update(rig.op("configmaps", "one"), going)
        assert (done.code, body(done.body)["metadata"]["name"]) == (200, "one")
        assert (await refused(rig.get("configmaps", "one"))).code == 404

    run(test)


def test_a_dry_run_changes_nothing() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("configmaps", config_map(a="1"))
        done = body(
            (await rig.registry.update(rig.op("configmaps", "one", dry_run=True), config_map(a="2"))).body
        )
        assert done["data"] == {"a": "2"}
        assert done["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        assert await rig.get("configmaps", "one") == made

    run(test)


def test_who_may_not_create_does_not_by_a_put() -> None:
    async def test(rig: Rig) -> None:
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "l"},
            "spec": {},
        }
        op = rig.op("leases", "l", group="coordination.k8s.io", may_create=lambda: 'User "u" cannot')
        error = await refused(rig.registry.update(op, lease))
        assert (error.code, error.message) == (
            403,
            'leases.coordination.k8s.io "l" is forbidden: User "u" cannot',
        )
        assert (await rig.kv.range(b"/registry/leases/", b"/registry/leases0")).count == 0

    run(test)
