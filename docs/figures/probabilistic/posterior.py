"""Figures of attention as a posterior over a latent edge: priors, queries that move, and keys that adapt by EM."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.probabilistic.iterative_attention import iterative_attention
from attlas_ref.probabilistic.priors import (
    causal_prior,
    gaussian_prior,
    geometric_prior,
    neighborhood_prior,
    uniform_prior,
)
from attlas_ref.probabilistic.probabilistic_attention import probabilistic_attention
from attlas_ref.probabilistic.structural_prior_attention import structural_prior_attention

from ..general import LAYER_HEAD, SOURCE, real_head
from ..panels import draw_maps, draw_masks
from ..style import LINES, WEIGHTS, color_scale, show_weights

Reals = NDArray[np.float64]
HEAD = f"{SOURCE}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}"


def _structural(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    n = len(head.words)
    believed = {
        "uniform_prior": uniform_prior(n, n),
        "gaussian_prior, sigma = 2": gaussian_prior(n, n, sigma=2.0),
        "geometric_prior, rate = 0.3": geometric_prior(n, n, rate=0.3),
    }
    panels = [
        (title, structural_prior_attention(*head[:3], log_prior=prior, return_weights=True).weights)
        for title, prior in believed.items()
    ]
    draw_maps(figure, panels, head.words)
    return (
        "The same scores under three beliefs about where an edge may lead: anywhere, to a word nearby, back by a few "
        f"words. Where the scores are sure, the posterior keeps what they say. {HEAD}."
    )


def _prior_rows(figure: Figure, panels: list[tuple[str, Reals]], caption: str) -> str:
    """Draw priors as probabilities, each row summing to 1."""
    words = real_head(0, 0, slice(1, 11)).words
    all_axes = figure.subplots(1, len(panels))
    for axes, (title, prior) in zip(np.atleast_1d(all_axes), panels, strict=True):
        share = np.exp(prior - prior.max(axis=-1, keepdims=True))
        share /= share.sum(axis=-1, keepdims=True)
        queries = words[len(words) - len(share) :]
        mesh = show_weights(
            axes, share, queries, title, keys=words, limits=(0, 1), label_queries=axes is np.atleast_1d(all_axes)[0]
        )
    color_scale(figure, mesh, all_axes, "prior probability")
    return caption


def _uniform(figure: Figure) -> str:
    panels = [("10 queries, 10 keys", uniform_prior(10, 10)), ("3 queries, 10 keys", uniform_prior(3, 10))]
    return _prior_rows(figure, panels, "Every edge is as likely as any other: one tenth each.")


def _causal(figure: Figure) -> str:
    panels = [("10 queries, 10 keys", causal_prior(10, 10)), ("3 queries, 10 keys", causal_prior(3, 10))]
    return _prior_rows(
        figure,
        panels,
        "The past and the present are all alike, the future is impossible. The last words stand together.",
    )


def _gaussian(figure: Figure) -> str:
    panels = [
        ("sigma = 1", gaussian_prior(10, 10, sigma=1.0)),
        ("sigma = 3", gaussian_prior(10, 10, sigma=3.0)),
    ]
    return _prior_rows(figure, panels, "A window with soft edges around each word; cut off where the text ends.")


def _geometric(figure: Figure) -> str:
    panels = [(f"rate = {rate:g}", geometric_prior(10, 10, rate=rate)) for rate in (0.2, 0.6)]
    return _prior_rows(
        figure, panels, "Each step back costs the same factor, 1 − rate. The higher the rate, the shorter the memory."
    )


def _neighborhood(figure: Figure) -> str:
    names = [f"node {j}" for j in range(1, 9)]
    j = np.arange(8)
    ring = np.isin((j[:, None] - j) % 8, (1, 7))
    star = (j[:, None] == 0) ^ (j == 0)
    draw_masks(
        figure,
        [(title, neighborhood_prior(edges) == 0, names) for title, edges in (("a ring", ring), ("a star", star))],
    )
    return "Filled: an edge of the graph, log prior 0. All others are impossible. Nobody is joined to itself here."


KEYS = np.array([[1.6, 0.3], [0.2, 1.5], [-1.4, 0.8], [-0.9, -1.3], [1.0, -1.2]])
STARTS = np.array([[-1.9, 1.9], [0.3, 0.15], [1.9, 1.6], [-1.8, -0.3], [0.1, -1.9], [1.7, -0.4], [-0.5, 1.0]])
PLANE = np.linspace(-2, 2, 81)
MOVES = 40


def _iterative(figure: Figure) -> str:
    beliefs = {
        "step_size = 1": (np.ones(5), 1.0),
        "step_size = 0.25": (np.ones(5), 0.25),
        "prior 20 : 1 for one key": (np.array([1.0, 1, 20, 1, 1]), 1.0),
    }
    plane = np.stack(np.meshgrid(PLANE, PLANE), axis=-1)
    energies = [
        iterative_attention(plane, KEYS, steps=0, scale=2.0, prior=prior, return_energy=True).energy[..., 0]
        for prior, _ in beliefs.values()
    ]
    levels = np.linspace(min(map(np.min, energies)), max(map(np.max, energies)), 16)
    all_axes = figure.subplots(1, 3, sharey=True)
    for axes, energy, (title, (prior, eta)) in zip(all_axes, energies, beliefs.items(), strict=True):
        surface = axes.contourf(PLANE, PLANE, energy, levels=levels, cmap=WEIGHTS)
        surface.set_rasterized(True)
        options = {"scale": 2.0, "prior": prior, "step_size": eta}
        walk = [iterative_attention(STARTS, KEYS, steps=steps, **options) for steps in range(MOVES + 1)]
        for path in np.stack(walk, axis=1):
            moving = path[np.linalg.norm(path - path[-1], axis=-1) > 0.02]
            axes.plot(*np.concatenate([moving, path[-1:]]).T, ".-", color="white", linewidth=1.2, markersize=4)
            axes.plot(*path[-1], "x", color="black", markersize=8, markeredgewidth=2)
        axes.scatter(*KEYS.T, s=60 * (1 + np.log(prior)), color="white", edgecolor="black", zorder=3)
        axes.set(title=title, aspect="equal", xlabel="channel 0", xlim=(-2, 2), ylim=(-2, 2))
    all_axes[0].set_ylabel("channel 1")
    color_scale(figure, surface, all_axes, "energy", below=True)
    return (
        "Queries go down the collapsed energy of their edge, a dot per step, among five keys (circles). Small steps "
        "follow the slope to the same valleys. A prior for one key (the large circle) deepens its valley and moves the "
        f"borders. Crosses: after {MOVES} steps, scale = 2."
    )


GROUPS = np.array([[-1.9, 1.1], [1.7, 1.5], [0.3, -1.5]])
PRECISION, HELD, STEPS = 0.7, 0.5, 14


def _mixture() -> tuple[Reals, Reals]:
    """Forty queries of each of three groups, and three keys in the midst of them."""
    rng = np.random.default_rng(5)
    query = np.concatenate([center + 0.35 * rng.standard_normal((40, 2)) for center in GROUPS])
    return query, np.array([[0.5, 0.25], [0.75, 0.35], [0.6, 0.05]])


def _adapted_keys(query: Reals, start: Reals, weights: list[Reals]) -> list[Reals]:
    """Where the keys stand after each step: the M step of the weights before it."""
    keys = [start]
    for w in weights[:-1]:
        keys.append((HELD * start + PRECISION * w.T @ query) / (HELD + PRECISION * w.sum(axis=0)[:, None]))
    return keys


def _log_likelihood(query: Reals, start: Reals, key: Reals) -> float:
    logs = -PRECISION / 2 * ((query[:, None] - key) ** 2).sum(axis=-1)
    top = logs.max(axis=-1)
    each = top + np.log(np.exp(logs - top[:, None]).sum(axis=-1))
    return float(each.sum() - HELD / 2 * ((key - start) ** 2).sum())


def _draw_queries(axes: Axes, query: Reals, weights: Reals, title: str) -> None:
    """Draw the queries in the colors of the units that are most responsible, the surer the stronger."""
    owner, sure = weights.argmax(axis=-1), weights.max(axis=-1)
    for j, marker in enumerate("os^"):
        mine = owner == j
        axes.scatter(*query[mine].T, s=16, marker=marker, color=LINES[j], alpha=np.clip(sure[mine] ** 2, 0.25, 1))
    axes.set(title=title, aspect="equal", xlabel="channel 0", xlim=(-3, 3), ylim=(-2.6, 2.6))


def _probabilistic(figure: Figure) -> str:
    query, start = _mixture()
    options = {"query_precision": PRECISION, "key_prior_precision": HELD, "return_weights": True}
    weights = [
        probabilistic_attention(query, start, start, key_update_steps=t, **options).weights for t in range(STEPS + 1)
    ]
    keys = _adapted_keys(query, start, weights)
    before, after, curve = figure.subplots(1, 3, width_ratios=(1, 1, 0.9))
    _draw_queries(before, query, weights[0], "before: keys between the groups")
    _draw_queries(after, query, weights[-1], f"after {STEPS} steps of EM")
    after.tick_params(labelleft=False)
    before.set_ylabel("channel 1")
    for j, path in enumerate(np.stack(keys, axis=1)):
        after.plot(*path.T, ".-", color="black", linewidth=3.2, markersize=7)
        after.plot(*path.T, ".-", color="white", linewidth=1.4, markersize=4)
        for axes, place in ((before, path[0]), (after, path[-1])):
            axes.plot(*place, "X", color=LINES[j], markeredgecolor="white", markersize=13, markeredgewidth=1.4)
    heights = [_log_likelihood(query, start, key) for key in keys]
    curve.plot(heights, "o-", color=LINES[0], markersize=4)
    curve.set(title="and the objective rises", xlabel="step of EM", ylabel="penalized log-likelihood")
    curve.grid(linewidth=0.5)
    return (
        "A real run of probabilistic_attention on 120 queries in three groups. Each query has the color and marker of "
        "the key (cross) that is most responsible for it, faint where it is unsure. With key_update_steps the keys "
        "move to the means of their queries (lines), and the penalized log-likelihood never falls."
    )


FIGURES: dict[str, Callable[[Figure], str]] = {
    "structural_prior_attention": _structural,
    "uniform_prior": _uniform,
    "causal_prior": _causal,
    "gaussian_prior": _gaussian,
    "geometric_prior": _geometric,
    "neighborhood_prior": _neighborhood,
    "iterative_attention": _iterative,
    "probabilistic_attention": _probabilistic,
}
