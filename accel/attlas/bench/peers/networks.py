"""Scores with hidden units, and weights that depend on other pairs, in plain PyTorch: the shortest chain of steps.

An array of all pairs and hidden units is what plain PyTorch needs; `torch.compile` may make it smaller.
"""

import math
from typing import Any

import torch
from torch.nn import functional

from .parts import default_scale, scaled_scores, seen


def torch_additive_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    query_weight: Any,
    key_weight: Any,
    score_vector: Any,
    score_bias: Any = None,
    causal: bool = False,
) -> Any:
    """Sum the hidden units with a product."""
    query = query @ query_weight
    query = query if score_bias is None else query + score_bias[..., None, :]
    units = torch.tanh(query[..., :, None, :] + (key @ key_weight)[..., None, :, :])
    return _softmax((units @ score_vector[..., None, :, None])[..., 0], query, key, causal) @ value


def torch_neural_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    weight1: Any,
    bias1: Any,
    weight3: Any,
    bias3: float,
    weight2: Any = None,
    bias2: Any = None,
    causal: bool = False,
) -> Any:
    """One or two hidden layers for every pair."""
    p = query.shape[-1]
    q, k = query @ weight1[..., :p, :] + bias1[..., None, :], key @ weight1[..., p:, :]
    units = torch.relu(q[..., :, None, :] + k[..., None, :, :])
    if weight2 is not None:
        units = torch.relu(units @ weight2[..., None, :, :] + bias2[..., None, None, :])
    return _softmax((units @ weight3[..., None, :, None])[..., 0] + bias3, query, key, causal) @ value


def torch_graph_attention(
    query: Any, key: Any, value: Any, *, query_vector: Any, key_vector: Any, negative_slope: float = 0.2
) -> Any:
    """Scores are sums of two numbers."""
    q, k = query @ query_vector[..., None], key @ key_vector[..., None]
    return torch.softmax(functional.leaky_relu(q + k.mT, negative_slope), dim=-1) @ value


def torch_graph_attention_v2(
    query: Any, key: Any, value: Any, *, score_vector: Any, negative_slope: float = 0.2
) -> Any:
    """Sum the bent channels with a product."""
    units = functional.leaky_relu(query[..., :, None, :] + key[..., None, :, :], negative_slope)
    return torch.softmax((units @ score_vector[..., None, :, None])[..., 0], dim=-1) @ value


def torch_relational_attention(
    query: Any,
    key: Any,
    relation_query: Any,
    relation_key: Any,
    symbols: Any,
    *,
    relation_weight: Any,
    scale: Any = None,
    relation_scale: Any = None,
    causal: bool = False,
) -> Any:
    """Weights times symbols, and weights times relations, query by query."""
    weights = _softmax(scaled_scores(query, key, default_scale(scale, query), False), query, key, causal)
    relations = scaled_scores(relation_query, relation_key, default_scale(relation_scale, relation_query), False)
    read = weights.movedim(-3, -2) @ relations.movedim(-3, -1)  # (..., m, h, r)
    return weights @ symbols + read.movedim(-2, -3) @ relation_weight


def torch_cog_attention(query: Any, key: Any, value: Any, *, scale: Any = None, causal: bool = False) -> Any:
    """A softmax of the sizes, with the signs."""
    scores = scaled_scores(query, key, default_scale(scale, query), False)
    return _softmax(scores.abs(), query, key, causal).mul_(scores.sign_()) @ value


def torch_selective_attention(
    query: Any, key: Any, value: Any, *, select_head: int = 0, keep_first: bool = True, scale: Any = None
) -> Any:
    """A sum over earlier queries of what one head selects."""
    scores = scaled_scores(query, key, default_scale(scale, query), False)
    selected = scores[..., select_head, :, :].relu().tril_(-1)
    if keep_first:
        selected[..., 0] = 0
    pushed = torch.cumsum(selected, dim=-2).sub_(selected)
    return _softmax(scores - pushed[..., None, :, :], query, key, True) @ value


def torch_multi_token_attention(
    query: Any, key: Any, value: Any, *, key_query_kernel: Any = None, head_kernel: Any = None, scale: Any = None
) -> Any:
    """A convolution of the scores, head by head, and mixtures of the weights of groups of heads."""
    visible = seen(query, key)
    scores = scaled_scores(query, key, default_scale(scale, query), False).mul_(visible)
    if key_query_kernel is not None:
        queries, keys = key_query_kernel.shape[-2:]
        left = (keys - 1) // 2
        padded = functional.pad(scores, (left, keys - 1 - left, queries - 1, 0))
        scores = functional.conv2d(padded[None], key_query_kernel[:, None], groups=len(key_query_kernel))[0]
    weights = torch.softmax(scores.masked_fill_(~visible, -math.inf), dim=-1)
    if head_kernel is not None:
        groups, size = head_kernel.shape[:2]
        rows = weights.reshape(groups, size, -1)
        weights = (head_kernel.mT @ rows).reshape(weights.shape)
    return weights @ value


def _softmax(scores: Any, query: Any, key: Any, causal: bool) -> Any:
    return torch.softmax(scores.masked_fill(~seen(query, key), -math.inf) if causal else scores, dim=-1)
