"""Feed-forward layers as memories: slots beside queries in tiles, and channels with two filters each.

Bound by memory traffic: an activation passes over the tile several times, a filter over the picture once per tap.
"""

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import AttentionResult

from ..streams import softmax_attended, summed_attended
from ..tile import Tiles, dot_scores
from .activations import activated

__all__ = ["ffn_memory", "ffnified_attention"]


def ffn_memory(query: Any, key_memory: Any, value_memory: Any, *, activation: str, return_weights: bool) -> Any:
    """Return the sum of the slots' values, each weighted by its activation."""
    tiles = Tiles(query, key_memory, value_memory, mask=None, bias=None, causal=False)
    score = dot_scores(query, key_memory, 1.0, None)
    if activation == "softmax":
        return softmax_attended(tiles, score, value_memory, return_weights)
    return summed_attended(tiles, lambda tile: activated(score(tile), activation), value_memory, return_weights)


def ffnified_attention(
    query: Any,
    kernel_key: Any,
    kernel_value: Any,
    *,
    bias_key: Any,
    bias_value: Any,
    activation: str,
    return_weights: bool,
) -> Any:
    """Return what the second filter makes of the activated first one, channel by channel."""
    weights = activated(_filtered(query, kernel_key, bias_key), activation)
    output = _filtered(weights, kernel_value, bias_value)
    return AttentionResult(output, weights) if return_weights else output


def _filtered(x: Any, kernel: Any, bias: Any) -> Any:
    """Correlate every channel with its kernel; beyond the border there are zeros."""
    xp, (height, width, channels), (rows, columns) = array_namespace(x), x.shape[-3:], kernel.shape[-3:-1]
    padded = xp.zeros((*x.shape[:-3], height + rows - 1, width + columns - 1, channels), dtype=x.dtype)
    padded[..., rows // 2 : rows // 2 + height, columns // 2 : columns // 2 + width, :] = x
    leading = np.broadcast_shapes(x.shape[:-3], kernel.shape[:-3])
    total = xp.zeros((*leading, height, width, channels), dtype=x.dtype)
    for a in range(rows):
        for b in range(columns):
            total += padded[..., a : a + height, b : b + width, :] * kernel[..., a, b, None, None, :]
    return total if bias is None else total + bias
