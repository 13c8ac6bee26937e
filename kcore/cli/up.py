"""``kcore up``: a whole control plane on this machine, in one process."""

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
    nodes: Annotated[int, typer.Option(help="How many simulated nodes there are.")] = 0,
    node_template: Annotated[
        str, typer.Option(help="Manifests of nodes to make them from, in turn; with {{ }} a Go template.")
    ] = "",
    stages: Annotated[
        list[str] | None,
        typer.Option(
            help="How nodes and pods live: Kwok's stage files, folders, or built-in ones: node, node-chaos, pod-fast, "
            "pod-general, pod-chaos [node, pod-fast]."
        ),
    ] = None,
    components: Annotated[
        str,
        typer.Option(
            help="What runs beside the API server: scheduler, controller-manager, nodes [all; nodes with --nodes]."
        ),
    ] = "",
    verbose: Annotated[int, typer.Option("--v", help="How much is logged.")] = 0,
) -> None:
    """A whole control plane on this machine: store, API server, scheduler, controllers, and simulated nodes.

    Prints one line when the API answers; SIGINT and SIGTERM stop it.
    """
    given = {
        "data-dir": data_dir, "port": str(port), "bind-address": bind_address, "kubeconfig": kubeconfig,
        "v": str(verbose), "nodes": str(nodes), "node-template": node_template, "stages": "\n".join(stages or ()),
        "components": components,
    }  # fmt: skip
    code = serve_up(given)
    if code:
        raise typer.Exit(code)
