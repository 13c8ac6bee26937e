"""One cycle of a pod that plugins on objects are asked about: their PreFilters, their verdicts among those of kernels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from kcore.scheduler import codes
from kcore.scheduler.host import (
    CycleError,
    HostFilter,
    HostPlugin,
    Occupants,
    Refused,
    Reservation,
    Tables,
    Turned,
    refused_all,
)
from kcore.scheduler.profile import Profile
from kcore.scheduler.reasons import Rejection, plugin_of

HOST_REASONS_MAX = codes.HOST_LAST - codes.HOST_FIRST + 1
"""Different reasons of one cycle; further ones are told in the words of the last."""


class _Everywhere(HostFilter):
    """A filter whose PreFilter is not in the profile turned the pod down: it does so node by node."""

    def __init__(self, plugin: str, message: str) -> None:
        self.plugin = plugin
        self._rejection = refused_all(plugin, message)

    def filter(self, slots: np.ndarray) -> Iterable[Refused]:
        return (Refused(slots, self._rejection),)


class HostCycle:
    """The plugins on objects in one cycle of one pod.

    ``turned`` tells that a PreFilter turned the pod down; ``ran`` are the plugins whose PreFilter ran before that.
    ``rejections`` are the words of the verdicts that were given in this cycle.
    """

    def __init__(self, tables: Tables, profile: Profile, row: int, plugins: Mapping[str, HostPlugin]) -> None:
        self.row = row
        self.turned: Rejection | None = None
        self.ran: set[str] = set()
        self.rejections: dict[int, Rejection] = {}
        self._codes: dict[Rejection, int] = {}
        self._occupants = Occupants(tables)
        self._tables = tables
        self._filters: dict[str, HostFilter] = {}
        self._later: dict[str, np.ndarray] = {}
        for name in profile.pre_filters:
            plugin = plugins.get(name)
            if plugin is None:
                continue
            self.ran.add(name)
            try:
                found = self._begin(plugin)
            except Turned as turned:
                self.turned = refused_all(name, str(turned))
                return
            except CycleError as error:
                raise CycleError(f'running PreFilter plugin "{name}": {error}') from error
            if found is not None:
                self._filters[name] = found
        for name in profile.filters:
            if name in plugins and name not in profile.pre_filters:
                try:
                    found = self._begin(plugins[name])
                except Turned as turned:
                    found = _Everywhere(name, str(turned))
                if found is not None:
                    self._filters[name] = found
        self._order = [name for name in profile.filters if name in self._filters]
        self._later = {name: _codes_after(name, profile.filters) for name in self._order}

    def _begin(self, plugin: HostPlugin) -> HostFilter | None:
        return plugin.begin(self.row, self._tables.hosted[self.row], self._occupants)

    @property
    def is_silent(self) -> bool:
        """Whether no plugin filters the pod's nodes."""
        return self.turned is None and not self._order

    # -- verdicts

    def judge(self, slots: np.ndarray, verdict: np.ndarray) -> None:
        """Put the rejections of the plugins among the verdicts that the kernels have left for ``slots``.

        A node that a kernel of a later plugin rejected is asked about, too: the first plugin's reason counts.
        """
        if self.turned is not None:
            verdict[slots] = self._code(self.turned)
            return
        for name in self._order:
            found = verdict[slots]
            asked = slots[(found == codes.PASS) | self._later[name][found]]
            if not len(asked):
                continue
            try:
                for refused in self._filters[name].filter(asked):
                    verdict[refused.slots] = self._code(refused.rejection)
            except CycleError as error:
                raise CycleError(f'running "{name}" filter plugin: {error}') from error

    def _code(self, rejection: Rejection) -> int:
        known = self._codes.get(rejection)
        if known is None:
            known = codes.HOST_FIRST + min(len(self._codes), HOST_REASONS_MAX - 1)
            self._codes[rejection] = known
            self.rejections.setdefault(known, rejection)
        return known

    # -- other pods on trial

    def shift(self, other: int, slot: int, sign: int) -> None:
        """Another pod was put on the node (sign 1) or taken off it (-1)."""
        pod = self._occupants.pod(other)
        if pod is None:
            return
        self._occupants.move(other, slot, sign)
        for one in self._filters.values():
            one.shift(pod, slot, sign)

    def settle(self) -> None:
        """What was shifted has been shifted back."""
        self._occupants.settle()

    # -- the rest of the cycle

    def score(self, name: str, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Raw and normalized scores of a plugin for the feasible nodes; None where it has none for this pod."""
        one = self._filters.get(name)
        return None if one is None else one.score(slots)

    def reserve(self, slot: int) -> tuple[Reservation, ...]:
        """Set aside what every plugin needs on the node; CycleError, and nothing set aside, where one fails."""
        made: list[Reservation] = []
        for name, one in self._filters.items():
            try:
                reservation = one.reserve(slot)
            except CycleError as error:
                unreserve(made)
                raise CycleError(f'running Reserve plugin "{name}": {error}') from error
            if reservation is not None:
                made.append(reservation)
        return tuple(made)


def unreserve(reservations: Sequence[Reservation]) -> None:
    """Take back what was set aside, the last first."""
    for one in reversed(reservations):
        one.undo()


def _codes_after(name: str, filters: Sequence[str]) -> np.ndarray:
    """``bool[verdict]``: the verdicts of kernels whose plugins come after the one of that name."""
    later = filters[filters.index(name) + 1 :]
    table = np.zeros(256, dtype=bool)
    for code in range(1, codes.REJECT_THIRD_PARTY):
        table[code] = plugin_of(code) in later
    return table
