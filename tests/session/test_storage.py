"""Volumes and claims that are bound, at once or late, kept while they are used and released; claims that pods bring."""

from __future__ import annotations

from typing import Any

from tests.session.user import Object, User, names, pod_spec

REQUEST = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def volume(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}, **spec,
        },
    }  # fmt: skip


def claim(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {**REQUEST, "storageClassName": "", **spec},
    }  # fmt: skip


def pod(name: str, source: Object, **spec: Any) -> Object:
    volumes = [{"name": "data", **source}]
    made = pod_spec(volumes=volumes, **spec)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": made}


def test_a_claim_is_bound_protected_and_released(user: User) -> None:
    user.space("stored")
    user.apply(
        claim("data"),
        pod("uses", {"persistentVolumeClaim": {"claimName": "data"}}),
        claim("none", resources={"requests": {"storage": "5Ti"}}),
    )
    assert "no persistent volumes available" in user.run("wait --for=create pod/uses") + str(
        user.until("events --field-selector reason=FailedBinding", lambda said: len(said) >= 1)
    )
    user.apply(volume("disk", claimRef={"namespace": "stored", "name": "data"}))
    user.wait("pvc/data", "jsonpath={.status.phase}=Bound")
    user.wait("pod/uses", "condition=Ready")
    user.run("delete pvc data --wait=false")
    user.run("delete pv disk --wait=false")
    assert user.get("pvc data")["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert "Terminating" in user.run("get pv disk")
    user.run("delete pod uses")
    user.wait("pvc/data", "delete")
    user.wait("pv/disk", "delete")


def on(node: str) -> Object:
    """A volume's affinity to one node."""
    term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}


def test_a_claim_is_bound_late_where_its_pod_goes(user: User) -> None:
    late = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "late"}}
    user.apply(
        {**late, "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"},
        volume("local-3", storageClassName="late", nodeAffinity=on("node-000003")),
        claim("late", storageClassName="late"),
    )
    user.until("events --field-selector reason=WaitForFirstConsumer", len)
    assert user.get("pvc late")["status"]["phase"] == "Pending"
    user.apply(pod("local", {"persistentVolumeClaim": {"claimName": "late"}}))
    user.wait("pod/local", "condition=Ready")
    assert user.get("pod local")["spec"]["nodeName"] == "node-000003"
    assert user.get("pvc late")["spec"]["volumeName"] == "local-3"
    user.run("delete pod/local pvc/late")
    user.wait("pv/local-3", "jsonpath={.status.phase}=Released")
    user.run("delete pv/local-3 storageclass/late")


def test_an_attributes_class_stays_while_a_claim_names_it(user: User) -> None:
    fast = {"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass", "metadata": {"name": "fast"}}
    user.apply(
        {**fast, "driverName": "csi.example.com", "parameters": {"iops": "100"}},
        claim("wants", volumeAttributesClassName="fast"),
    )
    user.wait("vac/fast", "jsonpath={.metadata.finalizers}")
    user.run("delete vac fast --wait=false")
    assert user.get("vac fast")["metadata"]["finalizers"] == ["kubernetes.io/vac-protection"]
    user.run("delete pvc wants")
    user.wait("vac/fast", "delete")


def test_pods_bring_claims_of_their_own(user: User) -> None:
    template = {"spec": {**REQUEST, "storageClassName": "late"}}
    claims = {
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate", "metadata": {"name": "gpu"},
        "spec": {"spec": {"devices": {"requests": [{"name": "one", "exactly": {"deviceClassName": "gpu"}}]}}},
    }  # fmt: skip
    user.apply(
        claims,
        pod(
            "brings", {"ephemeral": {"volumeClaimTemplate": template}},
            resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "gpu"}],
        ),
    )  # fmt: skip
    user.wait("pvc/brings-data", "create")
    (made,) = user.until("resourceclaims", len)
    owners = [each["metadata"]["ownerReferences"][0]["name"] for each in (user.get("pvc brings-data"), made)]
    assert owners == ["brings", "brings"]
    user.run("delete pod brings")
    user.wait("pvc/brings-data", "delete")
    assert names(user.items("resourceclaims")) == set()
