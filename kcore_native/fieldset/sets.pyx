# cython: language_level=3
"""Sets of fields as the tries that fieldsV1 is: union, difference, intersection, and what is a member.

Source: structured-merge-diff v6, fieldpath/set.go and serialize.go. A trie node is a dict from path elements
(``f:name``, ``k:{...}``, ``v:...``, ``i:0``) to nodes; ``{}`` is a member without children, ``"."`` beside children
says that the node is itself a member. The root is the empty set where it is empty, and is never a member.
Nothing here changes its arguments, and results share nodes with them.
"""

from cpython.dict cimport PyDict_GetItem, PyDict_Next
from cpython.ref cimport PyObject
from cpython.unicode cimport PyUnicode_Compare

from kcore_native.fieldset.shape cimport Shape, key_value_text, quoted

from json import loads

DEPTH_MAX = 1000  # nested path elements of one set read from outside
ELEMENTS_MAX = 65536  # path elements whose canonical form is kept
ORDERS_MAX = 8192  # lists of siblings whose order is kept

cdef dict LEAF = {}
cdef dict canonical_elements = {}


cdef bint is_member(dict node):
    return not node or "." in node


cdef bint has_children(dict node):
    return len(node) > 1 or (len(node) == 1 and "." not in node)


cdef dict child_union(dict left, dict right):
    cdef dict made
    if left is right:
        return left
    if not left:
        return right if is_member(right) else {".": LEAF, **right}
    if not right:
        return left if is_member(left) else {".": LEAF, **left}
    made = left.copy()
    merge_into(made, right)
    return made


cdef merge_into(dict made, dict right):
    cdef Py_ssize_t at = 0
    cdef PyObject *key
    cdef PyObject *value
    cdef PyObject *found
    while PyDict_Next(right, &at, &key, &value):
        found = PyDict_GetItem(made, <object>key)
        if found is NULL:
            made[<object>key] = <object>value
        elif found is not value:
            made[<object>key] = child_union(<dict>found, <dict>value)


cpdef dict union(dict left, dict right):
    """What is in either."""
    cdef dict made
    if not left:
        return right
    if not right or left is right:
        return left
    made = left.copy()
    merge_into(made, right)
    return made


cdef dict finished(dict children, bint member):
    """A node of these children; None where it would be nothing."""
    if member:
        if children:
            children["."] = LEAF
            return children
        return LEAF
    return children if children else None


cdef dict common(dict left, dict right):
    cdef Py_ssize_t at = 0
    cdef PyObject *key
    cdef PyObject *value
    cdef PyObject *found
    cdef dict made = {}
    cdef dict child
    if len(right) < len(left):
        left, right = right, left
    while PyDict_Next(left, &at, &key, &value):
        if <object>key == ".":
            continue
        found = PyDict_GetItem(right, <object>key)
        if found is not NULL:
            child = common_child(<dict>value, <dict>found)
            if child is not None:
                made[<object>key] = child
    return made


cdef dict common_child(dict left, dict right):
    if left is right:
        return left
    return finished(common(left, right), is_member(left) and is_member(right))


cpdef dict intersection(dict left, dict right):
    """What is in both."""
    return common(left, right)


cdef dict less(dict left, dict right, bint recursive):
    cdef Py_ssize_t at = 0
    cdef PyObject *key
    cdef PyObject *value
    cdef PyObject *found
    cdef dict made = {}
    cdef dict child
    while PyDict_Next(left, &at, &key, &value):
        if <object>key == ".":
            continue
        found = PyDict_GetItem(right, <object>key)
        if found is NULL:
            made[<object>key] = <object>value
            continue
        if is_member(<dict>found):
            if recursive or not has_children(<dict>value):
                continue
            child = finished(less(<dict>value, <dict>found, False), False)
        else:
            child = finished(less(<dict>value, <dict>found, recursive), is_member(<dict>value))
        if child is not None:
            made[<object>key] = child
    return made


cpdef dict difference(dict left, dict right):
    """What is in left and not in right; what lies below a member of right stays."""
    if not left or not right:
        return left
    return less(left, right, False)


cpdef dict recursive_difference(dict left, dict right):
    """What is in left, and neither in right nor below a member of right."""
    if not left or not right:
        return left
    return less(left, right, True)


cpdef dict ensure_named(dict node, Shape shape):
    """The set with every declared field a member that has members below it."""
    cdef Py_ssize_t at = 0
    cdef PyObject *key
    cdef PyObject *value
    cdef dict made = {}
    cdef dict child
    cdef Shape below
    cdef str name
    while PyDict_Next(node, &at, &key, &value):
        child = <dict>value
        if child:
            below = None
            name = <str>key
            if name[0] == "f":
                if shape is not None and shape.is_map:
                    below = shape.of_field(name[2:])
            elif name[0] == "k" and shape is not None and shape.is_list:
                below = shape.item
            child = ensure_named(child, below)
            if name[0] == "f" and "." not in child and shape is not None and shape.is_map and name[2:] in shape.fields:
                child["."] = LEAF
        made[<object>key] = child
    return made


def has(dict node, tuple path):
    """True where the path of elements is a member."""
    for element in path:
        found = node.get(element)
        if found is None:
            return False
        node = found
    return bool(path) and is_member(node)


def size(dict node):
    """How many members there are."""
    cdef Py_ssize_t count = 0
    for key, child in node.items():
        if key != ".":
            count += is_member(child) + size(child)
    return count


def members(dict node):
    """Every member as a tuple of path elements, each level before what is below it, in order."""
    found = []
    collect(ordered(node), (), found)
    return found


cdef collect(dict node, tuple prefix, list found):
    for key, child in node.items():
        if key != "." and is_member(child):
            found.append((*prefix, key))
    for key, child in node.items():
        if key != "." and has_children(child):
            collect(child, (*prefix, key), found)


def from_paths(paths):
    """The set of these paths, each a tuple of path elements."""
    cdef dict made = {}
    cdef dict node
    for path in paths:
        node = LEAF
        for element in reversed(path):
            node = {element: node}
        made = union(made, node)
    return made


cpdef dict ordered(dict node):
    """The set with the elements of each node in the order that fieldsV1 has them."""
    cdef Py_ssize_t at = 0
    cdef PyObject *key
    cdef PyObject *value
    cdef str last = None
    cdef bint sound = True
    cdef bint plain = True
    cdef bint same = True
    cdef Py_UCS4 first
    cdef dict child
    cdef dict made
    cdef dict inner = None
    if not node:
        return node
    while PyDict_Next(node, &at, &key, &value):
        first = (<str>key)[0]
        if first != c"f" and first != c".":
            plain = False
        if last is not None and PyUnicode_Compare(last, <object>key) > 0:
            sound = False
        last = <str>key
        if <dict>value:
            child = ordered(<dict>value)
            if <PyObject *>child is not value:
                if inner is None:
                    inner = {}
                inner[last] = child
    if len(node) == 1:
        sound = plain = True
    if sound and plain:
        if inner is None:
            return node
        made = node.copy()
        made.update(inner)
        return made
    made = {}
    for each in order_of_all(node, plain):
        made[each] = node[each]
    if inner is not None:
        made.update(inner)
    if sound and inner is None and list(made) == list(node):
        return node
    return made


cdef tuple order_of_all(dict node, bint plain):
    """The elements of the node in order; sibling objects mostly have the same ones, so the answers are kept."""
    given = tuple(node)
    found = known_orders.get(given)
    if found is None:
        if len(known_orders) >= ORDERS_MAX:
            known_orders.clear()
        found = known_orders[given] = tuple(sorted(given) if plain else sorted(given, key=order_of))
    return found


cdef dict RANKS = {".": 0, "f": 1, "k": 2, "v": 3, "i": 4}
cdef dict orders = {}
cdef dict known_orders = {}


def order_of(str element):
    """Sorts path elements: fields, then keys, then values, then indices (fieldpath/element.go, Compare)."""
    found = orders.get(element)
    if found is None:
        if len(orders) >= ELEMENTS_MAX:
            orders.clear()
        found = orders[element] = read_order(element)
    return found


cdef tuple read_order(str element):
    rank = RANKS[element[0]]
    text = element[2:]
    if rank == 2:
        return (rank, tuple([(name, value_order(value)) for name, value in sorted(loads(text).items())]))
    if rank == 3:
        return (rank, value_order(loads(text)))
    if rank == 4:
        return (rank, int(text))
    return (rank, text)


cdef tuple value_order(object value):
    """Numbers, strings, booleans, lists, maps, null (value/value.go, Compare)."""
    if value is None:
        return (5,)
    if type(value) is bool:
        return (2, value)
    if type(value) is str:
        return (1, value)
    if type(value) is list:
        return (3, tuple([value_order(each) for each in value]))
    if type(value) is dict:
        return (4, tuple([(name, value_order(each)) for name, each in sorted(value.items())]))
    return (0, value)


cpdef str canonical(str element):
    """The element as we write it; None for a kind of element that is not known; ValueError for a malformed one."""
    cdef PyObject *found = PyDict_GetItem(canonical_elements, element)
    if found is not NULL:
        return <object>found
    made = read_element(element)
    if len(canonical_elements) >= ELEMENTS_MAX:
        canonical_elements.clear()
    canonical_elements[element] = made
    return made


cdef object read_element(str element):
    if len(element) < 2:
        raise ValueError("key must be 2 characters long:")
    if element[1] != ":":
        raise ValueError(f"missing colon: {element}")
    text = element[2:]
    if element[0] == "f":
        return element
    if element[0] == "v":
        return "v:" + key_value_text(loads(text))
    if element[0] == "i":
        return f"i:{int(text)}"
    if element[0] == "k":
        fields = loads(text)
        if type(fields) is not dict:
            raise ValueError(f"expected an object: {text}")
        return "k:{" + ",".join([quoted(name) + ":" + key_value_text(fields[name]) for name in sorted(fields)]) + "}"
    return None


def decode(fields):
    """The set that a fieldsV1 value from outside is, in canonical form; ValueError where it is none."""
    if type(fields) is not dict:
        raise ValueError("fieldsV1 is not an object")
    if "." not in fields and is_canonical(fields, 0):
        return fields
    found = read_node(fields, 0)
    if "." in found:
        found.pop(".")
    return found


cdef bint is_canonical(dict raw, int depth) except -1:
    """True for what is as we write it, but for the order."""
    cdef Py_ssize_t at = 0
    cdef PyObject *key
    cdef PyObject *value
    cdef PyObject *known
    if depth > DEPTH_MAX:
        raise ValueError("fieldsV1 is nested too deeply")
    while PyDict_Next(raw, &at, &key, &value):
        if type(<object>value) is not dict:
            return False
        known = PyDict_GetItem(canonical_elements, <object>key)
        if known is not key and (known is NULL or <object>known != <object>key):
            if <object>key != "." or len(raw) == 1 or <dict>value:
                return False
        if <dict>value and not is_canonical(<dict>value, depth + 1):
            return False
    return True


cdef dict read_node(dict raw, int depth):
    cdef dict made = {}
    cdef str element
    if depth > DEPTH_MAX:
        raise ValueError("fieldsV1 is nested too deeply")
    for key, value in raw.items():
        if key == ".":
            made["."] = LEAF
            continue
        element = canonical(key)
        if element is None:
            continue
        if type(value) is not dict:
            raise ValueError(f"fieldsV1 has no object at {key}")
        child = read_node(value, depth + 1) if value else LEAF
        if len(child) == 1 and "." in child:
            child = LEAF
        made[element] = child_union(made[element], child) if element in made else child
    return made
