"""Hamming distances of bits that are packed into words.

A word is as wide as a number of the call's precision and travels as one: queries, keys and scratch of packed bits are
laid out and moved like any others, and only here are they looked at as whole numbers. So the distance of a pair stands
in the lane in which its score will.

Bound by: one exclusive or, one population count and one addition per word, with the register tile of `vector`: 512
bits of a pair in three instructions where the processor counts bits in vectors (AVX-512 VPOPCNTDQ), against 1024
multiply-adds of a matrix product. Distances are exact.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compile import part
from ..operands import Array, lean
from ..pointers import Matrix
from ..vector import covering


def pack_bits(addresses: Array) -> Array:
    """Pack (..., rows, b) numbers, of which those above 0 are set bits, into (..., rows, words) of the same dtype.

    What is broadcast along leading axes is packed once, and broadcast.
    """
    packed = np.packbits(lean(addresses) > 0, axis=-1, bitorder="little")
    size = addresses.dtype.itemsize
    words = np.zeros((*packed.shape[:-1], -(-packed.shape[-1] // size) * size), dtype=np.uint8)
    words[..., : packed.shape[-1]] = packed
    words = words.view(addresses.dtype)
    return np.broadcast_to(words, (*addresses.shape[:-1], words.shape[-1]))


@intrinsic
def as_words(typing: Any, pointer: Any) -> Any:
    """A pointer to floats as one to whole numbers of their size."""
    word = types.int32 if pointer.dtype == types.float32 else types.int64

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(word)(pointer), generate


@intrinsic
def as_doubles(typing: Any, pointer: Any) -> Any:
    """A pointer to floats as one to float64: a table that is finer than the call's precision."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float64)(pointer), generate


def _add_differing_bits(builder: Any, y: Any, x: Any, total: Any) -> Any:
    """total + the number of bits in which y and x differ"""
    vector = x.type
    name = f"llvm.ctpop.v{vector.count}i{vector.element.width}"
    count = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector]), name)
    return builder.add(builder.call(count, [builder.xor(y, x)]), total)


_tiled: Any = part(covering(accumulate=False, add=_add_differing_bits), of="hamming")


def _distances(scratch, matrix, at, rows, words, lanes, width):
    """The distances of the block's queries, packed, to the rows of a matrix from `at` on: whole numbers (rows, lanes),
    in the place of `scratch.slopes`."""
    distance = as_words(scratch.slopes)
    bits = Matrix(as_words(matrix.memory), matrix.places, matrix.row, matrix.column)
    packed = as_words(scratch.packed)
    _tiled(distance, packed, bits, at, matrix.row, matrix.column, rows, words, lanes, width, scratch.rescale)
    return distance


distances: Any = part(_distances)
