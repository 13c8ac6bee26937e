"""The client over HTTP: any cluster that a kubeconfig names, by the same ``AsyncClient`` as in process.

Requests go over few HTTP/2 connections (``kcore.http.client``). One that the server answers with 429 or 5xx and a
``Retry-After`` is made again; one whose connection was lost, too, where it only reads. Objects go as JSON.

Source: client-go rest/request.go, with_retry.go, warnings.go.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson

from kcore.api import go_json
from kcore.api.rows import Row
from kcore.api.status import ApiError
from kcore.client import discovery
from kcore.client.asynchronous import AsyncClient, Warn
from kcore.client.calls import Object, Warnings, identity_of
from kcore.client.credentials import Credentials
from kcore.client.kubeconfig import Access
from kcore.client.rate import TokenBucket
from kcore.clock import REAL, Clock
from kcore.http.client import HttpClient
from kcore.http.dial import PORTS, Endpoint
from kcore.http.exchange import Answer, Call, LostError
from kcore.http.message import Header

RETRIES_MAX: Final = 10
LOST_RETRY_SECONDS: Final = 1.0  # client-go's, behind a lost connection
JSON: Final = b"application/json"
WARNING: Final = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')
ESCAPED: Final = re.compile(r"\\(.)")
STATUS_WORDS: Final = {
    400: ("BadRequest", "the server rejected our request for an unknown reason"),
    401: ("Unauthorized", "the server has asked for the client to provide credentials"),
    403: ("Forbidden", ""),
    404: ("NotFound", "the server could not find the requested resource"),
    405: ("MethodNotAllowed", "the server does not allow this method on the requested resource"),
    406: ("NotAcceptable", "the server was unable to respond with a content type that the client supports"),
    409: ("Conflict", "the server reported a conflict"),
    415: ("UnsupportedMediaType", ""),
    422: ("Invalid", "the server rejected our request due to an error in our request"),
    429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: (
        "Timeout",
        "the server was unable to return a response in the time allotted, but may still be processing the request",
    ),
}


def connect(
    access: Access,
    *,
    field_manager: str = "kcore",
    user_agent: str = "kcore",
    on_warning: Warn | None = None,
    qps: float = 0.0,
    burst: int = 10,
    seconds_max: float | None = None,
    clock: Clock = REAL,
) -> AsyncClient:
    """A client of that cluster; nothing is asked yet. ``async with`` it, or ``await client.close()``.

    ``qps`` bounds its requests, with ``burst`` at once; 0: nothing does. ``seconds_max``: of a request that is no watch.
    Unreachable servers are ConnectionError, credentials that cannot be had ``kcore.InputError``.
    """
    bucket = TokenBucket(qps, burst, clock) if qps > 0 else None
    calls = RemoteCalls(access, user_agent=user_agent, bucket=bucket, seconds_max=seconds_max, clock=clock)
    return AsyncClient(calls, field_manager=field_manager, on_warning=on_warning)


class RemoteCalls:
    """See ``kcore.client.calls.Calls``."""

    is_local = False

    def __init__(
        self,
        access: Access,
        *,
        user_agent: str,
        bucket: TokenBucket | None = None,
        seconds_max: float | None = None,
        clock: Clock = REAL,
    ) -> None:
        url = access.url
        host = url.hostname or ""
        self._credentials = Credentials(access, clock)
        self._http = HttpClient(
            Endpoint(host, url.port or PORTS[url.scheme], None, access.server_name, access.proxy)
        )
        self._prefix = url.path.rstrip("/")
        self._base: tuple[Header, ...] = (
            (b"host", url.netloc.rpartition("@")[2].encode()),
            (b"user-agent", user_agent.encode()),
        )
        self._left: list[HttpClient] = []  # those on which something still runs
        self._bucket = bucket
        self._seconds_max = seconds_max
        self._clock = clock
        self._rows: tuple[Row, ...] = ()
        self._discovering: asyncio.Task[bool] | None = None

    @property
    def rows(self) -> tuple[Row, ...]:
        """What is served, as far as it was asked."""
        return self._rows

    async def discover(self) -> bool:
        """What is served was asked anew, once for all that ask at a time; True where it is another."""
        if self._discovering is None or self._discovering.done():
            self._discovering = asyncio.get_running_loop().create_task(self._discover())
        return await asyncio.shield(self._discovering)

    async def _discover(self) -> bool:
        async def get(path: str) -> Object:
            answer = await self._answer("GET", path, "", accept=discovery.ACCEPT.encode())
            made: Object = orjson.loads(answer.body)
            return made

        found = await discovery.rows(get)
        is_new = found != self._rows
        self._rows = found
        return is_new

    async def close(self) -> None:
        """Every connection is closed."""
        for each in (*self._left, self._http):
            await each.close()

    # -- requests ---------------------------------------------------------------------------------------------------

    async def _headers(self, accept: bytes, content_type: bytes | None) -> list[Header]:
        credentials = self._credentials
        if credentials.is_due:
            await self._refresh()
        made = [*self._base, (b"accept", accept), *credentials.headers]
        if content_type is not None:
            made.append((b"content-type", content_type))
        return made

    async def _refresh(self, refused: int | None = None) -> bool:
        """Credentials are right; True where those of the ``refused`` generation are others now."""
        credentials = self._credentials
        is_better = await (credentials.fresh() if refused is None else credentials.refused(refused))
        endpoint = self._http.endpoint
        if credentials.tls is not endpoint.tls:
            self._http.leave()  # its connections show the old certificate
            self._left = [each for each in (*self._left, self._http) if each.connection_count]
            self._http = HttpClient(endpoint._replace(tls=credentials.tls))
        return is_better

    async def _answer(
        self,
        method: str,
        path: str,
        query: str,
        body: bytes | None = None,
        content_type: bytes | None = None,
        accept: bytes = JSON,
    ) -> Answer:
        """The answer of a server that did what it was asked; ApiError where it did not."""
        target = self._target(path, query)
        attempt = 0
        was_refused = False
        while True:
            if self._bucket is not None:
                await self._bucket.take()
            headers = await self._headers(accept, content_type)
            generation = self._credentials.generation
            try:
                answer = await self._http.request(
                    method.encode(), target, headers, body, seconds_max=self._seconds_max
                )
            except LostError as error:
                attempt += 1
                if method != "GET" or attempt > RETRIES_MAX or self._http.is_closed:
                    raise self._lost(method, target, error) from None
                await self._clock.sleep(LOST_RETRY_SECONDS if attempt > 1 else 0.0)
                continue
            except ConnectionError as error:
                raise self._lost(method, target, error) from None
            status = answer.status
            if status < 400:
                return answer
            if status == 401 and not was_refused and await self._refresh(generation):
                was_refused = True
                continue
            wait_s = _retry_after(answer)
            attempt += 1
            if wait_s is None or attempt > RETRIES_MAX:
                raise error_of(answer.status, answer.body, method, wait_s or 0)
            await self._clock.sleep(wait_s)

    def _target(self, path: str, query: str) -> bytes:
        return f"{self._prefix}{path}?{query}".encode() if query else f"{self._prefix}{path}".encode()

    def _lost(self, method: str, target: bytes, error: Exception) -> ConnectionError:
        endpoint = self._http.endpoint
        scheme = "http" if endpoint.tls is None else "https"
        where = f"{scheme}://{self._base[0][1].decode()}{target.decode()}"
        return type(error)(f'{method.capitalize()} "{where}": {error}')  # type: ignore[return-value]

    # -- the verbs --------------------------------------------------------------------------------------------------

    async def get(self, row: Row, namespace: str, name: str, subresource: str, version: str) -> Object:
        """GET."""
        query = f"resourceVersion={quote(version)}" if version else ""
        return _object(await self._answer("GET", path_of(row, namespace, name, subresource), query))

    async def list(self, row: Row, namespace: str, query: Mapping[str, str]) -> Object:
        """GET of many."""
        return _object(await self._answer("GET", path_of(row, namespace), urlencode(query)))

    async def create(
        self,
        row: Row,
        namespace: str,
        name: str,
        subresource: str,
        obj: Object,
        query: Mapping[str, str],
        warnings: Warnings,
        answered: bool = True,
    ) -> Object:
        """POST."""
        path = path_of(row, namespace, name if subresource else "", subresource)
        return await self._write("POST", path, query, go_json.dumps(obj), warnings, answered=answered)

    async def update(
        self,
        row: Row,
        namespace: str,
        name: str,
        subresource: str,
        obj: Object,
        query: Mapping[str, str],
        warnings: Warnings,
    ) -> Object:
        """PUT."""
        path = path_of(row, namespace, name, subresource)
        return await self._write("PUT", path, query, go_json.dumps(obj), warnings)

    async def patch(
        self,
        row: Row,
        namespace: str,
        name: str,
        subresource: str,
        kind: str,
        body: bytes,
        query: Mapping[str, str],
        warnings: Warnings,
        answered: bool = True,
    ) -> Object:
        """PATCH."""
        path = path_of(row, namespace, name, subresource)
        return await self._write("PATCH", path, query, body, warnings, kind.encode(), answered=answered)

    async def delete(
        self, row: Row, namespace: str, name: str, options: Object, warnings: Warnings, answered: bool = True
    ) -> Object:
        """DELETE."""
        path = path_of(row, namespace, name)
        return await self._write("DELETE", path, {}, _options(options), warnings, answered=answered)

    async def delete_collection(
        self, row: Row, namespace: str, query: Mapping[str, str], options: Object, warnings: Warnings
    ) -> Object:
        """DELETE of many."""
        return await self._write("DELETE", path_of(row, namespace), query, _options(options), warnings)

    async def _write(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None,
        warnings: Warnings,
        content_type: bytes = JSON,
        *,
        answered: bool = True,
    ) -> Object:
        kind = content_type if body is not None else None
        answer = await self._answer(method, path, urlencode(query), body, kind)
        for value in answer.values(b"warning"):
            warnings += warnings_of(value)
        if answered:
            return _object(answer)
        return {} if method == "DELETE" else identity_of(_object(answer))

    async def watch(self, row: Row, namespace: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Lines of JSON, some at a time; ConnectionError where the connection is lost."""
        target = self._target(path_of(row, namespace), urlencode({"watch": "true", **query}))
        call = await self._opened(target)
        try:
            rest = b""
            while data := await call.read():
                end = data.rfind(b"\n") + 1
                if not end:
                    rest += data
                    continue
                yield rest + data[:end] if rest else data[:end]
                rest = data[end:]
        except ConnectionError as error:
            raise self._lost("GET", target, error) from None
        finally:
            call.close()

    async def _opened(self, target: bytes) -> Call:
        """A stream that the server has agreed to; ApiError."""
        was_refused = False
        while True:
            if self._bucket is not None:
                await self._bucket.take()
            headers = await self._headers(JSON, None)
            generation = self._credentials.generation
            try:
                call = await self._http.stream(b"GET", target, headers)
                if call.status == 200:
                    return call
                answer = await call.answer()
            except ConnectionError as error:
                raise self._lost("GET", target, error) from None
            if answer.status == 401 and not was_refused and await self._refresh(generation):
                was_refused = True
                continue
            raise error_of(answer.status, answer.body, "GET", _retry_after(answer) or 0)


def path_of(row: Row, namespace: str, name: str = "", subresource: str = "") -> str:
    """The path of a resource, or of one of its objects."""
    made = f"/apis/{row.group}/{row.version}" if row.group else f"/api/{row.version}"
    if namespace:
        made += f"/namespaces/{quote(namespace, safe='')}"
    made += f"/{row.plural}"
    if name:
        made += f"/{quote(name, safe='')}"
    return f"{made}/{subresource}" if subresource else made


def warnings_of(value: bytes) -> list[str]:
    """The texts of a ``Warning`` header (RFC 9110's older 5.5), of code 299 alone as client-go's."""
    return [ESCAPED.sub(r"\1", text) for text in WARNING.findall(value.decode("utf-8", "replace"))]


def error_of(code: int, body: bytes, method: str, retry_after_seconds: int = 0) -> ApiError:
    """The error that an answer says: its Status, or what the code means (NewGenericServerResponse)."""
    try:
        made: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        made = None
    if isinstance(made, dict) and made.get("kind") == "Status" and made.get("apiVersion") == "v1":
        return ApiError(
            int(made.get("code") or code),
            made.get("reason", ""),
            made.get("message", ""),
            made.get("details"),
        )
    said = body[:2048].decode("utf-8", "replace").strip() or "unknown"
    default = f"the server responded with the status code {code} but did not return more information"
    reason, message = STATUS_WORDS.get(code, ("", default))
    if code == 409 and method == "POST":
        reason = "AlreadyExists"
    elif code >= 500 and code not in STATUS_WORDS:
        reason = "InternalError"
        message = f'an error on the server ("{said}") has prevented the request from succeeding'
    details: dict[str, Any] = {"causes": [{"reason": "UnexpectedServerResponse", "message": said}]}
    if retry_after_seconds:
        details["retryAfterSeconds"] = retry_after_seconds
    return ApiError(code, reason, message or said, details)


def _retry_after(answer: Answer) -> int | None:
    """How long the server asks to wait, None where it is not to be asked again (checkWait)."""
    if answer.status != 429 and answer.status < 500:
        return None
    said = answer.header(b"retry-after")
    return int(said) if said is not None and said.isdigit() else None


def _options(options: Object) -> bytes | None:
    return orjson.dumps({"kind": "DeleteOptions", "apiVersion": "v1", **options}) if options else None


def _object(answer: Answer) -> Object:
    try:
        made: Object = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        raise error_of(500, answer.body, "GET") from None
    return made
