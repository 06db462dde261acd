# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: classical_hopfield
#   options: [steps]
#   lines: 7
#   minutes: 15
#   points: 1
#   mistakes:
#     pulls_itself: >-
#       Each bit pulls on itself. The diagonal of Hebb's weights is 0: with n patterns stored, the self-pull of a bit is
#       n, and it would seldom turn.
#     zero_field_to_zero: >-
#       np.sign(0) is 0, which is no bit. Where the field is exactly 0 a bit stays as it is.
#     one_after_the_other: >-
#       The bits are updated one after the other, each seeing the newest of the others. Here all bits of a state turn at
#       once: compute the whole field first.
# ---

# %% [markdown]
# # The classical Hopfield network
#
# Store patterns of bits $\pm 1$ by Hebb's rule: two bits that agree in most patterns are tied by a positive weight, two
# that differ by a negative one. To recall, each bit looks at the others through these weights and turns to the side
# that they pull it to. A damaged pattern repairs itself.
#
# With the stored patterns $x_\mu$ as the rows of `key` and a state $\sigma$ in each row of `query`,
#
# $$T = \sum_\mu x_\mu x_\mu^\top, \quad T_{cc} = 0, \qquad h = \sigma\, T, \qquad
#   \sigma_c \leftarrow \mathrm{sign}(h_c),$$
#
# where $h$ is the *field*. All bits turn at once, `steps` times; a bit whose field is exactly 0 stays as it is.
#
# This is where attention as memory begins: $\sigma K^\top K$ is linear attention to the stored patterns. Put a softmax
# around $\sigma K^\top$ and you have the modern network of the next exercise.
#
# **Write** `classical_hopfield(query, key, *, steps)`: `query` is `(..., m, d)`, `key` `(..., n, d)`; the result is the
# states after the last step, `(..., m, d)` with the leading axes of both. The entries may be any real numbers, there
# may be no pattern, and `steps` may be 0. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: Hebb's weights in one product</summary>
#
# The sum of the outer products of the rows of `key` is `key.mT @ key`, of shape (..., d, d).
#
# </details>
#
# <details><summary>Hint 2: no self-pull</summary>
#
# `np.where(np.eye(d, dtype=bool), 0, weights)`.
#
# </details>
#
# <details><summary>Hint 3: leading axes</summary>
#
# With no steps nothing has been multiplied yet, and the leading axes of `key` are still missing. Broadcast the query
# first: `np.broadcast_shapes(query.shape[:-2], key.shape[:-2])`.
#
# </details>

# %%
import numpy as np


def classical_hopfield(query, key, *, steps=1):
    """Return the states after `steps` updates of all bits at once, (..., m, d)."""
    ### BEGIN SOLUTION
    hebb = np.where(np.eye(key.shape[-1], dtype=bool), 0, key.mT @ key)  # (..., d, d)
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    state = np.broadcast_to(query, (*leading, *query.shape[-2:])).copy()
    for _ in range(steps):
        field = state @ hebb
        state = np.where(field == 0, state, np.sign(field))
    return state
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _start(query, key):
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    return np.broadcast_to(query, (*leading, *query.shape[-2:])).copy()


def pulls_itself(query, key, *, steps=1):
    state = _start(query, key)
    for _ in range(steps):
        field = state @ (key.mT @ key)
        state = np.where(field == 0, state, np.sign(field))
    return state


def zero_field_to_zero(query, key, *, steps=1):
    hebb = np.where(np.eye(key.shape[-1], dtype=bool), 0, key.mT @ key)
    state = _start(query, key)
    for _ in range(steps):
        state = np.sign(state @ hebb)
    return state


def one_after_the_other(query, key, *, steps=1):
    hebb = np.where(np.eye(key.shape[-1], dtype=bool), 0, key.mT @ key)
    state = _start(query, key)
    for _ in range(steps):
        for c in range(state.shape[-1]):
            field = (state @ hebb[..., c, None])[..., 0]
            state[..., c] = np.where(field == 0, state[..., c], np.sign(field))
    return state


### END HIDDEN TESTS
