"""Figures of the family pointer: networks."""

from collections.abc import Callable
from functools import cache
from itertools import permutations

import numpy as np
from matplotlib.figure import Figure

from attlas_ref.pointer.held_karp import held_karp
from attlas_ref.pointer.pointer_attention import pointer_attention
from attlas_ref.pointer.pointer_glimpse import pointer_glimpse
from attlas_ref.pointer.pointer_network_decode import pointer_network_decode
from attlas_ref.pointer.pointer_network_log_prob import pointer_network_log_prob
from attlas_ref.pointer.tour_length import tour_length

from ..general import LAYER_HEAD, SOURCE, real_head
from ..panels import draw_maps
from ..style import LINES, line
from .wiring import Reals, cities, distances, draw_points, draw_tour, hill, nearest_network

CLAUSE = slice(1, 13)
CLIP = 1.0
FEW = 8
SAMPLES = 200
WIDTH = 50
PROBLEMS, COUNTS = 50, range(5, 16, 2)
"""Random problems of each size, and the sizes."""
GLIMPSES = 6


def _knobs(figure: Figure) -> str:
    head = real_head(*LAYER_HEAD, CLAUSE)
    point = {"score": "dot"}
    before = ~np.eye(len(head.words), dtype=bool)
    panels = [
        ("as it is", pointer_attention(head.query, head.key, **point)),
        (f"clipped at C = {CLIP:g}", pointer_attention(head.query, head.key, **point, logit_clip=CLIP)),
        ("clipped, cold, not itself", pointer_attention(
            head.query, head.key, **point, logit_clip=CLIP, temperature=0.2, mask=before)),
    ]  # fmt: skip
    draw_maps(figure, panels, head.words, label="probability of pointing")
    return (
        f"{SOURCE}: where each word points, by the dot product. A clip keeps every word in the game, a low temperature "
        "(T = 0.2) sharpens what the clip has left, and the mask takes the word itself out."
    )


def _shifting(figure: Figure) -> str:
    rng = np.random.default_rng(3)
    centers = np.array([[0.1, 0.15], [0.8, 0.25], [0.45, 0.85]])
    points = np.concatenate([center + 0.05 * rng.normal(size=(14, 2)) for center in centers])
    queries = np.stack(np.meshgrid([0.15, 0.45, 0.75], [0.1, 0.45, 0.7]), axis=-1).reshape(-1, 2)
    near = hill(gain=2.0)
    path = np.stack([pointer_glimpse(queries, points, **near, glimpses=g, value="key") for g in range(GLIMPSES + 1)])
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    draw_points(left, points, size=3)
    for index in range(len(queries)):
        left.plot(*path[:, index].T, color=LINES[0], linewidth=1.2, marker="o", markersize=3)
        left.plot(*path[0, index], "s", color=LINES[1], markersize=6, zorder=4)
        left.plot(*path[-1, index], "D", color=LINES[2], markersize=6, zorder=5)
    left.set_title("Queries (squares) end in crowds (diamonds)")
    moved = np.linalg.norm(np.diff(path, axis=0), axis=-1)
    right.plot(np.arange(1, GLIMPSES + 1), moved, color=LINES[0], linewidth=1, marker="o", markersize=3)
    right.set(title="Soon glimpses move them no more", xlabel="glimpse", ylabel="distance moved", ylim=(0, None))
    return (
        "Points in three crowds and nine queries in the plane. The additive scores are wired to be high where the "
        "query is near; each glimpse takes the mean of what it sees as the next query."
    )


def _likelihoods(figure: Figure) -> str:
    points = cities(FEW)
    orders = np.array([(0, *rest) for rest in permutations(range(1, FEW))])
    network = nearest_network(points[0])
    log_prob = pointer_network_log_prob(points, points, orders, **network)
    lengths = np.asarray(tour_length(points, orders))
    best = held_karp(distances(points))
    greedy = pointer_network_decode(points, points, **network)
    axes = figure.subplots()
    axes.plot(lengths, log_prob, ",", color="gray", rasterized=True)
    least = np.isclose(lengths, best.length)
    axes.plot(lengths[least], np.asarray(log_prob)[least], "D", color=LINES[2], markersize=9, label="shortest tour")
    axes.plot(
        tour_length(points, greedy.sequence),
        greedy.log_prob,
        "s",
        color=LINES[1],
        markersize=9,
        label="greedy decoding",
    )
    axes.set(title="Short tours are likely, the shortest is not the likeliest", xlabel="length of the tour",
             ylabel="log likelihood")  # fmt: skip
    axes.legend()
    return (
        f"All {len(orders)} orders of {FEW} cities that begin at the first, under a pointer network that is wired to "
        "go to near cities. The shortest tour stands there twice: once for each direction."
    )


def decoders(points: Reals, start: Reals) -> dict[str, Reals]:
    """Return the tour (..., n) that each way of decoding finds in points (..., n, 2); of samples, the shortest."""
    network = nearest_network(start)
    uniform = np.random.default_rng(0).random((SAMPLES, *points.shape[:-1]))
    samples = pointer_network_decode(points, points, **network, method="sample", uniform=uniform).sequence
    shortest = np.argmin(tour_length(points, samples), axis=0)
    beam = pointer_network_decode(points, points, **network, method="beam", beam_width=WIDTH).sequence
    return {
        "greedy": pointer_network_decode(points, points, **network).sequence,
        f"beam of {WIDTH}": beam,
        f"best of {SAMPLES} samples": np.take_along_axis(samples, shortest[None, ..., None], axis=0)[0],
    }


@cache
def excesses(count: int) -> dict[str, Reals]:
    """Return by how much the tours of random problems of so many cities exceed the optimum, as shares of it."""
    points = np.random.default_rng(count).random((PROBLEMS, count, 2)) - 0.5
    best = np.array([held_karp(distance).length for distance in distances(points)])
    # The network starts in the middle of the square: the first city is the one nearest to it.
    return {
        name: np.asarray(tour_length(points, tour)) / best - 1 for name, tour in decoders(points, np.zeros(2)).items()
    }


def _search(figure: Figure) -> str:
    figure.set_size_inches(8.4, 5.6)
    points = cities(COUNTS[-1])
    tours = {**decoders(points, points[0]), "optimum": held_karp(distances(points)).tour}
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.1))
    for index, (axes, (title, tour)) in enumerate(zip(above.subplots(1, 4), tours.items(), strict=True)):
        draw_tour(axes, points, tour, title, index)
    axes = below.subplots()
    for index, name in enumerate(list(tours)[:-1]):
        mean = [100 * excesses(count)[name].mean() for count in COUNTS]
        error = [100 * excesses(count)[name].std() / np.sqrt(PROBLEMS) for count in COUNTS]
        axes.errorbar(COUNTS, mean, error, marker="osD"[index], markersize=4, label=name, **line(index))
    axes.set(title="the more cities, the further from the optimum", xlabel="cities", xticks=COUNTS, ylim=(0, None))
    axes.set_ylabel("longer than the optimum, %")
    axes.grid(axis="y", linewidth=0.5)
    axes.legend()
    return (
        f"Above, tours of {len(points)} cities by a pointer network that is wired to go to near cities, and the "
        "shortest of all by Held–Karp; squares: where they start. Below, the mean over "
        f"{PROBLEMS} random problems of each size, with its standard error. The beam looks for likely tours, which are "
        "not always short ones; samples are measured, and the shortest is kept."
    )


FIGURES: dict[str, Callable[[Figure], str]] = {
    "pointer_attention": _knobs,
    "pointer_glimpse": _shifting,
    "pointer_network_log_prob": _likelihoods,
    "pointer_network_decode": _search,
}
