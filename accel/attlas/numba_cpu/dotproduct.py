"""The dense core on the CPU."""

from typing import Any

import numpy as np

from attlas_ref.contract import AttentionPartial, AttentionVJP, AttentionVJPWithBias

from .attention import attend, causal_diagonal, dot_scale, kernels_of, lay_out_scores, run_forward, score_batch
from .backward import Backward, softmax_gradients
from .columns import stacked_cross_attention
from .dense import build_softmax, dot_score
from .gradient import GradientKernels, build_gradient
from .learned import additive_attention, graph_attention, graph_attention_v2, neural_attention
from .multi_token import multi_token_attention
from .operands import Array, lay_out
from .prefix import prefix_attention
from .real import Real
from .relational import relational_attention
from .selective import selective_attention
from .threshold import threshold_relative_attention
from .tile import Kernels, build, softmax

__all__ = [
    "additive_attention",
    "attention_energy",
    "attention_partial",
    "distance_attention",
    "graph_attention",
    "graph_attention_v2",
    "memory_efficient_attention",
    "multi_token_attention",
    "neural_attention",
    "prefix_attention",
    "relational_attention",
    "selective_attention",
    "softmax_attention",
    "softmax_attention_vjp",
    "stacked_cross_attention",
    "threshold_relative_attention",
]


def _distance_score(dot, query_square, key_square, bias, parameters):
    """-scale · |q - k|² + bias, by the expansion of the square; parameters (scale,)."""
    return bias - parameters[0] * ((query_square - (dot + dot)) + key_square)


def build_distance(real: Real) -> Kernels:
    """Softmax of negative squared distances."""
    return build("distance", real, _distance_score, softmax(real), uses_squares=True)


def softmax_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    temperature: float,
    scale: float | None,
    **options: Any,
) -> Any:
    """See `attlas_ref.dotproduct.softmax_attention`."""
    return attend(build_softmax, query, key, value, dot_scale(scale, query), 1 / temperature, **options)


def distance_attention(query: Array, key: Array, value: Array, *, scale: float | None, **options: Any) -> Any:
    """See `attlas_ref.dotproduct.distance_attention`."""
    return attend(build_distance, query, key, value, dot_scale(scale, query), **options)


def memory_efficient_attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    query_chunk_size: int,
    key_chunk_size: int,
    scale: float | None,
    mask: Array | None,
    bias: Array | None,
    causal: bool,
) -> Array:
    """See `attlas_ref.dotproduct.memory_efficient_attention`; the chunk sizes bound the blocks of the tile."""
    problem = lay_out(
        query,
        key,
        value,
        mask=mask,
        bias=bias,
        diagonal=causal_diagonal(causal, query, key),
        parameters=(dot_scale(scale, query), 1.0),
        divide=True,
        queries_per_block=query_chunk_size,
        keys_per_block=key_chunk_size,
    )
    return run_forward(problem, kernels_of(build_softmax, query.dtype))[0]


def attention_partial(
    query: Array,
    key: Array,
    value: Array,
    *,
    scale: float | None,
    mask: Array | None,
    bias: Array | None,
    causal: bool,
    query_offset: int,
    key_offset: int,
) -> AttentionPartial:
    """See `attlas_ref.dotproduct.attention_partial`."""
    options: dict[str, Any] = {
        "mask": mask,
        "bias": bias,
        "diagonal": query_offset - key_offset if causal else None,
        "parameters": (dot_scale(scale, query), 1.0),
    }
    kernels = kernels_of(build_softmax, query.dtype)
    problem = lay_out(query, key, value, **options)
    accumulator, maximum, total = run_forward(problem, kernels)
    if problem.batch != score_batch(query, key, mask, bias):
        _, maximum, total = run_forward(lay_out_scores(query, key, **options), kernels)
    return AttentionPartial(maximum, total, accumulator)


def attention_energy(
    query: Array,
    key: Array,
    *,
    scale: float | None,
    mask: Array | None,
    bias: Array | None,
    causal: bool,
    temperature: float,
) -> Array:
    """See `attlas_ref.dotproduct.attention_energy`: the row statistics of attention to values of width 0."""
    problem = lay_out_scores(
        query,
        key,
        mask=mask,
        bias=bias,
        diagonal=causal_diagonal(causal, query, key),
        parameters=(dot_scale(scale, query), 1 / temperature),
    )
    _, maximum, total = run_forward(problem, kernels_of(build_softmax, query.dtype))
    shift = np.where(np.isneginf(maximum), 0, maximum)
    with np.errstate(divide="ignore"):
        return np.asarray(-temperature * (shift + np.log(total)), dtype=query.dtype)


def build_softmax_gradient(real: Real) -> GradientKernels:
    """Gradients of `build_softmax`, with the same parameters."""
    return build_gradient("softmax", real, dot_score)


def softmax_attention_vjp(
    query: Array,
    key: Array,
    value: Array,
    grad_output: Array,
    *,
    temperature: float,
    scale: float | None,
    mask: Array | None,
    bias: Array | None,
    causal: bool,
    key_chunk_size: int | None,
    return_grad_bias: bool,
) -> AttentionVJP | AttentionVJPWithBias:
    """See `attlas_ref.dotproduct.softmax_attention_vjp`; the chunk size bounds the blocks of keys."""
    scale = dot_scale(scale, query)
    diagonal = causal_diagonal(causal, query, key)
    parameters = scale, 1 / temperature
    return softmax_gradients(
        Backward(query, key, value, grad_output, mask, bias, diagonal, key_chunk_size, parameters),
        kernels_of(build_softmax_gradient, query.dtype),
        slope=scale / temperature,
        bias_slope=1 / temperature,
        return_grad_bias=return_grad_bias,
    )
