"""Whatever is written says the same as what was given, and is read back so."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import yaml

from kcore.api.admission import Rules, admit
from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects, LabelSelector, ObjectMeta, Pod, ReplicaSet, SelectorSpec
from kcore.api.quantity import parse_quantity
from kcore.sources import read
from kcore.traces import make, write_objects
from kcore.traces.documents import rendered_pods
from kcore.traces.write import FORMS


def pods_of(objects: ClusterObjects) -> list[dict[str, Any]]:
    """Every pod as what the scheduler makes of it, rows and documents alike."""
    found = []
    rows = [
        msgspec.json.decode(text, type=Pod)
        for c in objects.pod_columns
        for text in rendered_pods(c, dumps, dumps)
    ]
    for pod in [*objects.pods, *rows]:
        requests: dict[str, Any] = {}
        for container in pod.spec.containers or ():
            resources = container.resources
            for name, quantity in (
                {**(resources.limits or {}), **(resources.requests or {})}.items() if resources else ()
            ):
                requests[name] = requests.get(name, 0) + parse_quantity(quantity)
            container.resources = None
        spec = msgspec.to_builtins(pod.spec)
        found.append(
            {
                "key": (pod.metadata.namespace or "default", pod.metadata.name),
                "labels": pod.metadata.labels or {},
                "requests": {name: amount for name, amount in requests.items() if amount},
                "priority": spec.pop("priority", None) or 0,
                "schedulerName": spec.pop("schedulerName", "default-scheduler"),
                "spec": spec,
                "started": pod.status.start_time,
            }
        )
    return found


def nodes_of(objects: ClusterObjects) -> list[dict[str, Any]]:
    """Every node as what the scheduler makes of it."""
    return [
        {
            "name": node.metadata.name,
            "labels": node.metadata.labels,
            "allocatable": {
                name: parse_quantity(quantity)
                for name, quantity in node.status.allocatable.items()
                if parse_quantity(quantity)
            },
            "taints": node.spec.taints,
            "unschedulable": node.spec.unschedulable,
        }
        for node in objects.nodes
    ]


def listed(file: Path) -> list[dict[str, Any]]:
    text = file.read_text()
    document = json.loads(text) if file.suffix == ".json" else yaml.load(text, yaml.CSafeLoader)
    assert document["kind"] == "List"
    return document["items"]


def table(file: Path) -> pa.Table:
    if file.suffix == ".parquet":
        return pq.read_table(file)
    if file.suffix == ".csv":
        return pa_csv.read_csv(file, convert_options=pa_csv.ConvertOptions(strings_can_be_null=True))
    with pa.memory_map(str(file)) as source:
        return pa.ipc.open_file(source).read_all()


@pytest.fixture(scope="module")
def small() -> ClusterObjects:
    return make("heterogeneous", nodes=12, pods=60, seed=4)


@pytest.fixture
def bound() -> ClusterObjects:
    objects = make("scheduler_perf", nodes=3, pods=2, init_pods=4, kind="pod-affinity")
    objects.pods = [
        msgspec.convert(pod, Pod)
        for pod in (
            {
                "metadata": {"name": "plain", "namespace": "a", "labels": {"x": "1"}},
                "spec": {
                    "nodeName": "node-00001",
                    "priority": 7,
                    "schedulerName": "mine",
                    "containers": [
                        {"name": "one", "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}}},
                        {
                            "name": "two",
                            "resources": {"limits": {"cpu": 1, "memory": "1k", "example.com/dongle": 2}},
                        },
                    ],
                },
                "status": {"startTime": "2026-01-02T03:04:05Z"},
            },
            {
                "metadata": {"name": "init"},
                "spec": {
                    "containers": [{"name": "one"}],
                    "initContainers": [{"name": "first", "resources": {"requests": {"cpu": 2}}}],
                },
            },
        )
    ]
    return objects


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_list_names_every_object_with_its_requests(
    small: ClusterObjects, tmp_path: Path, form: str
) -> None:
    (file,) = write_objects(small, tmp_path / "out", form)
    assert file == tmp_path / "out" / f"cluster.{form}"
    items = listed(file)
    columns = small.pod_columns[0]
    assert [item["kind"] for item in items] == ["Namespace"] * 12 + ["Node"] * 12 + ["Pod"] * 60
    for row, item in enumerate(items[24:]):
        exemplar = columns.exemplars[columns.exemplar[row]]
        pod = msgspec.convert(item, Pod)
        assert pod.metadata.name == columns.names[row].as_py()
        requests = pod.spec.containers[0].resources.requests
        assert requests["cpu"] in (
            f"{columns.requests['cpu'][row]}m",
            str(columns.requests["cpu"][row] // 1000),
        )
        pod.metadata.name = ""
        pod.spec.containers[0].resources = None
        assert pod == exemplar


@pytest.mark.parametrize("ending", ["json", "yaml", "yml"])
def test_a_file_may_be_named_instead_of_a_folder(small: ClusterObjects, tmp_path: Path, ending: str) -> None:
    (file,) = write_objects(small, tmp_path / "new" / f"x.{ending}")
    assert len(listed(file)) == 84


def test_json_and_yaml_agree(bound: ClusterObjects, tmp_path: Path) -> None:
    (as_json,), (as_yaml,) = (write_objects(bound, tmp_path, form) for form in ("json", "yaml"))
    assert listed(as_json) == listed(as_yaml)


def test_bound_pods_keep_their_node(bound: ClusterObjects, tmp_path: Path) -> None:
    (file,) = write_objects(bound, tmp_path, "json")
    pods = [item for item in listed(file) if item["kind"] == "Pod"]
    nodes = ["node-00001", None, "node-00000", "node-00001", "node-00002", "node-00000", None, None]
    assert [pod["spec"].get("nodeName") for pod in pods] == nodes
    assert pods[2]["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "100m", "memory": "500Mi"}


@pytest.mark.parametrize("form", ["parquet", "arrow", "csv"])
def test_tables_hold_numbers_as_columns(bound: ClusterObjects, tmp_path: Path, form: str) -> None:
    bound.pods.pop()
    files = write_objects(bound, tmp_path, form)
    assert [file.name for file in files] == [f"nodes.{form}", f"pods.{form}", "others.json"]
    nodes, pods = table(files[0]).to_pylist(), table(files[1]).to_pylist()
    assert nodes[0]["cpu_milli"] == 4000
    assert nodes[0]["memory_bytes"] == 32 << 30
    assert nodes[0]["pods"] == 110
    assert not nodes[0]["unschedulable"]
    assert json.loads(nodes[1]["labels"])["kubernetes.io/hostname"] == "node-00001"
    plain, first = pods[:2]
    assert plain["namespace"] == "a"
    assert plain["cpu_milli"] == 1100
    assert plain["memory_bytes"] == (1 << 30) + 1000
    assert plain["request:example.com/dongle"] == 2
    assert plain["scheduler_name"] == "mine"
    assert plain["start_time"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert json.loads(plain["spec"]) == {"containers": [{"name": "one"}, {"name": "two"}], "priority": 7}
    assert first["node"] == "node-00000"
    assert first["cpu_milli"] == 100
    assert "resources" not in first["spec"]
    assert pods[-1]["node"] in (None, "")
    assert len(listed(files[2])) == 2


def test_pods_that_no_number_describes_are_documents_and_so_are_those_before_them(
    bound: ClusterObjects, tmp_path: Path
) -> None:
    _, pods, others = write_objects(bound, tmp_path, "parquet")
    assert table(pods)["name"].to_pylist() == [f"pod-{pod:05d}" for pod in range(6)]
    assert [item["metadata"]["name"] for item in listed(others)] == ["sched-0", "sched-1", "plain", "init"]


@pytest.mark.parametrize("form", ["parquet", "arrow", "csv"])
def test_tables_of_columns_say_what_the_columns_say(small: ClusterObjects, tmp_path: Path, form: str) -> None:
    pods = table(write_objects(small, tmp_path, form)[1])
    columns = small.pod_columns[0]
    assert pods["name"].to_pylist() == columns.names.to_pylist()
    assert pods["cpu_milli"].to_pylist() == columns.requests["cpu"].tolist()
    assert pods["request:nvidia.com/gpu"].to_pylist() == columns.requests["nvidia.com/gpu"].tolist()
    exemplars = [columns.exemplars[at] for at in columns.exemplar.tolist()]
    assert pods["priority"].to_pylist() == [pod.spec.priority for pod in exemplars]
    assert [json.loads(text) for text in pods["labels"].to_pylist()] == [
        pod.metadata.labels for pod in exemplars
    ]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("which", ["small", "bound"])
def test_what_was_written_is_read_back(
    request: pytest.FixtureRequest, tmp_path: Path, which: str, form: str
) -> None:
    objects: ClusterObjects = deepcopy(request.getfixturevalue(which))
    write_objects(objects, tmp_path, form)
    again = read([str(tmp_path)])
    admit(objects, Rules([], []))  # as the reader does
    assert pods_of(again) == pods_of(objects)
    assert nodes_of(again) == nodes_of(objects)
    assert [each.metadata.name for each in again.namespaces] == [
        each.metadata.name for each in objects.namespaces
    ]


def test_workloads_are_not_expanded_a_second_time(tmp_path: Path) -> None:
    selector = LabelSelector(match_labels={"app": "web"})
    objects = ClusterObjects(
        replica_sets=[ReplicaSet(metadata=ObjectMeta(name="web"), spec=SelectorSpec(selector=selector))]
    )
    write_objects(objects, tmp_path, "json")
    again = read([str(tmp_path)])
    assert again.pods == []
    assert again.replica_sets[0].spec.selector == selector


def test_nothing_can_be_written(tmp_path: Path) -> None:
    (file,) = write_objects(ClusterObjects(), tmp_path, "yaml")
    assert listed(file) == []
    (file,) = write_objects(ClusterObjects(), tmp_path, "json")
    assert listed(file) == []
    assert write_objects(ClusterObjects(), tmp_path, "parquet") == []


def test_wrong_destinations_are_one_line(small: ClusterObjects, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, form, message in (
        (tmp_path / "x.json", "yaml", "yaml files need a folder"),
        (tmp_path / "x.parquet", "", "need a folder"),
        (tmp_path, "xml", "'xml' is not a form of files"),
        (tmp_path / "file", "csv", "cannot be written"),
    ):
        with pytest.raises(InputError, match=message):
            write_objects(small, path, form)
    assert set(FORMS) == {"json", "yaml", "parquet", "arrow", "csv"}
