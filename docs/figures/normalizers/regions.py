"""Figures of what acts on regions, of a picture or of a text: sinks, relevance, penalties, energies."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.normalizers.contrastive_attention_map import contrastive_attention_map
from attlas_ref.normalizers.deceptive_attention_penalty import deceptive_attention_penalty
from attlas_ref.normalizers.redistribute_visual_attention import redistribute_visual_attention
from attlas_ref.normalizers.region_attention_energy import region_attention_energy
from attlas_ref.normalizers.soft_mask import soft_mask
from attlas_ref.normalizers.visual_sink_tokens import visual_sink_tokens

from ..general import LAYER_HEAD, SOURCE, real_head
from ..panels import draw_rows
from ..style import LINES, SIGNED, WEIGHTS, color_scale, line

SIDE = 10
"""The pictures are grids of SIDE x SIDE patches."""
SINKS = (13, 81)
"""Patches that attract weight and show nothing."""


def _spot(row: float, column: float, width: float) -> np.ndarray:
    """Return a round spot on the grid of patches, as a vector."""
    at = np.arange(SIDE)
    spot: np.ndarray = np.exp(-((at[:, None] - row) ** 2 + (at - column) ** 2) / (2 * width**2))
    return spot.ravel()


def _picture(axes: Axes, values: np.ndarray, title: str, *, bound: float | None = None, high: float = 1.0) -> Any:
    """Draw values of the patches; with a bound, as a signed quantity."""
    limits = (
        {"vmin": 0, "vmax": high, "cmap": WEIGHTS} if bound is None else {"vmin": -bound, "vmax": bound, "cmap": SIGNED}
    )
    mesh = axes.pcolormesh(values.reshape(SIDE, SIDE), rasterized=True, **limits)
    axes.set(title=title, xlabel="patch, column", aspect="equal", ylim=(SIDE, 0))
    axes.set_xticks(range(0, SIDE + 1, 2))
    axes.set_yticks(range(0, SIDE + 1, 2))
    axes.spines[:].set_visible(False)
    return mesh


def _hidden_states() -> np.ndarray:
    """Return hidden states of the patches in which two dimensions betray the sinks."""
    hidden = np.random.default_rng(7).normal(size=(SIDE * SIDE, 1536))
    hidden[list(SINKS), 100] = 300.0
    hidden[list(SINKS), 300] = -180.0
    hidden[40, 300] = 9.0  # large, but nothing out of the ordinary
    return hidden


def _sink_tokens(figure: Figure) -> str:
    hidden = _hidden_states()
    dims = [100, 300]
    taus = np.linspace(0.5, 40, 317)
    found = np.array(
        [np.isin(np.arange(len(hidden)), visual_sink_tokens(hidden, dims=dims, tau=float(t))) for t in taus]
    )
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    left.plot(taus, found.sum(axis=-1), **line(0))
    left.axvline(20, color="gray", linewidth=1)
    left.annotate("default", (20, 60), (4, 0), textcoords="offset points")
    left.set_yscale("symlog", linthresh=1)
    left.set_yticks([0, 1, 2, 10, 100], ["0", "1", "2", "10", "100"])
    left.minorticks_off()
    left.set(ylim=(0, 120), title="How many tokens exceed the threshold", xlabel="threshold tau", ylabel="tokens")
    sinks = visual_sink_tokens(hidden, dims=dims, tau=20.0)
    right.vlines(np.arange(len(hidden)), 0.1, np.abs(hidden[:, dims]).max(axis=-1), color="gray", linewidth=1)
    right.plot(sinks, np.abs(hidden[sinks][:, dims]).max(axis=-1), "o", color=LINES[1], label="sinks at tau = 20")
    right.set(
        yscale="log", ylim=(0.1, 2000), title="Two massive dimensions", xlabel="token", ylabel="largest size in the two"
    )
    right.legend(loc="upper left")
    return (
        "A hundred made-up hidden states of 1536 dimensions, two of which are massive at two tokens. Over a wide range "
        "of thresholds exactly these are found."
    )


def _redistributed(figure: Figure) -> str:
    scores = 6 * _spot(5.5, 6, 1.6) + np.random.default_rng(3).normal(scale=0.3, size=SIDE * SIDE)
    scores[list(SINKS)] = 5.5
    first = 8.0  # the first token of the text, a sink too
    weights = np.exp(np.append(first, scores))
    before = (weights / weights.sum())[None, None]  # one head, one query
    after = redistribute_visual_attention(
        before,
        sinks=[0, *(1 + sink for sink in SINKS)],
        image_start=1,
        image_length=SIDE * SIDE,
        keep=0.4,
        first_query=0,
    )
    left, middle, right = figure.subplots(1, 3, width_ratios=(4, 4, 5))
    high = float(max(before[0, 0, 1:].max(), after[0, 0, 1:].max()))
    mesh = _picture(left, before[0, 0, 1:], "before", high=high)
    left.set_ylabel("patch, row")
    _picture(middle, after[0, 0, 1:], "after", high=high)
    color_scale(figure, mesh, [left, middle], "weight")
    sinks = np.isin(np.arange(SIDE * SIDE), SINKS)
    parts = {
        name: np.array([row[0], row[1:][sinks].sum(), row[1:][~sinks].sum()])
        for name, row in {"before": before[0, 0], "after": after[0, 0]}.items()
    }
    draw_rows(right, ["first\ntoken", "image\nsinks", "rest of\nimage"], parts, rotation=0)
    right.set(title="where the row is spent", xlabel="")
    return (
        "One query over a made-up picture of 10 × 10 patches: an object, and two patches that are sinks. With keep = "
        "0.4 every sink, the first token included, gives up 60 percent to the rest of the image."
    )


def _contrastive(figure: Figure) -> str:
    general = 0.7 * _spot(2, 2, 1.2) + 0.25 * _spot(7, 7, 1.5) + 0.05
    signal = _spot(7, 7, 1.5) + 0.1
    task = general * signal
    contrast = contrastive_attention_map(task / task.sum(), general / general.sum(), regularizer=1e-4)
    all_axes = figure.subplots(1, 3)
    maps = {"general instruction": general, "task": task, "contrast": contrast}
    for axes, (title, values) in zip(all_axes, maps.items(), strict=True):
        mesh = _picture(axes, values / values.max(), title)
    all_axes[0].set_ylabel("patch, row")
    color_scale(figure, mesh, all_axes, "share of the largest", below=True)
    return (
        "A made-up picture: one spot attracts the eye under any instruction, the other is what the task asks for. "
        "Their quotient leaves the second and forgets the first."
    )


def _soft_masked(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD)
    weights = softmax_attention(*head[:3], return_weights=True).weights
    relevance = weights[head.words.index("tired")]
    upper, lower = figure.subplots(2, 1, sharex=True)
    draw_rows(upper, head.words, {"relevance": relevance}, ylabel="relevance")
    factors = {f"floor {floor:g}": soft_mask(relevance, floor=floor) for floor in (0.0, 0.3)}
    draw_rows(lower, head.words, factors, ylabel="factor")
    upper.set(title="What the query “tired” attends to, and the soft mask made of it", xlabel="")
    upper.get_legend().remove()
    lower.set_ylim(0, 1.5)
    lower.legend(loc="upper right", ncols=2)
    return f"The most relevant word gets the floor, the least relevant one 1, the others lie between. {SOURCE}."


def _deceptive(figure: Figure) -> str:
    left, right = figure.subplots(1, 2)
    mass = np.linspace(0, 0.995, 200)
    hidden = np.array([True, False])
    for index, strength in enumerate((0.1, 0.5, 1.0)):
        penalty = [
            float(deceptive_attention_penalty(np.array([[x, 1 - x]]), impermissible=hidden, strength=strength))
            for x in mass
        ]
        left.plot(mass, penalty, label=f"strength {strength:g}", **line(index))
    left.set(title="The penalty", xlabel="mass on impermissible words", ylabel="penalty")
    left.legend()
    head = real_head(*LAYER_HEAD)
    impermissible = np.array([word in ("alice", "sister") for word in head.words])
    for index, strength in enumerate((0.1, 0.5, 1.0)):
        scores = head.query @ head.key.T / np.sqrt(head.key.shape[-1])
        masses = []
        for _ in range(60):
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            weights /= weights.sum(axis=-1, keepdims=True)
            masses.append(float(weights[:, impermissible].sum(axis=-1).mean()))
            gradient = deceptive_attention_penalty(
                weights, impermissible=impermissible, strength=strength, return_grad=True
            ).grad
            # Through the softmax, to the scores: w (g - w·g).
            scores = scores - 10 * weights * (gradient - (weights * gradient).sum(axis=-1, keepdims=True))
        right.plot(masses, **line(index))
    right.set(
        title="Descending it on a real head", xlabel="step", ylabel="mean mass on “alice” and “sister”", ylim=(0, None)
    )
    return (
        "The penalty grows without bound as all of a row falls on impermissible words, and costs next to nothing near "
        f"0. Following its gradient takes the weight away. {SOURCE}."
    )


def _region(figure: Figure) -> str:
    weights = _spot(3, 2.5, 1.8) + 0.4 * _spot(7, 7, 1.5)
    inside = np.zeros((SIDE, SIDE), dtype=bool)
    inside[5:9, 5:9] = True
    region = inside.ravel()
    all_axes = figure.subplots(1, 3)
    weights = weights / weights.sum()
    for axes, steps in zip(all_axes, (0, 4, 12), strict=True):
        current = weights
        for _ in range(steps):
            gradient = region_attention_energy(current, region=region, return_grad=True).grad
            # A step on the logarithms: the map stays positive.
            current = current * np.exp(-0.3 * gradient)
            current = current / current.sum()
        energy = float(region_attention_energy(current, region=region))
        mesh = _picture(axes, current, f"{steps} steps: energy {energy:.2f}", high=0.1)
        axes.add_patch(Rectangle((5, 5), 4, 4, fill=False, edgecolor=LINES[1], linewidth=2.5))
    all_axes[0].set_ylabel("patch, row")
    color_scale(figure, mesh, all_axes, "weight", below=True)
    return (
        "A made-up map that should lie in the box. The energy is the squared share outside; following its gradient "
        "takes the weight into the box and keeps the shape of what was there."
    )


FIGURES = {
    "visual_sink_tokens": _sink_tokens,
    "redistribute_visual_attention": _redistributed,
    "contrastive_attention_map": _contrastive,
    "soft_mask": _soft_masked,
    "deceptive_attention_penalty": _deceptive,
    "region_attention_energy": _region,
}
