# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: sdm_neuron_attention
#   options: [radius, normalize]
#   lines: 10
#   minutes: 15
#   points: 2
#   mistakes:
#     strictly_inside: >-
#       A neuron at exactly the radius is left out. Within the radius means at a distance of at most the radius.
#     divided_by_neurons: >-
#       The sum is divided by the number of neurons that were read. Each of them may hold several patterns or none:
#       divide by how many patterns were read in all.
#     written_to_the_nearest: >-
#       Each pattern is written to its nearest neuron alone. It goes to every neuron within the radius; that is what
#       makes the memory distributed.
# ---

# %% [markdown]
# # Sparse distributed memory: write, then read
#
# Kanerva's memory has r *neurons* with fixed addresses of b bits. A pattern is written to every neuron near its address
# (its key), on top of what is already there; a query reads the sum over every neuron near its own. Near means within a
# Hamming radius: at most `radius` bits differ.
#
# With $A_{l\mu} = 1$ where neuron l is near key $\mu$ and $R_{il} = 1$ where it is near query i, else 0,
#
# $$C = A V, \qquad \mathrm{out}_i = \frac{(R\, C)_i}{(R\, A\, \mathbf 1)_i}.$$
#
# $C$ are the counters of the neurons. The denominator counts how many patterns have been read, so that the output is a
# mean of values: attention, with weights that count the neurons that a query shares with a pattern.
#
# For bits 0 and 1 all Hamming distances are one matrix product away,
#
# $$\mathrm{Ham}(x, y) = \sum_c x_c + \sum_c y_c - 2 \sum_c x_c y_c .$$
#
# **Write** `sdm_neuron_attention(query, key, value, neurons, *, radius, normalize)`: `query` is `(..., m, b)`, `key`
# `(..., n, b)`, `neurons` `(..., r, b)`, all of zeros and ones as floating numbers; `value` is `(..., n, e)` and the
# result `(..., m, e)`. Leading axes broadcast, sizes may be 0, and the result has the dtype of the arrays. A query that
# shares no neuron with any pattern gets zeros. With `normalize=False` the sums are not divided, as in Kanerva's
# original. There is no need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: one helper, used twice</summary>
#
# Writing asks which neurons are near which keys, reading which queries are near which neurons. It is the same question.
#
# </details>
#
# <details><summary>Hint 2: from booleans to products</summary>
#
# `(distance <= radius).astype(value.dtype)` is a matrix that can be multiplied.
#
# </details>
#
# <details><summary>Hint 3: the denominator</summary>
#
# How many patterns each neuron holds is the sum of its row of A. Read these numbers as you read the counters, and
# divide by 1 where the result is 0.
#
# </details>

# %%
import numpy as np


def sdm_neuron_attention(query, key, value, neurons, *, radius, normalize=True):
    """Write the values to the neurons near their keys, and read the neurons near the queries, (..., m, e)."""
    ### BEGIN SOLUTION

    def near(x, y):
        distance = x.sum(axis=-1)[..., :, None] + y.sum(axis=-1)[..., None, :] - 2 * (x @ y.mT)
        return (distance <= radius).astype(value.dtype)

    writes, reads = near(neurons, key), near(query, neurons)  # (..., r, n), (..., m, r)
    counters = writes @ value  # (..., r, e)
    output = reads @ counters
    if normalize:
        count = reads @ writes.sum(axis=-1, keepdims=True)  # (..., m, 1)
        output = output / np.where(count == 0, 1, count)
    return output
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _distance(x, y):
    return x.sum(axis=-1)[..., :, None] + y.sum(axis=-1)[..., None, :] - 2 * (x @ y.mT)


def strictly_inside(query, key, value, neurons, *, radius, normalize=True):
    return sdm_neuron_attention(query, key, value, neurons, radius=radius - 1, normalize=normalize)


def divided_by_neurons(query, key, value, neurons, *, radius, normalize=True):
    writes = (_distance(neurons, key) <= radius).astype(value.dtype)
    reads = (_distance(query, neurons) <= radius).astype(value.dtype)
    count = reads.sum(axis=-1, keepdims=True) if normalize else np.ones(1)
    return reads @ (writes @ value) / np.where(count == 0, 1, count)


def written_to_the_nearest(query, key, value, neurons, *, radius, normalize=True):
    distance = _distance(neurons, key)
    writes = (np.arange(distance.shape[-2])[:, None] == distance.argmin(axis=-2)[..., None, :]).astype(value.dtype)
    reads = (_distance(query, neurons) <= radius).astype(value.dtype)
    count = reads @ writes.sum(axis=-1, keepdims=True) if normalize else np.ones(1)
    return reads @ (writes @ value) / np.where(count == 0, 1, count)


### END HIDDEN TESTS
