"""ComponentStatus: how the parts of the control plane are, asked when it is read; nothing is stored.

Source: pkg/registry/core/componentstatus/rest.go of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from kcore.api.status import not_found
from kcore.apiserver.operation import Object, Operation, Result

DEPRECATED: Final = "v1 ComponentStatus is deprecated in v1.19+"

# what is wrong with a component; "" for nothing
Check = Callable[[], Awaitable[str]]


async def get_component(checks: Mapping[str, Check], op: Operation) -> Result:
    """One component; 404 for one that there is not."""
    if op.name not in checks:
        raise not_found("", "componentstatuses", op.name)
    return Result(200, await _status(op.name, checks[op.name]))


async def list_components(checks: Mapping[str, Check], op: Operation) -> Result:
    """All components, asked at once."""
    op.warn(DEPRECATED)
    items = await asyncio.gather(*(_status(name, check) for name, check in sorted(checks.items())))
    made = {"kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": list(items)}
    return Result(200, made)


async def _status(name: str, check: Check) -> Object:
    wrong = await check()
    condition: Object = {"type": "Healthy", "status": "False" if wrong else "True"}
    if wrong:
        condition["error"] = wrong
    else:
        condition["message"] = "ok"
    return {
        "kind": "ComponentStatus",
        "apiVersion": "v1",
        "metadata": {"name": name},
        "conditions": [condition],
    }
