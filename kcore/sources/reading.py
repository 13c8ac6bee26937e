"""Everything that was taken in becomes one ClusterObjects: workloads expanded, defaults applied, all of it checked."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from msgspec import field

from kcore.api.admission import DEFAULT_NAMESPACE, Rules, RuntimeClass, admit
from kcore.api.errors import InputError
from kcore.api.objects import (
    ClusterObjects,
    Node,
    Pod,
    ReplicaSet,
    ReplicationController,
    SelectorSpec,
    ServiceSpec,
    StatefulSet,
)
from kcore.api.safe_names import fnv1a
from kcore.sources import files, table_files, tables, yaml_text
from kcore.sources.check import check_amounts, check_names
from kcore.sources.files import Content
from kcore.sources.intake import Intake, Origin, add_all
from kcore.sources.kinds import CLUSTER_SCOPED, STORAGE_KINDS, ReplicationControllerWorkload, Workload
from kcore.sources.names import generated
from kcore.sources.owned import Owned
from kcore.sources.storage import check_storage
from kcore.sources.workloads import (
    daemon_set_pods,
    job_of,
    job_pods,
    replica_pods,
    replica_set_of,
    stateful_set_pods,
)

TraceLoader = Callable[[str], ClusterObjects | None]

# of single files that a trace loader is asked about
TRACE_SUFFIXES = (
    *files.CSV_SUFFIXES,
    *files.PARQUET_SUFFIXES,
    *files.ARROW_SUFFIXES,
    ".swf",
    ".sqlite",
    ".sqlite3",
)
ITEM, STEP, LINE = (
    re.compile(r"items\[(\d+)\]"),
    re.compile(r"([^.\[\]]+)|\[(\d+)\]"),
    re.compile(r"\(line \d+"),
)
FROZEN_OBJECTS_MIN = 500_000  # so many new containers and no fewer are worth freezing
FINISHED = ("Succeeded", "Failed")


class SourceObjects(ClusterObjects):
    """ClusterObjects with what reading them left out, and what a second reading needs to know of the first."""

    runtime_classes: list[RuntimeClass] = field(default_factory=list)
    passed_over: dict[str, int] = field(default_factory=dict)  # kind -> objects of no interest to scheduling
    finished_pod_count: int = 0  # pods that Succeeded or Failed, and hold nothing any more


def read(
    paths: Sequence[str],
    *,
    stdin: BinaryIO | None = None,
    trace_loaders: Sequence[TraceLoader] = (),
    known: ClusterObjects | None = None,
) -> SourceObjects:
    """All objects of the files, directories and standard input (``-``), in the order given.

    ``trace_loaders`` are tried first on directories and on files that may hold a trace; the first that does not answer None has read it.
    ``known`` is a cluster that was read before: its nodes, priority and runtime classes count for what is read now.
    Names and amounts are checked; that bound pods' nodes are there is for ``validate``, once all is together.
    Raises InputError, with its place, for anything wrong.
    """
    with collector_off():
        intake = Intake()
        found = SourceObjects()
        for path in paths:
            loaded = _load_trace(path, trace_loaders)
            if loaded is not None:
                _extend(found, loaded)
                continue
            for file in files.find(path):
                loaded = _load_trace(file, trace_loaders) if file != path else None
                if loaded is not None:
                    _extend(found, loaded)
                else:
                    _take_in(intake, found, files.read(file, stdin))
        return _completed(intake, found, known)


def decode_objects(
    objects: Iterable[Any], *, origin: str = "objects", known: ClusterObjects | None = None
) -> SourceObjects:
    """The same as ``read`` for objects that are parsed already: mappings as JSON has them, or Lists of them."""
    with collector_off():
        intake = Intake()
        add_all(intake, objects, origin)
        return _completed(intake, SourceObjects(), known)


def from_intake(intake: Intake) -> SourceObjects:
    """What an intake from a live cluster amounts to: there, the pods that are not there are not to be made up."""
    return _completed(intake, SourceObjects(), None, expand=False)


@contextmanager
def collector_off() -> Iterator[None]:
    """No garbage collection meanwhile: it would walk all that was decoded again and again, and find nothing."""
    was_on = gc.isenabled()
    before = gc.get_count()[0]
    gc.disable()
    try:
        yield
    finally:
        if gc.get_count()[0] - before > FROZEN_OBJECTS_MIN:
            gc.freeze()  # nor shall later collections walk them: they hold no cycles, counting references frees them
        if was_on:
            gc.enable()


def _load_trace(path: str, loaders: Sequence[TraceLoader]) -> ClusterObjects | None:
    if not loaders or path == files.STDIN:
        return None
    import os

    if not (os.path.isdir(path) or files.plain_suffix(path) in TRACE_SUFFIXES):
        return None
    return next((found for loader in loaders if (found := loader(path)) is not None), None)


def _extend(found: SourceObjects, loaded: ClusterObjects) -> None:
    for name in ClusterObjects.__struct_fields__:
        getattr(found, name).extend(getattr(loaded, name))


def _take_in(intake: Intake, found: SourceObjects, content: Content) -> None:
    """The content is in the intake (manifests) or in ``found`` (tables)."""
    if content.format in ("parquet", "arrow", "csv"):
        table = table_files.table_of(content)
        if tables.is_pods(table.column_names, content.name):
            found.pod_columns.append(tables.pods(table, content.name))
        else:
            nodes = tables.nodes(table, content.name)
            found.nodes += nodes
            found.node_origins += [(content.name, f"row {row + 1}") for row in range(len(nodes))]
    elif content.format == "json":
        intake.json(content.data, content.name)
    else:
        _take_in_yaml(intake, content)


def _take_in_yaml(intake: Intake, content: Content) -> None:
    if content.data.lstrip()[:1] in (b"{", b"["):
        trial = Intake()
        try:  # JSON under a YAML suffix, which is common and twenty times faster to read as such
            trial.json(content.data, content.name)
        except InputError:
            pass
        else:
            intake.json(content.data, content.name)
            return
    count = 0
    for index, document in enumerate(yaml_text.documents(content.data, content.name)):
        count += 1
        try:
            intake.add(document.value, content.name, f"document {index + 1} (line {document.line})")
        except InputError as error:
            raise _with_line(error, content, index) from None
    if not count:
        raise InputError("the file holds no document", file=content.name, expected="manifests")


def _with_line(error: InputError, content: Content, index: int) -> InputError:
    """The error with the line of its field in place of the line of its document."""
    document = error.document or ""
    steps: list[str | int] = []
    for item in ITEM.findall(document):
        steps += ["items", int(item)]
    for key, item in STEP.findall(error.field or ""):
        steps.append(key or int(item))
    line = yaml_text.line_of(content.data, index, steps)
    if line is not None:
        error.document = LINE.sub(f"(line {line}", document, count=1)
    return error


def _completed(
    intake: Intake, found: SourceObjects, known: ClusterObjects | None, *, expand: bool = True
) -> SourceObjects:
    for kind, objects in intake.objects.items():
        if kind not in CLUSTER_SCOPED:
            for each in objects:
                if not each.metadata.namespace:
                    each.metadata.namespace = DEFAULT_NAMESPACE
    check_storage(intake)
    _collect(intake, found)
    _name_pods(found.pods)
    if expand:
        _expand(intake, found, [*(known.nodes if known is not None else ()), *found.nodes])
    _drop_finished(found)
    check_amounts(found)
    admit(found, _rules(found, known))
    check_names(found)
    return found


def _rules(found: SourceObjects, known: ClusterObjects | None) -> Rules:
    before = known if known is not None else ClusterObjects()
    return Rules(
        [*before.priority_classes, *found.priority_classes],
        [*getattr(before, "runtime_classes", ()), *found.runtime_classes],
    )


def _collect(intake: Intake, found: SourceObjects) -> None:
    """All objects that are kept as they are stand in ``found``; the selectors of workloads too."""
    objects, origins = intake.objects, intake.origins
    found.nodes += objects["Node"]
    found.node_origins += origins["Node"]
    found.pods += objects["Pod"]
    found.pod_origins += origins["Pod"]
    found.namespaces += objects["Namespace"]
    found.services += objects["Service"]
    found.pdbs += objects["PodDisruptionBudget"]
    found.priority_classes += objects["PriorityClass"]
    found.runtime_classes += objects["RuntimeClass"]
    for kind, name in STORAGE_KINDS:
        getattr(found, name).extend(objects[kind])
    found.replica_sets += [_replica_set(each) for each in objects["ReplicaSet"]]
    found.stateful_sets += [
        StatefulSet(metadata=each.metadata, spec=SelectorSpec(selector=each.spec.selector))
        for each in objects["StatefulSet"]
    ]
    found.replication_controllers += [
        _replication_controller(each) for each in objects["ReplicationController"]
    ]
    for kind, count in intake.passed_over.items():
        found.passed_over[kind] = found.passed_over.get(kind, 0) + count


def _replica_set(workload: Workload) -> ReplicaSet:
    return ReplicaSet(metadata=workload.metadata, spec=SelectorSpec(selector=workload.spec.selector))


def _replication_controller(workload: ReplicationControllerWorkload) -> ReplicationController:
    template = workload.spec.template
    selector = workload.spec.selector or (template.metadata.labels if template is not None else None)
    return ReplicationController(metadata=workload.metadata, spec=ServiceSpec(selector=selector))


def _name_pods(pods: Sequence[Pod]) -> None:
    """Pods that ask for a generated name have one, the same at every reading."""
    ordinals: dict[tuple[str, str], int] = {}
    for pod in pods:
        metadata = pod.metadata
        if not metadata.name:
            key = (metadata.namespace, metadata.generate_name)
            ordinal = ordinals.get(key, 0)
            ordinals[key] = ordinal + 1
            metadata.name = generated(metadata.generate_name, fnv1a("/".join(key).encode()), ordinal)


def _expand(intake: Intake, found: SourceObjects, nodes: Sequence[Node]) -> None:
    """The pods of all workloads whose pods are not in the input are in ``found``, with their ReplicaSets."""
    objects = intake.objects
    if not any(objects[kind] for kind in WORKLOAD_KINDS):
        return
    owned = Owned(found.pods, [*objects["ReplicaSet"], *objects["Job"]])

    def take(kind: str, pods: Callable[[Any], Iterator[Pod]]) -> None:
        for each, origin in zip(objects[kind], intake.origins[kind], strict=True):
            if not owned.has(kind, each.metadata):
                _add_pods(found, pods, each, origin, kind)

    def of_deployment(deployment: Workload) -> Iterator[Pod]:
        workload = replica_set_of(deployment)
        found.replica_sets.append(_replica_set(workload))
        return replica_pods(workload, "ReplicaSet", "apps/v1")

    def of_cron_job(cron_job: Any) -> Iterator[Pod]:
        job = job_of(cron_job)
        return iter(()) if job is None else job_pods(job)

    take("Deployment", of_deployment)
    take("ReplicaSet", lambda each: replica_pods(each, "ReplicaSet", "apps/v1"))
    take("ReplicationController", lambda each: replica_pods(each, "ReplicationController", "v1"))
    take("StatefulSet", stateful_set_pods)
    take("DaemonSet", lambda each: daemon_set_pods(each, nodes))
    take("Job", job_pods)
    take("CronJob", of_cron_job)


WORKLOAD_KINDS = (
    "Deployment",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
)


def _add_pods(
    found: SourceObjects, make: Callable[[Any], Iterator[Pod]], workload: Any, origin: Origin, kind: str
) -> None:
    file, document = origin
    title = f"{kind} {workload.metadata.name}"
    try:
        pods = list(make(workload))
    except InputError as error:
        raise error.at(file=file, document=f"{document} ({title})" if document else title) from None
    found.pods += pods
    found.pod_origins += [(file, f"{document} ({title})" if document else title)] * len(pods)


def _drop_finished(found: SourceObjects) -> None:
    if not {pod.status.phase for pod in found.pods}.isdisjoint(FINISHED):
        pairs = list(zip(found.pods, found.pod_origins, strict=True))
        kept = [(pod, origin) for pod, origin in pairs if pod.status.phase not in FINISHED]
        found.finished_pod_count += len(pairs) - len(kept)
        found.pods = [pod for pod, _ in kept]
        found.pod_origins = [origin for _, origin in kept]
