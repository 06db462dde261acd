"""Figures of chains and segments, on a real sentence and its queries and keys."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.normalizers.sigmoid_attention import sigmoid_attention
from attlas_ref.probabilistic.linear_chain_argmax import linear_chain_argmax
from attlas_ref.probabilistic.linear_chain_marginals import linear_chain_marginals
from attlas_ref.probabilistic.linear_chain_sample import linear_chain_sample
from attlas_ref.probabilistic.segmentation_attention import segmentation_attention
from attlas_ref.probabilistic.semi_markov_marginals import semi_markov_marginals
from attlas_ref.probabilistic.skip_chain_crf import skip_chain_crf

from ..general import LAYER_HEAD, SOURCE, real_head
from ..panels import draw_maps
from ..style import WEIGHTS, color_scale, line, show_weights

Reals = NDArray[np.float64]
ASKING = ("alice", "tired", "bank")
"""The words whose queries stand for the labels of the chain."""
LIKING = 1.5
HEAD = f"{SOURCE}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}."


def _topics() -> tuple[Reals, list[str]]:
    """Scores of three labels for every word: its key under the query of each word that asks, (n, 3)."""
    query, key, _, words = real_head(*LAYER_HEAD)
    asking = [words.index(word) for word in ASKING]
    return key @ query[asking].T / np.sqrt(key.shape[-1]), words


def _along_words(axes: Axes, values: Reals, words: list[str], rows: list[str], title: str) -> object:
    """Draw one row per label over the words."""
    mesh = show_weights(axes, values, rows, title, keys=words)
    axes.set(xlabel="", ylabel="", aspect="auto")
    return mesh


def _marginals(figure: Figure) -> str:
    unary, words = _topics()
    all_axes = figure.subplots(3, 1, sharex=True)
    for axes, liking in zip(all_axes, (0.0, LIKING, 3 * LIKING), strict=True):
        marginals = linear_chain_marginals(unary, liking * np.eye(3)).marginals
        title = "each word by itself" if liking == 0 else f"neighbors like equal labels: {liking:g}"
        mesh = _along_words(axes, marginals.T, words, list(ASKING), title)
        axes.tick_params(labelbottom=axes is all_axes[-1])
    color_scale(figure, mesh, all_axes, "probability")
    return (
        "Which of three queries does each word answer to? The labels of a chain are the three queries, their scores "
        f"those of the head. The more neighbors like the same label, the longer its stretches. {HEAD}"
    )


def _path(figure: Figure) -> str:
    unary, words = _topics()
    all_axes = figure.subplots(3, 1, sharex=True)
    rows = {
        "the largest score of each word": np.eye(3)[unary.argmax(axis=-1)],
        "the largest marginal of each word": np.eye(3)[
            linear_chain_marginals(unary, LIKING * np.eye(3)).marginals.argmax(axis=-1)
        ],
        "the best path": np.eye(3)[linear_chain_argmax(unary, LIKING * np.eye(3))],
    }
    for axes, (title, chosen) in zip(all_axes, rows.items(), strict=True):
        _along_words(axes, chosen.T, words, list(ASKING), title)
        axes.tick_params(labelbottom=axes is all_axes[-1])
    return (
        "One label per word, chosen in three ways. The path is the best as a whole: it changes where the change pays "
        f"for itself. {HEAD}"
    )


def _samples(figure: Figure) -> str:
    unary, words = _topics()
    pairwise, count = LIKING * np.eye(3), 400
    draws = np.random.default_rng(5).random((count, len(words)))
    paths = linear_chain_sample(unary, pairwise, uniform=draws)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    top.pcolormesh(paths[:12] / 2, cmap=WEIGHTS, vmin=0, vmax=1, rasterized=True)
    top.invert_yaxis()
    top.set(title="twelve samples, a shade per label: " + ", ".join(ASKING), ylabel="sample", yticks=[])
    top.spines[:].set_visible(False)
    exact = linear_chain_marginals(unary, pairwise).marginals
    for label, name in enumerate(ASKING):
        style = line(label)
        bottom.plot(np.arange(len(words)) + 0.5, exact[:, label], label=name, **style)
        share = (paths == label).mean(axis=0)
        bottom.plot(np.arange(len(words)) + 0.5, share, "osD"[label], color=style["color"], markersize=4)
    bottom.set_xticks(np.arange(len(words)) + 0.5, words, rotation=90)
    bottom.set(title=f"share among {count} samples (marks), and the marginals (lines)", ylim=(0, 1))
    bottom.tick_params(axis="x", length=0)
    bottom.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return f"Whole labelings drawn from the chain: stretches, not single words, vary together. {HEAD}"


def _segmentation(figure: Figure) -> str:
    query, key, value, words = real_head(*LAYER_HEAD)
    alone = sigmoid_attention(query, key, value, offset=0.0, return_weights=True).weights
    panels = [("each key by itself", alone)]
    for liking in (1.0, 2.0):
        transition = liking * np.eye(2)
        found = segmentation_attention(query, key, value, transition=transition, return_weights=True)
        panels.append((f"transition = {liking:g} on the diagonal", found.weights))
    draw_maps(figure, panels, words, label="probability that the key is selected")
    return (
        "The probability that a query (row) selects a key. By themselves keys are selected one by one; with a liking "
        f"for equal neighbors the selection comes in stretches. {HEAD}"
    )


def _segments(figure: Figure) -> str:
    query, key, _, words = real_head(*LAYER_HEAD)
    n, longest = len(words), 7
    affinity = query @ key.T / np.sqrt(key.shape[-1])
    affinity = (affinity + affinity.T) / 2
    affinity -= affinity[~np.eye(n, dtype=bool)].mean()
    panels = []
    for price in (0.0, 2.0):
        scores = np.zeros((n, longest, 1, 1))
        for start in range(n):
            for size in range(1, min(longest, n - start + 1)):
                inside = affinity[start : start + size, start : start + size]
                scores[start, size] = np.triu(inside, 1).sum() - price
        marginals = semi_markov_marginals(scores).marginals[..., 0, 0]  # (start, length)
        spans = np.zeros((n, n))
        for start in range(n):
            for size in range(1, min(longest, n - start + 1)):
                spans[start, start + size - 1] = marginals[start, size]
        panels.append(("segments are free" if price == 0 else f"each segment costs {price:g}", spans))
    all_axes = draw_maps(figure, panels, words, label="probability of the segment")
    for axes in all_axes:
        axes.set_xlabel("last word")
    all_axes[0].set_ylabel("first word")
    return (
        "Where does the sentence fall apart? A segment of up to six words scores the sum of the affinities of its "
        "words (their scores in the head, above the mean). A mark in row s and column t is the segment from word s to "
        f"word t. {HEAD}"
    )


def _conversation(figure: Figure) -> str:
    speakers = np.array([0, 0, 1, 0, 1, 1, 0, 1])
    emissions = np.zeros((8, 2))
    emissions[0, 1] = emissions[2, 0] = 2.5  # the first speaker starts angry, the second calm
    free = {"start": np.zeros(2), "end": np.zeros(2)}
    top, bottom = figure.subplots(2, 1, sharex=True)
    for axes, other, title in (
        (top, np.zeros((2, 2)), "speakers keep their own mood"),
        (bottom, 1.5 * np.eye(2), "speakers infect each other"),
    ):
        moods = skip_chain_crf(
            emissions, None, speakers, self_transition=2 * np.eye(2), other_transition=other, **free
        ).marginals[:, 1]
        chain = linear_chain_marginals(emissions, other).marginals[:, 1]
        for speaker in (0, 1):
            turns = np.flatnonzero(speakers == speaker)
            style = line(speaker)
            axes.plot(turns, moods[turns], marker="os"[speaker], label=f"speaker {'AB'[speaker]}", **style)
        axes.plot(chain, ":", color=line(2)["color"], label="a chain that knows no speakers")
        axes.set(title=title, ylim=(0, 1), ylabel="p(angry)")
        axes.grid(axis="y", linewidth=0.5)
    bottom.set_xticks(range(8), [f"{'AB'[speaker]}" for speaker in speakers])
    bottom.set_xlabel("who speaks, turn by turn")
    top.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return (
        "A conversation of two, of which only the first turn of each shows a mood: A is angry, B is calm. Arcs to the "
        "speaker's last turn carry both moods on, through each other's interruptions."
    )


FIGURES = {
    "linear_chain_marginals": _marginals,
    "linear_chain_argmax": _path,
    "linear_chain_sample": _samples,
    "segmentation_attention": _segmentation,
    "semi_markov_marginals": _segments,
    "skip_chain_crf": _conversation,
}
