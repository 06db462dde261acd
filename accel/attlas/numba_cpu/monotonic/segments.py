"""Matching pieces of two sequences, on the CPU.

One task. The best covers of i rows depend on those of fewer rows alone, so that the columns of a row are computed side
by side, in vectors: first the blocks of one column, from the shortest to the longest, whose means are running sums;
then those of one row.

Bound by: M N (M + N) / 2 candidates, each a division, an addition and a comparison.
Differs from the reference by rounding: means are taken from sums in another order, so that covers whose scores differ
by less may be chosen instead.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import SegmentsScore

from ..attention import kernels_of
from ..blocks import fill
from ..compile import kernel, part
from ..launch import launch
from ..operands import Array
from ..pointers import moved, places_at
from ..probabilistic.sums import sums_of
from ..real import Real
from .lattice import paths_of

__all__ = ["segment_alignment"]

CANDIDATE = 16
"""What a candidate costs, in multiply-adds."""


def build_segments(real: Real) -> Any:
    """Make the kernel.

    Results: the scores (M, N), prices of blocks of one column and of one row by length, segments with room for as many
    as the shorter side, how many there are, the score; M, N. Scratch: F and the chosen lengths, (M + 1, N + 1) each;
    running sums, the best of blocks of one row and their lengths, N each.
    """
    zero, infinity, number = real.number(0), real.number(np.inf), real.number
    reals, sums = real.pointer, sums_of(real)
    continued, of = paths_of(real).continued, str(real.dtype)

    def grow(running, line, count):
        for j in range(count):
            running[j] += line[j]

    grow = part(grow, of)

    def choose(best, chosen, before, running, length, price, count):
        """Of equals take the longer block, which comes later; a NaN is never given up for a number."""
        for j in range(count):
            x = continued(before[j], running[j] / length - price)
            taken = (x >= best[j]) | (x != x)
            best[j] = x if taken else best[j]
            chosen[j] = length if taken else chosen[j]

    choose = part(choose, of)

    def compare(best, chosen, others, their_lengths, count):
        for j in range(count):
            taken = sums.better(others[j], best[j])
            best[j] = others[j] if taken else best[j]
            chosen[j] = -their_lengths[j] if taken else chosen[j]

    compare = part(compare, of)

    def segments(start, stop, operands, scratch, results):
        scores, column_prices, row_prices = reals(results[0]), reals(results[1]), reals(results[2])
        blocks, count, score = places_at(results[3]), places_at(results[4]), reals(results[5])
        rows, columns = results[6], results[7]
        total, lengths, running = reals(scratch[0]), reals(scratch[1]), reals(scratch[2])
        others, their_lengths = reals(scratch[3]), reals(scratch[4])
        width = columns + 1
        fill(total, (rows + 1) * width, -infinity)
        total[0] = zero
        for i in range(1, rows + 1):
            best, chosen = moved(total, i * width + 1), moved(lengths, i * width + 1)
            fill(running, columns, zero)
            for length in range(1, i + 1):
                k = i - length
                grow(running, moved(scores, k * columns), columns)
                before = moved(total, k * width)
                choose(best, chosen, before, running, number(length), column_prices[length - 1], columns)
            fill(running, columns, zero)
            fill(others, columns, -infinity)
            before, line = moved(total, (i - 1) * width), moved(scores, (i - 1) * columns)
            for length in range(1, columns + 1):
                left, skipped = columns - length + 1, length - 1
                grow(moved(running, skipped), line, left)
                choose(
                    moved(others, skipped),
                    moved(their_lengths, skipped),
                    before,
                    moved(running, skipped),
                    number(length),
                    row_prices[skipped],
                    left,
                )
            compare(best, chosen, others, their_lengths, columns)
        i, j, place = rows, columns, min(rows, columns)
        end = total[rows * width + columns]
        while end > -infinity and i > 0:
            length, place = int(lengths[i * width + j]), place - 1
            block = moved(blocks, 4 * place)
            block[1], block[3] = i, j
            if length > 0:
                i, j = i - length, j - 1
            else:
                i, j = i - 1, j + length
            block[0], block[2] = i, j
        count[0] = min(rows, columns) - place
        score[0] = end

    return kernel(segments, f"segments-{real.dtype}")


def segment_alignment(scores: Array, *, length_penalty: float, return_score: bool) -> Any:
    """See `attlas_ref.monotonic.segment_alignment`."""
    dtype, (rows, columns) = scores.dtype, scores.shape
    column_prices, row_prices = (
        (length_penalty * np.arange(1, size + 1) / size).astype(dtype) for size in (rows, columns)
    )
    room = min(rows, columns)
    blocks, count, score = np.empty((room, 4), dtype=np.int64), np.empty(1, dtype=np.int64), np.empty((), dtype=dtype)
    table = (rows + 1) * (columns + 1)
    launch(
        kernels_of(build_segments, dtype),
        1,
        [],
        (np.ascontiguousarray(scores), column_prices, row_prices, blocks, count, score, rows, columns),
        (table, table, columns, columns, columns),
        dtype,
        0,
    )
    blocks = blocks[room - int(count[0]) :]
    return SegmentsScore(blocks, score) if return_score else blocks
