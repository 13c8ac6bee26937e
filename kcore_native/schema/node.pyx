# cython: language_level=3
"""The schema of a value and of all values inside it; an object walked by it becomes what Go's typed round trip leaves.

``Node.clean`` is upstream's decoding into a Go struct and encoding again: unknown fields go, nulls go, empty values go
where the json tag says omitempty, values that Go writes though nobody gave them come (``resources: {}``), quantities
and times take their canonical form. A wrong type is told in the words of sigs.k8s.io/json. Nothing here allocates for
an object that is clean already; paths are made only for a report.

What differs from Go: fields that Go writes as ``null`` (``rules`` of a role without any, ``lastProbeTime``) are absent
after ``clean``; ``write_nulls`` puts them in, for what is stored and sent. Source: sigs.k8s.io/json, encoding/json.
"""

from cpython.dict cimport PyDict_GetItem, PyDict_Next
from cpython.object cimport PyObject
from libc.math cimport isinf

from kcore_native.schema import literals
from kcore_native.schema.leaves import DEPTH_MAX, QUANTITIES_MAX, TypeMismatch, count_members
from kcore_native.schema.leaves cimport (
    depth_max, is_number, known_time, members_of, number_of, plain_base64, quantity_of, word_of
)

STRICT_ERRORS_MAX = 100  # reported unknown and duplicate fields of one document, as upstream

cdef Py_ssize_t _STRICT_ERRORS_MAX = STRICT_ERRORS_MAX

cdef enum:
    OBJECT, MAP, LIST, STRING, INT32, INT64, DOUBLE, BOOLEAN, ANY, INT_OR_STRING, QUANTITY, TIME, MICRO_TIME, BYTES
    SCHEMA_OR_BOOL, SCHEMA_OR_ARRAY, SCHEMA_OR_STRINGS

cdef dict CODES = {
    "object": OBJECT, "map": MAP, "list": LIST, "string": STRING, "integer": INT64, "number": DOUBLE,
    "boolean": BOOLEAN, "any": ANY, "int-or-string": INT_OR_STRING, "quantity": QUANTITY, "time": TIME, "bytes": BYTES,
}


cdef class Member:
    """One field of an object, as its parent's walk needs it."""

    cdef Node node
    cdef int code
    cdef bint pointer, omitempty, omitzero
    cdef str name, go_type, embedded


cdef struct Frame:  # where a walk is: a field, a map's key or a list's index; lives on the C stack
    Frame *up
    PyObject *member  # of a field: its Member
    PyObject *key  # of a field or a map
    PyObject *owner  # of a field: the Node whose field it is
    Py_ssize_t index  # of a list


cdef class Walk:
    """What one walk found."""

    cdef list unknown
    cdef object mismatch  # the first, as Go reports
    cdef Py_ssize_t members  # of all objects, unknown and null ones included
    cdef int depth
    cdef bint exact  # a quantity written as a number is refused where its text is not known


cdef str path_of(Frame *frame):
    """The place as the strict decoder names it: ``spec.containers[0].env``."""
    cdef list parts = []
    cdef str text = ""
    while frame != NULL:
        if frame.key != NULL:
            parts.append(<str><object>frame.key)
        else:
            parts.append(frame.index)
        frame = frame.up
    for part in reversed(parts):
        if type(part) is int:
            text += f"[{part}]"
        elif text:
            text += f".{part}"
        else:
            text = part
    return text


cdef object mismatch(str value, str go_type, Frame *frame, bint literal=False):
    """Go's UnmarshalTypeError at that place."""
    cdef list fields = []
    cdef str owner = ""
    cdef Member member
    while frame != NULL:
        if frame.member != NULL:
            member = <Member>frame.member
            if not fields:
                owner = (<Node>frame.owner).type_name
            fields.append(member.name)
            if member.embedded:
                fields.append(member.embedded)
        frame = frame.up
    if fields:
        fields.reverse()
        return TypeMismatch(
            f"json: cannot unmarshal {value} into Go struct field {owner}.{'.'.join(fields)} of type {go_type}", literal
        )
    return TypeMismatch(f"json: cannot unmarshal {value} into Go value of type {go_type}", literal)


cdef class Node:
    """Made once by ``kcore.api.schema``; ``complete`` sets fields and items, since schemas refer to themselves.

    ``type_name`` is the Go type's name, of lists, maps and scalars the Go type as written. ``omitempty``: fields whose
    zero value is not written.
    """

    cdef readonly str kind
    cdef readonly dict fields
    cdef readonly Node items
    cdef readonly tuple required
    cdef readonly str list_type
    cdef readonly tuple list_keys
    cdef readonly str map_type
    cdef readonly str patch_merge_key
    cdef readonly tuple patch_strategies
    cdef readonly str type_name
    cdef readonly frozenset omitempty
    cdef readonly str definition
    cdef int code
    cdef Node inner  # of a JSON schema that may be something else: the schema's
    cdef dict members  # of an object: name to Member
    cdef tuple written  # Members that Go writes though they are absent, but null
    cdef tuple nulls  # names of those that Go writes as null

    def __init__(
        self, str kind, str type_name="", str definition="", tuple required=(), str list_type="atomic",
        tuple list_keys=(), str map_type="granular", str patch_merge_key="", tuple patch_strategies=(),
    ):
        self.kind = kind
        self.fields = {}
        self.items = None
        self.required = required
        self.list_type = list_type
        self.list_keys = list_keys
        self.map_type = map_type
        self.patch_merge_key = patch_merge_key
        self.patch_strategies = patch_strategies
        self.type_name = type_name
        self.omitempty = frozenset()
        self.definition = definition
        self.members = {}
        self.written = ()
        self.nulls = ()
        self.code = CODES[kind]
        if self.code == INT64 and type_name.endswith("int32"):
            self.code = INT32
        elif self.code == TIME and type_name == "MicroTime":
            self.code = MICRO_TIME
        elif self.code == ANY and type_name == "JSONSchemaPropsOrBool":
            self.code = SCHEMA_OR_BOOL
        elif self.code == ANY and type_name == "JSONSchemaPropsOrArray":
            self.code = SCHEMA_OR_ARRAY
        elif self.code == ANY and type_name == "JSONSchemaPropsOrStringArray":
            self.code = SCHEMA_OR_STRINGS

    def complete(self, dict fields, Node items, dict go_fields=None):
        """Fields and items are set, once. ``go_fields``: by field its Go type, flags (``o``, ``z``) and embedded struct."""
        cdef Member member
        cdef list written = [], nulls = [], omitted = []
        cdef str go_type, flags, embedded
        self.fields = fields
        self.items = items
        for name, node in fields.items():
            go_type, flags, embedded = (go_fields or {}).get(name, ("*", "o", ""))
            member = Member()
            member.node = node
            member.code = (<Node>node).code
            member.pointer = go_type.startswith("*")
            member.omitempty = "o" in flags
            member.omitzero = "z" in flags
            member.name = name
            member.go_type = go_type.lstrip("*")
            member.embedded = embedded
            self.members[name] = member
            if member.omitempty and not member.pointer:
                omitted.append(name)
            if member.pointer or member.omitzero or go_type == "":
                if member.pointer and not member.omitempty:
                    nulls.append(name)
                continue
            if member.code == OBJECT or member.code == QUANTITY or member.code == INT_OR_STRING:
                written.append(member)
            elif member.code in (TIME, MICRO_TIME) or (member.code == ANY and go_type.startswith("runtime.")):
                nulls.append(name)
            elif not member.omitempty:
                if member.code in (MAP, LIST, BYTES, ANY, SCHEMA_OR_BOOL, SCHEMA_OR_ARRAY, SCHEMA_OR_STRINGS):
                    nulls.append(name)
                else:
                    written.append(member)
        self.written = tuple(written)
        self.nulls = tuple(nulls)
        self.omitempty = frozenset(omitted)

    def hold(self, Node inner):
        """A value that is an object, or a list of them, is one of that node."""
        self.inner = inner

    def clean(self, dict obj):
        """The object is as Go's round trip leaves it, less what Go writes as null. Returns the unknown fields' paths.

        Raises TypeMismatch in the words of Go's decoder.
        """
        return walked(self, obj, False).unknown

    def clean_counting(self, dict obj):
        """As ``clean``; also how many members all objects of the document had.

        A quantity that is a number with a fraction raises TypeMismatch with ``literal`` unless it has its ``text``.
        """
        cdef Walk walk = walked(self, obj, True)
        return walk.unknown, walk.members

    def write_nulls(self, dict obj):
        """Fields that Go writes as null are in the object. Undone by ``drop_nulls``, and by ``clean``."""
        set_nulls(self, obj, True)

    def drop_nulls(self, dict obj):
        """What ``write_nulls`` put in is no longer there; other nulls stay."""
        set_nulls(self, obj, False)

    def __repr__(self):
        return f"Node({self.kind!r}, {self.type_name!r})"


cdef Walk walked(Node node, dict obj, bint exact):
    cdef Walk walk = Walk()
    walk.unknown = []
    walk.mismatch = None
    walk.members = 0
    walk.depth = 0
    walk.exact = exact
    walk_object(node, obj, NULL, walk)
    if walk.mismatch is not None:
        raise walk.mismatch
    return walk


cdef int walk_object(Node node, dict obj, Frame *up, Walk walk) except -1:
    cdef PyObject *key
    cdef PyObject *item
    cdef PyObject *found
    cdef Py_ssize_t place = 0
    cdef Member member
    cdef Frame frame
    cdef list dropped = None
    cdef object value, made
    walk.members += len(obj)
    if walk.depth >= depth_max:
        raise TypeMismatch("json: exceeded max depth")
    walk.depth += 1
    frame.up = up
    frame.index = -1
    frame.owner = <PyObject*>node
    while PyDict_Next(obj, &place, &key, &item):
        found = PyDict_GetItem(node.members, <object>key)
        if found == NULL:
            if len(walk.unknown) < _STRICT_ERRORS_MAX:
                frame.key = key
                frame.member = NULL
                walk.unknown.append(path_of(&frame))
            walk.members += members_of(<object>item, walk.depth)
            if dropped is None:
                dropped = []
            dropped.append(<object>key)
            continue
        member = <Member>found
        value = <object>item
        if type(value) is str and member.code == STRING:
            if not member.omitempty or member.pointer or value:
                continue
            made = None
        elif value is None:
            made = None
        else:
            frame.key = key
            frame.member = found
            made = walk_value(member.node, member.code, member.go_type, value, &frame, walk)
            if made is not None and not member.pointer and member.omitempty and is_empty(member.code, made):
                made = None
            if made is value:
                continue
        if made is None:
            if dropped is None:
                dropped = []
            dropped.append(<object>key)
        else:
            obj[<object>key] = made  # a key that is there: the walk over the dict stays valid
    if dropped is not None:
        for name in dropped:
            del obj[name]
    for member in node.written:
        if member.name not in obj:
            obj[member.name] = zero_of(member.node, member.code)
    walk.depth -= 1
    return 0


cdef inline bint is_empty(int code, object value):
    """True for what omitempty leaves out: never a struct."""
    if code == OBJECT or code == QUANTITY or code == INT_OR_STRING or code == TIME or code == MICRO_TIME or code == ANY:
        return False
    if code >= SCHEMA_OR_BOOL:
        return False
    return not value


cdef object zero_of(Node node, int code):
    """What Go writes for a value that nobody gave; None where that is null."""
    cdef dict made
    cdef Member member
    if code == OBJECT:
        made = {}
        for member in node.written:
            made[member.name] = zero_of(member.node, member.code)
        return made
    if code == STRING:
        return ""
    if code == INT32 or code == INT64 or code == DOUBLE or code == INT_OR_STRING:
        return 0
    if code == BOOLEAN:
        return False
    if code == QUANTITY:
        return "0"
    return None


cdef object walk_items(Node node, str go_type, list items, Frame *up, Walk walk):
    """The same list, its items walked."""
    cdef Frame frame
    cdef Node each = node.items
    cdef str item_type = item_type_of(go_type, each)
    cdef Py_ssize_t i
    cdef object value, made
    if walk.depth >= depth_max:
        raise TypeMismatch("json: exceeded max depth")
    walk.depth += 1
    frame.up = up
    frame.key = NULL
    frame.member = NULL
    frame.owner = NULL
    for i in range(len(items)):
        value = items[i]
        if type(value) is str and each.code == STRING:
            continue
        if value is None:
            made = zero_of(each, each.code)
        else:
            frame.index = i
            made = walk_value(each, each.code, item_type, value, &frame, walk)
        if made is not value:
            items[i] = made
    walk.depth -= 1
    return items


cdef object walk_map(Node node, str go_type, dict entries, Frame *up, Walk walk):
    """The same map, its values walked."""
    cdef Frame frame
    cdef Node each = node.items
    cdef str item_type
    cdef PyObject *key
    cdef PyObject *item
    cdef Py_ssize_t place = 0
    cdef object value, made
    walk.members += len(entries)
    if walk.depth >= depth_max:
        raise TypeMismatch("json: exceeded max depth")
    walk.depth += 1
    item_type = item_type_of(go_type, each)
    frame.up = up
    frame.index = -1
    frame.member = NULL
    frame.owner = NULL
    while PyDict_Next(entries, &place, &key, &item):
        value = <object>item
        if type(value) is str and each.code == STRING:
            continue
        if value is None:
            made = zero_of(each, each.code)
        else:
            frame.key = key
            made = walk_value(each, each.code, item_type, value, &frame, walk)
        if made is not value:
            entries[<object>key] = made
    walk.depth -= 1
    return entries


cdef dict NAMED = {  # Go's named lists and maps, by what they hold
    "v1.ResourceList": "resource.Quantity", "v1.ExtraValue": "string", "v1.Verbs": "string",
    "v1.ValidationRules": "v1.ValidationRule", "v1.JSONSchemaDefinitions": "v1.JSONSchemaProps",
    "v1.JSONSchemaDependencies": "v1.JSONSchemaPropsOrStringArray",
}


cdef str item_type_of(str go_type, Node each):
    """The Go type of a list's items or a map's values."""
    if go_type.startswith("[]"):
        return go_type[2:]
    if go_type.startswith("map["):
        return go_type[go_type.index("]") + 1 :]
    return NAMED.get(go_type, each.type_name)


cdef object saved(Walk walk, object error):
    """The error is reported unless an earlier one is; the value is left out."""
    if walk.mismatch is None:
        walk.mismatch = error
    return None


cdef object walk_value(Node node, int code, str go_type, object value, Frame *frame, Walk walk):
    """The value as Go writes it, None where that is absent; ``value`` is not None."""
    if code == OBJECT:
        if type(value) is dict:
            walk_object(node, <dict>value, frame, walk)
            return value
    elif code == LIST:
        if type(value) is list:
            return walk_items(node, go_type, <list>value, frame, walk)
    elif code == MAP:
        if type(value) is dict:
            return walk_map(node, go_type, <dict>value, frame, walk)
    elif code == STRING:
        if type(value) is str:
            return value
    elif code == BOOLEAN:
        if type(value) is bool:
            return value
    elif code == INT32 or code == INT64:
        if type(value) is int:
            if code == INT32 and -0x80000000 <= value <= 0x7FFFFFFF:
                return value
            if code == INT64 and -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
                return value
            return saved(walk, mismatch(number_of(value), go_type, frame))
        if isinstance(value, float):
            return saved(walk, mismatch(number_of(value), go_type, frame, True))
    elif code == DOUBLE:
        if is_number(value):
            if isinf(<double>value):
                return saved(walk, mismatch(number_of(value), go_type, frame))
            return value
    elif code == BYTES:
        if type(value) is str:
            return bytes_of(<str>value, walk)
    else:
        return walk_special(code, node, value, frame, walk)
    return saved(walk, mismatch(word_of(value), go_type, frame))


cdef object bytes_of(str value, Walk walk):
    if plain_base64(value):
        return value
    try:
        return literals.base64_text(value)
    except ValueError as error:
        return saved(walk, TypeMismatch(str(error)))


cdef object walk_special(int code, Node node, object value, Frame *frame, Walk walk):
    """Types that read their JSON themselves; what they refuse ends the decoding at once."""
    if code == QUANTITY:
        if walk.exact and isinstance(value, float) and not hasattr(value, "text"):
            raise TypeMismatch("a quantity is its text", True)
        try:
            return quantity_of(value)
        except ValueError as error:
            raise TypeMismatch(str(error), isinstance(value, float))
    if code == TIME or code == MICRO_TIME:
        if type(value) is not str:
            raise mismatch(word_of(value), "string", frame)
        known = known_time(<str>value, code == MICRO_TIME)
        if known is not None:
            return known
        try:
            return literals.time(value, code == MICRO_TIME)
        except ValueError as error:
            raise TypeMismatch(str(error))
    if code == INT_OR_STRING:
        if type(value) is str:
            return value
        if type(value) is int and -0x80000000 <= value <= 0x7FFFFFFF:
            return value
        if is_number(value):
            raise mismatch(number_of(value), "int32", frame, type(value) is not int)
        raise mismatch(word_of(value), "int32", frame)
    if code == ANY or node.inner is None:
        walk.members += members_of(value, walk.depth)
        return value
    return schema_or_other(code, node, value, frame, walk)


cdef object schema_or_other(int code, Node node, object value, Frame *frame, Walk walk):
    """A JSON schema, or what may stand for one; what is unknown in it goes without a word, as its decoder is not strict."""
    cdef Py_ssize_t known = len(walk.unknown)
    cdef object earlier = walk.mismatch
    walk.mismatch = None
    if type(value) is dict:
        walk_object(node.inner, <dict>value, frame, walk)
    elif type(value) is list and code == SCHEMA_OR_ARRAY:
        for i, each in enumerate(<list>value):
            if each is None:
                value[i] = {}
            elif type(each) is not dict:
                raise mismatch(word_of(each), "v1.JSONSchemaProps", frame)
            else:
                walk_object(node.inner, <dict>each, frame, walk)
    elif type(value) is list and code == SCHEMA_OR_STRINGS:
        for i, each in enumerate(<list>value):
            if each is None:
                value[i] = ""
            elif type(each) is not str:
                raise mismatch(word_of(each), "string", frame)
    elif code == SCHEMA_OR_BOOL and type(value) is not bool:
        raise TypeMismatch("boolean or JSON schema expected")
    elif code != SCHEMA_OR_BOOL:
        walk.members += members_of(value, walk.depth)
        value = None
    if walk.mismatch is not None:
        raise walk.mismatch
    walk.mismatch = earlier
    del walk.unknown[known:]
    if type(value) is list and not value:
        return None
    return value


cdef int set_nulls(Node node, object value, bint written) except -1:
    """Fields that Go writes as null are in the object or are not. Descends where values may have such fields."""
    cdef Member member
    cdef PyObject *key
    cdef PyObject *item
    cdef PyObject *found
    cdef Py_ssize_t place = 0
    if node.code == OBJECT and type(value) is dict:
        while PyDict_Next(value, &place, &key, &item):
            found = PyDict_GetItem(node.members, <object>key)
            if found != NULL:
                member = <Member>found
                if member.code <= LIST:
                    set_nulls(member.node, <object>item, written)
        for name in node.nulls:
            if written:
                if name not in <dict>value:
                    (<dict>value)[name] = None
            elif (<dict>value).get(name, value) is None:
                del (<dict>value)[name]
    elif node.code == LIST and type(value) is list and node.items.code <= LIST:
        for each in <list>value:
            set_nulls(node.items, each, written)
    elif node.code == MAP and type(value) is dict and node.items.code <= LIST:
        while PyDict_Next(value, &place, &key, &item):
            set_nulls(node.items, <object>item, written)
    return 0
