# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: khatri_rao
#   options: []
#   lines: 5
#   minutes: 10
#   points: 1
#   mistakes:
#     last_runs_slowest: >-
#       The rows come in the wrong order. They are in row-major order: the last index runs fastest.
#     full_kronecker: >-
#       This multiplies every channel with every channel. Channel c meets only channel c of the others, so the width
#       stays d.
#     first_two_only: >-
#       Only two of the arrays take part. There may be one, two, three or more.
# ---

# %% [markdown]
# # One row for each tuple of rows
#
# To attend to *pairs* of tokens a query needs a key for every pair. The simplest is the elementwise product of the two
# tokens' keys, since a dot product with it compares three vectors at once:
#
# $$\langle q,\ k_1 \odot k_2 \rangle = \sum_c q_c\, k_{1c}\, k_{2c} .$$
#
# All such rows, one below the other, are the Khatri-Rao product. For p arrays
#
# $$\mathrm{out}[(j_1, \dots, j_p)] = \mathrm{arrays}_1[j_1] \odot \dots \odot \mathrm{arrays}_p[j_p],$$
#
# in row-major order, that is, the last index runs fastest. Two arrays of 2 and 3 rows give 6 rows:
# (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2).
#
# With these rows as keys and values softmax attention becomes attention to tuples, and nothing else has to be invented.
#
# **Write** `khatri_rao(arrays)`: a tuple of at least one array, array r of shape `(..., n_r, d)`; the result is
# `(..., n_1 n_2 ... n_p, d)`. Leading axes broadcast, sizes may be 0, and the result has the dtype of the arrays. There
# is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: two arrays</summary>
#
# Broadcast them against each other: one with an axis of 1 behind its rows, the other with one before.
#
# </details>
#
# <details><summary>Hint 2: one line of rows</summary>
#
# The product has the shape (..., n_1, n_2, d). Reshape it to (..., n_1 n_2, d); NumPy's default order is the right one.
# (Say the number of rows in figures: a -1 cannot be worked out if a size is 0.)
#
# </details>
#
# <details><summary>Hint 3: more arrays</summary>
#
# The operation is associative: multiply what you have with the next array.
#
# </details>

# %%
def khatri_rao(arrays):
    """Return the products of all tuples of rows, (..., n_1 ⋯ n_p, d)."""
    ### BEGIN SOLUTION
    rows = arrays[0]
    for array in arrays[1:]:
        pairs = rows[..., :, None, :] * array[..., None, :, :]  # (..., rows so far, n_r, d)
        rows = pairs.reshape(*pairs.shape[:-3], pairs.shape[-3] * pairs.shape[-2], pairs.shape[-1])
    return rows
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def last_runs_slowest(arrays):
    rows = arrays[0]
    for array in arrays[1:]:
        pairs = rows[..., None, :, :] * array[..., :, None, :]
        rows = pairs.reshape(*pairs.shape[:-3], -1, pairs.shape[-1])
    return rows


def full_kronecker(arrays):
    rows = arrays[0]
    for array in arrays[1:]:
        pairs = rows[..., :, None, :, None] * array[..., None, :, None, :]
        rows = pairs.reshape(*pairs.shape[:-4], pairs.shape[-4] * pairs.shape[-3], -1)
    return rows


def first_two_only(arrays):
    return khatri_rao(arrays[:2])


### END HIDDEN TESTS
