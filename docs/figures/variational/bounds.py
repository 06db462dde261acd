"""Figures of bounds on a marginal likelihood."""

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import log_softmax

from attlas_ref.variational.importance_weighted_bound import importance_weighted_bound
from attlas_ref.variational.latent_alignment_bounds import latent_alignment_bounds
from attlas_ref.variational.soft_alignment_log_likelihood import soft_alignment_log_likelihood

from ..general import LAYER_HEAD, SOURCE, real_head
from ..style import DASHES, LINES, line
from . import learning

SAMPLES = (1, 2, 3, 4, 5)
EARLY = 7
"""Evaluations of the gradient after which a model is looked at: the posterior has learned something, not all."""
CLAUSE = slice(1, 12)
Reals = NDArray[np.float64]


@cache
def half_learned() -> tuple[Reals, Reals, Reals]:
    """Return log prior, log likelihood and log q of every word of the training text, (words, places)."""
    task = learning.tasks()[0]
    model = learning.climb(learning.elbo)[EARLY]
    log_prior, log_likelihood, _ = learning.likelihoods(model, task)
    logits = model.places + model.clues[task.source[:, None, :], task.target[:, :, None]]
    flat = (-1, learning.SPAN)
    return log_prior.reshape(flat), log_likelihood.reshape(flat), log_softmax(logits, axis=-1).reshape(flat)


def expected_bounds(log_prior: Reals, log_likelihood: Reals, log_q: Reals) -> Reals:
    """Return the expectation of the K-sample bound for each K of `SAMPLES`, (K, ...), over all draws one by one."""
    expected = []
    for size in SAMPLES:
        draws = np.array(list(product(range(log_q.shape[-1]), repeat=size)))
        chance = np.exp(log_q[..., draws].sum(axis=-1))
        each = importance_weighted_bound(
            log_prior[..., None, :], log_likelihood[..., None, :], log_q[..., None, :], samples=draws
        )
        expected.append((chance * each).sum(axis=-1))
    return np.array(expected)


def _ladder(figure: Figure) -> str:
    arrays = half_learned()
    found = latent_alignment_bounds(*arrays)
    climb = expected_bounds(*arrays).mean(axis=-1)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    for index, (name, rung) in enumerate(
        (("log marginal", found.log_marginal), ("ELBO", found.elbo), ("prior bound", found.prior_bound))
    ):
        left.axhline(rung.mean(), label=name, **line(index))
    left.plot(SAMPLES, climb, marker="o", color=LINES[3], linestyle=DASHES[3], label="K-sample bound, expected")
    left.set(title="Each rung lies below the next", xlabel="samples K", ylabel="nats per word", xticks=SAMPLES)
    left.legend(loc="center right")
    log_posterior = log_softmax(arrays[0] + arrays[1], axis=-1)
    for index, (name, lost, log_q) in enumerate(
        (
            ("prior bound", found.log_marginal - found.prior_bound, arrays[0]),
            ("ELBO", found.log_marginal - found.elbo, arrays[2]),
        )
    ):
        divergence = (np.exp(log_q) * (log_q - log_posterior)).sum(axis=-1)
        right.plot(divergence, lost, "^o"[index], color=LINES[2 - index], markersize=4, alpha=0.6, label=name)
    most = float((found.log_marginal - found.prior_bound).max())
    right.plot([0, most], [0, most], color="gray", linewidth=1)
    right.set(
        title="What is lost is a divergence", xlabel="KL(q ‖ posterior)", ylabel="log marginal − bound", aspect="equal"
    )
    right.legend()
    return (
        f"A model that learns to translate a real text, after {EARLY} steps: means over {len(found.elbo)} words, and "
        "each word by itself. The prior bound is that of q = prior; the expectations go through all draws."
    )


def _samples(figure: Figure) -> str:
    log_prior, log_likelihood, log_q = half_learned()
    found = latent_alignment_bounds(log_prior, log_likelihood, log_q)
    order = np.argsort(found.elbo - found.prior_bound)
    word = order[-len(order) // 20]  # one of those of which q has learned most
    log_prior, log_likelihood, log_q = (x[word] for x in (log_prior, log_likelihood, log_q))
    exact = latent_alignment_bounds(log_prior, log_likelihood)
    left, right = figure.subplots(1, 2, sharey=True)
    mean, spread = expected_bounds(log_prior, log_likelihood, log_q), []
    for size, middle in zip(SAMPLES, mean, strict=True):
        draws = np.array(list(product(range(len(log_q)), repeat=size)))
        bounds = importance_weighted_bound(log_prior, log_likelihood, log_q, samples=draws)
        spread.append(np.sqrt(np.exp(log_q[draws].sum(axis=-1)) @ (bounds - middle) ** 2))
    low, high = mean - spread, mean + spread
    left.fill_between(SAMPLES, low, high, color=LINES[0], alpha=0.25, linewidth=0, label="one standard deviation")
    left.plot(SAMPLES, mean, marker="o", label="mean", **line(0))
    left.set(title="More samples: higher, and closer together", xlabel="samples K", ylabel="nats", xticks=SAMPLES)
    for index, (name, chosen) in enumerate(
        (
            ("q = posterior", log_softmax(log_prior + log_likelihood)),
            ("q that is learning", log_q),
            ("q = prior", log_prior),
        )
    ):
        climb = expected_bounds(log_prior, log_likelihood, chosen)
        right.plot(SAMPLES, climb, marker="osD"[index], markersize=4, label=name, **line((2, 0, 1)[index]))
    right.set(title="The better q, the sooner", xlabel="samples K", xticks=SAMPLES)
    for axes in (left, right):
        axes.axhline(float(exact.log_marginal), color="gray", linewidth=1, label="log marginal")
        axes.legend(loc="lower right")
    return (
        "One word of the text, every possible draw with its probability. A draw may lie above the likelihood, the mean "
        "may not."
    )


def decoded() -> tuple[Any, Reals]:
    """Return what a decoder with drawn weights says over real words, and the exact marginal of every word, (m, V)."""
    head = real_head(*LAYER_HEAD, CLAUSE)
    rng, width, words = np.random.default_rng(2), head.query.shape[-1], 6
    found = soft_alignment_log_likelihood(
        head.query, head.key, w_score=np.eye(width) / np.sqrt(width),
        w_output=rng.normal(size=(2 * width, width)) / np.sqrt(width),
        w_vocab=rng.normal(size=(width, words)), return_details=True,
    )  # fmt: skip
    each = np.moveaxis(found.log_prob_per_alignment, -1, -2)  # (m, V, n)
    marginal = latent_alignment_bounds(np.log(found.weights)[:, None, :], each).log_marginal
    return found, np.asarray(marginal)


def _soft(figure: Figure) -> str:
    found, marginal = decoded()
    words = real_head(*LAYER_HEAD, CLAUSE).words
    left, right = figure.subplots(1, 2)
    above = found.log_prob > marginal
    for index, (name, rows) in enumerate((("soft above", above), ("soft below", ~above))):
        left.plot(marginal[rows], found.log_prob[rows], "o^"[index], color=LINES[index], markersize=5, label=name)
    low = float(min(marginal.min(), found.log_prob.min()))
    left.plot([low, 0], [low, 0], color="gray", linewidth=1)
    left.set(title="Soft attention is no bound", xlabel="log marginal", ylabel="log likelihood, soft", aspect="equal")
    left.legend()
    row = int(np.abs(np.exp(found.log_prob) - np.exp(marginal)).sum(axis=-1).argmax())
    at = np.arange(marginal.shape[-1])
    right.bar(at - 0.2, np.exp(found.log_prob[row]), 0.4, color=LINES[0], label="of the mean context")
    alone = {"color": LINES[1], "hatch": "///", "linewidth": 0}
    right.bar(at + 0.2, np.exp(marginal[row]), 0.4, label="mean over all contexts", **alone)
    right.set(title=f"Query “{words[row]}”: two distributions", xlabel="word of the output", ylabel="probability",
              ylim=(0, 1.2), yticks=np.arange(0, 1.1, 0.2))  # fmt: skip
    right.legend()
    return f"A decoder with drawn weights on queries and keys of {SOURCE}; one point per query and output word."


FIGURES: dict[str, Callable[[Figure], str]] = {
    "latent_alignment_bounds": _ladder,
    "importance_weighted_bound": _samples,
    "soft_alignment_log_likelihood": _soft,
}
