# %% [markdown]
# # How to read an attention map
#
# You will be able to draw attention maps that do not deceive, recognize sinks and averages that hide what heads do, and
# say what a weight proves about a model and what it does not.
#
# 30 minutes. Before: lessons 03 and 04.

# %%
import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from scipy.optimize import linprog

from attlas_ref import softmax_attention
from attlas_ref.data import alice

# %% [markdown]
# ## One map, read aloud
#
# The data are real: all-MiniLM-L6-v2, a small transformer with 6 layers of 12 heads, reads the opening of *Alice's
# Adventures in Wonderland*. Layers and heads are counted from 0. All 72 maps come from one call:

# %%
heads = alice()
words = heads.tokens.tolist()  # 134 with [CLS] in front and [SEP] at the end
q, k, v = (np.asarray(x, dtype=float) for x in heads[:3])  # (6, 12, 134, 32)
output, weights = softmax_attention(q, k, v, return_weights=True)
assert weights.shape == (6, 12, 134, 134)  # layer, head, query, key
assert np.allclose(weights.sum(axis=-1), 1)


# %%
def show(axes, matrix, title, stretch=slice(0, 16), low=0, top=1):
    image = axes.imshow(matrix[stretch, stretch], vmin=low, vmax=top)
    labels = words[stretch]
    axes.set_xticks(range(len(labels)), labels, rotation=90, size=8)
    axes.set_yticks(range(len(labels)), labels, size=8)
    axes.set(title=title, xlabel="key")
    return image


figure, all_axes = plt.subplots(1, 2, figsize=(7, 3.9), sharey=True)
show(all_axes[0], weights[1, 4], "layer 1, head 4")
image = show(all_axes[1], weights[0, 2], "layer 0, head 2")
all_axes[0].set_ylabel("query")
figure.colorbar(image, ax=all_axes, label="weight", shrink=0.8)
assert weights[1, 4, words.index("her"), words.index("sister")] > 0.5

# %% [markdown]
# Read **along rows**. A row is one word that asks, and it spends a weight of 1 on the words that it reads. "her" in the
# left map spends more than half of it on "sister". In the right map each word reads the one before it: the first
# subdiagonal.
#
# **Columns** have no such budget. A bright column is a word that many read; nothing makes columns sum to anything.
#
# Three rules of drawing, all kept above: say which axis asks and which answers (papers disagree); start the colors at 0
# and give panels that are compared the same end; use a map whose lightness grows evenly. See what happens if each panel
# gets its own limits:

# %%
figure, all_axes = plt.subplots(1, 2, figsize=(7, 3.8), sharey=True)
limits = {"limits 0 to 1": (0, 1), "limits from the data": (None, None)}
for axes, (title, (low, top)) in zip(all_axes, limits.items(), strict=True):
    image = show(axes, weights[0, 0], title, slice(1, 16), low, top)
    figure.colorbar(image, ax=axes, shrink=0.6)
all_axes[0].set_ylabel("query")
assert weights[0, 0].max() < 0.11

# %% [markdown]
# It is the same head, and it hardly distinguishes words at all: the largest weight in it is a tenth. The right panel
# makes a pattern of that.
#
# ## Sinks
#
# The first column of most maps is bright. How much weight goes to the mark `[CLS]` that begins every text?

# %%
to_start = weights[..., 0].mean(axis=-1)  # (6, 12): mean over the queries
print(
    f"[CLS] is 1 of 134 keys and receives {to_start.mean():.0%} of all weight"
)
print(f"by layer: {' '.join(f'{x:.0%}' for x in to_start.mean(axis=1))}")
assert to_start.mean() > 0.2
assert to_start[0].max() < 0.1  # not yet in the first layer

# %% [markdown]
# Is `[CLS]` so important? Weights multiply **values**, so look at how long the values are:

# %%
length = np.linalg.norm(v, axis=-1)  # (6, 12, 134)
start, others = length[..., 0], np.median(length[..., 1:], axis=-1)
contribution = weights * length[..., None, :]  # what arrives: |w v|
arriving = contribution[..., 0].sum(-1) / contribution.sum((-1, -2))

figure, all_axes = plt.subplots(1, 2, figsize=(7, 3))
all_axes[0].scatter(to_start, start / others, s=16, c="C0")
all_axes[0].set(xlabel="weight on [CLS]", ylabel="|value| of [CLS] / others")
all_axes[0].set(title="The more it is read, the less it says", yscale="log")
all_axes[1].scatter(to_start, arriving, s=16, c="C1")
all_axes[1].plot([0, 0.6], [0, 0.6], ":", color="tab:gray")
all_axes[1].set(xlabel="weight on [CLS]", ylabel="share of what arrives")
all_axes[1].set(title="What arrives from it")

# %%
sinks = to_start > 0.3  # heads that send much there
shorter = (others / start)[sinks]
print(f"{sinks.sum()} of 72 heads give [CLS] more than 0.3; their value for it")
print(
    f"is {shorter.min():.0f} to {shorter.max():.0f} times shorter than others"
)
assert shorter.min() > 8
assert arriving[sinks].max() < 0.12

# %% [markdown]
# In these heads the value at `[CLS]` is almost nothing. The mark is a **sink**: softmax must spend a weight of 1, and a
# head that has nothing to say in this place spends it where it does no harm. Kobayashi et al. (2020, arXiv 2004.10102)
# found this by looking at $\lVert w_{ij} v_j\rVert$ instead of $w_{ij}$; Xiao et al. (2024, arXiv 2309.17453) found
# that models break when the sink is cut off. So a bright sink column says "this head rests here", not "this word
# matters". Normalizers that may spend less than 1 need no sink
# ([softmax_plus_n_attention](../atlas/normalizers/softmax_plus_n_attention.md), lesson 06).
#
# ## How many words does a head read?
#
# The entropy of a row, $H_i = -\sum_j w_{ij}\log w_{ij}$, made into a number of words, $e^{H_i}$ (lesson 03): 1 if all
# weight is on one key, 134 if it is even. Its mean over the queries tells heads apart at a glance.

# %%
logs = np.log(np.where(weights > 0, weights, 1))
reads = np.exp(-(weights * logs).sum(axis=-1)).mean(axis=-1)  # (6, 12)

figure, axes = plt.subplots(figsize=(7, 3.1))
image = axes.imshow(reads, cmap="cividis", vmin=1, vmax=134, aspect="auto")
for (layer, head), number in np.ndenumerate(reads):
    dark = number < 70
    axes.text(
        head, layer, f"{number:.0f}", ha="center", va="center", size=9,
        color="white" if dark else "#222222",
    )  # fmt: skip
axes.set(title="Words that a query effectively reads")
axes.set(xlabel="head", ylabel="layer", xticks=range(12))
figure.colorbar(image, label="words")
assert reads.min() < 1.1
assert reads.max() > 115

# %% [markdown]
# The first layer holds both extremes: head 2 reads exactly one word, head 7 nearly all of them alike. Entropy says *how
# many*, not *which*: the sharp heads of layer 1 are sharp because they rest in the sink.
#
# ## Averages hide heads
#
# It is common to draw the mean over the heads of a layer. Follow one head. Which share of its weight goes to the word
# before?

# %%
before = np.diagonal(weights, offset=-1, axis1=-2, axis2=-1).mean(axis=-1)
layer, head = np.unravel_index(before.argmax(), before.shape)
print(f"layer {layer}, head {head}: {before.max():.0%} to the word before")
print(f"the average of its layer: {before[layer].mean():.0%}")
assert before.max() > 0.95
assert before[layer].mean() < 0.15

# %%
figure, all_axes = plt.subplots(1, 3, figsize=(7, 3), sharey=True)
show(all_axes[0], weights[0, 2], "head 2")
show(all_axes[1], weights[0, 7], "head 7")
image = show(all_axes[2], weights[0].mean(axis=0), "mean of 12 heads")
all_axes[0].set_ylabel("query")
figure.colorbar(image, ax=all_axes, label="weight", shrink=0.6)

# %% [markdown]
# A rule that one head follows in 98 of 100 cases looks like a faint preference in the mean. The mean map is moreover
# one that **no head computes**: each head has values of its own, and the mean of products is not the product of means.

# %%
mean_map = weights[0].mean(axis=0)  # (134, 134)
from_mean = mean_map @ v[0]  # (12, 134, 32): if all heads used the mean map
error = np.linalg.norm(from_mean - output[0]) / np.linalg.norm(output[0])
print(f"outputs from the mean map are off by {error:.0%}")
assert error > 0.3

# %% [markdown]
# Averages over queries hide as well. A head that reads the same word elsewhere in the text has nothing to do for words
# that occur once; on average over all words it looks weak. Ask it only where it can answer:

# %%
same = np.array([[a == b for b in words] for a in words])
np.fill_diagonal(same, False)  # the same word, but elsewhere
can = same.any(axis=1)  # words that occur more than once
again = (weights * same).sum(axis=-1)  # (6, 12, 134)
layer, head = np.unravel_index(again[..., can].mean(-1).argmax(), (6, 12))
print(f"layer {layer}, head {head}: {again[layer, head][can].mean():.0%} where "
      f"it can, {again[layer, head].mean():.0%} on average, "
      f"{(same[can].sum(axis=1) / 134).mean():.0%} by chance")  # fmt: skip
assert again[layer, head][can].mean() > 0.3

# %% [markdown]
# ## What would change if a word were gone?
#
# A weight is often read as importance. Test it. Take key $j$ away from a query; the others share its weight in
# proportion (lesson 04). How far does the output move? SymPy with three keys:

# %%
w1, w2, v1, v2, v3 = sp.symbols("w1 w2 v1 v2 v3", real=True)
w3 = 1 - w1 - w2
out = w1 * v1 + w2 * v2 + w3 * v3
without = (w2 * v2 + w3 * v3) / (w2 + w3)  # key 1 is gone
claimed = w1 / (1 - w1) * (out - v1)
assert sp.simplify(without - out - claimed) == 0

# %% [markdown]
# So the effect of removing a key is
#
# $$\mathrm{out}_{\setminus j} - \mathrm{out} = \frac{w_j}{1 - w_j}\,(\mathrm{out} - v_j) .$$
#
# The weight is one factor. The other is how different the value is from the output. A word with a large weight whose
# value says what the others say anyway can go unnoticed.

# %%
layer, head, asking = 2, 10, words.index("ran")
w, out = weights[layer, head, asking], output[layer, head, asking]
effect = w / (1 - w) * np.linalg.norm(out - v[layer, head], axis=-1)

gone = words.index("suddenly")  # check one by removing it
removed = softmax_attention(
    q[layer, head, asking][None],
    k[layer, head],
    v[layer, head],
    mask=np.arange(134)[None] != gone,
)[0]
assert np.isclose(np.linalg.norm(removed - out), effect[gone])

# %%
figure, axes = plt.subplots(figsize=(6, 3.2))
axes.scatter(w, effect, s=14)
for place in np.argsort(w)[-4:]:
    axes.text(w[place], effect[place], f" {words[place]}", va="bottom")
axes.set(title="“ran” (layer 2, head 10): each dot is a key")
axes.set(xlabel="weight", ylabel="change if removed")

when = words.index("when")
assert w[when] < w[gone]  # less weight,
assert effect[when] > 1.4 * effect[gone]  # and far more effect

# %% [markdown]
# "suddenly" has more weight than "when", and taking "when" away moves the output half as far again. The formula also
# explains the sinks. Where $v_j$ is almost zero, $\mathrm{out}_{\setminus j} = \mathrm{out} / (1 - w_j)$: without its
# sink the head says the same, only louder. A sink is a **volume control**, which is why models break without it
# although nothing is read there.

# %% [markdown]
# ## The same output from other weights
#
# Are the weights at least *determined* by what the head gives out? Not if there are more keys than value channels. With
# 134 keys and 32 channels, the weights that give one and the same output form a space of at least $134 - 32 - 1 = 101$
# dimensions. (Brunner et al., 2020, arXiv 1908.04211; the debate before it: Jain and Wallace, 2019, arXiv 1902.10186,
# and Wiegreffe and Pinter, 2019, arXiv 1908.04626.)
#
# In layer 3, head 9, "own" reads "considering" more than any other word. Look for weights that are honest (not
# negative, sum 1), give exactly the same output, and put as *little* as possible on "considering". That is a linear
# program.

# %%
layer, head, asking = 3, 9, words.index("own")
w, out = weights[layer, head, asking], output[layer, head, asking]
favorite = w.argmax()
cost = np.arange(134) == favorite
constraints = np.vstack([v[layer, head].T, np.ones(134)])  # (33, 134)
found = linprog(cost, A_eq=constraints, b_eq=np.append(out, 1), bounds=(0, 1))
other = found.x
assert found.success
assert np.allclose(other @ v[layer, head], out, atol=1e-6)
assert np.isclose(other.sum(), 1)
print(f"“{words[favorite]}”: {w[favorite]:.2f} or {other[favorite]:.2f}")
assert other[favorite] < 0.01

# %%
figure, all_axes = plt.subplots(2, 1, figsize=(7, 3.2), sharex=True)
panels = {"the head's weights": w, "other weights, same output": other}
for axes, (title, row) in zip(all_axes, panels.items(), strict=True):
    axes.bar(range(134), row, width=1)
    axes.bar(favorite, row[favorite], width=1, color="C1")
    axes.set(title=title, ylabel="weight", ylim=(0, 0.25))
    bar, label = (favorite, row[favorite]), (favorite, 0.2)
    line = {"arrowstyle": "-", "color": "C1"}
    axes.annotate(words[favorite], bar, label, ha="center", arrowprops=line)
all_axes[1].set_xlabel("key, by its place in the text")

# %% [markdown]
# Both rows are equally good explanations of the output of this head for this query, if the output is all that one has.
# The weights are what the model *computed*, and that is worth knowing. They are not the only story that fits.
#
# One more caution. From layer 1 on, the thing at the place of a word is no longer the word: it has taken in other words
# on the way. "Reads sister" in layer 3 means "reads what has gathered at the place of *sister*".
#
# ## What you may say
#
# | you see | you may say | you may not say |
# | --- | --- | --- |
# | a large $w_{ij}$ | the head read place $j$ for place $i$ | word $j$ caused the result |
# | a bright column | many queries read this place | it is important (is it a sink?) |
# | a faint mean map | – | no head does this |
# | an even row | this head does not choose here | it does nothing: a mean is a result too |
# | a removed key changes nothing | it was not needed *here*, by *this* head | the model does not use it |
#
# ## Questions
#
# 1. A paper shows a map without a color bar, in which each row has one bright cell. What must you ask?
#
# <details><summary>Answer</summary>
#
# Whether each row, or each panel, was scaled to its own maximum; then every row has a bright cell, even if all weights
# are nearly equal. And which axis asks.
#
# </details>
#
# 2. A head sends 90% of every row to the sink. Can it still matter?
#
# <details><summary>Answer</summary>
#
# Yes. The values at the sink are nearly zero, so the output is roughly a tenth of the mean of the rest, with a
# direction that the following layers can use. The sink works as a volume control.
#
# </details>
#
# 3. When are the weights determined by the output?
#
# <details><summary>Answer</summary>
#
# When the values, each with a 1 appended, are linearly independent: at most $e + 1$ keys, here 33. For a short sentence
# the map may be the only one; for a page it never is.
#
# </details>
#
# 4. You cut a head's sink off, and the output changes a lot although the value there was almost zero. Why?
#
# <details><summary>Answer</summary>
#
# The others share the weight that it had. With a weight of 0.8 on the sink, everything else is multiplied by $1/(1 -
# 0.8) = 5$. The direction of the output stays, its length does not.
#
# </details>
#
# 5. Why not draw the mean over heads of $\lVert w_{ij} v_j\rVert$ instead?
#
# <details><summary>Answer</summary>
#
# It removes the sinks, but heads still vanish in a mean, and the lengths of values of different heads have no common
# unit before the output projection. Draw heads, or choose them by a question, such as "the word before".
#
# </details>
