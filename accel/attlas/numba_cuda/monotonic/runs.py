"""Softmax over a run of neighboring keys, a run of its own for each query, on Numba-CUDA.

A block of threads has a query. It takes the keys of its run as many at a time as it has threads: each thread scores
one, the block agrees on their maximum and sum, and then each thread adds up columns of the values, so that neighbors
read neighboring numbers. No other key is read, whatever n is.

Bound by bytes: each query reads w (d + e) numbers, most of them from the second-level cache where runs overlap; for
scores with hidden units by operations, about twenty for each hyperbolic tangent. Memory beside the result is a number
per thread.
Results differ from the reference by rounding only.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..pieces import BIAS, COLUMN_STEP, FIRST_MEMBER, GRAD, KEY, MASK, QUERY, ROW_STEP, VALUE, entry, larger
from ..probabilistic.teams import CROWD, WARP, Team, build_agree
from ..rows import plus
from ..rules import Real
from ..target import allocate, cuda, device, kernel, launch, shaped
from ..views import as_row

PLACE, UNITS = GRAD, 6
"""The rows of the table of operands where queries have their places, and hidden units their factors."""

LONG = 64
"""Keys of a run from which on more threads share it."""


FAR = 2.0**60
"""Beyond all keys, and yet far from overflow."""


@device
def nearest(x):
    """Return the whole number next to a float64, of two the even one; what is far beyond all keys stays so."""
    x = min(max(x, -FAR), FAR)
    low = np.int64(math.floor(x))
    rest = x - np.float64(low)
    return low + 1 if rest > 0.5 or (rest == 0.5 and low % 2 != 0) else low


@device
def within(place, n):
    """Return a whole number as one from 0 to n."""
    return min(max(place, 0), n)


@functools.cache
def build_runs(team: Team, real: Real, bent: bool) -> Any:
    """Build the kernel; `bent`: scores are u · tanh(q + k) in place of dot products.

    A run goes from `before` keys before a place to `after` behind it, or with `shared` from behind the place of the
    query before; no end is smaller than 0 or larger than n. With `bell` the weights are multiplied by a bell of the
    width `first_number` about the place.
    """
    highest, summed = build_agree(team, real, larger), build_agree(team, real, plus)
    threads, across, board_shape = team.count, team.across, team.board
    zero, one, two, lowest = real(0), real(1), real(2), real(-math.inf)

    def runs(
        first, block_count, m, n, d, e, before, after, shared, bell, shows, scale, first_number,
        query, key, value, points, mask, bias, extra, layout, output, band,
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        shares = cuda.shared.array(threads, real)
        seen = cuda.shared.array(threads, real)
        task = first + cuda.blockIdx.x
        if task >= block_count:
            return
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        batch = task // m
        i = task % m
        # In float64, which holds the places of more keys than float32 does.
        place = np.float64(entry(points, layout, PLACE, batch, i, 0))
        center = real(place)
        spoiled = place != place  # what is no number has no run: it is let through to all keys
        start = 0
        stop = n
        if shared:
            stop = within(nearest(place) + 1, n)
            if i > 0:
                start = within(nearest(np.float64(entry(points, layout, PLACE, batch, i - 1, 0))) + 1, n)
        elif not spoiled:
            start = within(nearest(place) - before, n)
            stop = within(nearest(place) + after + 1, n)
        query_at = layout[QUERY, FIRST_MEMBER + batch] + i * layout[QUERY, ROW_STEP]
        key_at = layout[KEY, FIRST_MEMBER + batch]
        value_at = layout[VALUE, FIRST_MEMBER + batch]
        for c in range(t, e, threads):
            output[task * e + c] = zero
        if shows:
            for j in range(t, n, threads):
                if j < start or j >= stop:
                    band[task * n + j] = zero
        top = lowest
        total = zero
        for corner in range(start, stop, threads):
            j = corner + t
            visible = False
            score = lowest
            if j < stop:
                visible = entry(mask, layout, MASK, batch, i, j)
            if visible:
                score = zero
                other = key_at + j * layout[KEY, ROW_STEP]
                for c in range(d):
                    x = query[query_at + c * layout[QUERY, COLUMN_STEP]]
                    y = key[other + c * layout[KEY, COLUMN_STEP]]
                    if bent:
                        score += extra[layout[UNITS, FIRST_MEMBER + batch] + c * layout[UNITS, COLUMN_STEP]] * real(
                            math.tanh(x + y)
                        )
                    else:
                        score += x * y
                score = score * scale + real(entry(bias, layout, BIAS, batch, i, j))
                if spoiled:
                    score = real(math.nan)
            if shows and j < stop:
                band[task * n + j] = score
            highest_here = larger(top, highest(board, score))
            shift = zero if highest_here == lowest else highest_here
            rescale = real(math.exp(top - shift))
            weight = real(math.exp(score - shift)) if visible else zero
            total = rescale * total + summed(board, weight)
            top = highest_here
            if bell:
                distance = (real(j) - center) / first_number
                weight *= real(math.exp(-(distance * distance) / two))
            shares[t] = weight
            seen[t] = one if visible else zero
            cuda.syncthreads()  # until all weights are known
            for c in range(t, e, threads):
                number = rescale * output[task * e + c]
                for s in range(min(threads, stop - corner)):
                    # Selected, not multiplied by 0: what is hidden may be no number.
                    if seen[s] != zero:
                        there = value_at + (corner + s) * layout[VALUE, ROW_STEP] + c * layout[VALUE, COLUMN_STEP]
                        number += shares[s] * value[there]
                output[task * e + c] = number
            cuda.syncthreads()  # until all have read them
        divisor = one if total == zero else total
        for c in range(t, e, threads):
            output[task * e + c] /= divisor
        if shows:
            shift = zero if top == lowest else top
            for j in range(start + t, stop, threads):
                weight = zero
                if entry(mask, layout, MASK, batch, i, j):
                    weight = real(math.exp(band[task * n + j] - shift)) / divisor
                    if bell:
                        distance = (real(j) - center) / first_number
                        weight *= real(math.exp(-(distance * distance) / two))
                band[task * n + j] = weight

    return kernel(runs)


@dataclass(frozen=True)
class Run:
    """How a call attends."""

    places: Any
    """(..., m, 1)."""
    before: int = 0
    after: int = 0
    shared: bool = False
    """Whether the places are the last keys of segments."""
    scale: float = 1.0
    mask: Any = None
    bias: Any = None
    units: Any = None
    """(a,)"""
    width: float | None = None
    """Of the bell."""


def attend_runs(query: Any, key: Any, value: Any, run: Run, return_weights: bool) -> Any:
    """Attend to the keys of each query's run."""
    own = leading_axes(query, key, run.places, run.mask, run.bias)
    batch = np.broadcast_shapes(own, shape_of(value)[:-2])
    together = own == batch
    output, weights = _run(query, key, value, run, batch, return_weights and together)
    if not return_weights:
        return output
    if not together:  # values have leading axes of their own: the weights are computed without them
        nothing = np.zeros((shape_of(key)[-2], 0), dtype_of(query))
        _, weights = _run(query, key, nothing, run, own, True)
    return AttentionResult(output, weights)


def _run(query: Any, key: Any, value: Any, run: Run, batch: tuple[int, ...], shows: bool) -> tuple[Any, Any]:
    dtype, (m, d), (n, e) = dtype_of(query), shape_of(query)[-2:], shape_of(value)[-2:]
    real: Any = dtype.type
    nothing = np.zeros((1, 1), dtype)
    given = [
        query,
        key,
        value,
        run.places,
        np.ones((1, 1), bool) if run.mask is None else run.mask,
        nothing if run.bias is None else run.bias,
        nothing if run.units is None else as_row(run.units),
    ]
    memories, layout = lay_out(given, batch)
    reach = n // max(1, m) if run.shared else run.before + run.after
    team = WARP if min(reach, n) < LONG else CROWD
    output = allocate((*batch, m, e), dtype)
    weights = allocate((*batch, m, n) if shows else (1,), dtype)
    launch(
        build_runs(team, real, run.units is not None), math.prod(batch) * m, team.block.threads,
        m, n, d, e, run.before, run.after, int(run.shared), int(run.width is not None), int(shows),
        real(run.scale), real(1 if run.width is None else run.width), *memories, layout, output, weights,
    )  # fmt: skip
    return shaped(output, (*batch, m, e)), shaped(weights, (*batch, m, n)) if shows else None
