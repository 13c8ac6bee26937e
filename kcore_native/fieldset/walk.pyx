# cython: language_level=3
"""Objects are walked by their shape: which fields one has, and which differ between two.

Source: structured-merge-diff v6, typed/tofieldset.go and typed/compare.go.
"""

from cpython.dict cimport PyDict_GetItem, PyDict_Next
from cpython.ref cimport PyObject

from kcore_native.fieldset.sets cimport LEAF, child_union
from kcore_native.fieldset.shape cimport Field, Shape, field_key, item_key

DEPTH_MAX = 1000  # levels of an object that are walked; more is refused


class TooDeep(ValueError):
    """The object is nested deeper than DEPTH_MAX."""


cdef class Repeated:
    """The items of a list that have one key between them."""

    cdef list values


cdef enum:
    NOTHING = 0
    SCALAR = 1
    LIST = 2
    MAP = 3


cdef inline int kind_of(object value):
    if type(value) is dict:
        return MAP
    if type(value) is list:
        return LIST
    return NOTHING if value is None else SCALAR


cdef int role(Shape shape, int kind):
    """As what a value is treated: its own kind where the shape has it, else the shape's first (map, scalar, list)."""
    if kind == MAP and shape.is_map or kind == LIST and shape.is_list or kind == SCALAR and shape.scalar:
        return kind
    return MAP if shape.is_map else SCALAR if shape.scalar else LIST


cdef bint same(object left, object right):
    """Equal values, where a boolean is no number (value/value.go, EqualsUsing)."""
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t i
    cdef PyObject *key
    cdef PyObject *value
    cdef PyObject *found
    if left is right:
        return True
    kind = type(left)
    if kind is not type(right):
        if kind is bool or type(right) is bool:
            return False
        return kind_of(left) == SCALAR and kind_of(right) == SCALAR and left == right
    if kind is dict:
        if len(<dict>left) != len(<dict>right):
            return False
        while PyDict_Next(<dict>left, &at, &key, &value):
            found = PyDict_GetItem(<dict>right, <object>key)
            if found is NULL or not same(<object>value, <object>found):
                return False
        return True
    if kind is list:
        if len(<list>left) != len(<list>right):
            return False
        for i in range(len(<list>left)):
            if not same((<list>left)[i], (<list>right)[i]):
                return False
        return True
    return left == right


def equal(left, right):
    """True for equal values; a boolean is no number, an integer equals the float of its value."""
    return same(left, right)


cdef dict whole(Shape shape, object value, int depth):
    """The node of a value that is on one side only: every level of it is a member."""
    cdef int kind = kind_of(value)
    cdef int as_what = role(shape, kind)
    cdef dict made
    if depth > DEPTH_MAX:
        raise TooDeep("the object is nested too deeply")
    if as_what == SCALAR or kind != as_what:
        return LEAF
    if as_what == MAP:
        if shape.map_atomic or not <dict>value:
            return LEAF
        made = {".": LEAF}
        whole_map(shape, <dict>value, made, depth + 1)
        return made
    if shape.list_atomic or not <list>value:
        return LEAF
    made = {".": LEAF}
    for key, child in index_items(shape, <list>value).items():
        made[key] = LEAF if type(child) is Repeated else whole(shape.item, child, depth + 1)
    return made


cdef whole_map(Shape shape, dict value, dict made, int depth):
    cdef Py_ssize_t at = 0
    cdef PyObject *key
    cdef PyObject *child
    cdef PyObject *found
    cdef Field field
    while PyDict_Next(value, &at, &key, &child):
        found = PyDict_GetItem(shape.fields, <object>key)
        if found is not NULL:
            field = <Field>found
            made[field.key] = whole(field.shape, <object>child, depth)
        elif shape.element is not None:
            made[field_key(<object>key)] = whole(shape.element, <object>child, depth)
        else:
            made[field_key(<object>key)] = LEAF


cdef dict index_items(Shape shape, list items):
    """The items by path element, in order of first sight; several of one are Repeated."""
    cdef dict made = {}
    cdef PyObject *found
    cdef str key
    cdef Repeated repeated
    for child in items:
        key = item_key(shape, child)
        found = PyDict_GetItem(made, key)
        if found is NULL:
            made[key] = child
        elif type(<object>found) is Repeated:
            (<Repeated>found).values.append(child)
        else:
            repeated = Repeated()
            repeated.values = [<object>found, child]
            made[key] = repeated
    return made


cdef class Comparison:
    """What differs between two objects: ``changed`` are the fields added or modified, ``removed`` those that are gone.

    Upstream tells added and modified fields apart and then uses their union everywhere.
    """

    cdef readonly dict changed
    cdef readonly dict removed

    def __init__(self, Shape shape, left, right):
        self.changed = {}
        self.removed = {}
        if left is not right:
            self.both(shape, left, right, self.changed, self.removed, 0)

    cdef bint both(self, Shape shape, object left, object right, dict changed, dict removed, int depth) except -1:
        """Fills in what differs below; true where the value itself is modified."""
        cdef int left_kind = kind_of(left)
        cdef int right_kind = kind_of(right)
        cdef int as_left
        cdef int as_right
        if depth > DEPTH_MAX:
            raise TooDeep("the object is nested too deeply")
        if left_kind == SCALAR and right_kind == SCALAR and shape.scalar:
            return not same(left, right)
        as_left = role(shape, left_kind)
        as_right = role(shape, right_kind)
        if left_kind == NOTHING and right_kind != NOTHING:
            as_left = as_right
        elif right_kind == NOTHING and left_kind != NOTHING:
            as_right = as_left
        if as_left == as_right:
            return self.walk(as_left, shape, left, right, changed, removed, depth)
        modified = self.walk(as_left, shape, left, right, changed, removed, depth)
        return self.walk(as_right, shape, left, right, changed, removed, depth) or modified

    cdef bint walk(
        self, int as_what, Shape shape, object left, object right, dict changed, dict removed, int depth
    ) except -1:
        cdef bint no_left
        cdef bint no_right
        if as_what == SCALAR:
            return not same(left, right)
        if as_what == MAP:
            no_left = type(left) is not dict or not <dict>left
            no_right = type(right) is not dict or not <dict>right
            if shape.map_atomic or no_left and no_right:
                return not same(left, right)
            self.maps(shape, LEAF if no_left else <dict>left, LEAF if no_right else <dict>right, changed, removed, depth)
            return False
        no_left = type(left) is not list or not <list>left
        no_right = type(right) is not list or not <list>right
        if shape.list_atomic or no_left and no_right:
            return not same(left, right)
        self.lists(shape, [] if no_left else <list>left, [] if no_right else <list>right, changed, removed, depth)
        return False

    cdef maps(self, Shape shape, dict left, dict right, dict changed, dict removed, int depth):
        cdef Py_ssize_t at = 0
        cdef PyObject *key
        cdef PyObject *value
        cdef PyObject *found
        cdef Shape child
        while PyDict_Next(right, &at, &key, &value):
            found = PyDict_GetItem(left, <object>key)
            if found is value:
                continue
            child = shape.of_field(<str>key)
            if found is not NULL:
                self.child(child, field_key(<str>key), <object>found, <object>value, changed, removed, depth)
            else:
                add(changed, field_key(<str>key), LEAF if child is None else whole(child, <object>value, depth + 1))
        at = 0
        while PyDict_Next(left, &at, &key, &value):
            if PyDict_GetItem(right, <object>key) is NULL:
                child = shape.of_field(<str>key)
                add(removed, field_key(<str>key), LEAF if child is None else whole(child, <object>value, depth + 1))

    cdef child(
        self, Shape shape, str key, object left, object right, dict changed, dict removed, int depth
    ):
        cdef dict below
        cdef dict gone
        cdef bint modified
        if type(left) is str and type(right) is str and shape is not None and shape.scalar:
            if <str>left != <str>right:
                add(changed, key, LEAF)
            return
        if shape is None or shape.scalar and kind_of(left) == SCALAR and kind_of(right) == SCALAR:
            if not same(left, right):
                add(changed, key, LEAF)
            return
        below = {}
        gone = {}
        modified = self.both(shape, left, right, below, gone, depth + 1)
        if modified:
            if below:
                below["."] = LEAF
            add(changed, key, below)
        elif below:
            add(changed, key, below)
        if gone:
            add(removed, key, gone)

    cdef lists(self, Shape shape, list left, list right, dict changed, dict removed, int depth):
        cdef dict old = index_items(shape, left)
        cdef dict new = index_items(shape, right)
        cdef Py_ssize_t at = 0
        cdef PyObject *key
        cdef PyObject *value
        cdef PyObject *found
        while PyDict_Next(old, &at, &key, &value):
            found = PyDict_GetItem(new, <object>key)
            if found is NULL:
                add(removed, <str>key, whole_item(shape.item, <object>value, depth))
            elif found is not value:
                self.items(shape.item, <str>key, <object>value, <object>found, changed, removed, depth)
        at = 0
        while PyDict_Next(new, &at, &key, &value):
            if PyDict_GetItem(old, <object>key) is NULL:
                add(changed, <str>key, whole_item(shape.item, <object>value, depth))

    cdef items(self, Shape shape, str key, object left, object right, dict changed, dict removed, int depth):
        """One key on both sides; several items of one key are one field, whatever they hold."""
        cdef bint left_repeated = type(left) is Repeated
        cdef bint right_repeated = type(right) is Repeated
        if not left_repeated and not right_repeated:
            self.child(shape, key, left, right, changed, removed, depth)
        elif left_repeated and right_repeated:
            if not same((<Repeated>left).values, (<Repeated>right).values):
                add(changed, key, LEAF)
        elif left_repeated:
            add(changed, key, whole(shape, right, depth + 1))
            add(removed, key, LEAF)
        else:
            add(removed, key, whole(shape, left, depth + 1))
            add(changed, key, LEAF)


cdef dict whole_item(Shape shape, object value, int depth):
    return LEAF if type(value) is Repeated else whole(shape, value, depth + 1)


cdef add(dict into, str key, dict node):
    """Two walks of one value (its sides are of different kinds) may both say something of a field."""
    cdef PyObject *found = PyDict_GetItem(into, key)
    into[key] = node if found is NULL else child_union(<dict>found, node)


def to_set(Shape shape, value):
    """The set of an object's own fields, as apply takes them: leaves, list items, members of maps, empty maps."""
    cdef dict made = {}
    own(shape, value, made, 0)
    return made


cdef bint own(Shape shape, object value, dict made, int depth) except -1:
    """Fills in the fields below; true where the value is a field itself."""
    cdef int kind = kind_of(value)
    cdef int as_what = role(shape, kind)
    if depth > DEPTH_MAX:
        raise TooDeep("the object is nested too deeply")
    if as_what == SCALAR:
        return True
    if as_what == MAP:
        if shape.map_atomic:
            return True
        if kind == MAP:
            own_map(shape, <dict>value, made, depth)
        return False
    if shape.list_atomic:
        return True
    if kind == LIST:
        for key, child in index_items(shape, <list>value).items():
            below = {}
            if type(child) is not Repeated:
                own(shape.item, child, below, depth + 1)
                if below:
                    below["."] = LEAF
            made[key] = below
    return False


cdef own_map(Shape shape, dict value, dict made, int depth):
    cdef Py_ssize_t at = 0
    cdef PyObject *key
    cdef PyObject *held
    cdef Shape below_shape
    cdef dict below
    cdef bint member
    while PyDict_Next(value, &at, &key, &held):
        child = <object>held
        below_shape = shape.of_field(<str>key)
        below = {}
        member = below_shape is None or own(below_shape, child, below, depth + 1)
        if not member:
            member = child is None or type(child) is dict and not <dict>child or <str>key not in shape.fields
        if member:
            if below:
                below["."] = LEAF
            made[field_key(<str>key)] = below if below else LEAF
        elif below:
            made[field_key(<str>key)] = below


def reconciled(Shape shape, dict node):
    """The set as the schema of today has it: what became atomic is one field; the same object where nothing changed.

    Source: typed/reconcile_schema.go.
    """
    return reconcile(shape, node, False)


cdef dict reconcile(Shape shape, dict node, bint inside):
    cdef Py_ssize_t at = 0
    cdef PyObject *key
    cdef PyObject *value
    cdef Shape below
    cdef dict child
    cdef dict changed = None
    cdef str name
    if shape.is_map:
        if shape.deduced:
            return node
        if inside and shape.map_atomic:
            return LEAF
    elif shape.scalar:
        return node
    elif inside and shape.list_atomic:
        return LEAF
    while PyDict_Next(node, &at, &key, &value):
        if not <dict>value:
            continue
        name = <str>key
        if shape.is_map:
            below = shape.of_field(name[2:]) if name[0] == "f" else shape.element
        else:
            below = shape.item
        if below is None:
            continue
        child = reconcile(below, <dict>value, True)
        if <PyObject *>child is not value:
            if changed is None:
                changed = node.copy()
            changed[name] = child
    return node if changed is None else changed
