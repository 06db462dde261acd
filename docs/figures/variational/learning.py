"""A small translation whose true alignment is known, learned five ways: soft, exact, by the ELBO, and by trying.

Source: stretches of the real text. Each word of the target is the translation of one of two source words, the one a
step ahead or, less often, the one three steps ahead, drawn anew every time; now and then it is any word. A model has a
table of scores for which place goes with which, and a table of scores for which word translates which. It is told
neither. What differs is the objective, and so the gradient.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from attlas_ref.data import alice
from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.dotproduct.softmax_attention_vjp import softmax_attention_vjp
from attlas_ref.variational.alignment_score_gradient import alignment_score_gradient
from attlas_ref.variational.hard_attention import hard_attention
from attlas_ref.variational.latent_alignment_bounds import latent_alignment_bounds

WORDS, SPAN = 96, 5
"""How much of the text is used, and how many words a stretch has."""
STEPS, SHARE = (1, 3), 0.6
"""How far ahead the right word stands, and how often it is the first of the two."""
NOISE = 0.1
DECAY = 1e-3
"""Pulls all scores towards 0, so that they stay finite."""
EVALUATIONS, TRIES = 80, 240
"""Of the gradient: by L-BFGS, and by the methods that draw."""
METHODS = ("soft attention", "exact latent", "ELBO", "REINFORCE, baseline", "REINFORCE")
Reals = NDArray[np.float64]


class Task(NamedTuple):
    """Stretches of text as numbers of words, their translations, and where each word came from."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    places: NDArray[np.int64]


class Model(NamedTuple):
    """What is learned."""

    places: Reals
    """(n, n): scores of the places, one row per word of the target."""
    dictionary: Reals
    """(V, V): scores of the translations of every word."""
    clues: Reals
    """(V, V): what a pair of words says about an alignment once both are seen; used by the ELBO alone."""


class Learned(NamedTuple):
    """What a method has learned, and how well it did on the way."""

    prior: Reals
    """(n, n): the probabilities of the places."""
    curve: Reals
    """Mean log likelihood of a new word, exactly marginalized, after each evaluation of the gradient."""
    own: float
    """The same in the end, as the method itself reads its model: by its own mean, sum or choice."""
    found: float
    """How often the place that it thinks likeliest, knowing what it is allowed to, is the true one."""


@cache
def tasks() -> tuple[Task, Task, int]:
    """Return the stretches to learn from, those to be judged by, and the number of different words."""
    rng = np.random.default_rng(5)
    words = [token for token in alice().tokens.tolist() if token.isalpha()][:WORDS]
    kinds = sorted(set(words))
    text = np.array([kinds.index(word) for word in words])
    source = text[np.arange(WORDS - SPAN + 1)[:, None] + np.arange(SPAN)]
    ahead = np.where(rng.random(source.shape) < SHARE, *STEPS)
    places = (np.arange(SPAN) + ahead) % SPAN
    target = rng.permutation(len(kinds))[np.take_along_axis(source, places, axis=1)]
    target = np.where(rng.random(target.shape) < NOISE, rng.integers(len(kinds), size=target.shape), target)
    new = np.arange(len(source)) % 4 == 3
    learn, judge = (Task(source[rows], target[rows], places[rows]) for rows in (~new, new))
    return learn, judge, len(kinds)


def true_prior() -> Reals:
    """Return the probabilities from which the places were drawn."""
    prior = np.zeros((SPAN, SPAN))
    for step, share in zip(STEPS, (SHARE, 1 - SHARE), strict=True):
        prior[np.arange(SPAN), (np.arange(SPAN) + step) % SPAN] += share
    return prior


def likelihoods(model: Model, task: Task) -> tuple[Reals, Reals, Reals]:
    """Return the log of the prior and of the likelihood of each place, (B, n, n), and of all translations, (V, V)."""
    log_words = log_softmax(model.dictionary, axis=-1)
    log_likelihood = log_words[task.source[:, None, :], task.target[:, :, None]]
    return np.broadcast_to(log_softmax(model.places, axis=-1), log_likelihood.shape), log_likelihood, log_words


def _of_dictionary(shares: Reals, log_words: Reals, task: Task) -> Reals:
    """The gradient of Σ shares · log p(target word | source word) with respect to the dictionary."""
    words = np.eye(len(log_words))
    rows = np.einsum("btj,btv->bjv", shares, words[task.target])
    rows -= shares.sum(axis=1)[..., None] * np.exp(log_words)[task.source]
    return words[task.source.ravel()].T @ rows.reshape(-1, len(log_words))


def exact(model: Model, task: Task) -> tuple[float, Model]:
    """Log marginal likelihood and its gradient: every place counts by its posterior."""
    log_prior, log_likelihood, log_words = likelihoods(model, task)
    found = latent_alignment_bounds(log_prior, log_likelihood)
    places = (found.posterior - np.exp(log_prior)).sum(axis=0)
    gradient = Model(places, _of_dictionary(found.posterior, log_words, task), np.zeros_like(model.clues))
    return float(found.log_marginal.sum()), gradient


def elbo(model: Model, task: Task) -> tuple[float, Model]:
    """The bound with a posterior that sees the word: q(z) ∝ exp(places + clues of both words)."""
    log_prior, log_likelihood, log_words = likelihoods(model, task)
    pairs = task.source[:, None, :], task.target[:, :, None]
    logits = model.places + model.clues[pairs]
    log_q = log_softmax(logits, axis=-1)
    found = latent_alignment_bounds(log_prior, log_likelihood, log_q)
    by_q = alignment_score_gradient(logits, log_likelihood + log_prior - log_q)
    clues = np.bincount((len(log_words) * pairs[0] + pairs[1]).ravel(), by_q.ravel(), model.clues.size)
    places = (np.exp(log_q) - np.exp(log_prior) + by_q).sum(axis=0)
    gradient = Model(
        places, _of_dictionary(np.exp(log_q), log_words, task), clues.reshape(model.clues.shape).astype(np.float64)
    )
    return float(found.elbo.sum()), gradient


def soft(model: Model, task: Task) -> tuple[float, Model]:
    """Log likelihood under the mean of the scores of all translations: softmax attention from place to place."""
    query, key = np.broadcast_to(model.places, (len(task.source), SPAN, SPAN)), np.eye(SPAN)
    value, words = model.dictionary[task.source], np.eye(len(model.dictionary))
    log_words = log_softmax(softmax_attention(query, key, value, scale=1.0), axis=-1)
    slope = words[task.target] - np.exp(log_words)
    grads = softmax_attention_vjp(query, key, value, slope, scale=1.0)
    dictionary = words[task.source.ravel()].T @ grads.grad_value.reshape(-1, len(words))
    total = np.take_along_axis(log_words, task.target[..., None], axis=-1).sum()
    return float(total), Model(grads.grad_query.sum(axis=0), dictionary, np.zeros_like(model.clues))


def tried(model: Model, task: Task, uniform: Reals, baseline: float) -> tuple[float, Model]:
    """Mean reward of one drawn place per word and the score-function gradient of its expectation."""
    log_prior, log_likelihood, log_words = likelihoods(model, task)
    places = np.zeros((SPAN, 1))
    index = hard_attention(log_prior, np.eye(SPAN), places, uniform=uniform, scale=1.0, return_index=True).index
    rewards = np.take_along_axis(log_likelihood, index[..., None], axis=-1)
    by_prior = alignment_score_gradient(log_prior, rewards, samples=index[..., None], baseline=baseline)
    drawn = (index[..., None] == np.arange(SPAN)).astype(np.float64)
    gradient = Model(by_prior.sum(axis=0), _of_dictionary(drawn, log_words, task), np.zeros_like(model.clues))
    return float(rewards.mean()), gradient


def start(words: int) -> Model:
    """Return where all methods begin: almost nothing is known."""
    rng = np.random.default_rng(1)
    shapes = ((SPAN, SPAN), (words, words), (words, words))
    return Model(*(0.01 * rng.normal(size=shape) for shape in shapes))


@cache
def climb(objective: Callable[[Model, Task], tuple[float, Model]]) -> list[Model]:
    """Maximize an objective by L-BFGS; return the models at which its gradient was taken."""
    task, _, words = tasks()
    visited: list[Model] = []
    decay = DECAY * len(task.source)

    def loss(flat: Reals) -> tuple[float, Reals]:
        model = _unpacked(flat, words)
        visited.append(model)
        value, gradient = objective(model, task)
        return -value + decay * float(flat @ flat) / 2, -_packed(gradient) + decay * flat

    last = minimize(loss, _packed(start(words)), jac=True, method="L-BFGS-B", options={"maxfun": EVALUATIONS})
    return [*visited, _unpacked(last.x, words)]


@cache
def wander(with_baseline: bool, seed: int = 0, rate: float = 0.05) -> list[Model]:
    """Follow drawn gradients by Adam, since a line search would be misled by their noise; return the models."""
    task, _, words = tasks()
    rng, flat, baseline = np.random.default_rng(seed), _packed(start(words)), 0.0
    mean, square = np.zeros_like(flat), np.zeros_like(flat)
    visited = [_unpacked(flat, words)]
    for step in range(1, TRIES + 1):
        reward, gradient = tried(visited[-1], task, rng.random(task.target.shape), baseline)
        if with_baseline:
            baseline = 0.9 * baseline + 0.1 * reward
        upward = _packed(gradient) - DECAY * len(task.source) * flat
        mean, square = 0.9 * mean + 0.1 * upward, 0.999 * square + 0.001 * upward**2
        flat = flat + rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        visited.append(_unpacked(flat, words))
    return visited


@cache
def learned() -> dict[str, Learned]:
    """Return what each method has learned."""
    climbed = {"soft attention": climb(soft), "exact latent": climb(exact), "ELBO": climb(elbo)}
    wandered = {"REINFORCE, baseline": wander(True), "REINFORCE": wander(False)}
    return {name: _judged(name, models) for name, models in {**climbed, **wandered}.items()}


def _judged(name: str, models: list[Model]) -> Learned:
    _, task, _ = tasks()
    model, count = models[-1], task.target.size
    log_prior, log_likelihood, _ = likelihoods(model, task)
    found = latent_alignment_bounds(log_prior, log_likelihood)
    seen = name in ("exact latent", "ELBO")  # only these have a posterior, which knows the word
    guesses = (found.posterior if seen else np.exp(log_prior)).argmax(axis=-1)
    own = {"soft attention": soft(model, task)[0], "exact latent": exact(model, task)[0], "ELBO": elbo(model, task)[0]}
    return Learned(
        np.exp(log_prior[0]),
        np.array([exact(one, task)[0] / count for one in models]),
        own.get(name, float(found.prior_bound.sum())) / count,
        float((guesses == task.places).mean()),
    )


def scatter(model: Model, with_baseline: bool) -> float:
    """Return the exact variance of the drawn gradient of the scores of the places: E|g|² − |E g|², without drawing.

    The baseline is the mean reward, to which the running mean of `wander` tends.
    """
    log_prior, log_likelihood, _ = likelihoods(model, tasks()[0])
    baseline = float((np.exp(log_prior) * log_likelihood).sum(axis=-1).mean()) if with_baseline else 0.0
    every = alignment_score_gradient(
        log_prior[..., None, :], log_likelihood[..., None], samples=np.arange(SPAN)[:, None], baseline=baseline
    )  # (B, n, z, n): the gradient that each place would give
    square = (np.exp(log_prior) * (every**2).sum(axis=-1)).sum(axis=-1)
    mean = alignment_score_gradient(log_prior, log_likelihood)
    return float((square - (mean**2).sum(axis=-1)).mean())


def _packed(model: Model) -> Reals:
    return np.concatenate([part.ravel() for part in model])


def _unpacked(flat: Reals, words: int) -> Model:
    parts: Any = np.split(flat, np.cumsum([SPAN * SPAN, words * words]))
    return Model(
        *(part.reshape(shape) for part, shape in zip(parts, ((SPAN, SPAN), *[(words, words)] * 2), strict=True))
    )
