"""Which Kubernetes the server says that it is, and what ``--version`` asks of that.

Source: component-base version/dynamic.go and version/verflag/verflag.go of Kubernetes 1.36.
"""

from __future__ import annotations

import re
from typing import Final

GIT_VERSION: Final = "v1.36.2"
MAJOR_MINOR: Final = ("1", "36")
SEMANTIC: Final = re.compile(
    r"v?(?P<base>(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*))(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?"
)
SAID: Final = ("true", "raw")  # --version, --version=raw: said, and nothing is served


def version_info(git_version: str = GIT_VERSION) -> dict[str, str]:
    """``/version``; ``git_version`` is what the server was told to report."""
    return {
        "major": MAJOR_MINOR[0], "minor": MAJOR_MINOR[1], "emulationMajor": MAJOR_MINOR[0],
        "emulationMinor": MAJOR_MINOR[1], "minCompatibilityMajor": MAJOR_MINOR[0],
        "minCompatibilityMinor": str(int(MAJOR_MINOR[1]) - 1), "gitVersion": git_version, "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "2026-06-01T00:00:00Z", "goVersion": "",
        "compiler": "kcore", "platform": f"linux/{_machine()}",
    }  # fmt: skip


def _machine() -> str:
    import platform

    found = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(found, found)


def reported(text: str) -> str:
    """The value of ``--version``: ``true``, ``false`` or ``raw``, or the version to report. ValueError."""
    if not text.startswith("v"):
        if text.lower() in ("1", "t", "true"):
            return "true"
        if text.lower() in ("0", "f", "false"):
            return ""
        if text == "raw":
            return text
        raise ValueError("true, false, raw or a version such as v1.36.2-mine")
    found = SEMANTIC.fullmatch(text)
    if found is None or f"v{found['base']}" != GIT_VERSION:
        raise ValueError(f"a version that begins as {GIT_VERSION} does")
    return text


def told(asked: str) -> str:
    """The line of ``--version`` or ``--version=raw``."""
    if asked == "true":
        return f"Kubernetes {GIT_VERSION}"
    fields = [f'{name[0].upper()}{name[1:]}:"{value}"' for name, value in version_info().items()]
    return f"version.Info{{{', '.join(fields)}}}"
