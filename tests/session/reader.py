"""What is in the cluster, asked without a kubectl for each look: what ``get`` and ``wait`` of a user stand on."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kcore.api.status import ApiError
from kcore.api.tables.custom import find, parse_path
from kcore.client import kubeconfig
from kcore.client.remote import connect

Object = dict[str, Any]
SECONDS_MAX = 60.0
PAUSE_S = 0.05


class Reader:
    """Objects named as kubectl names them, in the namespace ``space`` where none is said."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = connect(kubeconfig.load(path))
        self.space = "default"

    def close(self) -> None:
        """Nothing is open."""
        self._loop.run_until_complete(self._client.close())
        self._loop.close()

    def items(self, what: str) -> list[Object]:
        """``kubectl get pods,pvc -l app=web``."""
        resources, *flags = shlex.split(what)
        given = dict(zip(flags[::2], flags[1::2], strict=True))
        found = []
        for resource in resources.split(","):
            listed = self._list(
                resource, given.get("-n", self.space), given.get("-l", ""), given.get("--field-selector", "")
            )
            found += listed
        return found

    def _list(self, resource: str, space: str, labels: str, fields: str) -> list[Object]:
        async def ask() -> list[Object]:
            row = await self._client.row(resource)
            listed = await self._client.list(
                resource, space if row.namespaced else "", label_selector=labels, field_selector=fields
            )
            return [{"kind": row.kind, **each} for each in listed["items"]]

        return self._loop.run_until_complete(ask())

    def get(self, what: str) -> Object:
        """``kubectl get pod web -n shop``, ``kubectl get pod/web``."""
        words = shlex.split(what)
        space = words[words.index("-n") + 1] if "-n" in words else self.space
        resource, _, name = words[0].partition("/")
        return self._loop.run_until_complete(self._client.get(resource, name or words[1], space))

    def until(self, what: str, holds: Callable[[list[Object]], Any]) -> list[Object]:
        """The items once that holds of them."""
        return _until(lambda: self.items(what), holds)

    def wait(self, what: str, condition: str) -> None:
        """``kubectl wait`` for ``create``, ``delete``, ``condition=Ready[=false]`` or ``jsonpath={.status.x}[=y]``."""
        names = [word for word in shlex.split(what) if "/" in word]
        tail = what.partition(" -n ")[2]
        for name in names:
            line = f"{name} -n {tail}" if tail else name
            _until(lambda line=line: self._seen(line), lambda found: _holds(found, condition))  # type: ignore[misc]

    def _seen(self, what: str) -> Object | None:
        try:
            return self.get(what)
        except ApiError as error:
            if error.code != 404:
                raise
            return None


def _until(look: Callable[[], Any], holds: Callable[[Any], Any]) -> Any:
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        found = look()
        if holds(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(PAUSE_S)


def _holds(found: Object | None, condition: str) -> bool:
    if condition in ("create", "delete"):
        return (found is None) == (condition == "delete")
    if found is None:
        return False
    kind, _, rest = condition.partition("=")
    if kind == "condition":
        name, _, wanted = rest.partition("=")
        said = (found.get("status") or {}).get("conditions") or ()
        statuses = [each["status"].lower() for each in said if each["type"] == name]
        return statuses == [wanted or "true"]
    path, _, wanted = rest.removeprefix("{").partition("}")
    values = find(found, parse_path(path))
    return [str(value) for value in values] == [wanted[1:]] if wanted else any(values)
