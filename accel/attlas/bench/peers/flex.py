"""FlexAttention: PyTorch's attention with a score of one's own, which its compiler builds into one fused kernel.

It gives the softmax only. Compiling takes some ten seconds for each score.
"""

import functools
import math
from typing import Any

import torch
from torch.nn.attention.flex_attention import flex_attention
from torch.nn.functional import normalize, pad

from .parts import default_scale, four_axes


def flex_softmax_attention(query: Any, key: Any, value: Any, *, bias: Any) -> Any:
    """A bias that is the same for all queries, read key by key."""
    slope = four_axes(bias)[0, :, 0]
    return _flex(query, key, value, lambda score, b, h, i, j: score + slope[h, j])


def flex_softcapped_attention(query: Any, key: Any, value: Any, *, cap: float) -> Any:
    """A tanh of each score."""
    return _flex(query, key, value, lambda score, b, h, i, j: cap * torch.tanh(score / cap))


def flex_distance_attention(query: Any, key: Any, value: Any) -> Any:
    """The squares of the keys as a bias."""
    scale = default_scale(None, query)
    squares = -scale * four_axes(key).square().sum(-1)
    return _flex(query, key, value, lambda score, b, h, i, j: score + squares[b, h, j], scale=2 * scale)


def flex_softmax_plus_n_attention(query: Any, key: Any, value: Any, *, extra: float = 1.0) -> Any:
    """One more key, of score log(extra), whose value is 0."""
    n, shift = key.shape[-2], math.log(extra)
    key, value = (pad(array, (0, 0, 0, 1)) for array in (key, value))
    return _flex(query, key, value, lambda score, b, h, i, j: torch.where(j < n, score, shift))


def flex_cosine_attention(query: Any, key: Any, value: Any, *, scale: Any = 10.0) -> Any:
    """Rows of length 1."""
    return _flex(normalize(query, dim=-1), normalize(key, dim=-1), value, None, scale=scale)


def flex_graph_attention(
    query: Any, key: Any, value: Any, *, query_vector: Any, key_vector: Any, negative_slope: float = 0.2
) -> Any:
    """Both numbers are read where they are needed; the product of queries and keys is made in vain."""
    q, k = four_axes(query @ query_vector[..., None])[..., 0], four_axes(key @ key_vector[..., None])[..., 0]

    def bent(score: Any, b: Any, h: Any, i: Any, j: Any) -> Any:
        x = q[b, h, i] + k[b, h, j]
        return torch.where(x > 0, x, negative_slope * x)

    return _flex(query, key, value, bent)


@functools.cache
def _compiled() -> Any:
    return torch.compile(flex_attention, dynamic=False)


def _flex(query: Any, key: Any, value: Any, score: Any, **options: Any) -> Any:
    result = _compiled()(four_axes(query), four_axes(key), four_axes(value), score_mod=score, **options)
    return result.reshape(*query.shape[:-1], value.shape[-1])
