"""Strategic merge patch: lists are merged by their merge key, and directives say what a merge cannot.

Source: apimachinery pkg/util/strategicpatch/patch.go of Kubernetes 1.36 (StrategicMergeMapPatch), and
interpretStrategicMergePatchError of apiserver pkg/endpoints/handlers/patch.go for codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

from kcore.api.field import quoted
from kcore.api.patch.ordering import Identity, identity, in_order
from kcore.api.patch.wording import JSON_KINDS, go_type, plain_error, rejected, shown
from kcore.api.status import ApiError, bad_request, entity_too_large
from kcore_native.documents import is_plain

DIRECTIVE: Final = "$patch"
RETAIN_KEYS: Final = "$retainKeys"
DELETE_FROM: Final = "$deleteFromPrimitiveList"
SET_ORDER: Final = "$setElementOrder"

BAD_PRIMITIVE_LIST: Final = "invalid patch format of primitive list"
BAD_RETAIN_KEYS: Final = "invalid patch format of retainKeys"
BAD_SET_ORDER: Final = "invalid patch format of setElementOrder list"
MERGED_ITEMS_MAX: Final = (
    500_000  # items of lists that one patch merges and sorts, again for each item that changes them
)
UNSUPPORTED: Final = "strategic merge patch format is not supported"

FLAT: Final = frozenset({str, int, bool, float, type(None)})  # what replaces whatever was there
GO_KINDS: Final = {
    "map": "map", "list": "slice", "string": "string", "integer": "int32", "number": "float64", "boolean": "bool",
    "any": "struct", "bytes": "slice",
}  # fmt: skip

Object = dict[str, Any]
Items = list[Any]


class Meta(NamedTuple):
    """How a field is merged: the node of its value (of a list: of its items), its strategy, its merge key."""

    node: Any
    strategy: str
    key: str


class Work:
    """How many more items one patch may merge; without an end, a list of equal keys would cost its length squared."""

    def __init__(self) -> None:
        self.items_left = MERGED_ITEMS_MAX

    def take(self, count: int) -> None:
        """So many are merged now; ApiError 413 where that is too much."""
        self.items_left -= count
        if self.items_left < 0:
            raise entity_too_large(
                f"The allowed maximum of list items that a strategic merge patch merges is {MERGED_ITEMS_MAX}"
            )


def strategic_merge(obj: Object, patch: Any, node: Any) -> Object:
    """The object with the patch in it. ApiError 400 for a malformed patch, 500 (as upstream) for one without merge keys.

    413 for one that merges more items than MERGED_ITEMS_MAX.

    ``node`` is the schema of the object; None, as for custom resources, has no strategic merge.
    """
    if node is None:
        raise bad_request(UNSUPPORTED)
    if patch is None:
        return obj
    if not isinstance(patch, dict):
        kind = JSON_KINDS[type(patch)]
        raise bad_request(f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
    return _merged(obj, patch, node, Work())


def _merged(original: Object, patch: Object, node: Any, work: Work) -> Object:
    if all(type(value) in FLAT and key[:1] != "$" for key, value in patch.items()):
        merged = {**original, **patch}
        return {key: value for key, value in merged.items() if value is not None or key not in patch}
    if DIRECTIVE in patch:
        return _directed(patch)
    original, patch = {**original}, {**patch}
    _retain_keys(original, patch)
    _merge_ordered_lists(original, patch, node, work)
    for key, value in patch.items():
        deleting = key.startswith(DELETE_FROM)
        name = _target(key, DELETE_FROM, BAD_PRIMITIVE_LIST) if deleting else key
        if value is None:
            original.pop(name, None)
            continue
        if name not in original or type(original[name]) is not type(value):
            if deleting:
                pass
            elif is_plain(value, DIRECTIVE):
                original[name] = value
            else:
                _put(original, name, _without_nulls(value))
        elif isinstance(value, dict):
            meta = _struct_meta(node, name)
            original[name] = (
                value if meta.strategy == "replace" else _merged(original[name], value, meta.node, work)
            )
        elif isinstance(value, list):
            meta = _list_meta(node, name)
            original[name] = _merged_field([*original[name]], value, meta, deleting, work)
        else:
            original[name] = value
    return original


def _directed(patch: Object) -> Object:
    directive = patch[DIRECTIVE]
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != DIRECTIVE}
    if directive == "delete":
        return {}
    raise _unknown_directive(directive, patch)


def _unknown_directive(directive: Any, patch: Object) -> ApiError:
    text = directive if isinstance(directive, str) else f"%!s({go_type(directive)}={shown(directive)})"
    return plain_error(f"unknown patch type: {text} in map: {shown(patch)}")


def _target(key: str, prefix: str, message: str) -> str:
    """The field that ``$directive/field`` is about."""
    head, slash, field = key.partition("/")
    if not slash or head != prefix:
        raise bad_request(message)
    return field


def _put(original: Object, name: str, value: Any) -> None:
    """The value as it is new here; what is only a directive is no value."""
    kept, value = _without_directives(value)
    if kept:
        original[name] = value
    else:
        original.pop(name, None)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value


def _without_directives(value: Any) -> tuple[bool, Any]:
    """The value without what bears a directive; false where the value itself does."""
    if isinstance(value, dict):
        if DIRECTIVE in value:
            return False, None
        pairs = ((key, _without_directives(each)) for key, each in value.items())
        return True, {key: each for key, (kept, each) in pairs if kept}
    if isinstance(value, list):
        return True, [each for kept, each in map(_without_directives, value) if kept]
    return True, value


def _retain_keys(original: Object, patch: Object) -> None:
    """Members of the original that ``$retainKeys`` does not list are gone; the patch sets none of those."""
    if RETAIN_KEYS not in patch:
        return
    listed = patch.pop(RETAIN_KEYS)
    if not isinstance(listed, list):
        raise bad_request(BAD_RETAIN_KEYS)
    names = {each for each in listed if isinstance(each, str)}
    for key, value in patch.items():
        if value is not None and not key.startswith((DELETE_FROM, SET_ORDER)) and key not in names:
            raise bad_request(BAD_RETAIN_KEYS)
    for key in [key for key in original if key not in names]:
        del original[key]


def _struct_meta(node: Any, name: str) -> Meta:
    if node is None or node.kind != "object":
        kind = GO_KINDS.get(node.kind, "struct") if node is not None else "interface"
        if kind != "struct":
            raise plain_error(f"merging an object in json but data type is not struct, instead is: {kind}")
    field = node.fields.get(name)
    if field is None:
        raise plain_error(
            f"unable to find api field in struct {node.type_name} for the json field {quoted(name)}"
        )
    return Meta(field, _strategy(field.patch_strategies), field.patch_merge_key)


def _list_meta(node: Any, name: str) -> Meta:
    meta = _struct_meta(node, name)
    if meta.node.kind != "list":
        raise plain_error("expected slice or array type, but got: struct")
    if meta.node.items is not None and meta.node.items.kind == "list":
        raise plain_error("unexpected slice of slice")
    return meta._replace(node=meta.node.items)


def _strategy(strategies: Sequence[str]) -> str:
    others = [each for each in strategies if each != "retainKeys"]
    if len(others) > 1:
        raise plain_error(f"unexpected patch strategy: [{' '.join(strategies)}]")
    return others[0] if others else ""


def _merge_ordered_lists(original: Object, patch: Object, node: Any, work: Work) -> None:
    """Lists that ``$setElementOrder`` is about are merged and ordered, and taken out of the patch."""
    for key in [key for key in patch if key.startswith(SET_ORDER)]:
        order = patch.pop(key)
        if not isinstance(order, list):
            raise plain_error(f"expected a []interface {{}}, but received a {go_type(order)}")
        name = _target(key, SET_ORDER, BAD_SET_ORDER)
        for side in (original, patch):
            if name in side and not isinstance(side[name], list):
                raise plain_error(f"expected a []interface {{}}, but received a {go_type(side[name])}")
        before: Items | None = original.get(name)
        given: Items | None = patch.get(name)
        meta = _list_meta(node, name)
        _check_order(given or [], order, meta.key)
        if before is None and given is None:
            continue
        if given is None:
            merged: Items = before or []
        elif before is None:
            merged = _without_directives(given)[1]
        else:
            before = [*before]
            merged = _merged_field(before, given, meta, False, work)
        of_maps = _of_maps(before or [], given or [])
        original[name] = _arranged(merged, order, order, before or [], meta.key, of_maps)
        patch.pop(name, None)


def _check_order(given: Items, order: Items, key: str) -> None:
    """What the patch lists is in the order list, and in its order; deletions aside."""
    if not order or not given:
        return
    if key:
        _check_maps(given)
        listed = [each for each in given if each.get(DIRECTIVE) != "delete"]
    else:
        listed = given
    at, place = 0, 0
    while at < len(listed) and place < len(order):
        item = listed[at]
        if isinstance(item, dict) and DIRECTIVE in item:
            at += 1
            continue
        if _one_key(item, key) == _one_key(order[place], key):
            at += 1
        place += 1
    if at < len(listed) and place >= len(order):
        raise plain_error(
            f"The order in patch list:\n{shown(given)}\n doesn't match {SET_ORDER} list:\n{shown(order)}\n"
        )


def _check_maps(items: Items) -> None:
    for item in items:
        if not isinstance(item, dict):
            raise plain_error(f"expected a map[string]interface {{}}, but received a {go_type(item)}")


def _one_key(item: Any, key: str) -> Identity:
    """What an item is told by; of maps the merge key, which must be there."""
    if not key:
        return identity(item)
    _check_maps([item])
    if key not in item:
        raise _no_merge_key(item, key)
    return identity(item[key])


def _no_merge_key(item: Object, key: str) -> ApiError:
    return plain_error(f"map: {shown(item)} does not contain declared merge key: {key}")


def _of_maps(*lists: Items) -> bool:
    """True for items that are maps; all items must be of one type, and no lists."""
    kinds = {type(item) for items in lists for item in items}
    if list in kinds:
        raise rejected()
    if not kinds:
        raise plain_error("no elements in any of the given slices")
    if len(kinds) > 1:
        raise plain_error(f"list element types are not identical: {shown(list(lists))}")
    return dict in kinds


def _merged_field(original: Items, patch: Items, meta: Meta, deleting: bool, work: Work) -> Items:
    if meta.strategy != "merge" and not deleting:
        return patch
    if not original and not patch:
        return original
    work.take(len(original) + len(patch))
    if not _of_maps(original, patch):
        if deleting:
            gone = {identity(each) for each in patch}
            return [each for each in original if identity(each) not in gone]
        return _arranged(_distinct([*original, *patch]), patch, patch, original, "", False)
    if not meta.key:
        raise plain_error("cannot merge lists without merge key for struct")
    left, patch = _apply_item_directives(original, patch, meta.key)
    if len(left) == len(original) and (ordered := _in_patch_order(left, patch, meta, work)) is not None:
        return ordered
    merged = _merged_items([*left], patch, meta, work)
    if len(left) < len(
        original
    ):  # new items stand where deleted ones did, in the memory that Go sorts by afterwards
        new = merged[len(left) : len(original)]  # none where the list was replaced
        original[len(left) : len(left) + len(new)] = new
    return _arranged(merged, patch, patch, left, meta.key, True)


def _distinct(items: Items) -> Items:
    """Each once; as upstream, the last item takes the place of one that is dropped."""
    made, told = [*items], [identity(each) for each in items]
    places: dict[Identity, list[int]] = {}  # of each value: a heap, with places that it may have left since
    for place, value in enumerate(told):
        places.setdefault(value, []).append(place)
    if len(places) == len(made):
        return made
    first = 0
    while first < len(made):
        value = told[first]
        doubles = places[value]
        while doubles:
            place = heappop(doubles)
            if not first < place < len(made) or told[place] != value:
                continue
            last, its_value = made.pop(), told.pop()
            if place < len(made):
                made[place], told[place] = last, its_value
                heappush(places[its_value], place)
        first += 1
    return made


def _apply_item_directives(original: Items, patch: Items, key: str) -> tuple[Items, Items]:
    """Items of the patch that delete, or replace the whole list, have done so; the others are left.

    ``original``, the caller's own list, is as Go leaves its memory: what is left of it moved up, the end as it was.
    ``$setElementOrder`` sorts by that, so that a new item comes where a deleted one was.
    """
    plain: Items = []
    gone: set[Identity] = set()
    replace = False
    for item in patch:
        if DIRECTIVE not in item:
            plain.append(item)
            continue
        directive = item[DIRECTIVE]
        if directive == "delete":
            if key not in item:
                raise _no_merge_key(item, key)
            gone.add(identity(item[key]))
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise plain_error("merging lists cannot yet be specified in the patch")
        else:
            raise _unknown_directive(directive, item)
    if not gone:
        return (plain, []) if replace else (original, plain)
    left = [each for each in original if key not in each or identity(each[key]) not in gone]
    original[: len(left)] = left
    return (plain, []) if replace else (left, plain)


def _in_patch_order(original: Items, patch: Items, meta: Meta, work: Work) -> Items | None:
    """The merged list where the patch names every item of the original, by different strings; None for any other.

    It is then in the patch's order: what ``_merged_items`` and ``_arranged`` come to, at a fifth of their price.
    """
    key = meta.key
    if not all(type(item.get(key)) is str for items in (original, patch) for item in items):
        return None
    before = {item[key]: item for item in original}
    names = {item[key] for item in patch}
    if len(before) != len(original) or len(names) != len(patch) or not names.issuperset(before):
        return None
    made = []
    for item in patch:
        found = before.get(item[key])
        made.append(item if found is None else _merged(found, item, meta.node, work))
    return made


def _merged_items(original: Items, patch: Items, meta: Meta, work: Work) -> Items:
    places: dict[Identity, int] = {}
    for place, item in enumerate(original):
        if meta.key in item:
            places.setdefault(identity(item[meta.key]), place)
    for item in patch:
        if meta.key not in item:
            raise _no_merge_key(item, meta.key)
        found = places.get(identity(item[meta.key]))
        if found is not None:
            original[found] = _merged(original[found], item, meta.node, work)
        else:
            places[identity(item[meta.key])] = len(original)
            original.append(item)
    return original


def _arranged(
    merged: Items, present: Items, patch_order: Items, server_order: Items, key: str, of_maps: bool
) -> Items:
    """The patch's items in its order, the server's in its own, and both together as the server had them."""
    listed = {_one_key(each, "") if not key else _loose_key(each, key) for each in present}
    mine: Items = []
    others: Items = []
    for item in merged:
        (mine if (_one_key(item, key)) in listed else others).append(item)
    if of_maps:
        for item in (*merged, *patch_order, *server_order):
            _one_key(item, key)
    return in_order(mine, others, patch_order, server_order, key if of_maps else "")


def _loose_key(item: Any, key: str) -> Identity | None:
    if not isinstance(item, dict):
        raise plain_error("value for key 0 is not a map")
    return identity(item[key]) if key in item else None
