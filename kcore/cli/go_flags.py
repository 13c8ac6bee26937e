"""Commands with the flags of a kube component: one dash or two, ``--flag`` alone for what is true or false."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from kcore.flags import ALONE, Flag


def command_of(flags: Mapping[str, Flag]) -> type[TyperCommand]:
    """A command that takes these flags as Go does."""

    class GoCommand(TyperCommand):
        """See ``command_of``."""

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            """Typer's way, after the flags have been put into its form."""
            return super().parse_args(ctx, [two_dashes(argument, flags) for argument in args])

    return GoCommand


def two_dashes(argument: str, flags: Mapping[str, Flag]) -> str:
    """``-name`` as ``--name``, a flag that is true or false with its value; anything else as it is."""
    name, separator, value = argument.lstrip("-").partition("=")
    if not argument.startswith("-") or name not in flags:
        return argument
    if flags[name].kind in ALONE and not separator:
        separator, value = "=", "true"
    return f"--{name}{separator}{value}"


def shown(default: Any, kind: str = "") -> str:
    """A flag's default for --help; ``kind`` is the flag's."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(default)
    if isinstance(default, float):
        return f"{default:g}" if kind == "number" else f"{default:g}s"
    return str(default) if default != "" else ""


def takes(
    flags: Sequence[Flag], hidden: Sequence[Flag]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The decorated function gets one option a flag, as text; ``hidden`` ones are not in --help."""
    unshown = {flag.name for flag in hidden}
    parameters = []
    for flag in flags:
        default = shown(flag.default, flag.kind)
        said = f"{flag.help} [{default}]" if default else flag.help
        option = typer.Option(
            f"--{flag.name}", help=said, metavar=flag.kind.upper(), hidden=flag.name in unshown
        )
        annotation = Annotated[str | None, option]
        name = flag.name.replace("-", "_")
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=None)
        )

    def with_flags(function: Callable[..., None]) -> Callable[..., None]:
        function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        function.__annotations__ = {each.name: each.annotation for each in parameters}
        return function

    return with_flags


def texts_of(given: Mapping[str, str | None]) -> dict[str, str]:
    """What the command line said, by flag name."""
    return {name.replace("_", "-"): text for name, text in given.items() if text is not None}
