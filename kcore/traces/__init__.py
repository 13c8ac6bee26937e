"""Datasets by name: seeded generators and loaders of public traces, and the files that any of them can be written to.

``kcore datasets`` and ``-f synthetic:NAME?...`` stand on this. Nothing heavy is imported until a dataset is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from kcore.api.errors import InputError
from kcore.traces.dataset import Dataset, Parameter, PublishedFile, Value
from kcore.traces.loaders import LOADERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kcore.api.objects import ClusterObjects
    from kcore.traces.trace import Trace

__all__ = [
    "DATASETS",
    "LOADERS",
    "Dataset",
    "Parameter",
    "PublishedFile",
    "find",
    "from_spec",
    "is_spec",
    "load_openb",
    "load_public",
    "load_trace",
    "make",
    "write_objects",
    "write_trace",
]

SPEC_PREFIX = "synthetic:"
TRACE_BEGINNINGS = ("batch_task", "pai_task_table", "instance_events", "cluster_job_log", "trace.")
TRACE_ENDINGS = (".swf", ".swf.gz", ".swf.zst", ".sqlite", ".sqlite3")  # of files that hold a trace

_SEED = Parameter("seed", 0, "", "the same seed gives the same objects", most=2**63 - 1)

DATASETS: tuple[Dataset, ...] = (
    Dataset(
        name="scheduler_perf",
        form="generator",
        description="nodes and pods in the shapes of Kubernetes' own scheduler benchmark",
        parameters=(
            Parameter("nodes", 500, "nodes", "4 CPU, 32Gi, 110 pods each", least=1),
            Parameter("pods", 1000, "pods", "pending; 100m CPU, 500Mi each"),
            Parameter("init_pods", 0, "pods", "already bound, in turn over the nodes"),
            Parameter("zones", 3, "zones", "zone1, zone2, ... in turn over the nodes; 0: no zone label"),
            Parameter(
                "kind",
                "basic",
                "",
                "what the pods ask for beside resources",
                choices=(
                    "basic",
                    "pod-affinity",
                    "pod-anti-affinity",
                    "preferred-pod-affinity",
                    "preferred-pod-anti-affinity",
                    "topology-spreading",
                    "preferred-topology-spreading",
                    "node-affinity",
                    "mixed",
                ),
            ),
            _SEED,
        ),
        source="kubernetes/kubernetes, test/integration/scheduler_perf (shapes and labels; the objects are our own)",
        licence="Apache-2.0",
        home="kcore.traces.scheduler_perf:scheduler_perf",
    ),
    Dataset(
        name="heterogeneous",
        form="generator",
        description="a mixed CPU and GPU cluster of many node shapes, filled by applications of many kinds",
        parameters=(
            Parameter("nodes", 5000, "nodes", "CPU and GPU machines in several zones and racks", least=1),
            Parameter("pods", 100_000, "pods", "pending, interleaved as their applications arrive"),
            Parameter("zones", 4, "zones", "racks take turns over the zones", least=1, most=1000),
            Parameter("gpu_nodes", 0.3, "fraction", "of the nodes that hold GPUs and are tainted", most=1),
            Parameter(
                "fill", 0.9, "fraction", "of all CPU that the pods ask for together", least=0.01, most=10
            ),
            Parameter(
                "namespaces", 12, "namespaces", "teams that own the applications", least=1, most=10_000
            ),
            _SEED,
        ),
        source="marginals of Alibaba openb (Weng et al., USENIX ATC 2023) and Google Borg 2019 (Tirmazi et al., "
        "EuroSys 2020): datasets/README.md",
        licence="Apache-2.0; the marginals are counts and figures from the published traces",
        home="kcore.traces.heterogeneous:heterogeneous",
    ),
    *LOADERS,
)


def find(name: str) -> Dataset:
    """The dataset of that name; InputError that lists the names otherwise."""
    for dataset in DATASETS:
        if dataset.name == name:
            return dataset
    names = ", ".join(dataset.name for dataset in DATASETS)
    raise InputError(f"there is no dataset {name!r}", expected=f"one of {names}")


def make(name: str, **parameters: Value) -> ClusterObjects:
    """The objects of the named dataset; texts are read as numbers where a number is wanted."""
    from kcore.api.objects import ClusterObjects

    dataset = find(name)
    try:
        made = _built(dataset.home, dataset.arguments(parameters))
    except InputError as error:
        raise error.at(document=name) from None
    return made if isinstance(made, ClusterObjects) else made.objects


def _built(home: str, arguments: dict[str, Value]) -> ClusterObjects | Trace:
    module, function = home.split(":")
    build: Callable[..., ClusterObjects | Trace] = getattr(import_module(module), function)
    return build(**arguments)


def load_trace(path: str | Path, form: str = "", **parameters: Value) -> Trace:
    """The trace in a file or folder; ``form`` is a loader's name, told from names and columns where it is empty.

    ``parameters`` are the loader's (``kcore datasets describe NAME``). ``on_bad="skip"`` leaves bad rows out and counts
    them in ``Trace.skipped``; else the first is an InputError with file, row and column.
    """
    from kcore.traces.trace import Trace

    name = form or _form_of(path)
    if not name:
        names = ", ".join(dataset.name for dataset in LOADERS)
        raise InputError("is in no known form", file=str(path), expected=f"a trace of one of {names}")
    dataset = find(name)
    if dataset.form != "loader":
        raise InputError(f"{name} is made up and read from no file", field="form", expected="a loader")
    trace = _built(dataset.trace or dataset.home, dataset.arguments({"path": str(path), **parameters}))
    assert isinstance(trace, Trace)
    trace.validate()
    return trace


def _form_of(path: str | Path) -> str | None:
    from pathlib import Path

    if not Path(path).exists():
        raise InputError("is not there", file=str(path), expected="the file or folder of a trace")
    from kcore.traces.recognition import form_of

    return form_of(path)


def load_public(path: str | Path) -> ClusterObjects | None:
    """The nodes and pods of a trace in a file or folder; None where no name is that of a trace's file."""
    import os

    names = os.listdir(path) if os.path.isdir(path) else [os.path.basename(path)]
    if not any(
        name.lower().startswith(TRACE_BEGINNINGS) or name.lower().endswith(TRACE_ENDINGS) for name in names
    ):
        return None  # before anything is imported for it
    from kcore.traces.recognition import form_of

    form = form_of(path)
    return None if form is None else load_trace(path, form).objects


def is_spec(text: str) -> bool:
    """Whether the text names a generator, ``synthetic:NAME?parameter=value&...``, rather than a file."""
    return text.startswith(SPEC_PREFIX)


def from_spec(text: str) -> ClusterObjects:
    """The objects that ``synthetic:NAME?parameter=value&...`` names; InputError says what is wrong with it."""
    name, _, query = text.removeprefix(SPEC_PREFIX).partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=100)
        names = [key for key, _ in pairs]
        if repeated := next((key for key in names if names.count(key) > 1), None):
            raise InputError("is given twice", field=repeated)
        return make(name, **dict(pairs))
    except InputError as error:
        raise error.at(file=text) from None
    except ValueError:
        raise InputError(
            f"{query!r} is not a list of parameters",
            file=text,
            expected=f"{SPEC_PREFIX}NAME?nodes=10&pods=100",
        ) from None


def load_openb(path: str | Path, *, nodes: str = "", pods: str = "") -> ClusterObjects | None:
    """The objects of openb's CSV files at a folder or one file; None where the columns are not openb's."""
    from kcore.traces.openb import load_openb as load

    return load(path, nodes=nodes, pods=pods)


def write_trace(trace: Trace, path: str | Path) -> list[Path]:
    """Writes a trace into a table that ``load_trace`` reads back, and returns the paths (see :mod:`kcore.traces.plain`)."""
    from kcore.traces.plain import write_trace as write

    return write(trace, path)


def write_objects(objects: ClusterObjects, path: str | Path, form: str = "") -> list[Path]:
    """Writes the objects into files that ``-f`` reads back, and returns their paths (see :mod:`kcore.traces.write`)."""
    from kcore.traces.write import write_objects as write

    return write(objects, path, form)
