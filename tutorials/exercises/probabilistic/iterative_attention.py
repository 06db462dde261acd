# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: iterative_attention
#   options: [steps, scale, step_size]
#   lines: 9
#   minutes: 20
#   points: 2
#   mistakes:
#     query_pulled_back: >-
#       Every step starts from the query again. The next step starts where the last one has ended.
#     full_steps: >-
#       Every move goes all the way to the attended key. It goes the share step_size of the way.
#     reads_before_the_last_move: >-
#       The values are read with the weights of the last move. They are read from where the point has come to.
# ---

# %% [markdown]
# # Attention as expectation maximization
#
# One step of attention asks to which key a query belongs. But the query itself may be uncertain. Take a mixture with
# one component per key, in which a point $x$ and its component $j$ have the joint probability
#
# $$p(x, j) \propto e^{-\frac\beta2 \lVert x \rVert^2 + \beta \langle x, k_j \rangle},$$
#
# a Gaussian around $k_j$ with the precision $\beta$, if all keys are of one length. We look for the most probable
# point, with the component summed out. EM goes there in two steps that repeat:
#
# - **E**: which component? $w_j = p(j \mid x) = \mathrm{softmax}_j(\beta \langle x, k_j \rangle)$.
# - **M**: the best point for these weights is the mean of the keys, $\sum_j w_j k_j$.
#
# So the E-step is attention weights and the M-step is their output. A damped M-step goes only the share $\eta$ of the
# way,
#
# $$x \leftarrow x - \eta\, \Bigl(x - \sum_j w_j(x)\, k_j\Bigr),$$
#
# which is gradient descent on $-\frac1\beta \log p(x)$. It goes down for every $\eta$ up to 1. After the last move the
# point reads the values:
#
# $$x_0 = q_i, \qquad \mathrm{out}_i = \sum_j w_j(x_{\mathrm{steps}})\, v_j .$$
#
# **Write** `iterative_attention(query, key, value, *, steps, scale, step_size)`: `query` is `(..., m, d)`, `key`
# `(..., n, d)`, `value` `(..., n, e)`, the result `(..., m, e)`; leading axes broadcast. Any size but d may be 0:
# without keys the result is zeros. It has the dtype of the arrays. `steps` counts the moves and may be 0. Without
# values the point itself comes back. `scale` is $\beta$, and $1/\sqrt d$ if None; `step_size` is $\eta$. Scores may be
# as large as 1e4. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: the E-step</summary>
#
# Write a function from points (..., m, d) to weights (..., m, n): a softmax, with the maximum of the row subtracted.
#
# </details>
#
# <details><summary>Hint 2: how often is it called?</summary>
#
# Once per move and once to read: steps + 1 times.
#
# </details>
#
# <details><summary>Hint 3: the M-step</summary>
#
# `x - step_size * (x - weights_at(x) @ key)`.
#
# </details>

# %%
import numpy as np


def iterative_attention(query, key, value=None, *, steps=1, scale=None, step_size=1.0):
    """Move each query uphill in a mixture of the keys, then read the values, (..., m, e)."""
    if key.shape[-2] == 0:  # no component to belong to
        return query @ key.mT @ (key if value is None else value)
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    query = np.broadcast_to(query, (*leading, *query.shape[-2:]))
    ### BEGIN SOLUTION
    scale = query.shape[-1] ** -0.5 if scale is None else scale

    def weights_at(x):
        scores = scale * (x @ key.mT)  # (..., m, n)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return weights / weights.sum(axis=-1, keepdims=True)

    x = query
    for _ in range(steps):
        x = x - step_size * (x - weights_at(x) @ key)
    return x if value is None else weights_at(x) @ value
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _weights(x, key, scale):
    scores = (1 / np.sqrt(key.shape[-1]) if scale is None else scale) * (x @ key.mT)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def query_pulled_back(query, key, value=None, *, steps=1, scale=None, step_size=1.0):
    x = query
    for _ in range(steps):
        x = query - step_size * (query - _weights(x, key, scale) @ key)
    return _weights(x, key, scale) @ value


def full_steps(query, key, value=None, *, steps=1, scale=None, step_size=1.0):
    return iterative_attention(query, key, value, steps=steps, scale=scale)


def reads_before_the_last_move(query, key, value=None, *, steps=1, scale=None, step_size=1.0):
    return iterative_attention(query, key, value, steps=max(steps - 1, 0), scale=scale, step_size=step_size)


### END HIDDEN TESTS
