"""An API server in this process without a socket: requests go to its handler, and every answer is looked at."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from kcore.apiserver.assembly import Assembly, Options
from kcore.http.message import Peer, Request, Response
from kcore.store.embedded import Embedded

PEER = Peer("127.0.0.1:1")
T = TypeVar("T")


class Log(logging.Handler):
    """What was logged, to be looked at."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Server:
    """Answers in the calling thread; ``close`` ends it."""

    def __init__(self, **options: Any) -> None:
        self.runner = asyncio.Runner()
        self.log = Log()
        logging.getLogger("kcore").addHandler(self.log)
        try:
            self.assembly: Assembly = self.run(self._start(options))
        except BaseException:
            logging.getLogger("kcore").removeHandler(self.log)
            self.run(self.kv.close())
            self.runner.close()
            raise
        self.handler = self.assembly.server

    async def _start(self, options: dict[str, Any]) -> Assembly:
        self.kv = await Embedded.open(None)
        assembly = Assembly(self.kv, Options(compaction_seconds=0, **options))
        await assembly.start()
        return assembly

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def close(self) -> None:
        logging.getLogger("kcore").removeHandler(self.log)
        self.run(self.assembly.stop())
        self.run(self.kv.close())
        self.runner.close()

    def __call__(
        self,
        method: str,
        target: str,
        body: Any = b"",
        content_type: str = "application/json",
        **headers: str,
    ) -> tuple[int, Any]:
        """Code and body (JSON where it is); an answer that is not as upstream's answers are is an AssertionError."""
        answer = self.answer(method, target, body, content_type, **headers)
        if not isinstance(answer.body, bytes):
            answer.body.stop()
            return answer.status, None
        self.check(answer)
        if dict(answer.headers).get(b"content-type", b"").startswith(b"application/json"):
            return answer.status, json.loads(answer.body)
        return answer.status, answer.body

    def answer(
        self,
        method: str,
        target: str,
        body: Any = b"",
        content_type: str = "application/json",
        **headers: str,
    ) -> Response:
        """The response as it is."""
        path, _, query = target.partition("?")
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = [(name.replace("_", "-").lower().encode(), text.encode()) for name, text in headers.items()]
        if raw:
            fields.append((b"content-type", content_type.encode()))
        request = Request(
            method.encode(), path.encode("utf-8", "surrogateescape"), query.encode("utf-8", "surrogateescape"),
            tuple(fields), raw, PEER,
        )  # fmt: skip
        return self.run(self.handler(request))

    def check(self, answer: Response) -> None:
        """The server did not panic, and a refusal is a Status that agrees with its code."""
        body = answer.body
        assert isinstance(body, bytes)
        panics = [record for record in self.log.records if record.exc_info]
        self.log.records.clear()
        if panics:
            assert panics[0].exc_info is not None
            raise AssertionError(f"the server panicked: {body!r}") from panics[0].exc_info[1]
        assert b"panic" not in body[:200]
        kind = dict(answer.headers).get(b"content-type", b"")
        if answer.status >= 400 and kind.startswith(b"application/json"):
            status = json.loads(body)
            assert status["kind"] == "Status"
            assert status["code"] == answer.status
            assert status["status"] == "Failure"
            assert status["message"]

    def state(self) -> dict[bytes, bytes]:
        """All that is stored, but for flow schemas, whose conditions the server itself keeps."""

        async def read() -> dict[bytes, bytes]:
            found = await self.kv.range(b"/registry/", b"/registry0")
            schemas = b"/registry/flowschemas/"
            return {each.key: each.value for each in found.kvs if not each.key.startswith(schemas)}

        return self.run(read())


def with_server(test: Callable[[Server], None]) -> None:
    """The test is run over a fresh server."""
    server = Server()
    try:
        test(server)
    finally:
        server.close()
