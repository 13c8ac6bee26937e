"""Whether claims could be allocated on a node at all: every combination of devices is tried, from scratch.

For requests without administrative access and claims without distinctAttribute, whose answers upstream makes depend on the
order in which devices are chosen.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from kcore.api.quantity import NANO_PER_UNIT, parse_quantity

Object = dict[str, Any]
Matches = Callable[[str, Object, Object], bool]  # expression, slice, device
Device = tuple[Object, Object]  # slice, device


def exists(scenario: Object, matches: Matches) -> bool:
    """Whether some choice of devices satisfies all claims of the scenario."""
    node, usable = scenario["node"]["metadata"], _usable(scenario)
    classes = {one["metadata"]["name"]: one["spec"] for one in scenario["classes"]}
    per_claim = [list(_choices(claim, usable, classes, node, matches)) for claim in scenario["claims"]]
    return any(_fits(scenario, choice) for choice in itertools.product(*per_claim))


def _usable(scenario: Object) -> list[Device]:
    node = scenario["node"]["metadata"]
    pools: dict[tuple[str, str], list[Object]] = {}
    for one in scenario["slices"]:
        pools.setdefault((one["spec"]["driver"], one["spec"]["pool"]["name"]), []).append(one)
    found = []
    for slices in pools.values():
        newest = max(one["spec"]["pool"]["generation"] for one in slices)
        found += [
            (one, device)
            for one in slices
            if one["spec"]["pool"]["generation"] == newest and "devices" in one["spec"]
            for device in one["spec"]["devices"]
            if _is_for(device if one["spec"].get("perDeviceNodeSelection") else one["spec"], node)
        ]
    return found


def _is_for(where: Object, node: Object) -> bool:
    if where.get("nodeName"):
        return bool(where["nodeName"] == node["name"])
    if where.get("allNodes"):
        return True
    expression = where["nodeSelector"]["nodeSelectorTerms"][0]["matchExpressions"][0]
    value, values = node["labels"].get(expression["key"]), expression.get("values", [])
    return {
        "In": value in values,
        "NotIn": value not in values,
        "DoesNotExist": value is None,
        "Gt": value is not None
        and value.isdigit()
        and int(value) > int(values[0] if values[:1] and values[0].isdigit() else 0),
    }[expression["operator"]]


def _choices(
    claim: Object, usable: list[Device], classes: Object, node: Object, matches: Matches
) -> Iterator[Any]:
    """Every way to give each request of the claim as many devices as it asks for: (name, request, devices)."""
    per_request = []
    for asked in claim["spec"]["devices"]["requests"]:
        options: list[Any] = []
        for request in asked.get("firstAvailable") or [asked["exactly"]]:
            name = f"{asked['name']}/{request['name']}" if "firstAvailable" in asked else asked["name"]
            selectors = [
                *classes[request["deviceClassName"]].get("selectors", ()),
                *request.get("selectors", ()),
            ]
            devices = [
                one for one in usable if all(matches(each["cel"]["expression"], *one) for each in selectors)
            ]
            if request["allocationMode"] == "All":
                every = [one for one in devices if _has_capacity(request, one[1], Counter())]
                groups: Any = [tuple(every)] if every else []
            else:
                groups = itertools.combinations(devices, request["count"])
            options += [(name, request, group) for group in groups if _is_tolerable(request, group)]
        per_request.append(options)
    for choice in itertools.product(*per_request):
        if sum(len(devices) for _, _, devices in choice) <= 32 and _is_consistent(claim, choice):
            yield choice


def _is_tolerable(request: Object, devices: tuple[Device, ...]) -> bool:
    return all(
        taint["effect"] == "None"
        or any(
            one["operator"] == "Exists"
            or (one["value"] == taint["value"] and one["effect"] == taint["effect"])
            for one in request.get("tolerations", ())
        )
        for _, device in devices
        for taint in device.get("taints", ())
    )


def _is_consistent(claim: Object, choice: Any) -> bool:
    for constraint in claim["spec"]["devices"].get("constraints", ()):
        domain, _, name = constraint["matchAttribute"].partition("/")
        values = set()
        for request, _, devices in choice:
            named = constraint.get("requests")
            if named and request not in named and request.partition("/")[0] not in named:
                continue
            for one, device in devices:
                attributes = device["attributes"]
                own = attributes.get(name) if one["spec"]["driver"] == domain else None
                value = attributes.get(f"{domain}/{name}", own)
                if value is None:
                    return False
                values.add(str(value))
        if len(values) > 1:
            return False
    return True


def _taken(request: Object, device: Object) -> Counter[str] | None:
    """What the request takes of the device; None where the device does not give such parts."""
    asked = request.get("capacity", {}).get("requests", {})
    capacity = device.get("capacity", {})
    if any(name not in capacity for name in asked):
        return None
    found: Counter[str] = Counter()
    for name, one in capacity.items():
        policy = one.get("requestPolicy", {})
        if name not in asked:
            found[name] = parse_quantity(policy.get("default", one["value"]))
            continue
        amount = parse_quantity(asked[name])
        bounds, values = policy.get("validRange"), policy.get("validValues")
        if bounds:
            least = parse_quantity(bounds["min"])
            amount = max(amount, least)
            if "step" in bounds:
                step = parse_quantity(bounds["step"])
                while (amount - least) % step:
                    amount = (amount // NANO_PER_UNIT + bool(amount % NANO_PER_UNIT)) * NANO_PER_UNIT
                    amount += step - (amount - least) % step
            if "max" in bounds and amount > parse_quantity(bounds["max"]):
                return None
        elif values:
            fitting = [parse_quantity(value) for value in values if parse_quantity(value) >= amount]
            if not fitting:
                return None
            amount = fitting[0]
        found[name] = amount
    return found


def _has_capacity(request: Object, device: Object, before: Counter[str]) -> bool:
    taken = _taken(request, device)
    if taken is None:
        return False
    capacity = device.get("capacity", {})
    return all(before[name] + taken[name] <= parse_quantity(one["value"]) for name, one in capacity.items())


def _fits(scenario: Object, choice: Any) -> bool:
    """No device is given away twice, or more of it than there is, and counters last."""
    taken: dict[tuple[str, str, str], Counter[str]] = {}
    used: dict[str, Counter[tuple[str, str]]] = {}
    for claim in choice:
        for _, request, devices in claim:
            for one, device in devices:
                spec = one["spec"]
                key = (spec["driver"], spec["pool"]["name"], device["name"])
                is_first = key not in taken
                if not is_first and not device.get("allowMultipleAllocations"):
                    return False
                before = taken.setdefault(key, Counter())
                if not _has_capacity(request, device, before):
                    return False
                before.update(_taken(request, device))
                if is_first:
                    counters = used.setdefault(spec["pool"]["name"], Counter())
                    for consumed in device.get("consumesCounters", ()):
                        for name, value in consumed["counters"].items():
                            counters[consumed["counterSet"], name] += parse_quantity(value["value"])
    for one in scenario["slices"]:
        counters = used.get(one["spec"]["pool"]["name"], Counter())
        for group in one["spec"].get("sharedCounters", ()):
            for name, value in group["counters"].items():
                if counters[group["name"], name] > parse_quantity(value["value"]):
                    return False
    return True
