"""Matching pieces of two sequences, on Numba-CUDA.

The best covers of i rows depend on those of fewer rows alone: a launch for each row, and in it a thread for each
column, which weighs all blocks that end there. Then one thread follows the cover back, once to count its blocks and
once to write them.

Bound by: M launches of M + N candidates one after the other, until there are enough columns to fill a GPU. Blocks of
one column are read by neighbors side by side; those of one row are read by all from the same lines.
Differs from the reference by rounding: means are taken from sums in another order, so that covers whose scores differ
by less may be chosen instead.
"""

import functools
import math
from typing import Any

import numpy as np

from attlas_ref.contract import SegmentsScore

from ..operands import dtype_of, lay_out, shape_of
from ..pieces import entry
from ..probabilistic.sums import better
from ..probabilistic.teams import LONERS, Team, build_seat
from ..rules import Real
from ..target import allocate, kernel, launch, shaped, upload
from .lattice import build_continued

__all__ = ["segment_alignment"]

SCORES = 0
"""The row of the table of operands."""


@functools.cache
def build_cover(team: Team, real: Real) -> Any:
    """Build the kernel of row i of F, in `field`, and of the lengths of the last blocks, in `pointers`.

    Lengths are negative for blocks of one row.
    """
    seat, continued = build_seat(team), build_continued(real)
    zero, lowest = real(0), real(-math.inf)

    def cover_row(first, block_count, i, rows, columns, scores, layout, column_prices, row_prices, field, pointers):
        local, _, _ = seat(first)
        if local >= columns:
            return
        j = local + 1
        width = columns + 1
        best = lowest
        chosen = 0
        total = zero
        for length in range(1, i + 1):
            total += entry(scores, layout, SCORES, 0, i - length, j - 1)
            worth = total / real(length) - column_prices[length - 1]
            candidate = continued(field[(i - length) * width + j - 1], worth)
            if candidate >= best or candidate != candidate:  # of equals the longer block
                best = candidate
                chosen = length
        other = lowest
        total = zero
        length_of_other = 0
        for length in range(1, j + 1):
            total += entry(scores, layout, SCORES, 0, i - 1, j - length)
            worth = total / real(length) - row_prices[length - 1]
            candidate = continued(field[(i - 1) * width + j - length], worth)
            if candidate >= other or candidate != candidate:
                other = candidate
                length_of_other = length
        if better(other, best):
            best = other
            chosen = -length_of_other
        field[i * width + j] = best
        pointers[i * width + j] = chosen

    return kernel(cover_row)


@functools.cache
def build_follow(team: Team, real: Real) -> Any:
    """Build the kernel that follows a cover back; with a `count` of at least 0 it writes the blocks into `path`."""
    seat, lowest = build_seat(team), real(-math.inf)

    def follow_cover(first, block_count, rows, columns, count, field, pointers, counts, path, log_partition):
        local, _, _ = seat(first)
        if local > 0:
            return
        width = columns + 1
        i = rows
        j = columns
        place = count
        found = 0
        end = field[rows * width + columns]
        while end > lowest and i > 0:
            length = pointers[i * width + j]
            place -= 1
            found += 1
            last_row = i
            last_column = j
            if length > 0:
                i -= length
                j -= 1
            else:
                i -= 1
                j += length
            if count >= 0:
                path[4 * place] = i
                path[4 * place + 1] = last_row
                path[4 * place + 2] = j
                path[4 * place + 3] = last_column
        counts[0] = found
        log_partition[0] = end

    return kernel(follow_cover)


def segment_alignment(scores: Any, *, length_penalty: float, return_score: bool) -> Any:
    """Compute `attlas_ref.segment_alignment`."""
    (rows, columns), dtype, team, integers = shape_of(scores), dtype_of(scores), LONERS, np.dtype(np.int64)
    real: Any = dtype.type
    column_prices, row_prices = (
        upload((length_penalty * np.arange(1, size + 1) / size).astype(dtype)) for size in (rows, columns)
    )
    (memory,), layout = lay_out([scores], ())
    start = np.full((rows + 1) * (columns + 1), -math.inf, dtype=dtype)
    start[0] = 0
    field, pointers = upload(start), allocate((rows + 1, columns + 1), integers)
    for i in range(1, rows + 1):
        launch(
            build_cover(team, real), team.blocks(columns), team.block.threads,
            i, rows, columns, memory, layout, column_prices, row_prices, field, pointers,
        )  # fmt: skip
    counts, path, log_partition = allocate((1,), integers), allocate((1,), integers), allocate((), dtype)
    follow, alone = build_follow(team, real), team.block.threads
    launch(follow, 1, alone, rows, columns, -1, field, pointers, counts, path, log_partition)
    count = int(counts.copy_to_host()[0])
    path = allocate((count, 4), integers)
    launch(follow, 1, alone, rows, columns, count, field, pointers, counts, path, log_partition)
    blocks = shaped(path, (count, 4))
    return SegmentsScore(blocks, shaped(log_partition, ())) if return_score else blocks
