"""``kcore scheduler``: the scheduler of any cluster, with kube-scheduler's flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from kcore.cli.go_flags import command_of, takes, texts_of
from kcore.online.flags import BY_NAME, FLAGS, WITHOUT_EFFECT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kcore.client.kubeconfig import Access
    from kcore.flags import Settings
    from kcore.online.settings import ProcessSettings

SchedulerCommand = command_of(BY_NAME)


@takes(FLAGS, WITHOUT_EFFECT)
def scheduler(**given: str | None) -> None:
    """The scheduler: kube-scheduler's flags, decisions and words, on kcore's API server or any other.

    One line says when it runs. SIGUSR2 writes what it knows of the cluster to its log, SIGTERM and SIGINT stop it. Exit
    code 1: it has lost its leadership.
    """
    code = serve_scheduler(texts_of(given))
    if code:
        raise typer.Exit(code)


def serve_scheduler(given: Mapping[str, str]) -> int:
    """A scheduler ran until a signal said stop; the process' exit code. ``given``: its flags."""
    import logging

    from kcore.api.errors import NotSupportedError
    from kcore.online.flags import gather, merged
    from kcore.online.settings import ProcessSettings, process_settings
    from kcore.scheduler.config import default_configuration, load_configuration

    settings = gather(given)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    level = logging.DEBUG if settings["v"] >= 4 else logging.INFO if settings["v"] else logging.WARNING
    logging.getLogger("kcore").setLevel(level)
    for flag in WITHOUT_EFFECT:
        if settings[flag.name] != flag.default:
            logging.getLogger("kcore.scheduler").warning("--%s has no effect here", flag.name)
    process, configuration, document = ProcessSettings(), default_configuration(), None
    if settings["config"]:
        from kcore.api.errors import InputError
        from kcore.online.extenders import endpoint_of
        from kcore.scheduler.plugins.contract import own_points
        from kcore.sources.configuration import read_configuration

        document = read_configuration(settings["config"])
        try:
            configuration = load_configuration(document, third_party=own_points(), takes_extenders=True)
            for extender in configuration.extenders:
                endpoint_of(extender)  # told now, and not where it comes to lead
        except (InputError, NotSupportedError) as error:
            raise error.at(file=settings["config"]) if isinstance(error, InputError) else error from None
        process = process_settings(document)
    return _run(settings, merged(process, settings, given), configuration, document)


def access_of(settings: Settings, process: ProcessSettings) -> Access:
    """The cluster: by --master, by the kubeconfig, or the pod's own account."""
    from dataclasses import replace

    from kcore.client.kubeconfig import Access, load

    if settings["master"] and not process.kubeconfig:
        return Access(settings["master"])
    access = load(process.kubeconfig, settings["context"])
    return replace(access, server=settings["master"]) if settings["master"] else access


def _run(
    settings: Settings, process: ProcessSettings, configuration: Any, document: Mapping[str, Any] | None
) -> int:
    import socket
    import uuid

    import numpy as np
    import uvloop

    from kcore.apiserver.driver import bind
    from kcore.client.remote import connect
    from kcore.online.port import client_authorities, known_by, server_tls
    from kcore.online.service import Service, serve

    access = access_of(settings, process)
    port = settings["secure-port"]
    bound = bind(settings["bind-address"], port) if port else None
    where = f"  https://{settings['bind-address']}:{port}" if port else ""

    def said() -> None:
        print(f"kcore scheduler is ready: {access.server}{where}", flush=True)

    async def run() -> int:
        client = connect(access, field_manager="kube-scheduler", qps=process.qps, burst=process.burst)
        async with client:
            tls, client_ca = None, ""
            if bound is not None:
                client_ca = await client_authorities(client, settings["client-ca-file"])
                tls = server_tls(
                    settings["tls-cert-file"],
                    settings["tls-private-key-file"],
                    settings["cert-dir"],
                    client_ca,
                )
            service = Service(
                client, configuration, process, identity=f"{socket.gethostname()}_{uuid.uuid4()}",
                random=np.random.default_rng(), document=document, certificates=known_by(client_ca),
            )  # fmt: skip
            return await serve(service, bound, tls, settings["authorization-always-allow-paths"], said)

    code: int = uvloop.run(run())
    return code
