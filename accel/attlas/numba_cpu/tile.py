"""The tile template: all pairs, streamed in blocks of queries and keys.

A formulation hands over its *score*, a function of the dot product of a pair, and its *weight*: either the softmax,
which is streamed with the running (maximum, total, accumulator), or a function of the score alone, whose weighted
values simply add. Both are small functions that are compiled into the kernel; everything else stands here. Where
queries and keys are compared by something else than a dot product, it hands over that *product* too.

Bound by: multiply-adds, m n (d + e) of them, which run near the processor's peak (see `vector`); on top of them m n
exponentials. Memory traffic is small: keys and values of a head are read once per block of queries. Only a bias for
each pair is as much as the scores: the caches are asked for that of the next tile while products are made, a few lines
at a time, since they wait for no more than two dozen.
Work is split into tasks (batch member, block of queries). One thread computes a task, key block after key block, in a
fixed order; blocks are cut by the shape alone. So neither the number of threads nor the rest of the batch changes
a bit. A block of keys that no query of the block sees is skipped.
Differs from the reference by rounding: sums run block by block in the order of the keys, and exp is within 2 units in
the last place with a floor of 0 below the smallest normal number.

Nothing here depends on shapes, strides, flags: a kernel is compiled once per precision.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from .blocks import all_finite, careful_add, fill, hide, pack, see, squares, unpack
from .compile import kernel, part
from .pointers import ask, tile_at
from .real import Real
from .vector import HOST, LINE, multiply, multiply_add

KEYS_PER_BLOCK = 128
QUERIES_PER_BLOCK = 96

Score = Callable[[Any, Any, Any, Any, Any], Any]
"""score(dot, query_square, key_square, bias, parameters); the squares are |q|² and |k|², 0 unless asked for."""


def _dot(operands, scratch, member, row, rows, lanes):
    """The product of most formulations: scratch.scores = <k, q> for a tile."""
    size, key = operands.size, operands.key
    at = key.places[member] + row * key.row
    multiply(
        scratch.scores, scratch.packed, key, at, key.row, key.column, rows, size.d, lanes, size.width, scratch.rescale
    )


dot: Any = part(_dot)
"""dot(operands, scratch, member, row, rows, lanes): what a product is called with. The queries of the block stand in
scratch.packed; `slopes` and `grads` are free for what a product keeps in between."""


def scaled_score(dot, query_square, key_square, bias, parameters):
    """The usual score; parameters (scale, ...)."""
    return parameters[0] * dot + bias


def _span(size, first, used):
    """From which row on, and up to which, the lanes of a block see any."""
    if size.order > 0:
        return 0, min(size.n, first + used + size.diagonal)
    return max(0, first - size.diagonal), size.n


span: Any = part(_span)


class Parts(NamedTuple):
    """What the kernels of one score share."""

    begin: Any
    """begin(operands, scratch, task, blocks): pack the queries of a task; returns its batch member, its first query,
    the number of queries and that of lanes."""
    scores: Any
    """scores(operands, scratch, member, first, used, lanes, row, rows): compute a tile of scores, hidden pairs at
    -inf; returns how many are hidden, or -1 if all are and nothing was computed."""
    add_rows: Any
    """add_rows(operands, scratch, sums, tile, matrix, width, member, lanes, row, rows, hidden): sums = sums * rescale
    + a tile times its rows of a matrix: weights times values, for one."""


def build_parts(real: Real, score: Score, uses_squares: bool = False, product: Any = dot) -> Parts:
    """Return the parts for one score of one product; made once, so that all its kernels share them."""
    return _parts(real, score, uses_squares, product)


@cache
def _parts(real: Real, score: Score, uses_squares: bool, product: Any) -> Parts:
    zero, infinity, line = real.number(0), real.number(np.inf), LINE // real.dtype.itemsize
    waits = product is dot  # others compute longer than they would wait
    of = f"{score.__qualname__}, {product.py_func.__qualname__}, {real.dtype}"
    apply = part(score, of=str(real.dtype) if score.__closure__ else "", inline=True)

    def begin(operands, scratch, task, blocks):
        size, query = operands.size, operands.query
        member, block = task // blocks, task % blocks
        first = block * size.queries
        used = min(size.queries, size.m - first)
        lanes = (used + size.width - 1) // size.width * size.width
        at = query.places[member] + first * query.row
        pack(scratch.packed, query, at, used, lanes, size.d, zero)
        if uses_squares:
            fill(scratch.lane_squares, lanes, zero)
            squares(scratch.lane_squares, query, at, used, size.d, zero)
        return member, first, used, lanes

    def product_asking(operands, scratch, member, first, used, lanes, row, rows):
        """The product, a few rows at a time, and meanwhile ask for the bias of the tile behind this one."""
        bias = operands.bias
        at = bias.places[member] + first * bias.row + row + rows
        behind = min(rows, operands.size.n - row - rows)
        lane = 0
        for start in range(0, rows, HOST.rows):
            few = min(HOST.rows, rows - start)
            product(operands, tile_at(scratch, start * lanes), member, row + start, few, lanes)
            until = used * (start + few) // rows
            while lane < until:
                for ahead in range(0, behind, line):
                    ask(bias.memory, at + lane * bias.row + ahead)
                lane += 1

    product_asking = part(product_asking, of)

    def scores(operands, scratch, member, first, used, lanes, row, rows):
        size, key, mask, bias = operands.size, operands.key, operands.mask, operands.bias
        tile, lane_squares, added_bias = scratch.scores, scratch.lane_squares, scratch.bias
        parameters = operands.parameters
        hidden = 0
        furthest = row + rows - 1 - first if size.order > 0 else first + used - 1 - row
        all_past = furthest <= size.diagonal
        if size.has_mask or not all_past:
            at = mask.places[member] + first * mask.row + row * mask.column
            diagonal = size.diagonal - size.order * (row - first)
            hidden = see(scratch.visible, operands, at, rows, used, lanes, diagonal, all_past)
            if hidden == rows * used:
                return -1
        if waits and size.has_bias and bias.column == 1 and bias.row != 0 and lanes % (size.width * HOST.vectors) == 0:
            product_asking(operands, scratch, member, first, used, lanes, row, rows)
        else:
            product(operands, scratch, member, row, rows, lanes)
        if uses_squares:
            squares(scratch.row_squares, key, key.places[member] + row * key.row, rows, size.d, zero)
        if size.has_bias:
            at = bias.places[member] + first * bias.row + row * bias.column
            pack(scratch.bias, bias, at, used, lanes, rows, zero)
        if uses_squares:
            for r in range(rows):
                start = r * lanes
                for lane in range(lanes):
                    added = added_bias[start + lane] if size.has_bias else zero
                    tile[start + lane] = apply(
                        tile[start + lane], lane_squares[lane], scratch.row_squares[r], added, parameters
                    )
        elif size.has_bias:
            for i in range(rows * lanes):
                tile[i] = apply(tile[i], zero, zero, added_bias[i], parameters)
        else:
            for i in range(rows * lanes):
                tile[i] = apply(tile[i], zero, zero, zero, parameters)
        if hidden:
            hide(tile, scratch.visible, rows * lanes, -infinity)
        return hidden

    def add_rows(operands, scratch, sums, tile, matrix, width, member, lanes, row, rows, hidden):
        at = matrix.places[member] + row * matrix.row
        if hidden and not operands.size.finite and not all_finite(matrix, at, rows, width):
            careful_add(
                sums, tile, matrix, at, width, rows, lanes, scratch.rescale, scratch.visible, scratch.line, zero
            )
        else:
            multiply_add(
                sums, tile, matrix, at, matrix.column, matrix.row, width, rows, lanes, operands.size.width,
                scratch.rescale,
            )  # fmt: skip

    return Parts(part(begin, of), part(scores, of), part(add_rows, of))


class Weighting(NamedTuple):
    """How scores become weights."""

    step: Any
    """step(operands, scratch, lanes, rows, hidden): a tile of scores becomes unnormalized weights; the running
    maximum and total, and the factor by which what was accumulated before must shrink, are brought up to date."""
    weigh: Any
    """weigh(score, shift, parameters): one unnormalized weight; `shift` is the row's maximum, 0 where that is -inf."""


@cache
def softmax(real: Real) -> Weighting:
    """Return the streamed softmax: exp(score - maximum)."""
    zero, infinity = real.number(0), real.number(np.inf)
    exp = real.exp

    def step(operands, scratch, lanes, rows, hidden):
        tile, maximum, total = scratch.scores, scratch.maximum, scratch.total
        shift, rescale, line = scratch.shift, scratch.rescale, scratch.line
        for lane in range(lanes):
            line[lane] = maximum[lane]
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                score = tile[start + lane]
                # A NaN is taken, and kept: nothing is larger than it.
                line[lane] = score if (score > line[lane]) | (score != score) else line[lane]
        for lane in range(lanes):
            # A row that has seen only -inf has no shift; 0 keeps exp(-inf - 0) = 0 where -inf - -inf would be NaN.
            shift[lane] = zero if line[lane] == -infinity else line[lane]
            rescale[lane] = exp(maximum[lane] - shift[lane])
            maximum[lane] = line[lane]
            line[lane] = zero
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                weight = exp(tile[start + lane] - shift[lane])
                tile[start + lane] = weight
                line[lane] += weight
        for lane in range(lanes):
            total[lane] = total[lane] * rescale[lane] + line[lane]

    def weigh(score, shift, parameters):
        return exp(score - shift)

    return Weighting(part(step, of=f"{real.dtype}"), part(weigh, of=f"{real.dtype}", inline=True))


def elementwise(real: Real, weight: Callable[[Any, Any], Any]) -> Weighting:
    """Return weights that depend on their own score alone, weight(score, parameters), and add."""
    zero, one = real.number(0), real.number(1)
    of = f"{weight.__qualname__}, {real.dtype}"
    apply = part(weight, of=str(real.dtype), inline=True)

    def step(operands, scratch, lanes, rows, hidden):
        tile, total, line = scratch.scores, scratch.total, scratch.line
        for i in range(rows * lanes):
            tile[i] = apply(tile[i], operands.parameters)
        if hidden:
            hide(tile, scratch.visible, rows * lanes, zero)
        fill(line, lanes, zero)
        for row in range(rows):
            start = row * lanes
            for lane in range(lanes):
                line[lane] += tile[start + lane]
        for lane in range(lanes):
            scratch.rescale[lane] = one
            total[lane] += line[lane]

    def weigh(score, shift, parameters):
        return apply(score, parameters)

    return Weighting(part(step, of), part(weigh, of, inline=True))


class Kernels(NamedTuple):
    """What the template makes of one formulation in one precision; compiled at the first call.

    Every kernel is kernel(start, stop, operands, scratch, results): the tasks from start to stop, and three tables of
    addresses and sizes.
    """

    real: Real
    forward: Any
    """Results: output (batch, m, e), maximum and total (batch, m)."""
    weights: Any
    """Results: maximum and total as `forward` left them, weights (batch, m, n), zero before; hidden pairs are left
    alone."""
    few: Any = None
    """The same as `forward` for a few queries, see `few`, where there is one."""


def build(
    name: str, real: Real, score: Score, weighting: Weighting, uses_squares: bool = False, product: Any = dot
) -> Kernels:
    """Fill the template: `name` is unique in the engine."""
    return fill_template(name, real, build_parts(real, score, uses_squares, product), weighting)


def fill_template(name: str, real: Real, parts: Parts, weighting: Weighting) -> Kernels:
    """Fill the template with parts of which some are the formulation's own."""
    return Kernels(real, build_forward(name, real, parts, weighting.step), _build_weights(name, real, parts, weighting))


@cache
def from_nothing(real: Real) -> Any:
    """Return how most kernels enter a task: with nothing accumulated, up to the last key that is visible."""
    zero, infinity = real.number(0), real.number(np.inf)

    def enter(operands, scratch, results, member, first, used, lanes):
        fill(scratch.sums, operands.size.e * lanes, zero)
        fill(scratch.maximum, lanes, -infinity)
        fill(scratch.total, lanes, zero)
        return span(operands.size, first, used)

    return part(enter, of=f"{real.dtype}")


def build_forward(name: str, real: Real, parts: Parts, advance: Any, enter: Any = None) -> Any:
    """Make the kernel `Kernels.forward`.

    `enter(operands, scratch, results, member, first, used, lanes)` sets sums, maximum and total of a task, and returns
    from which key on, and up to which, its queries see any; if not given, `from_nothing`.
    """
    zero, one = real.number(0), real.number(1)
    begin, scores, add_rows = parts
    enter = from_nothing(real) if enter is None else enter
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def forward(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        output, maximum, total = reals(results[0]), reals(results[1]), reals(results[2])
        size = operands.size
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            seen, end = enter(operands, scratch, results, member, first, used, lanes)
            for row in range(seen, end, size.keys):
                rows = min(size.keys, end - row)
                hidden = scores(operands, scratch, member, first, used, lanes, row, rows)
                if hidden >= 0:
                    advance(operands, scratch, lanes, rows, hidden)
                    add_rows(
                        operands, scratch, scratch.sums, scratch.scores, operands.value, size.e, member, lanes, row,
                        rows, hidden,
                    )  # fmt: skip
            target = member * size.m + first
            for lane in range(used):
                maximum[target + lane] = scratch.maximum[lane]
                total[target + lane] = scratch.total[lane]
            if size.divide:
                divisor = scratch.line
                for lane in range(lanes):
                    divisor[lane] = scratch.total[lane] if scratch.total[lane] != zero else one
                for column in range(size.e):
                    for lane in range(lanes):
                        scratch.sums[column * lanes + lane] /= divisor[lane]
            unpack(output, target * size.e, scratch.sums, used, lanes, size.e)

    return kernel(forward, f"{name}-forward-{real.dtype}")


def _build_weights(name: str, real: Real, parts: Parts, weighting: Weighting) -> Any:
    one, zero, infinity = real.number(1), real.number(0), real.number(np.inf)
    (begin, scores, _), weigh = parts, weighting.weigh
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def weights(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        maximum, total, result = reals(results[0]), reals(results[1]), reals(results[2])
        size = operands.size
        blocks = (size.m + size.queries - 1) // size.queries
        for task in range(start, stop):
            member, first, used, lanes = begin(operands, scratch, task, blocks)
            seen, end = span(size, first, used)
            for row in range(seen, end, size.keys):
                rows = min(size.keys, end - row)
                hidden = scores(operands, scratch, member, first, used, lanes, row, rows)
                if hidden < 0:
                    continue
                for lane in range(used):
                    query = member * size.m + first + lane
                    shift = zero if maximum[query] == -infinity else maximum[query]
                    divisor = total[query] if size.divide and total[query] != zero else one
                    for r in range(rows):
                        at = r * lanes + lane
                        if hidden == 0 or scratch.visible[at]:
                            number = weigh(scratch.scores[at], shift, operands.parameters) / divisor
                            result[query * size.n + row + r] = number

    return kernel(weights, f"{name}-weights-{real.dtype}")
