"""``kcore up``: a control plane on this machine; as yet the API server and its store."""

from __future__ import annotations

from typing import Annotated

import typer

from kcore.cli.daemons import DATA_DIR, HOST, PORT, serve_up


def up(
    data_dir: Annotated[
        str, typer.Option(help="Where the store, certificates and keys are kept.")
    ] = DATA_DIR,
    port: Annotated[int, typer.Option(help="Port of the API server on this machine; 0: a free one.")] = PORT,
    bind_address: Annotated[str, typer.Option(help="Address to listen on.")] = HOST,
    kubeconfig: Annotated[
        str, typer.Option(help="Where the admin's kubeconfig is written [DATA_DIR/admin.conf].")
    ] = "",
    verbose: Annotated[int, typer.Option("--v", help="How much is logged.")] = 0,
) -> None:
    """A whole control plane on this machine: store and API server. Prints one line when ready; SIGINT, SIGTERM stop it."""
    given = {
        "data-dir": data_dir, "port": str(port), "bind-address": bind_address, "kubeconfig": kubeconfig,
        "v": str(verbose),
    }  # fmt: skip
    code = serve_up(given)
    if code:
        raise typer.Exit(code)
