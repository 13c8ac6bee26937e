"""What a strategic merge patch with a wrong type is told, in the words of Go's converter."""

from __future__ import annotations

from typing import Any

import pytest

from kcore.api import schema
from kcore.api.patch.restored import type_problem


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        ({"metadata": {"labels": "invalid"}}, "cannot restore map from string"),
        ({"metadata": {"labels": {"a": 1}}}, "cannot convert int64 to string"),
        ({"spec": {"containers": {}}}, "cannot restore slice from map"),
        ({"spec": "a"}, "cannot restore struct from: string"),
        ({"spec": {"containers": [{"ports": [1]}]}}, "cannot restore struct from: int64"),
        ({"spec": {"hostNetwork": "a"}}, "unrecognized type: bool"),
        ({"spec": {"priority": "a"}}, "unrecognized type: int32"),
        ({"spec": {"priority": 1.5}}, "cannot convert float64 to int32"),
        ({"spec": {"restartPolicy": 5}}, "cannot convert int64 to v1.RestartPolicy"),
        ({"spec": {"priority": 1.0, "containers": None}}, None),
        ({"spec": {"containers": [{"resources": {"limits": {"cpu": 1}}}]}}, None),
    ],
)
def test_the_first_wrong_type_is_told(pod: dict[str, Any], said: str | None) -> None:
    assert type_problem(schema.load().node("io.k8s.api.core.v1.Pod"), pod) == said
