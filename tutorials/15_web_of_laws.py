# %% [markdown]
# # The web of laws
#
# The atlas holds hundreds of formulations. What ties them together is not a list but a web of theorems that run: *this
# is that at such a setting, this bounds that*. After this lesson you can read a law, run it against a function of your
# own, say which mistakes it catches, walk the web from one formulation to another, and add a law.
#
# 25 minutes. Before: lesson 02 (the dot product).
#
# The test kit draws its calls with Hypothesis: `pip install 'attlas[testing]'`.

# %%
import inspect
from collections import Counter, defaultdict
from itertools import pairwise, product

import matplotlib.pyplot as plt
import numpy as np

import attlas_ref
from attlas_ref.contract import AttentionResult
from attlas_ref.records import FAMILIES, all_records, find
from attlas_ref.testing import Candidate, all_laws, build, check_law
from attlas_ref.testing.laws import Law, equal
from attlas_ref.testing.laws.evaluate import judge
from attlas_ref.testing.strategies import BYTES, plan_of

plt.rcParams["figure.constrained_layout.use"] = True

# %% [markdown]
# ## 1. A theorem that runs
#
# One step of a Hopfield network retrieves $\mathrm{softmax}(\beta\, \xi X^\top) X$. That is softmax attention with the
# scale $\beta$. On some arrays:

# %%
rng = np.random.default_rng(0)
query = rng.normal(size=(5, 4))
key = rng.normal(size=(7, 4))
value = rng.normal(size=(7, 3))
one_step = attlas_ref.hopfield_attention(query, key, value, beta=2.0, steps=1)
assert np.allclose(
    one_step, attlas_ref.softmax_attention(query, key, value, scale=2.0)
)

# %% [markdown]
# An example is not a theorem. The law says it for every valid call: any shapes, masks, biases, any $\beta$. It has a
# name that is a sentence, a statement, the formulation whose calls are drawn (its subject), the others that it ties,
# and a check:

# %%
by_name = {law.name: law for law in all_laws()}
law = by_name["hopfield_one_step_is_softmax"]
print(law.name, "|", law.statement)
print("subjects", law.subjects, "ties", law.ties, "fixed", dict(law.fixed))

# %% [markdown]
# The check takes an evaluator `f`, which computes any formulation by name, a drawn call and a generator, and returns
# what must be equal, the same bit for bit, or at most. Here the drawn call is asked of `f` as it is, and the same
# arrays of softmax attention:

# %%
print(inspect.getsource(law.check))

# %% [markdown]
# There is no tolerance in it. The evaluator runs the check once for the candidate, and several times for the reference
# in double precision and in arithmetic with random rounding. How far those runs scatter is the *budget*: what the
# precision itself costs on this input. A law is broken if the candidate exceeds it.

# %%
reference = Candidate.of(attlas_ref.hopfield_attention, "hopfield_attention")
check_law(reference, law, "hopfield_attention", max_examples=20)


def without_beta(query, key, value, **options):
    return attlas_ref.hopfield_attention(
        query, key, value, **{**options, "beta": 1.0}
    )


def drawn(law, subject, seed):
    """One of the calls that `check_law` might draw, the same for all."""
    noise = np.random.default_rng(seed).bytes(BYTES)
    fixed = law.fixed_for(subject)
    return build(
        plan_of(
            noise,
            subject,
            dtypes=("float64",),
            largest=9,
            least=law.least,
            fixed=fixed,
            plain=True,
        )
    )


def counterexample(candidate, law, subject, tries=4):
    """What is said of the first call that breaks the law, if one does."""
    for seed in range(tries):
        try:
            judge(candidate, law, drawn(law, subject, seed))
        except AssertionError as error:
            return str(error)
    return ""


said = counterexample(
    Candidate.of(without_beta, "hopfield_attention"), law, "hopfield_attention"
)
assert said
print(said[:170], "...")

# %% [markdown]
# ## 2. What laws catch
#
# Seven ways to get softmax attention wrong, each a real one. `attention(fault)` is right but for its fault.

# %%
FAULTS = (
    "none",
    "no scale",
    "bias before scale",
    "causal from the first key",
    "mask after softmax",
    "over the queries",
    "no maximum",
    "mean of the values",
)


def attention(fault):
    def candidate(
        query,
        key,
        value,
        *,
        temperature=1.0,
        scale=None,
        mask=None,
        bias=None,
        causal=False,
        return_weights=False,
    ):
        m, n = query.shape[-2], key.shape[-2]
        scale = 1 / np.sqrt(query.shape[-1]) if scale is None else scale
        bias = 0 if bias is None else bias
        factor = 1 if fault == "no scale" else scale
        added = factor * bias if fault == "bias before scale" else bias
        scores = (factor * (query @ key.mT) + added) / temperature
        if fault == "mean of the values":
            scores = 0 * scores
        offset = 0 if fault == "causal from the first key" else n - m
        visible = np.arange(n) <= np.arange(m)[:, None] + offset
        visible = visible if causal else np.ones_like(visible)
        visible = visible if mask is None else visible & mask
        hidden = np.where(visible, scores, -np.inf)
        shown = scores if fault == "mask after softmax" else hidden
        axis = -2 if fault == "over the queries" else -1
        top = shown.max(axis=axis, keepdims=True, initial=-np.inf)
        if fault != "no maximum":
            shown = shown - np.where(top == -np.inf, 0, top)
        weights = np.exp(shown)
        total = weights.sum(axis=axis, keepdims=True)
        weights = np.where(visible, weights / np.where(total == 0, 1, total), 0)
        output = weights @ value
        return AttentionResult(output, weights) if return_weights else output

    return Candidate.of(candidate, "softmax_attention")


# %%
CHOSEN = (
    "keys_may_be_permuted",
    "queries_are_independent",
    "output_is_linear_in_value",
    "the_future_has_no_effect",
    "causal_is_a_mask",
    "a_mask_is_a_bias_of_minus_infinity",
    "softmax_rows_sum_to_one",
    "scale_moves_into_the_query",
    "temperature_divides_scale_and_bias",
    "repeating_a_key_is_a_bias_of_log_r",
    "loud_scores_stay_finite",
    "cold_attention_is_the_best_value",
    "the_first_causal_row_is_the_first_value",
)
caught = np.zeros((len(CHOSEN), len(FAULTS)), dtype=bool)
for row, name in enumerate(CHOSEN):
    for column, fault in enumerate(FAULTS):
        said = counterexample(
            attention(fault), by_name[name], "softmax_attention"
        )
        caught[row, column] = bool(said)
assert not caught[:, 0].any()  # the right one breaks none
assert caught[:, 1:].any(axis=0).all()  # each fault breaks some

figure, axes = plt.subplots(figsize=(8, 4.6))
axes.imshow(caught, vmin=0, vmax=1, cmap="viridis", aspect="auto")
axes.set_xticks(range(len(FAULTS)), FAULTS, rotation=30, ha="right", fontsize=8)
axes.set_yticks(range(len(CHOSEN)), CHOSEN, fontsize=8)
for row, column in zip(*np.nonzero(caught), strict=True):
    look = {"ha": "center", "va": "center", "fontsize": 7, "color": "#111111"}
    axes.text(column, row, "broken", **look)
axes.set_title("Which laws does which fault break? (4 drawn calls each)")
plt.show()

# %% [markdown]
# No single law is enough, and some catch nothing here: the mean of the values is linear in the values too. Together
# they leave little room. That is also how a kernel or an exercise is judged, before its numbers are compared with
# anything.
#
# ## 3. The web
#
# Laws without ties limit one formulation. Those with ties are the threads of the web.

# %%
threads = defaultdict(set)  # pair of formulations -> the laws that tie them
for each in all_laws():
    for pair in product(each.subjects, each.ties):
        if len(set(pair)) == 2:
            threads[tuple(sorted(pair))].add(each.name)
degree = Counter(name for pair in threads for name in pair)
print(len(all_laws()), "laws", len(all_records()), "formulations")
print(len(threads), "pairs of them are tied")
print(degree.most_common(6))

# %%
records = all_records()
# the hub at the top
angle = {
    record.name: 1.2 + 2 * np.pi * k / len(records)
    for k, record in enumerate(records)
}
spot = {name: np.array([np.cos(a), np.sin(a)]) for name, a in angle.items()}
figure, axes = plt.subplots(figsize=(8.4, 5.6))
inward = np.linspace(0, 1, 18)[:, None]
for (one, other), names in threads.items():
    # A curve that bends towards the middle, the thicker, the more laws.
    bend = (1 - inward) ** 2 * spot[one] + inward**2 * spot[other]
    axes.plot(
        *bend.T, color="#777777", linewidth=0.5 + 0.3 * len(names), alpha=0.45
    )
for k, family in enumerate(FAMILIES):
    angles = np.array([angle[record.name] for record in all_records(family)])
    shade = plt.get_cmap("tab10")(k)
    axes.plot(np.cos(angles), np.sin(angles), "o", color=shade, markersize=3)
    axes.plot(
        1.04 * np.cos(angles), 1.04 * np.sin(angles), color=shade, linewidth=3
    )
    x = np.cos(angles[2 * len(angles) // 3])
    y = np.sin(angles[2 * len(angles) // 3])
    axes.text(
        1.1 * x,
        1.1 * y,
        family,
        ha="left" if x > 0 else "right",
        va="center",
        fontsize=11,
        color=shade,
    )
hubs = sorted(
    (name for name, _ in degree.most_common(14)), key=lambda name: spot[name][1]
)
for side in (-1, 1):
    level = -1.2
    for name in [name for name in hubs if spot[name][0] * side > 0]:
        # Names do not touch each other.
        level = max(level + 0.11, spot[name][1])
        line = {"arrowstyle": "-", "color": "#555555", "linewidth": 0.6}
        axes.annotate(
            name,
            1.05 * spot[name],
            (1.75 * side, level),
            ha="left" if side > 0 else "right",
            va="center",
            fontsize=9,
            arrowprops=line,
        )
axes.set(aspect="equal", xlim=(-2.7, 2.7), ylim=(-1.25, 1.6))
axes.axis("off")
plt.show()

# %% [markdown]
# Softmax attention is the hub: most formulations become it at some setting. How often do the laws of one family speak
# of another?

# %%
between = np.zeros((len(FAMILIES),) * 2, dtype=int)
for pair in threads:
    first, second = sorted(FAMILIES.index(find(name).family) for name in pair)
    between[second, first] += 1
figure, axes = plt.subplots(figsize=(6.2, 4.6))
axes.imshow(
    np.where(np.tri(len(FAMILIES), dtype=bool), np.log1p(between), np.nan),
    cmap="viridis",
)
for row, column in zip(*np.tril_indices(len(FAMILIES)), strict=True):
    shade = "white" if between[row, column] < 8 else "#111111"
    look = {"ha": "center", "va": "center", "color": shade}
    axes.text(column, row, between[row, column], **look)
axes.set_xticks(range(len(FAMILIES)), FAMILIES, rotation=40, ha="right")
axes.set_yticks(range(len(FAMILIES)), FAMILIES)
axes.set_title("pairs of formulations that a law ties")
axes.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# Walk it. What has a pointer that moves over speech to do with a mixture of Gaussians? Breadth first, and at each step
# the statement that is the bridge:


# %%
def walk(start, goal):
    """The fewest laws from one formulation to another."""
    came_from, queue = {start: None}, [start]
    for here in queue:  # grows while it is read
        for pair in threads:
            if here in pair:
                (there,) = set(pair) - {here}
                if there not in came_from:
                    came_from[there] = here
                    queue.append(there)
    path = [goal]
    while came_from[path[-1]] is not None:
        path.append(came_from[path[-1]])
    return path[::-1]


path = walk("mocha_weights", "probabilistic_attention")
for one, other in pairwise(path):
    name = min(threads[tuple(sorted((one, other)))])
    print(f"{one} — {other}\n    {name}: {by_name[name].statement}")
assert len(path) <= 5

# %% [markdown]
# ## 4. Add a law
#
# A law is a theorem. State it, prove it, then write the check. Here: *every pair (k, v) twice changes nothing*. Proof:
# both copies of key $j$ have the score $s_j$, so numerator and denominator of the softmax double. It needs calls
# without mask, bias and causal order, whose shapes would not fit; `fixed` says so.


# %%
def every_pair_may_stand_twice(f, call, rng):
    query, key, value = call.arrays
    twice = (np.concatenate([x, x], axis=-2) for x in (key, value))
    return equal(call.by(f), call.given(query, *twice).by(f))


SUBJECTS = ("softmax_attention", "sparsemax_attention")
mine = Law(
    "every_pair_may_stand_twice",
    "f(q, [k; k], [v; v]) = f(q, k, v)",
    SUBJECTS,
    (),
    every_pair_may_stand_twice,
    fixed={"mask": None, "bias": None, "causal": False},
)
everything = Candidate(
    "reference",
    lambda name, *arrays, **options: find(name).reference(*arrays, **options),
)
check_law(everything, mine, "softmax_attention", max_examples=20)
print(
    "sparsemax:",
    counterexample(everything, mine, "sparsemax_attention")[:140]
    or "holds too",
)

# %% [markdown]
# In the repository the function stands in `ref/attlas_ref/testing/laws/`, under the decorator
# `@law(subjects, ties=..., statement=..., fixed=...)`, which registers it. From then on it runs for the reference and
# for every engine, and stands on the pages of all formulations that it names. [CONTRIBUTING](https://github.com/) has
# the steps. The last one is the one people forget: plant the fault that the law is meant to catch, and see it fail.

# %%
softmax_plus_one = Candidate.of(
    lambda *arrays, **options: attlas_ref.softmax_plus_n_attention(
        *arrays, extra=1.0, **options
    ),
    "softmax_attention",
)
# a softmax with one more empty key breaks it
assert counterexample(softmax_plus_one, mine, "softmax_attention")

# %% [markdown]
# ## Questions
#
# 1. The mean of the values passes `output_is_linear_in_value`. Is the law too weak?
#
# <details><summary>Answer</summary>
#
# No: it is true, and catches what it is for, say values that are normalized on the way. Laws limit together.
#
# </details>
#
# 2. A law that returns `same` allows no budget. When may one demand that?
#
# <details><summary>Answer</summary>
#
# It leaves no room for rounding. One may demand it where nothing is rounded: a single visible key has the weight 1, and
# its value comes out as it is.
#
# </details>
#
# 3. Write the law that ties `sparsemax_attention` and `entmax_attention`. What is its `fixed`?
#
# <details><summary>Answer</summary>
#
# `entmax_attention(q, k, v, alpha=2) = sparsemax_attention(q, k, v)`, with the subject sparsemax, the tie entmax, and
# nothing fixed.
#
# </details>
#
# 4. A kernel passes every law and is still wrong. How can that be, and what catches it?
#
# <details><summary>Answer</summary>
#
# The laws may leave a family of functions open. `check_equivalence` compares the numbers with the reference.
#
# </details>
#
# 5. Which law of the table tells "no scale" from "bias before scale"?
#
# <details><summary>Answer</summary>
#
# `repeating_a_key_is_a_bias_of_log_r`: without the scale a bias of $\log r$ is still a bias of $\log r$.
#
# </details>
