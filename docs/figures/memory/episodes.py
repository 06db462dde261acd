"""Figures of free recall and of the task that measures recall."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from attlas_ref.memory.cmr import cmr_crp, cmr_encode, cmr_recall
from attlas_ref.memory.mqar_task import mqar_draws, mqar_task

from ..style import LINES, WEIGHTS, color_scale, line


def _associations(figure: Figure) -> str:
    panels = figure.subplots(1, 3)
    for axes, beta in zip(panels, (0.1, 0.5, 1.0), strict=True):
        mesh = axes.pcolormesh(cmr_encode(10, beta=beta), cmap=WEIGHTS, vmin=0, vmax=1, rasterized=True)
        axes.invert_yaxis()
        axes.set(
            title=f"beta = {beta:g}", xlabel="item", aspect="equal", xticks=range(0, 12, 2), yticks=range(0, 12, 2)
        )
        axes.spines[:].set_visible(False)
    panels[0].set_ylabel("what the context holds")
    color_scale(figure, mesh, list(panels), "association", below=True)
    return (
        "Ten items and the absorbing one at the end. An item is bound to those before it, the less the longer ago they "
        "were; with beta = 1 only to the one just before."
    )


LIST = 16


def _recalls(figure: Figure) -> str:
    rng = np.random.default_rng(0)
    memory = cmr_encode(LIST, beta=0.3, absorbing=False)
    lags = np.arange(-5, 6)
    left, right = figure.subplots(1, 2)
    for index, gamma in enumerate((0.0, 0.5, 1.0)):
        uniforms = rng.random((4000, 4))
        items = cmr_recall(memory, uniforms, beta=0.7, gamma=gamma, start=7, absorbing=False)
        first, then = items[:, :-1].ravel(), items[:, 1:].ravel()
        both = (first >= 0) & (then >= 0)
        steps = (then - first)[both]
        counts = np.array([(steps == lag).sum() for lag in lags])
        # How often an item at that lag was there to be recalled.
        places = np.array([((first[both] + lag >= 0) & (first[both] + lag < LIST)).sum() for lag in lags])
        left.plot(lags, counts / places, marker="o", markersize=4, label=f"gamma = {gamma:g}", **line(index))
        path = items[0][items[0] >= 0]
        right.plot(np.arange(len(path) + 1), [7, *path], marker="o", label=f"gamma = {gamma:g}", **line(index))
    left.set(title="How often the next item lies that far away", xlabel="lag", ylabel="share of the chances",
             xticks=lags, ylim=(0, None))  # fmt: skip
    left.legend()
    right.set(title="One trial of each", xlabel="recalls", ylabel="item", ylim=(-1, LIST))
    right.set_xticks(range(5))
    return (
        "4,000 trials on a list of sixteen, from the context of item 7 (encoding beta 0.3, recall beta 0.7). With "
        "gamma = 0 recall runs forward; the more an item brings back its old context, the more often it leads "
        "backward, or to itself, which nothing forbids."
    )


def _profiles(figure: Figure) -> str:
    lags = np.arange(-6, 7)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, beta, title in zip(
        panels, (1, 0), ("beta = 1: the last item alone", "beta = 0: as at the start"), strict=True
    ):
        for index, encoding in enumerate((0.8, 0.5, 0.2)):
            memory = cmr_encode(24, beta=encoding, absorbing=False)
            crp = cmr_crp(memory, beta=beta, start=4, max_lag=6)
            axes.plot(lags, crp, marker="o", markersize=4, label=f"encoding beta {encoding:g}", **line(index))
        axes.set(title=title, xlabel="lag", xticks=lags)
    panels[0].set_ylabel("conditional response probability")
    panels[0].legend(loc="upper left")
    return (
        "How likely the next item is to stand that many places behind the last. A context that moves with the items "
        "leads forward only; one that stays does not care about the order."
    )


def _task(figure: Figure) -> str:
    keys, values, gaps = [[3, 8, 5, 1]], [[14, 19, 12, 17]], [[2, 0, 5, 3]]
    inputs, labels = mqar_task(keys, values, gaps, seq_len=22)
    axes = figure.subplots()
    pairs = np.array(keys[0]).tolist()
    for place, (token, label) in enumerate(zip(inputs[0].tolist(), labels[0].tolist(), strict=True)):
        pair = place // 2 if place < 8 else pairs.index(token) if label >= 0 else -1
        color, hatch = ((*LINES, "gray")[pair], ("", "///", "\\\\\\", "xx", "")[pair])
        axes.add_patch(Rectangle((place - 0.45, 0), 0.9, 0.9, facecolor="none" if pair < 0 else color, alpha=0.35,
                                 edgecolor=color, hatch=hatch))  # fmt: skip
        axes.text(place, 0.45, str(token), ha="center", va="center")
        if label >= 0:
            axes.text(place, -0.65, str(label), ha="center", va="center", color=color, fontweight="bold")
            bend = f"arc3,rad={-0.18 - 0.04 * pair:g}"
            arrow = {"arrowstyle": "<-", "color": color, "connectionstyle": bend}
            axes.annotate("", (place, 1.0), (2 * pair + 1, 1.0), arrowprops=arrow)
    for height, name in ((0.45, "input"), (-0.65, "label")):
        axes.text(-1.2, height, name, ha="right", va="center")
    axes.set(xlim=(-3.2, 22), ylim=(-1.4, 3.4), title="Four pairs, then each key once more: what was its value?",
             xlabel="position")  # fmt: skip
    axes.set_xticks(range(0, 22, 2))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    return (
        "The first eight tokens are keys and values by turns. Where a key returns, the label is its value; all other "
        "positions are not judged. The arrows show where a model has to look."
    )


def _draws(figure: Figure) -> str:
    rng = np.random.default_rng(0)
    axes = figure.subplots()
    count, pairs, length = 2000, 4, 64
    room = (length - 2 * pairs) // 2
    for index, power in enumerate((0.01, 0.5, 1.0)):
        gaps = mqar_draws(rng, count, vocab_size=80, seq_len=length, num_pairs=pairs, power=power).gaps
        axes.plot(np.bincount(gaps.ravel(), minlength=room) / count, label=f"power {power:g}", **line(index))
    axes.set(title="When a pair is asked for", xlabel="gap (steps of two places behind the list)",
             ylabel="share of the sequences", ylim=(0, 1.05))  # fmt: skip
    axes.legend()
    return (
        "2,000 sequences of 64 tokens with four pairs. A low power asks early, as text tends to come back soon to what "
        "it has named; with power 1 all moments are alike."
    )


FIGURES = {
    "cmr_encode": _associations,
    "cmr_recall": _recalls,
    "cmr_crp": _profiles,
    "mqar_task": _task,
    "mqar_draws": _draws,
}
