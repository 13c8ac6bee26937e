"""managedFields after creates, updates and scaling. Tests are named as sentences."""

from __future__ import annotations

from typing import Any

import pytest

from kcore.api import schema
from kcore.api.apply import scale
from tests.api.apply_world import World, conflict_of

# Updates


def test_a_create_owns_all_fields_and_the_levels_above_them() -> None:
    world = World().update("ctl", {"items": [{"name": "a"}], "labels": {"x": "y"}, "nested": {"inner": {}}})
    assert world.owners() == {
        "ctl/Update": {
            "f:items": {".": {}, 'k:{"name":"a"}': {".": {}, "f:name": {}}},
            "f:labels": {".": {}, "f:x": {}},
            "f:nested": {".": {}, "f:inner": {}},
        }
    }


def test_an_update_takes_what_it_changes_from_all_others() -> None:
    world = World().apply("one", {"numeric": 1, "string": "s"}).update("ctl", {"numeric": 2, "string": "s"})
    assert world.owners() == {"one/Apply": {"f:string": {}}, "ctl/Update": {"f:numeric": {}}}


def test_an_update_that_removes_a_field_leaves_it_to_nobody() -> None:
    world = World().apply("one", {"numeric": 1, "string": "s"}).update("ctl", {"string": "s"})
    assert world.owners() == {"one/Apply": {"f:string": {}}}


def test_an_owner_of_nothing_has_no_entry() -> None:
    world = World().apply("one", {"numeric": 1}).update("ctl", {"numeric": 2})
    assert world.owners() == {"ctl/Update": {"f:numeric": {}}}


def test_an_update_that_changes_nothing_changes_no_entry() -> None:
    world = World().update("ctl", {"numeric": 1})
    before = world.entries()
    world.update("other", {"numeric": 1}).update("ctl", {"numeric": 1})
    assert world.entries() == before


def test_a_second_update_of_one_manager_joins_the_first() -> None:
    world = World().update("ctl", {"numeric": 1}).update("ctl", {"numeric": 1, "string": "s"})
    assert world.entries() == [
        {
            "manager": "ctl", "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:02Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:numeric": {}, "f:string": {}},
        }
    ]  # fmt: skip


def test_metadata_that_the_server_sets_belongs_to_nobody() -> None:
    world = World().update("ctl", {"metadata": {"name": "n", "labels": {"a": "b"}}})
    assert world.owners() == {"ctl/Update": {"f:metadata": {"f:labels": {".": {}, "f:a": {}}}}}


def test_a_manager_without_a_name_is_unknown() -> None:
    assert list(World().update("", {"numeric": 1}).owners()) == ["unknown/Update"]


def test_reset_fields_belong_to_nobody() -> None:
    world = World(reset_fields=("nested.inner",)).update("ctl", {"numeric": 1, "nested": {"inner": {"x": 1}}})
    assert world.owners() == {"ctl/Update": {"f:nested": {}, "f:numeric": {}}}
    world.apply("one", {"nested": {"inner": {"x": 7}}, "string": "s"})
    assert world.owners()["one/Apply"] == {"f:string": {}}


def test_the_eleventh_updater_makes_the_two_oldest_ancient() -> None:
    world = World().update("c00", {"labels": {"l00": ""}})
    for number in range(1, 11):
        assert world.live is not None
        world.update(f"c{number:02}", {"labels": {**world.live["labels"], f"l{number:02}": ""}})
    assert [each["manager"] for each in world.entries()] == [
        "ancient-changes",
        *(f"c{n:02}" for n in range(2, 11)),
    ]
    ancient = world.entries()[0]
    assert ancient["fieldsV1"] == {"f:labels": {".": {}, "f:l00": {}, "f:l01": {}}}
    assert ancient["time"] == "2026-01-01T00:00:02Z"


def test_entries_are_in_order_of_operation_time_and_manager() -> None:
    world = (
        World()
        .update("z", {"numeric": 1})
        .update("a", {"numeric": 1, "string": "s"})
        .apply("m", {"tags": ["t"]})
    )
    assert [each["manager"] for each in world.entries()] == ["m", "z", "a"]
    assert list(world.entries()[0]) == [
        "manager",
        "operation",
        "apiVersion",
        "time",
        "fieldsType",
        "fieldsV1",
    ]


@pytest.mark.parametrize("given", [[], [{}]])
def test_an_empty_list_of_managed_fields_forgets_all_owners(given: list[Any]) -> None:
    world = (
        World()
        .update("ctl", {"numeric": 1})
        .update("ctl", {"numeric": 1, "metadata": {"managedFields": given}})
    )
    assert world.entries() == []
    world.update("ctl", {"numeric": 2})
    assert world.entries() == []  # not tracked until someone applies
    world.apply("one", {"string": "s"})
    assert world.owners() == {"before-first-apply/Update": {"f:numeric": {}}, "one/Apply": {"f:string": {}}}


def test_malformed_managed_fields_are_those_of_before() -> None:
    world = World().update("ctl", {"numeric": 1})
    before = world.entries()
    world.update("ctl", {"numeric": 1, "metadata": {"managedFields": [{"operation": "Nope"}]}})
    assert world.entries() == before


def test_managed_fields_of_the_request_count_where_they_are_sound() -> None:
    world = World().update("ctl", {"numeric": 1, "string": "s"})
    entry = {**world.entries()[0], "manager": "renamed"}
    world.update("ctl", {"numeric": 1, "string": "s", "metadata": {"managedFields": [entry]}})
    assert world.owners() == {"renamed/Update": {"f:numeric": {}, "f:string": {}}}


def test_managed_fields_are_not_set_through_a_subresource() -> None:
    world = World().update("ctl", {"numeric": 1})
    entry = {**world.entries()[0], "manager": "renamed"}
    more = {"numeric": 1, "string": "s", "metadata": {"managedFields": [entry]}}
    world.update("status-ctl", more, subresource="status")
    assert list(world.owners()) == ["ctl/Update", "status-ctl/Update"]
    assert world.entries()[1]["subresource"] == "status"


def test_an_object_that_cannot_be_walked_loses_its_managed_fields() -> None:
    world = World().update("ctl", {"numeric": 1}).update("ctl", {"numeric": 1, "items": [{"value": 1}]})
    assert world.entries() == []


def test_duplicates_of_an_updater_are_one_field_until_an_applier_sets_the_item() -> None:
    world = World().update("ctl", {"items": [{"name": "a", "value": 1}, {"name": "a", "value": 2}]})
    assert world.owners() == {"ctl/Update": {"f:items": {".": {}, 'k:{"name":"a"}': {}}}}
    world.apply("one", {"items": [{"name": "a", "value": 3}]}, force=True)
    assert world.has() == {"items": [{"name": "a", "value": 3}]}


# Built-in kinds


def deployment() -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [
                        {
                            "name": "nginx",
                            "image": "nginx",
                            "ports": [{"containerPort": 80, "protocol": "TCP"}],
                            "resources": {},
                        }
                    ],
                    "securityContext": {},
                },
            },
        },
        "status": {},
    }


def apps() -> World:
    node = schema.load().node("io.k8s.api.apps.v1.Deployment")
    return World(node, "Deployment", "apps/v1", reset_fields=("status",))


def test_a_deployment_has_the_managed_fields_of_a_real_one() -> None:
    world = apps().update("kubectl-create", deployment())
    assert world.owners() == {
        "kubectl-create/Update": {
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {
                "f:replicas": {},
                "f:selector": {},
                "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}},
                "f:template": {
                    "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                    "f:spec": {
                        "f:containers": {
                            'k:{"name":"nginx"}': {
                                ".": {},
                                "f:image": {},
                                "f:name": {},
                                "f:ports": {
                                    ".": {},
                                    'k:{"containerPort":80,"protocol":"TCP"}': {
                                        ".": {}, "f:containerPort": {}, "f:protocol": {},
                                    },
                                },
                                "f:resources": {},
                            }
                        },
                        "f:securityContext": {},
                    },
                },
            },
        }
    }  # fmt: skip


def test_a_port_without_protocol_is_that_of_tcp() -> None:
    world = apps().update("kubectl-create", deployment())
    ports = [{"containerPort": 80, "name": "http"}]
    containers = [{"name": "nginx", "ports": ports}]
    world.apply(
        "one", {"metadata": {"name": "web"}, "spec": {"template": {"spec": {"containers": containers}}}}
    )
    assert world.live is not None
    merged = world.live["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert merged == [{"containerPort": 80, "protocol": "TCP", "name": "http"}]


def test_scaling_a_deployment_and_applying_it_conflict_over_replicas() -> None:
    world = apps().update("kubectl-create", deployment())
    error = conflict_of(world, "gitops", {"metadata": {"name": "web"}, "spec": {"replicas": 5}})
    assert error.message == (
        'Apply failed with 1 conflict: conflict with "kubectl-create" using apps/v1: .spec.replicas'
    )


def test_fields_that_go_always_writes_are_what_a_create_is_compared_with() -> None:
    from kcore_native.fieldset.shape import shape_of

    node = schema.load().node("io.k8s.api.apps.v1.Deployment")
    template = {"metadata": {}, "spec": {"containers": None}}
    zero = {"metadata": {}, "spec": {"selector": {}, "strategy": {}, "template": template}, "status": {}}
    assert shape_of(node).zero == zero


# Scale

REPLICAS = {"apps/v1": "spec.replicas"}


def test_the_owner_of_replicas_is_the_owner_of_the_scale() -> None:
    world = apps().update("kubectl-create", deployment()).apply("one", {"metadata": {"labels": {"x": "y"}}})
    assert scale.to_subresource(world.entries(), REPLICAS) == [
        {
            "manager": "kubectl-create", "operation": "Update", "apiVersion": "autoscaling/v1", "time": "2026-01-01T00:00:01Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}},
        }
    ]  # fmt: skip


def test_whoever_scales_takes_replicas_from_their_owner() -> None:
    world = apps().apply("one", {"metadata": {"name": "web"}, "spec": {"replicas": 1, "paused": True}})
    entry = {
        "manager": "kubectl", "operation": "Update", "apiVersion": "autoscaling/v1", "time": "2026-01-02T00:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}, "subresource": "scale",
    }  # fmt: skip
    made = scale.to_parent(world.entries(), [entry], "apps/v1", REPLICAS)
    assert [(each["manager"], each["fieldsV1"]) for each in made] == [
        ("one", {"f:spec": {"f:paused": {}}}),
        ("kubectl", {"f:spec": {"f:replicas": {}}}),
    ]
    assert made[1] == {
        "manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:replicas": {}}}, "subresource": "scale",
    }  # fmt: skip


def test_an_applier_that_keeps_replicas_in_the_scale_keeps_its_entry() -> None:
    world = apps().apply("one", {"metadata": {"name": "web"}, "spec": {"replicas": 1, "paused": True}})
    entries = world.entries()
    assert scale.to_parent(entries, scale.to_subresource(entries, REPLICAS), "apps/v1", REPLICAS) == entries


def test_what_has_no_type_of_its_own_is_owned_as_a_whole() -> None:
    world = World(
        schema.load().node("io.k8s.api.apps.v1.ControllerRevision"), "ControllerRevision", "apps/v1"
    )
    world.update("ctl", {"data": {"spec": {"template": {"$patch": "replace"}}}, "revision": 1})
    assert world.owners() == {"ctl/Update": {"f:data": {}, "f:revision": {}}}
