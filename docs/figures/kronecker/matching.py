"""Figures of matching in pairs and triples: who matches, the arrays that find it, and what one softmax head misses."""

from collections.abc import Callable
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.kronecker.match_tasks import match2_construction, match2_task, match3_construction, match3_task
from attlas_ref.kronecker.tensor_attention import tensor_attention

from ..style import LINES, WEIGHTS, color_scale
from .learning import INPUTS, MODULUS, WIDTH, accuracy_of_softmax, limit_of_any_head

MARKERS = "osD^"
CLOCK = 12
PAIRED = (1, 4, 5, 7, 11)
PRESENT = (1, 2, 3, 4, 7, 11)
"""The numbers on the clocks of the first two figures."""
READER, TAKEN = 7, 2
"""Whose triples are drawn, and who is taken away."""
Reals = NDArray[np.float64]


def _clock(axes: Axes, present: tuple[int, ...], found: NDArray[np.bool_], title: str) -> Callable[[int], Reals]:
    """Draw numbers modulo M on a circle, filled where they match; return where a number stands."""

    def at(x: int) -> Reals:
        angle = np.pi / 2 - 2 * np.pi * x / CLOCK
        return np.array([np.cos(angle), np.sin(angle)])

    turn = np.linspace(0, 2 * np.pi, 181)
    axes.plot(np.cos(turn), np.sin(turn), color="gray", linewidth=0.6, zorder=0)
    for x in range(CLOCK):
        axes.text(*(1.17 * at(x)), str(x), ha="center", va="center", fontsize=11 if x in present else 8)
    for x, matches in zip(present, found, strict=True):
        face = LINES[0] if matches else "none"
        axes.plot(*at(x), "o", markersize=13, color=face, markeredgecolor=LINES[0], markeredgewidth=2, zorder=3)
    axes.set(title=title, aspect="equal", xlim=(-1.35, 1.35), ylim=(-1.3, 1.3))
    axes.axis("off")
    return at


def _pairs_on_a_clock(figure: Figure) -> str:
    axes = figure.subplots()
    at = _clock(axes, PAIRED, match2_task(PAIRED, modulus=CLOCK), f"Pairs that sum to 0 modulo {CLOCK}")
    for x, y in product(PAIRED, repeat=2):
        if x < y and (x + y) % CLOCK == 0:
            axes.plot(*np.transpose([at(x), at(y)]), color=LINES[0], zorder=0)
    return "Five numbers; filled are those that have a partner. A number and its partner mirror each other."


def _triples_on_a_clock(figure: Figure) -> str:
    others = tuple(x for x in PRESENT if x != TAKEN)
    left, right = figure.subplots(1, 2)
    for axes, present in ((left, PRESENT), (right, others)):
        at = _clock(axes, present, match3_task(present, modulus=CLOCK), ", ".join(map(str, present)))
        index = 0
        for x, y in product(present, repeat=2):
            if x <= y and (READER + x + y) % CLOCK == 0:
                corners = np.array([at(READER), at(x), at(y), at(READER)])
                axes.plot(*corners.T, color=LINES[index + 1], linestyle=("-", "--", ":")[index % 3], zorder=0)
                index += 1
    return (
        f"Triples that sum to 0 modulo {CLOCK}: filled are the numbers that belong to one (which may take a number "
        f"twice), drawn those of {READER}. Taking {TAKEN} away changes the answers of others: what a partner is good "
        "for depends on who else is there."
    )


def _distance_of_scores(figure: Figure) -> str:
    modulus, rng = 10, np.random.default_rng(5)
    left, right = figure.subplots(1, 2)
    tokens = np.arange(modulus)
    query, key, _ = match2_construction(tokens, modulus=modulus)
    left.axhline(0, color="gray", linewidth=1)
    left.plot(tokens, query[0] @ key[:-1].T, "o", color=LINES[0], markersize=8, label="a token")
    fine = np.linspace(0, modulus, 201)
    mu, c = -query[0, 2] / query[0, 0], query[0, 0]
    left.plot(fine, c * (np.cos(2 * np.pi * fine / modulus) - mu), color=LINES[0], linewidth=1, alpha=0.6)
    left.axhline(0, color=LINES[1], linestyle="--", label="the null token")
    left.set(title="Scores of pairs", xlabel="$x_i + x_j$ modulo 10", ylabel="score")
    left.legend(loc="center")
    inputs = rng.integers(0, modulus, (60, 4))
    output = softmax_attention(*match2_construction(inputs, modulus=modulus), scale=1.0)[..., 0]
    _strip(right, {"no partner": output[~match2_task(inputs, modulus=modulus)],
                   "a partner": output[match2_task(inputs, modulus=modulus)]})  # fmt: skip
    right.set_title("Outputs for 60 random inputs")
    return (
        "A pair that sums to 0 scores far above the null token, every other pair far below. So the output, the weight "
        "that the null token does not get, is on the right side of 1/2."
    )


def _strip(axes: Axes, groups: dict[str, Reals]) -> None:
    """Draw outputs as columns of dots, one per answer, and the threshold."""
    rng = np.random.default_rng(0)
    for index, (label, outputs) in enumerate(groups.items()):
        place = index + rng.uniform(-0.25, 0.25, len(outputs))
        axes.plot(place, outputs, MARKERS[index], color=LINES[index], markersize=4, alpha=0.7, label=label)
    axes.axhline(0.5, color="gray", linewidth=1)
    axes.set_xticks(range(len(groups)), groups)
    axes.set(ylabel="output", ylim=(-0.03, 1.03))


def _triple_detection(figure: Figure) -> str:
    left, right = figure.subplots(1, 2)
    partners = (0, MODULUS - 1)
    inputs = np.array([[1, b, c] for b in partners for c in partners])
    output = tensor_attention(*match3_construction(inputs, modulus=MODULUS), scale=1.0)[:, 0, 0].reshape(2, 2)
    mesh = left.pcolormesh(output, cmap=WEIGHTS, vmin=0, vmax=1, edgecolors="white", linewidth=2)
    for (row, column), x in np.ndenumerate(output):
        word = "match" if x > 0.5 else "none"
        color = "black" if x > 0.5 else "white"
        left.text(column + 0.5, row + 0.5, f"{word}\n{x:.2f}", ha="center", va="center", color=color)
    names = [str(x) for x in partners]
    left.set_xticks([0.5, 1.5], names)
    left.set_yticks([0.5, 1.5], names)
    left.tick_params(length=0)
    left.set(
        title="Third-order attention, width 5: token 1", xlabel="third token", ylabel="second token", aspect="equal"
    )
    left.invert_yaxis()
    left.spines[:].set_visible(False)
    color_scale(figure, mesh, left, "output")

    answers = match3_task(INPUTS, modulus=MODULUS)
    exact = tensor_attention(*match3_construction(INPUTS, modulus=MODULUS), scale=1.0)[..., 0] > 0.5
    widths = (1, 2, 5, 10)
    limit = limit_of_any_head()
    right.plot(widths, [accuracy_of_softmax(d) for d in widths], "o--", color=LINES[1], label="softmax heads, fitted")
    right.plot([WIDTH], [float((exact == answers).mean())], "s", color=LINES[0], markersize=9,
               label="third-order attention, constructed")  # fmt: skip
    right.axhline(limit, color=LINES[1], linewidth=1.2, label="limit of softmax heads of any width")
    same = max(answers.mean(), 1 - answers.mean())
    right.axhline(same, color="gray", linewidth=1, linestyle=":", label="always the same answer")
    right.set(title="Every input of three tokens modulo 5", xlabel="width of queries and keys", ylabel="right answers")
    right.set_xscale("log")
    right.set_xticks(widths, map(str, widths), minor=False)
    right.minorticks_off()
    right.set_ylim(0.2, 1.03)
    right.legend(loc="lower right")
    return (
        "Does token 1 belong to a triple that sums to 0 modulo 5? Left: yes on one diagonal, no on the other, an "
        "exclusive or. A softmax head with a threshold decides by a sum over single partners, which is the same over "
        "both diagonals, so it misses one of the four at any width: that is proven, and for all inputs the most that a "
        "head can get right is computed by integer programming. Right: how far fitted heads get, which is measured."
    )


FIGURES = {
    "match2_task": _pairs_on_a_clock,
    "match3_task": _triples_on_a_clock,
    "match2_construction": _distance_of_scores,
    "match3_construction": _triple_detection,
}
