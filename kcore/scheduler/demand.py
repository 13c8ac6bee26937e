"""Demands: what a spec class asks of nodes under a profile, compiled to rows of the kernels' tables.

The parts that come from the pod itself are compiled once. The parts that come from other pods' affinity terms
(``existing_anti_affinity`` and half of ``pod_preference``) grow as classes with new terms appear (:meth:`link`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kcore.api.errors import InputError
from kcore.api.objects import NodeSelectorTerm, Pod, PodAffinityTerm, Toleration, TopologySpreadConstraint
from kcore.api.selectors import Selector, from_label_selector, from_labels
from kcore.scheduler import fields
from kcore.scheduler.columns import Demands, ragged
from kcore.scheduler.ledger import LabelIndex, Ledger, MatchRow, OwnRow, Port, PortRow, Scope
from kcore.scheduler.nodes import NodeTable
from kcore.scheduler.owners import Owners
from kcore.scheduler.profile import Profile
from kcore.scheduler.selection import NAME_FIELD, Programs
from kcore.scheduler.spec import CORDON_TAINT, SpecClass, image_volumes, term_namespaces, tolerates
from kcore.scheduler.vocab import Vocab

HOSTNAME = "kubernetes.io/hostname"
SYSTEM_DEFAULT_CONSTRAINTS = (
    TopologySpreadConstraint(max_skew=3, topology_key=HOSTNAME, when_unsatisfiable="ScheduleAnyway"),
    TopologySpreadConstraint(
        max_skew=5, topology_key="topology.kubernetes.io/zone", when_unsatisfiable="ScheduleAnyway"
    ),
)
NAME_CONFLICT = "pod affinity terms conflict"
"""PreFilter's reason where the matchFields of every term contradict each other."""

Item = tuple[int, ...]


@dataclass(slots=True)
class Demand:
    """One row of every table of :class:`~kcore.scheduler.columns.Demands`, as lists."""

    spec_class: SpecClass
    profile: Profile
    fixed: list[int]
    conflict: bool = False
    names: list[Item] = field(default_factory=list)
    preferred: list[Item] = field(default_factory=list)
    ports: list[Item] = field(default_factory=list)
    spread_hard: list[Item] = field(default_factory=list)
    spread_soft: list[Item] = field(default_factory=list)
    affinity: list[Item] = field(default_factory=list)
    anti_affinity: list[Item] = field(default_factory=list)
    existing_anti_affinity: list[Item] = field(default_factory=list)
    pod_preference: list[Item] = field(default_factory=list)
    images: list[Item] = field(default_factory=list)


class DemandTable:
    """All demands, compiled against the tables that they refer to."""

    def __init__(
        self, nodes: NodeTable, ledger: Ledger, owners: Owners, namespaces: dict[str, dict[str, str]]
    ) -> None:
        self._nodes = nodes
        self._ledger = ledger
        self._owners = owners
        self._namespaces = namespaces
        self._programs = Programs(nodes)
        self._tolerations: Vocab[tuple[tuple[str, str, str, str], ...]] = Vocab()
        self._index: dict[tuple[int, int], int] = {}
        self._profiles: list[Profile] = []
        self._linked = (0, 0)
        self._own_terms = LabelIndex()
        self._port_rows: list[tuple[int, Port]] = []
        self.demands: list[Demand] = []

    def __len__(self) -> int:
        return len(self.demands)

    def find(self, class_index: int, spec_class: SpecClass, profile: Profile) -> int:
        """The row of a class's demand under a profile, compiled on first sight.

        Raises:
            InputError: something in the pod that the scheduler could not parse, with its field.
        """
        key = (class_index, self._profile_number(profile))
        row = self._index.get(key)
        if row is None:
            self.demands.append(self._compile(spec_class, profile))
            row = self._index[key] = len(self.demands) - 1
        return row

    def _profile_number(self, profile: Profile) -> int:
        """Equal profiles have one number, whichever configuration they came from."""
        for number, known in enumerate(self._profiles):
            if known is profile or known == profile:
                return number
        self._profiles.append(profile)
        return len(self._profiles) - 1

    # -- compilation

    def _compile(self, spec_class: SpecClass, profile: Profile) -> Demand:
        pod = spec_class.exemplar
        demand = Demand(spec_class, profile, [-1] * fields.FIELD_COUNT)
        fixed = demand.fixed
        tolerations = pod.spec.tolerations or []
        fixed[fields.TOLERATION] = self._tolerations.intern(_tolerations_key(tolerations))
        fixed[fields.TOLERATES_CORDON] = int(tolerates(tolerations, CORDON_TAINT))
        if spec_class.wanted_node:
            fixed[fields.NODE_NAME] = self._nodes.label_values.intern(spec_class.wanted_node)
        self._compile_node_affinity(pod, profile, demand)
        self._compile_spread(spec_class, pod, profile, demand)
        self._compile_pod_affinity(spec_class, pod, profile, demand)
        containers = [*(pod.spec.init_containers or ()), *(pod.spec.containers or ())]
        fixed[fields.CONTAINERS] = len(containers)
        references = [container.image for container in containers]
        references += image_volumes(pod)
        if containers:
            demand.images = [(self._nodes.image_row(normalized_image(name)),) for name in references if name]
        return demand

    def _compile_node_affinity(self, pod: Pod, profile: Profile, demand: Demand) -> None:
        fixed = demand.fixed
        affinity = pod.spec.affinity.node_affinity if pod.spec.affinity else None
        required = affinity.required if affinity else None
        preferred = affinity.preferred if affinity else None
        if pod.spec.node_selector:
            fixed[fields.SELECTOR] = self._programs.of_labels(pod.spec.node_selector)
        if required is not None:
            fixed[fields.AFFINITY] = self._programs.of_terms(required.node_selector_terms or ())
        if profile.node_affinity.added_required is not None:
            terms = profile.node_affinity.added_required.node_selector_terms or ()
            fixed[fields.ENFORCED] = self._programs.of_terms(terms)
        fixed[fields.HAS_NAMES] = 0
        if required is not None and "NodeAffinity" in profile.pre_filters:
            names = required_names(required.node_selector_terms or ())
            if names is not None:
                fixed[fields.HAS_NAMES] = 1
                demand.conflict = not names
                demand.names = [(self._nodes.label_values.intern(name),) for name in sorted(names)]
        weighted = [*profile.node_affinity.added_preferred, *(preferred or ())]
        fixed[fields.SCORES_AFFINITY] = int(
            preferred is not None or bool(profile.node_affinity.added_preferred)
        )
        for term in weighted:
            if term.weight != 0 and (term.preference.match_expressions or term.preference.match_fields):
                demand.preferred.append((self._programs.of_terms([term.preference]), term.weight))

    def _compile_spread(self, spec_class: SpecClass, pod: Pod, profile: Profile, demand: Demand) -> None:
        args = profile.topology_spread
        explicit = pod.spec.topology_spread_constraints
        demand.fixed[fields.REQUIRE_ALL_TOPOLOGIES] = int(bool(explicit) or not args.system_defaulted)
        default: Selector | None = None
        constraints: Sequence[TopologySpreadConstraint] = explicit or ()
        if not explicit:
            constraints = SYSTEM_DEFAULT_CONSTRAINTS if args.system_defaulted else args.default_constraints
            if not constraints:
                return
            default = self._owners.default_selector(pod, spec_class.namespace, spec_class.labels)
            if default.empty:
                return
        for index, constraint in enumerate(constraints):
            selector = default
            if selector is None:
                where = f"spec.topologySpreadConstraints[{index}].labelSelector"
                selector = from_label_selector(constraint.label_selector, where)
            selector = with_label_keys(selector, constraint.match_label_keys, spec_class.labels)
            scope = Scope(frozenset((spec_class.namespace,)), False, selector)
            row = self._ledger.row(MatchRow((scope,), spread=True))
            topology = self._nodes.topology_row(constraint.topology_key)
            honor_affinity = int(constraint.node_affinity_policy in (None, "Honor"))
            honor_taints = int(constraint.node_taints_policy == "Honor")
            if constraint.when_unsatisfiable == "DoNotSchedule":
                least = 1 if constraint.min_domains is None else constraint.min_domains
                own = int(selector.matches(spec_class.labels))
                demand.spread_hard.append(
                    (row, topology, constraint.max_skew, least, honor_affinity, honor_taints, own)
                )
            elif constraint.when_unsatisfiable == "ScheduleAnyway":
                hostname = int(constraint.topology_key == HOSTNAME)
                demand.spread_soft.append(
                    (row, topology, constraint.max_skew, hostname, honor_affinity, honor_taints)
                )
            else:
                raise InputError(
                    f"{constraint.when_unsatisfiable!r} is not an action",
                    field=f"spec.topologySpreadConstraints[{index}].whenUnsatisfiable",
                    expected="DoNotSchedule or ScheduleAnyway",
                )

    def _compile_pod_affinity(
        self, spec_class: SpecClass, pod: Pod, profile: Profile, demand: Demand
    ) -> None:
        affinity = pod.spec.affinity
        demand.fixed[fields.SELF_AFFINITY] = 0
        toward = affinity.pod_affinity if affinity else None
        away = affinity.pod_anti_affinity if affinity else None
        scopes = [self._scope(pod, term) for term in (toward.required if toward else None) or ()]
        if scopes:
            row = self._ledger.row(MatchRow(tuple(scopes), spread=False))
            own = all(scope.covers(spec_class.namespace, spec_class.labels) for scope in scopes)
            demand.fixed[fields.SELF_AFFINITY] = int(own)
            assert toward is not None
            for term in toward.required or ():
                demand.affinity.append((row, self._nodes.topology_row(term.topology_key)))
        for term in (away.required if away else None) or ():
            demand.anti_affinity.append(
                (self._scope_row(pod, term), self._nodes.topology_row(term.topology_key))
            )
        preferred = [(1, one) for one in (toward.preferred if toward else None) or ()]
        preferred += [(-1, one) for one in (away.preferred if away else None) or ()]
        for sign, weighted in preferred:
            term = weighted.pod_affinity_term
            topology = self._nodes.topology_row(term.topology_key)
            demand.pod_preference.append((self._scope_row(pod, term), topology, sign * weighted.weight))
        ignores = profile.inter_pod_affinity.ignore_preferred_terms_of_existing_pods
        demand.fixed[fields.SCORES_PODS] = int(bool(preferred) or not ignores)

    def _scope(self, pod: Pod, term: PodAffinityTerm) -> Scope:
        """The pods that a term of the incoming pod means.

        Upstream unrolls the namespace selector into names and then, because it does so on a copy, matches the
        selector once more, against no labels at all (interpodaffinity/plugin.go, mergeAffinityTermNamespaces...).
        """
        names = term_namespaces(pod, term)
        selector = from_label_selector(term.namespace_selector, "namespaceSelector")
        if not selector.empty:
            found = [name for name, labels in self._namespaces.items() if selector.matches(labels)]
            names = names | frozenset(found)
        everywhere = selector.matches({})
        return Scope(
            frozenset() if everywhere else names,
            everywhere,
            from_label_selector(term.label_selector),
        )

    def _scope_row(self, pod: Pod, term: PodAffinityTerm) -> int:
        return self._ledger.row(MatchRow((self._scope(pod, term),), spread=False))

    # -- terms of other pods

    def link(self) -> None:
        """Match every own-term and port row of the ledger with every demand that has not met it yet."""
        rows = self._ledger.rows.values
        seen_demands, seen_rows = self._linked
        fresh = LabelIndex()
        for number in range(seen_rows, len(rows)):
            row = rows[number]
            if isinstance(row, OwnRow):
                fresh.add(number, (row.term.selector,))
                self._own_terms.add(number, (row.term.selector,))
            elif isinstance(row, PortRow):
                self._port_rows.append((number, row.port))
        for index, demand in enumerate(self.demands):
            old = index < seen_demands
            self._link_terms(demand, fresh if old else self._own_terms)
            self._link_ports(demand, seen_rows if old else 0)
        self._linked = (len(self.demands), len(rows))

    def _link_terms(self, demand: Demand, terms: LabelIndex) -> None:
        spec_class = demand.spec_class
        labels = self._namespaces.get(spec_class.namespace, {})
        for number in terms.candidates(spec_class.labels):
            row = self._ledger.rows.values[number]
            assert isinstance(row, OwnRow)
            term = row.term
            if not term.covers(spec_class.namespace, labels, spec_class.labels):
                continue
            topology = self._nodes.topology_row(term.topology_key)
            if term.kind == "anti":
                demand.existing_anti_affinity.append((number, topology))
                continue
            hard_weight = demand.profile.inter_pod_affinity.hard_pod_affinity_weight
            weight = hard_weight if term.kind == "hard" else term.weight
            if weight != 0:
                demand.pod_preference.append((number, topology, weight))

    def _link_ports(self, demand: Demand, first_row: int) -> None:
        for number, port in self._port_rows if demand.spec_class.ports else ():
            if number >= first_row and any(mine.conflicts(port) for mine in demand.spec_class.ports):
                demand.ports.append((number,))

    # -- the kernel's view

    def columns(self) -> Demands:
        """Pack everything into arrays."""
        table = np.zeros((max(len(self._tolerations), 1), len(self._nodes.taint_sets)), dtype=np.int32)
        for row, tolerations in enumerate(self._tolerations.values):
            decoded = [Toleration(key=k, operator=o, value=v, effect=e) for k, o, v, e in tolerations]
            for column, taints in enumerate(self._nodes.taint_sets.values):
                table[row, column] = _judge_taints(decoded, taints)
        fixed = np.array([demand.fixed for demand in self.demands], dtype=np.int64)
        fixed = fixed.reshape(len(self.demands), fields.FIELD_COUNT)
        toleration = fixed[:, fields.TOLERATION]
        fixed[:, fields.ANY_HARD_TAINT] = ((table & 1).max(axis=1))[toleration]
        fixed[:, fields.ANY_SOFT_TAINT] = ((table >> 1).max(axis=1) > 0)[toleration]
        term, requirement, value = self._programs.columns()
        return Demands(
            fixed, table,
            ragged((demand.names for demand in self.demands), 1),
            term, requirement, value,
            ragged((demand.preferred for demand in self.demands), 2),
            ragged((demand.ports for demand in self.demands), 1),
            ragged((demand.spread_hard for demand in self.demands), 7),
            ragged((demand.spread_soft for demand in self.demands), 6),
            ragged((demand.affinity for demand in self.demands), 2),
            ragged((demand.anti_affinity for demand in self.demands), 2),
            ragged((demand.existing_anti_affinity for demand in self.demands), 2),
            ragged((demand.pod_preference for demand in self.demands), 3),
            ragged((demand.images for demand in self.demands), 1),
        )  # fmt: skip


def _tolerations_key(tolerations: list[Toleration]) -> tuple[tuple[str, str, str, str], ...]:
    return tuple((one.key, one.operator, one.value, one.effect) for one in tolerations)


def _judge_taints(tolerations: list[Toleration], taints: tuple[tuple[str, str, str], ...]) -> int:
    """2 * the number of intolerable PreferNoSchedule taints + 1 where a hard one is not tolerated."""
    soft = [one for one in tolerations if one.effect in ("", "PreferNoSchedule")]
    count = sum(1 for taint in taints if taint[2] == "PreferNoSchedule" and not tolerates(soft, taint))
    hard = any(
        taint[2] in ("NoSchedule", "NoExecute") and not tolerates(tolerations, taint) for taint in taints
    )
    return 2 * count + int(hard)


def normalized_image(name: str) -> str:
    """The image name with a tag, as nodes report it."""
    return name if name.rfind(":") > name.rfind("/") else f"{name}:latest"


def required_names(terms: list[NodeSelectorTerm] | tuple[()]) -> set[str] | None:
    """The node names that matchFields allow; None where some term names none, or there are no terms."""
    allowed: set[str] | None = None
    for term in terms:
        names: set[str] | None = None
        for one in term.match_fields or ():
            if one.key == NAME_FIELD and one.operator == "In":
                values = set(one.values or ())
                names = values if names is None else names & values
        if names is None:
            return None
        allowed = names if allowed is None else allowed | names
    return allowed


def with_label_keys(selector: Selector, keys: list[str] | None, labels: dict[str, str]) -> Selector:
    """The selector narrowed to the pod's own values of ``matchLabelKeys``."""
    own = {key: labels[key] for key in keys or () if key in labels}
    if not own or selector.nothing:
        return selector
    return selector.plus(from_labels(own).requirements)
