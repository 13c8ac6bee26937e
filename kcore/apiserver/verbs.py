"""Requests for resources: each verb of a row, from the request to its answer.

What is read from a request here is what upstream's handlers read, in their order, so that of several mistakes the
same one is told. Source: apiserver pkg/endpoints/handlers of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from kcore.api import schema, status
from kcore.api.rows import GroupVersionKind, Row, Subresource
from kcore.api.schema import decoding
from kcore.api.schema.document import read_json
from kcore.api.schema.yaml_text import read_yaml
from kcore.apiserver import list_options
from kcore.apiserver.list_answer import list_answer
from kcore.apiserver.negotiation import (
    JSON,
    PLAIN,
    PROTOBUF,
    TABLE,
    YAML,
    Accepted,
    accepted,
    content_type,
    has_protobuf,
    has_table,
    wants_pretty,
)
from kcore.apiserver.operation import Object, Operation, Options, Result
from kcore.apiserver.registry import plans
from kcore.apiserver.registry.options import delete_options, integer, write_options
from kcore.apiserver.rendering import (
    GZIP_BYTES_MIN,
    accepts_gzip,
    gzipped,
    rendered,
)
from kcore.apiserver.request import Query, RequestInfo
from kcore.apiserver.user import UserInfo
from kcore.apiserver.watching import WatchBody, encoder
from kcore.http.message import Header, Request, Response

PATCH_TYPES: Final = (
    "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)  # fmt: skip
END_POLL_SECONDS: Final = 0.01
MIN_REQUEST_SECONDS: Final = 1800  # a watch without a timeout lasts so long, and up to as much again
DELETE_OPTIONS_DEFINITION: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
DELETE_OPTIONS: Final = GroupVersionKind("meta.k8s.io", "v1", "DeleteOptions")
GZIPPED: Final = ((b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding"))
FORMS: Final = {JSON: plans.JSON, PROTOBUF: plans.PROTOBUF}  # of bodies of which plans know
READING: Final = Options()
INCLUDE: Final = ("None", "Metadata", "Object")


@lru_cache(maxsize=1024)
def _agent(header: bytes | None) -> str:
    return (header or b"").decode(errors="replace")


@lru_cache(maxsize=1024)
def _accepted(header: bytes, streams: bool, tables: bool, protobuf: bool) -> Accepted:
    return accepted(header.decode("latin-1"), streams=streams, tables=tables, protobuf=protobuf)


@lru_cache(maxsize=64)
def _typed(media_type: str) -> Header:
    return b"content-type", media_type.encode()


class Call:
    """One request for a resource, authenticated and authorized."""

    __slots__ = ("info", "query", "request", "row", "subresource", "user", "warnings")

    def __init__(
        self,
        request: Request,
        info: RequestInfo,
        query: Query,
        user: UserInfo,
        row: Row,
        sub: Subresource | None,
    ) -> None:
        self.request = request
        self.info = info
        self.query = query
        self.user = user
        self.row = row
        self.subresource = sub
        self.warnings: list[str] = []

    @property
    def user_agent(self) -> str:
        """Who the client says it is."""
        return _agent(self.request.header(b"user-agent"))

    def accepted(self, *, streams: bool = False) -> Accepted:
        """The form that the client wants."""
        request = self.request
        header = request.header(b"accept")
        found = PLAIN
        if header:
            tables = b"Table" not in header or has_table(self.row, self.info.subresource)
            found = _accepted(header, streams, tables, b"protobuf" not in header or has_protobuf(self.row))
        agent = request.header(b"user-agent")
        if (agent or "pretty" in self.query) and wants_pretty(self.query.get("pretty"), _agent(agent)):
            return found._replace(pretty=True)
        return found

    def operation(self, options: Options | None = None) -> Operation:
        """What the registry is asked."""
        info = self.info
        return Operation(
            row=self.row,
            namespace=info.namespace if self.row.namespaced else "",
            name=info.name,
            subresource=info.subresource,
            user=self.user,
            options=options if options is not None else Options(user_agent=self.user_agent),
            warnings=self.warnings,
        )


class Verbs:
    """What each verb does; ``registry`` stores, ``cacher`` lists and watches."""

    def __init__(
        self, registry: Any, cacher: Any, catalog: Any, now: Callable[[], float], metrics: Any
    ) -> None:
        self.registry = registry
        self.cacher = cacher
        self.catalog = catalog
        self.now = now
        self.metrics = metrics
        self.watches: dict[WatchBody, Row] = {}
        self.stopping = False
        self.watch_seconds_min = MIN_REQUEST_SECONDS
        self.may_create: Callable[[UserInfo, RequestInfo], str | None] = lambda user, info: None
        self.table: Final = {
            "get": self.get, "list": self.list, "watch": self.watch, "create": self.create,
            "update": self.update, "patch": self.patch, "delete": self.delete,
            "deletecollection": self.delete_collection,
        }  # fmt: skip

    async def get(self, call: Call) -> Response:
        """GET of one object."""
        form = call.accepted()
        op = call.operation(READING)
        op.row = self._read_row(call, form)
        version = call.query.get("resourceVersion", ("",))[0]
        result = await self.registry.get(op, version) if version else await self.registry.get(op)
        return self._answer(call, result, form)

    async def list(self, call: Call) -> Response:
        """GET of many."""
        form = call.accepted()
        info = call.info
        options = list_options.from_query(call.row, _pairs(call.query), name=info.name)
        if not call.row.storage:
            found = await self.registry.list_computed(call.operation(READING), options)
            if found is not None:
                return self._answer(call, found, form)
        page = await self.cacher.list(call.row, info.namespace, options)
        body, compressed = list_answer(
            call.row, page, form, self._conversion(self._read_row(call, form)), now=self.now(), include=self._include(call, form),
            gzip=accepts_gzip(call.request.header(b"accept-encoding")),
        )  # fmt: skip
        headers: list[Header] = [_typed(form.media_type)]
        if compressed:
            headers += GZIPPED
        return Response(200, headers, body)

    def _read_row(self, call: Call, form: Accepted) -> Row:
        """The row in whose version objects are read: for a Table the stored one, which upstream's printers see too.

        Not where the Table holds whole objects, which are in the version of the request.
        """
        row = call.row
        if (
            form.kind == TABLE
            and row.storage_version != row.version
            and self._include(call, form) != "Object"
        ):
            return self.catalog.row(row.group, row.storage_version, row.plural) or row
        return row

    def _conversion(self, row: Row) -> Callable[[bytes], bytes] | None:
        """From the storage version to the row's; None where they are one."""
        kind = self.registry.core.kind(row)
        return kind.converted if kind.converts else None

    async def watch(self, call: Call) -> Response:
        """GET of what happens."""
        form = call.accepted(streams=True)
        info = call.info
        options = list_options.from_query(call.row, _pairs(call.query), name=info.name, watch=True)
        include, convert = self._include(call, form), self._conversion(self._read_row(call, form))
        write, representation = encoder(call.row, form, self.now, include, convert)
        if not options.timeout_seconds and self.watch_seconds_min:
            seconds = round(self.watch_seconds_min * (1 + random.random()))
            options = replace(options, timeout_seconds=seconds)
        source = await self.cacher.watch(
            call.row, info.namespace, options, encode=write, representation=representation
        )
        scope = "resource" if info.name else "namespace" if info.namespace else "cluster"
        body = WatchBody(source, lambda: self._ended(call.row, scope, body))
        self.watches[body] = call.row
        self.metrics.watch_began(call.row, scope)
        kind = form.media_type if form.media_type == JSON else f"{form.media_type};stream=watch"
        if self.stopping:
            body.end()
        return Response(200, [(b"content-type", kind.encode())], body)

    def _ended(self, row: Row, scope: str, body: WatchBody) -> None:
        del self.watches[body]
        self.metrics.watch_ended(row, scope, body.event_count)

    def watching(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """Group, version and plural of each open watch, and how many events it has sent."""
        for body, row in self.watches.items():
            yield (row.group, row.version, row.plural), body.event_count

    def end_watches(self) -> None:
        """Every watch ends; new ones end at once."""
        self.stopping = True
        for body in list(self.watches):
            body.end()

    async def watches_ended(self, seconds_max: float) -> None:
        """The same, and the ends are on their way; not waited for are clients that do not read what comes before."""
        self.end_watches()
        for _ in range(math.ceil(seconds_max / END_POLL_SECONDS)):
            if not self.watches:
                break
            await asyncio.sleep(END_POLL_SECONDS)

    async def create(self, call: Call) -> Response:
        """POST."""
        form = call.accepted()
        kind = content_type(_text(call.request.header(b"content-type")))
        options = write_options(call.query, "CreateOptions", user_agent=call.user_agent)
        body, written = call.request.body, FORMS.get(kind)
        if written is None:
            result = await self.registry.create(call.operation(options), self._body(call, kind, options))
        else:
            result = await self.registry.create_from(
                call.operation(options), written, body, lambda: self._body(call, kind, options)
            )
        return self._answer(call, result, form)

    async def update(self, call: Call) -> Response:
        """PUT."""
        form = call.accepted()
        options = write_options(call.query, "UpdateOptions", user_agent=call.user_agent)
        kind = content_type(_text(call.request.header(b"content-type")))
        obj = self._body(call, kind, options)
        op = call.operation(options)
        op.may_create = self._creation(call)
        return self._answer(call, await self.registry.update(op, obj), form)

    async def patch(self, call: Call) -> Response:
        """PATCH."""
        kind = (_text(call.request.header(b"content-type")) or "").partition(";")[0].strip()
        if kind not in PATCH_TYPES:
            raise status.unsupported_media_type(sorted(PATCH_TYPES))
        form = call.accepted()
        options = write_options(call.query, "PatchOptions", user_agent=call.user_agent, patch_type=kind)
        op = call.operation(options)
        op.may_create = self._creation(call)
        return self._answer(call, await self.registry.patch(op, kind, call.request.body), form)

    def _creation(self, call: Call) -> Callable[[], str | None]:
        info = call.info
        asked = RequestInfo(
            info.path, "create", True, info.api_prefix, info.api_group, info.api_version, info.namespace,
            info.resource, info.subresource, info.name,
        )  # fmt: skip
        return lambda: self.may_create(call.user, asked)

    async def delete(self, call: Call) -> Response:
        """DELETE of one object."""
        form = call.accepted()
        options = self._delete_options(call)
        op = call.operation()
        op.options.dry_run = bool(options.get("dryRun"))
        return self._answer(call, await self.registry.delete(op, options), form)

    async def delete_collection(self, call: Call) -> Response:
        """DELETE of many."""
        form = call.accepted()
        wanted = list_options.from_query(call.row, _pairs(call.query))
        options = self._delete_options(call)
        op = call.operation()
        op.options.dry_run = bool(options.get("dryRun"))
        return self._answer(call, await self.registry.delete_collection(op, wanted, options), form)

    # -- bodies -----------------------------------------------------------------------------------------------------

    def _delete_options(self, call: Call) -> Object:
        body = call.request.body
        if not body:
            return delete_options(call.query)
        kind = content_type(_text(call.request.header(b"content-type")))
        obj: Any
        try:
            if kind == PROTOBUF:
                from kcore.api import protobuf

                obj = protobuf.decode(body, DELETE_OPTIONS)
            else:
                obj = read_yaml(body)[0] if kind == YAML else read_json(body)
        except ValueError as error:
            raise status.bad_request(f"couldn't get version/kind; json parse error: {error}") from None
        if not isinstance(obj, dict) or obj.get("kind") not in (None, "", "DeleteOptions"):
            raise status.bad_request("decoded object cannot be converted to DeleteOptions")
        try:
            schema.load().node(DELETE_OPTIONS_DEFINITION).clean(obj)
        except ValueError as error:  # TypeMismatch
            raise status.bad_request(str(error)) from None
        obj.pop("kind", None)
        obj.pop("apiVersion", None)
        return {key: value for key, value in obj.items() if value is not None}

    def _body(self, call: Call, media_type: str, options: Options) -> Object:
        """The object in the request, of the kind that the route takes."""
        sub = call.subresource
        row = call.row
        wanted = sub.kind if sub is not None and sub.kind is not None else row.gvk
        body = call.request.body
        if media_type == PROTOBUF:
            from kcore.api import protobuf

            obj = protobuf.decode(body, wanted)
            if (obj.get("kind"), obj.get("apiVersion")) != (wanted.kind, wanted.api_version):
                found = GroupVersionKind.of(str(obj.get("apiVersion")), str(obj.get("kind")))
                problem = f"unknown conversion to {wanted.kind}"
                raise decoding.cannot_be_handled(found, wanted, problem)
            self._node(call, wanted).clean(obj)
            return obj
        read = decoding.decode_yaml if media_type == YAML else decoding.decode_json
        obj, warnings = read(body, self._node(call, wanted), options.field_validation or "Warn", wanted)
        call.warnings += warnings
        return obj

    def _node(self, call: Call, kind: GroupVersionKind) -> Any:
        if kind == call.row.gvk:
            return self.catalog.node(call.row)
        return schema.load().node(decoding.definitions_by_kind()[kind])

    # -- answers ----------------------------------------------------------------------------------------------------

    def _include(self, call: Call, form: Accepted) -> str:
        if form.kind != TABLE:
            return ""
        include = call.query.get("includeObject", ("",))[0]
        if include and include not in INCLUDE:
            text = 'must be "Metadata", "Object", "None", or empty'
            raise status.bad_request(
                f'Unable to convert to Table as requested: includeObject: Invalid value: "{include}": {text}'
            )
        return include

    def _answer(self, call: Call, result: Result, form: Accepted) -> Response:
        body = rendered(call.row, result.body, form, now=self.now(), include=self._include(call, form))
        return self._sent(call, result.code, body, form.media_type)

    def _sent(self, call: Call, code: int, body: bytes, media_type: str) -> Response:
        headers: list[Header] = [_typed(media_type)]
        if len(body) > GZIP_BYTES_MIN and accepts_gzip(call.request.header(b"accept-encoding")):
            headers += GZIPPED
            body = b"".join(gzipped((body,)))
        return Response(code, headers, body)


def _pairs(query: Query) -> list[tuple[str, str]]:
    return [(name, value) for name, values in query.items() for value in values]


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def seconds_of(query: Query, name: str) -> int | None:
    """A parameter that is a whole number, None where it is not given."""
    values = query.get(name)
    return integer(values[0]) if values and values[0] else None
