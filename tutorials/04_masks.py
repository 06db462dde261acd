# %% [markdown]
# # Masks
#
# You will be able to hide keys so that nothing of them can be felt, place a causal mask when there are more keys than
# queries, and say what a query gets that sees no key at all.
#
# 25 minutes. Before: lesson 03.

# %%
import matplotlib.pyplot as plt
import numpy as np

from attlas_ref import causal_mask, softmax_attention, softmax_attention_vjp
from attlas_ref.data import alice

# %% [markdown]
# ## Who may see whom
#
# Three needs lead to masks. A batch holds texts of different lengths, and what fills up the short ones must not count
# (**padding**). A model that predicts the next word must not look at it (**causality**). And a model may be built so
# that words see only some others (**structure**: windows, prefixes, documents side by side).
#
# All three are one boolean matrix: `True` where query $i$ may attend to key $j$. Call $V(i)$ the keys that query $i$
# may see. Attention is then a sum over them and over nothing else:
#
# $$\mathrm{out}_i = \frac{\sum_{j \in V(i)} e^{s_{ij}}\, v_j}{\sum_{j \in V(i)} e^{s_{ij}}}$$

# %%
i, j = np.arange(10)[:, None], np.arange(10)
masks = {
    "padding": np.broadcast_to(j < 7, (10, 10)),
    "causal": j <= i,
    "window": np.abs(i - j) <= 2,
    "prefix": (j <= i) | (j < 4),
    "documents": (i < 6) == (j < 6),
}
figure, all_axes = plt.subplots(1, 5, figsize=(7, 1.9), sharey=True)
for axes, (name, mask) in zip(all_axes, masks.items(), strict=True):
    axes.imshow(mask, vmin=0, vmax=1.4)
    axes.set(title=name, xlabel="key", xticks=[0, 9], yticks=[0, 9])
all_axes[0].set_ylabel("query")
figure.suptitle("Bright: may attend", size=10)

# %% [markdown]
# Masks combine by "and": a causal model over a padded batch needs both. Here is one head on real words, three times.
# The weight that a hidden key had goes to the visible ones in proportion, since dividing by the smaller sum scales them
# up equally.

# %%
heads = alice()
words = heads.tokens[1:16]
q, k, v = (np.asarray(x[3, 1, 1:16], dtype=float) for x in heads[:3])
i, j = np.arange(15)[:, None], np.arange(15)
seen = {
    "all": np.ones((15, 15), dtype=bool),
    "causal": j <= i,
    "causal, window of 4": (j <= i) & (j > i - 4),
}
maps = {n: softmax_attention(q, k, np.eye(15), mask=m) for n, m in seen.items()}

free, causal = maps["all"], maps["causal"]
kept = np.where(seen["causal"], free, 0)
assert np.allclose(causal, kept / kept.sum(axis=1, keepdims=True))

# %%
figure, all_axes = plt.subplots(1, 3, figsize=(7, 3.2), sharey=True)
for axes, (name, weights) in zip(all_axes, maps.items(), strict=True):
    image = axes.imshow(np.where(seen[name], weights, np.nan), vmin=0, vmax=1)
    axes.set_xticks(range(15), words, rotation=90, size=8)
    axes.set_yticks(range(15), words, size=8)
    axes.set(title=name, xlabel="key")
all_axes[0].set_ylabel("query")
figure.colorbar(image, ax=all_axes, label="weight", shrink=0.6)

# %% [markdown]
# ## How to hide, and how not to
#
# The formula says to leave hidden keys *out of the sums*. Much code does something that is almost the same: it adds a
# large negative number to their scores, or multiplies their weights by 0.


# %%
def softmax(scores):
    bump = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return bump / bump.sum(axis=-1, keepdims=True)


def add_a_million(query, key, value, mask):
    scores = query @ key.T * query.shape[-1] ** -0.5
    scores = scores + np.where(mask, 0, -1e6).astype(scores.dtype)
    return softmax(scores) @ value


def add_infinity(query, key, value, mask):
    scores = query @ key.T * query.shape[-1] ** -0.5
    return softmax(np.where(mask, scores, -np.inf)) @ value


def select(query, key, value, mask):
    return softmax_attention(query, key, value, mask=mask)


# %% [markdown]
# On an ordinary input the three agree. Now four inputs that occur in practice: memory behind the padding that was never
# written (NaN in a hidden value, or in a hidden key), and a row of padding, which sees nothing.

# %%
rng = np.random.default_rng(0)
q4, k4 = rng.normal(size=(2, 4, 8)).astype(np.float32)
v4 = rng.normal(size=(4, 2)).astype(np.float32)
mask = np.ones((4, 4), dtype=bool)
mask[:, 3] = False  # nobody sees the last key
blind = mask.copy()
blind[3] = False  # and the last query sees nothing
bad_value, bad_key = v4.copy(), k4.copy()
bad_value[3], bad_key[3] = np.nan, np.nan
situations = {
    "ordinary": (q4, k4, v4, mask),
    "NaN in a hidden value": (q4, k4, bad_value, mask),
    "NaN in a hidden key": (q4, bad_key, v4, mask),
    "a query sees nothing": (q4, k4, v4, blind),
}


# %%
def verdict(method, query, key, value, mask):
    with np.errstate(invalid="ignore"):
        output = method(query, key, value, mask)
    if np.isnan(output).any():
        return "NaN"
    truth = softmax_attention(q4, k4, v4, mask=mask)
    return "right" if np.allclose(output, truth, atol=1e-6) else "wrong"


methods = (add_a_million, add_infinity, select)
verdicts = {}
print(" " * 22, *(f"{method.__name__:14}" for method in methods))
for situation, inputs in situations.items():
    verdicts[situation] = [verdict(method, *inputs) for method in methods]
    print(f"{situation:22}", *(f"{word:14}" for word in verdicts[situation]))

assert verdicts["NaN in a hidden value"] == ["NaN", "NaN", "right"]
assert verdicts["a query sees nothing"] == ["wrong", "NaN", "right"]

# %% [markdown]
# Why does NaN come through although its weight is exactly 0? Because $0 \cdot \mathrm{NaN} = \mathrm{NaN}$:
# **multiplying by zero is not leaving out**. Why does a row of $-\infty$ fail? Because softmax subtracts its maximum,
# and $-\infty - (-\infty)$ is NaN.
#
# And what did the million return for the query that sees nothing? Look closely:

# %%
with_million = add_a_million(q4, k4, v4, blind)[3]
unmasked = softmax_attention(q4, k4, v4)[3]
print("with -1e6:     ", with_million)
print("no mask at all:", unmasked)
print("mean of values:", v4.mean(axis=0))
assert np.allclose(with_million, unmasked, atol=0.1)

# %% [markdown]
# The same number was added to all scores of the row, and softmax does not notice what is added to all. So the query
# that may see *nothing* sees *everything*, as if there were no mask. The small difference is worse still: near a
# million, float32 has steps of 1/16, so the scores were rounded to them. With $-10^9$ the steps are 64 wide, all scores
# become equal, and the query gets the mean of what was hidden from it. What leaks depends on a constant and on the
# dtype:

# %%
for dtype in (np.float64, np.float32):
    for fill in (1e6, 1e9):
        scores = (q4.astype(dtype) @ k4.astype(dtype).T)[3] / dtype(np.sqrt(8))
        leaked = softmax(scores - dtype(fill))
        print(f"{dtype.__name__}, -{fill:.0e}: weights {leaked.round(3)}")

assert np.allclose(leaked, 0.25)

# %% [markdown]
# In float16 $-10^6$ does not even exist: it is $-\infty$, and NaN follows. Here a mask **selects**. What it hides takes
# no part in the maximum, in the sum or in the weighted sum. You can test any implementation for that: change what is
# hidden to anything at all, and not one bit of the output may move.

# %%
quiet = softmax_attention(q4, k4, v4, mask=mask)
for garbage in (1e30, -np.inf, np.nan):
    other_key, other_value = k4.copy(), v4.copy()
    other_key[3] = other_value[3] = garbage
    with np.errstate(all="ignore"):
        output = softmax_attention(q4, other_key, other_value, mask=mask)
    assert np.array_equal(output, quiet)

# %% [markdown]
# The same holds for gradients. The hidden key and its value get exactly 0, and the query that sees nothing too:

# %%
grads = softmax_attention_vjp(q4, k4, v4, np.ones((4, 2)), mask=blind)
assert not grads[1][3].any()  # key
assert not grads[2][3].any()  # value
assert not grads[0][3].any()  # query

# %% [markdown]
# ## Where the causal mask begins
#
# With as many queries as keys, causal means $j \le i$. But when a model writes text, the keys of all former words are
# kept and only the newest words ask: $m < n$. Which query belongs to which key? Two conventions exist.

# %%
m, n = 3, 8
i, j = np.arange(m)[:, None], np.arange(n)
aligned = {
    "aligned at the end: j ≤ i + n - m": j <= i + n - m,
    "aligned at the start: j ≤ i": j <= i,
}
assert np.array_equal(causal_mask(m, n), j <= i + n - m)

figure, all_axes = plt.subplots(1, 2, figsize=(7, 1.9), sharey=True)
for axes, (name, mask) in zip(all_axes, aligned.items(), strict=True):
    axes.imshow(mask, vmin=0, vmax=1.4)
    axes.set(title=name, xlabel="key", yticks=range(3))
all_axes[0].set_ylabel("query")

# %% [markdown]
# Only the left one continues a text. Test: take the attention of the whole text, and compare its last three rows with
# the three last words asking alone.

# %%
whole = softmax_attention(q, k, v, causal=True)  # 15 queries, 15 keys
last = softmax_attention(q[-3:], k, v, causal=True)  # 3 queries, 15 keys
assert np.allclose(last, whole[-3:])

at_start = softmax_attention(q[-3:], k, v, mask=np.tri(3, 15, dtype=bool))
assert not np.allclose(at_start, whole[-3:])
only_first = softmax_attention(q[-3:-2], k[:1], v[:1])
assert np.allclose(at_start[0], only_first)  # it saw nothing but “alice”

# %% [markdown]
# Attlas aligns at the end, as FlashAttention does. PyTorch's `is_causal=True` and JAX align at the start. With $m = n$
# the two agree, which is why the difference is often found late. `attlas_ref` and `attlas` take `causal=True`, or any
# mask of your own if you need the other convention.
#
# ## A query without keys
#
# Aligned at the end, more queries than keys leave the first $m - n$ queries with nothing to see. The formula divides 0
# by 0, so it is a convention what they get. Here they get **zeros**:

# %%
output, weights = softmax_attention(
    q[:5], k[:3], v[:3], causal=True, return_weights=True
)
print(weights.round(2))
assert not output[:2].any()

# %% [markdown]
# Zeros and not NaN, since one row of padding must not spoil a batch; zeros and not the mean, since the mean would be
# made of what is hidden. There is a deeper reason too. Attention can be computed in pieces that are merged, and the
# piece that holds no keys must change nothing when it is merged. The next lesson is about that.
#
# ## Questions
#
# 1. A padding mask and a causal mask are both given. Which rows can end up empty?
#
# <details><summary>Answer</summary>
#
# With padding at the end of the text, none: every query sees the first word. With padding at the start ("left padding",
# as used in generation) the queries of the padding see nothing. Their outputs are zeros and should be ignored.
#
# </details>
#
# 2. Why does renormalizing after multiplication by the mask, $w_{ij} m_{ij} / \sum_l w_{il} m_{il}$, give the right
#    weights on paper but not always in floating point?
#
# <details><summary>Answer</summary>
#
# The weights come from a softmax over *all* keys. If a hidden key has a score far above the visible ones, theirs
# underflow to 0 and the quotient is 0/0. The maximum must be taken over the visible keys only. (And a NaN behind the
# mask stays NaN.)
#
# </details>
#
# 3. A text of 10 words is in the cache; the model now reads 4 new words at once. How many keys does the first of the
# four
#    see?
#
# <details><summary>Answer</summary>
#
# There are $m = 4$ queries and $n = 14$ keys; query $i = 0$ sees $j \le 0 + 14 - 4 = 10$: eleven keys, the ten in the
# cache and itself.
#
# </details>
#
# 4. Your model is trained with an implementation that gives fully hidden rows the mean of the values, and now runs with
# one
#    that gives zeros. Which outputs change?
#
# <details><summary>Answer</summary>
#
# Only those of queries that see nothing. If these rows are padding whose outputs nobody reads, nothing else changes. If
# a later layer lets other words look at them, their values must be masked there too.
#
# </details>
