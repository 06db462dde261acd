"""Selective attention: the scores of one head mask earlier tokens for the later queries of all heads.

F_ij, what the tokens before i have selected of key j, is a running sum over queries. So bands hold all heads, and go
in the order of the queries: `select` takes F away from the scores of a band, and n sums per batch member are carried to
the next one. Within a band a few threads share a column: each sums up its own stretch of queries, begins with what
the stretches before it have selected, and goes through its own again.

Bound by operations, m n (d + e) multiply-adds of each head, and by bytes in `select`, which reads and writes the band
once, in parallel over columns only.

Results differ from the reference by rounding: F is summed stretch by stretch, and never by taking away a term again.
Stretches are cut by n and the number of heads alone, so the rest of the batch changes no bit.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .bands import Band, Banded, attend_bands, ceil
from .blocks import Block
from .rows import SOFTMAX
from .rules import Real
from .target import allocate, cuda, kernel, launch, upload


@functools.cache
def build_select(block: Block, real: Real) -> Any:
    """Build the kernel; the band is (groups, heads, query_count, n), and `carried` has the sums (groups, n)."""
    across, down = block.across, block.down
    board_shape = (down, across + 1)
    zero = real(0)

    def select(
        first, block_count, n, heads, chosen, first_key, first_group, first_query, query_count, band, carried
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        column_blocks = (n + across - 1) // across
        j = index % column_blocks * across + x
        group = index // column_blocks
        sums = (first_group + group) * n + j
        selecting = (group * heads + chosen) * query_count * n + j
        stretch = (query_count + down - 1) // down
        start = min(query_count, y * stretch)
        stop = min(query_count, start + stretch)
        # Only later queries can select a key: never its own, nor one before it.
        begin = max(start, j + 1 - first_query)

        own = zero
        if first_key <= j and j < n:
            for row in range(begin, stop):
                score = band[selecting + row * n]
                if not score <= zero:  # a NaN stays
                    own += score
        board[y, x] = own
        running = zero
        if j < n:
            running = carried[sums]
        cuda.syncthreads()  # until all stretches are summed up, and what was carried has been read
        for k in range(y):
            running += board[k, x]
        if j < n:
            # The key's own query sees it too.
            for row in range(max(start, j - first_query), stop):
                score = band[selecting + row * n]
                for head in range(heads):
                    band[((group * heads + head) * query_count + row) * n + j] -= running
                if first_key <= j and j < first_query + row and not score <= zero:
                    running += score
            if y == down - 1:
                carried[sums] = running

    return kernel(select)


def selective_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    select_head: int,
    keep_first: bool,
    scale: float | None,
    bias: Any,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.selective_attention`."""

    def weigh(banded: Banded, rows: int) -> Callable[[Band], Any]:
        p, heads = banded.problem, banded.problem.batch[-1]
        scratch = allocate((rows, p.n), p.dtype)
        carried = upload(np.zeros(max(1, math.prod(p.batch[:-1]) * p.n), p.dtype))

        def weights_of(band: Band) -> Any:
            banded.scores(band, scratch)
            launch(
                build_select(p.block, p.real),
                band.member_count // heads * ceil(p.n, p.block.across), p.block.threads,
                p.n, heads, select_head, int(keep_first), band.first_member // heads, *band.place[1:], scratch, carried,
            )  # fmt: skip
            banded.normalize(SOFTMAX, band, scratch)
            return scratch

        return weights_of

    return attend_bands(
        weigh, query, key, value, bias=bias, scale=scale, causal=True, return_weights=return_weights, coupled=True
    )
