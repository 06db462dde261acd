"""Multi-token attention: scores and weights that are convolved over queries and keys, and mixed across heads.

A band holds all heads, for some queries and a *halo* of earlier ones to which the kernels reach back: what a row of the
halo lacks is computed wrongly and never used. Its scores are convolved and mixed, become weights by the softmax of
`rows`, are convolved and mixed again, and meet the values. A convolution cannot be done in place, so that there are two
bands, of which each step reads one and writes the other.

Bound by operations, h n² / 2 times d + e + the taps of both kernels + the heads that are mixed, times 1 + halo / band;
in the convolutions by reads from shared memory, two per multiply-add.

Results differ from the reference by rounding only.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ..layout import Layout
from .bands import Band, Banded, attend_bands, ceil
from .blocks import Block
from .operands import operand, shape_of
from .pieces import entry
from .rows import SOFTMAX
from .rules import Real
from .target import allocate, cuda, kernel, launch, upload
from .unit_rms import unit_rms


@functools.cache
def build_convolve(block: Block, real: Real) -> Any:
    """Build target[h, i, j] = Σ_ab taps[h, a, b] source[h, i - (queries - 1) + a, j - padding + b].

    What lies outside the causal triangle counts as 0, and so do the queries before the band. A thread makes a pair; for
    each query tap a block brings its rows and as many key taps as it is wide into shared memory.
    """
    across, down = block.across, block.down
    tile_shape = (down, 2 * across)
    zero = real(0)

    def convolve(
        first, block_count, n, heads, first_query, query_count, taps, layout, tap_queries, tap_keys, padding,
        source, target,
    ):  # fmt: skip
        tile = cuda.shared.array(tile_shape, real)
        line = cuda.shared.array(across, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        column_blocks = (n + across - 1) // across
        row_blocks = (query_count + down - 1) // down
        j0 = index % column_blocks * across
        row0 = index // column_blocks % row_blocks * down
        member = index // column_blocks // row_blocks
        if j0 >= first_query + row0 + down:
            return  # all in the future
        total = zero
        for a in range(tap_queries):
            row = row0 + y - (tap_queries - 1) + a
            part = zero  # shorter sums round less
            for b0 in range(0, tap_keys, across):
                cuda.syncthreads()  # until no thread reads the tiles of before
                for c in range(x, 2 * across, across):
                    j = j0 - padding + b0 + c
                    number = zero
                    if row >= 0 and row < query_count and j >= 0 and j < n and j <= first_query + row:
                        number = source[(member * query_count + row) * n + j]
                    tile[y, c] = number
                if y == 0 and b0 + x < tap_keys:
                    line[x] = entry(taps, layout, 0, member % heads, a, b0 + x)
                cuda.syncthreads()  # until the tiles are complete
                for b in range(min(across, tap_keys - b0)):
                    part += line[b] * tile[y, x + b]
            total += part
        if row0 + y < query_count and j0 + x < n:
            target[(member * query_count + row0 + y) * n + j0 + x] = total

    return kernel(convolve)


@functools.cache
def build_mix(block: Block, real: Real) -> Any:
    """Build target[g, d, i, j] = Σ_c source[g, c, i, j] taps[g, c, d] for groups of `size` heads.

    For one query, a block multiplies a matrix (heads, keys) by the mixture, tile by tile.
    """
    across, down = block.across, block.down
    tile_shape, mixture_shape = (down, across), (down, down + 1)
    zero = real(0)

    def mix(first, block_count, n, size, groups, first_query, query_count, taps, layout, source, target):
        tile = cuda.shared.array(tile_shape, real)
        mixture = cuda.shared.array(mixture_shape, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        column_blocks = (n + across - 1) // across
        head_blocks = (size + down - 1) // down
        j0 = index % column_blocks * across
        to = index // column_blocks % head_blocks * down + y
        row = index // column_blocks // head_blocks % query_count
        group = index // column_blocks // head_blocks // query_count
        if j0 > first_query + row:
            return  # all in the future
        j = j0 + x
        seen = j < n and j <= first_query + row
        total = zero
        for h0 in range(0, size, down):
            cuda.syncthreads()  # until no thread reads the tiles of before
            number = zero
            if seen and h0 + y < size:
                number = source[((group * size + h0 + y) * query_count + row) * n + j]
            tile[y, x] = number
            for k in range(x, down, across):
                if h0 + k < size and to < size:
                    mixture[y, k] = entry(taps, layout, 0, group % groups, h0 + k, to)
            cuda.syncthreads()  # until the tiles are complete
            if to < size:
                for k in range(min(down, size - h0)):
                    total += mixture[y, k] * tile[k, x]
        if seen and to < size:
            target[((group * size + to) * query_count + row) * n + j] = total

    return kernel(mix)


class Taps:
    """A kernel of a convolution or a mixture of heads, one matrix per head or group, where GPU kernels read it."""

    def __init__(self, array: Any) -> None:
        self.shape = (1, 1, 1, *shape_of(array))[-3:]
        layout: Layout
        self.memory, layout = operand(array, self.shape[:1])
        self.layout = upload(np.array([[layout.row, layout.column, *layout.offsets]], dtype=np.int64))


class Pair:
    """Two bands in scratch memory: a step reads `full` and writes `spare`, which then change places."""

    def __init__(self, banded: Banded, rows: int, steps: bool) -> None:
        self.banded, p = banded, banded.problem
        self.full = allocate((rows, p.n), p.dtype)
        self.spare = allocate((rows, p.n), p.dtype) if steps else self.full

    def _step(self, kernel: Any, blocks: int, *arguments: Any) -> None:
        p = self.banded.problem
        blocks *= ceil(p.n, p.block.across)
        launch(kernel, blocks, p.block.threads, p.n, *arguments, self.full, self.spare)
        self.full, self.spare = self.spare, self.full

    def convolve(self, band: Band, taps: Taps | None, pad_key: str) -> None:
        """Convolve each head with its kernel."""
        if taps is None:
            return
        p, (_, queries, keys) = self.banded.problem, taps.shape
        padding = {"both": (keys - 1) // 2, "left": keys - 1, "right": 0}[pad_key]
        self._step(
            build_convolve(p.block, p.real), band.member_count * ceil(band.query_count, p.block.down),
            p.batch[-1], *band.place[1:], taps.memory, taps.layout, queries, keys, padding,
        )  # fmt: skip

    def mix(self, band: Band, taps: Taps | None) -> None:
        """Mix the heads of each group."""
        if taps is None:
            return
        p, (groups, size, _) = self.banded.problem, taps.shape
        self._step(
            build_mix(p.block, p.real), band.rows // size * ceil(size, p.block.down),
            size, groups, *band.place[1:], taps.memory, taps.layout,
        )  # fmt: skip


def multi_token_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    key_query_kernel: Any,
    post_kernel: Any,
    pre_head_mixing: Any,
    head_kernel: Any,
    post_head_mixing: Any,
    norm_weight: Any,
    norm_eps: float,
    norm_scale: float,
    pad_key: str,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.multi_token_attention`."""
    before, after, mixed_before, mixed_after = (
        None if taps is None else Taps(taps)
        for taps in (key_query_kernel, post_kernel, pre_head_mixing, _first(head_kernel, post_head_mixing))
    )
    # A kernel of many queries reaches back to the others.
    halo = sum(taps.shape[1] - 1 for taps in (before, after) if taps is not None)
    steps = any(taps is not None for taps in (before, after, mixed_before, mixed_after))

    def weigh(banded: Banded, rows: int) -> Callable[[Band], Any]:
        pair = Pair(banded, rows, steps)

        def weights_of(band: Band) -> Any:
            banded.scores(band, pair.full)
            pair.convolve(band, before, pad_key)
            pair.mix(band, mixed_before)
            banded.normalize(SOFTMAX, band, pair.full)
            pair.convolve(band, after, pad_key)
            pair.mix(band, mixed_after)
            return pair.full

        return weights_of

    result = attend_bands(
        weigh, query, key, value,
        scale=scale, causal=True, return_weights=return_weights, coupled=True, halo=halo,
    )  # fmt: skip
    if norm_weight is None:
        return result
    if return_weights:
        return AttentionResult(unit_rms(result.output, norm_eps, norm_weight, norm_scale), result.weights)
    return unit_rms(result, norm_eps, norm_weight, norm_scale)


def _first(*arrays: Any) -> Any:
    return next((array for array in arrays if array is not None), None)
