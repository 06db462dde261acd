"""Figures of the family pointer: tasks."""

from collections.abc import Callable
from itertools import permutations
from math import factorial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from attlas_ref.pointer.held_karp import held_karp
from attlas_ref.pointer.planar_labels import convex_hull_labels, delaunay_labels
from attlas_ref.pointer.pointer_decode import pointer_decode
from attlas_ref.pointer.pointer_task import pointer_task
from attlas_ref.pointer.tour_length import tour_length

from ..style import LINES, line
from .wiring import Reals, cities, distances, draw_points, draw_tour

INSTANCES, SIZE, SHARP = 40, 10, 0.05
"""Problems, cities each, and the distance by which a city becomes e times less likely."""
EFFORTS = (1, 2, 4, 8, 16, 32, 64)
MANY = 15
FEW = 8


def _effort(figure: Figure) -> str:
    points = np.random.default_rng(0).random((INSTANCES, SIZE, 2))
    scores = -distances(points) / SHARP
    best = np.array([held_karp(distance).length for distance in distances(points)])
    exact = pointer_decode(scores, method="exact", closed=True)
    lengths: dict[str, list[Reals]] = {"beam, its likeliest": [], "samples, their shortest": []}
    uniform = np.random.default_rng(1).random((max(EFFORTS), INSTANCES, SIZE))
    drawn = tour_length(points, pointer_decode(scores, method="sample", uniform=uniform).sequence)
    for effort in EFFORTS:
        likely = pointer_decode(scores, method="beam", beam_width=effort).sequence
        lengths["beam, its likeliest"].append(tour_length(points, likely) / best)
        lengths["samples, their shortest"].append(drawn[:effort].min(axis=0) / best)
    axes = figure.subplots()
    for index, (name, each) in enumerate(lengths.items()):
        excess = [100 * (float(ratio.mean()) - 1) for ratio in each]
        axes.plot(EFFORTS, excess, marker="os"[index], label=name, **line(index))
    left = 100 * (float((tour_length(points, exact.sequence) / best).mean()) - 1)
    axes.plot(EFFORTS, np.full(len(EFFORTS), left), label="exact", **line(2))
    axes.set_xscale("log", base=2)
    axes.set_xticks(EFFORTS, [str(effort) for effort in EFFORTS])
    axes.set(title="Samples find short tours, a beam finds likely ones", xlabel="beam width, or number of samples",
             ylabel="longer than the optimum, %")  # fmt: skip
    axes.legend()
    return (
        f"Mean over {INSTANCES} problems of {SIZE} random cities, scores = −distance / {SHARP:g}. Width 1 is the "
        "greedy chain, which always goes to the nearest city."
    )


def _numbered(axes: Axes, points: Reals, title: str) -> None:
    draw_points(axes, points)
    for index, (x, y) in enumerate(points):
        axes.annotate(str(index), (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.set_title(title)


def _hull(figure: Figure) -> str:
    points = cities(MANY)
    labels = convex_hull_labels(points)
    axes = figure.subplots()
    _numbered(axes, points, "labels: " + ", ".join(map(str, labels)))
    for a, b in zip(points[labels], points[np.roll(labels, -1)], strict=True):
        axes.annotate("", b, a, arrowprops={"arrowstyle": "->", "color": LINES[0], "linewidth": 2})
    axes.plot(*points[labels[0]], "s", color=LINES[0], markersize=10, zorder=2)
    return "Random points and their hull, counter-clockwise from the corner with the smallest number (the square)."


def _triangles(figure: Figure) -> str:
    points = cities(MANY)
    triangles = delaunay_labels(points, order="incenter")
    axes = figure.subplots()
    _numbered(axes, points, "No circle holds a point")
    axes.triplot(*points.T, triangles, color=LINES[0], linewidth=1.2)
    inner = len(triangles) // 2
    for index, triple in enumerate(triangles[inner : inner + 3]):
        a, b, c = points[triple]
        center = np.linalg.solve(2 * np.array([b - a, c - a]), [b @ b - a @ a, c @ c - a @ a])
        look = line(index + 1)
        axes.add_patch(Circle(tuple(center), float(np.linalg.norm(a - center)), fill=False, linewidth=1.5, **look))
    return (
        f"The Delaunay triangulation of {MANY} random points, and the circles through the corners of three triangles."
    )


def _shortest(figure: Figure) -> str:
    points = cities(MANY)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.2))
    greedy = pointer_decode(-distances(points)).sequence
    draw_tour(left, points, greedy, "always to the nearest", 1)
    draw_tour(middle, points, held_karp(distances(points)).tour, "the shortest", 0)
    sizes = np.arange(4, 21)
    right.semilogy(sizes, [factorial(n - 1) / 2 for n in sizes], label="tours", **line(1))
    right.semilogy(sizes, [(n - 1) * 2.0 ** (n - 1) for n in sizes], label="entries of the table", **line(0))
    right.set(title="Why it can be done", xlabel="cities", xticks=sizes[::4])
    right.legend()
    return f"A tour of {MANY} random cities; of {factorial(MANY - 1) // 2:,} tours it is the shortest."


def _lengths(figure: Figure) -> str:
    points = cities(FEW)
    orders = np.array([(0, *rest) for rest in permutations(range(1, FEW)) if rest[0] < rest[-1]])
    lengths = np.asarray(tour_length(points, orders))
    axes = figure.subplots()
    axes.hist(lengths, bins=60, color=LINES[0])
    for index, (name, tour) in enumerate(
        (
            ("shortest", held_karp(distances(points)).tour),
            ("nearest first", pointer_decode(-distances(points)).sequence),
        )
    ):
        axes.axvline(float(tour_length(points, tour)), label=name, **line(index + 1))
    axes.set(title="Few tours are short", xlabel="length", ylabel="tours")
    axes.legend()
    return f"The lengths of all {len(orders):,} tours of {FEW} random cities, each counted in one direction."


def _tasks(figure: Figure) -> str:
    panels = figure.subplots(1, 4)
    for axes, task in zip(panels, ("hull", "delaunay", "tsp", "sort"), strict=True):
        points, labels = pointer_task(9, np.random.default_rng(2), task=task)
        if task == "sort":
            axes.bar(np.arange(9), points, color=LINES[0])
            for rank, place in enumerate(labels):
                axes.text(place, points[place], f"{rank + 1}.", ha="center", va="bottom", fontsize=8)
            axes.set(title="sort", xticks=np.arange(9), yticks=[], box_aspect=0.8)
            continue
        draw_points(axes, points)
        if task == "delaunay":
            axes.triplot(*points.T, labels, color=LINES[0], linewidth=1.2)
        else:
            axes.plot(*points[np.append(labels, labels[0])].T, color=LINES[0])
        axes.set_title(task)
    return "One input of each task with its answer: corners, triangles, cities in order, numbers from small to large."


FIGURES: dict[str, Callable[[Figure], str]] = {
    "pointer_decode": _effort,
    "convex_hull_labels": _hull,
    "delaunay_labels": _triangles,
    "held_karp": _shortest,
    "tour_length": _lengths,
    "pointer_task": _tasks,
}
