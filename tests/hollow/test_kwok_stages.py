"""Kwok's own stages do to Kwok's own objects what Kwok says: the pairs beside the project (KCORE_SHARED)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from kcore.hollow.functions import STATIC
from kcore.hollow.lifecycle import by_resource, delay_range_ns, weight_of
from kcore.hollow.patches import finalizer_operations, patch_value, rendered
from kcore.hollow.stage import APPLY, JSON, MERGE, STRATEGIC, Apply, Delete, Event, Finalizers, Patch, Stage
from kcore.hollow.stage_file import read_stage
from tests.shared import SHARED

FOLDER = SHARED / "conformance" / "kwok_stages"
INPUTS = sorted(FOLDER.glob("*/*/testdata/*.input.yaml"))
TYPES = {
    MERGE: "application/merge-patch+json",
    STRATEGIC: "application/strategic-merge-patch+json",
    JSON: "application/json-patch+json",
    APPLY: "application/apply-patch+yaml",
}


def placeholder(name: str, *given: Any) -> str:
    shown = ", ".join(f'"{v}"' if isinstance(v, str) else str(v).lower() for v in given)
    return f"<{name}({shown})>" if given else f"<{name}>"


def functions() -> dict[str, Any]:
    """Kwok's stage tester's: each says its name and what it was given."""
    single = (
        "Now",
        "StartTime",
        "Version",
        "NodeName",
        "NodePort",
        "NodeIP",
        "PodIP",
        "NodeIPWith",
        "PodIPWith",
    )
    made: dict[str, Any] = {name: lambda *given, name=name: placeholder(name, *given) for name in single}
    for name in ("NodeIPsWith", "PodIPsWith"):
        made[name] = lambda *given, name=name: [
            f"<{i} of {placeholder(name, *given)[1:-1]}>" for i in range(2)
        ]
    return {**STATIC, **made}


def step_shown(step: Any, obj: dict[str, Any]) -> dict[str, Any] | None:
    if isinstance(step, Event):
        return {"kind": "event", "type": step.type, "reason": step.reason, "message": step.message}
    if isinstance(step, Delete):
        return {"kind": "delete"}
    if isinstance(step, Finalizers):
        operations = finalizer_operations(obj["metadata"].get("finalizers", []), step)
        return {"kind": "patch", "type": TYPES[JSON], "data": operations} if operations else None
    shown: dict[str, Any] = {}
    if isinstance(step, Patch):
        kind = step.type or MERGE
        shown = {"kind": "patch", "type": TYPES[kind], "data": patch_value(step, kind, obj, functions())}
    elif isinstance(step, Apply):
        shown = {"kind": "apply", "type": TYPES[step.type], "data": rendered(step.template, obj, functions())}
    if step.subresource:
        shown["subresource"] = step.subresource
    return shown


def stage_shown(stage: Stage, obj: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"stage": stage.name, "weight": weight_of(stage, obj)}
    delay = delay_range_ns(stage, obj, 1_800_000_000 * 10**9)
    if stage.delay_ms is not None:
        # a time in the past is a delay that is over, which the tester writes as 0
        shown["delay"] = [max(each, 0) for each in delay]
    steps = [each for step in stage.steps if (each := step_shown(step, obj))]
    if steps:
        shown["next"] = steps
    return shown


def stages_beside(given: Path) -> Sequence[Stage]:
    found = []
    for path in sorted(given.parent.parent.glob("*.yaml")):
        found += [
            read_stage(each) for each in yaml.safe_load_all(path.read_text()) if each["kind"] == "Stage"
        ]
    return found


@pytest.mark.skipif(not INPUTS, reason="the shared folder (KCORE_SHARED) has no kwok_stages")
@pytest.mark.parametrize("given", INPUTS, ids=lambda path: f"{path.parts[-4]}-{path.parts[-3]}-{path.stem}")
def test_stage(given: Path) -> None:
    if "volume" in given.parts:
        pytest.importorskip("cel_expr_python", reason="these stages are in CEL, which the extra `cel` brings")
    obj = plain(yaml.safe_load(given.read_text()))
    wanted = plain(yaml.safe_load(given.with_name(given.name.replace(".input.", ".output.")).read_text()))
    lifecycles = by_resource(stages_beside(given))
    lifecycle = next((each for ref, each in lifecycles.items() if ref.kind == obj["kind"]), None)
    assert lifecycle is not None
    assert {"apiGroup": "v1", "kind": obj["kind"]} == {k: wanted[k] for k in ("apiGroup", "kind")}
    assert [stage_shown(stage, obj) for stage in lifecycle.possible(obj)] == wanted["stages"]


def plain(value: Any) -> Any:
    """Times that YAML made of texts are texts again."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if hasattr(value, "strftime") else value
