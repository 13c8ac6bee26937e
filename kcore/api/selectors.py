"""Label selectors as values: hashable, comparable, and matched against plain label dicts.

Source: apimachinery pkg/labels/selector.go and metav1.LabelSelectorAsSelector of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kcore.api.errors import InputError
from kcore.api.objects import LabelSelector

DIGITS_MAX = 4000  # that Python makes an integer of
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def int64(text: str) -> int | None:
    """The integer as Go's ``ParseInt(text, 10, 64)`` reads it, None where it reads none."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits.isascii() or not digits.isdigit():
        return None
    if len(digits) > DIGITS_MAX:
        return None
    value = int(text)
    return value if -(2**63) <= value < 2**63 else None


class Requirement(NamedTuple):
    """One condition on one label; ``values`` are sorted and distinct. Gt and Lt have one value, an integer."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a label set meets the requirement."""
        value = labels.get(self.key)
        if self.operator == "In":
            return value is not None and value in self.values
        if self.operator == "NotIn":
            return value is None or value not in self.values
        if self.operator in ("Gt", "Lt"):
            found, bound = int64(value or ""), int64(self.values[0])
            if found is None or bound is None:
                return False
            return found > bound if self.operator == "Gt" else found < bound
        return (value is not None) == (self.operator == "Exists")


class Selector(NamedTuple):
    """AND of requirements; without any it matches everything, unless ``nothing``, which matches no set at all."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    @property
    def empty(self) -> bool:
        """True for the selector that restricts nothing (upstream's ``Empty()``)."""
        return not self.nothing and not self.requirements

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a label set meets every requirement."""
        if self.nothing:
            return False
        return all(requirement.matches(labels) for requirement in self.requirements)

    def plus(self, requirements: tuple[Requirement, ...]) -> Selector:
        """The selector that asks for ``requirements`` as well."""
        return _normal([*self.requirements, *requirements])

    def label_keys(self) -> set[str]:
        """The label keys that it reads."""
        return {requirement.key for requirement in self.requirements}


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)


def _normal(requirements: list[Requirement]) -> Selector:
    return Selector(tuple(sorted(set(requirements))))


def from_labels(labels: Mapping[str, str]) -> Selector:
    """The selector that asks for each of these labels; everything for an empty mapping."""
    return _normal([Requirement(key, "In", (value,)) for key, value in labels.items()])


def from_label_selector(selector: LabelSelector | None, field: str = "labelSelector") -> Selector:
    """The meaning of an API selector: None matches nothing, an empty one everything.

    Raises:
        InputError: an operator that does not exist, or values where they do not belong; ``field`` is its path.
    """
    if selector is None:
        return NOTHING
    found = [Requirement(key, "In", (value,)) for key, value in (selector.match_labels or {}).items()]
    for index, expression in enumerate(selector.match_expressions or ()):
        where = f"{field}.matchExpressions[{index}]"
        if expression.operator not in OPERATORS:
            raise InputError(
                f"{expression.operator!r} is not an operator of label selectors",
                field=f"{where}.operator",
                expected="one of In, NotIn, Exists, DoesNotExist",
            )
        values = tuple(sorted(set(expression.values or ())))
        if (expression.operator in ("In", "NotIn")) != bool(values):
            raise InputError(
                f"{expression.operator} with {len(values)} values",
                field=f"{where}.values",
                expected="at least one value for In and NotIn, none for Exists and DoesNotExist",
            )
        found.append(Requirement(expression.key, expression.operator, values))
    return _normal(found)


def go_text(selector: Mapping[str, Any] | None) -> str:
    """A label selector in JSON form as its Go type prints itself."""
    if selector is None:
        return "nil"
    labels = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{each.get('key', '')},Operator:{each.get('operator', '')},"
        f"Values:[{' '.join(each.get('values') or ())}],}},"
        for each in selector.get("matchExpressions") or ()
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
