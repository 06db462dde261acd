"""The tile template: all pairs, streamed in blocks, for queries.

Bound by operations: a tile of keys that is read once from memory serves every query of the block, so that the
arithmetic (m n (d + e) multiply-adds, or what a rule takes for the product of a pair instead of d) takes far longer
than the bytes; on common GPUs the limit is the rate of plain multiply-adds, since Numba reaches no tensor cores. Memory
beside the result is O(m), whatever n is.

A block of threads owns some queries of one batch member and some channels of the result (wider results take more
blocks, which then repeat the scores) and walks over the keys that its queries may see. Per tile of keys it multiplies
queries and keys, makes the weights, and multiplies them with the values. With a softmax it carries the running
(maximum, sum, accumulator) and rescales when a new maximum arrives.

Results differ from the reference by rounding only: sums run over tiles. Nothing is atomic: the same call gives the
same bits.
"""

import functools
import math
from typing import Any

from .blocks import Block
from .network import build_pair_products, build_pair_score
from .pieces import (
    BIAS,
    GRAD,
    KEY,
    QUERY,
    VALUE,
    build_accumulate,
    build_accumulate_visible,
    build_load,
    build_products,
    entry,
    larger,
    sees,
)
from .rules import Real, RuleFactory, build_divisor, build_sign, dot
from .target import cuda, kernel


@functools.cache
def build_forward(block: Block, real: Real, rule_factory: RuleFactory) -> Any:
    """Build the kernel of the output and of the row statistics (maximum, total)."""
    rule = rule_factory(real)
    load, pair_products, score = build_load(block, real), build_pair_products(block, real, rule), build_pair_score(rule)
    accumulate, accumulate_visible = build_accumulate(block, real), build_accumulate_visible(block, real)
    weight, softmax, signed, sign = rule.weight, rule.softmax, rule.signed, build_sign(real)
    divisor = rule.divisor or build_divisor(real)
    across, down, rows, columns, outputs = block.across, block.down, block.rows, block.columns, block.outputs
    own, other, width = block.own, block.other, block.width
    # One column more than is used, so that a column's entries stand in different banks.
    left_shape, right_shape, pair_shape = (own, block.depth + 1), (other, block.depth + 1), (own, other + 1)
    carried_shape, row_shape = (other, width), (own, across + 1)
    pairs, results = (rows, columns), (rows, outputs)
    zero, lowest = real(0), real(-math.inf)
    hidden = lowest if softmax else zero

    def forward(
        first, block_count, m, n, d, e, diagonal, query, key, value, mask, bias, extra, extra_width, layout,
        scale, first_number, second_number, normalized, output, maximum, total,
    ):  # fmt: skip
        left = cuda.shared.array(left_shape, real)
        right = cuda.shared.array(right_shape, real)
        weights = cuda.shared.array(pair_shape, real)
        carried = cuda.shared.array(carried_shape, real)
        by_row = cuda.shared.array(row_shape, real)
        sums = cuda.local.array(pairs, real)
        signs = cuda.local.array(pairs, real)
        accumulator = cuda.local.array(results, real)
        running_max = cuda.local.array(rows, real)
        running_sum = cuda.local.array(rows, real)  # over the keys of this thread
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        channel_blocks = max(1, (e + width - 1) // width)
        query_blocks = (m + own - 1) // own
        e0 = index % channel_blocks * width
        i0 = index // channel_blocks % query_blocks * own
        batch = index // channel_blocks // query_blocks

        for r in range(rows):
            running_max[r] = lowest
            running_sum[r] = zero
            for o in range(outputs):
                accumulator[r, o] = zero

        # Keys beyond what the last query of the block may see are skipped.
        for j0 in range(0, min(n, i0 + own + diagonal), other):
            pair_products(
                sums, left, right, query, QUERY, i0, m, key, KEY, j0, n, d, layout, batch, extra, extra_width,
                first_number,
            )  # fmt: skip
            for r in range(rows):
                i = i0 + y + r * down
                for c in range(columns):
                    j = j0 + x + c * across
                    if signed:
                        signs[r, c] = zero
                    if i < m and j < n and sees(mask, layout, batch, i, j, diagonal):
                        added = real(entry(bias, layout, BIAS, batch, i, j))
                        number = score(sums[r, c], added, scale, first_number, extra, layout, batch, i, j)
                        number = weight(number, second_number)
                        if signed:
                            signs[r, c] = sign(number)
                            number = abs(number)
                        sums[r, c] = number
                    else:
                        sums[r, c] = hidden

            if softmax:
                for r in range(rows):
                    best = lowest
                    for c in range(columns):
                        best = larger(best, sums[r, c])
                    by_row[y + r * down, x] = best
                cuda.syncthreads()  # until every thread has said its maximum
                for r in range(rows):
                    best = running_max[r]
                    for k in range(across):
                        best = larger(best, by_row[y + r * down, k])
                    rescale = zero if running_max[r] == lowest else real(math.exp(running_max[r] - best))
                    shift = zero if best == lowest else best
                    running_max[r] = best
                    running_sum[r] *= rescale
                    for o in range(outputs):
                        accumulator[r, o] *= rescale
                    for c in range(columns):
                        sums[r, c] = zero if sums[r, c] == lowest else real(math.exp(sums[r, c] - shift))

            for r in range(rows):
                fresh = zero
                for c in range(columns):
                    fresh += abs(sums[r, c])
                    if signed:
                        sums[r, c] *= signs[r, c]
                    weights[y + r * down, x + c * across] = sums[r, c]
                running_sum[r] += fresh
            strange = load(carried, value, layout, VALUE, batch, j0, n, e0, e, other, width, y * across + x)
            if cuda.syncthreads_or(strange) == 0:  # until weights and values are complete
                accumulate(accumulator, weights, carried, x, y)
            else:
                accumulate_visible(
                    accumulator, weights, carried, x, y, mask, layout, batch, diagonal, i0, m, j0, n
                )  # fmt: skip

        # Every thread has passed a barrier since it last read the maxima that stood here.
        for r in range(rows):
            by_row[y + r * down, x] = running_sum[r]
        cuda.syncthreads()
        for r in range(rows):
            i = i0 + y + r * down
            if i < m:
                row_total = zero
                for k in range(across):
                    row_total += by_row[y + r * down, k]
                if e0 == 0 and x == 0:
                    maximum[batch * m + i] = running_max[r]
                    total[batch * m + i] = row_total
                for o in range(outputs):
                    channel = e0 + x + o * across
                    if channel < e:
                        result = accumulator[r, o]
                        if normalized:
                            result /= divisor(row_total, second_number)
                        output[(batch * m + i) * e + channel] = result

    return kernel(forward)


@functools.cache
def build_statistics(block: Block, real: Real, rule_factory: RuleFactory) -> Any:
    """Build the kernel of the softmax's row statistics: maximum, total and the mean of <grad_output, value>.

    With `as_energy` it writes -first_number * log-sum-exp in place of the maximum. Each thread carries the monoid over
    its own keys; the threads of a row merge at the end.
    """
    rule = rule_factory(real)
    pair_products, pair_dots = build_products(block, real, rule.product), build_products(block, real, dot)
    score = rule.score
    across, down, rows, columns = block.across, block.down, block.rows, block.columns
    own, other = block.own, block.other
    left_shape, right_shape, row_shape = (own, block.depth + 1), (other, block.depth + 1), (own, across + 1)
    pairs = (rows, columns)
    zero, lowest = real(0), real(-math.inf)

    def statistics(
        first, block_count, m, n, d, e, diagonal, query, key, value, grad, mask, bias, layout,
        scale, first_number, as_energy, maximum, total, mean,
    ):  # fmt: skip
        left = cuda.shared.array(left_shape, real)
        right = cuda.shared.array(right_shape, real)
        maxima = cuda.shared.array(row_shape, real)
        totals = cuda.shared.array(row_shape, real)
        means = cuda.shared.array(row_shape, real)
        sums = cuda.local.array(pairs, real)
        grads = cuda.local.array(pairs, real)
        running_max = cuda.local.array(rows, real)
        running_sum = cuda.local.array(rows, real)
        running_mean = cuda.local.array(rows, real)
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
            running_sum[r] = zero
            running_mean[r] = zero

        for j0 in range(0, min(n, i0 + own + diagonal), other):
            pair_products(sums, left, right, query, QUERY, i0, m, key, KEY, j0, n, d, layout, batch)
            pair_dots(grads, left, right, grad, GRAD, i0, m, value, VALUE, j0, n, e, layout, batch)
            for r in range(rows):
                i = i0 + y + r * down
                best = running_max[r]
                for c in range(columns):
                    j = j0 + x + c * across
                    if i < m and j < n and sees(mask, layout, batch, i, j, diagonal):
                        added = real(entry(bias, layout, BIAS, batch, i, j))
                        sums[r, c] = score(sums[r, c], added, scale, first_number)
                    else:
                        sums[r, c] = lowest
                        grads[r, c] = zero
                    best = larger(best, sums[r, c])
                rescale = zero if running_max[r] == lowest else real(math.exp(running_max[r] - best))
                shift = zero if best == lowest else best
                running_max[r] = best
                running_sum[r] *= rescale
                running_mean[r] *= rescale
                for c in range(columns):
                    part = zero if sums[r, c] == lowest else real(math.exp(sums[r, c] - shift))
                    running_sum[r] += part
                    running_mean[r] += part * grads[r, c]

        for r in range(rows):
            maxima[y + r * down, x] = running_max[r]
            totals[y + r * down, x] = running_sum[r]
            means[y + r * down, x] = running_mean[r]
        cuda.syncthreads()
        for r in range(rows):
            i = i0 + y + r * down
            if i < m and x == 0:
                best = lowest
                for k in range(across):
                    best = larger(best, maxima[y + r * down, k])
                row_total = zero
                row_mean = zero
                for k in range(across):
                    part = maxima[y + r * down, k]
                    rescale = zero if part == lowest else real(math.exp(part - best))
                    row_total += rescale * totals[y + r * down, k]
                    row_mean += rescale * means[y + r * down, k]
                if as_energy:
                    logarithm = lowest if row_total == zero else real(math.log(row_total))
                    maximum[batch * m + i] = -first_number * ((zero if best == lowest else best) + logarithm)
                else:
                    maximum[batch * m + i] = best
                    total[batch * m + i] = row_total
                    mean[batch * m + i] = row_mean if row_total == zero else row_mean / row_total

    return kernel(statistics)
