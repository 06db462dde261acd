"""Figures of paths through two sequences and of attention that flows, on real words."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from attlas_ref.monotonic.daft_attention import daft_attention
from attlas_ref.monotonic.monotonic_alignment_search import monotonic_alignment_search
from attlas_ref.monotonic.segment_alignment import segment_alignment
from attlas_ref.monotonic.soft_dtw import dtw_path, soft_dtw
from attlas_ref.monotonic.total_transition_length import total_transition_length

from ..general import LAYER_HEAD, SOURCE, real_head
from ..panels import draw_maps
from ..probabilistic.words import HERE, WORDS_FROM, words_at
from ..style import LINES, color_scale, line, show_weights

Reals = NDArray[np.float64]
LASTING = (2, 3, 1, 2, 4, 1, 2, 3)
"""How often each word is repeated."""
NOISE = 4.0
"""Of a frame, beside a word vector of length 1."""
REPEATED = f"Frames are {WORDS_FROM}, each repeated and with noise."
HEAD = f"{SOURCE}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}."
ASKING = ("alice", "tired", "sitting", "sister", "bank")
"""The words whose queries are asked, step by step."""


class Slow(NamedTuple):
    """Words, and a slow and noisy repetition of them."""

    similarity: Reals
    """(words, frames): cosines."""
    words: list[str]
    frames: list[str]


def slow(noise: float = NOISE) -> Slow:
    """Repeat each word some times, with noise."""
    rng = np.random.default_rng(3)
    vectors, words = words_at(HERE)
    vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    spoken = np.repeat(np.arange(len(words)), LASTING)
    frames = vectors[spoken]
    frames = frames + noise * rng.normal(size=frames.shape) / np.sqrt(frames.shape[-1])
    frames = frames / np.linalg.norm(frames, axis=-1, keepdims=True)
    return Slow(vectors @ frames.T, words, [words[k] for k in spoken])


def _show(axes: Axes, matrix: Reals, title: str, *, label: bool = True) -> object:
    heard = slow()
    mesh = show_weights(axes, matrix, heard.words, title, keys=heard.frames, label_queries=label)
    axes.set(xlabel="what is said, frame by frame", ylabel="", aspect="auto")
    axes.tick_params(labelsize=8)
    return mesh


def _search(figure: Figure) -> str:
    similarity, words, frames = slow(2.5 * NOISE)
    left, right = figure.subplots(1, 2)
    alone = np.eye(len(words))[similarity.argmax(axis=0)].T
    path = monotonic_alignment_search(8 * similarity)
    _show(left, alone, "the best word of each frame")
    mesh = _show(right, path.astype(float), "the best path", label=False)
    color_scale(figure, mesh, [left, right], "chosen")
    meant = np.repeat(np.arange(len(words)), LASTING)
    errors = [int((choice.argmax(axis=0) != meant).sum()) for choice in (alone, path)]
    return (
        f"Frame by frame {errors[0]} of {len(frames)} frames are given to a wrong word; the path, which keeps the "
        f"order and leaves out none, errs in {errors[1]}. {REPEATED}"
    )


def _segments(figure: Figure) -> str:
    similarity, words, _ = slow()
    # Two words in one frame, too: the frames of the last three words are heard as one.
    cut = 9
    matrix = similarity[:, :cut].clip(0)
    matrix = np.column_stack([matrix, similarity[:, cut:].clip(0).mean(axis=1)])
    frames = [*slow().frames[:cut], "(the rest)"]
    all_axes = figure.subplots(1, 2)
    for axes, price in zip(all_axes, (0.5, 2.0), strict=True):
        title = f"length_penalty = {price:g}"
        mesh = show_weights(axes, matrix, words, title, keys=frames, label_queries=axes is all_axes[0])
        axes.set(xlabel="what is said", ylabel="")
        for r0, r1, c0, c1 in segment_alignment(matrix, length_penalty=price):
            axes.add_patch(
                Rectangle((c0, r0), c1 - c0, r1 - r0, fill=False, edgecolor=LINES[1], linewidth=2.5, clip_on=False)
            )
    color_scale(figure, mesh, all_axes, "cosine, at least 0")
    return (
        "A word may last several frames, and a frame may hold several words: blocks of one row or one column cover "
        f"both from corner to corner. The price breaks up long blocks; the higher one does so against what is heard. "
        f"{REPEATED}"
    )


def _hard(figure: Figure) -> str:
    similarity, _, _ = slow()
    value, path = dtw_path(1 - similarity)
    axes = figure.subplots()
    mesh = _show(axes, 1 - similarity, f"the cheapest path costs {float(value):.2f}")
    color_scale(figure, mesh, axes, "cost: 1 − cosine")
    rows, columns = np.nonzero(path)
    axes.plot(columns + 0.5, rows + 0.5, "o-", color=LINES[1], markersize=5)
    return (
        f"A text laid over a slower reading of itself, by steps down, to the right and along the diagonal. {REPEATED}"
    )


def _soft(figure: Figure) -> str:
    similarity, _, _ = slow()
    cost = 1 - similarity
    all_axes = figure.subplots(1, 3)
    for axes, gamma in zip(all_axes, (0.01, 0.1, 1.0), strict=True):
        value, alignment = soft_dtw(cost, gamma=gamma, return_alignment=True)
        mesh = _show(axes, alignment, f"γ = {gamma:g}: {float(value):.2f}", label=axes is all_axes[0])
        axes.set_xlabel("")
        axes.tick_params(axis="x", labelsize=6.5)
    all_axes[1].set_xlabel("what is said, frame by frame")
    color_scale(figure, mesh, all_axes, "probability that a path passes", below=True)
    hard = float(dtw_path(cost).value)
    return (
        f"The soft alignment of a text with a slower reading of itself, and the soft cost; the cheapest path costs "
        f"{hard:.2f}. The warmer, the more paths count, and the lower the soft minimum. {REPEATED}"
    )


def _flow(rate: float) -> tuple[Reals, Reals, list[str]]:
    """Let attention flow over a sentence while the query of one word after the other is asked."""
    query, key, _, words = real_head(*LAYER_HEAD)
    d = key.shape[-1]
    asked = query[[words.index(word) for word in ASKING]] / np.sqrt(d)
    steps = len(ASKING)
    found = daft_attention(
        key,
        np.zeros(d),
        w_question=np.zeros((steps, d + 1, d)),
        b_question=asked,
        w_logit=np.column_stack([np.ones((steps, d)), np.full(steps, rate)]),
        b_logit=np.zeros(steps),
        return_weights=True,
    )
    # What softmax attention makes of the same queries, one by one.
    scores = asked @ key.T
    alone = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return found.weights, alone / alone.sum(axis=-1, keepdims=True), words


def _flows(figure: Figure) -> str:
    flowing, alone, words = _flow(-0.5)
    panels = [("each query by itself", alone), ("flowing, λ = −0.5", flowing), ("flowing, λ = −4", _flow(-4.0)[0])]
    for axes in draw_maps(figure, panels, list(ASKING), words, rows=3):
        axes.set(xlabel="", ylabel="", aspect="auto")
        axes.tick_params(labelbottom=axes is figure.axes[2])
    return (
        "Five queries after each other. By themselves they jump; when logits flow, each step starts where the last one "
        f"ended. With a strongly negative λ the past is soon forgotten, and logits stay small. {HEAD}"
    )


def _lengths(figure: Figure) -> str:
    axes = figure.subplots()
    alone = _flow(0.0)[1]
    at = np.arange(1, len(ASKING))
    kinds = {"each query by itself": alone} | {f"flowing, λ = {rate:g}": _flow(rate)[0] for rate in (0.0, -0.5, -4.0)}
    for index, (label, weights) in enumerate(kinds.items()):
        length, steps = total_transition_length(weights, return_steps=True)
        axes.plot(at, steps, marker="osD^"[index], label=f"{label}: {float(length):.2f} bits", **line(index))
    axes.set_xticks(at, [f"{a} → {b}" for a, b in pairwise(ASKING)])
    axes.set(
        title="how far attention moves from query to query", ylabel="Jensen–Shannon divergence (bits)", ylim=(0, None)
    )
    axes.grid(axis="y", linewidth=0.5)
    axes.legend()
    return (
        "The legend has the sum, the total transition length. Attention that flows travels less than one that jumps. "
        f"{HEAD}"
    )


FIGURES: dict[str, Callable[[Figure], str]] = {
    "monotonic_alignment_search": _search,
    "segment_alignment": _segments,
    "soft_dtw": _soft,
    "dtw_path": _hard,
    "daft_attention": _flows,
    "total_transition_length": _lengths,
}
