"""How late a translator is: delays of alignments, lags of delays, and one number for many heads.

Nothing is as large as the alignment but the alignment; a running maximum over m words takes log2(m) rounds.
"""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["differentiable_average_lagging", "expected_delay", "latency_loss"]


def expected_delay(here: "Place", alignment: Any) -> Any:
    """Multiply by the numbers of the keys, counted from 1."""
    read = here.xp.arange(1, alignment.shape[-1] + 1, dtype=alignment.dtype)
    return (alignment @ read[:, None])[..., 0]


def differentiable_average_lagging(here: "Place", delays: Any, *, source_length: Any, target_length: Any) -> Any:
    """Average the running maximum of the lags: what is lost is never made up for."""
    xp = here.xp
    return _differentiable_lagging(xp, delays, xp.asarray(source_length, dtype=delays.dtype))


def latency_loss(here: "Place", alignment: Any, *, source_length: Any, metric: str, gather: str, weight: float) -> Any:
    """Gather the heads' latencies, or their delays before."""
    xp = here.xp
    delays = expected_delay(here, alignment)  # (..., h, m)
    source = xp.asarray(source_length, dtype=delays.dtype)
    latency = {"dal": _differentiable_lagging, "al": _lagging, "ap": _proportion}[metric]
    if gather == "paper":
        together = (_shares(xp, delays, -2) * delays).sum(axis=-2)  # (..., m)
        return weight * latency(xp, together, source)
    each = latency(xp, delays, source[..., None])  # (..., h)
    if gather == "max":
        return weight * each.max(axis=-1)
    if gather == "average":
        return weight * each.mean(axis=-1)
    return weight * (_shares(xp, each, -1) * each).sum(axis=-1)


def _differentiable_lagging(xp: Any, delays: Any, source: Any) -> Any:
    m = delays.shape[-1]
    lag = delays - xp.arange(m, dtype=delays.dtype) * (source / m)[..., None]
    reach = 1
    while reach < m:
        lag = xp.concat([lag[..., :reach], xp.maximum(lag[..., reach:], lag[..., :-reach])], axis=-1)
        reach *= 2
    return lag.mean(axis=-1)


def _lagging(xp: Any, delays: Any, source: Any) -> Any:
    """Average up to the first word that is written after the end of the source."""
    m, source = delays.shape[-1], source[..., None]
    over = xp.where(delays >= source, 1, 0)
    counted = xp.cumsum(over, axis=-1) - over == 0
    lag = delays - xp.arange(m, dtype=delays.dtype) * source / m
    return xp.where(counted, lag, 0).sum(axis=-1) / counted.sum(axis=-1).astype(delays.dtype)


def _proportion(xp: Any, delays: Any, source: Any) -> Any:
    return delays.sum(axis=-1) / (source * delays.shape[-1])


def _shares(xp: Any, x: Any, axis: int) -> Any:
    """Return the softmax along an axis."""
    top = x.max(axis=axis, keepdims=True)
    parts = xp.exp(x - xp.where(top == -math.inf, 0, top))
    total = parts.sum(axis=axis, keepdims=True)
    return parts / xp.where(total == 0, 1, total)
