"""GpuShare: devices of a node that pods share by the milli, or take whole.

Filter: the node has enough devices with enough left, of a model that the pod allows. Reserve: which of them, by the
method of the profile's policy. A profile without GpuShare never looks here; pods that it places have no devices.

Source: the behaviour of Open-Gpu-Share in the simulator of Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing
Workloads with Fragmentation Gradient Descent", USENIX ATC 2023. There a pod asks for a part of one device or for whole
ones; parts of several devices are served here too, each by a device of its own.
"""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.codes import CPU, GPU_MILLI, REJECT_GPU, REJECT_GPU_COUNT, REJECT_GPU_MODEL
from kcore.scheduler.plugins.policies.fgd import fgd_choice
from kcore.scheduler.plugins.policies.policy import BY_FRAGMENTS, LOOSEST, RANDOM, TIGHTEST

# columns of Requests.gpu
COUNT = 0
MILLI = 1
MODELS = 2

# places of Settings.gpu
SHARES = 0
METHOD = 1

DRAW_SHIFT = float(1 << 20)
"""Of a draw the bits after the first twenty choose among devices; the first choose among nodes."""

ROOM = -1
OVERCOMMITTED = -2


@kernel
def device_verdict(nodes, requests, request, node):
    """0, or why the node's devices do not do for the request."""
    count = requests.gpu[request, COUNT]
    if count == 0:
        return 0
    if nodes.gpu_count[node] < count:
        return REJECT_GPU_COUNT
    if requests.gpu_allows[requests.gpu[request, MODELS], 1 + nodes.gpu_model[node]] == 0:
        return REJECT_GPU_MODEL
    milli = requests.gpu[request, MILLI]
    for device in range(nodes.gpu_left.shape[0]):
        count -= 1 if nodes.gpu_left[device, node] >= milli else 0
    return REJECT_GPU if count > 0 else 0


@kernel
def device_filter(nodes, requests, request, start, stop, verdict):
    """Reject the nodes of the range whose devices do not do."""
    if requests.gpu[request, COUNT] != 0:
        for node in range(start, stop):
            if verdict[node] == 0:
                verdict[node] = device_verdict(nodes, requests, request, node)


@kernel
def is_better_device(method, left, other):
    """Tell whether a device with ``left`` is preferred to an earlier one with ``other`` left."""
    return (method == TIGHTEST and left < other) or (method == LOOSEST and left > other)


@kernel
def choose_devices(gpu_left, node, count, milli, method, draw):
    """The ``count`` devices with ``milli`` left that the method prefers, as a bit mask; 0 where there are too few.

    RANDOM draws parts of devices by ``draw`` in [0, 1); of idle devices every method takes the first.
    """
    mask = 0
    for _ in range(count):
        best, fitting = -1, 0
        for device in range(gpu_left.shape[0]):
            left = gpu_left[device, node]
            if left < milli or (mask >> device) & 1 != 0:
                continue
            fitting += 1
            if best < 0 or is_better_device(method, left, gpu_left[best, node]):
                best = device
        if best < 0:
            return 0
        if method == RANDOM and milli < GPU_MILLI:
            draw = draw * fitting
            wanted = min(int(draw), fitting - 1)
            draw -= wanted
            for device in range(gpu_left.shape[0]):
                if gpu_left[device, node] >= milli and (mask >> device) & 1 == 0:
                    if wanted == 0:
                        best = device
                    wanted -= 1
        mask |= 1 << best
    return mask


@kernel
def reserve(nodes, pods, requests, settings, pod, node, draw):
    """Choose the pod's devices on the node that it is about to get; ``draw`` as for the choice of the node."""
    gpu = requests.gpu[pods.request[pod]]
    method = settings.gpu[METHOD]
    if method == BY_FRAGMENTS:
        if gpu[COUNT] == 1 and gpu[MILLI] < GPU_MILLI:
            _, device = fgd_choice(
                nodes.allocatable, nodes.requested, nodes.gpu_left, nodes.gpu_model, node,
                requests.amount[pods.request[pod], CPU], 1, gpu[MILLI], settings.typical,
                settings.typical_share, settings.typical_allows, settings.typical_milli, settings.fragments,
                settings.fragments_of, settings.fragment_levels,
            )  # fmt: skip
            pods.devices[pod] = 1 << device if device >= 0 else 0
            return
        method = TIGHTEST
    second = max(draw, 0.0) * DRAW_SHIFT
    second -= float(int(second))
    pods.devices[pod] = choose_devices(nodes.gpu_left, node, gpu[COUNT], gpu[MILLI], method, second)


@kernel
def needs_devices(requests, settings, request):
    """Tell whether the profile shares GPUs and the request asks for some."""
    return settings.gpu[SHARES] != 0 and requests.gpu[request, COUNT] != 0


@kernel
def take_devices(nodes, pods, requests, settings, pod, node, draw):
    """Choose the pod's devices if there are any to choose; binding then takes them."""
    if needs_devices(requests, settings, pods.request[pod]):
        reserve(nodes, pods, requests, settings, pod, node, draw)


@kernel
def account_devices(nodes, pods, requests, pod, node, sign):
    """Take from (sign 1) or give back to (-1) the node's devices what the pod has of them."""
    # most clusters have no GPUs: their pods' devices are not even looked at
    mask = pods.devices[pod] if nodes.gpu_left.shape[0] > 0 else 0
    if mask != 0:
        request = pods.request[pod]
        count, milli = requests.gpu[request, COUNT], requests.gpu[request, MILLI]
        for device in range(nodes.gpu_left.shape[0]):
            if (mask >> device) & 1 != 0:
                nodes.gpu_left[device, node] -= sign * milli
        nodes.gpu_kind[0 if count == 1 and milli < GPU_MILLI else count, node] += sign


@kernel
def promise_devices(nodes, requests, request, node):
    """Take the devices from the node that a pod nominated to it will have: the tightest, or for lack of room the loosest.

    The caller keeps the node's devices before and puts them back.
    """
    count, milli = requests.gpu[request, COUNT], requests.gpu[request, MILLI]
    if count == 0 or nodes.gpu_count[node] < count:
        return
    mask = choose_devices(nodes.gpu_left, node, count, milli, TIGHTEST, 0.0)
    if mask == 0:
        for _ in range(count):
            best = -1
            for device in range(nodes.gpu_count[node]):
                left = nodes.gpu_left[device, node]
                if (mask >> device) & 1 == 0 and (best < 0 or left > nodes.gpu_left[best, node]):
                    best = device
            mask |= 1 << best
    for device in range(nodes.gpu_left.shape[0]):
        if (mask >> device) & 1 != 0:
            nodes.gpu_left[device, node] -= milli


@kernel
def keep_devices(gpu_left, node, kept):
    """Write down what the node's devices have left."""
    for device in range(gpu_left.shape[0]):
        kept[device] = gpu_left[device, node]


@kernel
def restore_devices(kept, node, gpu_left):
    """Put it back."""
    for device in range(gpu_left.shape[0]):
        gpu_left[device, node] = kept[device]


@kernel
def settle_devices(nodes, pods, requests, bound):
    """Give the tightest devices to every pod of ``bound`` that is on a node without any, placed before GPUs were shared.

    Returns (ROOM, -1); (pod, its node) for one that finds too few; (OVERCOMMITTED, node) for a node whose pods have
    more of a device than there is.
    """
    for index in range(bound.shape[0]):
        pod = bound[index]
        node, request = pods.node[pod], pods.request[pod]
        count = requests.gpu[request, COUNT]
        if count == 0 or pods.devices[pod] != 0:
            continue
        mask = choose_devices(nodes.gpu_left, node, count, requests.gpu[request, MILLI], TIGHTEST, 0.0)
        if mask == 0:
            return pod, node
        pods.devices[pod] = mask
        account_devices(nodes, pods, requests, pod, node, 1)
    for device in range(nodes.gpu_left.shape[0]):
        for node in range(nodes.slots[0]):
            if nodes.gpu_left[device, node] < 0:
                return OVERCOMMITTED, node
    return ROOM, -1
