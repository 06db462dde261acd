# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: alignment_score_gradient
#   options: [samples, baseline]
#   lines: 7
#   minutes: 25
#   points: 3
#   mistakes:
#     probabilities_not_subtracted: >-
#       The score of a sample is taken to be one at the drawn place and 0 elsewhere. The derivative of log q also takes
#       the probabilities away, and so the gradient sums to 0.
#     baseline_forgotten: >-
#       The rewards are used as they are. Take the baseline from the reward of each sample; it leaves the mean of the
#       gradient alone and calms its scatter.
#     summed_over_samples: >-
#       The samples are summed. An estimate of an expectation is their mean.
#     exact_without_the_mean: >-
#       The exact gradient lacks the mean reward. A place is raised only if it does better than average.
# ---

# %% [markdown]
# # The score-function gradient
#
# A model draws a place z from $q = \mathrm{softmax}(s)$ and earns a reward $r_z$, say the log likelihood of the right
# word. How should the scores change for a higher expected reward $\sum_z q_z r_z$? The derivative of the softmax gives
#
# $$g_j = q_j \Bigl(r_j - \sum_z q_z r_z\Bigr):$$
#
# raise what does better than average. This needs the reward of every place. But the same gradient is an expectation
# under q, since $\nabla q = q\, \nabla \log q$, and then the rewards of K drawn places are enough:
#
# $$g_j = \mathbb E_z\bigl[(r_z - b)\, \partial_j \log q_z\bigr] \approx \frac1K \sum_{k=1}^K (r_k - b)
#   \bigl([z_k = j] - q_j\bigr) .$$
#
# The *baseline* b may be any constant: the score $\partial_j \log q_z$ has the mean 0. It changes the scatter of the
# estimate, not its mean. This is REINFORCE, and it is how hard attention is trained.
#
# **Write** `alignment_score_gradient(logits, rewards, *, samples, baseline)`: `logits` is `(..., n)`, the result
# `(..., n)`. If `samples` is None, `rewards` is `(..., n)`, one per place, and the gradient is exact; the baseline does
# not matter. Otherwise `samples` is `(..., K)`, whole numbers below n, as an array or nested lists, `rewards` is
# `(..., K)`, one per sample, and `baseline` a number or an array `(...)`. K is at least 1, leading axes broadcast, and
# the result has the dtype of the arrays. Logits may be as large as 1e4. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: one-hot rows</summary>
#
# `np.asarray(samples)[..., None] == np.arange(n)` has the shape (..., K, n).
#
# </details>
#
# <details><summary>Hint 2: the estimate</summary>
#
# Rewards less baseline as (..., K, 1), times one-hot rows less q as (..., K, n); the mean over the axis of the samples.
#
# </details>
#
# <details><summary>Hint 3: a baseline per member of the batch</summary>
#
# `np.asarray(baseline)[..., None]` goes with (..., K), be it a number or an array.
#
# </details>

# %%
import numpy as np


def alignment_score_gradient(logits, rewards, *, samples=None, baseline=0.0):
    """Return the gradient of the expected reward with respect to the logits, exact or from samples, (..., n)."""
    ### BEGIN SOLUTION
    q = np.exp(logits - logits.max(axis=-1, keepdims=True, initial=-np.inf))
    q = q / q.sum(axis=-1, keepdims=True)  # (..., n)
    if samples is None:
        return q * (rewards - (q * rewards).sum(axis=-1, keepdims=True))
    drawn = np.asarray(samples)[..., None] == np.arange(q.shape[-1])  # (..., K, n)
    advantage = rewards - np.asarray(baseline, dtype=rewards.dtype)[..., None]  # (..., K)
    return (advantage[..., None] * (drawn - q[..., None, :])).mean(axis=-2)
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def probabilities_not_subtracted(logits, rewards, *, samples=None, baseline=0.0):
    exact = alignment_score_gradient(logits, rewards, samples=samples, baseline=baseline)
    if samples is None:
        return exact
    drawn = np.asarray(samples)[..., None] == np.arange(logits.shape[-1])
    advantage = rewards - np.asarray(baseline)[..., None]
    return (advantage[..., None] * drawn).mean(axis=-2) + np.zeros_like(exact)


def baseline_forgotten(logits, rewards, *, samples=None, baseline=0.0):
    exact = alignment_score_gradient(logits, rewards, samples=samples, baseline=baseline)
    return alignment_score_gradient(logits, rewards, samples=samples) + np.zeros_like(exact)


def summed_over_samples(logits, rewards, *, samples=None, baseline=0.0):
    mean = alignment_score_gradient(logits, rewards, samples=samples, baseline=baseline)
    return mean if samples is None else mean * np.asarray(samples).shape[-1]


def exact_without_the_mean(logits, rewards, *, samples=None, baseline=0.0):
    if samples is not None:
        return alignment_score_gradient(logits, rewards, samples=samples, baseline=baseline)
    q = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return q / q.sum(axis=-1, keepdims=True) * rewards


### END HIDDEN TESTS
