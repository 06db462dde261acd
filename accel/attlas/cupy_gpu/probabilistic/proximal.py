"""Inexact proximal transport: Sinkhorn's steps on a kernel that is the last plan, in logarithms.

Bound by memory traffic: two passes over the tiles per inner step, and one per step to renew the kernel.
Differs from the reference by rounding.
"""

import math
from typing import Any

from array_api_compat import array_namespace

from attlas_ref.contract import PlanResult

from ..tile import Tile, Tiles
from .transport import Logs, log_ratio, pairs_of

__all__ = ["ipot_plan"]


def ipot_plan(
    cost: Any,
    *,
    row_mask: Any,
    column_mask: Any,
    beta: float,
    steps: int,
    inner_steps: int,
    return_distance: bool,
) -> Any:
    """Return the plan after some steps, every row a softmax times its mass, and what it costs."""
    m, n = cost.shape[-2:]
    rows = None if row_mask is None else _whole(row_mask, m)[..., :, None]
    columns = None if column_mask is None else _whole(column_mask, n)[..., None, :]
    pairs = pairs_of(cost, rows, columns)
    xp = pairs.xp

    def entry(tile: Tile, visible: Any) -> Any:
        logs = -tile.of_pairs(cost) / beta
        for taking_part in (rows, columns):
            logs = logs if taking_part is None else xp.where(tile.of_pairs(taking_part), logs, -math.inf)
        return logs

    logs = Logs(pairs, entry)
    distance = pairs.zeros(pairs.pair_leading, 1, 1)
    if logs.entries.size:
        log_m, log_n = _log_count(pairs, rows, m), _log_count(pairs, columns, n)
        f, g = -log_m, -log_n
        for step in range(steps):
            if step:
                _renew(logs, cost, beta, f, g)
            for _ in range(inner_steps):
                g = log_ratio(xp, -log_n, logs.of_columns(f))
                f = log_ratio(xp, -log_m, logs.of_rows(g))
        logs.shared_out(logs.moved(g), xp.exp(-log_m))
    if not return_distance:
        return logs.entries
    for band in pairs.bands():
        for tile, _ in pairs.along(band):
            plan, total = tile.of_pairs(logs.entries), tile.of_pairs(distance)
            total += xp.where(plan == 0, 0, tile.of_pairs(cost) * plan).sum(axis=(-2, -1), keepdims=True)
    return PlanResult(logs.entries, distance[..., 0, 0])


def _whole(mask: Any, size: int) -> Any:
    """View a mask with an entry for each row or column."""
    return array_namespace(mask).broadcast_to(mask, (*mask.shape[:-1], size))


def _log_count(pairs: Tiles, taking_part: Any, size: int) -> Any:
    """Return the logarithm of how many rows or columns take part, (..., 1, 1)."""
    if taking_part is None:
        return pairs.zeros((1, 1)) + math.log(max(size, 1))
    count = taking_part.sum(axis=(-2, -1), keepdims=True)
    return pairs.xp.log(pairs.xp.maximum(count, 1).astype(pairs.dtype))


def _renew(logs: Logs, cost: Any, beta: float, f: Any, g: Any) -> None:
    """Take the plan of the potentials as the next kernel; what is impossible stays so, whatever it costs."""
    plan = logs.moved(f, g)
    for band in logs.tiles.bands():
        for tile, _ in logs.tiles.along(band):
            here = tile.of_pairs(logs.entries)
            here[...] = logs.xp.where(here == -math.inf, -math.inf, plan(tile) - tile.of_pairs(cost) / beta)
