# %% [markdown]
# # Scaling and temperature
#
# You will be able to say why scores are divided by $\sqrt d$, what a temperature does to weights and to gradients, and
# derive softmax as the slope of log-sum-exp.
#
# 25 minutes. Before: lesson 02.

# %%
import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from sympy import stats

from attlas_ref import (
    attention_energy,
    softmax_attention,
    softmax_attention_vjp,
)
from attlas_ref.data import alice

# %% [markdown]
# ## How large is a dot product?
#
# Let the entries of a query and of a key be independent, with mean 0 and variance 1. What is the spread of $\langle q,
# k\rangle = \sum_{c=1}^d q_c k_c$? SymPy's statistics can answer without drawing a number. One term first:

# %%
q, k = stats.Normal("q", 0, 1), stats.Normal("k", 0, 1)
assert stats.E(q * k) == 0
assert stats.variance(q * k) == 1

# %% [markdown]
# The terms are independent, so their variances add: the dot product has variance $d$ and standard deviation $\sqrt d$.
# Dividing by $\sqrt d$ takes it back to 1, whatever the width. Draw some to see it.

# %%
rng = np.random.default_rng(0)
widths = [4, 64, 1024]
products = {}
for d in widths:
    query, key = rng.normal(size=(2, 5000, d))
    products[d] = (query * key).sum(axis=1)
    spread = products[d].std()
    print(f"d = {d:4}: standard deviation {spread:5.1f}, √d = {np.sqrt(d):.1f}")
    assert abs(spread / np.sqrt(d) - 1) < 0.05

# %% [markdown]
# Why does the size matter? Softmax turns *differences* of scores into *ratios* of weights: $w_1/w_2 = e^{s_1 - s_2}$.
# With scores spread by $\sqrt{1024} = 32$, the best of many keys is ahead by far more than 1, and its weight is nearly
# 1 before anything was learned. Below, one row of weights over 16 random keys for each width, with and without the
# factor.

# %%
figure, grid = plt.subplots(2, 3, figsize=(7, 3.6), sharey=True, sharex=True)
for d, (plain, scaled) in zip(widths, grid.T, strict=True):
    query, key = rng.normal(size=(1, d)), rng.normal(size=(16, d))
    without = softmax_attention(query, key, np.eye(16), scale=1.0)[0]
    by_root = softmax_attention(query, key, np.eye(16))[0]  # scale 1/√d
    plain.bar(range(16), without)
    scaled.bar(range(16), by_root, color="C1")
    plain.set(title=f"d = {d}, scale 1", ylim=(0, 1))
    scaled.set(title=f"d = {d}, scale 1/√d", xlabel="key")
for axes in grid[:, 0]:
    axes.set_ylabel("weight")
assert without.max() > 0.99  # at d = 1024
assert by_root.max() < 0.6

# %% [markdown]
# ## A sharp softmax cannot learn
#
# The weights are not the only thing at stake. Ask SymPy for the derivative of a weight by a score. Write softmax for
# three keys and differentiate:

# %%
s = sp.symbols("s:3", real=True)
total = sum(sp.exp(x) for x in s)
w = [sp.exp(x) / total for x in s]
jacobian = sp.Matrix(3, 3, lambda i, j: sp.diff(w[i], s[j]))
delta = sp.eye(3)  # 1 where i = j, else 0
claimed = sp.Matrix(3, 3, lambda i, j: w[i] * (delta[i, j] - w[j]))
assert sp.simplify(jacobian - claimed) == sp.zeros(3)

# %% [markdown]
# So $\partial w_i / \partial s_j = w_i(\delta_{ij} - w_j)$. Where one weight is 1 and the others 0, every entry is 0:
# the row is stuck, and no gradient says how to leave. At the start of training that is the worst place to be.
# [softmax_attention_vjp](../atlas/dotproduct/softmax_attention_vjp.md) gives the gradient that reaches the query:


# %%
def gradient_size(d, scale):
    query, key = rng.normal(size=(200, 1, d)), rng.normal(size=(200, 16, d))
    value = rng.normal(size=(200, 16, 8))
    grad_output = rng.normal(size=(200, 1, 8))
    grads = softmax_attention_vjp(query, key, value, grad_output, scale=scale)
    # A unit step of the query moves the scores by about scale * √d.
    return np.median(np.linalg.norm(grads[0], axis=-1)) / (scale * np.sqrt(d))


widths = [4, 16, 64, 256, 1024]
sizes = {
    "scale 1": [gradient_size(d, 1.0) for d in widths],
    "scale 1/√d": [gradient_size(d, d**-0.5) for d in widths],
}
assert sizes["scale 1"][-1] < sizes["scale 1"][0] / 1000
assert sizes["scale 1/√d"][-1] > sizes["scale 1/√d"][0] / 2

# %%
figure, axes = plt.subplots(figsize=(6, 2.8))
for (name, size), style in zip(sizes.items(), ("--o", "-o"), strict=True):
    axes.loglog(widths, size, style, label=name)
axes.set(title="Without the factor the gradient dies with the width")
axes.set(xlabel="width d", ylabel="gradient, per unit of score")
axes.legend()

# %% [markdown]
# The assumption behind $\sqrt d$ (entries independent, variance 1) holds at initialization. Training then moves the
# lengths of queries and keys to where they are useful. In the trained heads that ship with this project:

# %%
heads = alice()
q, k = (np.asarray(x, dtype=float) for x in heads[:2])  # (6, 12, 134, 32)
scores = q @ k.mT / np.sqrt(32)
spread = scores.std(axis=-1).mean(axis=-1)  # (6, 12): per head, over the keys
print(f"spread of the scores by head: {spread.min():.1f} to {spread.max():.1f}")
assert spread.max() > 2 * spread.min()

# %% [markdown]
# ## Temperature
#
# The scale has a sibling with another name, borrowed from physics: divide all scores by a temperature $T$.
#
# $$w_j(T) = \frac{e^{s_j/T}}{\sum_l e^{s_l/T}}$$
#
# Hot ($T\to\infty$): all weights equal. Cold ($T \to 0$): the largest score takes all. Its inverse $\beta = 1/T$ is the
# `beta` of Hopfield networks. For one word of the text:

# %%
words = heads.tokens[1:16]
q, k = q[3, 1, 1:16], k[3, 1, 1:16]
here = words.tolist().index("tired")
temperatures = [0.1, 0.5, 1.0, 2.0, 10.0]
rows = [
    softmax_attention(q[here : here + 1], k, np.eye(15), temperature=t)[0]
    for t in temperatures
]

# %%
figure, axes = plt.subplots(figsize=(7, 2.9))
image = axes.imshow(rows, vmin=0, vmax=1, aspect="auto")
axes.set_xticks(range(15), words, rotation=90)
axes.set_yticks(range(5), [f"T = {t}" for t in temperatures])
axes.set(title="What “tired” attends to, cold to hot", xlabel="key")
figure.colorbar(image, label="weight")

cold, hot = rows[0], rows[-1]
assert cold.max() > 0.95
assert hot.max() < 0.15

# %% [markdown]
# The order of the keys never changes, since $e^{s/T}$ grows with $s$: temperature decides how much the order matters. A
# number that sums up how spread out the weights are is their **entropy** $H = -\sum_j w_j \log w_j$; $e^H$ is the
# number of keys that a row effectively reads. It grows with the temperature. SymPy shows why: its slope is a variance,
# which is never negative.

# %%
T = sp.Symbol("T", positive=True)
Z = sum(sp.exp(x / T) for x in s)
w = [sp.exp(x / T) / Z for x in s]
entropy = -sum(p * (x / T - sp.log(Z)) for p, x in zip(w, s, strict=True))
mean = sum(p * x for p, x in zip(w, s, strict=True))
variance = sum(p * (x - mean) ** 2 for p, x in zip(w, s, strict=True))
assert sp.simplify(sp.diff(entropy, T) - variance / T**3) == 0

# %%
effective = [np.exp(-np.sum(row * np.log(row))) for row in rows]
for t, keys in zip(temperatures, effective, strict=True):
    print(f"T = {t:4}: reads {keys:4.1f} of 15 keys")
assert effective == sorted(effective)

# %% [markdown]
# ## Softmax is a slope
#
# Where does the exponential come from at all? From a smooth maximum. The function
#
# $$\mathrm{lse}(s) = \log \sum_j e^{s_j}$$
#
# lies just above the largest score, never by more than $\log n$, and has no corner. Its slope in the direction of score
# $j$ says how much the smooth maximum owes to key $j$. Let SymPy take it:

# %%
lse = sp.log(sum(sp.exp(x) for x in s))
slopes = [sp.diff(lse, x) for x in s]
softmax = [sp.exp(x) / total for x in s]
assert all(
    sp.simplify(a - b) == 0 for a, b in zip(slopes, softmax, strict=True)
)
slopes[0]

# %% [markdown]
# **Softmax is the gradient of log-sum-exp.** The Jacobian that you saw above is therefore its second derivative, which
# is why it is symmetric. With the sign turned, and in units of the temperature, log-sum-exp is the energy of
# [attention_energy](../atlas/dotproduct/attention_energy.md). Check the numbers by finite differences on the reference:

# %%
query, key = rng.normal(size=(1, 8)), rng.normal(size=(6, 8))
weights = softmax_attention(query, key, np.eye(6))[0]
step = 1e-6
for j in range(6):
    nudge = np.zeros((1, 6))
    nudge[0, j] = step  # raises the score of key j
    up = attention_energy(query, key, bias=nudge)
    down = attention_energy(query, key, bias=-nudge)
    assert np.isclose(-(up - down) / (2 * step), weights[j]).all()

# %% [markdown]
# The chain rule turns this into a picture of attention as movement: the slope of the energy by the *query* is the
# weighted mean of the *keys*. A query that rolls downhill moves towards the keys that it attends to; lesson 07 makes a
# memory out of this.

# %%
x = np.linspace(-3, 3, 200)
figure, axes = plt.subplots(figsize=(6, 2.9))
axes.plot(x, np.maximum(x, 0), ":", label="max(s, 0)")
for t, style in ((0.5, "--"), (1.0, "-")):
    axes.plot(x, t * np.logaddexp(x / t, 0), style, label=f"smooth, T = {t}")
axes.set(title="Log-sum-exp of two scores, s and 0: a maximum without corner")
axes.set(xlabel="score s", ylabel="T log(exp(s/T) + 1)")
axes.legend()

# %% [markdown]
# ## Questions
#
# 1. The entries of your queries have standard deviation 3, those of the keys 1. Which `scale` makes the scores'
# standard
#    deviation 1?
#
# <details><summary>Answer</summary>
#
# Each term now has variance 9, the sum $9d$; so `scale` is $1/(3\sqrt d)$.
#
# </details>
#
# 2. You add 100 to every score. What happens to the weights, to log-sum-exp, and to the gradient of the weights?
#
# <details><summary>Answer</summary>
#
# The weights and their gradient stay, since only differences count. Log-sum-exp grows by 100. This freedom is what
# makes the subtraction of the largest score in lesson 01 legitimate.
#
# </details>
#
# 3. Can a temperature replace the scale? Can it replace a bias?
#
# <details><summary>Answer</summary>
#
# Without a bias, scale $a$ and temperature $T$ only enter as $a/T$, so one can replace the other. A bias is divided by
# the temperature too, but not multiplied by the scale: with a bias the two are different knobs.
#
# </details>
#
# 4. At temperature 0 softmax would be a hard choice. Why do models not train with it?
#
# <details><summary>Answer</summary>
#
# The weights would be constant except for jumps, so their gradient is 0 wherever it exists. Lesson 10 shows how one
# learns through hard choices all the same.
#
# </details>
