"""Wrong files and flags: one line with file, document and field, and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from kcore.api.errors import InputError
from kcore.cli.app import main
from kcore.hollow.configuration import load
from kcore.hollow.node_template import read_template

STAGE = """apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: ok}
spec: {resourceRef: {kind: Pod}, selector: {}, next: {delete: true}}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: bad}
spec:
  resourceRef: {kind: Pod}
  %s
"""
WHERE = "f.yaml: document 2 (bad): spec."
JQ = "selector: {matchExpressions: [{key: %s, operator: %s, values: [x]}]}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("selectors: {}", "selectors: is no field of this object (expected selector)"),
        (JQ % (".a", "Within"), "selector.matchExpressions[0].operator: operator 'Within' is not supported (expected one of In, NotIn, Exists, DoesNotExist)"),
        (JQ % (".a", "Exists"), "selector.matchExpressions[0].values: Exists takes no values (expected none)"),
        ("weight: -1", "weight: -1 is no whole number from 0 (expected a whole number from 0)"),
        ("delay: {durationMilliseconds: soon}", "delay.durationMilliseconds: 'soon' is no whole number from 0 (expected a whole number from 0)"),
        ("next: {statusTemplate: '{{ if }}'}", "next.statusTemplate: template line 1: unexpected \"}}\" in if (expected Go's text/template)"),
        ("steps: [{patch: {template: a, type: three}}]", "steps[0].patch.type: 'three' is not supported (expected one of json, merge, strategic)"),
        ("selector: {matchLabels: {a: 1}}", "selector.matchLabels['a']: 1 is a number (expected a string)"),
        ("next: {event: {type: Loud}}", "next.event.type: 'Loud' is not supported (expected one of Normal, Warning)"),
        ("next: {finalizers: {add: [x]}}", "next.finalizers.add[0]: a string where an object belongs"),
    ],
)  # fmt: skip
def test_a_wrong_stage(text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.yaml").write_text(STAGE % text)
    with pytest.raises(InputError) as caught:
        load(["f.yaml"])
    assert str(caught.value) == WHERE + said


def test_wrong_jq(tmp_path: Path) -> None:
    pytest.importorskip("jq")
    file = tmp_path / "f.yaml"
    file.write_text(STAGE % (JQ % ("'.a['", "In")))
    with pytest.raises(InputError, match=r"matchExpressions\[0\].key: '.a\[' is no jq: syntax error"):
        load([str(file)])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "line 2"),
        ("- a", "document 1: is no object (expected one of kind Stage)"),
        ("# nothing", "f.yaml: holds no document (expected one of kind Stage)"),
        ("{apiVersion: v1, kind: Stag}", "document 1: kind: 'Stag' is no kind of this file (expected Stage)"),
        ("{apiVersion: v1, kind: Stage}", "document 1: apiVersion: is 'v1' (expected kwok.x-k8s.io/v1alpha1)"),
        ("{apiVersion: kwok.x-k8s.io/v1alpha1, kind: ClusterExec, metadata: {name: e}, spec: {execs: [{local: {}}]}}", "document 1 (e): spec.execs[0].local: runs commands on this machine, which kcore does not (expected answers)"),
        (STAGE % "weight: 1\n" + "---\n" + (STAGE % "weight: 1").partition("---\n")[0], "document 3 (ok): metadata.name: there is a stage 'ok' already"),
    ],
)  # fmt: skip
def test_a_wrong_document(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load([str(file)])
    assert said in str(caught.value)


def test_a_wrong_node_template(tmp_path: Path) -> None:
    file = tmp_path / "n.yaml"
    file.write_text("kind: Pod")
    with pytest.raises(InputError, match="document 1: kind: is no node"):
        read_template(str(file))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# nothing", "n.yaml: holds no node (expected a manifest of a node)"),
        ("{apiVersion: v1, kind: Node, specs: {}}", "n.yaml: document 1: specs: is no field of a node (expected spec)"),
        ("{apiVersion: v1, kind: Node, metadata: {name: '{{ .Nme }}'}}", "n.yaml: metadata.name: every node is '<no value>' (expected a name with .Name or .Index in it)"),
        ("{apiVersion: v1, kind: Node, metadata: {name: '{{ \"a\" }}'}}", "n.yaml: metadata.name: every node is 'a' (expected"),
        ("{{ nosuch }}", 'n.yaml: template line 1: function "nosuch" not defined'),
        ("{apiVersion: v1, kind: Node, metadata: {name: '{{ fail .Name }}'}}", "n.yaml: template line 1: "),
    ],
)  # fmt: skip
def test_a_template_that_makes_no_nodes_is_told_before_anything_starts(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("n.yaml").write_text(text)
    assert main(["up", "--nodes=2", "--node-template=n.yaml", "--data-dir=data"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"kcore: error: {said}") and error.count("\n") == 1
    assert not Path("data").exists()


def test_nodes_from_a_template(tmp_path: Path) -> None:
    file = tmp_path / "n.yaml"
    file.write_text(
        "{apiVersion: v1, kind: Node, metadata: {name: '{{ .Name }}', labels: {zone: z{{ mod .Index 2 }}}}}"
    )
    made = [*read_template(str(file)).nodes(3)]
    assert [each["metadata"]["name"] for each in made] == ["node-000000", "node-000001", "node-000002"]
    assert [each["metadata"]["labels"]["zone"] for each in made] == ["z0", "z1", "z0"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--nodes", "-1"], "--nodes: is -1 (expected a number from 0 to 1000000)"),
        (["--nodes", "1000001"], "--nodes: is 1000001 (expected a number from 0 to 1000000)"),
        (["--node-ip", "here"], "--node-ip: 'here' is no address (expected one like 10.0.0.1)"),
        (["--node-port", "65536"], "--node-port: is 65536 (expected a number from 0 to 65535)"),
        (["--node-lease-duration-seconds", "-1"], "--node-lease-duration-seconds: is -1 (expected a number from 0)"),
        (["--cidr", "10.0.0.0/99"], "--cidr: '10.0.0.0/99' is no range of addresses (expected one like 10.128.0.0/9)"),
        (["--server-address", "here"], "--server-address: 'here' is no address (expected HOST:PORT)"),
        (["--manage-all-nodes", "--manage-single-node", "n"], "--manage-single-node: conflicts with the other ways"),
        (["--manage-all-nodes=true", "--manage-single-node", "n"], "--manage-single-node: conflicts with the other ways"),
        (["--manage-all-nodes=false"], "--manage-all-nodes: no nodes are managed"),
        (["--manage-all-nodes=maybe"], "--manage-all-nodes: "),
        (["--manage-all-nodes=true", "--cidr", "here"], "--cidr: 'here' is no range"),
        (["--manage-all-nodes=false", "--manage-single-node", "n", "--cidr", "here"], "--cidr: 'here' is no range"),
        (["--manage-nodes-with-label-selector", "a in"], "--manage-nodes-with-label-selector: 'a in' is no selector"),
        (["--stages", "nowhere.yaml"], "nowhere.yaml: cannot be read: No such file or directory"),
        (["--kubeconfig", "nowhere"], "nowhere: cannot be read: No such file or directory"),
    ],
)  # fmt: skip
def test_a_wrong_flag(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hollow-nodes", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
