"""Requests that are passed on: headers, bodies, streams, upgrades, targets that are not there."""

from __future__ import annotations

import asyncio
import socket

import pytest

from kcore.api.status import ApiError
from kcore.apiserver.proxying import Kubelets
from kcore.apiserver.registry.connecting import Target
from kcore.http.message import Peer, Pieces, Request, Response
from tests.http.ports import open_port
from tests.http.test_http1 import Loud

HEAD = b"%b /x HTTP/1.1\r\nHost: door\r\nConnection: close\r\nX-Mine: 1\r\nAuthorization: Bearer secret\r\n"


async def kubelet(request: Request) -> Response:
    """A node: echoes, streams, or upgrades."""
    assert request.header(b"authorization") is None, "the client's credentials are not the kubelet's"
    if request.upgrade is not None:
        return Response(101, [(b"connection", b"Upgrade"), (b"upgrade", request.upgrade)], Loud())
    if request.path == b"/stream":
        return Response(200, [(b"content-type", b"text/plain")], Pieces(b"%d\n" % n for n in range(2000)))
    said = b" ".join(
        (request.method, request.path, request.query, request.header(b"x-mine") or b"", request.body)
    )
    return Response(201, [(b"x-node", b"n")], said)


def passed_on(path: str, sent: bytes, *later: bytes) -> bytes:
    """What a client gets that asks the door, behind which the node is."""

    async def main() -> bytes:
        async with open_port(kubelet) as node:
            kubelets = Kubelets(None, lambda: None)

            async def door(request: Request) -> Response:
                await asyncio.sleep(0)
                target = Target("http", "127.0.0.1", node.port)
                return await kubelets.forwarded(request, target, path, "a=b")

            async with open_port(door) as port:
                return await port.send(sent, *later)

    return asyncio.run(main())


def test_a_request_is_passed_on_as_it_is() -> None:
    text = passed_on("/y z", HEAD % b"POST" + b"Content-Length: 4\r\n\r\nbody")
    assert text.startswith(b"HTTP/1.1 201 Created\r\n")
    assert b"x-node: n\r\n" in text
    assert b"POST /y%20z a=b 1 body" in text


def test_a_stream_is_passed_on_as_it_comes() -> None:
    text = passed_on("/stream", HEAD % b"GET" + b"\r\n")
    assert b"transfer-encoding: chunked" in text
    assert text.endswith(b"0\r\n\r\n")
    assert b"1999\n" in text


def test_an_upgrade_is_a_tunnel_to_the_node() -> None:
    head = b"POST /x HTTP/1.1\r\nHost: door\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
    text = passed_on("/exec", head, b"some ", b"bytes.")
    assert text.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert text.partition(b"\r\n\r\n")[2] == b"SOME BYTES."  # and nothing of the head


def refused(target: Target, *, upgrade: bytes | None = None, is_log: bool = False) -> ApiError:
    """What a client is told whose target is not reached."""

    async def main() -> ApiError:
        request = Request(b"GET", b"/", b"", (), b"", Peer("127.0.0.1:1"), upgrade=upgrade)
        kubelets = Kubelets(None, lambda: None)
        with pytest.raises(ApiError) as caught:
            await kubelets.forwarded(request, target, target.path, target.query, is_log=is_log)
        return caught.value

    return asyncio.run(main())


def test_a_target_that_is_not_there_is_told_in_gos_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    why = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    target = Target("https", "127.0.0.1", port, "/containerLogs/default/web/c", "follow=true")
    proxied = refused(target)
    assert (proxied.code, proxied.reason) == (503, "ServiceUnavailable")
    assert proxied.message == f"error trying to reach service: {why}"
    log = refused(target, is_log=True)
    assert (log.code, log.reason) == (500, "")
    assert log.message == f'Get "https://127.0.0.1:{port}/containerLogs/default/web/c?follow=true": {why}'
    upgraded = refused(target, upgrade=b"SPDY/3.1")
    assert (upgraded.code, upgraded.message) == (500, f"error dialing backend: {why}")
    nowhere = refused(Target("http", "no-such-node.invalid", 10250))
    assert nowhere.message == (
        "error trying to reach service: dial tcp: lookup no-such-node.invalid: no such host"
    )
