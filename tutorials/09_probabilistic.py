# %% [markdown]
# # Attention as inference
#
# Attention answers a question under uncertainty: which of the keys does this query belong to? After this lesson you can
# read attention weights as a posterior, say which mixture of Gaussians a softmax head assumes, let keys learn while
# they are read, and put structure (a chain, a tree, a transport plan) where a softmax treats every query by itself.
#
# 30 minutes. Before: lesson 02 (the dot product) and lesson 06 (normalizers).

# %%
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp

from attlas_ref import (
    gaussian_prior,
    geometric_prior,
    linear_chain_marginals,
    probabilistic_attention,
    sinkhorn_attention,
    softmax_attention,
    structural_prior_attention,
    tree_attention_marginals,
    uniform_prior,
)
from attlas_ref.data import alice

plt.rcParams["figure.constrained_layout.use"] = True

heads = alice()  # a small transformer that reads the opening of Alice
words = heads.tokens[1:16].tolist()
# layer 3, head 1
query, key, value = (np.asarray(x[3, 1, 1:16], dtype=float) for x in heads[:3])


def show(axes, matrix, rows, columns, title, top=1.0):
    """Draw a matrix over words, on the same scale in all panels."""
    image = axes.imshow(matrix, vmin=0, vmax=top, cmap="viridis")
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_title(title, fontsize=10)
    return image


# %% [markdown]
# ## 1. A latent edge
#
# Suppose that every query $q$ was caused by one key, but nobody wrote down by which. Call the number of that key $z$. A
# prior $\pi_j$ says how likely key $j$ is before the query is seen, and $e^{s_j}$, with the score
# $s_j = \langle q, k_j \rangle / \sqrt d$, how well the query fits it. Bayes' theorem gives
#
# $$p(z = j \mid q) = \frac{\pi_j\, e^{s_j}}{\sum_l \pi_l\, e^{s_l}}, \qquad
#   \mathrm{out} = \mathbb E[v_z \mid q] = \sum_j p(z = j \mid q)\, v_j .$$
#
# With all $\pi_j$ alike this is softmax attention. With others it is
# [structural_prior_attention](../atlas/probabilistic/structural_prior_attention.md).

# %%
n, d = key.shape
# (m, n): a uniform prior needs no factor
joint = np.exp(query @ key.T / np.sqrt(d))
posterior = joint / joint.sum(axis=-1, keepdims=True)
assert np.allclose(posterior @ value, softmax_attention(query, key, value))

nearby = gaussian_prior(n, n, sigma=2.0)  # log π: the edge is short
informed = joint * np.exp(nearby)
informed /= informed.sum(axis=-1, keepdims=True)
assert np.allclose(
    informed @ value,
    structural_prior_attention(query, key, value, log_prior=nearby),
)

# %% [markdown]
# The same scores under three beliefs. Where a score is sure it overrules the prior; where it is vague the prior
# decides.

# %%
beliefs = {
    "anywhere": uniform_prior(n, n),
    "near me (σ = 2)": nearby,
    "back in the text, 0.7 per step": geometric_prior(n, n, rate=0.3),
}
figure, panels = plt.subplots(1, 3, figsize=(8.4, 3.8), sharey=True)
for axes, (title, log_prior) in zip(panels, beliefs.items(), strict=True):
    result = structural_prior_attention(
        query, key, value, log_prior=log_prior, return_weights=True
    )
    image = show(axes, result.weights, words, words, title)
figure.colorbar(image, ax=panels, label="posterior of the edge", shrink=0.8)
plt.show()

# %% [markdown]
# ## 2. Which mixture is it?
#
# "Fits" can be made precise. Let key $j$ be the center $\zeta_j$ of a Gaussian with precision $\alpha$ that produces
# queries, and let it produce values around $\mu_j$ with precision $\beta$:
#
# $$p(q, v) = \sum_j \pi_j\, e^{-\frac\alpha2 |q - \zeta_j|^2 - \frac\beta2 |v - \mu_j|^2} .$$
#
# SymPy works out the posterior of $j$ given $q$, for three keys in the plane. The prior that favors long keys,
# $\pi_j = e^{\frac\alpha2 |\zeta_j|^2}$, takes the squares of the keys away, and $|q|^2$ is the same for all.

# %%
alpha, beta, v = sp.symbols("alpha beta v", positive=True)
q = sp.Matrix(sp.symbols("q_1:3", real=True))
zeta = [sp.Matrix(sp.symbols(f"zeta_{j}1:3", real=True)) for j in "abc"]
mu = sp.symbols("mu_a mu_b mu_c", real=True)

log_joint = [
    sp.expand(alpha / 2 * z.dot(z) - alpha / 2 * (q - z).dot(q - z))
    for z in zeta
]
for z, term in zip(zeta, log_joint, strict=True):
    assert sp.expand(term - (alpha * q.dot(z) - alpha * q.dot(q) / 2)) == 0
sp.Eq(sp.Symbol(r"\log p_a"), log_joint[0])

# %% [markdown]
# What is left is $\alpha \langle q, \zeta_j \rangle$ and a constant per query: a softmax of dot products. **Softmax
# attention is the posterior of this mixture**, and its scale is the precision.

# %%
mixture = probabilistic_attention(
    query, key, value, query_precision=0.2, prior="magnitude"
)
assert np.allclose(mixture, softmax_attention(query, key, value, scale=0.2))

# %% [markdown]
# Two answers can be asked of a posterior. Its **mean** is the answer with the least expected square of error, and that
# is attention. Its **mode** (MAP) is where the density is highest. Setting the derivative of the log density to zero
# shows that the mode solves an attention equation too, one whose weights depend on the answer:
#
# $$\partial_v \log p(q, v) = \beta \Bigl(\sum_j w_j(v)\, \mu_j - v\Bigr) .$$

# %%
terms = [
    sp.exp(t - beta / 2 * (v - m) ** 2)
    for t, m in zip(log_joint, mu, strict=True)
]
slope = sp.diff(sp.log(sum(terms)), v)
# Σ w_j(v) μ_j
attended = sum(t * m for t, m in zip(terms, mu, strict=True)) / sum(terms)
assert sp.simplify(slope - beta * (attended - v)) == 0

# β → 0: the weights no longer depend on v, and the mode is plain softmax attention.
assert v not in attended.subs(beta, 0).free_symbols

# %% [markdown]
# `value_init` of the reference is the $v$ in $w_j(v)$, so iterating it climbs to a mode: the next one uphill, which
# need not be the highest. Take one query, three values, and a growing $\beta$: one hill at first, then a hill per
# value.

# %%
one, keys = np.array([[1.0]]), np.array([[1.2], [0.9], [0.4]])
means, grid = np.array([[-1.0], [0.5], [2.0]]), np.linspace(-3, 4, 400)
share = softmax_attention(one, keys, np.eye(3), scale=1.0)[0]
# π, without a part for the values: those keep their squares
long_keys = np.exp(keys.T**2 / 2)
mean = float(share @ means[:, 0])
figure, axes = plt.subplots(figsize=(7, 3.2))
for precision, color in ((0.5, "#3b8ed0"), (2.0, "#e08a1e"), (8.0, "#35a26b")):
    mode = np.array([[mean]])
    for _ in range(200):
        mode = probabilistic_attention(
            one,
            keys,
            means,
            query_precision=1.0,
            value_precision=precision,
            prior=long_keys,
            value_init=mode,
        )
    density = (
        share * np.exp(-precision / 2 * (grid[:, None] - means[:, 0]) ** 2)
    ).sum(axis=-1) * np.sqrt(precision)
    axes.plot(grid, density, color=color, label=f"β = {precision:g}")
    near = share * np.exp(-precision / 2 * (mode - means[:, 0]) ** 2)[0]
    # the slope of the density is 0
    assert np.isclose(near @ means[:, 0] / near.sum(), mode.item())
    axes.axvline(mode.item(), color=color, linestyle=":")
axes.axvline(
    mean, color="black", linestyle="--", label="posterior mean: attention"
)
axes.set(
    xlabel="value v",
    ylabel="density, unnormalized",
    title="Dotted: the mode that attention steps climb to",
)
axes.legend()
plt.show()

# %% [markdown]
# ## 3. Keys that learn while they are read
#
# A mixture is fitted by EM. The E step is attention: $w_{ij}$, how far key $j$ is responsible for query $i$. The M step
# moves every key to where the expected log density is highest, held back by a prior of precision $\tau$ around the key
# $\zeta^*_j$ that came. SymPy solves for it, with three queries on a line:

# %%
tau, center, unknown = sp.symbols("tau zeta_star zeta", positive=True)
w, x = sp.symbols("w_1:4", positive=True), sp.symbols("q_1:4", real=True)
expected = -tau / 2 * (unknown - center) ** 2 - sum(
    a * alpha / 2 * (b - unknown) ** 2 for a, b in zip(w, x, strict=True)
)
(m_step,) = sp.solve(sp.diff(expected, unknown), unknown)
pulled = alpha * sum(a * b for a, b in zip(w, x, strict=True))
solved = (tau * center + pulled) / (tau + alpha * sum(w))
assert sp.simplify(m_step - solved) == 0
sp.Eq(unknown, m_step)

# %% [markdown]
# The keys move to the weighted mean of their queries. The reference does this `key_update_steps` times before it reads.
# Below, three keys start in the gap between three groups of 40 queries. The last panel is the point of EM: the
# penalized log likelihood never falls.

# %%
rng = np.random.default_rng(5)
groups = np.array([[-1.9, 1.1], [1.7, 1.5], [0.3, -1.5]])
cloud = groups[:, None] + 0.35 * rng.standard_normal((3, 40, 2))
cloud = cloud.reshape(-1, 2)
start = np.array([[0.5, 0.25], [0.75, 0.35], [0.6, 0.05]])
precision, hold, steps = 0.7, 0.5, 14

adapting, heights = [start], []
for step in range(steps + 1):
    options = {
        "query_precision": precision,
        "key_prior_precision": hold,
        "key_update_steps": step,
    }
    weights = probabilistic_attention(
        cloud, start, start, **options, return_weights=True
    ).weights
    logs = -precision / 2 * ((cloud[:, None] - adapting[-1]) ** 2).sum(axis=-1)
    # the E step, by hand
    assert np.allclose(
        weights, np.exp(logs) / np.exp(logs).sum(axis=-1, keepdims=True)
    )
    heights.append(
        np.log(np.exp(logs).sum(axis=-1)).sum()
        - hold / 2 * ((adapting[-1] - start) ** 2).sum()
    )
    mass = weights.sum(axis=0)[:, None]
    adapting.append(
        (hold * start + precision * weights.T @ cloud)
        / (hold + precision * mass)
    )
assert np.all(np.diff(heights) > -1e-9)

# %%
figure, (before, after, curve) = plt.subplots(1, 3, figsize=(8.4, 3))
for axes, places, title in (
    (before, adapting[:1], "keys as they came"),
    (after, adapting[:-1], f"{steps} steps of EM"),
):
    axes.plot(*cloud.T, ".", color="#999999", markersize=4)
    for j, (path, marker) in enumerate(
        zip(np.stack(places, axis=1), "os^", strict=True)
    ):
        axes.plot(*path.T, "-", color="black", linewidth=1)
        axes.plot(
            *path[-1],
            marker,
            color=f"C{j}",
            markersize=11,
            markeredgecolor="black",
        )
    axes.set(
        title=title, aspect="equal", xlabel="channel 0", ylabel="channel 1"
    )
curve.plot(heights, "o-", markersize=4)
curve.set(
    title="it never falls",
    xlabel="step of EM",
    ylabel="penalized log likelihood",
)
plt.show()

# %% [markdown]
# ## 4. Structure: all edges together
#
# A softmax decides about every query by itself. A model of the whole sentence can forbid combinations. The weights are
# still marginals, $p(z_i = j)$, but of a distribution over chains or trees, and a dynamic program sums over all of
# them.
#
# **A chain.** Which of three words does each word answer to? Label $c$ of word $t$ scores $u_t(c)$, and two neighbors
# with the same label gain a little. There are $3^{15}$ labelings; forward–backward sums them in 15 steps. On the first
# seven words we can still write them all down.

# %%
asking = [words.index(word) for word in ("alice", "tired", "bank")]
unary, liking = key @ query[asking].T / np.sqrt(d), 1.5 * np.eye(3)
labelings = np.array(list(product(range(3), repeat=7)))  # 2,187 rows
weight = np.exp(
    unary[np.arange(7), labelings].sum(axis=1)
    + liking[labelings[:, 1:], labelings[:, :-1]].sum(axis=1)
)
with_label = [
    (weight[:, None] * (labelings == c)).sum(axis=0) for c in range(3)
]
by_hand = np.stack(with_label, axis=-1) / weight.sum()
assert np.allclose(by_hand, linear_chain_marginals(unary[:7], liking).marginals)

figure, panels = plt.subplots(2, 1, figsize=(8, 3.8), sharex=True)
for axes, strength, title in zip(
    panels, (0, 1), ("each word by itself: softmax", "as a chain"), strict=True
):
    marginals = linear_chain_marginals(unary, strength * liking).marginals
    image = show(axes, marginals.T, [words[a] for a in asking], words, title)
figure.colorbar(image, ax=panels, label="probability")
plt.show()

# %% [markdown]
# **A tree.** Let every word choose its head, another word or the root, so that all choices together form a tree. A
# determinant knows the sum over all trees. For three words SymPy shows why: expand it, and every tree stands there
# once, with a plus. (Here several words may hang from the root; the reference can also demand exactly one.)

# %%
size = 3
# weight of head h for word t
arc = sp.Matrix(
    size, size, lambda h, t: 0 if h == t else sp.Symbol(f"a_{h}{t}")
)
root = sp.symbols(f"r_0:{size}")
laplacian = sp.Matrix(
    size, size, lambda h, t: root[t] + sum(arc[:, t]) if h == t else -arc[h, t]
)
trees = sp.expand(laplacian.det()).args
assert len(trees) == (size + 1) ** (size - 1)
assert not any(term.could_extract_minus_sign() for term in trees)
print(len(trees), "trees, such as", trees[0], "and", trees[-1])

arcs = (query @ key.T / np.sqrt(d)).T
roots = query @ np.asarray(heads.key[3, 1, 0], dtype=float) / np.sqrt(d)
numbers = {
    sp.Symbol(f"a_{h}{t}"): np.exp(arcs[h, t])
    for h in range(size)
    for t in range(size)
}
numbers |= {r: np.exp(roots[t]) for t, r in enumerate(root)}
found = tree_attention_marginals(
    arcs[:size, :size], roots[:size], multi_root=True
)
assert np.isclose(
    float(sp.log(laplacian.det().subs(numbers))), found.log_partition
)

# %% [markdown]
# On the whole clause: a column is a word, a row its head. Left, each word chooses by itself, by a softmax over all
# heads and the root. Right, the same scores over trees. How likely is it that independent choices happen to form a
# tree? The sum over trees divided by the product of the softmax normalizers.

# %%
alone = np.exp(np.where(np.eye(n, dtype=bool), -np.inf, arcs))
normalizers = alone.sum(axis=0) + np.exp(roots)  # one softmax per word
alone /= normalizers
tree = tree_attention_marginals(arcs, roots)
# every word has one head
assert np.allclose(tree.marginals.sum(axis=0) + tree.root_marginals, 1)
assert np.isclose(tree.root_marginals.sum(), 1)  # and there is one root
cases = normalizers.prod() / np.exp(tree.log_partition)
print(f"independent choices form a tree once in {cases:,.0f} cases")

figure, panels = plt.subplots(1, 2, figsize=(8.4, 4.6), sharey=True)
for axes, heads_of, title in zip(
    panels,
    (alone, tree.marginals),
    ("each by itself", "as a tree"),
    strict=True,
):
    image = show(axes, heads_of, words, words, title)
    axes.set_xlabel("word (its head is the row)")
figure.colorbar(image, ax=panels, label="probability of the arc")
plt.show()

# %% [markdown]
# ## 5. A plan: every key is read as much as it should be
#
# Softmax fixes the rows: every query shares out 1. Nothing fixes the columns. Ask for both, and the weights are a
# transport plan. Among all plans $P$ with given row and column sums, take the one that is cheap and not too sharp,
# $\min \langle P, C \rangle + \varepsilon \sum P_{ij} (\log P_{ij} - 1)$. With a multiplier per row and per column:

# %%
cost_ij, eps, f_i, g_j, p_ij = sp.symbols(
    "C_ij epsilon f_i g_j P_ij", positive=True
)
lagrangian = (
    p_ij * cost_ij + eps * p_ij * (sp.log(p_ij) - 1) - eps * (f_i + g_j) * p_ij
)
(solution,) = sp.solve(sp.diff(lagrangian, p_ij), p_ij)
assert sp.simplify(solution - sp.exp(f_i + g_j - cost_ij / eps)) == 0
sp.Eq(p_ij, solution)

# %% [markdown]
# Read by rows, that is a softmax of $g_j - C_{ij}/\varepsilon$: attention in which every key has a price $g_j$.
# Sinkhorn's steps adjust the prices until the columns are right. Minus the scores as the cost gives
# [sinkhorn_attention](../atlas/probabilistic/sinkhorn_attention.md).

# %%
balanced = sinkhorn_attention(
    query, key, value, steps=500, return_weights=True
).weights
price = np.log(balanced) - query @ key.T / np.sqrt(d)
price -= price.mean(axis=-1, keepdims=True)  # a row may be shifted
assert np.allclose(price, price[0])
assert np.allclose(balanced.sum(axis=0), 1)

figure, axes = plt.subplots(figsize=(8, 3.2))
axes.bar(np.arange(n) - 0.2, posterior.sum(axis=0), 0.4, label="softmax")
axes.bar(
    np.arange(n) + 0.2, balanced.sum(axis=0), 0.4, label="plan", hatch="///"
)
axes.set_xticks(range(n), words, rotation=90, fontsize=8)
axes.set(title="how much each word is read in all", ylabel="sum of its column")
axes.legend()
plt.show()

# %% [markdown]
# ## Questions
#
# 1. A head has learned the scale 0.5 in place of $1/\sqrt d$. What does that say about its mixture?
#
# <details><summary>Answer</summary>
#
# Its precision $\alpha$ is 0.5: it believes that a query lies within about $1/\sqrt{0.5} \approx 1.4$ of its key in
# every channel.
#
# </details>
#
# 2. With `prior="uniform"` in section 2, which keys gain compared with softmax attention, long ones or short ones?
#
# <details><summary>Answer</summary>
#
# Short ones. Softmax attention has the extra prior $e^{\frac\alpha2 |\zeta_j|^2}$, which favors long keys.
#
# </details>
#
# 3. Why can `linear_chain_marginals` with a `pairwise` of zeros be replaced by a softmax?
#
# <details><summary>Answer</summary>
#
# The score is then a sum over positions, so the distribution is a product of one softmax per word.
#
# </details>
#
# 4. One query only, uniform masses: what does `sinkhorn_attention` read?
#
# <details><summary>Answer</summary>
#
# The plain mean of the values: the columns must be right, and there is one row to fill them.
#
# </details>
#
# 5. The posterior after one set of keys is the prior for another. Does it matter which set comes first?
#
# <details><summary>Answer</summary>
#
# No: logarithms add. It is the attention to the sum of both keys.
#
# </details>
#
# Sources: Singh & Buckley 2023, arXiv 2304.04556 (the edge); Gabbur, Bilkhu & Movellan 2021, arXiv 2106.15338 (the
# mixture, EM); Kim et al. 2017, arXiv 1702.00887 (chains and trees); Sander et al. 2021, arXiv 2110.11773 (the plan).
