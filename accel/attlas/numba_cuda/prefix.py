"""Attention of one query to every prefix of its keys, on Numba-CUDA.

A scan of (maximum, total, accumulator) triples in three passes, after a matrix product that leaves the n scores. The
tokens are cut into chunks by their number alone, a chunk into one segment for each row of a block's threads. In the
first pass every block walks through its chunk: each row of threads through its segment, a thread for each of a few
channels, and the segments merge. The second merges chunk after chunk, from the state that was handed in. In the last,
every segment starts from what came before it and is walked through once more, token by token. So a rounding error grows
with the length of a segment, their number in a chunk and the number of chunks, not with the product of all three.

Bound by bytes where there are many chunks: values are read three times (twice from a cache), keys once, outputs are
written once, O(n (d + e)). The merge of chunks is a chain of n / 512 steps, each a read from memory.

Results differ from the reference by rounding only, and both methods are computed alike. Nothing is atomic: the same
call gives the same bits.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionPartial, PrefixResult

from .blocks import Block, default_block
from .learned import multiplied
from .operands import dtype_of, lay_out, leading_axes, shape_of
from .pieces import COLUMN_STEP, FIRST_MEMBER, ROW_STEP, larger
from .rules import Real
from .target import allocate, cuda, device, device_using_cuda, kernel, launch, shaped, simulated
from .views import as_cell, as_column, as_row

SCORES, VALUES, VISIBLE, STATE_MAXIMUM, STATE_TOTAL, STATE_SUMS = range(6)
"""The rows of the table of operands."""

SEGMENT = 2 if simulated() else 32
"""Tokens that a row of threads walks through."""


@functools.cache
def build_rescaled(real: Real) -> Callable[..., Any]:
    """Build the factor of a partial in a merge: exp(old - new), or 0 where it is empty."""
    zero, lowest = real(0), real(-math.inf)

    @device
    def rescaled(old, new):
        return zero if old == lowest else real(math.exp(old - new))

    return rescaled


@functools.cache
def build_walk(block: Block, real: Real, writes: bool) -> Callable[..., Any]:
    """Build the walk of a thread, from token to token with a few channels, with or without the output of each."""
    rescaled = build_rescaled(real)
    across, outputs = block.across, block.outputs
    zero, one, lowest = real(0), real(1), real(-math.inf)

    @device
    def walk(sums, most, total, scores, value, visible, layout, batch, start, stop, n, e0, e, x, output):
        """Merge tokens into (most, total, sums); return the first two."""
        score_at = layout[SCORES, FIRST_MEMBER + batch]
        value_at = layout[VALUES, FIRST_MEMBER + batch]
        visible_at = layout[VISIBLE, FIRST_MEMBER + batch]
        for j in range(start, stop):
            score = scores[score_at + j * layout[SCORES, ROW_STEP]]
            if score != lowest and visible[visible_at + j * layout[VISIBLE, ROW_STEP]]:
                best = larger(most, score)
                then = rescaled(most, best)
                now = real(math.exp(score - best))
                most = best
                total = then * total + now
                for o in range(outputs):
                    channel = e0 + x + o * across
                    if channel < e:
                        number = value[value_at + j * layout[VALUES, ROW_STEP] + channel * layout[VALUES, COLUMN_STEP]]
                        sums[o] = then * sums[o] + now * number
            if writes:
                divisor = total if total != zero else one
                for o in range(outputs):
                    channel = e0 + x + o * across
                    if channel < e:
                        output[(batch * n + j) * e + channel] = sums[o] / divisor
        return most, total

    return walk


@functools.cache
def build_chunks(block: Block, real: Real, last: bool) -> Any:
    """Build the kernel that walks through all chunks at once: for their partials, or (`last`) for the outputs.

    The triples are (members, chunks), and (members, chunks, e) for the sums: a chunk's partial, which is written, or
    what came before it, which is read.
    """
    rescaled = build_rescaled(real)
    walk, walk_and_write = build_walk(block, real, writes=False), build_walk(block, real, writes=True)
    across, down, outputs, width = block.across, block.down, block.outputs, block.width
    sums_shape = (down, width)
    zero, lowest = real(0), real(-math.inf)

    @device_using_cuda
    def merged(own, most, total, maxima, totals, sums, count, x):
        """Merge the first segments into (most, total, own); return the first two."""
        for k in range(count):
            best = larger(most, maxima[k])
            then = rescaled(most, best)
            now = rescaled(maxima[k], best)
            most = best
            total = then * total + now * totals[k]
            for o in range(outputs):
                own[o] = then * own[o] + now * sums[k, x + o * across]
        return most, total

    def chunks(first, block_count, segment, n, e, scores, value, mask, layout, maximum, total, accumulator, output):
        maxima = cuda.shared.array(down, real)
        totals = cuda.shared.array(down, real)
        sums = cuda.shared.array(sums_shape, real)
        own = cuda.local.array(outputs, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        channel_blocks = max(1, (e + width - 1) // width)
        count = (n + down * segment - 1) // (down * segment)
        e0 = index % channel_blocks * width
        place = index // channel_blocks
        batch = place // count
        start = (place % count * down + y) * segment
        stop = min(n, start + segment)

        for o in range(outputs):
            own[o] = zero
        most, whole = walk(own, lowest, zero, scores, value, mask, layout, batch, start, stop, n, e0, e, x, output)
        if x == 0:
            maxima[y] = most
            totals[y] = whole
        for o in range(outputs):
            sums[y, x + o * across] = own[o]
        cuda.syncthreads()

        if last:
            most = maximum[place]
            # As in a merge with nothing: an empty partial counts for nothing, whatever else it holds.
            kept = rescaled(most, most)
            whole = kept * total[place]
            for o in range(outputs):
                channel = e0 + x + o * across
                own[o] = kept * accumulator[place * e + channel] if channel < e else zero
            most, whole = merged(own, most, whole, maxima, totals, sums, y, x)
            walk_and_write(own, most, whole, scores, value, mask, layout, batch, start, stop, n, e0, e, x, output)
        elif y == 0:
            for o in range(outputs):
                own[o] = zero
            most, whole = merged(own, lowest, zero, maxima, totals, sums, down, x)
            if x == 0 and e0 == 0:
                maximum[place] = most
                total[place] = whole
            for o in range(outputs):
                channel = e0 + x + o * across
                if channel < e:
                    accumulator[place * e + channel] = own[o]

    return kernel(chunks)


@functools.cache
def build_merge(real: Real) -> Any:
    """Build the kernel that merges the partials of chunks in order; a thread has one channel of one member.

    `state_...` is what was handed in, `before_...` what came before each chunk, `after_...` what there is at last.
    """
    rescaled = build_rescaled(real)

    def merge(
        first, block_count, count, e, layout, state_maximum, state_total, state_sums, maximum, total, accumulator,
        before_maximum, before_total, before_sums, after_maximum, after_total, after_sums,
    ):  # fmt: skip
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        channel_blocks = max(1, (e + threads - 1) // threads)
        channel = index % channel_blocks * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        batch = index // channel_blocks
        own = state_maximum[0]
        most = state_maximum[layout[STATE_MAXIMUM, FIRST_MEMBER + batch]]
        whole = state_total[layout[STATE_TOTAL, FIRST_MEMBER + batch]]
        if channel < e:
            own = state_sums[layout[STATE_SUMS, FIRST_MEMBER + batch] + channel * layout[STATE_SUMS, COLUMN_STEP]]
        for place in range(batch * count, batch * count + count):
            if channel == 0:
                before_maximum[place] = most
                before_total[place] = whole
            best = larger(most, maximum[place])
            then = rescaled(most, best)
            now = rescaled(maximum[place], best)
            most = best
            whole = then * whole + now * total[place]
            if channel < e:
                before_sums[place * e + channel] = own
                own = then * own + now * accumulator[place * e + channel]
        if channel == 0:
            after_maximum[batch] = most
            after_total[batch] = whole
        if channel < e:
            after_sums[batch * e + channel] = own

    return kernel(merge)


def prefix_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    scale: float | None,
    mask: Any,
    bias: Any,
    method: str,
    state: tuple[Any, Any, Any] | None,
    return_state: bool,
) -> Any:
    """Compute `attlas_ref.prefix_attention`; both methods are computed alike."""
    dtype, (n, e) = dtype_of(query), shape_of(value)[-2:]
    real: Any = dtype.type
    scores = multiplied(key, as_row(query), None if bias is None else as_column(bias), scale)
    nothing = np.zeros((1, 1), dtype)
    before = [nothing - np.inf, nothing, nothing]
    if state is not None:
        before = [as_cell(state[0]), as_cell(state[1]), as_row(state[2])]
    visible = np.ones((1, 1), bool) if mask is None else as_column(mask)
    arrays = [scores, value, visible, *before]
    batch, block = leading_axes(*arrays), default_block(dtype)
    memories, layout = lay_out(arrays, batch)
    members, count = math.prod(batch), -(-n // (block.down * SEGMENT))

    def triples(*leading: int) -> tuple[Any, ...]:
        return tuple(allocate((*leading, *width), dtype) for width in ((), (), (e,)))

    partials, befores, after = triples(members, count), triples(members, count), triples(members)
    output = allocate((members, n, e), dtype)
    blocks = members * count * max(1, -(-e // block.width))
    sizes = SEGMENT, n, e
    launch(
        build_chunks(block, real, last=False), blocks, block.threads,
        *sizes, *memories[:3], layout, *partials, output,
    )  # fmt: skip
    launch(
        build_merge(real), members * max(1, -(-e // math.prod(block.threads))), block.threads,
        count, e, layout, *memories[3:], *partials, *befores, *after,
    )  # fmt: skip
    launch(build_chunks(block, real, last=True), blocks, block.threads, *sizes, *memories[:3], layout, *befores, output)
    result = shaped(output, (*batch, n, e))
    if not return_state:
        return result
    shapes = batch, batch, (*batch, e)
    return PrefixResult(result, AttentionPartial(*map(shaped, after, shapes)))
