# cython: language_level=3
"""The JSON form of an object becomes the bytes that Go's generated Marshal writes, from the last field to the first.

Source: the MarshalToSizedBuffer functions of generated.pb.go: value fields are written even where they are zero,
pointers, lists and maps where they are there, maps by key.
"""

from binascii import a2b_base64

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

import orjson

from kcore_native.rfc3339 cimport read_time
from kcore_native.protobuf.message cimport (
    BOOL, BYTES, DOUBLE, FIELDS, INT32, INT64, INT_OR_STRING, JSON_TEXT, MESSAGE, MICRO_TIME, NO_UNION, OR_ARRAY,
    OR_BOOL, QUANTITY, RAW_EXTENSION, STRING, TIME, Field, Message,
)
from kcore_native.quantity_text cimport canonical

cdef enum:
    DEPTH_MAX = 240
    FIRST_BYTES = 4096
    VARINT = 0
    FIXED64 = 1
    DELIMITED = 2

cdef bytes PREFIX = b"k8s\x00"


class EncodeError(ValueError):
    """The object is not of the message's form."""


cdef class Writer:
    """A buffer that is filled from its end; ``size`` bytes are written."""

    cdef uint8_t *buffer
    cdef size_t capacity
    cdef size_t size

    def __cinit__(self):
        self.buffer = <uint8_t *>PyMem_Malloc(FIRST_BYTES)
        if self.buffer is NULL:
            raise MemoryError()
        self.capacity = FIRST_BYTES
        self.size = 0

    def __dealloc__(self):
        PyMem_Free(self.buffer)

    cdef int grow(self, size_t count) except -1:
        cdef size_t capacity = self.capacity * 2
        cdef uint8_t *larger
        while capacity - self.size < count:
            capacity *= 2
        larger = <uint8_t *>PyMem_Malloc(capacity)
        if larger is NULL:
            raise MemoryError()
        memcpy(larger + capacity - self.size, self.buffer + self.capacity - self.size, self.size)
        PyMem_Free(self.buffer)
        self.buffer = larger
        self.capacity = capacity
        return 0

    cdef inline int put(self, const void *data, size_t count) except -1:
        if self.capacity - self.size < count:
            self.grow(count)
        self.size += count
        memcpy(self.buffer + self.capacity - self.size, data, count)
        return 0

    cdef inline int varint(self, uint64_t value) except -1:
        cdef uint8_t[10] text
        cdef int length = 0
        while value >= 0x80:
            text[length] = <uint8_t>(value & 0x7F) | 0x80
            value >>= 7
            length += 1
        text[length] = <uint8_t>value
        return self.put(text, length + 1)

    cdef inline int tag(self, int number, int wire_type) except -1:
        return self.varint((<uint64_t>number << 3) | <uint64_t>wire_type)

    cdef inline int close(self, size_t before, int number) except -1:
        """What was written since ``before`` becomes the delimited value of the field."""
        self.varint(self.size - before)
        return self.tag(number, DELIMITED)

    cdef bytes taken(self):
        return PyBytes_FromStringAndSize(<const char *>self.buffer + self.capacity - self.size, self.size)


cdef object wrong(str name, str wanted, object value):
    return EncodeError(f"{name}: {type(value).__name__} is not {wanted}")


cdef int put_text(Writer writer, object value, str name) except -1:
    cdef Py_ssize_t length = 0
    cdef const char *text
    if type(value) is not str:
        raise wrong(name, "a string", value)
    text = PyUnicode_AsUTF8AndSize(value, &length)
    return writer.put(text, length)


cdef int put_time(Writer writer, object value, bint micro, str name) except -1:
    cdef int64_t seconds = 0
    cdef int32_t nanos = 0
    if value is None:
        return 0
    if type(value) is not str or not read_time(value, &seconds, &nanos):
        raise wrong(name, "a time", value)
    if micro:
        nanos -= nanos % 1000
    else:
        nanos = 0
    if seconds == -62135596800 and nanos == 0:
        return 0
    writer.varint(<uint64_t>nanos)
    writer.tag(2, VARINT)
    writer.varint(<uint64_t>seconds)
    writer.tag(1, VARINT)
    return 0


cdef int put_quantity(Writer writer, object value, str name) except -1:
    cdef size_t before = writer.size
    if value is None:
        text = "0"
    elif type(value) is str:
        text = canonical(value.strip())
    elif type(value) is int or type(value) is float:
        text = canonical(repr(value))
    else:
        raise wrong(name, "a quantity", value)
    put_text(writer, text, name)
    return writer.close(before, 1)


cdef int put_int_or_string(Writer writer, object value, str name) except -1:
    cdef bint text = type(value) is str
    cdef size_t before = writer.size
    if value is not None and not text and type(value) is not int:
        raise wrong(name, "an integer or a string", value)
    if text:
        put_text(writer, value, name)
    writer.close(before, 3)
    writer.varint(0 if text or value is None else <uint64_t><int64_t>as_int(value, INT32, name))
    writer.tag(2, VARINT)
    writer.varint(1 if text else 0)
    writer.tag(1, VARINT)
    return 0


cdef int64_t as_int(object value, int type_, str name) except? -1:
    cdef int64_t number
    if type(value) is not int:
        raise wrong(name, "an integer", value)
    number = value
    if type_ == INT32 and (number > 0x7FFFFFFF or number < -0x80000000):
        raise EncodeError(f"{name}: {value} does not fit 32 bits")
    return number


cdef int put_json(Writer writer, object value, int type_) except -1:
    cdef size_t before = writer.size
    cdef bytes text
    if value is None:
        return 0
    text = orjson.dumps(value)
    writer.put(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
    return writer.close(before, 1)


cdef int put_special(Writer writer, Field field, object value, int depth) except -1:
    """The inside of a value that is a message on the wire."""
    cdef int type_ = field.type
    if type_ == MESSAGE:
        return put_object(writer, field.message, value, depth)
    if type_ == TIME:
        return put_time(writer, value, False, field.name)
    if type_ == MICRO_TIME:
        return put_time(writer, value, True, field.name)
    if type_ == QUANTITY:
        return put_quantity(writer, value, field.name)
    if type_ == INT_OR_STRING:
        return put_int_or_string(writer, value, field.name)
    return put_json(writer, value, type_)


cdef int put_value(Writer writer, Field field, int number, object value, int depth) except -1:
    """One value with its tag; None stands for zero."""
    cdef int type_ = field.type
    cdef size_t before = writer.size
    cdef double real
    cdef bytes data
    if type_ == STRING:
        if value is not None:
            put_text(writer, value, field.name)
        return writer.close(before, number)
    if type_ == BOOL:
        if value is not None and type(value) is not bool:
            raise wrong(field.name, "a boolean", value)
        writer.varint(1 if value else 0)
        return writer.tag(number, VARINT)
    if type_ == INT32 or type_ == INT64:
        writer.varint(0 if value is None else <uint64_t>as_int(value, type_, field.name))
        return writer.tag(number, VARINT)
    if type_ == DOUBLE:
        if type(value) is not int and type(value) is not float:
            raise wrong(field.name, "a number", value)
        real = value
        writer.put(&real, 8)
        return writer.tag(number, FIXED64)
    if type_ == BYTES:
        if type(value) is not str:
            raise wrong(field.name, "base64", value)
        data = a2b_base64(value)
        writer.put(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        return writer.close(before, number)
    put_special(writer, field, value, depth)
    return writer.close(before, number)


cdef int put_items(Writer writer, object value, str name) except -1:
    cdef size_t before
    cdef Py_ssize_t i
    if type(value) is not list:
        raise wrong(name, "a list", value)
    for i in range(len(<list>value) - 1, -1, -1):
        before = writer.size
        put_text(writer, (<list>value)[i], name)
        writer.close(before, 1)
    return 0


cdef int put_map(Writer writer, Field field, object value, int depth) except -1:
    cdef size_t before, inner
    if type(value) is not dict:
        raise wrong(field.name, "an object", value)
    for key in sorted(<dict>value, reverse=True):
        member = (<dict>value)[key]
        before = writer.size
        if field.items:
            if member is not None:
                put_items(writer, member, field.name)
            writer.close(before, 2)
        elif member is not None or field.type != BYTES:
            put_value(writer, field, 2, member, depth + 1)
        inner = writer.size
        put_text(writer, key, field.name)
        writer.close(inner, 1)
        writer.close(before, field.number)
    return 0


cdef int put_field(Writer writer, Field field, object value, int depth) except -1:
    """One field; ``value`` is None where the object has none."""
    cdef size_t before
    cdef Py_ssize_t i
    if field.mapping:
        return 0 if value is None else put_map(writer, field, value, depth)
    if field.repeated:
        if value is None:
            return 0
        if type(value) is not list:
            raise wrong(field.name, "a list", value)
        for i in range(len(<list>value) - 1, -1, -1):
            put_value(writer, field, field.number, (<list>value)[i], depth + 1)
        return 0
    if field.items:
        if value is None:
            return 0
        before = writer.size
        put_items(writer, value, field.name)
        return writer.close(before, field.number)
    if value is None and (field.pointer or field.type == BYTES):
        return 0
    if value is None and field.type == MESSAGE:
        before = writer.size
        put_zero(writer, field.message, depth)
        return writer.close(before, field.number)
    return put_value(writer, field, field.number, value, depth)


cdef int put_zero(Writer writer, Message message, int depth) except -1:
    """The message without anything: made once, then copied."""
    cdef Writer fresh
    if message.zero is None:
        fresh = Writer()
        put_fields(fresh, message, {}, depth)
        message.zero = fresh.taken()
    return writer.put(PyBytes_AS_STRING(message.zero), PyBytes_GET_SIZE(message.zero))


cdef int put_fields(Writer writer, Message message, dict value, int depth) except -1:
    cdef Field field
    cdef size_t before
    cdef void *found
    cdef Py_ssize_t i
    cdef list fields = message.fields
    if depth >= DEPTH_MAX:
        raise EncodeError("nested too deep")
    for i in range(len(fields) - 1, -1, -1):
        field = <Field>fields[i]
        if field.inlined:
            before = writer.size
            put_fields(writer, field.message, value, depth + 1)
            writer.close(before, field.number)
            continue
        found = PyDict_GetItemWithError(value, field.name)
        if found is not NULL:
            put_field(writer, field, <object>found, depth + 1)
        elif not field.absent:
            put_field(writer, field, None, depth + 1)
    return 0


cdef int put_object(Writer writer, Message message, object value, int depth) except -1:
    if message.union_ != NO_UNION:
        return put_fields(writer, message, union_members(message, value), depth)
    if value is None or (type(value) is dict and not value):
        return put_zero(writer, message, depth)
    if type(value) is not dict:
        raise wrong(message.name, "an object", value)
    return put_fields(writer, message, <dict>value, depth)


cdef dict union_members(Message message, object value):
    """The fields that stand for a value that is one of several forms."""
    if value is None:
        return {}
    if type(value) is dict:
        return {"allows": True, "schema": value} if message.union_ == OR_BOOL else {"schema": value}
    if type(value) is bool and message.union_ == OR_BOOL:
        return {"allows": value}
    if type(value) is list and message.union_ != OR_BOOL:
        return {"jsonSchemas" if message.union_ == OR_ARRAY else "property": value}
    raise wrong(message.name, "of any of its forms", value)


cdef int put_unknown(Writer writer, size_t before, str api_version, str kind) except -1:
    """What was written since ``before`` becomes the raw of a runtime.Unknown, with its prefix."""
    cdef size_t inner
    cdef size_t raw = writer.size - before
    # contentType and contentEncoding, both empty, stand behind raw: they were written first
    writer.varint(raw)
    writer.tag(2, DELIMITED)
    before = writer.size
    inner = writer.size
    put_text(writer, kind, "kind")
    writer.close(inner, 2)
    inner = writer.size
    put_text(writer, api_version, "apiVersion")
    writer.close(inner, 1)
    writer.close(before, 1)
    return writer.put(PyBytes_AS_STRING(PREFIX), 4)


cdef int put_content_type(Writer writer) except -1:
    writer.varint(0)
    writer.tag(4, DELIMITED)
    writer.varint(0)
    return writer.tag(3, DELIMITED)


def encode(Message message not None, dict value not None):
    """The bytes of the message alone; EncodeError where the object is not of its form."""
    cdef Writer writer = Writer()
    put_fields(writer, message, value, 1)
    return writer.taken()


def encode_unknown(Message message not None, dict value not None, str api_version not None, str kind not None):
    """``k8s\\0`` and the runtime.Unknown around the bytes of the message."""
    cdef Writer writer = Writer()
    cdef size_t before
    put_content_type(writer)
    before = writer.size
    put_fields(writer, message, value, 1)
    put_unknown(writer, before, api_version, kind)
    return writer.taken()


cdef int put_bytes(Writer writer, bytes data) except -1:
    return writer.put(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


def wrap_unknown(bytes raw not None, str api_version not None, str kind not None):
    """``k8s\\0`` and the runtime.Unknown around bytes that are encoded already."""
    cdef Writer writer = Writer()
    cdef size_t before
    put_content_type(writer)
    before = writer.size
    put_bytes(writer, raw)
    put_unknown(writer, before, api_version, kind)
    return writer.taken()


def encode_list(
    Message list_meta not None, dict metadata not None, int metadata_number, int items_number, items,
    str api_version not None, str kind not None,
):
    """The list whose items are encoded already, with ``k8s\\0`` and its runtime.Unknown."""
    cdef Writer writer = Writer()
    cdef list encoded = list(items)
    cdef size_t start, before
    cdef Py_ssize_t i
    cdef int number
    cdef int later = max(metadata_number, items_number)
    put_content_type(writer)
    start = writer.size
    for number in (later, metadata_number + items_number - later):
        if number == metadata_number:
            before = writer.size
            put_fields(writer, list_meta, metadata, 2)
            writer.close(before, number)
            continue
        for i in range(len(encoded) - 1, -1, -1):
            put_bytes(writer, <bytes?>encoded[i])
            writer.close(writer.size - PyBytes_GET_SIZE(<bytes>encoded[i]), number)
    put_unknown(writer, start, api_version, kind)
    return writer.taken()


def encode_watch_event(str type_ not None, bytes envelope not None):
    """One frame of a watch: four bytes of length, most significant first, and the WatchEvent around the object."""
    cdef Writer writer = Writer()
    cdef size_t before = writer.size
    cdef uint8_t[4] length
    put_bytes(writer, envelope)
    writer.close(before, 1)
    writer.close(before, 2)
    before = writer.size
    put_text(writer, type_, "type")
    writer.close(before, 1)
    if writer.size > 0xFFFFFFFF:
        raise EncodeError("a frame is longer than its length can say")
    length[0] = <uint8_t>(writer.size >> 24)
    length[1] = <uint8_t>(writer.size >> 16)
    length[2] = <uint8_t>(writer.size >> 8)
    length[3] = <uint8_t>writer.size
    writer.put(length, 4)
    return writer.taken()
