"""``kcore scheduler``: the scheduler of any cluster, with kube-scheduler's flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from kcore.cli.go_flags import command_of, takes, texts_of
from kcore.online.flags import BY_NAME, FLAGS, WITHOUT_EFFECT

if TYPE_CHECKING:
    import ssl
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
    process, configuration = ProcessSettings(), default_configuration()
    if settings["config"]:
        from kcore.api.errors import InputError
        from kcore.scheduler.plugins.contract import own_points
        from kcore.sources.configuration import read_configuration

        document = read_configuration(settings["config"])
        try:
            configuration = load_configuration(document, third_party=own_points(), takes_extenders=True)
        except (InputError, NotSupportedError) as error:
            raise error.at(file=settings["config"]) if isinstance(error, InputError) else error from None
        process = process_settings(document)
    return _run(settings, merged(process, settings, given), configuration)


def access_of(settings: Settings, process: ProcessSettings) -> Access:
    """The cluster: by --master, by the kubeconfig, or the pod's own account."""
    from dataclasses import replace

    from kcore.client.kubeconfig import Access, load

    if settings["master"] and not process.kubeconfig:
        return Access(settings["master"])
    access = load(process.kubeconfig, settings["context"])
    return replace(access, server=settings["master"]) if settings["master"] else access


def _run(settings: Settings, process: ProcessSettings, configuration: Any) -> int:
    import socket
    import uuid

    import numpy as np
    import uvloop

    from kcore.apiserver.driver import bind
    from kcore.client.remote import connect
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
            service = Service(
                client, configuration, process, identity=f"{socket.gethostname()}_{uuid.uuid4()}",
                random=np.random.default_rng(),
            )  # fmt: skip
            tls = _tls(settings) if bound is not None else None
            return await serve(service, bound, tls, settings["authorization-always-allow-paths"], said)

    code: int = uvloop.run(run())
    return code


def _tls(settings: Settings) -> ssl.SSLContext:
    """The port's context, with the certificate given or one made here."""
    import ssl
    import tempfile
    from pathlib import Path

    from kcore.api.errors import InputError
    from kcore.apiserver.pki import Pki

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    if settings["tls-cert-file"]:
        try:
            context.load_cert_chain(settings["tls-cert-file"], settings["tls-private-key-file"])
        except OSError as error:
            raise InputError(
                f"cannot use {settings['tls-cert-file']}: {error}", field="--tls-cert-file"
            ) from None
        return context
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(settings["cert-dir"] or folder)
        pki = Pki(kept)
        pki.server(
            "kube-scheduler", pki.authority("kube-scheduler-ca", "kube-scheduler"), ["localhost", "127.0.0.1"]
        )
        context.load_cert_chain(kept / "kube-scheduler.crt", kept / "kube-scheduler.key")
    return context
