"""``kcore hollow-nodes`` as a process: from flags to simulated nodes of a cluster, until a signal."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from kcore.api.errors import InputError
from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.client.kubeconfig import load as load_kubeconfig
from kcore.client.remote import connect
from kcore.hollow import builtin_stages
from kcore.hollow.addresses import AddressRange
from kcore.hollow.assembly import HollowNodes, Settings
from kcore.hollow.configuration import load
from kcore.hollow.node_template import NodeTemplate, read_template
from kcore.hollow.nodes import Managed, managed_by

DONE: Final = 0
USER_AGENT: Final = "kcore-hollow-nodes"
PORT_MAX: Final = (1 << 16) - 1

Said = Callable[
    [HollowNodes, int], None
]  # once the nodes are there; the number is of those that were not before

log: Final = logging.getLogger("kcore.hollow")


class Cluster(NamedTuple):
    """Which cluster."""

    kubeconfig: str = ""
    context: str = ""


def managed_of(name: str, labels: str, annotations: str) -> Managed:
    """The nodes that the flags choose, all without any; InputError where a selector is none."""
    for flag, text in (("label", labels), ("annotation", annotations)):
        try:
            managed_by("", text)
        except ApiError as error:
            raise InputError(
                f"{text!r} is no selector: {error.message}", field=f"--manage-nodes-with-{flag}-selector",
                expected="one like type=hollow",
            ) from None  # fmt: skip
    return managed_by(name, labels, annotations)


def settings_of(
    stages: Sequence[str],
    *,
    managed: Managed,
    nodes: int,
    node_template: str,
    server_address: str,
    **more: Any,
) -> Settings:
    """The flags, checked; InputError where one is wrong."""
    _check(more.get("node_ip", ""), more.get("node_port", 0), more.get("lease_seconds", 0))
    try:
        AddressRange(more["cidr"])
    except InputError as error:
        raise error.at(field="--cidr") from None
    template = read_template(node_template) if node_template else NodeTemplate()
    template.check(nodes)  # before anything is asked of the cluster
    host, port = _address(server_address)
    return Settings(
        configuration=load(stages or builtin_stages.DEFAULT), managed=managed, node_count=nodes, template=template,
        server_host=host, server_port=port, **more,
    )  # fmt: skip


def _check(node_ip: str, node_port: int, lease_seconds: int) -> None:
    try:
        if node_ip:
            ip_address(node_ip)
    except ValueError:
        raise InputError(
            f"{node_ip!r} is no address", field="--node-ip", expected="one like 10.0.0.1"
        ) from None
    if not 0 <= node_port <= PORT_MAX:
        raise InputError(f"is {node_port}", field="--node-port", expected=f"a number from 0 to {PORT_MAX}")
    if lease_seconds < 0:
        raise InputError(
            f"is {lease_seconds}", field="--node-lease-duration-seconds", expected="a number from 0"
        )


def _address(text: str) -> tuple[str, int | None]:
    if not text:
        return "", None
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > PORT_MAX:
        raise InputError(f"{text!r} is no address", field="--server-address", expected="HOST:PORT")
    return host.strip("[]"), int(port)


def serve(cluster: Cluster, settings: Settings, verbosity: int, said: Said) -> int:
    """Simulates until a signal says stop; the process' exit code. ``said`` is called once the nodes are there."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    level = logging.DEBUG if verbosity >= 4 else logging.INFO if verbosity else logging.WARNING
    logging.getLogger("kcore").setLevel(level)
    import uvloop

    code: int = uvloop.run(_serve(cluster, settings, said))
    return code


async def _serve(cluster: Cluster, settings: Settings, said: Said) -> int:
    access = load_kubeconfig(cluster.kubeconfig, cluster.context)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    others: dict[str, AsyncClient] = {}

    def impersonate(user: str) -> AsyncClient:
        if user not in others:
            others[user] = connect(replace(access, impersonate=user), user_agent=USER_AGENT)
        return others[user]

    async with connect(access, user_agent=USER_AGENT) as client:
        hollow = HollowNodes(client, settings, impersonate=impersonate)
        stopped = asyncio.ensure_future(stop.wait())
        started = asyncio.ensure_future(hollow.start())
        await asyncio.wait([started, stopped], return_when=asyncio.FIRST_COMPLETED)
        try:
            if started.done():
                made = started.result()
                said(hollow, made)
            await stopped
        finally:
            started.cancel()
            await hollow.stop()
            for each in others.values():
                await each.close()
    return DONE
