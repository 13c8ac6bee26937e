"""A file of test cases becomes structs; every field that is wrong is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from kcore.api.errors import InputError
from kcore.sources.files import read
from kcore.sources.yaml_text import documents

OPCODES = (
    "createNodes", "createNamespaces", "createPods", "createPodSets", "createAny", "churn", "barrier", "sleep",
    "deletePods", "startCollectingMetrics", "stopCollectingMetrics",
)  # fmt: skip


class LabelNodes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Nodes get one of the values in turn."""

    label_key: str
    label_values: list[str]


class UniqueLabel(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Every node gets a value of its own."""

    label_key: str


class NodeAmounts(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """More allocatable resources for every node."""

    node_allocatable: dict[str, str] = msgspec.field(default_factory=dict)
    csi_node_allocatable: dict[str, Any] = msgspec.field(default_factory=dict)
    migrated_plugins: list[str] = msgspec.field(default_factory=list)


class Op(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """One operation; which fields mean something depends on ``opcode``."""

    opcode: str
    count: int | None = None
    count_param: str = ""
    node_template_path: str = ""
    node_allocatable_strategy: NodeAmounts | None = None
    label_node_prepare_strategy: LabelNodes | None = None
    unique_node_label_strategy: UniqueLabel | None = None
    prefix: str = ""
    namespace_template_path: str = ""
    namespace: str | None = None
    pod_template_path: str = ""
    collect_metrics: bool = False
    skip_wait_to_completion: bool = False
    steady_state: bool = False
    duration: str = ""
    duration_param: str = ""
    namespace_prefix: str = ""
    create_pods_op: Op | None = None
    template_path: str = ""
    mode: str = "recreate"
    number: int = 0
    template_paths: list[str] = msgspec.field(default_factory=list)
    interval_milliseconds: int = 500
    label_selector: dict[str, str] = msgspec.field(default_factory=dict)
    stage_requirement: str = "Scheduled"
    delete_pods_per_second: int = 0
    name: str = ""
    namespaces: list[str] = msgspec.field(default_factory=list)
    persistent_volume_template_path: str = ""
    persistent_volume_claim_template_path: str = ""


class Workload(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """One set of parameters of a test case."""

    name: str
    params: dict[str, int | float | bool | str] = msgspec.field(default_factory=dict)
    labels: list[str] = msgspec.field(default_factory=list)
    feature_gates: dict[str, bool] = msgspec.field(default_factory=dict)
    threshold: float | dict[str, float] = 0.0
    threshold_metric_selector: Any = None


class TestCase(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Operations in order, and the workloads that fill in their parameters."""

    name: str
    workload_template: list[Op]
    workloads: list[Workload]
    default_pod_template_path: str = ""
    labels: list[str] = msgspec.field(default_factory=list)
    feature_gates: dict[str, bool] = msgspec.field(default_factory=dict)
    metrics_collector_config: Any = None
    scheduler_config_path: str = ""
    default_threshold_metric_selector: Any = None


def read_cases(path: str) -> list[TestCase]:
    """The test cases of a file.

    Raises:
        InputError: the file does not parse, or a field is unknown, missing or of the wrong type.
    """
    found = []
    for value in one_document(path, list, "a list of test cases"):
        name = value.get("name", "?") if isinstance(value, dict) else "?"
        try:
            case = msgspec.convert(value, TestCase)
        except msgspec.ValidationError as error:
            problem, _, place = str(error).partition(" - at ")
            raise InputError(problem, file=path, document=str(name), field=place.strip("`$.")) from None
        _check_opcodes(case, path)
        found.append(case)
    return found


def one_document(path: str, kind: type, expected: str) -> Any:
    """The only document of a YAML file, of the expected kind."""
    content = read(path)
    values = [document.value for document in documents(content.data, content.name)]
    if len(values) != 1 or not isinstance(values[0], kind):
        raise InputError("is not what was expected", file=path, expected=expected)
    return values[0]


def _check_opcodes(case: TestCase, path: str) -> None:
    for index, op in enumerate(case.workload_template):
        where = f"workloadTemplate[{index}]"
        if op.opcode not in OPCODES:
            raise InputError(
                f"{op.opcode!r} is not supported", file=path, document=case.name, field=f"{where}.opcode",
                expected=f"one of {', '.join(OPCODES)}",
            )  # fmt: skip
        if op.persistent_volume_template_path or op.persistent_volume_claim_template_path:
            raise InputError(
                "volumes are not scheduled yet", file=path, document=case.name, field=where,
                expected="pods without volumes",
            )  # fmt: skip
        if op.opcode == "churn" and op.mode not in ("create", "recreate"):
            raise InputError(
                f"{op.mode!r} is not a mode", file=path, document=case.name, field=f"{where}.mode",
                expected="create or recreate",
            )  # fmt: skip


def beside(path: str, relative: str) -> str:
    """A template's path, which is relative to the file that names it."""
    return str(Path(path).parent / relative)
