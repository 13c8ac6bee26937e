"""Commands in containers that are not there: what is configured, and a handful that every container knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from kcore.hollow.kubelet.sessions import STDERR, STDOUT, SUCCESS, Session, exited

NOT_FOUND: Final = 127
SHELLS: Final = ("sh", "/bin/sh", "bash", "/bin/bash")


class Answer(NamedTuple):
    """What a command says and how it ends. ``command`` empty: for any command."""

    command: tuple[str, ...]
    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0


class Said:
    """A program that says one thing and ends."""

    def __init__(self, stdout: bytes = b"", stderr: bytes = b"", code: int = 0) -> None:
        self._out = stdout
        self._err = stderr
        self._code = code

    def start(self, session: Session) -> None:
        """Says it."""
        if self._out:
            session.write(STDOUT, self._out)
        if self._err:
            session.write(STDERR, self._err)
        session.end(exited(self._code))

    def receive(self, data: bytes) -> None:
        """Nobody reads it."""

    def end_of_input(self) -> None:
        """Nobody waited for it."""

    def stop(self) -> None:
        """It has ended."""


class Echo:
    """A program that gives back what it is given, until the input ends."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._early: list[bytes] = []
        self._is_over = False

    def start(self, session: Session) -> None:
        """Waits for input."""
        self._session = session
        for data in self._early:
            session.write(STDOUT, data)
        if self._is_over:
            session.end(SUCCESS)

    def receive(self, data: bytes) -> None:
        """Gives it back."""
        if self._session is None:
            self._early.append(data)
        else:
            self._session.write(STDOUT, data)

    def end_of_input(self) -> None:
        """Ends."""
        self._is_over = True
        if self._session is not None:
            self._session.end(SUCCESS)

    def stop(self) -> None:
        """The client is gone."""
        self._session = None


class Follow:
    """A program that says what comes, as ``attach`` to a container's output."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._task: asyncio.Task[None] | None = None

    def start(self, session: Session) -> None:
        """Begins to say."""
        self._task = asyncio.ensure_future(self._say(session))

    async def _say(self, session: Session) -> None:
        async for piece in self._pieces:
            session.write(STDOUT, piece)
        session.end(SUCCESS)

    def receive(self, data: bytes) -> None:
        """Nobody reads it."""

    def end_of_input(self) -> None:
        """The output goes on."""

    def stop(self) -> None:
        """The client is gone."""
        if self._task is not None:
            self._task.cancel()


Running = Said | Echo


def run(command: Sequence[str], pod: Mapping[str, Any], container: str, answers: Sequence[Answer] | None) -> Running:
    """The program of that command: the first answer that is for it, else what a plain container would do."""
    for answer in answers or ():
        if not answer.command or tuple(command[: len(answer.command)]) == answer.command:
            return Said(answer.stdout.encode(), answer.stderr.encode(), answer.exit_code)
    name, arguments = (command[0], command[1:]) if command else ("", ())
    plain = name.rpartition("/")[2]
    if name in SHELLS and arguments[:1] == ["-c"] and len(arguments) > 1:
        words = arguments[1].split()
        return run(words, pod, container, ()) if words and words[0] not in SHELLS else Said()
    if (plain == "cat" and not arguments) or name in SHELLS:
        return Echo()
    if plain == "echo":
        return Said(" ".join(arguments).encode() + b"\n")
    if plain == "hostname":
        return Said(f"{pod['metadata']['name']}\n".encode())
    if plain == "env":
        return Said(_environment(pod, container))
    if plain in ("true", "false"):
        return Said(code=int(plain == "false"))
    return Said(stderr=f"{name}: not found: no container runs here\n".encode(), code=NOT_FOUND)


def _environment(pod: Mapping[str, Any], container: str) -> bytes:
    containers = [*pod["spec"].get("initContainers", ()), *pod["spec"].get("containers", ())]
    found = next((each for each in containers if each["name"] == container), {})
    pairs = [f"HOSTNAME={pod['metadata']['name']}"]
    pairs += [f"{each['name']}={each['value']}" for each in found.get("env") or () if "value" in each]
    return "".join(f"{each}\n" for each in pairs).encode()
