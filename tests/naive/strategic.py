"""Strategic merge patch as upstream writes it (strategicpatch/patch.go), changing its arguments in place."""

from __future__ import annotations

from functools import cmp_to_key
from typing import Any


class Refused(Exception):
    """Any error."""


def directive_free(value: Any) -> tuple[Any, bool]:
    if isinstance(value, dict):
        if "$patch" in value:
            return None, False
        for key in list(value):
            value[key], keep = directive_free(value[key])
            if not keep:
                del value[key]
        return value, True
    if isinstance(value, list):
        made = []
        for each in value:
            new, keep = directive_free(each)
            if keep:
                made.append(new)
        return made, True
    return value, True


def discard_nulls(value: Any) -> None:
    if isinstance(value, dict):
        for key in list(value):
            if value[key] is None:
                del value[key]
            else:
                discard_nulls(value[key])
    elif isinstance(value, list):
        for each in value:
            discard_nulls(each)


def extract_key(key: str, prefix: str) -> str:
    parts = key.split("/", 1)
    if len(parts) <= 1 or parts[0] != prefix:
        raise Refused
    return parts[1]


def lookup(node: Any, key: str) -> tuple[Any, str, str]:
    if node.kind not in ("object", "any") or key not in node.fields:
        raise Refused
    field = node.fields[key]
    strategies = [each for each in field.patch_strategies if each != "retainKeys"]
    return field, strategies[0] if strategies else "", field.patch_merge_key


def lookup_list(node: Any, key: str) -> tuple[Any, str, str]:
    field, strategy, merge_key = lookup(node, key)
    if field.kind != "list" or field.items.kind == "list":
        raise Refused
    return field.items, strategy, merge_key


def same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


def find(items: list[Any], key: str, value: Any) -> int:
    for i, item in enumerate(items):
        if not isinstance(item, dict):
            raise Refused
        if key in item and same(item[key], value):
            return i
    return -1


def element_type(*lists: list[Any]) -> type:
    kinds = [type(item) for items in lists for item in items]
    if not kinds or kinds[0] is list or any(kind is not kinds[0] for kind in kinds):
        raise Refused
    return kinds[0]


def merge_map(original: dict[str, Any], patch: dict[str, Any], node: Any) -> dict[str, Any]:
    if "$patch" in patch:
        directive = patch.pop("$patch")
        if directive == "replace":
            return patch
        if directive == "delete":
            return {}
        raise Refused
    retain_keys(original, patch)
    set_element_order(original, patch, node)
    for key, value in list(patch.items()):
        deleting = key.startswith("$deleteFromPrimitiveList")
        if deleting:
            key = extract_key(key, "$deleteFromPrimitiveList")
        if value is None:
            original.pop(key, None)
            continue
        if key not in original or type(original[key]) is not type(value):
            if not deleting:
                discard_nulls(value)
                original[key], keep = directive_free(value)
                if not keep:
                    del original[key]
            continue
        if isinstance(value, dict):
            child, strategy, _ = lookup(node, key)
            original[key] = value if strategy == "replace" else merge_map(original[key], value, child)
        elif isinstance(value, list):
            child, strategy, merge_key = lookup_list(node, key)
            original[key] = slice_field(original[key], value, child, strategy, merge_key, deleting)
        else:
            original[key] = value
    return original


def retain_keys(original: dict[str, Any], patch: dict[str, Any]) -> None:
    if "$retainKeys" not in patch:
        return
    listed = patch.pop("$retainKeys")
    if not isinstance(listed, list):
        raise Refused
    for key, value in patch.items():
        if value is None or key.startswith(("$deleteFromPrimitiveList", "$setElementOrder")):
            continue
        if key not in listed:
            raise Refused
    for key in list(original):
        if key not in listed:
            del original[key]


def set_element_order(original: dict[str, Any], patch: dict[str, Any], node: Any) -> None:
    for key, order in list(patch.items()):
        if not key.startswith("$setElementOrder"):
            continue
        del patch[key]
        if not isinstance(order, list):
            raise Refused
        name = extract_key(key, "$setElementOrder")
        before, given = original.get(name), patch.get(name)
        if (name in original and not isinstance(before, list)) or (
            name in patch and not isinstance(given, list)
        ):
            raise Refused
        child, strategy, merge_key = lookup_list(node, name)
        validate_order(given or [], order, merge_key)
        if name in original and name not in patch:
            merged = before
        elif name not in original and name in patch:
            merged, _ = directive_free(given)
        elif name in original:
            memory = before = list(before)  # type: ignore[arg-type]
            merged = slice_field(before, given, child, strategy, merge_key, False, memory)  # type: ignore[arg-type]
        else:
            continue
        assert merged is not None
        if merge_key:
            mine, others = partition_maps(merged, order, merge_key)
        else:
            mine = [each for each in merged if any(same(each, other) for other in order)]
            others = [each for each in merged if not any(same(each, other) for other in order)]
        kind = element_type(before or [], given or [])
        original[name] = normalize(mine, others, order, before or [], merge_key, kind)
        patch.pop(name, None)


def validate_order(given: list[Any], order: list[Any], merge_key: str) -> None:
    if not given or not order:
        return
    if merge_key:
        if any(not isinstance(each, dict) for each in given):
            raise Refused
        given = [each for each in given if each.get("$patch") != "delete"]
    i = j = 0
    while i < len(given) and j < len(order):
        if isinstance(given[i], dict) and "$patch" in given[i]:
            i += 1
            continue
        left, right = given[i], order[j]
        if merge_key:
            if not isinstance(right, dict) or merge_key not in left or merge_key not in right:
                raise Refused
            left, right = left[merge_key], right[merge_key]
        if same(left, right):
            i += 1
        j += 1
    if i < len(given) and j >= len(order):
        raise Refused


def partition_maps(merged: list[Any], by: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    mine, others = [], []
    for item in merged:
        if not isinstance(item, dict) or merge_key not in item:
            raise Refused
        (mine if find(by, merge_key, item[merge_key]) >= 0 else others).append(item)
    return mine, others


def slice_field(
    original: list[Any],
    patch: list[Any],
    node: Any,
    strategy: str,
    merge_key: str,
    deleting: bool,
    memory: Any = None,
) -> list[Any]:
    """``memory`` is what Go's original slice looks like afterwards, whose deletions and appends share an array."""
    if strategy != "merge" and not deleting:
        return patch
    if not original and not patch:
        return original
    kind = element_type(original, patch)
    if kind is not dict:
        if deleting:
            return [each for each in original if not any(same(each, gone) for gone in patch)]
        both = original + patch
        merged = deduplicate(both)
        mine = [each for each in merged if any(same(each, other) for other in patch)]
        others = [each for each in merged if not any(same(each, other) for other in patch)]
        return normalize(mine, others, patch, original, "", kind)
    if not merge_key:
        raise Refused
    capacity = len(original)
    original, patch = special(original, patch, merge_key, memory)
    server_order = list(original)
    for item in patch:
        if merge_key not in item:
            raise Refused
        at = find(original, merge_key, item[merge_key])
        if at >= 0:
            original[at] = merge_map(original[at], item, node)
        else:
            original = [*original, item]
            if memory is not None and len(original) <= capacity:
                memory[len(original) - 1] = item
    mine, others = partition_maps(original, patch, merge_key)
    return normalize(mine, others, patch, server_order, merge_key, kind)


def special(
    original: list[Any], patch: list[Any], merge_key: str, memory: Any
) -> tuple[list[Any], list[Any]]:
    plain, replace = [], False
    for item in patch:
        if "$patch" not in item:
            plain.append(item)
        elif item["$patch"] == "delete":
            if merge_key not in item:
                raise Refused
            while (at := find(original, merge_key, item[merge_key])) >= 0:
                original = original[:at] + original[at + 1 :]
                if memory is not None:
                    memory[: len(original)] = original
        elif item["$patch"] == "replace":
            replace = True
        else:
            raise Refused
    return (plain, []) if replace else (original, plain)


def deduplicate(items: list[Any]) -> list[Any]:
    length = len(items) - 1
    i = 0
    while i < length:
        j = i + 1
        while j <= length:
            if same(items[i], items[j]):
                items[j] = items[length]
                items = items[:length]
                length -= 1
                j -= 1
            j += 1
        i += 1
    return items


def place(items: list[Any], item: Any, merge_key: str, kind: type) -> int:
    for i, each in enumerate(items):
        if kind is dict:
            if same(item.get(merge_key), each.get(merge_key)):
                return i
        elif same(item, each):
            return i
    return -1


def normalize(
    mine: list[Any],
    others: list[Any],
    patch_order: list[Any],
    server_order: list[Any],
    merge_key: str,
    kind: type,
) -> list[Any]:
    if kind is dict and any(merge_key not in each for each in (*mine, *patch_order, *others, *server_order)):
        raise Refused

    def by(order: list[Any]) -> Any:
        return cmp_to_key(lambda a, b: place(order, a, merge_key, kind) - place(order, b, merge_key, kind))

    right, left = sorted(mine, key=by(patch_order)), sorted(others, key=by(server_order))
    made = []
    while left or right:
        if not left:
            made.append(right.pop(0))
        elif not right:
            made.append(left.pop(0))
        else:
            at_left = place(server_order, left[0], merge_key, kind)
            at_right = place(server_order, right[0], merge_key, kind)
            take = left if at_left >= 0 and at_right >= 0 and at_left < at_right else right
            made.append(take.pop(0))
    return made
