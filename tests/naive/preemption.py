"""DefaultPreemption. Source: framework/preemption/preemption.go, defaultpreemption/default_preemption.go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kcore.api.objects import Pod, PodDisruptionBudget
from tests.naive.cluster import NodeInfo, PodInfo, priority
from tests.naive.diagnosis import Diagnosis, NodeStatuses
from tests.naive.framework import ERROR, UNRESOLVABLE, UNSCHEDULABLE, CycleState, PluginError, Status
from tests.naive.plugins.dynamic_resources import DynamicResources
from tests.naive.runtime import Framework
from tests.naive.selectors import InvalidSelectorError, selector_of

NAME = "DefaultPreemption"
NEVER = "not eligible due to preemptionPolicy=Never."
STILL_TERMINATING = "not eligible due to a terminating pod on the nominated node."
NO_VICTIMS = "No preemption victims found for incoming pod"
NOT_HELPFUL = "Preemption is not helpful for scheduling"


@dataclass
class Candidate:
    """A node where evicting ``victims``, most important first, lets the pod in."""

    node: str
    victims: list[Pod]
    pdb_violations: int


@dataclass
class PostFilterOutcome:
    """What all PostFilter plugins said together, and how DefaultPreemption came to its answer.

    ``nominating`` is the node to nominate, "" to take back a nomination, None to leave it as it is.
    """

    eligible: bool = True
    why: str = ""
    status: Status | None = None
    candidates: list[Candidate] = field(default_factory=list)
    best: list[Candidate] = field(default_factory=list)
    nominating: str | None = None

    @property
    def code(self) -> str:
        """The status code; Success where there is no status."""
        return self.status.code if self.status else "Success"

    @property
    def message(self) -> str:
        """What the event text ends with."""
        return self.status.message if self.status else ""


def start_time(pod: Pod) -> float:
    """Seconds since the epoch; a pod that has not started counts as starting now, later than all others."""
    if pod.status.start_time is None:
        return float("inf")
    return datetime.fromisoformat(pod.status.start_time.replace("Z", "+00:00")).timestamp()


def importance(pod: Pod) -> tuple[int, float]:
    """A sort key: the most important pod first, by priority, then by age."""
    return (-priority(pod), start_time(pod))


def is_terminating_by_preemption(pod: Pod) -> bool:
    """Whether the pod is being deleted because the scheduler preempted it."""
    if pod.metadata.deletion_timestamp is None:
        return False
    for condition in pod.status.conditions or ():
        if condition.type == "DisruptionTarget":
            return condition.status == "True" and condition.reason == "PreemptionByScheduler"
    return False


def eligibility(framework: Framework, pod: Pod, diagnosis: Diagnosis) -> str:
    """Why the pod may not preempt others; empty if it may."""
    if pod.spec.preemption_policy == "Never":
        return NEVER
    nominated = pod.status.nominated_node_name
    if not nominated or diagnosis.statuses.of(nominated).code == UNRESOLVABLE:
        return ""
    node_info = framework.cluster.nodes.get(nominated)
    if node_info is not None and any(
        priority(other.pod) < priority(pod) and is_terminating_by_preemption(other.pod)
        for other in node_info.pods
    ):
        return STILL_TERMINATING
    return ""


def split_by_pdb(
    pods: Sequence[PodInfo], pdbs: Sequence[PodDisruptionBudget]
) -> tuple[list[PodInfo], list[PodInfo]]:
    """The pods whose eviction would break a budget and those whose would not, each in the given order."""
    allowed = [pdb.status.disruptions_allowed for pdb in pdbs]
    violating: list[PodInfo] = []
    harmless: list[PodInfo] = []
    for pod_info in pods:
        meta = pod_info.pod.metadata
        breaks = False
        for index, pdb in enumerate(pdbs):
            if not meta.labels or pdb.metadata.namespace != meta.namespace:
                continue
            try:
                selector = selector_of(pdb.spec.selector)
            except InvalidSelectorError:
                continue
            if selector.is_empty() or not selector.matches(meta.labels):
                continue
            if meta.name in (pdb.status.disrupted_pods or {}):
                continue
            allowed[index] -= 1
            breaks = breaks or allowed[index] < 0
        (violating if breaks else harmless).append(pod_info)
    return violating, harmless


def select_victims(
    framework: Framework, state: CycleState, pod: Pod, node_info: NodeInfo
) -> Candidate | Status:
    """The fewest victims on the node, or why none help. ``state`` and ``node_info`` are used up."""
    potential = [other for other in node_info.pods if priority(other.pod) < priority(pod)]
    if not potential:
        return Status(UNRESOLVABLE, (NO_VICTIMS,))
    for other in potential:
        framework.remove_pod(state, pod, other, node_info)
    status = framework.run_filters_with_nominated_pods(state, pod, node_info)
    if status is not None:
        return status

    potential.sort(key=lambda other: importance(other.pod))
    violating, harmless = split_by_pdb(potential, framework.cluster.pdbs)
    victims: list[PodInfo] = []

    def is_spared(other: PodInfo) -> bool:
        framework.add_pod(state, pod, other, node_info)
        if framework.run_filters_with_nominated_pods(state, pod, node_info) is None:
            return True
        framework.remove_pod(state, pod, other, node_info)
        victims.append(other)
        return False

    violations = sum(not is_spared(other) for other in violating)
    for other in harmless:
        is_spared(other)
    victims.sort(key=lambda other: importance(other.pod))
    return Candidate(node_info.name, [other.pod for other in victims], violations)


def _earliest_start_of_top_priority(victims: Sequence[Pod]) -> float:
    top = max(priority(victim) for victim in victims)
    return min(start_time(victim) for victim in victims if priority(victim) == top)


# Each is better when lower; a later one only breaks the ties of the earlier ones.
TIE_BREAKS: tuple[Callable[[Candidate], float], ...] = (
    lambda candidate: candidate.pdb_violations,
    lambda candidate: priority(candidate.victims[0]),
    lambda candidate: sum(priority(victim) + 2**31 for victim in candidate.victims),
    lambda candidate: len(candidate.victims),
    lambda candidate: -_earliest_start_of_top_priority(candidate.victims),
)


def best_of(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that no tie-break sets apart, sorted by node name."""
    best = sorted(candidates, key=lambda candidate: candidate.node)
    for tie_break in TIE_BREAKS:
        if len(best) > 1:
            lowest = min(tie_break(candidate) for candidate in best)
            best = [candidate for candidate in best if tie_break(candidate) == lowest]
    return best


def _default_preemption(
    framework: Framework, state: CycleState, pod: Pod, diagnosis: Diagnosis, outcome: PostFilterOutcome
) -> Status | None:
    """What the plugin answers; ``outcome`` tells how it came to it."""
    outcome.why = eligibility(framework, pod, diagnosis)
    outcome.eligible = not outcome.why
    if outcome.why:
        return Status(UNSCHEDULABLE, (f"preemption: {outcome.why}",))

    statuses = NodeStatuses()
    errors: list[str] = []
    for node_info in framework.cluster.nodes.values():
        if diagnosis.statuses.of(node_info.name).code != UNSCHEDULABLE:
            continue
        try:
            found = select_victims(framework, state.clone(), pod, node_info.snapshot())
        except PluginError as error:
            found = Status(ERROR, (str(error),))
        if isinstance(found, Candidate) and not found.victims:
            found = Status(ERROR, (f'expected at least one victim pod on node "{node_info.name}"',))
        if isinstance(found, Candidate):
            outcome.candidates.append(found)
            continue
        if found.code == ERROR:
            errors.append(found.message)
        statuses.by_node[node_info.name] = found
    outcome.candidates.sort(key=lambda candidate: candidate.node)

    if not outcome.candidates and errors:
        text = errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"
        return Status(ERROR, (f"preemption: {text}",))
    if not outcome.candidates:
        statuses.absent = Status(UNRESOLVABLE, (NOT_HELPFUL,))
        outcome.nominating = ""
        text = Diagnosis(len(framework.cluster.nodes), statuses).fit_error()
        return Status(UNSCHEDULABLE, (f"preemption: {text}",))
    outcome.best = best_of(outcome.candidates)
    outcome.nominating = outcome.best[0].node
    return None


def run_post_filters(
    framework: Framework, state: CycleState, pod: Pod, diagnosis: Diagnosis
) -> PostFilterOutcome:
    """All PostFilter plugins have run, up to the first that succeeds or fails with an error."""
    outcome = PostFilterOutcome()
    # Eligibility is reported even if another plugin ends the run before DefaultPreemption is asked.
    outcome.why = eligibility(framework, pod, diagnosis)
    outcome.eligible = not outcome.why
    reasons: tuple[str, ...] = ()
    for name in framework.profile.post_filters:
        if name == DynamicResources.name:
            plugin = framework.plugins[name]
            assert isinstance(plugin, DynamicResources)
            status: Status | None = plugin.post_filter(state)
        else:
            status = _default_preemption(framework, state, pod, diagnosis, outcome)
        if status is None or status.code == ERROR:
            outcome.status = status
            if status is not None:  # an error has no result, whatever the plugins before found
                outcome.nominating = None
            return outcome
        reasons += status.reasons
    outcome.status = Status(UNSCHEDULABLE, reasons)
    return outcome
