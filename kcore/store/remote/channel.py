"""Calls to several endpoints of one cluster: which one is asked, what is tried again, how a token is renewed.

The rules are those of etcd's Go client (``client/v3/retry.go``). A read is tried again while the answer is
UNAVAILABLE, on the next endpoint each time. A write is tried again only where it was surely not done: no connection was
made, the member refused it because it knew no leader or is a learner, or the token was not accepted.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import grpc
import grpc.aio

from kcore.store import errors
from kcore.store.errors import Code, StoreError
from kcore.store.etcd import messages

CLIENT_API_VERSION: Final = "3.6"

_TOKEN_REFUSED: Final = {
    errors.TABLE[name][1] for name in ("InvalidAuthToken", "AuthOldRevision", "UserEmpty")
}
_NOT_DONE: Final = {errors.TABLE[name][1] for name in ("NoLeader", "NotSupportedForLearner")}
# grpc's own words where a call never left this process.
_NEVER_SENT: Final = (
    "failed to connect to all addresses",
    "DNS resolution failed",
    "no connection available",
)


class Endpoint(NamedTuple):
    """One member's client URL: what grpc dials, and whether by TLS."""

    target: str
    secure: bool

    @classmethod
    def parse(cls, url: str, secure: bool) -> "Endpoint":
        """Of ``https://host:port``, ``http://host:port``, ``unix:///path`` or ``host:port`` (TLS where ``secure``)."""
        if url.startswith("unix"):
            return cls("unix:" + url.split(":", 1)[1].removeprefix("//"), url.startswith("unixs") or secure)
        if "://" not in url:
            return cls(url, secure)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
            raise ValueError(f"{url}: an endpoint is http://host:port or https://host:port")
        return cls(parts.netloc, parts.scheme == "https")


class Credentials(NamedTuple):
    """How this client says who it is: PEM of a trusted CA, of its certificate and key; a name and password."""

    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    username: str = ""
    password: str = ""
    server_name: str = ""  # expected in the certificate in place of the endpoint's host

    @property
    def secure(self) -> bool:
        """True where any part of TLS is given."""
        return self.ca is not None or self.certificate is not None


class Limits(NamedTuple):
    """When a call gives up. ``timeout_s`` is of a whole call with all its attempts; 0 for none."""

    timeout_s: float = 30.0
    attempts_max: int = 100
    backoff_s: float = 0.025
    backoff_jitter: float = 0.1
    keepalive_ms: int = 10_000
    keepalive_timeout_ms: int = 5_000


def store_error(failed: grpc.aio.AioRpcError) -> StoreError:
    """The status of a failed call as etcd's error."""
    return StoreError(Code(failed.code().value[0]), failed.details() or "")


def surely_not_done(refused: StoreError) -> bool:
    """True where a write that failed so cannot have been applied."""
    if refused.text in _NOT_DONE:
        return True
    return refused.code == Code.UNAVAILABLE and any(words in refused.text for words in _NEVER_SENT)


def worth_repeating(refused: StoreError, repeatable: bool, others: bool) -> bool:
    """True where the call may be made again; ``others``: there are more endpoints."""
    if refused.text == errors.TABLE["NotSupportedForLearner"][1]:
        return others
    return refused.code == Code.UNAVAILABLE and (repeatable or surely_not_done(refused))


def token_refused(refused: StoreError) -> bool:
    """True where a new token may help."""
    return refused.text in _TOKEN_REFUSED


class Connection:
    """One endpoint's channel, made when first used."""

    def __init__(self, endpoint: Endpoint, credentials: Credentials, limits: Limits) -> None:
        self.endpoint = endpoint
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.keepalive_time_ms", limits.keepalive_ms),
            ("grpc.keepalive_timeout_ms", limits.keepalive_timeout_ms),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_http_proxy", 0),
        ]
        if credentials.server_name:
            options.append(("grpc.ssl_target_name_override", credentials.server_name))
        if endpoint.secure:
            tls = grpc.ssl_channel_credentials(credentials.ca, credentials.key, credentials.certificate)
            self.channel = grpc.aio.secure_channel(endpoint.target, tls, options=options)
        else:
            self.channel = grpc.aio.insecure_channel(endpoint.target, options=options)
        self._methods: dict[str, Any] = {}

    def method(self, path: str) -> Any:
        """The callable of ``/package.Service/Method``."""
        found = self._methods.get(path)
        if found is None:
            service, name = path[1:].split("/")
            described = messages.service(service).methods_by_name[name]
            kind = (
                "stream" if described.client_streaming else "unary",
                "stream" if described.server_streaming else "unary",
            )
            found = getattr(self.channel, "_".join(kind))(
                path,
                request_serializer=messages.message(described.input_type.full_name).SerializeToString,
                response_deserializer=messages.message(described.output_type.full_name).FromString,
            )
            self._methods[path] = found
        return found


class Balancer:
    """The endpoints, the one in use, and the token.

    Invariant: every call is made on ``connection``; a failure that another endpoint may not share moves it on.
    """

    def __init__(self, urls: Sequence[str], credentials: Credentials, limits: Limits) -> None:
        if not urls:
            raise ValueError("no endpoints given")
        self.limits = limits
        self._credentials = credentials
        self._connections = [
            Connection(Endpoint.parse(url, credentials.secure), credentials, limits) for url in urls
        ]
        self._at = 0
        self._token = ""
        self._authenticating: asyncio.Task[None] | None = None

    @property
    def connection(self) -> Connection:
        """The endpoint in use."""
        return self._connections[self._at]

    @property
    def endpoint_count(self) -> int:
        """How many endpoints there are."""
        return len(self._connections)

    @property
    def has_password(self) -> bool:
        """True where a refused token can be renewed."""
        return bool(self._credentials.username)

    def fail_over(self, failed: Connection) -> None:
        """The next endpoint is in use, unless somebody has moved on from ``failed`` already."""
        if self.connection is failed:
            self._at = (self._at + 1) % len(self._connections)

    def metadata(self, *, has_leader: bool = False) -> list[tuple[str, str]]:
        """What every call carries; ``has_leader``: a member without leader must refuse, and end streams."""
        carried = [("client-api-version", CLIENT_API_VERSION)]
        if self._token:
            carried.append(("token", self._token))
        if has_leader:
            carried.append(("hasleader", "true"))
        return carried

    async def authenticate(self) -> None:
        """There is a fresh token; callers that come while one is fetched wait for it. Nothing without a password."""
        if not self.has_password:
            return
        if self._authenticating is None or self._authenticating.done():
            self._authenticating = asyncio.ensure_future(self._fetch_token())
        await asyncio.shield(self._authenticating)

    async def _fetch_token(self) -> None:
        request = messages.AuthenticateRequest(
            name=self._credentials.username, password=self._credentials.password
        )
        self._token = ""
        try:
            answer = await self.call("/etcdserverpb.Auth/Authenticate", request, repeatable=True, renew=False)
        except StoreError as refused:
            if refused.text != errors.TABLE["AuthNotEnabled"][1]:
                raise
            return
        self._token = answer.token

    async def call(self, path: str, request: Any, *, repeatable: bool, renew: bool = True) -> Any:
        """The answer to one request; ``StoreError`` where it is refused or no member could be asked in time."""

        async def attempt(connection: Connection, timeout_s: float | None) -> Any:
            return await connection.method(path)(request, metadata=self.metadata(), timeout=timeout_s)

        return await self.persist(attempt, repeatable=repeatable, renew=renew)

    async def persist(
        self,
        attempt: Callable[[Connection, float | None], Awaitable[Any]],
        *,
        repeatable: bool,
        renew: bool = True,
    ) -> Any:
        """What ``attempt(connection, seconds left)`` answers, made again where that is safe."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.limits.timeout_s if self.limits.timeout_s else None
        for number in range(1, self.limits.attempts_max + 1):
            connection = self.connection
            left = None if deadline is None else max(deadline - clock(), 0.001)
            try:
                return await attempt(connection, left)
            except grpc.aio.AioRpcError as failed:
                refused = store_error(failed)
            except grpc.aio.UsageError:  # the channel was closed under us
                raise errors.of("Canceled") from None
            if number == self.limits.attempts_max or (deadline is not None and clock() >= deadline):
                raise refused
            if renew and self.has_password and token_refused(refused):
                await self.authenticate()
            elif renew and token_refused(refused) and refused.text == errors.TABLE["AuthOldRevision"][1]:
                pass  # the user is known by certificate, the table has changed meanwhile: ask again
            elif worth_repeating(refused, repeatable, self.endpoint_count > 1):
                self.fail_over(connection)
            else:
                if refused.code == Code.UNAVAILABLE:
                    self.fail_over(connection)
                raise refused
            if number % self.endpoint_count == 0:
                await asyncio.sleep(self.backoff_s())
        raise AssertionError("the last attempt either answers or raises")

    def backoff_s(self) -> float:
        """How long to wait once every endpoint was tried."""
        spread = self.limits.backoff_jitter * (2 * random.random() - 1)
        return self.limits.backoff_s * (1 + spread)

    async def stream(self, path: str, request: Any) -> AsyncIterator[Any]:
        """The answers to one request that has many; tried again only before the first of them."""
        opened: list[Any] = []

        async def attempt(connection: Connection, timeout_s: float | None) -> Any:
            call = connection.method(path)(request, metadata=self.metadata())
            try:
                first = await call.read()
            except asyncio.CancelledError:
                call.cancel()
                raise
            if first is grpc.aio.EOF and await call.code() != grpc.StatusCode.OK:
                raise grpc.aio.AioRpcError(
                    await call.code(), await call.initial_metadata(), await call.trailing_metadata(), await call.details()
                )  # fmt: skip
            opened.append(call)
            return first

        answer = await self.persist(attempt, repeatable=True)
        call = opened[-1]
        try:
            while answer is not grpc.aio.EOF:
                yield answer
                answer = await call.read()
        except grpc.aio.AioRpcError as failed:
            raise store_error(failed) from None
        finally:
            call.cancel()

    async def close(self) -> None:
        """All channels are closed; calls that wait end with CANCELLED."""
        if self._authenticating is not None:
            self._authenticating.cancel()
        await asyncio.gather(*(one.channel.close() for one in self._connections))
