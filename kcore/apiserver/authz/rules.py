"""One rule of a role: what it allows, and whether rules one holds cover rules one would grant.

Source: pkg/apis/rbac/v1/evaluation_helpers.go, component-helpers auth/rbac/validation and
pkg/registry/rbac/validation/policy_compact.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kcore.api.field import quoted

ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """A PolicyRule with its lists as written, and as sets for looking things up."""

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: dict[str, Any]) -> Rule:
        """The rule that a role's document holds."""
        return cls(
            tuple(document.get("verbs") or ()),
            tuple(document.get("apiGroups") or ()),
            tuple(document.get("resources") or ()),
            tuple(document.get("resourceNames") or ()),
            tuple(document.get("nonResourceURLs") or ()),
        )

    def matches_resource(self, verb: str, group: str, resource: str, subresource: str) -> bool:
        """True where it speaks of the resource, whatever names it is limited to."""
        if verb not in self.verbs and ALL not in self.verbs:
            return False
        if group not in self.groups and ALL not in self.groups:
            return False
        combined = f"{resource}/{subresource}" if subresource else resource
        resources = self.resources
        return (
            combined in resources
            or ALL in resources
            or (subresource != "" and f"*/{subresource}" in resources)
        )

    def matches_url(self, verb: str, path: str) -> bool:
        """True where it allows a request for the path."""
        if verb not in self.verbs and ALL not in self.verbs:
            return False
        return any(url == ALL or _url_covers(url, path) for url in self.urls)

    def covers(self, other: Rule) -> bool:
        """True where whoever holds this one holds all of the other."""
        return (
            (ALL in self.verbs or _has_all(self.verbs, other.verbs))
            and (ALL in self.groups or _has_all(self.groups, other.groups))
            and _resources_cover(self.resources, other.resources)
            and (not self.names or (bool(other.names) and _has_all(self.names, other.names)))
            and all(any(_url_covers(own, path) for own in self.urls) for path in other.urls)
        )

    def broken_down(self) -> list[Rule]:
        """Rules of one verb on one thing each that together say the same."""
        names_one_by_one: list[tuple[str, ...]] = [(name,) for name in self.names] or [()]
        made = [
            Rule((verb,), (group,), (resource,), names)
            for group in self.groups
            for resource in self.resources
            for verb in self.verbs
            for names in names_one_by_one
        ]
        made.extend(Rule((verb,), urls=(url,)) for url in self.urls for verb in self.verbs)
        return made

    @property
    def text(self) -> str:
        """As an escalation error names it (CompactString)."""
        parts = [
            f"{title}:{go_list(values)}"
            for title, values in (
                ("APIGroups", self.groups),
                ("Resources", self.resources),
                ("NonResourceURLs", self.urls),
                ("ResourceNames", self.names),
                ("Verbs", self.verbs),
            )
            if values
        ]
        return f"{{{', '.join(parts)}}}"


def go_list(values: Iterable[str]) -> str:
    """Strings as Go's ``%q`` prints a slice of them."""
    return f"[{' '.join(map(quoted, values))}]"


def uncovered(held: Sequence[Rule], wanted: Sequence[Rule]) -> list[Rule]:
    """What of the wanted rules, broken down, none of those held covers."""
    return [
        part
        for rule in wanted
        for part in rule.broken_down()
        if not any(owner.covers(part) for owner in held)
    ]


def compacted(rules: Sequence[Rule]) -> list[Rule]:
    """Rules on one and the same thing are one, with all their verbs."""
    made: list[Rule] = []
    simple: dict[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], Rule] = {}
    for rule in rules:
        if len(rule.names) > 1 or rule.urls or len(rule.groups) != 1 or len(rule.resources) != 1:
            made.append(rule)
            continue
        key = (rule.groups, rule.resources, rule.names)
        before = simple.get(key)
        verbs = (*before.verbs, *rule.verbs) if before is not None else rule.verbs
        simple[key] = Rule(verbs, *key)
    return [*made, *simple.values()]


def _has_all(held: Sequence[str], wanted: Sequence[str]) -> bool:
    return all(each in held for each in wanted)


def _resources_cover(held: Sequence[str], wanted: Sequence[str]) -> bool:
    if ALL in held:
        return True
    for path in wanted:
        if path in held:
            continue
        _, slash, subresource = path.partition("/")
        if not slash or f"*/{subresource}" not in held:
            return False
    return True


def _url_covers(held: str, path: str) -> bool:
    return held == path or (held.endswith("*") and path.startswith(held.rstrip("*")))
