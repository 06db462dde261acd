"""Attention within a block and to what the earlier blocks left behind.

Each block is a causal attention of its own, with the memory in front of its keys: since the last query sees the last
key, every query sees the memory. So no mask is formed, and a block of b tokens costs b (b + T s) pairs, or b (b + s).
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from attlas_ref.contract import AttentionResult

from ..shapes import joined

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["compressed_memory_attention", "conditional_lora"]


def compressed_memory_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    *,
    block: Any,
    is_memory: Any,
    merge: str | float | None,
    scale: float | None,
    return_weights: bool,
) -> Any:
    """Attend block by block, and let the memory grow or change after each."""
    xp, n = here.xp, query.shape[-2]
    labels, notes = np.array(block.tolist(), dtype=np.int64), np.array(is_memory.tolist(), dtype=bool)
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    last, slots = int(labels.max(initial=0)), int(np.bincount(labels[notes]).max(initial=0))
    outputs = [xp.zeros((*leading, 0, value.shape[-1]), dtype=query.dtype)]
    width = n if merge is None else n + last * slots
    weights = None
    if return_weights:
        own = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
        weights = xp.zeros((*own, n, width), dtype=query.dtype)
    memory, columns, seen = (key[..., :0, :], value[..., :0, :]), np.zeros(0, dtype=np.int64), 0
    for label, start, stop in _runs(labels):
        rows = slice(start, stop)
        tokens = key[..., rows, :], value[..., rows, :]
        result = here.softmax_attention(
            query[..., rows, :],
            *(joined(xp, *parts) for parts in zip(memory, tokens, strict=True)),
            temperature=1.0,
            scale=scale,
            mask=None,
            bias=None,
            causal=True,
            return_weights=return_weights,
        )
        outputs.append(result.output if return_weights else result)
        held = memory[0].shape[-2]
        if weights is not None:
            at = columns if merge is None else n + (label - 1) * slots + np.arange(held)
            weights[..., rows, xp.asarray(at)] = result.weights[..., :held]
            weights[..., rows, rows] = result.weights[..., held:]
        written = start + np.flatnonzero(notes[rows])
        if len(written):
            seen += 1
            columns = np.concatenate([columns, written])
            new = tuple(array[..., xp.asarray(written), :] for array in (key, value))
            memory = tuple(_kept(xp, old, one, merge, seen) for old, one in zip(memory, new, strict=True))
    output = xp.concat(outputs, axis=-2)
    return output if weights is None else AttentionResult(output, weights)


def _runs(labels: Any) -> Iterator[tuple[int, int, int]]:
    """Yield each block that has tokens: its number, its first token and the one after its last."""
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    for start, stop in pairwise(edges):
        if stop > start:
            yield int(labels[start]), start, stop


def _kept(xp: Any, memory: Any, written: Any, merge: str | float | None, seen: int) -> Any:
    """Return the memory after a block: longer, or merged slot by slot; the first block sets it."""
    if merge is None:
        return joined(xp, memory, written)
    rate = 1.0 if seen == 1 else 1 / seen if isinstance(merge, str) else merge
    # A rate of 1 replaces: what was there is not multiplied by 0, where NaN would stay.
    return written if rate == 1 else (1 - rate) * memory + rate * written


def conditional_lora(
    here: "Place", x: Any, weight: Any, lora_a: Any, lora_b: Any, *, is_memory: Any, scaling: float
) -> Any:
    """Add the correction at the memory tokens alone."""
    frozen = x @ weight
    return here.xp.where(is_memory[:, None], frozen + scaling * ((x @ lora_a) @ lora_b), frozen)
