"""What an update may not do to the objects of the cluster, and what becomes of them."""

from __future__ import annotations

from typing import Any

import pytest

from kcore.api.kinds import STRATEGIES
from tests.api.kinds.cluster_samples import Object, binding, claim, definition, service, thing, volume
from tests.api.kinds.samples import CONTEXT, created, updated, updated_from


def _set(path: str, value: Any) -> Any:
    def change(obj: Object) -> None:
        *steps, last = path.split("/")
        for step in steps:
            obj = obj[int(step)] if isinstance(obj, list) else obj[step]
        if value is None:
            del obj[last]
        else:
            obj[last] = value

    return change


ALLOCATED = service(
    clusterIP="10.0.0.1", clusterIPs=["10.0.0.1"], ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack"
)
FIXED = thing("v1", "ConfigMap", data={"a": "b"}, immutable=True)
UPDATES: list[tuple[str, Object, Any, list[str]]] = [
    (
        "a cluster IP stays",
        ALLOCATED,
        lambda obj: obj["spec"].update(clusterIP="10.0.0.2", clusterIPs=["10.0.0.2"]),
        ['spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set'],
    ),
    (
        "a type of secret stays",
        thing("v1", "Secret", data={"a": "Yg=="}),
        _set("type", "example.com/a"),
        ['type: Invalid value: "example.com/a": field is immutable'],
    ),
    (
        "what is immutable stays",
        FIXED,
        lambda obj: obj.update(data={"a": "c"}, immutable=False),
        [
            "immutable: Forbidden: field is immutable when `immutable` is set",
            "data: Forbidden: field is immutable when `immutable` is set",
        ],
    ),
    (
        "a reference to a role stays",
        binding(),
        _set("roleRef/name", "edit"),
        [
            (
                'roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"edit"}: cannot '
                "change roleRef"
            )
        ],
    ),
    (
        "a priority stays",
        thing("scheduling.k8s.io/v1", "PriorityClass", cluster=True, value=1),
        _set("value", 2),
        ["value: Forbidden: may not be changed in an update."],
    ),
    (
        "parameters of a class of storage stay",
        thing("storage.k8s.io/v1", "StorageClass", cluster=True, provisioner="a.b/c", parameters={"a": "b"}),
        _set("parameters/a", "c"),
        ['parameters: Invalid value: {"a":"c"}: field is immutable'],
    ),
    (
        "ranges of pods stay",
        thing("v1", "Node", cluster=True, spec={"podCIDR": "10.0.0.0/24"}),
        lambda obj: obj["spec"].update(podCIDR="10.0.1.0/24", podCIDRs=["10.0.1.0/24"]),
        ['spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'],
    ),
    (
        "a claim may only ask for more",
        claim(),
        _set("spec/accessModes", ["ReadOnlyMany"]),
        [
            (
                "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName "
                "for bound claims\n"
                "@@ -1,6 +1,6 @@\n"
                " {\n"
                '  "AccessModes": [\n'
                '-  "ReadWriteOnce"\n'
                '+  "ReadOnlyMany"\n'
                "  ],\n"
                '  "Selector": null,\n'
                '  "Resources": {\n'
            )
        ],
    ),
    (
        "a source of a volume stays",
        volume(),
        _set("spec/hostPath/path", "/w"),
        [
            (
                "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n"
                "@@ -2,7 +2,7 @@\n"
                '  "GCEPersistentDisk": null,\n'
                '  "AWSElasticBlockStore": null,\n'
                '  "HostPath": {\n'
                '-  "Path": "/v",\n'
                '+  "Path": "/w",\n'
                '   "Type": ""\n'
                "  },\n"
                '  "Glusterfs": null,\n'
            )
        ],
    ),
    (
        "scopes of a quota stay",
        thing("v1", "ResourceQuota", spec={"hard": {"pods": "1"}}),
        _set("spec/scopes", ["BestEffort"]),
        ['spec.scopes: Invalid value: ["BestEffort"]: field is immutable'],
    ),
    (
        "a stored version stays among the versions",
        definition(),
        _set("spec/versions/0/name", "v2"),
        [
            (
                'status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was previously a storage '
                "version, and must remain in spec.versions until a storage migration ensures no data remains persisted in "
                "v1 and removes v1 from status.storedVersions"
            )
        ],
    ),
]


@pytest.mark.parametrize(
    ("obj", "change", "texts"), [each[1:] for each in UPDATES], ids=[each[0] for each in UPDATES]
)
def test_what_an_update_may_not_do(obj: Object, change: Any, texts: list[str]) -> None:
    assert updated(obj, change)[1] == texts


def test_a_claim_may_shrink_to_what_it_got() -> None:
    old = created(claim(resources={"requests": {"storage": "3Gi"}}))
    old["metadata"]["resourceVersion"] = "1"
    old["status"] = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    assert updated_from(old, _set("spec/resources/requests/storage", "2Gi"))[1] == []
    assert updated_from(old, _set("spec/resources/requests/storage", "1Gi"))[1] == [
        "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"
    ]


def test_a_service_that_becomes_an_external_name_gives_its_addresses_back() -> None:
    new, faults = updated(ALLOCATED, lambda obj: obj["spec"].update(type="ExternalName", externalName="a.b"))
    assert faults == []
    assert not {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"} & new["spec"].keys()


def test_a_namespace_begins_active_and_with_its_finalizer() -> None:
    made = created(thing("v1", "Namespace", cluster=True, status={"phase": "Terminating"}))
    assert made["spec"] == {"finalizers": ["kubernetes"]}
    assert made["status"] == {"phase": "Active"}
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "web"}


def test_text_of_a_secret_is_stored_as_data() -> None:
    made = created(thing("v1", "Secret", data={"a": "Yg=="}, stringData={"a": "c"}))
    assert made["data"] == {"a": "Yw=="}
    assert "stringData" not in made
    assert made["type"] == "Opaque"


def test_a_limit_is_what_a_container_asks_for_by_default() -> None:
    limit = {"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Gi"}}
    (made,) = created(thing("v1", "LimitRange", spec={"limits": [limit]}))["spec"]["limits"]
    assert made["default"] == {"cpu": "2"}
    assert made["defaultRequest"] == {"cpu": "2", "memory": "1Gi"}


def test_only_an_approval_adds_a_condition() -> None:
    obj = thing("certificates.k8s.io/v1", "CertificateSigningRequest", cluster=True, spec={})
    old = created(obj)
    old["metadata"]["resourceVersion"] = "1"
    condition = {"type": "Approved", "status": "True"}

    def approve(new: Object) -> None:
        new["status"] = {"conditions": [dict(condition)]}

    text = 'status.conditions: Forbidden: updates may not add a condition of type "Approved"'
    assert text in updated_from(old, approve, "status")[1]
    new, faults = updated_from(old, approve, "approval")
    assert text not in faults
    assert new["status"]["conditions"][0]["lastUpdateTime"] == CONTEXT.now
    assert updated_from(old, approve)[0]["status"] == {}


def test_an_event_goes_from_one_api_to_the_other_and_back() -> None:
    made = thing("v1", "Event", involvedObject={"kind": "Pod"}, message="m", reportingComponent="", count=1)
    made |= {"source": {}, "reportingInstance": "", "reason": "r"}
    convert = STRATEGIES["", "Event"].convert
    assert convert is not None
    there = dict(made)
    convert(there, "events.k8s.io/v1")
    assert there["regarding"] == {"kind": "Pod"}
    assert there["note"] == "m"
    assert there["deprecatedCount"] == 1
    convert(there, "v1")
    assert there == made
