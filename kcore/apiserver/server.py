"""The chain that every request goes through: limits, who asks, may they, and then what was asked.

Source: apiserver pkg/server/config.go (DefaultBuildHandlerChain) of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final

import orjson

from kcore.api import status
from kcore.api.status import ApiError
from kcore.apiserver import documents
from kcore.apiserver.authz.refusal import forbidden
from kcore.apiserver.deadlines import check_timeout
from kcore.apiserver.documents import Documents
from kcore.apiserver.headers import HeaderFields, header_fields
from kcore.apiserver.health import PATHS, Health
from kcore.apiserver.metrics import KIND, Metrics
from kcore.apiserver.negotiation import PLAIN, Accepted, accepted, wants_pretty
from kcore.apiserver.pace import Pace
from kcore.apiserver.registry.core import Chance, SystemChance
from kcore.apiserver.rendering import encoded
from kcore.apiserver.request import Query, RequestInfo, target_of
from kcore.apiserver.user import MASTERS, UserInfo
from kcore.apiserver.verbs import MIN_REQUEST_SECONDS, Call, Verbs
from kcore.http.message import Header, Request, Response

READ_VERBS: Final = frozenset({"get", "list"})
TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
CACHE: Final = (b"cache-control", b"no-cache, private")
NOT_FOUND: Final = b"404 page not found\n"
TOO_MANY: Final = b"Too many requests, please try again later.\n"
APPLY_YAML: Final = b"application/apply-patch+yaml"
AUDIT_ID_BYTES_MAX: Final = 64
WARNINGS_BYTES_MAX: Final = 4 << 10  # of all of one answer

log = logging.getLogger("kcore.apiserver")


@dataclass(slots=True)
class Settings:
    """Limits of one server; 0: none."""

    reads_in_flight_max: int = 400
    writes_in_flight_max: int = 200
    watch_seconds_min: int = MIN_REQUEST_SECONDS


@dataclass(slots=True)
class Guards:
    """Who asks, may they, as whom, and in which flow. ``impersonate`` is None where nobody may."""

    authenticate: Callable[[HeaderFields, bytes | None, str], Any]
    authorizer: Any
    impersonate: Any = None
    classify: Callable[[UserInfo, RequestInfo], tuple[Header, ...]] = lambda user, info: ()


@dataclass(slots=True)
class ApiServer:
    """The handler of all requests."""

    catalog: Any
    verbs: Verbs
    guards: Guards
    health: Health
    documents: Documents
    metrics: Metrics
    kubelets: Any = None
    pace: Pace | None = None  # of writes, where others work in the same event loop
    openid: Callable[[str], Response | None] | None = None
    settings: Settings = field(default_factory=Settings)
    storage_objects: Callable[[], dict[tuple[str, str], int]] = dict
    chance: Chance = field(default_factory=SystemChance)

    def __post_init__(self) -> None:
        self.verbs.may_create = self._creation_refused
        self.verbs.watch_seconds_min = self.settings.watch_seconds_min

    async def __call__(self, request: Request) -> Response:
        """The answer, whatever happens."""
        began = perf_counter()
        info, query = target_of(request.method, request.path, request.query)
        warnings: list[str] = []
        marks: list[Header] = []
        try:
            response = await self._serve(request, info, query, warnings, marks)
        except ApiError as error:
            response = self._refusal(request, query, error)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if _is_too_deep(error):  # what is kept is written at the end only: nothing is half done
                too_deep = status.bad_request("json: exceeded max depth")
                return self._refusal(request, query, too_deep)
            log.exception("request failed", extra={"verb": info.verb, "path": info.path})
            text = b"This request caused apiserver to panic. Look in the logs for details.\n"
            response = Response(500, [TEXT, NOSNIFF], text)
        self._mark(request, response, warnings, marks)
        seconds = perf_counter() - began
        body = response.body
        self.metrics.answered(
            info, response.status, seconds, served=self._serves(info), dry_run=_dry_run(query),
            size=len(body) if isinstance(body, bytes) else 0,
            applies=request.method == b"PATCH" and request.header(b"content-type") == APPLY_YAML,
        )  # fmt: skip
        return response

    def _serves(self, info: RequestInfo) -> bool:
        """Whether a row, and a subresource of it, is what the request names."""
        row = self.catalog.row(info.api_group, info.api_version, info.resource)
        return row is not None and (not info.subresource or row.subresource(info.subresource) is not None)

    # -- the chain --------------------------------------------------------------------------------------------------

    async def _serve(
        self, request: Request, info: RequestInfo, query: Query, warnings: list[str], marks: list[Header]
    ) -> Response:
        if info.error:
            text = f'Internal Server Error: "{info.path}": failed to create RequestInfo: {info.error}\n'
            return Response(500, [TEXT, NOSNIFF], text.encode())
        if "timeout" in query:
            check_timeout(info, query)
        headers = header_fields(request.headers)
        user: UserInfo = await self.guards.authenticate(headers, request.peer.certificate, info.path)
        if self.guards.impersonate is not None:
            user = self.guards.impersonate(user, info, headers)
        marks += self.guards.classify(user, info)
        decision = self.guards.authorizer.authorize(user, info)
        if not decision.allowed:
            raise forbidden(user, info, decision.reason)
        if info.verb == "watch" and info.is_resource_request:
            return await self._resource(request, info, query, user, warnings)
        kind = "readOnly" if info.verb in READ_VERBS or not info.is_resource_request else "mutating"
        inflight = self.metrics.inflight
        settings = self.settings
        most = settings.reads_in_flight_max if kind == "readOnly" else settings.writes_in_flight_max
        if most and inflight[kind] >= most and MASTERS not in user.groups and not _is_probe(info.path):
            return Response(429, [TEXT, NOSNIFF, (b"retry-after", b"1")], TOO_MANY)
        inflight[kind] += 1
        try:
            if kind == "mutating" and self.pace is not None and not self.pace.enter():
                await self.pace.wait()
            if info.is_resource_request:
                return await self._resource(request, info, query, user, warnings)
            return await self._page(request, info, query)
        finally:
            inflight[kind] -= 1

    async def _resource(
        self, request: Request, info: RequestInfo, query: Query, user: UserInfo, warnings: list[str]
    ) -> Response:
        row = self.catalog.row(info.api_group, info.api_version, info.resource)
        if row is None:
            if any(
                each.group == info.api_group and each.version == info.api_version
                for each in self.catalog.rows
            ):
                raise status.no_such_path()
            return Response(404, [TEXT, NOSNIFF], NOT_FOUND)
        sub = None
        verbs = row.verbs
        if info.subresource:
            sub = row.subresource(info.subresource)
            if sub is None:
                raise status.no_such_path()
            verbs = sub.verbs
        if info.namespace and not row.namespaced and row.plural != "namespaces":
            raise status.no_such_path()
        if sub is not None and sub.connects and self.kubelets is not None:
            answer: Response = await self.kubelets.connect(request, info, query, user, row)
            return answer
        everywhere = row.namespaced and not info.namespace
        one = bool(info.parts[1:])
        if (
            info.verb not in verbs
            or (everywhere and info.verb not in ("list", "watch") and info.verb != "create")
            or (everywhere and info.verb == "create" and _needs_namespace(row))
            or (info.verb == "create" and one and sub is None)
        ):
            raise not_allowed()
        call = Call(request, info, query, user, row, sub)
        call.warnings = warnings
        if row.deprecated and sub is None:
            warnings.append(row.deprecated)
        verb: Any = self.verbs.table.get(info.verb)
        if verb is None:
            raise not_allowed()
        response: Response = await verb(call)
        return response

    async def _page(self, request: Request, info: RequestInfo, query: Query) -> Response:
        path = info.path
        if request.method not in (b"GET", b"HEAD"):
            return Response(405, [TEXT, NOSNIFF], b"method not allowed\n")
        if (found := await self.health.page(path.rstrip("/") or "/", query)) is not None:
            return found
        if path == "/metrics":
            text = self.metrics.page(self.storage_objects(), self.verbs.watching())
            return Response(200, [(b"content-type", KIND)], text)
        if self.openid is not None and (found := self.openid(path)) is not None:
            return found
        if (found := self.documents.page(path, query, request)) is not None:
            return found
        if path == "/":
            listed = documents.paths(self.catalog, {root: list(self.health.checks(root)) for root in PATHS})
            body = orjson.dumps({"paths": listed}, option=orjson.OPT_INDENT_2)
            return Response(200, [(b"content-type", b"application/json")], body)
        return Response(404, [TEXT, NOSNIFF], NOT_FOUND)

    def _creation_refused(self, user: UserInfo, info: RequestInfo) -> str | None:
        """Why an update or an apply may not create, None where it may."""
        decision = self.guards.authorizer.authorize(user, info)
        return None if decision.allowed else forbidden(user, info, decision.reason).message

    # -- answers ----------------------------------------------------------------------------------------------------

    def _refusal(self, request: Request, query: Query, error: ApiError) -> Response:
        headers: list[Header] = []
        if error.retry_after_seconds:
            headers.append((b"retry-after", b"%d" % error.retry_after_seconds))
        form = self._form(request, query)
        headers.append((b"content-type", form.media_type.encode()))
        if error.code in (401, 403):
            headers.append(NOSNIFF)
        return Response(error.code, headers, encoded(error.status(), form))

    def _form(self, request: Request, query: Query) -> Accepted:
        header = request.header(b"accept")
        agent = (request.header(b"user-agent") or b"").decode("latin-1")
        try:
            form = accepted(header.decode("latin-1"), transforms=False) if header else PLAIN
        except ApiError:
            return PLAIN._replace(pretty=True)  # said in JSON even where that is not accepted
        return form._replace(pretty=True) if wants_pretty(query.get("pretty"), agent) else form

    def _mark(self, request: Request, response: Response, warnings: list[str], marks: list[Header]) -> None:
        """What every answer carries."""
        given = request.header(b"audit-id")
        headers = response.headers = [*response.headers, *marks]
        if not given or len(given) > AUDIT_ID_BYTES_MAX or not given.isascii():
            given = self.chance.uid().encode()
        headers.append((b"audit-id", given))
        for name, _ in headers:
            if name == b"cache-control":
                break
        else:
            headers.append(CACHE)
        if not warnings:
            return
        size = 0
        for text in warnings:
            value = _warning(text)
            size += len(value)
            if size > WARNINGS_BYTES_MAX:
                break
            headers.append((b"warning", value))


def _is_too_deep(error: Exception) -> bool:
    """Whether a value has more levels than the interpreter or the JSON encoder descends; upstream stops at 10,000."""
    return isinstance(error, RecursionError) or (
        isinstance(error, orjson.JSONEncodeError) and str(error) == "Recursion limit reached"
    )


def _warning(text: str) -> bytes:
    """As RFC 7234 5.5 has it, without characters that would end the line."""
    clean = "".join(char if char.isprintable() else " " for char in text)
    quoted = clean.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{quoted}"'.encode()


def _dry_run(query: Query) -> str:
    """The parameter as a label: empty, All, or invalid."""
    given = query.get("dryRun")
    if not given:
        return ""
    return "All" if set(given) == {"All"} else "invalid"


def _is_probe(path: str) -> bool:
    return path.startswith(PATHS)


def _needs_namespace(row: Any) -> bool:
    return bool(row.namespaced)


def not_allowed() -> ApiError:
    """405: no such verb there."""
    text = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", text, {})
