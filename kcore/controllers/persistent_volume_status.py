"""The statuses of claims and volumes, written where they change.

Source: updateClaimStatus, updateVolumePhase of pkg/controller/volume/persistentvolume/pv_controller.go.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Final

from kcore.api.quantity import parse_quantity
from kcore.controllers.contract import Action, Failed, Object, Outcome, Update, must

PRE_RESIZE: Final = "volume.alpha.kubernetes.io/pre-resize-capacity"
Writing = Generator[Sequence[Action], list[Outcome], Object]


def volume_phase(volume: Object, phase: str, message: str = "") -> Writing:
    """The volume, in that phase."""
    status = volume.get("status") or {}
    if status.get("phase") == phase:
        return volume
    made = {**status, "phase": phase, "message": message}
    if not message:
        del made["message"]
    return (yield from must(Update("persistentvolumes", {**volume, "status": made}, "status")))


def claim_status(claim: Object, phase: str, volume: Object | None) -> Writing:
    """The claim, in that phase, with the modes and the capacity of its volume."""
    before = claim.get("status") or {}
    status = {**before, "phase": phase}
    if volume is None:
        for name in ("accessModes", "capacity", "currentVolumeAttributesClassName"):
            status.pop(name, None)
    else:
        spec = volume["spec"]
        status["accessModes"] = spec.get("accessModes") or []
        if before.get("phase") != phase:
            status["capacity"] = _capacity(volume, before)
            name = spec.get("volumeAttributesClassName")
            if before.get("phase") == "Pending" and name is not None:
                status["currentVolumeAttributesClassName"] = name
    if status == before:
        return claim
    return (yield from must(Update("persistentvolumeclaims", {**claim, "status": status}, "status")))


def _capacity(volume: Object, before: Object) -> Object:
    given = volume["spec"].get("capacity") or {}
    if "storage" not in given:
        raise Failed(f'PersistentVolume "{volume["metadata"]["name"]}" is without a storage capacity')
    there: Object = before.get("capacity") or {}
    resized = (volume["metadata"].get("annotations") or {}).get(PRE_RESIZE)
    if resized is not None:
        return {**there, "storage": resized}
    if "storage" in there and parse_quantity(there["storage"]) == parse_quantity(given["storage"]):
        return there
    made: Object = given
    return made
