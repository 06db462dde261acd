"""Additive attention that sees its own past, on the CPU: one step after the other, all keys of a step at once.

A task is a batch member. Its projected keys are packed once, such that the keys stand side by side; then a step bends
the sum of a query's feature, a key's and its coverage, one feature after the other, in vectors of keys.

Bound by: m n a hyperbolic tangents, about thirty instructions each. A step needs the coverage that the one before has
left, so the steps of a member are taken by one thread; there is no more to run at once than the batch has members.
Memory: n (a + 3) numbers for each thread; weights are kept only if they are asked for.
A member is computed by itself, so neither threads nor the rest of the batch change a bit. Differs from the reference by
rounding. `b_v` is left out: a softmax forgets what all its scores have in common.
"""

import math
from functools import cache
from typing import Any

import numpy as np

from attlas_ref.contract import with_extras

from ..attention import kernels_of, score_batch
from ..blocks import fill, pack
from ..compile import kernel, part
from ..launch import launch, opener
from ..operands import Array, lay
from ..pointers import bytes_at, moved, places_at
from ..probabilistic.sums import sums_of
from ..product import projected
from ..real import Real
from .distribution import TANGENT

__all__ = ["coverage_attention"]


@cache
def _bent_scores(real: Real) -> Any:
    """Make scores_of(scores, keys, coverage, query, at, step, vectors, n, a).

    `keys` (a, n) are packed; row 0 of `vectors` says what coverage adds to a feature, row 1 weighs the features.
    """
    zero, tanh = real.number(0), real.tanh

    def scores_of(scores, keys, coverage, query, at, step, vectors, n, a):
        w, v = vectors.memory, vectors.places[0] + vectors.row
        w_at, along = vectors.places[0], vectors.column
        for j in range(n):
            scores[j] = zero
        c = 0
        while c + 2 <= a:  # two features at a time: scores and coverage are read less often
            q0, q1 = query[at + c * step], query[at + (c + 1) * step]
            w0, w1 = w[w_at + c * along], w[w_at + (c + 1) * along]
            v0, v1 = w[v + c * along], w[v + (c + 1) * along]
            first, second = c * n, (c + 1) * n
            for j in range(n):
                total = scores[j] + v0 * tanh(keys[first + j] + q0 + coverage[j] * w0)
                scores[j] = total + v1 * tanh(keys[second + j] + q1 + coverage[j] * w1)
            c += 2
        if c < a:
            q0, w0, v0, first = query[at + c * step], w[w_at + c * along], w[v + c * along], c * n
            for j in range(n):
                scores[j] += v0 * tanh(keys[first + j] + q0 + coverage[j] * w0)

    return part(scores_of, of=str(real.dtype))


def build_coverage(real: Real) -> Any:
    """Make the kernel.

    Operands: queries (m, a), keys (n, a), values (n, e), two vectors (2, a), the coverage before the first step (1, n).
    Results: output (m, e), weights (m, n), coverage (n), each of which may be 0; m, n, a, e; then the mask as a matrix,
    whose address may be 0. Scratch: the packed keys (a n), scores, coverage and what is seen (n each).
    """
    zero, one, infinity = real.number(0), real.number(1), real.number(np.inf)
    open_matrix, reals, exp, sums, of = opener(real), real.pointer, real.exp, sums_of(real), str(real.dtype)
    scores_of = _bent_scores(real)

    def normalize(scores, seen, n):
        for j in range(n):
            scores[j] = scores[j] if seen[j] > zero else -infinity
        top = sums.largest(scores, n)
        for j in range(n):
            scores[j] = exp(scores[j] - top)
        mass = sums.total(scores, n)
        divisor = mass if mass != zero else one
        for j in range(n):
            scores[j] = scores[j] / divisor if seen[j] > zero else zero

    def add(sums_at, weight, memory, at, step, e):
        for x in range(e):
            sums_at[x] += weight * memory[at + x * step]

    def add_in_line(sums_at, weight, memory, at, e):
        add(sums_at, weight, memory, at, 1, e)

    normalize, add = part(normalize, of), part(add, of, inline=True)
    add_in_line = part(add_in_line, of)

    def add_scattered(sums_at, weight, memory, at, step, e):
        add(sums_at, weight, memory, at, step, e)

    add_scattered = part(add_scattered, of)

    def covered(start, stop, operands, scratch, results):
        query, key, value = open_matrix(operands, 0), open_matrix(operands, 1), open_matrix(operands, 2)
        vectors, before = open_matrix(operands, 3), open_matrix(operands, 4)
        m, n, a, e = results[3], results[4], results[5], results[6]
        mask, mask_places, mask_row, mask_column = bytes_at(results[7]), places_at(results[8]), results[9], results[10]
        keys, scores, coverage = reals(scratch[0]), reals(scratch[1]), reals(scratch[2])
        seen = reals(scratch[3])
        fill(seen, n, one)
        for member in range(start, stop):
            pack(keys, key, key.places[member], n, n, a, zero)
            for j in range(n):
                coverage[j] = before.memory[before.places[member] + j * before.column]
            for i in range(m):
                if results[7]:
                    at = mask_places[member] + i * mask_row
                    for j in range(n):
                        seen[j] = one if mask[at + j * mask_column] else zero
                at = query.places[member] + i * query.row
                scores_of(scores, keys, coverage, query.memory, at, query.column, vectors, n, a)
                normalize(scores, seen, n)
                row = member * m + i
                for j in range(n):
                    coverage[j] += scores[j]
                if results[1]:
                    kept = moved(reals(results[1]), row * n)
                    for j in range(n):
                        kept[j] = scores[j]
                if results[0]:
                    output = moved(reals(results[0]), row * e)
                    fill(output, e, zero)
                    for j in range(n):
                        if seen[j] > zero:  # what is hidden is not read, be it a NaN
                            from_ = value.places[member] + j * value.row
                            if value.column == 1:
                                add_in_line(output, scores[j], value.memory, from_, e)
                            else:
                                add_scattered(output, scores[j], value.memory, from_, value.column, e)
            if results[2]:
                last = moved(reals(results[2]), member * n)
                for j in range(n):
                    last[j] = coverage[j]

    return kernel(covered, f"coverage-{real.dtype}")


def coverage_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    w_query: Array,
    w_key: Array,
    b_key: Array | None,
    w_coverage: Array,
    b_coverage: Array | None,
    v: Array,
    b_v: float,
    scale: float,
    initial: str | Array,
    mask: Array | None,
    return_weights: bool,
    return_coverage: bool,
) -> Any:
    """See `attlas_ref.pointer.coverage_attention`."""
    dtype, m, (n, e), a = query.dtype, query.shape[-2], value.shape[-2:], v.size
    queries, keys = projected(query, w_query, None), projected(projected(key, w_key, b_key), None, b_coverage)
    vectors = np.stack([w_coverage, scale * v]).astype(dtype)
    first = _started(initial, mask, m, n, dtype)
    leading = score_batch(queries, keys, mask, first)
    batch = np.broadcast_shapes(leading, value.shape[:-2])
    output = np.empty((*batch, m, e), dtype=dtype)
    weights = np.empty((*leading, m, n), dtype=dtype) if return_weights else None
    coverage = np.empty((*leading, n), dtype=dtype) if return_coverage else None

    def scan(own: tuple[int, ...], *results: Array | None) -> None:
        hidden = None if mask is None else lay(mask, own)
        read = value if own == batch else keys[..., :0, :0]  # without an output no value is read
        launch(
            kernels_of(build_coverage, dtype),
            math.prod(own),
            [lay(array, own) for array in (queries, keys, read, vectors, first)],
            (
                *(0 if result is None else result for result in results),
                m,
                n,
                a,
                e,
                *((0, 0, 0, 0) if hidden is None else hidden.entries),
            ),
            (n * a, n, n, n),
            dtype,
            math.prod(own) * m * n * (TANGENT * a + e),
        )

    if batch == leading:
        scan(batch, output, weights, coverage)
    else:  # values have leading axes of their own: weights and coverage are computed without them
        scan(batch, output, None, None)
        if return_weights or return_coverage:
            scan(leading, None, weights, coverage)
    return with_extras(output, weights=weights, coverage=coverage)


def _started(initial: str | Array, mask: Array | None, m: int, n: int, dtype: Any) -> Array:
    """Return the coverage before the first step, (..., 1, n) or what broadcasts to it."""
    if not isinstance(initial, str):
        return initial[..., None, :]
    if initial == "zeros" or m == 0:
        return np.zeros((1, n), dtype=dtype)
    if mask is None:
        return np.full((1, n), 1 / max(n, 1), dtype=dtype)
    pairs = mask[(None,) * (2 - mask.ndim)]
    first = np.broadcast_to(pairs[..., :1, :], (*pairs.shape[:-2], 1, n))
    return np.where(first, 1 / np.maximum(first.sum(axis=-1, keepdims=True), 1), 0).astype(dtype)
