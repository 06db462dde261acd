# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: structural_prior_attention
#   options: [prior, mask]
#   lines: 11
#   minutes: 15
#   points: 2
#   mistakes:
#     prior_added: >-
#       The prior is added to the scores. Bayes' rule multiplies probabilities, so its logarithm is added.
#     prior_after_the_softmax: >-
#       The prior multiplies the softmax and the rows no longer sum to 1. Multiply first, and divide by the sum.
# ---

# %% [markdown]
# # Attention as a posterior
#
# Suppose query i is joined to exactly one key, and nobody has seen to which. Before you look at the query there is a
# belief about it, a *prior* $\pi_{ij}$: the word before, a word nearby, a neighbor in a graph. The scores then speak
# for and against each key, with the likelihood $e^{s_{ij}}$, and Bayes' rule puts both together:
#
# $$w_{ij} = p(\text{edge} = j \mid q_i) = \frac{\pi_{ij}\, e^{s_{ij}}}{\sum_{j'} \pi_{ij'}\, e^{s_{ij'}}}, \qquad
#   s_{ij} = \frac{\langle q_i, k_j \rangle}{\sqrt d}, \qquad \mathrm{out}_i = \sum_j w_{ij} v_j .$$
#
# Attention is the mean of the values under this posterior, and softmax attention is the case of a uniform prior. A
# prior of 0 says that an edge is impossible, whatever its score; a mask says the same.
#
# **Write** `structural_prior_attention(query, key, value, *, prior, mask)`: `query` is `(..., m, d)`, `key`
# `(..., n, d)`, `value` `(..., n, e)`, the result `(..., m, e)`; leading axes broadcast. Any size but d may be 0:
# without keys the result is zeros. It has the dtype of the arrays. `prior` is not negative and need not sum to 1;
# `mask` is boolean (True = possible); either may be None, and both broadcast to `(..., m, n)`. A query without a
# possible edge gets zeros. Scores may be as large as 1e4, and the prior may be in half precision: take its logarithm in
# the dtype of the scores. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: a prior is a bias</summary>
#
# $\pi e^s = e^{s + \log \pi}$. So add the logarithm of the prior to the scores and take a softmax.
#
# </details>
#
# <details><summary>Hint 2: the logarithm of 0</summary>
#
# It is `-np.inf`, which is just right, but NumPy warns. Take the logarithm of the positive entries only:
# `np.log(np.where(prior > 0, prior, 1))`, and hide the others as a mask does.
#
# </details>
#
# <details><summary>Hint 3: a query without a key</summary>
#
# Its largest score is `-np.inf`; subtract 0 instead, and divide by 1 where the sum is 0.
#
# </details>

# %%
import numpy as np


def structural_prior_attention(query, key, value, *, prior=None, mask=None):
    """Return the mean of the values under the posterior of a latent edge, (..., m, e)."""
    ### BEGIN SOLUTION
    scores = query @ key.mT / query.shape[-1] ** 0.5  # (..., m, n)
    if prior is not None:
        log_prior = np.log(np.where(prior > 0, prior, 1), dtype=scores.dtype)
        scores = np.where(prior > 0, scores + log_prior, -np.inf)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    largest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - np.where(largest == -np.inf, 0, largest))
    total = weights.sum(axis=-1, keepdims=True)
    weights = weights / np.where(total == 0, 1, total)
    return weights @ value
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _softmax(scores):
    largest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - np.where(largest == -np.inf, 0, largest))
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total)


def _masked(scores, mask):
    return scores if mask is None else np.where(mask, scores, -np.inf)


def prior_added(query, key, value, *, prior=None, mask=None):
    scores = query @ key.mT / query.shape[-1] ** 0.5
    return _softmax(_masked(scores if prior is None else scores + prior, mask)) @ value


def prior_after_the_softmax(query, key, value, *, prior=None, mask=None):
    weights = _softmax(_masked(query @ key.mT / query.shape[-1] ** 0.5, mask))
    return (weights if prior is None else weights * prior) @ value


### END HIDDEN TESTS
