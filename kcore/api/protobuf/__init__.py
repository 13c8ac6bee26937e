"""Kubernetes protobuf: bodies of ``application/vnd.kubernetes.protobuf`` to objects in JSON form, and back.

``messages.txt`` is the table of messages, ``table`` reads it, ``codec`` is the codec of ``kcore_native.protobuf`` over
it with upstream's errors.
"""

from kcore.api.protobuf.codec import (
    CONTAINERS_MAX,
    MEDIA_TYPE,
    PREFIX,
    DecodeError,
    EncodeError,
    can_encode,
    decode,
    decode_body,
    encode,
    encode_body,
    encode_list,
    encode_watch_event,
    wrap,
)

__all__ = [
    "CONTAINERS_MAX",
    "MEDIA_TYPE",
    "PREFIX",
    "DecodeError",
    "EncodeError",
    "can_encode",
    "decode",
    "decode_body",
    "encode",
    "encode_body",
    "encode_list",
    "encode_watch_event",
    "wrap",
]
