"""Attention as a posterior: over a latent edge, and of numbers under Gaussians.

A log prior over edges is a bias of the scores, so these stream as softmax attention does. The logarithm of a `prior` is
one more array, as large as what the prior holds; so is its sum with a bias.
"""

import math
from typing import TYPE_CHECKING, Any

from attlas_ref.contract import AscentEnergy, AscentWeightsEnergy, AttentionResult

from ..shapes import held, spread

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["gaussian_adaptive_attention", "iterative_attention", "structural_prior_attention"]


def structural_prior_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    *,
    prior: Any,
    log_prior: Any,
    bias: Any,
    **options: Any,
) -> Any:
    """Attend with the logarithm of the prior as a bias."""
    if prior is not None:
        log_prior = _logarithm(here.xp, prior, query.dtype)
    if bias is None:
        bias = log_prior
    elif log_prior is not None:
        bias = held(bias).astype(query.dtype) + held(log_prior).astype(query.dtype)
    return here.softmax_attention(query, key, value, temperature=1.0, bias=bias, **options)


def _logarithm(xp: Any, prior: Any, dtype: Any) -> Any:
    """Return the logarithm of a prior in the precision of the arithmetic, also of one in half precision."""
    return xp.log(held(prior).astype(dtype))


def iterative_attention(
    here: "Place",
    query: Any,
    key: Any,
    value: Any,
    *,
    steps: int,
    scale: float | None,
    step_size: float,
    prior: Any,
    mask: Any,
    causal: bool,
    return_weights: bool,
    return_energy: bool,
) -> Any:
    """Move each point towards the keys it belongs to, step by step, and read there."""
    xp = here.xp
    beta = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    log_prior = None if prior is None else _logarithm(xp, prior, query.dtype)
    query = spread(xp, query, *(() if pairs is None else pairs.shape[:-2] for pairs in (mask, log_prior)))
    edges: dict[str, Any] = {"scale": beta, "mask": mask, "bias": log_prior, "causal": causal}

    def read(x: Any, values: Any, with_weights: bool) -> tuple[Any, Any]:
        result = here.softmax_attention(x, key, values, temperature=1.0, return_weights=with_weights, **edges)
        return (result.output, result.weights) if with_weights else (result, None)

    def energy_at(x: Any) -> Any:
        of_edges = here.attention_energy(x, key, temperature=1.0, **edges)
        return (x * x).sum(axis=-1) / 2 + of_edges / beta  # (..., m)

    possible = xp.ones((1, 1), dtype=xp.bool)
    if not _all_possible(xp, query, key, **edges):
        # No edge is possible where their energy is infinite: a NaN counts as possible.
        possible = (here.attention_energy(query, key, temperature=1.0, **edges) != math.inf)[..., None]
    x, weights = xp.where(possible, query, 0), None
    energies = [energy_at(x)] if return_energy else []
    for step in range(steps):
        kept = return_weights and value is None and step == steps - 1
        mean, weights = read(x, key, kept)
        x = xp.where(possible, x - step_size * (x - mean), 0)  # (..., m, d)
        if return_energy:
            energies.append(energy_at(x))
    output = x
    if value is not None:
        output, weights = read(x, value, return_weights)  # (..., m, e)
    elif return_weights and steps == 0:
        weights = read(query, key, True)[1]

    if not return_energy:
        return AttentionResult(output, weights) if return_weights else output
    energy = xp.stack(energies, axis=-1)
    return AscentWeightsEnergy(output, weights, energy) if return_weights else AscentEnergy(output, energy)


def _all_possible(xp: Any, query: Any, key: Any, *, mask: Any, bias: Any, causal: bool, **_: Any) -> bool:
    """Whether every query surely has a key to go to: a pass over the pairs less."""
    (m, n), hidden = (query.shape[-2], key.shape[-2]), mask is not None or bias is not None
    if hidden or n == 0 or (causal and m > n):
        return False
    return bool(xp.isfinite(query.sum()) & xp.isfinite(key.sum()))


def gaussian_adaptive_attention(
    here: "Place",
    x: Any,
    *,
    mean_offset: Any,
    spread: Any,
    axis: int,
    heads: int,
    eps: float,
    mask: Any,
    padding: str,
    return_weights: bool,
) -> Any:
    """Weigh the numbers of each head, a piece of the axis, by their own mean and variance."""
    xp = here.xp
    shape = x.shape
    x = xp.moveaxis(x, axis, -1)
    visible = None if mask is None else xp.moveaxis(xp.broadcast_to(mask, shape), axis, -1)
    n = x.shape[-1]
    size = n // heads
    delta, c = (xp.broadcast_to(p, (heads, p.shape[-1])) for p in (mean_offset, spread))
    weights = xp.zeros_like(x)
    for h in range(heads):
        piece = slice(h * size, (h + 1) * size if h < heads - 1 else n)
        seen = None if visible is None else visible[..., piece]
        weights[..., piece] = _gaussian_weights(xp, x[..., piece], seen, delta[h], c[h], eps, padding)
    output = x * weights
    if visible is not None:
        output = xp.where(visible, output, 0 if padding == "ignore" else x)
    output, weights = (xp.moveaxis(array, -1, axis) for array in (output, weights))
    return AttentionResult(output, weights) if return_weights else output


def _gaussian_weights(xp: Any, x: Any, visible: Any, delta: Any, c: Any, eps: float, padding: str) -> Any:
    """Return the weights along the last axis, (..., n), of one head.

    Among the densities the largest is taken out before the exponential, so that far offsets leave a sum above 0.
    """
    n = x.shape[-1]
    seen = x if visible is None else xp.where(visible, x, 0)
    weighed = visible if padding == "ignore" else None
    if weighed is None:
        count, fewer = float(n), float(n - 1)
    else:
        counted = weighed.sum(axis=-1)[..., None].astype(x.dtype)
        count, fewer = (xp.where(number < 1, 1, number) for number in (counted, counted - 1))
    mean = seen.sum(axis=-1)[..., None] / count  # (..., 1)
    deviations = seen - mean if weighed is None else xp.where(weighed, seen - mean, 0)
    variance = (deviations * deviations).sum(axis=-1)[..., None] / fewer + eps
    log_density: Any = 0
    for i in range(c.shape[0]):
        away = x - mean - delta[i]
        log_density = log_density - away * away / (2 * variance * c[i] ** 2) - xp.log(2 * math.pi * c[i] ** 2) / 2
    if weighed is not None:
        log_density = xp.where(weighed, log_density, -math.inf)
    largest = log_density.max(axis=-1)[..., None]
    largest = xp.where(largest == -math.inf, 0, largest)
    log_sum = largest + xp.log(xp.exp(log_density - largest).sum(axis=-1)[..., None])
    least = math.log(eps)
    weights = xp.exp(log_density - xp.where(log_sum < least, least, log_sum))
    return weights if weighed is None else xp.where(weighed, weights, 0)
