"""Titans: a memory in front of attention, beside it, and before it.

Attention with a window looks at `ROWS` queries at a time, or as many as the window is wide: a call sees the keys of its
window alone, so that time and memory grow with n (p + window), not with n².
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from attlas_ref.contract import MemoryResult, MemoryState

from ..pointwise import sigmoid
from ..shapes import joined
from .parts import stacked

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["memory_as_context", "memory_as_gate", "memory_as_layer"]

ROWS = 256


def memory_as_context(
    here: "Place",
    x: Any,
    persistent: Any,
    w_query: Any,
    w_key: Any,
    w_value: Any,
    w_out: Any,
    memory_query: Any,
    memory_key: Any,
    memory_value: Any,
    *,
    segment: int,
    lr: Any,
    momentum: Any,
    decay: Any,
    chunk_size: int | None,
    norm_weight: Any,
    memory_norm_weight: Any,
    causal: bool,
    scale: float | None,
    memory: Any,
    surprise: Any,
    return_state: bool,
) -> Any:
    """Segment by segment: ask the memory, attend to its answers too, let it learn from what came of that."""
    xp, (n, width) = here.xp, x.shape[-2:]
    rates = _rates(xp, n, x.dtype, lr=lr, momentum=momentum, decay=decay)
    empty = xp.zeros((memory_key.shape[-1], width), dtype=x.dtype)
    given = [empty if array is None else array for array in (memory, surprise)]
    leading = np.broadcast_shapes(
        *(array.shape[:-2] for array in (x, persistent, memory_query, memory_key, memory_value, *given)),
        *(weight.shape[:-3] for weight in (w_query, w_key, w_value, w_out)),
    )
    state = MemoryState(*(xp.broadcast_to(array, (*leading, *empty.shape)) for array in given))
    outputs = [xp.zeros((*leading, 0, width), dtype=x.dtype)]
    for start in range(0, n, segment):
        rows = slice(start, start + segment)
        tokens = x[..., rows, :]
        count = tokens.shape[-2]
        asked = tokens @ memory_query @ state.memory
        context = stacked(xp, persistent, asked, tokens)[..., None, :, :]
        visible = None
        if causal:
            past = xp.arange(count)[:, None] >= xp.arange(count)
            visible = stacked(xp, xp.ones((persistent.shape[-2], count), dtype=xp.bool), past.T, past.T).T
        query = tokens[..., None, :, :] @ w_query
        y = _merged(_attend(here, query, context @ w_key, context @ w_value, visible, scale), w_out)
        read, state = here.titans_memory(
            y @ memory_query,
            y @ memory_key,
            y @ memory_value,
            **{name: rate[..., rows] for name, rate in rates.items()},
            memory=state.memory,
            surprise=state.surprise,
            chunk_size=segment if chunk_size is None else chunk_size,
            return_state=True,
        )
        outputs.append(_gated(xp, y, read, norm_weight, memory_norm_weight))
    output = xp.concat(outputs, axis=-2)
    return MemoryResult(output, state) if return_state else output


def memory_as_gate(
    here: "Place",
    x: Any,
    persistent: Any,
    w_query: Any,
    w_key: Any,
    w_value: Any,
    w_out: Any,
    memory_query: Any,
    memory_key: Any,
    memory_value: Any,
    *,
    window: int,
    norm_weight: Any,
    memory_norm_weight: Any,
    scale: float | None,
    return_state: bool,
    **learning: Any,
) -> Any:
    """Attend with a window, and let what the memory reads open a gate."""
    xp, p = here.xp, persistent.shape[-2]
    tokens = joined(xp, persistent, x)
    context = tokens[..., None, :, :]
    y = _windowed(here, x[..., None, :, :] @ w_query, context @ w_key, context @ w_value, window, scale, sinks=p)
    read, state = _learned(here, tokens, memory_query, memory_key, memory_value, **learning)
    output = _gated(xp, _merged(y, w_out), read[..., p:, :], norm_weight, memory_norm_weight)
    return MemoryResult(output, state) if return_state else output


def memory_as_layer(
    here: "Place",
    x: Any,
    persistent: Any,
    w_query: Any,
    w_key: Any,
    w_value: Any,
    w_out: Any,
    memory_query: Any,
    memory_key: Any,
    memory_value: Any,
    *,
    window: int,
    scale: float | None,
    return_state: bool,
    **learning: Any,
) -> Any:
    """Attend with a window to what the memory has read."""
    p = persistent.shape[-2]
    tokens = joined(here.xp, persistent, x)
    y, state = _learned(here, tokens, memory_query, memory_key, memory_value, **learning)
    context = y[..., None, :, :]
    query = y[..., None, p:, :] @ w_query
    output = _merged(_windowed(here, query, context @ w_key, context @ w_value, window, scale, sinks=0), w_out)
    return MemoryResult(output, state) if return_state else output


def _rates(xp: Any, n: int, dtype: Any, **rates: Any) -> dict[str, Any]:
    """Return rates per token, (..., n), from numbers or arrays of any precision."""
    return {
        name: xp.broadcast_to(xp.asarray(rate, dtype=dtype), np.broadcast_shapes(rate.shape, (n,)))
        for name, rate in rates.items()
    }


def _learned(
    here: "Place",
    tokens: Any,
    memory_query: Any,
    memory_key: Any,
    memory_value: Any,
    *,
    lr: Any,
    momentum: Any,
    decay: Any,
    **options: Any,
) -> Any:
    """Return what a memory reads while it learns the tokens, and its state."""
    return here.titans_memory(
        tokens @ memory_query,
        tokens @ memory_key,
        tokens @ memory_value,
        **_rates(here.xp, tokens.shape[-2], tokens.dtype, lr=lr, momentum=momentum, decay=decay),
        **options,
        return_state=True,
    )


def _windowed(here: "Place", query: Any, key: Any, value: Any, window: int, scale: float | None, *, sinks: int) -> Any:
    """Attend from the last rows to those up to `window` back, and to the first few, which stay visible."""
    xp, n, total = here.xp, query.shape[-2], key.shape[-2]
    window = min(window, total)
    before, step = total - n, max(ROWS, window)
    parts = []
    for start in range(0, max(n, 1), step):
        stop = min(n, start + step)
        low = max(0, before + start - window + 1)
        kept, end = min(sinks, low), before + stop
        near = [array[..., low:end, :] for array in (key, value)]
        if kept:
            near = [joined(xp, array[..., :kept, :], rows) for array, rows in zip((key, value), near, strict=True)]
        i = before + xp.arange(start, stop)[:, None]
        j = xp.concat([xp.arange(kept), xp.arange(low, end)])
        visible = (j <= i) & ((j < sinks) | (j > i - window))
        parts.append(_attend(here, query[..., start:stop, :], near[0], near[1], visible, scale))
    return xp.concat(parts, axis=-2)


def _attend(here: "Place", query: Any, key: Any, value: Any, mask: Any, scale: float | None) -> Any:
    return here.softmax_attention(
        query,
        key,
        value,
        temperature=1.0,
        scale=scale,
        mask=mask,
        bias=None,
        causal=False,
        return_weights=False,
    )


def _merged(heads: Any, w_out: Any) -> Any:
    """Project the heads, (..., H, m, e), and add them up."""
    return (heads @ w_out).sum(axis=-3)


def _gated(xp: Any, y: Any, read: Any, norm_weight: Any, memory_norm_weight: Any) -> Any:
    """Return the attention's output times a gate that the memory opens."""
    y = y if norm_weight is None else norm_weight * _unit_rms(xp, y)
    read = read if memory_norm_weight is None else memory_norm_weight * _unit_rms(xp, read)
    return y * sigmoid(xp, read)


def _unit_rms(xp: Any, rows: Any) -> Any:
    return rows / xp.sqrt((rows**2).sum(axis=-1)[..., None] / max(rows.shape[-1], 1) + 1e-6)
