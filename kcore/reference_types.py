"""What Numba has to know of groups of arrays that are passed by reference: type, layout, access, the way in."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models, register_default
from numba.core.imputils import impl_ret_borrowed, lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.core.typing.typeof import typeof, typeof_impl
from numba.extending import NativeValue, unbox
from numba.np import numpy_support


class Reference(types.Type):
    """The type of such a group: the class, and the types of its fields."""

    def __init__(self, cls: type, fields: tuple[tuple[str, Any], ...]) -> None:
        self.cls = cls
        self.fields = fields
        listed = ", ".join(f"{name}: {one}" for name, one in fields)
        super().__init__(f"{cls.__module__}.{cls.__qualname__}({listed})")


@register_default(Reference)
class ReferenceModel(models.OpaqueModel):
    """An address."""


def register(cls: type) -> None:
    """Instances of the class are passed by reference."""

    @typeof_impl.register(cls)
    def typeof_reference(value: Any, context: Any) -> Reference:
        fields = zip(cls._fields, value, strict=True)  # type: ignore[attr-defined]
        return Reference(cls, tuple((name, typeof(one, context.purpose)) for name, one in fields))


@infer_getattr
class ReferenceAttribute(AttributeTemplate):
    """A field has its type."""

    key = Reference

    def generic_resolve(self, reference: Reference, name: str) -> Any:
        """The type of the field; None where there is none."""
        return dict(reference.fields).get(name)


def _layout(context: Any, kind: Any) -> Any:
    """What is written down of a field: data, shape and strides of an array, the fields of a group."""
    if isinstance(kind, Reference):
        return ir.LiteralStructType([_layout(context, one) for _, one in kind.fields])
    axes = ir.ArrayType(ir.IntType(64), kind.ndim)
    return ir.LiteralStructType([context.get_data_type(kind.dtype).as_pointer(), axes, axes])


def _load(builder: Any, address: Any) -> Any:
    """What stands there, which does not change while the kernel runs."""
    value = builder.load(address)
    value.set_metadata("invariant.load", builder.module.add_metadata([]))
    return value


@lower_getattr_generic(Reference)
def load_field(context: Any, builder: Any, reference: Reference, value: Any, name: str) -> Any:
    """The array as Numba wants it, or the address of the group within."""
    index = [one for one, _ in reference.fields].index(name)
    kind = reference.fields[index][1]
    base = builder.bitcast(value, _layout(context, reference).as_pointer())
    field = cgutils.gep_inbounds(builder, base, 0, index)
    if isinstance(kind, Reference):
        return builder.bitcast(field, cgutils.voidptr_t)
    array = context.make_array(kind)(context, builder)
    array.data = _load(builder, cgutils.gep_inbounds(builder, field, 0, 0))
    axes = [
        [_load(builder, cgutils.gep_inbounds(builder, field, 0, part, axis)) for axis in range(kind.ndim)]
        for part in (1, 2)
    ]
    itemsize = context.get_constant(types.intp, numpy_support.as_dtype(kind.dtype).itemsize)
    if kind.layout == "C":
        axes[1][-1] = itemsize
    count = context.get_constant(types.intp, 1)
    for length in axes[0]:
        count = builder.mul(count, length)
    array.shape, array.strides = (cgutils.pack_array(builder, one) for one in axes)
    array.itemsize, array.nitems = itemsize, count
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    array.parent = cgutils.get_null_value(array.parent.type)
    return impl_ret_borrowed(context, builder, kind, array._getvalue())


@unbox(Reference)
def write_down(reference: Reference, group: Any, c: Any) -> Any:
    """The address of what is written down of the group, on the stack of the way in."""
    builder = c.builder
    failed = cgutils.alloca_once_value(builder, cgutils.false_bit)
    place = cgutils.alloca_once(builder, _layout(c.context, reference))
    _write_down(reference, group, place, failed, c)
    return NativeValue(builder.bitcast(place, cgutils.voidptr_t), is_error=builder.load(failed))


def _write_down(reference: Reference, group: Any, place: Any, failed: Any, c: Any) -> None:
    builder = c.builder
    for index, (_, kind) in enumerate(reference.fields):
        item = c.pyapi.tuple_getitem(group, index)
        field = cgutils.gep_inbounds(builder, place, 0, index)
        if isinstance(kind, Reference):
            _write_down(kind, item, field, failed, c)
            continue
        array = c.context.make_array(kind)(c.context, builder)
        # without a count of references: the caller holds the group
        adapt = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.IntType(32), [c.pyapi.pyobj, cgutils.voidptr_t]),
            "numba_adapt_ndarray",
        )
        error = builder.call(adapt, (item, builder.bitcast(array._getpointer(), cgutils.voidptr_t)))
        size = array.itemsize.type(numpy_support.as_dtype(kind.dtype).itemsize)
        wrong = builder.or_(
            cgutils.is_not_null(builder, error), builder.icmp_unsigned("!=", array.itemsize, size)
        )
        with builder.if_then(wrong, likely=False):
            c.pyapi.err_set_string(
                "PyExc_TypeError", "an array of another type than the kernel was compiled for"
            )
            builder.store(cgutils.true_bit, failed)
        for part, value in enumerate((array.data, array.shape, array.strides)):
            builder.store(value, cgutils.gep_inbounds(builder, field, 0, part))
