"""Where to look while a caption is written: additive scores, with a gate or with a sentinel beside the regions.

What depends on a word or on a region alone is computed first; the pairs are left to the kernels of `learned`. A
sentinel is one more item of its word's softmax: a score per word, which joins the maximum and the total that the kernel
leaves of the regions.

Bound by: T L a hyperbolic tangents, about thirty instructions each (see `network`), or as many rectifications.
Differs from the reference by rounding. `b_score` is left out: a softmax forgets what all its scores have in common.
"""

from typing import Any

import numpy as np
from scipy.special import expit

from attlas_ref.contract import AttentionResult, GatedResult, GatedWeightsResult, SentinelResult, SentinelWeightsResult

from ..attention import attend, kernels_of, run_forward, score_batch
from ..learned import build_additive, build_one_layer
from ..operands import Array, lay_out, over_queries
from ..product import projected

__all__ = ["show_attend_attention", "visual_sentinel_attention"]


def show_attend_attention(
    hidden: Array,
    annotations: Array,
    *,
    w_annotation: Array,
    b_annotation: Array,
    w_hidden: Array,
    b_hidden: Array,
    w_score: Array,
    b_score: float,
    w_gate: Array | None,
    b_gate: Array | None,
    activation: str,
    mask: Array | None,
    return_weights: bool,
    return_gate: bool,
) -> Any:
    """See `attlas_ref.variational.show_attend_attention`."""
    words, regions = projected(hidden, w_hidden, b_hidden), projected(annotations, w_annotation, b_annotation)
    found = attend(
        build_additive if activation == "tanh" else build_one_layer,
        words,
        regions,
        annotations,
        0.0,  # what a layer adds to its scores
        mask=mask,
        bias=None,
        causal=False,
        return_weights=return_weights,
        extra=w_score[None, :],
    )
    output, weights = found if return_weights else (found, None)
    if w_gate is None:
        gate = np.ones((*hidden.shape[:-1], 1), dtype=hidden.dtype)
    else:
        gate = expit(projected(hidden, w_gate, b_gate))
        if annotations.shape[-2] > 0:  # a word that sees nothing has no gate
            output *= gate if mask is None else np.where(mask.any(axis=-1, keepdims=True), gate, 0)
    if return_gate:
        return GatedResult(output, gate) if weights is None else GatedWeightsResult(output, weights, gate)
    return output if weights is None else AttentionResult(output, weights)


def visual_sentinel_attention(
    hidden: Array,
    features: Array,
    sentinel: Array,
    *,
    w_feature: Array,
    w_hidden: Array,
    w_sentinel: Array,
    w_score: Array,
    mask: Array | None,
    return_weights: bool,
    return_sentinel: bool,
) -> Any:
    """See `attlas_ref.variational.visual_sentinel_attention`."""
    words, regions = projected(hidden, w_hidden), projected(features, w_feature)
    told = np.tanh(projected(sentinel, w_sentinel) + words) @ w_score  # (..., T)
    problem = lay_out(
        words,
        regions,
        features,
        mask=mask,
        bias=None,
        extra=w_score[None, :],
        diagonal=None,
        batch=score_batch(words, regions, mask),
        parameters=(),
        divide=True,
    )
    kernels = kernels_of(build_additive, hidden.dtype)
    context, maximum, total = run_forward(problem, kernels)
    largest = np.maximum(maximum, told)
    shift = np.where(np.isneginf(largest), 0, largest)
    own, others = np.exp(told - shift), total * np.exp(maximum - shift)
    whole = own + others
    divisor = np.where(whole == 0, 1, whole)
    share, rest = own / divisor, others / divisor
    output = rest[..., None] * context + share[..., None] * sentinel
    if not return_weights:
        return SentinelResult(output, share) if return_sentinel else output
    weights = np.zeros((*problem.batch, problem.size.m, problem.size.n), dtype=hidden.dtype)
    over_queries(problem, kernels.weights, maximum, total, weights)
    return SentinelWeightsResult(output, weights, share) if return_sentinel else AttentionResult(output, weights)
