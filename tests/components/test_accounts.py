"""Controllers as service accounts: over HTTP by tokens, in process by name."""

import asyncio
from typing import Any

import pytest

import kcore
from kcore.api.status import ApiError
from kcore.apiserver.assembly import Assembly, Options
from kcore.apiserver.local import LocalCalls
from kcore.client import kubeconfig
from kcore.client.accounts import Accounts
from kcore.client.asynchronous import AsyncClient
from kcore.client.remote import connect
from kcore.components.local_accounts import local_accounts
from kcore.controllers import accounts, catalog
from kcore.store.embedded import Embedded

ME = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
USER = "system:serviceaccount:kube-system:deployment-controller"


@pytest.fixture(scope="module")
def plane() -> Any:
    with kcore.ControlPlane() as made:
        yield made


async def whoami(client: AsyncClient) -> Any:
    return (await client.create(ME))["status"]["userInfo"]


def test_over_http_an_account_has_a_token_and_another_when_that_is_refused(plane: kcore.ControlPlane) -> None:
    async def main() -> None:
        access = kubeconfig.load(plane.kubeconfig)
        async with connect(access) as root:
            made = Accounts(root, access, "kube-system", field_manager="me", user_agent="me")
            client, other = made.of("deployment-controller"), made.of("cronjob-controller")
            users = await asyncio.gather(*(whoami(each) for each in (client, client, other)))
            assert [each["username"] for each in users] == [USER, USER, USER.replace("deployment", "cronjob")]
            assert users[0]["extra"] == users[1]["extra"]  # one token
            account = await root.get("serviceaccounts", "deployment-controller", "kube-system")
            assert account["metadata"]["uid"] == users[0]["uid"]
            await client.list("deployments")
            with pytest.raises(ApiError, match=f'User "{USER}" cannot list resource "secrets"'):
                await client.list("secrets")
            await root.delete("serviceaccounts", "deployment-controller", "kube-system")
            found = await whoami(client)  # 401 at first: the account is made anew, and its token
            assert found["username"] == USER
            assert found["uid"] != users[0]["uid"]
            await made.close()

    asyncio.run(main())


def test_in_process_an_account_is_said_and_its_role_decides() -> None:
    async def main() -> None:
        kv = await Embedded.open(None)
        assembly = Assembly(kv, Options())
        await assembly.start()
        admin = AsyncClient(LocalCalls(assembly.registry, assembly.cacher, assembly.catalog))
        names = ["deployment-controller", "certificate-controller"]
        clients, _ = await local_accounts(assembly, admin, "me", names)
        assert list(clients) == names
        client = clients["deployment-controller"]
        await client.list("deployments")
        with pytest.raises(ApiError, match='pods "a" not found'):
            await client.get("pods", "a", "b")
        with pytest.raises(ApiError, match=f'User "{USER}" cannot list resource "secrets" in API group ""'):
            await client.list("secrets")
        with pytest.raises(
            ApiError, match=f'nodes "a" is forbidden: User "{USER}" cannot delete resource "nodes"'
        ):
            await client.delete("nodes", "a")
        account = await admin.get("serviceaccounts", "deployment-controller", "kube-system")
        assert await whoami(client) == {
            "username": USER, "uid": account["metadata"]["uid"],
            "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
        }  # fmt: skip
        again, _ = await local_accounts(assembly, admin, "me", names)
        assert (await whoami(again["deployment-controller"]))["uid"] == account["metadata"]["uid"]
        await assembly.stop()
        await kv.close()

    asyncio.run(main())


def test_each_controller_has_an_account_that_a_role_is_bound_to(plane: kcore.ControlPlane) -> None:
    roles = {each["metadata"]["name"] for each in plane.client.list("clusterroles")["items"]}
    roles |= {each["metadata"]["name"] for each in plane.client.list("roles", "kube-system")["items"]}
    for entry in catalog.ENTRIES:
        account = accounts.account_of(entry.type.name)
        assert account == accounts.OWN or f"system:controller:{account}" in roles, entry.type.name
