"""Workloads become the pods that their controllers would make of them.

Sources, Kubernetes 1.36: pkg/controller/{deployment,replicaset,statefulset,daemon,job,cronjob,replication}. Names
that are random upstream are drawn by kcore.sources.names. All pods of one template share one spec object.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from kcore.api.errors import InputError
from kcore.api.objects import (
    Affinity,
    LabelSelector,
    Node,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    ObjectMeta,
    OwnerReference,
    Pod,
    PodSpec,
    Toleration,
    Volume,
)
from kcore.api.safe_names import fnv1a
from kcore.sources.eligibility import may_run
from kcore.sources.kinds import (
    CronJob,
    Job,
    JobSpec,
    PodTemplate,
    ReplicationControllerWorkload,
    Workload,
    WorkloadSpec,
)
from kcore.sources.limits import WORKLOAD_PODS_MAX
from kcore.sources.names import generated, template_hash
from kcore.sources.owned import HASH_LABEL

DAEMON_TOLERATIONS = tuple(
    Toleration(key=f"node.kubernetes.io/{key}", operator="Exists", effect=effect)
    for key, effect in (
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    )
)
HOST_NETWORK_TOLERATION = Toleration(
    key="node.kubernetes.io/network-unavailable", operator="Exists", effect="NoSchedule"
)
REVISION_LABEL = "controller-revision-hash"
INDEXED = "Indexed"


def replica_set_of(deployment: Workload) -> Workload:
    """The one ReplicaSet that a new Deployment gets, with the template's hash in its name, selector and labels."""
    spec, name = deployment.spec, deployment.metadata.name
    hash_ = template_hash(spec.template)
    labels = {**(spec.template.metadata.labels or {}), HASH_LABEL: hash_}
    selector = spec.selector or LabelSelector()
    template = msgspec.structs.replace(
        spec.template, metadata=msgspec.structs.replace(spec.template.metadata, labels=labels)
    )
    return Workload(
        metadata=ObjectMeta(
            name=f"{name}-{hash_}",
            namespace=deployment.metadata.namespace,
            labels=labels,
            owner_references=[_owner("apps/v1", "Deployment", name)],
        ),
        spec=WorkloadSpec(
            replicas=spec.replicas,
            selector=LabelSelector(
                match_labels={**(selector.match_labels or {}), HASH_LABEL: hash_},
                match_expressions=selector.match_expressions,
            ),
            template=template,
        ),
    )


def replica_pods(
    workload: Workload | ReplicationControllerWorkload, kind: str, api_version: str
) -> Iterator[Pod]:
    """The pods of a ReplicaSet or ReplicationController: equal but for their names."""
    metadata, template = workload.metadata, workload.spec.template or PodTemplate()
    labels = _template_labels(template)
    seed = fnv1a(f"{metadata.namespace}/{kind}/{metadata.name}".encode())
    owner = [_owner(api_version, kind, metadata.name)]
    for ordinal in range(_count(workload.spec.replicas, "spec.replicas")):
        name = generated(f"{metadata.name}-", seed, ordinal)
        yield _pod(name, metadata.namespace, labels, template, owner)


def stateful_set_pods(workload: Workload) -> Iterator[Pod]:
    """The pods of a StatefulSet: ordinal names and labels, and the claims of their own where it has templates."""
    metadata, spec = workload.metadata, workload.spec
    base = {
        **_template_labels(spec.template),
        REVISION_LABEL: f"{metadata.name}-{template_hash(spec.template)}",
    }
    owner = [_owner("apps/v1", "StatefulSet", metadata.name)]
    start = spec.ordinals.start if spec.ordinals is not None else 0
    for ordinal in range(start, start + _count(spec.replicas, "spec.replicas")):
        name = f"{metadata.name}-{ordinal}"
        labels = {
            **base,
            "statefulset.kubernetes.io/pod-name": name,
            "apps.kubernetes.io/pod-index": str(ordinal),
        }
        pod_spec = spec.template.spec
        if spec.volume_claim_templates:
            claimed = [claim.metadata.name for claim in spec.volume_claim_templates]
            volumes = [
                Volume(name=claim, persistent_volume_claim={"claimName": f"{claim}-{name}"})
                for claim in claimed
            ]
            kept = [volume for volume in pod_spec.volumes or () if volume.name not in claimed]
            pod_spec = msgspec.structs.replace(pod_spec, volumes=volumes + kept)
        template = msgspec.structs.replace(spec.template, spec=pod_spec)
        yield _pod(name, metadata.namespace, labels, template, owner)


def daemon_set_pods(workload: Workload, nodes: Sequence[Node]) -> Iterator[Pod]:
    """One pod for each node that lets it in, bound to it by a node affinity on metadata.name."""
    metadata, template = workload.metadata, workload.spec.template
    labels = {
        **_template_labels(template),
        REVISION_LABEL: template_hash(template),
        "pod-template-generation": "1",
    }
    owner = [_owner("apps/v1", "DaemonSet", metadata.name)]
    seed = fnv1a(f"{metadata.namespace}/DaemonSet/{metadata.name}".encode())
    spec = template.spec
    added = [*DAEMON_TOLERATIONS, *([HOST_NETWORK_TOLERATION] if spec.host_network else [])]
    tolerations = [
        *(spec.tolerations or ()),
        *(each for each in added if each not in (spec.tolerations or ())),
    ]
    tolerant = msgspec.structs.replace(spec, tolerations=tolerations)
    for ordinal, node in enumerate(nodes):
        if may_run(tolerant, node):
            pinned = msgspec.structs.replace(tolerant, affinity=_pinned(spec, node.metadata.name))
            name = generated(f"{metadata.name}-", seed, ordinal)
            yield _pod(
                name, metadata.namespace, labels, msgspec.structs.replace(template, spec=pinned), owner
            )


def _pinned(spec: PodSpec, node_name: str) -> Affinity:
    """The affinity with its required node terms replaced by the node's name (ReplaceDaemonSetPodNodeNameNodeAffinity)."""
    affinity = spec.affinity or Affinity()
    requirement = NodeSelectorRequirement(key="metadata.name", operator="In", values=[node_name])
    return Affinity(
        node_affinity=NodeAffinity(
            required=NodeSelector(node_selector_terms=[NodeSelectorTerm(match_fields=[requirement])]),
            preferred=affinity.node_affinity.preferred if affinity.node_affinity is not None else None,
        ),
        pod_affinity=affinity.pod_affinity,
        pod_anti_affinity=affinity.pod_anti_affinity,
    )


def job_pods(job: Job) -> Iterator[Pod]:
    """The pods that a Job runs at once: its parallelism, or what is left of its completions if that is less."""
    spec, status, metadata = job.spec, job.status, job.metadata
    done = bool(status.completion_time) or any(
        condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True"
        for condition in status.conditions or ()
    )
    if spec.suspend or done:
        return
    count = _job_count(spec, status.succeeded or 0)
    base = {
        **_template_labels(spec.template),
        "job-name": metadata.name,
        "batch.kubernetes.io/job-name": metadata.name,
    }
    if metadata.uid:
        base |= {"controller-uid": metadata.uid, "batch.kubernetes.io/controller-uid": metadata.uid}
    owner = [_owner("batch/v1", "Job", metadata.name)]
    seed = fnv1a(f"{metadata.namespace}/Job/{metadata.name}".encode())
    indexed = spec.completion_mode == INDEXED
    for index in range(count):
        labels = base
        prefix = f"{metadata.name}-"
        if indexed:
            labels = {**base, "batch.kubernetes.io/job-completion-index": str(index)}
            prefix = f"{metadata.name}-{index}-"
        yield _pod(generated(prefix, seed, index), metadata.namespace, labels, spec.template, owner)


def _job_count(spec: JobSpec, succeeded: int) -> int:
    parallelism = _count(spec.parallelism, "spec.parallelism")
    if spec.completions is None:
        if spec.completion_mode == INDEXED:
            raise InputError(
                "is missing", field="spec.completions", expected="a count, as the mode is Indexed"
            )
        return parallelism
    return min(parallelism, max(_count(spec.completions, "spec.completions") - succeeded, 0))


def job_of(cron_job: CronJob) -> Job | None:
    """The Job of one run of a CronJob; None while it is suspended."""
    if cron_job.spec.suspend:
        return None
    template, name = cron_job.spec.job_template, cron_job.metadata.name
    return Job(
        metadata=ObjectMeta(
            name=f"{name}-{fnv1a(name.encode()) % 100_000_000:08d}",  # upstream: the minute it is due
            namespace=cron_job.metadata.namespace,
            labels=template.metadata.labels,
            owner_references=[_owner("batch/v1", "CronJob", name)],
        ),
        spec=template.spec,
    )


def _count(replicas: int | None, field: str) -> int:
    count = 1 if replicas is None else replicas
    if not 0 <= count <= WORKLOAD_PODS_MAX:
        raise InputError(f"{count} is out of range", field=field, expected=f"0 to {WORKLOAD_PODS_MAX}")
    return count


def _owner(api_version: str, kind: str, name: str) -> OwnerReference:
    return OwnerReference(api_version=api_version, kind=kind, name=name, controller=True)


def _template_labels(template: PodTemplate) -> dict[str, str]:
    return dict(template.metadata.labels or {})


def _pod(
    name: str, namespace: str, labels: dict[str, str], template: Any, owner: list[OwnerReference]
) -> Pod:
    metadata = ObjectMeta(
        name=name,
        namespace=namespace,
        labels=labels,
        annotations=template.metadata.annotations,
        owner_references=owner,
    )
    return Pod(metadata=metadata, spec=template.spec)
