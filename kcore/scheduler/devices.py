"""GPU devices: what a pod asks for, which it has, and what a node offers, read off annotations, labels and resources.

The convention is Alibaba's (open-gpu-share, and the simulator of "Beware of Fragmentation", USENIX ATC 2023): a pod is
annotated with ``alibabacloud.com/gpu-count`` devices, ``gpu-milli`` thousandths of each, ``gpu-card-model`` A|B and, once
it is bound, ``gpu-index`` 0-3; a node offers the resource ``alibabacloud.com/gpu-count`` (or ``gpu-milli``) and has the label
``alibabacloud.com/gpu-card-model``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kcore.api.errors import InputError
from kcore.api.objects import Annotations, Node, Pod, PodColumns
from kcore.api.quantity import parse_quantity, unit_value
from kcore.scheduler.codes import GPU_DEVICES_MAX, GPU_MILLI

if TYPE_CHECKING:
    import pyarrow as pa

DOMAIN = "alibabacloud.com/"
COUNT_RESOURCE = DOMAIN + "gpu-count"
MILLI_RESOURCE = DOMAIN + "gpu-milli"
MODEL_LABEL = DOMAIN + "gpu-card-model"


class GpuRequest(NamedTuple):
    """So many ``devices`` (0: none) with ``milli`` of each, of one of the ``models`` (none: of any), sorted."""

    devices: int = 0
    milli: int = 0
    models: tuple[str, ...] = ()


NO_GPU = GpuRequest()


def gpu_request(pod: Pod) -> GpuRequest:
    """The devices that the pod's annotations ask for: one where no count is given, whole ones where no milli is.

    Raises:
        InputError: an annotation that is no such number, with its field.
    """
    given = pod.metadata.annotations
    if given is None:
        return NO_GPU
    return read_request(given)


def read_request(given: Annotations) -> GpuRequest:
    """The same of the annotations alone."""
    if given.gpu_count is None and given.gpu_milli is None:
        return NO_GPU
    count = _number(given.gpu_count, "gpu-count", 1, GPU_DEVICES_MAX)
    milli = _number(given.gpu_milli, "gpu-milli", GPU_MILLI, GPU_MILLI)
    if not count or not milli:
        return NO_GPU
    return GpuRequest(count, milli, card_models(given.gpu_card_model))


def card_models(text: str | None) -> tuple[str, ...]:
    """The models of ``A|B``, sorted; none for an empty text, which allows any."""
    return tuple(sorted({name for name in (text or "").split("|") if name}))


def gpu_columns(source: PodColumns, model_set: Callable[[tuple[str, ...]], int]) -> np.ndarray:
    """``int64[pod, 3]``: what pods in columns ask of GPU devices, as ``Requests.gpu``; ``model_set`` numbers models."""
    if source.gpu_count is None or source.gpu_milli is None:
        asked = [gpu_request(pod) for pod in source.exemplars]
        own = [(one.devices, one.milli, model_set(one.models)) for one in asked]
        shared: np.ndarray = np.array(own, dtype=np.int64).reshape(len(own), 3)[source.exemplar]
        return shared
    notes = [pod.metadata.annotations for pod in source.exemplars]
    sets = [model_set(card_models(one.gpu_card_model if one else None)) for one in notes]
    some = (source.gpu_count > 0) & (source.gpu_milli > 0)
    models = np.array(sets, dtype=np.int64)[source.exemplar]
    found: np.ndarray = np.where(some, (source.gpu_count, source.gpu_milli, models), 0).T
    return found


def device_mask(pod: Pod, devices: int) -> int:
    """Which of its node's ``devices`` a pod has by its annotation ``gpu-index`` (``0-3``), a bit each; 0 by none.

    Raises:
        InputError: no such list, or not as many devices as the pod asks for.
    """
    given = pod.metadata.annotations
    text = given.gpu_index if given is not None else None
    request = gpu_request(pod)
    if not text or not request.devices:
        return 0
    mask, field = 0, f"metadata.annotations.{DOMAIN}gpu-index"
    expected = f"{request.devices} different numbers below {devices}, joined by -, such as 0-3"
    for part in text.split("-"):
        if not part.isdecimal() or int(part) >= devices:
            raise InputError(f"{text!r} is no list of devices", field=field, expected=expected)
        mask |= 1 << int(part)
    if mask.bit_count() != request.devices:
        raise InputError(
            f"{text!r} names {mask.bit_count()} devices, the pod asks for {request.devices}",
            field=field,
            expected=expected,
        )
    return mask


def node_devices(node: Node) -> int:
    """How many GPU devices the node offers.

    Raises:
        InputError: more than GPU_DEVICES_MAX.
    """
    given = node.status.allocatable
    if given is None:
        given = node.status.capacity
    for name, size in ((COUNT_RESOURCE, 1), (MILLI_RESOURCE, GPU_MILLI)):
        if given and name in given:
            count = unit_value(parse_quantity(given[name])) // size
            if count > GPU_DEVICES_MAX:
                raise InputError(
                    f"{count} GPU devices are more than a node can have",
                    field=f"status.allocatable.{name}",
                    expected=f"at most {GPU_DEVICES_MAX * size}",
                )
            return count
    return 0


def crowded(node: str, pod: str) -> InputError:
    """What is wrong with a node whose pods have more of its GPUs than there is, or leave too little for ``pod``."""
    if pod:
        problem = f"the GPUs of node {node!r} have not enough left for {pod}, which is bound to it"
    else:
        problem = f"pods have more of a GPU of node {node!r} than there is"
    return InputError(problem, expected="pods that fit on devices, or a profile without GpuShare")


def _number(text: str | None, name: str, default: int, most: int) -> int:
    if text is None:
        return default
    field, expected = f"metadata.annotations.{DOMAIN}{name}", f"a whole number from 0 to {most}"
    try:
        number = unit_value(parse_quantity(text))
    except InputError:
        raise InputError(f"{text!r} is not a number", field=field, expected=expected) from None
    if not 0 <= number <= most:
        raise InputError(f"is {number}", field=field, expected=expected)
    return number


def device_lists(masks: np.ndarray | None, absent: np.ndarray) -> pa.Array:
    """``list<int32>[pod]``: the devices of each placed pod, ascending; null where it has none."""
    import pyarrow as pa

    type_ = pa.list_(pa.int32())
    if masks is None:
        return pa.nulls(len(absent), type_)
    mask = np.where(absent, 0, masks)
    has = (mask[:, np.newaxis] >> np.arange(GPU_DEVICES_MAX)) & 1
    offsets = np.concatenate([[0], np.cumsum(has.sum(axis=1))]).astype(np.int32)
    values = np.nonzero(has)[1].astype(np.int32)
    # an offset that is null makes its list null
    return pa.ListArray.from_arrays(
        pa.array(offsets, mask=np.append(mask == 0, False)), pa.array(values), type=type_
    )
