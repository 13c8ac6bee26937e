"""A cluster of simulated hosts under workloads and faults, from one seed; ``run`` judges it from start to end."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kcore.store.face import MemberInfo
from kcore.store.machine import Machine
from kcore_native.mvcc import command
from tests.simulation import mutations
from tests.simulation.host import Host
from tests.simulation.judge import Judge, Violated
from tests.simulation.network import Network
from tests.simulation.timeline import Timeline

CLUSTER_ID = 0xC0FFEE
TRACE_LINES_MAX = 400
SETTLE_US_MAX = 120_000_000
"""Virtual time in which a cluster that is whole again must agree."""
STEPS_MAX = 400_000


@dataclass(slots=True)
class Scenario:
    """What one run is made of; ``swarm.scenario`` makes one of a seed."""

    seed: int
    members: int = 3
    duration_us: int = 15_000_000
    steps_max: int = STEPS_MAX
    segment_bytes: int = 8_192
    member: dict[str, Any] = field(default_factory=dict)
    rates: tuple[float, ...] = ()  # of the hosts' clocks
    clients: list[Any] = field(default_factory=list)
    faults: list[Any] = field(default_factory=list)
    planted: frozenset[str] = frozenset()

    def __str__(self) -> str:
        names = [type(each).__name__ for each in (*self.clients, *self.faults)]
        return f"seed {self.seed}: {self.members} members, {', '.join(names)}, {self.member}"


class World:
    """See the module. ``chance`` is the only source of randomness beside the disks' own."""

    def __init__(self, scenario: Scenario, *, verbose: Callable[[str], None] | None = None) -> None:
        self.scenario = scenario
        self.chance = random.Random(scenario.seed)
        self.timeline = Timeline()
        self.network = Network(self.timeline, random.Random(self.chance.getrandbits(64)))
        self.judge = Judge()
        self.cluster_id = CLUSTER_ID
        self.hosts: dict[int, Host] = {}
        self.ending = False
        self.lines: deque[str] = deque(maxlen=TRACE_LINES_MAX)
        self.verbose = verbose
        self._moment = 0
        self._revocations: list[Callable[[World, int], None]] = []
        founders = [
            MemberInfo(i, f"m{i}", (f"http://m{i}:2380",), ()) for i in range(1, scenario.members + 1)
        ]
        for info in founders:
            self._add_host(info.id, founders)

    def _add_host(self, id_: int, founders: list[MemberInfo]) -> Host:
        host = self.hosts[id_] = Host(self, id_, founders, seed=self.chance.getrandbits(32))
        rates = self.scenario.rates
        host.rate = rates[id_ % len(rates)] if rates else 1.0
        if "lying_disk" in self.scenario.planted:
            host.files.faults.lying = True
        self.network.deliver[id_] = host.receive
        return host

    # -- what workloads ask --------------------------------------------------------------------------------------

    def trace(self, text: str, *args: Any) -> None:
        """A line of the trace, with its moment."""
        line = f"{self.timeline.now_us / 1e6:10.6f} {text % args}"
        self.lines.append(line)
        if self.verbose is not None:
            self.verbose(line)

    def moment(self) -> int:
        """A number greater than all before: the clock of the history."""
        self._moment += 1
        return self._moment

    def any_host(self) -> Host:
        """Some host, mostly one that is up."""
        hosts = list(self.hosts.values())
        host = self.chance.choice(hosts)
        if not host.up and self.chance.random() < 0.9:
            up = [other for other in hosts if other.up]
            host = self.chance.choice(up) if up else host
        return host

    def leader_id(self) -> int:
        """The leader of the highest term; 0 where there is none."""
        found = [
            (host.member.hard_state.term, host.id)
            for host in self.hosts.values()
            if host.member is not None and host.member.is_leader
        ]
        return max(found)[1] if found else 0

    def newest_machine(self) -> Machine:
        """The machine that has applied most."""
        machines = [host.machine for host in self.hosts.values() if host.machine is not None]
        return max(machines, key=lambda machine: machine.applied_index)

    def fastest_rate(self) -> float:
        """Of all clocks."""
        return max(host.rate for host in self.hosts.values())

    def watch_revocations(self, callback: Callable[[World, int], None]) -> None:
        """Calls back when the first member applies that a lease is revoked."""
        self._revocations.append(callback)

    def start_new_members(self) -> None:
        """An operator starts a host for each member that has none, and ends those that are members no more."""
        machines = [host.machine for host in self.hosts.values() if host.machine is not None]
        for machine in machines:
            for id_ in list(machine.members):
                if id_ not in self.hosts and id_ not in machine.removed:
                    self.trace("m%d is new", id_)
                    self._add_host(id_, []).start()

    # -- what hosts tell -----------------------------------------------------------------------------------------

    def applied(self, host: Host, index: int, term: int, payload: bytes, outcomes: list[Any]) -> None:
        """A host has applied an entry; leases revoked by it are noted."""
        if not payload or index < self.judge.highest_applied:
            return
        for request, outcome in zip(command.decode(payload), outcomes, strict=False):
            if request.kind == command.LEASE_REVOKE and not isinstance(outcome[1], Exception):
                self._revoked(int(request.op[0]), index)

    def _revoked(self, lease: int, index: int) -> None:
        known = self.judge.revoked.setdefault(lease, index)
        if known != index:
            raise Violated(f"lease {lease} was revoked at index {known} and again at {index}")
        for callback in self._revocations:
            callback(self, lease)

    def judge_refusal(self, host: Host) -> None:
        """No fault of ours damages a disk beyond repair."""
        raise Violated(f"{host.name} cannot open its data directory: {host.refused}")

    def mutate(self, host: Host) -> None:
        """Plants the bugs of this simulation's own into a host that has just started."""
        for name in sorted(self.scenario.planted):
            if name in mutations.OURS:
                mutations.OURS[name](host)

    # -- the run -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """All workloads for the scenario's time, then peace, and the last judgement; raises Violated."""
        scenario = self.scenario
        for host in list(self.hosts.values()):
            self.timeline.after(self.chance.randint(0, 300_000), host.start)
        for workload in (*scenario.clients, *scenario.faults):
            workload.setup(self)
        while self.timeline.now_us < scenario.duration_us and self.timeline.events_count < scenario.steps_max:
            self.timeline.step()
        self.ending = True
        self.trace("peace")
        for fault in scenario.faults:
            fault.heal(self)
        self.start_new_members()
        self._settle()
        self._last_reads()
        for workload in scenario.clients:
            workload.check(self)

    def _settle(self) -> None:
        """Goes on until all members have applied the same, no lease is left, and nothing more comes."""
        until_us = self.timeline.now_us + SETTLE_US_MAX
        while True:
            next_us = self.timeline.now_us + 500_000
            while self.timeline.now_us < next_us:
                self.timeline.step()
            for host in list(self.hosts.values()):
                host.start()
            self.start_new_members()
            if (waits := self.unsettled()) == "":
                return
            if self.timeline.now_us > until_us:
                raise Violated(f"the cluster is whole again and does not agree: {waits}")

    def unsettled(self) -> str:
        """What is still missing from agreement."""
        leader = self.hosts.get(self.leader_id())
        if leader is None or leader.member is None or leader.machine is None or not leader.member.leads_term:
            return "no leader"
        members = leader.machine.members
        for id_ in members:
            host = self.hosts.get(id_)
            if host is None or host.machine is None or host.member is None:
                return f"m{id_} is down"
            if host.machine.applied_index != leader.machine.applied_index:
                return f"m{id_} has applied {host.machine.applied_index}, the leader {leader.machine.applied_index}"
            if host.member.leader != leader.id:
                return f"m{id_} follows {host.member.leader}, not {leader.id}"
        if leader.machine.leases.ids():
            return f"leases {leader.machine.leases.ids()[:5]}"
        return f"alarms {leader.machine.alarms}" if leader.machine.alarms else ""

    def _last_reads(self) -> None:
        """Every member answers a linearizable read of every key, and all have one state."""
        leader = self.hosts[self.leader_id()]
        assert leader.machine is not None
        members = [self.hosts[id_] for id_ in sorted(leader.machine.members)]
        left = [0]
        for workload in self.scenario.clients:
            if hasattr(workload, "ask_last"):
                workload.ask_last(self, [host for host in members if not self._is_learner(host)], left)
        until_us = self.timeline.now_us + 20_000_000
        while left[0] and self.timeline.now_us < until_us:
            self.timeline.step()
        if left[0]:
            raise Violated(f"{left[0]} reads of a cluster at peace have no answer")
        for host in members:
            assert host.machine is not None
            self.judge.state(host.id, host.machine.applied_index, host.machine, now=True)

    def _is_learner(self, host: Host) -> bool:
        assert host.machine is not None
        return host.machine.members[host.id].is_learner
