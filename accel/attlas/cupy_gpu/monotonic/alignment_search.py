"""Monotonic alignment search.

All letters of all members are computed at once, frame after frame, and followed back frame after frame.

Bound by the host, which begins some fifteen small steps for each frame, as long as members and letters are few; else by
memory traffic, some ten times the matrix. Memory beside the path: a byte for each of its entries.
Differs from the reference in nothing but the rounding of the score: it adds and compares the same numbers.
"""

import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import PathScore

from .paths import continued

__all__ = ["monotonic_alignment_search"]


def monotonic_alignment_search(log_prob: Any, *, mask: Any, return_score: bool) -> Any:
    """Return the best path, and with `return_score` its score."""
    xp, (letters, frames) = array_namespace(log_prob), log_prob.shape[-2:]
    batch = np.broadcast_shapes(log_prob.shape[:-2], () if mask is None else mask.shape[:-2])
    log_prob, x = xp.broadcast_to(log_prob, (*batch, letters, frames)), xp.arange(letters)
    length, heard = _corner(xp, mask, letters, frames)

    best = xp.zeros((*batch, letters), dtype=log_prob.dtype) - math.inf
    best[..., :1] = 0
    nothing = xp.zeros((*batch, 1), dtype=log_prob.dtype) - math.inf
    steps = xp.zeros((*batch, frames, letters), dtype="bool")
    for y in range(frames):
        arrival = best
        if y:
            before = xp.concatenate([nothing, best], axis=-1)[..., :-1]
            steps[..., y, :] = best < before
            arrival = xp.maximum(best, before)
        best = xp.where(heard > y, continued(xp, arrival, log_prob[..., y]), best)

    ending = xp.concatenate([nothing, xp.where(x == length - 1, best, -math.inf)], axis=-1)
    end = ending.max(axis=-1, keepdims=True)  # (..., 1)
    path, row = xp.zeros(log_prob.shape, dtype="int64"), length - 1
    for y in range(frames - 1, -1, -1):
        here = (x == row) & (heard > y)
        path[..., y] = here & (end > -math.inf)
        row = row - (here & steps[..., y, :]).any(axis=-1, keepdims=True).astype("int64")
    if not return_score:
        return path
    total = xp.where(path == 1, log_prob, 0).sum(axis=-1).sum(axis=-1)
    possible = (end > -math.inf) | (length == 0)
    return PathScore(path, xp.where(possible, total[..., None], end)[..., 0])


def _corner(xp: Any, mask: Any, letters: int, frames: int) -> tuple[Any, Any]:
    """Return how many letters and frames count, (..., 1) each: the first column and row of a rectangle tell."""
    none = xp.zeros((1,), dtype="int64")
    if mask is None:
        return none + letters, none + frames
    if not letters or not frames:
        return none, none
    mask = mask.reshape((1,) * (2 - mask.ndim) + mask.shape)
    return _count(mask[..., :, 0], letters), _count(mask[..., 0, :], frames)


def _count(line: Any, size: int) -> Any:
    """Return how many entries of a line are True, (..., 1); a single one stands for all."""
    return line.astype("int64").sum(axis=-1, keepdims=True) * (size if line.shape[-1] == 1 else 1)
