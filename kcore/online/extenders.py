"""HTTP extenders: others who are asked by HTTP which nodes a pod may go to, how good they are, whom to evict, and to bind.

Source: pkg/scheduler/extender.go and staging kube-scheduler/extender/v1 of Kubernetes 1.36.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec
import orjson

from kcore.api.errors import InputError
from kcore.client.credentials import show_certificate
from kcore.http.client import HttpClient
from kcore.http.dial import PORTS, Endpoint
from kcore.scheduler.profile import ExtenderSettings

SECONDS_MAX: Final = 5.0  # that an extender may take, where the configuration does not say
ANSWER_BYTES_MAX: Final = 64 << 20  # of one answer: 5,000 nodes of 13 KiB; a longer one is an error
SCALE: Final = 10  # an extender scores from 0 to 10, the scheduler from 0 to 100

Object = dict[str, Any]
T = TypeVar("T")

log: Final = logging.getLogger("kcore.scheduler")


class ExtenderError(Exception):
    """An extender did not answer, or says that it failed."""


class Named(msgspec.Struct):
    """The metadata of a node in an answer."""

    name: str = ""


class NodeSaid(msgspec.Struct):
    """A node in an answer; nothing else of it counts."""

    metadata: Named = msgspec.field(default_factory=Named)


class NodeListSaid(msgspec.Struct):
    """The nodes that are left."""

    items: list[NodeSaid] | None = None


class FilterAnswer(msgspec.Struct):
    """ExtenderFilterResult."""

    nodes: dict[str, Any] | None = None
    nodenames: list[str] | None = None
    failednodes: dict[str, str] | None = None
    failedandunresolvablenodes: dict[str, str] | None = None
    error: str | None = None


class HostPriority(msgspec.Struct):
    """One node's score."""

    host: str = ""
    score: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] = 0


class MetaPod(msgspec.Struct):
    """A victim by its uid."""

    uid: str = ""


class MetaVictims(msgspec.Struct):
    """The victims on one node."""

    pods: list[dict[str, Any]] | None = None
    numpdbviolations: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] = 0


class PreemptAnswer(msgspec.Struct):
    """ExtenderPreemptionResult."""

    nodenametometavictims: dict[str, dict[str, Any]] | None = None


class BindAnswer(msgspec.Struct):
    """ExtenderBindingResult."""

    error: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The nodes that are left, and why others are not: by name, those where no eviction helps apart."""

    left: list[str]
    failed: dict[str, str]
    unresolvable: dict[str, str]


class Extender:
    """One of them, by its settings."""

    def __init__(self, settings: ExtenderSettings) -> None:
        self.settings = settings
        endpoint, url = endpoint_of(settings)
        self._prefix = url.path.rstrip("/")
        self._host = url.netloc.rpartition("@")[2].encode()
        self._http = HttpClient(endpoint)

    async def close(self) -> None:
        """Its connections are closed."""
        await self._http.close()

    def is_interested(self, pod: Object) -> bool:
        """Whether the pod asks for anything that the extender manages; all do where it names nothing."""
        managed = self.settings.managed_resources
        if not managed:
            return True
        spec = pod["spec"]
        for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
            resources = container.get("resources") or {}
            if managed & {*(resources.get("requests") or ()), *(resources.get("limits") or ())}:
                return True
        return False

    def _nodes(self, nodes: Mapping[str, Object]) -> Object:
        if self.settings.node_cache_capable:
            return {"Nodes": None, "NodeNames": list(nodes)}
        return {"Nodes": {"metadata": {}, "items": list(nodes.values())}, "NodeNames": None}

    async def filter(self, pod: Object, nodes: Mapping[str, Object]) -> Verdict:
        """Which of the nodes the pod may go to."""
        answer = await self._asked(
            self.settings.filter_verb, {"Pod": pod, **self._nodes(nodes)}, FilterAnswer
        )
        if answer.error:
            raise ExtenderError(answer.error)
        left: list[str] = []
        if self.settings.node_cache_capable and answer.nodenames is not None:
            left = answer.nodenames
            for name in left:
                if name not in nodes:
                    raise ExtenderError(
                        f'extender "{self.settings.url_prefix}" claims a filtered node "{name}" which is not found in '
                        "the input node list"
                    )
        elif answer.nodes is not None:
            listed = self._read(self.settings.filter_verb, answer.nodes, NodeListSaid)
            left = [one.metadata.name for one in listed.items or ()]
        return Verdict(
            list(dict.fromkeys(name for name in left if name in nodes)),
            answer.failednodes or {},
            answer.failedandunresolvablenodes or {},
        )

    async def prioritize(self, pod: Object, nodes: Mapping[str, Object]) -> dict[str, int]:
        """What is to be added to the nodes' scores."""
        verb = self.settings.prioritize_verb
        added: dict[str, int] = {}
        said = await self._sent(verb, {"Pod": pod, **self._nodes(nodes)})
        if said is not None and not isinstance(said, list):
            raise self._unreadable(verb, "Expected `array`")
        for one in said or ():
            found = self._read(verb, one, HostPriority)
            added[found.host] = added.get(found.host, 0) + as_int64(
                found.score * self.settings.weight * SCALE
            )
        return added

    async def preempt(
        self, pod: Object, victims: Mapping[str, tuple[Sequence[Object], int]]
    ) -> dict[str, tuple[list[str], int]]:
        """The nodes that are left of those given with victims and broken budgets, with uids of victims instead."""
        if self.settings.node_cache_capable:
            said: Object = {
                "NodeNameToVictims": None,
                "NodeNameToMetaVictims": {
                    name: {"Pods": [{"UID": one["metadata"]["uid"]} for one in pods], "NumPDBViolations": broken}
                    for name, (pods, broken) in victims.items()
                },
            }  # fmt: skip
        else:
            said = {
                "NodeNameToVictims": {
                    name: {"Pods": list(pods), "NumPDBViolations": broken} for name, (pods, broken) in victims.items()
                },
                "NodeNameToMetaVictims": None,
            }  # fmt: skip
        verb = self.settings.preempt_verb
        answer = await self._asked(verb, {"Pod": pod, **said}, PreemptAnswer)
        found = {}
        for name, given in (answer.nodenametometavictims or {}).items():
            one = self._read(verb, given, MetaVictims)
            uids = [self._read(verb, each, MetaPod).uid for each in one.pods or ()]
            found[name] = (uids, one.numpdbviolations)
        return found

    async def bind(self, pod: Object, node: str) -> None:
        """The extender has bound the pod."""
        metadata = pod["metadata"]
        said = {
            "PodName": metadata["name"], "PodNamespace": metadata["namespace"], "PodUID": metadata["uid"], "Node": node,
        }  # fmt: skip
        answer = await self._asked(self.settings.bind_verb, said, BindAnswer)
        if answer.error:
            raise ExtenderError(answer.error)

    async def _asked(self, verb: str, said: Object, kind: type[T]) -> T:
        answer = await self._sent(verb, said)
        return self._read(verb, {} if answer is None else answer, kind)

    def _read(self, verb: str, answer: Any, kind: type[T]) -> T:
        """The answer, as Go would read it: names in any case, unknown ones passed over."""
        if isinstance(answer, dict):
            answer = {name.lower(): value for name, value in answer.items()}
        try:
            return msgspec.convert(answer, kind)
        except msgspec.ValidationError as error:
            raise self._unreadable(verb, str(error)) from None

    def _unreadable(self, verb: str, why: str) -> ExtenderError:
        return ExtenderError(
            f"the answer of {self.settings.url_prefix.rstrip('/')}/{verb} cannot be read: {why}"
        )

    async def _sent(self, verb: str, said: Object) -> Any:
        target = f"{self._prefix}/{verb}"
        headers = ((b"host", self._host), (b"content-type", b"application/json"))
        seconds_max = self.settings.seconds_max or SECONDS_MAX
        url = f"{self.settings.url_prefix.rstrip('/')}/{verb}"
        try:
            answer = await self._http.request(
                b"POST", target.encode(), headers, orjson.dumps(said), seconds_max=seconds_max,
                bytes_max=ANSWER_BYTES_MAX,
            )  # fmt: skip
        except TimeoutError:
            late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            raise ExtenderError(f'Post "{url}": {late}') from None
        except OSError as error:
            raise ExtenderError(f'Post "{url}": {error}') from None
        if answer.status != 200:
            raise ExtenderError(f"failed {verb} with extender at URL {url}, code {answer.status}")
        try:
            return orjson.loads(answer.body)
        except ValueError as error:
            raise self._unreadable(verb, str(error)) from None


async def bound_by_one(extenders: Sequence[Extender], pod: Object, node: str) -> bool:
    """Whether one of them has bound the pod; ExtenderError where it failed and may not be ignored."""
    for extender in extenders:
        if not extender.settings.bind_verb:
            continue
        try:
            await extender.bind(pod, node)
        except ExtenderError as error:
            if not extender.settings.is_ignorable:
                raise
            log.info("skipping extender %s: %s", extender.settings.url_prefix, error)
            continue
        return True
    return False


def as_int64(number: int) -> int:
    """The number as 64 bits hold it, which is what Go's arithmetic leaves."""
    return (number + 2**63) % 2**64 - 2**63


def endpoint_of(settings: ExtenderSettings) -> tuple[Endpoint, SplitResult]:
    """Where the extender is; InputError where its URL or its certificates cannot be used."""
    try:
        url = urlsplit(settings.url_prefix)
        host, port = url.hostname, url.port
    except ValueError as error:
        raise _wrong_url(settings, f": {error}") from None
    if url.scheme not in PORTS or not host:
        raise _wrong_url(settings)
    tls = _tls(settings) if url.scheme == "https" else None
    return Endpoint(host, port or PORTS[url.scheme], tls, settings.server_name), url


def _wrong_url(settings: ExtenderSettings, why: str = "") -> InputError:
    return InputError(
        f'is "{settings.url_prefix}"{why}', field=f"{settings.place}.urlPrefix",
        expected="http:// or https:// and a host",
    )  # fmt: skip


def _tls(settings: ExtenderSettings) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        if settings.ca:
            context = ssl.create_default_context(cadata=settings.ca.decode())
        elif settings.ca_path:
            context = ssl.create_default_context(cafile=settings.ca_path)
        if settings.cert or settings.cert_path:
            certificate = settings.cert or Path(settings.cert_path).read_bytes()
            show_certificate(context, certificate, settings.key or Path(settings.key_path).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be used: {error}", field=f"{settings.place}.tlsConfig") from None
    if settings.is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
