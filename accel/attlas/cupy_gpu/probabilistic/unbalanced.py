"""Transport with relaxed marginals: Sinkhorn's steps with an exponent, in logarithms.

Bound by memory traffic: two passes over the tiles per step.
Differs from the reference by rounding.
"""

import math
from typing import Any

from ..tile import Tile
from .transport import Logs, log_ratio, pairs_of

__all__ = ["unbalanced_sinkhorn_plan"]


def unbalanced_sinkhorn_plan(
    cost: Any,
    *,
    row_marginal: Any,
    column_marginal: Any,
    epsilon: float,
    marginal_penalty: float,
    steps: int,
) -> Any:
    """Return the plan after some steps."""
    a, b = row_marginal[..., :, None], column_marginal[..., None, :]
    pairs = pairs_of(cost, a, b)
    xp, share = pairs.xp, marginal_penalty / (marginal_penalty + epsilon)
    log_a, log_b = xp.log(a), xp.log(b)

    def entry(tile: Tile, visible: Any) -> Any:
        logs = -tile.of_pairs(cost) / epsilon + tile.of_pairs(log_a) + tile.of_pairs(log_b)
        return xp.where((tile.of_pairs(a) > 0) & (tile.of_pairs(b) > 0), logs, -math.inf)

    logs = Logs(pairs, entry)
    if logs.entries.size == 0:
        return logs.entries
    f, g = (pairs.zeros(pairs.pair_leading, *size) for size in ((pairs.m, 1), (1, pairs.n)))
    for _ in range(steps):
        f = share * log_ratio(xp, log_a, logs.of_rows(g))
        g = share * log_ratio(xp, log_b, logs.of_columns(f))
    final = logs.moved(f, g)
    for band in pairs.bands():
        for tile, _ in pairs.along(band):
            tile.of_pairs(logs.entries)[...] = xp.exp(final(tile))
    return logs.entries
