"""Hopfield retrieval: attention in which the query is moved before it reads.

A fixed number of steps is as many attentions, each streamed. A tolerance needs the weights of two steps at a time:
there the rows of a tile are whole, and all their steps are taken before the next rows are begun.
"""

import math
from functools import partial
from typing import Any

from attlas_ref.contract import AttentionVJP, RetrievalSteps, RetrievalWeightsSteps

from ..dotproduct import softmax_attention, softmax_attention_vjp
from ..simplex import entmax_attention, entmax_map
from ..streams import row_softmax, rows_attended
from ..tile import Tile, Tiles, dot_scores, part, plus_bias, summed_to, transposed

__all__ = ["hopfield_attention", "hopfield_attention_vjp"]


def hopfield_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    beta: float | None,
    steps: int,
    tol: float,
    alpha: float,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
    return_steps: bool,
) -> Any:
    """Return the mean of the values under the weights of the last step."""
    value = key if value is None else value
    tiles = Tiles(query, key, value, mask=mask, bias=bias, causal=causal, whole_rows=True)
    taken = tiles.xp.zeros((*tiles.pair_leading, tiles.m), dtype="int64") + steps
    if tol > 0 and steps > 1:
        result = _until_at_rest(tiles, query, key, value, beta, steps, tol, alpha, bias, return_weights, taken)
    else:
        read = _reader(alpha, scale=beta, mask=mask, bias=bias, causal=causal)
        for _ in range(1, steps):
            query = read(query, key, key, return_weights=False)
        result = read(query, key, value, return_weights=return_weights)
    if not return_steps:
        return result
    if return_weights:
        return RetrievalWeightsSteps(result.output, result.weights, taken)
    return RetrievalSteps(result, taken)


def hopfield_attention_vjp(
    query: Any,
    key: Any,
    value: Any,
    grad_output: Any,
    *,
    beta: float | None,
    steps: int,
    alpha: float,
    mask: Any,
    bias: Any,
    causal: bool,
) -> AttentionVJP:
    """Return the gradients: those of one attention per step, from the last to the first."""
    options = {"scale": beta, "mask": mask, "bias": bias, "causal": causal}
    read, states = _reader(alpha, return_weights=False, **options), [query]
    for _ in range(1, steps):
        states.append(read(states[-1], key, key))
    if alpha == 1:
        backward: Any = partial(
            softmax_attention_vjp, temperature=1.0, key_chunk_size=None, return_grad_bias=False, **options
        )
    else:
        backward = partial(_entmax_attention_vjp, alpha=alpha, **options)
    grad, grad_key, grad_value = backward(states.pop(), key, key if value is None else value, grad_output)
    if value is None:
        grad_key, grad_value = grad_key + grad_value, None
    while states:
        grad, as_key, as_value = backward(states.pop(), key, key, grad)
        grad_key = grad_key + as_key + as_value
    return AttentionVJP(grad, grad_key, grad_value)


def _reader(alpha: float, **options: Any) -> Any:
    if alpha == 1:
        return partial(softmax_attention, temperature=1.0, **options)
    return partial(entmax_attention, alpha=alpha, **options)


def _until_at_rest(
    tiles: Tiles,
    query: Any,
    key: Any,
    value: Any,
    beta: float | None,
    steps: int,
    tol: float,
    alpha: float,
    bias: Any,
    return_weights: bool,
    taken: Any,
) -> Any:
    """Take steps until the weights of a row move by no more than a tolerance; `taken` counts them.

    Rows at rest are computed on with those that move, and what they give is dropped: the host need not wait to know.
    """
    xp, strange = tiles.xp, tiles.strange(key)
    factor = 1 / math.sqrt(query.shape[-1]) if beta is None else beta
    taken[...] = 2  # a row that sees nothing
    project = partial(row_softmax, tiles) if alpha == 1 else entmax_map(alpha)

    def weigh(tile: Tile, visible: Any) -> tuple[Any, Any]:
        keys = tile.of_keys(key)

        def weights_of(state: Any) -> Any:
            scores = plus_bias(factor * (state @ transposed(keys)), tile, bias)
            return tiles.select(visible, project(tiles.select(visible, scores, -math.inf)), 0)

        weights = weights_of(tile.of_queries(query))
        moving = xp.full_like(weights[..., :1], 1) > 0
        counts = moving.astype(taken.dtype)
        for _ in range(1, steps):
            updated = weights_of(tiles.weighted_sum(weights, keys, visible, part(strange, tile.columns)))
            change = updated - weights
            distance = xp.sqrt((change * change).sum(axis=-1, keepdims=True))
            weights = xp.where(moving, updated, weights)
            counts = counts + moving
            moving = moving & ~(distance <= tol)  # a NaN never comes to rest
        tile.of_queries(taken[..., None])[...] = counts
        return weights, visible

    return rows_attended(tiles, weigh, value, return_weights)


def _entmax_attention_vjp(
    query: Any,
    key: Any,
    value: Any,
    grad_output: Any,
    *,
    alpha: float,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
) -> tuple[Any, Any, Any]:
    """Return the gradients of attention with entmax: on the support u (g - Σ u g / Σ u), u = w^(2 - alpha)."""
    tiles = Tiles(query, key, value, grad_output, mask=mask, bias=bias, causal=causal, whole_rows=True)
    xp, score, project = tiles.xp, dot_scores(query, key, scale, bias), entmax_map(alpha)
    strange_query, strange_key, strange_output = (tiles.strange(array) for array in (query, key, grad_output))
    grads = tuple(tiles.zeros(array.shape) for array in (query, key, value))
    for band in tiles.bands():
        q, g = band.of_queries(query), band.of_queries(grad_output)
        for tile, visible in tiles.along(band):
            weights = tiles.select(visible, project(tiles.select(visible, score(tile), -math.inf)), 0)
            grad_weights = tiles.select(visible, g @ transposed(tile.of_keys(value)), 0)
            supported = weights != 0  # a NaN belongs to it
            u = xp.where(supported, xp.where(supported, weights, 1) ** (2 - alpha), 0)
            total = u.sum(axis=-1, keepdims=True)
            mean = (u * grad_weights).sum(axis=-1, keepdims=True) / xp.where(total == 0, 1, total)
            grad_scores = tiles.select(visible, xp.where(supported, u * (grad_weights - mean), 0), 0)
            seen = None if visible is None else transposed(visible)
            to_query = tiles.weighted_sum(grad_scores, tile.of_keys(key), visible, part(strange_key, tile.columns))
            to_key = tiles.weighted_sum(transposed(grad_scores), q, seen, part(strange_query, tile.rows))
            to_value = tiles.weighted_sum(transposed(weights), g, seen, part(strange_output, tile.rows))
            wholes = (tile.of_queries(grads[0]), tile.of_keys(grads[1]), tile.of_keys(grads[2]))
            for whole, step in zip(wholes, (to_query, to_key, to_value), strict=True):
                whole += summed_to(step, whole.shape)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    return factor * grads[0], factor * grads[1], grads[2]
