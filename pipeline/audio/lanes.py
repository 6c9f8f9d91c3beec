"""Several values side by side, for compiled loops that do the same to several signals at once.

A group holds 64 bytes: eight float64 or sixteen float32. LLVM turns these operations into whatever vectors the processor has;
each result is rounded as IEEE 754 says, so it is the same everywhere. In plain loops over eight values, LLVM finds the vectors
only where it can prove that no two arrays overlap.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,import-untyped,no-any-return"

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_BITS: Final = 512
_INDEX: Final = ir.IntType(32)


def _group(dtype):
    """The numba type of a group: a tuple, since numba has no vectors."""
    return types.UniTuple(dtype, _BITS // dtype.bitwidth)


@intrinsic
def load(typing_context, array, first):
    """The group of a contiguous array from value number `first` on; nothing checks the bounds."""

    def generate(context, builder, signature, arguments):
        value = builder.load(_address(context, builder, signature, arguments))
        value.align = array.dtype.bitwidth // 8
        return _to_tuple(context, builder, signature.return_type, value)

    return _group(array.dtype)(array, types.intp), generate


@intrinsic
def store(typing_context, array, first, values):
    """Writes a group into a contiguous array from value number `first` on; nothing checks the bounds."""

    def generate(context, builder, signature, arguments):
        address = _address(context, builder, signature, arguments)
        builder.store(_to_vector(builder, arguments[2]), address).align = array.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, types.intp, _group(array.dtype)), generate


@intrinsic
def scaled(typing_context, factor, group):
    """One number, rounded to the precision of the group, × each value of the group."""

    def generate(context, builder, signature, arguments):
        number = context.cast(builder, arguments[0], signature.args[0], group.dtype)
        values = _to_vector(builder, arguments[1])
        unset = ir.Constant(values.type, ir.Undefined)
        first_only = builder.insert_element(unset, number, _INDEX(0))
        everywhere = ir.Constant(ir.VectorType(_INDEX, group.count), [0] * group.count)
        factors = builder.shuffle_vector(first_only, unset, everywhere)
        return _to_tuple(context, builder, group, builder.fmul(factors, values))

    return group(factor, group), generate


def _elementwise(instruction: str) -> Callable[..., Any]:
    """The function that applies an LLVM instruction to the pairs of values of two groups."""

    @intrinsic
    def operation(typing_context, left, right):
        def generate(context, builder, signature, arguments):
            left_values, right_values = (_to_vector(builder, argument) for argument in arguments)
            return _to_tuple(context, builder, left, getattr(builder, instruction)(left_values, right_values))

        return left(left, right), generate

    return operation


plus: Final = _elementwise("fadd")
minus: Final = _elementwise("fsub")
times: Final = _elementwise("fmul")


def _address(context, builder, signature, arguments):
    array_type = signature.args[0]
    array = context.make_array(array_type)(context, builder, arguments[0])
    vector = ir.VectorType(context.get_value_type(array_type.dtype), _BITS // array_type.dtype.bitwidth)
    return builder.bitcast(builder.gep(array.data, [arguments[1]]), vector.as_pointer())


def _to_vector(builder, group):
    count, element = group.type.count, group.type.element
    vector = ir.Constant(ir.VectorType(element, count), ir.Undefined)
    for lane in range(count):
        vector = builder.insert_element(vector, builder.extract_value(group, lane), _INDEX(lane))
    return vector


def _to_tuple(context, builder, group_type, vector):
    group = ir.Constant(context.get_value_type(group_type), ir.Undefined)
    for lane in range(group_type.count):
        group = builder.insert_value(group, builder.extract_element(vector, _INDEX(lane)), lane)
    return group
