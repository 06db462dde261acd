"""The tile template for tuples: outputs and row statistics.

Bound by operations as pairs are, m n_1 ... n_p (d + e) multiply-adds: a tile of tuples' rows, made while it is loaded,
serves every query of the block. Prefixes that no query of the block may see are skipped, so windows cost what they
show. The set with the longest reach is the one in tiles. Memory beside the result is O(m), whatever the number of
tuples.

Results differ from the reference by rounding only. Nothing is atomic: the same call gives the same bits.
"""

import functools
import math
from typing import Any

import numpy as np

from ..blocks import Block
from ..pieces import build_accumulate, larger
from ..rules import Real
from ..target import cuda, kernel
from .pieces import (
    OFFSET,
    PRODUCT,
    SIZE,
    TILE,
    WINDOW,
    Form,
    build_accumulate_seen,
    build_load_folded,
    build_reach,
    build_sees,
    build_series,
    build_settle,
    build_tuple_products,
)


@functools.cache
def build_tuple_forward(block: Block, real: Real, form: Form) -> Any:
    """Build the kernel of the output and of the row statistics: maximum, and what the row is divided by."""
    products, load = (
        build_tuple_products(block, real, form, form.fold, True),
        build_load_folded(block, real, form, PRODUCT),
    )
    reach, settle, sees, series = build_reach(form), build_settle(form), build_sees(True), build_series(real)
    accumulate, accumulate_seen = build_accumulate(block, real), build_accumulate_seen(block, real, True)
    across, down, rows, columns, outputs = block.across, block.down, block.rows, block.columns, block.outputs
    own, other, width = block.own, block.other, block.width
    left_shape, right_shape, pair_shape = (own, block.depth + 1), (other, block.depth + 1), (own, other + 1)
    carried_shape, row_shape, pairs, results = (other, width), (own, across + 1), (rows, columns), (rows, outputs)
    softmax, sets, mask_row, members, prefix = form.softmax, form.sets, form.mask_row, form.members, max(1, form.prefix)
    zero, one, lowest = real(0), real(1), real(-math.inf)
    hidden = lowest if softmax else zero

    def forward(
        first, block_count, d, e, factors, reads, mask, layout, related, roles, scale, degree, normalized,
        output, maximum, total,
    ):  # fmt: skip
        left = cuda.shared.array(left_shape, real)
        right = cuda.shared.array(right_shape, real)
        weights = cuda.shared.array(pair_shape, real)
        carried = cuda.shared.array(carried_shape, real)
        by_row = cuda.shared.array(row_shape, real)
        sums = cuda.local.array(pairs, real)
        accumulator = cuda.local.array(results, real)
        running_max = cuda.local.array(rows, real)
        running_sum = cuda.local.array(rows, real)  # over the tuples of this thread
        firsts = cuda.local.array(prefix, np.int64)
        spans = cuda.local.array(prefix, np.int64)
        of_factors = cuda.local.array(prefix, np.int64)
        of_reads = cuda.local.array(prefix, np.int64)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        m = related[0, SIZE]
        key = roles[TILE]
        offset = related[key, OFFSET]
        window = related[key, WINDOW]
        channel_blocks = max(1, (e + width - 1) // width)
        query_blocks = (m + own - 1) // own
        e0 = index % channel_blocks * width
        i0 = index // channel_blocks % query_blocks * own
        batch = index // channel_blocks // query_blocks
        own_start = layout[0, members + batch]
        tile_start = layout[key, members + batch]
        read_start = layout[sets + key, members + batch]
        own_step = layout[mask_row, 0]
        tile_step = layout[mask_row, key]

        for r in range(rows):
            running_max[r] = lowest
            running_sum[r] = zero
            for o in range(outputs):
                accumulator[r, o] = zero

        high = min(m, i0 + own)
        start = max(0, i0 + offset - window + 1)
        stop = min(related[key, SIZE], high + offset)
        for number in range(reach(related, roles, i0, high, firsts, spans)):
            base, earliest, latest = settle(
                number, related, layout, roles, batch, firsts, spans, d, e, of_factors, of_reads
            )
            for j0 in range(start, stop, other):
                products(
                    sums, left, right, factors, own_start, i0, m, tile_start, j0, stop, of_factors, key - 1, d
                )  # fmt: skip
                for r in range(rows):
                    i = i0 + y + r * down
                    for c in range(columns):
                        j = j0 + x + c * across
                        weight = hidden
                        if (
                            i < m
                            and j < stop
                            and sees(mask, base, own_step, tile_step, offset, window, earliest, latest, i, j)
                        ):
                            weight = scale * sums[r, c]
                            if not softmax:
                                weight = series(weight, degree)
                                running_max[r] = zero  # something is visible
                        sums[r, c] = weight

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
                        fresh += sums[r, c]
                        weights[y + r * down, x + c * across] = sums[r, c]
                    running_sum[r] += fresh
                strange = load(
                    carried, reads, read_start, e, j0, stop, e0, other, width, of_reads, key - 1, one, y * across + x
                )
                if cuda.syncthreads_or(strange) == 0:  # until weights and values are complete
                    accumulate(accumulator, weights, carried, x, y)
                else:
                    accumulate_seen(
                        accumulator, weights, carried, x, y, mask, base, own_step, tile_step, offset, window,
                        earliest, latest, i0, m, j0, stop,
                    )  # fmt: skip

        cuda.syncthreads()  # until no thread reads the weights of the last tile
        for r in range(rows):
            by_row[y + r * down, x] = running_sum[r]
            weights[y + r * down, x] = running_max[r]
        cuda.syncthreads()
        for r in range(rows):
            i = i0 + y + r * down
            if i < m:
                row_total = zero
                seen = running_max[r]
                for k in range(across):
                    row_total += by_row[y + r * down, k]
                    seen = larger(seen, weights[y + r * down, k])
                nothing = row_total == zero if softmax else seen == lowest
                divisor = one if nothing else row_total
                if e0 == 0 and x == 0:
                    maximum[batch * m + i] = seen
                    total[batch * m + i] = divisor
                for o in range(outputs):
                    channel = e0 + x + o * across
                    if channel < e:
                        result = accumulator[r, o]
                        if normalized:
                            result /= divisor
                        output[(batch * m + i) * e + channel] = result

    return kernel(forward)
