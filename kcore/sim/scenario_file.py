"""SCENARIO.yaml: what happens besides arrivals and completions, read strictly.

Two lists, of which either may be absent: ``events`` (:mod:`kcore.sim.events`) and ``groups``
(:mod:`kcore.sim.autoscaling`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kcore.api.errors import InputError
from kcore.sim.autoscaling import NodeGroup
from kcore.sim.events import Event
from kcore.sources import files, yaml_text

LISTS = ("events", "groups")


class ScenarioFile(NamedTuple):
    """What a file says."""

    events: list[Event]
    groups: list[NodeGroup]


def read_scenario(path: str) -> ScenarioFile:
    """The events and node groups in a YAML or JSON file.

    Raises:
        InputError: what is wrong, with the file, the item (event 3, group 1) and the field.
    """
    content = files.read(path)
    found = [document.value for document in yaml_text.documents(content.data, content.name)]
    if len(found) != 1 or not isinstance(found[0], dict):
        problem = "is not a mapping" if len(found) == 1 else f"holds {len(found)} documents"
        raise InputError(problem, file=path, expected="one mapping with events, groups, or both")
    document: dict[str, Any] = found[0]
    for key, items in document.items():
        if key not in LISTS:
            raise InputError("is not known", file=path, field=str(key), expected=" or ".join(LISTS))
        if not isinstance(items, list):
            raise InputError("is no list", file=path, field=key, expected="a list")
    try:
        events = [Event.read(one, index) for index, one in enumerate(document.get("events", ()))]
        groups = [NodeGroup.read(one, index) for index, one in enumerate(document.get("groups", ()))]
    except InputError as error:
        raise error.at(file=path) from None
    return ScenarioFile(events, groups)
