"""What is made of all pairs once the row statistics are known: weight matrices and gradients.

Bound by operations like the tile in `tile.py`, whose scheme it shares; a weight matrix is bound by the bytes it writes
where d is below about 25 to 40 (data sheets give 12 to 20 single-precision operations per byte). With the maximum and
the sum of each row at hand, any weight can be made again on its own, so nothing of size (m, n) is kept between passes.
Each result has one block of threads that computes it, summing over the batch members that share it: no atomics, the
same bits every time.

The gradients of queries, keys and values are three passes that each make the scores again: 6 d + 4 e multiply-adds per
pair with the row statistics, where one fused backward pass would take 4 d + 3 e but add into memory that blocks share.

Results differ from the reference by rounding only.
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
    sees,
)
from .rules import Real, RuleFactory, build_divisor, build_sign, dot
from .target import cuda, device, kernel

WEIGHTS, SCORE_GRADIENTS = range(2)
"""What a pair contributes: its weight, or the gradient with respect to its score (before scale)."""


def _build_finish(real: Real, rule_factory: RuleFactory, kind: int) -> Any:
    """Build the device function from a score to what the pair contributes."""
    rule = rule_factory(real)
    weight, softmax, signed, sign = rule.weight, rule.softmax, rule.signed, build_sign(real)
    divisor_of = rule.divisor or build_divisor(real)
    zero, one, lowest = real(0), real(1), real(-math.inf)

    @device
    def finish(score, grad, first_number, second_number, row, maximum, total, mean, normalized):
        divisor = divisor_of(total[row], second_number) if normalized else one
        if softmax:
            shift = zero if maximum[row] == lowest else maximum[row]
            size = abs(score) if signed else score
            result = real(math.exp(size - shift)) / divisor
            if signed:
                result *= sign(score)
        else:
            result = weight(score, second_number) / divisor
        if kind == SCORE_GRADIENTS:
            result = result * (grad - mean[row]) / first_number
        return result

    return finish


@functools.cache
def build_pairs(block: Block, real: Real, rule_factory: RuleFactory, kind: int) -> Any:
    """Build the kernel that writes the matrix of weights or score gradients, summed where the result is broadcast.

    The result is (groups, row_count, column_count), where row_count is m, or 1 to sum over the queries, and
    column_count likewise; a group is `share` batch members that share one result.
    """
    rule = rule_factory(real)
    pair_products, pair_dots = build_pair_products(block, real, rule), build_products(block, real, dot)
    score = build_pair_score(rule)
    finish = _build_finish(real, rule_factory, kind)
    with_grads = kind == SCORE_GRADIENTS
    across, down, rows, columns = block.across, block.down, block.rows, block.columns
    own, other = block.own, block.other
    left_shape, right_shape, pair_shape = (own, block.depth + 1), (other, block.depth + 1), (own, other + 1)
    pairs = (rows, columns)
    zero = real(0)

    def matrix(
        first, block_count, m, n, d, e, diagonal, query, key, value, grad, mask, bias, extra, extra_width, layout,
        scale, first_number, second_number, normalized, maximum, total, mean,
        members, share, row_count, column_count, output,
    ):  # fmt: skip
        left = cuda.shared.array(left_shape, real)
        right = cuda.shared.array(right_shape, real)
        tile = cuda.shared.array(pair_shape, real)
        sums = cuda.local.array(pairs, real)
        grads = cuda.local.array(pairs, real)
        result = cuda.local.array(pairs, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        row_blocks = (row_count + own - 1) // own
        column_blocks = (column_count + other - 1) // other
        column0 = index % column_blocks * other
        row0 = index // column_blocks % row_blocks * own
        group = index // column_blocks // row_blocks
        # A result that is broadcast along an axis is summed over all of it by its one block.
        row_stop = row0 + own if row_count == m else m
        column_stop = column0 + other if column_count == n else n

        for r in range(rows):
            for c in range(columns):
                result[r, c] = zero
        for place in range(share):
            batch = members[group * share + place]
            for i0 in range(row0, row_stop, own):
                for j0 in range(column0, min(column_stop, i0 + own + diagonal), other):
                    pair_products(
                        sums, left, right, query, QUERY, i0, m, key, KEY, j0, n, d, layout, batch, extra, extra_width,
                        first_number,
                    )  # fmt: skip
                    if with_grads:
                        pair_dots(grads, left, right, grad, GRAD, i0, m, value, VALUE, j0, n, e, layout, batch)
                    for r in range(rows):
                        i = i0 + y + r * down
                        for c in range(columns):
                            j = j0 + x + c * across
                            if i < m and j < n and sees(mask, layout, batch, i, j, diagonal):
                                added = real(entry(bias, layout, BIAS, batch, i, j))
                                logit = score(sums[r, c], added, scale, first_number, extra, layout, batch, i, j)
                                result[r, c] += finish(
                                    logit, grads[r, c], first_number, second_number,
                                    batch * m + i, maximum, total, mean, normalized,
                                )  # fmt: skip

        for r in range(rows):
            for c in range(columns):
                tile[y + r * down, x + c * across] = result[r, c]
        cuda.syncthreads()
        t = y * across + x
        if row_count != m:  # one row: the sum over the queries
            for c in range(t, other, across * down):
                for r in range(1, own):
                    tile[0, c] += tile[r, c]
            cuda.syncthreads()
        if column_count != n:
            for r in range(t, own, across * down):
                for c in range(1, other):
                    tile[r, 0] += tile[r, c]
            cuda.syncthreads()
        for r in range(y, own, down):
            for c in range(x, other, across):
                if row0 + r < row_count and column0 + c < column_count:
                    output[(group * row_count + row0 + r) * column_count + column0 + c] = tile[r, c]

    return kernel(matrix)


@functools.cache
def build_gradient(block: Block, real: Real, rule_factory: RuleFactory, kind: int, by_query: bool) -> Any:
    """Build the kernel of sum over the other rows of (weight or score gradient) times a row that they carry.

    With `by_query` the own rows are queries and keys are carried: the gradient of the queries. Otherwise the own rows
    are keys, and queries (gradient of the keys) or rows of grad_output (gradient of the values) are carried.
    """
    rule = rule_factory(real)
    pair_products, pair_dots = build_products(block, real, rule.product), build_products(block, real, dot)
    load = build_load(block, real)
    accumulate, accumulate_visible = build_accumulate(block, real), build_accumulate_visible(block, real, by_query)
    score = rule.score
    finish = _build_finish(real, rule_factory, kind)
    with_grads = kind == SCORE_GRADIENTS
    across, down, rows, columns, outputs = block.across, block.down, block.rows, block.columns, block.outputs
    own, other, width = block.own, block.other, block.width
    left_shape, right_shape, pair_shape = (own, block.depth + 1), (other, block.depth + 1), (own, other + 1)
    carried_shape = (other, width)
    pairs, results = (rows, columns), (rows, outputs)
    zero = real(0)

    def gradient(
        first, block_count, m, n, d, e, diagonal, query, key, value, grad, mask, bias, layout,
        scale, first_number, second_number, normalized, maximum, total, mean,
        members, share, carried_rows, carried_id, carried_width, factor, output,
    ):  # fmt: skip
        left = cuda.shared.array(left_shape, real)
        right = cuda.shared.array(right_shape, real)
        coefficients = cuda.shared.array(pair_shape, real)
        carried = cuda.shared.array(carried_shape, real)
        sums = cuda.local.array(pairs, real)
        grads = cuda.local.array(pairs, real)
        accumulator = cuda.local.array(results, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        own_count = m if by_query else n
        other_count = n if by_query else m
        channel_blocks = (carried_width + width - 1) // width
        own_blocks = (own_count + own - 1) // own
        channel0 = index % channel_blocks * width
        own0 = index // channel_blocks % own_blocks * own
        group = index // channel_blocks // own_blocks
        # Pairs that causality hides from the whole block are skipped.
        other_start = 0 if by_query else max(0, own0 - diagonal)
        other_stop = min(n, own0 + own + diagonal) if by_query else m

        for r in range(rows):
            for o in range(outputs):
                accumulator[r, o] = zero
        for place in range(share):
            batch = members[group * share + place]
            for other0 in range(other_start, other_stop, other):
                if by_query:
                    pair_products(sums, left, right, query, QUERY, own0, m, key, KEY, other0, n, d, layout, batch)
                    if with_grads:
                        pair_dots(grads, left, right, grad, GRAD, own0, m, value, VALUE, other0, n, e, layout, batch)
                else:
                    pair_products(sums, left, right, key, KEY, own0, n, query, QUERY, other0, m, d, layout, batch)
                    if with_grads:
                        pair_dots(grads, left, right, value, VALUE, own0, n, grad, GRAD, other0, m, e, layout, batch)
                for r in range(rows):
                    for c in range(columns):
                        mine = own0 + y + r * down
                        its = other0 + x + c * across
                        i = mine if by_query else its
                        j = its if by_query else mine
                        coefficient = zero
                        if i < m and j < n and sees(mask, layout, batch, i, j, diagonal):
                            added = real(entry(bias, layout, BIAS, batch, i, j))
                            logit = score(sums[r, c], added, scale, first_number)
                            coefficient = finish(
                                logit, grads[r, c], first_number, second_number,
                                batch * m + i, maximum, total, mean, normalized,
                            )  # fmt: skip
                        coefficients[y + r * down, x + c * across] = coefficient
                strange = load(
                    carried, carried_rows, layout, carried_id, batch, other0, other_count, channel0, carried_width,
                    other, width, y * across + x,
                )  # fmt: skip
                if cuda.syncthreads_or(strange) == 0:  # until coefficients and carried rows are complete
                    accumulate(accumulator, coefficients, carried, x, y)
                else:
                    accumulate_visible(
                        accumulator, coefficients, carried, x, y, mask, layout, batch, diagonal,
                        own0, own_count, other0, other_count,
                    )  # fmt: skip

        for r in range(rows):
            mine = own0 + y + r * down
            if mine < own_count:
                for o in range(outputs):
                    channel = channel0 + x + o * across
                    if channel < carried_width:
                        place = (group * own_count + mine) * carried_width + channel
                        output[place] = factor * accumulator[r, o]

    return kernel(gradient)
