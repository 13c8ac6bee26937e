"""Workloads of clients: they write, read, compact, watch and lease through any member, and remember what they saw.

Each has ``setup`` (its first events), ``check`` at the end, when the cluster is whole again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kcore.store.kv import (
    Compare,
    DeleteOp,
    Op,
    PutOp,
    RangeOp,
    Relation,
    Target,
    TxnOp,
    prefix_end,
)
from kcore.store.tickets import Ticket
from kcore_native.mvcc import command
from tests.simulation import requests
from tests.simulation.history import History, Operation
from tests.simulation.host import Host
from tests.simulation.judge import Change, Violated, changes_of
from tests.simulation.linearizable import violation
from tests.simulation.model import Etcd, out_of_order

if TYPE_CHECKING:
    from tests.simulation.world import World

DATA = b"d/"
LEASED = b"l/"
SLACK_MS = 20  # rounding of clocks to milliseconds


class KeyValueClients:
    """Clients that put, get, delete, compare and swap, and write two keys at once."""

    def __init__(self, count: int, keys_count: int, pause_us_max: int) -> None:
        self.count = count
        self.keys = [DATA + b"%d" % number for number in range(keys_count)]
        self.pause_us_max = pause_us_max
        self.history = History()
        self.acknowledged_count = 0
        self._values = 0
        self._seen: dict[bytes, int] = {}  # key -> mod revision that some client saw last
        self._serializable: list[tuple[RangeOp, Any]] = []
        self.calls = 0

    def setup(self, world: World) -> None:
        """All clients begin."""
        for number in range(self.count):
            world.timeline.after(world.chance.randint(0, 500_000), self._next, world, number)

    def _next(self, world: World, number: int) -> None:
        if world.ending:
            return
        chance = world.chance
        host = world.any_host()
        request = self._request(world)
        if isinstance(request, RangeOp) and chance.random() < 0.2:
            self._serializable_read(host, request)
            self._later(world, number)
            return
        self.ask(world, number, host, request, lambda: self._later(world, number))

    def _later(self, world: World, number: int) -> None:
        world.timeline.after(world.chance.randint(1, self.pause_us_max), self._next, world, number)

    def ask(self, world: World, number: int, host: Host, request: Op, then: Any) -> None:
        """The request is in the history, and later its answer."""
        self.calls += 1
        operation = self.history.calls(number, world.moment(), request, host.id)
        timeout_us = world.chance.randint(200_000, 4_000_000)

        def answered(result: Any, maybe: bool) -> None:
            if result is not None:
                self._returned(world, operation, result)
            elif not maybe:
                self.history.refused(operation)
            then()

        if isinstance(request, RangeOp):
            requests.read(world, host, timeout_us, request, answered)
        else:
            requests.write(world, host, timeout_us, requests.frame_of(request), answered)

    def _returned(self, world: World, operation: Operation, result: Any) -> None:
        self.acknowledged_count += 1
        self.history.returns(operation, world.moment(), result)
        if isinstance(operation.request, RangeOp):
            for kv in result.kvs:
                self._seen[kv.key] = kv.mod_revision
        elif isinstance(operation.request, PutOp):
            self._seen[operation.request.key] = result.revision

    def _request(self, world: World) -> Op:
        chance = world.chance
        key = chance.choice(self.keys)
        self._values += 1
        value = b"%d" % self._values
        kind = chance.random()
        if kind < 0.35:
            return PutOp(key, value, prev_kv=chance.random() < 0.2)
        if kind < 0.65:
            return RangeOp(key)
        if kind < 0.73:
            return DeleteOp(key, prev_kv=chance.random() < 0.3)
        if kind < 0.9:
            compare = Compare(Target.MOD, Relation.EQUAL, key, self._seen.get(key, 0))
            return TxnOp((compare,), (PutOp(key, value),), (RangeOp(key),))
        number = self.keys.index(key) // 2 * 2
        pair = self.keys[number : number + 2]
        if kind < 0.95:
            return TxnOp((), tuple(PutOp(each, value + b"%d" % place) for place, each in enumerate(pair)))
        return TxnOp((), tuple(RangeOp(each) for each in pair))

    def _serializable_read(self, host: Host, request: RangeOp) -> None:
        if host.machine is not None and not host.paused:
            self._serializable.append((request, host.machine.range(request.key, request.end)))

    def ask_last(self, world: World, hosts: list[Host], left: list[int]) -> None:
        """Every host is asked for every key; ``left[0]`` goes up with each question and down with each answer."""

        def answered() -> None:
            left[0] -= 1

        for host in hosts:
            for key in self.keys:
                left[0] += 1
                self.ask(world, 10_000 + host.id, host, RangeOp(key), answered)

    def check(self, world: World) -> None:
        """The history is linearizable; what stale reads saw was once true."""
        if wrong := out_of_order(self.history):
            raise Violated(f"revisions and clock disagree: {wrong}")
        if found := violation(self.history, Etcd()):
            raise Violated(str(found))
        for operation in self.history:
            if isinstance(operation.request, PutOp) and operation.result is not None:
                changes = world.judge.changes.get(operation.result.revision)
                if changes is not None and not any(
                    change[:3] == (0, operation.request.key, operation.request.value) for change in changes
                ):
                    raise Violated(f"an acknowledged write is not in the history of keys: {operation}")
        self._check_serializable(world)

    def _check_serializable(self, world: World) -> None:
        versions: dict[bytes, list[tuple[int, Change]]] = {}
        for revision in sorted(world.judge.changes):
            for change in world.judge.changes[revision]:
                versions.setdefault(change[1], []).append((revision, change))
        for request, result in self._serializable:
            past = [pair for pair in versions.get(request.key, ()) if pair[0] <= result.revision]
            shown = [
                (kv.mod_revision, (0, kv.key, kv.value, kv.create_revision, kv.version, kv.lease))
                for kv in result.kvs
            ]
            expected = past[-1:] if past and past[-1][1][0] == 0 else []
            if shown != expected and world.judge.complete_from <= (past[0][0] if past else 0):
                raise Violated(
                    f"a serializable read of {request.key!r} at {result.revision} shows {shown}, not {expected}"
                )


class Compactions:
    """Somebody compacts now and then."""

    def __init__(self, period_us: int) -> None:
        self.period_us = period_us

    def setup(self, world: World) -> None:
        """The first one is on its way."""
        world.timeline.after(self.period_us, self._compact, world)

    def _compact(self, world: World) -> None:
        if world.ending:
            return
        host = world.any_host()
        if host.machine is not None:
            revision = host.machine.revision - world.chance.randint(0, 60)
            if revision > 1:
                requests.write(
                    world, host, 2_000_000, lambda i: command.compact(i, revision), lambda result, maybe: None
                )
        world.timeline.after(world.chance.randint(1, 2 * self.period_us), self._compact, world)

    def check(self, world: World) -> None:
        """Nothing of its own: the judge compares compacted states too."""


CATCH_UP_COUNT = 20  # times that a watch is asked at the end; each loss to compaction takes one


class Watch:
    """One client that follows a range from member to member, and what it was given."""

    def __init__(self, key: bytes, end: bytes | None) -> None:
        self.key, self.end = key, end
        self.next_revision = 0  # 0: from now on
        self.begun = 0  # the first revision it must have seen
        self.seen: dict[int, tuple[Change, ...]] = {}
        self.skipped: list[tuple[int, int]] = []  # [from, to) lost to compaction
        self.host: Host | None = None
        self.life = 0
        self.watcher: Any = None

    def holds(self, key: bytes) -> bool:
        """True for a key that it watches."""
        return key >= self.key and (
            key == self.key if self.end is None else self.end == b"\0" or key < self.end
        )


class Watchers:
    """Clients that watch keys and prefixes; some are slow, all move on when their member dies."""

    def __init__(self, count: int, poll_us_max: int) -> None:
        self.count = count
        self.poll_us_max = poll_us_max
        self.watches: list[Watch] = []
        self.events_count = 0

    def setup(self, world: World) -> None:
        """All begin to watch, some later than others."""
        ranges = [(DATA, prefix_end(DATA)), (DATA + b"0", None), (DATA + b"1", DATA + b"4"), (b"\0", b"\0")]
        for number in range(self.count):
            watch = Watch(*ranges[number % len(ranges)])
            self.watches.append(watch)
            world.timeline.after(world.chance.randint(0, 3_000_000), self._poll, world, watch)

    def _poll(self, world: World, watch: Watch) -> None:
        if watch.host is None or watch.host.life != watch.life or world.chance.random() < 0.02:
            if watch.watcher is not None and watch.host is not None and watch.host.life == watch.life:
                watch.watcher.cancel()
            self._open(world, watch)
        elif not watch.host.paused:
            self._take(world, watch)
        if not world.ending:
            world.timeline.after(world.chance.randint(1_000, self.poll_us_max), self._poll, world, watch)

    def _open(self, world: World, watch: Watch, host: Host | None = None) -> None:
        host = host or world.any_host()
        if host.machine is None or host.paused:
            watch.host = None
            return
        if not watch.next_revision:
            watch.next_revision = watch.begun = host.machine.revision + 1
        watch.host, watch.life = host, host.life
        watch.watcher = host.machine.watch(watch.key, watch.end, start_revision=watch.next_revision)

    def _take(self, world: World, watch: Watch) -> None:
        while (batch := watch.watcher.pending()) is not None:
            if batch.compact_revision:
                watch.skipped.append((watch.next_revision, batch.compact_revision + 1))
                watch.next_revision = batch.compact_revision + 1
                watch.host = None
                return
            if batch.cancel_reason:
                watch.host = None
                return
            grouped: dict[int, list[Any]] = {}
            last = 0
            for event in batch.events:
                if event.kv.mod_revision < last:
                    raise Violated(f"a watch of {watch.key!r} gives {event.kv.mod_revision} after {last}")
                last = event.kv.mod_revision
                grouped.setdefault(last, []).append(event)
            for revision, events in grouped.items():
                if revision < watch.next_revision:
                    raise Violated(
                        f"a watch of {watch.key!r} from {watch.next_revision} gives revision {revision} again"
                    )
                watch.seen[revision] = changes_of(events)
                watch.next_revision = revision + 1
                self.events_count += len(events)

    def check(self, world: World) -> None:
        """Every watch, caught up, has exactly the events of its range."""
        changes = world.judge.changes
        leader = world.hosts[world.leader_id()]
        assert leader.machine is not None
        for watch in self.watches:
            if watch.host is not None and watch.host.id not in leader.machine.members:
                watch.host = None  # one that was removed and never heard of it has nothing new
            for _ in range(CATCH_UP_COUNT):
                if watch.host is None or watch.host.life != watch.life:
                    self._open(world, watch, leader)
                self._take(world, watch)
            upto = 0
            if watch.host is not None and watch.host.machine is not None:
                upto = watch.host.machine.revision
            for revision in sorted(changes):
                if not watch.begun or revision < watch.begun or revision > upto:
                    continue
                if any(start <= revision < end for start, end in watch.skipped):
                    continue
                expected = tuple(change for change in changes[revision] if watch.holds(change[1]))
                if watch.seen.get(revision, ()) != expected:
                    raise Violated(
                        f"a watch of {watch.key!r} has at revision {revision}\n  {watch.seen.get(revision)}, not\n  {expected}"
                    )
            foreign = [revision for revision in watch.seen if revision not in changes]
            if foreign and world.judge.complete_from < min(foreign):
                raise Violated(f"a watch of {watch.key!r} saw revisions {foreign} that nobody else has")


class _Lease:
    """A lease as its owner knows it."""

    def __init__(self, id_: int, ttl: int) -> None:
        self.id = id_
        self.ttl = ttl
        self.renewed_us = -1  # when the last renewal that was answered was asked for
        self.renewals_left = 0
        self.given_back = False  # its owner may have revoked it


class Leases:
    """Owners of leases: they renew for a while and stop; nothing expires early, and all expires once."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.leases: dict[int, _Lease] = {}
        self._serial = 0

    def setup(self, world: World) -> None:
        """Owners begin."""
        world.watch_revocations(self.revoked)
        for _ in range(self.count):
            world.timeline.after(world.chance.randint(0, 4_000_000), self._grant, world)

    def _grant(self, world: World) -> None:
        if world.ending:
            return
        self._serial += 1
        lease = _Lease(1000 + self._serial, world.chance.randint(2, 4))
        lease.renewals_left = world.chance.randint(0, 6)
        asked_us = world.timeline.now_us

        def granted(result: Any, maybe: bool) -> None:
            if result is None:
                world.timeline.after(500_000, self._grant, world)
                return
            lease.renewed_us = asked_us
            key = LEASED + b"%d" % lease.id
            requests.write(
                world, world.any_host(), 2_000_000,
                lambda i: command.put(i, key, b"x", lease.id), lambda result, maybe: None,
            )  # fmt: skip
            self._renew_later(world, lease)

        self.leases[lease.id] = lease
        requests.write(
            world, world.any_host(), 2_000_000,
            lambda i: command.lease_grant(i, lease.id, lease.ttl), granted,
        )  # fmt: skip

    def _renew_later(self, world: World, lease: _Lease) -> None:
        world.timeline.after(world.chance.randint(100_000, 1_500_000), self._renew, world, lease)

    def _renew(self, world: World, lease: _Lease) -> None:
        if world.ending or lease.renewals_left == 0 or lease.id in world.judge.revoked:
            if not world.ending:
                world.timeline.after(1_000_000, self._grant, world)
                if world.chance.random() < 0.3:
                    lease.given_back = True
                    requests.write(
                        world, world.any_host(), 2_000_000,
                        lambda i: command.lease_revoke(i, lease.id), lambda result, maybe: None,
                    )  # fmt: skip
            return
        lease.renewals_left -= 1
        asked_us = world.timeline.now_us

        def renewed(result: Any, maybe: bool) -> None:
            if result is not None:
                lease.renewed_us = max(lease.renewed_us, asked_us)
            self._renew_later(world, lease)

        def start(host: Host, ticket: Ticket) -> None:
            assert host.member is not None
            host.member.duties.renew(lease.id, ticket, host.now_ms())

        requests.ask(world, world.any_host(), 1_000_000, start, renewed)

    def revoked(self, world: World, lease_id: int) -> None:
        """The first member has applied that the lease is gone: not before its time was over by the fastest clock."""
        lease = self.leases.get(lease_id)
        if lease is None or lease.given_back or lease.renewed_us < 0:
            return
        lived_ms = (world.timeline.now_us - lease.renewed_us) / 1000
        least_ms = lease.ttl * 1000 / world.fastest_rate() - SLACK_MS
        if lived_ms < least_ms:
            raise Violated(
                f"lease {lease_id} of {lease.ttl} s was revoked {lived_ms:.0f} ms after it was renewed"
            )

    def check(self, world: World) -> None:
        """Nobody renews any more: all are gone, and their keys with them."""
        machine = world.newest_machine()
        left = machine.leases.ids()
        if left:
            raise Violated(f"leases {left} never expired")
        keys = [kv.key for kv in machine.range(LEASED, prefix_end(LEASED)).kvs]
        if keys:
            raise Violated(f"keys outlived their leases: {keys}")
