"""Trees of tokens, and features that are selected one at a time."""

from typing import TYPE_CHECKING, Any

import numpy as np

from attlas_ref.contract import TreeLevel

from ...trees import levels_of
from ..variational.parts import shares

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["build_token_tree", "sequential_attention_select", "sequential_attention_weights"]


def build_token_tree(here: "Place", tokens: Any, *, branch_factor: int, mask: Any, aggregator: str) -> Any:
    """Take means of means."""
    return tuple(TreeLevel(*level) for level in levels_of(here.xp, tokens, mask, branch_factor))


def sequential_attention_weights(here: "Place", logits: Any, *, selected: Any) -> Any:
    """Let what is not selected compete."""
    xp = here.xp
    return xp.where(selected, 1, shares(xp, logits, ~selected))


def sequential_attention_select(here: "Place", features: Any, target: Any, *, k: int, method: str) -> Any:
    """Pursue, or look round by round which feature enters the LASSO first."""
    if method == "omp":
        return here.orthogonal_matching_pursuit(features, target, k=k, return_coefficients=False)
    xp, d = here.xp, features.shape[-1]
    batch = np.broadcast_shapes(features.shape[:-2], target.shape[:-1])
    free = xp.ones((*batch, d), dtype=xp.bool)
    columns, apart = xp.arange(d), xp.broadcast_to(features, (*batch, *features.shape[-2:]))  # off the chosen columns
    order = []
    for _ in range(k):
        slope = xp.where(free, (apart.swapaxes(-1, -2) @ target[..., None])[..., 0], 0)  # (..., d)
        largest = xp.abs(slope).max(axis=-1)[..., None]  # λ_max
        threshold = largest * (1 - 2 * float(xp.finfo(slope.dtype).eps))  # just below it
        entering = xp.maximum(xp.abs(slope) - threshold, xp.zeros_like(slope))
        # Where nothing is left to explain all are alike: the lowest of those that are free.
        best = xp.where(free, entering, -1).argmax(axis=-1)[..., None]
        order.append(best)
        free = free & (columns != best)
        apart = _without(xp, apart, xp.take_along_axis(apart, best[..., None, :], axis=-1))
    return xp.concat(order, axis=-1)


def _without(xp: Any, apart: Any, column: Any) -> Any:
    """Return columns (..., N, d) less their parts along one of them, (..., N, 1); twice, since once is not enough."""
    length = xp.sqrt((column * column).sum(axis=-2)[..., None, :])
    own = column / xp.where(length == 0, 1, length)
    for _ in range(2):
        apart = apart - own * (own * apart).sum(axis=-2)[..., None, :]
    return apart
