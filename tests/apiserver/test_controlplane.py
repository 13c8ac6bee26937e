"""``kcore.ControlPlane`` and its clients as their users meet them: start, errors, threads, loops, forks, and the end."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kcore import ControlPlane, InputError, KcoreError
from kcore.api.status import ApiError
from kcore.client import blocking
from kcore.client.asynchronous import AsyncClient

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as made:
        yield made


def config_map(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, *arguments, *(["-c", script] if script else [])]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=120
    )


# -- what is given ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"flags": {"authorisation-mode": "RBAC"}}, "flags: there is no flag 'authorisation-mode' (expected authorization-mode)"),
        ({"flags": {"event_ttl": "soon"}}, "--event-ttl: cannot read 'soon' (expected a duration such as 10m or 500ms)"),
        ({"port": 70_000}, "port: cannot be 70000 (expected 0 to 65535)"),
        ({"data_dir": "/dev/null/kcore"}, "/dev/null/kcore/pki: data_dir: cannot keep data there: Not a directory"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_one_line(given: Any, said: str) -> None:
    before = threading.active_count()
    with pytest.raises(InputError) as caught:
        ControlPlane(**given).start()
    assert str(caught.value) == said
    assert threading.active_count() == before


def test_a_port_that_is_taken(plane: ControlPlane) -> None:
    port = int(plane.url.rpartition(":")[2])
    with pytest.raises(InputError, match=rf"cannot listen on 127.0.0.1:{port}: Address already in use"):
        ControlPlane(port=port).start()


def test_data_outlives_the_control_plane_and_is_one_s_own(tmp_path: Path) -> None:
    with ControlPlane(data_dir=tmp_path) as one:
        made = one.client.create(config_map("kept", a="1"))
        certificate = one.kubeconfig_dict["clusters"][0]["cluster"]["certificate-authority-data"]
        with pytest.raises(KcoreError, match=f"^{tmp_path}/store is in use by process {os.getpid()}: .*$"):
            ControlPlane(data_dir=tmp_path).start()
        kubeconfig = Path(one.kubeconfig)
        assert kubeconfig.stat().st_mode & 0o777 == 0o600
    assert not kubeconfig.parent.exists()
    with ControlPlane(data_dir=tmp_path) as two:
        assert two.client.get("configmaps", "kept") == made
        assert two.kubeconfig_dict["clusters"][0]["cluster"]["certificate-authority-data"] == certificate


def test_flags_as_python_has_them() -> None:
    flags = {"service_cluster_ip_range": ["10.96.0.0/16"], "anonymous-auth": False, "event-ttl": "10m"}
    one = ControlPlane(flags=flags)
    assert one._flags == {
        "service-cluster-ip-range": "10.96.0.0/16", "anonymous-auth": "false", "event-ttl": "10m",
    }  # fmt: skip
    assert repr(one) == "<kcore.ControlPlane stopped>"


# -- the clients --------------------------------------------------------------------------------------------------


def test_two_at_once_know_nothing_of_each_other(plane: ControlPlane) -> None:
    with ControlPlane() as other:
        other.client.create(config_map("theirs"))
        assert other.url != plane.url
        with pytest.raises(ApiError, match='configmaps "theirs" not found'):
            plane.client.get("configmaps", "theirs")
        with pytest.raises(RuntimeError, match="it runs already"):
            other.start()


def test_warnings_are_handed_out(plane: ControlPlane, caplog: pytest.LogCaptureFixture) -> None:
    odd = config_map("odd") | {"dato": {}}
    with caplog.at_level(logging.WARNING, "kcore.client"):
        plane.client.create(odd, dry_run=True)
    assert [(each.name, each.message) for each in caplog.records] == [
        ("kcore.client", 'unknown field "dato"')
    ]
    heard: list[str] = []
    plane.client.on_warning = heard.append
    try:
        plane.client.create(odd, dry_run=True)
        with pytest.raises(ApiError, match="already exists"):  # what fails has warned, too
            plane.client.create(odd | {"metadata": {"name": "kube-root-ca.crt", "namespace": "default"}})
    finally:
        plane.client.on_warning = None
    assert heard == ['unknown field "dato"'] * 2


def test_what_is_given_and_returned_is_the_caller_s_own(plane: ControlPlane) -> None:
    given = config_map("own", a="1")
    made = plane.client.create(given)
    assert given == config_map("own", a="1")
    made["data"]["a"] = "changed"
    assert plane.client.get("cm", "own")["data"] == {"a": "1"}
    with pytest.raises(ValueError, match="resource name may not be empty"):
        plane.client.delete("pods", "")
    with pytest.raises(ValueError, match="a patch is one of json, merge, strategic, apply"):
        plane.client.patch("pods", "p", {}, type="diff")
    for call, code in (
        (lambda: plane.client.list("nothings"), 404),
        (lambda: plane.client.list("bindings"), 405),
    ):
        with pytest.raises(ApiError) as caught:
            call()
        assert caught.value.code == code


OPTIONS = {
    "get": blocking.GetOptions, "list": blocking.ListOptions, "create": blocking.CreateOptions,
    "update": blocking.UpdateOptions, "patch": blocking.PatchOptions, "apply": blocking.ApplyOptions,
    "delete": blocking.DeleteOptions, "delete_collection": blocking.DeleteCollectionOptions,
    "watch": blocking.WatchOptions,
}  # fmt: skip


@pytest.mark.parametrize("method", OPTIONS)
def test_both_clients_take_the_same(method: str) -> None:
    wanted = inspect.signature(getattr(AsyncClient, method)).parameters.values()
    names = {each.name for each in wanted if each.kind is each.KEYWORD_ONLY}
    assert names == OPTIONS[method].__annotations__.keys()
    given = inspect.signature(getattr(blocking.Client, method)).parameters.values()
    assert [each.name for each in given if each.kind is not each.VAR_KEYWORD] == [
        each.name for each in wanted if each.kind is not each.KEYWORD_ONLY
    ]


def test_a_watch_is_left_as_any_loop_is(plane: ControlPlane) -> None:
    plane.client.create(config_map("seen"))
    for kind, obj in plane.client.watch("configmaps", "default", field_selector="metadata.name=seen"):
        assert (kind, obj["metadata"]["name"]) == ("ADDED", "seen")
        break
    ended = plane.client.watch(
        "configmaps", "default", field_selector="metadata.name=seen", timeout_seconds=1
    )
    assert [kind for kind, _ in ended] == ["ADDED"]
    with pytest.raises(ApiError, match="found '' expected"):
        next(plane.client.watch("configmaps", label_selector="a in"))


# -- asyncio ------------------------------------------------------------------------------------------------------


def test_in_a_loop_of_the_caller_s_own() -> None:
    async def work() -> None:
        async with ControlPlane() as cp:
            client = cp.async_client
            many = [client.create(config_map(f"n-{number}")) for number in range(50)]
            assert len({made["metadata"]["uid"] for made in await asyncio.gather(*many)}) == 50
            seen = []
            async for kind, obj in client.watch("configmaps", "default", field_selector="metadata.name=n-7"):
                seen.append(kind)
                if kind == "DELETED":
                    break
                await client.delete("configmaps", obj["metadata"]["name"])
            assert seen == ["ADDED", "DELETED"]
            waiting = asyncio.ensure_future(
                anext(client.watch("configmaps", resource_version="0", label_selector="no"))
            )
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(waiting, 0.2)
            with pytest.raises(ApiError, match='configmaps "no" not found'):
                await client.get("configmaps", "no")
            assert cp.client.get("configmaps", "n-1")["kind"] == "ConfigMap"  # also here, as in a notebook
            unending = client.watch("configmaps", label_selector="no")
            rest = asyncio.ensure_future(anext(unending, "ended"))
            await asyncio.sleep(0.1)
        assert await rest == "ended"
        with pytest.raises(RuntimeError, match="the control plane has stopped"):
            await client.get("configmaps", "n-1")
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(work())


def test_work_in_the_server_s_own_loop(plane: ControlPlane) -> None:
    async def work() -> list[str]:
        client = plane.async_client
        for number in range(5):
            await client.create(config_map(f"bulk-{number}"))
        watch = client.watch("configmaps", "default")
        assert (await anext(watch))[0] == "ADDED"
        await watch.aclose()
        with pytest.raises(RuntimeError, match="this would wait for its own loop"):
            plane.client.list("configmaps")
        listed = await client.list("configmaps", "default")
        return [each["metadata"]["name"] for each in listed["items"]]

    assert {f"bulk-{number}" for number in range(5)} <= set(plane.run(work()))
    with pytest.raises(RuntimeError, match="the control plane has stopped"):
        ControlPlane().run(work())


# -- the end ------------------------------------------------------------------------------------------------------


def test_the_end_reaches_whoever_waits() -> None:
    cp = ControlPlane()
    cp.start()
    seen: list[Any] = []
    watching = threading.Thread(
        target=lambda: seen.extend(cp.client.watch("configmaps", label_selector="no"))
    )
    watching.start()
    cp.client.create(config_map("a"))
    client = cp.client
    cp.stop()
    watching.join(10)
    assert not watching.is_alive()
    assert seen == []
    with pytest.raises(RuntimeError, match="the control plane has stopped"):
        client.get("configmaps", "a")
    cp.stop()
    with cp:  # it may start again, with an empty store
        assert cp.client.list("configmaps", "default", field_selector="metadata.name=a")["items"] == []


def test_a_fork_leaves_it_alone(plane: ControlPlane) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            try:
                plane.client.list("pods")
            except RuntimeError as error:
                code = 0 if "forked" in str(error) and not plane.is_running else 2
            plane.stop()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert plane.is_running
    assert Path(plane.kubeconfig).exists()
    assert plane.client.list("pods")["kind"] == "PodList"


NOTHING_LEFT = """
import gc, os, ssl, tempfile, threading, urllib.request
import kcore

def here():
    gc.collect()
    return threading.enumerate(), len(os.listdir("/proc/self/fd")), sorted(os.listdir(tempfile.gettempdir()))

def life():
    with kcore.ControlPlane() as cp:
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}
        cp.client.create(made)
        watch = cp.client.watch("configmaps")
        next(watch)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with urllib.request.urlopen(cp.url + "/readyz", context=context) as answer:
            assert answer.read() == b"ok"

tempfile.tempdir = tempfile.mkdtemp()
life()
before = here()
life()
assert here() == before, (before, here())
os.rmdir(tempfile.tempdir)
kept = kcore.ControlPlane()
kept.start()  # and nobody stops it: the interpreter's end does
print(os.path.dirname(kept.kubeconfig))
"""


def test_nothing_is_left_and_nothing_is_warned_of() -> None:
    ended = run(NOTHING_LEFT.replace("os.rmdir(tempfile.tempdir)", "tempfile.tempdir = None"), "-W", "error")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not Path(ended.stdout.strip()).exists()


CONFTEST = """
import pytest
pytest_plugins = ["kcore.pytest_plugin"]

@pytest.fixture(scope="session")
def kcore_options():
    return {"flags": {"authorization-mode": "AlwaysAllow"}}
"""
TEST = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_namespaces(kcore_cluster, kcore_namespace, number):
    assert kcore_cluster._flags == {"authorization-mode": "AlwaysAllow"}
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": kcore_namespace}}
    assert kcore_cluster.client.create(made)["metadata"]["namespace"] == kcore_namespace
"""


@pytest.mark.slow
def test_every_worker_of_xdist_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xdist")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_them.py").write_text(TEST)
    ended = run(
        "", "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "xdist.plugin", "-n", "2",
        "--rootdir", str(tmp_path), str(tmp_path),
    )  # fmt: skip
    assert "4 passed" in ended.stdout, ended.stdout
