"""Service accounts as clients of a server in this process: who they are is said, and no token needed.

What an account may do is decided by its roles, as behind HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kcore.apiserver.local import LocalCalls
from kcore.apiserver.user import ALL_AUTHENTICATED, UserInfo, service_account_groups, service_account_username
from kcore.client.accounts import ensure_account
from kcore.client.asynchronous import AsyncClient
from kcore.controllers.accounts import NAMESPACE

if TYPE_CHECKING:
    from kcore.apiserver.assembly import Assembly


async def local_accounts(
    assembly: Assembly, client: AsyncClient, manager: str, names: Iterable[str]
) -> tuple[dict[str, AsyncClient], list[LocalCalls]]:
    """Clients of the accounts of kube-system by these names, which ``client`` makes where they are not; and their calls."""
    names = list(names)
    there = await client.list("serviceaccounts", NAMESPACE)
    uids = {each["metadata"]["name"]: each["metadata"]["uid"] for each in there["items"]}
    clients, made = {}, []
    for name in names:
        uid = uids.get(name) or await ensure_account(client, NAMESPACE, name)
        groups = (*service_account_groups(NAMESPACE), ALL_AUTHENTICATED)
        user = UserInfo(service_account_username(NAMESPACE, name), uid, groups)
        calls = LocalCalls(
            assembly.registry, assembly.cacher, assembly.catalog, user, authorizer=assembly.authorizer
        )
        made.append(calls)
        clients[name] = AsyncClient(calls, field_manager=manager)
    return clients, made
