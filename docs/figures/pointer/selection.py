"""Figures of the family pointer: selection."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.data import alice
from attlas_ref.pointer.diverse_beam_step import diverse_beam_step
from attlas_ref.pointer.orthogonal_matching_pursuit import orthogonal_matching_pursuit
from attlas_ref.pointer.sequential_attention_select import sequential_attention_select
from attlas_ref.pointer.sequential_attention_weights import sequential_attention_weights

from ..panels import draw_rows
from ..style import LINES, WEIGHTS, color_scale, line


def regression(columns: int = 32) -> tuple[Any, Any]:
    """Real features and a target: the keys of a head, and one coordinate of the queries of the same words."""
    heads = alice()
    features = np.asarray(heads.key[3, 1, 1:-1, :columns], dtype=np.float64)
    target = np.asarray(heads.query[3, 1, 1:-1, 0], dtype=np.float64)
    features = features - features.mean(axis=0)
    return features / np.sqrt((features**2).sum(axis=0)), target - target.mean()


def _weights(figure: Figure) -> str:
    features, target = regression(12)
    logits = 2 * np.abs(features.T @ target) / np.abs(target).max()
    order = orthogonal_matching_pursuit(features, target, k=2)
    names = [str(j) for j in range(12)]
    rows = {}
    for count in range(3):
        selected = np.isin(np.arange(12), order[:count])
        rows[f"{count} selected"] = sequential_attention_weights(logits, selected)
    axes = figure.subplots()
    draw_rows(axes, names, rows, ylabel="factor", rotation=0)
    axes.set(title="What is selected counts whole; the rest share 1 among them", xlabel="feature")
    return "Twelve features, keys of a real head: their factors before a feature is selected, after one, and after two."


def explained(features: Any, target: Any, order: Any) -> list[float]:
    """The share of the target that the first features leave unexplained."""
    left = [1.0]
    for count in range(1, len(order) + 1):
        chosen = features[:, order[:count]]
        residual = target - chosen @ np.linalg.lstsq(chosen, target, rcond=None)[0]
        left.append(float((residual**2).sum() / (target**2).sum()))
    return left


def _pursuit(figure: Figure) -> str:
    features, target = regression()
    rng = np.random.default_rng(0)
    greedy = orthogonal_matching_pursuit(features, target, k=16)
    by_size = np.argsort(-np.abs(features.T @ target))[:16]
    axes = figure.subplots()
    counts = range(17)
    for index in range(20):
        other = explained(features, target, rng.permutation(32)[:16])
        label = "drawn at random" if index == 0 else None
        axes.plot(counts, other, color="gray", linewidth=0.7, alpha=0.6, label=label)
    axes.plot(counts, explained(features, target, greedy), label="matching pursuit", **line(0))
    axes.plot(counts, explained(features, target, by_size), label="the largest products with the target", **line(1))
    axes.set(title="Features that explain what others have left", xlabel="features selected",
             ylabel="share of the target left over", ylim=(0, 1.02))  # fmt: skip
    axes.legend()
    return (
        "32 features (keys of a real head over 132 words) and a coordinate of the queries as target. Matching pursuit "
        "asks for what is still missing; the features that resemble the target most partly say the same."
    )


def _select(figure: Figure) -> str:
    features, target = regression(16)
    order = sequential_attention_select(features, target, k=8, method="lasso")
    slopes = []
    for count in range(8):
        chosen = features[:, order[:count]]
        residual = target - (chosen @ np.linalg.lstsq(chosen, target, rcond=None)[0] if count else 0)
        slopes.append(np.abs(features.T @ residual))
    shares = np.array(slopes) / np.max(slopes, axis=1, keepdims=True)
    axes = figure.subplots()
    mesh = axes.pcolormesh(shares, cmap=WEIGHTS, vmin=0, vmax=1, rasterized=True)
    axes.plot(order + 0.5, np.arange(8) + 0.5, "o", markerfacecolor="none", markeredgecolor=LINES[1], markersize=13,
              markeredgewidth=2.5, label="enters")  # fmt: skip
    axes.set_xticks(np.arange(16) + 0.5, [str(j) for j in range(16)])
    axes.set_yticks(np.arange(8) + 0.5, [str(t) for t in range(1, 9)])
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(title="In each round the feature at the largest penalty enters, and is silent from then on",
             xlabel="feature", ylabel="round")  # fmt: skip
    color_scale(figure, mesh, axes, "|product with the residual| / largest")
    return (
        "Eight rounds over sixteen real features. A ring marks the feature that enters the LASSO just below the "
        "penalty at which all are zero; after its round its product with the residual is zero."
    )


def _beams(figure: Figure) -> str:
    rng = np.random.default_rng(5)
    log_probs = np.tile(np.log(rng.dirichlet(np.full(12, 0.6))), (6, 1)) + 0.05 * rng.normal(size=(6, 12))
    strengths = (0.0, 0.5, 2.0)
    panels = figure.subplots(1, 3, sharey=True)
    for axes, strength in zip(panels, strengths, strict=True):
        found = diverse_beam_step(log_probs, np.zeros(6), groups=3, strength=strength, keep=3)
        for group in range(3):
            kept = found.tokens[group::3]
            axes.plot(kept, np.full(3, group) + 0.1 * np.arange(-1, 2), "osD"[group], color=LINES[group], markersize=8)
        axes.set(title=f"strength {strength:g}: {len(set(found.tokens.tolist()))} tokens", xlabel="token",
                 xlim=(-0.6, 11.6), xticks=range(0, 12, 2))  # fmt: skip
        axes.grid(axis="x", linewidth=0.5)
    panels[0].set_yticks(range(3), ["first group", "second", "third"])
    panels[0].invert_yaxis()
    return (
        "Three groups of two beams that all expect nearly the same. Without a penalty they keep the same tokens; with "
        "it later groups turn to others. Probabilities drawn at random."
    )


FIGURES: dict[str, Callable[[Figure], str]] = {
    "sequential_attention_weights": _weights,
    "orthogonal_matching_pursuit": _pursuit,
    "sequential_attention_select": _select,
    "diverse_beam_step": _beams,
}
