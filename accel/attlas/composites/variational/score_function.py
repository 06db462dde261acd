"""The gradient of an expected reward: exactly, or from samples."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..shapes import row_blocks
from .parts import shares

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["alignment_score_gradient"]


def alignment_score_gradient(
    here: "Place",
    logits: Any,
    rewards: Any,
    *,
    samples: Any,
    baseline: Any,
    entropy_weight: float,
    mask: Any,
) -> Any:
    """Weigh the rewards, and the logarithms of the weights."""
    xp = here.xp
    visible = xp.ones(logits.shape, dtype=xp.bool)
    visible = visible if mask is None else visible & mask
    q = shares(xp, logits, visible)
    if samples is None:
        mean = xp.where(visible, q * rewards, 0).sum(axis=-1, keepdims=True)
        gradient = q * (rewards - mean)
    else:
        gradient = _of_samples(xp, q, visible, samples, rewards - baseline[..., None])
    if entropy_weight:
        log_q = xp.log(xp.where(q == 0, 1, q))  # 0 log 0 = 0
        entropy = -(q * log_q).sum(axis=-1, keepdims=True)
        gradient = gradient - entropy_weight * q * (log_q + entropy)
    return xp.where(visible, gradient, 0)


def _of_samples(xp: Any, q: Any, visible: Any, samples: Any, advantage: Any) -> Any:
    """Average over the samples that the mask shows, some of them at a time: each stands beside all places."""
    n, count = q.shape[-1], samples.shape[-1]
    leading = np.broadcast_shapes(q.shape[:-1], samples.shape[:-1])
    drawn = xp.broadcast_to(samples, (*leading, count))
    counts = xp.take_along_axis(xp.broadcast_to(visible, (*leading, n)), drawn, axis=-1)
    advantage = xp.where(counts, advantage, 0)
    total: Any = 0
    for some in row_blocks(count, math.prod(advantage.shape[:-1]) * n):
        hit = drawn[..., some, None] == xp.arange(n)  # (..., some of K, n)
        total = total + (advantage[..., some, None] * (hit - q[..., None, :])).sum(axis=-2)
    return total / xp.maximum(counts.sum(axis=-1), 1).astype(q.dtype)[..., None]
