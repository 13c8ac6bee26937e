"""What the API server would have made of a manifest that never saw one.

Objects that carry a ``metadata.uid`` come from a cluster and are left as they are; to the others the defaults and
the mutating admission that bear on scheduling are applied, in upstream's order. Sources, Kubernetes 1.36:
pkg/apis/core/v1/defaults.go, plugin/pkg/admission/{priority,defaulttolerationseconds,runtimeclass},
pkg/registry/core/pod/strategy.go (mutatePodAffinity).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from kcore.api.errors import InputError
from kcore.api.objects import (
    ClusterObjects,
    Container,
    Labels,
    LabelSelector,
    LabelSelectorRequirement,
    Namespace,
    Node,
    ObjectMeta,
    Pod,
    PodAffinityTerm,
    PodSpec,
    PriorityClass,
    Quantity,
    Resources,
    Toleration,
)
from kcore.api.pod_amounts import DEFAULT_SCHEDULER, aggregate

DEFAULT_NAMESPACE = "default"
PREEMPT_LOWER_PRIORITY = "PreemptLowerPriority"
NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
EVICTING_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1


class _Object(Struct, rename="camel", gc=False, kw_only=True, omit_defaults=True):
    """The Struct options of kcore.api.objects."""


class Overhead(_Object):
    pod_fixed: dict[str, Quantity] | None = None


class RuntimeScheduling(_Object):
    node_selector: Labels | None = None
    tolerations: list[Toleration] | None = None


class RuntimeClass(_Object):
    """node.k8s.io/v1: what running a pod costs beside its containers, and where its runtime is installed."""

    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    overhead: Overhead | None = None
    scheduling: RuntimeScheduling | None = None


class Rules:
    """The cluster-wide objects that admission consults, looked up by name once."""

    def __init__(
        self, priority_classes: Iterable[PriorityClass] = (), runtime_classes: Iterable[RuntimeClass] = ()
    ) -> None:
        self.priority_classes = {each.metadata.name: each for each in priority_classes}
        self.runtime_classes = {each.metadata.name: each for each in runtime_classes}
        defaults = [each for each in self.priority_classes.values() if each.global_default]
        # upstream takes the least where a race has left several
        self.default_class = min(defaults, key=lambda each: each.value, default=None)


def admit(objects: ClusterObjects, rules: Rules) -> None:
    """Every object without a uid holds what the API server would have defaulted; changed in place.

    Pods that share one spec object (the replicas of a workload) keep sharing it. Raises InputError with the pod's
    origin where the API server would have refused the pod.
    """
    for namespace in objects.namespaces:
        admit_namespace(namespace)
    for node in objects.nodes:
        admit_node(node)
    done: set[tuple[int, int]] = set()
    for index, pod in enumerate(objects.pods):
        if pod.metadata.uid:
            continue
        shared = (id(pod.spec), id(pod.metadata.labels))
        if shared in done:
            pod.metadata.namespace = pod.metadata.namespace or DEFAULT_NAMESPACE
            continue
        done.add(shared)
        try:
            admit_pod(pod, rules)
        except InputError as error:
            file, document = objects.pod_origins[index] if index < len(objects.pod_origins) else ("", "")
            title = f"pod {pod.metadata.namespace}/{pod.metadata.name}"
            raise error.at(file=file, document=f"{document} ({title})" if document else title) from None
    for columns in objects.pod_columns:
        for pod in columns.exemplars:
            if not pod.metadata.uid:
                try:
                    admit_pod(pod, rules)
                except InputError as error:
                    raise error.at(file=columns.origin) from None


def admit_namespace(namespace: Namespace) -> None:
    """The label that names the namespace is there, as namespaceSelectors rely on it."""
    metadata = namespace.metadata
    if not metadata.uid:
        metadata.labels = {**(metadata.labels or {}), NAMESPACE_NAME_LABEL: metadata.name}


def admit_node(node: Node) -> None:
    """A node that says only its capacity may allocate all of it."""
    if node.status.allocatable is None and node.status.capacity is not None:
        node.status.allocatable = dict(node.status.capacity)


def admit_pod(pod: Pod, rules: Rules) -> None:
    """The pod holds all defaults; admitting it again changes nothing. InputError where upstream forbids it."""
    spec = pod.spec
    pod.metadata.namespace = pod.metadata.namespace or DEFAULT_NAMESPACE
    spec.scheduler_name = spec.scheduler_name or DEFAULT_SCHEDULER
    for container in (*(spec.containers or ()), *(spec.init_containers or ())):
        _default_requests(container)
        _default_ports(container, bool(spec.host_network))
    _default_pod_resources(spec)
    _apply_priority(spec, rules)
    _apply_runtime_class(spec, rules)
    _apply_eviction_tolerations(spec)
    _merge_label_keys(spec, pod.metadata.labels or {})


def _default_requests(container: Container) -> None:
    resources = container.resources
    if resources is not None and resources.limits:
        resources.requests = {**resources.limits, **(resources.requests or {})}


def _default_ports(container: Container, host_network: bool) -> None:
    for port in container.ports or ():
        port.protocol = port.protocol or "TCP"
        if host_network and not port.host_port:
            port.host_port = port.container_port


def _default_pod_resources(spec: PodSpec) -> None:
    """Pod-level requests follow from the containers' requests, then from pod-level limits (defaultPodRequests)."""
    resources = spec.resources
    if resources is None:
        return
    limits = dict(resources.limits or {})
    requests = dict(resources.requests or {})
    for name, nanos in _aggregate(spec, "limits").items():
        if name.startswith("hugepages-"):
            limits.setdefault(name, f"{nanos}n")
    if not limits:
        return
    for name, nanos in _aggregate(spec, "requests").items():
        if name in ("cpu", "memory"):
            requests.setdefault(name, f"{nanos}n")
    for name, amount in limits.items():
        if name in ("cpu", "memory") or name.startswith("hugepages-"):
            requests.setdefault(name, amount)
    spec.resources = Resources(requests=requests, limits=limits, claims=resources.claims)


def _aggregate(spec: PodSpec, side: str) -> dict[str, int]:
    """What the containers ask for together, in nano-units."""

    def amounts(container: Container) -> Mapping[str, Quantity] | None:
        listed: Mapping[str, Quantity] | None = (
            getattr(container.resources, side) if container.resources is not None else None
        )
        return listed

    return aggregate(
        [amounts(each) for each in spec.containers or ()],
        [(amounts(each), each.restart_policy == "Always") for each in spec.init_containers or ()],
    )


def _apply_priority(spec: PodSpec, rules: Rules) -> None:
    """The class decides priority and preemption policy; a pod of no class keeps a priority that it states itself.

    Upstream forbids the latter beside a default class; a manifest for an experiment states it on purpose.
    """
    stated = spec.priority
    if stated is not None and not INT32_MIN <= stated <= INT32_MAX:
        raise InputError(f"{stated} is no priority", field="spec.priority", expected="an integer of 32 bits")
    name = spec.priority_class_name
    policy: str | None = None
    if not name:
        if stated is None and rules.default_class is not None:
            spec.priority_class_name = rules.default_class.metadata.name
            spec.priority = rules.default_class.value
            policy = rules.default_class.preemption_policy
        elif stated is None:
            spec.priority = 0
    elif name in rules.priority_classes or name in SYSTEM_PRIORITIES:
        found = rules.priority_classes.get(name)
        value = found.value if found is not None else SYSTEM_PRIORITIES[name]
        policy = found.preemption_policy if found is not None else None
        if stated is not None and stated != value:
            raise InputError(
                f"{stated} is not the priority of class {name!r}",
                field="spec.priority",
                expected=f"{value}, or none",
            )
        spec.priority = value
    elif stated is None:
        raise InputError(
            f"no PriorityClass with name {name} was found",
            field="spec.priorityClassName",
            expected="a PriorityClass in the input, system-cluster-critical or system-node-critical",
        )
    if spec.preemption_policy is None:
        spec.preemption_policy = policy or PREEMPT_LOWER_PRIORITY


def _apply_runtime_class(spec: PodSpec, rules: Rules) -> None:
    name = spec.runtime_class_name
    if not name:
        return
    found = rules.runtime_classes.get(name)
    if found is None:
        raise InputError(
            f'RuntimeClass "{name}" not found',
            field="spec.runtimeClassName",
            expected="a RuntimeClass of that name in the input",
        )
    if found.overhead is not None and found.overhead.pod_fixed:
        spec.overhead = dict(found.overhead.pod_fixed)
    if found.scheduling is None:
        return
    wanted = found.scheduling.node_selector or {}
    for key, value in wanted.items():
        if (spec.node_selector or {}).get(key, value) != value:
            raise InputError(
                f'conflict: RuntimeClass "{name}" asks for {key}={value}',
                field=f"spec.nodeSelector.{key}",
                expected=value,
            )
    if wanted:
        spec.node_selector = {**(spec.node_selector or {}), **wanted}
    tolerations = list(spec.tolerations or ())
    missing = [each for each in found.scheduling.tolerations or () if each not in tolerations]
    if missing:
        spec.tolerations = tolerations + missing


def _apply_eviction_tolerations(spec: PodSpec) -> None:
    """DefaultTolerationSeconds: not-ready and unreachable nodes are tolerated (for 300 s) unless the pod says so."""
    tolerations = list(spec.tolerations or ())
    missing = missing_evictions((each.key, each.effect) for each in tolerations)
    tolerations.extend(Toleration(key=key, operator="Exists", effect="NoExecute") for key in missing)
    spec.tolerations = tolerations


def missing_evictions(tolerated: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The evicting taints that none of the tolerations (key, effect; each may be empty) speaks of."""
    keys = {key for key, effect in tolerated if effect in ("NoExecute", "")}
    return () if "" in keys else tuple(key for key in EVICTING_TAINTS if key not in keys)


def _merge_label_keys(spec: PodSpec, labels: Mapping[str, str]) -> None:
    """matchLabelKeys and mismatchLabelKeys of pod (anti-)affinity terms stand in the terms' labelSelector too."""
    if spec.affinity is None:
        return
    for affinity in (spec.affinity.pod_affinity, spec.affinity.pod_anti_affinity):
        if affinity is None:
            continue
        for term in affinity.required or ():
            _merge_term(term, labels)
        for weighted in affinity.preferred or ():
            _merge_term(weighted.pod_affinity_term, labels)


def _merge_term(term: PodAffinityTerm, labels: Mapping[str, str]) -> None:
    if term.label_selector is None or not (term.match_label_keys or term.mismatch_label_keys):
        return  # without a selector the term matches nothing, with keys or without
    expressions = list(term.label_selector.match_expressions or ())
    for keys, operator in ((term.match_label_keys, "In"), (term.mismatch_label_keys, "NotIn")):
        for key in keys or ():
            if key in labels:
                expression = LabelSelectorRequirement(key=key, operator=operator, values=[labels[key]])
                if expression not in expressions:
                    expressions.append(expression)
    term.label_selector = LabelSelector(
        match_labels=term.label_selector.match_labels, match_expressions=expressions
    )
