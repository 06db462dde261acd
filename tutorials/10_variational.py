# %% [markdown]
# # Hidden alignments: soft, hard, latent
#
# A translator knows which word came out, but not which word of the source it came from. After this lesson you can write
# down the likelihood of a hidden choice and the ladder of bounds below it, name what each bound loses, train a choice
# without a gradient by its score function, and say what soft, hard and latent attention each learn from the same data.
#
# 30 minutes. Before: lesson 02 (the dot product) and lesson 09 (attention as inference).

# %%
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, rel_entr

from attlas_ref import (
    alignment_score_gradient,
    importance_weighted_bound,
    latent_alignment_bounds,
    soft_alignment_log_likelihood,
    softmax_attention,
    softmax_attention_vjp,
)
from attlas_ref.data import alice

plt.rcParams["figure.constrained_layout.use"] = True

# %% [markdown]
# ## 1. The likelihood of a hidden choice
#
# Let $z$ name one of $n$ places of the source. $p(z)$ says how likely each place is before the output is seen, and
# $L_z = \log p(y \mid z)$ how well the output word fits if that is the place. Nobody tells us $z$, so what counts is
#
# $$\log p(y) = \log \sum_z p(z)\, e^{L_z} .$$
#
# The sum takes a run of the decoder per place. With any distribution $q(z)$ there is a cheaper bound, the ELBO:
#
# $$\log p(y) \ge \sum_z q(z) L_z - \mathrm{KL}(q \,\|\, p) .$$
#
# What does it lose? SymPy subtracts, for two places:

# %%
a, u, x, y = sp.symbols("a u x y", positive=True)
# e^L is x at one place, y at the other
p = [a / (a + 1), 1 / (a + 1)]
q = [u / (u + 1), 1 / (u + 1)]
fits = [x, y]
evidence = sum(prior * fit for prior, fit in zip(p, fits, strict=True))
exact_posterior = [
    prior * fit / evidence for prior, fit in zip(p, fits, strict=True)
]


def divergence(f, g):
    return sum(
        one * sp.log(one / other) for one, other in zip(f, g, strict=True)
    )


elbo = sum(
    weight * sp.log(fit) for weight, fit in zip(q, fits, strict=True)
) - divergence(q, p)
lost = sp.log(evidence) - elbo
assert sp.simplify(lost - divergence(q, exact_posterior)) == 0

# %% [markdown]
# **The gap is a divergence**: that of $q$ from the true posterior $p(z \mid y) \propto p(z) e^{L_z}$. With the
# posterior itself nothing is lost. With the prior as $q$ the bound is $\sum_z p(z) L_z$, which is what *hard attention*
# maximizes. [latent_alignment_bounds](../atlas/variational/latent_alignment_bounds.md) computes all of them:

# %%
prior, fit = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.02, 0.6, 0.3, 0.01])
guess = np.array([0.2, 0.5, 0.25, 0.05])  # a q that has learned something
bounds = latent_alignment_bounds(np.log(prior), np.log(fit), np.log(guess))
assert np.isclose(
    bounds.log_marginal - bounds.elbo, rel_entr(guess, bounds.posterior).sum()
)
assert np.isclose(
    bounds.log_marginal - bounds.prior_bound,
    rel_entr(prior, bounds.posterior).sum(),
)
for name in ("log_marginal", "elbo", "prior_bound"):
    print(f"{name:12} {float(getattr(bounds, name)):.3f} nats")

# %% [markdown]
# ## 2. Rungs between: a few samples
#
# Draw $K$ places from $q$, weigh each by $w_k = p(z_k) e^{L_{z_k}} / q(z_k)$, and take $\log \frac1K \sum_k w_k$. The
# mean inside is an unbiased estimate of $p(y)$, and the more samples it averages, the less its logarithm loses. With
# four places we need not sample: we go through all $4^K$ draws with their probabilities.

# %%
ladder = []
for count in range(1, 7):
    draws = np.array(list(product(range(4), repeat=count)))  # (4^K, K)
    chance = guess[draws].prod(axis=-1)
    each = importance_weighted_bound(
        np.log(prior), np.log(fit), np.log(guess), samples=draws
    )
    ladder.append(chance @ each)
assert np.isclose(ladder[0], bounds.elbo)  # one sample: the ELBO
assert np.all(np.diff([bounds.prior_bound, *ladder, bounds.log_marginal]) > 0)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2))
left.axhline(
    bounds.log_marginal, color="black", linestyle="--", label="log marginal"
)
left.plot(range(1, 7), ladder, "o-", label="K samples, expected")
left.axhline(bounds.elbo, color="C1", linestyle="-.", label="ELBO")
left.axhline(
    bounds.prior_bound,
    color="C2",
    linestyle=":",
    label="prior bound: hard attention",
)
left.set(
    title="each rung lies below the next", xlabel="samples K", ylabel="nats"
)
left.legend(loc=(0.22, 0.14))
# q from the prior (0) over the posterior (1) to beyond
way = np.linspace(0, 1.5, 61)[:, None]
family = log_softmax(
    (1 - way) * np.log(prior) + way * np.log(bounds.posterior), axis=-1
)
losses = (
    bounds.log_marginal
    - latent_alignment_bounds(np.log(prior), np.log(fit), family).elbo
)
right.plot(way, losses, label="log marginal − ELBO")
right.plot(
    way,
    rel_entr(np.exp(family), bounds.posterior).sum(axis=-1),
    "--",
    label="KL(q ‖ posterior)",
)
right.set(
    title="what is lost is a divergence",
    xlabel="q: prior = 0, posterior = 1",
    ylabel="nats",
)
right.legend()
plt.show()

# %% [markdown]
# ## 3. Soft attention is not on the ladder
#
# Soft attention feeds the decoder the *mean* of the places: $\log p(y \mid \mathbb E[v_z])$. It takes one run, and it
# may lie on either side of the marginal. A decoder with drawn weights, 12 queries and 6 output words show both.

# %%
rng = np.random.default_rng(2)
heads = alice()
query, key = (np.asarray(x[3, 1, 1:13], dtype=float) for x in heads[:2])
weights = {
    "w_score": np.eye(32) / np.sqrt(32),
    "w_output": rng.normal(size=(64, 32)) / np.sqrt(32),
}
weights["w_vocab"] = rng.normal(size=(32, 6))
soft = soft_alignment_log_likelihood(query, key, **weights, return_details=True)
exact = logsumexp(
    np.log(soft.weights)[..., None] + soft.log_prob_per_alignment, axis=1
)
assert (soft.log_prob > exact + 0.1).any()
assert (soft.log_prob < exact - 0.1).any()

figure, axes = plt.subplots(figsize=(4.2, 3.6))
axes.plot(exact, soft.log_prob, "o", color="C0", markersize=4)
axes.axline((-3, -3), slope=1, color="gray", linewidth=1)
axes.set(
    title="one point per query and word",
    xlabel="log marginal, exact",
    ylabel="soft attention",
    aspect="equal",
)
plt.show()

# %% [markdown]
# ## 4. A gradient through a choice
#
# Hard attention draws $z$ from $q = \mathrm{softmax}(s)$ and reads one value. The choice jumps, so it has no gradient;
# its expected reward $\sum_z q_z r_z$ has one: $g_j = q_j (r_j - \sum_z q_z r_z)$. The score function estimates it from
# the drawn places alone, with any baseline $b$:
#
# $$g_j = \mathbb E_z\bigl[(r_z - b)\,([z = j] - q_j)\bigr] .$$
#
# SymPy shows for three places that it is unbiased whatever $b$, and finds the $b$ of least variance.

# %%
q1, q2, b = sp.symbols("q_1 q_2 b", positive=True)
chances, rewards = [q1, q2, 1 - q1 - q2], sp.symbols("r_1:4")
score = [[int(z == j) - chances[j] for j in range(3)] for z in range(3)]
tried = [
    sum(chances[z] * (rewards[z] - b) * score[z][j] for z in range(3))
    for j in range(3)
]
average = sum(
    chance * reward for chance, reward in zip(chances, rewards, strict=True)
)
assert all(
    sp.expand(tried[j] - chances[j] * (rewards[j] - average)) == 0
    for j in range(3)
)

sizes = [sum(part**2 for part in score[z]) for z in range(3)]  # |∂ log q_z|²
square = sum(chances[z] * (rewards[z] - b) ** 2 * sizes[z] for z in range(3))
(best,) = sp.solve(sp.diff(square, b), b)
by_size = [chance * size for chance, size in zip(chances, sizes, strict=True)]
weighted = sum(w * r for w, r in zip(by_size, rewards, strict=True))
assert sp.simplify(best - weighted / sum(by_size)) == 0

# %% [markdown]
# And by exact enumeration against the reference: all 16 draws of two samples, with their probabilities.

# %%
logits, gain = np.log(guess), np.log(fit)
full = alignment_score_gradient(logits, gain)
draws = np.array(list(product(range(4), repeat=2)))
baselines, spread = np.linspace(-5, 2, 57), []
for baseline in baselines:
    tries = alignment_score_gradient(
        np.tile(logits, (16, 1)),
        gain[draws],
        samples=draws,
        baseline=float(baseline),
    )
    chance = guess[draws].prod(axis=-1)
    assert np.allclose(chance @ tries, full)  # unbiased for every baseline
    spread.append(chance @ ((tries - full) ** 2).sum(axis=-1))
size = 1 - 2 * guess + (guess**2).sum()
wise = (guess * size) @ gain / (guess @ size)
figure, axes = plt.subplots(figsize=(6, 3))
axes.plot(baselines, spread)
for place, label, style in (
    (0, "no baseline", ":"),
    (guess @ gain, "mean reward", "--"),
    (wise, "the best", "-"),
):
    axes.axvline(
        place, color="black", linestyle=style, linewidth=1, label=label
    )
axes.set(
    title="the mean is the same, the scatter is not",
    xlabel="baseline b",
    ylabel="variance of the gradient",
)
axes.legend()
plt.show()

# %% [markdown]
# ## 5. What each learns
#
# A small translation with a known truth. The source: stretches of five words of *Alice*. Each target word translates
# the source word one place ahead (60%) or three places ahead (40%), drawn anew each time; one in ten is noise. The
# model has scores of places and a dictionary of scores, and starts from nothing.

# %%
text = [token for token in heads.tokens.tolist() if token.isalpha()][:96]
kinds, code = np.unique(text, return_inverse=True)
rng = np.random.default_rng(5)
source = code[np.arange(92)[:, None] + np.arange(5)]  # (B, places)
truth = (np.arange(5) + np.where(rng.random(source.shape) < 0.6, 1, 3)) % 5
target = rng.permutation(len(kinds))[np.take_along_axis(source, truth, axis=1)]
target = np.where(
    rng.random(target.shape) < 0.1,
    rng.integers(len(kinds), size=target.shape),
    target,
)
learn, judge = np.arange(92) % 4 != 3, np.arange(92) % 4 == 3


# %% [markdown]
# The objectives differ in two lines: which *shares* of a target word go to which place, and how the scores of places
# are pushed.
#
# | | shares | gradient of the places |
# | --- | --- | --- |
# | exact latent | posterior | posterior − prior |
# | ELBO | a q that sees both words | q − prior + score function |
# | hard | one drawn place | score function of the drawn place |
# | soft | through the softmax | `softmax_attention_vjp` |


# %%
def unpacked(flat):
    """Scores of places, the dictionary, and what pairs of words tell q."""
    places, words, clues = np.split(flat, [25, 25 + len(kinds) ** 2])
    return (
        places.reshape(5, 5),
        words.reshape(len(kinds), -1),
        clues.reshape(len(kinds), -1),
    )


def tables(flat, rows):
    """Log prior and likelihood of every place, (B, t, j), and the words."""
    places, words, _ = unpacked(flat)
    pairs = source[rows][:, None, :], target[rows][:, :, None]
    fits = log_softmax(words, axis=-1)[pairs]
    return (
        np.broadcast_to(log_softmax(places, axis=-1), fits.shape),
        fits,
        pairs,
    )


def latent(flat, kind, rng=None, baseline=0.0):
    """Return the objective of a latent choice, and its gradient."""
    places, words, clues = unpacked(flat)
    log_prior, fits, pairs = tables(flat, learn)
    to_clues, to_words = np.zeros_like(clues), np.zeros_like(words)
    if kind == "exact latent":
        bounds = latent_alignment_bounds(log_prior, fits)
        value, shares = bounds.log_marginal.sum(), bounds.posterior
        push = shares - np.exp(log_prior)
    elif kind == "ELBO":
        log_q = log_softmax(places + clues[pairs], axis=-1)
        by_q = alignment_score_gradient(log_q, fits + log_prior - log_q)
        value = latent_alignment_bounds(log_prior, fits, log_q).elbo.sum()
        shares = np.exp(log_q)
        push = shares - np.exp(log_prior) + by_q
        np.add.at(to_clues, pairs, by_q)
    else:
        stretch = np.exp(log_prior).cumsum(axis=-1)
        passed = rng.random(fits.shape[:2])[..., None] > stretch
        place = passed.sum(axis=-1).clip(0, 4)
        shares = np.eye(5)[place]  # one drawn place per word
        reward = (shares * fits).sum(axis=-1, keepdims=True)
        value = reward.mean()
        push = alignment_score_gradient(
            log_prior, reward, samples=place[..., None], baseline=baseline
        )
    np.add.at(to_words, pairs, shares)
    mass = np.bincount(
        source[learn].ravel(), shares.sum(axis=1).ravel(), len(kinds)
    )
    to_words -= mass[:, None] * np.exp(log_softmax(words, axis=-1))
    gradient = push.sum(axis=0), to_words, to_clues
    return value, np.concatenate([part.ravel() for part in gradient])


def softly(flat, _):
    """The same for the mean of what all places say: softmax attention."""
    places, words, clues = unpacked(flat)
    query, value = np.tile(places, (learn.sum(), 1, 1)), words[source[learn]]
    log_words = log_softmax(
        softmax_attention(query, np.eye(5), value, scale=1.0), axis=-1
    )
    slope = np.eye(len(kinds))[target[learn]] - np.exp(log_words)
    grads = softmax_attention_vjp(query, np.eye(5), value, slope, scale=1.0)
    to_words = np.zeros_like(words)
    np.add.at(to_words, source[learn], grads.grad_value)
    total = np.take_along_axis(
        log_words, target[learn][..., None], axis=-1
    ).sum()
    gradient = grads.grad_query.sum(axis=0), to_words, 0 * clues
    return total, np.concatenate([part.ravel() for part in gradient])


# %% [markdown]
# Three objectives climb by L-BFGS. A line search would be misled by the noise of drawn places, so hard attention
# follows its gradient by Adam, with a running mean as the baseline. All are judged by the exact log marginal of unseen
# words.

# %%
start = 0.01 * np.random.default_rng(1).normal(size=25 + 2 * len(kinds) ** 2)
decay = 1e-3 * learn.sum()


def climb(objective, kind, visited):
    def loss(flat):
        visited.append(flat.copy())
        value, gradient = objective(flat, kind)
        # the decay keeps scores finite
        return -value + decay * flat @ flat / 2, decay * flat - gradient

    last = minimize(
        loss, start, jac=True, method="L-BFGS-B", options={"maxfun": 80}
    )
    return [*visited, last.x]


def wander(visited):
    rng, baseline, mean, square = np.random.default_rng(0), 0.0, 0.0, 0.0
    for step in range(1, 241):
        reward, gradient = latent(visited[-1], "hard", rng, baseline)
        gradient = gradient - decay * visited[-1]
        baseline = 0.9 * baseline + 0.1 * reward
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        size = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        visited.append(visited[-1] + 0.05 * mean / (1 - 0.9**step) / size)
    return visited


learned = {kind: climb(latent, kind, []) for kind in ("exact latent", "ELBO")}
learned |= {"soft": climb(softly, "soft", []), "hard": wander([start])}

# %%
real = np.zeros((5, 5))
real[np.arange(5), (np.arange(5) + 1) % 5] = 0.6
real[np.arange(5), (np.arange(5) + 3) % 5] = 0.4
places = {
    kind: np.exp(log_softmax(unpacked(visited[-1])[0], axis=-1))
    for kind, visited in learned.items()
}
figure, panels = plt.subplots(1, 5, figsize=(8.4, 2.3))
for axes, (title, table) in zip(
    panels, {"truth": real, **places}.items(), strict=True
):
    image = axes.imshow(table, vmin=0, vmax=1, cmap="viridis")
    axes.set(title=title, xticks=[], yticks=[], xlabel="source place")
panels[0].set_ylabel("target place")
figure.colorbar(image, ax=panels, label="probability")
plt.show()

# %%
figure, axes = plt.subplots(figsize=(8, 3.2))
for (kind, visited), style in zip(
    learned.items(), ("-", "--", "-.", ":"), strict=True
):
    curve = [
        latent_alignment_bounds(*tables(flat, judge)[:2]).log_marginal.mean()
        for flat in visited
    ]
    axes.plot(curve, style, label=kind)
axes.set(
    title="log marginal of words that were not seen",
    xlabel="gradients taken",
    ylabel="nats per word",
)
axes.legend()
plt.show()
for kind in ("exact latent", "ELBO", "soft"):  # these keep both ways
    assert (places[kind][real > 0] > 0.1).all()
# hard choices settle on the likelier one
assert (places["hard"][real == 0.6] > 0.9).all()

# %% [markdown]
# Soft attention reads as well as the exact sum here, at one run of the decoder per word. Hard attention bets on the
# likelier way: its bound, $\sum_z p(z) L_z$, pays dearly for every place that does not fit. What soft attention cannot
# do is tell where a *given* word came from, since its weights are chosen before the word is seen. A latent model has a
# posterior for that.

# %%
last = learned["exact latent"][-1]
posterior = latent_alignment_bounds(*tables(last, judge)[:2]).posterior
hits = {
    "posterior of the latent model": posterior.argmax(axis=-1),
    "weights of soft attention": places["soft"].argmax(axis=-1),
}
shares = {name: (guess == truth[judge]).mean() for name, guess in hits.items()}
for name, share in shares.items():
    print(f"{name}: the true place in {100 * share:.0f}% of the words")
assert shares["posterior of the latent model"] > 0.85
assert shares["weights of soft attention"] < 0.75

# %% [markdown]
# ## Questions
#
# 1. When is the ELBO with $q$ = prior as good as the marginal?
#
# <details><summary>Answer</summary>
#
# When the posterior is the prior: every place with $p(z) > 0$ explains the word equally well.
#
# </details>
#
# 2. A single draw of the K-sample bound lies above the log marginal. Is something wrong?
#
# <details><summary>Answer</summary>
#
# No. The bound holds for the expectation over draws; a lucky draw may lie above.
#
# </details>
#
# 3. Why does a baseline that depends on the drawn place spoil the gradient?
#
# <details><summary>Answer</summary>
#
# The score $[z = j] - q_j$ has mean 0 only against constants. With $b_z$ the term $\mathbb E_z[b_z ([z = j] - q_j)]$ is
# the gradient of the expected $b_z$, and is not 0.
#
# </details>
#
# 4. All rewards are raised by 100. What happens to the exact gradient, and what to an estimate without a baseline?
#
# <details><summary>Answer</summary>
#
# Nothing: $r_j - \sum_z q_z r_z$ stays. The estimate stays right on average, and scatters wildly.
#
# </details>
#
# Sources: Deng, Kim, Chiu, Guo & Rush 2018, arXiv 1807.03756 (latent alignment); Xu et al. 2015, arXiv 1502.03044 (hard
# attention); Williams 1992 (REINFORCE); Burda, Grosse & Salakhutdinov 2015, arXiv 1509.00519 (K samples).
