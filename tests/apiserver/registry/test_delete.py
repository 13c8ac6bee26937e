"""What a DELETE leaves."""

from __future__ import annotations

from kcore.apiserver.operation import Operation
from kcore.apiserver.registry.core import Hooks
from tests.apiserver.registry.rig import Object, Rig, body, config_map, pod, refused, run


async def deleted(rig: Rig, op: Operation, **options: object) -> tuple[int, Object]:
    """Code and answer of a deletion."""
    done = await rig.registry.delete(op, options)
    return done.code, body(done.body)


def test_an_object_goes_at_once_and_the_answer_says_which() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("configmaps", config_map())
        code, answer = await deleted(rig, rig.op("configmaps", "one"))
        assert (code, answer) == (
            200,
            {
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": {"name": "one", "kind": "configmaps", "uid": "uid-1"},
            },
        )  # fmt: skip
        error = await refused(deleted(rig, rig.op("configmaps", "one")))
        assert (error.code, error.message) == (404, 'configmaps "one" not found')

    run(test)


def test_a_pod_without_a_node_goes_at_once() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("pods", pod(terminationGracePeriodSeconds=30))
        code, answer = await deleted(rig, rig.op("pods", "web"))
        assert code == 200
        assert answer["metadata"]["uid"] == made["metadata"]["uid"]
        assert answer["metadata"]["deletionGracePeriodSeconds"] == 0
        assert answer["metadata"]["generation"] == 2
        assert (await refused(rig.get("pods", "web"))).code == 404

    run(test)


def test_a_pod_on_a_node_gets_its_grace_which_may_be_shortened() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("pods", pod(terminationGracePeriodSeconds=30, nodeName="n"))
        _, answer = await deleted(rig, rig.op("pods", "web"))
        assert answer["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:50Z"
        assert answer["metadata"]["deletionGracePeriodSeconds"] == 30
        rig.seconds += 5
        _, again = await deleted(rig, rig.op("pods", "web"))
        assert again == answer
        _, longer = await deleted(rig, rig.op("pods", "web"), gracePeriodSeconds=60)
        assert longer == answer
        _, shorter = await deleted(rig, rig.op("pods", "web"), gracePeriodSeconds=10)
        assert shorter["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:30Z"
        assert shorter["metadata"]["deletionGracePeriodSeconds"] == 10
        rig.seconds += 20
        _, past = await deleted(rig, rig.op("pods", "web"), gracePeriodSeconds=5)
        assert past["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:45Z"
        assert past["metadata"]["deletionGracePeriodSeconds"] == 1
        _, forced = await deleted(rig, rig.op("pods", "web"), gracePeriodSeconds=0)
        assert forced["metadata"]["deletionGracePeriodSeconds"] == 0
        assert (await refused(rig.get("pods", "web"))).code == 404

    run(test)


def test_finalizers_keep_the_object() -> None:
    async def test(rig: Rig) -> None:
        held = config_map()
        held["metadata"]["finalizers"] = ["example.com/hold"]
        await rig.create("configmaps", held)
        code, answer = await deleted(rig, rig.op("configmaps", "one"))
        assert code == 200
        assert answer["kind"] == "ConfigMap"
        assert answer["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:20Z"
        assert await rig.get("configmaps", "one") == answer
        code, _ = await deleted(rig, rig.op("configmaps", "one"), orphanDependents=False)
        assert code == 202

    run(test)


def test_propagation_is_a_finalizer() -> None:
    async def test(rig: Rig) -> None:
        for policy, expected in (("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"])):
            await rig.create("configmaps", config_map(policy.lower()))
            _, answer = await deleted(rig, rig.op("configmaps", policy.lower()), propagationPolicy=policy)
            assert answer["metadata"]["finalizers"] == expected
        await rig.create("configmaps", config_map("old"))
        _, answer = await deleted(rig, rig.op("configmaps", "old"), orphanDependents=True)
        assert answer["metadata"]["finalizers"] == ["orphan"]
        # the second thought of a client counts
        _, answer = await deleted(rig, rig.op("configmaps", "old"), propagationPolicy="Background")
        assert answer["status"] == "Success"
        assert (await refused(rig.get("configmaps", "old"))).code == 404

    run(test)


def test_a_replication_controller_leaves_its_pods() -> None:
    async def test(rig: Rig) -> None:
        sent = {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "rc"}, "spec": {}}
        await rig.create("replicationcontrollers", sent)
        _, answer = await deleted(rig, rig.op("replicationcontrollers", "rc"))
        assert answer["metadata"]["finalizers"] == ["orphan"]
        _, answer = await deleted(rig, rig.op("replicationcontrollers", "rc"), propagationPolicy="Background")
        assert answer["status"] == "Success"

    run(test)


def test_preconditions() -> None:
    async def test(rig: Rig) -> None:
        made = await rig.create("configmaps", config_map())
        op = rig.op("configmaps", "one")
        error = await refused(deleted(rig, op, preconditions={"uid": "x"}))
        assert (error.code, error.reason) == (409, "Conflict")
        assert error.message == (
            'Operation cannot be fulfilled on ConfigMap "one": the UID in the precondition (x) does not match the UID '
            "in record (uid-1). The object might have been deleted and then recreated"
        )
        error = await refused(deleted(rig, op, preconditions={"resourceVersion": "1"}))
        assert error.message == (
            'Operation cannot be fulfilled on ConfigMap "one": the ResourceVersion in the precondition (1) does not '
            f"match the ResourceVersion in record ({made['metadata']['resourceVersion']}). The object might have been "
            "modified"
        )
        version = made["metadata"]["resourceVersion"]
        code, _ = await deleted(rig, op, preconditions={"uid": "uid-1", "resourceVersion": version})
        assert code == 200

    run(test)


def test_options_that_make_no_sense() -> None:
    async def test(rig: Rig) -> None:
        op = rig.op("configmaps", "one")
        error = await refused(deleted(rig, op, propagationPolicy="Sideways"))
        assert error.message == (
            'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Sideways": supported '
            'values: "Foreground", "Background", "Orphan", "nil"'
        )
        error = await refused(deleted(rig, op, propagationPolicy="Orphan", orphanDependents=True))
        assert error.message.endswith("orphanDependents and deletionPropagation cannot be both set")
        error = await refused(deleted(rig, op, dryRun=["Some"]))
        assert error.message == (
            'DeleteOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All"'
        )

    run(test)


def test_a_dry_run_deletes_nothing() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("configmaps", config_map())
        await rig.create("pods", pod(nodeName="n", terminationGracePeriodSeconds=30))
        for plural, name in (("configmaps", "one"), ("pods", "web")):
            before = await rig.get(plural, name)
            code, _ = await deleted(rig, rig.op(plural, name), dryRun=["All"])
            assert code == 200
            assert await rig.get(plural, name) == before

    run(test)


def test_a_namespace_terminates_until_it_is_finalized() -> None:
    async def test(rig: Rig) -> None:
        rig.core.hooks = {
            ("", "namespaces"): Hooks(ends_by_update=lambda obj: not obj["spec"].get("finalizers"))
        }
        sent = {
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}, "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        }  # fmt: skip
        await rig.create("namespaces", sent)
        _, answer = await deleted(rig, rig.op("namespaces", "a"))
        assert answer["status"] == {"phase": "Terminating"}
        assert "deletionGracePeriodSeconds" not in answer["metadata"]
        _, again = await deleted(rig, rig.op("namespaces", "a"))
        assert again == answer
        again["spec"] = {}
        done = await rig.registry.update(rig.op("namespaces", "a"), again)
        assert done.code == 200
        assert (await refused(rig.get("namespaces", "a"))).code == 404

    run(test)


def test_deleting_a_job_warns_that_its_pods_stay() -> None:
    async def test(rig: Rig) -> None:
        sent = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {}}
        await rig.create("jobs", sent, group="batch")
        op = rig.op("jobs", "j", group="batch")
        await rig.registry.delete(op, {})
        assert op.warnings == [
            (
                "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove "
                "them or set propagationPolicy=Orphan to suppress this warning"
            )
        ]

    run(test)


def test_admission_sees_the_object_that_goes() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("configmaps", config_map(a="b"))
        rig.admission.seen.clear()
        seen = []
        rig.admission.refuse = lambda phase, op, obj, old: seen.append((phase, obj, (old or {})["data"]))
        await deleted(rig, rig.op("configmaps", "one"))
        assert seen == [("mutate", None, {"a": "b"}), ("validate", None, {"a": "b"})]

    run(test)
