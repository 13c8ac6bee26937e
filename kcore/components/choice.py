"""Which components are to run, and with what: ``kcore up``'s flags and ``ControlPlane``'s arguments, checked."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from kcore.api.errors import InputError

APISERVER: Final = "apiserver"
SCHEDULER: Final = "scheduler"
CONTROLLER_MANAGER: Final = "controller-manager"
NODES: Final = "nodes"
EVERY: Final = (APISERVER, SCHEDULER, CONTROLLER_MANAGER, NODES)


class Choice(NamedTuple):
    """Components by name, the API server left out; ``node_count`` nodes are registered at the start."""

    names: tuple[str, ...] = ()
    node_count: int = 0
    node_template: str = ""
    stages: tuple[str, ...] = ()


def choose(
    components: Iterable[str] | None,
    node_count: int = 0,
    node_template: str = "",
    stages: Sequence[str] = (),
    *,
    dashes: str = "--",
) -> Choice:
    """What these mean. ``components`` None: all, the nodes where there are to be any. The API server always runs.

    Nodes that are named run without a count, too: those that others register are simulated. InputError says what
    cannot be; ``dashes`` is what the names of the flags begin with there.
    """
    if not isinstance(node_count, int) or node_count < 0:
        raise InputError(f"is {node_count!r}", field=f"{dashes}nodes", expected="a number from 0")
    if components is None:
        named = {*EVERY} if node_count else {*EVERY} - {NODES}
    else:
        named = {*components}
    for name in sorted(named - {*EVERY}):
        near = difflib.get_close_matches(name, EVERY, 1)
        raise InputError(
            f"there is no component {name!r}", field=f"{dashes}components",
            expected=near[0] if near else f"some of {','.join(EVERY)}",
        )  # fmt: skip
    if NODES not in named:
        for flag, value in (("nodes", node_count), ("node-template", node_template), ("stages", stages)):
            if value:
                if components is None:
                    raise InputError(f"says nothing without {dashes}nodes", field=f"{dashes}{flag}")
                raise InputError(
                    f"says nothing without the component {NODES}", field=f"{dashes}{flag}",
                    expected=f"{NODES} in {dashes}components",
                )  # fmt: skip
    return Choice(
        tuple(name for name in EVERY if name in named and name != APISERVER), node_count, node_template, tuple(stages)
    )  # fmt: skip
