"""What many pods given as columns ask for, as rows of the request table: one a distinct request."""

from __future__ import annotations

import numpy as np

from kcore.api.errors import InputError
from kcore.api.objects import PodColumns
from kcore.scheduler.codes import CPU, MEMORY, QUANTITY_MAX
from kcore.scheduler.devices import gpu_columns
from kcore.scheduler.nodes import NodeTable
from kcore.scheduler.pods import RequestTable
from kcore.scheduler.requests import DEFAULT_CPU, DEFAULT_MEMORY, NANO


def column_requests(source: PodColumns, nodes: NodeTable, requests: RequestTable) -> np.ndarray:
    """``int32[pod]``: the row of each pod's request; the columns say what each asks for.

    Raises:
        InputError: an amount is more than a pod can ask for.
    """
    assert source.requests is not None
    for name, values in source.requests.items():
        if len(values) and int(values.max()) > QUANTITY_MAX:
            raise InputError(
                f"{int(values.max())} is more than a pod can ask for",
                document=f"row {int(values.argmax()) + 1}",
                field=f"requests of {name}",
                expected=f"at most {QUANTITY_MAX}",
            )
    code = np.zeros(len(source.exemplar), dtype=np.int64)
    gpus = gpu_columns(source, requests.model_set)
    for values in (*source.requests.values(), *(gpus.T if gpus.any() else ())):
        _, inverse = np.unique(values, return_inverse=True)
        code, inverse = code * (int(inverse.max(initial=0)) + 1) + inverse, code
        _, code = np.unique(code, return_inverse=True)
    distinct, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    names = list(source.requests)
    resources = [nodes.resource_row(name) for name in names]
    amount = np.zeros((len(distinct), len(nodes.resources)), dtype=np.int64)
    for name, row in zip(names, resources, strict=True):
        amount[:, row] = source.requests[name][first]
    nonzero = amount[:, (CPU, MEMORY)].copy()
    defaults = (DEFAULT_CPU * 1000 // NANO, DEFAULT_MEMORY // NANO)
    for column, default in enumerate(defaults):
        nonzero[nonzero[:, column] == 0, column] = default
    rows = requests.extend(amount, nonzero, gpus[first])
    result: np.ndarray = (inverse + rows.start).astype(np.int32)
    return result
