"""The steps of an elimination, row by row in whole vectors.

Written as LLVM instructions, like the tile of `vector`: rows are some vectors long, so what a loop over numbers spends
on its ends would be most of the time. A matrix has a row per token, the lanes of which are heads: the root, then the
tokens. `stride` is the length of a row, in whole vectors; what stands behind the last head is 0.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..vector import HOST, INT

GROUP = HOST.rows * HOST.vectors // 3
"""How many vectors of a sum, and as many factors, the registers hold."""


class Rows:
    """Makes the instructions on vectors of one type."""

    def __init__(self, context: Any, builder: Any, number: Any) -> None:
        self.builder = builder
        self.size = number.bitwidth // 8
        self.width = HOST.bytes // self.size
        self.scalar = context.get_data_type(number)
        self.vector = ir.VectorType(self.scalar, self.width)
        self.zero = ir.Constant(self.vector, None)

    def place(self, array: Any, at: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(array, [at]), self.vector.as_pointer())

    def load(self, array: Any, at: Any) -> Any:
        return self.builder.load(self.place(array, at), align=self.size)

    def store(self, vector: Any, array: Any, at: Any) -> None:
        self.builder.store(vector, self.place(array, at), align=self.size)

    def spread(self, number: Any) -> Any:
        vector = ir.VectorType(number.type, self.width)
        first = self.builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(INT, 0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self.width), None)
        return self.builder.shuffle_vector(first, first, lanes)

    def lanes(self, at: Any) -> Any:
        """The numbers of the lanes that stand from `at` on."""
        numbers = ir.Constant(ir.VectorType(INT, self.width), list(range(self.width)))
        return self.builder.add(numbers, self.spread(at))

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.fadd(self.builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))

    def total(self, vector: Any) -> Any:
        """The sum of the lanes."""
        name = f"llvm.vector.reduce.fadd.v{self.width}f{self.size * 8}"
        module = self.builder.module
        function = module.globals.get(name) or ir.Function(
            module, ir.FunctionType(self.scalar, [self.scalar, self.vector]), name
        )
        return self.builder.call(function, [ir.Constant(self.scalar, 0.0), vector], fastmath=("reassoc",))

    def variable(self, value: Any) -> Any:
        """A place for a value that a loop changes; it ends up in a register."""
        return cgutils.alloca_once_value(self.builder, value)

    def across(self, heads: Any) -> Any:
        """A loop over the vectors that hold so many heads; `index` is where each begins."""
        return cgutils.for_range_slice(
            self.builder, ir.Constant(INT, 0), heads, ir.Constant(INT, self.width), intp=INT, inc=True
        )

    def counted(self, at: Any, k: Any, with_root: Any) -> Any:
        """The heads that are part of D: tokens before k, and perhaps the root."""
        builder, lanes = self.builder, self.lanes(at)
        least = builder.select(with_root, ir.Constant(INT, 0), ir.Constant(INT, 1))
        from_root = builder.icmp_signed(">=", lanes, self.spread(least))
        return builder.and_(from_root, builder.icmp_signed("<=", lanes, self.spread(k)))


@intrinsic
def extent(typing: Any, row: Any, own: Any, heads: Any, stride: Any) -> Any:
    """The smallest and the largest score of a row, the latter NaN if one is not finite.

    In the place of the token's own score, and behind the last head, the root's is put.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        row, own, heads, stride = arguments
        rows = Rows(context, builder, signature.args[0].dtype)
        root = rows.spread(builder.load(row))
        low, high, strange = rows.variable(root), rows.variable(root), rows.variable(rows.zero)
        with rows.across(stride) as (at, _):
            lanes = rows.lanes(at)
            before = builder.icmp_signed("<", lanes, rows.spread(heads))
            other = builder.icmp_signed("!=", lanes, rows.spread(own))
            x = builder.select(builder.and_(before, other), rows.load(row, at), root)
            rows.store(x, row, at)
            lowest, highest = builder.load(low), builder.load(high)
            builder.store(builder.select(builder.fcmp_ordered("<", x, lowest), x, lowest), low)
            builder.store(builder.select(builder.fcmp_ordered(">", x, highest), x, highest), high)
            builder.store(builder.fadd(builder.load(strange), builder.fsub(x, x)), strange)
        lowest, highest = builder.load(low), builder.load(high)
        half = rows.width // 2
        while half:  # the lanes are folded
            turned = ir.Constant(ir.VectorType(ir.IntType(32), rows.width), [i ^ half for i in range(rows.width)])
            less, more = (builder.shuffle_vector(x, x, turned) for x in (lowest, highest))
            lowest = builder.select(builder.fcmp_ordered("<", less, lowest), less, lowest)
            highest = builder.select(builder.fcmp_ordered(">", more, highest), more, highest)
            half //= 2
        first = ir.Constant(INT, 0)
        low, high = builder.extract_element(lowest, first), builder.extract_element(highest, first)
        high = builder.fadd(high, rows.total(builder.load(strange)))
        return context.make_tuple(builder, signature.return_type, (low, high))

    number, i = row.dtype, types.int64
    return types.UniTuple(number, 2)(row, i, i, i), generate


@intrinsic
def divide(typing: Any, weights: Any, factors: Any, stride: Any, k: Any, with_root: Any) -> Any:
    """Leave w[h, k] / D in the row of k of `factors`, and return D."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        weights, factors, stride, k, with_root = arguments
        rows = Rows(context, builder, signature.args[0].dtype)
        into_k, heads = builder.mul(k, stride), builder.add(k, ir.Constant(INT, 1))
        total = rows.variable(rows.zero)
        with rows.across(heads) as (at, _):
            x = rows.load(weights, builder.add(into_k, at))
            counted = builder.select(rows.counted(at, k, with_root), x, rows.zero)
            builder.store(builder.fadd(builder.load(total), counted), total)
        mass = rows.total(builder.load(total))
        everywhere, root = rows.spread(mass), cgutils.true_bit
        with rows.across(heads) as (at, _):
            here = builder.add(into_k, at)
            factor = builder.fdiv(rows.load(weights, here), everywhere)
            factor = builder.select(rows.counted(at, k, root), factor, rows.zero)
            rows.store(factor, factors, here)
        return mass

    number, i = weights.dtype, types.int64
    return number(weights, factors, i, i, types.boolean), generate


def _paths(rows: Rows, vectors: int, arguments: Any) -> None:
    """w[h, d] += w[h, k] / D w[k, d], for some vectors of heads."""
    weights, factors, stride, k, first = arguments
    builder = rows.builder
    from_k, into_k = builder.add(k, ir.Constant(INT, 1)), builder.mul(k, stride)
    places = [builder.add(first, ir.Constant(INT, v * rows.width)) for v in range(vectors)]
    used = [rows.load(factors, builder.add(into_k, at)) for at in places]
    with cgutils.for_range(builder, k, intp=INT) as loop:
        start = builder.mul(loop.index, stride)
        weight = rows.spread(builder.load(builder.gep(weights, [builder.add(start, from_k)])))
        there = [builder.add(start, at) for at in places]
        for at, factor in zip(there, used, strict=True):
            rows.store(rows.multiply_add(weight, factor, rows.load(weights, at)), weights, at)


def _for_each_number(rows: Rows, vectors: Any, make: Any, arguments: Any) -> None:
    """The instructions of `make` for the number of vectors that there is."""
    builder = rows.builder
    after = builder.append_basic_block("vectors.end")
    choice = builder.switch(vectors, after)
    for count in range(1, GROUP + 1):
        block = builder.append_basic_block(f"vectors.{count}")
        choice.add_case(ir.Constant(INT, count), block)
        builder.position_at_end(block)
        make(rows, count, arguments)
        builder.branch(after)
    builder.position_at_end(after)


@intrinsic
def add_paths(typing: Any, weights: Any, factors: Any, stride: Any, k: Any, first: Any, vectors: Any) -> Any:
    """Add the paths over token k to the arcs into earlier ones, for up to `GROUP` vectors of heads from `first` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = Rows(context, builder, signature.args[0].dtype)
        _for_each_number(rows, arguments[5], _paths, arguments[:5])
        return context.get_dummy_value()

    i = types.int64
    return types.void(weights, factors, i, i, i, i), generate


def _sums(rows: Rows, vectors: int, arguments: Any) -> None:
    """Both sums over the derivatives of earlier tokens, for some vectors of heads."""
    grads, weights, factors, stride, k, first, fresh = arguments
    builder = rows.builder
    from_k, into_k = builder.add(k, ir.Constant(INT, 1)), builder.mul(k, stride)
    places = [builder.add(first, ir.Constant(INT, v * rows.width)) for v in range(vectors)]
    used = [rows.load(factors, builder.add(into_k, at)) for at in places]
    sums = [rows.variable(rows.zero) for _ in places]
    with cgutils.for_range(builder, k, intp=INT) as loop:
        start = builder.mul(loop.index, stride)
        weight = rows.spread(builder.load(builder.gep(weights, [builder.add(start, from_k)])))
        into = rows.zero
        for at, factor, total in zip(places, used, sums, strict=True):
            grad = rows.load(grads, builder.add(start, at))
            builder.store(rows.multiply_add(weight, grad, builder.load(total)), total)
            into = rows.multiply_add(grad, factor, into)
        target = builder.gep(grads, [builder.add(start, from_k)])
        known = builder.select(fresh, ir.Constant(rows.scalar, 0.0), builder.load(target))
        builder.store(builder.fadd(known, rows.total(into)), target)
    for at, total in zip(places, sums, strict=True):
        rows.store(builder.load(total), grads, builder.add(into_k, at))


@intrinsic
def sum_back(
    typing: Any, grads: Any, weights: Any, factors: Any, stride: Any, k: Any, first: Any, vectors: Any, fresh: Any
) -> Any:
    """For up to `GROUP` vectors of heads h from the head `first` on, Σ_d g[h, d] w[k, d] in the row of k, and

    g[k, d] = Σ_h g[h, d] w[h, k] / D, added to what stands there unless `fresh`.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = Rows(context, builder, signature.args[0].dtype)
        _for_each_number(rows, arguments[6], _sums, [*arguments[:6], arguments[7]])
        return context.get_dummy_value()

    i = types.int64
    return types.void(grads, weights, factors, i, i, i, i, types.boolean), generate


@intrinsic
def finish_back(typing: Any, grads: Any, factors: Any, stride: Any, k: Any, mass: Any, with_root: Any) -> Any:
    """From the sums in the row of k to g[h, k]: divided by D, and what does not flow over k is added."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        grads, factors, stride, k, mass, with_root = arguments
        rows = Rows(context, builder, signature.args[0].dtype)
        into_k, heads = builder.mul(k, stride), builder.add(k, ir.Constant(INT, 1))
        flow = rows.variable(rows.zero)
        with rows.across(heads) as (at, _):
            here = builder.add(into_k, at)
            passed = rows.multiply_add(rows.load(grads, here), rows.load(factors, here), builder.load(flow))
            builder.store(passed, flow)
        one = ir.Constant(rows.scalar, 1.0)
        rest = rows.spread(builder.fdiv(builder.fsub(one, rows.total(builder.load(flow))), mass))
        everywhere, root = rows.spread(mass), cgutils.true_bit
        with rows.across(heads) as (at, _):
            here = builder.add(into_k, at)
            passed = builder.select(rows.counted(at, k, root), rows.load(grads, here), rows.zero)
            more = builder.select(rows.counted(at, k, with_root), rest, rows.zero)
            rows.store(builder.fadd(builder.fdiv(passed, everywhere), more), grads, here)
        return context.get_dummy_value()

    i = types.int64
    return types.void(grads, factors, i, i, mass, types.boolean), generate
