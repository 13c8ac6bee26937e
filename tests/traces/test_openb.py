"""The openb trace becomes nodes and pending pods; other files are left to others."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from kcore.api.errors import InputError
from kcore.traces import load_openb, make
from kcore.traces.openb import GPU_MILLI, GPU_MODEL, NODE_FILE, POD_FILE
from tests.shared import SHARED

OPENB = SHARED / "datasets" / "openb"

NODES = "sn,cpu_milli,memory_mib,gpu,model\nn0,96000,393216,8,G2\nn1,32000,262144,0,\n"
PODS = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
    "p0,4000,1024,1,460,V100M16|V100M32|V100M32,LS,Running,7,9,7\n"
    "p1,8000,2048,8,1000,,BE,Pending,3,9,\n"
    "p2,8000,2048,0,0,,BE,Pending,3,9,\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / NODE_FILE).write_text(NODES)
    (tmp_path / POD_FILE).write_text(PODS)
    return tmp_path


def test_nodes_carry_gpus_in_thousandths_and_their_model(folder: Path) -> None:
    objects = load_openb(folder)
    assert objects is not None
    first, second = objects.nodes
    assert first.status.allocatable == {
        "cpu": "96000m",
        "memory": "393216Mi",
        "pods": 10_000,
        GPU_MILLI: 8000,
    }
    assert first.metadata.labels == {"kubernetes.io/hostname": "n0", GPU_MODEL: "G2"}
    assert GPU_MILLI not in second.status.allocatable
    assert objects.node_origins[1] == (str(folder / NODE_FILE), "row 3")


def test_pods_are_pending_in_the_order_of_their_creation(folder: Path) -> None:
    (columns,) = load_openb(folder).pod_columns
    assert columns.names.to_pylist() == ["p1", "p2", "p0"]
    assert columns.node is None
    assert columns.requests["cpu"].tolist() == [8000, 8000, 4000]
    assert columns.requests["memory"].tolist() == [2048 << 20, 2048 << 20, 1024 << 20]
    assert columns.requests[GPU_MILLI].tolist() == [8000, 0, 460]
    plain, choosy = (columns.exemplars[columns.exemplar[row]].spec for row in (0, 2))
    assert plain.affinity is None
    (term,) = choosy.affinity.node_affinity.required.node_selector_terms
    assert term.match_expressions[0].values == ["V100M16", "V100M32"]


def test_one_file_alone_is_read(folder: Path) -> None:
    assert len(load_openb(folder / NODE_FILE).nodes) == 2
    assert load_openb(folder / POD_FILE).nodes == []


def test_a_file_of_five_columns_and_a_compressed_one_are_read(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "pods.csv.gz", "wt") as stream:
        stream.write("name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,2,1,500\n")
    (columns,) = load_openb(tmp_path / "pods.csv.gz").pod_columns
    assert columns.requests[GPU_MILLI].tolist() == [500]


def test_other_files_are_not_openb(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,cpu_milli\nx,1\n")
    (tmp_path / "b.yaml").write_text(NODES)
    (tmp_path / "c.csv").write_bytes(b"\xff\xfe\x00")
    for path in (
        tmp_path,
        tmp_path / "a.csv",
        tmp_path / "b.yaml",
        tmp_path / "c.csv",
        tmp_path / "missing.csv",
    ):
        assert load_openb(path) is None


def test_a_file_may_be_named_and_must_be_where_none_is_the_default(folder: Path) -> None:
    (folder / "openb_pod_list_small.csv").write_text("\n".join(PODS.splitlines()[:2]) + "\n")
    assert len(load_openb(folder, pods="openb_pod_list_small.csv").pod_columns[0].names) == 1
    assert len(make("openb", path=str(folder)).pod_columns[0].names) == 3
    with pytest.raises(InputError, match="there is no pod file 'x'"):
        load_openb(folder, pods="x")
    (folder / POD_FILE).rename(folder / "openb_pod_list_other.csv")
    with pytest.raises(InputError, match="holds 2 openb pod files"):
        load_openb(folder)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("p,x,2,1,500", "invalid value 'x'"),
        ("p,-1,2,1,500", "row 2: cpu_milli: -1 is no amount"),
        ("p,,2,1,500", "row 2: cpu_milli: None is no amount"),
        ("p,1,2,1", "Expected 5 columns, got 4"),
        ("p,9223372036854775807,2,1,500", "cpu_milli: 9223372036854775807 is no amount"),
    ],
)
def test_wrong_values_are_named(tmp_path: Path, row: str, message: str) -> None:
    file = tmp_path / "pods.csv"
    file.write_text(f"name,cpu_milli,memory_mib,num_gpu,gpu_milli\n{row}\n")
    with pytest.raises(InputError) as caught:
        load_openb(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.skipif(not OPENB.is_dir(), reason=f"the openb trace is not at {OPENB}; set KCORE_SHARED")
def test_the_public_trace_has_its_published_size() -> None:
    objects = load_openb(OPENB)
    assert len(objects.nodes) == 1523
    assert len(objects.pod_columns[0].names) == 8152
    assert sum(int(node.status.allocatable.get(GPU_MILLI, 0)) for node in objects.nodes) == 6_212_000
