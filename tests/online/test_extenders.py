"""HTTP extenders: what they are sent, and what becomes of pods by what they answer."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

import kcore
from kcore.api.errors import InputError, NotSupportedError
from kcore.apiserver.pki import Pki
from kcore.cli.app import main
from kcore.cluster import configuration_for
from kcore.http.http1 import Http1Connection
from kcore.http.listener import Listener
from kcore.http.message import Peer, Request, Response
from kcore.online.extenders import Extender
from kcore.scheduler.config import load_configuration
from tests.online.cluster import Cluster
from tests.online.test_hints import node, pod, put

Object = dict[str, Any]
Answers = dict[str, Callable[[Object], Any]]


class Server:
    """An extender: ``answers`` by verb; ``asked`` is what it was sent."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Object]] = []
        self.port = 0

    async def __aenter__(self) -> Server:
        import socket

        self.listener = Listener()
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        bound.setblocking(False)
        self.port = bound.getsockname()[1]
        await self.listener.listen(bound, None, http1=self._http1, http2=None)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.listener.stop_accepting()
        await self.listener.stop(1.0)

    def _http1(self, peer: Peer, transport: Any, port: Any) -> Http1Connection:
        return Http1Connection(self.answer, peer, transport, port)

    async def answer(self, request: Request) -> Response:
        """One answer; 500 where there is none."""
        verb = request.path.decode().rpartition("/")[2]
        said = orjson.loads(request.body)
        self.asked.append((verb, said))
        made = self.answers[verb](said) if verb in self.answers else None
        if asyncio.isfuture(made):
            made = await made
        status = 200 if verb in self.answers else 500
        return Response(
            status,
            [(b"content-type", b"application/json")],
            made if isinstance(made, bytes) else orjson.dumps(made),
        )


def document(port: int, **settings: Any) -> Object:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
        "extenders": [{"urlPrefix": f"http://127.0.0.1:{port}/x", **settings}],
    }  # fmt: skip


def played(answers: Answers, settings: Object, play: Callable[[Cluster, Server], Any], **more: Any) -> None:
    """``more`` goes to the top of the configuration."""

    async def run() -> None:
        async with Server(answers) as server:
            told = document(server.port, **settings) | more
            configuration = load_configuration(told, takes_extenders=True)
            cluster = Cluster(configuration)
            await play(cluster, server)
            for extender in cluster.scheduler._extenders:
                await extender.close()

    asyncio.run(run())


async def settled(cluster: Cluster) -> None:
    scheduler = cluster.scheduler
    while scheduler.step() or scheduler._writes or scheduler._held:
        await scheduler._decide_held()
        await asyncio.sleep(0)


def left(*names: str, **more: Any) -> Callable[[Object], Object]:
    """Keeps those nodes of the ones that it is sent."""
    return lambda said: {
        "Nodes": {"items": [one for one in said["Nodes"]["items"] if one["metadata"]["name"] in names]},
        **more,
    }


def test_nodes_are_filtered_and_scored_and_the_pod_is_bound_by_the_extender() -> None:
    async def play(cluster: Cluster, server: Server) -> None:
        put(cluster, node("a"), node("b"), node("c"), node("full", cpu="0"), pod("p"))
        await settled(cluster)
        assert cluster.writes.bound == {}, "it was bound by the extender"
        verbs = [verb for verb, _ in server.asked]
        assert verbs == ["f", "p", "b"]
        first, second = server.asked[0][1], server.asked[1][1]
        assert first["Pod"]["metadata"]["name"] == "p" and first["NodeNames"] is None
        assert [one["metadata"]["name"] for one in first["Nodes"]["items"]] == ["a", "b", "c"]
        assert [one["metadata"]["name"] for one in second["Nodes"]["items"]] == ["b", "c"]
        assert server.asked[2][1] == {"PodName": "p", "PodNamespace": "default", "PodUID": "p", "Node": "c"}
        assert cluster.notes.last("p", "Scheduled") == "Successfully assigned default/p to c"

    answers: Answers = {
        "f": left("b", "c", FailedNodes={"a": "too far"}),
        "p": lambda said: [{"Host": "b", "Score": 1}, {"Host": "c", "Score": 9}],
        "b": lambda said: {"Error": ""},
    }
    settings = {"filterVerb": "f", "prioritizeVerb": "p", "bindVerb": "b", "weight": 1}
    played(answers, settings, play)


def test_extenders_that_know_the_nodes_get_names() -> None:
    async def play(cluster: Cluster, server: Server) -> None:
        put(cluster, node("a"), node("b"), pod("p"))
        await settled(cluster)
        assert server.asked[0][1]["NodeNames"] == ["a", "b"] and server.asked[0][1]["Nodes"] is None
        assert cluster.writes.bound == {"default/p": "b"}

    played({"f": lambda said: {"NodeNames": ["b"]}}, {"filterVerb": "f", "nodeCacheCapable": True}, play)


def test_a_pod_that_asks_for_nothing_of_its_is_not_its_business() -> None:
    async def play(cluster: Cluster, server: Server) -> None:
        gpu = {"container": {"resources": {"requests": {"example.com/gpu": "1"}}}}
        put(cluster, node("a", **{"example.com/gpu": "2"}), pod("before"), pod("p", **gpu), pod("after"))
        await settled(cluster)
        assert [said["Pod"]["metadata"]["name"] for _, said in server.asked] == ["p"]
        assert len(cluster.writes.bound) == 3

    settings = {"filterVerb": "f", "managedResources": [{"name": "example.com/gpu"}]}
    played({"f": left("a")}, settings, play)


def test_why_nodes_were_refused_is_told_with_the_extenders_words() -> None:
    async def play(cluster: Cluster, server: Server) -> None:
        put(cluster, node("a"), node("b"), node("c", cpu="0"), pod("p"))
        await settled(cluster)
        assert cluster.notes.last("p", "FailedScheduling").startswith(
            "0/3 nodes are available: 1 Insufficient cpu, 1 too far, 1 too near. "
        )
        await cluster.later(20)
        put(cluster, node("d"))
        await settled(cluster)
        assert cluster.writes.bound == {"default/p": "d"}, "any event may help it"

    failed = {"FailedNodes": {"a": "too far"}, "FailedAndUnresolvableNodes": {"b": "too near"}}
    played({"f": left("d", **failed)}, {"filterVerb": "f"}, play)


def test_one_that_fails_is_an_error_of_the_attempt_unless_it_may_be_ignored() -> None:
    async def fails(cluster: Cluster, server: Server) -> None:
        put(cluster, node("a"), pod("p"))
        await settled(cluster)
        url = f"http://127.0.0.1:{server.port}/x/f"
        said = f"failed f with extender at URL {url}, code 500"
        assert cluster.notes.last("p", "FailedScheduling") == said
        assert cluster.waits("default/p") == "backoff" and cluster.writes.bound == {}

    async def ignored(cluster: Cluster, server: Server) -> None:
        put(cluster, node("a"), pod("p"))
        await settled(cluster)
        assert cluster.writes.bound == {"default/p": "a"}

    played({}, {"filterVerb": "f"}, fails)
    played(
        {},
        {"filterVerb": "f", "prioritizeVerb": "p", "weight": 1, "bindVerb": "b", "ignorable": True},
        ignored,
    )


def test_it_chooses_among_the_candidates_of_preemption() -> None:
    async def play(cluster: Cluster, server: Server) -> None:
        put(
            cluster, node("a", cpu="2"), node("b", cpu="2"), pod("x", "a", cpu="2"), pod("y", "b", cpu="2"),
            pod("p", cpu="2", priority=9),
        )  # fmt: skip
        await settled(cluster)
        said = server.asked[-1][1]
        assert said["NodeNameToVictims"]["a"]["NumPDBViolations"] == 0
        assert [one["metadata"]["name"] for one in said["NodeNameToVictims"]["b"]["Pods"]] == ["y"]
        assert cluster.writes.deleted == ["default/y"]
        assert cluster.scheduler.mirror.nominations == {"default/p": "b"}

    answers: Answers = {"e": lambda said: {"NodeNameToMetaVictims": {"b": {"Pods": [{"UID": "y"}]}}}}
    played(answers, {"preemptVerb": "e"}, play)


def test_claims_are_asked_after_an_extender_also_where_preemption_is_disabled() -> None:
    async def play(cluster: Cluster, server: Server) -> None:
        put(cluster, node("a"), pod("p"))
        await settled(cluster)
        said = cluster.notes.last("p", "FailedScheduling")
        assert said == "0/1 nodes are available: 1 too far. no new claims to deallocate"

    answers: Answers = {"f": left("b", FailedNodes={"a": "too far"})}
    disabled = {"multiPoint": {"disabled": [{"name": "DefaultPreemption"}]}}
    profiles = [{"schedulerName": "default-scheduler", "plugins": disabled}]
    played(answers, {"filterVerb": "f"}, play, profiles=profiles)


LIES: dict[str, tuple[Any, str]] = {
    "no JSON": (b"NaN", "unexpected character"),
    "a number": (7, "Expected `object`, got `int`"),
    "names that are numbers": ({"NodeNames": [1]}, "Expected `str`, got `int` - at `$.nodenames[0]`"),
    "nodes that are texts": ({"Nodes": {"Items": ["a"]}}, "Expected `object`, got `str` - at `$.items[0]`"),
    "reasons that are lists": ({"FailedNodes": {"a": []}}, "Expected `str`, got `array`"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_cannot_be_read_is_an_error_of_the_attempt(lie: str) -> None:
    made, said = LIES[lie]

    async def play(cluster: Cluster, server: Server) -> None:
        put(cluster, node("a"), pod("p"))
        await settled(cluster)
        message = cluster.notes.last("p", "FailedScheduling")
        assert (
            f"the answer of http://127.0.0.1:{server.port}/x/f cannot be read: " in message
            and said in message
        )
        assert cluster.waits("default/p") == "backoff" and cluster.writes.bound == {}

    played({"f": lambda _: made}, {"filterVerb": "f", "nodeCacheCapable": True}, play)


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        ([{"Host": "b", "Score": 1}], "b"),
        ([{"Host": "b", "Score": 1.5}], "a"),  # Go reads no integer there: it gives no scores
        (b'[{"Host": "b", "Score": NaN}]', "a"),
        ([{"Host": "nobody", "Score": 10}], "a"),
        ([{"Host": "b", "Score": 10**20}], "a"),
        ([{"Host": "b", "Score": 2**63 - 1}], "a"),  # times ten, as 64 bits hold it: below nothing
        ([{"Host": "b", "Score": -1}], "a"),
        ({"b": 10}, "a"),
        ([{"Host": "b", "Score": 1}, {"Host": "b", "Score": -2}], "a"),
    ],
)
def test_scores_are_what_go_makes_of_them(scores: Any, chosen: str) -> None:
    async def play(cluster: Cluster, server: Server) -> None:
        put(cluster, node("a"), node("b"), pod("p"))
        await settled(cluster)
        assert cluster.writes.bound == {"default/p": chosen}

    played({"p": lambda said: scores}, {"prioritizeVerb": "p", "weight": 1}, play)


def test_one_that_hangs_and_one_that_does_not_end_hold_nobody_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from kcore.online import extenders

    async def hangs(cluster: Cluster, server: Server) -> None:
        put(cluster, node("a"), pod("p"))
        await settled(cluster)
        url = f"http://127.0.0.1:{server.port}/x/f"
        late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        assert cluster.notes.last("p", "FailedScheduling") == f'Post "{url}": {late}'

    async def floods(cluster: Cluster, server: Server) -> None:
        put(cluster, node("a"), pod("p"))
        await settled(cluster)
        assert cluster.notes.last("p", "FailedScheduling").endswith(": the answer is longer than 65536 bytes")

    never = lambda said: asyncio.get_running_loop().create_future()  # noqa: E731
    played({"f": never}, {"filterVerb": "f", "httpTimeout": "20ms"}, hangs)
    monkeypatch.setattr(extenders, "ANSWER_BYTES_MAX", 1 << 16)
    played({"f": lambda said: {"Error": "x" * (1 << 20)}}, {"filterVerb": "f"}, floods)


def test_certificates_may_stand_in_the_file(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    pki.server("extender", pki.authority("ca", "ca"), ["localhost"])
    text = {
        name: b64encode((tmp_path / name).read_bytes()).decode()
        for name in ("ca.crt", "extender.crt", "extender.key")
    }
    tls = {"certData": text["extender.crt"], "keyData": text["extender.key"], "caData": text["ca.crt"]}
    given = {"urlPrefix": "https://localhost:1", "filterVerb": "f", "tlsConfig": tls}
    (settings,) = load_configuration(document(1, **given), takes_extenders=True).extenders
    assert Extender(settings)._http.endpoint.tls is not None
    for key, said in (
        ("keyData", "keyData: is missing (expected keyData or keyFile)"),
        ("certData", "certData: is missing"),
    ):
        less = {name: value for name, value in tls.items() if name != key}
        with pytest.raises(InputError) as raised:
            load_configuration(document(1, **{**given, "tlsConfig": less}), takes_extenders=True)
        assert said in str(raised.value)
    broken = {**tls, "certData": b64encode(b"none").decode()}
    (settings,) = load_configuration(
        document(1, **{**given, "tlsConfig": broken}), takes_extenders=True
    ).extenders
    with pytest.raises(InputError, match=r"extenders\[0\].tlsConfig: cannot be used"):
        Extender(settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"prioritizeVerb": "p"}, "extenders[0].weight: is 0 (expected above 0, as prioritizeVerb is set)"),
        (
            {"managedResources": [{"name": "cpu"}]},
            'extenders[0].managedResources[0].name: is "cpu" (expected an extended resource, such as example.com/gpu)',
        ),
        ({"urlPrefix": ""}, "extenders[0].urlPrefix: is missing (expected the URL of the extender)"),
    ],
)  # fmt: skip
def test_a_wrong_extender_is_named(settings: Object, said: str) -> None:
    with pytest.raises(InputError) as raised:
        load_configuration(document(1, **settings), takes_extenders=True)
    assert str(raised.value) == said
    with pytest.raises(NotSupportedError):
        load_configuration(document(1, filterVerb="f"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"urlPrefix": "ftp://x"}, 'urlPrefix: is "ftp://x" (expected http:// or https:// and a host)'),
        ({"urlPrefix": "nowhere"}, 'urlPrefix: is "nowhere" (expected http:// or https:// and a host)'),
        ({"urlPrefix": "http://a:99999"}, 'urlPrefix: is "http://a:99999": Port out of range 0-65535 (expected'),
        ({"urlPrefix": "http://a:b"}, 'urlPrefix: is "http://a:b": Port could not be cast'),
        ({"urlPrefix": "http://[::1/x"}, 'urlPrefix: is "http://[::1/x": Invalid IPv6 URL'),
        ({"urlPrefix": "https://a", "tlsConfig": {"caFile": "nowhere"}}, "tlsConfig: cannot be used:"),
        ({"urlPrefix": "https://a", "tlsConfig": {"caData": "AAAA"}}, "tlsConfig: cannot be used:"),
    ],
)  # fmt: skip
def test_the_scheduler_does_not_start_with_an_extender_that_cannot_be_asked(
    settings: Object, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.json"
    file.write_bytes(orjson.dumps(document(1, **{"filterVerb": "f", **settings})))
    assert main(["scheduler", f"--config={file}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"kcore: error: {file}: extenders[0].{said}") and error.count("\n") == 1
    with pytest.raises(InputError) as raised:
        configuration_for(str(file), None, None, takes_extenders=True)
    assert str(raised.value).startswith(f"{file}: extenders[0].{said}")


def test_files_are_decided_as_the_scheduler_online_decides() -> None:
    gpu = {"container": {"resources": {"requests": {"example.com/gpu": "1", "cpu": "1"}}}}
    objects = [
        node("a", cpu="2", **{"example.com/gpu": "1"}), node("b", cpu="3", **{"example.com/gpu": "2"}),
        node("c", cpu="8", **{"example.com/gpu": "8"}), pod("plain"), pod("first", **gpu), pod("second", **gpu),
        pod("late", **gpu), pod("big", cpu="99"), pod("urgent", priority=9, **gpu),
    ]  # fmt: skip
    answers: Answers = {
        "f": left("a", "b", FailedNodes={"c": "too dear"}),
        "p": lambda said: [
            {"Host": one["metadata"]["name"], "Score": 9 * (one["metadata"]["name"] == "a")}
            for one in said["Nodes"]["items"]
        ],
    }
    settings = {
        "filterVerb": "f", "prioritizeVerb": "p", "weight": 5, "bindVerb": "b",
        "managedResources": [{"name": "example.com/gpu"}],
    }  # fmt: skip

    async def run() -> None:
        async with Server({**answers, "b": lambda said: {}}) as server:
            config = document(server.port, **settings)
            cluster = Cluster(load_configuration(config, takes_extenders=True))
            put(cluster, *objects)
            await settled(cluster)
            asked = [(verb, said["Pod"]["metadata"]["name"]) for verb, said in server.asked if verb != "b"]
            bound = {one["PodName"]: one["Node"] for verb, one in server.asked if verb == "b"}
            bound |= {key.partition("/")[2]: name for key, name in cluster.writes.bound.items()}
            server.asked.clear()
            made = [
                {"apiVersion": "v1", "kind": "Pod" if "containers" in one["spec"] else "Node", **one}
                for one in objects
            ]
            result = await asyncio.to_thread(
                lambda: kcore.Cluster.from_objects(made).schedule(config=config, tie_break="first")
            )
            rows = {row["name"]: row for row in result.placements.to_pylist()}
            assert {name: row["node"] for name, row in rows.items() if row["node"]} == bound
            assert [(verb, said["Pod"]["metadata"]["name"]) for verb, said in server.asked] == asked
            assert rows["late"]["reason"].startswith("0/3 nodes are available: ")
            assert "1 too dear" in rows["late"]["reason"]
            await asyncio.gather(*(one.close() for one in cluster.scheduler._extenders))

    asyncio.run(run())


def test_in_files_one_that_fails_is_the_reason_of_its_pods_and_evictions_are_not_made() -> None:
    async def run() -> None:
        async with Server({}) as server:
            config = document(server.port, filterVerb="f")
            made = [
                {"apiVersion": "v1", "kind": "Node", **node("a")},
                {"apiVersion": "v1", "kind": "Pod", **pod("p")},
            ]

            def schedule(**options: Any) -> Any:
                return kcore.Cluster.from_objects(made).schedule(config=config, **options)

            (row,) = (await asyncio.to_thread(schedule)).placements.to_pylist()
            url = f"http://127.0.0.1:{server.port}/x/f"
            assert (row["node"], row["reason"]) == (None, f"failed f with extender at URL {url}, code 500")
            with pytest.raises(InputError, match="preemption: cannot go with extenders"):
                schedule(preemption="evict")

    asyncio.run(run())
