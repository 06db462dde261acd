# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: softmax_attention_vjp
#   options: [scale]
#   broadcast: false
#   lines: 9
#   minutes: 30
#   points: 4
#   mistakes:
#     without_mean: >-
#       The softmax couples the scores of a row: from the gradient of each weight subtract the row's mean, sum_l w_il
#       dw_il, before multiplying by w_ij.
#     without_scale: >-
#       The scores are scale * <q, k>, so the gradients of query and key carry the factor scale too.
#     query_and_key_swapped: >-
#       The gradients of query and key have changed places.
#     value_through_scores: >-
#       The gradient of the values comes from the weights, not from the gradient of the scores.
# ---

# %% [markdown]
# # The gradient of softmax attention
#
# A loss gives you $G$ = `grad_output`, its gradient with respect to the output of softmax attention. Run the chain rule
# backwards through the three steps $s \to w \to \mathrm{out}$:
#
# $$\mathrm{out}_i = \sum_j w_{ij} v_j, \qquad w_{ij} = \frac{e^{s_{ij}}}{\sum_l e^{s_{il}}}, \qquad
#   s_{ij} = \mathrm{scale}\,\langle q_i, k_j \rangle .$$
#
# The middle step is where the work is. The Jacobian of the softmax is
# $\partial w_j / \partial s_l = w_j (\delta_{jl} - w_l)$, which couples all scores of a row.
#
# | array | shape |
# | --- | --- |
# | `query` | (..., m, d) |
# | `key` | (..., n, d) |
# | `value` | (..., n, e) |
# | `grad_output` | (..., m, e) |
# | results | the gradients of `query`, `key` and `value`, a tuple of three, each in the shape of its array |
#
# All arrays have the same leading axes. `scale` is $1/\sqrt d$ if it is not given.
#
# Write the body of `softmax_attention_vjp`. About 9 lines.

# %% [markdown]
# <details><summary>Hint 1: the outer steps</summary>
#
# The output is linear in the weights and in the values. So $dv_j = \sum_i w_{ij} G_i$, and
# $dw_{ij} = \langle G_i, v_j \rangle$: two matrix products.
#
# </details>
#
# <details><summary>Hint 2: through the softmax</summary>
#
# Multiply the Jacobian out: $ds_{ij} = w_{ij} \bigl(dw_{ij} - \sum_l w_{il}\, dw_{il}\bigr)$. Each row of $ds$ sums to
# 0, since adding a constant to all scores of a row changes nothing.
#
# </details>
#
# <details><summary>Hint 3: to query and key</summary>
#
# $s$ is a matrix product times `scale`, and the gradient of a matrix product is two matrix products: $ds$ times the
# keys, and $ds$ transposed times the queries, both times `scale`.
#
# </details>

# %%
import numpy as np


def softmax_attention_vjp(query, key, value, grad_output, *, scale=None):
    """Return the gradients of sum(output * grad_output) with respect to query, key and value."""
    ### BEGIN SOLUTION
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = scale * (query @ key.mT)  # (..., m, n)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True, initial=-np.inf))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    grad_weights = grad_output @ value.mT  # (..., m, n)
    mean = (weights * grad_weights).sum(axis=-1, keepdims=True)  # (..., m, 1)
    grad_scores = weights * (grad_weights - mean)  # (..., m, n)
    return scale * grad_scores @ key, scale * grad_scores.mT @ query, weights.mT @ grad_output
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def steps(query, key, value, grad_output, scale):
    """The scale, the weights, and the gradients of weights and scores."""
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = scale * (query @ key.mT)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True, initial=-np.inf))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    grad_weights = grad_output @ value.mT
    mean = (weights * grad_weights).sum(axis=-1, keepdims=True)
    return scale, weights, grad_weights, weights * (grad_weights - mean)


def without_mean(query, key, value, grad_output, *, scale=None):
    scale, weights, grad_weights, _ = steps(query, key, value, grad_output, scale)
    grad_scores = weights * grad_weights
    return scale * grad_scores @ key, scale * grad_scores.mT @ query, weights.mT @ grad_output


def without_scale(query, key, value, grad_output, *, scale=None):
    _, weights, _, grad_scores = steps(query, key, value, grad_output, scale)
    return grad_scores @ key, grad_scores.mT @ query, weights.mT @ grad_output


def query_and_key_swapped(query, key, value, grad_output, *, scale=None):
    grad_query, grad_key, grad_value = softmax_attention_vjp(query, key, value, grad_output, scale=scale)
    return grad_key, grad_query, grad_value


def value_through_scores(query, key, value, grad_output, *, scale=None):
    grad_query, grad_key, _ = softmax_attention_vjp(query, key, value, grad_output, scale=scale)
    grad_scores = steps(query, key, value, grad_output, scale)[-1]
    return grad_query, grad_key, grad_scores.mT @ grad_output


### END HIDDEN TESTS
