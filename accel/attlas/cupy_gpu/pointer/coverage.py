"""Additive attention that sees its own past: one step after the other, all members and keys of a step at once.

A step takes a handful of launches over n a numbers of each member. Its hidden units exist for one step only, no more of
them than the projected keys have.
Bound by memory traffic, a few passes over n a numbers per step; where members and keys are few, by the launches.
Differs from the reference by rounding. `b_v` is left out: a softmax forgets what all its scores have in common.
"""

from typing import Any

from attlas_ref.contract import with_extras

from ..tile import Tiles
from .distribution import projected
from .rows import masked_softmax

__all__ = ["coverage_attention"]


def coverage_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    w_query: Any,
    w_key: Any,
    b_key: Any,
    w_coverage: Any,
    b_coverage: Any,
    v: Any,
    b_v: float,
    scale: float,
    initial: Any,
    mask: Any,
    return_weights: bool,
    return_coverage: bool,
) -> Any:
    """Return the means of the values, step by step."""
    of_query, of_key = query @ w_query, projected(projected(key, w_key, b_key), None, b_coverage)
    pairs = None if mask is None else mask[(None,) * (2 - mask.ndim)]
    first = initial[..., None, :] if not isinstance(initial, str) else key[..., :0, :0]
    tiles = Tiles(query, key, value, mask=pairs, bias=None, causal=False, scored=[first])
    xp, m, n = tiles.xp, tiles.m, tiles.n

    def seen_at(i: int) -> Any:
        return None if pairs is None else pairs[..., 0 if pairs.shape[-2] == 1 else i, :]

    coverage = _started(tiles, initial, seen_at(0) if m else None)  # (..., n)
    strange = tiles.strange(value)
    output = tiles.zeros(tiles.leading, m, value.shape[-1])
    weights = tiles.zeros(tiles.pair_leading, m, n) if return_weights else None
    for i in range(m if n else 0):
        visible = seen_at(i)
        hidden = of_query[..., i, None, :] + of_key + coverage[..., None] * w_coverage  # (..., n, a)
        row = masked_softmax(xp, scale * (xp.tanh(hidden) @ v), visible)  # (..., n)
        coverage = coverage + row
        if weights is not None:
            weights[..., i, :] = row
        shown = None if visible is None else visible[..., None, :]
        output[..., i, :] = tiles.weighted_sum(row[..., None, :], value, shown, strange)[..., 0, :]
    if return_coverage:
        coverage = xp.broadcast_to(coverage, (*tiles.pair_leading, n)).copy()
    return with_extras(output, weights=weights, coverage=coverage if return_coverage else None)


def _started(tiles: Tiles, initial: Any, visible: Any) -> Any:
    """Return the coverage before the first step, which sees what is visible."""
    if not isinstance(initial, str):
        return initial
    xp, none = tiles.xp, tiles.zeros(tiles.pair_leading, tiles.n)
    if initial == "zeros" or tiles.m == 0:
        return none
    first = none == 0 if visible is None else xp.broadcast_to(visible, none.shape)
    count = xp.maximum(first.sum(axis=-1, keepdims=True), 1).astype(tiles.dtype)
    return xp.where(first, 1 / count, none)
