"""A cluster at rest as lines of text, in which nothing stands that differs from run to run; what two clusters do not share."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tests.apiserver.goclients.sessions import SCENARIOS

KINDS: Final = (
    "pods,replicasets,deployments,statefulsets,daemonsets,jobs,cronjobs,replicationcontrollers,services,endpoints,"
    "endpointslices,persistentvolumeclaims,resourcequotas,poddisruptionbudgets,horizontalpodautoscalers,"
    "controllerrevisions,configmaps,serviceaccounts,secrets"
)
LINE_SECONDS_MAX: Final = 90.0
PAUSE_SECONDS: Final = 0.5
REST_SECONDS: Final = 3.0
REST_SECONDS_MAX: Final = 40.0
LANES_COUNT: Final = 3
LETTERS: Final = "[bcdfghjklmnpqrstvwxz2456789]"
VARIES: Final = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UID"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"), "TIME"),
    # kcore hashes a template's JSON, upstream Go's print of the struct
    (re.compile(rf'(?<=[-"]){LETTERS}{{6,10}}(?=[-"\\\s:\]]|$)'), "HASH"),
    (re.compile(rf"(?<=-){LETTERS}{{5}}\b"), "XXXXX"),
    (re.compile(r"\bnode-\d{6}\b"), "NODE"),
    (re.compile(r"\b(?:10|127)(?:\.\d{1,3}){3}\b"), "IP"),
    (re.compile(r"-----BEGIN CERTIFICATE-----[^\"]*"), "CERTIFICATE"),
)
DROPPED: Final = ("resourceVersion", "endpoints.kubernetes.io/last-change-trigger-time")
Kubectl = Callable[..., "subprocess.CompletedProcess[str]"]


def play(kubectl: Kubectl, scenarios: Mapping[str, tuple[str, ...]] = SCENARIOS) -> list[str]:
    """What did not go as it should, one line each; scenarios are played side by side."""

    def one(name: str) -> list[str]:
        made = kubectl("kubectl create namespace " + name)
        if made.returncode:
            return [f"{name}: {made.stderr}"]
        kubectl("kubectl wait --for=create serviceaccount/default --timeout=30s", name)
        for line in scenarios[name]:
            fault = _line(kubectl, line, name)
            if fault:
                return [f"{name}: {line}: {fault}"]
        return []

    with ThreadPoolExecutor(LANES_COUNT) as pool:
        return [fault for faults in pool.map(one, scenarios) for fault in faults]


def _line(kubectl: Kubectl, line: str, namespace: str) -> str:
    """Why the line failed; nothing where it did not."""
    command = line.removeprefix("until ")
    give_up = time.monotonic() + LINE_SECONDS_MAX
    while (done := kubectl(command, namespace)).returncode:
        if command == line or time.monotonic() > give_up:
            return f"{done.returncode} {done.stdout}{done.stderr}".strip()
        time.sleep(PAUSE_SECONDS)
    return ""


def rest(kubectl: Kubectl, names: Mapping[str, Any] = SCENARIOS) -> dict[str, Counter[str]]:
    """By scenario the objects, and the events, at a moment after which nothing changed for a while."""
    give_up = time.monotonic() + REST_SECONDS_MAX
    before = None
    while True:
        found = {name: _namespace(kubectl, name) for name in names}
        if found == before or time.monotonic() > give_up:
            return found
        before = found
        time.sleep(REST_SECONDS)


def _namespace(kubectl: Kubectl, name: str) -> Counter[str]:
    listed = kubectl(f"kubectl get {KINDS} --show-managed-fields -o json", name)
    assert listed.returncode == 0, listed.stderr
    lines = [line for item in json.loads(listed.stdout)["items"] for line in object_lines(item)]
    listed = kubectl("kubectl get events -o json", name)
    # how often a thing was said depends on the moment
    events = {named(event_text(item)) for item in json.loads(listed.stdout)["items"]}
    return Counter([*lines, *events])


def object_lines(item: dict[str, Any]) -> list[str]:
    """A line for each part of an object, so that a difference is a short one."""
    fields = item["metadata"].pop("managedFields", None) or []
    about = named(f"{item['kind']} {item['metadata']['name']}")
    lines = [f"{about} {path} = {value}" for path, value in leaves(_without(item))]
    owned: dict[str, set[str]] = {}
    for entry in fields:
        manager = f"{entry['manager']} {entry['operation']} {entry.get('subresource', '')}".strip()
        owned.setdefault(manager, set()).update(path for path, _ in leaves(entry.get("fieldsV1") or {}))
    lines += [
        f"{about} managed by {manager}: {named(path)}" for manager, paths in owned.items() for path in paths
    ]
    return [f"{named(line)}" for line in lines]


def leaves(value: Any, path: str = "") -> list[tuple[str, str]]:
    """The ends of a tree, each with its path; lists of objects without an order are told by their names."""
    if isinstance(value, dict) and value:
        return [end for key in value for end in leaves(value[key], f"{path}.{key}")]
    if isinstance(value, list) and value:
        return [
            end for number, each in enumerate(value) for end in leaves(each, f"{path}[{_key(each, number)}]")
        ]
    return [(path, json.dumps(value))]


def _key(each: Any, number: int) -> str:
    """What tells an entry of a list from others."""
    if isinstance(each, dict):
        for name in ("type", "name", "key"):
            if isinstance(each.get(name), str):
                return str(each[name])
        if "addresses" in each or "ip" in each:
            return ""
    return str(number)


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(each) for key, each in value.items() if key not in DROPPED}
    return [_without(each) for each in value] if isinstance(value, list) else value


def event_text(event: dict[str, Any]) -> str:
    """What was told, about what, by whom."""
    about = event["involvedObject"]
    by = event.get("reportingComponent") or event["source"].get("component")
    source = f"{event['source']}" if event.get("source") else ""
    where = about.get("fieldPath", "")
    return (
        f"Event {about['kind']} {about['apiVersion']} {about['name']} {where} {event['type']} {event['reason']} "
        f"{event.get('action', '')} by {by} {source}: {event['message']}"
    )


def named(text: str) -> str:
    """The text with words in place of what varies."""
    for pattern, word in VARIES:
        text = pattern.sub(word, text)
    return text


def differences(ours: Mapping[str, Counter[str]], theirs: Mapping[str, Counter[str]]) -> list[str]:
    """Lines that one has and the other has not: ``+`` ours, ``-`` upstream's, with how often."""
    found = []
    for name in ours:
        for sign, more in (("-", theirs[name] - ours[name]), ("+", ours[name] - theirs[name])):
            found += [
                f"{name}: {sign} {line}" + (f" x{count}" if count > 1 else "") for line, count in more.items()
            ]
    return sorted(found, key=lambda line: (line.split(":")[0], line.split(" ", 2)[2], line))
