"""What members ask one another beside Raft: a lease's renewal by the leader, a hash, a promotion.

etcd does this over HTTP (``lease/leasehttp``, ``cluster_util.go``, ``corrupt.go``). A call is answered at once or when
what it proposed is applied; one that is not answered times out on the caller's side. A packet is a Raft message, a
call or a reply, as bytes between members.
"""

from typing import Any, Final

import msgspec

from kcore.store import errors
from kcore.store.errors import Code, StoreError
from kcore_native.raft import Message

LEASE_RENEW: Final = "lease_renew"  # args: id -> ttl in seconds
LEASE_TTL: Final = "lease_ttl"  # args: id, keys? -> LeaseResult's fields
PROMOTE: Final = "promote"  # args: member id -> members
HASH: Final = "hash"  # args: revision -> hash, hash_revision, compact_revision, revision

MESSAGE_TAG: Final = b"m"
CALL_TAG: Final = b"c"
REPLY_TAG: Final = b"r"


class Call(msgspec.Struct, array_like=True, frozen=True):
    """A question to another member; ``id`` tells the answers apart."""

    to: int
    from_: int
    id: int
    kind: str
    args: list[Any]


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """The answer: a result, or the code and text of a StoreError."""

    to: int
    from_: int
    id: int
    result: Any = None
    code: int = 0
    text: str = ""

    def error(self) -> StoreError | None:
        """The error, where it is one."""
        return StoreError(Code(self.code), self.text) if self.code else None


Packet = Message | Call | Reply

_encoder = msgspec.msgpack.Encoder()
_call = msgspec.msgpack.Decoder(Call)
_reply = msgspec.msgpack.Decoder(Reply)


def encode(packet: Packet) -> bytes:
    """The packet's bytes."""
    if isinstance(packet, Message):
        return MESSAGE_TAG + packet.encode()
    return (CALL_TAG if isinstance(packet, Call) else REPLY_TAG) + _encoder.encode(packet)


def decode(raw: bytes) -> Packet:
    """The packet of these bytes; raises ValueError where they are none."""
    tag, body = raw[:1], raw[1:]
    if tag == MESSAGE_TAG:
        return Message.decode(body)
    try:
        if tag == CALL_TAG:
            return _call.decode(body)
        if tag == REPLY_TAG:
            reply = _reply.decode(body)
            Code(reply.code)
            return reply
    except msgspec.DecodeError as error:
        raise ValueError(f"a call between members cannot be read: {error}") from None
    raise ValueError(f"a packet of unknown kind {tag!r}")


def refusal(call: Call, name: str) -> Reply:
    """The answer with etcd's error of that name."""
    error = errors.of(name)
    return Reply(call.from_, call.to, call.id, None, int(error.code), error.text)
