"""Sparse distributed memory on Numba-CUDA: distances by population counts, weights by tables, bands of rows.

A band of Hamming distances (`packed`) becomes weights where it stands, and `values` multiplies these with the values.
What a query does not reach is marked, so that not even a NaN there is felt. With a neuron at every address a weight is
a whole number that no float need hold: a table has it as a fraction and a power of two, and the nearest pattern of a
row has the largest, whose power is taken off. With finitely many it is a whole number of neurons. With neurons that are
there, reading and writing are the same kernels: 1 within the radius.

Bound by the bytes of the band, written once and read three times from the second-level cache, and by m n e
multiply-adds with the values (n r e and m r e with r neurons).

Results differ from the reference by rounding only; who reaches whom is exact.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult, CountersResult

from ..assemble import Assembly, Entry
from ..bands import Band, Banded, attend_bands
from ..operands import dtype_of, shape_of
from ..pieces import BIAS, entry
from ..rows import RowBlock, build_combine, build_divide, compensated, default_row_block, plus, smaller
from ..rules import Real, build_sign
from ..target import allocate, cuda, device, kernel, launch, shaped, upload
from ..views import as_column, as_row
from .packed import Distances, packed
from .tables import fractions_and_powers, wholes_and_chances


@functools.cache
def build_shares(block: RowBlock, real: Real, finite: bool) -> Any:
    """Build the kernel that turns rows of distances into weights, -1 where nothing is shared.

    `table` has two numbers for each distance, all first ones before all second ones: what is shared as a fraction and a
    power of two; or with `finite` the neurons that are shared for certain and the chance of one more, which
    `bias` decides.
    """
    nearest, divide = build_combine(block, smaller, smaller, smaller), build_divide(block, real)
    across, threads = block.across, block.count
    board_shape = (3, block.down, block.across + 1)
    zero, one, left_out, infinity = real(0), real(1), real(-1), real(math.inf)

    def shares(
        first, block_count, n, width, table, bias, layout, first_member, first_query, query_count, band
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        batch = first_member + index // query_count
        i = first_query + index % query_count
        start = index * n
        power = zero
        if not finite:
            best = infinity
            for j in range(t, n, threads):
                best = smaller(best, band[start + j])
            best, _, _ = nearest(board, best, infinity, infinity)
            if best < infinity:
                power = table[width + 1 + int(best)]
        total = zero
        lost = zero
        for j in range(t, n, threads):
            distance = int(band[start + j])
            weight = left_out
            if finite:
                count = table[distance]
                if entry(bias, layout, BIAS, batch, i, j) < table[width + 1 + distance]:
                    count += one
                if count > zero:
                    weight = count
            elif table[distance] > zero:
                weight = real(math.ldexp(table[distance], int(table[width + 1 + distance] - power)))
            band[start + j] = weight
            if weight > zero:
                total, lost = compensated(total, lost, weight)
        divide(board, band, start, n, total)

    return kernel(shares)


@functools.cache
def build_tally(block: RowBlock, real: Real) -> Any:
    """Build the kernel that sums up what `bias` holds for the entries of a row that are not marked."""
    combine = build_combine(block, plus, plus, plus)
    across, threads = block.across, block.count
    board_shape = (3, block.down, block.across + 1)
    zero = real(0)

    def tally(
        first, block_count, m, n, bias, layout, first_member, first_query, query_count, band, total
    ):  # fmt: skip
        board = cuda.shared.array(board_shape, real)
        index = first + cuda.blockIdx.x
        if index >= block_count:
            return
        t = cuda.threadIdx.y * across + cuda.threadIdx.x
        batch = first_member + index // query_count
        i = first_query + index % query_count
        found = zero
        for j in range(t, n, threads):
            if band[index * n + j] > zero:
                found += real(entry(bias, layout, BIAS, batch, i, j))
        found, _, _ = combine(board, found, zero, zero)
        if t == 0:
            total[batch * m + i] = found

    return kernel(tally)


def over_half(real: Real) -> Callable[..., Any]:
    """Make 1 of what exceeds one half, and 0 of the rest."""
    zero, half, one = real(0), real(0.5), real(1)

    @device
    def entry(left, right):
        return one if left > half else (zero if left <= half else left)  # a NaN stays

    return entry


def sign(real: Real) -> Callable[..., Any]:
    """Make the sign."""
    signed = build_sign(real)

    @device
    def entry(left, right):
        return signed(left)

    return entry


def quotient(real: Real) -> Callable[..., Any]:
    """Make left over right, or left where right is 0."""
    zero = real(0)

    @device
    def entry(left, right):
        return left / right if right != zero else left

    return entry


def _each(made: Entry, array: Any, other: Any = None) -> Any:
    """Return what is made of each entry of an array, with those of another."""
    *batch, rows, columns = shape_of(array)
    return Assembly(tuple(batch), rows, columns, dtype_of(array)).put(made, array, other).matrix


def sdm_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    radius: int,
    neurons: int | None,
    uniforms: Any,
    threshold: bool,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.sdm_attention`."""
    dim, dtype = shape_of(query)[-1], dtype_of(query)
    shared, expected = neurons is None, neurons or 0
    made = fractions_and_powers(dim, radius, dtype) if shared else wholes_and_chances(dim, radius, expected, dtype)
    table, words, block = upload(made), (packed(query), packed(key)), default_row_block()

    def weigh(banded: Banded, rows: int) -> Callable[[Band], Any]:
        p = banded.problem
        distances, scratch = Distances(p, *words), allocate((rows, p.n), p.dtype)

        def weights_of(band: Band) -> Any:
            distances.write(band, scratch)
            launch(
                build_shares(block, p.real, neurons is not None), band.rows, block.threads,
                p.n, dim, table, p.memories[5], p.layout, *band.place, scratch,
            )  # fmt: skip
            return scratch

        return weights_of

    result = attend_bands(
        weigh, query, key, value, bias=uniforms, scale=1.0, causal=False, return_weights=return_weights, selects=True
    )
    if not threshold:
        return result
    if isinstance(result, AttentionResult):
        return AttentionResult(_each(over_half, result.output), result.weights)
    return _each(over_half, result)


def sdm_neuron_attention(
    query: Any,
    key: Any,
    value: Any,
    neurons: Any,
    *,
    radius: int,
    threshold: bool,
    bipolar: bool,
    normalize: bool,
    return_counters: bool,
) -> Any:
    """Compute `attlas_ref.sdm_neuron_attention`; packed bits are the same for both kinds of addresses."""
    dtype, words = dtype_of(query), {name: packed(x) for name, x in (("q", query), ("k", key), ("n", neurons))}
    counters, hits = _summed(neurons, key, value, words["n"], words["k"], radius, np.ones((1, 1), dtype))
    output, count = _summed(query, neurons, counters, words["q"], words["n"], radius, as_row(hits))
    if normalize:
        output = _each(quotient, output, as_column(count))
    if threshold:
        output = _each(sign if bipolar else over_half, output)
    return CountersResult(output, counters) if return_counters else output


def _summed(
    left: Any, right: Any, value: Any, left_words: Any, right_words: Any, radius: int, numbers: Any
) -> tuple[Any, Any]:
    """Sum up the values, and the numbers (..., 1, n), of all right addresses within the radius of each left one."""
    rows_of_numbers: list[tuple[Any, tuple[int, ...]]] = []

    def weigh(banded: Banded, rows: int) -> Callable[[Band], Any]:
        p, block = banded.problem, default_row_block()
        distances, scratch = Distances(p, left_words, right_words), allocate((rows, p.n), p.dtype)
        total = allocate((*p.batch, p.m), p.dtype)
        rows_of_numbers.append((total, (*p.batch, p.m)))

        def weights_of(band: Band) -> Any:
            distances.write(band, scratch, radius)
            launch(
                build_tally(block, p.real), band.rows, block.threads,
                p.m, p.n, p.memories[5], p.layout, *band.place, scratch, total,
            )  # fmt: skip
            return scratch

        return weights_of

    sums = attend_bands(
        weigh, left, right, value, bias=numbers, scale=1.0, causal=False, return_weights=False, selects=True
    )
    ((total, shape),) = rows_of_numbers
    return sums, shaped(total, shape)
