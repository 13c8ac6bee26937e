"""Delays drawn from a distribution: ``exponential(30s)`` where Kwok's stages take a duration. kcore's own addition.

``uniform(LOW,HIGH)``, ``exponential(MEAN)``, ``normal(MEAN,DEVIATION)``, ``lognormal(MEDIAN,SIGMA)``,
``pareto(LEAST,ALPHA)`` and ``weibull(SCALE,SHAPE)``; amounts with a unit are Go's durations, bare ones plain numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from kcore.api.durations import duration_ns

DRAWN_NS_MAX: Final = 100 * 365 * 24 * 3600 * 10**9  # a hundred years; longer draws are cut to it
_FORM: Final = re.compile(r"\s*([a-z]+)\(\s*([^(),]+?)\s*(?:,\s*([^(),]+?)\s*)?\)\s*")

# name -> whether the second amount is a duration too (None: there is none), and the draw
_KINDS: Final[Mapping[str, tuple[bool | None, Callable[[Random, float, float], float]]]] = {
    "uniform": (True, lambda random, low, high: random.uniform(low, high)),
    "exponential": (None, lambda random, mean, _: random.expovariate(1 / mean) if mean else 0.0),
    "normal": (True, lambda random, mean, deviation: random.gauss(mean, deviation)),
    "lognormal": (False, lambda random, median, sigma: median * math.exp(random.gauss(0, sigma))),
    "pareto": (False, lambda random, least, alpha: least * random.paretovariate(alpha)),
    "weibull": (False, lambda random, scale, shape: random.weibullvariate(scale, shape)),
}


def draw_ns(text: str, random: Random) -> int | None:
    """Nanoseconds drawn as the text says, never negative; None where it names no distribution."""
    found = _FORM.fullmatch(text)
    if found is None or found[1] not in _KINDS:
        return None
    timed, draw = _KINDS[found[1]]
    first = duration_ns(found[2])
    second = _second(found[3], timed)
    if first is None or first < 0 or second is None:
        return None
    try:
        return int(min(max(draw(random, float(first), second), 0.0), DRAWN_NS_MAX))
    except (OverflowError, ZeroDivisionError):
        return DRAWN_NS_MAX


def _second(text: str | None, timed: bool | None) -> float | None:
    if timed is None or text is None:
        return 0.0 if timed is None and text is None else None
    if timed:
        length = duration_ns(text)
        return None if length is None or length < 0 else float(length)
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None
