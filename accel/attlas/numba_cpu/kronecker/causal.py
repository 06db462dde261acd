"""Gradients of causal attention by polynomials in factorized form, chunk by chunk.

Queries read from what earlier chunks of keys leave, keys from what later chunks of queries do; within a chunk it is
pairs. The moments of all chunks are made side by side and summed up along the chunks. A chunk is at least as long as
there are monomials, so that they are not larger than the tokens.

Bound by: multiply-adds, 3 (m + n) r (e + 1 + p) of them and the pairs of the chunks. Differs from the definition by
rounding, as `monomials` does.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import AttentionVJP

from ...polynomials import HIGHEST, Monomials, count_monomials, monomials_of
from ..attention import kernels_of
from ..backward import Backward, sum_to_shape
from ..operands import Array, over_queries
from .calls import beside_ones
from .factorized import CHUNK, factorized_sums, moments, read, slopes
from .polynomial import build_polynomial_gradients

Part = tuple[slice, slice, int]
"""Some queries, their own keys, and into how many chunks they are cut."""


def causal_gradients(
    query: Array, key: Array, value: Array, gradient: Array, order: int, scale: float, key_mask: Array | None
) -> AttentionVJP:
    """Return the gradients by query, key and value."""
    table, m, n = monomials_of(query.shape[-1], order), query.shape[-2], key.shape[-2]
    batch, dtype, before = gradient.shape[:-2], query.dtype.type, max(0, n - m)
    mask = None if key_mask is None else np.broadcast_to(key_mask, (*key_mask.shape[:-1], n))
    with np.errstate(all="ignore"):
        sums, seen = factorized_sums(query, key, value, order, scale, True, key_mask)
        inverse = np.where(seen, 1 / np.where(seen, sums[..., -1:], dtype(1)), dtype(1))
        output = np.where(seen, sums[..., :-1] * inverse, dtype(0))
        mean = (gradient * output).sum(axis=-1, keepdims=True)
        slope = np.where(seen, np.concatenate([gradient, -mean], axis=-1) * inverse, dtype(0))
        whole = [np.zeros((*batch, *rows.shape[-2:]), dtype=query.dtype) for rows in (query, key, value)]
        parts, first = _parts(m, n, chunk_of(query.shape[-1], order)), slice(0, before)
        known = moments(key[..., first, :], value[..., first, :], None if mask is None else mask[..., first], table)
        for queries, keys, count in parts:
            own = None if mask is None else _chunks(mask[..., None], keys, count)[..., 0]
            steps = moments(_chunks(key, keys, count), _chunks(value, keys, count), own, table)
            told, known = _running(steps, known)
            by_query = slopes(_chunks(query, queries, count), told, _chunks(slope, queries, count), scale, table)
            _add(whole[0], queries, by_query)
        later: Any = np.zeros((1, 1), dtype=query.dtype)
        for queries, keys, count in reversed(parts):
            steps = moments(_chunks(query, queries, count), _chunks(slope, queries, count), None, table)
            told, later = _running(steps[..., ::-1, :, :], later)
            _add_by_keys(whole, (queries, keys, count), key, value, told[..., ::-1, :, :], scale, table)
            of_queries = tuple(_chunks(rows, queries, count) for rows in (query, gradient, inverse, mean))
            of_keys = tuple(_chunks(rows, keys, count) for rows in (key, value))
            own = None if mask is None else _chunks(mask[..., None], keys, count).mT
            pairs = _pairs(of_queries, of_keys, own, scale, order)
            for grad, step, rows in zip(whole, pairs, (queries, keys, keys), strict=True):
                _add(grad, rows, step)
        if before:
            _add_by_keys(whole, (first, first, 1), key, value, later[..., None, :, :], scale, table)
        if mask is not None:
            whole[1:] = (np.where(mask[..., None], grad, dtype(0)) for grad in whole[1:])
        grads = zip(whole, (query, key, value), strict=True)
        return AttentionVJP(*(sum_to_shape(grad, array.shape) for grad, array in grads))


def chunk_of(d: int, order: int) -> int:
    """Return how many queries a chunk has."""
    return CHUNK if order > HIGHEST else max(CHUNK, count_monomials(d, order))


def _add_by_keys(
    whole: list[Array], part: Part, key: Array, value: Array, told: Array, scale: float, table: Monomials
) -> None:
    """Add to the gradients of some keys and values what later queries leave."""
    _, keys, count = part
    own, beside = _chunks(key, keys, count), beside_ones(_chunks(value, keys, count))
    _add(whole[1], keys, slopes(own, told, beside, scale, table))
    _add(whole[2], keys, read(own, told, beside.shape[-1], scale, table)[..., : value.shape[-1]])


def _pairs(
    of_queries: tuple[Array, ...], of_keys: tuple[Array, ...], mask: Array | None, scale: float, order: int
) -> tuple[Array, Array, Array]:
    """Return the gradients of the pairs within chunks.

    Of queries there are the rows, the gradient, and the statistics of whole rows, inverse and mean; keys and values.
    """
    (query, gradient, inverse, mean), (key, value) = of_queries, of_keys
    call = Backward(query, key, value, gradient, mask, None, 0, None, (scale, float(order), 1.0))
    kernels, problem = kernels_of(build_polynomial_gradients, query.dtype), call.by_queries()
    size, slope = problem.size, problem.dtype.type(scale)
    statistics = tuple(problem.new(size.m) for _ in range(2))
    for own, rows in zip(statistics, (inverse, mean), strict=True):
        own[...] = rows[..., 0]
    grad_query = problem.new(size.m, size.d)
    grad_key, grad_value = problem.new(size.n, size.d), problem.new(size.n, size.e)
    over_queries(problem, kernels.over_queries, *statistics, grad_query, own=(size.keys,))
    mirror = call.by_keys()
    over_queries(mirror, kernels.over_keys, *statistics, grad_key, grad_value, own=(mirror.size.keys,))
    return grad_query * slope, grad_key * slope, grad_value


def _parts(m: int, n: int, chunk: int) -> list[Part]:
    """Cut the queries that see a key into whole chunks, and what remains."""
    unseen, whole = max(0, m - n), min(m, n) // chunk * chunk
    cuts = (0, whole, whole // chunk), (whole, min(m, n), 1)
    before = max(0, n - m)
    return [(slice(unseen + i, unseen + j), slice(before + i, before + j), count) for i, j, count in cuts if j > i]


def _chunks(rows: Array, span: slice, count: int) -> Array:
    """View some rows of (..., n, width) as (..., count, length, width)."""
    part = rows[..., span, :]
    return part.reshape(*part.shape[:-2], count, part.shape[-2] // count, part.shape[-1])


def _running(steps: Array, state: Array) -> tuple[Array, Array]:
    """Return the sums of the state and all steps before each one along the third axis from the end, and of all."""
    sums = np.cumsum(steps, axis=-3) + state[..., None, :, :]
    first = np.broadcast_to(state[..., None, :, :], sums[..., :1, :, :].shape)
    return np.concatenate([first, sums[..., :-1, :, :]], axis=-3), sums[..., -1, :, :]


def _add(grad: Array, rows: slice, step: Array) -> None:
    """Add chunks to some rows."""
    grad[..., rows, :] += step.reshape(*step.shape[:-3], rows.stop - rows.start, step.shape[-1])
