# %% [markdown]
# # Normalizers: from scores to weights
#
# Scores say how well a query likes each key. A normalizer turns them into weights. Softmax is one answer of many, and
# it has two habits that one may not want: no weight is ever 0, and every key pays when another one wins. After this
# lesson you can derive softmax, sparsemax and everything between them from one maximization, find their threshold by
# hand, and say what each of five normalizers does to a real row of words.
#
# 25 minutes. Before: lesson 03 (scaling).

# %%
import matplotlib.pyplot as plt
import numpy as np
import sympy as sp

import attlas_ref as ref
from attlas_ref.data import alice

plt.rc("figure.constrained_layout", use=True)
colors = plt.rcParams["axes.prop_cycle"].by_key()["color"][:4]
look = plt.cycler(color=colors, linestyle=["-", "--", "-.", ":"])
plt.rc("axes", prop_cycle=look)

# %% [markdown]
# ## A real row of scores
#
# A small transformer (all-MiniLM-L6-v2) reads the opening of *Alice's Adventures in Wonderland*. We take one of its
# heads, layer 3, head 1, on the first fifteen words. A row of scores belongs to one query.

# %%
heads = alice()
words = heads.tokens[1:16].tolist()
query, key, value = (np.asarray(x[3, 1, 1:16], float) for x in heads[:3])
scores = query @ key.T / np.sqrt(query.shape[-1])  # (15, 15)
TIRED, HER = words.index("tired"), words.index("her")

figure, both = plt.subplots(1, 2, figsize=(8.4, 3), sharey=True)
for axes, row in zip(both, (TIRED, HER), strict=True):
    axes.bar(words, scores[row])
    axes.axhline(0, color="gray", linewidth=0.8)
    axes.tick_params(axis="x", rotation=90)
    axes.set_title(f"Scores of the query “{words[row]}”")
both[0].set_ylabel("score")
plt.show()

# %% [markdown]
# “her” has two candidates, *alice* and *sister*, far ahead of the rest. “tired” has no clear favorite. A normalizer
# has to treat both.
#
# ## One maximization
#
# We want weights $p_j \ge 0$ that sum to 1 and put much on large scores. If that were all, the best key would take
# everything. So we also reward spreading out, by an entropy $H$:
#
# $$p = \arg\max_p \; \sum_j p_j x_j + H(p), \qquad H_\alpha(p) = \frac{1}{\alpha(\alpha-1)}\sum_j (p_j - p_j^\alpha).$$
#
# $H_\alpha$ is Tsallis' entropy. Where $\alpha$ goes to 1 it is Shannon's $-\sum_j p_j \log p_j$. SymPy can see that,
# one term of the sum at a time.

# %%
p, x, alpha, lam, tau = sp.symbols("p x alpha lambda tau", positive=True)
entropy_term = (p - p**alpha) / (alpha * (alpha - 1))
sp.limit(entropy_term, alpha, 1)

# %% [markdown]
# The sum of the weights is held at 1 by a multiplier $\lambda$. Where a weight is above 0, the slope of
# $p\,x + H - \lambda p$ is 0.

# %%
condition = sp.diff(p * x + entropy_term - lam * p, p)
u = sp.Symbol("u")  # p^(alpha - 1)
power = sp.solve(condition.subs(p**alpha, p * u), u)[0]
threshold = (alpha - 1) * lam - 1 / alpha
assert sp.simplify(power - ((alpha - 1) * x - threshold)) == 0
sp.Eq(sp.Symbol("p") ** (alpha - 1), sp.expand(power))

# %% [markdown]
# With $\tau = (\alpha - 1)\lambda - 1/\alpha$ this reads
#
# $$p_j = \bigl[(\alpha - 1)\, x_j - \tau\bigr]_+^{1/(\alpha-1)}.$$
#
# The bracket $[\cdot]_+$ is 0 below 0: a key whose score stays under the threshold gets **exactly 0**. The family is
# called [entmax](../atlas/normalizers/entmax.md) (Peters, Niculae & Martins 2019, arXiv 1905.05702). $\alpha = 2$ is
# [sparsemax](../atlas/normalizers/sparsemax.md) (Martins & Astudillo 2016, arXiv 1602.02068). At $\alpha = 1$ the
# multiplier becomes a common factor and the power an exponential: softmax.

# %%
shannon = sp.solve(sp.diff(p * x - p * sp.log(p) - lam * p, p), p)[0]
beside_zero = sp.simplify(shannon / shannon.subs(x, 0))
assert beside_zero == sp.exp(x)  # lambda is a common factor

softmax = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
assert np.allclose(ref.entmax(scores, alpha=1.0), softmax)
sp.Eq(p, shannon)

# %% [markdown]
# ## The threshold, for a few keys
#
# All that is left is one number, $\tau$, fixed by $\sum_j p_j = 1$. Take $\alpha = 2$ and keys that all have a weight:

# %%
x1, x2, x3 = sp.symbols("x1:4", real=True)
tau_sparsemax = sp.solve((x1 - tau) + (x2 - tau) + (x3 - tau) - 1, tau)[0]
tau_of_two = sp.solve((x1 - tau) + (x2 - tau) - 1, tau)[0]
assert sp.simplify(x1 - tau_of_two - (1 + x1 - x2) / 2) == 0
sp.Eq(tau, tau_sparsemax)

# %% [markdown]
# The scores less their mean, plus an equal share. With two keys the first gets $(1 + x_1 - x_2)/2$, a straight line
# from 0 to 1.
#
# Now $\alpha = 1.5$. The power is 2, so with $y = x/2$ the equation $\sum_j (y_j - \tau)^2 = 1$ is quadratic, and SymPy
# finds two roots.

# %%
y = sp.symbols("y1:4", real=True)
t = sp.Symbol("tau", real=True)
roots = sp.solve(sum((y_j - t) ** 2 for y_j in y) - 1, t)
mean = sum(y) / 3
spread = sum((y_j - mean) ** 2 for y_j in y)  # three times the variance
smaller = mean - sp.sqrt((1 - spread) / 3)
assert any(sp.simplify(root - smaller) == 0 for root in roots)
sp.Eq(t, sp.simplify(roots[0]))

# %% [markdown]
# In words, for $k$ keys with mean $M$ and $S = \sum_j (y_j - M)^2$:
#
# $$\tau = M - \sqrt{(1 - S)/k}.$$
#
# Why the smaller root? The other one lies above the mean, so that some $y_j - \tau$ are negative. Their squares count in
# the equation, although $[\cdot]_+$ has set them to 0.

# %%
numbers = np.array([0.4, 0.1, 0.0])
found = [float(r.subs(dict(zip(y, numbers, strict=True)))) for r in roots]
weights = (numbers - min(found)) ** 2
assert np.allclose(weights, ref.entmax(2 * numbers))
print("roots:", np.round(sorted(found), 3), " weights:", weights.round(3))

# %% [markdown]
# ## Which keys are in?
#
# The formula needs to know which keys have a weight above 0. If a key is in, every key with a larger score is in too.
# So sort, try the first 1, 2, 3, ... keys, and keep the longest list whose threshold its last member still reaches.


# %%
def by_hand(row, power):
    """Power 1 is alpha 2 (sparsemax), power 2 is alpha 1.5."""
    y = np.asarray(row) / power
    ordered = np.sort(y)[::-1]
    for k in range(len(y), 0, -1):  # the longest list first
        mean, spread = ordered[:k].mean(), k * ordered[:k].var()
        if power == 1:
            tau = mean - 1 / k
        elif spread > 1:
            continue  # such a list reaches a sum of 1 nowhere
        else:
            tau = mean - np.sqrt((1 - spread) / k)
        if tau <= ordered[k - 1]:
            return np.maximum(y - tau, 0) ** power, tau
    raise AssertionError("one key alone always passes")


for row in scores:
    assert np.allclose(by_hand(row, 1)[0], ref.sparsemax(row))
    assert np.allclose(by_hand(row, 2)[0], ref.entmax(row))

# %% [markdown]
# Another way needs no sorting and works for every $\alpha$: the sum of the weights falls as $\tau$ rises, so bisect.
# The reference does so for all $\alpha$ but 1.5 and 2. The picture shows the sum for the row of “tired”; where it
# crosses 1 is the threshold.

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.2))
for power, name in ((1, "sparsemax"), (2, "entmax, alpha 1.5")):
    y_tired = scores[TIRED] / power
    taus = np.linspace(y_tired.max() - 1.4, y_tired.max(), 300)
    sums = (np.maximum(y_tired - taus[:, None], 0) ** power).sum(axis=-1)
    axes.plot(taus, sums, label=name)
    axes.plot(by_hand(scores[TIRED], power)[1], 1, "o", color=f"C{power - 1}")
axes.axhline(1, color="gray", linewidth=0.8)
axes.set(xlabel="threshold τ", ylabel="sum of the weights", ylim=(0, 4))
axes.set_title("The threshold is where the weights sum to 1")
axes.legend()
plt.show()

bisected = ref.entmax(scores, method="bisect")
assert np.allclose(bisected, ref.entmax(scores))

# %% [markdown]
# ## When does a key drop out?
#
# Two keys, $x_1 > x_2$. If the winner takes all, its weight 1 fixes the threshold, and the loser is out if it stays
# below.

# %%
winner_alone = sp.solve((alpha - 1) * x1 - tau - 1, tau)[0]  # its threshold
loser = (alpha - 1) * x2 - winner_alone  # out where this is not above 0
gap = sp.Symbol("g", positive=True)
needed = sp.solve(sp.expand(loser.subs(x2, x1 - gap)), gap)[0]
assert sp.simplify(needed - 1 / (alpha - 1)) == 0
sp.Eq(gap, needed)

# %% [markdown]
# A lead of $1/(\alpha - 1)$ takes everything: 1 for sparsemax, 2 for $\alpha = 1.5$, infinity for softmax. The numbers
# agree, to the side:

# %%
for a in (1.25, 1.5, 2.0, 4.0):
    lead = 1 / (a - 1)
    assert ref.entmax([lead + 1e-6, 0.0], alpha=a)[1] == 0
    assert ref.entmax([lead - 1e-2, 0.0], alpha=a)[1] > 0

figure, axes = plt.subplots(figsize=(6.4, 3.2))
leads = np.linspace(-4.5, 4.5, 301)
pairs = np.stack([leads, np.zeros_like(leads)], axis=-1)
for index, a in enumerate((1.0, 1.25, 1.5, 2.0)):
    axes.plot(leads, ref.entmax(pairs, alpha=a)[:, 0], label=f"alpha {a:g}")
    if a > 1:
        axes.plot(1 / (a - 1), 1, "o", color=f"C{index}")
axes.set(xlabel="lead of the first score", ylabel="its weight")
axes.set_title("Two keys: a lead of 1/(α − 1) (dots) takes all")
axes.legend()
plt.show()

# %% [markdown]
# With three keys the weights are points of a triangle. Sparsemax maps the plane of scores onto it, and large parts of
# the plane land on its edges and corners. The map shows how many keys keep a weight.

# %%
side = np.linspace(-3, 3, 241)
plane = np.stack(np.broadcast_arrays(side, side[:, None], 0.0), axis=-1)
look = {"cmap": plt.get_cmap("viridis", 3), "vmin": 0.5, "vmax": 3.5}
figure, three = plt.subplots(1, 3, figsize=(8.4, 3.1), sharey=True)
for axes, a in zip(three, (1.0, 1.5, 2.0), strict=True):
    count = (ref.entmax(plane, alpha=a) > 0).sum(axis=-1)
    mesh = axes.pcolormesh(side, side, count, rasterized=True, **look)
    axes.set(title=f"alpha {a:g}", xlabel="first score", aspect="equal")
three[0].set_ylabel("second score; the third is 0")
figure.colorbar(mesh, ax=three, ticks=[1, 2, 3], label="keys with a weight")
plt.show()

# %% [markdown]
# ## Without competition: sigmoid
#
# [Sigmoid attention](../atlas/normalizers/sigmoid_attention.md) (Ramapuram et al. 2024, arXiv 2409.04431) judges each
# key alone: $w_{ij} = \sigma(x_{ij} + b)$. The offset $b = -\log n$ makes the weights of a row sum to about 1 while all
# scores are near 0. Nothing is divided by anything, so no key pays for another. Take the best key away and see what
# the others get:

# %%
best, sister = scores[HER].argmax(), words.index("sister")
logistic = 1 / (1 + np.exp(-(scores[HER] - np.log(15))))
mine = ref.sigmoid_attention(query, key, value, return_weights=True).weights
assert np.allclose(logistic, mine[HER])

without = np.arange(15) != best
left = ref.entmax(scores[HER], alpha=1.0, mask=without)
rest = softmax[HER] * without
assert np.allclose(left, rest / rest.sum())  # the others share what it had
print(f"softmax gives “sister” {softmax[HER][sister]:.2f},", end=" ")
print(f"and {left[sister]:.2f} once “{words[best]}” is gone;")
print(f"sigmoid gives it {logistic[sister]:.2f} with and without.")

# %% [markdown]
# ## A fixed number: top-k
#
# [Top-k softmax](../atlas/normalizers/topk_softmax_attention.md) (Zhao et al. 2019, arXiv 1912.11637) keeps the $k$
# best scores of a row and takes the softmax of these alone. The number of keys is fixed, whatever the row looks like.
# Entmax lets the row decide. Here is how many keys the rows of the whole text (132 words) keep. (Softmax keeps all.)

# %%
all_query, all_key = (np.asarray(x[3, 1, 1:-1], float) for x in heads[:2])
all_scores = all_query @ all_key.T / np.sqrt(32)  # (132, 132)
figure, axes = plt.subplots(figsize=(6.8, 3.2))
for a in (2.0, 1.5, 1.25):
    kept = (ref.entmax(all_scores, alpha=a) > 0).sum(axis=-1)
    rows = np.bincount(kept, minlength=62)[:62]
    name = f"alpha {a:g}: median {np.median(kept):.0f}"
    axes.step(range(62), rows, where="mid", label=name)
axes.axvline(5, color="gray", linewidth=1)
axes.text(5.4, 56, "top 5 keeps five", color="gray")
axes.set(xlabel="keys with a weight above 0", ylabel="rows")
axes.set_title("How many of 132 keys a row keeps")
axes.legend()
plt.show()

# %% [markdown]
# ## Five normalizers, two rows
#
# All of them are attention functions of the reference; asked for their weights, they show what they do.

# %%
arrays, wanted = (query, key, value), {"return_weights": True}
five = {
    "softmax": ref.softmax_attention(*arrays, **wanted),
    "entmax, alpha 1.5": ref.entmax_attention(*arrays, **wanted),
    "sparsemax": ref.sparsemax_attention(*arrays, **wanted),
    "top 3": ref.topk_softmax_attention(*arrays, top_k=3, **wanted),
    "sigmoid": ref.sigmoid_attention(*arrays, **wanted),
}
five = {name: result.weights for name, result in five.items()}

# %%
figure, grid = plt.subplots(5, 2, figsize=(8.4, 7.2), sharex=True, sharey=True)
for pair, (name, weights) in zip(grid, five.items(), strict=True):
    for axes, row in zip(pair, (TIRED, HER), strict=True):
        axes.bar(words, weights[row])
        keys, total = np.count_nonzero(weights[row]), weights[row].sum()
        axes.set_title(f"{name}: {keys} keys, sum {total:.2f}", fontsize=9.5)
        axes.tick_params(axis="x", rotation=90)
        axes.set_xlabel(f"“{words[row]}”" if name == "sigmoid" else "")
figure.supylabel("weight", fontsize=10)
plt.show()

# %% [markdown]
# - *softmax* gives every word something. For “tired” half of the weight lies outside of the best three.
# - *entmax* keeps the seven words that are close to the best, *sparsemax* two or three, and puts most on the first.
# - *top 3* keeps three in any case. For “tired” it cuts between words of nearly the same score; for “her” it keeps a
#   third where two would do.
# - *sigmoid* says of “her” that both candidates fit, and does not make them share: the row sums to more than 1.
#
# These are claims about numbers, so we check them.

# %%
kept = {name: np.count_nonzero(w, axis=-1) for name, w in five.items()}
assert (kept["softmax"] == 15).all()
assert (kept["top 3"] == 3).all()
assert kept["entmax, alpha 1.5"][TIRED] == 7
assert kept["entmax, alpha 1.5"][HER] == kept["sparsemax"][HER] == 2
assert kept["sparsemax"][TIRED] == 3

assert np.sort(softmax[TIRED])[:-3].sum() > 0.5
third_ahead_of_fourth = np.diff(np.sort(scores[TIRED]))[-3]
assert third_ahead_of_fourth < 0.25
assert five["sigmoid"][HER].sum() > 1 > five["sigmoid"][TIRED].sum()

# %% [markdown]
# The whole clause at once, on one scale:

# %%
figure, three = plt.subplots(1, 3, figsize=(8.4, 3.6))
for axes, name in zip(three, ("softmax", "sparsemax", "sigmoid"), strict=True):
    image = axes.imshow(five[name], vmin=0, vmax=1, cmap="viridis")
    axes.set_xticks(range(15), words, rotation=90, fontsize=8)
    axes.set_yticks(range(15), words if name == "softmax" else [], fontsize=8)
    axes.set(title=name, xlabel="key")
three[0].set_ylabel("query")
figure.colorbar(image, ax=three, label="weight", shrink=0.7)
plt.show()

# %% [markdown]
# ## What learns
#
# A weight of exactly 0 has a price. The slope of sparsemax is simple: on the support it takes the mean of the incoming
# gradient away, off the support it is 0. SymPy differentiates the case of three keys that are all in:

# %%
inside = sp.Matrix([x1, x2, x3]) - tau_sparsemax * sp.ones(3, 1)
assert inside.jacobian([x1, x2, x3]) == sp.eye(3) - sp.ones(3, 3) / 3
inside.jacobian([x1, x2, x3])

# %%
slope = np.arange(15.0)  # some gradient with respect to the weights
back = ref.sparsemax_vjp(scores[TIRED], slope)
support = five["sparsemax"][TIRED] > 0
assert np.allclose(back[support], slope[support] - slope[support].mean())
assert (back[~support] == 0).all()
print("words that learn:", np.array(words)[support].tolist())

# %% [markdown]
# A key off the support hears nothing, not even that it should have been chosen. A softmax always tells it, if softly.
# An
# $\alpha$ nearer to 1 keeps more keys in the conversation.
#
# ## Questions
#
# 1. Add 7 to every score of a row. Which of the five change?
#
# <details><summary>Answer</summary>
#
# Only sigmoid. The others depend on differences of scores alone: the threshold (or the normalizer) moves along. In
# sigmoid attention the offset is part of the model.
#
# </details>
#
# 2. Multiply all scores by 10. What do softmax, sparsemax and top 3 approach?
#
# <details><summary>Answer</summary>
#
# Softmax and sparsemax approach the best key alone, and sparsemax arrives: as soon as the lead is 1. Top 3 keeps its
# three keys, whose weights are a softmax and approach the best key as well, without ever being 0.
#
# </details>
#
# 3. A row has $n$ equal scores. What are the weights?
#
# <details><summary>Answer</summary>
#
# 1/n for softmax, sparsemax and entmax, as nothing tells the keys apart. Sigmoid gives σ(x − log n), which is
# 1/(n + 1) where the scores are 0. Top k keeps all of them: it compares with the k-th score, and all tie with it.
#
# </details>
#
# 4. With $\alpha = 1.5$ the best score leads the second by 1.9. How many keys have a weight?
#
# <details><summary>Answer</summary>
#
# At least two: a lead of 1/(α − 1) = 2 is needed to take everything.
#
# </details>
#
# 5. Which of the five can be computed block by block over the keys without looking back?
#
# <details><summary>Answer</summary>
#
# Sigmoid, at once: its blocks simply add up. Softmax with a running maximum and sum
# (lesson 05). The others need to know the threshold, or the k-th score, before the first
# weight is final: an engine makes two passes, or keeps a short list of candidates.
#
# </details>
#
# Onward: [memory](07_memory.md), where one step of a network of the eighties turns out to be softmax attention.
