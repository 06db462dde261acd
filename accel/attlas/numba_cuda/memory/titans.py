"""The linear memory of Titans on Numba-CUDA: a scan over tiles of tokens, per head and block of value columns.

The columns of the memory do not know of each other, so each block of threads carries a few of them through the whole
sequence. It takes some tokens at a time and writes their steps as sums over what stood there before the tile (`rates`):
the products of keys and queries with the memory are made for all of them at once; the errors follow one after the other
from the products of keys with keys, where a chunk begins within the tile (those of one chunk do not depend on each
other); then the outputs and the memory after the tile. So the memory is read twice and written once per tile, not per
token. Tiles never part a chunk that fits into one.

Bound by operations: per tile of b tokens and block of w columns 5 b w d multiply-adds for the products, 2 b w d for the
memory and b² (d + w) for pairs of tokens, of which the products of keys are made again in each block. Few heads leave a
GPU half empty: time runs along the tokens.

Results differ from the reference by rounding only: the steps of a tile are summed before they are added.
"""

import functools
import math
from typing import Any

import numpy as np

from attlas_ref.contract import MemoryResult, MemoryState

from ..assemble import Assembly, product
from ..bands import ceil
from ..operands import dtype_of, lay_out, shape_of
from ..pieces import entry
from ..rows import RowBlock, default_row_block
from ..rules import Real
from ..target import allocate, cuda, kernel, launch, shaped, simulated
from ..views import as_column
from .rates import build_unrolled

QUERY, KEY, VALUE = range(3)
"""The rows of the table of operands."""

TOKENS = 4 if simulated() else 32
"""In a tile, at most."""


@functools.cache
def build_titans(block: RowBlock, tokens: int, real: Real) -> Any:
    """Build the kernel; `memory` and `surprise` are (members, d, e) and change in place, `points` is scratch."""
    unrolled = build_unrolled(real)
    across, down, threads = block.across, block.down, block.count
    square, tile, row = (tokens, tokens + 1), (tokens, across), tokens + 1
    zero, two = real(0), real(2)

    def titans(
        first, block_count, n, d, e, chunk, query, key, value, layout, lr, momentum, decay, rates,
        memory, surprise, points, output,
    ):  # fmt: skip
        mixing = cuda.shared.array(square, real)
        key_products = cuda.shared.array(square, real)
        query_products = cuda.shared.array(square, real)
        errors = cuda.shared.array(tile, real)
        reads = cuda.shared.array(tile, real)
        kept = cuda.shared.array(row, real)
        pushed = cuda.shared.array(row, real)
        last = cuda.shared.array(row, real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        thread = y * across + x
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        column_blocks = (e + across - 1) // across
        column = index % column_blocks * across + x
        batch = index // column_blocks
        inside = column < e
        start = batch * d * e + column
        whole = tokens // chunk * chunk  # the chunks that fit into a tile
        t0 = 0
        while t0 < n:
            since = t0 % chunk
            count = min(n - t0, whole if whole > 0 else min(tokens, chunk - since))
            cuda.syncthreads()  # until all are done with the tile before
            unrolled(mixing, kept, pushed, last, lr, momentum, decay, rates, batch, t0, count, two, thread, threads)
            for pair in range(thread, count * count, threads):
                t = pair // count
                i = pair % count
                if i <= t:
                    by_key = zero
                    by_query = zero
                    for c in range(d):
                        number = entry(key, layout, KEY, batch, t0 + i, c)
                        by_key += entry(key, layout, KEY, batch, t0 + t, c) * number
                        by_query += entry(query, layout, QUERY, batch, t0 + t, c) * number
                    key_products[t, i] = by_key
                    query_products[t, i] = by_query
            cuda.syncthreads()  # until the steps are unrolled
            for t in range(y, count, down):
                begin = t - (since + t) % chunk  # where its chunk begins, if it does within the tile
                if inside:
                    key_memory = zero
                    key_surprise = zero
                    query_memory = zero
                    query_surprise = zero
                    key_point = zero
                    for c in range(d):
                        asked = entry(query, layout, QUERY, batch, t0 + t, c)
                        number = entry(key, layout, KEY, batch, t0 + t, c)
                        stored = memory[start + c * e]
                        moved = surprise[start + c * e]
                        query_memory += asked * stored
                        query_surprise += asked * moved
                        key_memory += number * stored
                        key_surprise += number * moved
                        if begin < 0:
                            key_point += number * points[start + c * e]
                    reads[t, x] = kept[t] * query_memory + pushed[t] * query_surprise
                    found = key_memory
                    if begin < 0:
                        found = key_point
                    elif begin > 0:
                        found = kept[begin - 1] * key_memory + pushed[begin - 1] * key_surprise
                    errors[t, x] = found - entry(value, layout, VALUE, batch, t0 + t, column)
            cuda.syncthreads()  # until errors and products are complete
            if whole > 0 and y == 0:
                # The errors of a chunk wait for those of the chunks before it.
                for t in range(chunk, count):
                    begin = t - t % chunk
                    known = zero
                    for i in range(begin):
                        known += mixing[begin - 1, i] * key_products[t, i] * errors[i, x]
                    errors[t, x] -= known
            cuda.syncthreads()  # until the errors are known
            if inside:
                for t in range(y, count, down):
                    written = zero
                    for i in range(t + 1):
                        written += mixing[t, i] * query_products[t, i] * errors[i, x]
                    output[(batch * n + t0 + t) * e + column] = reads[t, x] - written
                for c in range(y, d, down):
                    place = start + c * e
                    stored = memory[place]
                    moved = surprise[place]
                    if since == 0 and whole == 0:
                        points[place] = stored
                    of_memory = zero
                    of_surprise = zero
                    for i in range(count):
                        gradient = entry(key, layout, KEY, batch, t0 + i, c) * errors[i, x]
                        of_memory += mixing[count - 1, i] * gradient
                        of_surprise += last[i] * gradient
                    memory[place] = kept[count - 1] * stored + pushed[count - 1] * moved - of_memory
                    surprise[place] = last[count] * moved - of_surprise
            t0 += count

    return kernel(titans)


def laid_out_rates(*rates: Any, batch: tuple[int, ...]) -> tuple[list[Any], Any]:
    """Return the memories of rates, momenta and decays (..., n), and their table."""
    return lay_out([as_column(rate) for rate in rates], batch)


def started(matrix: Any, batch: tuple[int, ...], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Assembly:
    """Return a matrix for each member that a kernel may change: a copy, or zeros where none is given."""
    given = np.broadcast_to(dtype.type(0), shape) if matrix is None else matrix
    return Assembly(batch, shape[0], shape[1], dtype).put(product, given)


def titans_memory(
    query: Any,
    key: Any,
    value: Any,
    *,
    lr: Any,
    momentum: Any,
    decay: Any,
    memory: Any,
    surprise: Any,
    chunk_size: int,
    return_state: bool,
) -> Any:
    """Compute `attlas_ref.titans_memory`."""
    (n, d), e, dtype, block = shape_of(key)[-2:], shape_of(value)[-1], dtype_of(query), default_row_block()
    matrices = [shape_of(x)[:-2] for x in (query, key, value, memory, surprise) if x is not None]
    batch = np.broadcast_shapes(*matrices, *(shape_of(rate)[:-1] for rate in (lr, momentum, decay)))
    state = [started(x, batch, (d, e), dtype) for x in (memory, surprise)]
    memories, layout = lay_out([query, key, value], batch)
    of_rates, rates = laid_out_rates(lr, momentum, decay, batch=batch)
    output, points = allocate((*batch, n, e), dtype), allocate(state[0].shape, dtype)
    real: Any = dtype.type
    launch(
        build_titans(block, TOKENS, real), math.prod(batch) * ceil(e, block.across), block.threads,
        n, d, e, min(chunk_size, max(n, 1)), *memories, layout, *of_rates, rates,
        *(part.memory for part in state), points, output,
    )  # fmt: skip
    result = shaped(output, (*batch, n, e))
    return MemoryResult(result, MemoryState(*(part.matrix for part in state))) if return_state else result
