"""The requests that change the users' table, and the rows of it: what log entries and snapshots are written as.

Each request is msgpack, an array of its fields in order; a field is only ever added at the end, with a default.
"""

from enum import IntEnum
from typing import Any, Final

import msgspec

OPEN_END: Final = b"\0"  # as range_end: no upper limit


class PermissionType(IntEnum):
    """etcd ``authpb.Permission.Type``."""

    READ = 0
    WRITE = 1
    READWRITE = 2


class Permission(msgspec.Struct, frozen=True, array_like=True):
    """A right to [key, range_end): one key where ``range_end`` is empty, no upper limit where it is a zero byte."""

    type: int
    key: bytes
    range_end: bytes = b""


ROOT_PERMISSION: Final = Permission(PermissionType.READWRITE, b"", OPEN_END)


class User(msgspec.Struct, array_like=True):
    """A user; ``roles`` are sorted. ``password`` is a bcrypt hash, empty where no password can ever match."""

    name: str
    password: bytes = b""
    roles: list[str] = []
    no_password: bool = False


class Role(msgspec.Struct, array_like=True):
    """A role; ``permissions`` are sorted by key."""

    name: str
    permissions: list[Permission] = []


class Enable(msgspec.Struct, frozen=True, array_like=True):
    """Switches the checks on: there must be a user root with the role root."""


class Disable(msgspec.Struct, frozen=True, array_like=True):
    """Switches the checks off; all tokens die."""


class UserAdd(msgspec.Struct, frozen=True, array_like=True):
    """``hashed_password`` is what ``passwords.hashed`` made; ignored with ``no_password`` (certificates only)."""

    name: str
    hashed_password: bytes = b""
    no_password: bool = False


class UserDelete(msgspec.Struct, frozen=True, array_like=True):
    """Takes a user away, and its tokens."""

    name: str


class UserChangePassword(msgspec.Struct, frozen=True, array_like=True):
    """Replaces the hash, and forgets the tokens; an empty hash matches no password."""

    name: str
    hashed_password: bytes = b""


class UserGrantRole(msgspec.Struct, frozen=True, array_like=True):
    """The user has the role, whether or not it had before; the role must exist unless it is root."""

    name: str
    role: str


class UserRevokeRole(msgspec.Struct, frozen=True, array_like=True):
    """Takes a role from a user."""

    name: str
    role: str


class RoleAdd(msgspec.Struct, frozen=True, array_like=True):
    """Makes a role without permissions."""

    name: str


class RoleDelete(msgspec.Struct, frozen=True, array_like=True):
    """Takes a role away, also from its users."""

    name: str


class RoleGrantPermission(msgspec.Struct, frozen=True, array_like=True):
    """Adds a permission to a role, or changes the type of the one with the same range."""

    name: str
    permission: Permission | None = None


class RoleRevokePermission(msgspec.Struct, frozen=True, array_like=True):
    """Takes the permission of exactly that range from a role."""

    name: str
    key: bytes
    range_end: bytes = b""


class Authenticate(msgspec.Struct, frozen=True, array_like=True):
    """Gives a user, whose password was checked at ``auth_revision``, the token ``{token_prefix}.{log index}``.

    Answers the token. It is replicated so that every member knows it.
    """

    name: str
    token_prefix: str


Request = (
    Enable | Disable | UserAdd | UserDelete | UserChangePassword | UserGrantRole | UserRevokeRole
    | RoleAdd | RoleDelete | RoleGrantPermission | RoleRevokePermission | Authenticate
)  # fmt: skip

KIND_FIRST: Final = 100  # of ``command.other`` entries; lower ones are the machine's

# The number of each kind is written to disk: only ever add to the end.
KINDS: Final[tuple[type, ...]] = (
    Enable, Disable, UserAdd, UserDelete, UserChangePassword, UserGrantRole, UserRevokeRole,
    RoleAdd, RoleDelete, RoleGrantPermission, RoleRevokePermission, Authenticate,
)  # fmt: skip
KIND_OF: Final[dict[type, int]] = {request: number for number, request in enumerate(KINDS, start=KIND_FIRST)}

ENCODER: Final = msgspec.msgpack.Encoder()
DECODERS: Final[dict[int, msgspec.msgpack.Decoder[Any]]] = {
    number: msgspec.msgpack.Decoder(request) for request, number in KIND_OF.items()
}


def encode_request(request: Request) -> tuple[int, bytes]:
    """The (kind, body) that ``Auth.apply`` takes."""
    return KIND_OF[type(request)], ENCODER.encode(request)
