"""Patches end as Go's libraries end them: results, and the texts of refusals where a client sees them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest

from kcore.api.patch import json_patch, merge_patch, strategic_merge
from kcore.api.status import ApiError
from tests.api.test_patch import THING

RECORDED = Path(__file__).parent / "recordings" / "patches.json.gz"
UNTOLD = ("rejected", "lists of lists are not supported")  # the server keeps these errors to itself


def cases(kind: str) -> list[dict[str, Any]]:
    return [case for case in orjson.loads(gzip.decompress(RECORDED.read_bytes())) if case["kind"] == kind]


def patched(case: dict[str, Any]) -> Any:
    if case["kind"] == "strategic":
        return strategic_merge(case["document"], case["patch"], THING)
    return (json_patch if case["kind"] == "json" else merge_patch)(case["document"], case["patch"])


@pytest.mark.parametrize("kind", ["json", "merge", "strategic"])
def test_patches_end_as_recorded(kind: str) -> None:
    found = cases(kind)
    assert len(found) > 50
    for number, case in enumerate(found):
        if "error" not in case:
            assert patched(case) == case["result"], number
            continue
        with pytest.raises(ApiError) as caught:
            patched(case)
        if case["error"] in UNTOLD:
            assert caught.value.code == 422, number
        else:
            assert caught.value.message == case["error"], number
