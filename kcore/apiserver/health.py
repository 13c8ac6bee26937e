"""``/healthz``, ``/livez`` and ``/readyz``: named checks, each alone or all together, with upstream's texts.

Source: apiserver pkg/server/healthz/healthz.go of Kubernetes 1.36.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from kcore.apiserver.request import Query
from kcore.http.message import Header, Response

Check = Callable[[], Awaitable[str]]  # gives what is wrong, or nothing

HEADERS: Final[list[Header]] = [
    (b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff"),
]  # fmt: skip
PATHS: Final = ("/healthz", "/livez", "/readyz")
STOPPING: Final = "process is shutting down"

log = logging.getLogger("kcore.apiserver")


async def well() -> str:
    """Nothing is wrong as long as this is answered."""
    return ""


class Health:
    """The checks of one server. ``ready`` is what ``/readyz`` waits for at the start; ``stop`` makes it fail for good."""

    def __init__(self, store: Check) -> None:
        self.stopping = False
        self.hooks: dict[str, bool] = {}  # name of what is done at the start -> whether it is done
        self._store = store

    def checks(self, path: str) -> dict[str, Check]:
        """The checks behind that path, by name."""
        found: dict[str, Check] = {"ping": well, "log": well, "etcd": self._store}
        if path == "/readyz":
            found["etcd-readiness"] = self._store
            found["informer-sync"] = well
        for name in self.hooks:
            found[f"poststarthook/{name}"] = self._hook(name)
        if path == "/readyz":
            found["shutdown"] = self._shutdown
        return found

    def _hook(self, name: str) -> Check:
        async def check() -> str:
            return "" if self.hooks[name] else "not finished"

        return check

    async def _shutdown(self) -> str:
        return STOPPING if self.stopping else ""

    async def page(self, path: str, query: Query) -> Response | None:
        """The answer; None for a path that is none of health."""
        root = next((each for each in PATHS if path == each or path.startswith(each + "/")), None)
        if root is None:
            return None
        name = path[len(root) + 1 :]
        checks = self.checks(root)
        if name:
            if name not in checks:
                return None
            wrong = await checks[name]()
            if wrong:
                return Response(500, HEADERS, f"internal server error: {wrong}\n".encode())
            return Response(200, HEADERS, b"ok")
        return await self._all(root[1:], checks, query)

    async def _all(self, root: str, checks: dict[str, Check], query: Query) -> Response:
        excluded = {part for value in query.get("exclude", ()) for part in value.split(",") if part}
        lines: list[str] = []
        failed: list[str] = []
        for name, check in checks.items():
            if name in excluded:
                excluded.discard(name)
                lines.append(f"[+]{name} excluded: ok")
                continue
            if wrong := await check():
                lines.append(f"[-]{name} failed: reason withheld")
                failed.append(f"{name}: {wrong}")
            else:
                lines.append(f"[+]{name} ok")
        text = "\n".join(lines) + "\n"
        if excluded:
            text += (
                f"warn: some health checks cannot be excluded: no matches for {_quoted(sorted(excluded))}\n"
            )
        if failed:
            log.warning("%s check failed", root, extra={"checks": failed})
            return Response(500, HEADERS, f"{text}{root} check failed\n".encode())
        if "verbose" not in query:
            return Response(200, HEADERS, b"ok")
        return Response(200, HEADERS, f"{text}{root} check passed\n".encode())


def _quoted(names: Sequence[str]) -> str:
    return ",".join(f'"{name}"' for name in names)
