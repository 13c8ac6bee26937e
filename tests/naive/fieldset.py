"""Sets of fields as sets of paths, and structured-merge-diff v6 as it is written, slowly.

A path is a tuple of path elements. Nodes are those of tests/api/schema_nodes.py or of the real schema.
"""

from __future__ import annotations

import json
from typing import Any

Path = tuple[str, ...]
Paths = set[Path]
ABSENT: Any = object()


class SetError(Exception):
    """An item has no path element."""


class Atom:
    """What a value may be: schema.Atom."""

    def __init__(self, scalar: str = "", a_map: Any = None, a_list: Any = None) -> None:
        self.scalar, self.map, self.list = scalar, a_map, a_list

    def only(self, kind: str) -> Atom:
        return Atom(self.scalar if kind == "scalar" else "", self.map if kind == "map" else None,
                    self.list if kind == "list" else None)  # fmt: skip

    @property
    def shape(self) -> tuple[bool, bool, bool]:
        return bool(self.scalar), self.map is not None, self.list is not None


class Free:
    """A value without schema; lists inside are atomic throughout."""

    kind, fields, list_keys, required, definition = "free", {}, (), (), ""

    def __init__(self, atomic: bool) -> None:
        self.map_type = "atomic" if atomic else "granular"
        self.list_type = "atomic"
        self.items = self


DEDUCED, UNTYPED = Free(False), Free(True)


def atom_of(node: Any) -> Atom:
    if node is None or node.kind == "any" or node is DEDUCED:
        return Atom("untyped", DEDUCED, UNTYPED)
    if node is UNTYPED:
        return Atom("untyped", UNTYPED, UNTYPED)
    if node.kind in ("object", "map"):
        return Atom(a_map=node)
    if node.kind == "list":
        return Atom(a_list=node)
    return Atom(node.kind)


def deduce(atom: Atom, value: Any) -> Atom:
    if value is ABSENT or value is None:
        return atom
    kind = "map" if isinstance(value, dict) else "list" if isinstance(value, list) else "scalar"
    return atom.only(kind) if getattr(atom, kind) else atom


def member_node(node: Any, name: str) -> Any:
    return node.fields[name] if name in node.fields else node.items


def text(value: Any) -> str:
    made = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return made.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def item_element(node: Any, item: Any) -> str:
    if node.list_type == "map":
        if not isinstance(item, dict):
            raise SetError
        defaults = getattr(node.items, "defaults", {})
        named = {k: item.get(k, defaults.get(k)) for k in node.list_keys if k in item or k in defaults}
        if not named:
            raise SetError
        return "k:{" + ",".join(f"{text(k)}:{text(named[k])}" for k in sorted(named)) + "}"
    if item is None or isinstance(item, dict | list):
        raise SetError
    return "v:" + text(item)


def equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(left == right)


class Compare:
    """typed/compare.go."""

    def __init__(self, node: Any, left: Any, right: Any) -> None:
        self.added: Paths = set()
        self.modified: Paths = set()
        self.removed: Paths = set()
        self.compare(node, left, right, ())
        for found in (self.added, self.modified, self.removed):
            found.discard(())

    def compare(self, node: Any, left: Any, right: Any, path: Path) -> None:
        atom = atom_of(node)
        at_left, at_right = deduce(atom, left), deduce(atom, right)
        if right is ABSENT:
            in_leaf = self.handle(at_left, left, right, path)
        elif left is ABSENT or at_left.shape == at_right.shape:
            in_leaf = self.handle(at_right, left, right, path)
        else:
            self.handle(at_left, left, right, path)
            in_leaf = self.handle(at_right, left, right, path)
        if not in_leaf:
            if left is ABSENT:
                self.added.add(path)
            elif right is ABSENT:
                self.removed.add(path)

    def handle(self, atom: Atom, left: Any, right: Any, path: Path) -> bool:
        if atom.map is not None:
            return self.container(atom.map, dict, left, right, path)
        if atom.scalar:
            return self.leaf(left, right, path)
        return self.container(atom.list, list, left, right, path)

    def leaf(self, left: Any, right: Any, path: Path) -> bool:
        if left is ABSENT:
            self.added.add(path)
        elif right is ABSENT:
            self.removed.add(path)
        elif not equal(left, right):
            self.modified.add(path)
        return True

    def container(self, node: Any, kind: type, left: Any, right: Any, path: Path) -> bool:
        old = left if isinstance(left, kind) else None
        new = right if isinstance(right, kind) else None
        atomic = (node.map_type if kind is dict else node.list_type) == "atomic"
        if atomic or (not old and not new):
            return self.leaf(left, right, path)
        if kind is dict:
            old, new = old or {}, new or {}
            for name in {**old, **new}:
                child = member_node(node, name)
                self.compare(child, old.get(name, ABSENT), new.get(name, ABSENT), (*path, "f:" + name))
        else:
            self.items(node, old or [], new or [], path)
        return False

    def items(self, node: Any, old: list[Any], new: list[Any], path: Path) -> None:
        by_old, by_new = {}, {}  # type: ignore[var-annotated]
        for values, by in ((old, by_old), (new, by_new)):
            for value in values:
                by.setdefault(item_element(node, value), []).append(value)
        for element in {**by_old, **by_new}:
            before, after = by_old.get(element, []), by_new.get(element, [])
            where = (*path, element)
            one, other = (before or [ABSENT])[0], (after or [ABSENT])[0]
            if len(before) <= 1 and len(after) <= 1:
                self.compare(node.items, one, other, where)
            elif len(before) >= 2 and len(after) >= 2:
                if not equal(before, after):
                    self.modified.add(where)
            elif len(before) >= 2:
                if after:
                    self.compare(node.items, ABSENT, other, where)
                self.removed.add(where)
            else:
                if before:
                    self.compare(node.items, one, ABSENT, where)
                self.added.add(where)


def to_set(node: Any, value: Any, path: Path = ()) -> Paths:
    """typed/tofieldset.go."""
    atom = deduce(atom_of(node), value)
    if atom.map is not None:
        if atom.map.map_type == "atomic":
            return {path}
        made: Paths = set()
        for name, child in (value or {}).items():
            where = (*path, "f:" + name)
            made |= to_set(member_node(atom.map, name), child, where)
            if child is None or child == {} or name not in atom.map.fields:
                made.add(where)
        return made
    if atom.scalar:
        return {path}
    if atom.list.list_type == "atomic":
        return {path}
    made, seen = set(), [item_element(atom.list, each) for each in value or []]
    for element, child in zip(seen, value or [], strict=True):
        if seen.count(element) == 1:
            made |= to_set(atom.list.items, child, (*path, element))
        made.add((*path, element))
    return made


def recursive_difference(left: Paths, right: Paths) -> Paths:
    return {path for path in left if not any(path[: i + 1] in right for i in range(len(path)))}


def ensure_named(paths: Paths, node: Any) -> Paths:
    made = set(paths)
    for path in paths:
        at = node
        for i, element in enumerate(path):
            atom = atom_of(at) if at is not None else Atom()
            declared = element[0] == "f" and atom.map is not None and element[2:] in atom.map.fields
            if declared and i + 1 < len(path):
                made.add(path[: i + 1])
            if element[0] == "f" and atom.map is not None:
                at = member_node(atom.map, element[2:])
            elif element[0] == "k" and atom.list is not None:
                at = atom.list.items
            else:
                break
    return made


def encode(paths: Paths) -> dict[str, Any]:
    """The fieldsV1 of a set."""
    tree: dict[str, Any] = {}
    children = {path[0] for path in paths}
    for element in children:
        below = {path[1:] for path in paths if path[0] == element}
        node = encode(below - {()})
        if () in below and node:
            node["."] = {}
        tree[element] = node
    return tree


def merge(node: Any, left: Any, right: Any) -> Any:
    """typed/merge.go; ABSENT where nothing is left."""
    atom = atom_of(node)
    at_left, at_right = deduce(atom, left), deduce(atom, right)
    handled = at_left if right is ABSENT else at_right
    return merge_as(handled, left, right)


def keep_right(left: Any, right: Any) -> Any:
    return left if right is ABSENT else right


def merge_as(atom: Atom, left: Any, right: Any) -> Any:
    if atom.map is not None:
        old = left if isinstance(left, dict) else None
        new = right if isinstance(right, dict) else None
        if atom.map.map_type == "atomic" or (not old and not new):
            return keep_right(left, right)
        old, new = old or {}, new or {}
        pairs = {
            name: merge(member_node(atom.map, name), old.get(name, ABSENT), new.get(name, ABSENT))
            for name in {**old, **new}
        }
        return {name: value for name, value in pairs.items() if value is not ABSENT}
    if atom.scalar:
        return keep_right(left, right)
    old_items = left if isinstance(left, list) else None
    new_items = right if isinstance(right, list) else None
    if atom.list.list_type == "atomic" or (not old_items and not new_items):
        return keep_right(left, right)
    return merge_items(atom.list, old_items or [], new_items or [])


def merge_items(node: Any, left: list[Any], right: list[Any]) -> list[Any]:
    left_keys = [item_element(node, each) for each in left]
    right_keys = [item_element(node, each) for each in right]
    lefts: dict[str, Any] = {}
    for key, value in zip(left_keys, left, strict=True):
        lefts[key] = None if key in lefts else value
    rights = dict(zip(right_keys, right, strict=True))
    shared = [key for key in right_keys if key in lefts]
    wanted = shared.pop(0) if shared else None
    done: set[str] = set()
    made: list[Any] = []

    def take(key: str) -> None:
        done.add(key)
        made.append(merge(node.items, lefts.get(key, ABSENT), rights[key]))

    i = j = 0
    while i < len(left) or j < len(right):
        if i < len(left) and j < len(right):
            if left_keys[i] == right_keys[j]:
                take(left_keys[i])
                i, j = i + 1, j + 1
                wanted = shared.pop(0) if shared else None
                continue
            if left_keys[i] in rights and wanted is not None and wanted != left_keys[i]:
                i += 1
                continue
        if i < len(left):
            if left_keys[i] not in rights:
                made.append(merge(node.items, left[i], ABSENT))
                i += 1
                continue
            if left_keys[i] in done:
                i += 1
        if j < len(right):
            take(right_keys[j])
            if wanted == right_keys[j]:
                wanted = shared.pop(0) if shared else None
            j += 1
    return made


def remove(node: Any, value: Any, items: Paths) -> Any:
    """typed/remove.go; None where nothing is left."""
    atom = deduce(atom_of(node), value)
    if atom.map is not None:
        if not isinstance(value, dict) or not value or atom.map.map_type == "atomic":
            return None
        made, matched = {}, False
        for name, child in value.items():
            element = "f:" + name
            if (element,) in items:
                continue
            below = {path[1:] for path in items if path[0] == element}
            if below:
                matched = True
                child = kept(child, remove(member_node(atom.map, name), child, below))
            made[name] = child
        return made if made or matched else None
    if atom.scalar:
        return value
    if not isinstance(value, list) or not value or atom.list.list_type == "atomic":
        return None
    left, matched = [], False
    for child in value:
        element = item_element(atom.list, child)
        if (element,) in items:
            continue
        below = {path[1:] for path in items if path[0] == element}
        if below:
            matched = True
            child = kept(child, remove(atom.list.items, child, below))
        left.append(child)
    return left if left or matched else None


def kept(before: Any, after: Any) -> Any:
    if after is None and isinstance(before, dict | list):
        return type(before)()
    return after
