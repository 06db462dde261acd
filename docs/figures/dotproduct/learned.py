"""Figures of attention with a learned score: what such a score can prefer that a dot product cannot."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.dotproduct.additive_attention import additive_attention
from attlas_ref.dotproduct.bilinear_attention import bilinear_attention
from attlas_ref.dotproduct.concat_attention import concat_attention
from attlas_ref.dotproduct.location_attention import location_attention
from attlas_ref.dotproduct.neural_attention import neural_attention
from attlas_ref.dotproduct.softmax_attention import softmax_attention

from ..general import real_head
from ..panels import draw_maps
from ..style import WEIGHTS, color_scale

Reals = NDArray[Any]
GRID = np.linspace(-2, 2, 81)
QUERY, KEY = GRID[:, None], GRID[:, None]
"""Queries and keys of one channel."""


def _landscapes(
    figure: Figure,
    panels: Sequence[tuple[str, Callable[[], Any]]],
    names: tuple[str, str] = ("key", "query"),
    grid: Reals = GRID,
) -> None:
    """Draw the weights of a grid of queries over a grid of keys, each row relative to its best key."""
    all_axes = figure.subplots(1, len(panels), sharey=True)
    for axes, (title, attend) in zip(all_axes, panels, strict=True):
        weights = attend().weights
        relative = weights / weights.max(axis=-1, keepdims=True)
        mesh = axes.pcolormesh(grid, grid, relative, cmap=WEIGHTS, vmin=0, vmax=1, rasterized=True)
        axes.set(title=title, xlabel=names[0], aspect="equal")
        axes.spines[:].set_visible(False)
    all_axes[0].set_ylabel(names[1])
    color_scale(figure, mesh, all_axes, "weight / largest of the row", below=len(panels) > 2)


def _additive(figure: Figure) -> str:
    # tanh(x + 1/2) - tanh(x - 1/2) is a bump around x = 0, with x = 3 (query - key).
    one = np.full((1, 2), 3.0)
    panels = [
        ("dot product", lambda: softmax_attention(QUERY, KEY, KEY, scale=3.0, return_weights=True)),
        (
            "additive, two units",
            lambda: additive_attention(
                QUERY,
                KEY,
                KEY,
                query_weight=one,
                key_weight=-one,
                score_vector=np.array([5.0, -5.0]),
                score_bias=np.array([0.5, -0.5]),
                return_weights=True,
            ),
        ),
    ]
    _landscapes(figure, panels)
    return (
        "Queries and keys of one channel. A dot product likes the largest key, positive or negative; two tanh units "
        "are enough to like the key that equals the query."
    )


def _curve(query: Reals) -> Reals:
    """Return the key that each query should find."""
    return np.sin(2 * query)


def _fitted(units: int) -> Any:
    """Return concat attention with random first weights whose second are fitted to a target score."""
    rng = np.random.default_rng(4)
    weight = rng.normal(size=(3, units)) * np.array([[2.0], [1.0], [2.0]])  # query, constant, key
    query = np.concatenate([QUERY, np.ones_like(QUERY)], axis=-1)
    target = -8 * (GRID - _curve(GRID)[:, None]) ** 2
    hidden = np.tanh((query @ weight[:2])[:, None] + KEY @ weight[2:])  # (81, 81, units)
    flat = hidden.reshape(-1, units)
    ridge = flat.T @ flat + 1e-3 * np.eye(units)
    score_vector = np.linalg.solve(ridge, flat.T @ target.ravel())
    return concat_attention(query, KEY, KEY, weight=weight, score_vector=score_vector, return_weights=True)


def _concat(figure: Figure) -> str:
    _landscapes(figure, [(f"{units} hidden units", lambda units=units: _fitted(units)) for units in (4, 16, 128)])
    for axes in figure.axes[:3]:
        axes.plot(_curve(GRID), GRID, ":", color="white", linewidth=1.5)
    return (
        "A score fitted to find the key sin(2 query) (dotted): with few hidden units a rough idea, with many the "
        "curve. Queries and keys have one channel and a constant; only the score vector is fitted."
    )


def _neural(figure: Figure) -> str:
    both_signs = np.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]])  # relu gives |query| and |key|
    panels = [
        (
            "one hidden layer: near",
            lambda: neural_attention(
                QUERY,
                KEY,
                KEY,
                weight1=np.array([[1.0, -1.0], [-1.0, 1.0]]),
                bias1=np.zeros(2),
                weight3=np.array([-4.0, -4.0]),
                bias3=0.0,
                return_weights=True,
            ),
        ),
        (
            "two hidden layers: of the same size",
            lambda: neural_attention(
                QUERY,
                KEY,
                KEY,
                weight1=both_signs,
                bias1=np.zeros(4),
                weight2=np.array([[1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, 1.0]]),
                bias2=np.zeros(2),
                weight3=np.array([-4.0, -4.0]),
                bias3=0.0,
                return_weights=True,
            ),
        ),
    ]
    _landscapes(figure, panels)
    return (
        "Rectifiers build −4 |query − key| with one hidden layer and −4 ||query| − |key|| with two, scores that are "
        "out of reach for a dot product of one channel."
    )


def _bilinear(figure: Figure) -> str:
    degrees = np.linspace(-180, 180, 91)
    angle = np.deg2rad(degrees)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])  # takes a query by 90 degrees

    def attend(weight: Reals, normalizer: str = "softmax") -> Callable[[], Any]:
        return lambda: bilinear_attention(
            circle, circle, circle, weight=weight, normalizer=normalizer, return_weights=True
        )

    panels = [
        ("W = 4 · identity", attend(4 * np.eye(2))),
        ("W = 4 · quarter turn", attend(4 * turn)),
        ("the same, sparsemax", attend(4 * turn, "sparsemax")),
    ]
    _landscapes(figure, panels, ("angle of the key (degrees)", "angle of the query (degrees)"), degrees)
    return (
        "Queries and keys on the unit circle. The matrix says where a query looks: along itself, or a quarter turn "
        "ahead. With sparsemax keys far from there get exactly 0."
    )


def _location(figure: Figure) -> str:
    head = real_head(0, 0)
    n = len(head.words)
    steps = np.arange(8.0)
    query = np.stack([steps, np.ones_like(steps)], axis=-1)
    at = np.arange(n)
    panels = []
    for speed in (1.0, 2.0):
        # -(j - speed t)² but for t², which is common to all positions: linear in the query (t, 1).
        weight = np.stack([2 * speed * at, -(at**2.0)])
        weights = location_attention(query, head.value, weight=weight, return_weights=True).weights
        panels.append((f"{speed:g} per step", weights))
    for axes in draw_maps(figure, panels, [f"step {int(step)}" for step in steps], head.words):
        axes.set_xlabel("position")
    figure.axes[0].set_ylabel("query")
    return (
        "A query that counts steps, (t, 1), and a matrix of positions: reading one or two words per step. What the "
        "words are plays no part."
    )


FIGURES = {
    "additive_attention": _additive,
    "concat_attention": _concat,
    "bilinear_attention": _bilinear,
    "location_attention": _location,
    "neural_attention": _neural,
}
