"""Sparse distributed memory on the sphere, on Numba-CUDA: the overlap of two caps from a table.

Rows are scaled to unit length first, O((m + n) d). Then bands of rows: `scores` writes cosines, `build_caps` turns them
into weights, `values` multiplies these with the values. The logarithm of an area is that of a power of the
length of the interval that the area is an integral over, and a Chebyshev series in this length, on intervals each half
as long as the one before: 30 multiply-adds where a quadrature takes some 200 points with two exponentials each. The
series is exact to rounding, also next to the rim.

Bound by operations, m n (d + e) multiply-adds and about 60 per pair for the area.

Results differ from the reference by rounding only. Close to a cosine of 1 that is much: an error of the cosine becomes
one of the angle of the size of its root.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..bands import Band, Banded, attend_bands
from ..operands import dtype_of, lay_out, shape_of
from ..pieces import COLUMN_STEP, FIRST_MEMBER, GRAD, ROW_STEP, entry, larger
from ..rows import RowBlock, build_combine, build_divide, compensated, default_row_block, plus
from ..rules import Real
from ..target import allocate, cuda, device, kernel, launch, shaped, upload
from ..views import as_column, as_row, once, spread
from .tables import LEVELS, TERMS, area_power, log_areas

ROWS = 0
"""The row of the table of operands."""


@functools.cache
def build_directions(block: RowBlock, real: Real) -> Any:
    """Build the kernel that scales rows to unit length; rows of zeros stay, and are not `present`."""
    combine = build_combine(block, plus, plus, plus)
    across, threads = block.across, block.count
    board_shape = (3, block.down, block.across + 1)
    zero, one = real(0), real(1)

    def directions(first, block_count, rows, d, query, layout, output, total, present):
        board = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        start = layout[ROWS, FIRST_MEMBER + index // rows] + index % rows * layout[ROWS, ROW_STEP]
        square = zero
        for c in range(t, d, threads):
            number = query[start + c * layout[ROWS, COLUMN_STEP]]
            square += number * number
        square, _, _ = combine(board, square, zero, zero)
        length = real(math.sqrt(square))
        for c in range(t, d, threads):
            number = query[start + c * layout[ROWS, COLUMN_STEP]]
            output[index * d + c] = number / (length if length != zero else one)
        if t == 0:
            total[index] = length
            present[index] = length != zero

    return kernel(directions)


@functools.cache
def build_log_area(real: Real) -> Callable[..., Any]:
    """Build the logarithm of the area that two caps share, from the cosine of their centers; -inf where they part.

    The area of one cap is the unit.
    """
    one, two, four, half, third = real(1), real(2), real(4), real(0.5), real(3)
    zero, minus, lowest = real(0), real(-1), real(-math.inf)

    @device
    def log_area(cosine, theta, power, table):
        bounded = one if cosine > one else (minus if cosine < minus else cosine)
        length = theta - half * real(math.acos(bounded))
        if length <= zero:
            return lowest
        if length != length:
            return length
        share = min(length / theta, one)
        singular = power * real(math.log(share))
        level = 0
        while share < half and level < LEVELS - 1:
            share *= two
            level += 1
        # Clenshaw's sum of the series on one half .. 1.
        x = four * share - third
        above = zero
        last = zero
        for k in range(TERMS - 1, 0, -1):
            above, last = two * x * above - last + table[level * TERMS + k], above
        return (x * above - last + table[level * TERMS]) + singular

    return log_area


@functools.cache
def build_caps(block: RowBlock, real: Real) -> Any:
    """Build the kernel that turns rows of cosines into weights, -1 where the caps do not meet.

    `grad` has the lengths of the queries; a key of length 0 has -inf for its cosine.
    """
    highest, divide = build_combine(block, larger, larger, larger), build_divide(block, real)
    log_area = build_log_area(real)
    across, threads = block.across, block.count
    board_shape = (3, block.down, block.across + 1)
    zero, left_out, lowest = real(0), real(-1), real(-math.inf)

    def caps(
        first, block_count, n, grad, layout, scale, first_number, table, first_member, first_query, query_count, band
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        i = first_query + index % query_count
        reaches = entry(grad, layout, GRAD, first_member + index // query_count, i, 0) != zero
        start = index * n
        best = lowest
        for j in range(t, n, threads):
            score = lowest
            if reaches and band[start + j] != lowest:
                score = log_area(band[start + j], scale, first_number, table)
            band[start + j] = score
            best = larger(best, score)
        best, _, _ = highest(board, best, lowest, lowest)
        total = zero
        lost = zero
        for j in range(t, n, threads):
            weight = left_out
            if band[start + j] != lowest:
                weight = real(math.exp(band[start + j] - best))
                total, lost = compensated(total, lost, weight)
            band[start + j] = weight
        divide(board, band, start, n, total)

    return kernel(caps)


def _directions(x: Any) -> tuple[Any, Any, Any]:
    """Return rows of unit length, their lengths (..., rows, 1), and which are above 0 (..., 1, rows); what is broadcast
    is done once."""
    batch, x = shape_of(x)[:-2], once(x)
    shape, dtype, block = shape_of(x), dtype_of(x), default_row_block()
    (memory,), layout = lay_out([x], shape[:-2])
    rows = math.prod(shape[:-1])
    real: Any = dtype.type
    found = allocate(shape, dtype), allocate(shape[:-1], dtype), allocate(shape[:-1], np.dtype(np.bool_))
    launch(build_directions(block, real), rows, block.threads, shape[-2], shape[-1], memory, layout, *found)
    unit, (lengths, present) = shaped(found[0], shape), (shaped(each, shape[:-1]) for each in found[1:])
    return spread(unit, batch), spread(as_column(lengths), batch), spread(as_row(present), batch)


def sdm_continuous_attention(query: Any, key: Any, value: Any, *, cap_cosine: float, return_weights: bool) -> Any:
    """Compute `attlas_ref.sdm_continuous_attention`."""
    dtype, block = dtype_of(query), default_row_block()
    d = shape_of(query)[-1]
    table, power = upload(log_areas(d, cap_cosine, dtype)), area_power(d, cap_cosine)
    query, lengths, _ = _directions(query)
    key, _, present = _directions(key)

    def weigh(banded: Banded, rows: int) -> Callable[[Band], Any]:
        p = banded.problem
        scratch = allocate((rows, p.n), p.dtype)

        def weights_of(band: Band) -> Any:
            banded.scores(band, scratch)
            launch(
                build_caps(block, p.real), band.rows, block.threads,
                p.n, p.memories[3], p.layout, p.real(math.acos(cap_cosine)), p.real(power), table, *band.place, scratch,
            )  # fmt: skip
            return scratch

        return weights_of

    return attend_bands(
        weigh, query, key, value,
        mask=present, scale=1.0, causal=False, return_weights=return_weights, given=lengths, selects=True,
    )  # fmt: skip
