"""What the client port answers over HTTP/1.1 (etcd ``etcdhttp``): health, version, metrics, and JSON under /v3."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final
from urllib.parse import parse_qs

import orjson

from kcore.http.message import Request, Response
from kcore.store.errors import StoreError
from kcore.store.etcd import metrics
from kcore.store.etcd.answers import JSON, TEXT, page_answer
from kcore.store.etcd.gateway import Gateway
from kcore.store.etcd.server import Server
from kcore.store.etcd.services import Services
from kcore.store.face import AlarmAction, AlarmType, Store

CHECK_SECONDS_MAX: Final = 7.0  # etcd: 5 s and two election timeouts
PROBE_KEY: Final = b"health"

NOT_FOUND: Final = page_answer(404, TEXT, b"404 page not found\n")
NOT_ALLOWED: Final = page_answer(405, TEXT, b"Method Not Allowed\n")

log = logging.getLogger("kcore.store.etcd")

Check = Callable[[], Awaitable[str]]  # gives what is wrong, or nothing


class PageSet:
    """The pages of one member; an instance is what ``Http1Connection`` calls."""

    def __init__(self, store: Store, services: Services, *, version: str, gateway: bool = True) -> None:
        self.store = store
        self.services = services
        self.version = version
        self.gateway = Gateway(services.methods) if gateway else None
        self.server: Server | None = None  # known once it listens
        self.health_told = {"true": 0, "false": 0}
        self.liveness: dict[str, Check] = {"serializable_read": self._reads(serializable=True)}
        self.readiness: dict[str, Check] = {
            "data_corruption": self._corruption,
            "serializable_read": self._reads(serializable=True),
            "linearizable_read": self._reads(serializable=False),
            "non_learner": self._learner,
        }

    async def __call__(self, request: Request) -> Response:
        """The page of that path."""
        await asyncio.sleep(0)  # checks have time limits, which only a task can have
        path = request.path.decode(errors="replace")
        if path.startswith("/v3/") and self.gateway is not None:
            return await self.gateway.answer(request)
        page = self._page(path)
        if page is None:
            return NOT_FOUND
        if request.method not in (b"GET", b"HEAD"):
            return NOT_ALLOWED
        query = parse_qs(request.query.decode(errors="replace"), keep_blank_values=True)
        return await page(query)

    def _page(self, path: str) -> Callable[[dict[str, list[str]]], Awaitable[Response]] | None:
        if path == "/health":
            return self._health
        if path == "/version":
            return self._version
        if path == "/metrics":
            return self._metrics
        for prefix, checks in (("/livez", self.liveness), ("/readyz", self.readiness)):
            if path == prefix:
                return self._checked(checks)
            name = path.removeprefix(f"{prefix}/")
            if name != path and name in checks:
                return self._checked({name: checks[name]})
        return None

    # -- pages ------------------------------------------------------------------------------------------------------

    async def _health(self, query: dict[str, list[str]]) -> Response:
        serializable = query.get("serializable") == ["true"]
        reason = await self._unhealthy(query.get("exclude", ()), serializable=serializable)
        healthy = "false" if reason else "true"
        self.health_told[healthy] += 1
        body = orjson.dumps({"health": healthy, "reason": reason})
        if reason:
            log.warning("/health error", extra={"output": body.decode(), "status-code": 503})
            return page_answer(503, TEXT, body + b"\n")
        return page_answer(200, TEXT, body)

    async def _unhealthy(self, excluded: Iterable[str], *, serializable: bool) -> str:
        for alarm in await self.store.alarm(AlarmAction.GET):
            name = AlarmType(alarm.type).name
            if name not in excluded:
                return f"ALARM {name}"
        if not serializable and not self.store.leader_id:
            return "RAFT NO LEADER"
        wrong = await self._reads(serializable=serializable)()
        return f"RANGE ERROR:{wrong}" if wrong else ""

    async def _version(self, query: dict[str, list[str]]) -> Response:
        status = await self.store.status()
        major, minor, *_ = status.version.split(".")
        told = {
            "etcdserver": status.version,
            "etcdcluster": f"{major}.{minor}.0",
            "storage": status.storage_version or "unknown",
        }
        return page_answer(200, JSON, orjson.dumps(told))

    async def _metrics(self, query: dict[str, list[str]]) -> Response:
        assert self.server is not None
        text = metrics.page(self.store, self.services, self.server, self.health_told, self.version)
        return page_answer(200, metrics.KIND, text)

    # -- checks -----------------------------------------------------------------------------------------------------

    def _checked(self, checks: dict[str, Check]) -> Callable[[dict[str, list[str]]], Awaitable[Response]]:
        async def page(query: dict[str, list[str]]) -> Response:
            text, failed = "", False
            for name, check in checks.items():
                if len(checks) > 1 and name in query.get("exclude", ()):
                    continue
                wrong = await check()
                failed = failed or bool(wrong)
                text += f"[-]{name} failed: {wrong}\n" if wrong else f"[+]{name} ok\n"
            if failed:
                return page_answer(503, TEXT, f"{text}\n".encode())
            return page_answer(200, TEXT, (text if "verbose" in query else "").encode() + b"ok\n")

        return page

    def _reads(self, *, serializable: bool) -> Check:
        async def check() -> str:
            try:
                read = self.store.range(PROBE_KEY, keys_only=True, limit=1, serializable=serializable)
                await asyncio.wait_for(read, CHECK_SECONDS_MAX)
            except StoreError as error:
                return error.text
            except TimeoutError:
                return "context deadline exceeded"
            return ""

        return check

    async def _corruption(self) -> str:
        alarms = await self.store.alarm(AlarmAction.GET, 0, AlarmType.CORRUPT)
        return "alarm activated: CORRUPT" if alarms else ""

    async def _learner(self) -> str:
        return "not supported for learner" if self.store.is_learner else ""
