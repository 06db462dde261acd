"""What is made of tuples once the row statistics are known: weights, and gradients in one pass per set and kind.

Bound by operations, as the tile in `forward.py`, whose scheme it shares. A gradient of keys is the same computation as
one of queries with the roles exchanged: the score is linear in each set, so a block owns some keys, streams queries in
tiles, and walks over the other sets of keys as prefixes. Sums over batch members that share a result are made in the
block: no atomics, the same bits every time.

Results differ from the reference by rounding only.
"""

import functools
import math
from typing import Any

import numpy as np

from ..blocks import Block
from ..pieces import build_accumulate
from ..rules import Real
from ..target import cuda, device, kernel
from .pieces import (
    CROSS,
    CUBE_STEP,
    OFFSET,
    OWN,
    PREFIX,
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
def build_weight(real: Real, form: Form) -> Any:
    """Build the function from a score to a weight, or to its slope before the mean is taken off."""
    softmax, series = form.softmax, build_series(real)
    zero, lowest = real(0), real(-math.inf)

    @device
    def weight(score, degree, row, maximum, total):
        if softmax:
            return real(math.exp(score - (zero if maximum[row] == lowest else maximum[row]))) / total[row]
        return series(score, degree) / total[row]

    return weight


@functools.cache
def build_tuple_weights(block: Block, real: Real, form: Form) -> Any:
    """Build the kernel that writes the weights (members, m, n_1, ..., n_p); a block has one prefix of some queries."""
    products = build_tuple_products(block, real, form, form.fold, True)
    settle, sees, weight_of = build_settle(form), build_sees(True), build_weight(real, form)
    across, down, rows, columns, own, other = (
        block.across, block.down, block.rows, block.columns, block.own, block.other,
    )  # fmt: skip
    left_shape, right_shape, pairs = (own, block.depth + 1), (other, block.depth + 1), (rows, columns)
    mask_row, members, count, prefix = form.mask_row, form.members, form.prefix, max(1, form.prefix)
    zero = real(0)

    def cube(
        first, block_count, d, factors, mask, layout, related, roles, scale, degree,
        maximum, total, prefixes, output,
    ):  # fmt: skip
        left = cuda.shared.array(left_shape, real)
        right = cuda.shared.array(right_shape, real)
        sums = cuda.local.array(pairs, real)
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
        n = related[key, SIZE]
        number = index % prefixes
        query_blocks = (m + own - 1) // own
        i0 = index // prefixes % query_blocks * own
        batch = index // prefixes // query_blocks
        place = 0
        rest = number
        for s in range(count):
            other_key = roles[PREFIX + s]
            firsts[s] = 0
            spans[s] = related[other_key, SIZE]
            place += rest % spans[s] * related[other_key, CUBE_STEP]
            rest //= spans[s]
        base, earliest, latest = settle(
            number, related, layout, roles, batch, firsts, spans, d, 0, of_factors, of_reads
        )
        for j0 in range(0, n, other):
            products(
                sums, left, right, factors, layout[0, members + batch], i0, m, layout[key, members + batch], j0, n,
                of_factors, key - 1, d,
            )  # fmt: skip
            for r in range(rows):
                i = i0 + y + r * down
                for c in range(columns):
                    j = j0 + x + c * across
                    if i < m and j < n:
                        weight = zero
                        if sees(
                            mask, base, layout[mask_row, 0], layout[mask_row, key], related[key, OFFSET],
                            related[key, WINDOW], earliest, latest, i, j,
                        ):  # fmt: skip
                            weight = weight_of(scale * sums[r, c], degree, batch * m + i, maximum, total)
                        row = (batch * m + i) * related[0, CUBE_STEP]
                        output[row + place + j * related[key, CUBE_STEP]] = weight

    return kernel(cube)


@functools.cache
def build_tuple_mean(block: Block, real: Real, form: Form) -> Any:
    """Build the kernel of each row's mean of <grad_output, value> under the weights, whose statistics are known."""
    products = build_tuple_products(block, real, form, form.fold, True)
    dots = build_tuple_products(block, real, form, PRODUCT, True)
    reach, settle, sees, weight_of = build_reach(form), build_settle(form), build_sees(True), build_weight(real, form)
    across, down, rows, columns, own, other = (
        block.across, block.down, block.rows, block.columns, block.own, block.other,
    )  # fmt: skip
    left_shape, right_shape, row_shape = (own, block.depth + 1), (other, block.depth + 1), (own, across + 1)
    pairs, sets, mask_row, members, prefix = (
        (rows, columns),
        form.sets,
        form.mask_row,
        form.members,
        max(1, form.prefix),
    )
    zero = real(0)

    def mean_gradient(
        first, block_count, d, e, factors, reads, mask, layout, related, roles, scale, degree,
        maximum, total, mean,
    ):  # fmt: skip
        left = cuda.shared.array(left_shape, real)
        right = cuda.shared.array(right_shape, real)
        by_row = cuda.shared.array(row_shape, real)
        sums = cuda.local.array(pairs, real)
        grads = cuda.local.array(pairs, real)
        running = cuda.local.array(rows, real)
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
        query_blocks = (m + own - 1) // own
        i0 = index % query_blocks * own
        batch = index // query_blocks
        for r in range(rows):
            running[r] = zero
        high = min(m, i0 + own)
        start = max(0, i0 + offset - window + 1)
        stop = min(related[key, SIZE], high + offset)
        for number in range(reach(related, roles, i0, high, firsts, spans)):
            base, earliest, latest = settle(
                number, related, layout, roles, batch, firsts, spans, d, e, of_factors, of_reads
            )
            for j0 in range(start, stop, other):
                products(
                    sums, left, right, factors, layout[0, members + batch], i0, m, layout[key, members + batch],
                    j0, stop, of_factors, key - 1, d,
                )  # fmt: skip
                dots(
                    grads, left, right, reads, layout[sets, members + batch], i0, m,
                    layout[sets + key, members + batch], j0, stop, of_reads, key - 1, e,
                )  # fmt: skip
                for r in range(rows):
                    i = i0 + y + r * down
                    fresh = zero
                    for c in range(columns):
                        j = j0 + x + c * across
                        if i < m and j < stop and sees(
                            mask, base, layout[mask_row, 0], layout[mask_row, key], offset, window,
                            earliest, latest, i, j,
                        ):  # fmt: skip
                            fresh += grads[r, c] * weight_of(scale * sums[r, c], degree, batch * m + i, maximum, total)
                    running[r] += fresh
        for r in range(rows):
            by_row[y + r * down, x] = running[r]
        cuda.syncthreads()
        for r in range(rows):
            i = i0 + y + r * down
            if i < m and x == 0:
                row_mean = zero
                for k in range(across):
                    row_mean += by_row[y + r * down, k]
                mean[batch * m + i] = row_mean

    return kernel(mean_gradient)


@functools.cache
def build_tuple_gradient(block: Block, real: Real, form: Form, by_query: bool, of_scores: bool) -> Any:
    """Build the kernel of a gradient: of a set's factors (`of_scores`), or of the values that a set of keys carries.

    With `by_query` the own rows are queries and tiles hold keys; otherwise own rows are keys and tiles hold queries.
    """
    products = build_tuple_products(block, real, form, form.fold, by_query)
    dots = build_tuple_products(block, real, form, PRODUCT, by_query)
    load = build_load_folded(block, real, form, form.fold if of_scores else PRODUCT)
    reach, settle, sees = build_reach(form), build_settle(form), build_sees(by_query)
    weight_of = build_weight(real, form)
    accumulate, accumulate_seen = build_accumulate(block, real), build_accumulate_seen(block, real, by_query)
    across, down, rows, columns, outputs = block.across, block.down, block.rows, block.columns, block.outputs
    own, other, width = block.own, block.other, block.width
    left_shape, right_shape, pair_shape = (own, block.depth + 1), (other, block.depth + 1), (own, other + 1)
    carried_shape, pairs, results = (other, width), (rows, columns), (rows, outputs)
    softmax, sets, mask_row, first_member = form.softmax, form.sets, form.mask_row, form.members
    prefix = max(1, form.prefix)
    first_rank = 1 if form.fold == CROSS else 0  # the sign of a cross product tells its order
    zero = real(0)

    def gradient(
        first, block_count, d, e, factors, reads, mask, layout, related, roles, scale, turn, degree,
        maximum, total, mean, members, share, factor, output,
    ):  # fmt: skip
        left = cuda.shared.array(left_shape, real)
        right = cuda.shared.array(right_shape, real)
        coefficients = cuda.shared.array(pair_shape, real)
        carried = cuda.shared.array(carried_shape, real)
        sums = cuda.local.array(pairs, real)
        grads = cuda.local.array(pairs, real)
        accumulator = cuda.local.array(results, real)
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
        mine = roles[OWN]
        its = roles[TILE]
        key = its if by_query else mine
        offset = related[key, OFFSET]
        window = related[key, WINDOW]
        own_count = related[mine, SIZE]
        carried_width = d if of_scores else e
        channel_blocks = (carried_width + width - 1) // width
        own_blocks = (own_count + own - 1) // own
        channel0 = index % channel_blocks * width
        own0 = index // channel_blocks % own_blocks * own
        group = index // channel_blocks // own_blocks
        own_step = layout[mask_row, mine]
        tile_step = layout[mask_row, its]
        # The queries that see one of the own rows, or are own rows.
        low = own0 if by_query else max(0, own0 - offset)
        high = min(m, own0 + own if by_query else own0 + own - 1 - offset + window)

        for r in range(rows):
            for o in range(outputs):
                accumulator[r, o] = zero
        for place in range(share):
            batch = members[group * share + place]
            own_start = layout[mine, first_member + batch]
            tile_start = layout[its, first_member + batch]
            own_read = layout[sets + mine, first_member + batch]
            tile_read = layout[sets + its, first_member + batch]
            for number in range(reach(related, roles, low, high, firsts, spans)):
                base, earliest, latest = settle(
                    number, related, layout, roles, batch, firsts, spans, d, e, of_factors, of_reads
                )
                start = max(0, low + offset - window + 1) if by_query else max(low, earliest)
                stop = min(related[key, SIZE], high + offset) if by_query else min(high, latest + 1)
                for other0 in range(start, stop, other):
                    products(
                        sums, left, right, factors, own_start, own0, own_count, tile_start, other0, stop,
                        of_factors, key - 1, d,
                    )  # fmt: skip
                    if of_scores:
                        dots(
                            grads, left, right, reads, own_read, own0, own_count, tile_read, other0, stop,
                            of_reads, key - 1, e,
                        )  # fmt: skip
                    for r in range(rows):
                        for c in range(columns):
                            one = own0 + y + r * down
                            two = other0 + x + c * across
                            coefficient = zero
                            if (
                                one < own_count
                                and two < stop
                                and sees(mask, base, own_step, tile_step, offset, window, earliest, latest, one, two)
                            ):
                                row = batch * m + (one if by_query else two)
                                step = degree - 1 if of_scores and not softmax else degree
                                coefficient = weight_of(scale * sums[r, c], step, row, maximum, total)
                                if of_scores:
                                    coefficient *= grads[r, c] - mean[row]
                            coefficients[y + r * down, x + c * across] = coefficient
                    if of_scores:
                        strange = load(
                            carried, factors, tile_start, d, other0, stop, channel0, other, width, of_factors,
                            first_rank, turn, y * across + x,
                        )  # fmt: skip
                    else:
                        strange = load(
                            carried, reads, tile_read, e, other0, stop, channel0, other, width, of_reads, 0, turn,
                            y * across + x,
                        )  # fmt: skip
                    if cuda.syncthreads_or(strange) == 0:  # until coefficients and carried rows are complete
                        accumulate(accumulator, coefficients, carried, x, y)
                    else:
                        accumulate_seen(
                            accumulator, coefficients, carried, x, y, mask, base, own_step, tile_step, offset,
                            window, earliest, latest, own0, own_count, other0, stop,
                        )  # fmt: skip

        for r in range(rows):
            row = own0 + y + r * down
            if row < own_count:
                for o in range(outputs):
                    channel = channel0 + x + o * across
                    if channel < carried_width:
                        output[(group * own_count + row) * carried_width + channel] = factor * accumulator[r, o]

    return kernel(gradient)
