"""The servers behind ``kcore up`` and ``kcore apiserver``, and command lines for them that need no parser.

Typer brings pydantic, a quarter of a second of processor time before anything is served. A command line that is plain
pairs of known flags and values is read here; any other (help, mistakes, what repeats) is Typer's, whose words stay the
only ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

    from kcore.apiserver.driver import Running

DATA_DIR: Final = "kcore.data"
PORT: Final = 6443
HOST: Final = "127.0.0.1"
UP_DEFAULTS: Final = {
    "data-dir": DATA_DIR, "port": str(PORT), "bind-address": HOST, "kubeconfig": "", "v": "0", "nodes": "0",
    "node-template": "", "stages": "", "components": "",
}  # fmt: skip
NUMBERS: Final = frozenset({"port", "v", "nodes"})


def serve_up(given: Mapping[str, str]) -> int:
    """A control plane ran until a signal said stop; the process' exit code. ``given``: flags of ``kcore up``."""
    from kcore.apiserver.flags import gather
    from kcore.components.choice import choose
    from kcore.flags import texts

    chosen = {**UP_DEFAULTS, **given}
    components = texts(chosen["components"]) if chosen["components"] else None
    choice = choose(
        components, int(chosen["nodes"]), chosen["node-template"], chosen["stages"].split("\n")
        if chosen["stages"] else (),
    )  # fmt: skip
    if choice.node_template or choice.stages:
        from kcore.components.assembly import hollow_settings

        hollow_settings(choice)  # what is wrong with the files is said before anything runs
    folder, host = Path(chosen["data-dir"]), chosen["bind-address"]
    settings = gather({
        "data-dir": str(folder / "store"), "cert-dir": str(folder / "pki"), "bind-address": host,
        "secure-port": chosen["port"], "v": chosen["v"],
    })  # fmt: skip
    from kcore.apiserver.driver import run

    def said(running: Running, path: str) -> None:
        print(f"kcore is ready: https://{host}:{running.port}  KUBECONFIG={path}", flush=True)

    async def beside(running: Running, stop: asyncio.Event) -> None:
        from kcore.cli.companions import accompany

        await accompany(running, choice, stop)

    path = chosen["kubeconfig"] or str(folder / "admin.conf")
    return run(settings, kubeconfig_path=path, said=said, beside=beside if choice.names else None)


def serve_apiserver(given: Mapping[str, str]) -> int:
    """An API server ran until a signal said stop; the process' exit code. ``given``: its flags."""
    from kcore.apiserver.flags import gather
    from kcore.apiserver.release import SAID, told

    settings = gather(given)
    if settings["version"] in SAID:
        print(told(settings["version"]))
        return 0
    from kcore.apiserver.driver import run

    return run(settings)


def plain(arguments: Sequence[str]) -> Callable[[], int] | None:
    """What that command line runs, None where it is not plainly one of ours."""
    if not arguments or arguments[0] not in ("up", "apiserver"):
        return None
    if arguments[0] == "up":
        given = pairs(arguments[1:], UP_DEFAULTS, ())
        if given is None or not all(given[name].isdigit() for name in NUMBERS & given.keys()):
            return None
        return lambda: serve_up(given)
    from kcore.apiserver.flags import FLAGS
    from kcore.flags import ALONE

    names = {flag.name: "" for flag in FLAGS}
    given = pairs(arguments[1:], names, {flag.name for flag in FLAGS if flag.kind in ALONE})
    return None if given is None else lambda: serve_apiserver(given)


def pairs(
    arguments: Sequence[str], known: Mapping[str, str], switches: set[str] | tuple[()]
) -> dict[str, str] | None:
    """``--name=value`` and ``--name value`` by name; None for anything else. A switch needs no value."""
    found: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        name, separator, value = argument[2:].partition("=")
        if not argument.startswith("--") or name not in known or name in found:
            return None
        if not separator:
            value = "true" if name in switches else next(rest, "-")
            if value.startswith("-"):
                return None
        found[name] = value
    return found
