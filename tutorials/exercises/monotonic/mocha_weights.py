# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: mocha_weights
#   options: [chunk_size]
#   lines: 8
#   minutes: 20
#   points: 2
#   mistakes:
#     chunk_looks_ahead: >-
#       The chunk begins at the stop and looks ahead. It ends there: the keys after the stop have not been read.
#     one_key_too_many: >-
#       The chunk has one key too many. With the stop itself it has chunk_size keys.
#     not_weighted_by_stops: >-
#       The chunks are not weighted with the probabilities of their stops.
# ---

# %% [markdown]
# # Stop, then look back a little: MoChA
#
# A pointer that reads a single key must find exactly the right one. Monotonic chunkwise attention lets it stop and then
# attend softly to the last few keys, a chunk of $w$ = `chunk_size` that ends at the stop, with energies $u$ = `energy`
# of their own. The pointer stops at key k with the probability $\alpha_{ik}$ = `alignment`, and the expected weight of
# key j sums over all stops whose chunk holds it:
#
# $$\beta_{ij} = \sum_{k=j}^{j+w-1} \alpha_{ik}\, \frac{e^{u_{ij}}}{\sum_{l=\max(0, k-w+1)}^{k} e^{u_{il}}} .$$
#
# Each stop hands on all of its mass, so the sum of a row of $\beta$ is that of the row of $\alpha$. With w = 1 nothing
# changes, and with w = n it is soft attention to all that has been read.
#
# A fast form takes $e^{u_{ij}}$ out of the sum and uses moving sums of $e^{u}$. It needs one maximum for a whole row,
# and where the energies of a chunk are all 1000 below that maximum it computes 0/0. Here each chunk has a softmax of
# its own.
#
# **Write** `mocha_weights(alignment, energy, *, chunk_size)`: both arrays are `(..., m, n)`, and so is the result.
# `chunk_size` is at least 1, leading axes broadcast, sizes may be 0, and the result has the dtype of the arrays.
# Energies may be as large as 1e4. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: loop over the stops</summary>
#
# For each k there is one chunk. Collect what it gives to its keys: `weights[..., chunk] += ...`.
#
# </details>
#
# <details><summary>Hint 2: the chunk as a slice</summary>
#
# `slice(max(0, k - chunk_size + 1), k + 1)`: the first chunks are shorter.
#
# </details>
#
# <details><summary>Hint 3: shapes</summary>
#
# `alignment[..., k, None]` is (..., m, 1), the softmax of `energy[..., chunk]` is (..., m, w). Allocate the result with
# the broadcast shape of both arrays.
#
# </details>

# %%
import numpy as np


def mocha_weights(alignment, energy, *, chunk_size):
    """Return the expected weights when each stop attends softly to the chunk that ends there, (..., m, n)."""
    ### BEGIN SOLUTION
    weights = np.zeros(np.broadcast_shapes(alignment.shape, energy.shape), dtype=energy.dtype)
    for k in range(weights.shape[-1]):
        chunk = slice(max(0, k - chunk_size + 1), k + 1)
        u = energy[..., chunk]  # (..., m, w)
        shares = np.exp(u - u.max(axis=-1, keepdims=True))
        shares = shares / shares.sum(axis=-1, keepdims=True)
        weights[..., chunk] += alignment[..., k, None] * shares
    return weights
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def chunk_looks_ahead(alignment, energy, *, chunk_size):
    turned = mocha_weights(alignment[..., ::-1], energy[..., ::-1], chunk_size=chunk_size)
    return turned[..., ::-1]


def one_key_too_many(alignment, energy, *, chunk_size):
    return mocha_weights(alignment, energy, chunk_size=chunk_size + 1)


def not_weighted_by_stops(alignment, energy, *, chunk_size):
    return mocha_weights(np.ones_like(alignment), energy, chunk_size=chunk_size)


### END HIDDEN TESTS
