"""A pointer that only moves forward, as it is used, and one that stays or moves to the next key; on Numba-CUDA.

A block of threads has a member. Looking for a stop, its threads inspect neighboring keys from the last stop on, some at
a time, and agree on the first that is good; the row is then written by all of them. The stepwise pointer needs the row
before, of which neighbors have written a part, and nothing of its own row.

Bound by the m rows of a member, each three barriers and a read from memory, until there are several members for each
multiprocessor; then by the bytes of the result.
Stops differ from the reference in nothing, the stepwise pointer by rounding.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from attlas_ref.contract import HardAlignment

from ..pieces import COLUMN_STEP, FIRST_MEMBER, entry, larger
from ..rows import RowBlock, build_combine, default_row_block
from ..rules import Real
from ..target import allocate, cuda, device, device_using_cuda, kernel, launch, shaped
from .scans import CHANCE, OTHER, START, Pairs, seen


@device
def reaches(chance, bound):
    return chance >= bound


@device
def is_below(chance, bound):
    return bound < chance


@functools.cache
def build_earliest(block: RowBlock) -> Callable[..., Any]:
    """Build earliest(places, j): the smallest number of all threads; `places`, (down, across + 1), is shared memory."""
    across, down = block.across, block.down

    @device_using_cuda
    def earliest(places, j):
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        places[y, x] = j
        cuda.syncthreads()
        if x == 0:
            for k in range(1, across):
                j = min(j, places[y, k])
            places[y, across] = j
        cuda.syncthreads()
        j = places[0, across]
        for k in range(1, down):
            j = min(j, places[k, across])
        cuda.syncthreads()  # until all have read
        return j

    return earliest


@functools.cache
def build_stops(block: RowBlock, real: Real, good: Callable[..., Any]) -> Any:
    """Build the kernel; good(p, bound) says where the pointer stops, `scores` holds the bounds, `taken` gets the stops.

    `given`: whether there is a start to look at. `stays`: whether a pointer that finds nothing takes the last key.
    """
    earliest, combine = build_earliest(block), build_combine(block, larger, larger, larger)
    count, across = block.count, block.across
    places_shape, board_shape = (block.down, block.across + 1), (3, block.down, block.across + 1)
    zero, one, nan = real(0), real(1), real(math.nan)

    def stops(
        first, block_count, m, n, given, stays, mask, source, before_sums, scores, layout, taken, output
    ):  # fmt: skip
        places = cuda.shared.array(places_shape, np.int64)
        board = cuda.shared.array(board_shape, real)
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        batch = first + cuda.blockIdx.x
        if batch >= block_count:
            return
        at = 0
        if given and n > 0:
            start, step = layout[START, FIRST_MEMBER + batch], layout[START, COLUMN_STEP]
            most = zero
            for j in range(t, n, count):
                most = larger(most, before_sums[start + j * step])
            most, _, _ = combine(board, most, zero, zero)
            at = n
            for j in range(t, n, count):
                if at == n and most > zero and before_sums[start + j * step] == most:
                    at = j
            at = earliest(places, at)
        lost = False
        for i in range(m):
            base = at
            at = n
            while base < n and at == n:
                j = base + t
                own = n
                if j < n and seen(mask, layout, batch, i, j):
                    chance = entry(source, layout, CHANCE, batch, i, j)
                    if chance != chance or good(chance, entry(scores, layout, OTHER, batch, i, j)):
                        own = j
                at = earliest(places, own)
                base += count
            if at < n:
                chance = entry(source, layout, CHANCE, batch, i, at)
                lost = lost or chance != chance
            elif stays:
                behind = n
                for j in range(t, n, count):
                    if seen(mask, layout, batch, i, j):
                        behind = n - 1 - j
                behind = earliest(places, behind)
                at = n if behind == n else n - 1 - behind
            row = batch * m + i
            if t == 0:
                taken[row] = at
            for j in range(t, n, count):
                weight = one if j == at else zero
                if lost:
                    weight = nan if seen(mask, layout, batch, i, j) else zero
                output[row * n + j] = weight

    return kernel(stops)


@functools.cache
def build_stepwise(block: RowBlock, real: Real) -> Any:
    """Build the kernel of the stepwise pointer; `hard` rounds p, `absorbs` keeps the mass of the last visible key."""
    count, across = block.count, block.across
    zero, one, half = real(0), real(1), real(0.5)

    @device
    def stay_at(source, mask, layout, batch, i, j, n, hard, absorbs):
        """The probability to stay at a visible key."""
        chance = entry(source, layout, CHANCE, batch, i, j)
        if hard and chance == chance:
            chance = one if chance >= half else zero
        if absorbs and (j + 1 == n or not seen(mask, layout, batch, i, j + 1)):
            chance = one
        return chance

    def stepwise(first, block_count, m, n, hard, absorbs, mask, source, before_sums, layout, output):
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        batch = first + cuda.blockIdx.x
        if batch >= block_count:
            return
        start, step = layout[START, FIRST_MEMBER + batch], layout[START, COLUMN_STEP]
        for i in range(m):
            row = (batch * m + i) * n
            for j in range(t, n, count):
                mass = zero
                if seen(mask, layout, batch, i, j):
                    before = before_sums[start + j * step] if i == 0 else output[row - n + j]
                    mass = before * stay_at(source, mask, layout, batch, i, j, n, hard, absorbs)
                    if j > 0:  # what is visible are the first keys
                        before = before_sums[start + (j - 1) * step] if i == 0 else output[row - n + j - 1]
                        mass += before * (one - stay_at(source, mask, layout, batch, i, j - 1, n, hard, absorbs))
                output[row + j] = mass
            cuda.syncthreads()  # until the row is written

    return kernel(stepwise)


def monotonic_hard_alignment(
    p_choose: Any, *, threshold: float, previous: Any, mask: Any, stay_on_last: bool, return_index: bool
) -> Any:
    """Compute `attlas_ref.monotonic_hard_alignment`."""
    bound = np.full((1, 1), threshold, dtype=p_choose.dtype)
    return _stopped(reaches, Pairs(mask, p_choose, previous, bound), previous, stay_on_last, return_index)


def sampled_monotonic_alignment(
    p_choose: Any, *, uniform: Any, previous: Any, mask: Any, stay_on_last: bool, return_index: bool
) -> Any:
    """Compute `attlas_ref.sampled_monotonic_alignment`."""
    return _stopped(is_below, Pairs(mask, p_choose, previous, uniform), previous, stay_on_last, return_index)


def _stopped(good: Callable[..., Any], pairs: Pairs, previous: Any, stays: bool, return_index: bool) -> Any:
    block = default_row_block()
    output, taken = allocate(pairs.shape, pairs.dtype), allocate(pairs.shape[:-1], np.dtype(np.int64))
    launch(
        build_stops(block, pairs.real, good), pairs.members, block.threads,
        pairs.m, pairs.n, int(previous is not None), int(stays), *pairs.memories, pairs.layout, taken, output,
    )  # fmt: skip
    alignment = shaped(output, pairs.shape)
    return HardAlignment(alignment, shaped(taken, pairs.shape[:-1])) if return_index else alignment


def stepwise_monotonic_alignment(p_stay: Any, *, previous: Any, mask: Any, hard: bool, absorb_last: bool) -> Any:
    """Compute `attlas_ref.stepwise_monotonic_alignment`."""
    pairs, block = Pairs(mask, p_stay, previous), default_row_block()
    output = allocate(pairs.shape, pairs.dtype)
    launch(
        build_stepwise(block, pairs.real), pairs.members, block.threads,
        pairs.m, pairs.n, int(hard), int(absorb_last), *pairs.memories, pairs.layout, output,
    )  # fmt: skip
    return shaped(output, pairs.shape)
