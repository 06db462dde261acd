# %% [markdown]
# # Pointing: the weights are the answer
#
# Attention usually ends in a mixture of values. A pointer stops before that: its weights say which position of the
# input comes next in the output. After this lesson you can point with masks, clips and temperatures, search tours and
# compare them with the true optimum, find a convex hull by attention alone, and count the reads of a pointer that walks
# down a tree.
#
# 30 minutes. Before: lesson 02 (the dot product) and lesson 04 (masks).

# %%
from functools import cache
from itertools import pairwise, permutations

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist

from attlas_ref import (
    convex_hull_labels,
    held_karp,
    pointer_attention,
    pointer_decode,
    tour_length,
    tree_cross_attention,
)
from attlas_ref.data import alice

plt.rcParams["figure.constrained_layout.use"] = True

heads = alice()
words = heads.tokens[1:13].tolist()
query, key = (np.asarray(x[3, 1, 1:13], dtype=float) for x in heads[:2])

# %% [markdown]
# ## 1. Pointing into the input
#
# A classifier has a fixed list of answers. A pointer's answers are the positions of whatever input it is given, so it
# can sort three numbers or three hundred. With the state $d_i$ of a decoder and the encoding $e_j$ of position $j$,
#
# $$u_{ij} = v^\top \tanh(W_1 e_j + W_2 d_i), \qquad p(C_i = j) = \mathrm{softmax}_j(u_{ij}) .$$
#
# These are the weights of [additive_attention](../atlas/dotproduct/additive_attention.md), returned as they are; with a
# dot product as the score, those of softmax attention.

# %%
rng = np.random.default_rng(0)
w_query = rng.normal(size=(32, 8))
w_key = rng.normal(size=(32, 8))
v = rng.normal(size=8)
# (m, n)
by_hand = np.tanh((query @ w_query)[:, None] + (key @ w_key)[None]) @ v
by_hand = np.exp(by_hand) / np.exp(by_hand).sum(axis=-1, keepdims=True)
assert np.allclose(
    by_hand, pointer_attention(query, key, w_query=w_query, w_key=w_key, v=v)
)

# %% [markdown]
# Three knobs, in this order: `logit_clip` bounds the score, $u \leftarrow C \tanh u$; `temperature` divides it; `mask`
# takes out what may not be pointed at. The clip keeps every position in the game. How much is left at worst? One
# position stands at $-C$, all others at $C$:

# %%
clip, n = sp.symbols("C n", positive=True)
worst = sp.exp(-clip) / (sp.exp(-clip) + (n - 1) * sp.exp(clip))
assert sp.simplify(worst - 1 / (1 + (n - 1) * sp.exp(2 * clip))) == 0
clipped = pointer_attention(query, key, score="dot", logit_clip=1.0)
assert clipped.min() >= float(worst.subs({clip: 1, n: len(words)}))
sp.Eq(sp.Symbol(r"p_{\min}"), sp.simplify(worst))

# %%
others = ~np.eye(len(words), dtype=bool)
knobs = {
    "as it is": {},
    "clipped at C = 1": {"logit_clip": 1.0},
    "clipped, T = 0.2, not itself": {
        "logit_clip": 1.0,
        "temperature": 0.2,
        "mask": others,
    },
}
figure, panels = plt.subplots(1, 3, figsize=(8.4, 3.8), sharey=True)
for axes, (title, options) in zip(panels, knobs.items(), strict=True):
    image = axes.imshow(
        pointer_attention(query, key, score="dot", **options),
        vmin=0,
        vmax=1,
        cmap="viridis",
    )
    axes.set_title(title, fontsize=10)
    axes.set_xticks(range(len(words)), words, rotation=90)
    axes.set_yticks(range(len(words)), words)
figure.colorbar(image, ax=panels, label="probability of pointing", shrink=0.8)
plt.show()

# %% [markdown]
# ## 2. A hull, found by attention
#
# Take points of the plane as keys and a *direction* as the query. A sharp pointer then names the point that lies
# farthest that way, and this is always a corner of the convex hull. Turn the direction once around: the corners are
# named one after the other, counter-clockwise. SciPy's hull and
# [convex_hull_labels](../atlas/pointer/convex_hull_labels.md) agree.

# %%
points = np.random.default_rng(6).random((15, 2)) - 0.5
angles = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
directions = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
pointed = pointer_attention(
    directions, points, score="dot", temperature=1e-4
).argmax(axis=-1)
# where the answer changes
corners = pointed[np.flatnonzero(np.diff(pointed, append=pointed[0]))]
assert set(corners) == set(ConvexHull(points).vertices)
# starts at the corner with the smallest number
hull = convex_hull_labels(points)
assert (np.roll(corners, -int(np.argmin(corners))) == hull).all()

figure, panels = plt.subplots(1, 3, figsize=(8.4, 3))
for axes, temperature in zip(panels, (1.0, 0.1, 0.01), strict=True):
    weights = pointer_attention(
        directions, points, score="dot", temperature=temperature
    )
    soft = weights @ points
    axes.plot(*points.T, "o", color="#888888", markersize=5)
    axes.plot(
        *points[np.append(hull, hull[0])].T, "--", color="C1", label="hull"
    )
    axes.plot(*soft.T, color="C0", label="what is read")
    axes.set(title=f"temperature {temperature:g}", aspect="equal")
    axes.axis("off")
figure.legend(
    *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2
)
plt.show()

# %% [markdown]
# The blue curve is ordinary soft attention with the points as values, for all directions. It stays inside of the hull,
# as outputs always do, and reaches it as the temperature falls.
#
# ## 3. Visiting: a mask that remembers
#
# To say an order, point again and again, each time masking what has been said. The smallest such network is a table of
# scores: how much one likes to go from $i$ to $j$. For a tour, take $-\mathrm{distance}$ over a temperature:
#
# $$p(j \mid i, \text{visited}) = \mathrm{softmax}_{j \notin \text{visited}}(\mathrm{scores}_{ij}) .$$


# %%
def chain_log_prob(scores, order):
    """Log probability of an order, given its first city."""
    free, total = np.ones(len(scores), dtype=bool), 0.0
    for here, there in pairwise(order):
        free[here] = False  # visited
        total += scores[here, there] - np.log(np.exp(scores[here, free]).sum())
    return total


cities = points[:7]
scores = -cdist(cities, cities) / 0.1
orders = [(0, *rest) for rest in permutations(range(1, 7))]  # 720
log_probs = np.array([chain_log_prob(scores, order) for order in orders])
# masking leaves a distribution over tours
assert np.isclose(np.exp(log_probs).sum(), 1)

greedy = pointer_decode(scores)
assert np.isclose(greedy.log_prob, chain_log_prob(scores, greedy.sequence))
wide = pointer_decode(scores, method="beam", beam_width=720)  # forgets nothing
assert np.isclose(wide.log_prob, log_probs.max())

# %% [markdown]
# ## 4. Beside the optimum
#
# How good are such tours? Held and Karp found the shortest one without trying all: of a beginning it only matters
# *which* cities it has visited and where it stands. Their recursion, as it is written:


# %%
def shortest(distance):
    everyone = frozenset(range(1, len(distance)))

    @cache
    def best(visited, end):
        """The shortest path from 0 through the visited, which stops at end."""
        before = visited - {end}
        return (
            min(best(before, last) + distance[last, end] for last in before)
            if before
            else distance[0, end]
        )

    return min(best(everyone, end) + distance[end, 0] for end in everyone)


distance = cdist(cities, cities)
lengths = [float(tour_length(cities, np.array(order))) for order in orders]
assert np.isclose(shortest(distance), min(lengths))
assert np.isclose(held_karp(distance).length, min(lengths))

# %% [markdown]
# With $n$ cities there are $(n - 1)!/2$ tours, but $(n - 1)\, 2^{n-1}$ entries in the table: for 12 cities 20 million
# and 22 thousand. Now the same 12 cities by the chain: greedily, with a beam, from 200 samples, and the optimum.

# %%
cities = np.random.default_rng(6).random((12, 2)) - 0.5
scores = -cdist(cities, cities) / 0.05
draws = np.random.default_rng(0).random((200, 12))
samples = pointer_decode(scores, method="sample", uniform=draws).sequence
tours = {
    "greedy": pointer_decode(scores).sequence,
    "beam of 50": pointer_decode(scores, method="beam", beam_width=50).sequence,
    "best of 200 samples": samples[tour_length(cities, samples).argmin()],
    "optimum": held_karp(cdist(cities, cities)).tour,
}
figure, panels = plt.subplots(1, 4, figsize=(8.4, 2.8))
for axes, (title, tour) in zip(panels, tours.items(), strict=True):
    axes.plot(*cities[np.append(tour, tour[0])].T, "o-", markersize=4)
    axes.plot(*cities[tour[0]], "s", color="C1", markersize=8)
    axes.set(
        title=f"{title}\n{float(tour_length(cities, tour)):.3f}", aspect="equal"
    )
    axes.axis("off")
plt.show()

# %% [markdown]
# On many problems: the beam looks for *likely* orders, samples for *short* ones, and only the optimum is the optimum.
# No tour can be shorter, which is asserted for all of them.

# %%
problems = np.random.default_rng(0).random((40, 10, 2))
distances = np.linalg.norm(problems[:, :, None] - problems[:, None], axis=-1)
optimum = np.array([held_karp(table).length for table in distances])
efforts = (1, 2, 4, 8, 16, 32, 64)
draws = np.random.default_rng(1).random((64, 40, 10))
sampled = pointer_decode(
    -distances / 0.05, method="sample", uniform=draws
).sequence
drawn = tour_length(problems, sampled) / optimum  # (64, 40)
beams = [
    pointer_decode(-distances / 0.05, method="beam", beam_width=e).sequence
    for e in efforts
]
likely = np.array([tour_length(problems, beam) / optimum for beam in beams])
assert min(drawn.min(), likely.min()) > 1 - 1e-12

figure, axes = plt.subplots(figsize=(6.5, 3.2))
axes.semilogx(
    efforts,
    100 * (likely.mean(axis=1) - 1),
    "o-",
    base=2,
    label="beam: its likeliest",
)
best_so_far = [
    100 * (drawn[:effort].min(axis=0).mean() - 1) for effort in efforts
]
axes.semilogx(
    efforts, best_so_far, "s--", base=2, label="samples: their shortest"
)
axes.set(
    title="40 problems of 10 cities",
    xlabel="beam width, or samples",
    ylabel="longer than the optimum, %",
)
axes.legend()
plt.show()

# %% [markdown]
# ## 5. Reading a few of many: a tree
#
# Cross attention reads all $N$ tokens for every query. Put a tree over them, whose inner nodes are means of their
# children. A query points at the child that fits best, walks down to it, and keeps the summaries that it passes by.
# With $b$ children per node and $k$ levels it reads
#
# $$|S| = k (b - 1) + P, \qquad b^k \le N - 1, \quad P = \lceil N / b^k \rceil,$$
#
# tokens and summaries in all: $O(\log N)$. Count them:

# %%
one = np.ones((1, 1, 1))
plain = {"w_query": one, "w_key": one, "w_value": one, "w_out": one[0]}
sizes, reads = 2 ** np.arange(2, 13), []
for size in sizes:
    tokens = np.random.default_rng(int(size)).normal(size=(size, 1))
    found = tree_cross_attention(
        np.array([[1.0]]), tokens, **plain, return_selected=True
    )
    depth = int(np.log2(size - 1))
    # k (b − 1) + P with b = 2
    assert found.selected.sum() == depth + -(-size // 2**depth)
    reads.append(int(found.selected.sum()))
print(dict(zip(sizes.tolist(), reads, strict=True)))

# %% [markdown]
# Nothing is lost and nothing is read twice: every token stands below exactly one node that is read. On the real text,
# 128 words as tokens in the order of reading: near the end of its path a query reads words, far from it whole
# stretches. The query of the first “book” finds the second one.

# %%
text = heads.tokens[1:129].tolist()
tokens, asks = (
    np.asarray(x[3, 1, 1:129], dtype=float) for x in (heads.key, heads.query)
)
same = np.eye(32)[None]
parts = {"w_query": same, "w_key": same, "w_value": same, "w_out": same[0]}
asking = [text.index(word) for word in ("alice", "book", "rabbit")]
found = tree_cross_attention(
    asks[asking], tokens, **parts, return_weights=True, return_selected=True
)
# where each level begins among all nodes, the root first
starts = 2 ** np.arange(8) - 1

figure, axes = plt.subplots(figsize=(8.4, 2.4))
for row in range(3):
    covered = np.zeros(128)
    for node in np.flatnonzero(found.selected[row]):
        level = int(np.log2(node + 1))
        width = 128 >> level  # words below this node
        left = (node - starts[level]) * width
        shade = plt.cm.viridis(found.weights[0, row, node])
        axes.barh(
            row,
            width,
            left=left,
            height=0.8,
            color=shade,
            edgecolor="white",
            linewidth=0.6,
        )
        covered[left : left + width] += 1
    assert (covered == 1).all()
    assert found.selected[row].sum() == 8
assert text[found.weights[0, 1, starts[7] :].argmax()] == "book"
axes.set_yticks(range(3), [text[place] for place in asking])
axes.set(
    xlabel="place in the text",
    title="each query reads 8 nodes that cover the text once",
    xlim=(0, 128),
)
axes.invert_yaxis()
figure.colorbar(
    plt.cm.ScalarMappable(plt.Normalize(0, 1), "viridis"),
    ax=axes,
    label="weight",
)
plt.show()

# %% [markdown]
# ## Questions
#
# 1. Why must the clip come before the mask?
#
# <details><summary>Answer</summary>
#
# A mask written into the scores as a large negative number would be clipped to $-C$, and the position stays possible.
#
# </details>
#
# 2. A greedy pointer goes to the nearest city. Give three towns on a line and a start where that is not the shortest
#    path.
#
# <details><summary>Answer</summary>
#
# Start at 0, towns at 1, −1.1 and 2.5: it goes to 1, then 2.5, and walks all the way back.
#
# </details>
#
# 3. In section 3 the most probable order need not be the shortest. What in the softmax is to blame?
#
# <details><summary>Answer</summary>
#
# The normalizer runs over what is left. Late steps have few choices and are nearly sure whatever the distance, so they
# cost little probability.
#
# </details>
#
# 4. The tree reads few nodes, but building it costs $N$ additions. When does it pay?
#
# <details><summary>Answer</summary>
#
# When many queries read the same tokens: the tree is built once, and each query then reads $O(\log N)$ nodes.
#
# </details>
#
# 5. What can the tree miss that full attention would find?
#
# <details><summary>Answer</summary>
#
# One fitting token among many that do not fit: its summary hides it, and the path goes elsewhere.
#
# </details>
#
# Sources: Vinyals, Fortunato & Jaitly 2015, arXiv 1506.03134 (pointer networks); Bello et al. 2016, arXiv 1611.09940
# (clip, sampling as search); Held & Karp 1962; Feng et al. 2023, arXiv 2309.17388 (Tree Cross Attention).
