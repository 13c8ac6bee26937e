# cython: language_level=3
"""What the codec knows of a message: its fields, and what Go writes where one of them is absent."""

cdef dict TYPES = {
    "bool": BOOL, "bytes": BYTES, "double": DOUBLE, "int32": INT32, "int64": INT64, "string": STRING,
    "FieldsV1": FIELDS, "IntOrString": INT_OR_STRING, "JSON": JSON_TEXT, "MicroTime": MICRO_TIME,
    "Quantity": QUANTITY, "RawExtension": RAW_EXTENSION, "Time": TIME,
}
cdef dict UNIONS = {
    "JSONSchemaPropsOrArray": OR_ARRAY, "JSONSchemaPropsOrBool": OR_BOOL, "JSONSchemaPropsOrStringArray": OR_STRINGS,
}


cdef class Field:
    """One field of a message; the attributes are those of the table."""

    def __init__(self, row, dict built):
        self.number = row.number
        self.name = row.name
        self.go_name = row.go_name
        self.type = TYPES.get(row.type, MESSAGE)
        self.message = built[row.type] if self.type == MESSAGE else None
        self.pointer = row.pointer
        self.repeated = row.repeated
        self.mapping = row.map
        self.items = row.items
        self.omitempty = row.omitempty
        self.omitzero = row.omitzero
        self.inlined = row.inline
        self.absent = row.pointer or row.repeated or row.map or row.items or self.type == BYTES


cdef class Message:
    """One message; filled in after all are made, because they name each other."""

    def __init__(self, str name):
        self.name = name
        self.union_ = UNIONS.get(name, NO_UNION)
        self.fields = []
        self.numbered = []
        self.always = None
        self.weight = 0
        self.zero = None


cdef bint stands_when_zero(Field field):
    """True where JSON has the field though nothing was sent."""
    if field.inlined or field.omitzero:
        return False
    if field.pointer or field.repeated or field.mapping or field.items:
        return not field.omitempty
    return not field.omitempty or field.type >= FIELDS  # a struct is never empty


cdef list gather_always(Message message):
    cdef Field field
    if message.always is None:
        message.always = []
        for field in message.fields:
            if field.inlined:
                message.always.extend(gather_always(field.message))
            elif stands_when_zero(field):
                message.always.append(field)
    return message.always


cdef int weigh(Message message):
    cdef Field field
    if message.weight == 0:
        message.weight = 1
        for field in message.always:
            if field.type == MESSAGE and not (field.pointer or field.repeated or field.mapping or field.items):
                message.weight += weigh(field.message)
    return message.weight


def build(rows):
    """The messages of the table by name: ``rows`` are ``(name, short name, fields)``."""
    cdef dict built = {name: Message(short) for name, short, _ in rows}
    cdef Message message
    cdef Field field
    for name, _, fields in rows:
        message = built[name]
        message.fields = [Field(row, built) for row in sorted(fields, key=lambda row: row.number)]
        message.numbered = [None] * (max([row.number for row in fields], default=0) + 1)
        for field in message.fields:
            message.numbered[field.number] = field
    for message in built.values():
        gather_always(message)
    for message in built.values():
        weigh(message)
    return built
