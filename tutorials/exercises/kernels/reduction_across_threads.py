# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: attention_energy
#   options: [scale]
#   lines: 24
#   minutes: 60
#   points: 4
#   mistakes:
#     one_key_per_thread: >-
#       Only the first THREADS keys count. A thread takes every THREADS-th key: its own, the one THREADS further on, and
#       so on.
#     sign_forgotten: >-
#       The energy is minus the log-sum-exp.
#     relative_to_own_maximum: >-
#       The sums of the threads are added as they are, but each is relative to the maximum of its own thread. Bring all
#       to the common maximum first.
#     half_the_tree: >-
#       The last step of the reduction is missing, so half of the threads have not been counted. Go on until the stride
#       is 1, and include it.
# ---

# %% [markdown]
# # CUDA: a reduction across threads
#
# Decoding asks one query at a time about a long past. One thread per query would leave the machine idle; so let a whole
# block work on one query, and share out the keys. Then the threads have to agree on one number. Here it is the energy
# of a query,
#
# $$E_i = -\log \sum_j e^{s_{ij}} = -\Bigl(M + \log \sum_j e^{s_{ij} - M}\Bigr), \qquad M = \max_j s_{ij}, \qquad
#   s_{ij} = \mathrm{scale}\, \langle q_i, k_j \rangle,$$
#
# the normalizer of its softmax in disguise. Thread t takes the keys t, t + THREADS, t + 2 THREADS, ... and finds
# the largest of their scores, $M_t$, and the sum $S_t = \sum e^{s - M_t}$ relative to that. Two such partial results
# join to one:
#
# $$M = \max(M_1, M_2), \qquad S = e^{M_1 - M} S_1 + e^{M_2 - M} S_2 .$$
#
# Joining is associative, so a *tree* does it in $\log_2$ THREADS steps. All partial results go to shared memory. In the
# first step thread t of the lower half joins its own with that of thread t + THREADS/2, in the next one only a quarter
# of the threads is busy, and at the end place 0 holds everything:
#
# ```text
# stride 4:   0 <- 4    1 <- 5    2 <- 6    3 <- 7
# stride 2:   0 <- 2    1 <- 3
# stride 1:   0 <- 1
# ```
#
# A barrier, `cuda.syncthreads()`, stands before every step: a thread reads what another one has written. All threads of
# the block must meet it, busy or not.
#
# **Write** the kernel `energy(query, key, scale, out)`: `query` is `(heads, m, d)`, `key` `(heads, n, d)` with n at
# least 1, `out` `(heads, m)`. Block `(i, head)`, that is `cuda.blockIdx.x` and `cuda.blockIdx.y`, has `THREADS` threads
# (a power of two) and writes one number. There may be fewer keys than threads. Scores may be as large as 1e4. Declare
# each shared array on a line of its own: the simulator tells them apart by their lines.
#
# Set the environment variable `NUMBA_ENABLE_CUDASIM=1` to run it without a GPU.

# %% [markdown]
# <details><summary>Hint 1: the part of one thread</summary>
#
# A running maximum and a running sum over `range(me, n, THREADS)`, as in the one-pass softmax. A thread without a key
# has the maximum -inf and the sum 0.
#
# </details>
#
# <details><summary>Hint 2: the tree</summary>
#
# `stride = THREADS // 2`; while it is above 0: barrier; if `me < stride`, join; halve the stride.
#
# </details>
#
# <details><summary>Hint 3: two threads without a key</summary>
#
# -inf - (-inf) is NaN. Join only if the other part has a sum above 0. Since the lower threads have keys whenever higher
# ones have, yours is not empty then.
#
# </details>

# %%
import math

import numpy as np
from numba import cuda, float64

THREADS = 4  # of a block; a power of two


@cuda.jit
def energy(query, key, scale, out):
    """Write the energy of one query of one head, computed by all threads of a block together."""
    ### BEGIN SOLUTION
    maxima = cuda.shared.array(THREADS, float64)
    sums = cuda.shared.array(THREADS, float64)
    i, head, me = cuda.blockIdx.x, cuda.blockIdx.y, cuda.threadIdx.x
    running_max, running_sum = -math.inf, 0.0
    for j in range(me, key.shape[1], THREADS):
        score = 0.0
        for c in range(key.shape[2]):
            score += query[head, i, c] * key[head, j, c]
        score *= scale
        larger = max(running_max, score)
        running_sum = running_sum * math.exp(running_max - larger) + math.exp(score - larger)
        running_max = larger
    maxima[me], sums[me] = running_max, running_sum
    stride = THREADS // 2
    while stride > 0:
        cuda.syncthreads()
        if me < stride and sums[me + stride] > 0:
            larger = max(maxima[me], maxima[me + stride])
            sums[me] *= math.exp(maxima[me] - larger)
            sums[me] += sums[me + stride] * math.exp(maxima[me + stride] - larger)
            maxima[me] = larger
        stride //= 2
    if me == 0:
        out[head, i] = -(maxima[0] + math.log(sums[0]))
    ### END SOLUTION


# %%
def attention_energy(query, key, *, scale=None):
    """Return the log-sum-exp energy of each query, (..., m), computed by the kernel."""
    (m, d), n = query.shape[-2:], key.shape[-2]
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    heads = math.prod(leading)

    def flat(x, *shape):
        return np.array(np.broadcast_to(x, (*leading, *shape)), order="C").reshape(heads, *shape)

    out = np.full((heads, m), np.inf, dtype=query.dtype)  # without keys
    scale = 1 / math.sqrt(d) if scale is None else float(scale)
    if out.size and n:
        energy[(m, heads), THREADS](flat(query, m, d), flat(key, n, d), scale, out)
    return out.reshape(*leading, m)


# %%
### BEGIN HIDDEN TESTS
def _scores(query, key, scale):
    return (1 / np.sqrt(query.shape[-1]) if scale is None else scale) * (query @ key.mT)


def _energy(scores):
    largest = scores.max(axis=-1, keepdims=True)
    return -(largest[..., 0] + np.log(np.exp(scores - largest).sum(axis=-1)))


def one_key_per_thread(query, key, *, scale=None):
    return _energy(_scores(query, key, scale)[..., :THREADS])


def sign_forgotten(query, key, *, scale=None):
    return -_energy(_scores(query, key, scale))


def relative_to_own_maximum(query, key, *, scale=None):
    scores = _scores(query, key, scale)
    total = 0.0
    for thread in range(min(THREADS, scores.shape[-1])):
        part = scores[..., thread::THREADS]
        total = total + np.exp(part - part.max(axis=-1, keepdims=True)).sum(axis=-1)
    return -(scores.max(axis=-1) + np.log(total))


def half_the_tree(query, key, *, scale=None):
    scores = _scores(query, key, scale)
    return _energy(scores[..., np.arange(scores.shape[-1]) % 2 == 0])


### END HIDDEN TESTS
