# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: importance_weighted_bound
#   options: [samples]
#   lines: 8
#   minutes: 15
#   points: 2
#   mistakes:
#     mean_of_the_logarithms: >-
#       The logarithms are averaged. That is the ELBO's estimate; the bound averages the weights themselves, which is
#       tighter, and then takes the logarithm.
#     not_divided_by_k: >-
#       The logarithm of the sum is returned. A mean over K samples divides by K, so log K is to be subtracted.
#     proposal_forgotten: >-
#       The weights lack the division by q. The samples come from q, and the division makes up for it.
#     all_places: >-
#       All places are summed over instead of the samples.
# ---

# %% [markdown]
# # K samples instead of a sum over all places
#
# The likelihood of a latent alignment, $\sum_z p(z)\, e^{L_z}$, takes a run of the decoder for every place. Draw a few
# places from a distribution q that is easy to sample and weigh each by how much too rare it is under q,
#
# $$\ell_k = \log \frac{p(z_k)\, e^{L_{z_k}}}{q(z_k)} = \log p(z_k) + L_{z_k} - \log q(z_k), \qquad z_k \sim q .$$
#
# $e^{\ell_k}$ is an unbiased estimate of the likelihood, and so is the mean of K of them. Its logarithm is on average
# too small, the less so the more samples there are:
#
# $$\mathrm{ELBO} = \mathbb E[\ell_1] \;\le\; \mathbb E\Bigl[\log \tfrac1K \sum_{k=1}^K e^{\ell_k}\Bigr]
#   \;\le\; \log p(y \mid x) .$$
#
# **Write** `importance_weighted_bound(log_prior, log_likelihood, log_posterior, *, samples)`: the three arrays are
# `(..., n)`, in the order p, L, q; `samples` is `(..., K)`, whole numbers below n, as an array or nested lists. The
# result is the middle quantity without the expectation, $\log \frac1K \sum_k e^{\ell_k}$, of shape `(...)`. n and K are
# at least 1, leading axes broadcast, the result has the dtype of the arrays, and logarithms may be as large as 1e4 with
# either sign. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: first the ratio, then the draw</summary>
#
# Add up the three logarithms for all places, (..., n), and pick the K entries afterwards.
#
# </details>
#
# <details><summary>Hint 2: picking along the last axis</summary>
#
# `np.take_along_axis(log_ratio, samples, axis=-1)` wants the same leading axes on both: broadcast them first, to
# `np.broadcast_shapes(log_ratio.shape[:-1], samples.shape[:-1])`.
#
# </details>
#
# <details><summary>Hint 3: the logarithm of a mean</summary>
#
# A log-sum-exp with the largest taken out, less `np.log(K)`. A row may hold nothing but -inf, and then the result is
# -inf: subtract 0 in the place of an infinite largest, and silence `np.log(0)` with `np.errstate(divide="ignore")`.
#
# </details>

# %%
import numpy as np


def importance_weighted_bound(log_prior, log_likelihood, log_posterior, *, samples):
    """Return the logarithm of the mean importance weight of K samples, (...)."""
    ### BEGIN SOLUTION
    samples, log_ratio = np.asarray(samples, dtype=int), log_prior + log_likelihood - log_posterior
    leading = np.broadcast_shapes(log_ratio.shape[:-1], samples.shape[:-1])
    log_ratio = np.broadcast_to(log_ratio, (*leading, log_ratio.shape[-1]))
    drawn = np.take_along_axis(log_ratio, np.broadcast_to(samples, (*leading, samples.shape[-1])), axis=-1)
    largest = drawn.max(axis=-1, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(drawn - largest).mean(axis=-1)) + largest[..., 0]
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _drawn(logs, samples):
    samples = np.asarray(samples)
    leading = np.broadcast_shapes(logs.shape[:-1], samples.shape[:-1])
    places = np.broadcast_to(samples, (*leading, samples.shape[-1]))
    return np.take_along_axis(np.broadcast_to(logs, (*leading, logs.shape[-1])), places, axis=-1)


def mean_of_the_logarithms(log_prior, log_likelihood, log_posterior, *, samples):
    return _drawn(log_prior + log_likelihood - log_posterior, samples).mean(axis=-1)


def not_divided_by_k(log_prior, log_likelihood, log_posterior, *, samples):
    bound = importance_weighted_bound(log_prior, log_likelihood, log_posterior, samples=samples)
    return bound + np.log(np.asarray(samples).shape[-1])


def proposal_forgotten(log_prior, log_likelihood, log_posterior, *, samples):
    nothing = np.zeros_like(log_posterior)
    return importance_weighted_bound(log_prior, log_likelihood, nothing, samples=samples)


def all_places(log_prior, log_likelihood, log_posterior, *, samples):
    every = np.arange(log_prior.shape[-1])
    leading = np.broadcast_shapes(log_prior.shape[:-1], np.asarray(samples).shape[:-1])
    every = np.broadcast_to(every, (*leading, every.size))
    return importance_weighted_bound(log_prior, log_likelihood, log_posterior, samples=every)


### END HIDDEN TESTS
