"""The policy fgd, fragmentation gradient descent: where the pod makes fewest GPUs useless to the pods to come.

What a node's idle GPU milli are worth is judged by *typical pods*, the most frequent requests of the workload with their
shares. For one of them, milli on devices too small for it are fragments; all idle milli are where the node cannot host
it, or where it wants no GPU. The score says by how much the expected fragments fall: 50 where they stay.

Source: Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent",
USENIX ATC 2023, with the sums in the order of the authors' simulator, for the score is cut to an integer.
"""

from __future__ import annotations

import math

from kcore.kernel import kernel
from kcore.scheduler.codes import CPU, FIRST_POLICY, GPU_MILLI, MAX_NODE_SCORE
from kcore.scheduler.plugins.policies.policy import BY_FRAGMENTS, Policy

POLICY = Policy("fgd", FIRST_POLICY + 8, BY_FRAGMENTS, "Weng et al., USENIX ATC 2023")

# columns of Settings.typical
TYPICAL_CPU = 0
TYPICAL_COUNT = 1
TYPICAL_MODELS = 2
TYPICAL_LEVEL = 3
"""Row of ``typical_milli``, -1 for a pod without GPU."""
TYPICAL_FIELDS = 4

DEVICES = 2
"""First place of the devices in Settings.fragments_of[node], after CPU and model."""

# rows of Settings.fragment_levels[node]: by distinct milli of typical pods
LARGE = 0
"""Devices with at least so much left."""
SMALL = 1
"""Milli on devices with less."""
LARGE_AFTER = 2
SMALL_AFTER = 3
LEVEL_ROWS = 4


@kernel
def expected_fragments(levels, large, small, idle, cpu_left, model, typical, share, allows):
    """Expected GPU milli, of ``idle``, that a typical pod cannot use.

    By reason (too little of both, of GPU, of CPU; no GPU wanted, by whether its CPU fits; another model), each summed
    on its own and then together: floating point is not associative and the score must be the authors'.
    """
    lacks_both, lacks_gpu, lacks_cpu = 0.0, 0.0, 0.0
    wants_none, fits_nowhere, no_access = 0.0, 0.0, 0.0
    everything = float(idle)
    for index in range(typical.shape[0]):
        level = typical[index, TYPICAL_LEVEL]
        amount = share[index] * everything
        has_cpu = cpu_left >= typical[index, TYPICAL_CPU]
        if level < 0:
            if has_cpu:
                wants_none += amount
            else:
                fits_nowhere += amount
        elif allows[typical[index, TYPICAL_MODELS], 1 + model] == 0:
            no_access += amount
        elif levels[large, level] >= typical[index, TYPICAL_COUNT]:
            if has_cpu:
                lacks_gpu += share[index] * float(levels[small, level])
            else:
                lacks_cpu += amount
        elif has_cpu:
            lacks_gpu += amount
        else:
            lacks_both += amount
    return lacks_both + lacks_gpu + lacks_cpu + wants_none + fits_nowhere + no_access


@kernel
def is_known(gpu_left, model, node, cpu_left, kept):
    """Tell whether the node is as it was when its fragments were computed the last time."""
    same = kept[0] == cpu_left and kept[1] == model
    for device in range(gpu_left.shape[0]):
        same = same and kept[DEVICES + device] == gpu_left[device, node]
    return same


@kernel
def look_at_node(gpu_left, model, node, cpu_left, typical, share, allows, milli, fragments, kept, levels):
    """Compute the node's fragments, and its devices by level, unless they are known."""
    if is_known(gpu_left, model, node, cpu_left, kept):
        return
    kept[0], kept[1] = cpu_left, model
    idle = 0
    for device in range(gpu_left.shape[0]):
        kept[DEVICES + device] = gpu_left[device, node]
        idle += gpu_left[device, node]
    for level in range(milli.shape[0]):
        large, small = 0, 0
        for device in range(gpu_left.shape[0]):
            left = kept[DEVICES + device]
            large += 1 if left >= milli[level] else 0
            small += left if left < milli[level] else 0
        levels[LARGE, level] = large
        levels[SMALL, level] = small
    fragments[node] = expected_fragments(levels, LARGE, SMALL, idle, cpu_left, model, typical, share, allows)


@kernel
def move_devices(before, after, devices, milli, levels, source):
    """Write to the rows ``_AFTER`` what those from ``source`` on say when some devices go from ``before`` to ``after``."""
    for level in range(milli.shape[0]):
        large, small = levels[source, level], levels[source + 1, level]
        if before >= milli[level]:
            large -= devices
        else:
            small -= devices * before
        if after >= milli[level]:
            large += devices
        else:
            small += devices * after
        levels[LARGE_AFTER, level] = large
        levels[SMALL_AFTER, level] = small


@kernel
def move_tightest(kept, count, wanted, milli, levels):
    """The same when ``count`` devices lose ``wanted``, those with least left first; False where there are too few."""
    source, last, place = LARGE, -1, -1
    for _ in range(count):
        best = -1
        for device in range(kept.shape[0] - DEVICES):
            left = kept[DEVICES + device]
            later = left > last or (left == last and device > place)
            if left >= wanted and later and (best < 0 or left < kept[DEVICES + best]):
                best = device
        if best < 0:
            return False
        last, place = kept[DEVICES + best], best
        move_devices(last, last - wanted, 1, milli, levels, source)
        source = LARGE_AFTER
    return True


@kernel
def fall_score(before, after):
    """How much of 100: 50 where the fragments stay, more where they fall."""
    return int(1.0 / (1.0 + math.exp(-((before - after) / 1000.0))) * MAX_NODE_SCORE)


@kernel
def fgd_choice(
    allocatable, requested, gpu_left, gpu_model, node, cpu, count, milli, typical, share, allows, typical_milli,
    fragments, fragments_of, fragment_levels,
):  # fmt: skip
    """The score of a feasible node, and for part of a device the one that gives it (-1 otherwise)."""
    cpu_left = allocatable[CPU, node] - requested[CPU, node]
    model, kept, levels = gpu_model[node], fragments_of[node], fragment_levels[node]
    look_at_node(
        gpu_left, model, node, cpu_left, typical, share, allows, typical_milli, fragments, kept, levels
    )
    before = fragments[node]
    idle = 0
    for device in range(gpu_left.shape[0]):
        idle += kept[DEVICES + device]
    cpu_left -= cpu
    idle -= count * milli
    score, chosen = 0, -1
    if count != 1 or milli >= GPU_MILLI:
        if milli >= GPU_MILLI or count == 0:
            move_devices(GPU_MILLI, 0, count, typical_milli, levels, LARGE)
        elif not move_tightest(kept, count, milli, typical_milli, levels):
            return 0, -1
        after = expected_fragments(
            levels, LARGE_AFTER, SMALL_AFTER, idle, cpu_left, model, typical, share, allows
        )
        return fall_score(before, after), -1
    for device in range(gpu_left.shape[0]):
        left = kept[DEVICES + device]
        # devices with equally much left give the same score, and the first is taken
        seen = left < milli
        for earlier in range(device):
            seen = seen or kept[DEVICES + earlier] == left
        if seen:
            continue
        move_devices(left, left - milli, 1, typical_milli, levels, LARGE)
        after = expected_fragments(
            levels, LARGE_AFTER, SMALL_AFTER, idle, cpu_left, model, typical, share, allows
        )
        found = fall_score(before, after)
        if chosen < 0 or found > score:
            score, chosen = found, device
    return score, chosen
