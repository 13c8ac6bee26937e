"""One simulated machine: a disk that may fail, a clock that may be fast, a process that may die, and a member in it.

It drives ``Member`` as ``kcore.store.replica`` does: write, send, sync, apply; what comes while the disk syncs shares the
next write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kcore.store import membership
from kcore.store.auth import Auth
from kcore.store.calls import Packet
from kcore.store.disk import Disk
from kcore.store.face import MemberInfo
from kcore.store.files import is_full
from kcore.store.machine import Machine
from kcore.store.member import Member, recover
from kcore.store.membership import Change
from kcore.store.refusals import DataError
from kcore.store.turn import MemberConfig, Outcome, Work
from kcore_native.raft import ENTRY_CONF_CHANGE, ENTRY_NORMAL, Message
from kcore_native.raft import Compacted as RaftCompacted
from kcore_native.raft import Unavailable as RaftUnavailable
from tests.simulation.disk import MemoryFiles, PowerLoss, Survival
from tests.simulation.judge import Violated, changes_of

if TYPE_CHECKING:
    from tests.simulation.world import World

DIRECTORY = "/data"
FULL_RETRY_US = 1_000_000
BOOT_US_MAX = 500_000
TURNS_IN_A_ROW_MAX = 200


class Observed(Machine):
    """A machine that tells the judge what it applies."""

    host: Host
    skips = 0  # a planted bug: every so many entries one is not applied

    def apply(self, index: int, term: int, payload: bytes, *, results: bool = True) -> list[Any]:
        host = self.host
        host.world.judge.applies(host.id, index, term, ENTRY_NORMAL, payload)
        if self.skips and index % self.skips == 0:
            return super().apply(index, term, b"", results=results)
        outcomes = super().apply(index, term, payload, results=results)
        host.world.applied(host, index, term, payload, outcomes)
        host.world.judge.state(host.id, index, self)
        return outcomes

    def apply_conf_change(self, index: int, term: int, context: bytes) -> Any:
        host = self.host
        host.world.judge.applies(host.id, index, term, ENTRY_CONF_CHANGE, context)
        outcome = super().apply_conf_change(index, term, context)
        host.world.judge.state(host.id, index, self)
        return outcome


class Host:
    """A machine of the cluster. ``member`` is None while it is down."""

    def __init__(self, world: World, id_: int, founders: list[MemberInfo], *, seed: int) -> None:
        self.world = world
        self.id = id_
        self.name = f"m{id_}"
        self.founders = founders  # none for one that joins a running cluster
        self.files = MemoryFiles(seed)
        self.member: Member | None = None
        self.disk: Disk | None = None
        self.machine: Observed | None = None
        self.rate = 1.0  # of its clock
        self.sync_us_min, self.sync_us_max = 100, 2_000
        self.life = 0  # counts starts and stops; an event of an earlier life is void
        self.removed = False  # from the cluster, for good
        self.refused = ""  # why its data directory cannot be opened
        self.paused = False
        self._waiting: list[Callable[[], None]] = []  # what came while it was paused
        self._kicked = False
        self._writing: Work | None = None
        self._was_leader = False
        self._receiving = False
        self.scribe: Any = None
        self.scribe_revision = 1
        self.starts = 0

    # -- life ----------------------------------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        """True while its process runs."""
        return self.member is not None

    def now_ms(self) -> int:
        """Its own clock."""
        return int(self.world.timeline.now_us * self.rate) // 1000 + self.id * 7_919

    def start(self) -> None:
        """The process runs, with what its disk has."""
        if self.up or self.removed or self.refused:
            return
        self.life += 1
        self.starts += 1
        try:
            self._open()
        except PowerLoss:
            self.crash()
            return
        except DataError as error:
            self.refused = f"{type(error).__name__}: {error}"
            self.world.judge_refusal(self)
            return
        except OSError as error:
            if not is_full(error):
                raise
            self.world.trace("%s cannot start: %s", self.name, error)
            self.life += 1
            self.member = self.disk = None
            self.files.crash_process()
            self.world.timeline.after(FULL_RETRY_US, self.start)
            return
        self.world.trace("%s starts: %s", self.name, self.member.hard_state)  # type: ignore[union-attr]
        self._tick(self.life)
        self.kick()

    def _open(self) -> None:
        world = self.world
        cluster_id = world.cluster_id
        disk, said = Disk.open(
            DIRECTORY, self.files, cluster_id=cluster_id, member_id=self.id,
            segment_bytes=world.scenario.segment_bytes,
        )  # fmt: skip
        hard_state, entries = said.hard_state, said.entries
        if not entries and said.snapshot_metadata is None and self.founders:
            hard_state, entries = membership.bootstrap(self.founders)
            disk.append(hard_state, entries)
            disk.sync()
        config = MemberConfig(
            id=self.id, cluster_id=cluster_id, name=self.name, seed=world.chance.getrandbits(32),
            unix_ms=1_700_000_000_000 + self.starts * 100_000 + self.id, **world.scenario.member,
        )  # fmt: skip
        machine = Observed(Auth(), min_lease_ttl=1)
        machine.host = self
        planted = frozenset(world.scenario.planted) & {"no_fsync", "no_read_index", "learner_votes"}
        member = recover(
            config, machine, hard_state, entries, said.snapshot_metadata, said.open_snapshot, self.now_ms(),
            planted=planted,
        )  # fmt: skip
        self.disk, self.machine, self.member = disk, machine, member
        self._kicked = self._was_leader = self._receiving = False
        self._writing = None
        self._attach_scribe()
        world.mutate(self)

    def crash(self, survival: Survival | None = None, *, power: bool = True) -> None:
        """The process is gone, and what the disk had not synced perhaps too."""
        self.life += 1
        self.member = self.disk = self.machine = self.scribe = None
        self.paused = False
        self._waiting = []
        if power:
            self.files.crash(survival)
        else:
            self.files.crash_process()
        self.world.trace("%s crashes (%s)", self.name, "power" if power else "process")

    def pause(self, *, on: bool) -> None:
        """SIGSTOP, SIGCONT: nothing happens in it, and then all that had come does."""
        self.paused = on
        if not on:
            waiting, self._waiting = self._waiting, []
            for event in waiting:
                event()

    def at(self, delay_us: int, event: Callable[[], None]) -> None:
        """The event happens in this process after that time, if it still runs then."""
        life = self.life

        def happen() -> None:
            if self.life != life or not self.up:
                return
            if self.paused:
                self._waiting.append(happen)
                return
            self.guarded(event)

        self.world.timeline.after(delay_us, happen)

    def enter(self, event: Callable[[], None]) -> None:
        """The event happens in this process: at once, or when it is no longer paused; never in a later life."""
        life = self.life

        def happen() -> None:
            if self.life == life and self.up:
                self.guarded(event)

        if self.paused:
            self._waiting.append(happen)
        else:
            happen()

    def guarded(self, event: Callable[[], None]) -> None:
        """Does it; where the power fails in the midst, the host is down."""
        try:
            event()
        except PowerLoss:
            self.crash()
            self.world.timeline.after(self.world.chance.randint(1, BOOT_US_MAX), self.start)

    # -- the loop of the process ---------------------------------------------------------------------------------

    def _tick(self, life: int) -> None:
        if life != self.life or self.member is None:
            return
        period_us = int(self.member.config.tick_ms * 1000 / self.rate)
        self.at(period_us, lambda: self._tick(life))
        self.member.tick(self.now_ms())
        self.kick()

    def receive(self, packet: Packet) -> None:
        """A packet has come from the network."""

        def take() -> None:
            assert self.member is not None
            self.member.receive(packet, self.now_ms())
            self.kick()

        if self.up:
            self.enter(take)

    def kick(self) -> None:
        """A turn follows."""
        if not self._kicked and self._writing is None and self.up:
            self._kicked = True
            self.at(0, self._turn)

    def _turn(self) -> None:
        self._kicked = False
        if self._writing is not None:
            return
        for _ in range(TURNS_IN_A_ROW_MAX):
            assert self.member is not None and self.disk is not None
            work = self.member.work()
            if work is None:
                break
            self._note_leadership()
            for packet in work.messages:
                self.world.network.send(self.id, packet)
            for message in work.snapshots_to_send:
                self._send_snapshot(message)
            if work.entries or work.hard_state is not None or work.snapshot is not None:
                if not self._write(work):
                    break
            self._finish(work)
            if not self.up:
                return
        else:
            raise Violated(f"{self.name} has work without end")
        self._read_scribe()

    def _write(self, work: Work) -> bool:
        assert self.member is not None and self.disk is not None
        if work.entries:
            self.world.judge.wrote(self.id, work.entries, self._term(work.entries[0].index - 1))
        try:
            self.disk.append(work.hard_state, work.entries)
        except OSError as error:
            if not is_full(error):
                raise
            self.world.trace("%s: disk full", self.name)
            self.member.duties.disk_full()
            self.member.proposals.refusal = "NoSpace"
            self._writing = work
            self.member.apply_early(work)
            self.at(FULL_RETRY_US, lambda: self._write_again(work))
            return False
        self.member.proposals.refusal = ""
        if not work.must_sync:
            return True
        self._writing = work
        self.member.apply_early(work)
        delay_us = self.world.chance.randint(self.sync_us_min, self.sync_us_max)
        self.at(delay_us, lambda: self._synced(work))
        return False

    def _write_again(self, work: Work) -> None:
        self._writing = None
        if self._write(work):
            self._finish(work)
            self._turn()

    def _synced(self, work: Work) -> None:
        assert self.disk is not None
        self.disk.sync()
        self._writing = None
        self._finish(work)
        if self.up:
            self._turn()

    def _finish(self, work: Work) -> None:
        assert self.member is not None
        outcome: Outcome = self.member.done(work, self.now_ms())
        self._note_leadership()
        for packet in outcome.messages:
            self.world.network.send(self.id, packet)
        if outcome.take_snapshot:
            self._take_snapshot()
        if outcome.removed and not self.removed:
            self.world.trace("%s is removed", self.name)
            self.removed = True
            self.at(self.member.config.election_ms * 1000, self._leave)

    def _leave(self) -> None:
        self.life += 1
        self.member = self.disk = self.machine = self.scribe = None

    def _term(self, index: int) -> int | None:
        assert self.member is not None
        try:
            return self.member.storage.term(index)
        except (RaftCompacted, RaftUnavailable):
            return None

    def _note_leadership(self) -> None:
        member = self.member
        assert member is not None
        if member.is_leader:
            term = member.hard_state.term
            self.world.judge.leads(self.id, term)
            if not self._was_leader:
                self.world.trace("%s leads term %d", self.name, term)
                self.world.judge.elected(self.id, term, member.node.last_index, self._term)
        self._was_leader = member.is_leader

    # -- snapshots -----------------------------------------------------------------------------------------------

    def _take_snapshot(self) -> None:
        """To disk, one chunk an event."""
        assert self.member is not None and self.disk is not None
        metadata, reader = self.member.open_snapshot()
        self.world.trace("%s takes a snapshot at %d", self.name, metadata.index)

        def ended() -> None:
            reader.close()
            assert self.member is not None
            self.member.snapshot_taken()

        try:
            writer = self.disk.begin_snapshot(metadata)
        except OSError as error:
            if not is_full(error):
                raise
            ended()
            return

        def piece() -> None:
            assert self.disk is not None
            chunk = next(reader, None)
            try:
                if chunk is not None:
                    writer.write(chunk)
                    self.at(self.world.chance.randint(50, 5_000), piece)
                    return
                writer.commit()
                self.disk.release(metadata.index)
            except OSError as error:
                if not is_full(error):
                    raise
                writer.abort()
            ended()

        self.at(self.world.chance.randint(50, 5_000), piece)

    def _send_snapshot(self, message: Message) -> None:
        """The whole state to a follower, over a connection of its own."""
        assert self.member is not None
        to = message.to
        message, reader = self.member.snapshot_for(message)
        raw = message.encode()
        chunks: Iterator[bytes] = iter(reader)
        received: list[bytes] = []
        network = self.world.network

        def sent(failed: bool) -> None:
            reader.close()
            if self.member is not None:
                self.member.snapshot_sent(to, failed=failed)
                self.kick()

        def piece() -> None:
            if network.loses(self.id, to):
                sent(True)
                return
            chunk = next(chunks, None)
            if chunk is not None:
                received.append(chunk)
                self.at(network.latency_us(len(chunk)), piece)
                return
            target = self.world.hosts.get(to)
            if target is None or not target.up or target.paused:
                sent(True)
                return
            arrived = target.take_in(Message.decode(raw), received)
            self.at(network.latency_us(), lambda: sent(not arrived or network.loses(to, self.id)))

        self.at(network.latency_us(), piece)

    def take_in(self, message: Message, chunks: list[bytes]) -> bool:
        """A snapshot has come from another host; True where it is on this disk."""
        taken = [False]

        def write() -> None:
            assert self.member is not None and self.disk is not None and message.snapshot is not None
            metadata = message.snapshot.metadata
            if not self.member.accepts_snapshot(metadata):
                return
            disk, writer = self.disk, None
            try:
                writer = disk.begin_snapshot(metadata)
                for chunk in chunks:
                    writer.write(chunk)
                writer.commit()
            except OSError as error:
                if not is_full(error):
                    raise
                if writer is not None:
                    writer.abort()
                return
            self.world.trace("%s has a snapshot of %d", self.name, metadata.index)
            self.member.snapshot_received(message, lambda: disk.snapshot_chunks(metadata), self.now_ms())
            self.kick()
            taken[0] = True

        self.guarded(write)
        return taken[0]

    # -- the scribe: a watch of everything, for the judge --------------------------------------------------------

    def _attach_scribe(self) -> None:
        assert self.machine is not None
        self.scribe_revision = max(self.machine.compact_revision, 0) + 1
        self.scribe = self.machine.watch(b"\0", b"\0", start_revision=self.scribe_revision)

    def _read_scribe(self) -> None:
        """Revisions come in order and none is missing; their events are those that all others see."""
        machine, judge = self.machine, self.world.judge
        if machine is None:
            return
        while (batch := self.scribe.pending()) is not None:
            if batch.compact_revision:
                self._attach_scribe()
                continue
            grouped: dict[int, list[Any]] = {}
            for event in batch.events:
                grouped.setdefault(event.kv.mod_revision, []).append(event)
            for revision, events in grouped.items():
                expected = max(self.scribe_revision, 2)
                if revision < expected or (revision > expected and expected > machine.compact_revision):
                    raise Violated(f"{self.name}: a watch gives revision {revision} where {expected} is next")
                judge.changed(self.id, revision, changes_of(events))
                self.scribe_revision = revision + 1

    # -- changes of the membership -------------------------------------------------------------------------------

    def change_members(self, changes: list[Change], ticket: Any) -> None:
        """As a client that asks this member."""
        assert self.member is not None
        self.member.propose_member_change(changes, ticket)
        self.kick()
