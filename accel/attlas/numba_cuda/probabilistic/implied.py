"""The weights that a factorization implies, pair by pair: a query's share of a group times the token's share of that.

Bound by the bytes that are written; what is read are O(n √n) or O(n log n) numbers, from the cache. A query that does
not meet a group leaves its numbers out rather than multiply them by 0. Results differ from the reference by rounding.
"""

import functools
from typing import Any

from ..rules import Real
from ..target import cuda, kernel


@functools.cache
def build_implied(real: Real) -> Any:
    """Build the kernel for groups that are rows of the grid: w_ij = own (r, c, u) + share (c, r, t) times inner.

    `left` has the weights in the own row, `right` the shares of rows; `extra` has what each reader of a row takes of
    it, (members, rows, columns, columns), or with one reader a row (members, rows, columns). If `whole`, all rows are
    met.
    """
    zero = real(0)

    def implied(first, block_count, size, rows, columns, whole, one_reader, left, right, extra, output):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        place = index * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if place >= size:
            return
        n = rows * columns
        batch = place // n // n
        r = place // n % n // columns
        c = place // n % columns
        t = place % n // columns
        u = place % columns
        weight = zero
        if t < r or whole:
            line = batch * rows + t
            inner = extra[line * columns + u if one_reader else (line * columns + c) * columns + u]
            weight = right[((batch * columns + c) * rows + r) * rows + t] * inner
        if t == r:
            weight += left[((batch * rows + r) * columns + c) * columns + u]
        output[place] = weight

    return kernel(implied)


@functools.cache
def build_implied_crossed(real: Real) -> Any:
    """Build the kernel for a mixture of rows and columns.

    `left` and `right` have the weights in the own row and column, `of_...` the shares of the groups, `in_...` what each
    group's reader takes of it: above (columns, rows, rows), left (rows, columns, columns), right the same in mirror.
    """
    zero = real(0)

    def implied_crossed(
        first, block_count, size, rows, columns, left, right, of_above, of_left, of_right, in_above, in_left, in_right,
        output,
    ):  # fmt: skip
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        place = index * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if place >= size:
            return
        n = rows * columns
        batch = place // n // n
        r = place // n % n // columns
        c = place // n % columns
        t = place % n // columns
        u = place % columns
        by_row = ((batch * rows + r) * columns + c) * columns + u
        by_column = ((batch * columns + c) * rows + r) * rows + t
        weight = zero
        if t == r:
            weight = left[by_row]
        elif t < r and u == c:
            weight = right[by_column]
        elif t < r:
            weight = of_above[by_row] * in_above[((batch * columns + u) * rows + r) * rows + t]
            line = (batch * rows + t) * columns
            if u < c:
                weight += of_left[by_column] * in_left[(line + c) * columns + u]
            else:
                weight += of_right[by_column] * in_right[(line + columns - 1 - c) * columns + columns - 1 - u]
        output[place] = weight

    return kernel(implied_crossed)


@functools.cache
def build_implied_doubling(real: Real) -> Any:
    """Build the kernel for groups that double: those two tokens part at the highest bit in which they differ.

    `left` has the shares of each token's terms, (members, n, 1 + bits), `right` those within groups,
    (members, bits, n).
    """
    zero = real(0)

    def implied_doubling(first, block_count, size, n, bits, left, right, output):
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        threads = cuda.blockDim.x * cuda.blockDim.y
        place = index * threads + cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x
        if place >= size:
            return
        row = place // n
        i = row % n
        j = place % n
        weight = zero
        if j <= i:
            differ = i ^ j
            term = 0
            while differ > 0:
                differ >>= 1
                term += 1
            weight = left[row * (1 + bits) + term]
            if term > 1:
                weight *= right[(row // n * bits + term - 1) * n + j]
        output[place] = weight

    return kernel(implied_doubling)
