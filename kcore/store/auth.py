"""The users' table: who may read and write which keys, as etcd decides it (etcd ``server/auth/store.go``).

Replicated state that ``machine.py`` holds: changes come in by ``apply`` in log order, questions by ``check_*``; errors
are etcd's. Passwords arrive hashed (``passwords.py``), since a salt is chance; tokens live beside it (``tokens.py``),
since they die by the clock: ``apply`` tells the ``TokenSink`` which to make and which to forget.

Everywhere ``username`` is None for a caller that is trusted (the process that holds the store): nothing is checked.
An empty name is a caller that has not said who it is. ``auth_revision`` is that of the table when the caller was
authenticated; 0 with an empty name.

Kinds of ``command.other`` entries from 100 on are this file's: the machine passes the frame's identity and the log index on
to ``apply(kind, body, username, auth_revision, index)``.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import msgspec

from kcore.store import errors
from kcore.store.auth_requests import (
    DECODERS,
    ENCODER,
    OPEN_END,
    ROOT_PERMISSION,
    Authenticate,
    Disable,
    Enable,
    Permission,
    PermissionType,
    Role,
    RoleAdd,
    RoleDelete,
    RoleGrantPermission,
    RoleRevokePermission,
    User,
    UserAdd,
    UserChangePassword,
    UserDelete,
    UserGrantRole,
    UserRevokeRole,
)  # fmt: skip
from kcore.store.errors import Code, StoreError
from kcore.store.kv import DeleteOp, Op, PutOp, RangeOp, TxnOp

ROOT: Final = "root"  # the name of both the user and the role that may do everything
REVISION_FIRST: Final = 1
FORMAT_VERSION: Final = 1


class TokenSink(Protocol):
    """What must follow the table's changes: the tokens that users hold (``tokens.SimpleTokens``)."""

    def enable(self) -> None: ...
    def disable(self) -> None: ...
    def assign(self, username: str, token: str) -> None: ...
    def invalidate(self, username: str) -> None: ...


class Coverage:
    """The union of half-open ranges of keys; touching ranges are one. Bounds are keys, ``_ends`` None: no limit."""

    __slots__ = ("_begins", "_ends")

    def __init__(self, ranges: Iterable[tuple[bytes, bytes | None]]) -> None:
        self._begins: list[bytes] = []
        self._ends: list[bytes | None] = []
        for begin, end in sorted(ranges, key=lambda one: one[0]):
            last = self._ends[-1] if self._ends else b""
            if self._ends and (last is None or last >= begin):
                if last is not None and (end is None or end > last):
                    self._ends[-1] = end
            else:
                self._begins.append(begin)
                self._ends.append(end)

    def covers(self, key: bytes, end: bytes | None) -> bool:
        """True where [key, end) lies inside; an empty range where ``key`` does."""
        at = bisect_right(self._begins, key) - 1
        if at < 0:
            return False
        limit = self._ends[at]
        if limit is None:
            return True
        return key < limit and end is not None and end <= limit


class Rights(msgspec.Struct, frozen=True):
    """What all roles of a user together allow."""

    read: Coverage
    write: Coverage


def _range_of(permission: Permission) -> tuple[bytes, bytes | None]:
    """The permission as a half-open range."""
    if not permission.range_end:
        return permission.key, permission.key + b"\0"
    return permission.key, None if permission.range_end == OPEN_END else permission.range_end


def is_valid_range(key: bytes, range_end: bytes) -> bool:
    """True for a range that a permission may have: not empty, and not of the empty key."""
    return bool(key) and (not range_end or key < range_end or range_end == OPEN_END)


class _State(msgspec.Struct, array_like=True):
    """What a snapshot keeps."""

    version: int
    enabled: bool
    revision: int
    users: list[User]
    roles: list[Role]


_state_decoder: Final = msgspec.msgpack.Decoder(_State)


class Auth:
    """Users, roles, and whether they are asked at all.

    Invariant: ``revision`` grows with every change of users or roles, and when the checks are switched off.
    Invariant: equal logs give equal ``encode()``.
    """

    def __init__(self, tokens: TokenSink | None = None) -> None:
        self.enabled = False
        self.revision = REVISION_FIRST
        self.tokens = tokens
        self._users: dict[str, User] = {}
        self._roles: dict[str, Role] = {}
        self._rights: dict[str, Rights] = {}

    # -- changes, in log order

    def apply(
        self, kind: int, body: bytes, username: str | None = None, auth_revision: int = 0, index: int = 0
    ) -> str | None:
        """The change is made; answers the token for ``Authenticate`` in the entry ``index``, else None.

        ``StoreError`` where etcd refuses, ``ValueError`` where the body is not one of ``kind``; then nothing is done.
        """
        if kind not in DECODERS:
            raise ValueError(f"authentication request of unknown kind {kind}")
        try:
            request = DECODERS[kind].decode(body)
        except msgspec.MsgspecError as wrong:
            raise ValueError(f"authentication request of kind {kind}: {wrong}") from None
        if isinstance(request, Authenticate):
            return self._authenticate(request, index)
        self.check_admin(username)
        _CHANGES[type(request)](self, request)
        return None

    def _authenticate(self, request: Authenticate, index: int) -> str:
        if not self.enabled:
            raise errors.of("AuthNotEnabled")
        user = self._users.get(request.name)
        if user is None or user.no_password:
            raise errors.of("AuthFailed")
        token = f"{request.token_prefix}.{index}"
        if self.tokens is not None:
            self.tokens.assign(request.name, token)
        return token

    def _enable(self, _: Enable) -> None:
        if self.enabled:
            return
        root = self._users.get(ROOT)
        if root is None:
            raise errors.of("RootUserNotExist")
        if ROOT not in root.roles:
            raise errors.of("RootRoleNotExist")
        self.enabled = True
        if self.tokens is not None:
            self.tokens.enable()

    def _disable(self, _: Disable) -> None:
        if not self.enabled:
            return
        self.enabled = False
        self.revision += 1
        if self.tokens is not None:
            self.tokens.disable()

    def _user_add(self, request: UserAdd) -> None:
        if not request.name:
            raise errors.of("UserEmpty")
        if request.name in self._users:
            raise errors.of("UserAlreadyExist")
        password = b"" if request.no_password else request.hashed_password
        self._users[request.name] = User(request.name, password, [], request.no_password)
        self._changed()

    def _user_delete(self, request: UserDelete) -> None:
        if self.enabled and request.name == ROOT:
            raise errors.of("InvalidAuthMgmt")
        self._user(request.name)
        del self._users[request.name]
        self._changed()
        self._forget_tokens(request.name)

    def _user_change_password(self, request: UserChangePassword) -> None:
        user = self._user(request.name)
        user.password = b"" if user.no_password else request.hashed_password
        self._changed()
        self._forget_tokens(request.name)

    def _user_grant_role(self, request: UserGrantRole) -> None:
        user = self._user(request.name)
        if request.role != ROOT:
            self._role(request.role)
        if request.role not in user.roles:
            insort(user.roles, request.role)
            self._changed()

    def _user_revoke_role(self, request: UserRevokeRole) -> None:
        if self.enabled and request.name == ROOT and request.role == ROOT:
            raise errors.of("InvalidAuthMgmt")
        user = self._user(request.name)
        if request.role not in user.roles:
            raise errors.of("RoleNotGranted")
        user.roles.remove(request.role)
        self._changed()

    def _role_add(self, request: RoleAdd) -> None:
        if not request.name:
            raise errors.of("RoleEmpty")
        if request.name in self._roles:
            raise errors.of("RoleAlreadyExist")
        self._roles[request.name] = Role(request.name, [])
        self._changed()

    def _role_delete(self, request: RoleDelete) -> None:
        if self.enabled and request.name == ROOT:
            raise errors.of("InvalidAuthMgmt")
        self._role(request.name)
        del self._roles[request.name]
        for user in self._users.values():
            if request.name in user.roles:
                user.roles.remove(request.name)
        self._changed()

    def _role_grant_permission(self, request: RoleGrantPermission) -> None:
        given = request.permission
        if given is None:
            raise errors.of("PermissionNotGiven")
        if not is_valid_range(given.key, given.range_end):
            raise errors.of("InvalidAuthMgmt")
        held = self._role(request.name).permissions
        # etcd looks only at the first of the permissions that begin at this key, so that a second range from the same
        # key is added anew each time it is granted; what the role allows is the same.
        at = bisect_left(held, given.key, key=lambda one: one.key)
        if at < len(held) and held[at].key == given.key and held[at].range_end == given.range_end:
            held[at] = given
        else:
            insort(held, given, key=lambda one: one.key)
        self._changed()

    def _role_revoke_permission(self, request: RoleRevokePermission) -> None:
        role = self._role(request.name)
        kept = [
            one for one in role.permissions if (one.key, one.range_end) != (request.key, request.range_end)
        ]
        if len(kept) == len(role.permissions):
            raise errors.of("PermissionNotGranted")
        role.permissions = kept
        self._changed()

    def _user(self, name: str) -> User:
        user = self._users.get(name)
        if user is None:
            raise errors.of("UserNotFound")
        return user

    def _role(self, name: str) -> Role:
        role = self._roles.get(name)
        if role is None:
            raise errors.of("RoleNotFound")
        return role

    def _changed(self) -> None:
        """The revision has grown and what was merged of roles is forgotten."""
        self.revision += 1
        self._rights.clear()

    def _forget_tokens(self, username: str) -> None:
        if self.tokens is not None:
            self.tokens.invalidate(username)

    # -- questions

    def check_admin(self, username: str | None) -> None:
        """Returns where the caller may do what only root may."""
        if not self.enabled or username is None:
            return
        if not username:
            raise errors.of("UserEmpty")
        user = self._user(username)
        if ROOT not in user.roles:
            raise errors.of("PermissionDenied")

    def check_range(
        self, username: str | None, auth_revision: int, key: bytes, end: bytes | None = None
    ) -> None:
        """Returns where the caller may read [key, end)."""
        self._check(username, auth_revision, key, end, writing=False)

    def check_put(
        self,
        username: str | None,
        auth_revision: int,
        key: bytes,
        prev_kv: bool = False,
        lease_keys: Sequence[bytes] = (),
    ) -> None:
        """Returns where the caller may write the key, and every key that the lease already holds."""
        if not self.enabled or username is None:
            return
        self._check(username, auth_revision, key, None, writing=True)
        self.check_lease(username, auth_revision, lease_keys)
        if prev_kv:
            self._check(username, auth_revision, key, None, writing=False)

    def check_delete(
        self,
        username: str | None,
        auth_revision: int,
        key: bytes,
        end: bytes | None = None,
        prev_kv: bool = False,
    ) -> None:
        """Returns where the caller may delete [key, end), and read it if the deleted are to be answered."""
        self._check(username, auth_revision, key, end, writing=True)
        if prev_kv:
            self._check(username, auth_revision, key, end, writing=False)

    def check_lease(
        self, username: str | None, auth_revision: int, keys: Sequence[bytes], *, writing: bool = True
    ) -> None:
        """Returns where the caller may write (or read) every key of a lease: to revoke, renew or list it."""
        if not self.enabled or username is None or self.is_root(username):
            return
        for key in keys:
            self._check(username, auth_revision, key, None, writing=writing)

    def check_txn(
        self,
        username: str | None,
        auth_revision: int,
        txn: TxnOp,
        lease_keys: Callable[[int], Sequence[bytes]] = lambda lease: (),
    ) -> None:
        """Returns where the caller may do all that either branch says; ``lease_keys`` answers a lease's keys."""
        if not self.enabled or username is None:
            return
        for compare in txn.compares:
            self._check(username, auth_revision, compare.key, compare.end, writing=False)
        for op in (*txn.success, *txn.failure):
            self._check_op(username, auth_revision, op, lease_keys)

    def _check_op(
        self, username: str, auth_revision: int, op: Op, lease_keys: Callable[[int], Sequence[bytes]]
    ) -> None:
        if isinstance(op, RangeOp):
            self._check(username, auth_revision, op.key, op.end, writing=False)
        elif isinstance(op, PutOp):
            held = lease_keys(op.lease) if op.lease else ()
            self.check_put(username, auth_revision, op.key, op.prev_kv, held)
        elif isinstance(op, DeleteOp):
            self.check_delete(username, auth_revision, op.key, op.end, op.prev_kv)
        else:
            self.check_txn(username, auth_revision, op, lease_keys)

    def _check(
        self, username: str | None, auth_revision: int, key: bytes, end: bytes | None, *, writing: bool
    ) -> None:
        if not self.enabled or username is None:
            return
        if auth_revision == 0:
            raise errors.of("UserEmpty")
        if auth_revision < self.revision:
            raise errors.of("AuthOldRevision")
        user = self._users.get(username)
        if user is not None:
            if ROOT in user.roles:
                return
            rights = self._rights.get(username) or self._merge(user)
            coverage = rights.write if writing else rights.read
            if coverage.covers(key, key + b"\0" if not end else None if end == OPEN_END else end):
                return
        raise errors.of("PermissionDenied")

    def _merge(self, user: User) -> Rights:
        """The user's rights, kept until the table changes."""
        held = [one for name in user.roles if name in self._roles for one in self._roles[name].permissions]
        rights = Rights(
            Coverage(_range_of(one) for one in held if one.type != PermissionType.WRITE),
            Coverage(_range_of(one) for one in held if one.type != PermissionType.READ),
        )
        self._rights[user.name] = rights
        return rights

    def is_root(self, username: str) -> bool:
        """True for a user with the role root."""
        user = self._users.get(username)
        return user is not None and ROOT in user.roles

    def password_hash(self, name: str) -> tuple[bytes, int]:
        """The hash to compare with, and the revision; ``Authenticate`` must be applied at the same revision.

        Where the revision has moved meanwhile, ask and compare again.
        """
        if not self.enabled:
            raise errors.of("AuthNotEnabled")
        user = self._users.get(name)
        if user is None:
            raise errors.of("AuthFailed")
        if user.no_password:
            raise StoreError(
                Code.UNKNOWN, "auth: authentication failed, password was given for no password user"
            )
        return user.password, self.revision

    def user_get(self, name: str, username: str | None = None) -> list[str]:
        """The roles of a user, sorted; anyone may ask of themselves."""
        if name != username:
            self.check_admin(username)
        return list(self._user(name).roles)

    def user_list(self, username: str | None = None) -> list[str]:
        """The names of all users, sorted."""
        self.check_admin(username)
        return sorted(self._users)

    def role_get(self, name: str, username: str | None = None) -> list[Permission]:
        """The permissions of a role, sorted by key; whoever has the role may ask."""
        caller = self._users.get(username) if username else None
        if caller is None or name not in caller.roles:
            self.check_admin(username)
        role = self._role(name)
        return [ROOT_PERMISSION] if name == ROOT else list(role.permissions)

    def role_list(self, username: str | None = None) -> list[str]:
        """The names of all roles, sorted."""
        self.check_admin(username)
        return sorted(self._roles)

    # -- snapshots

    def encode(self) -> bytes:
        """The whole table, equal on members that applied the same; tokens are not part of it."""
        users = [self._users[name] for name in sorted(self._users)]
        roles = [self._roles[name] for name in sorted(self._roles)]
        return ENCODER.encode(_State(FORMAT_VERSION, self.enabled, self.revision, users, roles))

    def decode(self, data: bytes) -> None:
        """The table is what ``encode`` wrote; ``ValueError`` for anything else, and then it is as before."""
        try:
            state = _state_decoder.decode(data)
        except msgspec.MsgspecError as wrong:
            raise ValueError(f"users and roles of a snapshot: {wrong}") from None
        if state.version != FORMAT_VERSION:
            raise ValueError(
                f"users and roles of a snapshot: version {state.version}, this is {FORMAT_VERSION}"
            )
        self.enabled, self.revision = state.enabled, state.revision
        self._users = {user.name: user for user in state.users}
        self._roles = {role.name: role for role in state.roles}
        self._rights.clear()
        if self.tokens is not None:
            (self.tokens.enable if state.enabled else self.tokens.disable)()


_CHANGES: Final[dict[type, Callable[[Auth, Any], None]]] = {
    Enable: Auth._enable,
    Disable: Auth._disable,
    UserAdd: Auth._user_add,
    UserDelete: Auth._user_delete,
    UserChangePassword: Auth._user_change_password,
    UserGrantRole: Auth._user_grant_role,
    UserRevokeRole: Auth._user_revoke_role,
    RoleAdd: Auth._role_add,
    RoleDelete: Auth._role_delete,
    RoleGrantPermission: Auth._role_grant_permission,
    RoleRevokePermission: Auth._role_revoke_permission,
}
