"""Random scenarios in the input format of the scheduler vectors: same seed, same scenario, on every machine.

They go where the vectors do not: scheduling gates, nominated pods, pods being preempted, in-place resize, namespaces
nobody declared, nodes without labels or allocatable. Start times are distinct, so preemption has one best candidate.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeVar

from tests.naive.scenario_config import random_config

Object = dict[str, Any]
T = TypeVar("T")

FIRST_START = datetime(2026, 1, 1, tzinfo=UTC)
NAMESPACES = ("default", "team-a", "team-b", "infra", "undeclared")  # the last is never in the list
APPS = ("web", "db", "cache", "train")
# Where most pods live and what most of them are, so that selectors, budgets and terms find several pods each.
CROWDED_NAMESPACES = ("default", "default", "default", "default", *NAMESPACES)
CROWDED_APPS = ("web", "web", "web", "db", *APPS)
HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
RACK = "example.com/rack"
GENERATION = "example.com/generation"
TOPOLOGY_KEYS = (HOSTNAME, ZONE, ZONE, ZONE, RACK, "missing.example.com/key")
EXTENDED = ("nvidia.com/gpu", "example.com/fpga", "hugepages-2Mi")
CPUS = ("50m", "100m", "250m", "0.5", "1", "1500m", "2", "100u", "0", "3")
MEMORIES = ("64Mi", "200Mi", "500M", "1Gi", "1.5Gi", "2147483648", "128974848000m", "0", "3e9")
GENERATIONS = ("1", "3", "5", "07", "abc", "", "-2", "99999999999999999999")
BOUNDS = ("0", "2", "4", "6", "-5", "99999999999999999999", "003")
IMAGES = ("nginx", "nginx:1.27", "registry.local:5000/team/app", "ghcr.io/ml/serve:v2", "busybox:latest")
TAINTS = (
    ("dedicated", "batch"),
    ("dedicated", "infra"),
    ("spot", ""),
    ("node.kubernetes.io/unschedulable", ""),
)
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
PRIORITIES = (None, 0, 0, 10, 10, 100, 1000, -5)
HOST_IPS = (None, "", "0.0.0.0", "10.0.0.1", "10.0.0.2")


def canonical(seed: int, **limits: int) -> str:
    """The scenario as JSON text that is equal if and only if the scenarios are."""
    return json.dumps(random_scenario(seed, **limits), sort_keys=True)


def random_scenario(seed: int, *, nodes_max: int = 10, pods_max: int = 24) -> Object:
    """A scenario with 1..nodes_max nodes, 0..pods_max bound and 1..pods_max pending pods."""
    return _Scenario(Random(seed), seed, nodes_max, pods_max).build()


class _Draw:
    """Random choices, with the probabilities spelled out at the call."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def chance(self, per_cent: float) -> bool:
        return self.random.random() * 100 < per_cent

    def pick(self, options: tuple[T, ...] | list[T]) -> T:
        return options[self.random.randrange(len(options))]

    def some(self, options: tuple[T, ...], count_max: int) -> list[T]:
        """1..count_max distinct options."""
        count = self.random.randint(1, min(count_max, len(options)))
        return self.random.sample(options, count)

    def count(self, low: int, high: int) -> int:
        return self.random.randint(low, high)


class _Selectors(_Draw):
    """Label selectors, node selectors, affinity terms."""

    node_names: tuple[str, ...] = ()

    def label_selector(self) -> Object:
        if self.chance(6):
            return {}
        selector: Object = {}
        if self.chance(75):
            selector["matchLabels"] = {"app": self.pick(CROWDED_APPS)}
        if self.chance(25) or not selector:
            operator = self.pick(("In", "NotIn", "Exists", "DoesNotExist"))
            expression: Object = {"key": self.pick(("app", "tier", "track")), "operator": operator}
            if operator in ("In", "NotIn"):
                expression["values"] = self.some(("web", "db", "front", "canary"), 3)
            selector["matchExpressions"] = [expression]
        return selector

    def namespace_selector(self) -> Object:
        return self.pick(
            [
                {},
                {"matchLabels": {"env": "prod"}},
                {"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["dev"]}]},
                {"matchExpressions": [{"key": "env", "operator": "DoesNotExist"}]},
                {"matchExpressions": [{"key": "env", "operator": "Exists"}]},
            ]
        )

    def node_requirement(self) -> Object:
        operator = self.pick(("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"))
        if operator in ("Gt", "Lt"):
            return {"key": GENERATION, "operator": operator, "values": [self.pick(BOUNDS)]}
        requirement: Object = {"key": self.pick((ZONE, RACK, GENERATION, "disktype")), "operator": operator}
        if operator in ("In", "NotIn"):
            requirement["values"] = self.some(("zone-a", "zone-b", "r1", "r2", "ssd", "3", ""), 3)
        return requirement

    def node_term(self) -> Object:
        if self.chance(3):
            return {}
        term: Object = {}
        if self.chance(75):
            term["matchExpressions"] = [self.node_requirement() for _ in range(self.count(1, 2))]
        if self.chance(20) or not term:
            names = self.some((*self.node_names, "no-such-node"), 2 if self.chance(10) else 1)
            term["matchFields"] = [
                {"key": "metadata.name", "operator": self.pick(("In", "In", "NotIn")), "values": names}
                for _ in range(2 if self.chance(15) else 1)
            ]
        return term

    def node_affinity(self) -> Object:
        affinity: Object = {}
        if self.chance(55):
            terms = [self.node_term() for _ in range(self.count(1, 2))]
            if self.chance(6):
                terms = [self._conflicting_term()]
            affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": terms}
        if self.chance(55):
            # A preferred term must parse, or the whole attempt is an error.
            affinity["preferredDuringSchedulingIgnoredDuringExecution"] = [
                {
                    "weight": self.count(1, 100),
                    "preference": {"matchExpressions": [self._valid_requirement()]},
                }
                for _ in range(self.count(0, 2))
            ]
        return affinity

    @staticmethod
    def _conflicting_term() -> Object:
        """A term that asks for two nodes at once."""
        names = ("node-00", "node-01")
        fields = [{"key": "metadata.name", "operator": "In", "values": [name]} for name in names]
        return {"matchFields": fields}

    def _valid_requirement(self) -> Object:
        requirement = self.node_requirement()
        while requirement.get("values", [""])[0] in ("-5", "99999999999999999999"):
            requirement = self.node_requirement()
        return requirement

    def pod_affinity_term(self) -> Object:
        term: Object = {"topologyKey": self.pick(TOPOLOGY_KEYS)}
        if self.chance(92):
            term["labelSelector"] = self.label_selector()
        if self.chance(20):
            term["namespaces"] = self.some(NAMESPACES, 3)
        if self.chance(30):
            term["namespaceSelector"] = self.namespace_selector()
        return term

    def pod_affinity(self) -> Object:
        affinity: Object = {}
        if self.chance(50):
            affinity["requiredDuringSchedulingIgnoredDuringExecution"] = [
                self.pod_affinity_term() for _ in range(1 if self.chance(75) else 2)
            ]
        if self.chance(60):
            affinity["preferredDuringSchedulingIgnoredDuringExecution"] = [
                {"weight": self.pick((1, 10, 10, 100)), "podAffinityTerm": self.pod_affinity_term()}
                for _ in range(self.count(1, 2))
            ]
        return affinity

    def spread_constraint(self) -> Object:
        hard = self.chance(50)
        constraint: Object = {
            "maxSkew": self.pick((1, 1, 2, 5)),
            "topologyKey": self.pick(TOPOLOGY_KEYS[:5] if self.chance(95) else TOPOLOGY_KEYS),
            "whenUnsatisfiable": "DoNotSchedule" if hard else "ScheduleAnyway",
        }
        if self.chance(93):
            constraint["labelSelector"] = self.label_selector()
            if self.chance(25):
                constraint["matchLabelKeys"] = self.some(("track", "tier", "absent"), 2)
        if hard and self.chance(40):
            constraint["minDomains"] = self.pick((1, 3, 4, 50))
        for policy in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if self.chance(35):
                constraint[policy] = self.pick(("Honor", "Ignore"))
        return constraint


class _Pods(_Selectors):
    """Pods, bound or pending."""

    features: frozenset[str] = frozenset()

    def requests(self) -> Object:
        requests: Object = {}
        if self.chance(75):
            requests["cpu"] = self.pick(CPUS)
        if self.chance(75):
            requests["memory"] = self.pick(MEMORIES)
        if self.chance(12):
            requests["ephemeral-storage"] = self.pick(("1Gi", "20Gi", "0"))
        if "extended" in self.features and self.chance(20):
            name = self.pick(EXTENDED)
            requests[name] = "64Mi" if name.startswith("hugepages") else self.pick(("0", "1", "2", "9"))
        return requests

    def container(self, name: str, *, sidecar: bool = False) -> Object:
        container: Object = {"name": name, "image": self.pick(IMAGES)}
        if self.chance(80):
            container["resources"] = {"requests": self.requests()} if self.chance(90) else {}
        if sidecar:
            container["restartPolicy"] = "Always"
        if "ports" in self.features and self.chance(35):
            port: Object = {"containerPort": 8080, "hostPort": self.pick((0, 8080, 8080, 9090))}
            host_ip, protocol = self.pick(HOST_IPS), self.pick((None, "TCP", "UDP"))
            port |= {} if host_ip is None else {"hostIP": host_ip}
            port |= {} if protocol is None else {"protocol": protocol}
            container["ports"] = [port]
        return container

    def toleration(self) -> Object:
        if self.chance(8):
            return {"operator": "Exists"}
        key, value = self.pick(TAINTS)
        toleration: Object = {"key": key}
        operator = self.pick((None, "Equal", "Exists", "Exists"))
        if operator is not None:
            toleration["operator"] = operator
        if operator != "Exists" and value:
            toleration["value"] = value
        if self.chance(60):
            toleration["effect"] = self.pick(EFFECTS)
        return toleration

    def labels(self) -> Object | None:
        if self.chance(10):
            return None
        labels: Object = {"app": self.pick(CROWDED_APPS)}
        if self.chance(50):
            labels["tier"] = self.pick(("front", "data"))
        if self.chance(40):
            labels["track"] = self.pick(("stable", "canary"))
        return labels

    def pod(self, name: str) -> Object:
        metadata: Object = {"name": name, "namespace": self.pick(CROWDED_NAMESPACES), "uid": f"uid-{name}"}
        labels = self.labels()
        if labels is not None:
            metadata["labels"] = labels
            if "controllers" in self.features and self.chance(40):
                metadata["ownerReferences"] = [self._owner(labels["app"])]
        spec: Object = {
            "schedulerName": "default-scheduler",
            "containers": [self.container(f"c{i}") for i in range(self.pick((1, 1, 1, 2)))],
        }
        if "init" in self.features and self.chance(40):
            spec["initContainers"] = [
                self.container(f"i{i}", sidecar=self.chance(45)) for i in range(self.count(1, 3))
            ]
        priority = self.pick(PRIORITIES)
        if priority is not None:
            spec["priority"] = priority
        if self.chance(12):
            spec["preemptionPolicy"] = self.pick(("Never", "PreemptLowerPriority"))
        if "taints" in self.features and self.chance(45):
            spec["tolerations"] = [self.toleration() for _ in range(self.count(1, 2))]
        self._add_extras(spec)
        return {"metadata": metadata, "spec": spec, "status": {}}

    @staticmethod
    def _owner(app: str) -> Object:
        api_version, kind = {
            "web": ("apps/v1", "ReplicaSet"),
            "db": ("apps/v1", "StatefulSet"),
            "cache": ("v1", "ReplicationController"),
        }.get(app, ("batch/v1", "Job"))
        return {"apiVersion": api_version, "kind": kind, "name": app, "uid": f"uid-{app}", "controller": True}

    def _add_extras(self, spec: Object) -> None:
        if "overhead" in self.features and self.chance(30):
            spec["overhead"] = self.pick([{"cpu": "20m"}, {"memory": "16Mi"}, {"cpu": "1", "memory": "1Gi"}])
        if "podlevel" in self.features and self.chance(40):
            requests = {"cpu": self.pick(CPUS), "memory": self.pick(MEMORIES)}
            if self.chance(50):
                requests.pop(self.pick(("cpu", "memory")))
            spec["resources"] = {"requests": requests}
        affinity: Object = {}
        if "nodeaffinity" in self.features:
            if self.chance(15):
                spec["nodeSelector"] = {"disktype": self.pick(("ssd", "hdd"))}
            if self.chance(40):
                affinity["nodeAffinity"] = self.node_affinity()
        if "podaffinity" in self.features:
            if self.chance(30):
                affinity["podAffinity"] = self.pod_affinity()
            if self.chance(35):
                affinity["podAntiAffinity"] = self.pod_affinity()
        if affinity:
            spec["affinity"] = affinity
        if "spread" in self.features and self.chance(65):
            spec["topologySpreadConstraints"] = [self.spread_constraint() for _ in range(self.count(1, 2))]

    def bound(self, index: int, start_s: int) -> Object:
        pod = self.pod(f"bound-{index:03}")
        pod["spec"]["nodeName"] = "gone-node" if self.chance(2) else self.pick(self.node_names)
        started = FIRST_START + timedelta(seconds=start_s)
        status: Object = {"phase": "Running", "startTime": started.strftime("%Y-%m-%dT%H:%M:%SZ")}
        if self.chance(3):
            status["phase"] = self.pick(("Succeeded", "Failed"))
        conditions = []
        if "terminating" in self.features and self.chance(35):
            pod["metadata"]["deletionTimestamp"] = "2026-06-01T00:00:00Z"
            if self.chance(70):
                conditions.append(
                    {
                        "type": "DisruptionTarget",
                        "status": self.pick(("True", "True", "False")),
                        "reason": self.pick(
                            ("PreemptionByScheduler", "PreemptionByScheduler", "EvictionByEvictionAPI")
                        ),
                    }
                )
        if "resize" in self.features and self.chance(50):
            conditions += self._resize(pod["spec"], status)
        if conditions:
            status["conditions"] = conditions
        pod["status"] = status
        return pod

    def _resize(self, spec: Object, status: Object) -> list[Object]:
        """``status`` says what the kubelet actuated and allocated; returns the resize conditions."""

        def resources_of(container: Object) -> Object:
            reported: Object = {"name": container["name"]}
            if self.chance(80):
                reported["resources"] = {"requests": self.requests()}
            if self.chance(60):
                reported["allocatedResources"] = self.requests()
            return reported

        status["containerStatuses"] = [resources_of(c) for c in spec["containers"] if self.chance(80)]
        if "initContainers" in spec:
            status["initContainerStatuses"] = [resources_of(c) for c in spec["initContainers"]]
        if "resources" in spec and self.chance(60):
            status["resources"] = {"requests": {"cpu": self.pick(CPUS), "memory": self.pick(MEMORIES)}}
            status["allocatedResources"] = {"cpu": self.pick(CPUS)}
        if self.chance(40):
            return [
                {
                    "type": "PodResizePending",
                    "status": "True",
                    "reason": self.pick(("Infeasible", "Deferred")),
                }
            ]
        return []

    def pending(self, index: int) -> Object:
        pod = self.pod(f"pending-{index:02}")
        pod["status"]["phase"] = "Pending"
        if "gates" in self.features and self.chance(25):
            gates = self.some(("example.com/quota", "example.com/review"), 2)
            pod["spec"]["schedulingGates"] = [{"name": name} for name in gates]
        if "nominated" in self.features and self.chance(40):
            pod["status"]["nominatedNodeName"] = self.pick((*self.node_names, "gone-node"))
        if self.chance(1.5):
            # no scheduler queues such a pod: the recordings have some for the sake of NodeName, none is nominated
            pod["spec"]["nodeName"] = self.pick(self.node_names)
            pod["status"].pop("nominatedNodeName", None)
        return pod


FEATURES = (
    "extended", "ports", "init", "taints", "overhead", "podlevel", "nodeaffinity", "podaffinity", "spread",
    "controllers", "terminating", "resize", "gates", "nominated", "images", "pdbs", "tight",
)  # fmt: skip


class _Scenario(_Pods):
    """A whole scenario."""

    def __init__(self, random: Random, seed: int, nodes_max: int, pods_max: int) -> None:
        super().__init__(random)
        self.name = f"random-{seed}-mix"
        self.node_count = self.count(1, nodes_max)
        self.bound_count = self.count(0, pods_max)
        self.pending_count = self.count(1, pods_max)
        self.node_names = tuple(f"node-{index:02}" for index in range(self.node_count))
        every = self.chance(10)
        self.features = frozenset(feature for feature in FEATURES if self.chance(38) or every)

    def build(self) -> Object:
        """The scenario, of plain JSON values."""
        starts = self.random.sample(range(100_000), self.bound_count)
        scenario: Object = {
            "name": self.name,
            "tags": sorted(self.features),
            "nodes": [self.node(name) for name in self.random.sample(self.node_names, len(self.node_names))],
            "namespaces": self.namespaces(),
            "pods": [self.bound(index, start_s) for index, start_s in enumerate(starts)],
            "pending": [self.pending(index) for index in range(self.pending_count)],
        }
        if "controllers" in self.features:
            scenario |= self.controllers()
        if "pdbs" in self.features:
            scenario["pdbs"] = [self.pdb(index) for index in range(self.count(1, 5))]
        if self.chance(45):
            scenario["onPreempt"] = "evict"
        if self.chance(40):
            scenario["config"] = random_config(self.random)
        return scenario

    def node(self, name: str) -> Object:
        labels: Object = {} if self.chance(4) else {HOSTNAME: name}
        if self.chance(85):
            labels[ZONE] = self.pick(("zone-a", "zone-b", "zone-c"))
        if self.chance(70):
            labels[RACK] = self.pick(("r1", "r2", ""))
        if self.chance(60):
            labels[GENERATION] = self.pick(GENERATIONS)
        if self.chance(60):
            labels["disktype"] = self.pick(("ssd", "hdd"))
        metadata: Object = {"name": name}
        if labels or self.chance(50):
            metadata["labels"] = labels
        spec: Object = {}
        if "taints" in self.features:
            if self.chance(12):
                spec["unschedulable"] = True
            if self.chance(45):
                spec["taints"] = [self.taint() for _ in range(self.count(1, 2))]
        status: Object = {}
        if self.chance(97):
            status["allocatable"] = status["capacity"] = self.allocatable()
        if "images" in self.features:
            status["images"] = [
                {
                    "names": [name],
                    "sizeBytes": self.pick((5, 40, 300, 900, 3000)) * 1024 * 1024 + self.count(0, 999),
                }
                for name in self.some(("nginx:latest", "nginx:1.27", *IMAGES[3:]), 3)
            ]
        return {"metadata": metadata, "spec": spec, "status": status}

    def taint(self) -> Object:
        key, value = self.pick(TAINTS)
        taint: Object = {"key": key, "effect": self.pick(EFFECTS)}
        if value:
            taint["value"] = value
        return taint

    def allocatable(self) -> Object:
        tight = "tight" in self.features
        allocatable: Object = {
            "cpu": self.pick(("2", "3900m", "4") if tight else ("4", "8", "15.89", "32")),
            "memory": self.pick(("2Gi", "4Gi", "4000000Ki") if tight else ("8000000Ki", "16G", "32Gi")),
            "pods": self.pick(("2", "3", "10") if tight else ("5", "110", "110")),
            "ephemeral-storage": self.pick(("10Gi", "100Gi")),
        }
        if self.chance(10):
            allocatable.pop(self.pick(("cpu", "memory", "pods", "ephemeral-storage")))
        if "extended" in self.features:
            for name in EXTENDED:
                if self.chance(50):
                    allocatable[name] = (
                        "256Mi" if name.startswith("hugepages") else self.pick(("0", "2", "4"))
                    )
        return allocatable

    def namespaces(self) -> list[Object]:
        labels: dict[str, Object | None] = {
            "default": None,
            "team-a": {"env": "prod", "team": "a"},
            "team-b": {"env": "dev", "team": "b"},
            "infra": {},
        }
        return [
            {"metadata": {"name": name} | ({} if of is None else {"labels": of})}
            for name, of in labels.items()
        ]

    def controllers(self) -> Object:
        """Services and controllers for some (namespace, app) pairs; the rest of the owner references dangle."""
        result: Object = {
            kind: [] for kind in ("services", "replicaSets", "statefulSets", "replicationControllers")
        }
        for namespace in NAMESPACES:
            for app in APPS:
                if self.chance(40):
                    selector = self.pick([{"app": app}, {"app": app}, {"tier": "front"}, {}, None])
                    spec: Object = {} if selector is None else {"selector": selector}
                    metadata = {"name": f"svc-{app}", "namespace": namespace}
                    result["services"].append({"metadata": metadata, "spec": spec})
                kind = {"web": "replicaSets", "db": "statefulSets", "cache": "replicationControllers"}.get(
                    app
                )
                if kind is not None and self.chance(70):
                    plain = kind == "replicationControllers"
                    selects: Object = {"app": app} if plain else {"matchLabels": {"app": app}}
                    metadata = {"name": app, "namespace": namespace}
                    result[kind].append({"metadata": metadata, "spec": {"selector": selects}})
        return result

    def pdb(self, index: int) -> Object:
        status: Object = {"disruptionsAllowed": self.pick((0, 0, 1, 2))}
        if self.chance(20) and self.bound_count:
            name = f"bound-{self.count(0, self.bound_count - 1):03}"
            status["disruptedPods"] = {name: "2026-06-01T00:00:00Z"}
        spec: Object = {} if self.chance(8) else {"selector": self.label_selector()}
        metadata = {"name": f"pdb-{index}", "namespace": self.pick(CROWDED_NAMESPACES)}
        return {"metadata": metadata, "spec": spec, "status": status}
