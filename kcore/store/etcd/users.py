"""The Auth service (etcd ``v3rpc/auth.go`` and ``server/auth/store.go``): requests become entries of the users' table.

Passwords are hashed here, in a thread, before anything is proposed: no plain password reaches the log.
"""

import asyncio
import base64
import binascii
import time
from typing import Any

from kcore.store import auth_requests, errors, passwords
from kcore.store.auth_requests import Permission
from kcore.store.etcd import messages
from kcore.store.etcd.access import Access
from kcore.store.etcd.requests import Headers
from kcore.store.etcd.rpc import Context
from kcore.store.face import Store
from kcore.store.tokens import SignedTokens


class UserService:
    """``etcdserverpb.Auth``."""

    def __init__(self, store: Store, access: Access, *, bcrypt_cost: int = passwords.COST_DEFAULT) -> None:
        self.store = store
        self.headers = Headers(store)
        self.access = access
        self.bcrypt_cost = bcrypt_cost

    async def _apply(self, change: auth_requests.Request, context: Context) -> Any:
        store = await self.access.store(context)
        return await store.auth_apply(*auth_requests.encode_request(change))

    async def _asker(self, context: Context) -> str | None:
        """Whose rights a question is checked by; None where nobody is checked. The table is up to date then."""
        await self.store.linearize()
        if not self.store.auth_state.enabled:
            return None
        return (await self.access.identity(context)).username

    async def _hash(self, password: str, hashed: str) -> bytes:
        """The hash to keep: of the password, or the one that the client made itself (base64)."""
        if not password and hashed:
            try:
                return base64.b64decode(hashed, validate=True)
            except binascii.Error:
                raise errors.of("AuthFailed") from None
        return await asyncio.to_thread(passwords.hashed, password, self.bcrypt_cost)

    # -- the checks -------------------------------------------------------------------------------------------------

    async def auth_enable(self, request: Any, context: Context) -> Any:
        """Callers are checked from now on."""
        await self._apply(auth_requests.Enable(), context)
        return messages.AuthEnableResponse(header=self.headers.now())

    async def auth_disable(self, request: Any, context: Context) -> Any:
        """Nobody is checked from now on."""
        await self._apply(auth_requests.Disable(), context)
        return messages.AuthDisableResponse(header=self.headers.now())

    async def auth_status(self, request: Any, context: Context) -> Any:
        """Whether callers are checked."""
        await self.store.linearize()
        await self.access.administrator(context)
        state = self.store.auth_state
        return messages.AuthStatusResponse(
            header=self.headers.now(), enabled=state.enabled, authRevision=state.revision
        )

    async def authenticate(self, request: Any, context: Context) -> Any:
        """A token for a name and password."""
        tokens = self.access.tokens
        if isinstance(tokens, SignedTokens):
            await self.store.linearize()
            hashed, revision = self.store.auth_state.password_hash(request.name)
            if not await asyncio.to_thread(passwords.matches, request.password, hashed):
                raise errors.of("AuthFailed")
            token = tokens.sign(request.name, revision, time.time())
        else:
            token = await self.store.authenticate(request.name, request.password)
        return messages.AuthenticateResponse(header=self.headers.now(), token=token)

    # -- users ------------------------------------------------------------------------------------------------------

    async def user_add(self, request: Any, context: Context) -> Any:
        """A new user."""
        if not request.name:
            raise errors.of("UserEmpty")
        no_password = request.options.no_password
        hashed = b"" if no_password else await self._hash(request.password, request.hashedPassword)
        await self._apply(auth_requests.UserAdd(request.name, hashed, no_password), context)
        return messages.AuthUserAddResponse(header=self.headers.now())

    async def user_get(self, request: Any, context: Context) -> Any:
        """A user's roles."""
        asker = await self._asker(context)
        roles = self.store.auth_state.user_get(request.name, asker)
        return messages.AuthUserGetResponse(header=self.headers.now(), roles=roles)

    async def user_list(self, request: Any, context: Context) -> Any:
        """All users."""
        asker = await self._asker(context)
        users = self.store.auth_state.user_list(asker)
        return messages.AuthUserListResponse(header=self.headers.now(), users=users)

    async def user_delete(self, request: Any, context: Context) -> Any:
        """A user fewer."""
        await self._apply(auth_requests.UserDelete(request.name), context)
        return messages.AuthUserDeleteResponse(header=self.headers.now())

    async def user_change_password(self, request: Any, context: Context) -> Any:
        """Another password; an empty one matches nothing."""
        if request.password or request.hashedPassword:
            hashed = await self._hash(request.password, request.hashedPassword)
        else:
            hashed = b""
        await self._apply(auth_requests.UserChangePassword(request.name, hashed), context)
        return messages.AuthUserChangePasswordResponse(header=self.headers.now())

    async def user_grant_role(self, request: Any, context: Context) -> Any:
        """The user has the role."""
        await self._apply(auth_requests.UserGrantRole(request.user, request.role), context)
        return messages.AuthUserGrantRoleResponse(header=self.headers.now())

    async def user_revoke_role(self, request: Any, context: Context) -> Any:
        """The user has not the role."""
        await self._apply(auth_requests.UserRevokeRole(request.name, request.role), context)
        return messages.AuthUserRevokeRoleResponse(header=self.headers.now())

    # -- roles ------------------------------------------------------------------------------------------------------

    async def role_add(self, request: Any, context: Context) -> Any:
        """A new role."""
        await self._apply(auth_requests.RoleAdd(request.name), context)
        return messages.AuthRoleAddResponse(header=self.headers.now())

    async def role_get(self, request: Any, context: Context) -> Any:
        """A role's permissions."""
        asker = await self._asker(context)
        permissions = self.store.auth_state.role_get(request.role, asker)
        return messages.AuthRoleGetResponse(
            header=self.headers.now(),
            perm=[
                messages.Permission(permType=each.type, key=each.key, range_end=each.range_end)
                for each in permissions
            ],
        )

    async def role_list(self, request: Any, context: Context) -> Any:
        """All roles."""
        asker = await self._asker(context)
        roles = self.store.auth_state.role_list(asker)
        return messages.AuthRoleListResponse(header=self.headers.now(), roles=roles)

    async def role_delete(self, request: Any, context: Context) -> Any:
        """A role fewer."""
        await self._apply(auth_requests.RoleDelete(request.role), context)
        return messages.AuthRoleDeleteResponse(header=self.headers.now())

    async def role_grant_permission(self, request: Any, context: Context) -> Any:
        """The role may touch a range."""
        given = None
        if request.HasField("perm"):
            given = Permission(request.perm.permType, request.perm.key, request.perm.range_end)
        await self._apply(auth_requests.RoleGrantPermission(request.name, given), context)
        return messages.AuthRoleGrantPermissionResponse(header=self.headers.now())

    async def role_revoke_permission(self, request: Any, context: Context) -> Any:
        """The role may not touch a range."""
        change = auth_requests.RoleRevokePermission(request.role, request.key, request.range_end)
        await self._apply(change, context)
        return messages.AuthRoleRevokePermissionResponse(header=self.headers.now())
