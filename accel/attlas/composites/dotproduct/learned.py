"""Scores with learned projections: project, then attend."""

import math
from typing import TYPE_CHECKING, Any

from attlas_ref.contract import AttentionResult

from ..shapes import side_by_side

if TYPE_CHECKING:
    from ...engines import Place

__all__ = [
    "bilinear_attention",
    "blend_bidirectional",
    "collapsed_attention",
    "concat_attention",
    "conditional_cross_attention",
    "conditioned_attention",
    "coulomb_graph_attention",
    "lean_attention",
    "location_attention",
    "optimized_attention",
    "super_attention",
    "symmetric_attention",
    "uniform_attention",
]


def bilinear_attention(
    here: "Place", query: Any, key: Any, value: Any, *, weight: Any, normalizer: str, **options: Any
) -> Any:
    """Project the queries; the rest is a dot product of scale 1."""
    attention = here.softmax_attention if normalizer == "softmax" else here.sparsemax_attention
    extra = {"temperature": 1.0} if normalizer == "softmax" else {}
    return attention(query @ weight, key, value, scale=1.0, bias=None, **extra, **options)


def concat_attention(here: "Place", query: Any, key: Any, value: Any, *, weight: Any, **options: Any) -> Any:
    """Split the weight: its first rows are the queries', the others the keys'."""
    p = query.shape[-1]
    return here.additive_attention(
        query, key, value, query_weight=weight[:p], key_weight=weight[p:], score_bias=None, **options
    )


def location_attention(here: "Place", query: Any, value: Any, *, weight: Any, mask: Any, return_weights: bool) -> Any:
    """Take the columns of the weight as keys."""
    return here.softmax_attention(
        query,
        weight[:, : value.shape[-2]].swapaxes(-1, -2),
        value,
        temperature=1.0,
        scale=1.0,
        mask=mask,
        bias=None,
        causal=False,
        return_weights=return_weights,
    )


def conditional_cross_attention(
    here: "Place", query: Any, key: Any, value: Any, query_spatial: Any, key_spatial: Any, **options: Any
) -> Any:
    """Stand content and position side by side: the dot product adds the two scores."""
    both = (side_by_side(here.xp, query, query_spatial), side_by_side(here.xp, key, key_spatial))
    return here.softmax_attention(*both, value, temperature=1.0, **options)


def collapsed_attention(here: "Place", inputs: Any, context: Any, *, weight: Any, **options: Any) -> Any:
    """Project the inputs; the context is key and value."""
    return here.softmax_attention(inputs @ weight, context, context, temperature=1.0, **options)


def symmetric_attention(here: "Place", inputs: Any, *, factor: Any, scale: float | None, **options: Any) -> Any:
    """Project once, for queries and keys."""
    projected = inputs @ factor
    scale = 1 / math.sqrt(inputs.shape[-1]) if scale is None else scale
    return here.softmax_attention(projected, projected, inputs, temperature=1.0, scale=scale, **options)


def lean_attention(
    here: "Place", query: Any, key: Any, value: Any, *, query_weight: Any, output_weight: Any, mask: Any, causal: bool
) -> Any:
    """Project the queries and the outputs."""
    return _plain(here, query @ query_weight, key, value, mask, causal) @ output_weight


def super_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    *,
    query_weight: Any,
    alignment: Any,
    output_weight: Any,
    mask: Any,
    causal: bool,
) -> Any:
    """Mix the positions of the values first."""
    mixing = here.xp.tril(alignment) if causal else alignment
    return _plain(here, query @ query_weight, key, mixing @ value, mask, causal) @ output_weight


def optimized_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    *,
    query_weight: Any,
    key_weight: Any,
    output_weight: Any,
    mask: Any,
    causal: bool,
) -> Any:
    """Let each head read its slice of the values, and stand the results side by side."""
    xp, heads, width = here.xp, query_weight.shape[0], value.shape[-1]
    slices = value.reshape(*value.shape[:-1], heads, width // heads).swapaxes(-2, -3)  # (..., h, n, D/h)
    if mask is not None and mask.ndim > 2:
        mask = mask[..., None, :, :]
    outputs = _plain(
        here, query[..., None, :, :] @ query_weight, key[..., None, :, :] @ key_weight, slices, mask, causal
    )
    moved = xp.moveaxis(outputs, -3, -2)  # (..., m, h, D/h)
    return moved.reshape(*moved.shape[:-2], width) @ output_weight


def uniform_attention(here: "Place", value: Any, *, m: int | None, mask: Any, causal: bool) -> Any:
    """Attend with queries and keys of zeros: all scores are equal."""
    xp, n = here.xp, value.shape[-2]
    query = xp.zeros((n if m is None else m, 1), dtype=value.dtype)
    return _plain(here, query, xp.zeros((n, 1), dtype=value.dtype), value, mask, causal)


def conditioned_attention(
    here: "Place",
    inputs: Any,
    features: Any,
    *,
    score_weight: Any,
    score_bias: float,
    method: str,
    hidden_weight: Any,
    hidden_bias: Any,
    mask: Any,
    return_weights: bool,
    **weights: Any,
) -> Any:
    """Score the conditioned states and read the plain ones: one query whose scores are a bias."""
    xp = here.xp
    conditioned = _conditioned(xp, inputs, features, method, **weights)
    if hidden_weight is not None:
        conditioned = xp.tanh(conditioned @ hidden_weight + hidden_bias)
    scores = (conditioned @ score_weight + score_bias)[..., None, :]  # (..., 1, n)
    result = here.softmax_attention(
        xp.zeros((*scores.shape[:-2], 1, 1), dtype=inputs.dtype),
        xp.zeros((inputs.shape[-2], 1), dtype=inputs.dtype),
        inputs,
        temperature=1.0,
        scale=1.0,
        mask=None if mask is None else mask[..., None, :],
        bias=scores,
        causal=False,
        return_weights=return_weights,
    )
    return type(result)(*(part[..., 0, :] for part in result)) if return_weights else result[..., 0, :]


def _conditioned(
    xp: Any,
    inputs: Any,
    features: Any,
    method: str,
    *,
    gate_weight: Any,
    gate_bias: Any,
    scale_weight: Any,
    scale_bias: Any,
    shift_weight: Any,
    shift_bias: Any,
) -> Any:
    if method == "concat":
        return side_by_side(xp, inputs, features)
    if method == "gate":
        # The logistic function as a hyperbolic tangent: it overflows on neither side.
        return (0.5 * xp.tanh(0.5 * (features @ gate_weight + gate_bias)) + 0.5) * inputs
    affine = inputs * (features @ scale_weight + scale_bias) + (features @ shift_weight + shift_bias)
    return xp.tanh(affine) if method == "nonlinear_affine" else affine


def blend_bidirectional(
    here: "Place", causal_feature: Any, bidirectional_feature: Any, *, weight: Any, base: Any
) -> Any:
    """Add with weights that sum to 1."""
    weight, base = (x.astype(causal_feature.dtype) for x in (weight, base))
    size = here.xp.abs(weight)
    return (base * causal_feature + size * bidirectional_feature) / (base + size)


def coulomb_graph_attention(
    here: "Place",
    features: Any,
    adjacency: Any,
    *,
    weight: Any,
    node_bias: Any,
    score_matrix: Any,
    power: Any,
    negative_slope: float,
    activation: str,
    return_weights: bool,
) -> Any:
    """Average by the adjacency, score against a vector per node, average by the scores.

    The scores are given, (n, n) of them; so the weights are computed from them, and products do the rest: what the
    potentials gather becomes scores once more, and must be as sharp as the formula makes it.
    """
    xp = here.xp
    projected = features @ weight + node_bias  # (..., n, c)
    gathered = _softmax(here, adjacency if power is None else adjacency**power) @ projected
    scores = score_matrix @ gathered.swapaxes(-1, -2)  # (..., n, n)
    weights = _softmax(here, xp.where(scores > 0, scores, negative_slope * scores))
    output = weights @ projected
    output = xp.maximum(output, xp.zeros_like(output)) if activation == "relu" else output
    return AttentionResult(output, weights) if return_weights else output


def _softmax(here: "Place", scores: Any) -> Any:
    """Normalize given scores: attention with queries and keys of zeros, the scores as bias."""
    xp = here.xp
    query, key = (xp.zeros((*scores.shape[:-2], rows, 1), dtype=scores.dtype) for rows in scores.shape[-2:])
    result = here.softmax_attention(
        query,
        key,
        key[..., :0],
        temperature=1.0,
        scale=1.0,
        mask=None,
        bias=scores,
        causal=False,
        return_weights=True,
    )
    return result.weights


def _plain(here: "Place", query: Any, key: Any, value: Any, mask: Any, causal: bool) -> Any:
    return here.softmax_attention(
        query,
        key,
        value,
        temperature=1.0,
        scale=None,
        mask=mask,
        bias=None,
        causal=causal,
        return_weights=False,
    )
