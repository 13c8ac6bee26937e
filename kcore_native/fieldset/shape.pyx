# cython: language_level=3
"""A schema node is compiled to its merge semantics: what is one field, what is granular, how list items are named.

Source: structured-merge-diff v6, schema/elements.go and typed/helpers.go; kube-openapi pkg/schemaconv/openapi.go.
A path element is the text that fieldsV1 has for it: ``f:name``, ``k:{"name":"a"}``, ``v:"x"``.
"""

from cpython.dict cimport PyDict_GetItem, PyDict_SetItem
from cpython.ref cimport PyObject
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ

SHAPES_MAX = 4096  # compiled nodes kept; then all are forgotten and compiled again when asked for
FIELD_KEYS_MAX = 65536  # names of map members whose path element is kept

# Keys of list items that have a default in the OpenAPI document beyond the zero value of a required field.
KEY_DEFAULTS = {
    "io.k8s.api.core.v1.ContainerPort": {"protocol": "TCP"},
    "io.k8s.api.core.v1.ServicePort": {"protocol": "TCP"},
    "io.k8s.api.core.v1.LocalObjectReference": {"name": ""},
}
RAW_EXTENSION = "io.k8s.apimachinery.pkg.runtime.RawExtension"

cdef dict SCALARS = {
    "string": "string", "bytes": "string", "integer": "numeric", "number": "numeric", "boolean": "boolean",
    "time": "untyped", "quantity": "untyped", "int-or-string": "untyped",
}
cdef dict ZEROS = {"string": "", "integer": 0, "number": 0, "boolean": False, "quantity": "0", "int-or-string": 0}

cdef dict compiled = {}
cdef dict field_keys = {}


class ShapeError(ValueError):
    """A value is not what its schema says, or an item of an associative list has no usable key."""


cdef class Field:
    """A declared field: its path element and its shape."""


cdef class Shape:
    """One schema node. At least one of ``scalar``, ``is_map`` and ``is_list`` is true.

    ``fields`` are the declared ones by name, ``element`` is what undeclared map members have (None: not allowed),
    ``item`` what list items have; ``keys`` name the items of an associative list (empty: it is a set), in order.
    ``zero`` is the object as Go's encoder writes its zero value, which is what a create is compared with.
    """

    def __cinit__(self):
        self.fields = {}
        self.key_defaults = {}
        self.keys = ()
        self.zero = {}

    cdef Shape of_field(self, str name):
        cdef PyObject *found = PyDict_GetItem(self.fields, name)
        if found is NULL:
            return self.element
        return (<Field>found).shape

    def declares(self, str name):
        """True for a field of the schema, not for a member of a map."""
        return name in self.fields


cdef Shape deduced_shape():
    """A value without schema: maps are granular, lists are atomic."""
    cdef Shape atomic = Shape()
    cdef Shape shape = Shape()
    for each in (atomic, shape):
        (<Shape>each).scalar = (<Shape>each).is_map = (<Shape>each).is_list = (<Shape>each).list_atomic = True
        (<Shape>each).scalar_type = "untyped"
        (<Shape>each).item = atomic
    atomic.map_atomic = True
    atomic.element = atomic
    shape.element = shape
    shape.deduced = True
    return shape


cdef Shape DEDUCED = deduced_shape()
cdef Shape ATOMIC = DEDUCED.item


def deduced():
    """The shape of a value without schema."""
    return DEDUCED


cpdef Shape shape_of(object node):
    """The shape of a schema node, compiled once; None stands for no schema."""
    cdef Shape shape
    if node is None:
        return DEDUCED
    found = compiled.get(id(node))
    if found is not None:
        return <Shape>(<tuple>found)[1]
    if len(compiled) >= SHAPES_MAX:
        compiled.clear()
    if node.definition == RAW_EXTENSION:
        shape = ATOMIC
    elif node.kind == "any":
        shape = DEDUCED
    else:
        shape = Shape()
    compiled[id(node)] = (node, shape)  # holds the node, so that its id stays its own
    if shape is not DEDUCED and shape is not ATOMIC:
        compile_node(shape, node)
    return shape


cdef compile_node(Shape shape, object node):
    cdef str kind = node.kind
    if kind == "object" or kind == "map":
        shape.is_map = True
        shape.map_atomic = node.map_type == "atomic"
        for name, child in node.fields.items():
            shape.fields[name] = new_field(name, shape_of(child))
        if node.items is not None:
            shape.element = shape_of(node.items)
        elif kind == "map" or not node.fields:
            shape.element = DEDUCED
        shape.deduced = shape.element is DEDUCED and not shape.fields
        shape.zero = zero_of(node)
    elif kind == "list":
        shape.is_list = True
        compile_list(shape, node)
    else:
        shape.scalar = True
        shape.scalar_type = SCALARS.get(kind, "untyped")


cdef Field new_field(str name, Shape child):
    cdef Field field = Field()
    field.key = field_key(name)
    field.shape = child
    return field


cdef compile_list(Shape shape, object node):
    """Set and map lists are associative; without a list type the patch strategy decides, as upstream's converter."""
    items = node.items
    shape.item = shape_of(items)
    keys = tuple(node.list_keys)
    list_type = node.list_type
    if not list_type and "merge" in node.patch_strategies:
        list_type = "map" if node.patch_merge_key else "set"
        keys = (node.patch_merge_key,) if node.patch_merge_key else ()
    shape.list_atomic = list_type not in ("map", "set")
    if list_type != "map":
        return
    shape.keys = tuple(sorted(keys))
    shape.key_defaults = key_defaults(items, shape.keys)
    if len(shape.keys) == 1:
        shape.key_prefix = "k:{" + quoted(shape.keys[0]) + ":"


cdef dict key_defaults(object items, tuple keys):
    cdef dict made = {}
    defaults = getattr(items, "defaults", None) or {}
    known = KEY_DEFAULTS.get(items.definition, {})
    for key in keys:
        if key in defaults:
            made[key] = defaults[key]
        elif key in known:
            made[key] = known[key]
        elif key in items.required and key in items.fields:
            zero = ZEROS.get(items.fields[key].kind)
            if zero is not None:
                made[key] = zero
    return made


cdef dict zero_of(object node):
    """The object as Go writes its zero value: required fields, and structs that no pointer holds, whatever they hold.

    ``required`` says that a field is written always, ``omitempty`` lists fields that are no pointers; a struct among
    those is written nevertheless.
    """
    cdef dict made = {}
    for name, child in node.fields.items():
        if child.kind == "object" and child.fields:
            if name in node.omitempty or name in node.required:
                made[name] = zero_of(child)
        elif name in node.required:
            made[name] = ZEROS.get(child.kind)
    return made


cdef str field_key(str name):
    cdef PyObject *found = PyDict_GetItem(field_keys, name)
    if found is not NULL:
        return <str>found
    if len(field_keys) >= FIELD_KEYS_MAX:
        field_keys.clear()
    key = "f:" + name
    PyDict_SetItem(field_keys, name, key)
    return key


cdef bint is_plain(str text):
    """True where JSON writes the text as it is, with Go's escapes for HTML on."""
    cdef Py_ssize_t i
    cdef Py_UCS4 char
    cdef Py_ssize_t length = len(text)
    for i in range(length):
        char = text[i]
        if char < 0x20 or char == 0x22 or char == 0x5C or char == 0x3C or char == 0x3E or char == 0x26:
            return False
        if char == 0x2028 or char == 0x2029:
            return False
    return True


cdef str quoted(str text):
    """The string in JSON as Go writes it."""
    if is_plain(text):
        return '"' + text + '"'
    parts = []
    for char in text:
        code = ord(char)
        if char == '"' or char == "\\":
            parts.append("\\" + char)
        elif char == "\n":
            parts.append("\\n")
        elif char == "\r":
            parts.append("\\r")
        elif char == "\t":
            parts.append("\\t")
        elif code < 0x20 or char in "<>&\u2028\u2029":
            parts.append(f"\\u{code:04x}")
        else:
            parts.append(char)
    return '"' + "".join(parts) + '"'


cdef str scalar_text(object value):
    """The scalar in JSON as Go writes it."""
    if type(value) is str:
        return quoted(value)
    if value is True:
        return "true"
    if value is False:
        return "false"
    if value is None:
        return "null"
    if type(value) is float:
        return float_text(value)
    return str(value)


cdef str float_text(double value):
    if value == <double><long long>value and -1e15 < value < 1e15:
        return str(<long long>value)
    text = repr(value)
    if "e" in text:  # Go: exponents of at least two digits without a plus, and from 1e21 on only
        mantissa, _, exponent = text.partition("e")
        power = int(exponent)
        if 0 <= power < 21:
            return str(int(value))
        if -6 <= power < 0:
            return f"{value:.{len(mantissa.replace('-', '').replace('.', '')) - 1 - power}f}"
        return f"{mantissa}e{'+' if power > 0 else '-'}{abs(power)}"
    return text


cdef str item_key(Shape shape, object child):
    """The path element of an item of an associative list (typed/helpers.go, listItemToPathElement)."""
    cdef dict item
    cdef PyObject *found
    if shape.key_prefix is not None and type(child) is dict:
        found = PyDict_GetItem(<dict>child, shape.keys[0])
        if found is not NULL:
            return shape.key_prefix + scalar_text(<object>found) + "}"
    if not shape.keys:
        return value_key(child)
    if child is None:
        raise ShapeError("associative list with keys may not have a null element")
    if type(child) is not dict:
        raise ShapeError("associative list with keys may not have non-map elements")
    item = <dict>child
    parts = []
    for key in shape.keys:
        if key in item:
            value = item[key]
        elif key in shape.key_defaults:
            value = shape.key_defaults[key]
        else:
            continue
        parts.append(quoted(key) + ":" + key_value_text(value))
    if not parts:
        names = " ".join([quoted(key) for key in shape.keys])
        raise ShapeError(
            f"associative list with keys has an element that omits all key fields [{names}] "
            "(and doesn't have default values for any key fields)"
        )
    return "k:{" + ",".join(parts) + "}"


cdef str key_value_text(object value):
    if type(value) is dict:
        return "{" + ",".join([quoted(k) + ":" + key_value_text(value[k]) for k in sorted(value)]) + "}"
    if type(value) is list:
        return "[" + ",".join([key_value_text(each) for each in value]) + "]"
    return scalar_text(value)


cdef str value_key(object child):
    if type(child) is dict:
        raise ShapeError("associative list without keys has an element that's a map type")
    if type(child) is list:
        raise ShapeError("not supported: associative list with lists as elements")
    if child is None:
        raise ShapeError("associative list without keys has an element that's an explicit null")
    return "v:" + scalar_text(child)


def element_of_field(str name):
    """The path element of a field or of a member of a map."""
    return field_key(name)


def element_of_item(Shape shape, child):
    """The path element of an item of an associative list; ShapeError where it can have none."""
    return item_key(shape, child)


def element_of_key(fields):
    """The path element of a list item named by these fields, sorted by their names."""
    return "k:{" + ",".join([quoted(name) + ":" + key_value_text(fields[name]) for name in sorted(fields)]) + "}"


def element_of_value(value):
    """The path element of an item of a set."""
    return "v:" + key_value_text(value)
