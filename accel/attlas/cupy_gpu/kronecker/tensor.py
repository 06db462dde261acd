"""Attention to tuples of keys: one softmax over all tuples, a block of them at a time."""

import math
from collections.abc import Sequence
from typing import Any

from attlas_ref.contract import AttentionResult, SimplicialAttentionVJP, TensorAttentionVJP, TriDirectionalResult

from ..streams import nonzero, softmax_partial, softmax_weights
from ..tile import Score, part, summed_to, transposed
from .combine import CROSS, PRODUCT, Combination
from .tuples import TupleRows, Tuples, member_scores

__all__ = [
    "simplicial_attention",
    "simplicial_attention_vjp",
    "tensor_attention",
    "tensor_attention_vjp",
    "tri_directional_attention",
]


def tensor_attention(
    query: Any,
    keys: tuple[Any, ...],
    values: tuple[Any, ...],
    *,
    scale: float | None,
    mask: Any,
    causal: bool,
    windows: tuple[int, ...] | None,
    score: str,
    return_weights: bool,
) -> Any:
    """Return the mean of the tuples' values under the softmax over all tuples.

    A sum of scores without a mask is done set by set. The score "strassen" is computed tuple by tuple like a sum: its
    factors can underflow where their product does not, and only the exponentials would be saved.
    """
    factor = _factor(query, scale)
    if score == "sum" and mask is None and not return_weights:
        return _product_of_means(query, keys, values, factor, causal, windows)
    tuples = Tuples(query, keys, values, mask=mask, causal=causal, windows=windows)
    if score == "product":
        return _attended(tuples, _row_score(query, TupleRows(tuples, keys, PRODUCT), factor), values, return_weights)

    def of_members(tile: Any) -> Any:
        return factor * member_scores(query, keys, tile, among=score == "strassen")

    return _attended(tuples, of_members, values, return_weights)


def tensor_attention_vjp(
    query: Any,
    keys: tuple[Any, ...],
    values: tuple[Any, ...],
    grad_output: Any,
    *,
    scale: float | None,
    mask: Any,
    causal: bool,
    windows: tuple[int, ...] | None,
) -> TensorAttentionVJP:
    """Return the gradients, with the weights computed again tile by tile."""
    tuples = Tuples(query, keys, values, grad_output, mask=mask, causal=causal, windows=windows)
    return TensorAttentionVJP(*_gradients(tuples, query, keys, values, grad_output, _factor(query, scale), PRODUCT))


def simplicial_attention(
    query: Any,
    key1: Any,
    key2: Any,
    value1: Any,
    value2: Any,
    *,
    scale: float | None,
    windows: tuple[int, int] | None,
    causal: bool,
    mask: Any,
    key2_bias: float,
    value2_bias: float,
    score: str,
    return_weights: bool,
) -> Any:
    """Return the mean of the pairs' values under the softmax over all pairs."""
    keys, values = (key1, _plus(key2, key2_bias)), (value1, _plus(value2, value2_bias))
    tuples = Tuples(query, keys, values, mask=mask, causal=causal, windows=windows)
    rows = TupleRows(tuples, keys, CROSS if score == "determinant" else PRODUCT)
    return _attended(tuples, _row_score(query, rows, _factor(query, scale)), values, return_weights)


def simplicial_attention_vjp(
    query: Any,
    key1: Any,
    key2: Any,
    value1: Any,
    value2: Any,
    grad_output: Any,
    *,
    scale: float | None,
    windows: tuple[int, int] | None,
    causal: bool,
    mask: Any,
    key2_bias: float,
    value2_bias: float,
    score: str,
) -> SimplicialAttentionVJP:
    """Return the gradients, with the weights computed again tile by tile."""
    keys, values = (key1, _plus(key2, key2_bias)), (value1, _plus(value2, value2_bias))
    tuples = Tuples(query, keys, values, grad_output, mask=mask, causal=causal, windows=windows)
    combination = CROSS if score == "determinant" else PRODUCT
    grad_query, grad_keys, grad_values = _gradients(
        tuples, query, keys, values, grad_output, _factor(query, scale), combination
    )
    return SimplicialAttentionVJP(grad_query, *grad_keys, *grad_values)


def tri_directional_attention(
    key1: Any, value1: Any, key2: Any, value2: Any, key3: Any, value3: Any, *, scale: float | None
) -> TriDirectionalResult:
    """Return what each of three sets reads from pairs of the other two.

    The cube is computed three times, once per reader: what a pass shares with the others, the scores, is less than a
    third of its work.
    """
    sets = ((key1, value1), (key2, value2), (key3, value3))
    outputs = []
    for reader in range(3):
        keys, values = zip(*(pair for place, pair in enumerate(sets) if place != reader), strict=True)
        query = sets[reader][0]
        tuples = Tuples(query, keys, values)
        score = _row_score(query, TupleRows(tuples, keys, PRODUCT), _factor(query, scale))
        outputs.append(_attended(tuples, score, values))
    return TriDirectionalResult(*outputs)


def _factor(query: Any, scale: float | None) -> float:
    return 1 / math.sqrt(query.shape[-1]) if scale is None else scale


def _plus(rows: Any, bias: float) -> Any:
    return rows + bias if bias else rows


def _row_score(query: Any, rows: TupleRows, factor: float) -> Score:
    """Make the score of a query with the row of a tuple."""

    def score(tile: Any) -> Any:
        scores = tile.of_queries(query) @ transposed(rows.of(tile))
        scores *= factor
        return scores

    return score


def _attended(tuples: Tuples, score: Score, values: Sequence[Any], return_weights: bool = False) -> Any:
    rows = TupleRows(tuples, values, PRODUCT)
    output = tuples.zeros(tuples.leading, tuples.m, values[0].shape[-1])
    weights = tuples.zeros(tuples.pair_leading, tuples.m, *tuples.counts) if return_weights else None
    for band in tuples.bands():
        maximum, total, accumulator = softmax_partial(tuples, band, score, rows.weighted_sum)
        band.of_queries(output)[...] = accumulator / nonzero(tuples, total)
        if weights is not None:
            final = softmax_weights(tuples, score, maximum, total)
            for tile, visible in tuples.along(band):
                pairs = tuples.select(visible, final(tile), 0)
                tile.of_tuples(weights)[...] = tile.as_cube(pairs)
    return output if weights is None else AttentionResult(output, weights)


def _product_of_means(
    query: Any, keys: Sequence[Any], values: Sequence[Any], factor: float, causal: bool, windows: tuple[int, ...] | None
) -> Any:
    """Return the product of one softmax attention per set: the exponential of a sum is a product."""
    output: Any = 1
    for r, (key, value) in enumerate(zip(keys, values, strict=True)):
        tuples = Tuples(query, (key,), (value,), causal=causal, windows=None if windows is None else (windows[r],))
        output = output * _attended(tuples, _row_score(query, TupleRows(tuples, (key,), PRODUCT), factor), (value,))
    counts = [key.shape[-2] for key in keys]
    m = query.shape[-2]
    # Where one set shows nothing there is no tuple, whatever the others hold.
    blind = m if 0 in counts else max(0, m - min(counts)) if causal or windows is not None else 0
    output[..., :blind, :] = 0
    return output


def _gradients(
    tuples: Tuples,
    query: Any,
    keys: Sequence[Any],
    values: Sequence[Any],
    grad_output: Any,
    factor: float,
    combination: Combination,
) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
    """Return the gradients of the query, of the keys and of the values.

    A first pass over the tuples finds each row's maximum, total and mean gradient; a second one the gradients of query
    and tuples, which the product rule hands on to their members.
    """
    key_rows, value_rows = TupleRows(tuples, keys, combination), TupleRows(tuples, values, PRODUCT)
    score = _row_score(query, key_rows, factor)
    strange_query, strange_output = tuples.strange(query), tuples.strange(grad_output)
    grad_query = tuples.zeros(query.shape)
    grad_keys, grad_values = (tuple(tuples.zeros(array.shape) for array in arrays) for arrays in (keys, values))

    def grad_weights(tile: Any, visible: Any) -> Any:
        return tuples.select(visible, tile.of_queries(grad_output) @ transposed(value_rows.of(tile)), 0)

    def weighted_gradient(weights: Any, tile: Any, visible: Any) -> Any:
        return (weights * grad_weights(tile, visible)).sum(axis=-1, keepdims=True)

    for band in tuples.bands():
        maximum, total, accumulator = softmax_partial(tuples, band, score, weighted_gradient)
        mean = accumulator / nonzero(tuples, total)
        final = softmax_weights(tuples, score, maximum, total)
        q, g = band.of_queries(query), band.of_queries(grad_output)
        for tile, visible in tuples.along(band):
            seen = None if visible is None else transposed(visible)
            weights = tuples.select(visible, final(tile), 0)
            grad_scores = tuples.select(visible, weights * (grad_weights(tile, visible) - mean), 0)
            whole = tile.of_queries(grad_query)
            whole += summed_to(key_rows.weighted_sum(grad_scores, tile, visible), whole.shape)
            to_keys = tuples.weighted_sum(transposed(grad_scores), q, seen, part(strange_query, tile.rows))
            to_values = tuples.weighted_sum(transposed(weights), g, seen, part(strange_output, tile.rows))
            key_rows.add_gradients(grad_keys, to_keys, tile, visible)
            value_rows.add_gradients(grad_values, to_values, tile, visible)
    grad_query *= factor
    for grad in grad_keys:
        grad *= factor
    return grad_query, grad_keys, grad_values
