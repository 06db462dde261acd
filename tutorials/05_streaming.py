# %% [markdown]
# # Streaming
#
# You will be able to compute attention over any number of keys in a fixed amount of memory, merge results that were
# computed apart, and say why FlashAttention is exact and not an approximation.
#
# 25 minutes. Before: lesson 04.

# %%
import tracemalloc

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp

from attlas_ref import (
    attention_partial,
    empty_attention_partial,
    finish_attention_partial,
    memory_efficient_attention,
    merge_attention_partials,
    prefix_attention,
    softmax_attention,
)
from attlas_ref.data import alice

# %% [markdown]
# ## The matrix that need not exist
#
# Attention as we wrote it so far holds the whole matrix of weights, one number for every pair. Queries, keys, values
# and outputs grow with the length $n$ of the text; the matrix grows with $n^2$ and soon dwarfs them:

# %%
heads, width, half = 32, 128, 2  # half: bytes of a float16
for n in (1_000, 10_000, 100_000):
    arrays = 4 * heads * n * width * half / 2**30
    matrix = heads * n * n * half / 2**30
    print(f"{n:7,} words: arrays {arrays:5.2f} GiB, weights {matrix:7.2f} GiB")

# %% [markdown]
# Nobody asked for the weights; the output is $\sum_j e^{s_j} v_j$ divided by $\sum_j e^{s_j}$, and both are sums. A sum
# can be taken one term at a time. What stands in the way is the shift by $\max_j s_j$, which keeps the exponentials
# from overflowing and which we do not know before we have seen all keys.
#
# ## A running maximum
#
# The way out (Milakov and Gimelshein, 2018, arXiv 1805.02867; Rabe and Staats, 2021, arXiv 2112.05682): use the largest
# score *so far*, and when a larger one comes, correct what has been summed. Keep three things per query,
#
# $$M = \max_{j\ \mathrm{seen}} s_j, \qquad S = \sum_{j\ \mathrm{seen}} e^{s_j - M}, \qquad
#   A = \sum_{j\ \mathrm{seen}} e^{s_j - M} v_j .$$
#
# If the maximum moves from $M$ to $M'$, each term must become $e^{s_j - M'}$. That is one common factor:

# %%
s, M, N = sp.symbols("s M M'", real=True)
assert sp.simplify(sp.exp(M - N) * sp.exp(s - M) - sp.exp(s - N)) == 0


# %%
def stream(query, key, value):
    """Attention of one query, one key at a time."""
    running_max, running_sum = -np.inf, 0.0
    accumulator = np.zeros(value.shape[1])  # (e,)
    for k, v in zip(key, value, strict=True):
        score = query @ k / np.sqrt(len(query))
        new_max = max(running_max, score)
        rescale = np.exp(running_max - new_max)  # exp(-inf) = 0 at first
        bump = np.exp(score - new_max)
        running_sum = rescale * running_sum + bump
        accumulator = rescale * accumulator + bump * v
        running_max = new_max
        yield running_max, running_sum, accumulator / running_sum


# %% [markdown]
# The function yields after each key, so that we can watch. The query is the word "sleepy" of a real head, the keys are
# the 132 words of the text. After each key the quotient $A/S$ is the exact attention to the keys read so far.

# %%
real = alice()
words = real.tokens[1:-1]  # without the marks at both ends
q, k, v = (np.asarray(x[5, 9, 1:-1], dtype=float) for x in real[:3])  # (n, d)
asking = words.tolist().index("sleepy")
steps = list(stream(q[asking], k, v))
maxima, sums, outputs = (
    np.array(column) for column in zip(*steps, strict=True)
)

exact = softmax_attention(q[asking : asking + 1], k, v)[0]
assert np.allclose(outputs[-1], exact)
for seen in (1, 20, 77):
    so_far = softmax_attention(q[asking : asking + 1], k[:seen], v[:seen])[0]
    assert np.allclose(outputs[seen - 1], so_far)

# %%
figure, (top, middle, foot) = plt.subplots(3, 1, figsize=(7, 5), sharex=True)
top.step(range(132), maxima, where="post")
top.set(ylabel="M", title="The maximum rises a few times, …")
middle.step(range(132), sums, where="post", color="C1")
middle.set(ylabel="S", title="… each time the sum is scaled down, …")
foot.plot(np.linalg.norm(outputs - exact, axis=1), color="C2")
foot.set(ylabel="distance", xlabel="keys read")
foot.set_title("… and the output arrives at the exact one with the last key")
for place in np.flatnonzero(np.diff(maxima) > 1)[1:] + 1:
    top.text(place - 1, maxima[place], words[place], ha="right", va="top")

# %% [markdown]
# Without the running maximum the same loop fails as soon as scores are large. Multiply the query by 1000:

# %%
loud = 1000 * q[asking]
with np.errstate(over="ignore", invalid="ignore"):
    naive = np.exp(k @ loud / np.sqrt(32))
    naive = naive @ v / naive.sum()
print("naive:", naive[:3])
assert np.isnan(naive).all()
*_, (_, _, streamed) = stream(loud, k, v)
print("streamed:", streamed[:3].round(3))
assert np.allclose(streamed, softmax_attention(loud[None], k, v)[0])

# %% [markdown]
# ## Pieces that merge
#
# One key at a time is slow; processors want blocks. Nothing in the argument needs single keys: two *sets* of keys, each
# with its own $(M, S, A)$, merge by expressing both in the larger maximum,
#
# $$M = \max(M_1, M_2), \qquad S = e^{M_1 - M} S_1 + e^{M_2 - M} S_2, \qquad A = e^{M_1 - M} A_1 + e^{M_2 - M} A_2 .$$
#
# The reference has the parts as functions: [attention_partial](../atlas/dotproduct/attention_partial.md) makes the
# triple of a block, [merge_attention_partials](../atlas/dotproduct/merge_attention_partials.md) joins two, and
# [finish_attention_partial](../atlas/dotproduct/finish_attention_partial.md) divides.


# %%
def in_blocks(size, order=1):
    blocks = [
        attention_partial(q, k[a : a + size], v[a : a + size])
        for a in range(0, len(k), size)
    ]
    whole = empty_attention_partial((132,), e=32)
    for block in blocks[::order]:
        whole = merge_attention_partials(whole, block)
    return finish_attention_partial(whole)


exact = softmax_attention(q, k, v)  # (132, 32)
for size in (1, 7, 64, 132):
    assert np.allclose(in_blocks(size), exact)
    assert np.allclose(in_blocks(size, order=-1), exact)

# %% [markdown]
# Any block size and any order: merging is associative and commutative, and the empty piece $(-\infty, 0, 0)$ changes
# nothing. Mathematicians call that a commutative **monoid**, and it is a licence to organize the work as you like.
# SymPy checks associativity. To spare it the maxima, it takes any shifts at all: let a piece be a sum $\Sigma$ shifted
# by $M$, $S = \Sigma e^{-M}$. A merge to whatever shift $M$ keeps the sum:

# %%
M1, M2, M3, M12, M = sp.symbols("M1 M2 M3 M12 M", real=True)
sums = sp.symbols("sigma1:4", positive=True)
pieces = [
    (m, total * sp.exp(-m)) for m, total in zip((M1, M2, M3), sums, strict=True)
]


def merge(first, second, shift):
    (m1, s1), (m2, s2) = first, second
    return shift, sp.exp(m1 - shift) * s1 + sp.exp(m2 - shift) * s2


left = merge(merge(pieces[0], pieces[1], M12), pieces[2], M)
right = merge(pieces[0], merge(pieces[1], pieces[2], M12), M)
assert sp.simplify(left[1] - right[1]) == 0
assert sp.simplify(left[1] - sum(sums) * sp.exp(-M)) == 0

# %% [markdown]
# The maximum is thus only a choice of unit that keeps numbers small; the result does not depend on it. What the licence
# buys:
#
# | who | how the work is organized |
# | --- | --- |
# | Rabe and Staats, [memory_efficient_attention](../atlas/dotproduct/memory_efficient_attention.md) | block after block, on any machine |
# | FlashAttention (Dao et al., 2022, arXiv 2205.14135) | blocks that fit into the fast memory of a GPU |
# | decoding with a long cache | pieces of the cache side by side, merged at the end |
# | several machines | each holds some keys; triples travel, not keys |
# | a scan, [prefix_attention](../atlas/dotproduct/prefix_attention.md) | all prefixes at once: attention as a recurrent network |
#
# None of them approximates. They differ from the formula by rounding, as any two orders of a sum do:

# %%
single = [x.astype(np.float32) for x in (q, k, v)]
plain = np.abs(softmax_attention(*single) - exact).max()
chunked = memory_efficient_attention(
    *single, query_chunk_size=32, key_chunk_size=16
)
streamed = np.abs(chunked - exact).max()
print(f"error in float32: at once {plain:.1e}, in chunks {streamed:.1e}")
assert streamed < 4 * plain

# %% [markdown]
# ## Memory, measured
#
# Python's `tracemalloc` counts what NumPy allocates. The plain formula against chunks of 128 queries and 128 keys:


# %%
def peak(function, *arrays, **options):
    tracemalloc.start()
    function(*arrays, **options)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return used / 2**20


rng = np.random.default_rng(0)
lengths = [256, 512, 1024, 2048]
chunks = {"query_chunk_size": 128, "key_chunk_size": 128}
at_once, in_chunks = [], []
for n in lengths:
    arrays = rng.normal(size=(3, n, 32)).astype(np.float32)
    at_once.append(peak(softmax_attention, *arrays))
    in_chunks.append(peak(memory_efficient_attention, *arrays, **chunks))
growth = at_once[-1] / at_once[-2], in_chunks[-1] / in_chunks[-2]
print(f"twice the length: {growth[0]:.1f} and {growth[1]:.1f} times the memory")
assert growth[0] > 3.5
assert growth[1] < 2.2

# %%
figure, axes = plt.subplots(figsize=(6, 2.9))
axes.loglog(lengths, at_once, "--o", label="all weights at once")
axes.loglog(lengths, in_chunks, "-o", label="in chunks")
axes.set_xticks(lengths, lengths)
axes.minorticks_off()
axes.set(title="Quadratic against linear", xlabel="number of words")
axes.set_ylabel("peak memory in MiB")
axes.legend()

# %% [markdown]
# The chunked line grows only with the output. The price is small: the same multiplications, plus one factor per block
# for the correction.
#
# ## Attention as a recurrent network
#
# Read the loop of `stream` once more: a state of fixed size, and a rule that takes the state and the next word to the
# next state. That is a recurrent network. Feng et al. (2024, arXiv 2405.13956) train with one fixed query per layer,
# compute all prefixes in parallel, and then run it word by word.

# %%
result = prefix_attention(q[asking], k[:100], v[:100], return_state=True)
assert np.allclose(result.output, outputs[:100])

later = prefix_attention(q[asking], k[100:], v[100:], state=result.state)
assert np.allclose(later, outputs[100:])  # goes on where it stopped

# %% [markdown]
# ## Questions
#
# 1. Why is the state of an empty piece $(-\infty, 0, 0)$, and which rule for queries without keys follows from it?
#
# <details><summary>Answer</summary>
#
# Merged with any piece it must change nothing: the maximum with $-\infty$ is the other maximum, and the empty sum is 0.
# At the end the empty piece has $A = 0$ and $S = 0$; the output that fits is 0. So lesson 04's zeros are not a whim.
#
# </details>
#
# 2. Could you stream with a fixed shift, say $M = 0$, in float64?
#
# <details><summary>Answer</summary>
#
# While all scores lie between about -700 and 700, yes: $e^{709}$ still fits. In float32 the limit is 88, in float16 11.
# The running maximum removes the condition for the price of one comparison per block.
#
# </details>
#
# 3. Which part of *sparsemax* attention (lesson 06) would be hard to stream?
#
# <details><summary>Answer</summary>
#
# Its threshold depends on which scores are among the largest, not on a sum over all of them; a new key can remove old
# ones from the support. A state of three numbers is not enough; two passes are.
#
# </details>
#
# 4. Two machines hold half of the keys each. How many numbers per query must travel?
#
# <details><summary>Answer</summary>
#
# $e + 2$: the accumulator, the sum and the maximum, however many keys each of them holds.
#
# </details>
