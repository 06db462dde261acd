# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: topk_softmax_attention
#   options: [top_k, causal]
#   lines: 12
#   minutes: 20
#   points: 2
#   mistakes:
#     not_renormalized: >-
#       The softmax runs over all keys and the small weights are set to 0 afterwards. The weights that remain then sum
#       to less than 1; forget the keys first, and take the softmax of what is kept.
#     chosen_before_causal: >-
#       The best keys are chosen before the causal rule is applied. A key of the future takes a place among the top_k
#       and is then hidden; choose among the visible keys.
#     one_too_many: >-
#       One key more than top_k is kept. In a row sorted upwards the k-th largest entry has the index n - k.
#     top_left_causal: >-
#       The causal rule is aligned at the first key. The last query must see the last key, so query i sees key j iff j
#       <= i + n - m.
# ---

# %% [markdown]
# # The best few keys
#
# Of a thousand keys a query often needs three, and the rest add noise with many small weights. Keep the $k$ largest
# visible scores of each query, forget the others, and take the softmax of what is kept:
#
# $$w_{i\cdot} = \mathrm{softmax}_{K(i)}(s_{i\cdot}), \qquad K(i) = \{j \in V(i) : s_{ij} \ge s_{i(k)}\}, \qquad
#   s_{ij} = \frac{\langle q_i, k_j \rangle}{\sqrt d},$$
#
# where $V(i)$ holds the keys that query i sees and $s_{i(k)}$ is the k-th largest score among them. Keys that tie with
# the k-th are all kept: so the result does not depend on the order of the keys. If fewer than k keys are visible, all
# of them are kept.
#
# **Write** `topk_softmax_attention(query, key, value, *, top_k, causal)`: `query` is `(..., m, d)`, `key`
# `(..., n, d)`, `value` `(..., n, e)`, the result `(..., m, e)`; leading axes broadcast. Any size but d may be 0:
# without keys the result is zeros. It has the dtype of the arrays. With `causal=True` query i sees key j iff
# `j <= i + n - m`. A query that sees no key gets zeros. Scores may be as large as 1e4. There is no need to check
# arguments.

# %% [markdown]
# <details><summary>Hint 1: hide first</summary>
#
# Put `-np.inf` in the place of hidden scores, with `np.where`. A sort then takes them for the smallest.
#
# </details>
#
# <details><summary>Hint 2: the k-th largest score</summary>
#
# Sort each row: it stands k places from the end. Keep its axis, and compare every score with it. With `top_k >= n`
# there is nothing to forget.
#
# </details>
#
# <details><summary>Hint 3: a row without a key</summary>
#
# Its largest score is `-np.inf`, and `-inf - (-inf)` is NaN. Subtract 0 there instead, and divide by 1 where the sum is
# 0.
#
# </details>

# %%
import numpy as np


def topk_softmax_attention(query, key, value, *, top_k, causal=False):
    """Return softmax attention to the top_k best visible keys of each query, (..., m, e)."""
    ### BEGIN SOLUTION
    m, n, d = query.shape[-2], key.shape[-2], query.shape[-1]
    scores = query @ key.mT / d**0.5  # (..., m, n)
    if causal:
        scores = np.where(np.arange(n) <= np.arange(m)[:, None] + n - m, scores, -np.inf)
    if top_k < n:
        last_kept = np.sort(scores, axis=-1)[..., n - top_k, None]  # (..., m, 1)
        scores = np.where(scores >= last_kept, scores, -np.inf)
    largest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - np.where(largest == -np.inf, 0, largest))
    total = weights.sum(axis=-1, keepdims=True)
    weights = weights / np.where(total == 0, 1, total)
    return weights @ value
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _scores(query, key, causal, offset=None):
    m, n = query.shape[-2], key.shape[-2]
    scores = query @ key.mT / np.sqrt(query.shape[-1])
    offset = n - m if offset is None else offset
    return np.where(np.arange(n) <= np.arange(m)[:, None] + offset, scores, -np.inf) if causal else scores


def _softmax(scores):
    largest = scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores - np.where(largest == -np.inf, 0, largest))
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total)


def _kept(scores, top_k):
    return scores >= np.sort(scores, axis=-1)[..., max(scores.shape[-1] - top_k, 0), None]


def not_renormalized(query, key, value, *, top_k, causal=False):
    scores = _scores(query, key, causal)
    return np.where(_kept(scores, top_k), _softmax(scores), 0) @ value


def chosen_before_causal(query, key, value, *, top_k, causal=False):
    kept = _kept(_scores(query, key, False), top_k)
    return _softmax(np.where(kept, _scores(query, key, causal), -np.inf)) @ value


def one_too_many(query, key, value, *, top_k, causal=False):
    scores = _scores(query, key, causal)
    return _softmax(np.where(_kept(scores, top_k + 1), scores, -np.inf)) @ value


def top_left_causal(query, key, value, *, top_k, causal=False):
    scores = _scores(query, key, causal, offset=0)
    return _softmax(np.where(_kept(scores, top_k), scores, -np.inf)) @ value


### END HIDDEN TESTS
