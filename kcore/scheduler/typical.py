"""Typical pods: the most frequent requests of a workload, by which the policy ``fgd`` judges what a node is good for.

Source: Weng et al., "Beware of Fragmentation", USENIX ATC 2023, section 4, and GetTypicalPods of its simulator, with its
experiments' settings: pods without GPU count, the most frequent are taken one by one until they are 95 % of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kcore.api.errors import InputError
from kcore.scheduler.codes import CPU, GPU_DEVICES_MAX, GPU_MILLI
from kcore.scheduler.devices import GpuRequest, card_models
from kcore.scheduler.plugins.policies import BY_NAME
from kcore.scheduler.plugins.policies.fgd import POLICY, TYPICAL_FIELDS
from kcore.scheduler.pods import RequestTable
from kcore.scheduler.profile import Profile

FGD = POLICY.name
POPULARITY = 95
"""Per cent of the workload that typical pods cover at least."""


class PodKind(NamedTuple):
    """What a typical pod asks for."""

    cpu: int
    gpu: GpuRequest

    def key(self) -> tuple[int, int, int, str]:
        """By which kinds that are equally frequent are ordered."""
        return (self.cpu, self.gpu.milli, self.gpu.devices, "|".join(self.gpu.models))


@dataclass(frozen=True)
class Typical:
    """Typical pods, the most frequent first, with their shares, which add up to 1."""

    kinds: tuple[PodKind, ...]
    share: np.ndarray  # float64[typical pod]

    @property
    def milli(self) -> list[int]:
        """The distinct GPU milli that they want of a device, ascending."""
        return sorted({kind.gpu.milli for kind in self.kinds if kind.gpu.devices})

    def columns(self, models: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """``Settings.typical``, ``typical_share``, ``typical_allows`` and ``typical_milli`` for nodes of these models."""
        milli = self.milli
        sets = sorted({kind.gpu.models for kind in self.kinds})
        allows = np.zeros((len(sets), 1 + len(models)), dtype=np.uint8)
        for row, wanted in enumerate(sets):
            allows[row, 0] = not wanted
            for column, model in enumerate(models, start=1):
                allows[row, column] = not wanted or model in wanted
        rows = [
            (
                kind.cpu,
                kind.gpu.devices,
                sets.index(kind.gpu.models),
                milli.index(kind.gpu.milli) if kind.gpu.devices else -1,
            )
            for kind in self.kinds
        ]
        table = np.array(rows, dtype=np.int64).reshape(len(rows), TYPICAL_FIELDS)
        return table, self.share, allows, np.array(milli, dtype=np.int64)


NO_TYPICAL = Typical((), np.zeros(0))


def typical_pods(counts: Mapping[PodKind, int], popularity: int = POPULARITY) -> Typical:
    """The most frequent kinds, until they are ``popularity`` per cent of all pods."""
    total = float(sum(counts.values()))
    order = sorted(counts, key=lambda kind: (counts[kind], kind.key()), reverse=True)
    covered, taken = 0.0, 0
    # the divisions stand as in the authors' simulator: the scores depend on the last bit
    while taken < len(order) and covered < float(popularity) * total / 100.0:
        covered += counts[order[taken]]
        taken += 1
    share = [float(counts[kind]) / total for kind in order[:taken]]
    if taken < len(order):
        share = [one / (covered / total) for one in share]
    return Typical(tuple(order[:taken]), np.array(share, dtype=np.float64))


def count_kinds(requests: RequestTable, rows: np.ndarray) -> dict[PodKind, int]:
    """How many of the pods with these request rows are of each kind."""
    table = requests.columns(CPU + 1)
    counts: dict[PodKind, int] = {}
    for row, count in enumerate(np.bincount(rows, minlength=0).tolist()):
        if count:
            devices, milli, models = table.gpu[row].tolist()
            kind = PodKind(int(table.amount[row, CPU]), GpuRequest(devices, milli, requests.models(models)))
            counts[kind] = counts.get(kind, 0) + count
    return counts


def read_typical(profile: Profile) -> Typical | None:
    """What a profile's ``pluginConfig`` says for fgd: ``typicalPods`` (cpuMilli, gpuCount, gpuMilli, gpuModels, count).

    None where it says nothing, so that they are to be found in the pods to place.

    Raises:
        InputError: an argument that fgd, or GpuShare or another policy, does not have, or a value that is wrong.
    """
    for name in ("GpuShare", *BY_NAME):
        if name != FGD and profile.plugin_args.get(name):
            _refuse_others(dict(profile.plugin_args[name]), f"pluginConfig[name={name}].args")
    field = f"pluginConfig[name={FGD}].args"
    args = profile.plugin_args.get(FGD) or {}
    given = {key: value for key, value in args.items() if key not in ("apiVersion", "kind")}
    pods = given.pop("typicalPods", None)
    popularity = _whole(given, "podPopularityThreshold", 1, 100, POPULARITY, field)
    _refuse_others(given, field)
    if pods is None:
        if popularity != POPULARITY:
            raise InputError(
                "has no pods to choose from",
                field=f"{field}.podPopularityThreshold",
                expected="typicalPods too",
            )
        return None
    if not isinstance(pods, list) or not pods:
        raise InputError(
            "is no list of pods", field=f"{field}.typicalPods", expected="a list that is not empty"
        )
    counts: dict[PodKind, int] = {}
    for index, pod in enumerate(pods):
        place = f"{field}.typicalPods[{index}]"
        if not isinstance(pod, Mapping):
            raise InputError(
                "is no pod", field=place, expected="cpuMilli, gpuCount, gpuMilli, gpuModels, count"
            )
        kind, count = _read_kind(dict(pod), place)
        counts[kind] = counts.get(kind, 0) + count
    return typical_pods(counts, popularity)


def _read_kind(pod: dict[str, Any], place: str) -> tuple[PodKind, int]:
    cpu = _whole(pod, "cpuMilli", 0, 1 << 40, 0, place)
    devices = _whole(pod, "gpuCount", 0, GPU_DEVICES_MAX, 0, place)
    milli = _whole(pod, "gpuMilli", 1, GPU_MILLI, GPU_MILLI, place)
    count = _whole(pod, "count", 1, 1 << 40, 1, place)
    models = pod.pop("gpuModels", "")
    if not isinstance(models, str):
        raise InputError(f"{models!r} is no text", field=f"{place}.gpuModels", expected="models joined by |")
    _refuse_others(pod, place)
    gpu = GpuRequest(devices, milli, card_models(models)) if devices else GpuRequest()
    return PodKind(cpu, gpu), count


def _whole(given: dict[str, Any], key: str, least: int, most: int, default: int, place: str) -> int:
    value = given.pop(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(
            f"is {value!r}", field=f"{place}.{key}", expected=f"a whole number from {least} to {most}"
        )
    return value


def _refuse_others(given: dict[str, Any], place: str) -> None:
    for key in given:
        raise InputError("is not known", field=f"{place}.{key}", expected="another key")
