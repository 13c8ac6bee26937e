"""``kcore hollow-nodes``: simulated nodes for any cluster, with kwok's flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from kcore.cli.go_flags import command_of
from kcore.flags import Flag, read

if TYPE_CHECKING:
    from kcore.hollow.assembly import HollowNodes

LEASE_SECONDS = 40
CIDR = "10.128.0.0/9"
NODE_IP = "127.0.0.1"
EVERY_NODE = {
    "manage-all-nodes": Flag("manage-all-nodes", "bool", True, "")
}  # with or without a value, as kwok's

HollowNodesCommand = command_of(EVERY_NODE)

Kubeconfig = Annotated[
    str, typer.Option(help="The cluster's kubeconfig [$KUBECONFIG, ~/.kube/config, or the pod's account].")
]
Context = Annotated[str, typer.Option(help="Its context [the current one].")]
NodeCount = Annotated[int, typer.Option(help="How many nodes are registered at the start.")]
Template = Annotated[
    str, typer.Option(help="Manifests of nodes to make them from, in turn; with {{ }} a Go template.")
]
Stages = Annotated[
    list[str] | None,
    typer.Option(
        help="Stage files, folders, or built-in ones: node, node-chaos, pod-fast, pod-general, pod-chaos [node, pod-fast]."
    ),
]
Config = Annotated[list[str] | None, typer.Option(help="The same, as kwok calls it.", hidden=True)]
EveryNode = Annotated[
    str, typer.Option(metavar="BOOL", help="Simulate every node that there is [true].", show_default=False)
]
OneNode = Annotated[str, typer.Option(help="Simulate the node of that name alone.")]
ByLabels = Annotated[str, typer.Option(help="Simulate nodes with such labels.")]
ByAnnotations = Annotated[str, typer.Option(help="Simulate nodes with such annotations.")]
Cidr = Annotated[str, typer.Option(help="Addresses of pods on nodes without a podCIDR.")]
NodeIp = Annotated[str, typer.Option(help="Address that every node says it has.")]
NodePort = Annotated[int, typer.Option(help="Port of every node's kubelet [the server's].")]
Server = Annotated[
    str, typer.Option(help="Where logs, exec and the like are answered; port 0: a free one; empty: nowhere.")
]
Certificate = Annotated[str, typer.Option(help="Its certificate [made at the start].")]
Key = Annotated[str, typer.Option(help="The certificate's key.")]
ClientCa = Annotated[str, typer.Option(help="Who signs the certificates of those that may ask it.")]
LeaseSeconds = Annotated[int, typer.Option(help="How long a node's lease lasts; 0: no leases.")]
Seed = Annotated[int, typer.Option(help="Of all that is drawn at random.")]
Verbosity = Annotated[int, typer.Option("--v", help="How much is logged.")]


def hollow_nodes(
    kubeconfig: Kubeconfig = "",
    context: Context = "",
    nodes: NodeCount = 0,
    node_template: Template = "",
    stages: Stages = None,
    config: Config = None,
    manage_all_nodes: EveryNode = "",
    manage_single_node: OneNode = "",
    manage_nodes_with_label_selector: ByLabels = "",
    manage_nodes_with_annotation_selector: ByAnnotations = "",
    cidr: Cidr = CIDR,
    node_ip: NodeIp = NODE_IP,
    node_port: NodePort = 0,
    server_address: Server = f"{NODE_IP}:0",
    tls_cert_file: Certificate = "",
    tls_private_key_file: Key = "",
    client_ca_file: ClientCa = "",
    node_lease_duration_seconds: LeaseSeconds = LEASE_SECONDS,
    seed: Seed = 0,
    verbose: Verbosity = 0,
) -> None:
    """Nodes that are not there: they register, are Ready, and pods that are bound to them run and end, stage by stage.

    Stages are in Kwok's format. Prints one line when the nodes are there; SIGINT and SIGTERM stop it.
    """
    from kcore.api.errors import InputError
    from kcore.hollow.service import Cluster, managed_of, serve, settings_of

    chosen = [
        bool(manage_single_node),
        bool(manage_nodes_with_label_selector or manage_nodes_with_annotation_selector),
    ]
    every = read(EVERY_NODE, {"manage-all-nodes": manage_all_nodes or str(not any(chosen))})[
        "manage-all-nodes"
    ]
    if not every and not any(chosen):
        raise InputError(
            "no nodes are managed",
            field="--manage-all-nodes",
            expected="true, or another way to choose nodes",
        )
    if sum(chosen) + every > 1:
        raise InputError(
            "conflicts with the other ways to choose nodes", field="--manage-single-node" if chosen[0] else "--manage-all-nodes",
            expected="one of --manage-all-nodes, --manage-single-node, --manage-nodes-with-...-selector",
        )  # fmt: skip
    settings = settings_of(
        [*(stages or ()), *(config or ())],
        managed=managed_of(
            manage_single_node, manage_nodes_with_label_selector, manage_nodes_with_annotation_selector
        ),
        nodes=nodes, node_template=node_template, server_address=server_address, cidr=cidr, node_ip=node_ip,
        node_port=node_port, cert_file=tls_cert_file, key_file=tls_private_key_file, client_ca_file=client_ca_file,
        lease_seconds=node_lease_duration_seconds, seed=seed,
    )  # fmt: skip

    def said(hollow: HollowNodes, made: int) -> None:
        where = f"  kubelets: https://{settings.server_host}:{hollow.port}" if hollow.port else ""
        print(f"kcore hollow-nodes is ready: {len(hollow.nodes)} nodes, {made} new{where}", flush=True)

    code = serve(Cluster(kubeconfig, context), settings, verbose, said)
    if code:
        raise typer.Exit(code)
