"""Matching pieces of two sequences.

The best covers of i rows depend on those of fewer rows alone: row after row, all blocks that end in it are weighed at
once. Their sums run from their end to their beginning.

Bound by the host for small matrices, which begins some thirty steps for each row; else by memory traffic, some ten
times the M N (M + N) candidates. Memory: (M + N) N numbers.
Differs from the reference by rounding: means are taken from sums in another order, so that covers whose scores differ
by less may be chosen instead.
"""

import math
from typing import Any

from array_api_compat import array_namespace

from attlas_ref.contract import SegmentsScore

from .paths import continued

__all__ = ["segment_alignment"]


def segment_alignment(scores: Any, *, length_penalty: float, return_score: bool) -> Any:
    """Return the blocks of the best cover, and with `return_score` its score."""
    xp, (rows, columns) = array_namespace(scores), scores.shape
    best = xp.zeros((rows + 1, columns + 1), dtype=scores.dtype) - math.inf
    best[0, 0] = 0
    chosen = xp.zeros((rows, columns), dtype="int64")  # k, or the number of rows above and k
    begins, ends = xp.arange(columns)[:, None], xp.arange(columns)
    wide = ends - begins + 1  # (k, j): how many columns a block has, if it has any
    inside = wide >= 1
    for i in range(1, rows + 1):
        tall = i - xp.arange(i)[:, None]  # (k, 1)
        sums = xp.cumsum(scores[:i][::-1], axis=0)[::-1]  # (k, j): down to row i - 1
        upright = _worth(xp, sums, tall, length_penalty, rows, best[:i, :-1])
        # From the right: entry (k, j) is the sum of columns j, j - 1, ..., k.
        line = xp.where(inside, scores[i - 1, :, None], 0)
        line = xp.cumsum(line[::-1], axis=0)[::-1]
        level = _worth(xp, line, xp.maximum(wide, 1), length_penalty, columns, best[i - 1, :-1, None])
        candidates = xp.concatenate([upright, xp.where(inside, level, -math.inf)], axis=0)
        choice = candidates.argmax(axis=0)[None]  # the first of equal ones, and a NaN before all
        best[i, 1:] = xp.take_along_axis(candidates, choice, axis=0)[0]
        chosen[i - 1] = choice[0]
    end = best[rows, columns]
    blocks, count = _followed_back(xp, chosen, end > -math.inf)
    blocks = blocks[blocks.shape[0] - int(float(count)) :]
    return SegmentsScore(blocks, end) if return_score else blocks


def _worth(xp: Any, sums: Any, lengths: Any, length_penalty: float, size: int, before: Any) -> Any:
    """Return what covers score that end in a block: its mean, less its price, and what came before."""
    price = (length_penalty * lengths / size).astype(sums.dtype)
    return continued(xp, before, sums / lengths.astype(sums.dtype) - price)


def _followed_back(xp: Any, chosen: Any, possible: Any) -> tuple[Any, Any]:
    """Return blocks, (room, 4), of which the last ones count, and how many these are."""
    rows, columns = chosen.shape
    room = min(rows, columns)
    blocks = xp.zeros((room, 4), dtype="int64")
    i, j = (xp.zeros((1,), dtype="int64") + size for size in (rows, columns))
    count = xp.zeros((1,), dtype="int64")
    for place in range(room - 1, -1, -1):
        going_on = possible & (i > 0)
        k = chosen[i - 1, j - 1]
        upright = k < i
        top, left = xp.where(upright, k, i - 1), xp.where(upright, j - 1, k - i)
        blocks[place] = xp.concatenate([top, i, left, j])
        count = count + going_on.astype("int64")
        i, j = xp.where(going_on, top, i), xp.where(going_on, left, j)
    return blocks, count.sum()
