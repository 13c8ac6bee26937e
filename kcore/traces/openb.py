"""The Alibaba GPU trace "openb" as nodes and pending pods.

Source: alibaba/clusterdata, cluster-trace-gpu-v2023; Weng et al., Beware of Fragmentation, USENIX ATC 2023. A task's
devices are ``num_gpu`` with ``gpu_milli`` of each, for profiles that share GPUs; for all others its GPU request counts as
the extended resource ``alibabacloud.com/gpu-milli``, thousandths of GPUs (num_gpu x gpu_milli);
a node has 1,000 for each GPU. ``gpu_spec`` ("V100M16|V100M32") becomes a required node affinity on the label
``alibabacloud.com/gpu-card-model``. Tasks come in the order of creation_time; qos, pod_phase and the times of deletion
and scheduling say what happened in the real cluster and are not used.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from kcore.api.errors import InputError
from kcore.api.objects import (
    Affinity,
    Annotations,
    ClusterObjects,
    Container,
    Node,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodColumns,
    PodSpec,
    Quantity,
)
from kcore.traces.csv_rows import first_row

GPU_MILLI = "alibabacloud.com/gpu-milli"
GPU_MODEL = "alibabacloud.com/gpu-card-model"
HOSTNAME = "kubernetes.io/hostname"
NAMESPACE = "default"
PODS_PER_NODE = 10_000  # the trace knows no limit; this one is never met

NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
POD_COLUMNS = (
    "name",
    "cpu_milli",
    "memory_mib",
    "num_gpu",
    "gpu_milli",
)  # four of the published files have only these
NODE_FILE = "openb_node_list_all_node.csv"
POD_FILE = "openb_pod_list_default.csv"
AMOUNT_MAX = 1 << 40  # of a CSV number: milli-CPUs, MiB, GPUs; products stay within int64

_INTEGERS = {
    name: pa.int64() for name in ("cpu_milli", "memory_mib", "gpu", "num_gpu", "gpu_milli", "creation_time")
}
_TEXTS = {name: pa.string() for name in ("sn", "name", "model", "gpu_spec")}


def openb(*, path: str, nodes: str, pods: str) -> ClusterObjects:
    """The trace in the folder ``path``; InputError where it is not there."""
    if not path:
        raise InputError("openb is not shipped", field="path", expected="the folder of its CSV files")
    objects = load_openb(path, nodes=nodes, pods=pods)
    if objects is None:
        raise InputError("holds no openb files", file=path, expected=f"{NODE_FILE} and {POD_FILE}")
    return objects


def load_openb(path: str | Path, *, nodes: str = "", pods: str = "") -> ClusterObjects | None:
    """The objects of a folder or of one CSV file; None where the columns are not openb's.

    Of a folder with several node or pod files, the published defaults are read unless ``nodes`` or ``pods`` names
    one; InputError where neither decides, or where a value is wrong.
    """
    node_file, pod_file = files(path, nodes=nodes, pods=pods)
    if node_file is None and pod_file is None:
        return None
    objects = ClusterObjects()
    if node_file is not None:
        objects.nodes = _nodes(_table(node_file, NODE_COLUMNS), str(node_file))
        objects.node_origins = [(str(node_file), f"row {row + 2}") for row in range(len(objects.nodes))]
    if pod_file is not None:
        objects.pod_columns = [_pods(_table(pod_file, POD_COLUMNS), str(pod_file))]
    return objects


def files(path: str | Path, *, nodes: str = "", pods: str = "") -> tuple[Path | None, Path | None]:
    """The node file and the pod file at a folder or of one CSV file, by their columns; None for what is not there."""
    path = Path(path)
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if _is_csv(file))
        headers = {file: _header(file) for file in found}
        node_file = _chosen(path, [f for f in found if is_node(headers[f])], nodes, NODE_FILE, "node")
        pod_file = _chosen(path, [f for f in found if is_pod(headers[f])], pods, POD_FILE, "pod")
        return node_file, pod_file
    if not (path.is_file() and _is_csv(path)):
        return None, None
    header = _header(path)
    return (path if is_node(header) else None), (path if is_pod(header) else None)


def _is_csv(file: Path) -> bool:
    return file.name.endswith((".csv", ".csv.gz", ".csv.zst")) and file.is_file()


def is_node(header: set[str]) -> bool:
    """Whether the columns are those of a node file."""
    return header.issuperset(NODE_COLUMNS)


def is_pod(header: set[str]) -> bool:
    """Whether the columns are those of a pod file."""
    return header.issuperset(POD_COLUMNS)


def _header(file: Path) -> set[str]:
    """The names in the first line; empty where it cannot be read as text."""
    try:
        return set(first_row(file))
    except (InputError, csv.Error):
        return set()


def _chosen(folder: Path, files: list[Path], named: str, default: str, noun: str) -> Path | None:
    by_name = {_uncompressed(file.name): file for file in files}
    if named:
        if _uncompressed(named) not in by_name:
            raise InputError(
                f"there is no {noun} file {named!r}",
                file=str(folder),
                expected=", ".join(sorted(by_name)) or None,
            )
        return by_name[_uncompressed(named)]
    if len(files) > 1 and default not in by_name:
        raise InputError(
            f"holds {len(files)} openb {noun} files and none is {default}",
            file=str(folder),
            expected="the file to be named",
        )
    return by_name.get(default, files[0] if files else None)


def _uncompressed(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".zst")


def _table(file: Path, wanted: tuple[str, ...]) -> pa.Table:
    convert = pa_csv.ConvertOptions(column_types={**_INTEGERS, **_TEXTS}, strings_can_be_null=False)
    try:
        table = pa_csv.read_csv(file, convert_options=convert)
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        raise InputError(str(error).splitlines()[0], file=str(file)) from None
    for name in set(table.column_names) & _INTEGERS.keys():
        column = table[name]
        bad = pc.fill_null(pc.or_(pc.less(column, 0), pc.greater(column, AMOUNT_MAX)), True)
        row = pc.index(bad, True).as_py()
        if row >= 0:
            raise InputError(
                f"{column[row].as_py()} is no amount",
                file=str(file),
                document=f"row {row + 2}",
                field=name,
                expected=f"a whole number from 0 to {AMOUNT_MAX}",
            )
    assert set(wanted) <= set(table.column_names)
    return table


def _nodes(table: pa.Table, file: str) -> list[Node]:
    return [
        _node(row, file, number) for number, row in enumerate(table.select(NODE_COLUMNS).to_pylist(), start=2)
    ]


def _node(row: dict[str, Any], file: str, number: int) -> Node:
    name = row["sn"]
    if not name:
        raise InputError("is empty", file=file, document=f"row {number}", field="sn", expected="a node name")
    labels = {HOSTNAME: name}
    allocatable: dict[str, Quantity] = {
        "cpu": f"{row['cpu_milli']}m",
        "memory": f"{row['memory_mib']}Mi",
        "pods": PODS_PER_NODE,
    }
    if row["gpu"]:
        allocatable[GPU_MILLI] = row["gpu"] * 1000
    if row["model"]:
        labels[GPU_MODEL] = row["model"]
    return Node(
        metadata=ObjectMeta(name=name, labels=labels),
        status=NodeStatus(capacity=allocatable, allocatable=allocatable),
    )


def _pods(table: pa.Table, file: str) -> PodColumns:
    if "creation_time" in table.column_names:
        created = table["creation_time"].to_numpy()
        table = table.take(pa.array(np.argsort(created, kind="stable")))
    if "gpu_spec" in table.column_names:
        specs = pc.dictionary_encode(table["gpu_spec"].combine_chunks())
    else:
        specs = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(table), np.int32)), [""])
    gpu_milli = table["num_gpu"].to_numpy() * table["gpu_milli"].to_numpy()
    return PodColumns(
        exemplars=[_exemplar(spec) for spec in specs.dictionary.to_pylist()],
        exemplar=specs.indices.to_numpy(zero_copy_only=False).astype(np.int32),
        names=table["name"].combine_chunks(),
        requests={
            "cpu": table["cpu_milli"].to_numpy(),
            "memory": table["memory_mib"].to_numpy() << 20,
            GPU_MILLI: gpu_milli,
        },
        gpu_count=table["num_gpu"].to_numpy(),
        gpu_milli=table["gpu_milli"].to_numpy(),
        origin=file,
    )


def _exemplar(gpu_spec: str) -> Pod:
    spec = PodSpec(containers=[Container(name="task")])
    if gpu_spec:
        models = sorted({model for model in gpu_spec.split("|") if model})
        wants = NodeSelectorRequirement(key=GPU_MODEL, operator="In", values=models)
        terms = [NodeSelectorTerm(match_expressions=[wants])]
        spec.affinity = Affinity(node_affinity=NodeAffinity(required=NodeSelector(node_selector_terms=terms)))
    annotations = Annotations(gpu_card_model=gpu_spec) if gpu_spec else None
    return Pod(metadata=ObjectMeta(namespace=NAMESPACE, annotations=annotations), spec=spec)
