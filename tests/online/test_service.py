"""The process around the scheduler: flags and files, who leads, and what its port answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kcore.api.errors import InputError
from kcore.api.status import ApiError
from kcore.cli.scheduler import access_of
from kcore.http.message import Peer, Request, Response
from kcore.online.configz import shown
from kcore.online.flags import WITHOUT_EFFECT, gather, merged
from kcore.online.metrics import go_float
from kcore.online.pages import Pages
from kcore.online.port import known_by
from kcore.online.service import Service
from kcore.online.settings import Election, ProcessSettings, process_settings
from kcore.scheduler.config import default_configuration
from tests.controllers.living import living
from tests.online.test_scheduler import node, placed, pod

Object = dict[str, Any]
FILE: Object = {
    "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
    "clientConnection": {"kubeconfig": "/k", "qps": 7, "burst": 9}, "podInitialBackoffSeconds": 2,
    "podMaxBackoffSeconds": 20,
    "leaderElection": {"leaseDuration": "30s", "renewDeadline": "20s", "resourceName": "mine"},
}  # fmt: skip


def test_a_file_says_what_concerns_the_process() -> None:
    assert process_settings({"apiVersion": FILE["apiVersion"], "kind": FILE["kind"]}) == ProcessSettings()
    found = process_settings(FILE)
    assert (found.kubeconfig, found.qps, found.burst) == ("/k", 7, 9)
    assert (found.initial_backoff_seconds, found.max_backoff_seconds) == (2, 20)
    assert found.election == Election(lease_seconds=30, renew_deadline_seconds=20, name="mine")


def test_flags_of_the_election_win_over_a_file_and_others_stand_back_for_it() -> None:
    given = {
        "config": "f",
        "kubeconfig": "/other",
        "kube-api-qps": "1",
        "leader-elect-resource-name": "theirs",
    }
    found = merged(process_settings(FILE), gather(given), given)
    assert (found.kubeconfig, found.qps) == ("/k", 7)
    assert found.election == Election(lease_seconds=30, renew_deadline_seconds=20, name="theirs")
    given = {"kubeconfig": "/other", "kube-api-qps": "1.5", "leader-elect": "false"}
    found = merged(ProcessSettings(), gather(given), given)
    assert (found.kubeconfig, found.qps, found.burst, found.election.is_on) == ("/other", 1.5, 100, False)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"secure-port": "70000"}, "--secure-port: is 70000 (expected 0 to 65535)"),
        ({"kube-api-qps": "x"}, "--kube-api-qps: cannot read 'x' (expected a number that is not negative)"),
        ({"leader-elect": "maybe"}, "--leader-elect: cannot read 'maybe' (expected true or false)"),
        ({"leader-elect-resource-lock": "endpoints"}, '--leader-elect-resource-lock: is "endpoints" (expected leases)'),
        ({"leader-elect-lease-duration": "5s"}, "--leader-elect-lease-duration: is 5s (expected more than the renew deadline, 10s)"),
        ({"leader-elect-renew-deadline": "2s"}, "--leader-elect-renew-deadline: is 2s (expected more than 1.2 times the retry period, 2s)"),
        ({"tls-cert-file": "c"}, "--tls-cert-file: --tls-cert-file and --tls-private-key-file go together (expected two files)"),
    ],
)  # fmt: skip
def test_a_wrong_flag_is_named(given: dict[str, str], said: str) -> None:
    with pytest.raises(InputError) as raised:
        merged(ProcessSettings(), gather(given), given)
    assert str(raised.value) == said


def test_flags_of_kube_scheduler_that_change_nothing_are_taken() -> None:
    settings = gather({flag.name: "anything" for flag in WITHOUT_EFFECT})
    assert settings["authentication-kubeconfig"] == "anything"


def test_the_master_takes_the_place_of_the_kubeconfigs_server(tmp_path: Path) -> None:
    assert access_of(gather({"master": "http://here:1"}), ProcessSettings()).server == "http://here:1"
    path = tmp_path / "k"
    path.write_text(
        '{"clusters": [{"name": "c", "cluster": {"server": "https://a:1"}}], "users": [{"name": "u", "user": {"token": "t"}}],'
        '"contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x"}'
    )
    access = access_of(gather({"master": "https://b:2"}), ProcessSettings(kubeconfig=str(path)))
    assert (access.server, access.token) == ("https://b:2", "t")


users: dict[bytes, Object] = {b"prometheus": {"username": "prometheus"}}


class Reviews:
    """A cluster that knows one token, whose owner may read /metrics."""

    async def create(self, obj: Object) -> Object:
        """The review's answer."""
        spec = obj["spec"]
        if obj["kind"] == "TokenReview":
            known = spec["token"] == "good"
            return {"status": {"authenticated": known, "user": {"username": "prometheus", "groups": ["g"]}}}
        attributes = spec["nonResourceAttributes"]
        allowed = spec["user"] == "prometheus" and attributes == {"path": "/metrics", "verb": "get"}
        return {"status": {"allowed": allowed}}


async def answered(
    path: bytes, token: bytes = b"", query: bytes = b"", wrong: str = "", certificate: bytes | None = None
) -> Response:
    checks = {"/healthz": {"ping": lambda: "", "leaderElection": lambda: wrong}}
    pages = Pages(
        Reviews(), checks, lambda: b"metrics\n", ("/healthz", "/readyz", "/livez"),  # type: ignore[arg-type]
        configz=lambda: {"kind": "K"}, certificates=users.get,
    )  # fmt: skip
    headers = ((b"authorization", b"Bearer " + token),) if token else ()
    return await pages.answer(Request(b"GET", path, query, headers, b"", Peer("x", certificate=certificate)))


def test_health_is_for_everybody_and_metrics_for_those_whom_the_cluster_lets() -> None:
    async def run() -> None:
        assert (await answered(b"/healthz")).body == b"ok"
        said = await answered(b"/healthz", query=b"verbose")
        assert said.body == b"[+]ping ok\n[+]leaderElection ok\nhealthz check passed\n"
        said = await answered(b"/healthz", wrong="late")
        assert (said.status, said.body) == (
            500, b"[+]ping ok\n[-]leaderElection failed: reason withheld\nhealthz check failed\n",
        )  # fmt: skip
        said = await answered(b"/healthz/leaderElection", wrong="late")
        assert (said.status, said.body) == (500, b"internal server error: late\n")
        assert (await answered(b"/healthz", query=b"exclude=leaderElection", wrong="late")).status == 200
        assert (await answered(b"/healthz/other")).status == 404
        assert (await answered(b"/metrics", b"good")).body == b"metrics\n"
        said = await answered(b"/metrics")
        assert isinstance(said.body, bytes)
        assert said.status == 403
        assert b'forbidden: User \\"system:anonymous\\" cannot get path \\"/metrics\\"' in said.body
        assert (await answered(b"/metrics", b"bad")).status == 401
        assert (await answered(b"/other", b"good")).status == 403

    asyncio.run(run())


def test_one_of_two_schedules_and_the_other_takes_over() -> None:
    async def run() -> None:
        async with living() as it:
            await node(it, "a")
            settings = ProcessSettings(
                election=Election(lease_seconds=1.0, renew_deadline_seconds=0.5, retry_seconds=0.05)
            )
            first, second = (
                Service(it.client, default_configuration(), settings, identity=f"{name}_1")
                for name in ("one", "two")
            )
            tasks = [asyncio.ensure_future(first.run())]
            await it.until(lambda: first.is_ready)
            tasks.append(asyncio.ensure_future(second.run()))
            await it.client.create(pod("p"))
            assert await placed(it, "p") == "a"
            lease = await it.client.get("leases", "kube-scheduler", "kube-system")
            assert lease["spec"]["holderIdentity"] == "one_1" and not second.is_ready
            assert all(not check() for checks in second.checks.values() for check in checks.values())
            tasks[0].cancel()
            await asyncio.wait(tasks[:1])
            await it.until(lambda: second.is_ready)
            await it.client.create(pod("q"))
            assert await placed(it, "q") == "a"
            assert second.scheduler.compare() == []
            tasks[1].cancel()
            await asyncio.wait(tasks)

    asyncio.run(run())


def test_unreadable_authorization_is_an_error_of_the_server() -> None:
    class Silent:
        async def create(self, obj: Object) -> Object:
            raise ApiError(503, "ServiceUnavailable", "away")

    async def run() -> None:
        pages = Pages(Silent(), {}, lambda: b"", ())  # type: ignore[arg-type]
        said = await pages.answer(Request(b"GET", b"/metrics", b"", (), b"", Peer("x")))
        assert said.status == 500

    asyncio.run(run())


def test_a_client_is_known_by_its_certificate_before_its_token() -> None:
    async def run() -> None:
        assert (await answered(b"/metrics", certificate=b"prometheus")).status == 200
        assert (await answered(b"/metrics", certificate=b"nobody")).status == 403
        assert (await answered(b"/metrics", b"good", certificate=b"nobody")).status == 200
        assert (await answered(b"/configz", certificate=b"prometheus")).status == 403

    asyncio.run(run())


def test_certificates_of_the_authorities_name_users_and_others_are_refused(tmp_path: Path) -> None:
    import ssl

    from kcore.apiserver.pki import Pki

    ours, theirs = Pki(tmp_path / "a"), Pki(tmp_path / "b")
    ders = []
    for pki in (ours, theirs):
        authority = pki.authority("ca", "ca")
        pki.client("monitor", authority, "prometheus", "g")
        ders.append(ssl.PEM_cert_to_DER_cert((pki.folder / "monitor.crt").read_text()))
    user_of = known_by((tmp_path / "a" / "ca.crt").read_text())
    assert user_of is not None and known_by("") is None
    found = user_of(ders[0]) or {}
    assert found["username"] == "prometheus" and found["groups"] == ["g", "system:authenticated"]
    assert "authentication.kubernetes.io/credential-id" in found["extra"]
    with pytest.raises(ApiError) as raised:
        user_of(ders[1])
    assert raised.value.code == 401


def test_configz_has_every_default_in_its_place() -> None:
    document: Object = {
        **FILE, "extenders": [{"urlPrefix": "http://x", "filterVerb": "f", "httpTimeout": "1500ms", "weight": 0}],
        "profiles": [
            {
                "plugins": {"score": {"disabled": [{"name": "ImageLocality"}], "enabled": [{"name": "NodeAffinity", "weight": 5}]}},
                "pluginConfig": [
                    {"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "MostAllocated", "resources": [{"name": "cpu"}]}}},
                    {"name": "GpuShare", "args": {"not": "enabled"}},
                ],
            },
            {"schedulerName": "other", "percentageOfNodesToScore": 40},
        ],
    }  # fmt: skip
    found = shown(document, process_settings(document))
    assert found["leaderElection"] == {
        "leaderElect": True, "leaseDuration": "30s", "renewDeadline": "20s", "retryPeriod": "2s",
        "resourceLock": "leases", "resourceName": "mine", "resourceNamespace": "kube-system",
    }  # fmt: skip
    assert (found["parallelism"], found["podMaxBackoffSeconds"], found["enableProfiling"]) == (16, 20, True)
    assert found["extenders"] == [{"urlPrefix": "http://x", "filterVerb": "f", "httpTimeout": "1.5s"}]
    first, second = found["profiles"]
    assert first["schedulerName"] == "default-scheduler" and second["percentageOfNodesToScore"] == 40
    assert first["plugins"]["score"] == {
        "enabled": [{"name": "NodeAffinity", "weight": 5}], "disabled": [{"name": "ImageLocality", "weight": 0}],
    }  # fmt: skip
    assert first["plugins"]["bind"] == {}
    assert [one["name"] for one in first["plugins"]["multiPoint"]["enabled"]][-1] == "NodeDeclaredFeatures"
    args = {one["name"]: one["args"] for one in first["pluginConfig"]}
    assert args["NodeResourcesFit"]["scoringStrategy"] == {
        "type": "MostAllocated", "resources": [{"name": "cpu", "weight": 1}],
    }  # fmt: skip
    assert args["NodeResourcesFit"]["kind"] == "NodeResourcesFitArgs" and "GpuShare" not in args
    assert list(args) == sorted(args) and len(args) == 8


def test_numbers_are_printed_as_go_prints_them() -> None:
    printed = [
        go_float(one) for one in (0, 1, 0.1, 999_999, 1e6, 123456789.5, 1e-4, 1e-5, 2621.44, float("inf"))
    ]
    assert printed == [
        "0",
        "1",
        "0.1",
        "999999",
        "1e+06",
        "1.234567895e+08",
        "0.0001",
        "1e-05",
        "2621.44",
        "+Inf",
    ]
