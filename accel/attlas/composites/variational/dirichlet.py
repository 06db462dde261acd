"""Dirichlet distributions over alignments: their mean weights and draws, and how far one is from another."""

import importlib
import math
from typing import TYPE_CHECKING, Any

from attlas_ref.contract import AttentionResult

from ..shapes import row_blocks, spread

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["dirichlet_attention", "dirichlet_kl"]


def dirichlet_attention(
    here: "Place", concentration: Any, value: Any, *, gamma: Any, mask: Any, return_weights: bool
) -> Any:
    """Divide the masses by their totals, and attend to scores that are the weights: rectifying leaves them alone."""
    xp, masses = here.xp, concentration if gamma is None else gamma
    if mask is not None:
        mask = mask[(None,) * (2 - mask.ndim)]
        masses = spread(xp, masses, mask.shape[:-2])
    m, n = masses.shape[-2:]
    key = xp.zeros((n, 1), dtype=masses.dtype)
    outputs, weights = [], []
    for rows in row_blocks(m, math.prod(masses.shape[:-2]) * n):
        some = masses[..., rows, :]
        seen = mask if mask is None or mask.shape[-2] == 1 else mask[..., rows, :]
        some = some if seen is None else xp.where(seen, some, 0)
        total = some.sum(axis=-1, keepdims=True)
        share = some / xp.where(total == 0, 1, total)
        query = xp.zeros((*share.shape[:-1], 1), dtype=share.dtype)
        options = {"length_power": 1.0, "squared": False, "normalize": None, "scale": 1.0, "causal": False}
        outputs.append(here.relu_attention(query, key, value, mask=seen, bias=share, return_weights=False, **options))
        if return_weights:
            # A visible NaN makes the total NaN; the hidden weights of that row stay 0.
            weights.append(share if seen is None else xp.where(seen, share, 0))
    output = _stacked(xp, outputs)
    return AttentionResult(output, _stacked(xp, weights)) if return_weights else output


def _stacked(xp: Any, parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else xp.concat(parts, axis=-2)


def dirichlet_kl(here: "Place", concentration: Any, prior_concentration: Any) -> Any:
    """Subtract large terms that nearly cancel: in double precision, whatever the call's."""
    xp = here.xp
    a, b = (array.astype(xp.float64) for array in (concentration, prior_concentration))
    if a.shape[-1] == 0:
        return (concentration - prior_concentration).sum(axis=-1)  # there is one distribution over nothing
    special = importlib.import_module("scipy.special" if xp.__name__.endswith("numpy") else "cupyx.scipy.special")
    log_gamma, psi = special.gammaln, special.psi
    a0, b0 = a.sum(axis=-1), b.sum(axis=-1)
    normalizers = log_gamma(a0) - log_gamma(a).sum(axis=-1) - log_gamma(b0) + log_gamma(b).sum(axis=-1)
    divergence = normalizers + ((a - b) * (psi(a) - psi(a0)[..., None])).sum(axis=-1)
    return divergence.astype(concentration.dtype)
