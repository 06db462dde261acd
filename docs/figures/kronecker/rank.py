"""Figures of the nearest neighbor on the sphere, and of heads of low rank that look for it."""

from functools import cache

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.kronecker.nearest_neighbor_task import low_rank_heads_error, nearest_neighbor_task

from ..style import LINES, line

Reals = NDArray[np.float64]
DIMENSIONS, POINTS, PROBLEMS = 6, 4, 1500
HEADS = (1, 2, 4, 8, 16, 32)
RANKS = (1, 2, 3, 6)


def on_the_sphere(rng: np.random.Generator, *shape: int) -> Reals:
    """Return random unit vectors."""
    x = rng.normal(size=shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _nearest(figure: Figure) -> str:
    left, right = figure.subplots(1, 2)
    angles = np.array([0.3, 1.1, 2.6, 3.4, 5.0])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    turn = np.linspace(0, 2 * np.pi, 721)
    queries = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    nearest = nearest_neighbor_task(np.broadcast_to(points, (len(turn), *points.shape)), queries)
    index = (nearest[:, None] == points).all(axis=-1).argmax(axis=-1)
    for k, point in enumerate(points):
        arc = np.where((index == k)[:, None], 1.12 * queries, np.nan)
        left.plot(*arc.T, color=LINES[k % 4], linestyle=("-", "--", "-.", ":", "-")[k], linewidth=5)
        left.plot(*point, "osD^v"[k], color=LINES[k % 4], markersize=10)
    for dashes, beta in ((":", 3.0), ("-", 30.0)):
        path = softmax_attention(queries, points, points, scale=beta)
        left.plot(*path.T, dashes, color="gray", linewidth=1.2)
    left.set(title="Nearest point, and one head", aspect="equal", xlabel="$x_1$", ylabel="$x_2$")

    rng = np.random.default_rng(1)
    many, query = on_the_sphere(rng, 400, 8, 8), on_the_sphere(rng, 400, 8)
    target, betas = nearest_neighbor_task(many, query), np.geomspace(1, 1000, 31)
    best = np.sort((many @ query[..., None])[..., 0], axis=-1)
    errors = [np.linalg.norm(softmax_attention(query[:, None], many, many, scale=float(b))[:, 0] - target, axis=-1)
              for b in betas]  # fmt: skip
    bounds = [(2 * 7 * np.exp(-b * (best[:, -1] - best[:, -2]))).clip(max=2) for b in betas]
    right.plot(betas, np.median(errors, axis=1), label="median error", **line(0))
    right.plot(betas, np.median(bounds, axis=1), label="median of the bound", **line(1))
    right.set(xscale="log", yscale="log", ylim=(1e-9, 5), xlabel="inverse temperature β", ylabel="distance")
    right.set_title("One head of full rank")
    right.legend()
    return (
        "Left: points on the circle, and the arcs of queries that they are nearest to. The thin lines are the outputs "
        "of one softmax head as the query goes round, dotted for β = 3 and solid for β = 30. Right: 8 points in "
        "8 dimensions; the error falls like exp(−β gap)."
    )


@cache
def error(rank: int, heads: int) -> float:
    """Return the error of random heads with their best output matrices; full rank is the identity."""
    rng = np.random.default_rng(3)
    points, query = on_the_sphere(rng, PROBLEMS, POINTS, DIMENSIONS), on_the_sphere(rng, PROBLEMS, DIMENSIONS)
    if rank == DIMENSIONS:
        w_query = w_key = np.broadcast_to(np.eye(DIMENSIONS), (heads, DIMENSIONS, DIMENSIONS))
    else:
        # Random projections, the same for queries and keys: each head compares shadows in a few dimensions.
        w_query = w_key = np.linalg.qr(rng.normal(size=(max(HEADS), DIMENSIONS, rank)))[0][:heads]
    return low_rank_heads_error(points, query, w_query, w_key, scale=30.0)


def _low_rank(figure: Figure) -> str:
    axes = figure.subplots()
    for index, rank in enumerate(RANKS):
        counts = HEADS if rank < DIMENSIONS else HEADS[:1]
        label = f"rank {rank}" + (" (full), one head" if rank == DIMENSIONS else "")
        look = {"color": LINES[index], "marker": "osD^"[index], "markersize": 9 if rank == DIMENSIONS else 6}
        axes.plot(counts, [error(rank, h) for h in counts], linestyle=("-", "--", "-.", "")[index], label=label, **look)
    axes.set_xscale("log", base=2)
    axes.set_xticks(HEADS, map(str, HEADS))
    axes.set(xlabel="heads", ylabel="mean squared distance to the nearest point", ylim=(0, None))
    axes.set_title("More heads of low rank do not make up for rank")
    axes.legend()
    return (
        f"{PROBLEMS} problems of {POINTS} points in {DIMENSIONS} dimensions, heads with random projections and the "
        "best output matrices. One head that sees all dimensions does better than 32 that see three."
    )


FIGURES = {"nearest_neighbor_task": _nearest, "low_rank_heads_error": _low_rank}
