# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: copy_mixture
#   options: [size]
#   lines: 8
#   minutes: 20
#   points: 2
#   mistakes:
#     last_position_wins: >-
#       A word that occurs twice in the source keeps the weight of one position only. It collects the weights of all
#       positions where it stands.
#     gate_turned_around: >-
#       The gate says how much is generated. Copying has the share 1 - gate.
#     unknown_words_dropped: >-
#       Words that the vocabulary lacks get nothing. They are what copying is for: their numbers begin at V.
# ---

# %% [markdown]
# # The copy distribution
#
# A summarizer knows a vocabulary of V words. The text in front of it holds others: names, numbers, places. Attention
# has already picked out where the next word comes from, so let its weights be, in part, the probability of the word
# that stands there. With the attention weights $a_{ij}$ of step i (`weights`), the number $w_j$ of the word at source
# position j (`source_ids`), the distribution over the vocabulary (`vocab_prob`) and a gate $g_i$ that says how much is
# generated,
#
# $$P_i(w) = g_i\, P_{\mathrm{vocab}, i}(w) + (1 - g_i) \sum_{j\,:\, w_j = w} a_{ij} .$$
#
# Words that the vocabulary lacks have the numbers V, V + 1, ... for the length of one document. There the first term is
# 0, and they can only be copied. So the result is wider than the vocabulary. A word that stands twice in the source
# collects both weights, and the result sums to 1 if the two distributions do.
#
# **Write** `copy_mixture(vocab_prob, weights, gate, source_ids, *, size)`: `vocab_prob` is `(..., m, V)`, `weights`
# `(..., m, n)`, `gate` `(..., m)`, `source_ids` `(..., n)`, whole numbers from 0 on, which may be stored as floating
# numbers. The result is `(..., m, size)`. If `size` is None it is as small as possible: V, or the largest number plus 1
# if that is more. Leading axes broadcast, the source may be empty, and the result has the dtype of the arrays. There is
# no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: the sum as a matrix product</summary>
#
# One-hot rows, `source_ids[..., None] == np.arange(size)`, are (..., n, size). The weights times these rows are the sum
# over the positions of each word.
#
# </details>
#
# <details><summary>Hint 2: wider than the vocabulary</summary>
#
# Append zeros to `vocab_prob`: `np.concatenate` with an array of shape (..., m, size - V).
#
# </details>
#
# <details><summary>Hint 3: leading axes</summary>
#
# Given the one-hot rows the product broadcasts by itself; the gate needs an axis, `gate[..., None]`.
#
# </details>

# %%
import numpy as np


def copy_mixture(vocab_prob, weights, gate, source_ids, *, size=None):
    """Return the mixture of what is generated and what is copied, (..., m, size)."""
    if source_ids.ndim == weights.ndim:  # (..., 1, n): one row for all steps
        source_ids = source_ids[..., 0, :]
    ### BEGIN SOLUTION
    known = vocab_prob.shape[-1]
    if size is None:
        size = max(known, int(source_ids.max(initial=-1)) + 1)
    words = (source_ids[..., None] == np.arange(size)).astype(weights.dtype)  # (..., n, size)
    copied = weights @ words  # (..., m, size)
    unknown = np.zeros((*vocab_prob.shape[:-1], size - known), dtype=vocab_prob.dtype)
    generated = np.concatenate([vocab_prob, unknown], axis=-1)
    return gate[..., None] * generated + (1 - gate[..., None]) * copied
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _mixed(vocab_prob, weights, gate, words):
    unknown = np.zeros((*vocab_prob.shape[:-1], words.shape[-1] - vocab_prob.shape[-1]))
    generated = np.concatenate([vocab_prob, unknown], axis=-1)
    return gate[..., None] * generated + (1 - gate[..., None]) * (weights @ words)


def _words(vocab_prob, source_ids, size):
    size = max(vocab_prob.shape[-1], int(source_ids.max()) + 1) if size is None else size
    return (source_ids[..., None] == np.arange(size)).astype(float)


def last_position_wins(vocab_prob, weights, gate, source_ids, *, size=None):
    words = _words(vocab_prob, source_ids, size)
    later = np.cumsum(words[..., ::-1, :], axis=-2)[..., ::-1, :] - words
    return _mixed(vocab_prob, weights, gate, np.where(later > 0, 0, words))


def gate_turned_around(vocab_prob, weights, gate, source_ids, *, size=None):
    return _mixed(vocab_prob, weights, 1 - gate, _words(vocab_prob, source_ids, size))


def unknown_words_dropped(vocab_prob, weights, gate, source_ids, *, size=None):
    words = _words(vocab_prob, source_ids, size)
    words[..., vocab_prob.shape[-1] :] = 0
    return _mixed(vocab_prob, weights, gate, words)


### END HIDDEN TESTS
