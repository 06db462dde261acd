# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: linear_chain_marginals
#   options: []
#   lines: 14
#   minutes: 45
#   points: 4
#   mistakes:
#     unary_counted_twice: >-
#       The score of a label is in alpha and in beta, so it counts twice. Let alpha hold the score of its own position,
#       and beta only those that follow.
#     pairwise_transposed: >-
#       The table of transitions is read the wrong way round. Its row is a label, its column the next one.
#     each_for_itself: >-
#       The marginals are softmaxes of the unary scores, as if there were no neighbors.
# ---

# %% [markdown]
# # Forward and backward along a chain
#
# Softmax attention asks of each position by itself how much it matters. A chain asks of all positions together:
# position t has a label $z_t$ out of c, neighbors may like or dislike each other's labels, and a whole labeling has the
# probability
#
# $$p(z) = \frac1Z \exp\Bigl(\sum_t u_t(z_t) + \sum_t P_t(z_t, z_{t+1})\Bigr) .$$
#
# There are $c^n$ labelings, but sums over all of them can be carried along the chain. Let $\alpha_t(b)$ be the
# logarithm of what all beginnings that end in label b at t weigh together, the score of b included, and $\beta_t(a)$
# that of all continuations after label a at t:
#
# $$\alpha_{t+1}(b) = u_{t+1}(b) + \log \sum_a e^{\alpha_t(a) + P_t(a, b)}, \qquad
#   \beta_t(a) = \log \sum_b e^{P_t(a, b) + u_{t+1}(b) + \beta_{t+1}(b)},$$
#
# with $\alpha_1 = u_1$ and $\beta_n = 0$. Then $\log Z = \log \sum_b e^{\alpha_n(b)}$, and
#
# $$p(z_t = a) = \frac{e^{\alpha_t(a) + \beta_t(a)}}{Z}, \qquad
#   p(z_t = a, z_{t+1} = b) = \frac{e^{\alpha_t(a) + P_t(a, b) + u_{t+1}(b) + \beta_{t+1}(b)}}{Z} .$$
#
# **Numerics.** Scores add up along the chain, and where $\alpha$ is a million few digits are left for the differences
# between labels, which alone matter. So subtract from every $\alpha_t$ its own log-sum-exp; $\log Z$ is the sum of what
# has been subtracted. Shift every $\beta_t$ likewise. A shift drops out of the marginals if each position, and each
# pair of neighbors, is normalized by its own sum.
#
# **Write** `linear_chain_marginals(unary, pairwise)`: `unary` is `(..., n, c)`, `pairwise` `(..., n-1, c, c)`, rows for
# the label and columns for the next one. Return a tuple of three arrays: `log_partition` `(...)`, `marginals`
# `(..., n, c)` and `pairwise_marginals` `(..., n-1, c, c)`. With n = 1 there are no pairs. The leading axes of both
# have been broadcast for you, and the arrays are there to be filled; `log_sum_exp`, `shares` and `finite_or_zero` are
# given. A score of -inf forbids a label; if no labeling is possible the log partition function is -inf and the
# marginals are 0, never NaN. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: one step forward</summary>
#
# `alpha[..., :, None] + pairwise[..., t, :, :]` holds all pairs (a, b); sum out a, which is axis -2.
#
# </details>
#
# <details><summary>Hint 2: one step backward</summary>
#
# The same table, with what comes ahead added to its columns; sum out b, which is axis -1. Start with zeros and go from
# t = n - 2 down to 0.
#
# </details>
#
# <details><summary>Hint 3: all pairs at once</summary>
#
# The pairs are `alpha[..., :-1, :, None] + pairwise + (unary + beta)[..., 1:, None, :]`; take the shares over both
# label axes.
#
# </details>

# %%
import numpy as np


def finite_or_zero(logs):
    """Return what may be subtracted from logarithms: 0 in the place of -inf."""
    return np.where(logs == -np.inf, 0, logs)


def log_sum_exp(logs, axis):
    """Return log sum exp along an axis or two, which stay with the size 1; -inf where nothing is possible."""
    largest = finite_or_zero(logs.max(axis=axis, keepdims=True))
    with np.errstate(divide="ignore"):
        return largest + np.log(np.exp(logs - largest).sum(axis=axis, keepdims=True))


def shares(logs, axis):
    """Return exp(logs) divided by its sum along an axis or two; zeros where nothing is possible."""
    part = np.exp(logs - finite_or_zero(logs.max(axis=axis, keepdims=True)))
    total = part.sum(axis=axis, keepdims=True)
    return part / np.where(total == 0, 1, total)


def linear_chain_marginals(unary, pairwise):
    """Return the log partition function of a chain, the marginals of its labels and those of neighboring pairs."""
    n, c = unary.shape[-2:]
    if pairwise.ndim == 2:  # one table for all steps
        pairwise = np.broadcast_to(pairwise, (max(n - 1, 0), c, c))
    leading = np.broadcast_shapes(unary.shape[:-2], pairwise.shape[:-3])
    unary = np.broadcast_to(unary, (*leading, n, c))
    pairwise = np.broadcast_to(pairwise, (*leading, *pairwise.shape[-3:]))
    alpha, beta = np.zeros_like(unary), np.zeros_like(unary)
    log_partition = np.zeros(leading, dtype=unary.dtype)
    ### BEGIN SOLUTION
    for t in range(n):
        weight = unary[..., t, :]
        if t > 0:
            reached = alpha[..., t - 1, :, None] + pairwise[..., t - 1, :, :]
            weight = weight + log_sum_exp(reached, axis=-2)[..., 0, :]
        total = log_sum_exp(weight, axis=-1)  # (..., 1)
        alpha[..., t, :] = weight - finite_or_zero(total)
        log_partition = log_partition + total[..., 0]
    for t in range(n - 2, -1, -1):
        ahead = unary[..., t + 1, :] + beta[..., t + 1, :]
        weight = log_sum_exp(pairwise[..., t, :, :] + ahead[..., None, :], axis=-1)[..., 0]
        beta[..., t, :] = weight - finite_or_zero(log_sum_exp(weight, axis=-1))
    pairs = alpha[..., :-1, :, None] + pairwise + (unary + beta)[..., 1:, None, :]
    return log_partition, shares(alpha + beta, axis=-1), shares(pairs, axis=(-2, -1))
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def unary_counted_twice(unary, pairwise):
    log_partition, marginals, pairs = linear_chain_marginals(unary, pairwise)
    logs = np.log(np.where(marginals == 0, 1e-300, marginals)) + unary
    return log_partition, np.exp(logs - log_sum_exp(logs, axis=-1)), pairs


def pairwise_transposed(unary, pairwise):
    return linear_chain_marginals(unary, pairwise.mT)


def each_for_itself(unary, pairwise):
    totals = log_sum_exp(unary, axis=-1)
    alone = np.exp(unary - totals)
    pairs = alone[..., :-1, :, None] * alone[..., 1:, None, :] + np.zeros_like(pairwise)
    leading = np.broadcast_shapes(unary.shape[:-2], pairwise.shape[:-3])
    return (
        np.broadcast_to(totals.sum(axis=(-2, -1)), leading),
        np.broadcast_to(alone, (*leading, *alone.shape[-2:])),
        pairs,
    )


### END HIDDEN TESTS
