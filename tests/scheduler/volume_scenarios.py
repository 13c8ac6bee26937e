"""Random clusters with volumes in every state, and pods that want them: for the engine, its naive twin and the real plugins."""

from __future__ import annotations

import random
from typing import Any, Final

Object = dict[str, Any]

ZONE: Final = "topology.kubernetes.io/zone"
REGION: Final = "topology.kubernetes.io/region"
BETA_ZONE: Final = "failure-domain.beta.kubernetes.io/zone"
HOST: Final = "kubernetes.io/hostname"
EBS_ZONE: Final = "topology.ebs.csi.aws.com/zone"
MIGRATED: Final = "storage.alpha.kubernetes.io/migrated-plugins"
DRIVERS: Final = ("a.csi", "b.csi", "ebs.csi.aws.com")
CLASSES: Final = ("now", "local", "a", "b", "narrow", "ebs", "bare")
SIZES: Final = ("1Gi", "2Gi", "2000Mi", "5Gi")
MODES: Final = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany")


def scenario(seed: int) -> Object:
    """``objects`` of a cluster, and ``pods`` that are to be scheduled there one after another."""
    return _Maker(random.Random(seed)).made()


class _Maker:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.number = 0
        self.nodes = [f"n{index}" for index in range(chance.randint(2, 5))]

    def maybe(self, share: float) -> bool:
        return self.chance.random() < share

    def pick(self, *values: Any) -> Any:
        return self.chance.choice(values)

    def meta(self, name: str, namespace: str = "", **more: Any) -> Object:
        self.number += 1
        found = {"name": name, "uid": f"uid-{self.number}", "resourceVersion": str(self.number), **more}
        return {**found, "namespace": namespace} if namespace else found

    def made(self) -> Object:
        claims = [self.claim(f"c{index}", namespace) for index in range(5) for namespace in ("x", "y")]
        volumes = [self.volume(index, claims) for index in range(self.chance.randint(4, 10))]
        pods = [self.pod(f"p{index}") for index in range(self.chance.randint(2, 4))]
        bound = [
            self.pod(f"q{index}", node=self.pick(*self.nodes)) for index in range(self.chance.randint(0, 5))
        ]
        promised = [self.promised(f"r{index}") for index in range(self.chance.randint(0, 2))]
        made_for = [self.made_for(pod) for pod in (*pods, *bound, *promised)]
        objects = [
            *(self.node(name) for name in self.nodes), *self.classes(), *(one for one in claims if self.maybe(0.96)),
            *volumes, *bound, *promised, *(one for found in made_for for one in found), *self.csi(volumes),
        ]  # fmt: skip
        return {"objects": objects, "pods": pods}

    # -- nodes and drivers

    def node(self, name: str) -> Object:
        labels = {HOST: name}
        if self.maybe(0.7):
            labels[ZONE] = self.pick("z1", "z2", "z3")
        if self.maybe(0.3):
            labels[REGION] = self.pick("r1", "r2")
        if self.maybe(0.3):
            labels[BETA_ZONE] = self.pick("z1", "z2")
        if self.maybe(0.4):
            labels[EBS_ZONE] = self.pick("z1", "z2")
        spec: Object = {"unschedulable": True} if self.maybe(0.05) else {}
        amounts = {"cpu": self.pick("1", "2", "4"), "memory": "8Gi", "pods": "110"}
        return {
            "apiVersion": "v1", "kind": "Node", "metadata": self.meta(name, labels=labels), "spec": spec,
            "status": {"allocatable": amounts, "capacity": amounts},
        }  # fmt: skip

    def csi(self, volumes: list[Object]) -> list[Object]:
        found = [self.csi_node(name) for name in self.nodes if self.maybe(0.7)]
        for driver in DRIVERS[:2]:
            if self.maybe(0.7):
                spec = {"storageCapacity": True} if self.maybe(0.6) else {}
                found.append({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": self.meta(driver), "spec": spec})  # fmt: skip
        found += [self.capacity(index) for index in range(self.chance.randint(0, 4))]
        for index, volume in enumerate(volumes):
            if self.maybe(0.3):
                spec = {
                    "attacher": self.pick(*DRIVERS), "nodeName": self.pick(*self.nodes),
                    "source": {"persistentVolumeName": volume["metadata"]["name"]},
                }  # fmt: skip
                found.append({"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": self.meta(f"va{index}"), "spec": spec})  # fmt: skip
        return found

    def csi_node(self, name: str) -> Object:
        drivers = []
        for driver in DRIVERS:
            if self.maybe(0.7):
                one: Object = {"name": driver, "nodeID": name}
                if self.maybe(0.8):
                    one["allocatable"] = {"count": self.chance.randint(0, 2)}
                drivers.append(one)
        more: Object = {}
        if self.maybe(0.6):
            more["annotations"] = {MIGRATED: self.pick("kubernetes.io/aws-ebs", "kubernetes.io/cinder,kubernetes.io/gce-pd")}  # fmt: skip
        return {
            "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": self.meta(name, **more),
            "spec": {"drivers": drivers},
        }  # fmt: skip

    def capacity(self, index: int) -> Object:
        obj: Object = {
            "apiVersion": "storage.k8s.io/v1", "kind": "CSIStorageCapacity", "metadata": self.meta(f"cap{index}", "s"),
            "storageClassName": self.pick("a", "b", "narrow"), "capacity": self.pick(*SIZES),
        }  # fmt: skip
        if self.maybe(0.3):
            obj["maximumVolumeSize"] = self.pick(*SIZES)
        if self.maybe(0.8):
            obj["nodeTopology"] = self.pick({}, {"matchLabels": {ZONE: "z1"}}, {"matchExpressions": [{"key": ZONE, "operator": "Exists"}]})  # fmt: skip
        return obj

    def classes(self) -> list[Object]:
        topologies = [{"matchLabelExpressions": [{"key": ZONE, "values": ["z1", "z2"]}]}]
        rows: tuple[tuple[str, str, str, Any], ...] = (
            ("now", "a.csi", "Immediate", None),
            ("local", "kubernetes.io/no-provisioner", "WaitForFirstConsumer", None),
            ("a", "a.csi", "WaitForFirstConsumer", None),
            ("b", "b.csi", "WaitForFirstConsumer", None),
            ("narrow", "a.csi", "WaitForFirstConsumer", topologies),
            ("ebs", "kubernetes.io/aws-ebs", "WaitForFirstConsumer", None),
        )  # fmt: skip
        found = []
        for name, provisioner, mode, allowed in rows:
            if self.maybe(0.95):
                obj: Object = {
                    "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": self.meta(name),
                    "provisioner": provisioner, "volumeBindingMode": mode,
                }  # fmt: skip
                found.append(obj if allowed is None else {**obj, "allowedTopologies": allowed})
        return found

    # -- claims and volumes

    def claim(self, name: str, namespace: str) -> Object:
        spec: Object = {
            "accessModes": ["ReadWriteOncePod"] if self.maybe(0.12) else [self.pick(*MODES)],
            "resources": {"requests": {"storage": self.pick(*SIZES)}},
        }  # fmt: skip
        if self.maybe(0.95):
            spec["storageClassName"] = self.pick(*CLASSES, *CLASSES[1:-1], *CLASSES[1:-1])
        if self.maybe(0.1):
            spec["volumeMode"] = self.pick("Block", "Filesystem")
        if self.maybe(0.15):
            spec["selector"] = {"matchLabels": {"kind": "fast"}}
        if self.maybe(0.1):
            spec["volumeAttributesClassName"] = "gold"
        more: Object = {}
        if self.maybe(0.02):
            more["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            more["finalizers"] = ["kubernetes.io/pvc-protection"]
        obj = {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": self.meta(name, namespace, **more),
            "spec": spec, "status": {"phase": "Pending"},
        }  # fmt: skip
        self.bind(obj)
        return obj

    def bind(self, claim: Object) -> None:
        """The claim is bound, half bound, lost, has been promised to a node, or none of these."""
        notes = {}
        if self.maybe(0.4):
            claim["spec"]["volumeName"] = f"v{self.chance.randint(0, self.chance.randint(3, 9))}"
            if self.maybe(0.95):
                notes["pv.kubernetes.io/bind-completed"] = "yes"
                claim["status"]["phase"] = self.chance.choices(["Bound", "Lost"], [0.97, 0.03])[0]
        elif self.maybe(0.2):
            notes["volume.kubernetes.io/selected-node"] = self.pick(*self.nodes, "elsewhere")
        if self.maybe(0.08):
            notes["volume.beta.kubernetes.io/storage-class"] = self.pick(*CLASSES)
        if notes:
            claim["metadata"]["annotations"] = notes

    def volume(self, index: int, claims: list[Object]) -> Object:
        spec: Object = {
            "capacity": {"storage": self.pick(*SIZES)}, "accessModes": self.chance.sample(MODES, self.chance.randint(1, 3)),
            **self.source(index),
        }  # fmt: skip
        if self.maybe(0.9):
            spec["storageClassName"] = self.pick(*CLASSES, "local", "a")
        if self.maybe(0.1):
            spec["volumeMode"] = self.pick("Block", "Filesystem")
        if self.maybe(0.1):
            spec["volumeAttributesClassName"] = "gold"
        if self.maybe(0.6):
            spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": self.terms()}}
        labels = {}
        if self.maybe(0.3):
            labels[self.pick(ZONE, BETA_ZONE)] = self.pick("z1", "z2", "z1__z2", "z1__")
        if self.maybe(0.1):
            labels[REGION] = "r1"
        if self.maybe(0.5):
            labels["kind"] = self.pick("fast", "slow")
        phase = self.pick("Available", "Available", "Available", "Pending", "Released")
        if self.maybe(0.3):
            found = self.pick(*claims)["metadata"]
            reference = {"namespace": found["namespace"], "name": found["name"]}
            spec["claimRef"] = reference | ({"uid": self.pick(found["uid"], found["uid"], "gone")} if self.maybe(0.6) else {})  # fmt: skip
            phase = self.pick("Available", "Bound", "Released")
        more: Object = {"labels": labels}
        if self.maybe(0.05):
            more["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            more["finalizers"] = ["kubernetes.io/pv-protection"]
        return {
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": self.meta(f"v{index}", **more), "spec": spec,
            "status": {"phase": phase},
        }  # fmt: skip

    def source(self, index: int) -> Object:
        handle = f"h{self.chance.randint(0, 3)}"
        return self.pick(
            {"csi": {"driver": self.pick(*DRIVERS), "volumeHandle": handle}},
            {"csi": {"driver": "a.csi", "volumeHandle": f"own{index}"}},
            {"awsElasticBlockStore": {"volumeID": self.pick("vol-1", "aws:///vol-1", "aws://z1/vol-2")}},
            {"gcePersistentDisk": {"pdName": f"pd{index}"}},
            {"local": {"path": f"/disks/{index}"}},
        )  # fmt: skip

    def terms(self) -> list[Object]:
        host = {"key": HOST, "operator": self.pick("In", "NotIn"), "values": [self.pick(*self.nodes)]}
        zone = {"key": self.pick(ZONE, BETA_ZONE), "operator": "In", "values": self.chance.sample(["z1", "z2", "z3"], 2)}  # fmt: skip
        there = {"key": ZONE, "operator": self.pick("Exists", "DoesNotExist")}
        named = {"key": "metadata.name", "operator": "In", "values": [self.pick(*self.nodes)]}
        return self.pick(
            [{"matchExpressions": [host]}], [{"matchExpressions": [zone]}], [{"matchExpressions": [zone, host]}],
            [{"matchExpressions": [zone]}, {"matchExpressions": [there]}], [{"matchFields": [named]}],
        )  # fmt: skip

    # -- pods

    def pod(self, name: str, node: str = "") -> Object:
        namespace = self.pick("x", "x", "y")
        volumes = [{"name": f"vol{index}", **self.pod_volume()} for index in range(self.chance.randint(1, 3))]
        spec: Object = {
            "schedulerName": "default-scheduler", "volumes": volumes,
            "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": self.pick("100m", "900m", "1800m" if node else "200m")}}}],
        }  # fmt: skip
        if node:
            spec["nodeName"] = node
        spec["priority"] = 0 if node else self.pick(0, 5, 10)
        if self.maybe(0.1):
            spec["nodeSelector"] = {ZONE: "z1"}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": self.meta(name, namespace), "spec": spec}

    def promised(self, name: str) -> Object:
        """A pod that waits for others to leave the node that it is nominated to."""
        return {**self.pod(name), "status": {"nominatedNodeName": self.pick(*self.nodes)}}

    def pod_volume(self) -> Object:
        claimed = {"persistentVolumeClaim": {"claimName": f"c{self.chance.randint(0, 4)}"}}
        inline = self.pick(
            {"awsElasticBlockStore": {"volumeID": self.pick("vol-1", "vol-9")}},
            {"gcePersistentDisk": {"pdName": self.pick("pd1", "pd2"), "readOnly": self.maybe(0.5)}},
            {"rbd": {"monitors": self.chance.sample(["m1", "m2", "m3"], 2), "image": "i", "pool": "rbd", "readOnly": self.maybe(0.5)}},
            {"iscsi": {"targetPortal": "p", "lun": 0, "iqn": self.pick("q1", "q2"), "readOnly": self.maybe(0.5)}},
            {"cinder": {"volumeID": "vol-1"}},
            {"emptyDir": {}},
        )  # fmt: skip
        return self.chance.choices([claimed, {"ephemeral": {}}, inline], [0.75, 0.1, 0.15])[0]

    def made_for(self, pod: Object) -> list[Object]:
        """The claims of the pod's ephemeral volumes, where they have been made."""
        found = []
        metadata = pod["metadata"]
        for volume in pod["spec"]["volumes"]:
            if "ephemeral" in volume and self.maybe(0.85):
                claim = self.claim(f"{metadata['name']}-{volume['name']}", metadata["namespace"])
                owner = {
                    "apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "controller": True,
                    "uid": metadata["uid"] if self.maybe(0.9) or pod["spec"].get("nodeName") else "another",
                }  # fmt: skip
                claim["metadata"]["ownerReferences"] = [owner]
                found.append(claim)
        return found
