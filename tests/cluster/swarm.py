"""From a seed to a scenario: some of the stories, and some of the faults, each of a strength by chance."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import Any, Final

from tests.cluster import stories, strikes
from tests.cluster.strikes import Strike
from tests.cluster.world import Scenario, World

NAMES: Final = tuple(story.name for story in stories.ALL)
STORIES_MAX: Final = 4  # in one run
ALONE_MAX: Final = 3  # stories of which it is worth to see the rest alone, without the others


def scenario(
    seed: int, *, only_stories: Sequence[str] = (), only_strikes: Sequence[str] = (), **more: Any
) -> Scenario:
    """The scenario of that seed."""
    chance = random.Random(f"scenario {seed}")
    chosen = chance.sample(stories.ALL, chance.randint(1, STORIES_MAX))
    if only_stories:
        chosen = [story for story in stories.ALL if story.name in only_stories]
    more.setdefault("instances", chance.choice((1, 1, 2)))
    return Scenario(seed, stories=chosen, strikes=functools.partial(_strikes, seed, only_strikes), **more)


def _strikes(seed: int, only: Sequence[str], drawn: random.Random) -> list[Strike]:
    chance = random.Random(f"strikes {seed}")

    def period() -> float:
        return chance.choice((3.0, 8.0, 20.0))

    found = [
        (0.6, strikes.Crashes(drawn, period())),
        (0.3, strikes.Outages(drawn, 2 * period(), chance.choice((5.0, 5.0, 20.0)))),
        (0.7, strikes.Storms(drawn, period())),
        (0.4, strikes.Cuts(drawn, period())),
        (0.3, strikes.Compactions(drawn, period())),
        (0.3, strikes.Deletions(drawn, period())),
        (0.0, strikes.Jumps(drawn, period())),  # only where it is asked for
    ]
    return [
        strike
        for likely, strike in found
        if (type(strike).__name__ in only if only else chance.random() < likely)
    ]


@functools.cache
def at_rest(names: tuple[str, ...]) -> dict[str, Any]:
    """What the namespaces of those stories are in the end where nothing goes wrong."""
    return World(Scenario(0, stories=[story for story in stories.ALL if story.name in names])).run()


def expected_of(chosen: Scenario) -> dict[str, Any]:
    """Likewise, of a scenario."""
    names = {story.name for story in chosen.stories}
    found = at_rest(tuple(name for name in NAMES if name in names) if len(names) <= ALONE_MAX else NAMES)
    return {space: found[space] for story in chosen.stories for space in stories.spaces_of(story.name)}
