"""Gradients of attention whose weights need the whole row of scores: bands of rows, as in `bands`.

For a band of queries, `scores` writes the scores s and the products g = <grad_output, value> into two scratch bands. A
formulation turns them into weights w and gradients ds of the scores, where they stand. Three passes of `carry` multiply
these with the rows that they belong to:

    grad_query = ds K,    grad_key = dsᵀ Q,    grad_value = wᵀ grad_output

Bound by operations, m n (3 d + 2 e) multiply-adds, and by what a formulation does with its rows. The scratch does not
grow with m. A result that several batch members share, or several bands, is summed by the block of threads that owns
it, member after member and tile after tile: nothing is atomic, and no sum depends on where bands are cut.

Differs from the reference by rounding only.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..bands import Band, Banded, bands, ceil
from ..blocks import Block
from ..operands import members_by_group, problem, shape_of
from ..pieces import GRAD, KEY, QUERY, build_accumulate, build_load, sees
from ..rules import Real
from ..target import allocate, cuda, device, device_using_cuda, kernel, launch, shaped, upload

Felt = Callable[..., Any]
"""felt(mask, extra, layout, batch, i, j, diagonal): whether query i feels key j. Other pairs are left out."""


@device
def seen(mask, extra, layout, batch, i, j, diagonal):
    """The pairs that mask and causality let through."""
    return sees(mask, layout, batch, i, j, diagonal)


@functools.cache
def build_carry(block: Block, real: Real, felt: Felt, by_query: bool) -> Any:
    """Build the kernel of sums over the other rows of (number in the band) times a row that they carry.

    With `by_query` the own rows are queries and keys are carried; otherwise the own rows are keys, and rows of queries
    or of grad_output are carried. A sum goes on from what earlier bands have left.
    """
    load, accumulate = build_load(block, real), build_accumulate(block, real)
    across, down, rows, outputs = block.across, block.down, block.rows, block.outputs
    own, other, width = block.own, block.other, block.width
    tile_shape, carried_shape, results = (own, other + 1), (other, width), (rows, outputs)
    threads = across * down
    zero = real(0)

    @device_using_cuda
    def accumulate_felt(
        sums, coefficients, carried, x, y, mask, extra, layout, batch, diagonal, own0, own_stop, other0, other_stop
    ):  # fmt: skip
        # The sums of `accumulate` in its order, with some terms left out.
        fresh = cuda.local.array(results, real)
        for r in range(rows):
            for o in range(outputs):
                fresh[r, o] = zero
        for k in range(min(other, other_stop - other0)):
            for r in range(rows):
                mine = own0 + y + r * down
                i = mine if by_query else other0 + k
                j = other0 + k if by_query else mine
                if mine < own_stop and felt(mask, extra, layout, batch, i, j, diagonal):
                    for o in range(outputs):
                        fresh[r, o] += coefficients[y + r * down, k] * carried[k, x + o * across]
        for r in range(rows):
            for o in range(outputs):
                sums[r, o] += fresh[r, o]

    def carry(
        first, block_count, m, n, width_in_all, diagonal, mask, extra, layout,
        first_member, first_query, query_count, member_count, members, share, band, carried_rows, carried_id, output,
    ):  # fmt: skip
        coefficients = cuda.shared.array(tile_shape, real)
        carried = cuda.shared.array(carried_shape, real)
        accumulator = cuda.local.array(results, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        t = y * across + x
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        stop = first_query + query_count
        own_first = first_query if by_query else 0
        own_stop = stop if by_query else n
        other_first = 0 if by_query else first_query
        channel_blocks = (width_in_all + width - 1) // width
        own_blocks = (own_stop - own_first + own - 1) // own
        channel0 = index % channel_blocks * width
        own0 = own_first + index // channel_blocks % own_blocks * own
        group = index // channel_blocks // own_blocks
        other_stop = min(n, own0 + own + diagonal) if by_query else stop
        own_count = m if by_query else n

        begins = first_member <= members[group * share] and (by_query or first_query == 0)
        for r in range(rows):
            mine = own0 + y + r * down
            for o in range(outputs):
                channel = channel0 + x + o * across
                accumulator[r, o] = zero
                if not begins and mine < own_stop and channel < width_in_all:
                    accumulator[r, o] = output[(group * own_count + mine) * width_in_all + channel]
        found = 0
        for place in range(share):
            batch = members[group * share + place]
            if first_member <= batch and batch < first_member + member_count:
                found += 1
                start = (batch - first_member) * query_count
                for other0 in range(other_first, other_stop, other):
                    if by_query or other0 + other - 1 + diagonal >= own0:
                        cuda.syncthreads()  # until no thread reads the tiles of before
                        for k in range(t, own * other, threads):
                            # Neighboring threads read neighboring keys.
                            r = k // other if by_query else k % own
                            c = k % other if by_query else k // own
                            i = own0 + r if by_query else other0 + c
                            j = other0 + c if by_query else own0 + r
                            coefficient = zero
                            if i < stop and j < n and felt(mask, extra, layout, batch, i, j, diagonal):
                                coefficient = band[(start + i - first_query) * n + j]
                            coefficients[r, c] = coefficient
                        strange = load(
                            carried, carried_rows, layout, carried_id, batch, other0, other_stop, channel0,
                            width_in_all, other, width, t,
                        )  # fmt: skip
                        if cuda.syncthreads_or(strange) == 0:  # until both tiles are complete
                            accumulate(accumulator, coefficients, carried, x, y)
                        else:
                            accumulate_felt(
                                accumulator, coefficients, carried, x, y, mask, extra, layout, batch, diagonal,
                                own0, own_stop, other0, other_stop,
                            )  # fmt: skip
        if found == 0:
            return
        for r in range(rows):
            mine = own0 + y + r * down
            if mine < own_stop:
                for o in range(outputs):
                    channel = channel0 + x + o * across
                    if channel < width_in_all:
                        output[(group * own_count + mine) * width_in_all + channel] = accumulator[r, o]

    return kernel(carry)


Differentiate = Callable[[Banded, Band, Any, Any], None]
"""differentiate(banded, band, scores, products) makes weights of the scores, and of the products what queries and keys
are multiplied with: the gradients of the scores, times the scale."""


def band_gradients(
    differentiate: Differentiate, query: Any, key: Any, value: Any, grad: Any, *,
    scale: float | None, mask: Any = None, bias: Any = None, causal: bool, extra: Any = None,
    felt_scores: Felt = seen, felt_values: Felt = seen,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Return the gradients of queries, keys and values, each in its shape."""
    diagonal = shape_of(key)[-2] - shape_of(query)[-2] if causal else None
    p = problem(query, key, value, grad, mask=mask, bias=bias, diagonal=diagonal, extra=extra)
    everything = np.broadcast_to(np.True_, (*p.batch, 1, 1))  # one entry in memory
    products = Banded(problem(grad, value, mask=everything, bias=None, diagonal=p.diagonal), 1.0)
    scores = Banded(p, 1 / math.sqrt(p.d) if scale is None else scale)
    # Bands are whole tiles of queries, whichever side these stand on.
    cut = list(bands(p.members, p.m, p.n, p.block.own * p.block.other))
    size = (max((band.rows for band in cut), default=0), p.n)
    first, second = allocate(size, p.dtype), allocate(size, p.dtype)
    of_query = _Sum(p, query, felt_scores, True, KEY)
    of_key = _Sum(p, key, felt_scores, False, QUERY)
    of_value = _Sum(p, value, felt_values, False, GRAD)
    for band in cut:
        scores.scores(band, first)
        products.scores(band, second)
        differentiate(scores, band, first, second)
        of_query.add(band, second)
        of_key.add(band, second)
        of_value.add(band, first)
    return of_query.result, of_key.result, of_value.result


class _Sum:
    """The gradient of one argument, which grows band by band."""

    def __init__(self, p: Any, argument: Any, felt: Felt, by_query: bool, carried: int) -> None:
        self.p, self.shape, self.by_query, self.carried = p, shape_of(argument), by_query, carried
        self.kernel = build_carry(p.block, p.real, felt, by_query)
        members, self.share = members_by_group(self.shape[:-2], p.batch)
        empty = p.members == 0 or p.m == 0  # then no band comes
        self.members = upload(members if members.size else np.zeros(1, np.int64))
        size = max(1, math.prod(self.shape))
        self.memory = upload(np.zeros(size, p.dtype)) if empty else allocate(self.shape, p.dtype)

    def add(self, band: Band, numbers: Any) -> None:
        """Add what a band gives: its numbers times the rows that they belong to."""
        p, (*leading, rows, width) = self.p, self.shape
        count = band.query_count if self.by_query else rows
        launch(
            self.kernel, math.prod(leading) * ceil(count, p.block.own) * ceil(width, p.block.width), p.block.threads,
            p.m, p.n, width, p.diagonal, p.memories[4], p.extra, p.layout,
            *band.place, band.member_count, self.members, self.share, numbers,
            p.memories[self.carried], self.carried, self.memory,
        )  # fmt: skip

    @property
    def result(self) -> Any:
        """The gradient, in the shape of its argument."""
        return shaped(self.memory, self.shape)
