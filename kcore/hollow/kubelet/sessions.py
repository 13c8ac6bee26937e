"""What is attached to a program, whatever carries it: streams out, an end; input in. And how an end is told.

Source: apimachinery pkg/util/remotecommand, kubelet pkg/cri/streaming/remotecommand of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

import orjson

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
ERROR: Final = 3
RESIZE: Final = 4
NAMES: Final = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}


class Asked(NamedTuple):
    """What the client wants attached."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


class Session(Protocol):
    """The client's end. ``end`` is the last that is said to it."""

    def write(self, stream: int, data: bytes) -> None: ...
    def end(self, status: dict[str, Any]) -> None: ...


class Program(Protocol):
    """What runs. ``start`` once everything is attached; ``stop`` when the client is gone."""

    def start(self, session: Session) -> None: ...
    def receive(self, data: bytes) -> None: ...
    def end_of_input(self) -> None: ...
    def stop(self) -> None: ...


SUCCESS: Final[dict[str, Any]] = {"metadata": {}, "status": "Success"}


def exited(code: int) -> dict[str, Any]:
    """The status of a command that ended with that code."""
    if not code:
        return SUCCESS
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failed(message: str) -> dict[str, Any]:
    """The status of what could not be run."""
    return {"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500}


def status_bytes(status: dict[str, Any]) -> bytes:
    """The status as the error stream carries it."""
    return orjson.dumps(status)
