"""What grows with the square of a body's size elsewhere is bounded here: told results, each of a body that is wide."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from kcore.api import status
from kcore.api.apply import entries
from kcore.api.patch import strategic
from kcore.api.patch.ordering import identity
from tests.apiserver.handled import Server

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
STRATEGIC = "application/strategic-merge-patch+json"


def config_map(**metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "wide", **metadata}}


def owners(count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"apiVersion": "v1", "kind": "X", "name": f"n{number}", "uid": f"u{number}", **more}
        for number in range(count)
    ]


def pod(**spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "i"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [container], **spec},
    }


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    made("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    assert made("POST", PODS, pod())[0] == 201
    yield made
    made.close()


def test_doubled_owners_are_there_once(server: Server) -> None:
    listed = owners(5000)
    code, made = server("POST", f"{MAPS}?dryRun=All", config_map(ownerReferences=[*listed, *listed[::100]]))
    assert code == 201
    assert made["metadata"]["ownerReferences"] == listed


def test_faults_that_each_show_the_whole_list_are_told_up_to_a_limit(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "FAULTS_BYTES_MAX", 100_000)
    body = config_map(ownerReferences=owners(500, controller=True))
    code, answer = server("POST", f"{MAPS}?dryRun=All", body)
    assert code == 422
    causes = answer["details"]["causes"]
    assert 0 < len(causes) < 499
    assert causes[0]["message"].endswith('Found "true" in references for X/n0 and X/n1')


def test_one_fault_is_told_however_long(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "FAULTS_BYTES_MAX", 10)
    code, answer = server("POST", MAPS, config_map(labels={"-" * 1000: ""}))
    assert (code, len(answer["details"]["causes"])) == (422, 1)


def test_a_patch_whose_items_all_have_one_key_ends(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategic, "MERGED_ITEMS_MAX", 1000)
    listed = [{"name": "c", "env": [{"name": f"E{number}", "value": "x"}]} for number in range(200)]
    code, answer = server("PATCH", f"{PODS}/p", {"spec": {"containers": listed}}, STRATEGIC)
    assert (code, answer["reason"]) == (413, "RequestEntityTooLarge")
    assert answer["message"].endswith("that a strategic merge patch merges is 1000")


def test_quota_scopes_that_cover_nothing(server: Server) -> None:
    hard = dict.fromkeys(("configmaps", "services", "cpu"), "1")
    body = {"metadata": {"name": "q"}, "spec": {"hard": hard, "scopes": ["BestEffort"] * 2000}}
    code, answer = server("POST", "/api/v1/namespaces/default/resourcequotas", body)
    assert code == 422
    assert "unsupported scope applied to resource" in answer["message"]


def test_equal_topologies_of_a_class(server: Server) -> None:
    term = {"matchLabelExpressions": [{"key": "zone", "values": ["a"]}]}
    body = {"metadata": {"name": "c"}, "provisioner": "a/b", "allowedTopologies": [term] * 2000}
    code, answer = server("POST", "/apis/storage.k8s.io/v1/storageclasses", body)
    assert code == 422
    first = answer["details"]["causes"][0]
    assert first["field"] == "allowedTopologies[1].matchLabelExpressions"
    assert first["reason"] == "FieldValueDuplicate"


def test_claims_once_as_a_whole_or_once_a_request(server: Server) -> None:
    claims = [
        {"name": "a", "request": "r"},
        {"name": "b"},
        {"name": "a", "request": "s"},
        {"name": "a"},
        {"name": "a"},
    ]
    container = {"name": "c", "image": "i", "resources": {"claims": claims}}
    listed = [{"name": name, "resourceClaimName": name} for name in "ab"]
    code, answer = server("POST", f"{PODS}?dryRun=All", pod(containers=[container], resourceClaims=listed))
    at = "spec.containers[0].resources.claims"
    assert code == 422
    assert [(each["field"], each["message"]) for each in answer["details"]["causes"]] == [
        (f"{at}[3]", 'Duplicate value: "a"'), (f"{at}[3]", 'Duplicate value: "a"'), (f"{at}[4]", 'Duplicate value: "a"'),
    ]  # fmt: skip


def test_constraints_that_are_there_again_later(server: Server) -> None:
    constraint = {"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule"}
    other = {**constraint, "topologyKey": "b"}
    body = pod(topologySpreadConstraints=[constraint, other, constraint])
    code, answer = server("POST", f"{PODS}?dryRun=All", body)
    assert code == 422
    assert [each["field"] for each in answer["details"]["causes"]] == [
        "spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}"
    ]


def one_by_one(items: list[Any]) -> list[Any]:
    """As upstream's uniqifyScalars: every pair is looked at."""
    made = [*items]
    first = 0
    while first < len(made) - 1:
        place = first + 1
        while place < len(made):
            if identity(made[first]) == identity(made[place]):
                last = made.pop()
                if place < len(made):
                    made[place] = last
            else:
                place += 1
        first += 1
    return made


def test_distinct_items_are_those_of_upstream_in_its_order() -> None:
    random = Random(1)
    for _ in range(2000):
        items = [random.choice(["a", "b", "c", "d", 1, 1.0, True]) for _ in range(random.randrange(12))]
        found, expected = strategic._distinct(items), one_by_one(items)
        assert [*map(identity, found)] == [*map(identity, expected)], items


def test_the_oldest_managers_own_together_what_each_owned() -> None:
    random = Random(2)
    for _ in range(200):
        managed = entries.decode([
            {
                "manager": random.choice([f"m{number}", entries.ANCIENT_CHANGES]), "operation": "Update",
                "apiVersion": random.choice(["v1", "v2"]), "time": f"2020-01-01T00:00:{random.randrange(60):02}Z",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {f"f:k{number}": {}}},
            }
            for number in range(random.randrange(40))
        ])  # fmt: skip
        twin = entries.Managed(dict(managed.owned), dict(managed.times))
        entries.cap_update_managers(managed)
        capped_one_by_one(twin)
        assert entries.encode(managed) == entries.encode(twin)


def capped_one_by_one(managed: entries.Managed) -> None:
    """As upstream's capUpdateManagers: every set is joined with all before it."""
    updaters = [who for who, owned in managed.owned.items() if not owned.applied]
    count = len(updaters)
    updaters.sort(key=lambda who: (managed.times.get(who) or "", who.identifier))
    first_of: dict[str, entries.Owner] = {}
    for who in updaters:
        if count <= entries.UPDATE_MANAGERS_MAX:
            return
        owned = managed.owned[who]
        bucket = entries.owner(entries.ANCIENT_CHANGES, "Update", owned.api_version, "")
        first = first_of.setdefault(owned.api_version, who)
        if first is who:
            continue
        if bucket not in managed.owned:
            managed.owned[bucket] = managed.owned.pop(first)
        joined = entries.sets.union(owned.fields, managed.owned[bucket].fields)
        managed.owned[bucket] = owned._replace(fields=joined)
        del managed.owned[who]
        count -= 1
        managed.times[bucket] = managed.times.get(who)
