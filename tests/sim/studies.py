"""Small studies, written into a folder, and a study's points run as they are needed."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import msgspec

from kcore.sim.study import Study, read_study

CLUSTER = "synthetic:scheduler_perf?nodes=3&pods=0"
PODS = "synthetic:scheduler_perf?nodes=1&pods=12"

PLUGIN = """
import kcore


@kcore.score_plugin("{name}", normalize="default")
def score(pod, nodes, out):
    {body}
    for node in range(out.shape[0]):
        out[node] = nodes.pod_count[node]
"""


def document(**changes: Any) -> dict[str, Any]:
    """A study of four runs, with changes; a change to None takes the field away."""
    plain: dict[str, Any] = {
        "name": "small",
        "mode": "schedule",
        "cluster": CLUSTER,
        "workloads": [{"name": "basic", "spec": PODS}],
        "seeds": "1-2",
        "parameters": {"load": [0.01, 0.02]},
    }
    return {name: value for name, value in {**plain, **changes}.items() if value is not None}


def write_study(folder: Path, **changes: Any) -> Path:
    """The study as a file."""
    path = folder / "study.yaml"
    path.write_bytes(msgspec.json.encode(document(**changes)))  # JSON is YAML
    return path


def study_in(folder: Path, **changes: Any) -> Study:
    """The study, read back."""
    return read_study(write_study(folder, **changes))


def write_plugin(folder: Path, name: str, body: str = "pass") -> str:
    """A user's plugin that prefers crowded nodes, with a statement before it scores; returns the file's name."""
    text = PLUGIN.format(name=name, body=textwrap.dedent(body).replace("\n", "\n    "))
    (folder / f"{name.lower()}.py").write_text(text)
    return f"{name.lower()}.py"
