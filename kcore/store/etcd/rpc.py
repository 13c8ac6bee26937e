"""Services as the transport sees them: a table from a call's path to a coroutine, and what a call may ask and say.

A service is an object with one coroutine a method, named as the method in lower_snake_case. Unary methods take
``(request, context)`` and give the response, as a message or as its encoded bytes; streaming ones take
``(stream, context)``. ``table`` pairs them with the descriptions in ``messages``. Refusals are ``StoreError``.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, NamedTuple, Protocol

from kcore.http.message import Peer
from kcore.store.errors import Code, StoreError
from kcore.store.etcd import messages

CODE_NAMES: Final = {
    Code.OK: "OK",
    Code.CANCELLED: "Canceled",
    Code.UNKNOWN: "Unknown",
    Code.INVALID_ARGUMENT: "InvalidArgument",
    Code.DEADLINE_EXCEEDED: "DeadlineExceeded",
    Code.NOT_FOUND: "NotFound",
    Code.ALREADY_EXISTS: "AlreadyExists",
    Code.PERMISSION_DENIED: "PermissionDenied",
    Code.RESOURCE_EXHAUSTED: "ResourceExhausted",
    Code.FAILED_PRECONDITION: "FailedPrecondition",
    Code.ABORTED: "Aborted",
    Code.OUT_OF_RANGE: "OutOfRange",
    Code.UNIMPLEMENTED: "Unimplemented",
    Code.INTERNAL: "Internal",
    Code.UNAVAILABLE: "Unavailable",
    Code.DATA_LOSS: "DataLoss",
    Code.UNAUTHENTICATED: "Unauthenticated",
}

# By whether the client, and whether the server, sends a stream.
KINDS: Final = {
    (False, False): "unary",
    (True, False): "client_stream",
    (False, True): "server_stream",
    (True, True): "bidi_stream",
}


class Context:
    """What is known of one call beside its messages; ``headers`` has the first value of each metadata key."""

    __slots__ = ("headers", "path", "peer")

    def __init__(self, path: bytes, headers: dict[bytes, bytes], peer: Peer) -> None:
        self.path = path
        self.headers = headers
        self.peer = peer


class Stream(Protocol):
    """The two directions of a streaming call."""

    async def receive(self) -> Any:
        """The client's next message; None where it will send no more."""

    async def send(self, message: Any) -> None:
        """Returns once the message is on its way and not too much waits before it (bytes are sent as they are)."""


Call = Callable[[Any, Context], Awaitable[Any]]


class Method(NamedTuple):
    """One row of the table."""

    path: bytes
    parse: Callable[[bytes], Any]
    call: Call
    streaming: bool  # in either direction
    kind: str = "unary"  # as go-grpc-prometheus calls it


def snake_case(name: str) -> str:
    """``MemberAdd`` -> ``member_add``, ``HashKV`` -> ``hash_kv``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def table(services: Iterable[tuple[str, object]]) -> dict[bytes, Method]:
    """All methods by path; each service comes with its full name, and must have every method of its description."""
    methods = {}
    for full_name, service in services:
        for described in messages.service(full_name).methods:
            path = f"/{full_name}/{described.name}".encode()
            methods[path] = Method(
                path,
                messages.message(described.input_type.full_name).FromString,
                getattr(service, snake_case(described.name)),
                described.client_streaming or described.server_streaming,
                KINDS[described.client_streaming, described.server_streaming],
            )
    return methods


def go_text(error: StoreError) -> str:
    """The error as Go's gRPC prints it: etcd puts this form into ``cancel_reason``."""
    return f"rpc error: code = {CODE_NAMES[error.code]} desc = {error.text}"
