"""Faults as workloads: each strikes again and again at random moments, and ``heal`` undoes what it left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from kcore.store import membership
from kcore.store.errors import StoreError
from kcore.store.face import AlarmAction
from kcore.store.membership import Change
from kcore.store.tickets import Ticket
from kcore_native.mvcc import command
from kcore_native.raft import MSG_TIMEOUT_NOW, Message
from tests.simulation import requests
from tests.simulation.host import Host
from tests.simulation.network import Weather

if TYPE_CHECKING:
    from tests.simulation.world import World


class Fault(Protocol):
    """``setup`` plans the first strike; ``heal`` ends it all."""

    def setup(self, world: World) -> None: ...
    def heal(self, world: World) -> None: ...


class Recurring:
    """Strikes at random moments, ``period_us`` apart in the mean."""

    def __init__(self, period_us: int) -> None:
        self.period_us = period_us
        self.strikes_count = 0

    def setup(self, world: World) -> None:
        """The first strike is on its way."""
        self._later(world)

    def _later(self, world: World) -> None:
        world.timeline.after(
            world.chance.randint(self.period_us // 4, self.period_us * 2), self._strike, world
        )

    def _strike(self, world: World) -> None:
        if not world.ending:
            self.strikes_count += 1
            self.strike(world)
            self._later(world)

    def strike(self, world: World) -> None:
        """One fault."""

    def heal(self, world: World) -> None:
        """Nothing is left of it."""


class Crashes(Recurring):
    """Processes are killed and machines lose power: one, several, all, or in the midst of a write."""

    def strike(self, world: World) -> None:
        """Some go down and come back a while later."""
        chance = world.chance
        up = [host for host in world.hosts.values() if host.up]
        if not up:
            return
        kind = chance.random()
        count = 1 if kind < 0.7 else len(up) if kind > 0.9 else chance.randint(1, len(up))
        power = chance.random() < 0.6
        for host in chance.sample(up, count):
            if count == 1 and chance.random() < 0.4:
                host.files.power_fails_at = host.files.steps + chance.randint(1, 30)
                continue
            host.crash(power=power)
            world.timeline.after(chance.randint(1_000, chance.choice((20_000, 4_000_000))), host.start)

    def heal(self, world: World) -> None:
        """No more power failures are planned, and all that are down start."""
        for host in world.hosts.values():
            host.files.power_fails_at = None
            host.start()


class Partitions(Recurring):
    """The network falls apart: halves, a member alone, one direction only, a ring where not all see each other."""

    def strike(self, world: World) -> None:
        """New cuts in place of the old ones, or none."""
        chance, network = world.chance, world.network
        network.cut = set()
        ids = list(world.hosts)
        kind = chance.randrange(6)
        if kind == 0 or len(ids) < 2:
            return
        if kind == 1:
            lone = world.leader_id() or chance.choice(ids)
            side = {lone}
        else:
            side = set(chance.sample(ids, chance.randint(1, len(ids) - 1)))
        for start in ids:
            for to in ids:
                if (start in side) == (to in side):
                    continue
                if kind == 4 and start not in side:
                    continue  # one way
                if kind == 5 and chance.random() < 0.5:
                    continue
                network.cut.add((start, to))
        world.trace("network is cut: %s", sorted(network.cut))

    def heal(self, world: World) -> None:
        """All are connected."""
        world.network.cut = set()


class BadWeather(Recurring):
    """Packets are lost, doubled and late."""

    def __init__(self, period_us: int, worst: float) -> None:
        super().__init__(period_us)
        self.worst = worst

    def strike(self, world: World) -> None:
        """Another weather."""
        chance, worst = world.chance, self.worst
        if chance.random() < 0.3:
            world.network.weather = Weather()
            return
        world.network.weather = Weather(
            latency_us_max=chance.choice((2_000, 20_000, 100_000)),
            loss=chance.random() * worst,
            duplication=chance.random() * worst,
            lateness=chance.random() * worst,
            late_us_max=chance.choice((100_000, 1_000_000, 3_000_000)),
        )

    def heal(self, world: World) -> None:
        """A calm network."""
        world.network.weather = Weather()


class SlowDisks(Recurring):
    """A sync takes long."""

    def strike(self, world: World) -> None:
        """One disk has another speed."""
        host = world.chance.choice(list(world.hosts.values()))
        host.sync_us_max = world.chance.choice((500, 2_000, 20_000, 200_000, 1_500_000))

    def heal(self, world: World) -> None:
        """Disks are quick."""
        for host in world.hosts.values():
            host.sync_us_max = 2_000


class FullDisks(Recurring):
    """A disk has no space for a while; afterwards somebody disarms the alarm."""

    def strike(self, world: World) -> None:
        """One disk is full within some bytes."""
        chance = world.chance
        host = chance.choice(list(world.hosts.values()))
        used = sum(len(host.files.content(path)) for path in host.files.paths())
        host.files.faults.capacity_bytes = used + chance.randint(0, 6_000)
        world.trace("%s: its disk has little space", host.name)
        world.timeline.after(chance.randint(200_000, 3_000_000), self._space, world, host)

    def _space(self, world: World, host: Host) -> None:
        host.files.faults.capacity_bytes = None
        world.timeline.after(world.chance.randint(0, 2_000_000), self._disarm, world)

    def _disarm(self, world: World) -> None:
        host = world.any_host()
        if host.machine is None:
            return
        for alarm in list(host.machine.alarms):
            member_id, kind = int(alarm[0]), int(alarm[1])
            requests.write(
                world, host, 2_000_000,
                lambda i, m=member_id, k=kind: command.alarm(i, AlarmAction.DEACTIVATE, m, k),  # type: ignore[misc]
                lambda result, maybe: None,
            )  # fmt: skip

    def heal(self, world: World) -> None:
        """All disks have space; the alarm is disarmed as often as it takes."""
        for host in world.hosts.values():
            host.files.faults.capacity_bytes = None
        for seconds in (3, 6, 9, 12):
            world.timeline.after(seconds * 1_000_000, self._disarm, world)


class Pauses(Recurring):
    """A process stands still, and then goes on as if nothing had been."""

    def strike(self, world: World) -> None:
        """One host, more often the leader, sleeps."""
        chance = world.chance
        host = world.hosts.get(world.leader_id()) if chance.random() < 0.5 else None
        host = host or chance.choice(list(world.hosts.values()))
        if host.up and not host.paused:
            host.pause(on=True)
            life = host.life
            world.trace("%s sleeps", host.name)
            world.timeline.after(chance.randint(10_000, 4_000_000), self._wake, world, host, life)

    def _wake(self, world: World, host: Host, life: int) -> None:
        if host.life == life and host.paused:
            world.trace("%s wakes", host.name)
            host.pause(on=False)

    def heal(self, world: World) -> None:
        """All are awake."""
        for host in world.hosts.values():
            if host.paused:
                host.pause(on=False)


class Transfers(Recurring):
    """Somebody moves the leadership."""

    def strike(self, world: World) -> None:
        """The leader is asked to make way."""
        host = world.hosts.get(world.leader_id())
        if host is None or host.member is None or host.paused:
            return
        target = world.chance.choice(list(world.hosts))

        def move() -> None:
            assert host.member is not None
            try:
                host.member.transfer_leader(target, Ticket())
            except StoreError:
                return
            host.kick()

        host.enter(move)


class Elections(Recurring):
    """Two members stand for election at once, and one that votes is killed in between and back at once."""

    def strike(self, world: World) -> None:
        """The leader tells both to stand, as if it had made way for one and then for the other."""
        leader, chance = world.hosts.get(world.leader_id()), world.chance
        if leader is None or leader.member is None:
            return
        up = [host for host in world.hosts.values() if host.up]
        others = [host for host in up if host is not leader]
        if len(others) < 2:
            return
        term = leader.member.node.term
        standing = chance.sample(others, 2)
        for host in standing:
            world.network.send(leader.id, Message(MSG_TIMEOUT_NOW, to=host.id, from_=leader.id, term=term))
        voter = chance.choice([host for host in up if host not in standing])
        world.timeline.after(chance.randint(500, 4_000), self._kill, world, voter)

    def _kill(self, world: World, host: Host) -> None:
        if host.up:
            host.crash(power=False)
            world.timeline.after(1, host.start)

    def heal(self, world: World) -> None:
        """All that are down start."""
        for host in world.hosts.values():
            host.start()


class MembershipChanges(Recurring):
    """Members come as voters or learners, are promoted, and go; new hosts start once they are members."""

    def __init__(self, period_us: int, *, members_max: int, promotes: bool = True) -> None:
        super().__init__(period_us)
        self.members_max = members_max
        self.promotes = promotes
        self._next_id = 100

    def setup(self, world: World) -> None:
        """Changes, and the operator who starts new hosts."""
        super().setup(world)
        world.timeline.after(500_000, self._operate, world)

    def _operate(self, world: World) -> None:
        if not world.ending:
            world.start_new_members()
            world.timeline.after(500_000, self._operate, world)

    def strike(self, world: World) -> None:
        """One change is asked of some member."""
        chance = world.chance
        host = world.any_host()
        if host.machine is None or host.paused:
            return
        members = host.machine.members
        learners = [info.id for info in members.values() if info.is_learner]
        voters = [info.id for info in members.values() if not info.is_learner]
        if learners and self.promotes and chance.random() < 0.6:
            self._ask(host, lambda member, ticket: member.promote_member(learners[0], ticket))
            return
        if len(members) >= self.members_max or (len(voters) > 1 and chance.random() < 0.4):
            gone = chance.choice(sorted(members))
            if len(voters) > 1 or gone in learners:
                self._change(host, [Change(membership.REMOVE, gone)])
            return
        self._next_id += 1
        new = self._next_id
        kind = membership.ADD_LEARNER if not learners and chance.random() < 0.7 else membership.ADD
        self._change(host, [Change(kind, new, (f"http://m{new}:2380",))])

    def _change(self, host: Host, changes: list[Change]) -> None:
        self._ask(host, lambda member, ticket: member.propose_member_change(changes, ticket))

    def _ask(self, host: Host, start: Any) -> None:
        def begin() -> None:
            assert host.member is not None
            try:
                start(host.member, Ticket())
            except StoreError:
                return
            host.kick()

        host.enter(begin)
