"""``kcore controller-manager`` as a process: the controllers of any cluster, while it leads, until a signal.

Source: cmd/kube-controller-manager/app/controllermanager.go of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from kcore.api.errors import InputError
from kcore.apiserver import lines
from kcore.apiserver.driver import bind
from kcore.apiserver.tokens import TokenKeys
from kcore.client.accounts import Accounts
from kcore.client.asynchronous import AsyncClient
from kcore.client.kubeconfig import Access, load
from kcore.client.leases import LeaderElector
from kcore.client.recorder import EventRecorder
from kcore.client.remote import connect
from kcore.components.account_tokens import legacy_tokens
from kcore.components.controllers_metrics import metrics_page
from kcore.components.queue_metrics import Queues
from kcore.controllers import catalog
from kcore.controllers.accounts import NAMESPACE, accounts_of
from kcore.controllers.contract import Controller, Settings
from kcore.controllers.driver import Driver
from kcore.controllers.flags import CONCURRENT, WITHOUT_EFFECT
from kcore.flags import Settings as Flags
from kcore.hollow.kubelet.certificate import server_context
from kcore.online.pages import Check, Pages
from kcore.online.service import serve as serve_led

NAME: Final = "kube-controller-manager"
LATE_SECONDS_MAX: Final = 20.0  # after its lease's end, before a leader that goes on is ill (leaderElection)

Said = Callable[[str], None]

log: Final = logging.getLogger("kcore.controllers")


def access_of(flags: Flags) -> Access:
    """Which cluster, as whom."""
    found = load(flags["kubeconfig"])
    return replace(found, server=flags["master"]) if flags["master"] else found


def settings_of(flags: Flags, access: Access) -> Settings:
    """What the controllers are told; InputError where a file cannot be read."""
    if flags["root-ca-file"]:
        root_ca = _read(flags, "root-ca-file").decode()
    else:
        root_ca = access.authority.read().decode() if access.authority else ""
    signing = [
        _read(flags, name) if flags[name] else b""
        for name in ("cluster-signing-cert-file", "cluster-signing-key-file")
    ]
    make_token = None
    if flags["service-account-private-key-file"]:
        keys = TokenKeys(_read(flags, "service-account-private-key-file"))
        try:
            _ = keys.keys  # one that cannot be read is said now
        except (TypeError, ValueError):
            raise InputError(
                f"{flags['service-account-private-key-file']}: cannot be read as a key", field="--service-account-private-key-file",
                expected="a private key, RSA or ECDSA, in PEM",
            ) from None  # fmt: skip
        make_token = legacy_tokens(keys)
    return Settings(
        root_ca=root_ca, signing_certificate=signing[0], signing_key=signing[1], make_token=make_token, flags=flags
    )  # fmt: skip


def _read(flags: Flags, name: str) -> bytes:
    try:
        return Path(flags[name]).read_bytes()
    except OSError as error:
        raise InputError(f"{flags[name]}: {error.strerror}", field=f"--{name}", expected="a file") from None


def serve(flags: Flags, said: Said) -> int:
    """Controllers ran until a signal said stop, or until another led; the process' exit code.

    ``said`` is told which server it is, once /healthz answers.
    """
    lines.configure(logging.DEBUG if flags["v"] >= 4 else logging.INFO if flags["v"] else logging.WARNING)
    for flag in WITHOUT_EFFECT:
        if flags[flag.name] != flag.default:
            log.warning("--%s has no effect here", flag.name)
    for name in catalog.missing(flags["controllers"]):
        log.warning("--controllers: %s is not here: %s", name, catalog.WHY_NOT[name])
    access = access_of(flags)
    controllers = catalog.make(settings_of(flags, access), flags["controllers"])
    import uvloop

    code: int = uvloop.run(_serve(flags, access, controllers, said))
    return code


async def _serve(flags: Flags, access: Access, controllers: Sequence[Controller], said: Said) -> int:
    bound = tls = None
    if flags["secure-port"]:
        bound = bind(flags["bind-address"], flags["secure-port"])
        hosts = [socket.gethostname(), "localhost", "127.0.0.1"]
        tls = server_context(hosts, flags["tls-cert-file"], flags["tls-private-key-file"])
    client = connect(
        access, field_manager=NAME, user_agent=NAME, qps=flags["kube-api-qps"], burst=flags["kube-api-burst"]
    )
    accounts = None
    if flags["use-service-account-credentials"]:
        accounts = Accounts(
            client, access, NAMESPACE, field_manager=NAME, user_agent=NAME, qps=flags["kube-api-qps"],
            burst=flags["kube-api-burst"],
        )  # fmt: skip
    async with client, contextlib.AsyncExitStack() as stack:
        if accounts is not None:
            stack.push_async_callback(accounts.close)
        work = Controllers(flags, client, controllers, accounts)
        return await serve_led(
            work, bound, tls, flags["authorization-always-allow-paths"], lambda: said(access.server)
        )


class Controllers:
    """The controllers, working while this process leads; each as its own account where there are ``accounts``."""

    def __init__(
        self,
        flags: Flags,
        client: AsyncClient,
        controllers: Sequence[Controller],
        accounts: Accounts | None = None,
    ) -> None:
        self._flags = flags
        self._client = client
        self._controllers = controllers
        self._recorder = EventRecorder(client, NAME)
        self._queues = Queues()
        self._workers = {name: flags[flag] for flag, name in CONCURRENT.items()}
        self._accounts = accounts
        self.driver: Driver | None = None  # while it leads
        self.elector = self._elector() if flags["leader-elect"] else None

    @property
    def checks(self) -> dict[str, Check]:
        """What is asked behind /healthz: that its lease is in order, and each controller by name."""
        found: dict[str, Check] = {} if self.elector is None else {"leaderElection": self._election}
        return found | {controller.name: lambda: "" for controller in self._controllers}

    def _election(self) -> str:
        is_well = self.elector is None or self.elector.is_healthy(LATE_SECONDS_MAX)
        return "" if is_well else "failed election to renew leadership on lease"

    def pages(self, open_paths: tuple[str, ...]) -> Pages:
        """What its port answers."""
        checks = self.checks
        paths = {"/healthz": checks, "/livez": checks, "/readyz": checks}
        return Pages(
            self._client, paths, lambda: metrics_page(self.elector, self.driver, self._queues), open_paths
        )

    def debug(self) -> None:
        """How many keys wait for each controller is written to the log."""
        if self.driver is not None:
            for loop in self.driver.loops:
                log.warning("%s: %d keys wait", loop.controller.name, len(loop.queue))

    async def run(self) -> None:
        """Works until cancelled, or until it leads no more."""
        self._recorder.start()
        try:
            await (self._work() if self.elector is None else self.elector.run(self._work))
        finally:
            await self._recorder.stop()

    def _elector(self) -> LeaderElector:
        flags = self._flags
        return LeaderElector(
            self._client, flags["leader-elect-resource-namespace"], flags["leader-elect-resource-name"],
            f"{socket.gethostname()}_{uuid.uuid4()}", lease_seconds=flags["leader-elect-lease-duration"],
            renew_deadline_seconds=flags["leader-elect-renew-deadline"],
            retry_seconds=flags["leader-elect-retry-period"], recorder=self._recorder,
        )  # fmt: skip

    async def _work(self) -> None:
        clients: dict[str, AsyncClient] = {}
        if self._accounts is not None:
            names = accounts_of(self._controllers)
            await self._accounts.ensure(names)
            clients = {name: self._accounts.of(name) for name in names}
        driver = Driver(
            self._client, self._controllers, observe=self._queues.of, workers=self._workers, accounts=clients
        )
        try:
            await driver.start()
            self.driver = driver
            log.info("%d controllers run", len(self._controllers))
            await asyncio.Event().wait()
        finally:
            self.driver = None
            await driver.stop()
