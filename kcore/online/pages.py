"""What the scheduler's port answers: health to everybody, metrics to those whom the cluster lets read them.

Source: cmd/kube-scheduler/app/server.go (newHealthEndpointsAndMetricsHandler), apiserver pkg/server/healthz and
pkg/authorization/authorizerfactory (delegating) of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

import orjson

from kcore.api import status
from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.http.message import Request, Response
from kcore.online.metrics import KIND

ANONYMOUS: Final = {"username": "system:anonymous", "groups": ["system:unauthenticated"]}
JSON: Final = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]
TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
Certificates = Callable[
    [bytes], Mapping[str, Any] | None
]  # the user of a certificate (DER); ApiError where it does not hold
Check = Callable[[], str]  # what is wrong; empty where nothing is


class Pages:
    """One port's answers. ``checks`` are those behind each path, by name; ``configz`` is what that path answers.

    ``certificates`` knows clients by theirs; without it none counts.
    """

    def __init__(
        self,
        client: AsyncClient,
        checks: Mapping[str, Mapping[str, Check]],
        metrics: Callable[[], bytes],
        open_paths: tuple[str, ...],
        *,
        configz: Callable[[], Any] | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        self._client = client
        self._checks = checks
        self._metrics = metrics
        self._open = open_paths
        self._configz = configz
        self._certificates = certificates

    async def answer(self, request: Request) -> Response:
        """The answer to a request."""
        path = request.path.decode("latin-1")
        try:
            if not any(path == each or path.startswith(each.rstrip("/") + "/") for each in self._open):
                await self._admit(request, path)
            if path == "/metrics":
                return Response(200, [(b"content-type", KIND)], self._metrics())
            if path == "/configz" and self._configz is not None:
                return Response(200, JSON, orjson.dumps({"componentconfig": self._configz()}))
            root, _, name = path[1:].partition("/")
            if f"/{root}" in self._checks:
                return self._health(root, name, request.query)
            return Response(404, [TEXT], b"404 page not found\n")
        except ApiError as error:
            return Response(
                error.code, [(b"content-type", b"application/json")], orjson.dumps(error.status())
            )

    def _health(self, root: str, name: str, query: bytes) -> Response:
        checks = self._checks[f"/{root}"]
        if name:
            if name not in checks:
                return Response(404, [TEXT], b"404 page not found\n")
            wrong = checks[name]()
            if wrong:
                return Response(500, [TEXT], f"internal server error: {wrong}\n".encode())
            return Response(200, [TEXT], b"ok")
        given = parse_qs(query.decode("latin-1"), keep_blank_values=True)
        excluded = {part for value in given.get("exclude", ()) for part in value.split(",") if part}
        lines, failed = [], False
        for each, check in checks.items():
            if each in excluded:
                lines.append(f"[+]{each} excluded: ok\n")
            elif check():
                lines.append(f"[-]{each} failed: reason withheld\n")
                failed = True
            else:
                lines.append(f"[+]{each} ok\n")
        text = "".join(lines)
        if failed:
            return Response(500, [TEXT], f"{text}{root} check failed\n".encode())
        return Response(200, [TEXT], f"{text}{root} check passed\n".encode() if "verbose" in given else b"ok")

    async def _admit(self, request: Request, path: str) -> None:
        """Returns where the cluster lets the caller ask for that path."""
        user = await self._user(request)
        verb = request.method.decode("latin-1").lower()
        review: dict[str, Any] = {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {
                "user": user["username"], "groups": user.get("groups") or [],
                "nonResourceAttributes": {"path": path, "verb": verb},
                **{name: user[name] for name in ("uid", "extra") if user.get(name)},
            },
        }  # fmt: skip
        try:
            answer = await self._client.create(review)
        except (ApiError, OSError) as error:
            raise status.internal(f"cannot authorize: {error}") from None
        if not (answer.get("status") or {}).get("allowed"):
            raise status.forbidden("", "", "", f'User "{user["username"]}" cannot {verb} path "{path}"')

    async def _user(self, request: Request) -> Mapping[str, Any]:
        given = (request.header(b"authorization") or b"").decode("latin-1")
        kind, _, token = given.partition(" ")
        has_token = kind.lower() == "bearer" and bool(token.strip())
        known = self._known(request.peer.certificate, has_token=has_token)
        if known is not None:
            return known
        if not has_token:
            return ANONYMOUS
        review = {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token.strip()},
        }  # fmt: skip
        try:
            answer = await self._client.create(review)
        except (ApiError, OSError):
            raise status.unauthorized() from None
        found = answer.get("status") or {}
        if not found.get("authenticated"):
            raise status.unauthorized()
        user: Mapping[str, Any] = found["user"]
        return user

    def _known(self, der: bytes | None, *, has_token: bool) -> Mapping[str, Any] | None:
        """Whose certificate that is; one that does not hold is refused, unless there is a token to go by."""
        if der is None or self._certificates is None:
            return None
        try:
            return self._certificates(der)
        except ApiError:
            if has_token:
                return None
            raise
