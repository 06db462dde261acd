"""Figures of connectionist temporal classification, on words that are heard one frame after the other."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.monotonic.align_with_purpose import align_with_purpose_loss, shift_alignment
from attlas_ref.monotonic.ctc_collapse import ctc_collapse, ctc_greedy
from attlas_ref.monotonic.ctc_log_likelihood import ctc_log_likelihood, ctc_posterior
from attlas_ref.monotonic.ctc_viterbi import ctc_viterbi

from ..probabilistic.words import HERE, WORDS_FROM, words_at
from ..style import LINES, color_scale, show_weights

Reals = NDArray[np.float64]
LASTING = (2, 3, 1, 2, 4, 2, 1, 3)
"""How many frames each word lasts."""
PAUSE = 0.14
"""The similarity that a frame must exceed to be taken for a word."""
SHARPNESS = 14.0
NOISE = 3.8
"""Of a frame, beside a word vector of length 1."""
HEARD = f"Frames are {WORDS_FROM}, with noise; between the words it is silent."


class Recording(NamedTuple):
    """Frames and what they say."""

    log_probs: Reals
    """(T, V): the blank, then the words."""
    words: list[str]
    spoken: NDArray[np.int64]
    """(T,) the symbol that was meant."""

    @property
    def symbols(self) -> list[str]:
        return ["(blank)", *self.words]

    @property
    def text(self) -> NDArray[np.int64]:
        return np.arange(1, len(self.words) + 1)


@cache
def recording() -> Recording:
    """Speak the words of a text, each some frames long, with a pause behind each."""
    rng = np.random.default_rng(7)
    vectors, words = words_at(HERE)
    vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    spoken = np.array([symbol for k, lasting in enumerate(LASTING, 1) for symbol in [k] * lasting + [0]])
    frames = np.vstack([np.zeros(vectors.shape[-1]), vectors])[spoken]
    frames = frames + NOISE * rng.normal(size=frames.shape) / np.sqrt(frames.shape[-1])
    frames = frames / np.linalg.norm(frames, axis=-1, keepdims=True)
    scores = SHARPNESS * np.column_stack([np.full(len(frames), PAUSE), frames @ vectors.T])
    return Recording(scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True), words, spoken)


def _show(axes: Axes, probabilities: Reals, title: str, *, label: bool = True) -> object:
    """Draw probabilities (T, V) with the frames along the foot."""
    heard = recording()
    frames = [str(t) if t % 5 == 0 else "" for t in range(len(probabilities))]
    mesh = show_weights(axes, probabilities.T, heard.symbols, title, keys=frames, label_queries=label)
    axes.set(xlabel="frame", ylabel="", aspect="auto")
    axes.tick_params(axis="x", rotation=0)
    return mesh


def _likelihood(figure: Figure) -> str:
    heard = recording()
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    mesh = _show(left, np.exp(heard.log_probs), "what each frame says by itself")
    color_scale(figure, mesh, left, "probability")
    text = heard.text.tolist()
    swapped = [*text[:3], text[4], text[3], *text[5:]]
    texts = {
        "as it was said": text,
        "read greedily": ctc_greedy(heard.log_probs).tolist(),
        "without 'bank'": [symbol for symbol in text if heard.symbols[symbol] != "bank"],
        "'book' twice": [*text[:5], text[4], *text[5:]],
        "'book bank'": swapped,
    }
    scores = [float(ctc_log_likelihood(heard.log_probs, candidate)) for candidate in texts.values()]
    right.barh(range(len(texts)), scores, color=LINES[0])
    for row, score in enumerate(scores):
        right.text(score, row, f"{score:.1f} ", ha="right", va="center")
    right.set_yticks(range(len(texts)), list(texts))
    right.invert_yaxis()
    right.set(title="how likely is a text?", xlabel="log likelihood", xlim=(1.35 * min(scores), 0))
    return (
        "A text is as likely as all alignments of its words with the frames are together. The frames never say where a "
        f"word begins. {HEARD}"
    )


def _posterior(figure: Figure) -> str:
    heard = recording()
    all_axes = figure.subplots(1, 2)
    _show(all_axes[0], np.exp(heard.log_probs), "each frame by itself")
    posterior = ctc_posterior(heard.log_probs, heard.text)
    mesh = _show(all_axes[1], posterior, "given the text", label=False)
    color_scale(figure, mesh, all_axes, "probability")
    return (
        "Once the text is known, doubtful frames are cleared up by their neighbors: words come in order and none is "
        f"left out. The difference of the two is the gradient of the loss. {HEARD}"
    )


def _viterbi(figure: Figure) -> str:
    heard = recording()
    alignment, score = ctc_viterbi(heard.log_probs, heard.text)
    log_likelihood = ctc_log_likelihood(heard.log_probs, heard.text)
    axes = figure.subplots()
    mesh = _show(axes, ctc_posterior(heard.log_probs, heard.text), "the best alignment among all of the text")
    color_scale(figure, mesh, axes, "probability")
    at = np.arange(len(alignment)) + 0.5
    axes.plot(at, alignment + 0.5, "o-", color=LINES[1], markersize=4, linewidth=1.2, label="best alignment")
    axes.plot(at, heard.spoken + 0.5, "x", color=LINES[3], markersize=8, label="what was spoken")
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2)
    wrong = int((alignment != heard.spoken).sum())
    return (
        f"The best alignment carries {np.exp(score - log_likelihood):.1%} of the likelihood of the text, and differs "
        f"from what was spoken in {wrong} of {len(alignment)} frames. {HEARD}"
    )


def _reading(figure: Figure) -> str:
    heard = recording()
    best = heard.log_probs.argmax(axis=-1)
    begins = np.append(True, best[1:] != best[:-1])
    rows = {
        "likeliest symbol": np.ones(len(best), dtype=bool),
        "repeats dropped": begins,
        "blanks dropped": begins & (best != 0),
    }
    axes = figure.subplots()
    faint = str(matplotlib.rcParams["grid.color"])
    for row, kept in enumerate(rows.values()):
        for t in np.flatnonzero(kept):
            blank = best[t] == 0
            axes.add_patch(
                matplotlib.patches.Rectangle(
                    (t + 0.05, row + 0.05), 0.9, 0.9, facecolor="none" if blank else faint, edgecolor=faint
                )
            )
            word = "–" if blank else heard.symbols[best[t]]
            axes.text(t + 0.5, row + 0.5, word, rotation=90, ha="center", va="center", fontsize=8)
    axes.set_yticks(np.arange(3) + 0.5, list(rows))
    axes.set(xlim=(0, len(best)), ylim=(3, 0), xlabel="frame", title="from a symbol per frame to a text")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    text = [heard.symbols[symbol] for symbol in ctc_collapse(best)]
    return (
        f"Reading without a text: {len(best)} frames become {len(text)} words, where {len(heard.words)} were said. "
        f"One wrong frame is enough for a wrong word. {HEARD}"
    )


def _shifts(figure: Figure) -> str:
    heard = recording()
    alignment = ctc_viterbi(heard.log_probs, heard.text).alignment
    gains, terms = np.full(len(alignment), np.nan), np.full(len(alignment), np.nan)
    frames = np.arange(len(alignment))
    for position in frames:
        try:
            shifted = shift_alignment(alignment, position=int(position))
        except ValueError:
            continue
        gains[position] = heard.log_probs[frames, shifted].sum() - heard.log_probs[frames, alignment].sum()
        terms[position] = align_with_purpose_loss(heard.log_probs, alignment[None], shifted[None], space="log")
    axes = figure.subplots()
    axes.bar(frames, gains, color=LINES[0], label="log P(ā) − log P(a)")
    axes.plot(frames, terms, "o", color=LINES[1], label="what the hinge charges")
    needed = np.isnan(gains)
    axes.plot(frames[needed], np.zeros(needed.sum()), "x", color=LINES[3], label="needed: may not be left out")
    axes.set_xticks(frames, [heard.symbols[symbol] if symbol else "–" for symbol in alignment], rotation=90, fontsize=8)
    axes.tick_params(axis="x", length=0)
    axes.set(
        title="leave out one frame, and all that follows comes earlier", xlabel="frame that is left out", ylabel="nats"
    )
    axes.legend()
    return (
        "The best alignment a of a text, and its improved forms ā, one per frame that can be spared. The earlier the "
        f"frame, the more words move, and the less likely the model holds it: the hinge charges for that. {HEARD}"
    )


FIGURES: dict[str, Callable[[Figure], str]] = {
    "ctc_log_likelihood": _likelihood,
    "ctc_posterior": _posterior,
    "ctc_viterbi": _viterbi,
    "ctc_collapse": _reading,
    "ctc_greedy": _reading,
    "align_with_purpose_loss": _shifts,
    "shift_alignment": _shifts,
}
