"""Attention by a truncated exponential of the scores: factorized, or a tile of pairs at a time.

A call takes the form that costs less (`polynomials`). Powers of single channels overflow where no score does, and where
infinities or NaN take part a product is not what a sum over pairs would be: what is not finite everywhere is computed
again from pairs. Pairs are bound by memory traffic: one pass over the tile per order.
"""

from typing import Any

from array_api_compat import array_namespace

from attlas_ref.contract import AttentionVJP

from ... import polynomials
from ..streams import Contribution, attended
from ..tile import Score, Tile, Tiles, dot_scores
from . import factorized
from .factorized_call import Factorized
from .polynomial import add_gradients, factor_of, folded, grad_weights, truncated_exp

__all__ = ["fastmax_attention", "fastmax_attention_vjp"]

GAIN = 0.5
"""Which share of the multiply-adds the factorized form may have, so that it is faster: more of them wait for memory.
Chosen by counting passes, not yet by measurement."""


def fastmax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    order: int,
    scale: float | None,
    causal: bool,
    key_mask: Any,
    normalize: str | None,
    return_weights: bool,
) -> Any:
    """Return the mean of the values under weights that are polynomials of the scores."""
    if normalize is not None:
        query, key = _normalized(query, normalize, None), _normalized(key, normalize, key_mask)
    if not return_weights and factorized_pays(query, key, value, order, causal):
        form = Factorized(query, key, value, order, scale, causal, key_mask)
        output = form.output()
        sound = form.xp.isfinite(output).all(axis=(-2, -1), keepdims=True)
        if bool(sound.all()):
            return output
        # Each member by itself: no other one's overflow changes its bits.
        return form.xp.where(sound, output, _pair_by_pair(query, key, value, order, scale, causal, key_mask, False))
    return _pair_by_pair(query, key, value, order, scale, causal, key_mask, return_weights)


def _pair_by_pair(
    query: Any,
    key: Any,
    value: Any,
    order: int,
    scale: float | None,
    causal: bool,
    key_mask: Any,
    return_weights: bool,
) -> Any:
    tiles = Tiles(query, key, value, mask=_of_pairs(key_mask), bias=None, causal=causal)
    score = dot_scores(query, key, scale, None)

    def fold(band: Tile, contribution: Contribution) -> tuple[Any, Score]:
        total, accumulator, seen = folded(tiles, band, score, order, contribution)
        divisor = tiles.xp.where(seen, total, 1)
        return accumulator / divisor, lambda tile: truncated_exp(score(tile), order) / divisor

    return attended(tiles, value, return_weights, fold)


def fastmax_attention_vjp(
    query: Any,
    key: Any,
    value: Any,
    grad_output: Any,
    *,
    order: int,
    scale: float | None,
    causal: bool,
    key_mask: Any,
) -> AttentionVJP:
    """Return the gradients, with the weights computed again tile by tile, or with moments of keys and of queries."""
    if factorized_pays(query, key, value, order, causal, more=order * query.shape[-1] // 3):
        form = Factorized(query, key, value, order, scale, causal, key_mask, centered=True)
        found = form.gradients(grad_output)
        sound = [form.xp.isfinite(grad).all(axis=(-2, -1), keepdims=True) for grad in found]
        if bool(sum((~members).sum() for members in sound) == 0):
            return found
        again = _gradients_pair_by_pair(query, key, value, grad_output, order, scale, causal, key_mask)
        return AttentionVJP(*map(form.xp.where, sound, found, again))
    return _gradients_pair_by_pair(query, key, value, grad_output, order, scale, causal, key_mask)


def _gradients_pair_by_pair(
    query: Any, key: Any, value: Any, grad_output: Any, order: int, scale: float | None, causal: bool, key_mask: Any
) -> AttentionVJP:
    arrays = query, key, value, grad_output
    tiles = Tiles(*arrays, mask=_of_pairs(key_mask), bias=None, causal=causal)
    score = dot_scores(query, key, scale, None)
    strange = tiles.strange(query), tiles.strange(key), tiles.strange(grad_output)
    grads = tuple(tiles.zeros(array.shape) for array in arrays[:3])

    def weighted_gradient(weights: Any, tile: Tile, visible: Any) -> Any:
        return (weights * grad_weights(tiles, tile, visible, value, grad_output)).sum(axis=-1, keepdims=True)

    for band in tiles.bands():
        total, accumulator, seen = folded(tiles, band, score, order, weighted_gradient)
        divisor = tiles.xp.where(seen, total, 1)
        add_gradients(tiles, band, score, order, arrays, (divisor, accumulator / divisor), grads, strange)
    factor = factor_of(query, scale)
    for grad in grads[:2]:
        grad *= factor
    return AttentionVJP(*grads)


def factorized_pays(query: Any, key: Any, value: Any, order: int, causal: bool, more: int = 0) -> bool:
    """Whether the factorized form is the faster one."""
    (m, d), (n, e) = query.shape[-2:], value.shape[-2:]
    chunk = factorized.CHUNK if causal else None
    return polynomials.factorized_pays(m, n, d, e, order, gain=GAIN, chunk=chunk, more=more)


def _of_pairs(key_mask: Any) -> Any:
    return None if key_mask is None else key_mask[..., None, :]


def _normalized(tokens: Any, how: str, allowed: Any) -> Any:
    """Subtract a mean and divide by the largest norm of a token."""
    xp, count = array_namespace(tokens), tokens.shape[-2]
    if count == 0:
        return tokens
    use = None if allowed is None else xp.broadcast_to(allowed, (*allowed.shape[:-1], count))[..., None]

    def selected(rows: Any) -> Any:
        return rows if use is None else xp.where(use, rows, 0)

    if how == "token_mean_max_norm":
        used = count if use is None else xp.maximum(use.sum(axis=-2, keepdims=True), 1).astype(tokens.dtype)
        centered = tokens - selected(tokens).sum(axis=-2, keepdims=True) / used
    else:
        centered = tokens - tokens.sum(axis=-1, keepdims=True) / tokens.shape[-1]
    kept = selected(centered)
    norm = xp.sqrt((kept * kept).sum(axis=-1, keepdims=True))
    largest = norm.max(axis=-2, keepdims=True)
    return centered / xp.where(largest == 0, 1, largest)
