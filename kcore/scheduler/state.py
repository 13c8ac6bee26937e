"""The scheduler's picture of the cluster: the tables together, kept consistent as nodes and pods come and go.

Reading an object changes tables; :meth:`State.world` brings everything that was derived up to date and returns the
kernels' view. Placing, evicting and nominating change the view's arrays in place.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import numpy as np

from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects, Node, Pod
from kcore.api.objects import PodColumns as PodSource
from kcore.scheduler.accounts import bind, bind_many, unbind, unbind_many
from kcore.scheduler.budgets import Budget, read_budget, rows_by_class
from kcore.scheduler.column_requests import column_requests
from kcore.scheduler.columns import Demands, NodeColumns, PodColumns, Ragged, Requests, ragged
from kcore.scheduler.demand import DemandTable
from kcore.scheduler.devices import device_mask, gpu_request
from kcore.scheduler.dynamic.catalog import DeviceCatalog
from kcore.scheduler.ledger import Ledger
from kcore.scheduler.meaning import changes_meaning, selector_keys, terminating_by_preemption
from kcore.scheduler.nodes import NodeTable
from kcore.scheduler.owners import Owners
from kcore.scheduler.pods import START_UNKNOWN, PodTable, RequestTable, parse_start
from kcore.scheduler.profile import Profile
from kcore.scheduler.requests import pod_request, request_key
from kcore.scheduler.spec import SpecClass, class_key, read_class
from kcore.scheduler.vocab import distinct, only, taken
from kcore.scheduler.volumes.storage import Storage


class World(NamedTuple):
    """The kernels' view of everything."""

    nodes: NodeColumns
    pods: PodColumns
    demands: Demands
    requests: Requests


class State:
    """All tables of one cluster."""

    def __init__(self) -> None:
        self.nodes = NodeTable()
        self.pods = PodTable()
        self.requests = RequestTable()
        self.ledger = Ledger()
        self.owners = Owners()
        self.namespaces: dict[str, dict[str, str]] = {}
        self.budgets: list[Budget] = []
        self.classes: list[SpecClass] = []
        self.demands = DemandTable(self.nodes, self.ledger, self.owners, self.namespaces)
        self.nominated = np.zeros(0, dtype=np.int32)
        self.version = 0
        """Grows with every change of pods and their places, so that a result knows that the cluster has moved on."""
        self.preempting: set[int] = set()
        """Pods that are terminating because the scheduler preempted them."""
        self.hosted: dict[int, Pod] = {}
        """Pods that plugins on objects are asked about, by row in ascending order; they stay when they are gone."""
        self.storage = Storage()
        self.devices = DeviceCatalog()
        self._class_index: dict[tuple[object, ...], int] = {}
        self._label_keys: frozenset[str] = frozenset()
        self._named: frozenset[tuple[str, str]] = frozenset()
        self._index: dict[tuple[str, str], int] | None = None
        self._bound: list[tuple[int, int]] = []
        self._leaving: list[int] = []
        self._sources: list[tuple[int, Pod | PodSource]] = []
        self._recount_all = False
        self._policies = 0
        self._key_memo: dict[tuple[bytes, bytes], set[str]] = {}
        self._world: World | None = None
        self._built: tuple[int, ...] = ()
        self._ranked = -1
        self._images: tuple[int, np.ndarray] = (-1, np.zeros((0, 0), dtype=np.int64))

    def copy(self) -> State:
        """The same cluster once more; objects as they were read are shared, for nobody changes them."""
        shared: list[object] = [
            *self.storage.objects(),
            *self.devices.objects(),
            *self.nodes.nodes,
            *self.classes,
            *(source for _, source in self._sources),
        ]
        memo: dict[int, object] = {id(one): one for one in shared if one is not None}
        world, self._world = self._world, None
        try:
            return copy.deepcopy(self, memo)
        finally:
            self._world = world

    # -- reading

    def load(self, objects: ClusterObjects) -> range:
        """Take in everything of ``objects``; return the rows of its pods, in order.

        Raises:
            InputError: with the place (file, document, field) of the first thing that is wrong.
        """
        for namespace in objects.namespaces:
            self.namespaces[namespace.metadata.name] = namespace.metadata.labels or {}
        self.owners.add(objects)
        self.storage.load(objects)
        self.devices.load(objects)
        for budget in objects.pdbs:
            self.budgets.append(read_budget(budget))
        if len(self.demands) and changes_meaning(objects):
            # selectors of namespaces and of services may mean other pods now
            self.demands = DemandTable(self.nodes, self.ledger, self.owners, self.namespaces)
            self.pods.demand[:] = -1
        named = frozenset((budget.namespace, name) for budget in self.budgets for name in budget.disrupted)
        if named != self._named:
            self._named = named
            self._reread()
        keys = self.owners.label_keys() | {key for one in self.budgets for key in one.selector.label_keys()}
        keys |= self._selector_keys(objects.pods)
        for columns in objects.pod_columns:
            keys |= self._selector_keys(columns.exemplars)
        self._widen(keys)
        self.nodes.reserve(len(self.nodes.nodes) + len(objects.nodes))
        for index, node in enumerate(objects.nodes):
            try:
                self.nodes.add(node)
            except InputError as error:
                raise _placed(error, objects.node_origins, index) from None
        first = self.pods.count
        self.pods.reserve(len(objects.pods) + sum(len(one.exemplar) for one in objects.pod_columns))
        for index, pod in enumerate(objects.pods):
            try:
                self._add_pod(pod, not pod.spec.node_name)
            except InputError as error:
                raise _placed(error, objects.pod_origins, index) from None
        self._index = None
        for columns in objects.pod_columns:
            try:
                self.add_columns(columns)
            except InputError as error:
                raise error.at(file=columns.origin or None) from None
        return range(first, self.pods.count)

    def replace_policies(
        self, objects: ClusterObjects, namespaces: dict[str, dict[str, str]], *, meaning: bool
    ) -> None:
        """Let these be all budgets and, where ``meaning`` says that some changed, all services, owners and namespaces."""
        self.budgets[:] = [read_budget(budget) for budget in objects.pdbs]
        self._policies += 1
        if meaning:
            self.namespaces.clear()
            self.namespaces.update(namespaces)
            self.owners = Owners()
            self.owners.add(objects)
            self.demands = DemandTable(self.nodes, self.ledger, self.owners, self.namespaces)
            self.pods.demand[:] = -1
        named = frozenset((budget.namespace, name) for budget in self.budgets for name in budget.disrupted)
        if named != self._named:
            self._named = named
            self._reread()
        self._widen(
            self.owners.label_keys() | {key for one in self.budgets for key in one.selector.label_keys()}
        )

    def take_back(self, row: int) -> None:
        """Take a pod off the node that it was placed on; it is pending again."""
        world = self.world()
        self.version += 1
        unbind(world.nodes, world.pods, world.requests, row)

    def add_node(self, node: Node) -> int:
        """Take in one node and return its slot."""
        return self.nodes.add(node)

    def remove_node(self, name: str) -> list[int]:
        """Take a node away and with it the pods on it; return their rows."""
        slot = self.nodes.find(name)
        rows = self.pods_on(slot)
        for row in rows:
            self.remove_soon(row)
        self.world()
        for row in [row for row in self.nominated.tolist() if self.pods.nominated[row] == slot]:
            self.forget_nomination(row)
        self.nodes.remove(name)
        return rows

    def add_pod(self, pod: Pod, *, pending: bool | None = None) -> int:
        """Take in one pod and return its row; it is pending if it has no node, or if ``pending`` says so."""
        meta = pod.metadata
        key = (meta.namespace, meta.name)
        if self._index is not None and key in self._index:
            raise InputError(
                f"a pod named {meta.namespace}/{meta.name} exists already", field="metadata.name"
            )
        self._widen(self._selector_keys((pod,)))
        row = self._add_pod(pod, not pod.spec.node_name if pending is None else pending)
        if self._index is not None:
            self._index[key] = row
        return row

    def add_alike(self, like: int, pod: Pod) -> int:
        """Take in one more pending pod and return its row; it differs from the one in row ``like`` by its name alone."""
        meta = pod.metadata
        if (
            self._named
            and {(meta.namespace, meta.name), (meta.namespace, self.pods.name(like))} & self._named
        ):
            return self.add_pod(pod, pending=True)
        pods = self.pods
        row = pods.add(
            meta.name, int(pods.spec_class[like]), int(pods.request[like]), int(pods.priority[like]),
            int(pods.start[like]),
        )  # fmt: skip
        self._keep(row, pod)
        if self._index is not None:
            self._index[(meta.namespace, meta.name)] = row
        return row

    def _keep(self, row: int, pod: Pod) -> None:
        self._sources.append((row, pod))
        if self.classes[self.pods.spec_class[row]].hosted:
            self.hosted[row] = pod

    def _add_pod(self, pod: Pod, pending: bool) -> int:
        meta = pod.metadata
        slot = -1 if pending else self._bound_slot(pod)
        row = self.pods.add(
            meta.name,
            self._class(pod, pending=pending),
            self._request(pod, bound=not pending),
            pod.spec.priority or 0,
            parse_start(pod.status.start_time),
        )
        if slot >= 0:
            self._bound.append((row, slot))
            self.pods.devices[row] = device_mask(pod, int(self.nodes.gpu_count[slot]))
            if meta.deletion_timestamp is not None and terminating_by_preemption(pod):
                self.preempting.add(row)
        elif pod.status.nominated_node_name and not pod.spec.node_name:
            self._nominate_by_name(row, pod.status.nominated_node_name)
        self._keep(row, pod)
        return row

    def _bound_slot(self, pod: Pod) -> int:
        name = pod.spec.node_name
        slot = self.nodes.index.get(name)
        if slot is None:
            raise InputError(
                f"the pod is bound to node {name!r}, which the input does not have",
                field="spec.nodeName",
                expected="the name of a node of the input",
            )
        return slot

    def _nominate_by_name(self, row: int, name: str) -> None:
        slot = self.nodes.index.get(name)
        if slot is not None:
            self.nominate(row, slot)

    def add_columns(self, source: PodSource) -> range:
        """Take in many pods given as columns; return their rows."""
        classes = np.array([self._class(pod, pending=False) for pod in source.exemplars], dtype=np.int32)
        count = len(source.exemplar)
        priority = source.priority
        if priority is None:
            own = np.array([pod.spec.priority or 0 for pod in source.exemplars], dtype=np.int32)
            priority = own[source.exemplar] if count else own[:0]
        start = source.start_time_ms
        started = np.full(count, START_UNKNOWN, dtype=np.int64)
        if start is not None:
            started = np.where(start >= 0, start * 1000, START_UNKNOWN)
        if source.requests is None:
            own_requests = [self._request(pod, bound=False) for pod in source.exemplars]
            requests = np.array(own_requests, dtype=np.int32)[source.exemplar]
        else:
            requests = column_requests(source, self.nodes, self.requests)
        rows = self.pods.extend(source.names, classes[source.exemplar], requests, priority, started)
        if source.node is not None and source.node_names:
            slots = np.array([self.nodes.index.get(name, -2) for name in source.node_names], dtype=np.int32)
            bound = np.flatnonzero(source.node >= 0)
            target = slots[source.node[bound]]
            if (target < 0).any():
                bad = bound[np.flatnonzero(target < 0)[0]]
                name = source.node_names[source.node[bad]]
                raise InputError(
                    f"the pod is bound to node {name!r}, which the input does not have",
                    document=f"row {bad + 1}",
                    field="node",
                    expected="the name of a node of the input",
                )
            self._bound.extend(zip((bound + rows.start).tolist(), target.tolist(), strict=True))
        self._index = None
        self._sources.append((rows.start, source))
        return rows

    def _class(self, pod: Pod, *, pending: bool) -> int:
        named = (pod.metadata.namespace, pod.metadata.name) in self._named
        wanted_node = pod.spec.node_name if pending else ""
        key = class_key(pod, self._label_keys, named, wanted_node)
        index = self._class_index.get(key)
        if index is None:
            spec_class = read_class(pod, self._label_keys, wanted_node)
            index = self._class_index[key] = len(self.classes)
            self.classes.append(spec_class)
            self.ledger.add_class(spec_class.contributor())
        return index

    def _request(self, pod: Pod, *, bound: bool) -> int:
        gpu = gpu_request(pod)
        key = (bound, gpu, *request_key(pod))
        row = self.requests.find(key)
        if row is None:
            row = self.requests.add(key, pod_request(pod, bound=bound), self.nodes.resource_row, gpu)
        return row

    def _selector_keys(self, pods: Iterable[Pod]) -> set[str]:
        keys: set[str] = set()
        encode = msgspec.json.encode
        for pod in pods:
            spec = pod.spec
            if spec.affinity is None and not spec.topology_spread_constraints:
                continue
            memo = (encode(spec.affinity), encode(spec.topology_spread_constraints))
            found = self._key_memo.get(memo)
            if found is None:
                found = self._key_memo[memo] = selector_keys(pod)
            keys |= found
        return keys

    def _widen(self, keys: set[str]) -> None:
        """Let classes be told apart by more labels; classes made before that are read again."""
        if keys <= self._label_keys:
            return
        self._label_keys |= keys
        self._reread()

    def _reread(self) -> None:
        """Tell the classes of all pods apart anew."""
        if not self.classes:
            return
        self._class_index.clear()
        for row, source in self._sources:
            if isinstance(source, Pod):
                pending = self.classes[self.pods.spec_class[row]].wanted_node != ""
                self.pods.spec_class[row] = self._class(source, pending=pending)
            else:
                classes = np.array(
                    [self._class(pod, pending=False) for pod in source.exemplars], dtype=np.int32
                )
                self.pods.spec_class[row : row + len(source.exemplar)] = classes[source.exemplar]
        self._recount_all = True

    def drop_since(self, first: int) -> None:
        """Forget the pods from row ``first`` on, none of which has been placed by a run: a refused input."""
        self._bound = [pair for pair in self._bound if pair[0] < first]
        self.preempting = {row for row in self.preempting if row < first}
        for row in self.nominated[self.nominated >= first].tolist():
            self.forget_nomination(row)
        self.pods.gone[first : self.pods.count] = 1
        for row in range(first, self.pods.count):
            self.hosted.pop(row, None)
        self._index = None

    # -- names

    def namespace(self, row: int) -> str:
        """The namespace of a pod."""
        return self.classes[int(self.pods.spec_class[row])].namespace

    def find_pod(self, namespace: str, name: str) -> int:
        """The row of a pod.

        Raises:
            InputError: there is none, or two of the same name were given.
        """
        row = self.check_names().get((namespace, name))
        if row is None:
            raise InputError(
                f"no pod is named {namespace}/{name}", expected="namespace/name of a pod of the input"
            )
        return row

    def check_names(self) -> dict[tuple[str, str], int]:
        """All pods by namespace and name, kept up to date from now on.

        Raises:
            InputError: two pods have the same namespace and name.
        """
        if self._index is None:
            self._index = self.name_index()
        return self._index

    def name_index(self) -> dict[tuple[str, str], int]:
        """All pods by namespace and name.

        Raises:
            InputError: two pods have the same namespace and name.
        """
        index: dict[tuple[str, str], int] = {}
        self.world()  # pods that leave have left
        namespaces = [one.namespace for one in self.classes]
        row = 0
        for chunk in self.pods.chunks():
            for name in chunk:
                if not self.pods.gone[row]:
                    key = (namespaces[self.pods.spec_class[row]], str(name))
                    if key in index:
                        raise InputError(f"two pods are named {key[0]}/{key[1]}", field="metadata.name")
                    index[key] = row
                row += 1
        return index

    # -- changing placements outside kernels

    def pods_on(self, slot: int) -> list[int]:
        """The rows of the pods on a node."""
        self.world()
        rows = []
        row = int(self.nodes.first_pod[slot])
        while row >= 0:
            rows.append(row)
            row = int(self.pods.next[row])
        return rows

    def place(self, row: int, slot: int) -> None:
        """Put a pending pod on a node."""
        world = self.world()
        self.version += 1
        bind(world.nodes, world.pods, world.requests, row, slot)
        self.forget_nomination(row)

    def remove_pod(self, row: int) -> None:
        """Take a pod out of the cluster, off its node if it has one."""
        self.remove_soon(row)
        self.world()

    def remove_soon(self, row: int) -> None:
        """The same; its node is rid of it once ``world`` is asked for, of many pods at once."""
        self.version += 1
        self._leaving.append(row)
        self.forget_nomination(row)
        if self._index is not None:
            self._index.pop((self.namespace(row), self.pods.name(row)), None)

    def forget_evicted(self, rows: Iterable[int]) -> None:
        """Drop pods that a kernel has taken off their node for good."""
        self.version += 1
        for row in rows:
            self.pods.gone[row] = 1
            if self._index is not None:
                self._index.pop((self.namespace(row), self.pods.name(row)), None)

    def nominate(self, row: int, slot: int) -> None:
        """Promise a node to a pending pod."""
        self.version += 1
        self.forget_nomination(row)
        self.pods.nominated[row] = slot
        self.nominated = np.append(self.nominated, np.int32(row))

    def outrank(self, row: int, slot: int) -> None:
        """Take the nominations to a node from pods of lower priority than this one, which preempts there."""
        pods, claims = self.pods, self.nominated
        lesser = (pods.nominated[claims] == slot) & (pods.priority[claims] < pods.priority[row])
        pods.nominated[claims[lesser]] = -1
        self.nominated = claims[~lesser]

    def forget_nomination(self, row: int) -> None:
        """Drop a pod's claim to a node, if it has one."""
        self.pods.nominated[row] = -1
        if len(self.nominated):
            self.nominated = self.nominated[self.nominated != row]

    def forget_ended_nominations(self) -> None:
        """Take the claims off the list that kernels have ended."""
        if len(self.nominated):
            self.nominated = self.nominated[self.pods.nominated[self.nominated] >= 0]

    # -- the kernels' view

    def demand(self, rows: np.ndarray, profile: Profile) -> None:
        """Compile what the pods in ``rows`` demand under a profile into the ``demand`` column."""
        classes = taken(self.pods.spec_class, rows)
        found = {one: self.demands.find(one, self.classes[one], profile) for one in distinct(classes)}
        before = taken(self.pods.demand, rows)
        if len(found) == 1 and only(before) == next(iter(found.values())):
            return
        table = np.zeros(len(self.classes), dtype=np.int32)
        for one, demand in found.items():
            table[one] = demand
        found_rows: np.ndarray = table[classes]
        if not np.array_equal(before, found_rows):
            self.pods.demand[rows] = found_rows

    def world(self) -> World:
        """Bring everything derived up to date and return the kernels' view."""
        if self._world is not None and self._stamp() == self._built and not self._bound:
            self._let_go(self._world)
            return self._world
        fresh = self.ledger.link()
        self.demands.link()
        if self._recount_all:
            self.ledger.counts[:] = 0
            fresh = list(range(len(self.ledger.rows)))
            self._recount_all = False
        self.ledger.resize(self.nodes.capacity)
        if self._ranked != self.nodes.changed:
            self.nodes.rank_names()
            self._ranked = self.nodes.changed
        images = self._scaled_images()
        contribution = ragged(self.ledger.contributions, 4)
        world = World(
            self.nodes.columns(self.ledger.counts, images),
            self.pods.columns(contribution, self._budgets()),
            self.demands.columns(),
            self.requests.columns(len(self.nodes.resources), self.nodes.gpu_models.values),
        )
        self._recount(fresh, world)
        if self._bound:
            pairs = np.array(self._bound, dtype=np.int32)
            self._bound.clear()
            run = bind_many.compiled if len(pairs) > _INTERPRETED_MAX else bind_many
            run(world.nodes, world.pods, world.requests, pairs[:, 0].copy(), pairs[:, 1].copy())
        self._let_go(world)
        self._world = world
        self._built = self._stamp()
        return world

    def _let_go(self, world: World) -> None:
        """Nodes are rid of the pods that leave."""
        if not self._leaving:
            return
        rows = np.array(self._leaving, dtype=np.int32)
        self._leaving.clear()
        run = unbind_many.compiled if len(rows) > _INTERPRETED_MAX else unbind_many
        run(world.nodes, world.pods, world.requests, rows)
        self.pods.gone[rows] = 1  # not sooner: what is counted anew counts them until they are taken off here

    def _stamp(self) -> tuple[int, ...]:
        return (
            self.nodes.changed,
            self.nodes.capacity,
            len(self.nodes.label_values),
            self.pods.count,
            self.pods.capacity,
            len(self.classes),
            self.requests.count,
            len(self.ledger.rows),
            len(self.demands),
            self._policies,
            len(self.budgets),
        )

    def _scaled_images(self) -> np.ndarray:
        stamp = self.nodes.changed
        if self._images[0] != stamp:
            self._images = (stamp, self.nodes.scaled_images())
        return self._images[1]

    def _budgets(self) -> Ragged:
        return ragged(rows_by_class(self.budgets, self.classes, self._named), 1)

    def _recount(self, fresh: list[int], world: World) -> None:
        """Fill the new ledger rows with the pods that were on nodes before the rows existed."""
        bound = np.flatnonzero(self.pods.node[: self.pods.count] >= 0)
        if not fresh or not len(bound):
            return
        wanted = set(fresh)
        by_row: dict[int, dict[int, int]] = {}
        for number, contributions in enumerate(self.ledger.contributions):
            for row, counted, _, _ in contributions:
                if row in wanted and counted:
                    by_row.setdefault(row, {})[number] = counted
        classes = self.pods.spec_class[bound]
        nodes = self.pods.node[bound]
        for row, weights in by_row.items():
            table = np.zeros(len(self.classes), dtype=np.int32)
            for number, counted in weights.items():
                table[number] = counted
            np.add.at(world.nodes.ledger[row], nodes, table[classes])


_INTERPRETED_MAX = 2_000
"""Bindings up to this number run in the interpreter, which is quicker than loading Numba."""


def _placed(error: InputError, origins: list[tuple[str, str]], index: int) -> InputError:
    if index < len(origins):
        file, document = origins[index]
        return error.at(file=file or None, document=document or None)
    return error
