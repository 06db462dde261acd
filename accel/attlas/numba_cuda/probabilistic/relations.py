"""Dependency-constrained attention, on Numba-CUDA: bands of scores, which a parser's relations turn into weights.

Between the scores of a band and the product with the values (`bands`), a tile of threads reads the dependencies of its
pairs in both directions, those from key to query through shared memory, so that both are read row by row.

Bound by operations, n² (d + e) multiply-adds; the weighing takes an exponential per pair and the bytes of the band.
Nothing of size n² is kept unless weights are asked for.
Differs from the reference by rounding.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..bands import Band, Banded, attend_bands, ceil
from ..operands import lay_out, leading_axes
from ..pieces import entry, sees
from ..rows import RowBlock
from ..rules import Real, sigmoid
from ..target import allocate, cuda, kernel, launch, simulated
from ..views import as_row, viewed

PARSE, RELATION = range(2)
"""The rows of the table of operands."""

TILE_OF_PAIRS = RowBlock(2, 1) if simulated() else RowBlock(16, 8)
"""As many queries as keys, `across`; the groups of threads share the rows."""


@functools.cache
def build_relate(block: RowBlock, real: Real) -> Any:
    """Build the kernel that turns the scores of a band into weights, 0 where they are hidden."""
    across, down = block.across, block.down
    tile_shape = across, across + 1
    logistic = sigmoid(real).weight
    zero, one = real(0), real(1)

    def relate(
        first, block_count, n, diagonal, mask, layout, arcs, factors, related, first_member, first_query, query_count,
        band,
    ):  # fmt: skip
        tile = cuda.shared.array(tile_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        column_blocks = (n + across - 1) // across
        query_blocks = (query_count + across - 1) // across
        j0 = index % column_blocks * across
        i0 = first_query + index // column_blocks % query_blocks * across
        member = index // column_blocks // query_blocks
        batch = first_member + member
        for r in range(y, across, down):
            if j0 + r < n and i0 + x < n:
                tile[r, x] = entry(arcs, related, PARSE, batch, j0 + r, i0 + x)
        cuda.syncthreads()  # until the tile is complete
        to_parent = entry(factors, related, RELATION, batch, 0, 0)
        to_child = entry(factors, related, RELATION, batch, 0, 1)
        j = j0 + x
        for r in range(y, across, down):
            i = i0 + r
            if i < first_query + query_count and j < n:
                place = (member * query_count + i - first_query) * n + j
                weight = zero
                if sees(mask, layout, batch, i, j, diagonal):
                    relation = to_parent * entry(arcs, related, PARSE, batch, i, j) + to_child * tile[x, r]
                    weight = relation * logistic(band[place], one)
                band[place] = weight

    return kernel(relate)


def dependency_constrained_attention(
    query: Any,
    key: Any,
    value: Any,
    dependency: Any,
    relation_weights: Any,
    *,
    scale: float | None,
    mask: Any,
    bias: Any,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.dependency_constrained_attention`."""
    relations = [viewed(dependency, lambda a: a[..., None, :, :]), as_row(relation_weights)]
    # Relations may have leading axes that nothing else has.
    scored = leading_axes(query, key, mask, bias, *relations)
    query = viewed(query, lambda a: np.broadcast_to(a, (*scored, *a.shape[-2:])))
    block = TILE_OF_PAIRS

    def weigh(banded: Banded, rows: int) -> Callable[[Band], Any]:
        p = banded.problem
        memories, related = lay_out(relations, p.batch)
        scratch = allocate((rows, p.n), p.dtype)

        def weights_of(band: Band) -> Any:
            banded.scores(band, scratch)
            blocks = band.member_count * ceil(band.query_count, block.across) * ceil(p.n, block.across)
            launch(
                build_relate(block, p.real), blocks, block.threads,
                p.n, p.diagonal, p.memories[4], p.layout, *memories, related, *band.place, scratch,
            )  # fmt: skip
            return scratch

        return weights_of

    return attend_bands(
        weigh, query, key, value, mask=mask, bias=bias, scale=scale, causal=False, return_weights=return_weights
    )  # fmt: skip
