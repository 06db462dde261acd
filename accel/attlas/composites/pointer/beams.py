"""One step of a search through sequences: greedy, sampled, or with a beam."""

import math
from typing import Any

from ...gathering import rows_at


def extended(xp: Any, method: str, total: Any, log_p: Any, ended: Any, uniform: Any) -> tuple[Any, Any, Any]:
    """Lengthen prefixes (..., b) by one position each, of which `log_p` (..., b, n) are the logarithms.

    Returns the prefix that each new one continues, by which position (-1 for none), and the new totals. A prefix that
    has ended stays as it is; a total of -inf is that of no prefix; a NaN among those to choose from spoils all.
    """
    n = log_p.shape[-1]
    ended = xp.broadcast_to(ended, log_p.shape[:-1])[..., None]
    stays = xp.where(ended, xp.zeros_like(log_p[..., :1] if n else total[..., None]), -math.inf)
    steps = xp.concat([xp.where(ended, -math.inf, log_p), stays], axis=-1)  # (..., b, n + 1): the last one stays
    missing = (total == -math.inf)[..., None]
    candidates = xp.where(missing, -math.inf, xp.where(missing, 0, total[..., None]) + steps)
    spoiled = xp.isnan(candidates).any(axis=(-2, -1))[..., None]
    if method == "sample":
        choice = _drawn(xp, xp.exp(steps), uniform[..., None, None])
        parent, total = xp.zeros_like(choice), xp.take_along_axis(candidates, choice[..., None], axis=-1)[..., 0]
    else:
        width = total.shape[-1]
        flat = candidates.reshape(*candidates.shape[:-2], width * (n + 1))
        best = xp.argsort(-flat, axis=-1, stable=True)[..., :width]
        parent, choice, total = best // (n + 1), best % (n + 1), xp.take_along_axis(flat, best, axis=-1)
    choice = xp.where((choice == n) | (total == -math.inf) | spoiled, -1, choice)
    return parent, choice, xp.where(spoiled, math.nan, total)


def _drawn(xp: Any, probability: Any, uniform: Any) -> Any:
    """Return how many entries have a cumulative probability of at most a draw, but no impossible entry."""
    below = (xp.cumulative_sum(probability, axis=-1) <= uniform).sum(axis=-1)
    places = xp.where(probability > 0, xp.arange(probability.shape[-1]), 0)
    return xp.minimum(below, places.max(axis=-1))


def of_parent(xp: Any, state: Any, parent: Any) -> Any:
    """Return for each new prefix what its parent carried, (..., b, c)."""
    return xp.take_along_axis(state, parent[..., None], axis=-2)


def read_at(xp: Any, table: Any, index: Any) -> Any:
    """Return rows of a table (..., n, c) at places (..., k); a place of -1 reads zeros."""
    rows = rows_at(xp, table, xp.maximum(index, xp.zeros_like(index)))
    return xp.where(index[..., None] < 0, 0, rows)
