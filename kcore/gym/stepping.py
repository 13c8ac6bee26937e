"""Kernels that step many episodes in one call: place a pod, find the next that fits somewhere, reward.

Filters and scores are the engine's own. Episodes share everything that a placement does not change; what it changes
is in :class:`Copies`, with the episode's axis first, and an episode's cluster is put together from both by
:func:`nodes_of`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kcore.kernel import kernel
from kcore.scheduler.accounts import account
from kcore.scheduler.columns import F64, I32, I64, NodeColumns
from kcore.scheduler.cycle import score_nodes, select_node
from kcore.scheduler.preemption import filter_cluster

I8 = NDArray[np.int8]
F32 = NDArray[np.float32]

REST, STEP, START = 0, 1, 2
"""What an episode is to do in a call."""

PLACED, UNSCHEDULABLE, UTILISATION, BALANCE, FRAGMENTATION, NODES_USED = range(6)
"""Terms of a reward, in the order of its coefficients."""

INFEASIBLE, OVER = -1, -2
"""Instead of the node that got the pod: the action was no feasible node; no pod was left."""


class Copies(NamedTuple):
    """What an episode changes; ``slot`` is the place of a node in the cluster's columns, ``node`` its action."""

    requested: I64  # [episode, resource row, slot]
    nonzero: I64  # [episode, 2, slot]
    pair: F64  # [episode, field, slot]
    pod_count: I64  # [episode, slot]
    ledger: I32  # [episode, ledger row, slot]
    claim: I32  # [episode, claim] pods that a node is promised to, the first claim_count of them
    claim_count: I64  # [episode]
    queue: I32  # [episode, position] rows of the pods, in the order in which their turns come
    draw: F64  # [episode, position] chooses among ties, negative for the first by name
    position: I64  # [episode] whose turn it is
    placed: I32  # [episode, position] node, -1
    mask: I8  # [episode, node] 1 where the pod whose turn it is fits
    used: F32  # [episode, resource, node] requested, as a part of the scale
    pod: F32  # [episode, resource] what the pod whose turn it is asks for, likewise


class Lens(NamedTuple):
    """What is observed of the cluster, and in which units; the last resource is the number of pods."""

    slot: I64  # [node]
    resource: I64  # [resource - 1] row of the resource
    scale: F64  # [resource] what is shown as 1
    capacity: F64  # [resource - 1] of all nodes together


class Aim(NamedTuple):
    """What is rewarded."""

    coefficient: F64  # [term]
    typical: I64  # [kind of pod, resource row] requests that occur often in the queue
    share: F64  # [kind of pod] of the queue


@kernel
def nodes_of(nodes, copies, episode):
    """Return the nodes as the episode has left them."""
    return NodeColumns(
        nodes.slots, nodes.alive, nodes.unschedulable, nodes.rank, nodes.taint_set, nodes.allocatable,
        copies.requested[episode], copies.nonzero[episode], copies.pair[episode], nodes.paired, nodes.pods_allowed,
        copies.pod_count[episode],
        nodes.label, nodes.domain, nodes.domain_count, nodes.image, nodes.image_most, nodes.first_pod,
        copies.ledger[episode], nodes.number, nodes.is_number, nodes.gpu_left, nodes.gpu_count, nodes.gpu_model,
        nodes.gpu_kind, nodes.gpu_largest,
    )  # fmt: skip


@kernel
def show_node(nodes, lens, episode, node, copies):
    """Bring the view of one node up to date."""
    slot = lens.slot[node]
    last = lens.resource.shape[0]
    for index in range(last):
        copies.used[episode, index, node] = np.float32(
            nodes.requested[lens.resource[index], slot] / lens.scale[index]
        )
    copies.used[episode, last, node] = np.float32(nodes.pod_count[slot] / lens.scale[last])


@kernel
def show_pod(requests, request, lens, episode, copies):
    """Bring the view of the pod whose turn it is up to date; a negative request stands for none."""
    last = lens.resource.shape[0]
    for index in range(last):
        amount = requests.amount[request, lens.resource[index]] if request >= 0 else 0
        copies.pod[episode, index] = min(np.float32(1), np.float32(amount / lens.scale[index]))
    copies.pod[episode, last] = np.float32((1 if request >= 0 else 0) / lens.scale[last])


@kernel
def filter_turn(nodes, pods, demands, requests, settings, episode, copies, scratch):
    """Ask all filters about the pod whose turn it is; return the number of feasible nodes.

    Called, not inlined: the filters are most of what there is to compile.
    """
    pod = copies.queue[episode, copies.position[episode]]
    claim = copies.claim[episode, : copies.claim_count[episode]]
    return filter_cluster(nodes, pods, demands, requests, settings, pod, claim, scratch)


@kernel
def advance(nodes, pods, demands, requests, settings, lens, episode, copies, scratch):
    """Go on to the next pod that fits somewhere and show it; return how many were passed over."""
    passed = 0
    stop = copies.queue.shape[1]
    feasible = 0
    while copies.position[episode] < stop:
        feasible = filter_turn(nodes, pods, demands, requests, settings, episode, copies, scratch)
        if feasible > 0:
            break
        passed += 1
        copies.position[episode] += 1
    for node in range(lens.slot.shape[0]):
        fits = feasible > 0 and scratch.verdict[lens.slot[node]] == 0
        copies.mask[episode, node] = np.int8(1) if fits else np.int8(0)
    request = np.int64(-1)
    if feasible > 0:
        request = np.int64(pods.request[copies.queue[episode, copies.position[episode]]])
    show_pod(requests, request, lens, episode, copies)
    return passed


@kernel
def imbalance(nodes, lens, slot):
    """Return the standard deviation of the shares in use over the resources that the node has."""
    count, total, squares = 0, 0.0, 0.0
    for index in range(lens.resource.shape[0]):
        row = lens.resource[index]
        if nodes.allocatable[row, slot] > 0:
            share = nodes.requested[row, slot] / nodes.allocatable[row, slot]
            count += 1
            total += share
            squares += share * share
    if count == 0:
        return 0.0
    mean = total / count
    return np.sqrt(max(0.0, squares / count - mean * mean))


@kernel
def fragments(nodes, lens, aim, slot):
    """Return what is free on the node but of no use to pods of the queue, by how often they occur."""
    free = 0.0
    for index in range(lens.resource.shape[0]):
        row = lens.resource[index]
        left = nodes.allocatable[row, slot] - nodes.requested[row, slot]
        free += max(left, 0) / lens.scale[index]
    free /= max(lens.resource.shape[0], 1)
    lost = 0.0
    for kind in range(aim.share.shape[0]):
        fits = nodes.pod_count[slot] < nodes.pods_allowed[slot]
        for row in range(aim.typical.shape[1]):
            asked = aim.typical[kind, row]
            if asked > 0 and asked > nodes.allocatable[row, slot] - nodes.requested[row, slot]:
                fits = False
        lost += 0.0 if fits else aim.share[kind]
    return lost * free


@kernel
def merit(nodes, lens, aim, slot):
    """Return the part of the reward that is a potential: what placing changes, after less before."""
    found = 0.0
    if aim.coefficient[BALANCE] != 0:
        found -= aim.coefficient[BALANCE] * imbalance(nodes, lens, slot)
    if aim.coefficient[FRAGMENTATION] != 0:
        found -= aim.coefficient[FRAGMENTATION] * fragments(nodes, lens, aim, slot)
    if aim.coefficient[NODES_USED] != 0 and nodes.pod_count[slot] > 0:
        found -= aim.coefficient[NODES_USED]
    return found


@kernel
def utilised(requests, request, lens):
    """Return the mean part of the cluster's resources that the request takes."""
    found = 0.0
    for index in range(lens.resource.shape[0]):
        if lens.capacity[index] > 0:
            found += requests.amount[request, lens.resource[index]] / lens.capacity[index]
    return found / max(lens.resource.shape[0], 1)


@kernel
def end_claim(pod, episode, copies):
    """Forget the node that was promised to a pod which has one now."""
    index = 0
    while index < copies.claim_count[episode]:
        if copies.claim[episode, index] == pod:
            copies.claim_count[episode] -= 1
            copies.claim[episode, index] = copies.claim[episode, copies.claim_count[episode]]
        else:
            index += 1


@kernel
def place(nodes, pods, demands, requests, settings, lens, aim, episode, node, copies, scratch, outcome):
    """Put the pod whose turn it is on the node and go on; return the reward.

    ``outcome`` gets the node and how many pods were passed over because they fit nowhere any more.
    """
    slot = lens.slot[node]
    position = copies.position[episode]
    pod = copies.queue[episode, position]
    before = merit(nodes, lens, aim, slot)
    account(nodes, pods, requests, pod, slot, 1)
    end_claim(pod, episode, copies)
    reward = merit(nodes, lens, aim, slot) - before + aim.coefficient[PLACED]
    if aim.coefficient[UTILISATION] != 0:
        reward += aim.coefficient[UTILISATION] * utilised(requests, pods.request[pod], lens)
    show_node(nodes, lens, episode, node, copies)
    copies.placed[episode, position] = node
    copies.position[episode] = position + 1
    passed = advance(nodes, pods, demands, requests, settings, lens, episode, copies, scratch)
    outcome[0] = node
    outcome[1] = passed
    return reward - aim.coefficient[UNSCHEDULABLE] * passed


@kernel
def begin(nodes, pods, demands, requests, settings, lens, episode, copies, scratch, outcome):
    """Find the first pod that fits somewhere."""
    for node in range(lens.slot.shape[0]):
        show_node(nodes, lens, episode, node, copies)
    outcome[0] = INFEASIBLE
    outcome[1] = advance(nodes, pods, demands, requests, settings, lens, episode, copies, scratch)


@kernel
def step_nodes(
    world_nodes,
    pods,
    demands,
    requests,
    settings,
    lens,
    aim,
    command,
    action,
    copies,
    scratch,
    reward,
    outcome,
):
    """Do each episode's ``command``; a step puts the pod whose turn it is on node ``action[episode]``.

    ``reward[episode]`` and ``outcome[episode] = (node or INFEASIBLE or OVER, pods passed over)`` are of this call.
    """
    for episode in range(command.shape[0]):
        nodes = nodes_of(world_nodes, copies, episode)
        reward[episode] = 0.0
        if command[episode] == START:
            begin(nodes, pods, demands, requests, settings, lens, episode, copies, scratch, outcome[episode])
        elif command[episode] == STEP:
            outcome[episode, 0] = INFEASIBLE
            outcome[episode, 1] = 0
            if copies.position[episode] >= copies.queue.shape[1]:
                outcome[episode, 0] = OVER
            elif copies.mask[episode, action[episode]] != 0:
                reward[episode] = place(
                    nodes, pods, demands, requests, settings, lens, aim, episode, action[episode], copies,
                    scratch, outcome[episode],
                )  # fmt: skip


@kernel
def choose(nodes, pods, demands, requests, settings, lens, weights, episode, copies, scratch):
    """Return the node that the score plugins like best under these weights; of ties as ``draw`` says."""
    position = copies.position[episode]
    pod = copies.queue[episode, position]
    filter_turn(nodes, pods, demands, requests, settings, episode, copies, scratch)
    for plugin in range(settings.weights.shape[0]):
        settings.weights[plugin] = weights[plugin]
    score_nodes(nodes, demands, requests, settings, pods.demand[pod], pods.request[pod], scratch)
    slot = select_node(
        scratch.verdict, scratch.total, nodes.rank, copies.draw[episode, position], nodes.slots[0]
    )
    for node in range(lens.slot.shape[0]):
        if lens.slot[node] == slot:
            return node
    return 0


@kernel
def step_weights(
    world_nodes,
    pods,
    demands,
    requests,
    settings,
    lens,
    aim,
    command,
    action,
    copies,
    scratch,
    reward,
    outcome,
):
    """As :func:`step_nodes`; ``action[episode]`` are the weights of the score plugins, which choose the node."""
    for episode in range(command.shape[0]):
        nodes = nodes_of(world_nodes, copies, episode)
        reward[episode] = 0.0
        if command[episode] == START:
            begin(nodes, pods, demands, requests, settings, lens, episode, copies, scratch, outcome[episode])
        elif command[episode] == STEP:
            outcome[episode, 0] = OVER
            outcome[episode, 1] = 0
            if copies.position[episode] < copies.queue.shape[1]:
                node = choose(
                    nodes, pods, demands, requests, settings, lens, action[episode], episode, copies, scratch
                )
                reward[episode] = place(
                    nodes, pods, demands, requests, settings, lens, aim, episode, node, copies, scratch,
                    outcome[episode],
                )  # fmt: skip
