"""Clients of service accounts, over HTTP: each with a token of its own that is renewed in time, over shared connections.

Accounts that are not there are made. Source: controller-manager pkg/clientbuilder/client_builder_dynamic.go and
client-go transport/token_source.go of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.client.credentials import Credentials
from kcore.client.kubeconfig import NO_PEM, Access
from kcore.client.rate import TokenBucket
from kcore.client.remote import Connections, RemoteCalls
from kcore.client.stamps import time_of
from kcore.clock import REAL, Clock
from kcore.http.message import Header

TOKEN_SECONDS: Final = 3600  # that a token is asked for
LIFETIME_SECONDS_MIN: Final = 600.0  # whatever the server's clock says of it
LEEWAY: Final = 0.2  # the part of its life before whose end it is renewed
TRIES_MAX: Final = 4
RETRY_SECONDS: Final = 0.5  # twice as long after each try

log: Final = logging.getLogger("kcore.client")


async def ensure_account(client: AsyncClient, namespace: str, name: str) -> str:
    """The uid of the account, which is there now, made if it was not; ApiError."""
    try:
        found = await client.get("serviceaccounts", name, namespace)
    except ApiError as error:
        if error.code != 404:
            raise
        made = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace},
        }
        try:
            found = await client.create(made)
        except ApiError as refused:
            if refused.reason != "AlreadyExists":
                raise
            found = await client.get("serviceaccounts", name, namespace)
    uid: str = found["metadata"]["uid"]
    return uid


class AccountCredentials:
    """Who an account is: the token that ``client`` may ask for it, under the TLS of ``base``."""

    def __init__(
        self, client: AsyncClient, base: Credentials, namespace: str, name: str, clock: Clock
    ) -> None:
        self._client = client
        self._base = base
        self._account = (namespace, name)
        self._clock = clock
        self._until_s = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self.headers: tuple[Header, ...] = ()
        self.generation = 0

    @property
    def tls(self) -> ssl.SSLContext | None:
        """As ``base`` says it."""
        return self._base.tls

    @property
    def is_due(self) -> bool:
        """Whether ``fresh`` has something to look at."""
        return self._clock.monotonic_s() >= self._until_s or self._base.is_due

    async def fresh(self) -> bool:
        """The token holds; True where TLS is another than before. ConnectionError where none can be had."""
        changed = await self._base.fresh() if self._base.is_due else False
        if self._clock.monotonic_s() >= self._until_s:
            await self._renewed()
        return changed

    async def refused(self, generation: int) -> bool:
        """The server answered 401 to what was of that generation: there is another token."""
        if generation == self.generation:
            await self._renewed()
        return True

    async def _renewed(self) -> None:
        """The token was asked for, once for all that wait for it."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        namespace, name = self._account
        spec = {"expirationSeconds": TOKEN_SECONDS}
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        for tries in range(1, TRIES_MAX + 1):
            try:
                await ensure_account(self._client, namespace, name)
                made = await self._client.create(
                    asked, namespace, resource="serviceaccounts", name=name, subresource="token"
                )
            except (ApiError, OSError) as error:
                log.warning("no token of %s/%s: %s", namespace, name, error)
                if tries == TRIES_MAX:
                    raise ConnectionError(f"failed to get token for {namespace}/{name}: {error}") from error
                await self._clock.sleep(RETRY_SECONDS * 2 ** (tries - 1))
                continue
            status = made["status"]
            lifetime_s = time_of(status["expirationTimestamp"]) - self._clock.time_s()
            self._until_s = self._clock.monotonic_s() + max(lifetime_s, LIFETIME_SECONDS_MIN) * (1 - LEEWAY)
            self.headers = ((b"authorization", b"Bearer " + status["token"].encode()),)
            self.generation += 1
            return


class Accounts:
    """Clients of accounts of one namespace: ``client`` asks for their tokens, ``access`` says where the server is."""

    def __init__(
        self,
        client: AsyncClient,
        access: Access,
        namespace: str,
        *,
        field_manager: str,
        user_agent: str,
        qps: float = 0.0,
        burst: int = 10,
        clock: Clock = REAL,
    ) -> None:
        self._client = client
        self._access = anonymous(access)
        self._namespace = namespace
        self._manager = field_manager
        self._agent = user_agent
        self._rate = (qps, burst)
        self._clock = clock
        self._base = Credentials(self._access, clock)
        self._connections = Connections(self._access)
        self._clients: dict[str, AsyncClient] = {}

    def of(self, name: str) -> AsyncClient:
        """The account's client; nothing is asked yet."""
        found = self._clients.get(name)
        if found is None:
            qps, burst = self._rate
            calls = RemoteCalls(
                self._access, user_agent=f"{self._agent}/system:serviceaccount:{self._namespace}:{name}",
                bucket=TokenBucket(qps, burst, self._clock) if qps > 0 else None, clock=self._clock,
                identity=AccountCredentials(self._client, self._base, self._namespace, name, self._clock),
                connections=self._connections, offer=self._client,
            )  # fmt: skip
            found = self._clients[name] = AsyncClient(calls, field_manager=self._manager)
        return found

    async def ensure(self, names: Iterable[str]) -> None:
        """The accounts are there, or it is said in the log why not: their tokens are asked for later."""
        try:
            await asyncio.gather(*(ensure_account(self._client, self._namespace, name) for name in names))
        except (ApiError, OSError) as error:
            log.warning("accounts of %s are not there yet: %s", self._namespace, error)

    async def close(self) -> None:
        """Their connections are closed."""
        await self._connections.close()


def anonymous(access: Access) -> Access:
    """The server and how it is verified, and nobody who asks (AnonymousClientConfig)."""
    return replace(
        access, certificate=NO_PEM, key=NO_PEM, token="", token_path="", username="", password="", exec_plugin=None,
        impersonate="", impersonate_uid="", impersonate_groups=(), impersonate_extra=(),
    )  # fmt: skip
