"""The client of an external cluster: what it tries again, and where a watch resumes, against scripted members."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcore.store import errors, remote
from kcore.store.errors import Code, StoreError
from kcore.store.etcd import messages
from kcore.store.kv import Event, KeyValue, WatchBatch
from kcore.store.remote.channel import Endpoint, surely_not_done, worth_repeating
from kcore.store.remote.watch import Position, reason_text

Answer = Any  # a response message, or the name of an error in etcd's table


class Member:
    """One scripted member: answers by method, in turn; the last one stays. Everything asked is kept."""

    def __init__(self, **answers: list[Answer]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any, dict[str, str]]] = []
        self.streams: list[Callable[[Any, Any], Awaitable[None]]] = []
        self.port = 0

    def count(self, method: str) -> int:
        """How often it was asked that."""
        return sum(1 for name, _, _ in self.asked if name == method)

    def service(self, details: Any) -> Any:
        """The handler of a call, as grpc asks for it."""
        service, name = details.method[1:].split("/")
        described = messages.service(service).methods_by_name[name]
        request = messages.message(described.input_type.full_name).FromString
        response = messages.message(described.output_type.full_name).SerializeToString
        if name == "Watch":
            return grpc.stream_stream_rpc_method_handler(self.watch, request, response)

        async def unary(asked: Any, context: Any) -> Any:
            self.asked.append((name, asked, dict(context.invocation_metadata())))
            script = self.answers[name]
            answer = script.pop(0) if len(script) > 1 else script[0]
            if isinstance(answer, str):
                code, text = errors.TABLE[answer]
                await context.abort(list(grpc.StatusCode)[code], text)
            return answer

        return grpc.unary_unary_rpc_method_handler(unary, request, response)

    async def watch(self, requests: AsyncIterator[Any], context: Any) -> None:
        """The next script of a stream."""
        asked = await context.read()
        self.asked.append(("Watch", asked, dict(context.invocation_metadata())))
        await self.streams.pop(0)(asked.create_request, context)


class Handler(grpc.GenericRpcHandler):
    """Gives every method to the member."""

    def __init__(self, member: Member) -> None:
        self.member = member

    def service(self, handler_call_details: Any) -> Any:
        return self.member.service(handler_call_details)


@asynccontextmanager
async def cluster(*members: Member, **credentials: str) -> AsyncIterator[Any]:
    """A client of the members, which listen while the body runs."""
    async with AsyncExitStack() as stack:
        for one in members:
            server = grpc.aio.server()
            server.add_generic_rpc_handlers((Handler(one),))
            one.port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            stack.push_async_callback(server.stop, None)
        store = remote.Remote(
            [f"http://127.0.0.1:{one.port}" for one in members],
            remote.Credentials(**credentials),
            remote.Limits(timeout_s=5.0, attempts_max=6, backoff_s=0.001),
        )
        stack.push_async_callback(store.close)
        yield store


def header(revision: int = 1) -> Any:
    return messages.ResponseHeader(cluster_id=1, member_id=2, revision=revision, raft_term=3)


FOUND = messages.RangeResponse(header=header(), count=0)
WRITTEN = messages.PutResponse(header=header(2))


def refused(call: Awaitable[Any]) -> Awaitable[str]:
    """The text of the refusal."""

    async def run() -> str:
        with pytest.raises(StoreError) as caught:
            await call
        return caught.value.text

    return run()


def test_a_read_goes_to_the_next_member_while_one_is_unavailable() -> None:
    async def run() -> None:
        ill, well = Member(Range=["Timeout"]), Member(Range=[FOUND])
        async with cluster(ill, well) as store:
            for _ in range(3):
                await store.range(b"k")
            assert (ill.count("Range"), well.count("Range")) == (1, 3)
            assert (store.cluster_id, store.member_id, store.raft_term) == (1, 2, 3)

    asyncio.run(run())


def test_a_read_that_is_refused_is_not_repeated() -> None:
    async def run() -> None:
        one, other = Member(Range=["Compacted"]), Member(Range=[FOUND])
        async with cluster(one, other) as store:
            assert await refused(store.range(b"k")) == errors.TABLE["Compacted"][1]
            assert (one.count("Range"), other.count("Range")) == (1, 0)

    asyncio.run(run())


def test_a_write_that_may_have_been_done_is_not_repeated() -> None:
    async def run() -> None:
        one, other = Member(Put=["TimeoutDueToConnectionLost"]), Member(Put=[WRITTEN])
        async with cluster(one, other) as store:
            assert await refused(store.put(b"k", b"")) == errors.TABLE["TimeoutDueToConnectionLost"][1]
            assert (one.count("Put"), other.count("Put")) == (1, 0)
            await store.put(b"k", b"")  # the next one goes elsewhere
            assert other.count("Put") == 1

    asyncio.run(run())


@pytest.mark.parametrize("name", ["NoLeader", "NotSupportedForLearner"])
def test_a_write_that_was_surely_not_done_is_repeated(name: str) -> None:
    async def run() -> None:
        one, other = Member(Put=[name]), Member(Put=[WRITTEN])
        async with cluster(one, other) as store:
            assert (await store.put(b"k", b"")).revision == 2
            assert (one.count("Put"), other.count("Put")) == (1, 1)

    asyncio.run(run())


def test_a_member_that_does_not_listen_is_passed_over_also_by_writes() -> None:
    async def run() -> None:
        well = Member(Put=[WRITTEN], Range=[FOUND])
        async with cluster(well) as _:
            store = remote.Remote(
                ["http://127.0.0.1:1", f"http://127.0.0.1:{well.port}"], remote.Credentials(), remote.Limits()
            )
            assert (await store.put(b"k", b"")).revision == 2
            await store.close()

    asyncio.run(run())


def test_a_cluster_that_is_not_there_is_an_error_in_time() -> None:
    async def run() -> None:
        with pytest.raises(StoreError) as caught:
            await remote.connect(["http://127.0.0.1:1"], limits=remote.Limits(timeout_s=0.5))
        assert caught.value.code == Code.UNAVAILABLE

    asyncio.run(run())


def test_a_refused_token_is_renewed_once_for_all_who_wait() -> None:
    async def run() -> None:
        member = Member(
            Authenticate=[messages.AuthenticateResponse(header=header(), token=f"t{n}") for n in range(1, 9)],
            Put=["InvalidAuthToken", "InvalidAuthToken", "AuthOldRevision", WRITTEN],
        )
        async with cluster(member, username="ann", password="pw") as store:
            await store.authenticate()
            await asyncio.gather(store.put(b"a", b""), store.put(b"b", b""))
            name, asked, _ = member.asked[0]
            assert (name, asked.name, asked.password) == ("Authenticate", "ann", "pw")
            assert member.count("Authenticate") <= 4
            assert member.asked[-1][2]["token"].startswith("t")
            assert member.count("Put") == 5

    asyncio.run(run())


def test_without_a_password_a_refused_token_is_an_error() -> None:
    async def run() -> None:
        member = Member(Put=["UserEmpty"])
        async with cluster(member) as store:
            assert await refused(store.put(b"a", b"")) == errors.TABLE["UserEmpty"][1]

    asyncio.run(run())


def test_no_token_where_the_checks_are_off() -> None:
    async def run() -> None:
        member = Member(Authenticate=["AuthNotEnabled"], Put=[WRITTEN])
        async with cluster(member, username="ann", password="pw") as store:
            await store.authenticate()
            await store.put(b"a", b"")
            assert "token" not in member.asked[-1][2]

    asyncio.run(run())


def event(revision: int, key: bytes = b"k") -> Any:
    return messages.Event(
        type=0, kv=messages.KeyValue(key=key, mod_revision=revision, create_revision=revision)
    )


def script(*answers: Any, revision: int = 9) -> Callable[[Any, Any], Awaitable[None]]:
    """A stream that creates the watch, sends the answers (lists of events, or whole responses) and breaks."""

    async def run(create: Any, context: Any) -> None:
        await context.write(messages.WatchResponse(header=header(revision), created=True))
        for answer in answers:
            if isinstance(answer, list):
                answer = messages.WatchResponse(header=header(revision), events=answer)
            await context.write(answer)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the member went away")

    return run


def over(reason: str, compact_revision: int = 0) -> Any:
    return messages.WatchResponse(
        header=header(9), canceled=True, cancel_reason=reason, compact_revision=compact_revision
    )


def revisions(batches: list[WatchBatch]) -> list[int]:
    return [one.kv.mod_revision for batch in batches for one in batch.events]


def watched(*streams: Any, start_revision: int = 1, **credentials: str) -> tuple[list[WatchBatch], Member]:
    """All batches of a watch over those streams."""

    async def run() -> tuple[list[WatchBatch], Member]:
        member = Member(
            Range=[messages.RangeResponse(header=header(4))],
            Authenticate=[messages.AuthenticateResponse(header=header(), token="new")],
        )
        member.streams = list(streams)
        async with cluster(member, **credentials) as store:
            return [batch async for batch in store.watch(b"k", start_revision=start_revision)], member

    return asyncio.run(run())


def starts(member: Member) -> list[int]:
    """The start revisions that were asked for."""
    return [asked.create_request.start_revision for name, asked, _ in member.asked if name == "Watch"]


def test_a_watch_resumes_behind_the_last_event() -> None:
    batches, member = watched(
        script([event(1)], [event(3), event(3)]), script([event(5)]), script(over("enough"))
    )
    assert revisions(batches) == [1, 3, 3, 5]
    assert starts(member) == [1, 4, 6]
    assert batches[-1].cancel_reason == "enough"
    assert member.asked[0][2]["hasleader"] == "true"


def test_a_watch_from_now_begins_behind_the_present_revision() -> None:
    _, member = watched(script(), script(over("enough")), start_revision=0)
    assert starts(member) == [5, 5]


def test_a_watch_resumes_behind_a_progress_mark() -> None:
    batches, member = watched(script([]), script(over("enough")))
    assert starts(member) == [1, 10]
    assert (batches[0].revision, batches[0].events) == (9, [])


def test_a_watch_resumes_inside_a_revision_that_came_in_fragments() -> None:
    part = messages.WatchResponse(
        header=header(), fragment=True, events=[event(2), event(3, b"a"), event(3, b"b")]
    )
    again = [event(3, b"a"), event(3, b"b"), event(3, b"c"), event(4)]
    batches, member = watched(script(part), script(again), script(over("enough")))
    assert starts(member) == [1, 3, 5]
    assert [one.kv.key for batch in batches for one in batch.events] == [b"k", b"a", b"b", b"c", b"k"]


def test_a_watch_says_that_its_revision_is_compacted_and_ends() -> None:
    batches, member = watched(script(over("", 7)))
    assert [batch.compact_revision for batch in batches] == [7]
    assert len(member.streams) == 0


def test_a_watch_with_a_dead_token_gets_a_new_one() -> None:
    words = "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token"
    batches, member = watched(
        script(over(words)), script([event(1)], over("enough")), username="a", password="b"
    )
    assert revisions(batches) == [1]
    assert member.asked[-1][2]["token"] == "new"


def test_a_watch_that_is_not_allowed_ends() -> None:
    batches, _ = watched(
        script(over("rpc error: code = PermissionDenied desc = etcdserver: permission denied"))
    )
    assert [batch.cancel_reason for batch in batches] == [errors.TABLE["PermissionDenied"][1]]


def test_closing_the_client_ends_its_watches() -> None:
    async def run() -> list[WatchBatch]:
        member = Member()

        async def still(create: Any, context: Any) -> None:
            await context.write(messages.WatchResponse(header=header(), created=True))
            await asyncio.sleep(30)

        member.streams = [still]
        async with cluster(member) as store:
            watch = store.watch(b"k", start_revision=1)
            waiting = asyncio.ensure_future(anext(watch, None))
            await asyncio.sleep(0.1)
            await store.close()
            assert await waiting is None
            return [batch async for batch in watch]

    assert asyncio.run(run()) == []


@given(st.lists(st.integers(1, 3), min_size=1, max_size=8), st.data())
def test_a_position_delivers_each_event_once_wherever_the_stream_breaks(sizes: list[int], data: Any) -> None:
    history = [
        Event(0, KeyValue(b"%d" % number, b"", 1, revision, 1))
        for revision, size in enumerate(sizes, start=1)
        for number in range(size)
    ]
    position, delivered = Position(1), []
    for _ in range(20):
        position.resumed()
        left = [one for one in history if one.kv.mod_revision >= position.next_revision]
        while left and data.draw(st.booleans() if len(delivered) < 40 else st.just(True), label="goes on"):
            cut = data.draw(st.integers(1, len(left)), label="cut")
            batch, left = left[:cut], left[cut:]
            torn = bool(left) and left[0].kv.mod_revision == batch[-1].kv.mod_revision
            found = position.advance(WatchBatch(99, batch, torn))
            delivered += found.events if found else []
    assert delivered == history[: len(delivered)]


@pytest.mark.parametrize(
    ("url", "secure", "wanted"),
    [
        ("http://a:1", True, Endpoint("a:1", False)), ("https://a:1/", False, Endpoint("a:1", True)),
        ("a:1", True, Endpoint("a:1", True)), ("[::1]:1", False, Endpoint("[::1]:1", False)),
        ("unix:///x/y", False, Endpoint("unix:/x/y", False)),
    ],
)  # fmt: skip
def test_endpoints(url: str, secure: bool, wanted: Endpoint) -> None:
    assert Endpoint.parse(url, secure) == wanted


@pytest.mark.parametrize("url", ["ftp://a:1", "http://", "http://a:1/path"])
def test_endpoints_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="an endpoint is"):
        Endpoint.parse(url, False)


def test_what_is_worth_repeating() -> None:
    timeout, leader, space = errors.of("Timeout"), errors.of("NoLeader"), errors.of("NoSpace")
    assert [worth_repeating(one, True, True) for one in (timeout, leader, space)] == [True, True, False]
    assert [worth_repeating(one, False, True) for one in (timeout, leader, space)] == [False, True, False]
    assert surely_not_done(StoreError(Code.UNAVAILABLE, "failed to connect to all addresses; last error: x"))
    assert not surely_not_done(StoreError(Code.UNAVAILABLE, "Socket closed"))
    learner = errors.of("NotSupportedForLearner")
    assert [worth_repeating(learner, False, others) for others in (True, False)] == [True, False]


def test_reasons_lose_what_grpc_puts_before_them() -> None:
    assert reason_text("rpc error: code = X desc = etcdserver: y") == "etcdserver: y"
    assert reason_text("etcdserver: y") == "etcdserver: y"
