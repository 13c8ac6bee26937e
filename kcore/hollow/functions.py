"""The functions that Kwok adds to Go's templates: time, chance, nodes and addresses come from what a rendering brings.

Source: kwok pkg/utils/gotpl/funcs.go, pkg/kwok/controllers/{pod,node}_controller.go.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final, Protocol

import orjson

from kcore.hollow.gotemplate.builtins import go_quote
from kcore.hollow.gotemplate.errors import TemplateError
from kcore.hollow.gotemplate.sprig import whole
from kcore.hollow.gotemplate.values import inner
from kcore.hollow.times import time_text

Function = Callable[..., Any]
LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS: Final = "0123456789"
DRAWN_MAX: Final = 10_000  # characters of one random text

# https://kubernetes.io/docs/concepts/architecture/nodes/#condition
CONDITIONS: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("NetworkUnavailable", "False", "RouteCreated", "RouteController created a route"),
)


class World(Protocol):
    """What a template may ask of the nodes. Names are a node's; pods are named by uid, name and namespace."""

    version: str

    def node_ips(self, node: str) -> Sequence[str]: ...
    def pod_ips(
        self, node: str, host_network: bool, uid: str, name: str, namespace: str
    ) -> Sequence[str]: ...
    def node_port(self) -> int: ...


def quoted(value: Any) -> str:
    """Kwok's Quote: a text in double quotes as JSON, anything else as its JSON in quotes."""
    if isinstance(value, str):
        return orjson.dumps(value).decode()
    return go_quote(orjson.dumps(value).decode())


def yaml_text(value: Any, indent: int = 0) -> str:
    """Kwok's YAML: the value as YAML, each line two blanks an ``indent`` further in, behind a line break."""
    import yaml

    try:
        text = yaml.dump(
            value, Dumper=yaml.CSafeDumper, default_flow_style=False, sort_keys=True, width=1 << 30
        )
    except yaml.YAMLError as error:
        raise TemplateError(str(error)) from None
    return ("\n" + text).replace("\n", "\n" + "  " * indent) if indent > 0 else str(text)


def node_conditions() -> list[dict[str, str]]:
    """What a node in good health says of itself."""
    return [
        {"type": kind, "status": state, "reason": reason, "message": message}
        for kind, state, reason, message in CONDITIONS
    ]


STATIC: Final[Mapping[str, Function]] = {
    "Quote": quoted,
    "YAML": yaml_text,
    "NodeConditions": node_conditions,
}


def functions_of(
    world: World, random: Random, now_ms: int, started_ms: int, node: str
) -> dict[str, Function]:
    """The functions of one rendering; ``node`` is the one whose object is rendered, '' for other kinds."""
    now = time_text(now_ms)

    def node_ip(name: str = node) -> str:
        return next(iter(world.node_ips(name)), "")

    def pod_ips(
        name: str, host: bool = False, uid: str = "", pod: str = "", namespace: str = ""
    ) -> list[str]:
        return list(world.pod_ips(name, host, uid, pod, namespace))

    def pod_ip(
        name: str = node, host: bool = False, uid: str = "", pod: str = "", namespace: str = ""
    ) -> str:
        return next(iter(pod_ips(name, host, uid, pod, namespace)), "")

    def drawn(letters: str) -> Function:
        return lambda count: "".join(random.choices(letters, k=min(whole(count), DRAWN_MAX)))

    return {
        **STATIC,
        "Now": lambda: now,
        "StartTime": lambda: time_text(started_ms),
        "Version": lambda: world.version,
        "NodeName": lambda: node,
        "NodePort": world.node_port,
        "NodeIP": node_ip,
        "NodeIPWith": node_ip,
        "NodeIPsWith": lambda name: list(world.node_ips(name)),
        "PodIP": pod_ip,
        "PodIPWith": pod_ip,
        "PodIPsWith": pod_ips,
        # sprig's that draw or read the clock
        "now": lambda: now,
        "unixEpoch": lambda when=None: str(now_ms // 1000),
        "randInt": lambda low, high: random.randrange(whole(low), whole(high)),
        "randNumeric": drawn(DIGITS),
        "randAlpha": drawn(LETTERS),
        "randAlphaNum": drawn(LETTERS + DIGITS),
        "uuidv4": lambda: str(uuid.UUID(int=random.getrandbits(128), version=4)),
        "shuffle": lambda text: "".join(random.sample(inner(text), len(inner(text)))),
    }


class _Nothing:
    version = ""

    def node_ips(self, node: str) -> Sequence[str]:
        return ()

    def pod_ips(self, node: str, host_network: bool, uid: str, name: str, namespace: str) -> Sequence[str]:
        return ()

    def node_port(self) -> int:
        return 0


FUNCTION_NAMES: Final = frozenset(functions_of(_Nothing(), Random(0), 0, 0, ""))
