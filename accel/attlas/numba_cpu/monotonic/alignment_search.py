"""Monotonic alignment search, on the CPU.

A task is a batch member. Frames are the steps of the recursion, letters stand side by side in vectors; as a matrix has
its frames side by side instead, some frames at a time are turned in scratch memory. Only letters that lie on any path
are looked at: at most y at frame y, and those from which the last one can still be reached. A byte per letter and
frame says whether the path came from the letter before.

Bound by: the bytes of the matrix, read once, and a comparison, an addition and a byte written for each entry. The path
is memory that the system hands out as zeros, of which only ones are written.
Differs from the reference in nothing but the rounding of the score: it compares the same numbers, and adds the score up
with what the roundings lost.
"""

import math
from typing import Any

import numpy as np

from attlas_ref.contract import PathScore

from ..attention import kernels_of
from ..blocks import fill, pack
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, lay
from ..pointers import bytes_at, moved, places_at
from ..probabilistic.sums import sums_of
from ..real import Real
from .lattice import lengths_over, paths_of

__all__ = ["monotonic_alignment_search"]

FRAMES = 64
"""How many are turned at a time."""
ENTRY = 4
"""What an entry costs, in multiply-adds."""


def build_search(real: Real) -> Any:
    """Make the kernel.

    Operands: log_prob. Results: paths, scores; how many letters and frames count, X and Y. Scratch: two rows of letters
    with a place before them; the turned frames; bytes (Y X).
    """
    zero, infinity = real.number(0), real.number(np.inf)
    open_matrix, reals, sums = opener(real), real.pointer, sums_of(real)
    continued, of = paths_of(real).continued, str(real.dtype)

    def hear(now, steps, best, fit, count):
        for x in range(count):
            moves = best[x] < best[x - 1]
            steps[x] = 1 if moves else 0
            strange = best[x - 1] != best[x - 1]
            now[x] = continued(best[x - 1] if moves | strange else best[x], fit[x])

    hear = part(hear, of)

    def search(start, stop, operands, scratch, results):
        log_prob = open_matrix(operands, 0)
        paths, scores = places_at(results[0]), reals(results[1])
        all_letters, all_frames = places_at(results[2]), places_at(results[3])
        rows, turned, steps = reals(scratch[0]), reals(scratch[1]), bytes_at(scratch[2])
        x_all, y_all = results[4], results[5]
        width = x_all + 1
        for member in range(start, stop):
            letters, frames, place = all_letters[member], all_frames[member], log_prob.places[member]
            fill(rows, 2 * width, -infinity)
            best, now = moved(rows, 1), moved(rows, width + 1)
            best[0] = zero if letters > 0 else -infinity
            for first in range(0, frames, FRAMES):
                stop_frame = min(first + FRAMES, frames)
                lowest = max(0, letters - frames + first)
                lanes = min(letters, stop_frame) - lowest
                at = place + lowest * log_prob.row + first * log_prob.column
                pack(turned, log_prob, at, lanes, lanes, stop_frame - first, zero)
                for y in range(first, stop_frame):
                    low = max(0, letters - frames + y)
                    fit = moved(turned, (y - first) * lanes + low - lowest)
                    hear(
                        moved(now, low), moved(steps, y * x_all + low), moved(best, low), fit, min(letters, y + 1) - low
                    )
                    best, now = now, best
            end = best[letters - 1]
            score, lost, x = zero, zero, letters - 1
            if end > -infinity:
                for y in range(frames - 1, -1, -1):
                    paths[(member * x_all + x) * y_all + y] = 1
                    score, lost = sums.add(score, lost, log_prob.memory[place + x * log_prob.row + y * log_prob.column])
                    x -= steps[y * x_all + x]
            scores[member] = sums.whole(score, lost) if end > -infinity or letters == 0 else end

    return kernel(search, f"alignment-search-{real.dtype}")


def monotonic_alignment_search(log_prob: Array, *, mask: Array | None, return_score: bool) -> Any:
    """See `attlas_ref.monotonic.monotonic_alignment_search`."""
    dtype, (x, y) = log_prob.dtype, log_prob.shape[-2:]
    batch = np.broadcast_shapes(log_prob.shape[:-2], () if mask is None else mask.shape[:-2])
    letters, frames = corner_of(mask, batch, x, y)
    path, score = np.zeros((*batch, x, y), dtype=np.int64), np.empty(batch, dtype=dtype)
    launch(
        kernels_of(build_search, dtype),
        score.size,
        [lay(log_prob, batch)],
        (path, score, letters, frames, x, y),
        (2 * (x + 1), min(y, FRAMES) * x, -(-x * y // dtype.itemsize)),
        dtype,
        score.size * x * y * ENTRY,
    )
    return PathScore(path, score) if return_score else path


def corner_of(mask: Array | None, batch: tuple[int, ...], x: int, y: int) -> tuple[Array, Array]:
    """How many rows and columns of each member's rectangle are seen: its first column and its first row tell."""
    if mask is None:
        return lengths_over(None, batch, x), lengths_over(None, batch, y)
    if not x or not y:
        nothing = np.zeros(math.prod(batch), dtype=np.int64)
        return nothing, nothing
    mask = mask.reshape((1,) * (2 - mask.ndim) + mask.shape)
    letters = mask[..., :, 0].sum(axis=-1) * (x if mask.shape[-2] == 1 else 1)
    frames = mask[..., 0, :].sum(axis=-1) * (y if mask.shape[-1] == 1 else 1)
    return lengths_over(letters, batch, x), lengths_over(frames, batch, y)
