"""PyTorch's fused attention, and what can be brought to it."""

import math
from typing import Any

import torch
from torch.nn.functional import normalize
from torch.nn.functional import scaled_dot_product_attention as fused

from .parts import default_scale, four_axes, scaled_scores, seen


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, *, scale: Any = None, causal: bool = False, mask: Any = None, bias: Any = None
) -> Any:
    """PyTorch's fused attention, which takes a mask or a bias."""
    if mask is not None or bias is not None:
        return _fused(query, key, value, attn_mask=bias if mask is None else mask, scale=scale, is_causal=causal)
    if causal and query.shape[-2] != key.shape[-2]:
        return _fused(query, key, value, attn_mask=seen(query, key), scale=scale)
    return _fused(query, key, value, is_causal=causal, scale=scale)


def scaled_dot_product_attention_backward(
    query: Any, key: Any, value: Any, grad_output: Any, *, scale: Any = None, causal: bool = False
) -> Any:
    """PyTorch's fused attention forwards and backwards: from the same four arrays, gradients need both."""
    leaves = tuple(array.detach().requires_grad_() for array in (query, key, value))
    with torch.enable_grad():
        output = scaled_dot_product_attention(*leaves, scale=scale, causal=causal)
    return torch.autograd.grad(output, leaves, grad_output)


def torch_logsumexp(query: Any, key: Any, *, scale: Any = None, causal: bool = False, temperature: float = 1.0) -> Any:
    """One product and a log-sum-exp in place, which is faster than `torch.logsumexp`."""
    scores = scaled_scores(query, key, default_scale(scale, query) / temperature, causal)
    maximum = scores.amax(dim=-1, keepdim=True)
    return scores.sub_(maximum).exp_().sum(dim=-1).log_().add_(maximum[..., 0]).mul_(-temperature)


def torch_distance_attention(query: Any, key: Any, value: Any, *, scale: Any = None, causal: bool = False) -> Any:
    """PyTorch's fused attention: |q - k|² = |q|² - 2 q·k + |k|², and |q|² cancels in the softmax."""
    scale = default_scale(scale, query)
    bias = (-scale * key.square().sum(-1))[..., None, :]
    bias = bias.expand(*bias.shape[:-2], query.shape[-2], key.shape[-2])
    if causal:
        bias = bias.masked_fill(~seen(query, key), -math.inf)
    return _fused(query, key, value, attn_mask=bias, scale=2 * scale)


def torch_cosine_attention(query: Any, key: Any, value: Any, *, scale: Any = 10.0, causal: bool = False) -> Any:
    """PyTorch's fused attention of rows of length 1."""
    return _fused(normalize(query, dim=-1), normalize(key, dim=-1), value, scale=scale, is_causal=causal)


def torch_softmax_plus_n_attention(
    query: Any, key: Any, value: Any, *, extra: float = 1.0, scale: Any = None, causal: bool = False
) -> Any:
    """PyTorch's fused attention with a key of zeros and a value of zeros, of which there are `extra`."""
    m, n = query.shape[-2], key.shape[-2]
    zeros = key.new_zeros((*key.shape[:-2], 1, key.shape[-1])), value.new_zeros((*value.shape[:-2], 1, value.shape[-1]))
    bias = query.new_zeros((m, n + 1))
    if causal:
        bias[:, :n].masked_fill_(~seen(query, key), -math.inf)
    bias[:, n] = math.log(extra) if extra else -math.inf
    key, value = torch.cat((key, zeros[0]), dim=-2), torch.cat((value, zeros[1]), dim=-2)
    return _fused(query, key, value, attn_mask=bias, scale=scale)


def _fused(query: Any, key: Any, value: Any, attn_mask: Any = None, **options: Any) -> Any:
    """Call it with four axes: with another number of them it takes a slower path."""
    if attn_mask is not None:
        attn_mask = four_axes(attn_mask)
    output = fused(four_axes(query), four_axes(key), four_axes(value), attn_mask=attn_mask, **options)
    return output.reshape(*query.shape[:-1], value.shape[-1])
