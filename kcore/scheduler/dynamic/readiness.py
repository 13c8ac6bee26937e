"""Whether the devices of an allocated claim are ready for the pod: drivers may have to attach them first.

Source: plugins/dynamicresources/dynamicresources.go (isClaimReadyForBinding, isClaimTimeout) of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

BINDING_TIMEOUT_S: Final = 600.0

Object = Mapping[str, Any]


class BindingFailed(Exception):
    """A driver cannot prepare a device."""


def has_conditions(claim: Object) -> bool:
    """Whether a device of the claim is to be waited for."""
    return any(one.get("bindingConditions") for one in _results(claim))


def is_ready(claim: Object) -> bool:
    """Whether nothing is to be waited for any more; BindingFailed where waiting is no use."""
    if not (claim.get("status") or {}).get("allocation"):
        return False
    for result in _results(claim):
        if not result.get("bindingConditions"):
            continue
        conditions = _conditions(claim, result)
        if conditions is None:
            return False
        for name in result.get("bindingFailureConditions") or ():
            failed = conditions.get(name)
            if failed is not None and failed.get("status") == "True":
                message = str(failed.get("message", "")).replace("\\", "\\\\").replace('"', '\\"')
                raise BindingFailed(
                    f"device binding failed: claim={claim['metadata']['name']}, reason={failed.get('reason', '')}, "
                    f'message="{message}"'
                )
        if any(conditions.get(name, {}).get("status") != "True" for name in result["bindingConditions"]):
            return False
    return True


def is_timed_out(claim: Object, now_s: float, timeout_s: float) -> bool:
    """Whether it has been waited for too long."""
    allocated = ((claim.get("status") or {}).get("allocation") or {}).get("allocationTimestamp")
    if not allocated or not has_conditions(claim):
        return False
    return datetime.fromisoformat(allocated.replace("Z", "+00:00")).timestamp() + timeout_s < now_s


def _results(claim: Object) -> list[Object]:
    allocation = (claim.get("status") or {}).get("allocation") or {}
    return (allocation.get("devices") or {}).get("results") or []


def _conditions(claim: Object, result: Object) -> dict[str, Object] | None:
    """What the driver says of a device, by type of condition; None where it says nothing yet."""
    for device in (claim.get("status") or {}).get("devices") or ():
        if all(device.get(name) == result.get(name) for name in ("driver", "pool", "device")):
            return {one["type"]: one for one in reversed(device.get("conditions") or ())}
    return None
