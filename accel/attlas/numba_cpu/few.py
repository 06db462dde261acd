"""A few queries over many keys: the softmax where lanes of queries would stand empty.

Decoding asks one query at a time. The tile of `tile` fills a vector with queries, so it would multiply fifteen empty
lanes for each one; here a vector runs along the width of a row instead.

Bound by: memory traffic. Each key and value is read once, 4 (d + e) bytes a key in single precision, for a handful of
operations; keys are cut into chunks so that all threads read. The chunks follow from the shapes alone, and their
partial results (maximum, total, sums) are merged in order.
Differs from the reference by rounding; a dot product is summed in vectors.
"""

from functools import cache
from typing import Any

import numpy as np

from .blocks import fill, see
from .compile import kernel, part
from .operands import Array, Problem, over_tasks
from .pointers import Sizes
from .real import Real
from .tile import Score

FEW = 4
"""Up to so many queries: beyond, the tile is faster."""

KEYS_PER_CHUNK = 1024


def suits(problem: Problem) -> bool:
    """Whether a call has few enough queries, over rows that lie in one piece."""
    size, rows = problem.size, (problem.matrices["key"], problem.matrices["value"], problem.matrices["query"])
    widths = (size.d, size.e, size.d)
    in_one_piece = all(laid.column == 1 or width <= 1 for laid, width in zip(rows, widths, strict=True))
    return size.m <= FEW and size.order == 1 and in_one_piece and problem.late_bias is None


@cache
def dot_of_rows(real: Real) -> Any:
    """Return dot(x, x_at, y, y_at, width), of two rows that lie in one piece each."""
    zero = real.number(0)

    def dot(x, x_at, y, y_at, width):
        total = zero
        for c in range(width):
            total += x[x_at + c] * y[y_at + c]
        return total

    return part(dot, of=f"rows, {real.dtype}", reassociate=True)


def build_few(name: str, real: Real, score: Score) -> Any:
    """Make the kernel of one score. Results: sums (batch, chunks, m, e), maximum and total (batch, chunks, m); then the
    number of keys in a chunk."""
    zero, infinity, exp = real.number(0), real.number(np.inf), real.exp
    of = f"{score.__qualname__}, {real.dtype}"
    apply = part(score, of=f"few, {of}", inline=True)
    open_operands, open_scratch, reals = real.open_operands, real.open_scratch, real.pointer

    def add(sums, at, y, y_at, y_row, weights, visible, rows, width):
        row = 0
        while row + 4 <= rows:  # four at a time: the sums are read and written once for all of them
            if visible[row] and visible[row + 1] and visible[row + 2] and visible[row + 3]:
                a = y_at + row * y_row
                b, c, d = a + y_row, a + 2 * y_row, a + 3 * y_row
                first, second, third, fourth = weights[row], weights[row + 1], weights[row + 2], weights[row + 3]
                for i in range(width):
                    sums[at + i] += (first * y[a + i] + second * y[b + i]) + (third * y[c + i] + fourth * y[d + i])
            else:
                for r in range(row, row + 4):
                    if visible[r]:
                        for i in range(width):
                            sums[at + i] += weights[r] * y[y_at + r * y_row + i]
            row += 4
        for r in range(row, rows):
            if visible[r]:
                for i in range(width):
                    sums[at + i] += weights[r] * y[y_at + r * y_row + i]

    dot, add = dot_of_rows(real), part(add, of=of)

    def few(start, stop, operands_table, scratch_table, results):
        operands, scratch = open_operands(operands_table), open_scratch(scratch_table)
        sums, maxima, totals = reals(results[0]), reals(results[1]), reals(results[2])
        size, query, key, value, bias = operands.size, operands.query, operands.key, operands.value, operands.bias
        line, visible = scratch.scores, scratch.visible
        chunk_keys = results[3]
        chunks = (size.n + chunk_keys - 1) // chunk_keys
        for task in range(start, stop):
            member, chunk = task // chunks, task % chunks
            for i in range(size.m):
                place = task * size.m + i
                at = place * size.e
                maximum, total = -infinity, zero
                for c in range(size.e):
                    sums[at + c] = zero
                end = min(size.n, (chunk + 1) * chunk_keys, i + size.diagonal + 1)
                for row in range(chunk * chunk_keys, end, size.keys):
                    rows = min(size.keys, end - row)
                    if size.has_mask:
                        seen = operands.mask.places[member] + i * operands.mask.row + row * operands.mask.column
                        if see(visible, operands, seen, rows, 1, 1, 0, True) == rows:
                            continue
                    else:
                        fill(visible, rows, 1)
                    before = maximum
                    for r in range(rows):
                        product = dot(
                            query.memory, query.places[member] + i * query.row, key.memory,
                            key.places[member] + (row + r) * key.row, size.d,
                        )  # fmt: skip
                        added = zero
                        if size.has_bias:
                            added = bias.memory[bias.places[member] + i * bias.row + (row + r) * bias.column]
                        number = apply(product, zero, zero, added, operands.parameters) if visible[r] else -infinity
                        line[r] = number
                        # A NaN is taken, and kept: nothing is larger than it.
                        maximum = number if (number > maximum) | (number != number) else maximum
                    shift = zero if maximum == -infinity else maximum
                    rescale = exp(before - shift)
                    for r in range(rows):
                        line[r] = exp(line[r] - shift)
                    block = zero
                    for r in range(rows):
                        block += line[r]
                    total = total * rescale + block
                    for c in range(size.e):
                        sums[at + c] *= rescale
                    start_of_values = value.places[member] + row * value.row
                    add(sums, at, value.memory, start_of_values, value.row, line, visible, rows, size.e)
                maxima[place] = maximum
                totals[place] = total

    return kernel(few, f"{name}-few-{real.dtype}")


def run_few(problem: Problem, kernel: Any) -> tuple[Array, Array, Array]:
    """Return output (..., m, e), maximum and total (..., m)."""
    size: Sizes = problem.size
    chunks = -(-size.n // KEYS_PER_CHUNK)
    sums = problem.new(chunks, size.m, size.e)
    maxima, totals = problem.new(chunks, size.m), problem.new(chunks, size.m)
    over_tasks(problem, kernel, problem.members * chunks, sums, maxima, totals, numbers=(KEYS_PER_CHUNK,))
    maximum = maxima.max(axis=-2, initial=-np.inf)
    shift = np.where(maximum == -np.inf, 0, maximum)
    rescale = np.exp(maxima - shift[..., None, :])
    total = (totals * rescale).sum(axis=-2)
    output = (sums * rescale[..., None]).sum(axis=-3)
    if size.divide:
        output /= np.where(total == 0, 1, total)[..., None]
    return output, maximum, total
