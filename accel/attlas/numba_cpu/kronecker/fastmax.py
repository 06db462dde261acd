"""Host functions of attention by polynomials.

Two forms, pair by pair and factorized, and a rule which of them a call takes (`polynomials`). The factorized form
computes the same polynomial in another order, which shows where infinities or NaN take part (infinity times 0): a
result that is not finite everywhere is computed again pair by pair, each member by itself.
"""

from typing import Any

import numpy as np

from attlas_ref.contract import AttentionResult, AttentionVJP

from ... import polynomials
from ...bounds import largest_mean_square, warn_if_the_bound_says_nothing
from ...polynomials import monomials_of
from ..attention import causal_diagonal, dot_scale, kernels_of, lay_out_scores, run_forward, score_batch
from ..backward import Backward, sum_to_shape
from ..operands import Array, lay_out, over_queries
from .calls import beside_ones
from .causal import causal_gradients, chunk_of
from .factorized import CHUNK, factorized_sums, moments, read, slopes
from .polynomial import build_polynomial, build_polynomial_gradients

__all__ = ["fastmax_attention", "fastmax_attention_vjp", "tensor_attention_lowrank"]

GAIN = 0.8
"""Which share of the multiply-adds the factorized form may have, so that it is faster: its tiles are smaller."""


def fastmax_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    order: int,
    scale: float | None,
    causal: bool,
    key_mask: Array | None,
    normalize: str | None,
    return_weights: bool,
) -> Any:
    """See `attlas_ref.kronecker.fastmax_attention`."""
    if normalize is not None:
        query, key = _normalized(query, normalize, None), _normalized(key, normalize, key_mask)
    factor = dot_scale(scale, query)
    if not return_weights and factorized_pays(query, key, value, order, causal):
        sums, seen = factorized_sums(query, key, value, order, factor, causal, key_mask)
        sound = np.isfinite(sums).all(axis=(-2, -1), keepdims=True)
        if sound.all():
            return _divided(sums, seen)
        # Each member by itself: no other one's overflow changes its bits.
        again = _pair_by_pair(query, key, value, order, factor, causal, key_mask, return_weights)
        with np.errstate(all="ignore"):
            return np.where(sound, _divided(sums, seen), again)
    return _pair_by_pair(query, key, value, order, factor, causal, key_mask, return_weights)


def factorized_pays(query: Array, key: Array, value: Array, order: int, causal: bool, backwards: bool = False) -> bool:
    """Whether the factorized form is the faster one."""
    (m, d), (n, e) = query.shape[-2:], value.shape[-2:]
    chunk = chunk_of(d, order) if backwards else CHUNK
    return polynomials.factorized_pays(m, n, d, e, order, gain=GAIN, chunk=chunk if causal else None)


def _divided(sums: Array, seen: Array) -> Array:
    """Numerators by denominators, and 0 for a query that has seen nothing."""
    total = np.where(seen, sums[..., -1:], 1)
    return np.where(seen, sums[..., :-1] / total, sums.dtype.type(0))


# Pair by pair


def _pair_by_pair(
    query: Array,
    key: Array,
    value: Array,
    order: int,
    scale: float,
    causal: bool,
    key_mask: Array | None,
    return_weights: bool,
) -> Any:
    mask = None if key_mask is None else key_mask[..., None, :]
    diagonal = causal_diagonal(causal, query, key)
    options: dict[str, Any] = {"mask": mask, "bias": None, "diagonal": diagonal}
    options |= {"parameters": (scale, float(order)), "divide": True}
    kernels = kernels_of(build_polynomial, query.dtype)
    problem = lay_out(query, key, value, batch=score_batch(query, key, value), **options)
    output, maximum, total = run_forward(problem, kernels)
    output = _over_zero(output, maximum, total, None)
    if not return_weights:
        return output
    if problem.batch != score_batch(query, key, mask):
        problem = lay_out_scores(query, key, **options)
        _, maximum, total = run_forward(problem, kernels)
    m, n = query.shape[-2], key.shape[-2]
    weights = np.zeros((*problem.batch, m, n), dtype=query.dtype)
    over_queries(problem, kernels.weights, maximum, total, weights)
    visible = np.ones((m, n), dtype=bool) if diagonal is None else np.tri(m, n, diagonal, dtype=bool)
    return AttentionResult(output, _over_zero(weights, maximum, total, visible if mask is None else visible & mask))


def _over_zero(numbers: Array, maximum: Array, total: Array, where: Array | None) -> Array:
    """Divide the rows of a query by 0 that has seen keys whose weights add up to nothing: odd orders may."""
    nothing = ((maximum == 0) & (total == 0))[..., None]
    if not nothing.any():
        return numbers
    return np.where(nothing if where is None else nothing & where, numbers / numbers.dtype.type(0), numbers)


def tensor_attention_lowrank(
    query: Array, keys: tuple[Array, ...], values: tuple[Array, ...], *, degree: int, scale: float | None, kernel: str
) -> Array:
    """See `attlas_ref.kronecker.tensor_attention_lowrank`: the moments of tuples are products of those of members."""
    factor = dot_scale(scale, query)
    e = values[0].shape[-1]
    batch = score_batch(query, *keys, *values)
    if any(key.shape[-2] == 0 for key in keys):
        return np.zeros((*batch, query.shape[-2], e), dtype=query.dtype)
    warn_if_the_bound_says_nothing(largest_mean_square(query, keys), degree, factor)
    table = monomials_of(query.shape[-1], degree)
    told = moments(keys[0], values[0], None, table)
    for key, value in zip(keys[1:], values[1:], strict=True):
        told = told * moments(key, value, None, table)
    sums = read(query, told, e, factor, table)
    return np.asarray(sums[..., :-1] / sums[..., -1:])


# Gradients


def fastmax_attention_vjp(
    query: Array,
    key: Array,
    value: Array,
    grad_output: Array,
    *,
    order: int,
    scale: float | None,
    causal: bool,
    key_mask: Array | None,
) -> AttentionVJP:
    """See `attlas_ref.kronecker.fastmax_attention_vjp`."""
    factor = dot_scale(scale, query)
    arrays = query, key, value, grad_output
    if factorized_pays(query, key, value, order, causal, backwards=True):
        gradients = causal_gradients if causal else _factorized_gradients
        grads = gradients(*arrays, order, factor, key_mask)
        sound = [np.isfinite(grad).all(axis=(-2, -1), keepdims=True) for grad in grads]
        if all(members.all() for members in sound):
            return grads
        again = _gradients_pair_by_pair(*arrays, order, factor, causal, key_mask)
        return AttentionVJP(*map(np.where, sound, grads, again))
    return _gradients_pair_by_pair(*arrays, order, factor, causal, key_mask)


def _factorized_gradients(
    query: Array, key: Array, value: Array, gradient: Array, order: int, scale: float, key_mask: Array | None
) -> AttentionVJP:
    """The output is a quotient of two sums that queries read from moments of keys; and keys from those of queries."""
    table, e, dtype = monomials_of(query.shape[-1], order), value.shape[-1], query.dtype.type
    seen = np.asarray(key.shape[-2] > 0 if key_mask is None else np.asarray(key_mask.any(axis=-1))[..., None, None])
    with np.errstate(all="ignore"):
        told = moments(key, value, key_mask, table)
        sums = read(query, told, e, scale, table)
        mean = (gradient * _divided(sums, seen)).sum(axis=-1, keepdims=True)  # <g, out>
        slope = np.concatenate([gradient, -mean], axis=-1) / np.where(seen, sums[..., -1:], dtype(1))
        slope = np.where(seen, slope, dtype(0))  # by numerator and denominator of each query
        back = moments(query, slope, None, table)
        grad_query = np.where(seen, slopes(query, told, slope, scale, table), dtype(0))
        grad_key = slopes(key, back, beside_ones(value), scale, table)
        grad_value = read(key, back, e + 1, scale, table)[..., :e]
        if key_mask is not None:
            kept = key_mask[..., None]
            grad_key, grad_value = np.where(kept, grad_key, dtype(0)), np.where(kept, grad_value, dtype(0))
        grads = zip((grad_query, grad_key, grad_value), (query, key, value), strict=True)
        return AttentionVJP(*(sum_to_shape(grad, array.shape) for grad, array in grads))


def _gradients_pair_by_pair(
    query: Array,
    key: Array,
    value: Array,
    gradient: Array,
    order: int,
    scale: float,
    causal: bool,
    key_mask: Array | None,
) -> AttentionVJP:
    mask = None if key_mask is None else key_mask[..., None, :]
    diagonal = causal_diagonal(causal, query, key)
    call = Backward(query, key, value, gradient, mask, None, diagonal, None, (scale, float(order), 0.0))
    kernels = kernels_of(build_polynomial_gradients, query.dtype)
    problem = call.by_queries()
    size, slope = problem.size, problem.dtype.type(scale)
    statistics = problem.new(size.m), problem.new(size.m)  # inverse, mean
    grad_query = problem.new(size.m, size.d)
    grad_key, grad_value = problem.new(size.n, size.d), problem.new(size.n, size.e)
    over_queries(problem, kernels.over_queries, *statistics, grad_query, own=(size.keys,))
    mirror = call.by_keys()
    over_queries(mirror, kernels.over_keys, *statistics, grad_key, grad_value, own=(mirror.size.keys,))
    with np.errstate(all="ignore"):
        return AttentionVJP(
            sum_to_shape(grad_query, query.shape) * slope,
            sum_to_shape(grad_key, key.shape) * slope,
            sum_to_shape(grad_value, value.shape),
        )


# Normalization of the tokens


def _normalized(tokens: Array, how: str, allowed: Array | None) -> Array:
    """Take a mean away from every token and divide by the largest length; neither looks at masked tokens."""
    dtype = tokens.dtype.type
    use = np.ones((1, 1), dtype=bool) if allowed is None else allowed[..., None]
    if how == "token_mean_max_norm":
        count = np.maximum(np.broadcast_to(use, (*use.shape[:-2], tokens.shape[-2], 1)).sum(axis=-2, keepdims=True), 1)
        centered = tokens - np.where(use, tokens, dtype(0)).sum(axis=-2, keepdims=True) / count.astype(tokens.dtype)
    else:
        centered = tokens - tokens.sum(axis=-1, keepdims=True) / dtype(tokens.shape[-1])
    length = np.sqrt((np.where(use, centered, dtype(0)) ** 2).sum(axis=-1, keepdims=True))
    largest = length.max(axis=-2, keepdims=True, initial=0)
    return np.asarray(centered / np.where(largest == 0, dtype(1), largest))
