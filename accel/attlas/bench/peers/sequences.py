"""Memories for long sequences in plain PyTorch."""

import math
from typing import Any

import torch

from .parts import default_scale, scaled_scores, seen


def torch_titans_memory(
    query: Any, key: Any, value: Any, *, lr: Any, momentum: Any, decay: Any, chunk_size: int = 1
) -> Any:
    """A loop over tokens; the gradients of a chunk are one product."""
    n = key.shape[-2]
    memory = torch.zeros(*key.shape[:-2], key.shape[-1], value.shape[-1], dtype=key.dtype)
    surprise, rows = torch.zeros_like(memory), []
    for start in range(0, n, chunk_size):
        chunk = slice(start, start + chunk_size)
        error = 2 * (key[..., chunk, :] @ memory - value[..., chunk, :])
        for t in range(start, min(start + chunk_size, n)):
            gradient = key[..., t, :, None] * error[..., t - start, None, :]
            surprise = momentum[..., t, None, None] * surprise - lr[..., t, None, None] * gradient
            memory = (1 - decay[..., t, None, None]) * memory + surprise
            rows.append(query[..., t, None, :] @ memory)
    return torch.cat(rows, dim=-2)


def torch_landmark_attention(query: Any, key: Any, value: Any, *, is_landmark: Any, scale: Any = None) -> Any:
    """Two softmaxes over all pairs: of a row's group, and of every block of a row."""
    n = query.shape[-2]
    scores = scaled_scores(query, key, default_scale(scale, query), False)
    block = torch.cumsum(is_landmark.to(torch.int64), 0) - is_landmark.to(torch.int64)
    own = (block[:, None] == block) & ~is_landmark & seen(query, key)
    doors = is_landmark & (block < block[:, None])
    shares = torch.softmax(scores.masked_fill(~(own | doors), -math.inf), dim=-1)
    earlier = (block < block[:, None]) & ~is_landmark
    count = int(block.max()) + 1
    inside = torch.exp(scores - scores.amax(-1, keepdim=True)).masked_fill_(~earlier, 0)
    index = block.expand(*scores.shape)
    totals = torch.zeros(*scores.shape[:-1], count, dtype=scores.dtype).scatter_add_(-1, index, inside)
    gate = torch.zeros(*scores.shape[:-1], count, dtype=scores.dtype)
    ends = is_landmark.nonzero()[:, 0]
    gate[..., : len(ends)] = shares[..., ends]
    factor = (gate / totals.clamp_min(torch.finfo(scores.dtype).tiny)).gather(-1, index)
    weights = torch.where(own, shares, inside * factor)
    assert weights.shape[-1] == n
    return weights @ value
