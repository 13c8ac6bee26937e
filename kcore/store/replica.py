"""The only driver of a member: asyncio loop, disk thread, network. Persist, send, apply; one fsync for all that waits.

What comes while the disk writes shares the next write. Nothing here decides: that is ``kcore.store.member``.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

from kcore.store import calls
from kcore.store.bootstrap import Founding, ReplicaConfig, found
from kcore.store.corruption import HashComparison
from kcore.store.disk_thread import DiskThread
from kcore.store.errors import StoreError
from kcore.store.files import is_full
from kcore.store.histogram import Histogram
from kcore.store.machine import Machine
from kcore.store.member import Member, recover
from kcore.store.refusals import ForeignData
from kcore.store.snapshots import SnapshotWriter
from kcore.store.tokens import SimpleTokens
from kcore.store.transport import Description, SnapshotSink, Transport
from kcore.store.turn import MemberConfig, Outcome, Work
from kcore_native.raft import HardState, Message

log = logging.getLogger("kcore.store")

FULL_RETRY_SECONDS: Final = 1.0  # between attempts to write to a full disk
TURNS_IN_A_ROW_MAX: Final = 64  # of work without the disk, before the loop may do something else
EARLY_FRAMES_MIN: Final = 64
EARLY_MEMORY: Final = 8  # of so many syncs the mean counts
FRAME_SECONDS: Final = 7e-6  # of the loop's time for one request
REMOVED: Final = "this member was removed from the cluster; its data directory is of no more use"
LEADERLESS_ELECTIONS: Final = 3  # election timeouts without a leader, until streams are told


class Replica:
    """A running member. ``member`` may be read at any time, and asked; ``kick`` makes the loop see what was asked."""

    def __init__(self, config: ReplicaConfig, founding: Founding, machine: Machine) -> None:
        self.config: Final = config
        self.loop: Final = asyncio.get_running_loop()
        self.machine: Final = machine
        self.disk: Final = founding.disk
        self.cluster_id: Final = founding.cluster_id
        self.member_id: Final = founding.member_id
        self.member: Final = _member(config, founding, machine, self._now_ms())
        self.transport: Final = Transport(self, founding.cluster_id, founding.member_id, config.peer_tls)
        self.failure = ""  # why it stopped, where nobody asked it to
        self.stopped: Final[asyncio.Event] = asyncio.Event()
        self.ready: Final[asyncio.Event] = (
            asyncio.Event()
        )  # it has published its name: etcd's "ready to serve"
        self.sync_times: Final = Histogram()
        self.apply_times: Final = Histogram()  # of the entries of one turn
        self.entries_written = 0
        self.disk_full = False
        self._disk_thread = DiskThread(self.disk, self.loop) if self.disk is not None else None
        self.kicked = False  # a turn is due
        self.writing: Work | None = None  # on its way to the disk
        self._held: HardState | None = None  # a commit index that has not been written, nor need be
        self.early_frames = EARLY_FRAMES_MIN  # that many wait, and the disk is idle: it gets them at once
        self._stopping = False
        self._leaving = False  # it was removed
        self._end: asyncio.Task[None] | None = None
        self._comparison: HashComparison | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ticker: asyncio.TimerHandle | None = None
        self._incoming_snapshot = False
        self._leader_lost: set[Callable[[], None]] = set()

    @classmethod
    async def start(cls, config: ReplicaConfig) -> "Replica":
        """A member that runs: recovered from its directory, or founded with its cluster.

        Raises ValueError for a configuration that cannot be, DataError for a directory that is refused, OSError.
        """
        founding = await found(config)
        replica = None
        try:
            replica = cls(config, founding, config.new_machine())
            if config.listen_peer_urls:
                await replica.transport.listen(config.listen_peer_urls)
        except BaseException:
            if replica is not None:
                await replica.transport.close()
            if founding.disk is not None:
                founding.disk.close()
            raise
        replica._set_peers(founding)
        replica.member.campaign_alone()
        replica._tick()
        replica.kick()
        return replica

    async def stop(self) -> None:
        """Nothing runs; all that was acknowledged is on disk; requests that wait get "server stopped"."""
        if self._end is None:
            self._end = self.loop.create_task(self._stop())
        await asyncio.shield(self._end)

    async def _stop(self) -> None:
        if not self.failure and not self.member.removed:
            await self._hand_over()
        self._stopping = True
        if self._ticker is not None:
            self._ticker.cancel()
        self.member.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.transport.close()
        if self._disk_thread is not None:
            await self._disk_thread.stop()
        if self.disk is not None:
            self.writing = None
            with contextlib.suppress(OSError):  # of a log that failed before
                self._write_held()
            self.disk.close()
        self.stopped.set()

    async def _hand_over(self) -> None:
        """Another voter leads where this member did and one is in touch: no election timeout is lost (etcd's Stop)."""
        target = self.member.successor()
        if not target:
            return
        moved: asyncio.Future[None] = self.loop.create_future()
        self.member.transfer_leader(target, moved)
        self.kick()
        with contextlib.suppress(StoreError, TimeoutError):
            await asyncio.wait_for(moved, 2 * self.member.config.election_ms / 1000)

    def kick(self) -> None:
        """A turn of the loop will soon see what the member was asked."""
        if not self.kicked:
            self.kicked = True
            self.loop.call_soon(self._turn)

    @staticmethod
    def unix_ms() -> int:
        """Milliseconds since the epoch."""
        return int(time.time() * 1000)

    def turn_early(self) -> None:
        """The idle disk gets what waits, though more will come in this turn of the loop.

        Worth it where preparing the rest takes longer than a sync: the two then go on at once.
        """
        if self.writing is None:
            self._turn()

    def on_leader_lost(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back once when no leader was known for three election timeouts; the answer takes it back."""
        self._leader_lost.add(callback)
        return lambda: self._leader_lost.discard(callback)

    # -- the loop ------------------------------------------------------------------------------------------------

    def _now_ms(self) -> int:
        return int(self.loop.time() * 1000)

    def _tick(self) -> None:
        if self._stopping:
            return
        member = self.member
        now_ms = self._now_ms()
        member.tick(now_ms)
        if not self.ready.is_set() and member.duties.published:
            self._become_ready()
        if self._leader_lost and not member.leader:
            if now_ms - member.contact.leaderless_since_ms > LEADERLESS_ELECTIONS * member.config.election_ms:
                callbacks, self._leader_lost = self._leader_lost, set()
                for callback in callbacks:
                    callback()
        tokens = self.machine.auth.tokens
        if isinstance(tokens, SimpleTokens):
            tokens.sweep(now_ms)
        self._ticker = self.loop.call_later(self.config.heartbeat_ms / 1000, self._tick)
        try:
            self._write_held()
        except OSError as error:
            self._fail(error)
        self.kick()

    def _become_ready(self) -> None:
        """Ready, where nothing is to be compared first, or nobody's hash differs at equal compaction."""
        if self.config.initial_corrupt_check:
            if self._comparison is None:
                self._comparison = HashComparison(self.member)
            if not self._comparison.done:
                return
            if others := self._comparison.differing():
                names = ", ".join(f"{other:x}" for other in others)
                self._fail(
                    ForeignData(f"this member's data differ from those of {names}: data inconsistency")
                )
                return
        self.ready.set()

    def _turn(self) -> None:
        self.kicked = False
        if self.writing is not None or self._stopping:
            return  # the end of the write begins the next turn
        try:
            self._work_off()
        except Exception as error:  # noqa: BLE001 - a broken invariant: nothing may be written or answered any more
            self._fail(error)

    def _work_off(self) -> None:
        member, disk = self.member, self.disk
        for _ in range(TURNS_IN_A_ROW_MAX):
            work = member.work()
            if work is None:
                return
            if work.messages:
                self.transport.send(work.messages)
            for message in work.snapshots_to_send:
                self._send_snapshot(message)
            if disk is not None and (
                work.entries or work.hard_state is not None or work.snapshot is not None
            ):
                if not self._write(work):
                    return
            self._finish(work)
        self.kick()

    def _write(self, work: Work) -> bool:
        """True where the work is on disk as far as it must; else ``_finish`` follows when it is.

        A commit index alone is written with the next entries, or at the next tick: Raft finds it again after a crash.
        """
        assert self.disk is not None and self._disk_thread is not None
        if not (work.entries or work.must_sync):
            self._held = work.hard_state
            return True
        try:
            self.disk.append(work.hard_state or self._held, work.entries)
            self._held = None
        except OSError as error:
            if not is_full(error):
                raise
            self._wait_for_space(work, error)
            return False
        if self.disk_full:
            self.disk_full = False
            self.member.proposals.refusal = ""
            log.info("the disk has space again")
        self.entries_written += len(work.entries)
        if not work.must_sync:
            return True
        # what goes to others leaves only when the loop goes on: they should write while this member does
        if not work.messages and (ended := self._disk_thread.sync_here()) is not None:
            seconds, failure = ended
            if failure is not None:
                raise failure
            self._note_sync(seconds)
            return True
        self.writing = work
        self._disk_thread.sync(self._synced)
        self._apply_early(work)
        return False

    def _write_held(self) -> None:
        """The commit index that was held back is written, though not synced."""
        if self._held is not None and self.disk is not None and self.writing is None:
            try:
                self.disk.append(self._held, ())
                self._held = None
            except OSError as error:
                if not is_full(error):
                    raise

    def _wait_for_space(self, work: Work, error: OSError) -> None:
        """Writes are refused, reads go on; the same work is tried again."""
        if not self.disk_full:
            self.disk_full = True
            log.error("the disk is full: %s; writes are refused until there is space", error)
            self.member.proposals.refusal = "NoSpace"
        self.member.duties.disk_full()
        self.writing = work

        def again() -> None:
            self.writing = None
            if self._stopping:
                return
            try:
                if self._write(work):
                    self._finish(work)
                    self._work_off()
            except Exception as failure:  # noqa: BLE001 - as in _turn
                self._fail(failure)

        self._apply_early(work)
        self.loop.call_later(FULL_RETRY_SECONDS, again)

    def _synced(self, seconds: float, error: BaseException | None) -> None:
        work, self.writing = self.writing, None
        if error is not None:
            self._fail(error)
            return
        self._note_sync(seconds)
        if self._stopping:
            return
        assert work is not None
        try:
            self._finish(work)
            self._work_off()
        except Exception as failure:  # noqa: BLE001 - as in _turn
            self._fail(failure)

    def _note_sync(self, seconds: float) -> None:
        self.sync_times.observe(seconds)
        wanted = seconds / FRAME_SECONDS
        self.early_frames += int((max(wanted, EARLY_FRAMES_MIN) - self.early_frames) / EARLY_MEMORY)

    def _apply_early(self, work: Work) -> None:
        index, began = self.machine.applied_index, time.perf_counter()
        self.member.apply_early(work)
        if self.machine.applied_index != index:
            self.apply_times.observe(time.perf_counter() - began)

    def _finish(self, work: Work) -> None:
        index, began = self.machine.applied_index, time.perf_counter()
        outcome: Outcome = self.member.done(work, self._now_ms())
        if self.machine.applied_index != index:
            self.apply_times.observe(time.perf_counter() - began)
        if outcome.messages:
            self.transport.send(outcome.messages)
        if outcome.members_changed:
            self._set_peers()
        if work.snapshot is not None and self.disk is not None:
            self._spawn(asyncio.to_thread(self.disk.release, work.snapshot.index))
        if outcome.take_snapshot and self.disk is not None:
            self._spawn(self._take_snapshot())
        if outcome.removed and not self._leaving:
            self._leaving = True
            log.warning("%s", REMOVED)
            self._spawn(self._stop_later())

    async def _stop_later(self) -> None:
        # the others must hear that the removal is applied before this member is gone, as in etcd
        await asyncio.sleep(self.member.config.election_ms / 1000)
        self.failure = self.failure or REMOVED
        self._tasks.discard(asyncio.current_task())
        await self.stop()

    def _fail(self, error: BaseException) -> None:
        """The member stops with one line: its disk or its own state cannot be trusted."""
        if self.failure:
            return
        self.failure = f"{type(error).__name__}: {error}"
        log.critical(
            "member %x stops: %s", self.member_id, self.failure, exc_info=not isinstance(error, OSError)
        )
        self.writing = None
        self.member.stop()
        self._spawn(self._stop_now())

    async def _stop_now(self) -> None:
        self._tasks.discard(asyncio.current_task())
        await self.stop()

    def _spawn(self, coroutine: Any) -> None:
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _set_peers(self, founding: Founding | None = None) -> None:
        members = self.machine.members or {m.id: m for m in (founding.members if founding else ())}
        self.transport.set_peers({m.id: m.peer_urls for m in members.values() if m.id != self.member_id})

    # -- snapshots -----------------------------------------------------------------------------------------------

    async def _take_snapshot(self) -> None:
        """The state as of now is on disk, written in pieces between turns; older log is released."""
        disk = self.disk
        assert disk is not None
        metadata, reader = self.member.open_snapshot()
        writer: SnapshotWriter | None = None
        done = False
        try:
            self._write_held()  # a snapshot counts only as far as the log knows to be committed
            writer = disk.begin_snapshot(metadata)
            for chunk in reader:
                await asyncio.to_thread(writer.write, chunk)
            await asyncio.to_thread(writer.commit)
            done = True
            await asyncio.to_thread(disk.release, metadata.index)
        except OSError as error:
            log.error("no snapshot was written: %s", error)
        finally:
            if not done and writer is not None:
                writer.abort()
            reader.close()
            self.member.snapshot_taken()

    def _send_snapshot(self, message: Message) -> None:
        to = message.to
        message, reader = self.member.snapshot_for(message)

        async def chunks() -> AsyncIterator[bytes]:
            for chunk in reader:
                yield chunk
                await asyncio.sleep(0)

        def finished(failed: bool) -> None:
            reader.close()
            if not self._stopping:
                self.member.snapshot_sent(to, failed=failed)
                self.kick()

        assert message.snapshot is not None
        log.info("a snapshot of index %d goes to member %x", message.snapshot.metadata.index, to)
        self.transport.send_snapshot(message, chunks, finished)

    # -- what the transport asks (transport.Owner) ---------------------------------------------------------------

    def packet_received(self, packet: calls.Packet) -> None:
        """The member has the packet."""
        if not self._stopping:
            try:
                self.member.receive(packet, self._now_ms())
            except Exception as error:  # noqa: BLE001 - as in _turn
                self._fail(error)

    def packets_end(self) -> None:
        """The member acts on what came, at once: others wait for its answer."""
        if not self._stopping:
            self._turn()

    def peer_unreachable(self, member_id: int) -> None:
        """Raft probes that member until it answers."""
        if not self._stopping:
            self.member.report_unreachable(member_id)

    def is_removed(self, member_id: int) -> bool:
        """True for one that was a member."""
        return member_id in self.machine.removed

    def snapshot_begins(self, message: Message) -> SnapshotSink | str:
        """Where the snapshot is written, or why it is not wanted."""
        assert message.snapshot is not None
        if self._incoming_snapshot or self._stopping:
            return "another snapshot is on its way"
        if not self.member.accepts_snapshot(message.snapshot.metadata):
            return "this member is not behind that snapshot"
        if self.disk is None:
            self._incoming_snapshot = True
            return _MemorySink(self, message)
        try:
            sink = _DiskSink(self, message, self.disk.begin_snapshot(message.snapshot.metadata))
        except OSError as error:
            return f"this member cannot write it: {error}"
        self._incoming_snapshot = True
        return sink

    def snapshot_ends(self, message: Message, chunks: Callable[[], Iterable[bytes]] | None) -> None:
        """The snapshot is whole and on disk (``chunks`` reads it), or the stream broke (None)."""
        self._incoming_snapshot = False
        if chunks is not None and not self._stopping:
            self.member.snapshot_received(message, chunks, self._now_ms())
            self.kick()

    def describe(self) -> Description:
        """What one who wants to join must know."""
        rows = [tuple(info) for info in self.member.members()]
        return Description(self.cluster_id, self.member_id, rows)  # type: ignore[arg-type]


class _DiskSink:
    """A snapshot that arrives, on its way to the disk."""

    def __init__(self, replica: Replica, message: Message, writer: SnapshotWriter) -> None:
        self._replica = replica
        self._message = message
        self._writer = writer

    def write(self, chunk: bytes) -> None:
        self._writer.write(chunk)

    async def commit(self) -> None:
        await asyncio.to_thread(self._writer.commit)
        disk, message = self._replica.disk, self._message
        assert disk is not None and message.snapshot is not None
        metadata = message.snapshot.metadata
        self._replica.snapshot_ends(message, lambda: disk.snapshot_chunks(metadata))

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            self._writer.abort()
        self._replica.snapshot_ends(self._message, None)


class _MemorySink:
    """A snapshot that arrives at a member without a disk."""

    def __init__(self, replica: Replica, message: Message) -> None:
        self._replica = replica
        self._message = message
        self._chunks: list[bytes] = []

    def write(self, chunk: bytes) -> None:
        self._chunks.append(chunk)

    async def commit(self) -> None:
        chunks = self._chunks
        self._replica.snapshot_ends(self._message, lambda: iter(chunks))

    def abort(self) -> None:
        self._replica.snapshot_ends(self._message, None)


def _member(config: ReplicaConfig, founding: Founding, machine: Machine, now_ms: int) -> Member:
    constants = MemberConfig(
        id=founding.member_id,
        cluster_id=founding.cluster_id,
        name=config.name,
        client_urls=config.advertise_client_urls,
        tick_ms=config.heartbeat_ms,
        election_ticks=max(config.election_ms // config.heartbeat_ms, 2),
        snapshot_count=config.snapshot_count,
        catch_up_entries=config.catch_up_entries,
        snapshot_log_bytes=config.snapshot_log_bytes,
        pre_vote=config.pre_vote,
        strict_reconfig_check=config.strict_reconfig_check,
        auto_compaction_mode=config.auto_compaction_mode,
        auto_compaction_retention=config.auto_compaction_retention,
        corrupt_check_ms=config.corrupt_check_ms,
        lease_checkpoints=config.lease_checkpoints,
        seed=int.from_bytes(os.urandom(8), "big"),
        unix_ms=Replica.unix_ms(),
    )
    return recover(
        constants, machine, founding.hard_state, founding.entries, founding.snapshot, founding.chunks, now_ms
    )
