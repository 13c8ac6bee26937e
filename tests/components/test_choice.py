"""Which components and which controllers run, as flags and arguments say."""

from __future__ import annotations

from typing import Any

import pytest

from kcore import ControlPlane, InputError
from kcore.cli.app import main
from kcore.components.choice import choose
from kcore.controllers import catalog
from kcore.controllers.contract import Settings
from kcore.controllers.flags import FLAGS, gather


def test_everything_runs_and_the_nodes_where_there_are_to_be_any() -> None:
    assert choose(None).names == ("scheduler", "controller-manager")
    assert choose(None, 3).names == ("scheduler", "controller-manager", "nodes")
    assert choose(["apiserver"]).names == ()
    assert choose(["nodes"]).names == ("nodes",)
    assert choose(["nodes", "scheduler"], 2).node_count == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((None, -1), "--nodes: is -1 (expected a number from 0)"),
        ((["shceduler"],), "--components: there is no component 'shceduler' (expected scheduler)"),
        (
            (["zzz"],),
            "--components: there is no component 'zzz' (expected some of apiserver,scheduler,controller-manager,nodes)",
        ),
        (
            (["scheduler"], 5),
            "--nodes: says nothing without the component nodes (expected nodes in --components)",
        ),
        ((None, 0, "big.yaml"), "--node-template: says nothing without --nodes"),
        ((None, 0, "", ("pod-fast",)), "--stages: says nothing without --nodes"),
    ],
)
def test_what_cannot_be_is_one_line(arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises(InputError) as caught:
        choose(*arguments)
    assert str(caught.value) == said


def test_python_names_its_arguments() -> None:
    with pytest.raises(InputError, match=r"^components: there is no component 'node' "):
        ControlPlane(components=["node"])
    with pytest.raises(InputError, match=r"^nodes: is '5' "):
        ControlPlane(nodes="5")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up", "--nodes=2", "--stages=nowhere.yaml"], "nowhere.yaml: "),
        (["up", "--components=scheduler,x"], "--components: there is no component 'x'"),
        (["controller-manager", "--controllers=foo"], '"foo" is not in the list of known controllers'),
        (["controller-manager", "--leader-elect-lease-duration=5s"], "--leader-elect-lease-duration: "),
        (["controller-manager", "--leader-elect-retry-period=9s"], "--leader-elect-retry-period: "),
        (["controller-manager", "--cluster-signing-key-file=k"], "--cluster-signing-cert-file"),
        (["controller-manager", "--kubeconfig=nowhere"], "nowhere: "),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_the_first_that_names_a_controller_says_whether_it_runs() -> None:
    # table of IsControllerEnabled, controller-manager app/helper_test.go
    assert catalog.is_enabled("bravo", False, ["alpha", "bravo", "-charlie"])
    assert not catalog.is_enabled("charlie", True, ["alpha", "bravo", "-charlie"])
    assert not catalog.is_enabled("alpha", True, ["-alpha", "alpha"])
    assert catalog.is_enabled("alpha", True, ["*"])
    assert not catalog.is_enabled("alpha", False, ["*"])
    assert catalog.is_enabled("alpha", False, ["*", "alpha"])
    assert not catalog.is_enabled("alpha", True, ["bravo"])


def test_controllers_go_by_names_old_and_new() -> None:
    names = [each.name for each in catalog.make(Settings(), ["deployment", "namespace-controller"])]
    assert names == ["deployment-controller", "namespace-controller"]
    assert catalog.missing(["*", "-job", "route"]) == ["node-route-controller"]
    assert {*catalog.missing([*catalog.UPSTREAM])} == catalog.WHY_NOT.keys()
    settings = Settings(
        root_ca="PEM", signing_certificate=b"PEM", signing_key=b"PEM", make_token=lambda *of: "token"
    )
    every = {each.name for each in catalog.make(settings)}
    idle = {"node-ipam-controller"}  # without --allocate-node-cidrs
    assert every == {entry.type.name for entry in catalog.ENTRIES if entry.type.on_by_default} - idle
    without = {each.name for each in catalog.make(settings, ["*", "-nodelifecycle"])}
    assert every - without == {"node-lifecycle-controller"}


def test_every_controller_has_upstreams_name() -> None:
    names = [entry.type.name for entry in catalog.ENTRIES]
    assert set(names) <= {*catalog.UPSTREAM}
    assert len(set(names)) == len(names)


def test_all_are_made_from_the_flags() -> None:
    settings = gather({"node-monitor-grace-period": "20s", "controllers": "*,-podgc"})
    assert settings["controllers"] == ("*", "-pod-garbage-collector-controller")
    assert catalog.make(Settings(flags=settings), settings["controllers"])
    assert len({flag.name for flag in FLAGS}) == len(FLAGS)
