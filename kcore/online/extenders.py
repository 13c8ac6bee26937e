"""HTTP extenders: others who are asked by HTTP which nodes a pod may go to, how good they are, whom to evict, and to bind.

Source: pkg/scheduler/extender.go and staging kube-scheduler/extender/v1 of Kubernetes 1.36.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from kcore.api.errors import InputError
from kcore.http.client import HttpClient
from kcore.http.dial import PORTS, Endpoint
from kcore.scheduler.profile import ExtenderSettings

SECONDS_MAX: Final = 5.0  # that an extender may take, where the configuration does not say
SCALE: Final = 10  # an extender scores from 0 to 10, the scheduler from 0 to 100

Object = dict[str, Any]

log: Final = logging.getLogger("kcore.scheduler")


class ExtenderError(Exception):
    """An extender did not answer, or says that it failed."""


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
        url = urlsplit(settings.url_prefix)
        if url.scheme not in PORTS or not url.hostname:
            raise InputError(
                f'is "{settings.url_prefix}"',
                field=f"{settings.place}.urlPrefix",
                expected="http:// or https:// and a host",
            )
        self._prefix = url.path.rstrip("/")
        self._host = url.netloc.rpartition("@")[2].encode()
        tls = _tls(settings) if url.scheme == "https" else None
        name = settings.server_name
        self._http = HttpClient(Endpoint(url.hostname, url.port or PORTS[url.scheme], tls, name))

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
        answer = await self._asked(self.settings.filter_verb, {"Pod": pod, **self._nodes(nodes)})
        if error := answer.get("error"):
            raise ExtenderError(str(error))
        names, listed = answer.get("nodenames"), answer.get("nodes")
        left: list[str] = []
        if self.settings.node_cache_capable and names is not None:
            left = [str(name) for name in names]
            for name in left:
                if name not in nodes:
                    raise ExtenderError(
                        f'extender "{self.settings.url_prefix}" claims a filtered node "{name}" which is not found in '
                        "the input node list"
                    )
        elif listed is not None:
            left = [item["metadata"]["name"] for item in _lowered(listed).get("items") or ()]
        return Verdict(
            [name for name in left if name in nodes],
            dict(answer.get("failednodes") or {}),
            dict(answer.get("failedandunresolvablenodes") or {}),
        )

    async def prioritize(self, pod: Object, nodes: Mapping[str, Object]) -> dict[str, int]:
        """What is to be added to the nodes' scores."""
        answer = await self._sent(self.settings.prioritize_verb, {"Pod": pod, **self._nodes(nodes)})
        found = [_lowered(one) for one in answer or ()]
        weight = self.settings.weight * SCALE
        return {str(one.get("host", "")): int(one.get("score", 0)) * weight for one in found}

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
        answer = await self._asked(self.settings.preempt_verb, {"Pod": pod, **said})
        found = {}
        for name, given in (answer.get("nodenametometavictims") or {}).items():
            one = _lowered(given or {})
            uids = [str(_lowered(each).get("uid", "")) for each in one.get("pods") or ()]
            found[name] = (uids, int(one.get("numpdbviolations") or 0))
        return found

    async def bind(self, pod: Object, node: str) -> None:
        """The extender has bound the pod."""
        metadata = pod["metadata"]
        said = {
            "PodName": metadata["name"], "PodNamespace": metadata["namespace"], "PodUID": metadata["uid"], "Node": node,
        }  # fmt: skip
        answer = await self._asked(self.settings.bind_verb, said)
        if error := answer.get("error"):
            raise ExtenderError(str(error))

    async def _asked(self, verb: str, said: Object) -> Object:
        answer = await self._sent(verb, said)
        if answer is not None and not isinstance(answer, dict):
            raise ExtenderError(f"the answer of {self.settings.url_prefix}/{verb} is no object")
        return _lowered(answer or {})

    async def _sent(self, verb: str, said: Object) -> Any:
        target = f"{self._prefix}/{verb}"
        headers = ((b"host", self._host), (b"content-type", b"application/json"))
        seconds_max = self.settings.seconds_max or SECONDS_MAX
        try:
            answer = await self._http.request(
                b"POST", target.encode(), headers, orjson.dumps(said), seconds_max=seconds_max
            )
        except TimeoutError:
            url = self.settings.url_prefix.rstrip("/")
            raise ExtenderError(f'Post "{url}/{verb}": context deadline exceeded') from None
        except OSError as error:
            raise ExtenderError(f'Post "{self.settings.url_prefix.rstrip("/")}/{verb}": {error}') from None
        if answer.status != 200:
            url = self.settings.url_prefix.rstrip("/")
            raise ExtenderError(f"failed {verb} with extender at URL {url}/{verb}, code {answer.status}")
        try:
            return orjson.loads(answer.body)
        except ValueError as error:
            raise ExtenderError(
                f"the answer of {self.settings.url_prefix}/{verb} is no JSON: {error}"
            ) from None


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


def _lowered(given: Mapping[str, Any]) -> Object:
    """By names in lower case, for Go reads JSON so."""
    return {name.lower(): value for name, value in given.items()}


def _tls(settings: ExtenderSettings) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        if settings.ca:
            context = ssl.create_default_context(cadata=settings.ca.decode())
        elif settings.ca_path:
            context = ssl.create_default_context(cafile=settings.ca_path)
        if settings.cert_path:
            context.load_cert_chain(settings.cert_path, settings.key_path or None)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be used: {error}", field=f"{settings.place}.tlsConfig") from None
    if settings.is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
