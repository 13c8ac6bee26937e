"""Resource versions and continue tokens: how they are written, and what is said where one cannot be served.

Source: apiserver pkg/storage/{continue.go,api_object_versioner.go,errors.go}, etcd3/errors.go of Kubernetes 1.36.
"""

from __future__ import annotations

import base64
import binascii
import json
import posixpath
from typing import Any, Final, NamedTuple

from kcore.api import field, status
from kcore.api.field import quoted
from kcore.api.status import ApiError

API_VERSION: Final = "meta.k8s.io/v1"
LATEST: Final = -1  # the revision in a token that goes on with the present state
UINT64_MAX: Final = 2**64 - 1
INT64_MAX: Final = 2**63 - 1
DIGITS_MAX: Final = 4000  # that Python makes an integer of

WATCH_TOO_OLD: Final = "The resourceVersion for the provided watch is too old."
LIST_TOO_OLD: Final = "The resourceVersion for the provided list is too old."
CONTINUE_TOO_OLD: Final = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


class ExpiredContinue(ApiError):
    """410 with a token that goes on with the present state, in ``metadata.continue``."""

    def __init__(self, token: str) -> None:
        super().__init__(410, "Expired", CONTINUE_TOO_OLD)
        self.token: Final = token

    def status(self) -> dict[str, Any]:
        """The Status object with the token in it."""
        return {**super().status(), "metadata": {"continue": self.token}}


class Start(NamedTuple):
    """Where a list goes on: the first key, and the revision it is of (LATEST: the present one)."""

    key: bytes
    revision: int


def encode_continue(key: bytes, prefix: bytes, revision: int) -> str:
    """The token of a list of ``prefix`` that goes on with ``key``, as Go writes it."""
    start = field.go_json(key[len(prefix) :].decode())
    text = f'{{"v":"{API_VERSION}","rv":{revision},"start":{start}}}'
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def decode_continue(token: str, prefix: bytes) -> Start:
    """Where the token says to go on; ApiError 400 where it is none of ours, or leaves the prefix."""

    def refuse(why: str) -> ApiError:
        return status.bad_request(f"invalid continue token: continue key is not valid{why}")

    try:
        raw = token.encode("ascii")
        if "=" in token or any(char in token for char in "+/\r\n"):
            raise ValueError("not of the alphabet")
        # binascii drops what it does not know; Go names the place of the first such byte
        bad = next((at for at, byte in enumerate(raw) if not (chr(byte).isalnum() or byte in b"-_")), None)
        if bad is not None or len(raw) % 4 == 1:
            raise ValueError("not of the alphabet")
        decoded = base64.urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    except (ValueError, binascii.Error):
        raise refuse(f": illegal base64 data at input byte {_first_bad(token)}") from None
    try:
        found = json.loads(decoded)
        version, revision, start = found.get("v", ""), found.get("rv", 0), found.get("start", "")
        if (
            not (isinstance(version, str) and isinstance(start, str))
            or type(revision) is not int
            or abs(revision) > INT64_MAX
        ):
            raise ValueError("wrong type")
    except (ValueError, AttributeError, RecursionError):
        raise refuse(": invalid JSON") from None
    if version != API_VERSION:
        raise refuse(f": server does not recognize this encoded version {version}")
    if revision == 0:
        raise refuse(f": incorrect encoded start resourceVersion (version {API_VERSION})")
    if not start:
        raise refuse(f": encoded start key empty (version {API_VERSION})")
    key = start if start.startswith("/") else f"/{start}"
    if _clean(key) != key:
        raise refuse(f": {start}")
    try:
        return Start(prefix + key[1:].encode(), revision)
    except UnicodeEncodeError:
        raise refuse(f": {quoted(start)}") from None


def _first_bad(token: str) -> int:
    for at, char in enumerate(token):
        if not (char.isascii() and (char.isalnum() or char in "-_")):
            return len(token[:at].encode())
    return len(token) - 1


def _clean(path: str) -> str:
    """Go's ``path.Clean`` of a path that begins with one slash."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def parse_version(text: str) -> int:
    """The revision that a resourceVersion names, 0 for none; ``ValueError`` in Go's words where it names none."""
    if text in ("", "0"):
        return 0
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"strconv.ParseUint: parsing {quoted(text)}: invalid syntax")
    value = int(text) if len(text) <= DIGITS_MAX else UINT64_MAX + 1
    if value > UINT64_MAX:
        raise ValueError(f"strconv.ParseUint: parsing {quoted(text)}: value out of range")
    return value


def list_version(text: str) -> int:
    """The revision that a list asks for; ApiError 400 where the text is none."""
    try:
        return parse_version(text)
    except ValueError as fault:
        error = field.invalid("resourceVersion", text, str(fault))
        raise status.bad_request(f"invalid resource version: {error.text}") from None


def watch_version(text: str) -> int:
    """The revision that a watch begins after; ApiError 500 where the text is none, as upstream has it."""
    try:
        return parse_version(text)
    except ValueError as fault:
        raise ApiError(500, "", field.invalid("resourceVersion", text, str(fault)).text) from None


def version_with_continue() -> ApiError:
    """400: a token says of what revision the list is, so nothing else may."""
    return status.bad_request("specifying resource version is not allowed when using continue")


def too_large(wanted: int, current: int, retry_seconds: int = 0) -> ApiError:
    """504: that revision is not reached yet."""
    error = status.timeout(f"Too large resource version: {wanted}, current: {current}", retry_seconds)
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    error.details = {**(error.details or {}), "causes": causes}
    return error


def too_old(wanted: int, oldest: int | None = None) -> ApiError:
    """410: what came after that revision is no longer kept."""
    return status.expired(
        f"too old resource version: {wanted}" + (f" ({oldest})" if oldest is not None else "")
    )
