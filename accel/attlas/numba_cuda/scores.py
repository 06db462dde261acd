"""The scores of a band of rows, scale <q, k> + bias, hidden pairs as -inf.

Bound by operations where d is above about 25 to 40, else by the bytes it writes; the scheme is that of the tile in
`tile.py`. Tiles beyond what causality lets their queries see are skipped, and nobody reads them.

Differs from the reference by rounding only.
"""

import functools
import math
from typing import Any

from .blocks import Block
from .pieces import BIAS, KEY, QUERY, build_products, entry, sees
from .rules import Real, dot
from .target import cuda, kernel


@functools.cache
def build_scores(block: Block, real: Real) -> Any:
    """Build the kernel; the band is (members, query_count, n)."""
    pair_products = build_products(block, real, dot)
    across, down, rows, columns = block.across, block.down, block.rows, block.columns
    own, other = block.own, block.other
    left_shape, right_shape = (own, block.depth + 1), (other, block.depth + 1)
    pairs = (rows, columns)
    lowest = real(-math.inf)

    def scores(
        first, block_count, m, n, d, diagonal, query, key, mask, bias, layout,
        scale, first_member, first_query, query_count, band,
    ):  # fmt: skip
        left = cuda.shared.array(left_shape, real)
        right = cuda.shared.array(right_shape, real)
        sums = cuda.local.array(pairs, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        column_blocks = (n + other - 1) // other
        query_blocks = (query_count + own - 1) // own
        j0 = index % column_blocks * other
        i0 = first_query + index // column_blocks % query_blocks * own
        member = index // column_blocks // query_blocks
        if j0 >= i0 + own + diagonal:
            return
        batch = first_member + member
        pair_products(sums, left, right, query, QUERY, i0, m, key, KEY, j0, n, d, layout, batch)
        for r in range(rows):
            i = i0 + y + r * down
            for c in range(columns):
                j = j0 + x + c * across
                if i < first_query + query_count and j < n:
                    score = lowest
                    if sees(mask, layout, batch, i, j, diagonal):
                        score = scale * sums[r, c] + real(entry(bias, layout, BIAS, batch, i, j))
                    band[(member * query_count + i - first_query) * n + j] = score

    return kernel(scores)
