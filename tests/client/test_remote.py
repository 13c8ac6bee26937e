"""The client over HTTP: what it asks, what it makes of answers, and what it does when they do not come."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from kcore.api.status import ApiError
from kcore.client import discovery, remote
from kcore.client.kubeconfig import Access, Pem
from kcore.client.remote import connect
from kcore.clock import VirtualClock
from kcore.http.dial import DialError
from kcore.http.exchange import LostError
from kcore.http.message import Request, Response
from tests.client.servers import AUTHORITY, Lines, Proxy, answer, discovered, served

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "default"}}
WAYS = {"http/2": {}, "http/1.1": {"http2": False}, "plain": {"tls": False}}


def scripted(*answers: Response) -> tuple[Callable[[Request], Awaitable[Response]], list[Request]]:
    """A handler that knows discovery and gives these answers, the last one over and over; what it was asked."""
    asked: list[Request] = []
    left = list(answers)

    async def handler(request: Request) -> Response:
        found = discovered(request)
        if found is not None:
            return found
        asked.append(request)
        return left.pop(0) if len(left) > 1 else left[0]

    return handler, asked


@pytest.mark.parametrize("way", WAYS)
def test_a_request_says_what_it_is_and_its_answer_is_read(way: str) -> None:
    async def test() -> None:
        handler, asked = scripted(
            answer(POD, 201, (b"warning", b'299 - "first \\"one\\"", 299 - "second"')), answer(POD), answer({"items": []}),
        )  # fmt: skip
        warned: list[str] = []
        async with served(handler, **WAYS[way]) as access:
            access = dataclasses.replace(access, token="secret", impersonate="ann")
            async with connect(access, user_agent="me/1", on_warning=warned.append) as client:
                assert await client.create(POD, dry_run=True) == POD
                await client.delete("pod", "a", grace_period_seconds=0)
                await client.list("pods", label_selector="a in (b,c)", limit=5)
        assert warned == ['first "one"', "second"]
        first, second, third = asked
        assert (first.method, first.path) == (b"POST", b"/api/v1/namespaces/default/pods")
        assert first.query == b"fieldManager=kcore&dryRun=All"
        for name, value in (
            (b"authorization", b"Bearer secret"), (b"impersonate-user", b"ann"), (b"user-agent", b"me/1"),
            (b"content-type", b"application/json"), (b"accept", b"application/json"),
        ):  # fmt: skip
            assert first.header(name) == value
        assert second.body == b'{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0}'
        assert third.query == b"labelSelector=a+in+%28b%2Cc%29&limit=5"
        assert third.header(b"content-type") is None

    asyncio.run(test())


@pytest.mark.parametrize("way", WAYS)
def test_a_watch_is_whole_lines_and_ends_when_left(way: str) -> None:
    async def test() -> None:
        lines = Lines()

        async def handler(request: Request) -> Response:
            return discovered(request) or Response(200, [(b"content-type", b"application/json")], lines)

        async with served(handler, **WAYS[way]) as access, connect(access) as client:
            seen = []

            async def watch() -> None:
                async for kind, obj in client.watch("pods", "default"):
                    seen.append((kind, obj["metadata"]["name"]))
                    if len(seen) == 3:
                        return

            task = asyncio.ensure_future(watch())
            await lines.started.wait()
            line = b'{"type":"ADDED","object":{"metadata":{"name":"%b"}}}\n'
            lines.outlet.write((line % b"a") + (line % b"b")[:10])
            await asyncio.sleep(0.01)
            assert seen == [("ADDED", "a")]
            lines.outlet.write((line % b"b")[10:] + line % b"c")
            await task
            assert [name for _, name in seen] == ["a", "b", "c"]
            async with asyncio.timeout(5):
                while not lines.is_stopped:
                    await asyncio.sleep(0.001)

    asyncio.run(test())


def test_a_watch_whose_connection_is_lost_says_so() -> None:
    async def test() -> None:
        lines = Lines()

        async def handler(request: Request) -> Response:
            return discovered(request) or Response(200, [], lines)

        for options in WAYS.values():
            lines.started.clear()
            async with served(handler, **options) as access, connect(access) as client:  # type: ignore[arg-type]
                task = asyncio.ensure_future(anext(client.watch("pods", "default")))
                await lines.started.wait()
                lines.outlet.abort()
                with pytest.raises(
                    LostError, match=r'Get "http.*/api/v1/namespaces/default/pods\?watch=true'
                ):
                    await task

    asyncio.run(test())


def test_a_server_that_asks_for_time_is_asked_again_after_it() -> None:
    async def test() -> None:
        busy = answer({"kind": "Status"}, 429, (b"retry-after", b"3"))
        handler, asked = scripted(busy, answer({}, 503, (b"retry-after", b"2")), answer(POD))
        clock = VirtualClock()
        async with served(handler) as access, connect(access, clock=clock) as client:
            task = asyncio.ensure_future(client.create(POD))
            await until(lambda: len(asked) == 1 and clock.next_s() is not None)
            await clock.advance(2.9)
            assert len(asked) == 1
            await clock.advance(0.2)
            await until(lambda: len(asked) == 2 and clock.next_s() is not None)
            await clock.advance(2)
            assert await task == POD

    asyncio.run(test())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.001)


def test_errors_are_the_servers_own_or_what_the_code_means() -> None:
    status = {
        "kind": "Status", "apiVersion": "v1", "message": "no", "reason": "Conflict", "details": {"name": "a"}, "code": 409,
    }  # fmt: skip
    error = remote.error_of(409, remote.orjson.dumps(status), "PUT")
    assert (error.code, error.reason, error.message, error.details) == (409, "Conflict", "no", {"name": "a"})
    assert remote.error_of(409, b"", "POST").reason == "AlreadyExists"
    assert (
        remote.error_of(404, b"nothing here", "GET").message
        == "the server could not find the requested resource"
    )
    assert 'an error on the server ("oops")' in remote.error_of(500, b"oops", "GET").message
    assert remote.error_of(403, b"go away", "GET").message == "go away"
    assert remote.error_of(418, b"", "GET").message == (
        "the server responded with the status code 418 but did not return more information"
    )


@pytest.mark.parametrize("http2", [True, False])
def test_a_lost_connection_is_got_over_where_only_reading_was_asked(http2: bool) -> None:
    async def test() -> None:
        lost = {"GET": 2, "POST": 1}
        asked = []

        async def handler(request: Request) -> Response:
            found = discovered(request)
            if found is not None:
                return found
            method = request.method.decode()
            asked.append(method)
            if lost[method]:
                lost[method] -= 1
                return Response(200, [], Broken())
            return answer(POD)

        clock = VirtualClock()
        async with served(handler, http2=http2) as access, connect(access, clock=clock) as client:
            task = asyncio.ensure_future(client.get("pods", "a"))
            while not task.done():
                await asyncio.sleep(0.001)
                await clock.advance(0.5)
            assert task.result() == POD
            with pytest.raises(LostError, match='Post "https'):
                await client.create(POD)
            assert asked == ["GET", "GET", "GET", "POST"]

    asyncio.run(test())


class Broken(Lines):
    """A stream that breaks at once."""

    def start(self, outlet: Any) -> None:
        outlet.write(b"{")
        asyncio.get_running_loop().call_soon(outlet.abort)


def test_401_brings_the_token_file_anew_once(tmp_path: Path) -> None:
    async def test() -> None:
        token = tmp_path / "token"
        token.write_text("old")

        async def handler(request: Request) -> Response:
            if request.header(b"authorization") != b"Bearer new":
                return answer({"kind": "Status", "apiVersion": "v1", "reason": "Unauthorized"}, 401)
            return discovered(request) or answer(POD)

        async with (
            served(handler) as access,
            connect(dataclasses.replace(access, token_path=str(token))) as client,
        ):
            with pytest.raises(ApiError) as raised:
                await client.get("pods", "a")
            assert raised.value.code == 401
            token.write_text("new")
            assert await client.get("pods", "a") == POD

    asyncio.run(test())


def test_unknown_kinds_are_found_by_discovery_and_asked_for_anew() -> None:
    async def test() -> None:
        handler, asked = scripted(answer({"metadata": {"name": "w"}}))
        async with served(handler) as access, connect(access) as client:
            row = await client.row("wd")
            assert (row.group, row.version, row.kind, row.namespaced) == ("example.com", "v2", "Widget", True)
            assert [each.name for each in row.subresources] == ["scale"]
            assert (await client.row("widgets", "example.com/v1")).version == "v1"
            await client.get("widget.example.com", "w")
            assert asked[-1].path == b"/apis/example.com/v2/namespaces/default/widgets/w"
            with pytest.raises(ApiError, match="could not find the requested resource"):
                await client.get("gadgets", "x")
            with pytest.raises(ApiError, match="could not find the requested resource"):
                await client.create(
                    {"apiVersion": "example.com/v9", "kind": "Widget", "metadata": {"name": "x"}}
                )

    asyncio.run(test())


def test_older_servers_are_asked_group_by_group() -> None:
    answers: dict[str, Any] = {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "groups": [
            {"name": "example.com", "versions": [{"version": "v1", "groupVersion": "example.com/v1"},
                                                 {"version": "v2", "groupVersion": "example.com/v2"}],
             "preferredVersion": {"version": "v2", "groupVersion": "example.com/v2"}},
            {"name": "away.example.com", "versions": [{"version": "v1", "groupVersion": "away.example.com/v1"}]},
        ]},
        "/api/v1": {"resources": [{"name": "pods", "singularName": "", "kind": "Pod", "namespaced": True, "verbs": ["get"]},
                                  {"name": "pods/binding", "kind": "Binding", "namespaced": True, "verbs": ["create"]}]},
        "/apis/example.com/v1": {"resources": [{"name": "widgets", "kind": "Widget", "namespaced": False, "verbs": ["list"]}]},
        "/apis/example.com/v2": {"resources": [{"name": "widgets", "kind": "Widget", "namespaced": False, "verbs": ["list"]}]},
    }  # fmt: skip

    async def get(path: str) -> Any:
        if path not in answers:
            raise ApiError(503, "ServiceUnavailable", "away")
        return answers[path]

    rows = asyncio.run(discovery.rows(get))
    assert [(row.plural, row.api_version, row.storage_version) for row in rows] == [
        ("pods", "v1", "v1"), ("widgets", "example.com/v2", "v2"), ("widgets", "example.com/v1", "v2"),
    ]  # fmt: skip
    assert rows[0].singular == "pod"
    assert [each.name for each in rows[0].subresources] == ["binding"]


def test_requests_are_bounded_where_that_is_wished() -> None:
    async def test() -> None:
        handler, asked = scripted(answer(POD))
        clock = VirtualClock()
        async with served(handler) as access, connect(access, qps=1, burst=4, clock=clock) as client:
            tasks = [asyncio.ensure_future(client.get("pods", "a")) for _ in range(5)]
            await until(lambda: len(asked) >= 1)
            await asyncio.sleep(0.02)
            assert len(asked) < 5
            await clock.advance(20)
            await asyncio.gather(*tasks)

    asyncio.run(test())


def test_many_requests_share_few_connections() -> None:
    async def test() -> None:
        async def handler(request: Request) -> Response:
            found = discovered(request)
            if found is None:
                await asyncio.sleep(0.002)
            return found or answer(POD)

        for options, connections_max in ((WAYS["http/2"], 4), (WAYS["http/1.1"], 100)):
            async with served(handler, **options) as access, connect(access) as client:  # type: ignore[arg-type]
                await asyncio.gather(*(client.get("pods", "a") for _ in range(300)))
                assert client._calls._connections.http.connection_count <= connections_max  # type: ignore[attr-defined]

    asyncio.run(test())


@pytest.mark.parametrize("way", WAYS)
def test_a_certificate_that_is_renewed_is_shown_by_new_connections(way: str, tmp_path: Path) -> None:
    async def test() -> None:
        lines = Lines()

        async def handler(request: Request) -> Response:
            if b"watch" in request.query:
                return Response(200, [], lines)
            return discovered(request) or answer(POD)

        path = tmp_path / "ca.crt"
        path.write_bytes(AUTHORITY.cert_pem.bytes())
        clock = VirtualClock()
        async with served(handler, **WAYS[way]) as access:
            access = dataclasses.replace(access, authority=Pem(path=str(path)))
            async with connect(access, clock=clock) as client:
                task = asyncio.ensure_future(anext(client.watch("pods")))
                await lines.started.wait()
                before = client._calls._connections.http  # type: ignore[attr-defined]
                os.utime(path, (1, 1))
                await clock.advance(61)
                assert await client.get("pods", "a") == POD
                assert (client._calls._connections.http is not before) == (way != "plain")  # type: ignore[attr-defined]
                lines.outlet.write(b'{"type":"ADDED","object":{}}\n')
                assert await task == ("ADDED", {})

    asyncio.run(test())


@pytest.mark.parametrize(("socks", "user"), [(False, ""), (False, "me:pass"), (True, ""), (True, "me:pass")])
def test_a_proxy_is_gone_through(socks: bool, user: str) -> None:
    async def test() -> None:
        handler, _ = scripted(answer(POD))
        proxy = Proxy(socks=socks, user=b"\x02me\x04pass"[1:] if socks and user else b"")
        for options in ({}, {"tls": False}):
            async with served(handler, **options) as access, proxy.running() as port:  # type: ignore[arg-type]
                at = f"{user}@" if user else ""
                url = f"{'socks5' if socks else 'http'}://{at}127.0.0.1:{port}"
                async with connect(dataclasses.replace(access, proxy_url=url)) as client:
                    assert await client.get("pods", "a") == POD
        if user and not socks:
            assert b"\r\nProxy-Authorization: Basic bWU6cGFzcw==\r\n" in proxy.asked[0]
        if user and socks:
            assert proxy.asked[0] == b"\x01\x02me\x04pass"

    asyncio.run(test())


@pytest.mark.parametrize(
    ("socks", "message"), [(False, "407 Proxy Authentication Required"), (True, "connection refused")]
)
def test_a_proxy_that_refuses_is_named(socks: bool, message: str) -> None:
    async def test() -> None:
        handler, _ = scripted(answer(POD))
        async with served(handler) as access, Proxy(socks=socks, refuse=True).running() as port:
            url = f"{'socks5' if socks else 'http'}://127.0.0.1:{port}"
            async with connect(dataclasses.replace(access, proxy_url=url)) as client:
                with pytest.raises(DialError, match=message):
                    await client.get("pods", "a")

    asyncio.run(test())


def test_a_server_that_cannot_be_reached_or_trusted_is_one_line() -> None:
    async def test() -> None:
        async with connect(Access(server="http://127.0.0.1:1")) as client:
            with pytest.raises(
                DialError, match=r'Get "http://127.0.0.1:1/api": dial tcp 127.0.0.1:1: connect: connection'
            ):
                await client.get("pods", "a")
        handler, _ = scripted(answer(POD))
        async with served(handler) as access:
            for change, message in (
                ({"server_name": "other.example"}, "tls: failed to verify certificate: Hostname mismatch"),
                ({"authority": dataclasses.replace(access).authority._replace(data=b"")}, "self-signed certificate|unable to get"),
            ):  # fmt: skip
                async with connect(dataclasses.replace(access, **change)) as client:
                    with pytest.raises(DialError, match=message):
                        await client.get("pods", "a")
            for change in (
                {"server_name": "localhost"},
                {"authority": access.authority._replace(data=b""), "is_insecure": True},
            ):
                async with connect(dataclasses.replace(access, **change)) as client:
                    assert await client.get("pods", "a") == POD

    asyncio.run(test())
