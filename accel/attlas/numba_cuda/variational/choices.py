"""One key for each query: the best, or one that is drawn by its weight.

A block of threads owns some queries and walks over the keys that they may see, as in the tile of `tile.py`. For the
best key each thread keeps the largest score of its own keys and where it stands; the threads of a query compare at the
end. A draw u takes two walks: one for the largest score and the sum of the weights, one along their running sum to the
first key where it exceeds u times the whole. In the second the weights of a tile stand in shared memory, and one thread
for each query goes along them; the walk ends where all queries of the block have found their key.

Bound by operations: m n d multiply-adds for the best key, up to twice as many for a draw, and then one or two
exponentials per pair. Memory beside the result is O(m).

Differs from the reference where rounding decides: scores that are all but equal, and draws that fall almost between two
keys. Sums are compensated, so that long rows move no draw. The same call gives the same bits.
"""

import functools
import math
from typing import Any

import numpy as np

from ..blocks import Block
from ..network import build_pair_score
from ..pieces import BIAS, EXTRA, KEY, QUERY, build_products, entry, larger, sees
from ..rows import compensated
from ..rules import Real, RuleFactory, dot, softmax
from ..target import cuda, kernel


@functools.cache
def build_best(block: Block, real: Real, rule_factory: RuleFactory) -> Any:
    """Build the kernel that finds the first of the largest scores of each query.

    `taken` gets its number, or -1; `total` a NaN where a score is one.
    """
    pair_products, score = build_products(block, real, dot), build_pair_score(rule_factory(real))
    across, down, rows, columns = block.across, block.down, block.rows, block.columns
    own, other = block.own, block.other
    left_shape, right_shape, row_shape = (own, block.depth + 1), (other, block.depth + 1), (own, across + 1)
    pairs = (rows, columns)
    lowest = real(-math.inf)

    def best(
        first, block_count, m, n, d, diagonal, query, key, mask, bias, extra, layout, scale, first_number, taken, total
    ):  # fmt: skip
        left = cuda.shared.array(left_shape, real)
        right = cuda.shared.array(right_shape, real)
        maxima = cuda.shared.array(row_shape, real)
        places = cuda.shared.array(row_shape, np.int64)
        sums = cuda.local.array(pairs, real)
        running_max = cuda.local.array(rows, real)
        place = cuda.local.array(rows, np.int64)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        query_blocks = (m + own - 1) // own
        i0 = index % query_blocks * own
        batch = index // query_blocks

        for r in range(rows):
            running_max[r] = lowest
            place[r] = -1
        for j0 in range(0, min(n, i0 + own + diagonal), other):
            pair_products(sums, left, right, query, QUERY, i0, m, key, KEY, j0, n, d, layout, batch)
            for r in range(rows):
                i = i0 + y + r * down
                for c in range(columns):
                    j = j0 + x + c * across
                    if i < m and j < n and sees(mask, layout, batch, i, j, diagonal):
                        added = real(entry(bias, layout, BIAS, batch, i, j))
                        number = score(sums[r, c], added, scale, first_number, extra, layout, batch, i, j)
                        if number > running_max[r]:
                            place[r] = j
                        running_max[r] = larger(running_max[r], number)

        for r in range(rows):
            maxima[y + r * down, x] = running_max[r]
            places[y + r * down, x] = place[r]
        cuda.syncthreads()
        for r in range(rows):
            i = i0 + y + r * down
            if i < m and x == 0:
                most = maxima[y + r * down, 0]
                where = places[y + r * down, 0]
                for k in range(1, across):
                    number = maxima[y + r * down, k]
                    its = places[y + r * down, k]
                    if number > most or (number == most and its < where):
                        where = its
                    most = larger(most, number)
                taken[batch * m + i] = where if most == most else -1
                total[batch * m + i] = most

    return kernel(best)


@functools.cache
def build_draw(block: Block, real: Real) -> Any:
    """Build the kernel that draws a key by its weight, with the uniform numbers in `extra` (m, 1); results as above."""
    pair_products, score = build_products(block, real, dot), softmax(real).score
    across, down, rows, columns = block.across, block.down, block.rows, block.columns
    own, other = block.own, block.other
    assert own <= across * down, "a thread for each query"
    left_shape, right_shape, pair_shape = (own, block.depth + 1), (other, block.depth + 1), (own, other + 1)
    row_shape, pairs = (own, across + 1), (rows, columns)
    zero, lowest = real(0), real(-math.inf)

    def draw(
        first, block_count, m, n, d, diagonal, query, key, mask, bias, extra, layout, scale, first_number, taken, total
    ):  # fmt: skip
        left = cuda.shared.array(left_shape, real)
        right = cuda.shared.array(right_shape, real)
        weights = cuda.shared.array(pair_shape, real)
        maxima = cuda.shared.array(row_shape, real)
        totals = cuda.shared.array(row_shape, real)
        sums = cuda.local.array(pairs, real)
        running_max = cuda.local.array(rows, real)
        running_sum = cuda.local.array(rows, real)
        lost = cuda.local.array(rows, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        t = y * across + x
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        query_blocks = (m + own - 1) // own
        i0 = index % query_blocks * own
        batch = index // query_blocks
        stop = min(n, i0 + own + diagonal)

        for r in range(rows):
            running_max[r] = lowest
            running_sum[r] = zero
            lost[r] = zero
        for j0 in range(0, stop, other):
            pair_products(sums, left, right, query, QUERY, i0, m, key, KEY, j0, n, d, layout, batch)
            for r in range(rows):
                i = i0 + y + r * down
                most = running_max[r]
                for c in range(columns):
                    j = j0 + x + c * across
                    number = lowest
                    if i < m and j < n and sees(mask, layout, batch, i, j, diagonal):
                        added = real(entry(bias, layout, BIAS, batch, i, j))
                        number = score(sums[r, c], added, scale, first_number)
                    sums[r, c] = number
                    most = larger(most, number)
                rescale = zero if running_max[r] == lowest else real(math.exp(running_max[r] - most))
                shift = zero if most == lowest else most
                running_max[r] = most
                running_sum[r] *= rescale
                lost[r] *= rescale
                for c in range(columns):
                    weight = zero if sums[r, c] == lowest else real(math.exp(sums[r, c] - shift))
                    running_sum[r], lost[r] = compensated(running_sum[r], lost[r], weight)

        for r in range(rows):
            maxima[y + r * down, x] = running_max[r]
            totals[y + r * down, x] = running_sum[r]
        cuda.syncthreads()
        for r in range(rows):
            # What the row has in all, to make its weights again.
            most = lowest
            for k in range(across):
                most = larger(most, maxima[y + r * down, k])
            running_max[r] = zero if most == lowest else most

        # From here on a thread goes along the weights of one query, those of the largest score being 1.
        i = i0 + t
        where = -1
        goal = zero
        waiting = 0
        so_far = zero
        missing = zero
        if t < own and i < m:
            most = lowest
            for k in range(across):
                most = larger(most, maxima[t, k])
            whole = zero
            for k in range(across):
                part = maxima[t, k]
                rescale = zero if part == lowest else real(math.exp(part - most))
                whole, missing = compensated(whole, missing, rescale * totals[t, k])
            missing = zero
            total[batch * m + i] = whole
            if whole > zero:
                goal = entry(extra, layout, EXTRA, batch, i, 0) * whole
                waiting = 1
        for j0 in range(0, stop, other):
            if cuda.syncthreads_or(waiting) == 0:  # nor does any thread read the weights of before any more
                break
            pair_products(sums, left, right, query, QUERY, i0, m, key, KEY, j0, n, d, layout, batch)
            for r in range(rows):
                row = i0 + y + r * down
                for c in range(columns):
                    j = j0 + x + c * across
                    weight = zero
                    if row < m and j < n and sees(mask, layout, batch, row, j, diagonal):
                        added = real(entry(bias, layout, BIAS, batch, row, j))
                        number = score(sums[r, c], added, scale, first_number)
                        weight = real(math.exp(number - running_max[r]))
                    weights[y + r * down, x + c * across] = weight
            cuda.syncthreads()  # until the weights are complete
            if waiting:
                for k in range(other):
                    weight = weights[t, k]
                    if waiting and weight > zero:
                        so_far, missing = compensated(so_far, missing, weight)
                        # Where rounding leaves the whole sum below the goal it is the last key with a weight.
                        where = j0 + k
                        if so_far > goal:
                            waiting = 0
        if t < own and i < m:
            taken[batch * m + i] = where

    return kernel(draw)
