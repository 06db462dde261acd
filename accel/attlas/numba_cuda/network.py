"""Products of a pair that need more than a dot product: small networks; and scores that need numbers of their own.

A layer of hidden units is a sum over channels like a dot product, where the term of a channel bends the sum of a
query's and a key's feature:

    product_ij = Σ_c  u_c · bend(x_ic + y_jc)

With a second layer, z_ij = relu(x_i + y_j) is multiplied by a matrix, pair by pair:

    product_ij = Σ_s  u_s · relu(Σ_c z_ijc W_cs + b_s)

A thread holds a few units s of the second layer for each of its pairs in registers and walks over all c for them; z is
made again for the next few. Nothing of size (m, n, units) exists.

Bound by operations: one layer takes an addition, the bend and a multiply-add per pair and unit (a rectifier is one or
two instructions, a hyperbolic tangent about twenty); two layers take m n h1 h2 multiply-adds and m n h1 h2 / units
rectified sums.
"""

import functools
from collections.abc import Callable
from typing import Any

from .blocks import Block
from .pieces import EXTRA, build_load, build_products, entry
from .rules import Real, Rule
from .target import cuda, device, device_using_cuda


@functools.cache
def build_pair_products(block: Block, real: Real, rule: Rule) -> Callable[..., Any]:
    """Build the function that makes the product of every own row with every other row, whatever the rule's is."""
    if rule.second_layer:
        return _build_two_layers(block, real)
    if rule.unit is not None:
        return _build_units(block, real, rule.unit)
    products = build_products(block, real, rule.product)

    @device_using_cuda
    def plain(
        sums, left, right, mine, mine_id, mine_first, mine_count, its, its_id, its_first, its_count, width, layout, b,
        extra, extra_width, first_number,
    ):  # fmt: skip
        products(
            sums, left, right, mine, mine_id, mine_first, mine_count, its, its_id, its_first, its_count, width, layout,
            b,
        )  # fmt: skip

    return plain


def _build_units(block: Block, real: Real, unit: Callable[..., Any]) -> Callable[..., Any]:
    """Build the sum over hidden units; row 0 of `extra` has their factors."""
    load = build_load(block, real)
    across, down, rows, columns, depth = block.across, block.down, block.rows, block.columns, block.depth
    own, other, threads = block.own, block.other, block.across * block.down
    pairs = (rows, columns)
    zero = real(0)

    @device_using_cuda
    def units(
        sums, left, right, mine, mine_id, mine_first, mine_count, its, its_id, its_first, its_count, width, layout, b,
        extra, extra_width, first_number,
    ):  # fmt: skip
        factors = cuda.shared.array(depth, real)
        fresh = cuda.local.array(pairs, real)  # summed apart from what other units gave: shorter sums round less
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        t = y * across + x
        for r in range(rows):
            for c in range(columns):
                sums[r, c] = zero
        for k in range(0, width, depth):
            cuda.syncthreads()  # until no thread reads the tiles of before
            load(left, mine, layout, mine_id, b, mine_first, mine_count, k, width, own, depth, t)
            load(right, its, layout, its_id, b, its_first, its_count, k, width, other, depth, t)
            for c in range(t, min(depth, width - k), threads):
                factors[c] = entry(extra, layout, EXTRA, b, 0, k + c)
            cuda.syncthreads()  # until the tiles are complete
            for r in range(rows):
                for c in range(columns):
                    fresh[r, c] = zero
            # Bends are dear, so those of absent units are left out.
            for u in range(min(depth, width - k)):
                factor = factors[u]
                for r in range(rows):
                    for c in range(columns):
                        fresh[r, c] = unit(
                            fresh[r, c], left[y + r * down, u], right[x + c * across, u], factor, first_number
                        )
            for r in range(rows):
                for c in range(columns):
                    sums[r, c] += fresh[r, c]

    return units


def _build_two_layers(block: Block, real: Real) -> Callable[..., Any]:
    """Build the network with two rectified layers; `extra` has the rows of W, then b, then u."""
    load = build_load(block, real)
    across, down, rows, columns, depth = block.across, block.down, block.rows, block.columns, block.depth
    own, other = block.own, block.other
    some = 2 * block.outputs
    second_shape, pair_units = (depth, some), (rows, columns, some)
    zero = real(0)

    @device_using_cuda
    def layers(
        sums, left, right, mine, mine_id, mine_first, mine_count, its, its_id, its_first, its_count, width, layout, b,
        extra, extra_width, first_number,
    ):  # fmt: skip
        matrix = cuda.shared.array(second_shape, real)
        second = cuda.local.array(pair_units, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        t = y * across + x
        for r in range(rows):
            for c in range(columns):
                sums[r, c] = zero
        for s0 in range(0, extra_width, some):
            for r in range(rows):
                for c in range(columns):
                    for s in range(some):
                        second[r, c, s] = zero
            for k in range(0, width, depth):
                cuda.syncthreads()  # until no thread reads the tiles of before
                load(left, mine, layout, mine_id, b, mine_first, mine_count, k, width, own, depth, t)
                load(right, its, layout, its_id, b, its_first, its_count, k, width, other, depth, t)
                load(matrix, extra, layout, EXTRA, b, k, width, s0, extra_width, depth, some, t)
                cuda.syncthreads()  # until the tiles are complete
                for u in range(min(depth, width - k)):
                    for r in range(rows):
                        for c in range(columns):
                            total = left[y + r * down, u] + right[x + c * across, u]
                            rectified = zero if zero > total else total  # a NaN stays
                            for s in range(some):
                                second[r, c, s] += rectified * matrix[u, s]
            for s in range(some):
                if s0 + s < extra_width:
                    added = entry(extra, layout, EXTRA, b, width, s0 + s)
                    factor = entry(extra, layout, EXTRA, b, width + 1, s0 + s)
                    for r in range(rows):
                        for c in range(columns):
                            total = second[r, c, s] + added
                            sums[r, c] += factor * (zero if zero > total else total)

    return layers


@functools.cache
def build_pair_score(rule: Rule) -> Callable[..., Any]:
    """Build the score of a pair from its product, with numbers of its key or of its own where the rule wants them."""
    score = rule.score

    @device
    def plain(product, bias, scale, first, extra, layout, batch, i, j):
        return score(product, bias, scale, first)

    @device
    def with_key(product, bias, scale, first, extra, layout, batch, i, j):
        one = entry(extra, layout, EXTRA, batch, j, 0)
        other = entry(extra, layout, EXTRA, batch, j, 1)
        return score(product, bias, scale, first, one, other)

    @device
    def with_pair(product, bias, scale, first, extra, layout, batch, i, j):
        return score(product, bias, scale, first, entry(extra, layout, EXTRA, batch, i, j))

    return with_pair if rule.of_pair else (with_key if rule.of_key else plain)
