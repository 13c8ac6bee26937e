"""``kcore controller-manager``: the controllers alone, with kube-controller-manager's flags."""

from __future__ import annotations

import typer

from kcore.cli.go_flags import command_of, takes, texts_of
from kcore.controllers.flags import BY_NAME, FLAGS, WITHOUT_EFFECT

ControllerManagerCommand = command_of(BY_NAME)


@takes(FLAGS, WITHOUT_EFFECT)
def controller_manager(**given: str | None) -> None:
    """The controllers, of any cluster: kube-controller-manager's flags.

    Beside or instead of the cluster's own: the one that holds the lease works. Stops on SIGTERM and SIGINT; exit code 1
    where leadership was lost.
    """
    from kcore.components.controllers import serve
    from kcore.controllers.flags import gather

    flags = gather(texts_of(given))
    where = f"  https://{flags['bind-address']}:{flags['secure-port']}" if flags["secure-port"] else ""

    def said(server: str) -> None:
        print(f"kcore controller-manager is ready: {server}{where}", flush=True)

    code = serve(flags, said)
    if code:
        raise typer.Exit(code)
