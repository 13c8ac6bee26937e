"""What the cluster has of devices, and who holds them: slices, classes, claims, and allocations on their way to be written.

Sources, Kubernetes 1.36: plugins/dynamicresources/dra_manager.go, allocateddevices.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects
from kcore.scheduler.dynamic.allocated import Allocated
from kcore.scheduler.dynamic.allocator import Allocator
from kcore.scheduler.dynamic.expressions import Selectors
from kcore.scheduler.dynamic.objects import Claim, DeviceClass, Slice, read_claim, read_class, read_slice

FINALIZER: Final = "resource.kubernetes.io/delete-protection"

Object = dict[str, Any]


class DeviceCatalog:
    """See the module. Objects are in their form in JSON; nobody changes them."""

    def __init__(self) -> None:
        self.selectors = Selectors()
        self.allocated = Allocated()
        self.is_published_at_once = True
        """What is allocated is so for good, as where nobody writes it down; else until ``keep`` or ``release``."""
        self.now_s: Callable[[], float] | None = None
        """Seconds since the epoch, for what has to happen in time; None where nothing happens by itself."""
        self.elapsed_s: Callable[[], float] | None = None
        """A clock that only grows, for how long a search may take; None: as long as it takes."""
        self._claims: dict[tuple[str, str], Object] = {}
        self._read: dict[tuple[str, str], Claim] = {}
        self._slices: dict[str, Slice] = {}
        self._classes: dict[str, DeviceClass] = {}
        self._pending: dict[str, Object] = {}
        self._given_up: list[Object] = []
        self._share_count = 0
        self._allocator: Allocator | None = None

    # -- what there is ----------------------------------------------------------------------------------------------
    def put_slice(self, name: str, obj: Object | None) -> None:
        """A ResourceSlice is there as it is now, or there no more; InputError where it cannot be read."""
        self._slices.pop(name, None)
        self._allocator = None
        if obj is not None:
            self._slices[name] = read_slice(obj)

    def put_class(self, name: str, obj: Object | None) -> None:
        """A DeviceClass, likewise."""
        self._classes.pop(name, None)
        self._allocator = None
        if obj is not None:
            self._classes[name] = read_class(obj)

    def put_claim(self, namespace: str, name: str, obj: Object | None) -> bool:
        """A ResourceClaim, likewise; False where a newer one is known already."""
        key = (namespace, name)
        known = self._claims.get(key)
        if known is not None and obj is not None and _is_older(obj, known):
            return False
        read = None if obj is None else read_claim(obj)
        if known is not None:
            del self._claims[key], self._read[key]
            self.allocated.remove(allocation_of(known) or {})
        if obj is None or read is None:
            return known is not None
        allocation = allocation_of(obj)
        if allocation is not None:
            self.release(uid_of(obj))
            self.allocated.add(allocation)
        self._claims[key], self._read[key] = obj, read
        return True

    def load(self, objects: ClusterObjects) -> None:
        """What files say is there; InputError, with the object, where it cannot be read."""
        for kind, found in (
            ("ResourceSlice", objects.resource_slices),
            ("DeviceClass", objects.device_classes),
            ("ResourceClaim", objects.resource_claims),
        ):
            for one in found:
                obj = msgspec.to_builtins(one)
                meta = obj["metadata"] = {"namespace": "", **obj["metadata"]}
                try:
                    if kind == "ResourceSlice":
                        self.put_slice(meta["name"], obj)
                    elif kind == "DeviceClass":
                        self.put_class(meta["name"], obj)
                    else:
                        self.put_claim(meta["namespace"], meta["name"], obj)
                except InputError as error:
                    raise error.at(document=f"{kind} {meta['name']}") from None
                except (AttributeError, KeyError, TypeError, ValueError) as error:
                    raise InputError(
                        f"cannot be read: {error!r}",
                        document=f"{kind} {meta['name']}",
                        expected=f"a {kind} of resource.k8s.io/v1",
                    ) from None

    @property
    def allocator(self) -> Allocator:
        """What allocates devices as they are now, claims as they are held now."""
        if self._allocator is None:
            self._allocator = Allocator(
                self.allocated,
                self._classes,
                list(self._slices.values()),
                self.selectors.matches,
                self.new_share_id,
            )
        return self._allocator

    def __getstate__(self) -> Object:
        """A copy makes an allocator of its own."""
        return {**self.__dict__, "_allocator": None}

    @property
    def classes(self) -> Mapping[str, DeviceClass]:
        """All classes, by name."""
        return self._classes

    def claim(self, namespace: str, name: str) -> Object | None:
        """The claim of that name."""
        return self._claims.get((namespace, name))

    def read(self, obj: Object) -> Claim:
        """What the claim, one of those that are here, asks for."""
        metadata = obj["metadata"]
        return self._read[metadata.get("namespace") or "", metadata["name"]]

    def objects(self) -> Iterator[object]:
        """What is here and never changes, to be shared by copies."""
        yield from self._claims.values()
        yield from self._read.values()
        yield from self._slices.values()
        yield from self._classes.values()
        yield self.selectors

    # -- allocations that are not written yet -----------------------------------------------------------------------
    def pending(self, uid: str) -> Object | None:
        """The allocation of a claim that is on its way."""
        return self._pending.get(uid)

    def hold(self, claim: Object, allocation: Object, pod: Object) -> None:
        """The claim has been given devices: they are nobody else's from now on."""
        metadata = claim["metadata"]
        if self.is_published_at_once:
            status = {**(claim.get("status") or {}), "allocation": allocation, "reservedFor": [pod]}
            self._replace(metadata, {**claim, "status": status})
            return
        uid = uid_of(claim)
        self._pending[uid] = allocation
        self.allocated.add(allocation)

    def release(self, uid: str) -> None:
        """What was held for the claim is free; nothing where nothing was."""
        allocation = self._pending.pop(uid, None)
        if allocation is not None:
            self.allocated.remove(allocation)

    def withdraw(self, claim: Object) -> None:
        """The claim is as it was before it was given devices."""
        if self.is_published_at_once:
            self._replace(claim["metadata"], claim)
        else:
            self.release(uid_of(claim))

    def give_up(self, claim: Object) -> None:
        """The claim is to be deallocated: at once where nobody writes it down, else by who takes them up."""
        if not self.is_published_at_once:
            self._given_up.append(claim)
            return
        status = {
            name: value
            for name, value in (claim.get("status") or {}).items()
            if name not in ("allocation", "reservedFor", "devices")
        }
        self._replace(claim["metadata"], {**claim, "status": status})

    def taken_up(self) -> list[Object]:
        """The claims that are to be deallocated, each told once."""
        found, self._given_up = self._given_up, []
        return found

    def _replace(self, metadata: Object, claim: Object) -> None:
        key = (metadata.get("namespace") or "", metadata["name"])
        known = self._claims[key]
        self.allocated.remove(allocation_of(known) or {})
        self.allocated.add(allocation_of(claim) or {})
        self._claims[key] = claim

    def new_share_id(self) -> str:
        """An identifier for a share of a device, as no other has it."""
        while True:
            self._share_count += 1
            found = f"00000000-0000-4000-8000-{self._share_count:012x}"
            if not any(found in shares for shares in self.allocated.shares.values()):
                return found


def allocation_of(claim: Mapping[str, Any]) -> Object | None:
    """The allocation that a claim has."""
    found: Object | None = (claim.get("status") or {}).get("allocation")
    return found


def uid_of(claim: Mapping[str, Any]) -> str:
    """What tells the claim from all others: its UID, or its name where it comes from a file."""
    metadata = claim["metadata"]
    return metadata.get("uid") or f"{metadata.get('namespace') or ''}/{metadata['name']}"


def _is_older(obj: Object, known: Object) -> bool:
    if obj["metadata"].get("uid") != known["metadata"].get("uid"):
        return False
    one, other = (each["metadata"].get("resourceVersion") or "" for each in (obj, known))
    return one.isdigit() and other.isdigit() and int(one) < int(other)
