"""What the containers say when they are asked: Kwok's Logs, Exec, Attach and PortForward, and ClusterLogs and so on.

Beside Kwok's fields ``execs[].answers`` says what a command answers (``command``, ``stdout``, ``stderr``, ``exitCode``) and
``logs[].text`` is a log by itself. Kwok's ``local`` and ``command``, which run commands on the machine, are refused.
Source: kwok pkg/apis/v1alpha1/{logs,exec,attach,port_forward}_types.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from kcore.hollow.kubelet.logs import Line, file_lines, parsed
from kcore.hollow.kubelet.programs import Answer
from kcore.hollow.shape import Shape

T = TypeVar("T")
Pod = Mapping[str, Any]
PORT_MAX: Final = (1 << 16) - 1


class Whose(NamedTuple):
    """For which pods: by namespaces and names, or all of them."""

    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def has(self, namespace: str, name: str) -> bool:
        """Whether it is for that pod."""
        return (not self.namespaces or namespace in self.namespaces) and (
            not self.names or name in self.names
        )


class Log(NamedTuple):
    """Where a container's log is. ``containers`` empty: any container."""

    containers: tuple[str, ...]
    file: str = ""
    previous_file: str = ""
    text: str = ""
    follow: bool = False

    def lines(self, previous: bool) -> list[Line]:
        """The log as it is now."""
        path = self.previous_file if previous else self.file
        if path:
            return file_lines(path)
        return [] if previous else [*parsed(self.text.encode())]


class Exec(NamedTuple):
    """What commands in a container answer."""

    containers: tuple[str, ...]
    answers: tuple[Answer, ...]


class Forward(NamedTuple):
    """Where a port leads to; ``ports`` empty: any port."""

    ports: tuple[int, ...]
    host: str
    port: int


class Answers(NamedTuple):
    """All of it, the first that fits counting; what is for some pods comes before what is for all."""

    logs: tuple[tuple[Whose, Log], ...] = ()
    execs: tuple[tuple[Whose, Exec], ...] = ()
    attaches: tuple[tuple[Whose, Log], ...] = ()
    forwards: tuple[tuple[Whose, Forward], ...] = ()

    def log(self, namespace: str, name: str, container: str) -> Log | None:
        """The log of a container, None where nothing is said of it."""
        return _found(
            self.logs, namespace, name, lambda each: not each.containers or container in each.containers
        )

    def execs_of(self, namespace: str, name: str, container: str) -> tuple[Answer, ...]:
        """What commands in a container answer."""
        found = _found(
            self.execs, namespace, name, lambda each: not each.containers or container in each.containers
        )
        return found.answers if found is not None else ()

    def attach(self, namespace: str, name: str, container: str) -> Log | None:
        """The output of a container, its log where nothing else is said."""
        found = _found(
            self.attaches, namespace, name, lambda each: not each.containers or container in each.containers
        )
        return found or self.log(namespace, name, container)

    def forward(self, namespace: str, name: str, port: int) -> Forward | None:
        """Where a pod's port leads to."""
        return _found(self.forwards, namespace, name, lambda each: not each.ports or port in each.ports)


def _found(rows: Iterable[tuple[Whose, T]], namespace: str, name: str, fits: Callable[[T], bool]) -> T | None:
    return next((each for whose, each in rows if whose.has(namespace, name) and fits(each)), None)


def gathered(documents: Iterable[tuple[str, Any]]) -> Answers:
    """The answers of documents, each with its kind; those for single pods come first."""
    single: dict[str, list[Any]] = {name: [] for name in Answers._fields}
    general: dict[str, list[Any]] = {name: [] for name in Answers._fields}
    for kind, document in documents:
        is_general = kind.startswith("Cluster")
        name, read = _KINDS[kind.removeprefix("Cluster")]
        rows = (general if is_general else single)[name]
        top = Shape(document, "")
        top.raw("apiVersion"), top.raw("kind"), top.raw("status")
        metadata = Shape(top.raw("metadata") or {}, "metadata")
        named = metadata.needed("name")
        spec = top.shape("spec")
        if spec is None:
            raise top.wrong("spec", "is missing", "an object")
        whose = _whose(spec) if is_general else Whose((metadata.text("namespace") or "default",), (named,))
        rows.extend((whose, each) for each in read(spec))
        spec.end()
        top.end()
    return Answers(**{name: (*single[name], *general[name]) for name in Answers._fields})


def _whose(spec: Shape) -> Whose:
    selector = spec.shape("selector")
    if selector is None:
        return Whose()
    made = Whose(selector.texts("matchNamespaces"), selector.texts("matchNames"))
    selector.end()
    return made


def _logs(spec: Shape) -> list[Log]:
    return [_log(each) for each in spec.shapes("logs")]


def _attaches(spec: Shape) -> list[Log]:
    return [_log(each) for each in spec.shapes("attaches")]


def _log(shape: Shape) -> Log:
    made = Log(
        shape.texts("containers"), shape.text("logsFile"), shape.text("previousLogsFile"), shape.text("text"),
        shape.flag("follow"),
    )  # fmt: skip
    shape.end()
    return made


def _execs(spec: Shape) -> list[Exec]:
    found = []
    for each in spec.shapes("execs"):
        if each.raw("local") is not None:
            raise each.wrong("local", "runs commands on this machine, which kcore does not", "answers")
        answers = []
        for answer in each.shapes("answers"):
            code = answer.number("exitCode") or 0
            answers.append(
                Answer(answer.texts("command"), answer.text("stdout"), answer.text("stderr"), code)
            )
            answer.end()
        found.append(Exec(each.texts("containers"), tuple(answers)))
        each.end()
    return found


def _forwards(spec: Shape) -> list[Forward]:
    found = []
    for each in spec.shapes("forwards"):
        if each.raw("command"):
            raise each.wrong("command", "runs commands on this machine, which kcore does not", "target")
        ports = each.items("ports")
        for index, port in enumerate(ports):
            if not isinstance(port, int) or isinstance(port, bool) or not 0 < port <= PORT_MAX:
                raise each.wrong(f"ports[{index}]", f"{port!r} is no port", f"1 to {PORT_MAX}")
        target = each.shape("target")
        if target is None:
            raise each.wrong("target", "is missing", "an object with port and address")
        port = target.number("port") or 0
        if not 0 < port <= PORT_MAX:
            raise target.wrong("port", f"{port} is no port", f"1 to {PORT_MAX}")
        found.append(Forward(tuple(ports), target.needed("address"), port))
        target.end()
        each.end()
    return found


_KINDS: Final[Mapping[str, tuple[str, Callable[[Shape], list[Any]]]]] = {
    "Logs": ("logs", _logs), "Exec": ("execs", _execs), "Attach": ("attaches", _attaches),
    "PortForward": ("forwards", _forwards),
}  # fmt: skip
KINDS: Final = tuple(f"{prefix}{kind}" for kind in _KINDS for prefix in ("", "Cluster"))
