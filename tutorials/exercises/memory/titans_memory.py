# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: titans_memory
#   options: [lr, momentum, decay]
#   lines: 9
#   minutes: 25
#   points: 2
#   mistakes:
#     written_without_looking: >-
#       The value is written whatever the memory already says. The delta rule writes the error: what the memory returns
#       for the key, less the value.
#     read_before_writing: >-
#       A token reads before it writes. Each row of the output is read after its own write.
#     factor_of_two_lost: >-
#       The gradient of a square has a factor of 2.
#     decay_is_kept: >-
#       The memory is multiplied by the decay. The decay says how much is forgotten, so 1 - decay remains.
# ---

# %% [markdown]
# # A memory that learns while it reads
#
# Let the memory be a matrix $M$ that maps a key to a value. At every token it makes one step of gradient descent on its
# own error, $\ell_t(M) = \lVert k_t M - v_t \rVert^2$ with row vectors $k_t$, $v_t$. What surprises the memory is
# written, what it knows already is not. This is the delta rule. The Titans add a momentum to the surprise and let the
# memory forget:
#
# $$S_t = \eta_t S_{t-1} - \theta_t \nabla \ell_t(M_{t-1}), \qquad M_t = (1 - \alpha_t) M_{t-1} + S_t, \qquad
#   \mathrm{out}_t = q_t M_t,$$
#
# with $\theta$ = `lr`, $\eta$ = `momentum`, $\alpha$ = `decay`, and $M_0 = S_0 = 0$. The gradient of the error with
# respect to the matrix is an outer product,
#
# $$\nabla \ell_t(M) = 2\, k_t^\top (k_t M - v_t).$$
#
# With $\theta = 1 / (2 \lVert k \rVert^2)$ and neither momentum nor decay one step stores the pair exactly: reading
# with the same key gives the value back.
#
# **Write** `titans_memory(query, key, value, *, lr, momentum, decay)`: `query` and `key` are `(..., n, d)`, `value` is
# `(..., n, e)`, the three rates are `(..., n)`, one number per token; the result is `(..., n, e)`. The array for the
# result is there already, with the leading axes of all arguments. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: one token</summary>
#
# Loop over t and keep rows as matrices: `k = key[..., t, None, :]` has the shape (..., 1, d), so that `k @ M` is (...,
# 1, e) and `k.mT @ error` is (..., d, e).
#
# </details>
#
# <details><summary>Hint 2: rates per token</summary>
#
# `lr[..., t, None, None]` has the shape (..., 1, 1) and multiplies a matrix.
#
# </details>
#
# <details><summary>Hint 3: leading axes for nothing</summary>
#
# Start with `M = S = np.zeros((d, e))`: the first step broadcasts them to all leading axes. Give them the dtype of the
# values.
#
# </details>

# %%
import numpy as np


def titans_memory(query, key, value, *, lr, momentum, decay):
    """Read a linear memory that is trained on every token by gradient descent, (..., n, e)."""
    rates = np.broadcast_shapes(lr.shape[:-1], momentum.shape[:-1], decay.shape[:-1])
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2], rates)
    output = np.zeros((*leading, *value.shape[-2:]), dtype=value.dtype)
    ### BEGIN SOLUTION
    M = S = np.zeros((key.shape[-1], value.shape[-1]), dtype=value.dtype)
    for t in range(key.shape[-2]):
        q, k, v = query[..., t, None, :], key[..., t, None, :], value[..., t, None, :]
        theta, eta, alpha = lr[..., t, None, None], momentum[..., t, None, None], decay[..., t, None, None]
        gradient = 2 * k.mT @ (k @ M - v)  # (..., d, e)
        S = eta * S - theta * gradient
        M = (1 - alpha) * M + S
        output[..., t, None, :] = q @ M
    return output
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _steps(query, key, value, lr, momentum, decay, factor=2.0, delta=1.0, early=False, swapped=False):
    M = S = np.zeros((key.shape[-1], value.shape[-1]))
    rows = []
    for t in range(key.shape[-2]):
        q, k, v = query[..., t, None, :], key[..., t, None, :], value[..., t, None, :]
        theta, eta, alpha = lr[..., t, None, None], momentum[..., t, None, None], decay[..., t, None, None]
        S = eta * S - theta * factor * (k.mT @ (delta * (k @ M) - v))
        updated = (alpha if swapped else 1 - alpha) * M + S
        rows.append(q @ M + np.zeros_like(q @ updated) if early else q @ updated)
        M = updated
    return np.concatenate(rows, axis=-2)


def written_without_looking(query, key, value, *, lr, momentum, decay):
    return _steps(query, key, value, lr, momentum, decay, delta=0.0)


def read_before_writing(query, key, value, *, lr, momentum, decay):
    return _steps(query, key, value, lr, momentum, decay, early=True)


def factor_of_two_lost(query, key, value, *, lr, momentum, decay):
    return _steps(query, key, value, lr, momentum, decay, factor=1.0)


def decay_is_kept(query, key, value, *, lr, momentum, decay):
    return _steps(query, key, value, lr, momentum, decay, swapped=True)


### END HIDDEN TESTS
