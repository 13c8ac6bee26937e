"""``kcore etcd``: one member of the store, with etcd's flags."""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from kcore.api.errors import InputError
from kcore.store.etcd.flags import BY_NAME, FLAGS, RENAMED, WITHOUT_EFFECT, gather

if TYPE_CHECKING:
    from collections.abc import Callable


class EtcdCommand(TyperCommand):
    """Takes flags as Go does: one dash or two, and ``--flag`` or ``--flag=false`` for those that are true or false."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Typer's way, after the flags have been put into its form."""
        return super().parse_args(ctx, [two_dashes(argument) for argument in args])


def two_dashes(argument: str) -> str:
    """``-name`` as ``--name``, a flag that is true or false with its value; anything else as it is."""
    name, separator, value = argument.lstrip("-").partition("=")
    if not argument.startswith("-") or (name not in BY_NAME and name not in RENAMED):
        return argument
    if BY_NAME[RENAMED.get(name, name)].kind == "bool" and not separator:
        separator, value = "=", "true"
    return f"--{name}{separator}{value}"


def shown(default: Any) -> str:
    """A flag's default for --help."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(default)
    if isinstance(default, float):
        return f"{default:g}s"
    return str(default) if default not in ("", {}) else ""


def _signature() -> inspect.Signature:
    """One option a flag, as text; what it means is ``kcore.store.etcd.flags``' to say."""
    parameters = []
    hidden = {flag.name for flag in WITHOUT_EFFECT} | set(RENAMED)
    for name in (*(flag.name for flag in FLAGS), *RENAMED):
        flag = BY_NAME[RENAMED.get(name, name)]
        default = shown(flag.default)
        said = f"{flag.help} [{default}]" if default else flag.help
        option = typer.Option(f"--{name}", help=said, metavar=flag.kind.upper(), hidden=name in hidden)
        parameters.append((name.replace("-", "_"), Annotated[str | None, option], None))
    file = typer.Option("--config-file", help="Settings from a YAML file; it replaces flags and environment.")
    parameters.append(("config_file", Annotated[str | None, file], None))
    return inspect.Signature(
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
            for name, annotation, default in parameters
        ]
    )


def _with_flags(function: Callable[..., None]) -> Callable[..., None]:
    signature = _signature()
    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
    return function


@_with_flags
def etcd(**given: str | None) -> None:
    """One member of the store: etcd's flags, its gRPC API and its pages on the client port.

    Every flag can come from the environment (ETCD_NAME for --name). It listens on this machine alone unless told
    otherwise, and says "ready to serve client requests" when it does. Stops on SIGTERM and SIGINT.
    """
    path = given.pop("config_file", None) or os.environ.get("ETCD_CONFIG_FILE")
    file = _read(path) if path else None
    texts = {name.replace("_", "-"): text for name, text in given.items() if text is not None}
    settings = gather(texts, os.environ, file)
    from kcore.store.etcd.daemon import run

    code = run(settings)
    if code:
        raise typer.Exit(code)


def _read(path: str) -> dict[str, Any]:
    import yaml

    with open(path, encoding="utf-8") as stream:
        try:
            found = yaml.safe_load(stream)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path}: {' '.join(str(error).split())}", field="--config-file", expected="YAML"
            ) from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds no settings", field="--config-file", expected="name: value")
    return found
