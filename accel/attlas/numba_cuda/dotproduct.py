"""The dense core on Numba-CUDA: scores, softmax attention and its exact evaluation."""

from typing import Any

from attlas_ref.contract import AttentionPartial, AttentionVJP, AttentionVJPWithBias

from . import rules
from .columns import stacked_cross_attention
from .dense import Attention, attend
from .learned import additive_attention, graph_attention, graph_attention_v2, neural_attention
from .multi_token import multi_token_attention
from .operands import shape_of
from .prefix import prefix_attention
from .relational import relational_attention
from .selective import selective_attention
from .target import shaped
from .threshold import threshold_relative_attention

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


def softmax_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    temperature: float,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    return_weights: bool,
) -> Any:
    """Compute `attlas_ref.softmax_attention`."""
    attention = Attention(
        rules.softmax, query, key, value, mask=mask, bias=bias, scale=scale, causal=causal, first=temperature
    )
    return attend(attention, return_weights)


def attention_energy(
    query: Any, key: Any, *, scale: float | None, mask: Any, bias: Any, causal: bool, temperature: float
) -> Any:
    """Compute `attlas_ref.attention_energy`."""
    attention = Attention(
        rules.softmax, query, key, mask=mask, bias=bias, scale=scale, causal=causal, first=temperature
    )
    attention.statistics(as_energy=True)
    return shaped(attention.maximum, attention.rows)


def softmax_attention_vjp(
    query: Any,
    key: Any,
    value: Any,
    grad_output: Any,
    *,
    temperature: float,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    key_chunk_size: int | None,
    return_grad_bias: bool,
) -> Any:
    """Compute `attlas_ref.softmax_attention_vjp`; keys are recomputed by tiles, whatever `key_chunk_size` says."""
    attention = Attention(
        rules.softmax, query, key, value, grad_output,
        mask=mask, bias=bias, scale=scale, causal=causal, first=temperature,
    )  # fmt: skip
    attention.statistics()
    grads = attention.grad_query(query), attention.grad_key(key), attention.grad_value(value)
    if not return_grad_bias:
        return AttentionVJP(*grads)
    return AttentionVJPWithBias(*grads, attention.grad_bias(None if bias is None else shape_of(bias)))


def memory_efficient_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    query_chunk_size: int,
    key_chunk_size: int,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
) -> Any:
    """Compute `attlas_ref.memory_efficient_attention`; the chunks are the kernel's tiles, which are smaller."""
    attention = Attention(rules.softmax, query, key, value, mask=mask, bias=bias, scale=scale, causal=causal)
    return attention.output()


def attention_partial(
    query: Any,
    key: Any,
    value: Any,
    *,
    scale: float | None,
    mask: Any,
    bias: Any,
    causal: bool,
    query_offset: int,
    key_offset: int,
) -> AttentionPartial:
    """Compute `attlas_ref.attention_partial`."""
    diagonal = query_offset - key_offset if causal else None
    attention = Attention(rules.softmax, query, key, value, mask=mask, bias=bias, scale=scale, diagonal=diagonal)
    accumulator = attention.output(normalized=False)
    scores = attention.of_scores()
    return AttentionPartial(shaped(scores.maximum, scores.rows), shaped(scores.total, scores.rows), accumulator)


def distance_attention(
    query: Any, key: Any, value: Any, *, scale: float | None, mask: Any, bias: Any, causal: bool, return_weights: bool
) -> Any:
    """Compute `attlas_ref.distance_attention`, from differences rather than the expanded square."""
    attention = Attention(rules.distance, query, key, value, mask=mask, bias=bias, scale=scale, causal=causal)
    return attend(attention, return_weights)
