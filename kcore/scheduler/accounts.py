"""What is on a node: its accounts change when a pod is put on it or taken off, and with them its list of pods."""

from __future__ import annotations

from kcore.kernel import inner_kernel, kernel
from kcore.scheduler.plugins.gpu_share import account_devices
from kcore.scheduler.plugins.resource_pair import renew_pair


@inner_kernel
def account(nodes, pods, requests, pod, node, sign):
    """Add (sign 1) or take away (-1) what the pod uses on the node: resources, pod count, ledger rows."""
    request = pods.request[pod]
    for row in range(requests.amount.shape[1]):
        nodes.requested[row, node] += sign * requests.amount[request, row]
    for row in range(2):
        nodes.nonzero[row, node] += sign * requests.nonzero[request, row]
    nodes.pod_count[node] += sign
    renew_pair(nodes.pair, nodes.requested, nodes.nonzero, node)
    contribution = pods.contribution
    spec_class = pods.spec_class[pod]
    for index in range(contribution.ptr[spec_class], contribution.ptr[spec_class + 1]):
        row = contribution.item[index, 0]
        if contribution.item[index, 3] != 0:
            nodes.ledger[row, node] = 1 if sign > 0 else 0
        else:
            nodes.ledger[row, node] += sign * contribution.item[index, 1]


@inner_kernel
def bind(nodes, pods, requests, pod, node):
    """Put the pod on the node: accounts, the devices that were chosen for it, and the node's list of pods."""
    account(nodes, pods, requests, pod, node, 1)
    account_devices(nodes, pods, requests, pod, node, 1)
    pods.node[pod] = node
    head = nodes.first_pod[node]
    pods.previous[pod] = -1
    pods.next[pod] = head
    if head >= 0:
        pods.previous[head] = pod
    nodes.first_pod[node] = pod


@kernel
def unbind(nodes, pods, requests, pod):
    """Take the pod off its node."""
    node = pods.node[pod]
    account(nodes, pods, requests, pod, node, -1)
    account_devices(nodes, pods, requests, pod, node, -1)
    before, after = pods.previous[pod], pods.next[pod]
    if before >= 0:
        pods.next[before] = after
    else:
        nodes.first_pod[node] = after
    if after >= 0:
        pods.previous[after] = before
    pods.node[pod] = -1
    pods.previous[pod] = -1
    pods.next[pod] = -1


@kernel
def unbind_many(nodes, pods, requests, rows):
    """Take the pods off their nodes; those that have none are passed over."""
    for row in rows:
        if pods.node[row] >= 0:
            unbind(nodes, pods, requests, row)


@kernel
def bind_many(nodes, pods, requests, chosen, target):
    """Bind ``chosen[i]`` to ``target[i]`` in order; -1 targets are passed over."""
    for index in range(chosen.shape[0]):
        if target[index] >= 0:
            bind(nodes, pods, requests, chosen[index], target[index])


@kernel
def account_many(nodes, pods, requests, chosen, target, sign):
    """Add or take away what ``chosen[i]`` uses on ``target[i]``; -1 targets are passed over."""
    for index in range(chosen.shape[0]):
        if target[index] >= 0:
            account(nodes, pods, requests, chosen[index], target[index], sign)
            account_devices(nodes, pods, requests, chosen[index], target[index], sign)
