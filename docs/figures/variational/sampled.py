"""Figures of sampled and relaxed alignments, and their gradients."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.variational.dirichlet_attention import dirichlet_attention
from attlas_ref.variational.dirichlet_kl import dirichlet_kl
from attlas_ref.variational.gumbel_softmax_attention import gumbel_softmax_attention
from attlas_ref.variational.hard_attention import hard_attention

from ..general import LAYER_HEAD, SOURCE, real_head
from ..panels import draw_maps
from ..style import LINES, WEIGHTS, line
from . import learning

CLAUSE = slice(1, 12)


def _hard(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD, CLAUSE)
    draws = np.random.default_rng(0).random(len(head.words))
    panels = [
        ("soft: a mixture", softmax_attention(*head[:3], return_weights=True).weights),
        ("hard: the best key", hard_attention(*head[:3], return_weights=True).weights),
        ("hard: one drawn key", hard_attention(*head[:3], uniform=draws, return_weights=True).weights),
    ]
    draw_maps(figure, panels, head.words)
    return f"The same scores read in three ways; a drawn key is where the weights let it be. {SOURCE}."


def _gumbel(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD, CLAUSE)
    draws = np.random.default_rng(0).random((len(head.words),) * 2)
    panels = [
        (
            f"temperature {temperature:g}",
            gumbel_softmax_attention(*head[:3], uniform=draws, temperature=temperature, return_weights=True).weights,
        )
        for temperature in (3.0, 0.7, 0.1)
    ]
    draw_maps(figure, panels, head.words)
    return (
        "One draw of the noise at three temperatures: the winner of each row stays, and takes more and more of the "
        f"weight. {SOURCE}."
    )


def _learning(figure: Figure) -> str:
    figure.set_size_inches(8.4, 5.6)
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.45))
    found = learning.learned()
    maps = [("truth", learning.true_prior()), *((name, found[name].prior) for name in learning.METHODS)]
    panels = upper.subplots(1, len(maps))
    for axes, (title, prior) in zip(panels, maps, strict=True):
        mesh = axes.pcolormesh(prior, cmap=WEIGHTS, vmin=0, vmax=1, rasterized=True)
        axes.invert_yaxis()
        axes.set(aspect="equal", xticks=[], yticks=[], xlabel="source place")
        axes.set_title(title.replace(" ", "\n"))
        axes.spines[:].set_visible(False)
    panels[0].set_ylabel("target place")
    bar = upper.colorbar(mesh, ax=list(panels), shrink=0.8, pad=0.01)
    bar.set_label("probability")
    bar.solids.set_rasterized(True)
    bar.outline.set_visible(False)

    left, right = lower.subplots(1, 2, width_ratios=(1.15, 1))
    for index, name in enumerate(learning.METHODS):
        look = line(index) if index < len(LINES) else {"color": "gray", "linestyle": (0, (5, 1, 1, 1, 1, 1))}
        left.plot(found[name].curve, label=name, **look)
    left.set(
        title="Hard choices settle on one way", xlabel="gradients taken", ylabel="log marginal of new words (nats)"
    )
    left.legend(loc="lower right", fontsize=8.5)
    at = np.arange(len(learning.METHODS))
    for axes, offset, values, label, index in (
        (right, -0.2, [found[name].found for name in learning.METHODS], "alignments found", 0),
        (right, 0.2, [np.exp(found[name].own) for name in learning.METHODS], "mean probability of the word", 1),
    ):
        axes.bar(at + offset, values, 0.4, color=LINES[index], hatch=("", "///")[index], linewidth=0, label=label)
    right.set_xticks(at, [name.replace(" ", "\n") for name in learning.METHODS], fontsize=7.5)
    right.set(title="A posterior finds the alignment", ylim=(0, 1.35), yticks=np.arange(0, 1.1, 0.2))
    right.legend(loc="upper right", fontsize=8.5)
    models = learning.wander(True)
    calmer = {step: learning.scatter(models[step], False) / learning.scatter(models[step], True) for step in (20, 60)}
    return (
        "Stretches of real text and their translations, each word one or, less often, three places ahead. The bars are "
        "of new words: how often the place that the method thinks likeliest is the true one (only a posterior has seen "
        "the word), and the geometric mean of the probability of the word, read as the method reads it. A baseline "
        f"makes the variance of the gradient of the places {calmer[20]:.0f} times smaller after 20 steps, "
        f"{calmer[60]:.0f} times after 60."
    )


def _dirichlet(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD, CLAUSE)
    row = 5
    weights = softmax_attention(*head[:3], return_weights=True).weights[row]
    keys = np.sort(np.argsort(weights)[-3:])
    share = weights[keys] / weights[keys].sum()
    corners = np.array([[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]])
    rng = np.random.default_rng(0)
    panels = figure.subplots(1, 3)
    for axes, total in zip(panels, (1, 10, 100), strict=True):
        concentration = np.broadcast_to(total * share, (250, 3))
        draws = dirichlet_attention(concentration, corners, gamma=rng.gamma(concentration))
        mean = dirichlet_attention(total * share[None], corners)
        axes.plot(*corners[[0, 1, 2, 0]].T, color="gray", linewidth=1)
        axes.plot(*draws.T, ".", color=LINES[0], markersize=3, alpha=0.6)
        axes.plot(*mean.T, "P", color=LINES[1], markersize=9)
        axes.set(title=f"total {total}", aspect="equal", xlim=(-0.18, 1.18), ylim=(-0.2, 1.1))
        axes.axis("off")
        for place, key in zip(corners, keys, strict=True):
            above = place[1] > 0
            x, y = place[0], place[1] + (0.05 if above else -0.05)
            axes.text(x, y, head.words[key], ha="center", va="bottom" if above else "top")
    return (
        f"Weights of the query “{head.words[row]}” over its three best keys, 250 draws for each total concentration; "
        f"the cross is their mean. A small total lives at the corners, a large one at the mean. {SOURCE}."
    )


def _divergence(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD, CLAUSE)
    weights = softmax_attention(*head[:3], return_weights=True).weights[5]
    n, totals = len(weights), np.logspace(0, 3, 241)
    axes = figure.subplots()
    means = {"mean as the weights of a word": weights, "even mean": np.full(n, 1 / n)}
    for index, (name, share) in enumerate(means.items()):
        axes.plot(totals, dirichlet_kl(totals[:, None] * share, np.ones(n)), label=name, **line(index))
    axes.axvline(n, color="gray", linewidth=1, label="total of the prior")
    axes.set(
        title="Certainty has its price, and so has another mean", xlabel="total concentration of the posterior",
        ylabel="divergence from the even prior (nats)", xscale="log", yscale="log",
    )  # fmt: skip
    axes.legend(loc="lower right")
    return f"The prior has concentration 1 for each of {n} keys. Only the even mean with its total is free. {SOURCE}."


FIGURES: dict[str, Callable[[Figure], str]] = {
    "hard_attention": _hard,
    "gumbel_softmax_attention": _gumbel,
    "alignment_score_gradient": _learning,
    "dirichlet_attention": _dirichlet,
    "dirichlet_kl": _divergence,
}
