"""Luong's scores and his global attention; attention everywhere mixed with attention near its peak."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from attlas_ref.contract import AttentionResult, with_extras

from ..shapes import held, row_blocks, spread

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["context_aware_cross_attention", "luong_attention", "luong_score"]


def luong_score(
    here: "Place",
    query: Any,
    key: Any,
    *,
    score: str,
    w_score: Any,
    w_query: Any,
    w_key: Any,
    b_query: Any,
    v: Any,
) -> Any:
    """Return all scores; the hyperbolic tangents of a pair are made for some queries after the other."""
    xp, n = here.xp, key.shape[-2]
    if score == "dot":
        return query @ key.swapaxes(-1, -2)
    if score == "general":
        return (query @ w_score) @ key.swapaxes(-1, -2)
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    if score == "location":
        scores = query @ w_score[:, :n]
        return xp.broadcast_to(scores, (*leading, *scores.shape[-2:])).copy()
    if score == "concat":
        w_query, w_key, b_query = w_score[: query.shape[-1]], w_score[query.shape[-1] :], None
    asked, met = query @ w_query, (key @ w_key)[..., None, :, :]
    asked = asked if b_query is None else asked + b_query
    blocks = row_blocks(asked.shape[-2], n * asked.shape[-1] * math.prod(leading))
    return xp.concat([xp.tanh(asked[..., rows, None, :] + met) @ v for rows in blocks], axis=-2)


def luong_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    *,
    score: str,
    w_score: Any,
    w_query: Any,
    w_key: Any,
    b_query: Any,
    v: Any,
    mask: Any,
    w_out: Any,
    b_out: Any,
    return_weights: bool,
    return_attentional: bool,
) -> Any:
    """Attend with the function that has these scores, and put context and query together."""
    common: dict[str, Any] = {"mask": mask, "causal": False, "return_weights": return_weights}
    if score == "additive":
        weights_of_score = {"query_weight": w_query, "key_weight": w_key, "score_vector": v, "score_bias": b_query}
        found = here.additive_attention(query, key, value, **weights_of_score, **common)
    elif score == "concat":
        p = query.shape[-1]
        parts = {"query_weight": w_score[:p], "key_weight": w_score[p:], "score_vector": v, "score_bias": None}
        found = here.additive_attention(query, key, value, **parts, **common)
    else:
        if score == "location":
            # The keys say how many there are, and over which leading axes; what they hold is not felt.
            columns = w_score[:, : key.shape[-2]].swapaxes(-1, -2)  # (n, p)
            asked, met = query, here.xp.broadcast_to(columns, (*key.shape[:-2], *columns.shape))
        else:
            asked, met = (query if score == "dot" else query @ w_score), key
        found = here.softmax_attention(asked, met, value, temperature=1.0, scale=1.0, bias=None, **common)
    output, weights = found if return_weights else (found, None)
    if not return_attentional:
        return with_extras(output, weights=weights)
    e = output.shape[-1]
    hidden = output @ w_out[:e] + query @ w_out[e:]
    attentional = here.xp.tanh(hidden if b_out is None else hidden + b_out)
    return with_extras(output, weights=weights, attentional=attentional)


def context_aware_cross_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    gate: Any,
    *,
    radius: int,
    center: Any,
    scale: float | None,
    mask: Any,
    bias: Any,
    return_weights: bool,
) -> Any:
    """Attend to everything, and to the window about the peak or the center; the gate mixes what they read."""
    xp = here.xp
    # Mask and bias may have the leading axes of the gates.
    query = spread(xp, query, gate.shape[:-1])
    common: dict[str, Any] = {"scale": scale, "mask": mask, "bias": bias}
    everywhere = here.softmax_attention(
        query, key, value, temperature=1.0, causal=False, return_weights=return_weights, **common
    )
    if center is None:
        # Values of width 0: the peak is all that is asked for.
        nothing = xp.zeros((key.shape[-2], 0), dtype=value.dtype)
        chosen = here.hard_attention(
            query,
            key,
            nothing,
            uniform=None,
            temperature=1.0,
            causal=False,
            return_weights=False,
            return_index=True,
            **common,
        )
        center = chosen.index
    center = xp.asarray(center)
    around = here.windowed_soft_attention(
        query, key, value, center, left=radius, right=radius, return_weights=return_weights, **common
    )
    share = gate[..., None]
    if mask is not None:
        # A query that sees nothing reads zeros, whatever its gate is.
        seen = held(mask[(None,) * (2 - mask.ndim)]).any(axis=-1)[..., None]
        share = xp.where(seen, share, 0)
    elif key.shape[-2] == 0:
        share = xp.zeros_like(share)

    def mixed(of_all: Any, of_near: Any) -> Any:
        return share * of_all + (1 - share) * of_near

    if not return_weights:
        return mixed(everywhere, around)
    weights = mixed(everywhere.weights, around.weights)
    if mask is not None:
        weights = xp.where(mask, weights, 0)
    return AttentionResult(mixed(everywhere.output, around.output), weights)
