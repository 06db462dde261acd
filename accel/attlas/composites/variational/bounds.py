"""Bounds on the likelihood of a hidden alignment: a few elementwise passes over what the caller holds already."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from attlas_ref.contract import LatentBounds, SampledBound

from .parts import log_sum_exp, shares

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["importance_weighted_bound", "latent_alignment_bounds"]


def latent_alignment_bounds(
    here: "Place", log_prior: Any, log_likelihood: Any, log_posterior: Any, *, mask: Any
) -> LatentBounds:
    """Sum over the places, exactly and below."""
    xp = here.xp
    log_prior, log_likelihood, log_posterior = xp.broadcast_arrays(log_prior, log_likelihood, log_posterior)
    visible = xp.ones(log_prior.shape[-1:], dtype=xp.bool)
    visible = visible if mask is None else visible & mask
    log_joint = log_prior + log_likelihood
    log_marginal = log_sum_exp(xp, xp.where(visible, log_joint, -math.inf))[..., 0]
    p, q = (xp.where(visible, xp.exp(logs), 0) for logs in (log_prior, log_posterior))
    kl = _expected(xp, q, log_posterior - log_prior)
    # Without a place there is no q; the output is impossible, and each rung says so.
    possible = visible.any(axis=-1)
    prior_bound, reconstruction = (
        xp.where(possible, _expected(xp, weights, log_likelihood), -math.inf) for weights in (p, q)
    )
    posterior = shares(xp, log_joint, visible)
    return LatentBounds(log_marginal, prior_bound, reconstruction, kl, reconstruction - kl, posterior)


def _expected(xp: Any, weights: Any, terms: Any) -> Any:
    """Sum weights times terms; a weight of 0 takes its term out, be it infinite or NaN."""
    return xp.where(weights == 0, 0, weights * terms).sum(axis=-1)


def importance_weighted_bound(
    here: "Place", log_prior: Any, log_likelihood: Any, log_posterior: Any, *, samples: Any, return_weights: bool
) -> Any:
    """Average the importance weights of the samples."""
    xp = here.xp

    def drawn(logs: Any) -> Any:
        """The entries at the samples, (..., K)."""
        leading = np.broadcast_shapes(logs.shape[:-1], samples.shape[:-1])
        places = xp.broadcast_to(samples, (*leading, samples.shape[-1]))
        return xp.take_along_axis(xp.broadcast_to(logs, (*leading, logs.shape[-1])), places, axis=-1)

    log_weights = drawn(log_prior) + drawn(log_likelihood) - drawn(log_posterior)
    bound = log_sum_exp(xp, log_weights)[..., 0] - math.log(samples.shape[-1])
    if not return_weights:
        return bound
    return SampledBound(bound, shares(xp, log_weights, xp.ones(samples.shape[-1:], dtype=xp.bool)))
