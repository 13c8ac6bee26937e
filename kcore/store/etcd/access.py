"""Who asks, and whether they may: tokens, client certificates, learners, callers that insist on a leader.

etcd: ``server/auth/store.go`` (who is it), ``v3rpc/interceptor.go`` (what any call must pass).
"""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, Final

from kcore.store import errors
from kcore.store.errors import StoreError
from kcore.store.etcd.rpc import Call, Context, Method, Stream
from kcore.store.face import Identity, Store
from kcore.store.tokens import SignedTokens, SimpleTokens, token_index

NOBODY: Final = Identity("", 0)
IDENTITIES_KEPT_MAX: Final = 256  # views of the store, one a user

TOKEN: Final = b"token"
AUTHORIZATION: Final = b"authorization"
HAS_LEADER: Final = b"hasleader"
CLIENT_API_VERSION: Final = b"client-api-version"

SNAPSHOT: Final = b"/etcdserverpb.Maintenance/Snapshot"
RANGE: Final = b"/etcdserverpb.KV/Range"
# A learner answers these, and serializable ranges; probes are no call of etcd's.
LEARNER: Final = (b"/etcdserverpb.Maintenance/Status", SNAPSHOT)
UNCHECKED: Final = (b"/grpc.health.", b"/grpc.reflection.")


class Access:
    """The store as a caller may see it."""

    def __init__(
        self, store: Store, tokens: SimpleTokens | SignedTokens, *, client_cert_auth: bool = False
    ) -> None:
        self.trusted = store
        self.tokens = tokens
        self.client_cert_auth = client_cert_auth
        self._views: dict[Identity, Store] = {}

    def open(self, context: Context) -> Store | None:
        """The store where nobody is checked; None where ``store`` must be awaited."""
        return None if self.trusted.auth_state.enabled else self.trusted

    async def store(self, context: Context) -> Store:
        """The store that checks the caller; refuses a bad token."""
        if not self.trusted.auth_state.enabled:
            return self.trusted
        identity = await self.identity(context)
        view = self._views.get(identity)
        if view is None:
            if len(self._views) >= IDENTITIES_KEPT_MAX:
                self._views.clear()
            view = self._views[identity] = self.trusted.as_user(identity)
        return view

    async def known(self, context: Context) -> Store:
        """The store for calls that anyone may make who says who they are."""
        if not self.trusted.auth_state.enabled:
            return self.trusted
        if not (await self.identity(context)).username:
            raise errors.of("UserEmpty")
        return self.trusted

    async def administrator(self, context: Context) -> Store:
        """The store for calls that only root may make."""
        store = await self.store(context)
        if store is not self.trusted:
            identity = await self.identity(context)
            self.trusted.auth_state.check_admin(identity.username)
        return store

    async def identity(self, context: Context) -> Identity:
        """Who calls: by token, else by the certificate's common name where that counts, else nobody."""
        token = context.headers.get(TOKEN) or context.headers.get(AUTHORIZATION)
        if token is not None:
            return await self._bearer(token.decode(errors="replace").removeprefix("Bearer "))
        if self.client_cert_auth and context.peer.common_name:
            return Identity(context.peer.common_name, self.trusted.auth_state.revision)
        return NOBODY

    async def _bearer(self, token: str) -> Identity:
        if isinstance(self.tokens, SignedTokens):
            found = self.tokens.look_up(token, time.time())
        else:
            now_ms = time.monotonic_ns() // 1_000_000
            found = self.tokens.look_up(token, now_ms)
            if found is None and token_index(token) is not None:
                await (
                    self.trusted.linearize()
                )  # another member made it, and this one may not have applied that yet
                found = self.tokens.look_up(token, now_ms)
        if found is None:
            raise errors.of("InvalidAuthToken")
        revision = found.auth_revision
        return Identity(found.username, self.trusted.auth_state.revision if revision is None else revision)

    # -- what any call must pass ------------------------------------------------------------------------------------

    def guarded(self, methods: dict[bytes, Method]) -> dict[bytes, Method]:
        """The same methods, refused where this member is a learner or the caller insists on a leader there is not."""
        return {path: self._guarded(method) for path, method in methods.items()}

    def _guarded(self, method: Method) -> Method:
        if method.path.startswith(UNCHECKED):
            return method
        return method._replace(call=self._stream(method) if method.streaming else self._unary(method))

    def _unary(self, method: Method) -> Call:
        store, call = self.trusted, method.call
        learner_may = method.path in LEARNER
        is_range = method.path == RANGE

        def checked(request: Any, context: Context) -> Awaitable[Any]:
            if store.is_learner and not learner_may and not (is_range and request.serializable):
                raise errors.of("NotSupportedForLearner")
            if self._insists(context) and not store.leader_id:
                raise errors.of("NoLeader")
            return call(request, context)

        return checked

    def _stream(self, method: Method) -> Call:
        store, call = self.trusted, method.call
        learner_may = method.path in LEARNER

        async def checked(stream: Stream, context: Context) -> None:
            if store.is_learner and not learner_may:
                raise errors.of("NotSupportedForLearner")
            if not self._insists(context):
                await call(stream, context)
                return
            if not store.leader_id:
                raise errors.of("NoLeader")
            await self._while_led(call, stream, context)

        return checked

    async def _while_led(self, call: Call, stream: Stream, context: Context) -> None:
        """The call, cut off with etcd's error when the leader is lost for good."""
        task = asyncio.current_task()
        assert task is not None
        lost: StoreError | None = None

        def on_lost() -> None:
            nonlocal lost
            lost = errors.of("NoLeader")
            task.cancel()

        take_back = self.trusted.on_leader_lost(on_lost)
        try:
            await call(stream, context)
        except asyncio.CancelledError:
            if lost is None:
                raise
            raise lost from None
        finally:
            take_back()

    @staticmethod
    def _insists(context: Context) -> bool:
        version = context.headers.get(CLIENT_API_VERSION)
        if version is not None and not version.isascii():
            try:
                version.decode()
            except UnicodeDecodeError:
                raise errors.of("InvalidClientAPIVersion") from None
        return context.headers.get(HAS_LEADER) == b"true"
