"""Devices, their classes and claims, kept in step with watches, and what their changes may mean for pods.

Source: EventsToRegister and the queueing hints of plugin dynamicresources of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kcore.api.errors import InputError
from kcore.online.events import Event
from kcore.scheduler.dynamic.catalog import DeviceCatalog, allocation_of

CLAIMS: Final = "resourceclaims.resource.k8s.io"
SLICES: Final = "resourceslices.resource.k8s.io"
CLASSES: Final = "deviceclasses.resource.k8s.io"
DEVICES: Final = (SLICES, CLASSES, CLAIMS)

Object = dict[str, Any]


class DeviceMirror:
    """``catalog`` as watches show it. ``tell`` hears of objects that cannot be read, by key and fault; they are left out."""

    def __init__(self, catalog: DeviceCatalog, tell: Callable[[str, InputError], None]) -> None:
        self.catalog = catalog
        self._tell = tell

    def take(self, resource: str, key: str, old: Object | None, new: Object | None) -> Event:
        """An object of one of these resources came, changed or (None) went; what pods may wait for of that."""
        try:
            if resource == CLAIMS:
                return self._claim(key, old, new)
            put = self.catalog.put_slice if resource == SLICES else self.catalog.put_class
            put(key, new)
        except InputError as error:
            self._tell(key, error)
            return Event.NONE
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self._tell(key, InputError(f"cannot be read: {error!r}"))
            return Event.NONE
        is_other = new is not None and (old is None or old.get("spec") != new.get("spec"))
        return Event.DEVICE if is_other else Event.NONE

    def _claim(self, key: str, old: Object | None, new: Object | None) -> Event:
        namespace, _, name = key.partition("/")
        if new is None or (old is not None and old["metadata"].get("uid") != new["metadata"].get("uid")):
            self.catalog.put_claim(namespace, name, None)
            old = None
        if new is None:
            return Event.NONE
        self.catalog.put_claim(namespace, name, new)
        if old is None:
            return Event.RESOURCE_CLAIM
        if allocation_of(old) is not None and allocation_of(new) is None:
            return Event.DEVICE_FREED | Event.RESOURCE_CLAIM
        return Event.RESOURCE_CLAIM if old.get("status") != new.get("status") else Event.NONE
