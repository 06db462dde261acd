"""Relational attention on Numba-CUDA: what is passed on is how query and key compare.

    out_i = Σ_j w_ij σ_j + (Σ_j w_ij ρ_ij) W

The first sum is softmax attention to the symbols, by the tile, which leaves the row statistics; with them a weight can
be made again on its own. The sums of relations take a pass of their own: a block of threads owns some queries of one
head and a few relations, makes the weights of a tile of keys once and the tile of one relation after the other, and
adds their products to partial sums in shared memory. W comes last, as a product of rows. Symbols of pairs are weighted
where they lie. Nothing of size (m, n, r) is formed, unless the relations are asked for.

Bound by operations: m n h (2 d + e + r (d / few + p)) multiply-adds, where few are the relations of a block; heads
share their relations, but each makes them again, and the softmax over relations makes them once more per few. With
symbols of pairs bound by bytes: m n h e numbers are read once.

Results differ from the reference by rounding only: sums run over tiles. Nothing is atomic.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from attlas_ref.contract import RelationalResult

from .blocks import Block
from .dense import Attention
from .learned import projected
from .operands import dtype_of, lay_out, shape_of
from .pieces import BIAS, COLUMN_STEP, FIRST_MEMBER, KEY, QUERY, ROW_STEP, build_products, entry, larger, sees
from .rules import Real, dot, softmax
from .target import allocate, cuda, device, device_using_cuda, kernel, launch, shaped

IDENTITY, RELU, TANH, SIGMOID, SOFTMAX = range(5)
ACTIVATIONS = ("identity", "relu", "tanh", "sigmoid", "softmax")

RELATION_QUERY, RELATION_KEY = range(2)
"""The rows of the table of relations, which has a column for each relation of each batch member (without heads)."""


@functools.cache
def build_relate(block: Block, real: Real) -> Callable[..., Any]:
    """Build the function that makes a tile of one relation; the softmax over relations is left to its reader."""
    dots = build_products(block, real, dot)
    rows, columns = block.rows, block.columns
    zero, one = real(0), real(1)

    @device
    def activated(number, activation):
        if activation == RELU:
            return zero if zero > number else number  # a NaN stays
        if activation == TANH:
            return real(math.tanh(number))
        if activation == SIGMOID:
            # The exponential of a negative number cannot overflow.
            small = real(math.exp(-abs(number)))
            return (one if number >= zero else small) / (one + small)
        return number

    @device_using_cuda
    def relate(found, left, right, of_query, of_key, related, place, i0, m, j0, n, p, factor, activation):
        dots(found, left, right, of_query, RELATION_QUERY, i0, m, of_key, RELATION_KEY, j0, n, p, related, place)
        for r in range(rows):
            for c in range(columns):
                found[r, c] = activated(factor * found[r, c], activation)

    return relate


@functools.cache
def build_compare(block: Block, real: Real) -> Callable[..., Any]:
    """Build the function that finds maximum and total of the softmax over the relations, for each pair of a tile."""
    relate = build_relate(block, real)
    rows, columns = block.rows, block.columns
    zero, one, lowest = real(0), real(1), real(-math.inf)

    @device_using_cuda
    def compare(most, whole, found, left, right, of_query, of_key, related, first, count, i0, m, j0, n, p, factor):
        for r in range(rows):
            for c in range(columns):
                most[r, c] = lowest
                whole[r, c] = zero
        for place in range(first, first + count):
            relate(found, left, right, of_query, of_key, related, place, i0, m, j0, n, p, factor, IDENTITY)
            for r in range(rows):
                for c in range(columns):
                    best = larger(most[r, c], found[r, c])
                    shift = zero if best == lowest else best
                    then = zero if most[r, c] == lowest else real(math.exp(most[r, c] - best))
                    most[r, c] = best
                    whole[r, c] = then * whole[r, c] + real(math.exp(found[r, c] - shift))
        for r in range(rows):
            for c in range(columns):
                most[r, c] = zero if most[r, c] == lowest else most[r, c]
                whole[r, c] = one if whole[r, c] == zero else whole[r, c]

    return compare


@functools.cache
def build_weigh(block: Block, real: Real) -> Callable[..., Any]:
    """Build the function that makes a tile of softmax weights from the row statistics; hidden ones are -1."""
    products = build_products(block, real, dot)
    across, down, rows, columns = block.across, block.down, block.rows, block.columns
    zero, hidden, lowest = real(0), real(-1), real(-math.inf)

    @device_using_cuda
    def weigh(
        weights, left, right, query, key, mask, bias, layout, batch, i0, m, j0, n, d, diagonal, scale, maximum
    ):  # fmt: skip
        products(weights, left, right, query, QUERY, i0, m, key, KEY, j0, n, d, layout, batch)
        for r in range(rows):
            i = i0 + cuda.threadIdx.y + r * down
            for c in range(columns):
                j = j0 + cuda.threadIdx.x + c * across
                if i < m and j < n and sees(mask, layout, batch, i, j, diagonal):
                    most = maximum[batch * m + i]
                    score = scale * weights[r, c] + real(entry(bias, layout, BIAS, batch, i, j))
                    weights[r, c] = real(math.exp(score - (zero if most == lowest else most)))
                else:
                    weights[r, c] = hidden

    return weigh


@functools.cache
def build_read(block: Block, real: Real) -> Any:
    """Build the kernel of Σ_j w_ij ρ_ij, (members, m, number), `block.outputs` relations per block of threads."""
    relate, compare, weigh = build_relate(block, real), build_compare(block, real), build_weigh(block, real)
    across, down, rows, columns, few = block.across, block.down, block.rows, block.columns, block.outputs
    own, other, threads = block.own, block.other, block.across * block.down
    left_shape, right_shape, sums_shape = (own, block.depth + 1), (other, block.depth + 1), (few, own, across + 1)
    pairs = (rows, columns)
    zero, one = real(0), real(1)

    def read(
        first, block_count, m, n, d, e, diagonal, query, key, mask, bias, layout, scale, maximum, total,
        of_query, of_key, related, heads, number, p, factor, activation, output,
    ):  # fmt: skip
        left = cuda.shared.array(left_shape, real)
        right = cuda.shared.array(right_shape, real)
        sums = cuda.shared.array(sums_shape, real)  # over the keys of each thread
        weights = cuda.local.array(pairs, real)
        found = cuda.local.array(pairs, real)
        most = cuda.local.array(pairs, real)
        whole = cuda.local.array(pairs, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        parts = (number + few - 1) // few
        query_blocks = (m + own - 1) // own
        k0 = index % parts * few
        i0 = index // parts % query_blocks * own
        batch = index // parts // query_blocks
        relations = batch // heads * number
        stop = min(number, k0 + few)

        for k in range(few):
            for r in range(rows):
                sums[k, y + r * down, x] = zero
        for j0 in range(0, min(n, i0 + own + diagonal), other):
            weigh(
                weights, left, right, query, key, mask, bias, layout, batch, i0, m, j0, n, d, diagonal, scale, maximum
            )
            if activation == SOFTMAX:
                compare(
                    most, whole, found, left, right, of_query, of_key, related, relations, number, i0, m, j0, n, p,
                    factor,
                )  # fmt: skip
            for k in range(k0, stop):
                relate(
                    found, left, right, of_query, of_key, related, relations + k, i0, m, j0, n, p, factor, activation
                )
                for r in range(rows):
                    fresh = zero
                    for c in range(columns):
                        relation = found[r, c]
                        if activation == SOFTMAX:
                            relation = real(math.exp(relation - most[r, c])) / whole[r, c]
                        if not weights[r, c] < zero:  # hidden; a NaN is not
                            fresh += weights[r, c] * relation
                    sums[k - k0, y + r * down, x] += fresh

        cuda.syncthreads()
        for place in range(y * across + x, own * few, threads):
            r = place // few
            k = place % few
            if i0 + r < m and k0 + k < number:
                result = zero
                for t in range(across):
                    result += sums[k, r, t]
                row = batch * m + i0 + r
                output[row * number + k0 + k] = result / (total[row] if total[row] != zero else one)

    return kernel(read)


@functools.cache
def build_show(block: Block, real: Real) -> Any:
    """Build the kernel that writes the relations of all pairs, (members, number, m, n)."""
    relate, compare = build_relate(block, real), build_compare(block, real)
    across, down, rows, columns = block.across, block.down, block.rows, block.columns
    own, other = block.own, block.other
    left_shape, right_shape = (own, block.depth + 1), (other, block.depth + 1)
    pairs = (rows, columns)

    def show(first, block_count, m, n, of_query, of_key, related, number, p, factor, activation, output):
        left = cuda.shared.array(left_shape, real)
        right = cuda.shared.array(right_shape, real)
        found = cuda.local.array(pairs, real)
        most = cuda.local.array(pairs, real)
        whole = cuda.local.array(pairs, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        key_blocks = (n + other - 1) // other
        query_blocks = (m + own - 1) // own
        j0 = index % key_blocks * other
        i0 = index // key_blocks % query_blocks * own
        relations = index // key_blocks // query_blocks * number
        if activation == SOFTMAX:
            compare(
                most, whole, found, left, right, of_query, of_key, related, relations, number, i0, m, j0, n, p, factor
            )
        for place in range(relations, relations + number):
            relate(found, left, right, of_query, of_key, related, place, i0, m, j0, n, p, factor, activation)
            for r in range(rows):
                i = i0 + y + r * down
                for c in range(columns):
                    j = j0 + x + c * across
                    if i < m and j < n:
                        relation = found[r, c]
                        if activation == SOFTMAX:
                            relation = real(math.exp(relation - most[r, c])) / whole[r, c]
                        output[(place * m + i) * n + j] = relation

    return kernel(show)


@functools.cache
def build_gather(block: Block, real: Real) -> Any:
    """Build the kernel of Σ_j w_ij σ_ij for symbols of pairs, (members, m, e)."""
    weigh = build_weigh(block, real)
    across, down, rows, columns, outputs = block.across, block.down, block.rows, block.columns, block.outputs
    own, other, width = block.own, block.other, block.width
    left_shape, right_shape, pair_shape = (own, block.depth + 1), (other, block.depth + 1), (own, other + 1)
    pairs, results = (rows, columns), (rows, outputs)
    zero, one = real(0), real(1)

    def gather(
        first, block_count, m, n, d, e, diagonal, query, key, mask, bias, layout, scale, maximum, total,
        symbols, placed, output,
    ):  # fmt: skip
        left = cuda.shared.array(left_shape, real)
        right = cuda.shared.array(right_shape, real)
        weights = cuda.shared.array(pair_shape, real)
        own_weights = cuda.local.array(pairs, real)
        accumulator = cuda.local.array(results, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        channel_blocks = (e + width - 1) // width
        query_blocks = (m + own - 1) // own
        e0 = index % channel_blocks * width
        i0 = index // channel_blocks % query_blocks * own
        batch = index // channel_blocks // query_blocks

        for r in range(rows):
            for o in range(outputs):
                accumulator[r, o] = zero
        for j0 in range(0, min(n, i0 + own + diagonal), other):
            weigh(
                own_weights, left, right, query, key, mask, bias, layout, batch, i0, m, j0, n, d, diagonal, scale,
                maximum,
            )  # fmt: skip
            cuda.syncthreads()  # until no thread reads the weights of before
            for r in range(rows):
                for c in range(columns):
                    weights[y + r * down, x + c * across] = own_weights[r, c]
            cuda.syncthreads()  # until the weights are complete
            for k in range(min(other, n - j0)):
                for r in range(rows):
                    weight = weights[y + r * down, k]
                    if not weight < zero:  # hidden; a NaN is not
                        start = placed[0, FIRST_MEMBER + batch * m + i0 + y + r * down]
                        start += (j0 + k) * placed[0, ROW_STEP]
                        for o in range(outputs):
                            channel = e0 + x + o * across
                            if channel < e:
                                accumulator[r, o] += weight * symbols[start + channel * placed[0, COLUMN_STEP]]

        for r in range(rows):
            i = i0 + y + r * down
            if i < m:
                row = batch * m + i
                divisor = total[row] if total[row] != zero else one
                for o in range(outputs):
                    channel = e0 + x + o * across
                    if channel < e:
                        output[row * e + channel] = accumulator[r, o] / divisor

    return kernel(gather)


class _Relations:
    """The relations of a call, over some leading axes."""

    def __init__(self, query: Any, key: Any, scale: float | None, activation: str, outer: tuple[int, ...]) -> None:
        self.number, self.m, self.p = shape_of(query)[-3:]
        self.n = shape_of(key)[-2]
        self.members = math.prod(outer)
        self.memories, self.table = lay_out([query, key], (*outer, self.number))
        self.scale = 1 / math.sqrt(self.p) if scale is None else scale
        self.activation = ACTIVATIONS.index(activation)

    def read(self, attention: Attention, heads: int) -> Any:
        """Return Σ_j w_ij ρ_ij, (..., m, number)."""
        p = attention.problem
        shape = (*attention.rows, self.number)
        result = allocate(shape, p.dtype)
        blocks = p.members * _ceil(self.m, p.block.own) * _ceil(self.number, p.block.outputs)
        launch(
            build_read(p.block, p.real), blocks, p.block.threads,
            *p.sizes(), *_dense(attention), *self.memories, self.table, heads, self.number, self.p,
            p.real(self.scale), self.activation, result,
        )  # fmt: skip
        return shaped(result, shape)

    def show(self, attention: Attention, outer: tuple[int, ...]) -> Any:
        """Return all relations, (*outer, number, m, n)."""
        p = attention.problem
        shape = (*outer, self.number, self.m, self.n)
        result = allocate(shape, p.dtype)
        launch(
            build_show(p.block, p.real),
            self.members * _ceil(self.m, p.block.own) * _ceil(self.n, p.block.other), p.block.threads,
            self.m, self.n, *self.memories, self.table, self.number, self.p,
            p.real(self.scale), self.activation, result,
        )  # fmt: skip
        return shaped(result, shape)


def _dense(attention: Attention) -> tuple[Any, ...]:
    """Return what the kernels of weights take: operands, scale and the row statistics."""
    p = attention.problem
    query, key, _, _, mask, bias = p.memories
    return query, key, mask, bias, p.layout, attention.numbers[0], attention.maximum, attention.total


def _gathered(attention: Attention, symbols: Any) -> Any:
    """Return Σ_j w_ij σ_ij, (..., m, e)."""
    p, e = attention.problem, shape_of(symbols)[-1]
    shape = (*attention.rows, e)
    result = allocate(shape, p.dtype)
    (memory,), placed = lay_out([symbols], attention.rows)
    launch(
        build_gather(p.block, p.real), p.members * _ceil(p.m, p.block.own) * _ceil(e, p.block.width), p.block.threads,
        *p.sizes(e=e), *_dense(attention), memory, placed, result,
    )  # fmt: skip
    return shaped(result, shape)


def _ceil(size: int, part: int) -> int:
    return -(-size // part)


def relational_attention(
    query: Any,
    key: Any,
    relation_query: Any,
    relation_key: Any,
    symbols: Any,
    *,
    relation_weight: Any,
    activation: str,
    relation_scale: float | None,
    symbols_relative: bool,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.relational_attention`."""
    h, dtype = shape_of(query)[-3], dtype_of(query)
    own = np.broadcast_shapes(shape_of(relation_query)[:-3], shape_of(relation_key)[:-3])
    of_symbols = shape_of(symbols)[: -4 if symbols_relative else -3]
    outer = np.broadcast_shapes(own, shape_of(query)[:-3], shape_of(key)[:-3], of_symbols)
    options: dict[str, Any] = {"mask": mask, "bias": bias, "scale": scale, "causal": causal}
    # The weights meet relations and symbols of all leading axes; one entry, broadcast, brings those.
    axes = np.broadcast_to(np.zeros((), dtype), (*outer, 1, 1, 1))
    attention = Attention(softmax, query, key, None if symbols_relative else symbols, extra=axes, **options)
    output = attention.output()
    if symbols_relative:
        output = _gathered(attention, symbols)
    relations = _Relations(relation_query, relation_key, relation_scale, activation, outer)
    output = projected(relations.read(attention, h), relation_weight, output)
    if not return_weights:
        return output
    scores = Attention(softmax, query, key, **options)
    scores.output()
    relations = _Relations(relation_query, relation_key, relation_scale, activation, own)
    return RelationalResult(output, scores.weights(), relations.show(scores, own))
