"""TLS of the client port: who must show a certificate, whose name counts, and certificates that are renewed."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
import trustme

from kcore.api.errors import InputError
from kcore.http.frames import PREFACE
from kcore.store.etcd import messages as pb
from kcore.store.etcd.certificates import ServerFiles, openssl_name, self_signed, server_context
from tests.store.etcd.ports import Client, connect, open_port, refused

RANGE = "etcdserverpb.KV/Range"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def written(
    authority: trustme.CA, folder: Path, *names: str, common_name: str | None = None
) -> tuple[str, str, str]:
    """Files (certificate, key, authority)."""
    folder.mkdir(exist_ok=True)
    made = authority.issue_cert(*(names or ("localhost", "127.0.0.1")), common_name=common_name)
    made.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    made.private_key_pem.write_to_path(str(folder / "key.pem"))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return str(folder / "cert.pem"), str(folder / "key.pem"), str(folder / "ca.pem")


def credentials(authority: trustme.CA, common_name: str | None = None) -> grpc.ChannelCredentials:
    root = authority.cert_pem.bytes()
    if common_name is None:
        return grpc.ssl_channel_credentials(root)
    made = authority.issue_cert("client", common_name=common_name)
    return grpc.ssl_channel_credentials(root, made.private_key_pem.bytes(), made.cert_chain_pems[0].bytes())


async def is_served(client: Client) -> bool:
    call = client.call(RANGE, pb.RangeRequest(key=b"a"), timeout=2)
    (ended,) = await asyncio.gather(call, return_exceptions=True)
    if isinstance(ended, grpc.aio.AioRpcError):
        assert ended.code().name in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
        return False
    assert not isinstance(ended, BaseException), ended
    return True


def test_grpc_and_pages_over_tls(authority: trustme.CA, tmp_path: Path) -> None:
    async def run() -> None:
        cert, key, ca = written(authority, tmp_path)
        async with open_port(tls=server_context(ServerFiles(cert, key))) as port:
            async with connect(port, credentials(authority)) as client:
                assert await is_served(client)
            async with connect(port) as plain:
                assert not await is_served(plain)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port.port, ssl=ssl.create_default_context(cafile=ca), server_hostname="localhost"
            )
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).endswith(b'{"health":"true","reason":""}')
            writer.close()

    asyncio.run(run())


def test_an_authority_demands_certificates(authority: trustme.CA, tmp_path: Path) -> None:
    async def run() -> None:
        cert, key, ca = written(authority, tmp_path)
        async with open_port(tls=server_context(ServerFiles(cert, key, ca))) as port:
            async with connect(port, credentials(authority, "someone")) as client:
                assert await is_served(client)
            async with connect(port, credentials(authority)) as nobody:
                assert not await is_served(nobody)
            stranger = trustme.CA().issue_cert("client")
            foreign = grpc.ssl_channel_credentials(
                authority.cert_pem.bytes(),
                stranger.private_key_pem.bytes(),
                stranger.cert_chain_pems[0].bytes(),
            )
            async with connect(port, foreign) as client:
                assert not await is_served(client)

    asyncio.run(run())


def test_the_common_name_is_the_user(authority: trustme.CA, tmp_path: Path) -> None:
    async def run() -> None:
        cert, key, ca = written(authority, tmp_path)
        context = server_context(ServerFiles(cert, key, ca, client_cert_auth=True))
        async with open_port(tls=context, client_cert_auth=True) as port:
            async with connect(port, credentials(authority, "root")) as root:
                await root.call(
                    "etcdserverpb.Auth/UserAdd", pb.AuthUserAddRequest(name="root", password="pw")
                )
                grant = pb.AuthUserGrantRoleRequest(user="root", role="root")
                await root.call("etcdserverpb.Auth/UserGrantRole", grant)
                await root.call("etcdserverpb.Auth/AuthEnable", pb.AuthEnableRequest())
                assert await is_served(root)
                listed = await root.call("etcdserverpb.Auth/UserList", pb.AuthUserListRequest())
                assert list(listed.users) == ["root"]
            async with connect(port, credentials(authority, "someone")) as client:
                code, _ = await refused(client.call(RANGE, pb.RangeRequest(key=b"a")))
                assert code == "PERMISSION_DENIED"

    asyncio.run(run())


def test_renewed_certificates_are_used_for_new_connections(tmp_path: Path) -> None:
    async def run() -> None:
        old, new = trustme.CA(), trustme.CA()
        cert, key, _ = written(old, tmp_path)
        async with open_port(tls=server_context(ServerFiles(cert, key))) as port:
            async with connect(port, credentials(old)) as before:
                assert await is_served(before)
                written(new, tmp_path)
                async with connect(port, credentials(new)) as after:
                    assert await is_served(after)
                assert await is_served(before), "open connections go on"
            Path(cert).write_text("nonsense")
            async with connect(port, credentials(new)) as client:
                assert await is_served(client), "what cannot be used is not"

    asyncio.run(run())


def test_names_demanded_of_clients(authority: trustme.CA, tmp_path: Path) -> None:
    async def run() -> None:
        cert, key, ca = written(authority, tmp_path)
        context = server_context(ServerFiles(cert, key, ca))
        async with (
            open_port(tls=context, access={"hostnames": ("client",)}) as port,
            connect(port, credentials(authority, "x")) as client,
        ):
            assert await is_served(client)
        async with (
            open_port(tls=context, access={"hostnames": ("other",)}) as port,
            connect(port, credentials(authority, "x")) as client,
        ):
            assert not await is_served(client)

    asyncio.run(run())


def test_no_connection_outlives_the_server(authority: trustme.CA, tmp_path: Path) -> None:
    def silent(address: tuple[str, int]) -> ssl.SSLSocket:
        """A client that is refused for its name, and never says goodbye."""
        context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
        authority.issue_cert("x").configure_cert(context)
        connection = context.wrap_socket(socket.create_connection(address), server_hostname="localhost")
        connection.sendall(PREFACE)
        return connection

    async def run() -> None:
        cert, key, ca = written(authority, tmp_path)
        context = server_context(ServerFiles(cert, key, ca))
        async with open_port(tls=context, access={"hostnames": ("other",)}) as port:
            connection = await asyncio.to_thread(silent, ("127.0.0.1", port.port))
            async with asyncio.timeout(30):
                while not any(each.transport.is_closing() for each in port.server.listener.connections):
                    await asyncio.sleep(0.01)
        assert not port.server.listener.connections
        connection.close()

    asyncio.run(run())


def test_a_certificate_that_signs_itself_is_made_once(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path / "made", ["localhost", "127.0.0.1"], 1)
    assert self_signed(tmp_path / "made", ["other"], 1) == (cert, key)
    assert Path(key).stat().st_mode & 0o777 == 0o600

    async def run() -> None:
        async with open_port(tls=server_context(ServerFiles(cert, key))) as port:
            trusted = grpc.ssl_channel_credentials(Path(cert).read_bytes())
            async with connect(port, trusted) as client:
                assert await is_served(client)

    asyncio.run(run())


def spoiled(what: str) -> Callable[[ServerFiles], ServerFiles]:
    changes = {
        "key": lambda files: ServerFiles(files.cert_file, files.cert_file),
        "missing": lambda files: ServerFiles(files.cert_file + "x", files.key_file),
        "authority": lambda files: ServerFiles(files.cert_file, files.key_file, files.key_file),
        "ciphers": lambda files: ServerFiles(files.cert_file, files.key_file, cipher_suites=("TLS_NOTHING",)),
    }
    return changes[what]


@pytest.mark.parametrize("what", ["key", "missing", "authority", "ciphers"])
def test_files_that_cannot_be_used_are_named(what: str, authority: trustme.CA, tmp_path: Path) -> None:
    cert, key, _ = written(authority, tmp_path)
    with pytest.raises(InputError, match=r"cannot use|unknown among"):
        server_context(spoiled(what)(ServerFiles(cert, key)))


@pytest.mark.parametrize(
    ("go", "openssl"),
    [
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
        ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA"),
        ("TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
    ],
)
def test_cipher_names(go: str, openssl: str) -> None:
    assert openssl_name(go) == openssl
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(openssl)
