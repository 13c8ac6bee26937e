# cython: language_level=3
"""Bytes of a message become its JSON form, as if Go had decoded it and written it as JSON.

Source: the Unmarshal functions of generated.pb.go, with their errors; encoding/json for what a zero value is.
Work is bounded by the input: each byte is read once; nesting by CONTAINERS_MAX, memory by OBJECTS_MAX.
"""

from binascii import b2a_base64

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Contains, PyDict_GetItemWithError, PyDict_SetItem
from cpython.list cimport PyList_Append
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

import codecs

import orjson

from kcore_native.rfc3339 cimport time_text
from kcore_native.protobuf.message cimport (
    BOOL, BYTES, DOUBLE, FIELDS, INT32, INT64, INT_OR_STRING, JSON_TEXT, MESSAGE, MICRO_TIME, NO_UNION, OR_ARRAY,
    OR_BOOL, QUANTITY, RAW_EXTENSION, STRING, TIME, Field, Message,
)
from kcore_native.quantity_text cimport canonical

CONTAINERS_MAX = 240  # objects and lists inside one another; no JSON encoder here writes more than 254

OBJECTS_MAX = 500_000  # JSON objects in one body: two bytes can stand for a kilobyte of them

cdef enum:
    DEPTH_MAX = 240
    COUNT_MAX = 500_000
    VARINT = 0
    FIXED64 = 1
    DELIMITED = 2
    GROUP = 3
    GROUP_END = 4
    FIXED32 = 5

cdef str OVERFLOW = "proto: integer overflow"
cdef str NEGATIVE_LENGTH = "proto: negative length found during unmarshaling"
cdef str EOF = "unexpected EOF"


class DecodeError(ValueError):
    """The bytes are not that message; the text is Go's."""


cdef object replace_as_go(error):
    """One U+FFFD for each byte that is no UTF-8, as Go writes it."""
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error("kcore.go", lambda error: replace_as_go(error))


cdef struct Reader:
    const uint8_t *at
    const uint8_t *end
    int64_t *left  # how many objects may still be made


cdef int read_varint(Reader *reader, uint64_t *value) except -1:
    cdef int shift = 0
    cdef uint8_t byte
    value[0] = 0
    while True:
        if shift >= 64:
            raise DecodeError(OVERFLOW)
        if reader.at >= reader.end:
            raise DecodeError(EOF)
        byte = reader.at[0]
        reader.at += 1
        value[0] |= <uint64_t>(byte & 0x7F) << shift
        if byte < 0x80:
            return 0
        shift += 7


cdef int read_part(Reader *reader, Reader *part) except -1:
    """``part`` spans the length-delimited value, ``reader`` stands behind it."""
    cdef uint64_t length
    read_varint(reader, &length)
    if <int64_t>length < 0:
        raise DecodeError(NEGATIVE_LENGTH)
    if length > <uint64_t>(reader.end - reader.at):
        raise DecodeError(EOF)
    part.at = reader.at
    part.end = reader.at + length
    part.left = reader.left
    reader.at = part.end
    return 0


cdef int advance(Reader *reader, uint64_t count) except -1:
    if count > <uint64_t>(reader.end - reader.at):
        raise DecodeError(EOF)
    reader.at += count
    return 0


cdef int skip(Reader *reader, int wire_type) except -1:
    """``reader`` stands behind a value that nobody knows; groups may nest."""
    cdef uint64_t value
    cdef int64_t depth = 0
    cdef Reader part
    while True:
        if wire_type == VARINT:
            read_varint(reader, &value)
        elif wire_type == FIXED64:
            advance(reader, 8)
        elif wire_type == DELIMITED:
            read_part(reader, &part)
        elif wire_type == GROUP:
            depth += 1
        elif wire_type == GROUP_END:
            if depth == 0:
                raise DecodeError("proto: unexpected end of group")
            depth -= 1
        elif wire_type == FIXED32:
            advance(reader, 4)
        else:
            raise DecodeError(f"proto: illegal wireType {wire_type}")
        if depth == 0:
            return 0
        read_varint(reader, &value)
        wire_type = <int>(value & 7)


cdef inline int read_tag(Reader *reader, str name, int32_t *number, int *wire_type) except -1:
    cdef uint64_t wire
    read_varint(reader, &wire)
    number[0] = <int32_t>(wire >> 3)
    wire_type[0] = <int>(wire & 7)
    if wire_type[0] == GROUP_END:
        raise DecodeError(f"proto: {name}: wiretype end group for non-group")
    if number[0] <= 0:
        raise DecodeError(f"proto: {name}: illegal tag {number[0]} (wire type {wire})")
    return 0


cdef str read_text(Reader part):
    return PyUnicode_DecodeUTF8(<const char *>part.at, part.end - part.at, "kcore.go")


cdef inline bytes read_bytes(Reader part):
    return PyBytes_FromStringAndSize(<const char *>part.at, part.end - part.at)


cdef object wrong_wire_type(int wire_type, str go_name):
    return DecodeError(f"proto: wrong wireType = {wire_type} for field {go_name}")


cdef int expect(int wire_type, int wanted, str go_name) except -1:
    if wire_type != wanted:
        raise wrong_wire_type(wire_type, go_name)
    return 0


cdef object read_raw(Reader part, str name, str go_name):
    """The only field, bytes, of a message; None where it is absent."""
    cdef int32_t number
    cdef int wire_type
    cdef Reader value
    found = None
    while part.at < part.end:
        read_tag(&part, name, &number, &wire_type)
        if number == 1:
            expect(wire_type, DELIMITED, go_name)
            read_part(&part, &value)
            found = read_bytes(value)
        else:
            skip(&part, wire_type)
    return found


cdef object read_json(Reader part, int type, int depth):
    """JSON that a message holds as bytes."""
    if type == JSON_TEXT:
        raw = read_raw(part, "JSON", "Raw")
        if not raw:
            return None
    else:
        raw = read_raw(part, "FieldsV1" if type == FIELDS else "RawExtension", "Raw")
        if raw is None:
            return None
    try:
        return orjson.loads(raw)
    except ValueError:
        if type == RAW_EXTENSION and raw[:1] not in b"\t\r\n {[ntf\"-0123456789":
            raise DecodeError("cannot convert RawExtension with unrecognized content type to unstructured") from None
        raise DecodeError(f"json: error calling MarshalJSON: {raw[:40]!r} is not JSON") from None


cdef object read_time(Reader part, bint micro):
    cdef int32_t number
    cdef int wire_type
    cdef uint64_t value
    cdef int64_t seconds = 0
    cdef int32_t nanos = 0
    if part.at == part.end:
        return None
    while part.at < part.end:
        read_tag(&part, "Timestamp", &number, &wire_type)
        if number == 1:
            expect(wire_type, VARINT, "Seconds")
            read_varint(&part, &value)
            seconds = <int64_t>value
        elif number == 2:
            expect(wire_type, VARINT, "Nanos")
            read_varint(&part, &value)
            nanos = <int32_t>value
        else:
            skip(&part, wire_type)
    try:
        return time_text(seconds, nanos if micro else 0, micro)
    except ValueError as error:
        raise DecodeError(str(error)) from None


cdef object read_quantity(Reader part):
    cdef int32_t number
    cdef int wire_type
    cdef Reader value
    text = "0"
    while part.at < part.end:
        read_tag(&part, "Quantity", &number, &wire_type)
        if number == 1:
            expect(wire_type, DELIMITED, "String_")
            read_part(&part, &value)
            try:
                text = canonical(read_text(value))
            except DecodeError:
                raise
            except ValueError as error:
                raise DecodeError(str(error)) from None
        else:
            skip(&part, wire_type)
    return text


cdef object read_int_or_string(Reader part):
    cdef int32_t number
    cdef int wire_type
    cdef uint64_t value
    cdef Reader text
    cdef int64_t kind = 0
    cdef int32_t number_value = 0
    string_value = ""
    while part.at < part.end:
        read_tag(&part, "IntOrString", &number, &wire_type)
        if number == 1:
            expect(wire_type, VARINT, "Type")
            read_varint(&part, &value)
            kind = <int64_t>value
        elif number == 2:
            expect(wire_type, VARINT, "IntVal")
            read_varint(&part, &value)
            number_value = <int32_t>value
        elif number == 3:
            expect(wire_type, DELIMITED, "StrVal")
            read_part(&part, &text)
            string_value = read_text(text)
        else:
            skip(&part, wire_type)
    if kind == 0:
        return number_value
    if kind == 1:
        return string_value
    raise DecodeError("impossible IntOrString.Type")


cdef object read_double(Reader *reader):
    cdef double number
    if reader.end - reader.at < 8:
        raise DecodeError(EOF)
    memcpy(&number, reader.at, 8)
    reader.at += 8
    if number != number or number - number != 0:
        raise DecodeError(f"json: unsupported value: {'NaN' if number != number else '+Inf' if number > 0 else '-Inf'}")
    if -9007199254740992.0 < number < 9007199254740992.0 and number == <double><int64_t>number:
        return <int64_t>number
    return number


cdef object read_special(Field field, Reader part, object old, int depth):
    """A value that is a message on the wire; ``old`` is what an earlier occurrence left, to be merged into."""
    cdef int type = field.type
    if type == MESSAGE:
        return read_object(field.message, part, old, depth)
    if type == TIME:
        return read_time(part, False)
    if type == MICRO_TIME:
        return read_time(part, True)
    if type == QUANTITY:
        return read_quantity(part)
    if type == INT_OR_STRING:
        return read_int_or_string(part)
    return read_json(part, type, depth)


cdef object read_value(Field field, Reader *reader, int wire_type, object old, int depth):
    """One value of the field's type, behind its tag."""
    cdef uint64_t number
    cdef Reader part
    cdef int type = field.type
    if type == BOOL or type == INT32 or type == INT64:
        expect(wire_type, VARINT, field.go_name)
        read_varint(reader, &number)
        if type == BOOL:
            return number != 0
        return <int32_t>number if type == INT32 else <int64_t>number
    if type == DOUBLE:
        expect(wire_type, FIXED64, field.go_name)
        return read_double(reader)
    expect(wire_type, DELIMITED, field.go_name)
    read_part(reader, &part)
    if type == STRING:
        return read_text(part)
    if type == BYTES:
        return b2a_base64(read_bytes(part), newline=False).decode("ascii")
    return read_special(field, part, old, depth)


cdef list read_items(Field field, Reader part, list into):
    """The strings of a message around a list."""
    cdef int32_t number
    cdef int wire_type
    cdef Reader value
    while part.at < part.end:
        read_tag(&part, field.go_name, &number, &wire_type)
        if number == 1:
            expect(wire_type, DELIMITED, "Items")
            read_part(&part, &value)
            into.append(read_text(value))
        else:
            skip(&part, wire_type)
    return into


cdef object zero_value(Field field):
    """What Go writes as JSON where the field is zero."""
    cdef int type = field.type
    if field.pointer or field.repeated or field.mapping or field.items:
        return None
    if type == STRING:
        return ""
    if type == BOOL:
        return False
    if type == INT32 or type == INT64 or type == DOUBLE or type == INT_OR_STRING:
        return 0
    if type == QUANTITY:
        return "0"
    if type == MESSAGE:
        return finish(field.message, {})
    return None


cdef object finish(Message message, dict found):
    """The JSON value of a message whose fields were read: zero values filled in, unions taken apart."""
    cdef Field field
    for field in message.always:
        if not PyDict_Contains(found, field.name):
            PyDict_SetItem(found, field.name, zero_value(field))
    if message.union_ == NO_UNION:
        return found
    if message.union_ == OR_BOOL:
        schema = found.get("schema")
        return found["allows"] if schema is None else schema
    if message.union_ == OR_ARRAY:
        return found.get("jsonSchemas") or found.get("schema")
    return found.get("property") or found.get("schema")


cdef int count(Reader *part, Message message) except -1:
    part.left[0] -= message.weight
    if part.left[0] < 0:
        raise DecodeError(f"more than {OBJECTS_MAX} objects")
    return 0


cdef object read_object(Message message, Reader part, object old, int depth):
    cdef dict found
    if depth >= DEPTH_MAX:
        raise DecodeError(f"exceeded max depth of {CONTAINERS_MAX}")
    if type(old) is dict and message.union_ == NO_UNION:
        found = old
    else:
        found = {}
        count(&part, message)
    read_fields(message, part, found, depth)
    return finish(message, found)


cdef int read_entry(Field field, Reader part, dict into, int depth) except -1:
    """One key and value of a map."""
    cdef int32_t number
    cdef uint64_t wire
    cdef Reader inner
    cdef bint found = False
    key = ""
    value = None
    while part.at < part.end:
        read_varint(&part, &wire)
        number = <int32_t>(wire >> 3)
        if number == 1:
            read_part(&part, &inner)
            key = read_text(inner)
        elif number == 2:
            if field.items:
                read_part(&part, &inner)
                value = read_items(field, inner, [])
            else:
                value = read_value(field, &part, <int>(wire & 7), None, depth + 1)
            found = True
        else:
            skip(&part, <int>(wire & 7))
    if not found:
        if field.items:
            value = []
        elif field.type == BYTES:
            value = ""
        elif field.type == MESSAGE:
            count(&part, field.message)
            value = finish(field.message, {})
        elif field.type == STRING:
            value = ""
        elif field.type == QUANTITY:
            value = "0"
    into[key] = value
    return 0


cdef int read_repeated(Field field, Reader *reader, int wire_type, list into, int depth) except -1:
    """One value, or many in one where they are packed, at the end of the list."""
    cdef Reader part
    cdef uint64_t number
    if wire_type == DELIMITED and (field.type == INT32 or field.type == INT64 or field.type == BOOL):
        read_part(reader, &part)
        while part.at < part.end:
            PyList_Append(into, read_value(field, &part, VARINT, None, depth))
        return 0
    PyList_Append(into, read_value(field, reader, wire_type, None, depth + 2))
    return 0


cdef int read_fields(Message message, Reader part, dict found, int depth) except -1:
    """The fields that are there, in ``found``; one that comes twice is merged or replaced, as in Go."""
    cdef int32_t number
    cdef int wire_type
    cdef Field field
    cdef Py_ssize_t count = len(message.numbered)
    cdef Reader inner
    cdef object value
    cdef void *old
    while part.at < part.end:
        read_tag(&part, message.name, &number, &wire_type)
        entry = message.numbered[number] if number < count else None
        if entry is None:
            skip(&part, wire_type)
            continue
        field = <Field>entry
        if field.inlined:
            expect(wire_type, DELIMITED, field.go_name)
            read_part(&part, &inner)
            if depth >= DEPTH_MAX:
                raise DecodeError(f"exceeded max depth of {CONTAINERS_MAX}")
            read_fields(field.message, inner, found, depth + 1)
        elif field.mapping:
            expect(wire_type, DELIMITED, field.go_name)
            read_part(&part, &inner)
            old = PyDict_GetItemWithError(found, field.name)
            if old is NULL or <object>old is None:
                value = {}
                PyDict_SetItem(found, field.name, value)
            else:
                value = <object>old
            read_entry(field, inner, <dict>value, depth + 1)
        elif field.repeated:
            old = PyDict_GetItemWithError(found, field.name)
            if old is NULL or <object>old is None:
                value = []
                PyDict_SetItem(found, field.name, value)
            else:
                value = <object>old
            read_repeated(field, &part, wire_type, <list>value, depth)
        elif field.items:
            expect(wire_type, DELIMITED, field.go_name)
            read_part(&part, &inner)
            old = PyDict_GetItemWithError(found, field.name)
            value = read_items(field, inner, [] if old is NULL or <object>old is None else <list><object>old)
            if value or not field.omitempty:
                PyDict_SetItem(found, field.name, value)
        else:
            if field.type == MESSAGE:
                old = PyDict_GetItemWithError(found, field.name)
                value = read_value(field, &part, wire_type, None if old is NULL else <object>old, depth + 1)
            else:
                value = read_value(field, &part, wire_type, None, depth + 1)
            if field.omitempty and not field.pointer and (field.type < FIELDS or field.omitzero) and not value:
                found.pop(field.name, None)
            else:
                PyDict_SetItem(found, field.name, value)
    return 0


cdef Reader reader_of(bytes data):
    cdef Reader reader
    reader.at = <const uint8_t *>PyBytes_AS_STRING(data)
    reader.end = reader.at + PyBytes_GET_SIZE(data)
    reader.left = NULL
    return reader


def decode(Message message, bytes data not None, dict into not None):
    """``into`` with the fields of the message; DecodeError where the bytes are none."""
    cdef Reader reader = reader_of(data)
    cdef int64_t left = COUNT_MAX
    reader.left = &left
    read_fields(message, reader, into, 1)
    return finish(message, into)


def decode_unknown(bytes data not None, Py_ssize_t start=0):
    """``(apiVersion, kind, raw, contentEncoding, contentType)`` of a runtime.Unknown that begins at ``start``."""
    cdef Reader reader = reader_of(data)
    cdef Reader part, inner
    cdef int32_t number
    cdef int wire_type
    api_version = kind = encoding = content_type = ""
    raw = b""
    reader.at += start
    while reader.at < reader.end:
        read_tag(&reader, "Unknown", &number, &wire_type)
        if number < 1 or number > 4:
            skip(&reader, wire_type)
            continue
        expect(wire_type, DELIMITED, ("TypeMeta", "Raw", "ContentEncoding", "ContentType")[number - 1])
        read_part(&reader, &part)
        if number == 1:
            while part.at < part.end:
                read_tag(&part, "TypeMeta", &number, &wire_type)
                if number == 1 or number == 2:
                    expect(wire_type, DELIMITED, "APIVersion" if number == 1 else "Kind")
                    read_part(&part, &inner)
                    if number == 1:
                        api_version = read_text(inner)
                    else:
                        kind = read_text(inner)
                else:
                    skip(&part, wire_type)
        elif number == 2:
            raw = read_bytes(part)
        elif number == 3:
            encoding = read_text(part)
        else:
            content_type = read_text(part)
    return api_version, kind, raw, encoding, content_type
