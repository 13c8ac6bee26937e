"""What becomes of a volume whose claim is gone.

Source: reclaimVolume, deleteVolumeOperation, findDeletablePlugin of
pkg/controller/volume/persistentvolume/pv_controller.go, pkg/volume/hostpath of Kubernetes 1.36.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from typing import Any, Final

from kcore.controllers.contract import Action, Delete, Object, Outcome, Tell, done
from kcore.controllers.persistent_volume_status import volume_phase

VOLUMES: Final = "persistentvolumes"
PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"
MIGRATED_TO: Final = "pv.kubernetes.io/migrated-to"
IN_TREE: Final = "kubernetes.io/"
HOST_PATH: Final = "kubernetes.io/host-path"
NFS: Final = "kubernetes.io/nfs"
DELETABLE_PATH: Final = re.compile("/tmp/.+")
MIGRATED_SOURCES: Final = (
    "awsElasticBlockStore", "azureDisk", "azureFile", "cinder", "gcePersistentDisk", "portworxVolume", "vsphereVolume",
)  # fmt: skip
Doing = Generator[Sequence[Action], list[Outcome], Any]


def reclaimed(volume: Object) -> Doing:
    """As its policy says: kept, gone, or Failed with the reason."""
    notes = volume["metadata"].get("annotations") or {}
    if notes.get(MIGRATED_TO):
        return
    policy = volume["spec"].get("persistentVolumeReclaimPolicy")
    if policy == "Retain":
        return
    if policy == "Recycle":
        yield from _failed(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!")
    elif policy == "Delete":
        yield from _deleted(volume)
    else:
        text = "Volume has unrecognized PersistentVolumeReclaimPolicy"
        yield from _failed(volume, "VolumeUnknownReclaimPolicy", text)


def _deleted(volume: Object) -> Doing:
    driver, problem = _driver(volume)
    if driver == HOST_PATH:
        path = (volume["spec"].get("hostPath") or {}).get("path", "")
        if not DELETABLE_PATH.search(path):
            problem = f"host_path deleter only supports /tmp/.+ but received provided {path}"
    if problem:
        yield from _failed(volume, "VolumeFailedDelete", problem)
    elif driver:
        metadata = volume["metadata"]
        done((yield [Delete(VOLUMES, "", metadata["name"], metadata["uid"])]))


def _driver(volume: Object) -> tuple[str, str]:
    """The driver within the controller manager that deletes it; "" where one outside does; or what is wrong."""
    spec = volume["spec"]
    made_by = (volume["metadata"].get("annotations") or {}).get(PROVISIONED_BY, "")
    if made_by:
        if not made_by.startswith(IN_TREE):
            return "", ""
        if made_by in (HOST_PATH, NFS):
            return (HOST_PATH, "") if made_by == HOST_PATH else ("", "no deletable volume plugin matched")
        return "", f"no volume plugin matched name: {made_by}"
    if "csi" in spec or any(source in spec for source in MIGRATED_SOURCES):
        return "", ""
    if "hostPath" in spec:
        return HOST_PATH, ""
    why = "no deletable volume plugin matched" if "nfs" in spec else "no volume plugin matched"
    return "", f'error getting deleter volume plugin for volume "{volume["metadata"]["name"]}": {why}'


def _failed(volume: Object, reason: str, text: str) -> Doing:
    if (volume.get("status") or {}).get("phase") == "Failed":
        return
    written = yield from volume_phase(volume, "Failed", text)
    yield [Tell(written, "Warning", reason, text)]
