"""Flags of ``kcore etcd``: from the command line, the environment and a file, and what is refused."""

from typing import Any

import pytest

from kcore.api.errors import InputError
from kcore.cli.etcd import two_dashes
from kcore.flags import seconds
from kcore.store.etcd.flags import FLAGS, READERS, RENAMED, gather, variable


def test_names_are_unique_and_every_kind_can_be_read() -> None:
    names = [flag.name for flag in FLAGS]
    assert len(set(names)) == len(names)
    assert {flag.kind for flag in FLAGS} <= set(READERS)
    assert set(RENAMED.values()) <= set(names)


def test_defaults_are_etcds() -> None:
    settings = gather({}, {}, None)
    assert settings["data-dir"] == "default.etcd"
    assert settings["listen-client-urls"] == ("http://localhost:2379",)
    assert settings["max-request-bytes"] == 1_572_864
    assert settings["election-timeout"] == 1_000


def test_flags_win_over_the_environment_and_a_file_over_both() -> None:
    environment = {"ETCD_NAME": "e", "ETCD_SNAPSHOT_COUNT": "5"}
    settings = gather({"name": "f"}, environment, None)
    assert (settings["name"], settings["snapshot-count"], settings["data-dir"]) == ("f", 5, "f.etcd")
    settings = gather({"name": "f"}, environment, {"name": "g"})
    assert (settings["name"], settings["snapshot-count"]) == ("g", 10_000)
    assert variable("initial-cluster") == "ETCD_INITIAL_CLUSTER"


def test_a_configuration_file() -> None:
    file = {
        "listen-client-urls": "https://127.0.0.1:1,https://127.0.0.1:2",
        "advertise-client-urls": "https://127.0.0.1:1",
        "watch-progress-notify-interval": 5_000_000_000,
        "client-transport-security": {"cert-file": "c", "key-file": "k", "client-cert-auth": True},
        "peer-transport-security": {"auto-tls": True},
        "log-outputs": ["stderr"],
    }
    settings = gather({}, {}, file)
    assert settings["listen-client-urls"] == ("https://127.0.0.1:1", "https://127.0.0.1:2")
    assert settings["watch-progress-notify-interval"] == 5
    assert settings["client-cert-auth"] is settings["peer-auto-tls"] is True
    assert settings["cert-file"] == "c"
    assert settings["log-outputs"] == ("stderr",)
    with pytest.raises(InputError, match="nonsense is no setting"):
        gather({}, {}, {"nonsense": 1})


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"heartbeat-interval": "x"}, "--heartbeat-interval: cannot read 'x'"),
        ({"listen-client-urls": "127.0.0.1:1"}, "URLs with http"),
        ({"listen-client-urls": "http://127.0.0.1"}, "host and port"),
        ({"listen-client-urls": "http://127.0.0.1:1"}, "--advertise-client-urls"),
        ({"initial-cluster": "http://127.0.0.1:1"}, "name=URL"),
        ({"initial-cluster-state": "old"}, "new or existing"),
        ({"cert-file": "c"}, "--key-file"),
        ({"client-cert-auth": "maybe"}, "true or false"),
        ({"auto-compaction-mode": "revision", "auto-compaction-retention": "5m"}, "number of revisions"),
        ({"auto-compaction-retention": "soon"}, "a duration"),
        ({"watch-progress-notify-interval": "10"}, "a duration"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, str], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        gather(given, {}, None)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"), [("10m", 600), ("1h30m", 5400), ("100ms", 0.1), ("0", 0), ("1.5s", 1.5)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("argument", "read"),
    [
        ("-name", "--name"),
        ("-name=x", "--name=x"),
        ("--client-cert-auth", "--client-cert-auth=true"),
        ("-client-cert-auth=false", "--client-cert-auth=false"),
        ("-h", "-h"),
        ("x", "x"),
        ("--unknown", "--unknown"),
    ],
)
def test_one_dash_is_as_good_as_two(argument: str, read: str) -> None:
    assert two_dashes(argument) == read


def test_members_of_an_initial_cluster_may_have_several_urls() -> None:
    text = "a=http://h:1,b=http://h:2,a=http://h:3"
    settings: dict[str, Any] = gather({"initial-cluster": text}, {}, None)
    assert settings["initial-cluster"] == {"a": ("http://h:1", "http://h:3"), "b": ("http://h:2",)}
