# cython: language_level=3
"""An applied configuration is checked, merged into an object, and what it left out is taken from it.

Source: structured-merge-diff v6, typed/validate.go, typed/merge.go and typed/remove.go. Results share what did not
change with the arguments, which are not changed themselves.
"""

from kcore_native.fieldset.sets cimport is_member
from kcore_native.fieldset.shape cimport Shape, field_key, item_key

from json import loads

from kcore_native.fieldset.shape import ShapeError

DEPTH_MAX = 1000  # levels of an object that are walked; more is refused


cdef str role(Shape shape, object value):
    """As what a value is treated: its own kind where the shape has it, else the shape's first (map, scalar, list)."""
    kind = type(value)
    if kind is dict:
        if shape.is_map:
            return "map"
    elif kind is list:
        if shape.is_list:
            return "list"
    elif value is not None and shape.scalar:
        return "scalar"
    return "map" if shape.is_map else "scalar" if shape.scalar else "list"


def merge(Shape shape, left, right):
    """Left with all that right says; right's order of list items where the two share some. Both are valid."""
    return merged(shape, left, right, 0)


cdef object merged(Shape shape, object left, object right, int depth):
    if depth > DEPTH_MAX:
        raise ValueError("the object is nested too deeply")
    as_right = role(shape, right)
    if right is not None and left is not None and role(shape, left) != as_right:
        return right
    if right is None and left is not None:
        as_right = role(shape, left) if not (shape.is_map and shape.scalar) else "map"
    if as_right == "map":
        no_left = type(left) is not dict or not left
        no_right = type(right) is not dict or not right
        if shape.map_atomic or no_left and no_right:
            return right
        if no_right:
            return left
        return right if no_left else merged_maps(shape, left, right, depth)
    if as_right == "list":
        no_left = type(left) is not list or not left
        no_right = type(right) is not list or not right
        if shape.list_atomic or no_left and no_right:
            return right
        if no_right:
            return left
        return merged_lists(shape, [] if no_left else left, right, depth)
    return right


cdef dict merged_maps(Shape shape, dict left, dict right, int depth):
    cdef dict made = left.copy()
    cdef Shape below
    for key, value in right.items():
        if key in left:
            below = shape.of_field(key)
            made[key] = value if below is None else merged(below, left[key], value, depth + 1)
        else:
            made[key] = value
    return made


cdef list merged_lists(Shape shape, list left, list right, int depth):
    """Left's items with right's merged in; the order is right's among shared items, left's among the others."""
    cdef list left_keys = [item_key(shape, each) for each in left]
    cdef list right_keys = [item_key(shape, each) for each in right]
    cdef dict left_items = {}
    cdef dict right_items = dict(zip(right_keys, right))
    cdef set done = set()
    cdef list made = []
    cdef list shared
    cdef int i = 0
    cdef int j = 0
    cdef int next_shared = 0
    for key, value in zip(left_keys, left):
        left_items[key] = None if key in left_items else value  # repeated items are not merged with the new one
    shared = [key for key in right_keys if key in left_items]
    while i < len(left_keys) or j < len(right_keys):
        if i < len(left_keys) and j < len(right_keys):
            key = left_keys[i]
            if key == right_keys[j]:
                done.add(key)
                made.append(merged_item(shape.item, left_items, right_items, key, depth))
                i += 1
                j += 1
                next_shared += 1
                continue
            if key in right_items and next_shared < len(shared) and shared[next_shared] != key:
                i += 1  # shared, and not the one whose turn it is
                continue
        if i < len(left_keys):
            key = left_keys[i]
            if key not in right_items:
                made.append(left[i])
                i += 1
                continue
            if key in done:
                i += 1
        if j < len(right_keys):
            key = right_keys[j]
            done.add(key)
            made.append(merged_item(shape.item, left_items, right_items, key, depth))
            j += 1
            if next_shared < len(shared) and shared[next_shared] == key:
                next_shared += 1
    return made


cdef object merged_item(Shape shape, dict left_items, dict right_items, str key, int depth):
    if key not in left_items:
        return right_items[key]
    return merged(shape, left_items[key], right_items[key], depth + 1)


def remove_items(Shape shape, value, dict items):
    """The value without the fields and list items of the set; a container emptied from inside stays, empty."""
    return removed(shape, value, items)


cdef object removed(Shape shape, object value, dict items):
    as_what = role(shape, value)
    if as_what == "scalar":
        return value
    if as_what == "list":
        return removed_from_list(shape, value, items) if type(value) is list else None
    return removed_from_map(shape, value, items) if type(value) is dict else None


cdef object kept_container(object before, object after):
    if after is None:
        if type(before) is dict:
            return {}
        if type(before) is list:
            return []
    return after


cdef object removed_from_map(Shape shape, dict value, dict items):
    cdef dict made = {}
    cdef bint matched = False
    cdef Shape below
    if not value or shape.map_atomic:
        return None
    for key, child in value.items():
        node = items.get(field_key(key))
        if node is not None:
            if is_member(node):
                continue
            matched = True
            below = shape.of_field(key)
            if below is not None:
                child = kept_container(child, removed(below, child, node))
        made[key] = child
    return made if made or matched else None


cdef object removed_from_list(Shape shape, list value, dict items):
    cdef list made = []
    cdef bint matched = False
    if not value or shape.list_atomic:
        return None
    for child in value:
        try:
            node = items.get(item_key(shape, child))
        except ShapeError:
            node = None
        if node is not None:
            if is_member(node):
                continue
            matched = True
            child = kept_container(child, removed(shape.item, child, node))
        made.append(child)
    return made if made or matched else None


def faults(Shape shape, value, bint allow_repeated=False):
    """Where the value is not of its shape, as (path, message), in upstream's words; empty where it is."""
    cdef list found = []
    check(shape, value, "", allow_repeated, found, 0)
    return found


cdef check(Shape shape, object value, str path, bint allow_repeated, list found, int depth):
    if depth > DEPTH_MAX:
        raise ValueError("the object is nested too deeply")
    as_what = role(shape, value)
    if value is None:
        return
    if as_what == "scalar":
        check_scalar(shape, value, path, found)
    elif as_what == "map":
        if type(value) is not dict:
            found.append((path, f"expected map, got &{{{shown(value)}}}"))
            return
        for key, child in value.items():
            below = shape.of_field(key)
            if below is None:
                found.append((f"{path}.{key}", "field not declared in schema"))
                return
            check(below, child, f"{path}.{key}", allow_repeated, found, depth + 1)
    else:
        if type(value) is not list:
            found.append((path, f"expected list, got &{{{shown(value)}}}"))
            return
        check_items(shape, value, path, allow_repeated, found, depth)


cdef check_items(Shape shape, list value, str path, bint allow_repeated, list found, int depth):
    seen = set()
    for i, child in enumerate(value):
        if shape.list_atomic:
            where = f"[{i}]"
        else:
            try:
                key = item_key(shape, child)
            except ShapeError as error:
                found.append((path, f"element {i}: {error}"))
                return
            where = element_text(key)
            if key in seen and not allow_repeated:
                found.append((path, f"duplicate entries for key {where}"))
            seen.add(key)
        check(shape.item, child, path + where, allow_repeated, found, depth + 1)


cdef check_scalar(Shape shape, object value, str path, list found):
    kind = type(value)
    wanted = shape.scalar_type
    if wanted == "numeric":
        if kind is not int and kind is not float:
            found.append((path, f"expected numeric (int or float), got {go_type(value)}"))
    elif wanted == "string":
        if kind is not str:
            found.append((path, f"expected string, got &value.valueUnstructured{{Value:{go_syntax(value)}}}"))
    elif wanted == "boolean":
        if kind is not bool:
            found.append((path, f"expected boolean, got &{{{shown(value)}}}"))
    elif kind is dict or kind is list:
        found.append((path, f"expected any scalar, got &{{{shown(value)}}}"))


cdef str go_type(object value):
    kind = type(value)
    if kind is dict:
        return "map[string]interface {}"
    if kind is list:
        return "[]interface {}"
    return {str: "string", bool: "bool", int: "int64", float: "float64"}[kind]


cdef str number(object value):
    if type(value) is float and value == int(value) and abs(value) < 1e21:
        return str(int(value))
    return str(value)


def shown(value):
    """The value as Go's ``%v`` prints it."""
    kind = type(value)
    if kind is dict:
        return "map[" + " ".join([f"{key}:{shown(value[key])}" for key in sorted(value)]) + "]"
    if kind is list:
        return "[" + " ".join([shown(each) for each in value]) + "]"
    if value is None:
        return "<nil>"
    if kind is bool:
        return "true" if value else "false"
    return value if kind is str else number(value)


def go_syntax(value):
    """The value as Go's ``%#v`` prints it."""
    kind = type(value)
    if kind is dict:
        inside = ", ".join([f"{go_quoted(key)}:{go_syntax(value[key])}" for key in sorted(value)])
        return "map[string]interface {}{" + inside + "}"
    if kind is list:
        return "[]interface {}{" + ", ".join([go_syntax(each) for each in value]) + "}"
    if value is None:
        return "interface {}(nil)"
    return go_quoted(value) if kind is str else shown(value)


def go_quoted(str text):
    """The string as Go's ``%q`` prints it, for what keys and values are made of."""
    made = []
    for char in text:
        code = ord(char)
        if char in '"\\':
            made.append("\\" + char)
        elif char in "\a\b\f\n\r\t\v":
            made.append({"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}[char])
        elif char.isprintable():
            made.append(char)
        elif code < 0x80:
            made.append(f"\\x{code:02x}")
        else:
            made.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return '"' + "".join(made) + '"'


def element_text(str element):
    """The path element as messages show it: ``.name``, ``[name="a",port=80]``, ``[="x"]``, ``[0]``."""
    text = element[2:]
    if element[0] == "f":
        return "." + text
    if element[0] == "i":
        return f"[{text}]"
    if element[0] == "v":
        return f"[={value_text(loads(text))}]"
    fields = loads(text)
    return "[" + ",".join([f"{name}={value_text(fields[name])}" for name in sorted(fields)]) + "]"


def path_text(tuple path):
    """The path as messages show it."""
    return "".join([element_text(element) for element in path])


cdef str value_text(object value):
    if value is None:
        return "null"
    if type(value) is str:
        return go_quoted(value)
    if type(value) is list:
        return "[" + ",".join([value_text(each) for each in value]) + "]"
    if type(value) is dict:
        return "".join([f"{key}={value_text(value[key])}" for key in sorted(value)])
    return shown(value)
