"""What the server says about itself: discovery, OpenAPI, its version, its paths.

Documents are made when first asked for and kept until the rows change; clients that have one are told 304.
Source: apiserver pkg/endpoints/discovery, k8s.io/kube-openapi/pkg/handler{,3} of Kubernetes 1.36.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

import orjson

from kcore.api.schema import discovery
from kcore.apiserver.negotiation import JSON, PROTOBUF, clauses
from kcore.apiserver.release import GIT_VERSION, version_info
from kcore.apiserver.rendering import GZIP_BYTES_MIN, accepts_gzip, gzipped
from kcore.apiserver.request import Query
from kcore.http.message import Header, Request, Response

DISCOVERY_GROUP: Final = "apidiscovery.k8s.io"
DISCOVERY_KIND: Final = "APIGroupDiscoveryList"
OPENAPI_V2_PROTOBUF: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
OPENAPI_V3_PROTOBUF: Final = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"
NO_CACHE: Final = (b"cache-control", b"no-cache, private")


class Documents:
    """The documents of one server. ``address`` is host and port for clients that ask where it is."""

    def __init__(self, catalog: Any, address: Callable[[], str], git_version: str = GIT_VERSION) -> None:
        self.catalog = catalog
        self.address = address
        self.git_version = git_version
        self._made: dict[Any, tuple[bytes, bytes]] = {}  # what -> (body, etag)
        self._version = catalog.version
        self._v3_hashes: dict[str, str] | None = None

    def page(self, path: str, query: Query, request: Request) -> Response | None:
        """The document of that path; None where there is none."""
        if self._version != self.catalog.version:
            self._made.clear()
            self._v3_hashes = None
            self._version = self.catalog.version
        parts = path.strip("/").split("/")
        match parts:
            case ["version"]:
                return _json(version_info(self.git_version), pretty=True)
            case ["api"]:
                return self._root(request, core=True)
            case ["apis"]:
                return self._root(request, core=False)
            case ["api", version]:
                return self._plain(
                    ("", version), lambda: discovery.api_resource_list(self.catalog.rows, "", version)
                )
            case ["apis", group]:
                return self._plain((group,), lambda: discovery.api_group(self.catalog.rows, group))
            case ["apis", group, version]:
                make = lambda: discovery.api_resource_list(self.catalog.rows, group, version)  # noqa: E731
                return self._plain((group, version), make)
            case ["openapi", "v2"] | ["openapi", "v3", *_]:
                return self._openapi(parts, query, request)
        return None

    # -- discovery --------------------------------------------------------------------------------------------------

    def _root(self, request: Request, *, core: bool) -> Response | None:
        header = (request.header(b"accept") or b"").decode("latin-1")
        for clause in clauses(header):
            if clause.param("as") == DISCOVERY_KIND and clause.param("g") == DISCOVERY_GROUP:
                version = clause.param("v")
                if version in ("v2", "v2beta1") and clause.type in (JSON, "*/*"):
                    return self._aggregated(request, version, core=core)
            elif clause.type in (JSON, "*/*", "application/*", PROTOBUF):
                break
        if core:
            return self._plain("api", lambda: discovery.api_versions(self.address()))
        return self._plain("apis", lambda: discovery.api_group_list(self.catalog.rows))

    def _aggregated(self, request: Request, version: str, *, core: bool) -> Response:
        def make() -> Any:
            return discovery.aggregated(self.catalog.rows, core=core, version=version)

        kind = f"{JSON};g={DISCOVERY_GROUP};v={version};as={DISCOVERY_KIND}".encode()
        return self._kept(("aggregated", core, version), make, request, kind, (b"vary", b"Accept"))

    def _plain(self, key: Any, make: Callable[[], Any]) -> Response | None:
        kept = self._made.get(key)
        if kept is None:
            document = make()
            if document is None:
                return None
            kept = self._made[key] = (orjson.dumps(document) + b"\n", b"")
        return Response(200, [(b"content-type", JSON.encode()), NO_CACHE], kept[0])

    def _kept(
        self, key: Any, make: Callable[[], Any], request: Request, kind: bytes, *more: Header
    ) -> Response:
        kept = self._made.get(key)
        if kept is None:
            document = make()
            body = document if isinstance(document, bytes) else orjson.dumps(document)
            kept = self._made[key] = (body, f'"{hashlib.sha512(body).hexdigest().upper()}"'.encode())
        body, etag = kept
        headers: list[Header] = [(b"content-type", kind), (b"etag", etag), *more]
        if request.header(b"if-none-match") == etag:
            return Response(304, headers[1:])
        if len(body) > GZIP_BYTES_MIN and accepts_gzip(request.header(b"accept-encoding")):
            zipped = self._made.get((key, "gzip"))
            if zipped is None:
                zipped = self._made[key, "gzip"] = (b"".join(gzipped((body,))), etag)
            headers.append((b"content-encoding", b"gzip"))
            body = zipped[0]
        return Response(200, headers, body)

    # -- OpenAPI ----------------------------------------------------------------------------------------------------

    def _openapi(self, parts: list[str], query: Query, request: Request) -> Response | None:
        from kcore.api.schema import openapi, openapi_protobuf

        accept = (request.header(b"accept") or b"").decode("latin-1")
        protobuf = "protobuf" in accept
        rows = self.catalog.rows
        vary = (b"vary", b"Accept")
        if parts[1] == "v2":
            if not protobuf:
                return self._kept(
                    "v2", lambda: openapi.v2(rows, release=self.git_version), request, JSON.encode(), vary
                )
            # also to clients that ask for the older name with "@", which is no media type that they would parse
            make_v2 = lambda: openapi_protobuf.encode(openapi.v2(rows, release=self.git_version))  # noqa: E731
            return self._kept("v2 protobuf", make_v2, request, OPENAPI_V2_PROTOBUF.encode(), vary)
        if len(parts) == 2:
            return self._kept("v3", lambda: openapi.v3_index(self._hashes()), request, JSON.encode())
        path = "/".join(parts[2:])
        if path not in self._hashes():
            return None

        def make() -> Any:
            document = openapi.v3_document(rows, path)
            assert document is not None
            return openapi_protobuf.encode(document) if protobuf else document

        kind = OPENAPI_V3_PROTOBUF if protobuf else JSON
        answer = self._kept(("v3", path, protobuf), make, request, kind.encode(), vary)
        if "hash" in query:
            answer.headers.append((b"cache-control", b"public, immutable"))
        return answer

    def _hashes(self) -> dict[str, str]:
        """The hash of each document of version 3, by its path."""
        from kcore.api.schema import openapi

        if self._v3_hashes is None:
            rows = self.catalog.rows
            self._v3_hashes = {path: openapi.v3_hash(rows, path) for path in openapi.v3_paths(rows)}
        return self._v3_hashes


def _json(document: Any, *, pretty: bool = False) -> Response:
    option = orjson.OPT_INDENT_2 if pretty else 0
    return Response(200, [(b"content-type", JSON.encode()), NO_CACHE], orjson.dumps(document, option=option))


def paths(catalog: Any, health: dict[str, list[str]]) -> list[str]:
    """What ``/`` lists."""
    found = {
        "/.well-known/openid-configuration",
        "/api",
        "/apis",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/version",
    }
    for row in catalog.rows:
        found.add(f"/apis/{row.group}" if row.group else "/api")
        found.add(f"/apis/{row.group}/{row.version}" if row.group else f"/api/{row.version}")
        if row.group:
            found.add(f"/openapi/v3/apis/{row.group}/{row.version}")
    for root, checks in health.items():
        found.add(root)
        found.update(f"{root}/{name}" for name in checks)
    return sorted(found)
