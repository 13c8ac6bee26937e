"""Volumes, claims and what else storage is made of, checked before the scheduler reads them; each error with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from kcore.api.errors import InputError
from kcore.api.objects import Quantity
from kcore.api.quantity import parse_quantity
from kcore.api.selectors import from_label_selector
from kcore.sources.intake import Intake
from kcore.sources.kinds import CLUSTER_SCOPED, STORAGE_KINDS

BINDING_MODES: Final = ("Immediate", "WaitForFirstConsumer")

Amounts = Iterator[tuple[str, Quantity | None]]


def check_storage(intake: Intake) -> None:
    """No two objects of a kind have one name, amounts are amounts, and selectors select; InputError otherwise."""
    for kind, _ in STORAGE_KINDS:
        first: dict[str, str] = {}
        for obj, (file, document) in zip(intake.objects[kind], intake.origins[kind], strict=True):
            meta = obj.metadata
            name = meta.name if kind in CLUSTER_SCOPED else f"{meta.namespace}/{meta.name}"
            try:
                if name in first:
                    raise InputError(
                        f"the {kind} {name!r} is there twice, first in {first[name]}",
                        field="metadata.name",
                        expected="each name once",
                    )
                first[name] = ": ".join(part for part in (file, document) if part)
                _CHECKS.get(kind, _nothing)(obj)
            except InputError as error:
                title = f"{kind} {meta.name}"
                raise error.at(file=file, document=f"{document} ({title})" if document else title) from None


def _nothing(_: Any) -> None:
    return None


def _amount(field: str, value: Quantity | None) -> None:
    if value is not None:
        try:
            parse_quantity(value)
        except InputError as error:
            raise error.at(field=field) from None


def _storage_of(amounts: Mapping[str, Quantity] | None) -> Quantity | None:
    return (amounts or {}).get("storage")


def _volume(obj: Any) -> None:
    _amount("spec.capacity.storage", _storage_of(obj.spec.capacity))


def _claim(obj: Any) -> None:
    if obj.spec.resources is not None:
        _amount("spec.resources.requests.storage", _storage_of(obj.spec.resources.requests))
    if obj.spec.selector is not None:
        from_label_selector(obj.spec.selector, "spec.selector")


def _class(obj: Any) -> None:
    mode = obj.volume_binding_mode
    if mode is not None and mode not in BINDING_MODES:
        raise InputError(
            f'is "{mode}"', field="volumeBindingMode", expected=f"one of {', '.join(BINDING_MODES)}"
        )


def _capacity(obj: Any) -> None:
    _amount("capacity", obj.capacity)
    _amount("maximumVolumeSize", obj.maximum_volume_size)
    if obj.node_topology is not None:
        from_label_selector(obj.node_topology, "nodeTopology")


_CHECKS: Final[Mapping[str, Callable[[Any], None]]] = {
    "PersistentVolume": _volume,
    "PersistentVolumeClaim": _claim,
    "StorageClass": _class,
    "CSIStorageCapacity": _capacity,
}
