"""Manifests and dumps in every form become the same objects; what is wrong is said in one line with its place."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from bench.dump import dump, node, pod
from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects
from kcore.sources import decode_objects, read, validate
from kcore.sources import files as files_module


def manifest(kind: str = "Pod", name: str = "a", api_version: str = "v1", **rest: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **rest}


POD = manifest(spec={"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]})
NODE = manifest("Node", "n1", status={"capacity": {"cpu": "4", "memory": "8Gi"}})


def write(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def names(objects: ClusterObjects) -> list[str]:
    return [node.metadata.name for node in objects.nodes] + [pod.metadata.name for pod in objects.pods]


FORMS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "a.json": lambda items: json.dumps({"apiVersion": "v1", "kind": "List", "items": items}),
    "indented.json": lambda items: json.dumps({"items": items, "kind": "List", "apiVersion": "v1"}, indent=4),
    "lines.jsonl": lambda items: "\n".join(json.dumps(item) for item in items),
    "concatenated.json": lambda items: "\n".join(json.dumps(item, indent=2) for item in items),
    "glued.json": lambda items: "".join(json.dumps(item) for item in items),
    "documents.yaml": lambda items: "---\n" + yaml.dump_all(items) + "---\n",
    "list.yml": lambda items: yaml.dump({"apiVersion": "v1", "kind": "List", "items": items}),
    "json-in.yaml": lambda items: json.dumps({"apiVersion": "v1", "kind": "List", "items": items}),
    "no-suffix-json": lambda items: " \n" + json.dumps({"apiVersion": "v1", "kind": "List", "items": items}),
    "no-suffix-yaml": lambda items: "# a comment\n" + yaml.dump_all(items),
    "mark.json": lambda items: "\ufeff" + json.dumps({"apiVersion": "v1", "kind": "List", "items": items}),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
def test_every_form_reads_the_same(tmp_path: Path, form: str, compression: str) -> None:
    items = [NODE, POD, manifest(name="b", spec={"nodeName": "n1", "containers": []})]
    data = FORMS[form](items).encode()
    if compression == ".gz":
        data = gzip.compress(data[:20]) + gzip.compress(data[20:])  # members follow each other
    elif compression == ".zst":
        data = pa.Codec("zstd").compress(data, asbytes=True)
    objects = read([write(tmp_path, form + compression, data)])
    assert names(objects) == ["n1", "a", "b"]
    assert objects.pods == decode_objects(items).pods
    validate(objects)


def test_a_dump_reads_the_same_by_the_fast_way_and_by_the_slow() -> None:
    items = [*(node(index) for index in range(3)), *(pod(index, 3) for index in range(20))]
    fast = read(["-"], stdin=io.BytesIO(dump(20, 3)))
    assert (fast.nodes, fast.pods) == (decode_objects(items).nodes, decode_objects(items).pods)
    with_others = json.dumps({"kind": "List", "apiVersion": "v1", "items": [manifest("ConfigMap"), *items]})
    mixed = read(["-"], stdin=io.BytesIO(with_others.encode()))
    assert (mixed.nodes, mixed.pods, mixed.passed_over) == (fast.nodes, fast.pods, {"ConfigMap": 1})


def test_items_of_an_api_list_say_no_kind() -> None:
    items = [
        {key: value for key, value in pod(index, 3).items() if key not in ("kind", "apiVersion")}
        for index in range(3)
    ]
    listed = {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}
    assert len(read(["-"], stdin=io.BytesIO(json.dumps(listed).encode())).pods) == 3
    assert len(decode_objects([listed]).pods) == 3
    del listed["metadata"]
    assert len(read(["-"], stdin=io.BytesIO(json.dumps(listed, indent=1).encode())).pods) == 3


def test_directories_are_walked_in_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", "b.yaml", yaml.dump(POD))
    write(tmp_path, "z.json", json.dumps(NODE))
    write(tmp_path, "README.md", "# no manifest")
    write(tmp_path, ".hidden.yaml", "[")
    assert names(read([str(tmp_path)])) == ["n1", "a"]


def test_trace_loaders_come_first(tmp_path: Path) -> None:
    loaded = decode_objects([NODE])
    asked: list[str] = []

    def loader(path: str) -> ClusterObjects | None:
        asked.append(path)
        return loaded if path.endswith(".csv") else None

    write(tmp_path, "trace.csv", "what,ever\n1,2\n")
    write(tmp_path, "pod.yaml", yaml.dump(POD))
    assert names(read([str(tmp_path)], trace_loaders=[loader])) == ["n1", "a"]
    assert asked == [str(tmp_path), str(tmp_path / "trace.csv")]


def test_nulls_count_as_absent() -> None:
    objects = decode_objects([manifest(spec={"nodeName": None, "containers": None}, status=None)])
    assert objects.pods[0].spec.node_name == ""
    text = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"nodeName": null}, "status": null}'
    assert (
        read(["-"], stdin=io.BytesIO(text.encode())).pods
        == objects.pods[:0]
        + read(
            ["-"],
            stdin=io.BytesIO(
                b"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {nodeName: }\nstatus:\n"
            ),
        ).pods
    )


def test_yaml_is_typed_as_kubectl_types_it() -> None:
    text = b"""
apiVersion: v1
kind: Pod
metadata: {name: a, labels: {date: 2001-01-01, "quoted": "yes", time: 12:30:45}}
spec: &spec
  hostNetwork: yes
  priority: 010
  containers:
  - {name: c, resources: {requests: {cpu: 0.5, memory: 1e3}}}
---
apiVersion: v1
kind: Pod
metadata: {name: b}
spec: {<<: {priority: 1, hostNetwork: off}, priority: 1_000}
"""
    first, second = read(["-"], stdin=io.BytesIO(text)).pods
    assert first.metadata.labels == {"date": "2001-01-01", "quoted": "yes", "time": "12:30:45"}
    assert (first.spec.host_network, first.spec.priority) == (True, 8)
    assert (second.spec.host_network, second.spec.priority) == (False, 1000)


def test_finished_pods_are_dropped_and_counted() -> None:
    pods = [manifest(name=phase, status={"phase": phase}) for phase in ("Succeeded", "Running", "Failed")]
    objects = decode_objects(pods)
    assert (names(objects), objects.finished_pod_count) == (["Running"], 2)
    assert len(objects.pod_origins) == 1


def test_generated_names_are_stable_and_distinct() -> None:
    pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "job-"}} for _ in range(100)]
    first, second = names(decode_objects(pods)), names(decode_objects(pods))
    assert first == second
    assert len(set(first)) == 100
    assert all(name.startswith("job-") and len(name) == 9 for name in first)


SPEC = {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1x"}}}]}
NEGATIVE = {"initContainers": [{"name": "c", "resources": {"limits": {"memory": "-1Gi"}}}]}
WRONG: dict[str, tuple[list[Any], str]] = {
    "duplicate pod": ([POD, POD], "object 2: metadata.name: the pod 'default/a' is there twice, first in objects: object 1"),
    "duplicate node": ([NODE, NODE], "the node 'n1' is there twice"),
    "no name": ([{"apiVersion": "v1", "kind": "Node", "metadata": {"generateName": "n-"}}], "object 1: metadata.name"),
    "no metadata": ([{"apiVersion": "v1", "kind": "Pod"}], "metadata.name: the Pod has no name"),
    "unknown kind": ([manifest("Pdo")], "kind: the kind 'v1 Pdo' is not known"),
    "unknown group": ([manifest("Pod", api_version="x.dev/v1")], "'x.dev/v1 Pod' is not known"),
    "no kind": ([{"metadata": {}}], "object 1: kind: has no kind"),
    "no mapping": ([7], "object 1: holds an integer"),
    "configuration": (
        [{"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}],
        "pass it by --config",
    ),
    "kustomization": (
        [{"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}],
        "kubectl kustomize",
    ),
    "type": ([manifest(spec={"priority": "high"})], 'spec.priority: is text, "high" (expected an integer)'),
    "type in a map": ([manifest(spec={"nodeSelector": {"a": "b", "c": True}})], "spec.nodeSelector.c: is true or false"),
    "list for a mapping": ([manifest(spec=[])], "spec: is a list (expected a mapping)"),
    "quantity": ([manifest(spec=SPEC)], "spec.containers[0].resources.requests.cpu: '1x' is not a quantity"),
    "negative": ([manifest(spec=NEGATIVE)], "spec.initContainers[0].resources.limits.memory: -1Gi is negative"),
    "node quantity": ([manifest("Node", "n", status={"capacity": {"cpu": "-1"}})], "status.capacity.cpu: -1 is negative"),
    "priority": ([manifest(spec={"priority": 1 << 40})], "object 1 (pod default/a): spec.priority: 1099511627776 is no priority"),
    "class": ([manifest(spec={"priorityClassName": "gold"})], "no PriorityClass with name gold was found"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_objects(case: str) -> None:
    objects, message = WRONG[case]
    with pytest.raises(InputError) as caught:
        decode_objects(objects)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pod_bound_to_an_unknown_node() -> None:
    objects = decode_objects([NODE, manifest(spec={"nodeName": "n2"})])
    with pytest.raises(
        InputError, match=r"object 2: spec.nodeName: pod default/a is bound to the unknown node 'n2'"
    ):
        validate(objects)


YAML_TYPE = (
    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n  - name: c\n    image: [x]\n"
)
WRONG_TEXTS: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.yaml", b" \n", "a.yaml: the file is empty"),
    "no document": ("a.yaml", b"# nothing\n---\n", "holds no document"),
    "json": ("a.json", b'{"a": 1,\n "b": }', "a.json: line 2: the JSON is malformed: invalid character"),
    "json ends": ("a.json", b'{"a": [1,\n', "line 2: the JSON is malformed: it ends early"),
    "second json": ("a.json", b'{"kind": "ConfigMap", "apiVersion": "v1"}\n{"a": }', "line 2: the JSON is malformed"),
    "deep json": ("a.json", b"[" * 100_000, "nested too deeply"),
    "json not utf-8": ("a.json", b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"\xff"}}', "not UTF-8"),
    "yaml": ("a.yaml", b"a: 1\nb: [1,\n", "a.yaml: line 3: the YAML is malformed"),
    "yaml key twice": ("a.yaml", b"a: 1\nb: 2\na: 3\n", 'line 3: the YAML is wrong: the key "a" stands here twice'),
    "deep yaml": ("a.yaml", b"[" * 100_000, "nested deeper than 200 levels"),
    "alias bomb": (
        "a.yaml",
        b"a: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + b"".join(b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 10)) for n in range(9)),
        "aliases stand for more than",
    ),
    "yaml not utf-8": ("a.yaml", b"a: b\nc: \xff\n", "line 2: the text is not UTF-8"),
    "utf-16": ("a.yaml", "a: b".encode("utf-16"), "not UTF-8"),
    "yaml type": ("a.yaml", YAML_TYPE.encode(), "document 1 (line 8, Pod a): spec.containers[0].image: is a list (expected text)"),
    "second document": ("a.yaml", b"---\napiVersion: v1\nkind: ConfigMap\n---\nkind: X\n", "document 2 (line 5): kind"),
    "json item": (
        "a.json",
        json.dumps({"kind": "List", "items": [POD, manifest(spec={"priority": "x"})]}).encode(),
        'a.json: items[1] (Pod a): spec.priority: is text, "x"',
    ),
    "gzip ends": ("a.json.gz", gzip.compress(json.dumps(POD).encode())[:-12], "gzip data ends early"),
    "gzip damaged": ("a.json.gz", b"\x1f\x8b\x08\x00" + b"x" * 50, "gzip data is damaged"),
    "zstd ends": ("a.zst", pa.Codec("zstd").compress(dump(20, 3), asbytes=True)[:-9], "zstd data"),
    "zstd damaged": ("a.zst", b"\x28\xb5\x2f\xfd" + b"x" * 50, "zstd data is damaged"),
    "text": ("notes", b"hello", "holds text"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_TEXTS)
def test_wrong_texts(tmp_path: Path, case: str) -> None:
    name, data, message = WRONG_TEXTS[case]
    with pytest.raises(InputError) as caught:
        read([write(tmp_path, name, data)])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_an_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing.yaml: cannot be read: No such file"):
        read([str(tmp_path / "missing.yaml")])
    with pytest.raises(InputError, match=r"no file to read"):
        read([str(tmp_path)])


def test_limits_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "LINE_BYTES_MAX", 1000)
    with pytest.raises(InputError, match=r"line 2 is longer than"):
        read([write(tmp_path, "a.json", b"{\n" + b" " * 2000 + b"}")])
    monkeypatch.setattr(files_module, "FILE_BYTES_MAX", 1500)
    with pytest.raises(InputError, match=r"holds more than"):
        read([write(tmp_path, "a.json", b" " * 2000)])
    for compressed in (gzip.compress(b" " * 2000), pa.Codec("zstd").compress(b" " * 2000, asbytes=True)):
        with pytest.raises(InputError, match=r"holds more than"):
            read(["-"], stdin=io.BytesIO(compressed))


def test_what_is_known_already_counts() -> None:
    gold = manifest("PriorityClass", "gold", "scheduling.k8s.io/v1", value=7, preemptionPolicy="Never")
    runtime = manifest(
        "RuntimeClass", "vm", "node.k8s.io/v1", handler="vm", overhead={"podFixed": {"cpu": "100m"}}
    )
    cluster = decode_objects([NODE, gold, runtime])
    daemon = manifest("DaemonSet", "d", "apps/v1", spec={"template": {"spec": {"containers": []}}})
    classy = manifest(spec={"priorityClassName": "gold", "runtimeClassName": "vm"})
    objects = decode_objects([daemon, classy], known=cluster)
    spec = objects.pods[0].spec
    assert (spec.priority, spec.preemption_policy, spec.overhead) == (7, "Never", {"cpu": "100m"})
    assert len(objects.pods) == 2


def test_the_start_path_is_light() -> None:
    program = "import sys, kcore.sources; print([m for m in ('numpy', 'pyarrow', 'yaml', 'lightkube') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"
    )
