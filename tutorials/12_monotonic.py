# %% [markdown]
# # Attention that only moves forward
#
# Speech, lines of text, songs: what comes out follows what goes in, in order. After this lesson you can derive where a
# forward-moving pointer is expected to stop, compute it in parallel and say why the usual shortcut loses mass, let the
# pointer look back (MoChA), measure how late it is, and read the alignments of CTC as the same kind of sum.
#
# 30 minutes. Before: lesson 02 (the dot product); lesson 10 (hidden alignments) helps.

# %%
from itertools import combinations_with_replacement, product

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp

from attlas_ref import (
    average_lagging,
    ctc_collapse,
    ctc_greedy,
    ctc_log_likelihood,
    expected_delay,
    infinite_lookback_weights,
    mass_preservation,
    mocha_weights,
    monotonic_alignment,
    monotonic_energy,
    sampled_monotonic_alignment,
    softmax_attention,
    waitk_p_choose,
)
from attlas_ref.data import alice

plt.rcParams["figure.constrained_layout.use"] = True

# %% [markdown]
# The running example: eleven words of *Alice* are written, and somebody reads them aloud, stuttering. Some words come
# twice or three times, one is left out. The keys are those of a real head, the queries the same with noise.

# %%
heads = alice()
words = heads.tokens[1:12].tolist()
key = np.asarray(heads.key[3, 1, 1:16], dtype=float)
key = (key - key.mean(axis=0))[:11]
key /= np.linalg.norm(key, axis=-1, keepdims=True)
said = [0, 1, 1, 2, 3, 4, 4, 4, 5, 6, 7, 8, 10]
noise = np.random.default_rng(3).standard_normal((13, 32))
query = key[said] + 0.5 * noise / np.sqrt(32)


def show(panels, maps, label):
    """Draw maps of what is said (rows) over what is written (columns)."""
    for axes, (title, matrix) in zip(panels, maps.items(), strict=True):
        image = axes.imshow(matrix, vmin=0, vmax=1, cmap="viridis")
        axes.set_title(title, fontsize=10)
        axes.set_xticks(range(11), words, rotation=90, fontsize=8)
        axes.set_yticks(range(13), [words[place] for place in said], fontsize=8)
    panels[0].figure.colorbar(image, ax=panels, label=label, shrink=0.8)


# %% [markdown]
# ## 1. A pointer and its coins
#
# For every output the pointer starts where it stopped before. At each key it stops with probability
# $p_{ij} = \sigma(e_{ij})$, or goes on to the next key. It never goes back, so a whole run inspects at most $m + n$
# keys.

# %%
p = monotonic_energy(
    query, key, score="dot", g=12.0, r=-7.5, return_probability=True
)
assert np.allclose(p, 1 / (1 + np.exp(-(12 * query @ key.T - 7.5))))

draws = np.random.default_rng(0).random((2000, *p.shape))
runs = sampled_monotonic_alignment(np.tile(p, (2000, 1, 1)), uniform=draws)
figure, panels = plt.subplots(1, 3, figsize=(8.4, 3.8), sharey=True)
show(
    panels,
    {
        "probability to stop, p": p,
        "one run": runs[3],
        "mean of 2,000 runs": runs.mean(axis=0),
    },
    "probability",
)
plt.show()

# %% [markdown]
# ## 2. The expected alignment, derived
#
# A stop has no gradient, but its probability has. Let $q_{ij}$ be the probability that the pointer *arrives* at key $j$
# for output $i$. It comes from the key before, where it did not stop, or it was here already when the output began:
#
# $$q_{ij} = (1 - p_{i,j-1})\, q_{i,j-1} + \alpha_{i-1,j}, \qquad \alpha_{ij} = p_{ij}\, q_{ij} .$$
#
# Is that right? For two outputs and three keys, SymPy lists every monotone path, multiplies its coins and adds up.

# %%
m, n = 2, 3
coin = [[sp.Symbol(f"p_{i}{j}") for j in range(n)] for i in range(m)]


def path_probability(stops, coin):
    """Multiply the coins of one path; a stop at n runs off the end."""
    chance, start = 1, 0
    for row, stop in zip(coin, stops, strict=True):
        for j in range(start, stop):
            chance = chance * (1 - row[j])
        chance, start = chance * (row[stop] if stop < len(row) else 1), stop
    return chance


# stops that never go back, n being the end
paths = list(combinations_with_replacement(range(n + 1), m))
assert sp.expand(sum(path_probability(path, coin) for path in paths)) == 1

alpha = [1, 0, 0]  # before the first output the pointer stands at key 0
for i in range(m):
    arrive = [alpha[0]]
    for j in range(1, n):
        arrive.append((1 - coin[i][j - 1]) * arrive[-1] + alpha[j])
    alpha = [coin[i][j] * arrive[j] for j in range(n)]
    for j in range(n):
        listed = sum(
            path_probability(path, coin) for path in paths if path[i] == j
        )
        assert sp.expand(alpha[j] - listed) == 0
sp.Eq(sp.Symbol(r"\alpha_{11}"), alpha[1])

# %% [markdown]
# The recursion is exact. And with numbers, against [monotonic_alignment](../atlas/monotonic/monotonic_alignment.md):
# four outputs, five keys, all 126 paths.

# %%
coins = np.random.default_rng(1).random((4, 5))
listed = np.zeros((4, 6))
for path in combinations_with_replacement(range(6), 4):
    listed[np.arange(4), path] += path_probability(path, coins)
assert np.allclose(listed[:, :5], monotonic_alignment(coins))
print("share that ran off the end, by output:", listed[:, 5].round(3))

# %% [markdown]
# What runs off the end is lost: rows sum to less than 1. A translator that must write something lets the last key take
# it ([mass_preservation](../atlas/monotonic/mass_preservation.md)).
#
# ## 3. In parallel, and how mass is lost
#
# One row is a chain of affine maps $q \mapsto a q + b$, and affine maps compose in any grouping. Doubling the stretch
# that a map covers gives a row in $\log_2 n$ steps. The papers instead unroll the recursion. With the exclusive product
# $c_j = \prod_{l<j} (1 - p_l)$,
#
# $$\alpha_j = p_j\, c_j \sum_{l \le j} \frac{\alpha^{\mathrm{before}}_l}{c_l} ,$$
#
# a cumulative product and a cumulative sum. SymPy agrees:

# %%
chance = sp.symbols("p_0:4", positive=True)
before = sp.symbols("a_0:4", positive=True)
arrive = before[0]
passed = [sp.prod([1 - x for x in chance[:j]]) for j in range(4)]
for j in range(4):
    if j:
        arrive = (1 - chance[j - 1]) * arrive + before[j]
    closed = passed[j] * sum(before[k] / passed[k] for k in range(j + 1))
    assert sp.simplify(closed - arrive) == 0

# %% [markdown]
# But $c_l$ underflows, so public code divides by $\max(c_l, \epsilon)$. Whatever stands behind a key with
# $c_l < \epsilon$ is multiplied by $c_l / \epsilon$: it vanishes. With $p = 0.95$ each key costs a factor of 20, and
# $10^{-10}$ is reached after eight of them. The scan divides by nothing.

# %%
sizes = np.arange(1, 41)
kept = {"scan": [], "clamped at 1e-10": [], "clamped at 1e-6": []}
for size in sizes:
    row = np.full((1, size), 0.95)
    start = np.full(size, 1 / size)  # the pointer may be anywhere
    for name, eps in zip(kept, (0.0, 1e-10, 1e-6), strict=True):
        after = monotonic_alignment(
            row, previous=start, method="parallel", eps=eps
        )
        kept[name].append(after.sum())
assert kept["scan"][-1] > 0.99
assert kept["clamped at 1e-10"][-1] < 0.25  # four fifths are gone

figure, axes = plt.subplots(figsize=(6.5, 3))
for (name, values), style in zip(kept.items(), ("-", "--", ":"), strict=True):
    axes.plot(sizes, values, style, label=name)
axes.set(
    title="mass that is left after one row",
    xlabel="number of keys",
    ylabel="sum of the row",
    ylim=(0, 1.05),
)
axes.legend()
plt.show()

# %% [markdown]
# ## 4. Stop, then look back
#
# A pointer that reads one key must find the right one at once. MoChA stops and then attends softly to the last $w$
# keys:
#
# $$\beta_{ij} = \sum_{k=j}^{j+w-1} \alpha_{ik} \frac{e^{u_{ij}}}{\sum_{l=k-w+1}^{k} e^{u_{il}}} .$$
#
# With $w = 1$ nothing changes; with $w = n$ it is infinite lookback (MILk), a softmax over all that has been read.

# %%
alignment, energy, width = (monotonic_alignment(p), 4 * query @ key.T, 3)
by_hand = np.zeros_like(alignment)
for stop in range(11):
    chunk = slice(max(0, stop - width + 1), stop + 1)
    shares = np.exp(energy[:, chunk])
    by_hand[:, chunk] += (
        alignment[:, stop, None] * shares / shares.sum(axis=-1, keepdims=True)
    )
mocha = mocha_weights(alignment, energy, chunk_size=width)
endless = infinite_lookback_weights(alignment, energy)
assert np.allclose(by_hand, mocha)
assert np.allclose(alignment, mocha_weights(alignment, energy, chunk_size=1))
assert np.allclose(endless, mocha_weights(alignment, energy, chunk_size=11))
# each stop hands all of its mass on
assert np.allclose(mocha.sum(axis=-1), alignment.sum(axis=-1))

# %%
softmax = np.exp(energy) / np.exp(energy).sum(axis=-1, keepdims=True)
figure, panels = plt.subplots(1, 4, figsize=(8.4, 3.4), sharey=True)
show(
    panels,
    {
        "stops only": alignment,
        "chunks of 3": mocha,
        "all that was read": endless,
        "softmax": softmax,
    },
    "weight",
)
plt.show()

# %% [markdown]
# ## 5. How late?
#
# A simultaneous translator has read $g_i$ words before it writes word $i$; for a soft alignment that is
# $\sum_j (j + 1) \alpha_{ij}$. Average lagging compares with an ideal that reads and writes at once:
#
# $$\mathrm{AL} = \frac1\tau \sum_{i < \tau} \Bigl(g_i - \frac{i X}{Y}\Bigr), \qquad
#   \tau = \text{words written until the source is over} .$$
#
# Whoever waits for $k$ words and then goes in step lags by $k$.

# %%
for k in range(1, 8):
    policy = monotonic_alignment(waitk_p_choose(11, 11, k=k))  # the diagonal
    delays = expected_delay(mass_preservation(policy))
    assert np.allclose(delays, np.minimum(np.arange(11) + k, 11))
    assert np.isclose(average_lagging(delays, source_length=11), k)

# %% [markdown]
# Waiting buys attention. A real head that writes a word for every word it reads: how much of its weight lies on what
# has been read? One policy waits for $k$ words, the other reads on only until a share of the weight of each word has
# come.

# %%
whole_query, whole_key, value = (
    np.asarray(x[3, 1, 1:16], dtype=float) for x in heads[:3]
)
weights = softmax_attention(
    whole_query, whole_key, value, return_weights=True
).weights
steps = np.arange(15)


def lag_and_share(delays):
    read = np.where(steps < delays[:, None], weights, 0).sum() / 15
    lag = average_lagging(delays.astype(float), source_length=15)
    return float(lag), float(read)


fixed = [lag_and_share(np.minimum(steps + k, 15)) for k in range(1, 16)]
enough = [
    (np.cumsum(weights, axis=-1) < share).sum(axis=-1) + 1
    for share in np.linspace(0.05, 0.999, 40)
]
adaptive = sorted(
    lag_and_share(np.maximum.accumulate(np.minimum(delays, 15)))
    for delays in enough
)
figure, axes = plt.subplots(figsize=(6, 3.2))
axes.plot(
    *zip(*fixed, strict=True), "o-", markersize=4, label="wait for k words"
)
axes.plot(
    *zip(*adaptive, strict=True),
    "s--",
    markersize=4,
    label="wait for a share of the weight",
)
axes.set(
    title="more is seen by those who wait",
    xlabel="average lagging, words",
    ylabel="attention on what was read",
)
axes.legend()
plt.show()

# %% [markdown]
# ## 6. CTC in brief
#
# CTC aligns the other way round: every *frame* of the input emits a letter or a blank; a text is read by merging
# repeats and dropping blanks. The likelihood of a text sums over all alignments that read as it, and the sum is carried
# along a lattice, as in section 2. With five frames and three symbols all 243 can be listed.

# %%
# 5 frames; blank 0, letters 1 and 2
log_probs = np.log(np.random.default_rng(4).dirichlet(np.ones(3), size=5))
likelihood = {}
for emitted in product(range(3), repeat=5):
    text = tuple(ctc_collapse(emitted).tolist())
    chance = np.exp(log_probs[np.arange(5), emitted].sum())
    likelihood[text] = likelihood.get(text, 0.0) + chance
assert np.isclose(sum(likelihood.values()), 1)
for text in [(1, 2), (2, 2), (1, 2, 1)]:
    assert np.isclose(
        np.log(likelihood[text]), ctc_log_likelihood(log_probs, np.array(text))
    )
likeliest = max(likelihood, key=likelihood.get)
greedy = tuple(ctc_greedy(log_probs).tolist())
print(
    f"likeliest of {len(likelihood)} texts: {likeliest};",
    f"likeliest symbol of each frame: {greedy}",
)
assert likeliest != greedy  # one good alignment is less than many fair ones

# %% [markdown]
# ## Questions
#
# 1. All $p_{ij} = 1$. Where does the pointer stop for output 7, and why?
#
# <details><summary>Answer</summary>
#
# At key 0: the pointer starts where it stopped, and stops at once.
#
# </details>
#
# 2. In section 2, which paths does the term $\alpha_{i-1,j}$ of $q_{ij}$ stand for?
#
# <details><summary>Answer</summary>
#
# Those that stopped at $j$ for output $i - 1$: they are at $j$ without having passed a key.
#
# </details>
#
# 3. A row of the alignment sums to 0.7. What does `expected_delay` make of it, and what would you do?
#
# <details><summary>Answer</summary>
#
# The missing 0.3 counts as a delay of 0, so late looks early. Use `mass_preservation` first.
#
# </details>
#
# 4. Why is the moving-sum form of MoChA, $e^u \odot m_w(\alpha / m_w(e^u))$, dangerous with one maximum per row?
#
# <details><summary>Answer</summary>
#
# A chunk whose energies lie far below the maximum has a moving sum of 0: 0/0, or its mass is lost.
#
# </details>
#
# 5. How must CTC read two equal letters in a row?
#
# <details><summary>Answer</summary>
#
# With a blank between them: `1 0 1`. Without it repeats merge.
#
# </details>
#
# Sources: Raffel et al. 2017, arXiv 1704.00784 (monotonic attention); Chiu & Raffel 2018, arXiv 1712.05382 (MoChA);
# Arivazhagan et al. 2019, arXiv 1906.05218 (MILk); Ma et al. 2018, arXiv 1810.08398 (wait-k, average lagging); Graves
# et al. 2006 (CTC).
