"""The energy of the modern Hopfield network.

With alpha 1 it is that of softmax attention and three more terms. The other entropies are sums over finished weights:
so many queries are taken at a time that these stay few (`row_blocks`).
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..shapes import row_blocks, spread

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["hopfield_energy"]


def hopfield_energy(here: "Place", query: Any, key: Any, *, beta: float | None, alpha: float, mask: Any) -> Any:
    """Compute the energies of some queries after the other."""
    xp, (m, n) = here.xp, (query.shape[-2], key.shape[-2])
    beta = 1 / math.sqrt(query.shape[-1]) if beta is None else beta
    if mask is not None:
        mask = mask[(None,) * (2 - mask.ndim)]
        query = spread(xp, query, mask.shape[:-2])
    square = (key * key).sum(axis=-1)[..., None, :]  # (..., 1, n)
    leading = math.prod(np.broadcast_shapes(query.shape[:-2], key.shape[:-2]))
    energies = []
    for rows in row_blocks(m, leading * n):
        some = query[..., rows, :]
        seen = mask if mask is None or mask.shape[-2] == 1 else mask[..., rows, :]
        count, longest = _visible(xp, seen, square, n)
        best = _free_energy(here, some, key, beta, alpha, seen, count)
        energy = best + ((some * some).sum(axis=-1) + longest) / 2
        energies.append(xp.where(count == 0, math.inf, energy))
    return energies[0] if len(energies) == 1 else xp.concat(energies, axis=-1)


def _visible(xp: Any, mask: Any, square: Any, n: int) -> tuple[Any, Any]:
    """Return how many keys each query sees, and the square of the longest."""
    if n == 0:
        nothing = xp.zeros_like(square.sum(axis=-1))
        return nothing, nothing
    if mask is None:
        return xp.full((1,), n, dtype=square.dtype), square.max(axis=-1)
    count = mask.sum(axis=-1).astype(square.dtype) * (n if mask.shape[-1] == 1 else 1)
    return count, xp.where(mask, square, 0).max(axis=-1)


def _free_energy(here: "Place", query: Any, key: Any, beta: float, alpha: float, mask: Any, count: Any) -> Any:
    """Return how far the best trade between score and entropy lies below the largest entropy, over beta."""
    xp = here.xp
    log_count = xp.log(xp.where(count == 0, 1, count))
    seen = {"mask": mask, "bias": None, "causal": False}
    if alpha == 1:
        return log_count / beta + here.attention_energy(query, key, scale=1.0, temperature=1 / beta, **seen)
    read, weights = here.entmax_attention(query, key, key, alpha=alpha, scale=beta, return_weights=True, **seen)
    log_weights = xp.log(xp.where(weights == 0, 1, weights))
    entropy = (weights * _minus_log(xp, log_weights, alpha)).sum(axis=-1)
    return (_minus_log(xp, -log_count, alpha) - entropy) / beta - (query * read).sum(axis=-1)


def _minus_log(xp: Any, log_p: Any, alpha: float) -> Any:
    """(1 - p^(alpha - 1)) / (alpha (alpha - 1)), which becomes -log p at alpha 1."""
    return -xp.expm1((alpha - 1) * log_p) / (alpha * (alpha - 1))
