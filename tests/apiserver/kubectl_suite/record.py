"""Writes ``recorded.txt``: ``python -m tests.apiserver.kubectl_suite.record``; the difference is then to be reviewed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.apiserver.kubectl_suite.session import kubectl_binary, session, version_of

RECORDED = Path(__file__).parent / "recorded.txt"
HEAD = (
    "What kubectl {version} prints against Kubernetes 1.36. Made by tests/apiserver/kubectl_suite/record.py."
)


def main() -> None:
    """Runs all commands against one server, writes the file."""
    kubectl = kubectl_binary()
    with tempfile.TemporaryDirectory() as folder, session(kubectl, Path(folder)) as opened:
        lanes = opened.run_all()
    lines = [HEAD.format(version=version_of(kubectl))]
    for namespace, steps in lanes.items():
        lines += ["", f"# namespace {namespace}", *(line for step in steps for line in ["", *step])]
    RECORDED.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
