"""What managedFields cost on every write of a pod, and what patches and server-side apply cost beyond."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bench.bench_api_schema import BODY, POD
from kcore.api.apply import managed_fields
from kcore.api.patch import merge_patch, strategic_merge
from kcore_native.fieldset import sets, walk
from kcore_native.fieldset.shape import shape_of

SHAPE = shape_of(POD)
COMMON: dict[str, Any] = {
    "api_version": "v1", "now": "2026-01-01T00:00:00Z", "node": POD, "reset_fields": ("status",),
}  # fmt: skip


def created() -> dict[str, Any]:
    pod: dict[str, Any] = orjson.loads(BODY)
    managed_fields.update(None, pod, manager="kubectl", **COMMON)
    return pod


LIVE = created()
STORED = orjson.dumps(LIVE)


def create(pod: dict[str, Any]) -> None:
    pod["metadata"].pop("managedFields", None)
    managed_fields.update(None, pod, manager="kubectl", **COMMON)


def update(change: bool) -> None:
    new = orjson.loads(STORED)
    if change:
        new["spec"]["containers"][0]["image"] = "other"
    managed_fields.update(LIVE, new, manager="kubectl", **COMMON)


@pytest.mark.benchmark(group="api-apply")
def test_parse_json_with_managed_fields(benchmark: Any) -> None:
    benchmark(orjson.loads, STORED)


@pytest.mark.benchmark(group="api-apply")
def test_field_set_of_a_create(benchmark: Any) -> None:
    new = orjson.loads(BODY)
    benchmark(lambda: sets.ordered(walk.Comparison(SHAPE, SHAPE.zero, new).changed))


@pytest.mark.benchmark(group="api-apply")
def test_managed_fields_of_a_create(benchmark: Any) -> None:
    benchmark(create, orjson.loads(BODY))


@pytest.mark.benchmark(group="api-apply")
@pytest.mark.parametrize("change", [False, True], ids=["nothing", "image"])
def test_managed_fields_of_an_update_and_its_parsing(benchmark: Any, change: bool) -> None:
    benchmark(update, change)


@pytest.mark.benchmark(group="api-apply")
def test_server_side_apply_of_an_image(benchmark: Any) -> None:
    config = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0001"},
        "spec": {"containers": [{"name": "a", "image": "other"}]},
    }  # fmt: skip
    benchmark(lambda: managed_fields.apply(LIVE, config, manager="one", force=True, **COMMON))


@pytest.mark.benchmark(group="api-apply")
def test_merge_patch_of_a_label(benchmark: Any) -> None:
    benchmark(merge_patch, LIVE, {"metadata": {"labels": {"a": "b"}}})


@pytest.mark.benchmark(group="api-apply")
def test_strategic_merge_patch_of_an_image(benchmark: Any) -> None:
    benchmark(strategic_merge, LIVE, {"spec": {"containers": [{"name": "b", "image": "x"}]}}, POD)
