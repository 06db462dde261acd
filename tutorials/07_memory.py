# %% [markdown]
# # Memory: Hopfield networks and sparse distributed memory
#
# Two memories from the eighties, one of Hopfield and one of Kanerva, were built without softmax in mind. Both lead to
# it. After this lesson you can derive the update of a modern Hopfield network from its energy, see why the energy
# falls and where the states end, measure how many patterns a memory holds, and fit the softmax that is hidden in a
# sparse distributed memory.
#
# 30 minutes. Before: lessons 02 (the dot product) and 06 (normalizers).

# %%
import math

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
# ## An energy with valleys
#
# A memory should complete: given half of a pattern, return the whole. Hopfield's idea (1982) is a landscape. Every
# stored pattern is the bottom of a valley, a noisy pattern is a point on a slope, and to recall is to roll down.
#
# Ramsauer et al. (2020, arXiv 2008.02217) dig the valleys with a log-sum-exp. With stored patterns $x_j$ and a state
# $\xi$,
#
# $$E(\xi) = \tfrac12 \langle \xi, \xi\rangle - \tfrac1\beta \log \sum_j e^{\beta \langle x_j, \xi\rangle}$$
#
# plus a constant. Near a pattern the log-sum-exp is close to its largest term, and $\tfrac12\xi^2 - \langle x_j,
# \xi\rangle$ is a bowl with its bottom at $x_j$. SymPy writes it for three patterns in the plane.

# %%
beta = sp.Symbol("beta", positive=True)
xi = sp.Matrix(sp.symbols("xi1:3", real=True))
X = sp.Matrix(3, 2, sp.symbols("x1(1:3) x2(1:3) x3(1:3)", real=True))
log_sum_exp = sp.log(sum(sp.exp(s) for s in beta * X * xi)) / beta
energy = xi.dot(xi) / 2 - log_sum_exp
sp.Eq(sp.Symbol("E"), energy)

# %% [markdown]
# ## The update, derived
#
# The energy is a convex part, the bowl $\tfrac12\xi^2$, less another convex part, the log-sum-exp. That is a hard
# function to minimize, but easy to lower: stand at $\xi_0$, replace the log-sum-exp by its tangent there, and minimize
# what is left. A convex function lies above its tangent, so the replacement lies above the energy and touches it at
# $\xi_0$. Whatever lowers the replacement lowers the energy.

# %%
start = sp.Matrix(sp.symbols("a1:3", real=True))
here = dict(zip(xi, start, strict=True))
slope = sp.Matrix([sp.diff(log_sum_exp, c) for c in xi]).subs(here)
tangent = log_sum_exp.subs(here) + slope.dot(xi - start)
replaced = xi.dot(xi) / 2 - tangent
update = sp.solve([sp.diff(replaced, c) for c in xi], list(xi))
sp.Eq(xi[0], sp.simplify(update[xi[0]]))

# %% [markdown]
# A mean of the patterns, weighted by a softmax of their scores. In matrix form, with the patterns as rows of $X$:
#
# $$\xi^{\text{new}} = X^\top \mathrm{softmax}(\beta X \xi).$$
#
# **This is softmax attention**: the state is the query, and the stored patterns are keys and values. The number says
# so too.

# %%
rng = np.random.default_rng(0)
stored, begin = rng.normal(size=(3, 2)), rng.normal(size=2)
numbers = {beta: 1.7, **dict(zip(X, stored.ravel(), strict=True))}
numbers |= dict(zip(start, begin, strict=True))
derived = [float(update[c].subs(numbers)) for c in xi]
print("derived: ", np.round(derived, 6))

one_step = ref.hopfield_attention(begin[None], stored, beta=1.7, steps=1)
attention = ref.softmax_attention(begin[None], stored, stored, scale=1.7)
print("Hopfield:", one_step[0].round(6))
assert np.allclose(derived, one_step)
assert np.allclose(attention, one_step)

# %% [markdown]
# The state stands still where the slope of the energy is 0, and nowhere else: the slope is what the update would move.

# %%
gradient = sp.Matrix([sp.diff(energy, c) for c in xi]).subs(here)
moved = sp.Matrix([a - update[c] for c, a in zip(xi, start, strict=True)])
assert sp.simplify(gradient - moved) == sp.zeros(2, 1)

# %% [markdown]
# ## Downhill in the plane
#
# Five patterns, seven starts, three inverse temperatures $\beta$. A dot is a step, a cross the end.
# [`hopfield_energy`](../atlas/memory/hopfield_energy.md) has constants that make the energy non-negative.

# %%
stored = np.array(
    [[1.6, 0.3], [0.2, 1.5], [-1.4, 0.8], [-0.9, -1.3], [1.0, -1.2]]
)
starts = [[-1.9, 1.9], [0.3, 0.15], [1.9, 1.6], [-1.8, -0.3], [0.1, -1.9]]
starts = np.array([*starts, [1.7, -0.4], [-0.5, 1.0]])
walks = {}  # beta: (steps, starts, 2)
for b in (0.6, 1.5, 4.0):
    walk = [starts]
    for _ in range(30):
        walk.append(ref.hopfield_attention(walk[-1], stored, beta=b))
    walks[b] = np.stack(walk)

# %%
side = np.linspace(-2, 2, 61)
plane = np.stack(np.meshgrid(side, side), axis=-1)
levels, black = np.linspace(0, 4, 17), "#111111"
figure, three = plt.subplots(1, 3, figsize=(8.4, 3.3), sharey=True)
for axes, (b, walk) in zip(three, walks.items(), strict=True):
    height = ref.hopfield_energy(plane, stored, beta=b)
    surface = axes.contourf(side, side, height, levels)
    surface.set_rasterized(True)
    axes.plot(*walk.transpose(2, 0, 1), ".-", color="white", linewidth=1)
    axes.plot(*stored.T, "o", color="white", markersize=9, mec=black)
    axes.plot(*walk[-1].T, "x", color=black, markersize=8, mew=2)
    axes.set(title=f"beta = {b:g}", aspect="equal", xlabel="channel 0")
three[0].set_ylabel("channel 1 of the state")
figure.colorbar(surface, ax=three, label="energy", shrink=0.8)
plt.show()

# %% [markdown]
# Small $\beta$: one valley near the mean of all, where everything ends. Large $\beta$: a valley for each pattern.
# Between the two, neighbors share a valley, and the network recalls a mean of patterns that are alike.
#
# The replacement says more than “never up”: it is a bowl of curvature 1 around the new state, so each step lowers the
# energy by at least $\tfrac12 \lVert\xi^{\text{new}} - \xi\rVert^2$.

# %%
figure, axes = plt.subplots(figsize=(6.8, 3.2))
for index, (b, walk) in enumerate(walks.items()):
    height = ref.hopfield_energy(walk, stored, beta=b)  # (steps, starts)
    promised = (np.diff(walk, axis=0) ** 2).sum(axis=-1) / 2
    assert (-np.diff(height, axis=0) >= promised - 1e-12).all()
    look = {"color": f"C{index}", "linestyle": ("-", "--", "-.")[index]}
    lines = axes.plot(height[:11], linewidth=1.4, **look)
    lines[0].set_label(f"beta {b:g}")
axes.set(title="Along every walk the energy falls", xlabel="step")
axes.set_ylabel("energy")
axes.legend()
plt.show()

# %% [markdown]
# ## Half of a key
#
# On a real head (layer 1, head 4 of all-MiniLM-L6-v2, which reads *Alice's Adventures in Wonderland*) the stored
# patterns are the keys of fifteen words. We scale them to unit length, erase half of the channels of each, and let the
# network complete them. Does it return to the word?

# %%
heads = alice()
words = heads.tokens[1:16].tolist()
keys = np.asarray(heads.key[1, 4, 1:16], float)
keys /= np.linalg.norm(keys, axis=-1, keepdims=True)
halves = np.where(np.arange(32) < 16, keys, 0)


def distance(steps, b):
    whole = ref.hopfield_attention(halves, keys, beta=float(b), steps=steps)
    return np.linalg.norm(whole - keys, axis=-1).mean()


betas = np.geomspace(1, 300, 40)
found = {steps: [distance(steps, b) for b in betas] for steps in (1, 2, 20)}
assert found[20][-1] < 1e-6  # every word is completed
assert found[20][0] > found[1][0]

# %%
figure, axes = plt.subplots(figsize=(6.8, 3.2))
for steps, curve in found.items():
    name = "1 step (attention)" if steps == 1 else f"{steps} steps"
    axes.plot(betas, curve, label=name)
axes.axhline(np.linalg.norm(halves - keys, axis=-1).mean(), color="gray")
axes.text(300, 0.65, "half a key, as it came", color="gray", ha="right")
axes.set(xscale="log", ylim=(0, 1.05), xlabel="inverse temperature β")
axes.set(title="Completing half of a key", ylabel="distance to the whole key")
axes.legend()
plt.show()

# %% [markdown]
# Where $\beta$ is small, more steps make it worse: all states slide into the valley of the mean. Where it is large,
# they make it better. The attention of a transformer is the first step alone, with $\beta = 1/\sqrt d$ and keys and
# queries that have lengths of their own. Here are the weights of another head, layer 3, head 1, after one, two and six
# steps:

# %%
arrays = [np.asarray(x[3, 1, 1:16], float) for x in heads[:3]]
figure, three = plt.subplots(1, 3, figsize=(8.4, 3.6))
for axes, steps in zip(three, (1, 2, 6), strict=True):
    weights = ref.hopfield_attention(
        *arrays, beta=0.4, steps=steps, return_weights=True
    ).weights
    image = axes.imshow(weights, vmin=0, vmax=1, cmap="viridis")
    axes.set_xticks(range(15), words, rotation=90, fontsize=8)
    axes.set_yticks(range(15), words if steps == 1 else [], fontsize=8)
    axes.set(title=f"steps = {steps}", xlabel="key")
three[0].set_ylabel("query")
figure.colorbar(image, ax=three, label="weight, β = 0.4", shrink=0.7)
plt.show()

# %% [markdown]
# Queries that settle in the same valley end with the same row.
#
# ## How many patterns?
#
# The network of 1982 stores bits $\pm 1$ and has the energy $-\tfrac12\sum_j \langle x_j, \sigma\rangle^2$. Every
# pattern counts with the square of its overlap with the state. Other patterns have small overlaps, but there are many,
# and their squares drown the right one. A steeper function lets the right one stand out: a third power
# ([`dense_associative_memory`](../atlas/memory/dense_associative_memory.md), Krotov & Hopfield 2016,
# arXiv 1606.01164), or an exponential (Demircigil et al. 2017, arXiv 1702.01929).
#
# We store random patterns of 32 bits, start from each with four bits flipped, update all bits twice, and count those
# that come back without a mistake.

# %%
BITS, FLIPPED = 32, 4
loads = (2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)


def share_recalled(load, **kind):
    back = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        bits = rng.choice([-1.0, 1.0], size=(load, BITS))
        noisy = np.where(np.arange(BITS) < FLIPPED, -bits, bits)[:16]
        end = ref.dense_associative_memory(noisy, bits, steps=2, **kind)
        back.extend((end == bits[:16]).all(axis=-1))
    return np.mean(back)


# %%
curves = {
    "squares (1982)": [share_recalled(n, degree=2) for n in loads],
    "third powers": [share_recalled(n, degree=3) for n in loads],
    "exponentials": [share_recalled(n, energy="exp") for n in loads],
}
assert curves["exponentials"][-1] > 0.9 > curves["third powers"][-1]
assert curves["squares (1982)"][loads.index(16)] < 0.2

# %%
figure, axes = plt.subplots(figsize=(6.8, 3.2))
for marker, (name, curve) in zip("osD", curves.items(), strict=True):
    axes.plot(loads, curve, marker=marker, label=name)
axes.axvline(0.138 * BITS, color="gray", linewidth=0.8)
axes.text(0.145 * BITS, 0.02, "0.138 d", color="gray")
axes.set_xscale("log", base=2)
axes.set_xticks(loads, loads)
axes.set(xlabel="stored patterns", ylabel="share recalled")
axes.set_title(f"Recall of {BITS} bits, {FLIPPED} of them wrong")
axes.legend()
plt.show()

# %% [markdown]
# With degree 2 it is the classical network, up to a factor of its field, and the classical network is *linear*
# attention: its field is a read of the keys with plain overlaps as weights.

# %%
bits = rng.choice([-1.0, 1.0], size=(5, BITS))
noisy = np.where(np.arange(BITS) < FLIPPED, -bits, bits)
wanted = {"return_field": True}
field = ref.classical_hopfield(noisy, bits, **wanted).field
squares = ref.dense_associative_memory(noisy, bits, degree=2, **wanted).field
assert np.allclose(squares, 4 * field)

read = (noisy @ bits.T) @ bits  # linear attention
assert np.allclose(field, read - len(bits) * noisy)  # less a bit's own pull

# %% [markdown]
# ## Sparse distributed memory
#
# Kanerva (1988) builds a memory of neurons that sit at random addresses, strings of $b$ bits. To write a pattern, add
# it to every neuron within $r$ bits of its address. To read, sum the neurons within $r$ bits of the query. So a
# query hears a stored pattern as often as there are neurons near both.
# [`sdm_neuron_attention`](../atlas/memory/sdm_neuron_attention.md) does it literally:

# %%
neurons = rng.integers(0, 2, (3000, 64))
memories = rng.integers(0, 2, (8, 64))
noisy = memories ^ (np.arange(64) < 10)
recalled = ref.sdm_neuron_attention(
    noisy, memories, memories, neurons, radius=24, threshold=True
)
wrong = [np.abs(x - memories).sum(axis=-1).mean() for x in (noisy, recalled)]
print(f"{wrong[0]:.1f} wrong bits before a read, {wrong[1]:.1f} after")
assert wrong[1] < 1

# %% [markdown]
# With a neuron at every address, the number near both is the overlap of two Hamming balls and depends on the distance
# $v$ of the two centers alone. An address that differs from the first center in $i$ of the $v$ bits where they
# disagree, and in $j$ of the others, is $i + j$ from the one and $v - i + j$ from the other:
#
# $$I(v) = \sum_{i=0}^{v}\sum_{j=0}^{b-v} \binom{v}{i}\binom{b-v}{j}\,[i + j \le r]\,[v - i + j \le r].$$


# %%
def overlap(v, b, r):
    return sum(
        math.comb(v, i) * math.comb(b - v, j)
        for i in range(v + 1)
        for j in range(b - v + 1)
        if i + j <= r and v - i + j <= r
    )


v = np.arange(65)
counted = [overlap(int(distance), 64, 23) for distance in v]
assert np.allclose(counted, ref.sdm_circle_intersection(v, dim=64, radius=23))

# %% [markdown]
# ## The softmax inside
#
# Bricken & Pehlevan (2021, arXiv 2111.05498) looked at the logarithm of this overlap: over the distances that matter it
# is nearly a straight line. As the cosine of two bit strings, read as $\pm 1$, is $1 - 2v/b$, a straight line in
# $v$ is one in the cosine, and
#
# $$I(v) \approx e^{\beta \cos + \text{const}}, \qquad \frac{I(v_j)}{\sum_l I(v_l)} \approx
#   \mathrm{softmax}(\beta \cos)_j .$$
#
# The slope, by least squares over $v < r$, is the $\beta$ of that softmax.

# %%
figure, axes = plt.subplots(figsize=(6.8, 3.4))
slopes = {}
for marker, radius in zip("osD", (27, 23, 19), strict=True):
    v = np.arange(radius)
    cosine = 1 - 2 * v / 64
    logs = ref.sdm_circle_intersection(v, dim=64, radius=radius, log=True)
    slopes[radius], level = np.polyfit(cosine, logs, 1)
    assert np.isclose(slopes[radius], ref.sdm_beta(dim=64, radius=radius))
    name = f"radius {radius}: β = {slopes[radius]:.2f}"
    (line,) = axes.plot(cosine, slopes[radius] * cosine, label=name)
    color = line.get_color()
    axes.plot(cosine, logs - level, marker, color=color, markersize=4)
axes.set(xlabel="cosine, 1 − 2v/64", ylabel="log I(v) − const")
axes.set_title("The logarithm of the overlap is nearly a line")
axes.legend()
plt.show()

# %% [markdown]
# So the weights should agree. Seventeen keys, one at every second distance from the query, in the memory
# ([`sdm_attention`](../atlas/memory/sdm_attention.md)) and under the softmax
# ([`cosine_attention`](../atlas/normalizers/cosine_attention.md)):

# %%
v = np.arange(0, 33, 2)
at, keys, query = 1 - 2 * v / 64, np.arange(64) < v[:, None], np.zeros((1, 64))
largest = {}
figure, axes = plt.subplots(figsize=(6.8, 3.4))
for marker, (radius, b) in zip("osD", slopes.items(), strict=True):
    memory = ref.sdm_attention(query, keys * 1.0, np.eye(17), radius=radius)[0]
    softmax = ref.cosine_attention(
        2 * query - 1, 2.0 * keys - 1, np.eye(17), scale=b
    )[0]
    (line,) = axes.plot(at, softmax, label=f"softmax, β = {b:.2f}")
    name, color = f"memory, radius {radius}", line.get_color()
    axes.plot(at, memory, marker, color=color, label=name)
    largest[radius] = round(float(np.abs(memory - softmax).max()), 3)
axes.set(xlabel="cosine of query and key", ylabel="weight")
axes.set_title("A memory reads like a softmax")
axes.legend()
plt.show()
print("largest difference of a weight, by radius:", largest)
assert max(largest.values()) < 0.05

# %% [markdown]
# A small radius makes a steep line: few neurons are shared, and only near patterns count. At the very top, where query
# and pattern agree in every bit, the memory is steeper than the line, and most of the difference is there.
#
# **Do real heads have such a $\beta$?** A head's scores are dot products of vectors of different lengths. Fit one
# slope of the scores against the cosines, with a constant for every query, which the softmax removes, and compare
# with memories of 32 bits, as wide as the head.


# %%
def fitted_beta(query, key):
    scores = query @ key.T / np.sqrt(32)
    query, key = (x / np.linalg.norm(x, axis=-1)[:, None] for x in (query, key))
    cosines = query @ key.T
    s, c = (x - x.mean(axis=-1, keepdims=True) for x in (scores, cosines))
    return (s * c).sum() / (c * c).sum()


queries, keys = (np.asarray(x[:, :, 1:-1], float) for x in heads[:2])
places = np.ndindex(6, 12)  # layer, head
fits = [fitted_beta(queries[place], keys[place]) for place in places]
head_betas = np.reshape(fits, (6, 12))


def memory_beta(patterns, neurons):
    sizes = {"patterns": patterns, "neurons": neurons}
    return ref.sdm_beta(dim=32, radius=ref.sdm_optimal_radius(dim=32, **sizes))


low, high = memory_beta(100, 1000), memory_beta(10_000, 1_000_000)

# %%
figure, axes = plt.subplots(figsize=(6.8, 3.2))
axes.axhspan(low, high, color="C0", alpha=0.25, linewidth=0)
note = "memories at their\nbest radius"
axes.text(5.5, high, note, color="C0", va="top", fontsize=9)
for layer in range(6):
    place = layer + np.linspace(-0.3, 0.3, 12)
    axes.plot(place, np.sort(head_betas[layer]), "o", color="C1", markersize=4)
axes.set(yscale="log", xlim=(-0.6, 7.2), ylim=(1, 60))
axes.set(title="β of all 72 heads", xlabel="layer", ylabel="fitted β")
axes.set_xticks(range(6))
axes.set_yticks([1, 2, 5, 10, 20, 50], [1, 2, 5, 10, 20, 50])
axes.minorticks_off()
plt.show()

inside = np.count_nonzero((head_betas >= low) & (head_betas <= high))
above = np.count_nonzero(head_betas > high)
print(f"band {low:.1f} to {high:.1f}: {inside} heads in it, {above} above")
assert above > 36

# %% [markdown]
# Of the same order, and most heads are steeper. So the memory explains why a softmax is a sensible thing to build from
# neurons. It does not predict the temperature that training finds.
#
# ## Questions
#
# 1. Two patterns, $(1, 0)$ and $(-1, 0)$. What happens to a state that starts at $(0, 0)$?
#
# <details><summary>Answer</summary>
#
# It stays: both scores are 0, each weight is one half, and the mean of the patterns is (0, 0). Along the line of both,
# the curvature of the energy there is 1 − β. For β below 1 this is the bottom of a common valley, above 1 the top of a
# ridge, from which the smallest push leads to one of the patterns.
#
# </details>
#
# 2. What does `steps=2` compute, in terms of attention?
#
# <details><summary>Answer</summary>
#
# Attention to the keys as values, and its result is the query of a second attention that reads the values:
# attend(attend(q, k, k), k, v) with scale β. It is one of the laws of the atlas.
#
# </details>
#
# 3. The network with squares fails at 16 patterns of 32 bits. Why does an exponential not?
#
# <details><summary>Answer</summary>
#
# The right pattern has an overlap near 24 (four bits of 32 are wrong), others have overlaps near 0 with a spread of
# about 5.7. Squared, 24² = 576 stands against 15 · 32 = 480 from the others. As exponentials, e²⁴ stands against terms
# like e⁶.
#
# </details>
#
# 4. In a sparse distributed memory with a large radius, near b/2, what are the weights?
#
# <details><summary>Answer</summary>
#
# Nearly alike. A ball of that radius holds half of all addresses. A pattern at the query itself shares this half, a
# random one (b/2 bits away) still shares a quarter. So the best match counts about twice as much as noise, and the
# fitted β is small.
#
# </details>
#
# 5. Could a Hopfield network with sparsemax recall a pattern exactly?
#
# <details><summary>Answer</summary>
#
# Yes, in one step, as soon as its score leads by 1 (lesson 06). With softmax it
# only comes near: the other patterns always have a say. Try `alpha=2` in `hopfield_attention`.
#
# </details>
#
# Onward: [Kronecker and tensor attention](08_kronecker.md), for questions that are about two tokens at once.
