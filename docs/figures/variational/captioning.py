"""Figures of the attentions of image captioning: a small painted scene and the words of a caption."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.variational.doubly_stochastic_penalty import doubly_stochastic_penalty
from attlas_ref.variational.sentinel_gate import sentinel_gate
from attlas_ref.variational.show_attend_attention import show_attend_attention
from attlas_ref.variational.visual_sentinel_attention import visual_sentinel_attention

from ..style import SIGNED, WEIGHTS, color_scale, line

SCENE = ("ssssssss", "sssssoos", "sssssoos", "ssssssss", "wwwbwwww", "wwbbbwww", "wwwwwwww", "wwwwwwww")
"""Sky, sun, sea and a boat, one letter per region."""
THINGS = "sowb"
CAPTION = {"a": "", "boat": "b", "on": "", "the": "", "sea": "w", "under": "", "the ": "", "sun": "o"}
"""The words and the thing that each asks for, if any."""
ASKED, UNASKED = -1.5, 2.5
"""Entries of a state: tanh(3 + h) − tanh(h), which a region of a kind has over the others, is large for the first."""
Reals = NDArray[np.float64]


def scene() -> Reals:
    """Return one vector per region: which thing it shows, (64, 4)."""
    return np.array([[float(thing == letter) for thing in THINGS] for letter in "".join(SCENE)])


def states(extra: int = 0) -> Reals:
    """Return one state per word: low at what it asks for; `extra` columns are low where it asks for nothing."""
    rows = []
    for asked in CAPTION.values():
        things = [ASKED if thing == asked else UNASKED for thing in THINGS]
        rows.append([*things, *([UNASKED if asked else ASKED] * extra)])
    return np.array(rows)


def captioned() -> Any:
    """Return context, weights and gate of every word of the caption."""
    wide = np.eye(4)
    hidden = np.concatenate([states(), states(1)[:, 4:]], axis=1)
    return show_attend_attention(
        hidden, scene(), w_annotation=3 * wide, b_annotation=np.zeros(4), w_hidden=np.eye(5)[:, :4],
        b_hidden=np.zeros(4), w_score=np.full(4, 2.0), w_gate=np.eye(5)[:, 4:] * 2, return_weights=True,
        return_gate=True,
    )  # fmt: skip


def sentineled() -> Any:
    """Return context, weights and the share of the sentinel for every word."""
    features = np.concatenate([scene(), np.zeros((64, 1))], axis=1)
    known = np.tile(np.eye(5)[4], (len(CAPTION), 1))
    # Sixty-four regions stand against one sentinel: a sharper score lets it win.
    return visual_sentinel_attention(
        states(1), features, known, w_feature=3 * np.eye(5), w_hidden=np.eye(5), w_sentinel=3 * np.eye(5),
        w_score=np.full(5, 4.0), return_weights=True, return_sentinel=True,
    )  # fmt: skip


def _draw_words(figure: Figure, weights: Reals, titles: list[str], label: str) -> None:
    grid = figure.subplots(2, 4)
    high = float(weights.max())
    for axes, row, title in zip(grid.ravel(), weights, titles, strict=True):
        mesh = axes.pcolormesh(row.reshape(8, 8), cmap=WEIGHTS, vmin=0, vmax=high, rasterized=True)
        axes.invert_yaxis()
        axes.set(title=title, aspect="equal", xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    color_scale(figure, mesh, list(grid.ravel()), label)


def _show(figure: Figure) -> str:
    figure.set_size_inches(8.4, 4.8)
    _, weights, gate = captioned()
    titles = [f"{word.strip()}, gate {share:.2f}" for word, share in zip(CAPTION, gate[:, 0], strict=True)]
    _draw_words(figure, weights * gate, titles, "weight times gate")
    return (
        "A scene of 8 by 8 regions: sky, sun, a boat on the sea. States with weights made by hand ask for one kind of "
        "region; words without an object shut the gate, whatever their weights are."
    )


def _sentinel_attention(figure: Figure) -> str:
    figure.set_size_inches(8.4, 4.8)
    _, weights, beta = sentineled()
    titles = [f"{word.strip()}, β = {share:.2f}" for word, share in zip(CAPTION, beta, strict=True)]
    _draw_words(figure, weights * (1 - beta[:, None]), titles, "weight in the large softmax")
    return (
        "The same scene with a sentinel beside the 64 regions, in one softmax: words that need no image give it their "
        "weight. Weights of the network made by hand."
    )


def _penalty(figure: Figure) -> str:
    weights = captioned().weights
    target = len(weights) / 64
    rng = np.random.default_rng(0)
    shares = rng.random(weights.shape) ** 2
    shares = shares / shares.sum(axis=1, keepdims=True)
    for _ in range(200):  # to a matrix whose columns, too, have equal sums
        shares = shares / shares.sum(axis=0) * target
        shares = shares / shares.sum(axis=1, keepdims=True)
    panels = figure.subplots(1, 2)
    cases = (("words that ask for things", weights), ("every region looked at alike", shares))
    bound = max(float(np.abs(one.sum(axis=0) - target).max()) for _, one in cases)
    for axes, (name, one) in zip(panels, cases, strict=True):
        left = (one.sum(axis=0) - target).reshape(8, 8)
        mesh = axes.pcolormesh(left, cmap=SIGNED, vmin=-bound, vmax=bound, rasterized=True)
        axes.invert_yaxis()
        axes.set(aspect="equal", xticks=[], yticks=[])
        axes.set_title(f"{name}: penalty {float(doubly_stochastic_penalty(one, target=target)):.2f}")
        axes.spines[:].set_visible(False)
    color_scale(figure, mesh, list(panels), "attention in all, less its even share")
    return (
        "What a caption of eight words leaves undone: the boat is looked at more than its share, the sky less. The "
        "weights to the right are drawn and scaled until rows and columns are even."
    )


def _gate(figure: Figure) -> str:
    cell = np.linspace(-4, 4, 161)
    axes = figure.subplots()
    axes.plot(cell, np.tanh(cell), color="gray", linewidth=1, label="tanh(cell)")
    for index, pull in enumerate((3.0, 0.0, -2.0)):
        none, one = np.zeros((len(cell), 1)), np.eye(1)
        sentinel = sentinel_gate(none + pull, none, cell[:, None], w_input=one, w_hidden=one)
        axes.plot(cell, sentinel[:, 0], label=f"x W_x + h W_h = {pull:g}", **line(index))
    axes.set(title="The gate lets a part of the memory through", xlabel="memory cell", ylabel="sentinel")
    axes.legend()
    return "The sentinel of a cell for three states of its gate; it never reaches further than the tanh of the cell."


FIGURES: dict[str, Callable[[Figure], str]] = {
    "show_attend_attention": _show,
    "doubly_stochastic_penalty": _penalty,
    "sentinel_gate": _gate,
    "visual_sentinel_attention": _sentinel_attention,
}
