"""Figures of latency: policies that read and write over a real sentence, and what the metrics say of them."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.monotonic.average_lagging import average_lagging, average_proportion, length_adaptive_average_lagging
from attlas_ref.monotonic.differentiable_average_lagging import differentiable_average_lagging
from attlas_ref.monotonic.expected_delay import expected_delay
from attlas_ref.monotonic.latency_loss import latency_loss, latency_variance

from ..general import LAYER_HEAD, SOURCE, real_head
from ..style import LINES, color_scale, line, show_weights
from .latent import echo, posterior_of

Reals = NDArray[np.float64]
HEAD = f"{SOURCE}, layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}."


def _attended() -> tuple[Reals, list[str]]:
    """The weights of a real head, and its words."""
    query, key, value, words = real_head(*LAYER_HEAD)
    weights: Reals = softmax_attention(query, key, value, return_weights=True).weights
    return weights, words


def _waiting(k: int, n: int) -> Reals:
    """The delays of a policy that waits for k words and then goes in step."""
    return np.minimum(np.arange(n) + k, n).astype(float)


def _adaptive(weights: Reals, share: float) -> Reals:
    """The delays of a policy that reads on until a share of the weight of each word has been read."""
    enough = (np.cumsum(weights, axis=-1) < share).sum(axis=-1) + 1
    return np.maximum.accumulate(np.minimum(enough, weights.shape[-1])).astype(float)


def _read(weights: Reals, delays: Reals) -> float:
    """The mean share of a word's attention that lies in what has been read."""
    return float(np.where(np.arange(weights.shape[-1]) < delays[:, None], weights, 0).sum() / len(weights))


def _stairs(axes: Axes, delays: Reals, label: str, index: int) -> None:
    axes.step(np.arange(len(delays)), delays, where="mid", label=label, **line(index))


def _curve(figure: Figure) -> str:
    weights, words = _attended()
    n = len(words)
    left, right = figure.subplots(1, 2)
    waiting, adaptive = _waiting(5, n), _adaptive(weights, 0.6)
    _stairs(left, waiting, f"wait for 5: AL {float(average_lagging(waiting, source_length=n)):.1f}", 0)
    _stairs(left, adaptive, f"wait for 60%: AL {float(average_lagging(adaptive, source_length=n)):.1f}", 1)
    left.plot(np.arange(n), np.arange(n), ":", color=LINES[2], label="ideal")
    left.set(title="what has been read before each word", xlabel="word that is written", ylabel="words read")
    left.legend(loc="lower right")
    policies = {
        "wait for k words": [_waiting(k, n) for k in range(1, n + 1)],
        "wait for a share of the weight": [_adaptive(weights, share) for share in np.linspace(0.05, 0.999, 40)],
    }
    for index, (label, all_delays) in enumerate(policies.items()):
        points = sorted((float(average_lagging(d, source_length=n)), _read(weights, d)) for d in all_delays)
        right.plot(*zip(*points, strict=True), marker="os"[index], markersize=3.5, label=label, **line(index))
    right.set(title="more is seen by those who wait", xlabel="average lagging (words)", ylim=(0, 1.02))
    right.set_ylabel("share of attention on what was read")
    right.grid(linewidth=0.5)
    right.legend(loc="lower right")
    return (
        "The latency curve of a real head that has to write a word for every word it reads. Waiting buys attention: to "
        "the right, the share of its weight that falls on words already read. A policy that waits only where the head "
        f"needs it sees as much or more at the same lag. {HEAD}"
    )


def _adaption(figure: Figure) -> str:
    axes = figure.subplots()
    source = target = 12
    counts = np.arange(target, 3 * target + 1)
    # A translator of any length who reads at the pace of its own writing, three words behind.
    every = [np.minimum(np.arange(m) * source / m + 3, source) for m in counts]
    metrics = {"average lagging": average_lagging, "length-adaptive": length_adaptive_average_lagging}
    for index, (label, metric) in enumerate(metrics.items()):
        lags = [float(metric(delays, source_length=source, target_length=target)) for delays in every]
        axes.plot(counts, lags, label=label, **line(index))
    axes.axhline(0, color=LINES[3], linewidth=0.8)
    axes.set(title="who writes too much looks fast, even ahead of time", xlabel="words written", ylabel="lag (words)")
    axes.legend()
    return (
        "Translations of a source of 12 words, all of them three words behind, of which the first is as long as the "
        "reference. Average lagging compares with the pace of the reference, which a long translation outruns; the "
        "length-adaptive one with the longer of the two."
    )


def _proportion(figure: Figure) -> str:
    left, right = figure.subplots(1, 2, sharex=True)
    lengths = np.arange(4, 61)
    for index, k in enumerate((1, 3, 7)):
        every = [_waiting(min(k, n), n) for n in lengths]
        for axes, metric in ((left, average_proportion), (right, average_lagging)):
            values = [float(metric(d, source_length=n)) for d, n in zip(every, lengths, strict=True)]
            axes.plot(lengths, values, label=f"wait for {k}", **line(index))
    left.set(title="the proportion tells short from long", xlabel="length (words)", ylabel="AP", ylim=(0, 1.02))
    right.set(title="the lag tells how long was waited", xlabel="length (words)", ylabel="AL (words)", ylim=(0, 8))
    right.legend(loc="center right")
    return (
        "Three policies on sentences of 4 to 60 words. Average proportion falls to one half as sentences grow, "
        "whatever the policy; average lagging stays at the number of words that were waited for."
    )


def _differentiable(figure: Figure) -> str:
    weights, words = _attended()
    n = len(words)
    delays = _adaptive(weights, 0.6)
    lag = delays - np.arange(n)
    axes = figure.subplots()
    axes.step(np.arange(n), lag, where="mid", label="lag of each word", **line(0))
    axes.step(np.arange(n), np.maximum.accumulate(lag), where="mid", label="largest so far", **line(1))
    counted = int(np.argmax(delays >= n))
    axes.axvline(counted + 0.5, color=LINES[2], linestyle=":", label="average lagging stops counting")
    axes.set_xticks(np.arange(n), words, rotation=90)
    al, dal = (float(f(delays, source_length=n)) for f in (average_lagging, differentiable_average_lagging))
    axes.set(title=f"lost time stays lost: AL {al:.1f}, DAL {dal:.1f}", xlabel="word that is written")
    axes.set(ylabel="lag (words)", ylim=(0, None))
    axes.legend()
    return (
        "A policy that waits until 60% of a real head's weight has been read. Average lagging is the mean of the lower "
        "line up to the first word after the end of the source, differentiable average lagging the mean of the whole "
        f"upper line. {HEAD}"
    )


def _delay(figure: Figure) -> str:
    said, heard, emission = echo()
    posterior = posterior_of(emission)
    axes = figure.subplots()
    mesh = show_weights(axes, posterior, said, "the line is the expected delay of each word", keys=heard)
    axes.set(xlabel="heard", ylabel="said again", aspect="auto")
    axes.plot(expected_delay(posterior) - 0.5, np.arange(len(said)) + 0.5, "o-", color=LINES[1], markersize=4)
    color_scale(figure, mesh, axes, "probability of the position")
    return (
        "An alignment of words with themselves, each of them heard twice, from the keys of a real head. The expected "
        f"number of positions that have been read goes forward with the alignment. {HEAD}"
    )


def _gathering(figure: Figure) -> str:
    n, fast = 24, 2
    axes = figure.subplots()
    slow = np.arange(fast, 16)

    def head(k: int) -> Reals:
        return np.eye(n)[_waiting(k, n).astype(int) - 1]

    for index, gather in enumerate(("max", "paper", "weighted_average", "average")):
        losses = [
            float(latency_loss(np.stack([head(fast)] * 3 + [head(k)]), source_length=n, gather=gather)) for k in slow
        ]
        axes.plot(slow, losses, label=gather, **line(index))
    axes.set(title="one slow head among four", xlabel="words that the slow head waits for", ylabel="loss (words)")
    axes.legend()
    return (
        "Three heads wait for two words, the fourth for more and more. The mean spreads the blame; the softmaxes give "
        "nearly all of it to the slowest head once it stands out, which is the one that the others wait for."
    )


def _variance(figure: Figure) -> str:
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, heads, title in (
        (left, ((1, 4), (1, 5), (1, 6)), "heads of one layer"),
        (right, ((1, 4), (3, 1), (5, 0)), "heads of three layers"),
    ):
        alignment = np.stack([posterior_of(echo(*place)[2]) for place in heads])
        delays = expected_delay(alignment)
        for index, (place, apart) in enumerate(zip(heads, delays - delays.mean(axis=0), strict=True)):
            label = f"layer {place[0]}, head {place[1]}"
            axes.plot(apart, marker="osD"[index], markersize=3.5, label=label, **line(index))
        axes.set(title=f"{title}: variance {float(latency_variance(alignment)):.2f}", xlabel="word that is written")
        axes.grid(axis="y", linewidth=0.5)
        axes.legend()
    left.set_ylabel("expected delay beyond the mean (positions)")
    return (
        "Expected delays of three heads at a time, each aligning words with an echo of them, beside their mean. The "
        f"variance is how far the lines lie apart, averaged over the words. {SOURCE}."
    )


FIGURES = {
    "average_lagging": _curve,
    "length_adaptive_average_lagging": _adaption,
    "average_proportion": _proportion,
    "differentiable_average_lagging": _differentiable,
    "expected_delay": _delay,
    "latency_loss": _gathering,
    "latency_variance": _variance,
}
