# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: hopfield_attention
#   options: [beta, steps, tol]
#   lines: 14
#   minutes: 30
#   points: 3
#   mistakes:
#     one_step_too_many: >-
#       The query moves `steps` times and the weights are then computed once more. `steps` counts the weights, so the
#       query moves one time less.
#     values_fed_back: >-
#       The query moves among the values. It lives in the space of the keys: move it among the keys, and read the values
#       once, at the end.
#     stops_before_the_update: >-
#       The weights of the step in which a query comes to rest are thrown away. They still count; it is the next step
#       that is not made.
# ---

# %% [markdown]
# # Retrieval to convergence
#
# A modern Hopfield network stores patterns as the valleys of an energy
#
# $$E(\xi) = \tfrac12 \lVert \xi \rVert^2 - \tfrac1\beta \log \sum_j e^{\beta \langle k_j, \xi \rangle},$$
#
# and a state $\xi$ rolls downhill to the pattern that was meant. Set the gradient to zero and you find where the next
# step leads:
#
# $$\xi \leftarrow \sum_j w_j k_j, \qquad w = \mathrm{softmax}(\beta\, \xi K^\top).$$
#
# This is softmax attention with the keys as values. One step of it is what a transformer does; here we go on, and stop
# when nothing moves any more:
#
# $$\xi_0 = q_i, \qquad w_s = \mathrm{softmax}(\beta\, \xi_{s-1} K^\top), \qquad \xi_s = w_s K, \qquad
#   \mathrm{out}_i = w_{\mathrm{steps}} V .$$
#
# So the weights are computed `steps` times, the state moves `steps` - 1 times among the keys, and the last weights read
# the values. If `tol` is above 0, a query stops once its weights change by no more than that, in Euclidean distance,
# from one step to the next: those last weights count, and the query takes no part in further steps. Every query stops
# for itself.
#
# **Write** `hopfield_attention(query, key, value, *, beta, steps, tol)`: `query` is `(..., m, d)`, `key` `(..., n, d)`,
# `value` `(..., n, e)`, the result `(..., m, e)`; leading axes broadcast. Any size but d may be 0: without keys the
# result is zeros. It has the dtype of the arrays. Without values the keys are read, and the network completes patterns.
# If `beta` is None it is $1/\sqrt d$. `steps` is at least 1. Scores may be as large as 1e4. There is no need to check
# arguments.

# %% [markdown]
# <details><summary>Hint 1: begin without a tolerance</summary>
#
# Write a small function that turns a state into weights. Then the whole is: weights of the query; `steps - 1` times the
# weights of `weights @ key`; `weights @ value`.
#
# </details>
#
# <details><summary>Hint 2: who still moves</summary>
#
# Keep a boolean array `moving` of shape (..., m), and take the new weights only where it is True.
#
# </details>
#
# <details><summary>Hint 3: the order within a step</summary>
#
# New weights; their distance from the old ones; accept them where `moving`; then stop those whose distance is at most
# `tol`.
#
# </details>

# %%
import numpy as np


def hopfield_attention(query, key, value=None, *, beta=None, steps=1, tol=0.0):
    """Return what each query reads after it has moved among the keys, (..., m, e)."""
    value = key if value is None else value
    ### BEGIN SOLUTION
    beta = query.shape[-1] ** -0.5 if beta is None else beta

    def weights_of(state):
        scores = beta * (state @ key.mT)  # (..., m, n)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True, initial=-np.inf))
        return weights / weights.sum(axis=-1, keepdims=True)

    weights = weights_of(query)
    moving = np.ones(weights.shape[:-1], dtype=bool)  # (..., m)
    for _ in range(1, steps):
        updated = weights_of(weights @ key)
        change = np.sqrt(((updated - weights) ** 2).sum(axis=-1))
        weights = np.where(moving[..., None], updated, weights)
        if tol > 0:
            moving = moving & (change > tol)
    return weights @ value
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _weights(state, key, beta):
    beta = 1 / np.sqrt(key.shape[-1]) if beta is None else beta
    scores = beta * (state @ key.mT)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def one_step_too_many(query, key, value=None, *, beta=None, steps=1, tol=0.0):
    return hopfield_attention(query, key, value, beta=beta, steps=steps + 1, tol=tol)


def values_fed_back(query, key, value=None, *, beta=None, steps=1, tol=0.0):
    if value.shape[-1] != key.shape[-1]:  # such code would not even run
        return np.full_like(_weights(query, key, beta) @ value, np.nan)
    state = query
    for _ in range(steps):
        state = _weights(state, key, beta) @ value
    return state


def stops_before_the_update(query, key, value=None, *, beta=None, steps=1, tol=0.0):
    weights = _weights(query, key, beta)
    moving = np.ones(weights.shape[:-1], dtype=bool)
    for _ in range(1, steps):
        updated = _weights(weights @ key, key, beta)
        change = np.sqrt(((updated - weights) ** 2).sum(axis=-1))
        if tol > 0:
            moving = moving & (change > tol)
        weights = np.where(moving[..., None], updated, weights)
    return weights @ value


### END HIDDEN TESTS
