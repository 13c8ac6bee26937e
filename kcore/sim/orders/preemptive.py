"""Orders in which who comes first may change while jobs run: those behind make room for those before.

Nobody is moved without need. A unit that does not fit takes the room of running units that come after it, the last first;
of those the ones that still fit beside it stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kcore.sim import timeline as names
from kcore.sim.orders.ground import Ground

Keys = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From units to the two columns that they are ordered by."""


def take_turn(ground: Ground, keys: Keys) -> None:
    """Start and preempt until every unit that waits fits nowhere, or only in the room of units before or beside it."""
    while True:
        ground.refresh()
        units = ground.waiting
        if not _once(ground, keys) or not ground.stands_beyond(units):
            return


def _once(ground: Ground, keys: Keys) -> bool:
    units, changed, position = _sorted(ground.waiting, keys), False, 0
    behind = ground.running
    while position < len(units):
        if len(behind):
            behind = _behind(ground, int(units[position]), keys)
        if not len(behind):
            # nobody runs whom it could drive out, nor those after it: who has room?
            position = ground.next_with_room(units, position)
            if position == len(units):
                break
        unit = int(units[position])
        position += 1
        if ground.next_with_room(np.array([unit], dtype=np.int32), 0) == 0 and ground.start(unit):
            changed = True
            continue
        evicted = _drive_out(ground, unit, behind) if len(behind) else None
        if evicted is not None:
            changed = True
            units = np.concatenate([units[:position], _sorted(np.append(units[position:], evicted), keys)])
    return changed


def _sorted(units: np.ndarray, keys: Keys) -> np.ndarray:
    first, second = keys(units)
    return units[np.lexsort((units, second, first))].astype(np.int32)


def _behind(ground: Ground, unit: int, keys: Keys) -> np.ndarray:
    """The running units that come after this one, strictly, the last of them first."""
    running = np.unique(ground.units_of(ground.running))
    first, second = keys(running)
    (one,), (two,) = keys(np.array([unit]))
    after = (first > one) | ((first == one) & (second > two))
    chosen = running[after]
    found: np.ndarray = chosen[np.lexsort((chosen, second[after], first[after]))[::-1]]
    return found


def _drive_out(ground: Ground, unit: int, behind: np.ndarray) -> np.ndarray | None:
    """Start the unit in the room of units behind it; those that have been preempted, or None where it does not help."""
    pods = {int(one): ground.places_of(int(one), names.RUNNING) for one in behind}
    places = np.concatenate(list(pods.values()))
    number = np.repeat(np.arange(len(behind)), [len(one) for one in pods.values()])
    needed = ground.find_release(unit, places, number, ground.free.copy(), ground.left.copy())
    if needed >= names.FOREVER:
        return None
    slots = {one: ground.host.placed[where].copy() for one, where in pods.items()}
    ours = ground.places_of(unit, names.WAITING)
    lifted: list[int] = []
    found = None
    for index, victim in enumerate(pods):
        ground.lift(pods[victim])
        lifted.append(victim)
        if index >= needed:
            found = ground.try_on(ours)
            if found is not None:
                break
    timeline = ground.host.timeline
    timeline.attempts[ours] += 1
    timeline.clock[names.ATTEMPTS] += len(ours)
    if found is None:
        for victim in reversed(lifted):
            ground.lay(pods[victim], slots[victim])
        return None
    gone = [one for one in reversed(lifted) if not _stays(ground, pods[one], slots[one])]
    # all is known: once more, for good
    ground.lift(ours)
    for victim in gone:
        ground.lay(pods[victim], slots[victim])
    for victim in gone:
        ground.evict(pods[victim])
    ground.begin(ours, found)
    returned = np.array(gone, dtype=np.int64)
    return returned[ground.pods_waiting(returned) > 0]


def _stays(ground: Ground, places: np.ndarray, slots: np.ndarray) -> bool:
    """Put a unit back on its nodes if it still fits there, with all its pods."""
    for index, (place, slot) in enumerate(zip(places.tolist(), slots.tolist(), strict=True)):
        if not ground.fits_on(place, slot):
            ground.lift(places[:index])
            return False
        ground.lay(places[index : index + 1], slots[index : index + 1])
    return True
