"""Monotonic alignment search, on Numba-CUDA.

A warp, or a block where there are many letters, has a batch member: threads side by side take letters, frame after
frame. At the end one thread follows the path back.

Bound by: the Y frames of a member, one after the other, and Y reads one after the other on the way back, until there
are enough members to fill a GPU; then by the path, which is written twice. Neighbors read rows of the matrix; a line of
memory serves them for many frames.
Differs from the reference in nothing but the rounding of the score: it compares the same numbers.
"""

import functools
import math
from typing import Any

import numpy as np

from attlas_ref.contract import PathScore

from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP, entry
from ..probabilistic.sums import added, build_whole
from ..probabilistic.teams import Team, build_seat, build_wait, in_turns, most_at_once
from ..rules import Real
from ..target import allocate, device, kernel, launch, shaped
from .lattice import build_continued, team_of

__all__ = ["monotonic_alignment_search"]

LOG_PROB, VISIBLE = range(2)
"""The rows of the table of operands."""


@device
def seen_along(mask, layout, batch, step, count):
    """How many entries along an edge of a rectangle are seen. The place is looked for by halves."""
    start = layout[VISIBLE, FIRST_MEMBER + batch]
    low = 0
    high = count
    while low < high:
        middle = (low + high) // 2
        if mask[start + middle * step]:
            low = middle + 1
        else:
            high = middle
    return low


@functools.cache
def build_search(team: Team, real: Real) -> Any:
    """Build the kernel; a member has two rows of `field`, and a flag `went_on` for each letter and frame."""
    seat, wait, whole = build_seat(team), build_wait(team), build_whole(real)
    continued, across, threads = build_continued(real), team.across, team.count
    zero, lowest = real(0), real(-math.inf)

    def alignment_search(
        first, block_count, first_member, problems, x_all, y_all, log_prob, mask, layout, field, went_on, path,
        log_partition,
    ):  # fmt: skip
        local, column, row = seat(first)
        if local >= problems:
            return
        thread = row * across + column
        batch = first_member + local
        letters = seen_along(mask, layout, batch, layout[VISIBLE, ROW_STEP], x_all)
        frames = seen_along(mask, layout, batch, layout[VISIBLE, COLUMN_STEP], y_all)
        if letters == 0 or frames == 0:
            letters = 0
            frames = 0
        at = local * 2 * x_all
        moves_at = local * x_all * y_all
        path_at = batch * x_all * y_all
        for x in range(thread, x_all, threads):
            field[at + x] = zero if x == 0 and letters > 0 else lowest
        for place in range(thread, x_all * y_all, threads):
            path[path_at + place] = 0
        wait()
        for y in range(frames):
            before = at + y % 2 * x_all
            now = at + (y + 1) % 2 * x_all
            for x in range(thread, letters, threads):
                best = field[before + x]
                left = field[before + x - 1] if x > 0 and y > 0 else lowest
                moved = best < left
                if moved or left != left:
                    best = left
                went_on[moves_at + y * x_all + x] = moved
                field[now + x] = continued(best, entry(log_prob, layout, LOG_PROB, batch, x, y))
            wait()
        if thread == 0:
            end = field[at + frames % 2 * x_all + letters - 1] if letters > 0 else lowest
            score = zero
            lost = zero
            if end > lowest:
                x = letters - 1
                for y in range(frames - 1, -1, -1):
                    path[path_at + x * y_all + y] = 1
                    score, lost = added(score, lost, entry(log_prob, layout, LOG_PROB, batch, x, y))
                    if went_on[moves_at + y * x_all + x]:
                        x -= 1
            log_partition[batch] = whole(score, lost) if end > lowest or letters == 0 else end

    return kernel(alignment_search)


def monotonic_alignment_search(log_prob: Any, *, mask: Any, return_score: bool) -> Any:
    """Compute `attlas_ref.monotonic_alignment_search`."""
    visible = np.ones((1, 1), bool) if mask is None else mask
    batch, dtype = leading_axes(log_prob, visible), dtype_of(log_prob)
    x, y = shape_of(log_prob)[-2:]
    (memory, visible), layout = lay_out([log_prob, visible], batch)
    members, team, numbers = math.prod(batch), team_of(x), (y + 2) * x
    real: Any = dtype.type
    at_once = most_at_once(members, numbers)
    field, went_on = allocate((at_once, 2, x), dtype), allocate((at_once, x, y), np.dtype(np.bool_))
    path, log_partition = allocate((*batch, x, y), np.dtype(np.int64)), allocate(batch, dtype)
    for first, count in in_turns(members, numbers):
        launch(
            build_search(team, real), team.blocks(count), team.block.threads,
            first, count, x, y, memory, visible, layout, field, went_on, path, log_partition,
        )  # fmt: skip
    found = shaped(path, (*batch, x, y))
    return PathScore(found, shaped(log_partition, batch)) if return_score else found
