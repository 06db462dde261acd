"""The host side of `monomials`: moments of keys, what queries read from them, and the two in turn.

Causal attention is cut into chunks: what a query reads of earlier chunks comes from the moments, what it reads of its
own from pairs.
"""

from typing import Any

import numpy as np

from ...polynomials import Monomials, monomials_of
from ..attention import kernels_of, run_forward, score_batch
from ..operands import Array, Problem, address_of, lay_out, over_queries, over_tasks
from ..vector import lanes_of
from .monomials import GROUPS, ROWS, build_monomials, own_scratch
from .polynomial import build_polynomial

CHUNK = 192
"""Queries that are attended to pair by pair before the moments are brought up to date."""


def factorized_sums(
    query: Array, key: Array, value: Array, order: int, scale: float, causal: bool, key_mask: Array | None
) -> tuple[Array, Array]:
    """Return numerators and denominators, (..., m, e + 1), and which queries see anything, (..., m, 1)."""
    table = monomials_of(query.shape[-1], order)
    n = key.shape[-2]
    if not causal:
        sums = read(query, moments(key, value, key_mask, table), value.shape[-1], scale, table)
        return sums, np.asarray(n > 0) if key_mask is None else np.asarray(key_mask.any(axis=-1))[..., None, None]
    m = query.shape[-2]
    last = np.arange(m) + n - m  # the last key that each query sees
    allowed = np.ones(n, dtype=bool) if key_mask is None else np.broadcast_to(key_mask, (*key_mask.shape[:-1], n))
    counts = np.cumsum(allowed, axis=-1)
    seen = (last >= 0) & (counts[..., np.maximum(last, 0)] > 0)
    unseen = max(0, m - n)
    sums = carried(query[..., unseen:, :], key, value, order, scale, key_mask, table)
    nothing = np.zeros((*sums.shape[:-2], unseen, sums.shape[-1]), dtype=sums.dtype)
    return np.concatenate([nothing, sums], axis=-2), seen[..., None]


def _numbers(table: Monomials, shares: Array) -> tuple[int, ...]:
    """With which the results of every kernel end."""
    return address_of(table.powers), address_of(shares), table.number, table.powers.shape[1] - 1


def _groups(table: Monomials) -> int:
    return max(1, min(GROUPS, table.number // ROWS))


def _padded(e: int, dtype: np.dtype[Any]) -> int:
    width = lanes_of(dtype)
    return -(-(e + 1) // width) * width


def _own(problem: Problem) -> tuple[int, ...]:
    size = problem.size
    return own_scratch(size.keys, size.queries, size.d, size.e, size.width)


def moments(key: Array, value: Array, key_mask: Array | None, table: Monomials) -> Array:
    """Return Σ_j k_j^a (v_j, 1) over the keys that the mask allows, (..., r, e + 1 in whole vectors)."""
    mask = None if key_mask is None else key_mask[..., None]
    dtype, batch = key.dtype, score_batch(key, value, mask)
    problem = lay_out(key, key, value, mask=mask, bias=None, diagonal=None, batch=batch, parameters=(1.0,))
    result = np.zeros((*batch, table.number, _padded(value.shape[-1], dtype)), dtype=dtype)
    shares, groups = table.shares.astype(dtype), _groups(table)
    over_tasks(
        problem,
        kernels_of(build_monomials, dtype).absorb,
        problem.members * groups,
        result,
        own=_own(problem),
        numbers=(groups, *_numbers(table, shares)),
    )
    return result


def read(query: Array, told: Array, e: int, scale: float, table: Monomials) -> Array:
    """Return Σ_a (scale q)^a / a! M[a, :], (..., m, e + 1), of moments M."""
    problem = _lay_out_readers(query, told, e, scale)
    result = problem.new(problem.size.m, e + 1)
    _over_readers(problem, kernels_of(build_monomials, query.dtype).read, result, table)
    return result


def slopes(query: Array, told: Array, gradient: Array, scale: float, table: Monomials) -> Array:
    """Return the gradient of Σ gradient · read(query) by the queries, (..., m, d); told has further columns."""
    problem = _lay_out_readers(query, told, gradient.shape[-1], scale, gradient)
    result = problem.new(problem.size.m, problem.size.d)
    _over_readers(problem, kernels_of(build_monomials, query.dtype).slopes, result, table)
    with np.errstate(all="ignore"):
        return np.asarray(result * query.dtype.type(scale))


def _lay_out_readers(query: Array, told: Array, e: int, scale: float, gradient: Array | None = None) -> Problem:
    """Queries that read moments: there are no keys."""
    dtype = query.dtype
    nobody = np.empty((1, query.shape[-1]), dtype=dtype), np.empty((1, e), dtype=dtype)
    batch = score_batch(query, told, gradient)
    options: dict[str, Any] = {"mask": None, "bias": None, "diagonal": None, "gradient": gradient, "extra": told}
    return lay_out(query, *nobody, batch=batch, parameters=(scale,), **options)


def _over_readers(problem: Problem, kernel: Any, result: Array, table: Monomials) -> None:
    shares = table.shares.astype(problem.dtype)
    per_pair = table.number * (problem.size.e + 1)
    over_queries(problem, kernel, result, own=_own(problem), numbers=_numbers(table, shares), per_pair=per_pair)


def carried(
    query: Array, key: Array, value: Array, order: int, scale: float, key_mask: Array | None, table: Monomials
) -> Array:
    """Return numerators and denominators of causal attention, (..., m, e + 1), where m <= n.

    Keys of earlier chunks by moments, those of a query's own chunk pair by pair.
    """
    dtype, m, (n, e) = query.dtype, query.shape[-2], value.shape[-2:]
    mask = None if key_mask is None else np.broadcast_to(key_mask, (*key_mask.shape[:-1], n))[..., None]
    batch = score_batch(query, key, value)
    problem = lay_out(query, key, value, mask=mask, bias=None, diagonal=None, batch=batch, parameters=(scale,))
    groups, shares = _groups(table), table.shares.astype(dtype)
    carry = np.zeros((*batch, table.number, _padded(e, dtype)), dtype=dtype)
    told = np.empty((groups, *batch, m, e + 1), dtype=dtype)
    over_tasks(
        problem,
        kernels_of(build_monomials, dtype).carry,
        problem.members * groups,
        carry,
        told,
        own=_own(problem),
        numbers=(groups, CHUNK, n - m, *_numbers(table, shares), problem.members),
    )
    sums = told[0]
    for more in told[1:]:
        sums += more
    whole = m // CHUNK * CHUNK
    for rows in (slice(0, whole), slice(whole, m)):
        length = rows.stop - rows.start
        if length:
            keys = slice(rows.start + n - m, rows.stop + n - m)
            chunks = max(1, length // CHUNK)
            parts = [_in_chunks(x, chunks) for x in (query[..., rows, :], key[..., keys, :], value[..., keys, :])]
            own = None if mask is None else _in_chunks(mask[..., keys, :], chunks)
            within = lay_out(
                *parts,
                mask=None if own is None else own.mT,
                bias=None,
                diagonal=0,
                batch=(*batch, chunks),
                parameters=(scale, float(order)),
            )
            output, _, total = run_forward(within, kernels_of(build_polynomial, dtype))
            sums[..., rows, :e] += output.reshape(*batch, length, e)
            sums[..., rows, e] += total.reshape(*batch, length)
    return sums


def _in_chunks(rows: Array, chunks: int) -> Array:
    """(..., n, width) as (..., chunks, n / chunks, width); a view."""
    n, width = rows.shape[-2:]
    return rows.reshape(*rows.shape[:-2], chunks, n // chunks, width)
