# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: coverage_attention
#   options: [w_query, w_key, w_coverage, v]
#   lines: 9
#   minutes: 25
#   points: 3
#   mistakes:
#     coverage_of_the_last_step: >-
#       The coverage holds the weights of the last step only. It is the sum of all weights so far.
#     coverage_includes_now: >-
#       The weights of a step enter their own score. A step sees the coverage of the steps before it.
#     starts_uniform: >-
#       The coverage begins with 1 / n. Here nothing has been looked at before the first step: it begins with 0.
# ---

# %% [markdown]
# # Coverage: remember where you have looked
#
# A summarizer repeats itself when its attention comes back to the same place. Let the score see how much each place has
# been attended to before. The *coverage* $c$ of a source position is the sum of all weights that it has had so far:
#
# $$e_{ij} = v \cdot \tanh(q_i W_q + k_j W_k + c_{ij}\, w_c), \qquad a_{i\cdot} = \mathrm{softmax}(e_{i\cdot}), \qquad
#   c_{i+1} = c_i + a_i, \qquad c_0 = 0,$$
#
# and $\mathrm{out}_i = \sum_j a_{ij} v_j$. With a suitable $w_c$ the network learns to go where it has not been. The
# price: steps follow each other, since $c_i$ depends on all weights before. Only the projections are computed at once.
#
# This is attention with a state, as so much of what follows: an alignment that moves forward, a pointer, a memory.
#
# **Write** `coverage_attention(query, key, value, *, w_query, w_key, w_coverage, v)`: `query` is `(..., m, d_q)`, one
# row per step, `key` `(..., n, d_k)`, `value` `(..., n, e)`, `w_query` `(d_q, a)`, `w_key` `(d_k, a)`, `w_coverage` and
# `v` `(a,)`. The result is `(..., m, e)`. Leading axes broadcast, the result has the dtype of the arrays, and the array
# for the weights is there already. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: before the loop</summary>
#
# `query @ w_query` and `key @ w_key` do not depend on the coverage.
#
# </details>
#
# <details><summary>Hint 2: one step</summary>
#
# The projected query of step i as (..., 1, a), the projected keys as (..., n, a), the coverage as (..., n, 1) times
# `w_coverage`. The hyperbolic tangent of their sum, times v, are the scores (..., n).
#
# </details>
#
# <details><summary>Hint 3: the state</summary>
#
# Start with `coverage = np.zeros(n)`: the first step gives it all leading axes. Multiply with the values once, after
# the loop.
#
# </details>

# %%
import numpy as np


def coverage_attention(query, key, value, *, w_query, w_key, w_coverage, v):
    """Return additive attention whose scores see how much each key has been attended to before, (..., m, e)."""
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    weights = np.zeros((*leading, query.shape[-2], key.shape[-2]), dtype=query.dtype)
    ### BEGIN SOLUTION
    asks, offers = query @ w_query, key @ w_key
    coverage = np.zeros(key.shape[-2], dtype=key.dtype)
    for i in range(query.shape[-2]):
        hidden = asks[..., i, None, :] + offers + coverage[..., None] * w_coverage  # (..., n, a)
        scores = np.tanh(hidden) @ v  # (..., n)
        row = np.exp(scores - scores.max(axis=-1, keepdims=True, initial=-np.inf))
        weights[..., i, :] = row / row.sum(axis=-1, keepdims=True)
        coverage = coverage + weights[..., i, :]
    return weights @ value
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _run(query, key, value, w_query, w_key, w_coverage, v, start=0.0, kept=1.0, twice=False):
    def weights_at(i, coverage):
        hidden = (query @ w_query)[..., i, None, :] + key @ w_key + coverage[..., None] * w_coverage
        scores = np.tanh(hidden) @ v
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return weights / weights.sum(axis=-1, keepdims=True)

    coverage, rows = np.full(key.shape[-2], start), []
    for i in range(query.shape[-2]):
        weights = weights_at(i, coverage)
        if twice:
            weights = weights_at(i, coverage + weights)
        coverage = kept * coverage + weights
        rows.append(weights)
    return np.stack(rows, axis=-2) @ value


def coverage_of_the_last_step(query, key, value, *, w_query, w_key, w_coverage, v):
    return _run(query, key, value, w_query, w_key, w_coverage, v, kept=0.0)


def coverage_includes_now(query, key, value, *, w_query, w_key, w_coverage, v):
    return _run(query, key, value, w_query, w_key, w_coverage, v, twice=True)


def starts_uniform(query, key, value, *, w_query, w_key, w_coverage, v):
    return _run(query, key, value, w_query, w_key, w_coverage, v, start=1 / key.shape[-2])


### END HIDDEN TESTS
