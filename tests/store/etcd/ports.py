"""A client port in this process over a store in memory, and gRPC's own client for it."""

import contextlib
import http.client
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from kcore.store.embedded import VERSION, Embedded
from kcore.store.etcd import messages
from kcore.store.etcd.access import Access
from kcore.store.etcd.pages import PageSet
from kcore.store.etcd.server import Server
from kcore.store.etcd.services import Services
from kcore.store.tokens import SimpleTokens

MESSAGE_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Port:
    """A listening client port."""

    def __init__(self, store: Embedded, server: Server, port: int) -> None:
        self.store = store
        self.server = server
        self.port = port
        self.address = f"127.0.0.1:{port}"

    def page(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """(status, body) of a page; call it in a thread."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()


@contextlib.asynccontextmanager
async def open_port(
    *,
    tls: ssl.SSLContext | None = None,
    client_cert_auth: bool = False,
    access: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Port]:
    """A port whose store is empty and in memory; options go to ``Services``."""
    tokens = SimpleTokens()
    from kcore.store.auth import Auth

    limit = {"request_bytes_max": options["request_bytes_max"]} if "request_bytes_max" in options else {}
    store = await Embedded.open(None, auth=lambda: Auth(tokens), **limit)
    services = Services(
        store, Access(store, tokens, client_cert_auth=client_cert_auth), bcrypt_cost=4, **options
    )
    pages = PageSet(store, services, version=VERSION)
    server = Server(services.methods, pages, message_bytes_max=services.message_bytes_max, **(access or {}))
    pages.server = server
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setblocking(False)
    await server.listen(bound, tls)
    try:
        yield Port(store, server, bound.getsockname()[1])
    finally:
        await server.stop(1.0)
        await store.close()
        bound.close()


class Client:
    """Any method of any service by its path."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    async def call(self, path: str, request: Any, **options: Any) -> Any:
        """The response of a unary method."""
        return await self.method(path)(request, **options)

    def method(self, path: str) -> Callable[..., Awaitable[Any]]:
        """The unary method."""
        return self.channel.unary_unary(
            f"/{path}",
            request_serializer=type_of(path, 0).SerializeToString,
            response_deserializer=type_of(path, 1).FromString,
        )

    def stream(self, path: str, **options: Any) -> Any:
        """A call with messages both ways."""
        return self.channel.stream_stream(
            f"/{path}",
            request_serializer=type_of(path, 0).SerializeToString,
            response_deserializer=type_of(path, 1).FromString,
        )(**options)

    def answers(self, path: str, request: Any, **options: Any) -> Any:
        """A call with many answers."""
        return self.channel.unary_stream(
            f"/{path}",
            request_serializer=type_of(path, 0).SerializeToString,
            response_deserializer=type_of(path, 1).FromString,
        )(request, **options)


def type_of(path: str, which: int) -> Any:
    """The class of a method's request (0) or response (1)."""
    service, _, name = path.partition("/")
    described = next(each for each in messages.service(service).methods if each.name == name)
    return messages.message((described.input_type, described.output_type)[which].full_name)


@contextlib.asynccontextmanager
async def connect(
    port: Port, credentials: grpc.ChannelCredentials | None = None, options: Any = ()
) -> AsyncIterator[Client]:
    """A channel of gRPC's own client, one connection."""
    given = [*MESSAGE_OPTIONS, ("grpc.use_local_subchannel_pool", 1), *options]
    if credentials is None:
        channel = grpc.aio.insecure_channel(port.address, given)
    else:
        channel = grpc.aio.secure_channel(f"localhost:{port.port}", credentials, given)
    try:
        yield Client(channel)
    finally:
        await channel.close()


async def refused(call: Awaitable[Any]) -> tuple[str, str]:
    """(code, text) of the error that a call ends with."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    raise AssertionError(f"it was answered: {answer}")
