"""Figures of networks of bits: a recalled picture, and how many patterns fit."""

from functools import cache
from math import exp, lgamma, log

import matplotlib
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import erfc

from attlas_ref.memory.classical_hopfield import classical_hopfield
from attlas_ref.memory.dense_associative_memory import dense_associative_memory

from ..style import LINES, line

LETTERS = {
    "T": "###### ###### ..##.. ..##.. ..##.. ..##.. ..##.. ..##..",
    "O": ".####. ##..## #....# #....# #....# #....# ##..## .####.",
    "E": "###### ##.... ##.... ####.. ####.. ##.... ##.... ######",
    "S": ".##### ##.... ##.... .####. ....## ....## ....## #####.",
}
ROWS, COLUMNS = 8, 6
WIDTH = 40
"""Bits of the patterns whose capacity is measured."""
PROBES = 60
"""Patterns of each network that are tried."""
TRIALS = 2


def _pictures() -> NDArray[np.int64]:
    """The letters as bits, (4, 48)."""
    text = ("".join(rows.split()) for rows in LETTERS.values())
    return np.array([[1 if dot == "#" else -1 for dot in dots] for dots in text])


def _recall(figure: Figure) -> str:
    patterns, rng = _pictures(), np.random.default_rng(5)
    noisy = np.where(rng.random(patterns.shape) < 0.2, -patterns, patterns)
    grid = figure.add_gridspec(1, 2, width_ratios=(3, 2))
    pictures = figure.add_subfigure(grid[0]).subplots(3, len(patterns))
    ground = ListedColormap(["none", LINES[0]])
    for row, steps in zip(pictures, (0, 1, 4), strict=True):
        states = classical_hopfield(noisy, patterns, steps=steps, update="async")
        for axes, state in zip(row, states, strict=True):
            axes.pcolormesh(
                state.reshape(ROWS, COLUMNS), cmap=ground, vmin=-1, vmax=1, linewidth=0.4, rasterized=True,
                edgecolors=str(matplotlib.rcParams["grid.color"]),
            )  # fmt: skip
            axes.invert_yaxis()
            axes.set_aspect("equal")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        row[0].set_ylabel(("noisy", "1 sweep", "4 sweeps")[(0, 1, 4).index(steps)])
    axes = figure.add_subfigure(grid[1]).subplots()
    loads = np.linspace(0.02, 0.5, 49)
    axes.plot(loads, erfc(1 / np.sqrt(2 * loads)) / 2, label="theory", **line(0))
    measured = np.array(list(_wrong_bits().items()))
    axes.plot(measured[:, 0], measured[:, 1], "o", color=LINES[1], label="400 bits")
    axes.axvline(0.138, color="gray", linewidth=1)
    axes.text(0.145, 0.078, "0.138 d", va="top")
    axes.set(title="Stored patterns after one step", xlabel="patterns per bit, n / d", ylabel="share of wrong bits")
    axes.legend(loc="lower right")
    return (
        "Left: four letters of 48 bits are stored, and recalled from copies of which a fifth of the bits are wrong. "
        "Right: the more random patterns, the more bits of a stored one have a field of the wrong sign; the theory is "
        "that of normal noise, erfc(√(d/2n))/2. Above 0.138 d such errors feed each other."
    )


@cache
def _wrong_bits() -> dict[float, float]:
    """Share of wrong bits after one step from a stored pattern, by patterns per bit."""
    rng, d, found = np.random.default_rng(6), 400, {}
    for n in (20, 40, 60, 80, 100, 140, 180):
        patterns = rng.choice([-1, 1], size=(n, d))
        found[n / d] = float((classical_hopfield(patterns, patterns) != patterns).mean())
    return found


def capacity(degree: int, d: int) -> float:
    """How many random patterns a polynomial memory of some degree holds without errors, to leading order."""
    return d ** (degree - 1) / (2 * _double_factorial(2 * degree - 3) * log(d))


def stable_share(degree: int, d: int, n: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of n random patterns that the same theory expects to have no wrong bit, (1 − P)^d."""
    signal = d ** (degree - 1) / (_double_factorial(2 * degree - 3) * n)  # squared, in units of the noise
    share: NDArray[np.float64] = (1 - erfc(np.sqrt(signal / 2)) / 2) ** d
    return share


def _double_factorial(odd: int) -> float:
    """1 · 3 · ... · odd."""
    k = (odd + 1) // 2
    return exp(lgamma(2 * k + 1) - lgamma(k + 1) - k * log(2))


@cache
def _stable(energy: str, degree: int, numbers: tuple[int, ...]) -> list[float]:
    """The share of so many stored patterns that are fixed points."""
    rng, shares = np.random.default_rng(7), []
    for n in numbers:
        kept = []
        for _ in range(TRIALS):
            patterns = rng.choice([-1, 1], size=(n, WIDTH))
            probes = patterns[: min(PROBES, 30_000 // n)]
            output = dense_associative_memory(probes, patterns, energy=energy, degree=degree)
            kept.append((output == probes).all(axis=-1).mean())
        shares.append(float(np.mean(kept)))
    return shares


def _capacity(figure: Figure) -> str:
    axes = figure.subplots()
    for index, degree in enumerate((2, 3, 4)):
        center, look = capacity(degree, WIDTH), line(index)
        numbers = tuple(max(2, round(center * factor)) for factor in (0.25, 0.5, 1, 2, 4, 8))
        steps = np.geomspace(numbers[0], numbers[-1], 200)
        axes.plot(steps, stable_share(degree, WIDTH, steps), label=f"degree {degree}, theory", **look)
        axes.plot(numbers, _stable("polynomial", degree, numbers), "os^"[index], color=look["color"],
                  label=f"degree {degree}, measured")  # fmt: skip
        axes.axvline(center, color=look["color"], linewidth=0.8)
    numbers = (10, 100, 1000, 4000)
    axes.plot(numbers, _stable("exp", 2, numbers), "D", color=LINES[3], label="exponential, measured")
    axes.set(
        xscale="log",
        title=f"How many random patterns of {WIDTH} bits are fixed points",
        xlabel="stored patterns",
        ylabel="share without a wrong bit",
        ylim=(-0.02, 1.04),
    )
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.15), fontsize=8.5)
    return (
        "Markers: the share of stored patterns that one step leaves as they are. Lines: (1 − P)^d with P the chance "
        "of a wrong bit under normal noise of the leading order; thin verticals: the capacity d^(p−1) / "
        "(2 (2p−3)!! ln d) that follows from it. The exponential would hold about 2^(d/2) = 1,048,576."
    )


FIGURES = {"classical_hopfield": _recall, "dense_associative_memory": _capacity}
