"""Objects to and from ``application/vnd.kubernetes.protobuf``, with upstream's errors.

Source: apimachinery pkg/runtime/serializer/protobuf, apiserver pkg/endpoints/handlers/rest.go of Kubernetes 1.36.
Three limits are ours: a body holds at most OBJECTS_MAX objects, they nest at most CONTAINERS_MAX deep, and times lie in
the years 0 to 9999.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from kcore.api import status
from kcore.api.field import quoted
from kcore.api.protobuf.table import kinds, messages
from kcore.api.rows import GroupVersionKind
from kcore.api.status import ApiError
from kcore_native.protobuf import encoder
from kcore_native.protobuf.decoder import CONTAINERS_MAX, DecodeError, decode_unknown
from kcore_native.protobuf.decoder import decode as decode_message
from kcore_native.protobuf.encoder import EncodeError
from kcore_native.protobuf.message import Message, build

__all__ = [
    "CONTAINERS_MAX", "MEDIA_TYPE", "PREFIX", "DecodeError", "EncodeError", "can_encode", "decode", "decode_body", "encode",
    "encode_body", "encode_list", "encode_watch_event", "wrap",
]  # fmt: skip

PREFIX: Final = b"k8s\x00"
MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
SHOWN_BYTES_MAX: Final = 30  # of a body in an error
SCHEME: Final = "pkg/api/legacyscheme/scheme.go:30"  # as upstream's errors name the set of all kinds


@cache
def _codec() -> tuple[dict[tuple[str, str], Message], dict[str, Message]]:
    """The compiled messages: by ``(apiVersion, kind)``, and by name."""
    made = build([(message.name, message.short_name, message.fields) for message in messages().values()])
    return {(gvk.api_version, gvk.kind): made[name] for gvk, name in kinds().items()}, made


@cache
def _list_numbers(api_version: str, kind: str) -> tuple[int, int]:
    """The field numbers of ``metadata`` and ``items`` in a list kind."""
    message = messages()[kinds()[GroupVersionKind.of(api_version, kind)]]
    numbers = {field.name: field.number for field in message.fields}
    return numbers["metadata"], numbers["items"]


def can_encode(api_version: str, kind: str) -> bool:
    """True where the kind has a protobuf form: Tables and custom resources have none."""
    return (api_version, kind) in _codec()[0]


def _message(api_version: str, kind: str) -> Message:
    message = _codec()[0].get((api_version, kind))
    if message is None:
        raise DecodeError(
            f"no kind {quoted(kind)} is registered for version {quoted(api_version)} in scheme {quoted(SCHEME)}"
        )
    return message


def _shown(body: bytes) -> str:
    if not body:
        return "<empty>"
    more = " ..." if len(body) > SHOWN_BYTES_MAX else ""
    head = body[:SHOWN_BYTES_MAX]
    return (head.decode(errors="replace") if head[:1] == b"{" else head.hex()) + more


def _open(body: bytes) -> tuple[str, str, bytes]:
    """``apiVersion``, ``kind`` and the message of an envelope."""
    if not body:
        raise DecodeError("empty data")
    if body[:4] != PREFIX:
        raise DecodeError(
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
        )
    if len(body) == 4:
        raise DecodeError("empty body")
    api_version, kind, raw, _encoding, _content_type = decode_unknown(body, 4)
    return api_version, kind, raw


def decode(body: bytes, default: GroupVersionKind | None = None, expected: str = "") -> dict[str, Any]:
    """The object of a request body, ``apiVersion`` and ``kind`` first; ApiError 400 where it is none.

    ``default`` is the kind of a body that does not say its own, ``expected`` the kind that the resource takes: the
    error names it.
    """
    api_version = kind = ""
    try:
        api_version, kind, raw = _open(body)
        if default is not None:
            kind = kind or default.kind
            api_version = api_version or default.api_version
        if not kind or not api_version:
            raise DecodeError(_missing(api_version, kind))
        found = {"apiVersion": api_version, "kind": kind}
        decode_message(_message(api_version, kind), raw, found)
        return found
    except DecodeError as error:
        if kind:
            version = quoted(api_version.rpartition("/")[2])
            text = f"{kind} in version {version} cannot be handled as a {expected or kind}: {error}"
        else:
            what = f" (must be of type {expected})" if expected else ""
            text = f"the object provided is unrecognized{what}: {error} ({_shown(body)})"
        raise status.bad_request(text) from None


def _missing(api_version: str, kind: str) -> str:
    shown = f"runtime.TypeMeta{{APIVersion:{quoted(api_version)}, Kind:{quoted(kind)}}}"
    return f"Object '{'apiVersion' if kind else 'Kind'}' is missing in '{shown}'"


def decode_body(api_version: str, kind: str, raw: bytes) -> dict[str, Any]:
    """The object of a message without its envelope; DecodeError where it is none."""
    found = {"apiVersion": api_version, "kind": kind}
    decode_message(_message(api_version, kind), raw, found)
    return found


def encode(obj: Mapping[str, Any]) -> bytes:
    """The object in its envelope, as Go writes it; EncodeError where it is not of its kind's form.

    ApiError 406 where the kind has no protobuf form.
    """
    api_version, kind = obj.get("apiVersion", ""), obj.get("kind", "")
    message = _encodable(api_version, kind)
    try:
        return encoder.encode_unknown(message, dict(obj), api_version, kind)
    except EncodeError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise EncodeError(str(error)) from None


def _encodable(api_version: str, kind: str) -> Message:
    message = _codec()[0].get((api_version, kind))
    if message is None:
        raise ApiError(
            406,
            "NotAcceptable",
            f"object *{api_version.rpartition('/')[2]}.{kind} does not implement the protobuf marshalling interface "
            "and cannot be encoded to a protobuf message",
        )
    return message


def encode_body(obj: Mapping[str, Any], api_version: str, kind: str) -> bytes:
    """The object's message without its envelope, as it stands in a list; keep it to encode lists from."""
    message = _encodable(api_version, kind)
    try:
        return encoder.encode(message, dict(obj))
    except EncodeError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise EncodeError(str(error)) from None


def wrap(raw: bytes, api_version: str, kind: str) -> bytes:
    """A message that is encoded already, in its envelope."""
    return encoder.wrap_unknown(raw, api_version, kind)


def encode_list(api_version: str, kind: str, metadata: dict[str, Any], items: Iterable[bytes]) -> bytes:
    """The list of that kind (``PodList``) around items that are encoded already, in its envelope."""
    _encodable(api_version, kind)
    metadata_number, items_number = _list_numbers(api_version, kind)
    meta = _codec()[1]["meta.v1.ListMeta"]
    return encoder.encode_list(meta, metadata, metadata_number, items_number, items, api_version, kind)


def encode_watch_event(event: str, envelope: bytes) -> bytes:
    """One frame of ``application/vnd.kubernetes.protobuf;stream=watch``; ``envelope`` is what ``encode`` gives."""
    return encoder.encode_watch_event(event, envelope)
