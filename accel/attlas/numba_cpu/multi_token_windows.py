"""Multi-token attention: scores and weights that are convolved over queries and keys, and mixed across heads.

A task is one block of queries of all heads that mix. Its lanes begin with a *halo*, the earlier queries to which the
kernels reach back: what a lane of the halo lacks is computed wrongly and never used. Keys go block by block through
windows small enough for the cache: dot products with a margin of keys, convolution, mixture; the scores of all keys
are kept for the softmax, since the weights are convolved again. In a second round the weights take the same way, and
meet the values.

A convolution is a product as well: in each query tap, four rows of results are a band matrix of the kernel's key taps
times the rows of scores, so `vector` computes it from registers, at (keys + 3) / keys times the least number of
multiply-adds.

Bound by: multiply-adds, h n² / 2 of d + e + both kernels' taps + the heads that are mixed, times 1 + halo / block.
Memory: a block's scores to all keys, O(heads that mix · block · n) per thread; no array grows with n².
Blocks are cut by the sizes of a sequence and of the kernels alone; a task is computed by one thread.
Differs from the reference by rounding: a convolution sums key taps first, then query taps.
"""

from typing import Any, NamedTuple

import numpy as np

from .blocks import all_finite, careful_add, fill
from .compile import kernel, part
from .pointers import Matrix, bytes_at, moved
from .real import Real
from .vector import HOST, multiply, multiply_add

__all__ = ["ROWS", "MultiTokenKernels", "Plan", "Windows", "build_multi_token"]

ROWS = HOST.rows


class Plan(NamedTuple):
    """The results of a call, its kernels and mixtures (read only where they are given), and how it is cut."""

    output: Any
    """(..., h, n, e)."""
    weights: Any
    """(..., h, n, n), zero before."""
    before: Any
    """(h, queries, keys and zeros around them): convolves the scores."""
    after: Any
    """The same for the weights."""
    mix_before: Any
    """(h, h)."""
    mix_after: Any
    """(groups, c, c)."""
    stores: int
    """Whether the weights are wanted."""
    heads: int
    together: int
    """Heads of one task."""
    lanes: int
    keys: int
    """Per window."""
    halo: int
    before_queries: int
    """Taps; 0 if there is no such kernel."""
    before_keys: int
    before_left: int
    after_queries: int
    after_keys: int
    after_left: int
    mixed_before: int
    """Heads that are mixed, 0 for none."""
    mixed_after: int


class Windows(NamedTuple):
    """The scratch of one thread; a window is (keys, lanes)."""

    packed: Any
    """(together, d, lanes)."""
    margin: Any
    """A window with margins on all sides but the right, for what is to be convolved."""
    first: Any
    """(together, keys, lanes)."""
    second: Any
    """The same."""
    band: Any
    """(blocks of keys, together, keys, lanes): scores, then weights before they are divided by their sum."""
    sums: Any
    """(together, e, lanes)."""
    maximum: Any
    """(together, lanes)."""
    total: Any
    """(together, lanes)."""
    ones: Any
    """(lanes,)."""
    line: Any
    """(lanes,)."""
    visible: Any
    """(keys, lanes) bytes."""


class MultiTokenKernels(NamedTuple):
    """Tasks are (outer batch member, group of heads, block of queries)."""

    real: Real
    forward: Any


def build_multi_token(real: Real) -> MultiTokenKernels:
    """Parameters (scale,)."""
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    exp, open_operands, reals = real.exp, real.open_operands, real.pointer
    of = str(real.dtype)

    def open_plan(table):
        return Plan(
            reals(table[0]), reals(table[1]), reals(table[2]), reals(table[3]), reals(table[4]), reals(table[5]),
            table[6], table[7], table[8], table[9], table[10], table[11], table[12], table[13], table[14], table[15],
            table[16], table[17], table[18], table[19],
        )  # fmt: skip

    def open_windows(table, front):
        return Windows(
            reals(table[0]), moved(reals(table[1]), front), reals(table[2]), reals(table[3]), reals(table[4]),
            reals(table[5]), reals(table[6]), reals(table[7]), reals(table[8]), reals(table[9]), bytes_at(table[10]),
        )  # fmt: skip

    def gather(packed, query, place, first, lanes, m, d):
        """Set queries side by side, from `first` on, which may be negative; zeros where there is none."""
        for lane in range(lanes):
            token = first + lane
            inside = (token >= 0) & (token < m)
            at = place + token * query.row
            for column in range(d):
                packed[column * lanes + lane] = query.memory[at + column * query.column] if inside else zero

    def keep_past(tile, edge, lanes, empty):
        """Put `empty` where a key lies in the future: in the lanes before `edge`."""
        for lane in range(min(edge, lanes)):
            tile[lane] = empty

    keep_past = part(keep_past, of)

    def dots(operands, plan, windows, to, head, member, first, row, rows):
        """Scaled products with a few keys, 0 in the future."""
        size, key, lanes = operands.size, operands.key, plan.lanes
        packed, scale = moved(windows.packed, head * size.d * lanes), operands.parameters[0]
        at = key.places[member] + row * key.row
        multiply(to, packed, key, at, key.row, key.column, rows, size.d, lanes, size.width, windows.ones)
        for i in range(rows * lanes):
            to[i] *= scale
        for r in range(rows):
            keep_past(moved(to, r * lanes), row + r - first, lanes, zero)

    def convolve(to, x, matrix, at, queries, keys, rows, lanes, width, windows):
        """to[r, lane] = Σ_ab taps[a, b] x[r + b, lane - (queries - 1) + a].

        `matrix` holds the taps from `at` on, with ROWS - 1 zeros before and after those of a query. These zeros fill
        up the band matrix only and must not meet a NaN or infinity.
        """
        ones, line = windows.ones, windows.line
        step, count = keys + 2 * (ROWS - 1), (rows + keys - 1) * lanes
        strange = 0
        for i in range(count):
            strange += x[i] - x[i] != zero
        if strange == 0:
            fill(moved(x, count), (ROWS - 1) * lanes, zero)
            for r in range(0, rows, ROWS):
                out = moved(to, r * lanes)
                for a in range(queries):
                    shifted, taps = moved(x, r * lanes - (queries - 1) + a), at + a * step + ROWS - 1
                    if a == 0:
                        multiply(out, shifted, matrix, taps, -1, 1, ROWS, ROWS - 1 + keys, lanes, width, ones)
                    else:
                        multiply_add(out, shifted, matrix, taps, -1, 1, ROWS, ROWS - 1 + keys, lanes, width, ones)
            return
        for r in range(rows):  # the same sums in the same order, without the zeros
            out = moved(to, r * lanes)
            fill(out, lanes, zero)
            for a in range(queries):
                fill(line, lanes, zero)
                for b in range(keys):
                    tap = matrix.memory[at + a * step + ROWS - 1 + b]
                    shifted = moved(x, (r + b) * lanes - (queries - 1) + a)
                    for lane in range(lanes):
                        line[lane] += tap * shifted[lane]
                for lane in range(lanes):
                    out[lane] += line[lane]

    open_plan, open_windows = part(open_plan, of), part(open_windows, of)
    gather, dots, convolve = part(gather, of), part(dots, of), part(convolve, of)

    def score_block(operands, plan, windows, leading, first, row, rows, end):
        """The scores of one block of keys, convolved and mixed, into the band."""
        size, lanes, together = operands.size, plan.lanes, plan.together
        tile = plan.keys * lanes
        target = moved(windows.band, row // plan.keys * together * tile)
        for head in range(together):
            to = moved(windows.first if plan.mixed_before else target, head * tile)
            if plan.before_queries == 0:
                dots(operands, plan, windows, to, head, leading + head, first, row, rows)
                continue
            low = row - plan.before_left
            high = low + rows + plan.before_keys - 1
            begin, stop = max(low, 0), min(high, end)
            x = windows.margin
            fill(x, (begin - low) * lanes, zero)
            inner = moved(x, (begin - low) * lanes)
            dots(operands, plan, windows, inner, head, leading + head, first, begin, stop - begin)
            fill(moved(x, (stop - low) * lanes), (high - stop) * lanes, zero)
            matrix = Matrix(plan.before, operands.key.places, 0, 0)
            at = (leading + head) % plan.heads * plan.before_queries * (plan.before_keys + 2 * (ROWS - 1))
            convolve(to, x, matrix, at, plan.before_queries, plan.before_keys, rows, lanes, size.width, windows)
        if plan.mixed_before:
            matrix = Matrix(plan.mix_before, operands.key.places, 0, 0)
            multiply(target, windows.first, matrix, 0, 1, together, together, together, tile, size.width, windows.ones)

    def soften(plan, windows, first, end):
        """Exponentials of the scores in the band, and one over their sums: the softmax is the product."""
        lanes, together = plan.lanes, plan.together
        keys, tile, line = plan.keys, plan.keys * lanes, windows.line
        fill(windows.maximum, together * lanes, -infinity)
        fill(windows.total, together * lanes, zero)
        for row in range(end):
            at = (row // keys * together * keys + row % keys) * lanes
            for head in range(together):
                scores, maximum = moved(windows.band, at + head * tile), moved(windows.maximum, head * lanes)
                keep_past(scores, row - first, lanes, -infinity)
                for lane in range(lanes):
                    # A NaN is taken, and kept: nothing is larger than it.
                    larger = (scores[lane] > maximum[lane]) | (scores[lane] != scores[lane])
                    maximum[lane] = scores[lane] if larger else maximum[lane]
        for i in range(together * lanes):
            windows.maximum[i] = zero if windows.maximum[i] == -infinity else windows.maximum[i]
        for head in range(together):
            maximum, total = moved(windows.maximum, head * lanes), moved(windows.total, head * lanes)
            for corner in range(0, end, keys):
                scores = moved(windows.band, (corner // keys * together + head) * tile)
                fill(line, lanes, zero)
                for row in range(min(keys, end - corner)):
                    start = row * lanes
                    for lane in range(lanes):
                        weight = exp(scores[start + lane] - maximum[lane])
                        scores[start + lane] = weight
                        line[lane] += weight
                for lane in range(lanes):
                    total[lane] += line[lane]
        for i in range(together * lanes):
            windows.total[i] = one / (one if windows.total[i] == zero else windows.total[i])

    def weigh(to, plan, windows, head, first, begin, stop):
        """The weights of some keys, 0 in the future."""
        lanes, inverse = plan.lanes, moved(windows.total, head * plan.lanes)
        for row in range(begin, stop):
            at = ((row // plan.keys * plan.together + head) * plan.keys + row % plan.keys) * lanes
            weights, target = moved(windows.band, at), moved(to, (row - begin) * lanes)
            for lane in range(lanes):
                target[lane] = weights[lane] * inverse[lane]
            keep_past(target, row - first, lanes, zero)

    weigh = part(weigh, of)

    def weight_block(operands, plan, windows, leading, first, row, rows, end):
        """The weights of one block of keys, convolved and mixed: in the window that is returned."""
        size, lanes, together = operands.size, plan.lanes, plan.together
        tile = plan.keys * lanes
        for head in range(together):
            to = moved(windows.first, head * tile)
            if plan.after_queries == 0:
                weigh(to, plan, windows, head, first, row, row + rows)
                continue
            low = row - plan.after_left
            high = low + rows + plan.after_keys - 1
            begin, stop = max(low, 0), min(high, end)
            x = windows.margin
            fill(x, (begin - low) * lanes, zero)
            weigh(moved(x, (begin - low) * lanes), plan, windows, head, first, begin, stop)
            fill(moved(x, (stop - low) * lanes), (high - stop) * lanes, zero)
            matrix = Matrix(plan.after, operands.key.places, 0, 0)
            at = (leading + head) % plan.heads * plan.after_queries * (plan.after_keys + 2 * (ROWS - 1))
            convolve(to, x, matrix, at, plan.after_queries, plan.after_keys, rows, lanes, size.width, windows)
            for r in range(rows):
                keep_past(moved(to, r * lanes), row + r - first, lanes, zero)
        mixed = plan.mixed_after
        if mixed == 0:
            return windows.first
        matrix = Matrix(plan.mix_after, operands.key.places, 0, 0)
        for head in range(0, together, mixed):
            at = (leading + head) % plan.heads // mixed * mixed * mixed
            multiply(
                moved(windows.second, head * tile), moved(windows.first, head * tile), matrix, at, 1, mixed, mixed,
                mixed, tile, size.width, windows.ones,
            )  # fmt: skip
        return windows.second

    score_block, soften, weight_block = part(score_block, of), part(soften, of), part(weight_block, of)

    def add_values(operands, plan, windows, weights, head, member, first, row, rows):
        size, value, lanes = operands.size, operands.value, plan.lanes
        sums = moved(windows.sums, head * size.e * lanes)
        at = value.places[member] + row * value.row
        if size.finite or all_finite(value, at, rows, size.e):
            multiply_add(
                sums, weights, value, at, value.column, value.row, size.e, rows, lanes, size.width, windows.ones
            )
            return
        for r in range(rows):
            for lane in range(lanes):
                windows.visible[r * lanes + lane] = 1 if lane >= row + r - first else 0
        careful_add(
            sums, weights, value, at, size.e, rows, lanes, windows.ones, windows.visible, windows.line, zero
        )  # fmt: skip

    add_values = part(add_values, of)

    def forward(start, stop, operands_table, scratch_table, results):
        operands, plan = open_operands(operands_table), open_plan(results)
        windows = open_windows(scratch_table, plan.lanes)
        size, lanes, together, halo = operands.size, plan.lanes, plan.together, plan.halo
        step = lanes - halo
        blocks = (size.m + step - 1) // step
        tile = plan.keys * lanes
        fill(windows.ones, lanes, one)
        for task in range(start, stop):
            leading, block = task // blocks * together, task % blocks  # the first head's batch member
            used = min(step, size.m - block * step)
            first, end = block * step - halo, block * step + used
            for head in range(together):
                query = operands.query
                packed = moved(windows.packed, head * size.d * lanes)
                gather(packed, query, query.places[leading + head], first, lanes, size.m, size.d)
            for row in range(0, end, plan.keys):
                score_block(operands, plan, windows, leading, first, row, min(plan.keys, end - row), end)
            soften(plan, windows, first, end)
            fill(windows.sums, together * size.e * lanes, zero)
            for row in range(0, end, plan.keys):
                rows = min(plan.keys, end - row)
                window = weight_block(operands, plan, windows, leading, first, row, rows, end)
                for head in range(together):
                    weights, member = moved(window, head * tile), leading + head
                    add_values(operands, plan, windows, weights, head, member, first, row, rows)
                    if plan.stores:
                        for lane in range(used):
                            target = (member * size.m + block * step + lane) * size.n + row
                            for r in range(rows):
                                plan.weights[target + r] = weights[r * lanes + halo + lane]
            for head in range(together):
                sums = moved(windows.sums, head * size.e * lanes)
                for lane in range(used):
                    target = ((leading + head) * size.m + block * step + lane) * size.e
                    for column in range(size.e):
                        plan.output[target + column] = sums[column * lanes + halo + lane]

    return MultiTokenKernels(real, kernel(forward, f"multi-token-{of}"))
