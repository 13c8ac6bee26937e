"""``kcore apiserver``: the API server alone, with kube-apiserver's flags."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from kcore.apiserver.flags import ALONE, BY_NAME, FLAGS, WITHOUT_EFFECT
from kcore.cli.daemons import serve_apiserver

if TYPE_CHECKING:
    from collections.abc import Callable


class ApiServerCommand(TyperCommand):
    """Takes flags as Go does: one dash or two, and ``--flag`` or ``--flag=false`` for those that are true or false."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Typer's way, after the flags have been put into its form."""
        return super().parse_args(ctx, [two_dashes(argument) for argument in args])


def two_dashes(argument: str) -> str:
    """``-name`` as ``--name``, a flag that is true or false with its value; anything else as it is."""
    name, separator, value = argument.lstrip("-").partition("=")
    if not argument.startswith("-") or name not in BY_NAME:
        return argument
    if BY_NAME[name].kind in ALONE and not separator:
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
    return str(default) if default != "" else ""


def _signature() -> inspect.Signature:
    """One option a flag, as text; what it means is ``kcore.apiserver.flags``' to say."""
    hidden = {flag.name for flag in WITHOUT_EFFECT}
    parameters = []
    for flag in FLAGS:
        default = shown(flag.default)
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


def _with_flags(function: Callable[..., None]) -> Callable[..., None]:
    signature = _signature()
    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
    return function


@_with_flags
def apiserver(**given: str | None) -> None:
    """The API server: kube-apiserver's flags, kubectl's and client-go's API.

    Keeps its own store unless --etcd-servers names one. Certificates, keys and an admin kubeconfig (admin.conf) are
    made in --cert-dir on first start. Stops on SIGTERM and SIGINT.
    """
    texts = {name.replace("_", "-"): text for name, text in given.items() if text is not None}
    code = serve_apiserver(texts)
    if code:
        raise typer.Exit(code)
