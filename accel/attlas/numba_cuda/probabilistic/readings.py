"""One query and the few rows that it meets: the softmax of their scores, and what it reads.

A block of threads has one query and some channels of the result (wider results take more blocks, which then repeat the
scores). It takes the rows tile by tile: a line of threads has some of them, its threads share out the channels, so that
neighbors read neighboring memory; every thread carries the running (maximum, total) and a few channels of the sums.
Bound by bytes from the second-level cache, (d + e) numbers for each row that is met.

There are two kinds of queries. Those of groups read a run of tokens. Those of tokens read, in Combiner-Logsparse, the
token itself, the one before it, and what stands for the groups before that: term 0 is the token, term 1 + l the group
of bit l, which is there if that bit is set.

Groups are those of one size, side by side, or those of a Fenwick tree. There the groups of bit l from 1 on are numbered
from the largest l down, and group g of them is tokens 2 g 2^l to (2 g + 1) 2^l. Their representatives stand in a
pyramid: first those of all pairs of tokens, then those of all fours, and so on.

Results differ from the reference by rounding only: what a group holds is summed up before a query weighs it.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

from ..pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP, larger
from ..prefix import build_rescaled
from ..rows import RowBlock
from ..rules import Real
from ..target import cuda, device, kernel

QUERY, KEY, VALUE, GROUP_KEY, GROUP_VALUE = range(5)
"""The rows of the table of operands; the queries of groups are their representatives."""

TERMS = 4
"""Rows of a tile that a line of threads has."""

OUTPUTS = 4
"""Channels of the result that a thread has."""


@device
def groups_of(n, bit):
    """How many groups of a bit somebody meets."""
    size = 1 << bit
    return (n - size + 2 * size - 1) // (2 * size) if n > size else 0


@device
def first_of(n, bit):
    """Where the representatives of a bit begin in the pyramid."""
    start = 0
    for below in range(1, bit):
        start += n >> below
    return start


@device
def group_at(index, n, length, bits):
    """The first token of a group, its length, where it stands among the representatives, and its bit or 0."""
    if length > 0:
        return index * length, length, index, 0
    bit = bits - 1
    while bit > 1 and index >= groups_of(n, bit):
        index -= groups_of(n, bit)
        bit -= 1
    return 2 * index << bit, 1 << bit, first_of(n, bit) + 2 * index, bit


@functools.cache
def build_product_of_rows(real: Real, across: int) -> Callable[..., Any]:
    """Build a thread's part of the dot product of two rows."""
    zero = real(0)

    @device
    def product_of_rows(query, query_at, query_step, key, key_at, key_step, d, x):
        part = zero
        for c in range(x, d, across):
            part += query[query_at + c * query_step] * key[key_at + c * key_step]
        return part

    return product_of_rows


@functools.cache
def build_readings(block: RowBlock, real: Real, of_groups: bool) -> Any:
    """Build the kernel; `matrix` gets the shares of what is met, if asked for.

    Of groups: (members, bits, n), each token's in its group of a bit; the result has a row for each representative. Of
    tokens: (members, n, 1 + bits), a term's; those that are not there are left as they were.
    """
    part_of, rescaled = build_product_of_rows(real, block.across), build_rescaled(real)
    across, down = block.across, block.down
    tile, width = down * TERMS, across * OUTPUTS
    parts_shape, sums_shape = (tile, across + 1), (down, width)
    zero, one, lowest = real(0), real(1), real(-math.inf)

    @device
    def place_of(index, k, bits, n, batch, token0, bit):
        """Where the share of term k stands."""
        if of_groups:
            return (batch * bits + bit) * n + token0 + k
        return (batch * n + index) * (1 + bits) + k

    @device
    def is_met(index, k, count):
        """Whether there is a term k."""
        if of_groups:
            return k < count
        return k < count and (k == 0 or (index >> (k - 1)) & 1 == 1)

    def readings(
        first, block_count, count, n, d, e, length, bits, results, query, key, value, group_keys, group_values, layout,
        scale, stores, matrix, output,
    ):  # fmt: skip
        parts = cuda.shared.array(parts_shape, real)
        scores = cuda.shared.array(tile, real)
        totals = cuda.shared.array(down, real)
        sums = cuda.shared.array(sums_shape, real)
        own = cuda.local.array(OUTPUTS, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        place = first + cuda.blockIdx.x
        if place >= block_count:
            return
        channel_blocks = max(1, (e + width - 1) // width)
        e0 = place % channel_blocks * width
        index = place // channel_blocks % count
        batch = place // channel_blocks // count
        token0 = index
        terms = 1 + bits
        row = index
        bit = 0
        if of_groups:
            token0, terms, row, bit = group_at(index, n, length, bits)
        query_at = layout[QUERY, FIRST_MEMBER + batch] + row * layout[QUERY, ROW_STEP]
        query_step = layout[QUERY, COLUMN_STEP]
        writes = stores and e0 == 0

        most = lowest
        total = zero
        for o in range(OUTPUTS):
            own[o] = zero
        for k0 in range(0, terms, tile):
            cuda.syncthreads()  # until no thread reads the scores of before
            for r in range(TERMS):
                k = k0 + y + r * down
                part = zero
                if is_met(index, k, terms):
                    if of_groups or k < 2:
                        token = token0 + k if of_groups else index - k
                        start = layout[KEY, FIRST_MEMBER + batch] + token * layout[KEY, ROW_STEP]
                        part = part_of(query, query_at, query_step, key, start, layout[KEY, COLUMN_STEP], d, x)
                    else:
                        group = first_of(n, k - 1) + (index >> (k - 1)) - 1
                        start = layout[GROUP_KEY, FIRST_MEMBER + batch] + group * layout[GROUP_KEY, ROW_STEP]
                        step = layout[GROUP_KEY, COLUMN_STEP]
                        part = part_of(query, query_at, query_step, group_keys, start, step, d, x)
                parts[y + r * down, x] = part
            cuda.syncthreads()  # until all parts are there
            for r in range(x, TERMS, across):
                own_term = y + r * down
                score = lowest
                if is_met(index, k0 + own_term, terms):
                    score = zero
                    for s in range(across):
                        score += parts[own_term, s]
                    score *= scale
                    if writes:
                        matrix[place_of(index, k0 + own_term, bits, n, batch, token0, bit)] = score
                scores[own_term] = score
            cuda.syncthreads()  # until all scores are there
            best = most
            for k in range(min(tile, terms - k0)):
                best = larger(best, scores[k])
            then = rescaled(most, best)
            shift = zero if best == lowest else best
            most = best
            total *= then
            for o in range(OUTPUTS):
                own[o] *= then
            for r in range(TERMS):
                k = k0 + y + r * down
                if is_met(index, k, terms):
                    weight = real(math.exp(scores[y + r * down] - shift))
                    total += weight
                    if of_groups or k < 2:
                        token = token0 + k if of_groups else index - k
                        start = layout[VALUE, FIRST_MEMBER + batch] + token * layout[VALUE, ROW_STEP]
                        for o in range(OUTPUTS):
                            channel = e0 + x + o * across
                            if channel < e:
                                own[o] += weight * value[start + channel * layout[VALUE, COLUMN_STEP]]
                    else:
                        group = first_of(n, k - 1) + (index >> (k - 1)) - 1
                        start = layout[GROUP_VALUE, FIRST_MEMBER + batch] + group * layout[GROUP_VALUE, ROW_STEP]
                        for o in range(OUTPUTS):
                            channel = e0 + x + o * across
                            if channel < e:
                                own[o] += weight * group_values[start + channel * layout[GROUP_VALUE, COLUMN_STEP]]

        if x == 0:
            totals[y] = total
        for o in range(OUTPUTS):
            sums[y, x + o * across] = own[o]
        cuda.syncthreads()  # until all lines have their sums
        whole = zero
        for line in range(down):
            whole += totals[line]
        whole = whole if whole != zero else one
        if y == 0:
            for o in range(OUTPUTS):
                channel = e0 + x + o * across
                if channel < e:
                    result = zero
                    for line in range(down):
                        result += sums[line, x + o * across]
                    output[(batch * results + row) * e + channel] = result / whole
        if writes:
            shift = zero if most == lowest else most
            for k0 in range(0, terms, tile):
                for r in range(x, TERMS, across):  # the scores that this thread has written
                    k = k0 + y + r * down
                    if is_met(index, k, terms):
                        at = place_of(index, k, bits, n, batch, token0, bit)
                        matrix[at] = real(math.exp(matrix[at] - shift)) / whole

    return kernel(readings)
