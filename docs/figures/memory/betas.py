"""Figure of the softmax that a sparse distributed memory implies, beside those of a real transformer."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.data import alice
from attlas_ref.memory.sdm_beta import sdm_beta
from attlas_ref.memory.sdm_circle_intersection import sdm_circle_intersection
from attlas_ref.memory.sdm_radius import sdm_optimal_radius

from ..general import LAYER_HEAD, TEXT, WORDS
from ..style import LINES, line

MEMORIES = {"patterns": (100, 10_000), "neurons": (1_000, 1_000_000)}
"""From about as many patterns as the text has words to a book's worth, from few neurons to Kanerva's million."""
MEET = 0.3
"""The cosine at which memories are drawn on the line of a head; their own constant means nothing."""


class Fit(NamedTuple):
    """A line through log-weights over cosines."""

    beta: float
    """Its slope: the inverse temperature with which a softmax of cosines comes closest."""
    explained: float
    """The share of the variance of the log-weights within rows that the line explains, from 0 to 1."""


def fit_beta(query: NDArray[np.float64], key: NDArray[np.float64], scale: float | None = None) -> Fit:
    r"""Fit the beta of a head: the least-squares slope of its log-weights against the cosines of queries and keys.

    The log-weight of a pair is its score, scale <q, k>, less a constant of its row. So the line has one slope for the
    whole head and a constant for every query, which drops out when scores and cosines are centered in each row:

    $$\beta = \frac{\sum_{ij} \tilde c_{ij} \tilde s_{ij}}{\sum_{ij} \tilde c_{ij}^2}, \qquad
      c_{ij} = \frac{\langle q_i, k_j \rangle}{|q_i||k_j|}$$

    All pairs count alike. Where all queries have one length and all keys another, it is their product times the scale,
    and the line explains everything.
    """
    factor = 1 / np.sqrt(query.shape[-1]) if scale is None else scale
    scores = factor * query @ key.T
    cosines = scores / factor / np.linalg.norm(query, axis=-1)[:, None] / np.linalg.norm(key, axis=-1)
    scores, cosines = (x - x.mean(axis=-1, keepdims=True) for x in (scores, cosines))
    together, alone = float((scores * cosines).sum()), float((cosines**2).sum())
    return Fit(together / alone, together**2 / alone / float((scores**2).sum()))


def optimal_radii(dim: int) -> tuple[int, int]:
    """The optimal radii of the smallest and of the largest of `MEMORIES`."""
    ends = zip(MEMORIES["patterns"], MEMORIES["neurons"], strict=True)
    few, many = (sdm_optimal_radius(dim=dim, patterns=patterns, neurons=neurons) for patterns, neurons in ends)
    return few, many


def predicted_betas(dim: int) -> tuple[float, float]:
    """The smallest and the largest beta of memories at their optimal radius, over `MEMORIES`."""
    few, many = (sdm_beta(dim=dim, radius=radius) for radius in optimal_radii(dim))
    return few, many


def _heads(figure: Figure) -> str:
    heads = alice()
    query, key = (np.asarray(x[:, :, WORDS], dtype=np.float64) for x in heads[:2])
    layers, count, _, dim = query.shape
    fits = [[fit_beta(query[layer, head], key[layer, head]) for head in range(count)] for layer in range(layers)]
    betas = np.array([[fit.beta for fit in row] for row in fits])
    low, high = predicted_betas(dim)
    left, right = figure.subplots(1, 2)
    _draw_one(left, query[LAYER_HEAD], key[LAYER_HEAD], fits[LAYER_HEAD[0]][LAYER_HEAD[1]])
    right.axhspan(low, high, color=LINES[0], alpha=0.25, linewidth=0)
    right.text(layers - 0.45, high, " memories at their\n optimal radius", va="top", color=LINES[0], fontsize=9)
    for layer in range(layers):
        place = layer + np.linspace(-0.3, 0.3, count)
        right.plot(place, np.sort(betas[layer]), "o", color=LINES[1], markersize=4)
    right.set(yscale="log", title="All heads", xlabel="layer", ylabel="beta", xlim=(-0.6, layers + 1.2), ylim=(1, 60))
    right.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    right.minorticks_off()
    right.set_xticks(range(layers))
    inside, above = int(((betas >= low) & (betas <= high)).sum()), int((betas > high).sum())
    explained = [fit.explained for row in fits for fit in row]
    return (
        f"Left: log-weights of one head over the cosines, the fitted line, and log I of two memories of {dim} bits. "
        "Right: the beta of every head. Memories at their optimal radius, from 100 patterns in 1,000 neurons to 10,000 "
        f"in 1,000,000, imply betas from {low:.1f} to {high:.1f} (band): {inside} of {betas.size} heads lie in it, "
        f"{above} above and {betas.size - inside - above} below; the median is {np.median(betas):.1f}. The lines of "
        f"the heads explain from {min(explained):.0%} to {max(explained):.0%} of the variance within rows. But heads "
        "meet smaller cosines than those to which a memory's line is fitted (above 1 − 2r/b), and there log I is "
        f"steeper. {TEXT}."
    )


def _draw_one(axes: Axes, query: NDArray[np.float64], key: NDArray[np.float64], fit: Fit) -> None:
    """Draw every third pair of a head, the line through them, and the memories at both ends of the band."""
    dim = query.shape[-1]
    scores = query @ key.T / np.sqrt(dim)
    cosines = query @ key.T / np.linalg.norm(query, axis=-1)[:, None] / np.linalg.norm(key, axis=-1)
    rows = (scores - fit.beta * cosines).mean(axis=-1, keepdims=True)  # the constant of each query
    axes.plot(cosines.ravel()[::3], (scores - rows).ravel()[::3], ".", color="gray", markersize=2, alpha=0.4,
              rasterized=True, label="pairs of words")  # fmt: skip
    ends = np.array([cosines.min(), cosines.max()])
    axes.plot(ends, fit.beta * ends, label=f"slope {fit.beta:.1f}", **line(1))
    for index, radius in enumerate(optimal_radii(dim)):
        v = np.arange(0, 2 * radius + 1, 2)  # each odd distance has the count of the next even one
        cosine, logs = 1 - 2 * v / dim, sdm_circle_intersection(v, dim=dim, radius=radius, log=True)
        level = np.interp(MEET, cosine[::-1], logs[::-1]) - fit.beta * MEET
        axes.plot(cosine, logs - level, "s^"[index], color=LINES[(0, 2)[index]], markersize=4.5,
                  label=f"log I, radius {radius}")  # fmt: skip
    axes.set(
        title=f"Layer {LAYER_HEAD[0]}, head {LAYER_HEAD[1]}", xlabel="cosine of query and key",
        ylabel="log-weight, less a constant per query",
    )  # fmt: skip
    axes.legend(fontsize=8.5)


FIGURES = {"sdm_beta": _heads}
