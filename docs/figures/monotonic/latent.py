"""Figures of latent alignments: words aligned with an echo of themselves, by the keys of a real head."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.monotonic.latent_monotonic_log_prob import latent_monotonic_log_prob
from attlas_ref.monotonic.latent_monotonic_posterior import latent_monotonic_posterior
from attlas_ref.monotonic.latent_monotonic_viterbi import latent_monotonic_viterbi
from attlas_ref.monotonic.linear_alignment import linear_alignment
from attlas_ref.monotonic.monotonic_position_log_prob import monotonic_position_log_prob
from attlas_ref.monotonic.segmental_soft_attention import segmental_soft_attention
from attlas_ref.monotonic.windowed_soft_attention import windowed_soft_attention

from ..general import LAYER_HEAD, SOURCE, real_head
from ..panels import draw_maps
from ..style import LINES, color_scale, line, show_weights

Reals = NDArray[np.float64]
HEAD = f"{SOURCE}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}."
TIMES = 2
"""How often the echo says each word."""
STRETCH = slice(4, 18)


def echo(layer: int = LAYER_HEAD[0], head: int = LAYER_HEAD[1]) -> tuple[list[str], list[str], Reals]:
    """Words, the same words each said twice, and the logarithms of how well their keys match, (n, 2 n)."""
    _, key, _, words = real_head(layer, head, STRETCH)
    heard = np.repeat(key, TIMES, axis=0)
    match = key @ heard.T / np.sqrt(key.shape[-1])
    top = match.max(axis=-1, keepdims=True)
    return words, np.repeat(words, TIMES).tolist(), match - top - np.log(np.exp(match - top).sum(-1, keepdims=True))


def forward_moves(emission: Reals) -> Reals:
    """Transitions that go on by at least one position, all of them equally likely."""
    strict = {"strict": True, "allow_last": True}
    moves: Reals = monotonic_position_log_prob(np.zeros_like(emission[1:]), **strict)
    return moves


def posterior_of(emission: Reals) -> Reals:
    """Where the alignment is at each word, if it goes forward."""
    posterior: Reals = latent_monotonic_posterior(emission, forward_moves(emission))
    return posterior


def _likelihood(figure: Figure) -> str:
    *_, emission = echo()
    moves = forward_moves(emission)
    right = float(latent_monotonic_log_prob(emission, moves))
    rng = np.random.default_rng(3)
    orders = np.stack([rng.permutation(len(emission)) for _ in range(400)])
    shuffled = latent_monotonic_log_prob(emission[orders], moves)
    reverse = float(latent_monotonic_log_prob(emission[::-1], moves))
    axes = figure.subplots()
    axes.hist(shuffled, bins=30, color=LINES[0], label="400 shuffled orders")
    axes.axvline(right, label="the order in which it was heard", **line(1))
    axes.axvline(reverse, label="backward", **line(2))
    axes.set(title="only the right order finds its way forward", xlabel="log p", ylabel="orders")
    axes.legend()
    return (
        "Words said again after an echo of them, in the right order and in others. Each word by itself matches the "
        "echo as well in any order; summed over all alignments that go forward, the right order is far more likely. "
        f"{HEAD}"
    )


def _maps(figure: Figure, panels: list[tuple[str, Reals]], label: str, path: Reals | None = None) -> None:
    figure.set_size_inches(8.4, 6.4)
    said, heard, _ = echo()
    all_axes = figure.subplots(len(panels), 1, sharex=True)
    for axes, (title, values) in zip(all_axes, panels, strict=True):
        mesh = show_weights(axes, values, said, title, keys=heard)
        axes.set(xlabel="", ylabel="", aspect="auto")
        axes.tick_params(labelsize=7, labelbottom=axes is all_axes[-1])
        if path is not None:
            axes.plot(path + 0.5, np.arange(len(said)) + 0.5, "o", color=LINES[1], markersize=4)
    color_scale(figure, mesh, all_axes, label)


def _path(figure: Figure) -> str:
    *_, emission = echo()
    path = latent_monotonic_viterbi(emission, forward_moves(emission)).path
    best = np.eye(emission.shape[-1])[emission.argmax(axis=-1)]
    _maps(figure, [("each word by itself", np.exp(emission)), ("its best match", best)], "match", path)
    return (
        "Words (rows) and an echo that says each twice (columns). Dots: the best alignment that goes forward. Below, "
        f"where the best match of each word stands by itself. {HEAD}"
    )


def _posterior(figure: Figure) -> str:
    *_, emission = echo()
    panels = [("each word by itself", np.exp(emission)), ("given all words", posterior_of(emission))]
    _maps(figure, panels, "probability")
    return (
        "Words (rows) and an echo that says each twice (columns). By itself a word matches whatever is like it; the "
        f"posterior knows that the alignment goes forward, and that the rest has to fit in too. {HEAD}"
    )


def _moves(figure: Figure) -> str:
    said, _, _ = echo()
    _, key, _, _ = real_head(*LAYER_HEAD, STRETCH)
    energy = key[5] @ key.T / np.sqrt(key.shape[-1])
    panels = [
        (title, monotonic_position_log_prob(energy[None], log=False, **options)[0])
        for title, options in (
            ("may stay", {"strict": False}),
            ("must move on, but for the last", {"strict": True, "allow_last": True}),
        )
    ]
    all_axes = draw_maps(figure, panels, said, label="probability")
    for axes in all_axes:
        axes.set_xlabel("to")
    all_axes[0].set_ylabel("from")
    return (
        f"Moves of one step: from a position (row) to those ahead, with the match of each word with “{said[5]}” as its "
        f"energy. Columns keep their proportions from row to row; only what lies behind is taken out. {HEAD}"
    )


def _windows(figure: Figure) -> str:
    *_, emission = echo()
    _, key, _, _ = real_head(*LAYER_HEAD, STRETCH)
    twice = np.repeat(key, TIMES, axis=0)
    path = latent_monotonic_viterbi(emission, forward_moves(emission)).path
    near = windowed_soft_attention(key, twice, twice, path, left=3, right=2, return_weights=True).weights
    everywhere = softmax_attention(key, twice, twice, return_weights=True).weights
    _maps(figure, [("everywhere", everywhere), ("from three before the dot to two behind", near)], "weight", path)
    return (
        "Words (rows) attend to an echo that says each twice (columns), everywhere, and about the best forward "
        f"alignment (dots). The window keeps the likeness of words far away out of the mean. {HEAD}"
    )


def _segments(figure: Figure) -> str:
    said, heard, emission = echo()
    _, key, _, _ = real_head(*LAYER_HEAD, STRETCH)
    twice = np.repeat(key, TIMES, axis=0)
    found = latent_monotonic_viterbi(emission, forward_moves(emission)).path
    line_ = linear_alignment(len(said), len(heard))
    panels = [
        (title, segmental_soft_attention(key, twice, twice, ends, return_weights=True).weights)
        for title, ends in (("segments end on a straight line", line_), ("segments end where they were found", found))
    ]
    _maps(figure, panels, "weight")
    return (
        "Each word (row) attends to its own segment of an echo (columns), by content. Above the segments are of equal "
        f"length, the first guess; below they end at the best forward alignment. {HEAD}"
    )


def _lines(figure: Figure) -> str:
    axes = figure.subplots()
    for index, (n_out, n_in) in enumerate(((8, 30), (16, 30), (36, 30))):
        axes.plot(
            linear_alignment(n_out, n_in), "osD^"[index], markersize=4, label=f"{n_out} outputs", color=LINES[index]
        )
    axes.set(title="straight to the end of 30 positions", xlabel="output", ylabel="position")
    axes.grid(linewidth=0.5)
    axes.legend(loc="lower right")
    return (
        "First guesses for outputs of three lengths. The line rises by at least one position per output, so that the "
        "longest output reaches the end early and stays there."
    )


FIGURES = {
    "latent_monotonic_log_prob": _likelihood,
    "latent_monotonic_viterbi": _path,
    "latent_monotonic_posterior": _posterior,
    "monotonic_position_log_prob": _moves,
    "windowed_soft_attention": _windows,
    "segmental_soft_attention": _segments,
    "linear_alignment": _lines,
}
