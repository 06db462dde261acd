"""Dependency-constrained attention on the tile template: a weight that looks at its score and at two of a parse."""

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ..streams import summed_attended
from ..tile import Tile, Tiles, dot_scores, logistic, transposed

__all__ = ["dependency_constrained_attention"]


def dependency_constrained_attention(
    query: Any,
    key: Any,
    value: Any,
    dependency: Any,
    relation_weights: Any,
    *,
    scale: float | None,
    mask: Any,
    bias: Any,
    return_weights: bool,
) -> Any:
    """Return the sum of the values of parents and children under a logistic function of each score."""
    xp = array_namespace(query)
    parents, relation = dependency[..., None, :, :], relation_weights[..., None]
    up, down = relation[..., :1, :], relation[..., 1:, :]  # (..., h, 1, 1)
    given = [array.shape[:-2] for array in (query, key, parents, up, mask, bias) if array is not None]
    # A bias of all leading axes that weights have: the tiles look at its shape alone.
    members = xp.empty((*np.broadcast_shapes(*given), 1, 1), dtype=query.dtype)
    tiles = Tiles(query, key, value, mask=mask, bias=members, causal=False)
    score = dot_scores(query, key, scale, bias)

    def weight(tile: Tile) -> Any:
        looks = tile.of_pairs(up) * tile.of_pairs(parents) + tile.of_pairs(down) * tile.of_pairs(transposed(parents))
        return looks * logistic(xp, score(tile))

    return summed_attended(tiles, weight, value, return_weights)
