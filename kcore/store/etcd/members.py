"""The Cluster service (etcd ``v3rpc/member.go``). Its headers have no revision, as etcd's have none."""

from collections.abc import Iterable
from typing import Any

from kcore.store import errors
from kcore.store.etcd import addresses, messages
from kcore.store.etcd.access import Access
from kcore.store.etcd.requests import Headers
from kcore.store.etcd.rpc import Context
from kcore.store.face import MemberInfo, Store


class MemberService:
    """``etcdserverpb.Cluster``."""

    def __init__(self, store: Store, access: Access) -> None:
        self.headers = Headers(store)
        self.access = access

    async def member_add(self, request: Any, context: Context) -> Any:
        """A place for a new member."""
        urls = checked_urls(request.peerURLs)
        store = await self.access.administrator(context)
        added, members = await store.member_add(urls, is_learner=request.isLearner)
        return messages.MemberAddResponse(
            header=self.headers.at(0), member=member(added), members=map(member, members)
        )

    async def member_remove(self, request: Any, context: Context) -> Any:
        """One fewer."""
        store = await self.access.administrator(context)
        members = await store.member_remove(request.ID)
        return messages.MemberRemoveResponse(header=self.headers.at(0), members=map(member, members))

    async def member_update(self, request: Any, context: Context) -> Any:
        """Other peer URLs."""
        store = await self.access.administrator(context)
        members = await store.member_update(request.ID, tuple(request.peerURLs))
        return messages.MemberUpdateResponse(header=self.headers.at(0), members=map(member, members))

    async def member_list(self, request: Any, context: Context) -> Any:
        """All members."""
        await self.access.known(context)
        members = await self.access.trusted.members(serializable=not request.linearizable)
        return messages.MemberListResponse(header=self.headers.at(0), members=map(member, members))

    async def member_promote(self, request: Any, context: Context) -> Any:
        """A learner gets a vote."""
        store = await self.access.administrator(context)
        members = await store.member_promote(request.ID)
        return messages.MemberPromoteResponse(header=self.headers.at(0), members=map(member, members))


def member(info: MemberInfo) -> Any:
    """The message of a member."""
    return messages.Member(
        ID=info.id,
        name=info.name,
        peerURLs=info.peer_urls,
        clientURLs=info.client_urls,
        isLearner=info.is_learner,
    )


def checked_urls(urls: Iterable[str]) -> tuple[str, ...]:
    """The URLs sorted; refuses what etcd's ``types.NewURLs`` refuses."""
    try:
        checked = sorted(addresses.checked(url.strip()) for url in urls)
    except ValueError:
        checked = []
    if not checked:
        raise errors.of("MemberBadURLs")
    return tuple(checked)
