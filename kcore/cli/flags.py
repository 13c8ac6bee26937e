"""Commands whose flags are Go's: one option for each row of a table of flags."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from kcore.flags import ALONE, Flag


def command_of(flags: Sequence[Flag]) -> type[TyperCommand]:
    """Takes flags as Go does: one dash or two, and ``--flag`` or ``--flag=false`` for those that are true or false."""
    by_name = {flag.name: flag for flag in flags}

    class Command(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            return super().parse_args(ctx, [two_dashes(argument) for argument in args])

    def two_dashes(argument: str) -> str:
        """``-name`` as ``--name``, a flag that is true or false with its value; anything else as it is."""
        name, separator, value = argument.lstrip("-").partition("=")
        if not argument.startswith("-") or name not in by_name:
            return argument
        if by_name[name].kind in ALONE and not separator:
            separator, value = "=", "true"
        return f"--{name}{separator}{value}"

    return Command


def shown(default: Any, kind: str = "") -> str:
    """A flag's default for --help; ``kind`` is the flag's."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(default)
    if isinstance(default, float):
        return f"{default:g}" if kind == "number" else f"{default:g}s"
    return str(default) if default != "" else ""


def _signature(flags: Sequence[Flag], hidden: Collection[str]) -> inspect.Signature:
    """One option a flag, as text; what it means is for others to say."""
    parameters = []
    for flag in flags:
        default = shown(flag.default, flag.kind)
        said = f"{flag.help} [{default}]" if default else flag.help
        option = typer.Option(
            f"--{flag.name}", help=said, metavar=flag.kind.upper(), hidden=flag.name in hidden
        )
        annotation = Annotated[str | None, option]
        name = flag.name.replace("-", "_")
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=None)
        )
    return inspect.Signature(parameters)


def with_flags(
    flags: Sequence[Flag], hidden: Sequence[Flag] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The decorated function takes the flags, those that are given as texts by name; the hidden ones --help leaves out."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        signature = _signature(flags, {flag.name for flag in hidden})
        function.__signature__ = signature  # type: ignore[attr-defined]
        function.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
        return function

    return decorate
