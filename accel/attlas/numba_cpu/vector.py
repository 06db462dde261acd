"""The register tile: the one loop in which nearly all the time goes.

Both products of attention, scores = keys × queries and output = values × weights, are the same operation when the
*queries* stand side by side in the lanes of a vector:

    out[row, lane] = Σ_step  y[row, step] · x[step, lane]

`x` is contiguous scratch (packed queries, weights), `y` is read where it lies, one number at a time and spread over
all lanes, with any strides: keys and values are never packed, transposed or copied. `ROWS` × `VECTORS` accumulators
stay in registers for the whole sum.

Bound by: multiply-adds. A tile of 4 × 6 vectors does 24 of them for 6 + 4 loads; AVX-512 has 32 registers for
24 accumulators, 6 vectors of x and 1 spread number. LLVM's own vectorizer does not find this form, so the tile is
written as LLVM instructions. A sum runs in the order of the steps in every lane, so a result does not depend on which
tile or lane computes it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compile import part

INT = ir.IntType(64)

LINE = 64
"""Bytes of a cache line."""


class Shape(NamedTuple):
    """What the registers of this processor hold."""

    bytes: int
    """Of one vector."""
    rows: int
    vectors: int
    """The tile: rows × vectors accumulators."""
    narrow: int
    """Rows of the tile for lanes that do not fill `vectors`."""


def _host_shape() -> Shape:
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        return Shape(64, 4, 6, 8)  # 32 registers
    if features.get("avx"):
        return Shape(32, 4, 3, 8)  # 16 registers
    return Shape(16, 4, 6, 8) if features.get("neon") else Shape(16, 4, 3, 8)


HOST = _host_shape()


def lanes_of(dtype: np.dtype[Any]) -> int:
    """How many numbers one vector holds."""
    return HOST.bytes // dtype.itemsize


def _multiply_add(builder: Any, y: Any, x: Any, total: Any) -> Any:
    """total + y · x"""
    return builder.fadd(builder.fmul(y, x, flags=("contract",)), total, flags=("contract",))


def _tile(rows: int, vectors: int, accumulate: bool, add: Callable[..., Any] = _multiply_add) -> Any:
    """Make the tile as a function of pointers and positions from there.

    `add` takes a spread y and an x into a total. With `accumulate`, out = out · rescale + the sum, where `rescale`
    holds one number per lane; else out = the sum.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, out_at, out_row, x, x_at, x_step, y, y_at, y_row, y_step, steps, rescale, lane = arguments
        scalar = context.get_data_type(signature.args[0].dtype)
        size = signature.args[0].dtype.bitwidth // 8
        width = HOST.bytes // size
        vector = ir.VectorType(scalar, width)
        spread = ir.Constant(ir.VectorType(ir.IntType(32), width), None)

        def lanes_at(array: Any, position: Any, v: int) -> Any:
            element = builder.gep(array, [builder.add(position, ir.Constant(INT, v * width))])
            return builder.bitcast(element, vector.as_pointer())

        y_rows = [builder.add(y_at, builder.mul(y_row, ir.Constant(INT, r))) for r in range(rows)]
        before = builder.block
        body = builder.append_basic_block("tile.step")
        after = builder.append_basic_block("tile.end")
        some = builder.icmp_signed(">", steps, ir.Constant(INT, 0))
        builder.cbranch(some, body, after)

        zero = ir.Constant(vector, None)
        with builder.goto_block(body):
            step = builder.phi(INT)
            step.add_incoming(ir.Constant(INT, 0), before)
            sums = [builder.phi(vector) for _ in range(rows * vectors)]
            x_row = builder.add(x_at, builder.mul(step, x_step))
            xs = [builder.load(lanes_at(x, x_row, v), align=size) for v in range(vectors)]
            y_column = builder.mul(step, y_step)
            results = []
            for r in range(rows):
                number = builder.load(builder.gep(y, [builder.add(y_rows[r], y_column)]))
                first = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(INT, 0))
                everywhere = builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), spread)
                results += [add(builder, everywhere, xs[v], sums[r * vectors + v]) for v in range(vectors)]
            for total, result in zip(sums, results, strict=True):
                total.add_incoming(zero, before)
                total.add_incoming(result, body)
            following = builder.add(step, ir.Constant(INT, 1))
            step.add_incoming(following, body)
            builder.cbranch(builder.icmp_signed("<", following, steps), body, after)

        builder.position_at_end(after)
        totals = [builder.phi(vector) for _ in results]
        for total, result in zip(totals, results, strict=True):
            total.add_incoming(zero, before)
            total.add_incoming(result, body)
        for r in range(rows):
            out_at_row = builder.add(out_at, builder.mul(out_row, ir.Constant(INT, r)))
            for v in range(vectors):
                target = lanes_at(out, out_at_row, v)
                total = totals[r * vectors + v]
                if accumulate:
                    factor = builder.load(lanes_at(rescale, lane, v), align=size)
                    old = builder.fmul(builder.load(target, align=size), factor, flags=("contract",))
                    total = builder.fadd(old, total, flags=("contract",))
                builder.store(total, target, align=size)
        return context.get_dummy_value()

    @intrinsic
    def tile(
        typing: Any,
        out: Any,
        out_at: Any,
        out_row: Any,
        x: Any,
        x_at: Any,
        x_step: Any,
        y: Any,
        y_at: Any,
        y_row: Any,
        y_step: Any,
        steps: Any,
        rescale: Any,
        lane: Any,
    ) -> Any:
        i = types.int64
        return types.void(out, i, i, x, i, i, y, i, i, i, i, rescale, i), generate

    return tile


_ROWS, _NARROW = HOST.rows, HOST.narrow

_PAIR = 8 if HOST.vectors > 3 else 4
"""Rows of the tile for two vectors: as many accumulators as half of the registers or fewer."""


def covering(
    accumulate: bool, add: Callable[..., Any] = _multiply_add, vectors: int = HOST.vectors
) -> Callable[..., None]:
    """Cover rows × lanes of `out` with the tiles of one operation.

    They are so many vectors wide where there is room; of what is left, two vectors are taken at a time.
    """
    shapes = ((_ROWS, vectors), (1, vectors), (_PAIR, 2), (1, 2), (_NARROW, 1), (1, 1))
    full, full_row, pair, pair_row, narrow, narrow_row = (_tile(*shape, accumulate, add) for shape in shapes)

    def product(out, x, matrix, y_at, y_row, y_step, rows, steps, lanes, width, rescale):
        y, wide = matrix.memory, width * vectors
        lane = 0
        while lane + wide <= lanes:
            row = 0
            while row + _ROWS <= rows:
                at = y_at + row * y_row
                full(out, row * lanes + lane, lanes, x, lane, lanes, y, at, y_row, y_step, steps, rescale, lane)
                row += _ROWS
            while row < rows:
                at = y_at + row * y_row
                full_row(out, row * lanes + lane, lanes, x, lane, lanes, y, at, y_row, y_step, steps, rescale, lane)
                row += 1
            lane += wide
        while lane + 2 * width <= lanes:
            row = 0
            while row + _PAIR <= rows:
                at = y_at + row * y_row
                pair(out, row * lanes + lane, lanes, x, lane, lanes, y, at, y_row, y_step, steps, rescale, lane)
                row += _PAIR
            while row < rows:
                at = y_at + row * y_row
                pair_row(out, row * lanes + lane, lanes, x, lane, lanes, y, at, y_row, y_step, steps, rescale, lane)
                row += 1
            lane += 2 * width
        while lane < lanes:
            row = 0
            while row + _NARROW <= rows:
                at = y_at + row * y_row
                narrow(out, row * lanes + lane, lanes, x, lane, lanes, y, at, y_row, y_step, steps, rescale, lane)
                row += _NARROW
            while row < rows:
                at = y_at + row * y_row
                narrow_row(out, row * lanes + lane, lanes, x, lane, lanes, y, at, y_row, y_step, steps, rescale, lane)
                row += 1
            lane += width

    return product


multiply: Any = part(covering(accumulate=False), of="multiply")
"""multiply(out, x, matrix, y_at, y_row, y_step, rows, steps, lanes, width, rescale): out (rows, lanes) =
y (rows, steps) times x (steps, lanes); y is the memory of a matrix from `y_at` on, with two
strides. `rescale` is not read."""

multiply_add: Any = part(covering(accumulate=True), of="multiply_add")
"""The same with out = out · rescale + the product, rescale (lanes,)."""

multiply_add_rows: Any = part(covering(accumulate=True, vectors=min(HOST.vectors, 4)), of="multiply_add_rows")
"""The same where lanes are the columns of a row, often 64 of them."""
