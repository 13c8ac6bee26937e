"""Random clusters with devices and claims for them: small, and full of what makes allocators differ."""

from __future__ import annotations

import random
from typing import Any

Object = dict[str, Any]

DRIVERS = ("a.example.com", "b.example.com")
CLASSES = ("plain", "fast", "picky", "of-a")
EXPRESSIONS = (
    'device.driver == "a.example.com"',
    'device.attributes["a.example.com"].kind == "x"',
    'has(device.attributes["shared.example.com"].numa) && device.attributes["shared.example.com"].numa < 2',
    'device.attributes["b.example.com"].?fast.orValue(false)',
    'device.capacity[device.driver].?memory.orValue(quantity("0")).compareTo(quantity("8Gi")) >= 0',
    '!has(device.attributes[device.driver].version) || device.attributes[device.driver].version.isLessThan(semver("2.0.0"))',
    "device.allowMultipleAllocations",
    'device.attributes["a.example.com"].fast',
)


def scenario(seed: int) -> Object:
    """A node, slices, classes, and claims to allocate together; nothing is allocated yet."""
    chance = random.Random(seed)
    return {
        "node": {"metadata": {"name": "node-1", "labels": {"zone": "a", "rank": "3"}}},
        "slices": slices(chance),
        "classes": [_class(chance, name) for name in CLASSES],
        "claims": [claim(chance, f"claim-{index}") for index in range(chance.choice((1, 1, 1, 2, 2, 3)))],
        "allocated": [],
    }


def _class(chance: random.Random, name: str) -> Object:
    spec: Object = {}
    if name == "fast":
        spec["selectors"] = [{"cel": {"expression": EXPRESSIONS[3]}}]
    elif name == "of-a":
        spec["selectors"] = [{"cel": {"expression": EXPRESSIONS[0]}}]
    elif name == "picky":
        spec["selectors"] = [{"cel": {"expression": EXPRESSIONS[chance.choice((2, 5))]}}]
    if chance.random() < 0.5:
        spec["config"] = [{"opaque": {"driver": DRIVERS[0], "parameters": {"class": name}}}]
    return {"metadata": {"name": name}, "spec": spec}


def slices(chance: random.Random) -> list[Object]:
    """The slices of a few pools, not all of them whole, valid or of the newest generation."""
    found = []
    for number in range(chance.randint(1, 4)):
        driver = chance.choice(DRIVERS)
        pool = f"pool-{number if chance.random() < 0.9 else 0}"
        found += _pool(chance, driver, pool, number)
    chance.shuffle(found)
    return found


def _pool(chance: random.Random, driver: str, pool: str, number: int) -> list[Object]:
    count = chance.randint(1, 3)
    counters = chance.random() < 0.3
    generation = chance.randint(1, 2)
    told = count + counters + (chance.random() < 0.05)
    found = []
    for index in range(count):
        spec: Object = {
            "driver": driver,
            "pool": {"name": pool, "generation": generation, "resourceSliceCount": told},
        }
        kind = chance.choice(("name", "name", "name", "all", "selector", "device", "elsewhere"))
        spec |= _nodes(chance, kind)
        devices = chance.randint(1, 5)
        start = 0 if chance.random() < 0.05 else index * 8
        spec["devices"] = [
            device(chance, f"dev-{start + one}", kind == "device", counters) for one in range(devices)
        ]
        found.append(
            {"metadata": {"name": f"slice-{number}-{chance.randint(0, 99):02}-{index}"}, "spec": spec}
        )
        if chance.random() < 0.05:
            spec["pool"]["generation"] += 1
    if counters:
        sets = [
            {
                "name": name,
                "counters": {"memory": {"value": f"{chance.choice((8, 16, 40))}Gi"}, "units": {"value": "4"}},
            }
            for name in ("set-a", "set-b")
        ]
        found.append({
            "metadata": {"name": f"slice-{number}-counters"},
            "spec": {
                "driver": driver, "sharedCounters": sets, "allNodes": True,
                "pool": {"name": pool, "generation": generation, "resourceSliceCount": told},
            },
        })  # fmt: skip
    return found


def _nodes(chance: random.Random, kind: str) -> Object:
    if kind == "name":
        return {"nodeName": "node-1"}
    if kind == "all":
        return {"allNodes": True}
    if kind == "elsewhere":
        return {"nodeName": "node-2"}
    if kind == "device":
        return {"perDeviceNodeSelection": True}
    return {"nodeSelector": {"nodeSelectorTerms": [_term(chance)]}}


def _term(chance: random.Random) -> Object:
    expression = chance.choice((
        {"key": "zone", "operator": "In", "values": ["a", "b"]},
        {"key": "zone", "operator": "In", "values": ["b", "a"]},
        {"key": "rank", "operator": "Gt", "values": ["2"]},
        {"key": "gone", "operator": "DoesNotExist"},
        {"key": "zone", "operator": "NotIn", "values": ["a"]},
    ))  # fmt: skip
    return {"matchExpressions": [expression]}


def device(chance: random.Random, name: str, own_nodes: bool, counters: bool) -> Object:
    """A device with some of all that a device may have."""
    found: Object = {"name": name}
    if own_nodes:
        found |= _nodes(chance, chance.choice(("name", "all", "selector", "elsewhere")))
    attributes: Object = {"shared.example.com/numa": {"int": chance.randint(0, 2)}}
    if chance.random() < 0.7:
        attributes["kind"] = {"string": chance.choice("xy")}
    if chance.random() < 0.6:
        attributes["fast"] = {"bool": chance.random() < 0.7}
    if chance.random() < 0.5:
        attributes["version"] = {
            "version": chance.choice(("1.2.3", "1.10.0", "2.0.0-rc.1", "2.0.0", "3.0.0"))
        }
    found["attributes"] = attributes
    if chance.random() < 0.5:
        found["capacity"] = {"memory": {"value": f"{chance.choice((4, 8, 16))}Gi"}}
    if chance.random() < 0.25:
        found["allowMultipleAllocations"] = True
        found["capacity"] = {"memory": {"value": "10Gi", **_policy(chance)}, "slots": {"value": "3"}}
    if chance.random() < 0.15:
        effect = chance.choice(("NoSchedule", "NoExecute", "None"))
        found["taints"] = [{"key": "sick", "value": chance.choice(("very", "")), "effect": effect}]
    if chance.random() < 0.08:
        found["bindingConditions"] = ["attached"]
        found["bindingFailureConditions"] = ["failed"]
        found["bindsToNode"] = chance.random() < 0.5
    if counters and chance.random() < 0.8:
        found["consumesCounters"] = [
            {"counterSet": chance.choice(("set-a", "set-b")),
             "counters": {"memory": {"value": f"{chance.choice((2, 4, 8, 16))}Gi"}, "units": {"value": "1"}}}
        ]  # fmt: skip
        if chance.random() < 0.01:
            found["consumesCounters"][0]["counterSet"] = "gone"
    return found


def _policy(chance: random.Random) -> Object:
    return chance.choice((
        {},
        {"requestPolicy": {"default": "1Gi", "validRange": {"min": "1Gi", "max": "6Gi", "step": "2Gi"}}},
        {"requestPolicy": {"default": "2Gi", "validRange": {"min": "1Gi"}}},
        {"requestPolicy": {"default": "2Gi", "validValues": ["2Gi", "4Gi", "5Gi"]}},
        {"requestPolicy": {"default": "3Gi"}},
    ))  # fmt: skip


def claim(chance: random.Random, name: str) -> Object:
    """A claim with one to three requests, and maybe constraints and configuration."""
    requests = [_asked(chance, f"req-{index}") for index in range(chance.choice((1, 1, 2, 2, 3)))]
    devices: Object = {"requests": requests}
    if chance.random() < 0.35:
        attribute = chance.choice(("shared.example.com/numa", "a.example.com/kind", "b.example.com/version"))
        names = chance.choice((None, [requests[0]["name"]], [requests[0]["name"] + "/alt-0"]))
        kind = chance.choice(("matchAttribute", "matchAttribute", "distinctAttribute"))
        devices["constraints"] = [{kind: attribute, **({"requests": names} if names else {})}]
    if chance.random() < 0.3:
        names = chance.choice(([], ["req-0"], ["req-0/alt-1"], ["req-0", "req-1"]))
        devices["config"] = [
            {
                "opaque": {"driver": DRIVERS[1], "parameters": {"claim": name}},
                **({"requests": names} if names else {}),
            }
        ]
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
        "spec": {"devices": devices},
    }


def _asked(chance: random.Random, name: str) -> Object:
    if chance.random() < 0.3:
        alternatives = [
            _request(chance, True) | {"name": f"alt-{index}"} for index in range(chance.randint(1, 3))
        ]
        return {"name": name, "firstAvailable": alternatives}
    return {"name": name, "exactly": _request(chance, False)}


def _request(chance: random.Random, is_alternative: bool) -> Object:
    found: Object = {"deviceClassName": chance.choice((CLASSES[0], CLASSES[0], *CLASSES))}
    if chance.random() < 0.2:
        found["allocationMode"] = "All"
    else:
        found |= {"allocationMode": "ExactCount", "count": chance.choice((1, 1, 1, 2, 3, 5, 14))}
    if chance.random() < 0.3:
        expressions = chance.sample(EXPRESSIONS[:7], chance.randint(1, 2))
        if chance.random() < 0.1:
            expressions.append(EXPRESSIONS[7])
        found["selectors"] = [{"cel": {"expression": one}} for one in expressions]
    if chance.random() < 0.2:
        found["tolerations"] = [
            {"key": "sick", "operator": "Exists"} if chance.random() < 0.5
            else {"key": "sick", "operator": "Equal", "value": "very", "effect": "NoSchedule"}
        ]  # fmt: skip
    if chance.random() < 0.2:
        names = chance.choice((("memory",), ("memory", "slots"), ("slots",), ("missing",)))
        amounts = {"memory": chance.choice(("1Gi", "1500Mi", "3Gi", "9Gi")), "slots": "1", "missing": "1"}
        found["capacity"] = {"requests": {one: amounts[one] for one in names}}
    if not is_alternative and chance.random() < 0.08:
        found["adminAccess"] = True
    return found
