"""Attention of one query to every prefix of its keys, by a parallel scan.

Each token begins as the partial attention (its score, 1, its value). In round r every prefix is merged with the one
that ends 2^r tokens before, so that after log2(n) rounds it reaches back to the first token: n log2(n) merges, but all
of a round at once.
Bound by memory traffic: a round reads and writes the (n, e) accumulators once.
"""

import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import AttentionPartial, PrefixResult

__all__ = ["prefix_attention"]


def prefix_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    scale: float | None,
    mask: Any,
    bias: Any,
    method: str,
    state: tuple[Any, Any, Any] | None,
    return_state: bool,
) -> Any:
    """Return the mean of the values over every prefix; both methods are computed alike."""
    xp, (n, e) = array_namespace(query), value.shape[-2:]
    scores = (key @ query[..., :, None])[..., 0] * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if bias is not None:
        scores = scores + bias.astype(scores.dtype, copy=False)
    if mask is not None:
        scores = xp.where(mask, scores, -math.inf)
    before = [] if state is None else [state[0].shape, state[1].shape, state[2].shape[:-1]]
    leading = np.broadcast_shapes(scores.shape[:-1], value.shape[:-2], *before)
    maximum = xp.zeros((*leading, n + 1), dtype=scores.dtype)  # the state before the first token comes first
    total, accumulator = xp.zeros_like(maximum), xp.zeros((*leading, n + 1, e), dtype=scores.dtype)
    maximum[..., 0], total[..., 0], accumulator[..., 0, :] = (-math.inf, 0, 0) if state is None else state
    hidden = scores == -math.inf
    maximum[..., 1:], total[..., 1:] = scores, xp.where(hidden, 0, 1)
    accumulator[..., 1:, :] = xp.where(hidden[..., None], 0, value)
    reach = 1
    while reach <= n:
        largest = xp.maximum(maximum[..., reach:], maximum[..., :-reach])
        mine, theirs = _rescale(xp, maximum[..., reach:], largest), _rescale(xp, maximum[..., :-reach], largest)
        # The right-hand sides are complete before they are written.
        total[..., reach:] = mine * total[..., reach:] + theirs * total[..., :-reach]
        accumulator[..., reach:, :] = (
            mine[..., None] * accumulator[..., reach:, :] + theirs[..., None] * accumulator[..., :-reach, :]
        )
        maximum[..., reach:] = largest
        reach *= 2
    output = accumulator[..., 1:, :] / xp.where(total == 0, 1, total)[..., 1:, None]
    if not return_state:
        return output
    return PrefixResult(
        output, AttentionPartial(maximum[..., -1].copy(), total[..., -1].copy(), accumulator[..., -1, :].copy())
    )


def _rescale(xp: Any, old: Any, new: Any) -> Any:
    """Return the factor of a partial under a new maximum; 0 if it is empty."""
    return xp.where(old == -math.inf, 0, xp.exp(old - new))
