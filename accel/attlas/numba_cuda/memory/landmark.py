"""Landmark attention on Numba-CUDA: rows of scores that become shares of blocks, and of tokens within blocks.

Bands of rows, as in `bands`. Landmarks cut a row into stretches: the threads of a row share the sums over its group
(its own block so far, and the earlier landmarks), then each thread takes whole blocks by itself, of which there are
usually more than threads. Bound by operations, n² (d + e) multiply-adds, about half of them left out by causality, and
by the few sweeps over the band. With `top_k` the blocks that are dropped cost their scores but no memory beside the
band.

Results differ from the reference by rounding only.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attlas_ref.contract import AttentionVJP

from ..bands import Band, Banded, attend_bands
from ..operands import dtype_of, operand, shape_of
from ..pieces import COLUMN_STEP, EXTRA, FIRST_MEMBER, larger
from ..rows import RowBlock, build_combine, default_row_block, plus
from ..rules import Real
from ..target import allocate, cuda, device, device_using_cuda, kernel, launch, upload
from ..views import as_row
from .band_gradients import band_gradients


@functools.cache
def build_least_door(block: RowBlock, real: Real) -> Any:
    """Build the function that finds the lowest score among the best few landmarks; -inf if all are among them."""
    combine = build_combine(block, plus, plus, plus)
    highest = build_combine(block, larger, larger, larger)
    across, threads = block.across, block.count
    zero, one, nothing, lowest = real(0), real(1), real(math.nan), real(-math.inf)

    @device_using_cuda
    def least_door(board, band, start, doors, count, wanted):
        if count <= wanted:
            return lowest
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        enough = real(wanted)
        # NaNs count as the largest. With enough of them the least is one, and no score is below it.
        found = zero
        for c in range(t, count, threads):
            score = band[start + doors[c]]
            if score != score:
                found += one
        found, _, _ = combine(board, found, zero, zero)
        if found >= enough:
            return lowest
        # From the best down, all that tie at once.
        best = nothing
        below = lowest
        while found < enough:
            below = lowest
            for c in range(t, count, threads):
                score = band[start + doors[c]]
                if not score >= best and score > below:
                    below = score
            below, _, _ = highest(board, below, lowest, lowest)
            if below == lowest:
                return lowest
            ties = zero
            for c in range(t, count, threads):
                if band[start + doors[c]] == below:
                    ties += one
            ties, _, _ = combine(board, ties, zero, zero)
            found += ties
            best = below
        return below

    return least_door


@functools.cache
def build_landmarks(block: RowBlock, real: Real, gradient: bool) -> Any:
    """Build the kernel; pairs that are not read are marked with -1, for `values`.

    With `gradient`, `matrix` has the gradients of the weights, which become those of the scores, times scale. Then all
    blocks are read, and who reads `band` leaves out by itself what is not.
    """
    combine, highest = build_combine(block, plus, plus, plus), build_combine(block, larger, larger, larger)
    least_door = build_least_door(block, real)
    across, threads = block.across, block.count
    board_shape = (3, block.down, block.across + 1)
    zero, one, left_out, lowest = real(0), real(1), real(-1), real(-math.inf)

    def landmarks(
        first, block_count, n, closed, doors, door_count, wanted, scale, first_query, query_count, band, matrix
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        i = first_query + index % query_count
        start = index * n
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        count = closed[i]
        own = 0
        if count > 0:
            own = doors[count - 1] + 1
        closes = count < door_count and doors[min(count, door_count - 1)] == i
        stop = i if closes else i + 1

        least = least_door(board, band, start, doors, count, wanted)
        best = lowest
        for j in range(own + t, stop, threads):
            best = larger(best, band[start + j])
        for c in range(t, count if wanted > 0 else 0, threads):
            score = band[start + doors[c]]
            if not score < least:
                best = larger(best, score)
        best, _, _ = highest(board, best, lowest, lowest)
        shift = zero if best == lowest else best
        total = zero
        for j in range(own + t, stop, threads):
            total += real(math.exp(band[start + j] - shift))
        for c in range(t, count if wanted > 0 else 0, threads):
            score = band[start + doors[c]]
            if not score < least:
                total += real(math.exp(score - shift))
        total, _, _ = combine(board, total, zero, zero)
        divisor = total if total != zero else one

        mean = zero
        for c in range(t, count, threads):
            door = doors[c]
            begin = 0
            if c > 0:
                begin = doors[c - 1] + 1
            score = band[start + door]
            kept = wanted > 0 and not score < least
            share = real(math.exp(score - shift)) / divisor if kept else zero  # others may lie far above the shift
            most = lowest
            for j in range(begin, door):
                most = larger(most, band[start + j])
            most = zero if most == lowest else most
            whole = zero
            for j in range(begin, door):
                whole += real(math.exp(band[start + j] - most))
            whole = whole if whole != zero else one
            inner = zero
            for j in range(begin, door):
                part = real(math.exp(band[start + j] - most)) / whole
                if gradient:
                    inner += part * matrix[start + j]
                    band[start + j] = share * part
                else:
                    band[start + j] = share * part if kept else left_out
            if gradient:
                for j in range(begin, door):
                    matrix[start + j] = scale * (band[start + j] * (matrix[start + j] - inner))
                band[start + door] = share
                matrix[start + door] = inner
                mean += share * inner
            else:
                band[start + door] = left_out
        for j in range(own + t, stop, threads):
            part = real(math.exp(band[start + j] - shift)) / divisor
            band[start + j] = part
            if gradient:
                mean += part * matrix[start + j]
        if gradient:
            mean, _, _ = combine(board, mean, zero, zero)
            for c in range(t, count, threads):
                place = start + doors[c]
                matrix[place] = scale * (band[place] * (matrix[place] - mean))
            for j in range(own + t, stop, threads):
                matrix[start + j] = scale * (band[start + j] * (matrix[start + j] - mean))
        elif closes and t == 0:
            band[start + i] = left_out

    return kernel(landmarks)


@device
def _is_landmark(extra, layout, batch, j):
    return extra[layout[EXTRA, FIRST_MEMBER + batch] + j * layout[EXTRA, COLUMN_STEP]] != 0


@device
def felt_in_scores(mask, extra, layout, batch, i, j, diagonal):
    """The pairs whose scores count: all so far but a landmark with itself; `extra` says which tokens are landmarks."""
    return j < i or (j == i and not _is_landmark(extra, layout, batch, j))


@device
def felt_in_values(mask, extra, layout, batch, i, j, diagonal):
    """The pairs whose values count: no landmark's does."""
    return j <= i and not _is_landmark(extra, layout, batch, j)


def _on_host(flags: Any) -> NDArray[np.bool_]:
    """Return flags (n,) as a NumPy array: they are as few as tokens, and decide how rows are cut."""
    (n,) = shape_of(flags)
    memory, layout = operand(as_row(flags), ())
    if n == 0:
        return np.zeros(0, bool)
    flat: NDArray[np.bool_] = memory.copy_to_host()
    return flat[layout.offsets[0] + np.arange(n) * layout.column]


class _Doors:
    """The landmarks: how many there are before each token, and where they are."""

    def __init__(self, is_landmark: Any) -> None:
        self.flags = _on_host(is_landmark)
        places = np.flatnonzero(self.flags).astype(np.int64)
        self.count = places.size
        self.closed = upload(np.append(np.cumsum(self.flags) - self.flags, 0).astype(np.int64))
        self.places = upload(np.append(places, 0))  # never empty

    def weigh(self, banded: Banded, band: Band, wanted: int, weights: Any, grads: Any, gradient: bool) -> None:
        """Turn the scores of a band into weights, and the gradients of weights into those of scores."""
        p, block = banded.problem, default_row_block()
        launch(
            build_landmarks(block, p.real, gradient), band.rows, block.threads,
            p.n, self.closed, self.places, self.count, wanted, p.real(banded.scale),
            band.first_query, band.query_count, weights, grads,
        )  # fmt: skip


def landmark_attention(
    query: Any, key: Any, value: Any, *, is_landmark: Any, scale: float | None, top_k: int | None, return_weights: bool
) -> Any:
    """Compute `attlas_ref.landmark_attention`."""
    doors = _Doors(is_landmark)
    wanted = doors.count if top_k is None else min(top_k, doors.count)

    def weigh(banded: Banded, rows: int) -> Callable[[Band], Any]:
        scratch = allocate((rows, banded.problem.n), banded.problem.dtype)

        def weights_of(band: Band) -> Any:
            banded.scores(band, scratch)
            doors.weigh(banded, band, wanted, scratch, scratch, gradient=False)
            return scratch

        return weights_of

    return attend_bands(weigh, query, key, value, scale=scale, causal=True, return_weights=return_weights, selects=True)


def landmark_attention_vjp(
    query: Any, key: Any, value: Any, grad_output: Any, *, is_landmark: Any, scale: float | None
) -> AttentionVJP:
    """Compute `attlas_ref.landmark_attention_vjp`."""
    doors = _Doors(is_landmark)

    def differentiate(banded: Banded, band: Band, weights: Any, grads: Any) -> None:
        doors.weigh(banded, band, doors.count, weights, grads, gradient=True)

    return AttentionVJP(
        *band_gradients(
            differentiate, query, key, value, grad_output,
            scale=scale, causal=True, extra=as_row(doors.flags.astype(dtype_of(query))),
            felt_scores=felt_in_scores, felt_values=felt_in_values,
        )
    )  # fmt: skip
