"""``kcore up``: a control plane on this machine; as yet the API server and its store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kcore.apiserver.driver import Running

PORT = 6443
DATA_DIR = "kcore.data"


def up(
    data_dir: Annotated[
        str, typer.Option(help="Where the store, certificates and keys are kept.")
    ] = DATA_DIR,
    port: Annotated[int, typer.Option(help="Port of the API server on this machine; 0: a free one.")] = PORT,
    bind_address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    kubeconfig: Annotated[
        str, typer.Option(help="Where the admin's kubeconfig is written [DATA_DIR/admin.conf].")
    ] = "",
    verbose: Annotated[int, typer.Option("--v", help="How much is logged.")] = 0,
) -> None:
    """A whole control plane on this machine: store and API server. Prints one line when ready; SIGINT, SIGTERM stop it."""
    from kcore.apiserver.flags import gather

    folder = Path(data_dir)
    settings = gather({
        "data-dir": str(folder / "store"), "cert-dir": str(folder / "pki"), "bind-address": bind_address,
        "secure-port": str(port), "v": str(verbose),
    })  # fmt: skip
    from kcore.apiserver.driver import run

    def said(running: Running, path: str) -> None:
        print(f"kcore is ready: https://{bind_address}:{running.port}  KUBECONFIG={path}", flush=True)

    code = run(settings, kubeconfig_path=kubeconfig or str(folder / "admin.conf"), said=said)
    if code:
        raise typer.Exit(code)
