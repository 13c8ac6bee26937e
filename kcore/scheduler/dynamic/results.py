"""What is written of an allocation: devices, their configuration, and the nodes where they can be used.

Source: structured/internal/incubating/allocator_incubating.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kcore.scheduler.dynamic.faults import AllocationError
from kcore.scheduler.dynamic.objects import Claim
from kcore.scheduler.dynamic.search import Chosen, Key, Wanted

Object = dict[str, Any]


def allocation_result(
    claim: Claim,
    index: int,
    chosen: Sequence[Chosen],
    wanted: Mapping[Key, Wanted],
    node: str,
    make_share_id: Callable[[], str],
) -> Object:
    """The ``status.allocation`` of the claim that was at ``index`` among those allocated together."""
    devices: Object = {"results": [_result(one, make_share_id) for one in chosen]}
    configs = _class_configs(claim, index, wanted) + _claim_configs(claim, index, wanted)
    if configs:
        devices["config"] = configs
    found: Object = {"devices": devices}
    selector = _node_selector(claim, chosen, node)
    if selector is not None:
        found["nodeSelector"] = selector
    return found


def _result(one: Chosen, make_share_id: Callable[[], str]) -> Object:
    device = one.candidate.device
    found: Object = {
        "request": one.request.full_name,
        "driver": device.id.driver,
        "pool": device.id.pool,
        "device": device.id.device,
    }
    if one.request.is_admin:
        found["adminAccess"] = True
    if one.request.raw_tolerations:
        found["tolerations"] = list(one.request.raw_tolerations)
    if device.binding_conditions:
        found["bindingConditions"] = list(device.binding_conditions)
    if device.failure_conditions:
        found["bindingFailureConditions"] = list(device.failure_conditions)
    if one.consumed is not None:
        found["shareID"] = make_share_id()
        if one.consumed:
            found["consumedCapacity"] = {name: amount.text for name, amount in one.consumed.items()}
    return found


def _picked(index: int, request: int, wanted: Mapping[Key, Wanted]) -> Wanted:
    """What was allocated for a request: itself, or the alternative that was taken."""
    first = wanted[index, request, 0]
    return wanted[index, request, first.selected] if first.request.parent else first


def _class_configs(claim: Claim, index: int, wanted: Mapping[Key, Wanted]) -> list[Object]:
    """Each class's configuration once, for all requests that use the class."""
    configs: list[Object] = []
    of_class: dict[str, list[Object]] = {}
    for request in range(len(claim.requests)):
        picked = _picked(index, request, wanted)
        name, known = picked.request.full_name, of_class.get(picked.device_class.name)
        if known is not None:
            for config in known:
                config["requests"].append(name)
            continue
        made = [
            {"source": "FromClass", "requests": [name], **config} for config in picked.device_class.configs
        ]
        of_class[picked.device_class.name] = made
        configs += made
    return configs


def _claim_configs(claim: Claim, index: int, wanted: Mapping[Key, Wanted]) -> list[Object]:
    """The claim's configuration of all requests, and of those that were allocated: once for each that it names."""
    configs: list[Object] = []
    for config in claim.configs:
        names = config.get("requests") or ()
        made = {"source": "FromClaim", **config}
        if not names:
            made.pop("requests", None)
            configs.append(made)
            continue
        for request, asked in enumerate(claim.requests):
            if asked.name in names or (
                asked.alternatives and _picked(index, request, wanted).request.full_name in names
            ):
                configs.append(dict(made))
    return configs


def _node_selector(claim: Claim, chosen: Sequence[Chosen], node: str) -> Object | None:
    """The nodes where all devices can be used; None where that is everywhere."""
    fields: list[Object] = []
    expressions: list[Object] = []
    for one in chosen:
        device, place = one.candidate.device, one.candidate.slice
        selection = device.selection if place.is_per_device else place.selection
        if selection.node_name is not None or device.binds_to_node:
            only = {"key": "metadata.name", "operator": "In", "values": [node]}
            return {"nodeSelectorTerms": [{"matchFields": [only]}]}
        terms = (selection.selector or {}).get("nodeSelectorTerms") or ()
        if len(terms) > 1:
            raise AllocationError(
                f"create NodeSelector for claim {claim.name}: unsupported ResourceSlice.NodeSelector with {len(terms)} terms"
            )
        for term in terms:
            _add_new(term.get("matchFields") or (), fields)
            _add_new(term.get("matchExpressions") or (), expressions)
    term = {
        name: value for name, value in (("matchFields", fields), ("matchExpressions", expressions)) if value
    }
    return {"nodeSelectorTerms": [term]} if term else None


def _add_new(requirements: Sequence[Mapping[str, Any]], found: list[Object]) -> None:
    known = {_meaning(one) for one in found}
    for one in requirements:
        if _meaning(one) not in known:
            known.add(_meaning(one))
            found.append(dict(one))


def _meaning(requirement: Mapping[str, Any]) -> tuple[str, str, frozenset[str]]:
    return requirement["key"], requirement["operator"], frozenset(requirement.get("values") or ())
