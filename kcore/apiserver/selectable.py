"""Which fields of a row's objects can be selected, and where in the object they stand.

Source: the ``ToSelectableFields`` of pkg/registry/*/*/strategy.go of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import Final

from kcore.api.fields import METADATA_NAME, METADATA_NAMESPACE, FieldSelector, stored_name
from kcore.api.resources import ROWS
from kcore.api.rows import Row
from kcore.api.selectors import Selector
from kcore_native.cacher.scan import Plan
from kcore_native.cacher.table import NAME_FIELD, NAMESPACE_FIELD, NO_FIELD, Predicate

# Fields that are not simply at their path: (the paths, of which the first that has a value counts; the value of none).
_PLACES: Final[dict[tuple[str, str], tuple[tuple[str, ...], str]]] = {
    ("Pod", "spec.hostNetwork"): (("spec.hostNetwork",), "false"),
    ("Node", "spec.unschedulable"): (("spec.unschedulable",), "false"),
    ("Job", "status.successful"): (("status.succeeded",), "0"),
    ("ReplicaSet", "status.replicas"): (("status.replicas",), "0"),
    ("ReplicationController", "status.replicas"): (("status.replicas",), "0"),
    ("Event", "source"): (("source.component", "reportingComponent"), ""),
}
TRIGGER_FIRST: Final = "spec.nodeName"  # the field by which narrow watches are found first


def plan_of(row: Row) -> Plan:
    """What is read of each stored object: the fields of all rows that are stored where this one is, as events are."""
    sharing = [each for each in ROWS if each.storage == row.storage]
    names = dict.fromkeys(stored_name(each, field) for each in sharing or (row,) for field in each.fields)
    made = []
    for name in names:
        paths, default = _PLACES.get((row.kind, name), ((name,), ""))
        made.append((name, paths, default))
    return Plan(made)


def predicate_of(
    row: Row, plan: Plan, labels: Selector, fields: FieldSelector, root: bytes, key: bytes | None = None
) -> Predicate:
    """The selectors over the keys under ``root``; over the one key where one is given."""
    terms = []
    for term in fields.terms:
        if term.field == METADATA_NAME:
            place = NAME_FIELD
        elif term.field == METADATA_NAMESPACE:
            place = NAMESPACE_FIELD if row.namespaced else NO_FIELD
        else:
            place = plan.names.index(term.field) if term.field in plan.names else NO_FIELD
        terms.append((place, term.value, term.equal))
    if labels.nothing:
        terms += [(NO_FIELD, "nothing", True)]
    return Predicate(root if key is None else key, labels.requirements, terms, key is not None)


def trigger_of(plan: Plan, fields: FieldSelector) -> tuple[int, str | None]:
    """A field that the selector wants to have one value, and that value; -1 for none."""
    wanted = [
        (plan.names.index(term.field), term.value)
        for term in fields.terms
        if term.equal and term.field in plan.names
    ]
    if not wanted:
        return -1, None
    first = plan.names.index(TRIGGER_FIRST) if TRIGGER_FIRST in plan.names else -1
    return next((each for each in wanted if each[0] == first), wanted[0])
