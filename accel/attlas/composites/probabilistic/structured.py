"""Attention with the marginals of chains and trees as weights."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ..shapes import row_blocks, spread
from ..sums import weighted_sum

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["segmentation_attention", "syntactic_attention"]

CHAIN = 8
"""Numbers that the marginals of a binary chain take per link: two for the potentials, two for the labels, four for
pairs."""


def segmentation_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    *,
    transition: Any,
    state_bias: Any,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    normalize: bool,
    return_weights: bool,
) -> Any:
    """Run a chain per query, for some queries after the other."""
    xp, m, n = here.xp, query.shape[-2], key.shape[-2]
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    pairwise = xp.broadcast_to(transition[..., None, None, :, :], (*transition.shape[:-2], 1, max(n - 1, 0), 2, 2))
    given = [pairs[(None,) * (2 - pairs.ndim)] for pairs in (mask, bias) if pairs is not None]
    leading = np.broadcast_shapes(*(array.shape[:-2] for array in (query, key, transition, *given)))
    outputs, weights = [], []
    for rows in row_blocks(m, CHAIN * n * math.prod(leading)):
        visible = _visible_rows(xp, mask, causal, rows, m, n)
        scores = scale * (query[..., rows, :] @ key.swapaxes(-1, -2))  # (..., some, n)
        if bias is not None:
            scores = scores + _some(bias, rows).astype(scores.dtype)
        scores = spread(xp, scores, visible.shape[:-2])
        unary = xp.stack([xp.zeros_like(scores), scores], axis=-1)  # (..., some, n, 2)
        if state_bias is not None:
            unary = unary + state_bias
        selected = here.linear_chain_marginals(unary, pairwise, mask=visible).marginals[..., 1]
        if normalize:
            total = selected.sum(axis=-1)[..., None]
            selected = selected / xp.where(total == 0, 1, total)
        outputs.append(weighted_sum(here, selected, value, visible))
        if return_weights:
            weights.append(selected)
    output = xp.concat(outputs, axis=-2)
    return AttentionResult(output, xp.concat(weights, axis=-2)) if return_weights else output


def _some(pairs: Any, rows: slice) -> Any:
    """Return the rows of what broadcasts to (..., m, n)."""
    pairs = pairs[(None,) * (2 - pairs.ndim)]
    return pairs if pairs.shape[-2] == 1 else pairs[..., rows, :]


def _visible_rows(xp: Any, mask: Any, causal: bool, rows: slice, m: int, n: int) -> Any:
    """Return which of n keys some of m queries see, (..., some, n)."""
    i = xp.arange(m)[rows][:, None]
    visible = xp.arange(n) <= (i + (n - m) if causal else i + n)
    return visible if mask is None else visible & _some(mask, rows)


def syntactic_attention(
    here: "Place",
    value: Any,
    arc_scores: Any,
    root_scores: Any,
    *,
    projective: bool,
    multi_root: bool,
    direction: str,
    mask: Any,
    return_weights: bool,
) -> Any:
    """Read heads or dependents with the probabilities of the arcs."""
    xp, n = here.xp, value.shape[-2]
    marginals_of = here.projective_tree_marginals if projective else here.tree_attention_marginals
    if mask is not None:
        arc_scores = spread(xp, arc_scores, mask.shape[:-1])
    marginals = marginals_of(arc_scores, root_scores, multi_root=multi_root, mask=mask).marginals  # (..., n, n)
    weights = marginals.swapaxes(-1, -2) if direction == "parent" else marginals
    visible = xp.arange(n)[:, None] != xp.arange(n)
    if mask is not None:
        visible = visible & mask[..., :, None] & mask[..., None, :]
    output = weighted_sum(here, weights, value, visible)
    return AttentionResult(output, weights) if return_weights else output
