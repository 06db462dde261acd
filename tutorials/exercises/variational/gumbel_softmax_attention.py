# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: gumbel_softmax_attention
#   options: [uniform, temperature, hard]
#   lines: 9
#   minutes: 20
#   points: 2
#   mistakes:
#     uniform_added: >-
#       The uniform numbers are added as they are. Only Gumbel noise, -log(-log(u)), makes the winner a draw from the
#       softmax.
#     one_logarithm: >-
#       The noise is -log(u). That is exponential noise; Gumbel noise takes the logarithm twice.
#     temperature_on_scores_only: >-
#       The temperature divides the scores alone. It divides the sum of scores and noise, so that it does not change who
#       wins.
#     hard_ignores_noise: >-
#       With hard=True the key with the largest score is read. The winner is decided with the noise.
# ---

# %% [markdown]
# # A draw with a gradient: the Gumbel trick
#
# To draw a key from a softmax one adds up probabilities until they pass a uniform number. There is another way: add
# independent *Gumbel* noise to the scores and take the largest,
#
# $$g = -\log(-\log u), \qquad j^* = \arg\max_j\, (s_j + g_j) \;\sim\; \mathrm{softmax}(s) .$$
#
# Now all randomness sits in the noise, which does not depend on any parameter: the draw has been *reparameterized*. Put
# a softmax with temperature $\tau$ in the place of the argmax and there is a gradient,
#
# $$w_{i\cdot} = \mathrm{softmax}\Bigl(\frac{s_{i\cdot} + g_{i\cdot}}{\tau}\Bigr), \qquad
#   \mathrm{out}_i = \sum_j w_{ij} v_j, \qquad s_{ij} = \frac{\langle q_i, k_j \rangle}{\sqrt d} .$$
#
# The temperature says how much of the choice is shown, not what is chosen. With `hard=True` the output is the value of
# the key that wins.
#
# Uniform numbers may be exactly 0 or 1. So use $g = -\log(-\log(u + \epsilon) + \epsilon)$ with $\epsilon = 10^{-20}$,
# as is usual; it is given as `EPSILON`.
#
# **Write** `gumbel_softmax_attention(query, key, value, *, uniform, temperature, hard)`: `query` is `(..., m, d)`,
# `key` `(..., n, d)`, `value` `(..., n, e)`, `uniform` `(..., m, n)`, the result `(..., m, e)`. Leading axes broadcast,
# and the result has the dtype of the arrays. Scores may be as large as 1e4. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: one array decides</summary>
#
# Compute `noisy = scores + gumbel` first. Both branches use nothing else.
#
# </details>
#
# <details><summary>Hint 2: hard</summary>
#
# One-hot weights need no indexing: `np.arange(n) == noisy.argmax(axis=-1)[..., None]`, as numbers.
#
# </details>
#
# <details><summary>Hint 3: accuracy</summary>
#
# Scores and noise live on different scales: subtract the row's largest score before you add the noise, so that the
# noise keeps its digits; and the largest sum before you take the exponential.
#
# </details>

# %%
import numpy as np

EPSILON = 1e-20


def gumbel_softmax_attention(query, key, value, *, uniform, temperature=1.0, hard=False):
    """Return attention with Gumbel noise on the scores, relaxed or as a hard choice, (..., m, e)."""
    if key.shape[-2] == 0:  # nothing to choose from
        return (query @ key.mT + uniform) @ value
    ### BEGIN SOLUTION
    scores = query @ key.mT / query.shape[-1] ** 0.5  # (..., m, n)
    gumbel = -np.log(-np.log(uniform + EPSILON) + EPSILON)
    noisy = scores - scores.max(axis=-1, keepdims=True) + gumbel
    if hard:
        weights = (np.arange(key.shape[-2]) == noisy.argmax(axis=-1)[..., None]).astype(value.dtype)
    else:
        weights = np.exp((noisy - noisy.max(axis=-1, keepdims=True)) / temperature)
        weights = weights / weights.sum(axis=-1, keepdims=True)
    return weights @ value
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _read(scores, value, hard):
    if hard:
        return (np.arange(value.shape[-2]) == scores.argmax(axis=-1)[..., None]).astype(value.dtype) @ value
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ value


def _scores(query, key):
    scores = query @ key.mT / np.sqrt(query.shape[-1])
    return scores - scores.max(axis=-1, keepdims=True)


def _gumbel(uniform):
    return -np.log(-np.log(uniform + EPSILON) + EPSILON)


def uniform_added(query, key, value, *, uniform, temperature=1.0, hard=False):
    return _read((_scores(query, key) + uniform) / temperature, value, hard)


def one_logarithm(query, key, value, *, uniform, temperature=1.0, hard=False):
    return _read((_scores(query, key) - np.log(uniform + EPSILON)) / temperature, value, hard)


def temperature_on_scores_only(query, key, value, *, uniform, temperature=1.0, hard=False):
    return _read(_scores(query, key) / temperature + _gumbel(uniform), value, hard)


def hard_ignores_noise(query, key, value, *, uniform, temperature=1.0, hard=False):
    noise = 0 * uniform if hard else _gumbel(uniform)
    return _read((_scores(query, key) + noise) / temperature, value, hard)


### END HIDDEN TESTS
