# %% [markdown]
# # Kernel regression
#
# You will be able to predict a value from known points by a weighted mean, choose how far a point's influence reaches,
# and recognize in this method of 1964 the queries, keys and values of attention.
#
# 20 minutes. Before: nothing but NumPy.

# %%
import matplotlib.pyplot as plt
import numpy as np
import sympy as sp

from attlas_ref import distance_attention
from attlas_ref.data import alice

# %% [markdown]
# ## Known points, and one question
#
# You know a quantity at some places, with noise, and want it at a place where nobody has looked. Here are forty noisy
# readings of a curve.

# %%
rng = np.random.default_rng(3)
key = np.sort(rng.uniform(0, 6, 40))[:, None]  # (n, 1): where we looked
truth = lambda x: np.sin(1.5 * x) + x / 4
value = truth(key) + 0.3 * rng.normal(size=key.shape)  # (n, 1): what we saw
query = np.linspace(0, 6, 241)[:, None]  # (m, 1): where we want to know

# %% [markdown]
# The simplest guess is the mean of everything that was seen. It ignores *where* it was seen. A better guess listens
# more to readings nearby. Nadaraya and Watson wrote that down independently in 1964:
#
# $$\hat y(q) = \sum_j w_j(q)\, v_j, \qquad w_j(q) = \frac{K(q - k_j)}{\sum_l K(q - k_l)} .$$
#
# $K$ is a **kernel**, a bump that says how much a reading at a distance counts. We take the Gaussian $K(r) = e^{-r^2 /
# 2h^2}$; the **bandwidth** $h$ is how far its influence reaches, in the unit of the places. Dividing by the sum makes
# the weights of each query sum to 1.


# %%
def kernel_regression(query, key, value, bandwidth):
    distance = query - key.T  # (m, n): every query beside every key
    bump = np.exp(-(distance**2) / (2 * bandwidth**2))  # (m, n)
    weights = bump / bump.sum(axis=1, keepdims=True)  # (m, n), rows sum to 1
    return weights @ value, weights


estimate, weights = kernel_regression(query, key, value, bandwidth=0.3)
assert np.allclose(weights.sum(axis=1), 1)

# %%
figure, axes = plt.subplots()
axes.scatter(key, value, s=14, color="tab:gray", label="readings")
axes.plot(query, truth(query), "--", label="the curve behind them")
axes.plot(query, estimate, label="estimate, h = 0.3")
axes.set(title="Nearby readings decide", xlabel="place", ylabel="quantity")
axes.legend()

# %% [markdown]
# ## Why the mean?
#
# The formula is not a trick. Suppose that near the query the curve is a constant $c$. The best $c$ makes the squared
# misses small, and a miss far away should matter less: minimize $\sum_j K_j\,(v_j - c)^2$. SymPy sets the derivative to
# zero.

# %%
c = sp.Symbol("c", real=True)
K = sp.symbols("K:3", positive=True)
v = sp.symbols("v:3", real=True)
loss = sum(K[i] * (v[i] - c) ** 2 for i in range(3))
best = sp.solve(sp.diff(loss, c), c)[0]
assert sp.simplify(best - sum(K[i] * v[i] for i in range(3)) / sum(K)) == 0
assert sp.diff(loss, c, 2).is_positive  # a minimum, and the only one
sp.Eq(sp.Symbol(r"\hat c"), best)

# %% [markdown]
# The weighted mean is the answer to a least-squares question, with the kernel as the importance of each reading. Every
# softmax attention that you will meet answers this question, only with another $K$.
#
# ## Bandwidth
#
# The bandwidth decides what "near" means. Small: the estimate follows every reading, noise included. Large: it flattens
# the curve. The two ends are worth knowing exactly.

# %%
figure, all_axes = plt.subplots(1, 3, sharey=True, figsize=(7, 2.6))
panels = {
    0.05: "it follows the noise",
    0.3: "it follows the curve",
    2.0: "it flattens",
}
for axes, (bandwidth, title) in zip(all_axes, panels.items(), strict=True):
    axes.scatter(key, value, s=8, color="tab:gray")
    smooth = kernel_regression(query, key, value, bandwidth)[0]
    axes.plot(query, smooth, color="tab:orange")
    axes.set(title=f"h = {bandwidth}: {title}", xlabel="place")
all_axes[0].set_ylabel("quantity")

# %% [markdown]
# In the limit $h \to \infty$ all weights are equal and the estimate is the mean of the values. In the limit $h \to 0$
# only the nearest reading counts. But try a very small $h$ with the function above:

# %%
with np.errstate(invalid="ignore"):
    broken = kernel_regression(query, key, value, bandwidth=0.001)[0]
print(f"{np.isnan(broken).mean():.0%} of the estimates are NaN")

# %% [markdown]
# Every bump was rounded to 0, and 0/0 is not a number. The remedy costs nothing. Multiplying all bumps of one query by
# the same factor does not change the weights, so we may first add to the exponents whatever makes the largest of them
# 0. The exponents are called **scores**, and "exponentiate and divide by the sum" is called **softmax**:
#
# $$w_j = \frac{e^{s_j}}{\sum_l e^{s_l}} = \frac{e^{s_j - \max s}}{\sum_l e^{s_l - \max s}}, \qquad
#   s_j = -\frac{(q - k_j)^2}{2h^2} .$$


# %%
def softmax(scores):
    largest = scores.max(axis=-1, keepdims=True)
    bump = np.exp(scores - largest)  # the largest is 1
    return bump / bump.sum(axis=-1, keepdims=True)


def estimate_at(query, bandwidth):
    return softmax(-((query - key.T) ** 2) / (2 * bandwidth**2)) @ value


nearest = np.abs(query - key.T).argmin(axis=1)  # (m,)
assert np.allclose(estimate_at(query, 1e-5), value[nearest])
assert np.allclose(estimate_at(query, 1e5), value.mean())
assert np.allclose(estimate_at(query, 0.3), estimate)

# %% [markdown]
# ## Choosing the bandwidth by looking away
#
# Which $h$ is best? The error at the readings themselves is no judge: with $h \to 0$ each reading predicts itself,
# without any error. So hide each reading from itself and predict it from the others. This is **leave-one-out**
# validation, and hiding is done by a **mask**, which is True where a query may look.


# %%
def error(query, target, bandwidth, mask=None):
    scale = 1 / (2 * bandwidth**2)
    found = distance_attention(query, key, value, scale=scale, mask=mask)
    return np.mean((found - target) ** 2)


others = ~np.eye(len(key), dtype=bool)  # (n, n): everyone but myself
bandwidths = np.geomspace(0.05, 3, 60)
itself = [error(key, value, h) for h in bandwidths]
hidden = [error(key, value, h, mask=others) for h in bandwidths]
real = [error(query, truth(query), h) for h in bandwidths]
best = bandwidths[np.argmin(hidden)]

# %%
figure, axes = plt.subplots()
axes.semilogx(bandwidths, itself, ":", label="readings predict themselves")
axes.semilogx(bandwidths, hidden, label="readings predict each other")
axes.semilogx(bandwidths, real, "--", label="against the true curve")
axes.axvline(best, color="tab:gray", linewidth=1)
axes.set(title=f"Leave-one-out picks h = {best:.2f}", ylim=(0, None))
axes.set(xlabel="bandwidth h", ylabel="mean squared error")
axes.legend()

# %% [markdown]
# The dotted line falls to the left forever; the solid one has a valley, close to the one of the true error, which we
# could not have drawn without knowing the curve.

# %%
assert np.argmin(itself) == 0
unknown = bandwidths[np.argmin(real)]
assert 0.5 < best / unknown < 2
print(f"chosen {best:.2f}; the best for the true curve is {unknown:.2f}")

# %% [markdown]
# ## This was attention
#
# The function that did the work just now is [distance_attention](../atlas/dotproduct/distance_attention.md). Its three
# arguments have the names of attention:
#
# | here | attention | shape |
# | --- | --- | --- |
# | places to predict at | `query` | (m, d) |
# | places that are known | `key` | (n, d) |
# | what is known there | `value` | (n, e) |
#
# A place may have any number $d$ of coordinates and a value any number $e$ of channels; the formula does not change.
# The only parameter is `scale` $= 1/2h^2$.

# %%
output, weights = distance_attention(
    query, key, value, scale=1 / (2 * 0.3**2), return_weights=True
)
assert np.allclose(output, estimate)

figure, axes = plt.subplots(figsize=(6, 3))
image = axes.imshow(weights[::24], vmin=0, vmax=1, aspect="auto")
axes.set_yticks(range(11), [f"{place:.1f}" for place in query[::24, 0]])
axes.set(title="Each row: how one query spends its weight of 1")
axes.set(xlabel="key, from left to right", ylabel="query at place")
figure.colorbar(image, label="weight")

# %% [markdown]
# Places need not be places on a line. A transformer gives every word of a text a point for its key and another point
# for its query, 32 coordinates each, and learns these points so that near means useful. Here are real ones: words from
# the beginning of *Alice's Adventures in Wonderland*, as head 1 of layer 3 of a small trained transformer sees them.

# %%
heads = alice()
words = heads.tokens[1:16]
q, k, v = (
    np.asarray(x[3, 1, 1:16], dtype=float) for x in heads[:3]
)  # (15, 32) each
near = distance_attention(q, k, v, scale=0.1, return_weights=True).weights

figure, axes = plt.subplots(figsize=(5.5, 4.4))
image = axes.imshow(near, vmin=0, vmax=1)
axes.set_xticks(range(15), words, rotation=90)
axes.set_yticks(range(15), words)
axes.set(
    title="Words that are near in a learned space", xlabel="key", ylabel="query"
)
figure.colorbar(image, label="weight")

# %% [markdown]
# Two things are new compared with 1964. The places are **learned**, and a word asks from another place (its query) than
# the one where it is found (its key). The rule for the weights is the same. Lesson 02 replaces the distance by the dot
# product that transformers use, and shows how little changes.
#
# ## Questions
#
# 1. Why can the estimate never be above the largest value or below the smallest?
#
# <details><summary>Answer</summary>
#
# The weights are not negative and sum to 1, so the estimate is a mean of the values. A kernel smoother cannot
# extrapolate, and neither can attention: each output lies in the convex hull of the values.
#
# </details>
#
# 2. At the left and right ends of the first figure the estimate bends away from the curve. Why there?
#
# <details><summary>Answer</summary>
#
# At an end all readings lie on one side, so their weighted mean is pulled towards that side. In the interior the two
# sides balance. Fitting a line instead of a constant in the weighted least squares removes this error.
#
# </details>
#
# 3. You double every coordinate of queries and keys. Which bandwidth gives the old estimate, and which `scale`?
#
# <details><summary>Answer</summary>
#
# Twice the bandwidth, since distances doubled; `scale` is $1/2h^2$, so a quarter of it.
#
# </details>
#
# 4. One reading is copied, so that it stands twice among keys and values. What happens to its influence?
#
# <details><summary>Answer</summary>
#
# It doubles before normalization: attention counts keys, it does not know that two of them are the same reading. Adding
# $-\log 2$ to the scores of both copies restores the estimate.
#
# </details>
