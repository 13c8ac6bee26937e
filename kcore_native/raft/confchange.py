"""A configuration change becomes the next configuration, or is refused before it changes anything.

Source: etcd-io/raft, confchange/; Raft dissertation, section 4.3. Two configurations that follow each other must have
a quorum in common. ``simple`` guarantees it by changing at most one voter; ``enter_joint`` by making decisions need
both the old and the new majority until ``leave_joint``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from kcore_native.raft.entry import (
    CONF_CHANGE_ADD_LEARNER_NODE,
    CONF_CHANGE_ADD_NODE,
    CONF_CHANGE_REMOVE_NODE,
    CONF_CHANGE_UPDATE_NODE,
    ConfChangeSingle,
    ConfState,
)
from kcore_native.raft.errors import ConfChangeError
from kcore_native.raft.progress import Progress

ProgressById = dict[int, Progress]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Who takes part, and how.

    Invariants: learners are no voters; ``learners_next`` are voters of the outgoing half that become learners when it
    goes; a configuration that is not joint has neither ``learners_next`` nor ``auto_leave``.
    """

    voters: frozenset[int] = frozenset()
    voters_outgoing: frozenset[int] = frozenset()  # not empty: the configuration is joint
    learners: frozenset[int] = frozenset()
    learners_next: frozenset[int] = frozenset()
    auto_leave: bool = False  # Raft leaves the joint configuration as soon as it may

    @property
    def joint(self) -> bool:
        """True where decisions need two majorities."""
        return bool(self.voters_outgoing)

    def conf_state(self) -> ConfState:
        """The same as it stands in a snapshot."""
        return ConfState(
            sorted(self.voters),
            sorted(self.learners),
            sorted(self.voters_outgoing),
            sorted(self.learners_next),
            self.auto_leave,
        )


@dataclass(slots=True)
class _Draft:
    """A configuration while it is changed, with the progress of its nodes."""

    voters: set[int]
    voters_outgoing: set[int]
    learners: set[int]
    learners_next: set[int]
    progress: ProgressById

    def make_voter(self, node_id: int, fresh: Progress) -> None:
        if node_id not in self.progress:
            self.progress[node_id] = fresh
        self.progress[node_id].is_learner = False
        self.learners.discard(node_id)
        self.learners_next.discard(node_id)
        self.voters.add(node_id)

    def make_learner(self, node_id: int, fresh: Progress) -> None:
        progress = self.progress.get(node_id)
        if progress is None:
            fresh.is_learner = True
            self.progress[node_id] = fresh
            self.learners.add(node_id)
            return
        if progress.is_learner:
            return
        self.remove(node_id)
        self.progress[node_id] = progress
        if node_id in self.voters_outgoing:  # nobody is voter and learner at once
            self.learners_next.add(node_id)
        else:
            progress.is_learner = True
            self.learners.add(node_id)

    def remove(self, node_id: int) -> None:
        if node_id not in self.progress:
            return
        self.voters.discard(node_id)
        self.learners.discard(node_id)
        self.learners_next.discard(node_id)
        if node_id not in self.voters_outgoing:
            del self.progress[node_id]


@dataclass(frozen=True, slots=True)
class Changer:
    """Computes the configuration that follows; its own fields are never changed."""

    configuration: Configuration = Configuration()
    progress: ProgressById = field(default_factory=dict)
    last_index: int = 0  # of the log: where the probing of a new node begins
    max_inflight: int = 256
    max_inflight_bytes: int = 0

    def enter_joint(
        self, auto_leave: bool, changes: Iterable[ConfChangeSingle]
    ) -> tuple[Configuration, ProgressById]:
        """The joint configuration of the present one and of what the changes make of it."""
        draft = self._draft()
        if self.configuration.joint:
            raise ConfChangeError("config is already joint")
        if not draft.voters:
            raise ConfChangeError("can't make a zero-voter config joint")
        draft.voters_outgoing = set(draft.voters)
        self._apply(draft, changes)
        return _checked(draft, auto_leave)

    def leave_joint(self) -> tuple[Configuration, ProgressById]:
        """The incoming half alone."""
        draft = self._draft()
        if not self.configuration.joint:
            raise ConfChangeError("can't leave a non-joint config")
        for node_id in draft.learners_next:
            draft.learners.add(node_id)
            draft.progress[node_id].is_learner = True
        draft.learners_next = set()
        for node_id in draft.voters_outgoing - draft.voters - draft.learners:
            del draft.progress[node_id]
        draft.voters_outgoing = set()
        return _checked(draft, False)

    def simple(self, changes: Iterable[ConfChangeSingle]) -> tuple[Configuration, ProgressById]:
        """The configuration after changes that together change at most one voter."""
        draft = self._draft()
        if self.configuration.joint:
            raise ConfChangeError("can't apply simple config change in joint config")
        self._apply(draft, changes)
        if len(self.configuration.voters ^ draft.voters) > 1:
            raise ConfChangeError("more than one voter changed without entering joint config")
        return _checked(draft, False)

    def restore(self, state: ConfState) -> tuple[Configuration, ProgressById]:
        """The configuration that the state describes; this changer must hold none."""
        changer = self
        incoming = [
            *(ConfChangeSingle(CONF_CHANGE_REMOVE_NODE, node_id) for node_id in state.voters_outgoing),
            *(ConfChangeSingle(CONF_CHANGE_ADD_NODE, node_id) for node_id in state.voters),
            *(ConfChangeSingle(CONF_CHANGE_ADD_LEARNER_NODE, node_id) for node_id in state.learners),
            *(ConfChangeSingle(CONF_CHANGE_ADD_LEARNER_NODE, node_id) for node_id in state.learners_next),
        ]
        first = [ConfChangeSingle(CONF_CHANGE_ADD_NODE, node_id) for node_id in state.voters_outgoing]
        for change in first or incoming:
            configuration, progress = changer.simple([change])
            changer = replace(changer, configuration=configuration, progress=progress)
        if first:
            return changer.enter_joint(state.auto_leave, incoming)
        return changer.configuration, changer.progress

    def _draft(self) -> _Draft:
        configuration = self.configuration
        draft = _Draft(
            set(configuration.voters),
            set(configuration.voters_outgoing),
            set(configuration.learners),
            set(configuration.learners_next),
            {node_id: progress.copy() for node_id, progress in self.progress.items()},
        )
        _checked(draft, False)
        return draft

    def _apply(self, draft: _Draft, changes: Iterable[ConfChangeSingle]) -> None:
        for change in changes:
            if change.node_id == 0:
                continue  # turned down by the application after it was in the log
            if change.type == CONF_CHANGE_ADD_NODE:
                draft.make_voter(change.node_id, self._fresh(change.node_id))
            elif change.type == CONF_CHANGE_ADD_LEARNER_NODE:
                draft.make_learner(change.node_id, self._fresh(change.node_id))
            elif change.type == CONF_CHANGE_REMOVE_NODE:
                draft.remove(change.node_id)
            elif change.type != CONF_CHANGE_UPDATE_NODE:
                raise ConfChangeError(f"unexpected conf type {change.type}")
        if not draft.voters:
            raise ConfChangeError("removed all voters")

    def _fresh(self, node_id: int) -> Progress:
        # active at first, lest a leader that checks its quorum steps down before the new node could speak
        return Progress(
            node_id,
            max(self.last_index, 1),
            max_inflight=self.max_inflight,
            max_inflight_bytes=self.max_inflight_bytes,
            recent_active=True,
        )


def _checked(draft: _Draft, auto_leave: bool) -> tuple[Configuration, ProgressById]:
    """The draft made final; ConfChangeError where it breaks an invariant."""
    joint, progress = bool(draft.voters_outgoing), draft.progress
    for node_id in draft.voters | draft.voters_outgoing | draft.learners | draft.learners_next:
        if node_id not in progress:
            raise ConfChangeError(f"no progress for {node_id}")
    for node_id in draft.learners_next:
        if node_id not in draft.voters_outgoing:
            raise ConfChangeError(f"{node_id} is in LearnersNext, but not Voters[1]")
        if progress[node_id].is_learner:
            raise ConfChangeError(f"{node_id} is in LearnersNext, but is already marked as learner")
    for node_id in draft.learners:
        if node_id in draft.voters_outgoing:
            raise ConfChangeError(f"{node_id} is in Learners and Voters[1]")
        if node_id in draft.voters:
            raise ConfChangeError(f"{node_id} is in Learners and Voters[0]")
        if not progress[node_id].is_learner:
            raise ConfChangeError(f"{node_id} is in Learners, but is not marked as learner")
    if not joint and draft.learners_next:
        raise ConfChangeError("cfg.LearnersNext must be nil when not joint")
    if not joint and auto_leave:
        raise ConfChangeError("AutoLeave must be false when not joint")
    configuration = Configuration(
        frozenset(draft.voters),
        frozenset(draft.voters_outgoing),
        frozenset(draft.learners),
        frozenset(draft.learners_next),
        auto_leave,
    )
    return configuration, progress
