# %% [markdown]
# # The dot product
#
# You will be able to derive dot-product attention from kernel regression, say exactly when the two give the same
# weights, and predict what a long key does to all the others.
#
# 20 minutes. Before: lesson 01.

# %%
import matplotlib.pyplot as plt
import numpy as np
import sympy as sp

from attlas_ref import cosine_attention, distance_attention, softmax_attention
from attlas_ref.data import alice

# %% [markdown]
# ## Expand the square
#
# Lesson 01 scored a key by its distance from the query: $s_j = -\lVert q - k_j\rVert^2 / 2h^2$. A transformer scores it
# by a dot product: $s_j = \langle q, k_j\rangle / h^2$. They look unrelated. SymPy expands one of them, here in three
# dimensions:

# %%
q, k = sp.Matrix(sp.symbols("q:3")), sp.Matrix(sp.symbols("k:3"))
square = lambda x: x.dot(x)
expanded = square(q) - 2 * q.dot(k) + square(k)
assert sp.expand(square(q - k) - expanded) == 0

# %% [markdown]
# So the score by distance is three terms:
#
# $$-\frac{\lVert q - k_j \rVert^2}{2h^2} = \frac{\langle q, k_j\rangle}{h^2} - \frac{\lVert k_j\rVert^2}{2h^2}
#   - \frac{\lVert q\rVert^2}{2h^2} .$$
#
# The last one is the same for all keys $j$. Softmax compares the keys of one query with each other, so it cancels.
# SymPy shows it for the ratio of two weights, in which the sum below the fraction cancels too:

# %%
h = sp.Symbol("h", positive=True)
k1, k2 = sp.Matrix(sp.symbols("a:3")), sp.Matrix(sp.symbols("b:3"))
log_ratio = (square(q - k2) - square(q - k1)) / (2 * h**2)  # log w1/w2
by_dot = (q.dot(k1) - q.dot(k2)) / h**2
by_length = (square(k2) - square(k1)) / (2 * h**2)
assert sp.expand(log_ratio - (by_dot + by_length)) == 0

# %% [markdown]
# What is left is the dot product and a term for the length of the key. **The Gaussian kernel is the dot product with a
# bias against long keys**, exactly and for any numbers:

# %%
rng = np.random.default_rng(0)
query, key = rng.normal(size=(5, 8)), rng.normal(size=(9, 8))
value = rng.normal(size=(9, 2))
bandwidth = 1.7
lengths = (key**2).sum(axis=1)  # (n,) squared

gaussian = distance_attention(query, key, value, scale=1 / (2 * bandwidth**2))
bias = np.broadcast_to(-lengths / (2 * bandwidth**2), (5, 9))  # (m, n)
dot = softmax_attention(query, key, value, scale=1 / bandwidth**2, bias=bias)
assert np.allclose(gaussian, dot)

# %% [markdown]
# ## Where the lengths cancel
#
# If all keys have the same length, the bias is one constant and cancels as the query's did. Then dot-product attention
# *is* kernel regression, and $1/\sqrt{\mathrm{scale}}$ is its bandwidth.

# %%
unit = key / np.linalg.norm(key, axis=1, keepdims=True)
gaussian = distance_attention(query, unit, value, scale=0.5)
dot = softmax_attention(query, unit, value, scale=1.0)
assert np.allclose(gaussian, dot)

# %% [markdown]
# If they have not, the two differ, and a picture shows how. Take five keys in a plane and ask at every place which key
# gets most weight. For the distance it is the nearest key. For the dot product it is the key that reaches farthest in
# the query's direction: the regions are wedges from the origin, and a key in the middle of the others never wins.

# %%
points = np.array(
    [[2.0, 0.4], [0.5, 1.8], [-1.6, 0.6], [-0.3, -1.2], [0.3, 0.3]]
)
grid = np.stack(np.meshgrid(*[np.linspace(-2.5, 2.5, 160)] * 2), -1)
places = grid.reshape(-1, 2)  # (m, 2): every place is a query
winner = {}
for attention in (distance_attention, softmax_attention):
    weights = attention(places, points, np.eye(5), scale=1.0)
    winner[attention.__name__] = weights.argmax(axis=1).reshape(160, 160)

assert set(winner["distance_attention"].ravel()) == {0, 1, 2, 3, 4}
assert set(winner["softmax_attention"].ravel()) == {0, 1, 2, 3}  # never key 4

# %%
figure, all_axes = plt.subplots(1, 2, figsize=(7, 3.6), sharey=True)
titles = ["distance: the nearest key wins", "dot product: k4 never wins"]
for axes, title, regions in zip(all_axes, titles, winner.values(), strict=True):
    extent = (-2.5, 2.5, -2.5, 2.5)
    axes.imshow(regions, origin="lower", extent=extent, vmin=0, vmax=8)
    axes.scatter(*points.T, s=30, color="white")
    for j, place in enumerate(points):
        axes.text(*(place + 0.12), f"k{j}", color="white", size=12)
    axes.set(title=title, xlabel="first coordinate of q")
all_axes[0].set_ylabel("second coordinate of q")

# %% [markdown]
# The claim about the middle holds in any number of dimensions. $\langle q, k\rangle$ is linear in $k$, so over all
# points of a convex hull it is largest at a corner. A key inside of the hull of the others never has the largest score,
# whatever the query. A distance has no such blind spot.
#
# Why do transformers use the dot product all the same? For three reasons.
#
# **It is one matrix product**, $QK^\top$, the operation that every processor does best. (The expansion above brings the
# distance there too; [distance_attention](../atlas/dotproduct/distance_attention.md) computes it so.)
#
# **Length becomes a way to speak.** A key that is longer in the query's direction is louder, for all queries that agree
# with it, and a longer query is a more decided one. A model can use both, as you will see below.
#
# **Nothing is lost.** With one more coordinate, the dot product contains the Gaussian kernel: append 1 to each query
# and $-\lVert k\rVert^2/2$ to each key.

# %%
one = np.ones((len(query), 1))
longer_query = np.hstack([query, one])  # (m, d + 1)
longer_key = np.hstack([key, -lengths[:, None] / 2])  # (n, d + 1)
dot = softmax_attention(longer_query, longer_key, value, scale=1.0)
gaussian = distance_attention(query, key, value, scale=0.5)
assert np.allclose(dot, gaussian)

# %% [markdown]
# ## Only the angle
#
# One can also go the other way and forbid lengths to speak. Dividing queries and keys by their lengths leaves the
# cosine of the angle between them: [cosine_attention](../atlas/normalizers/cosine_attention.md). On the unit sphere,
# distance, dot product and cosine are three names of one thing.

# %%
direction = query / np.linalg.norm(query, axis=1, keepdims=True)
cosine = cosine_attention(query, key, value, scale=3.0)
assert np.allclose(cosine, softmax_attention(direction, unit, value, scale=3.0))
assert np.allclose(
    cosine, distance_attention(direction, unit, value, scale=1.5)
)

# %% [markdown]
# ## What a trained head does with it
#
# In a transformer query and key are two different projections of the same word vector $x$: $q_i = x_i W_Q$ and $k_j =
# x_j W_K$. The score of word $j$ for word $i$ is $x_i W_Q W_K^\top x_j^\top$. The matrix between the words is not
# symmetric: what "tired" looks for in "alice" is not what "alice" looks for in "tired". A kernel by distance in *one*
# space would have to be symmetric.

# %%
heads = alice()
words = heads.tokens[1:16]
q, k, v = (np.asarray(x[3, 1, 1:16], dtype=float) for x in heads[:3])
scores = q @ k.T / np.sqrt(32)  # (15, 15)
asymmetry = np.abs(scores - scores.T).mean() / np.abs(scores).mean()
norms = np.linalg.norm(k, axis=1)
print(f"scores differ from their transpose by {asymmetry:.0%} of their size")
print(f"keys are {norms.min():.1f} to {norms.max():.1f} long")
assert asymmetry > 0.5

# %% [markdown]
# The keys differ in length, so the choice of the score matters here. Both maps below have the same factor before the
# dot product; the right one also has the Gaussian's bias against long keys.

# %%
scale = 1 / np.sqrt(32)
maps = {
    "dot product": softmax_attention(q, k, np.eye(15), scale=scale),
    "distance": distance_attention(q, k, np.eye(15), scale=scale / 2),
}
moved = np.abs(maps["dot product"] - maps["distance"]).sum(axis=1) / 2
print(f"on average {moved.mean():.0%} of a word's weight goes elsewhere")
heaviest = [words[i] for i in np.argsort(norms)[::-1][:3]]
print("the longest keys:", ", ".join(heaviest))

# %%
figure, all_axes = plt.subplots(1, 2, figsize=(7, 3.9), sharey=True)
for axes, (name, weights) in zip(all_axes, maps.items(), strict=True):
    image = axes.imshow(weights, vmin=0, vmax=1)
    axes.set_xticks(range(15), words, rotation=90)
    axes.set_yticks(range(15), words)
    axes.set(title=name, xlabel="key")
all_axes[0].set_ylabel("query")
figure.colorbar(image, ax=all_axes, label="weight", shrink=0.8)

# %% [markdown]
# ## Questions
#
# 1. You add the same vector $c$ to all keys. What happens to distance attention, and what to dot-product attention?
#
# <details><summary>Answer</summary>
#
# The dot product adds $\langle q, c\rangle$ to every score of a query; a constant per query cancels in the softmax, so
# nothing happens. The distance changes: all points moved away from, or towards, the query. (Move queries *and* keys by
# $c$ and it is the other way round: distances stay, dot products change by $\langle c, k_j\rangle$, which differs from
# key to key.)
#
# </details>
#
# 2. One key is doubled in length, its direction kept. Which queries now give it more weight, and which less?
#
# <details><summary>Answer</summary>
#
# Its score doubles. Queries with a positive dot product with it give it more weight, queries with a negative one less.
# A long key is loud in both directions.
#
# </details>
#
# 3. Which keys can a query of length 0 prefer?
#
# <details><summary>Answer</summary>
#
# By dot product none: all scores are 0 and it takes the mean of the values. By distance those with the shortest keys,
# since they are nearest to the origin.
#
# </details>
#
# 4. A model shall ignore a key whatever the query. Can it do so by making that key short?
#
# <details><summary>Answer</summary>
#
# No. A key of length 0 has the score 0, which is above all negative scores. It must reach far in the direction
# *opposite* to the queries, or be hidden by a mask (lesson 04).
#
# </details>
