"""The Python face: a cluster that one loads, schedules on and asks.

Puts together what lies below: sources and traces read, the scheduler's state holds, the engine decides. The only
place under the command line, with ``loading``, that looks at a clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kcore import kernel, sources, traces
from kcore.api.admission import Rules, admit
from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects, Node, Pod
from kcore.loading import Loading
from kcore.scheduler.config import default_configuration, load_configuration
from kcore.scheduler.decisions import Decisions
from kcore.scheduler.engine import INTERPRETED_MAX, Engine, Options
from kcore.scheduler.history import History
from kcore.scheduler.plugins.contract import find_class, own_points
from kcore.scheduler.plugins.policies import DEFAULT, policy_document
from kcore.scheduler.profile import Profile, SchedulerConfiguration
from kcore.scheduler.result import Result, Timing
from kcore.scheduler.state import State
from kcore.scheduler.typical import read_typical

if TYPE_CHECKING:
    import pyarrow as pa

Progress = Callable[[int, int], None]
Stage = Callable[[str], None]
Config = str | Path | Mapping[str, Any] | None
Pods = str | Path | Sequence[Any] | ClusterObjects | None

_CHOICES = {
    "tie_break": ("first", "random"),
    "order": ("queue", "file"),
    "preemption": ("off", "nominate", "evict"),
    "engine": ("auto", "full", "incremental"),
}

CLOCK_ORDERS = ("fifo", "sjf", "drf", "easy", "conservative", "srtf", "las")
"""Policies that say who comes first, not where to: they are for simulations."""


class Cluster:
    """Nodes and pods, kept as columns; pods that have no node are pending until they are scheduled."""

    def __init__(self, objects: ClusterObjects | None = None) -> None:
        self._objects = objects if objects is not None else ClusterObjects()
        # what sources read in one go has been checked but for the nodes of bound pods
        if isinstance(self._objects, sources.SourceObjects):
            sources.validate_read(self._objects)
        else:
            sources.validate(self._objects)
        self._added: list[ClusterObjects] = []
        self.state = State()
        self.state.load(self._objects)

    # -- making one

    @classmethod
    def load(cls, *paths: str | Path) -> Cluster:
        """The cluster in files, directories, ``-`` (standard input) or ``synthetic:NAME?..`` specifications.

        Raises:
            InputError: one line that says which file, document and field is wrong.
        """
        return cls(_read([str(path) for path in paths], None))

    @classmethod
    def from_objects(cls, objects: Iterable[Mapping[str, Any]]) -> Cluster:
        """The cluster described by Kubernetes objects as plain dicts."""
        return cls(sources.decode_objects(objects))

    @classmethod
    def from_arrow(cls, nodes: pa.Table, pods: pa.Table | None = None) -> Cluster:
        """The cluster in Arrow tables (columns: docs/tables.md); numeric pod columns are not copied."""
        from kcore.sources import tables

        objects = ClusterObjects(nodes=tables.nodes(nodes, "nodes"))
        objects.node_origins = [("nodes", f"row {row + 1}") for row in range(len(objects.nodes))]
        if pods is not None:
            objects.pod_columns.append(tables.pods(pods, "pods"))
        admit(objects, Rules([], []))
        return cls(objects)

    @classmethod
    def from_kubeconfig(cls, path: str | Path | None = None, context: str | None = None) -> Cluster:
        """The live cluster behind a kubeconfig, read once."""
        return cls(sources.from_kubeconfig(None if path is None else str(path), context))

    @classmethod
    def synthetic(cls, name: str, **parameters: Any) -> Cluster:
        """A generated cluster, see ``kcore datasets list``; seeded, so that equal parameters give equal clusters."""
        return cls(traces.make(name, **parameters))

    # -- changing it

    def add(self, objects: Pods) -> None:
        """Add objects of any kind: a path, several, Kubernetes objects, or ClusterObjects; pods with a node are bound.

        Raises:
            InputError: one line that says which is wrong; then no pod has been added.
        """
        self._add(objects, keeps=True)

    def add_node(self, node: Mapping[str, Any]) -> None:
        """Add one node, given as a Kubernetes object."""
        self.state.add_node(self._one(node, "nodes"))

    def update_node(self, node: Mapping[str, Any]) -> None:
        """Replace a node of the same name; its pods stay."""
        self.state.nodes.update(self._one(node, "nodes"))

    def remove_node(self, name: str) -> list[str]:
        """Remove a node and the pods on it; return these as ``namespace/name``."""
        rows = self.state.remove_node(name)
        return [f"{self.state.namespace(row)}/{self.state.pods.name(row)}" for row in rows]

    def add_pod(self, pod: Mapping[str, Any]) -> None:
        """Add one pod, bound if it has a nodeName."""
        self.state.check_names()
        self.state.add_pod(self._one(pod, "pods"))

    def remove_pod(self, pod: str) -> None:
        """Remove a pod, ``namespace/name``."""
        namespace, _, name = pod.rpartition("/")
        self.state.remove_pod(self.state.find_pod(namespace or "default", name))

    def _one(self, given: Mapping[str, Any], kind: str) -> Any:
        expected = Node if kind == "nodes" else Pod
        objects = sources.decode_objects(
            [{"kind": expected.__name__, "apiVersion": "v1", **given}], known=self._objects
        )
        found: Sequence[Any] = getattr(objects, kind)
        if len(found) != 1:
            raise InputError(f"not a {expected.__name__}", expected=f"one object of kind {expected.__name__}")
        return found[0]

    # -- asking

    @property
    def node_count(self) -> int:
        """How many nodes there are."""
        return self.state.nodes.alive_count

    @property
    def pending(self) -> int:
        """How many pods have no node."""
        return len(self._pending())

    def _pending(self) -> np.ndarray:
        state = self.state
        state.world()
        count = state.pods.count
        return np.flatnonzero((state.pods.node[:count] < 0) & (state.pods.gone[:count] == 0)).astype(np.int32)

    def nodes_table(self) -> pa.Table:
        """The nodes as an Arrow table; numeric columns are views of the state, not copies.

        Columns: name, alive, pods_allowed, pod_count, and ``allocatable:R`` / ``requested:R`` for every resource R
        (milli-CPU, bytes, counts).
        """
        import pyarrow as pa

        state = self.state
        nodes = state.world().nodes
        slots = int(nodes.slots[0])
        columns: dict[str, Any] = {
            "name": pa.array([state.nodes.name(slot) for slot in range(slots)], type=pa.string()),
            "alive": nodes.alive[:slots],
            "pods_allowed": nodes.pods_allowed[:slots],
            "pod_count": nodes.pod_count[:slots],
        }
        for row, name in enumerate(state.nodes.resources.values):
            columns[f"allocatable:{name}"] = nodes.allocatable[row, :slots]
            columns[f"requested:{name}"] = nodes.requested[row, :slots]
        return pa.table(columns)

    # -- scheduling

    def engine(
        self,
        *,
        config: Config = None,
        profile: str | None = None,
        policy: str | None = None,
        compiled: bool = False,
    ) -> Engine:
        """The engine over this cluster's state, with the arguments of :meth:`schedule`; it has decided nothing yet.

        For code that asks for filters and scores itself: environments, models, simulations.
        """
        configuration, forced = configuration_for(
            config, profile, policy, has_gpus=self.state.requests.has_gpus
        )
        return Engine(self.state, configuration, compiled=compiled and kernel.JIT, forced=forced)

    def pending_rows(self, order: str = "queue") -> np.ndarray:
        """``int32[pod]``: the pods without a node, in the order in which the scheduler's queue (or "file") has them."""
        rows = self._pending()
        if order == "queue":
            rows = rows[np.argsort(-self.state.pods.priority[rows].astype(np.int64), kind="stable")]
        return rows

    def schedule(
        self,
        pods: Pods = None,
        *,
        config: Config = None,
        profile: str | None = None,
        policy: str | None = None,
        tie_break: str = "first",
        seed: int = 0,
        order: str = "queue",
        preemption: str = "nominate",
        engine: str = "auto",
        explain: bool | Iterable[str] = False,
        progress: Progress | None = None,
        report_every: int = 0,
        stage: Stage | None = None,
    ) -> Result:
        """Place pending pods, one after another, as kube-scheduler would; the cluster keeps the placements.

        Args:
            pods: pods to add first: a path, Kubernetes objects, or ClusterObjects; None for those that are pending.
            config: a KubeSchedulerConfiguration: a path or the parsed document.
            profile: schedule every pod with this profile, whatever its schedulerName.
            policy: schedule every pod by this policy, or registered score plugin, alone (after the default filters); see
                docs/policies.md. Where pods ask for GPU devices they are shared.
            tie_break: among equally good nodes the first by name, or "random" with ``seed``.
            order: "queue" (by priority, then arrival) or "file".
            preemption: "off"; "nominate" names a node and victims; "evict" removes them and places the pod.
            engine: "full" evaluates every node for every pod; "incremental" keeps what placements do not change for
                every shape of pod; "auto" takes the quicker of the two. The result is the same.
            explain: True for all pods, or their names as ``namespace/name``.
            progress: called with (pods done, pods in all), every ``report_every`` pods at the latest if that is given.
            stage: called with what is being done.

        Raises:
            InputError: anything wrong with the arguments, the configuration or the pods.
        """
        given = {"tie_break": tie_break, "order": order, "preemption": preemption, "engine": engine}
        for name, value in given.items():
            if value not in _CHOICES[name]:
                raise InputError(
                    f"{value!r} is not a choice", field=name, expected=" or ".join(_CHOICES[name])
                )
        checked, _ = configuration_for(config, profile, policy, takes_extenders=True)
        if checked.extenders and preemption == "evict":
            raise InputError("cannot go with extenders", field="preemption", expected="off or nominate")
        added = self._add(pods, keeps=bool(checked.extenders))
        configuration, forced = configuration_for(
            config, profile, policy, has_gpus=self.state.requests.has_gpus, takes_extenders=True
        )
        rows = self._pending() if added is None else added
        compiled = len(rows) * (self.node_count + 1) > INTERPRETED_MAX
        random = np.random.default_rng(seed) if "random" in (tie_break, policy) else None
        options = Options(order, engine, random, preemption, progress, report_every)
        return self._run(rows, configuration, forced, options, compiled, explain, stage or _quiet)

    def _add(self, pods: Pods, *, keeps: bool) -> np.ndarray | None:
        if pods is None:
            return None
        if isinstance(pods, ClusterObjects):
            objects = pods
        elif isinstance(pods, str | Path):
            objects = _read([str(pods)], self._objects)
        elif all(isinstance(one, str | Path) for one in pods):
            objects = _read([str(one) for one in pods], self._objects)
        else:
            objects = sources.decode_objects(pods, known=self._objects)
        first = self.state.pods.count
        try:
            self.state.load(objects)
            self.state.check_names()
        except InputError:
            self.state.drop_since(first)
            raise
        if keeps:
            self._added.append(objects)
        rows = self._pending()
        return rows[rows >= first]

    def _run(
        self,
        rows: np.ndarray,
        configuration: SchedulerConfiguration,
        forced: Profile | None,
        options: Options,
        compiled: bool,
        explain: bool | Iterable[str],
        stage: Stage,
    ) -> Result:
        state = self.state
        notes = _notes(configuration)
        compiled = compiled and kernel.JIT
        # extenders decide the pace: nobody would look at the clock between pods
        patient = compiled and not kernel.is_cached() and not configuration.extenders
        engine = Engine(state, configuration, compiled=compiled and not patient, forced=forced)
        stage("compiling what the pods demand")
        engine.compile_demands(rows)
        history = History(engine, options)
        loading = Loading(engine, stage, explains=explain is not False)
        if engine.compiled:
            loading.load()
        stage("scheduling")
        if patient:
            options = loading.after_a_while(options)
        started, loaded = time.perf_counter(), loading.seconds
        if configuration.extenders:
            decisions = self._decided_with_extenders(engine, rows, options)
        else:
            decisions = engine.schedule(rows, options)
        seconds = time.perf_counter() - started - (loading.seconds - loaded)
        history.finish(decisions)
        kind = engine.kind if engine.compiled else f"{engine.kind}, interpreted"
        result = Result(state, decisions, history, Timing(seconds, kind, notes))
        if explain is not False:
            stage("explaining")
            wanted: Iterable[int] = decisions.rows.tolist()
            if not isinstance(explain, bool):
                wanted = [self._row(pod) for pod in explain]
            result.explanations = result.explain_rows(wanted)
        return result

    def _decided_with_extenders(self, engine: Engine, rows: np.ndarray, options: Options) -> Decisions:
        from kcore.online.extended_files import FileObjects, decide  # few have any

        files = FileObjects(self.state, (self._objects, *self._added))
        return decide(engine, files, rows, options, engine.configuration.extenders)

    def _row(self, pod: str) -> int:
        namespace, _, name = pod.rpartition("/")
        try:
            return self.state.find_pod(namespace or "default", name)
        except InputError as error:
            raise error.at(field="explain") from None


def _quiet(_: str) -> None:
    return None


def _read(paths: list[str], known: ClusterObjects | None) -> ClusterObjects:
    """Files and generated specifications together, in order; what is generated comes after the files."""
    files = [path for path in paths if not traces.is_spec(path)]
    objects: ClusterObjects = sources.read(
        files, trace_loaders=(traces.load_openb, traces.load_public), known=known
    )
    for path in paths:
        if traces.is_spec(path):
            made = traces.from_spec(path)
            for name in ClusterObjects.__struct_fields__:
                getattr(objects, name).extend(getattr(made, name))
    if len(files) < len(paths):
        sources.validate(objects)
    return objects


def configuration_for(
    config: Config,
    profile: str | None,
    policy: str | None,
    *,
    has_gpus: bool = False,
    takes_extenders: bool = False,
) -> tuple[SchedulerConfiguration, Profile | None]:
    """The configuration, and the profile that is forced on every pod, if one is.

    ``has_gpus``: there are pods that ask for GPU devices, which policies share. ``takes_extenders``: they will be asked.

    Raises:
        InputError: anything wrong with the three, by name.
    """
    document: Mapping[str, Any] | None
    if isinstance(config, str | Path):
        document = sources.read_configuration(str(config))
    else:
        document = config
    file = str(config) if isinstance(config, str | Path) else None
    try:
        if document is None:
            configuration = default_configuration()
        else:
            configuration = load_configuration(
                document, third_party=own_points(), takes_extenders=takes_extenders
            )
            if configuration.extenders:
                from kcore.online.extenders import endpoint_of  # few have any

                for extender in configuration.extenders:
                    endpoint_of(extender)
        for one in configuration.profiles:
            read_typical(one)
    except InputError as error:
        raise error.at(file=file) from None
    if policy is not None:
        if config is not None:
            raise InputError("cannot go with config", field="policy", expected="one of the two")
        configuration = _policy_configuration(policy, has_gpus=has_gpus)
        return configuration, configuration.profiles[0]
    if profile is None:
        return configuration, None
    forced = configuration.profile(profile)
    if forced is None:
        names = ", ".join(one.scheduler_name for one in configuration.profiles)
        raise InputError(f"no profile is named {profile!r}", field="profile", expected=f"one of {names}")
    return configuration, forced


def _policy_configuration(policy: str, *, has_gpus: bool) -> SchedulerConfiguration:
    """The default filters, and GpuShare for pods with GPUs, with one policy in place of all scores."""
    for part in policy.split(","):
        if part.strip() in CLOCK_ORDERS:
            raise InputError(
                f"{part.strip()} orders jobs in time, and nothing here takes time",
                field="policy",
                expected="a policy that places pods; an order needs a clock: kcore simulate",
            )
    known = own_points()
    names = sorted(name for name, points in known.items() if "score" in points)
    if policy not in (DEFAULT, *names):
        raise InputError(
            f"no policy is named {policy!r}",
            field="policy",
            expected=", ".join((DEFAULT, *names)),
        )
    return load_configuration(policy_document(policy, has_gpus), third_party=known)


def _notes(configuration: SchedulerConfiguration) -> list[str]:
    shares = {configuration.percentage_of_nodes_to_score}
    shares |= {profile.percentage_of_nodes_to_score for profile in configuration.profiles}
    around = {
        name: point
        for profile in configuration.profiles
        for point, names in (
            ("preEnqueue", profile.pre_enqueue), ("queueSort", (profile.queue_sort,)), ("reserve", profile.reserves),
            ("permit", profile.permits), ("preBind", profile.pre_binds), ("postBind", profile.post_binds),
        )
        for name in names
        if find_class(name) is not None
    }  # fmt: skip
    return [
        f"{name}: is asked at {point} by kcore scheduler; here it was not" for name, point in around.items()
    ] + [
        f"percentageOfNodesToScore: {share} is accepted; every node was scored all the same"
        for share in sorted(one for one in shares if one)
    ]
