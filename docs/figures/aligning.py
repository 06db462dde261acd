"""Figures of the page that aligns words with a late and repeating copy of themselves, by real queries and keys."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.monotonic.average_lagging import average_lagging
from attlas_ref.monotonic.infinite_lookback_weights import infinite_lookback_weights
from attlas_ref.monotonic.latent_monotonic_viterbi import latent_monotonic_viterbi
from attlas_ref.monotonic.monotonic_attention import monotonic_attention
from attlas_ref.monotonic.monotonic_hard_alignment import monotonic_hard_alignment
from attlas_ref.monotonic.monotonic_position_log_prob import monotonic_position_log_prob
from attlas_ref.monotonic.segmental_soft_attention import segmental_soft_attention
from attlas_ref.monotonic.windowed_soft_attention import windowed_soft_attention

from .general import ALL, TEXT, real_head
from .style import LINES, color_scale, line, show_weights

Reals = NDArray[np.float64]
LAYER_HEAD = (2, 9)
"""The head that looks for the same word."""
LOOK_ALIKES = ((2, 9), (1, 1), (3, 5))
"""The three heads whose queries find their own word best, in this order."""
LENGTH, SHOWN = 14, 74
"""Words of a stretch, and the first word of the one that is drawn."""
STARTS = range(9, 132 - LENGTH, 5)
"""Where the stretches begin: the whole text, in stretches that overlap."""
MOST, LATEST = 4, 8
"""The copy says a word up to so many times, and begins at most so many words late."""
BACK, AHEAD = 2, 9
GAIN, THRESHOLD = 4.0, 1.0
"""Of the pointer, in place of training: with this gain no other threshold serves one of the heads better by 0.02."""
TRUE = "#ff5040"
"""Stands out on every color of the map."""
COPY = f"{TEXT}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}."


class Echo(NamedTuple):
    """Words, and a copy of the text that begins before them and repeats every word."""

    query: Reals
    key: Reals
    words: list[str]
    place: NDArray[np.int64]
    """(n,) what the copy says: 0 is the first of the words, and what came before them is below 0."""

    @property
    def true(self) -> NDArray[np.bool_]:
        """(m, n): where the copy says each word."""
        return np.arange(len(self.words))[:, None] == self.place

    @property
    def scores(self) -> Reals:
        return self.query @ self.key.T / np.sqrt(self.key.shape[-1])


@cache
def echo(start: int, layer: int, head: int) -> Echo:
    """Return a stretch of the text; how late the copy is and how often it says a word is drawn for each stretch."""
    rng = np.random.default_rng(start)
    times, late = rng.integers(1, MOST + 1, LENGTH), int(rng.integers(2, LATEST + 1))
    query, key, _, words = real_head(layer, head, ALL)
    place = np.concatenate([np.arange(-late, 0), np.repeat(np.arange(LENGTH), times)])
    stretch = slice(start, start + LENGTH)
    return Echo(query[stretch], key[start + place], words[stretch], place)


def share(weights: Reals, heard: Echo) -> float:
    """Return the share of mass on the true word, mean over the words."""
    return float(np.where(heard.true, weights, 0).sum() / len(weights))


def soft(heard: Echo) -> Reals:
    """Look everywhere."""
    weights: Reals = softmax_attention(heard.query, heard.key, heard.key, return_weights=True).weights
    return weights


def windowed(heard: Echo) -> Reals:
    """Look from a little before the last peak to well behind it."""
    rows, center = [], 0
    for i in range(len(heard.query)):
        row = windowed_soft_attention(
            heard.query[i : i + 1], heard.key, heard.key, np.array([center]), left=BACK, right=AHEAD,
            return_weights=True,
        ).weights[0]  # fmt: skip
        center = int(row.argmax())
        rows.append(row)
    return np.array(rows)


def monotonic(heard: Echo) -> Reals:
    """Go forward and stop with a probability: the expectation over all walks."""
    sharp = {"scale": GAIN / np.sqrt(heard.key.shape[-1]), "r": -GAIN * THRESHOLD}
    weights: Reals = monotonic_attention(
        heard.query, heard.key, heard.key, score="scaled_dot", **sharp, return_weights=True
    ).weights
    return weights


def segmental(heard: Echo) -> Reals:
    """Find the likeliest ends of segments that follow one another, then look within each word's own."""
    match = heard.scores - np.logaddexp.reduce(heard.scores, axis=-1, keepdims=True)
    forward = monotonic_position_log_prob(np.zeros_like(match[1:]), strict=True, allow_last=True)
    ends = latent_monotonic_viterbi(match, forward).path
    weights: Reals = segmental_soft_attention(heard.query, heard.key, heard.key, ends, return_weights=True).weights
    return weights


KINDS: dict[str, Callable[[Echo], Reals]] = {
    "soft": soft,
    "windowed": windowed,
    "monotonic": monotonic,
    "segmental": segmental,
}


def shares(kind: Callable[[Echo], Reals], layer: int, head: int) -> Reals:
    """Return the share of mass on the true word in each stretch of the text."""
    every = (echo(start, layer, head) for start in STARTS)
    return np.array([share(kind(heard), heard) for heard in every])


def _map(axes: Axes, heard: Echo, title: str, weights: Reals) -> object:
    said = np.maximum(heard.place, -1)
    runs = [np.flatnonzero(said == word) for word in range(-1, LENGTH)]
    mesh = show_weights(axes, weights, heard.words, title, keys=[""] * weights.shape[1])
    axes.set_xticks([run.mean() + 0.5 for run in runs], ["(earlier)", *heard.words], rotation=90, fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.set(aspect="auto", xlabel="what the copy says", ylabel="word that asks")
    for row, run in enumerate(runs[1:]):
        axes.add_patch(Rectangle((run[0], row), len(run), 1, fill=False, edgecolor=TRUE, linewidth=1.2, clip_on=False))
    return mesh


def _maps(figure: Figure) -> str:
    figure.set_size_inches(8.4, 6.6)
    heard = echo(SHOWN, *LAYER_HEAD)
    grid = figure.subplots(2, 2)
    for axes, (name, kind) in zip(grid.ravel(), KINDS.items(), strict=True):
        weights = kind(heard)
        mesh = _map(axes, heard, f"{name}: {share(weights, heard):.0%} on the true word", weights)
        axes.label_outer(remove_inner_ticks=True)
    color_scale(figure, mesh, list(grid.ravel()), "weight", below=True)
    late, often = int((heard.place < 0).sum()), np.bincount(heard.place[heard.place >= 0])
    return (
        f"{LENGTH} words ask, a copy of the text answers: it begins {late} words late and says every word "
        f"{often.min()} to {often.max()} times. Frames mark where the copy says the word that asks. {COPY}"
    )


def _heads(figure: Figure) -> str:
    axes = figure.subplots()
    rng = np.random.default_rng(0)
    for index, (name, kind) in enumerate(KINDS.items()):
        for group, place in enumerate(LOOK_ALIKES):
            found, at = shares(kind, *place), group + 0.2 * (index - 1.5)
            axes.bar(at, found.mean(), 0.18, color=LINES[index], alpha=0.4, linewidth=0)
            axes.plot(at + 0.05 * rng.uniform(-1, 1, len(found)), found, "osD^"[index], color=LINES[index],
                      markersize=3, label=name if group == 0 else None)  # fmt: skip
            axes.text(at, 1.03, f"{found.mean():.2f}", ha="center", fontsize=8.5)
    axes.set_xticks(range(len(LOOK_ALIKES)), [f"layer {layer}, head {head}" for layer, head in LOOK_ALIKES])
    axes.set(ylabel="share of mass on the true word", ylim=(0, 1.08))
    axes.set_title("what each alignment makes of three heads", pad=14)
    axes.tick_params(axis="x", length=0)
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.1))
    return (
        f"{len(STARTS)} stretches of {LENGTH} words (dots) and their means (bars, numbers), for the three heads that "
        f"find their own word best. {TEXT}."
    )


def _behind(read: NDArray[np.int64], heard: Echo) -> tuple[float, float, float]:
    """Return the lag, and the shares of a reader of all that has come and of one of the last word alone."""
    last = np.eye(len(heard.key))[read - 1]
    everything = infinite_lookback_weights(last, heard.scores)
    lag = float(average_lagging(read, source_length=len(heard.key)))
    return lag, share(everything, heard), share(last, heard)


def waiting(k: int) -> Reals:
    """Write after k words, then at the mean pace of the copy; return lag and shares, mean over the text."""
    found = []
    for heard in (echo(start, *LAYER_HEAD) for start in STARTS):
        n = len(heard.key)
        found.append(_behind(np.minimum(k + np.arange(LENGTH) * n // LENGTH, n), heard))
    return np.mean(found, axis=0)


def stopping(threshold: float) -> Reals:
    """Read on to the first word whose score reaches a threshold; return lag and shares, mean over the text."""
    found = []
    for heard in (echo(start, *LAYER_HEAD) for start in STARTS):
        chance = 1 / (1 + np.exp(threshold - heard.scores))
        stops = monotonic_hard_alignment(chance, stay_on_last=True, return_index=True).index
        found.append(_behind(stops + 1, heard))
    return np.mean(found, axis=0)


def _latency(figure: Figure) -> str:
    figure.set_size_inches(8.4, 4.6)
    axes = figure.subplots()
    wait = np.array([waiting(k) for k in (*range(1, 13), 15, 20, 25, 30)])
    stop = np.array([stopping(threshold) for threshold in (*np.arange(-1, 2.01, 0.25), 2.5, 3.0)])
    curves = {
        "monotonic pointer, reads its stop": (stop[:, 0], stop[:, 2]),
        "monotonic pointer, looks back": (stop[:, 0], stop[:, 1]),
        "wait for k words, looks back": (wait[:, 0], wait[:, 1]),
    }
    for index, (label, (lag, mass)) in enumerate(curves.items()):
        axes.plot(lag, mass, marker="osD"[index], markersize=4, label=label, **line(index))
    for name in ("soft", "segmental"):
        level = shares(KINDS[name], *LAYER_HEAD).mean()
        axes.axhline(level, color="gray", linewidth=1, linestyle=":")
        axes.text(29.8, level - 0.015, f"{name}, all is heard first", ha="right", va="top", fontsize=9)
    axes.set(title="who listens for the word needs less delay", xlim=(0, 30), ylim=(0, 1.03))
    axes.set(xlabel="average lagging (words of the copy)", ylabel="share of mass on the true word")
    axes.grid(linewidth=0.5)
    axes.legend(loc="lower left", bbox_to_anchor=(0.19, 0.02))
    return (
        "The same words, written while the copy still speaks. To wait for k words needs no ear, and is wrong wherever "
        "the copy is not at its mean pace; a pointer stops where a word sounds right. Points: k from 1 to 30, and "
        f"thresholds of the score from −1 to 3. Means over {len(STARTS)} stretches. {COPY}"
    )


FIGURES: dict[str, Callable[[Figure], str]] = {
    "alignment-maps": _maps,
    "alignment-heads": _heads,
    "alignment-latency": _latency,
}
