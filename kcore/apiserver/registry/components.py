"""ComponentStatus: how the parts of the control plane are, asked when it is read; nothing is stored.

Source: pkg/registry/core/componentstatus/rest.go of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from kcore.api.status import not_found
from kcore.apiserver.list_options import ListOptions
from kcore.apiserver.operation import Object
from kcore.apiserver.registry.computed import selected

SCHEDULER_PORT: Final = 10259
CONTROLLER_MANAGER_PORT: Final = 10257
PROBE_SECONDS_MAX: Final = 20.0

# what is wrong with a component; "" for nothing
Check = Callable[[], Awaitable[str]]


def components_of(store: Check) -> Components:
    """The components by upstream's names: those on this machine at their own ports, and the store."""
    return Components(
        {
            "controller-manager": partial(healthz, CONTROLLER_MANAGER_PORT),
            "scheduler": partial(healthz, SCHEDULER_PORT),
            "etcd-0": store,
        }
    )


async def healthz(port: int) -> str:
    """What is wrong with the component whose health page is at that port of this machine, in Go's words."""
    return await asyncio.to_thread(_probe, port)


def _probe(port: int) -> str:
    import ssl
    from http.client import HTTPException, HTTPSConnection

    # the certificate of a component on the same machine is its own; upstream does not look at it either
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    connection = HTTPSConnection("127.0.0.1", port, timeout=PROBE_SECONDS_MAX, context=unverified)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        if 200 <= answer.status < 400:
            return ""
        return f"HTTP probe failed with statuscode: {answer.status}"
    except ConnectionRefusedError:
        problem = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    except TimeoutError:
        problem = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    except (OSError, HTTPException) as error:
        problem = str(error)
    finally:
        connection.close()
    return f'Get "https://127.0.0.1:{port}/healthz": {problem}'


class Components:
    """The source of ComponentStatus; they have a name and no labels."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks

    async def get(self, namespace: str, name: str) -> Object:
        """One component, asked now; 404 for one that there is not."""
        if name not in self._checks:
            raise not_found("", "componentstatus", name)
        return await _status(name, self._checks[name])

    async def list(self, namespace: str, options: ListOptions) -> list[Object]:
        """The components that are selected, asked at once."""
        chosen = [name for name in sorted(self._checks) if selected({"name": name}, options)]
        return list(await asyncio.gather(*(_status(name, self._checks[name]) for name in chosen)))


async def _status(name: str, check: Check) -> Object:
    wrong = await check()
    condition: Object = {
        "type": "Healthy",
        "status": "False" if wrong else "True",
        "message": wrong or "ok",
    }
    return {
        "kind": "ComponentStatus",
        "apiVersion": "v1",
        "metadata": {"name": name},
        "conditions": [condition],
    }
