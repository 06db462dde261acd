"""The weights of a band times the values.

Bound by operations, one multiply-add per weight and channel, as in the tile of `tile.py`: a tile of weights and one of
values stand in shared memory, each thread keeps a few results.

What is hidden is left out rather than multiplied by 0, in the same order of sums: a NaN that nobody sees changes no
bit. A rule that leaves keys out by itself has marked them with a negative weight.

Differs from the reference by rounding only.
"""

import functools
from typing import Any

from .blocks import Block
from .pieces import VALUE, build_accumulate, build_load, sees
from .rules import Real
from .target import cuda, device_using_cuda, kernel


@functools.cache
def build_values(block: Block, real: Real, selects: bool) -> Any:
    """Build the kernel; the band is (members, query_count, n). With `stores` it writes the weights too."""
    load, accumulate = build_load(block, real), build_accumulate(block, real)
    across, down, rows, outputs = block.across, block.down, block.rows, block.outputs
    own, other, width = block.own, block.other, block.width
    tile_shape, carried_shape, results = (own, other + 1), (other, width), (rows, outputs)
    threads = across * down
    zero = real(0)

    @device_using_cuda
    def accumulate_visible(
        sums, weights, carried, x, y, mask, layout, batch, diagonal, i0, stop, j0, n, band, member_row
    ):  # fmt: skip
        # The sums of `accumulate` in its order, with some terms left out.
        fresh = cuda.local.array(results, real)
        for r in range(rows):
            for o in range(outputs):
                fresh[r, o] = zero
        for k in range(min(other, n - j0)):
            for r in range(rows):
                i = i0 + y + r * down
                taken = i < stop and sees(mask, layout, batch, i, j0 + k, diagonal)
                if selects and taken and band[(member_row + i) * n + j0 + k] < zero:
                    taken = False
                if taken:
                    for o in range(outputs):
                        fresh[r, o] += weights[y + r * down, k] * carried[k, x + o * across]
        for r in range(rows):
            for o in range(outputs):
                sums[r, o] += fresh[r, o]

    def values(
        first, block_count, m, n, e, diagonal, value, mask, layout,
        first_member, first_query, query_count, first_output, band, stores, output, matrix,
    ):  # fmt: skip
        weights = cuda.shared.array(tile_shape, real)
        carried = cuda.shared.array(carried_shape, real)
        accumulator = cuda.local.array(results, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        t = y * across + x
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        stop = first_query + query_count
        channel_blocks = max(1, (e + width - 1) // width)
        query_blocks = (stop - first_output + own - 1) // own
        e0 = index % channel_blocks * width
        i0 = first_output + index // channel_blocks % query_blocks * own
        member = index // channel_blocks // query_blocks
        batch = first_member + member
        member_row = member * query_count - first_query  # plus i: the row of the band
        writes = stores and e0 == 0

        for r in range(rows):
            for o in range(outputs):
                accumulator[r, o] = zero
        # What no query of the block sees is skipped, unless zeros have to be written there.
        for j0 in range(0, n if writes else min(n, i0 + own + diagonal), other):
            cuda.syncthreads()  # until no thread reads the tiles of before
            for place in range(t, own * other, threads):
                r = place // other
                c = place % other
                i = i0 + r
                j = j0 + c
                weight = zero
                if i < stop and j < n:
                    if j <= i + diagonal:
                        weight = band[(member_row + i) * n + j]
                        if selects and weight < zero:
                            weight = zero
                    if writes:
                        matrix[(batch * m + i) * n + j] = weight
                weights[r, c] = weight
            strange = load(carried, value, layout, VALUE, batch, j0, n, e0, e, other, width, t)
            if cuda.syncthreads_or(strange) == 0:  # until both tiles are complete
                accumulate(accumulator, weights, carried, x, y)
            else:
                accumulate_visible(
                    accumulator, weights, carried, x, y, mask, layout, batch, diagonal, i0, stop, j0, n, band,
                    member_row,
                )  # fmt: skip

        for r in range(rows):
            i = i0 + y + r * down
            if i < stop:
                for o in range(outputs):
                    channel = e0 + x + o * across
                    if channel < e:
                        output[(batch * m + i) * e + channel] = accumulator[r, o]

    return kernel(values)
