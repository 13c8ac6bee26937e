"""The users' table by the slow road: every question walks all roles, every range is asked key by key.

Names and order of the checks are those of etcd's ``server/auth/store.go``; there is no cache and no merging.
"""

from __future__ import annotations

from typing import Any

from kcore.store import auth_requests as requests
from kcore.store.errors import StoreError, of

KEYS = [a + b for a in (b"", b"a", b"b", b"c") for b in (b"", b"a", b"b")]
# Where a range of bounds from KEYS can begin to be uncovered: at a bound, or just behind one.
POINTS = sorted({key + tail for key in KEYS for tail in (b"", b"\0")} - {b""})


def inside(key: bytes, begin: bytes, range_end: bytes) -> bool:
    """True where the key lies in [begin, range_end), etcd's way of writing it."""
    if range_end == b"":
        return key == begin
    return begin <= key and (range_end == b"\0" or key < range_end)


class NaiveAuth:
    """The same face as ``kcore.store.auth.Auth``, for one request at a time."""

    def __init__(self) -> None:
        self.enabled = False
        self.revision = 1
        self.users: dict[str, dict[str, Any]] = {}
        self.roles: dict[str, list[requests.Permission]] = {}

    def do(self, request: Any, username: str | None, index: int) -> str | None:
        """Changes the table, or raises what etcd answers."""
        if isinstance(request, requests.Authenticate):
            if not self.enabled:
                raise of("AuthNotEnabled")
            if request.name not in self.users or self.users[request.name]["no_password"]:
                raise of("AuthFailed")
            return f"{request.token_prefix}.{index}"
        self.admin(username)
        getattr(self, type(request).__name__)(request)
        return None

    def admin(self, username: str | None) -> None:
        if self.enabled and username is not None:
            if username == "":
                raise of("UserEmpty")
            if username not in self.users:
                raise of("UserNotFound")
            if "root" not in self.users[username]["roles"]:
                raise of("PermissionDenied")

    def Enable(self, request: requests.Enable) -> None:
        if not self.enabled:
            if "root" not in self.users:
                raise of("RootUserNotExist")
            if "root" not in self.users["root"]["roles"]:
                raise of("RootRoleNotExist")
            self.enabled = True

    def Disable(self, request: requests.Disable) -> None:
        if self.enabled:
            self.enabled = False
            self.revision += 1

    def UserAdd(self, request: requests.UserAdd) -> None:
        if request.name == "":
            raise of("UserEmpty")
        if request.name in self.users:
            raise of("UserAlreadyExist")
        self.users[request.name] = {
            "roles": set(), "no_password": request.no_password,
            "password": b"" if request.no_password else request.hashed_password,
        }  # fmt: skip
        self.revision += 1

    def UserDelete(self, request: requests.UserDelete) -> None:
        if self.enabled and request.name == "root":
            raise of("InvalidAuthMgmt")
        if request.name not in self.users:
            raise of("UserNotFound")
        del self.users[request.name]
        self.revision += 1

    def UserChangePassword(self, request: requests.UserChangePassword) -> None:
        if request.name not in self.users:
            raise of("UserNotFound")
        if not self.users[request.name]["no_password"]:
            self.users[request.name]["password"] = request.hashed_password
        self.revision += 1

    def UserGrantRole(self, request: requests.UserGrantRole) -> None:
        if request.name not in self.users:
            raise of("UserNotFound")
        if request.role != "root" and request.role not in self.roles:
            raise of("RoleNotFound")
        if request.role not in self.users[request.name]["roles"]:
            self.users[request.name]["roles"].add(request.role)
            self.revision += 1

    def UserRevokeRole(self, request: requests.UserRevokeRole) -> None:
        if self.enabled and request.name == "root" and request.role == "root":
            raise of("InvalidAuthMgmt")
        if request.name not in self.users:
            raise of("UserNotFound")
        if request.role not in self.users[request.name]["roles"]:
            raise of("RoleNotGranted")
        self.users[request.name]["roles"].remove(request.role)
        self.revision += 1

    def RoleAdd(self, request: requests.RoleAdd) -> None:
        if request.name == "":
            raise of("RoleEmpty")
        if request.name in self.roles:
            raise of("RoleAlreadyExist")
        self.roles[request.name] = []
        self.revision += 1

    def RoleDelete(self, request: requests.RoleDelete) -> None:
        if self.enabled and request.name == "root":
            raise of("InvalidAuthMgmt")
        if request.name not in self.roles:
            raise of("RoleNotFound")
        del self.roles[request.name]
        for user in self.users.values():
            user["roles"].discard(request.name)
        self.revision += 1

    def RoleGrantPermission(self, request: requests.RoleGrantPermission) -> None:
        given = request.permission
        if given is None:
            raise of("PermissionNotGiven")
        if given.key == b"":
            raise of("InvalidAuthMgmt")
        if given.range_end not in (b"", b"\0") and given.range_end <= given.key:
            raise of("InvalidAuthMgmt")
        if request.name not in self.roles:
            raise of("RoleNotFound")
        held = self.roles[request.name]
        same = [number for number, one in enumerate(held) if one.key == given.key]
        if same and held[same[0]].range_end == given.range_end:
            held[same[0]] = given
        else:
            held.append(given)
            held.sort(key=lambda one: one.key)
        self.revision += 1

    def RoleRevokePermission(self, request: requests.RoleRevokePermission) -> None:
        if request.name not in self.roles:
            raise of("RoleNotFound")
        held = self.roles[request.name]
        kept = [one for one in held if not (one.key == request.key and one.range_end == request.range_end)]
        if len(kept) == len(held):
            raise of("PermissionNotGranted")
        self.roles[request.name] = kept
        self.revision += 1

    def check(
        self, username: str | None, auth_revision: int, key: bytes, end: bytes | None, writing: bool
    ) -> None:
        """Raises unless every point of [key, end) that matters lies in some permission of the user."""
        if not self.enabled or username is None:
            return
        if auth_revision == 0:
            raise of("UserEmpty")
        if auth_revision < self.revision:
            raise of("AuthOldRevision")
        if username not in self.users:
            raise of("PermissionDenied")
        roles = self.users[username]["roles"]
        if "root" in roles:
            return
        held = [
            one for name in roles if name in self.roles for one in self.roles[name]
            if one.type == requests.PermissionType.READWRITE
            or (one.type == requests.PermissionType.WRITE) == writing
        ]  # fmt: skip
        asked = [point for point in POINTS if inside(point, key, end or b"")] or [key]
        if not all(any(inside(point, one.key, one.range_end) for one in held) for point in asked):
            raise of("PermissionDenied")


def outcome(call: Any) -> Any:
    """What the call answers, or the text of its refusal."""
    try:
        return call()
    except StoreError as refused:
        return refused.text
