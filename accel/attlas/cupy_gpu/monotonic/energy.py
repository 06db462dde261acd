"""How willing a pointer is to stop: scores of pairs, tile by tile, that become no softmax.

What is linear in a query or a key alone is projected once; hidden units are summed one by one, so that no array of
pairs and units is formed.
Bound by memory traffic: each unit reads and writes the tile a few times; products go to cuBLAS.
Differs from the reference by rounding.
"""

import math
from typing import Any

from ..hidden import sum_of_units
from ..tile import Tiles, dot_scores, logistic

__all__ = ["monotonic_energy"]


def monotonic_energy(
    query: Any,
    key: Any,
    *,
    score: str,
    w_query: Any,
    w_key: Any,
    b: Any,
    v: Any,
    g: float,
    r: float,
    scale: float | None,
    noise: Any,
    noise_scale: float,
    mask: Any,
    return_probability: bool,
) -> Any:
    """Return the energies, or their logistic functions."""
    query = query if w_query is None else query @ w_query
    key = key if w_key is None else key @ w_key
    query = query if b is None else query + b
    tiles = Tiles(query, key, mask=mask, bias=noise, causal=False)
    xp = tiles.xp
    if score == "additive":
        units = sum_of_units(query, key, (v / xp.sqrt((v * v).sum()))[None, :], xp.tanh)
    else:
        units = dot_scores(query, key, g if score == "dot" else scale, None)
    gain = g if score == "additive" else 1.0
    energies = tiles.zeros(tiles.pair_leading, tiles.m, tiles.n)
    for band in tiles.bands():
        for tile, visible in tiles.along(band):
            energy = gain * units(tile) + r
            if noise is not None:
                energy = energy + noise_scale * tile.of_pairs(noise)
            if return_probability:
                found = tiles.select(visible, logistic(xp, energy), 0)
            else:
                found = tiles.select(visible, energy, -math.inf)
            tile.of_pairs(energies)[...] = found
    return energies
