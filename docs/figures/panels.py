"""Panels that many figures share: maps side by side, an edit of weights, one row as bars, pictures of masks."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .style import LINES, SIGNED, WEIGHTS, color_scale, show_weights

Reals = NDArray[Any]
SMALL = 8.5
"""Size of the words where three maps stand side by side."""


def draw_maps(
    figure: Figure,
    panels: Sequence[tuple[str, Reals]],
    words: Sequence[str],
    keys: Sequence[str] | None = None,
    *,
    label: str = "weight",
    rows: int = 1,
) -> list[Axes]:
    """Draw one map per panel (title, matrix) on a common scale, which diverges from 0 if something is negative."""
    grid = figure.subplots(rows, -(-len(panels) // rows), squeeze=False)
    all_axes = grid.ravel()[: len(panels)]
    for unused in grid.ravel()[len(panels) :]:
        unused.remove()
    low, high = min(float(matrix.min()) for _, matrix in panels), max(float(matrix.max()) for _, matrix in panels)
    high = max(1.0, high)
    limits, map_ = ((-high, high), SIGNED) if low < 0 else ((0.0, high), WEIGHTS)
    for axes, (title, matrix) in zip(all_axes, panels, strict=True):
        first = axes is all_axes[0]
        mesh = show_weights(axes, matrix, words, title, keys=keys, limits=limits, map_=map_, label_queries=first)
        if len(panels) > 2:
            axes.tick_params(labelsize=SMALL)
    color_scale(figure, mesh, all_axes, label, below=len(panels) > 2 and rows == 1)
    return list(all_axes)


def draw_edit(figure: Figure, before: Reals, after: Reals, words: Sequence[str], title: str = "change") -> list[Axes]:
    """Draw weights before an edit, and what the edit adds and takes away."""
    left, right = figure.subplots(1, 2)
    mesh = show_weights(left, before, words, "before")
    color_scale(figure, mesh, left, "weight")
    draw_change(figure, right, before, after, words, title, label_queries=False)
    return [left, right]


def draw_change(
    figure: Figure,
    axes: Axes,
    before: Reals,
    after: Reals,
    words: Sequence[str],
    title: str,
    *,
    label_queries: bool = True,
) -> None:
    """Draw what an edit adds to weights and takes away from them."""
    change = after - before
    bound = float(np.abs(change).max())
    mesh = show_weights(axes, change, words, title, limits=(-bound, bound), map_=SIGNED, label_queries=label_queries)
    color_scale(figure, mesh, axes, "change")


def draw_rows(
    axes: Axes, words: Sequence[str], rows: Mapping[str, Reals], *, ylabel: str = "weight", rotation: float = 90
) -> None:
    """Draw rows of weights over the same words as groups of bars."""
    width = 0.8 / len(rows)
    at = np.arange(len(words))
    for index, (label, row) in enumerate(rows.items()):
        place = at + (index - (len(rows) - 1) / 2) * width
        axes.bar(
            place, row, width, color=LINES[index], label=label, hatch=("", "///", "\\\\\\", "xx")[index], linewidth=0
        )
    axes.set_xticks(at, words, rotation=rotation)
    axes.tick_params(axis="x", length=0)
    axes.set(xlabel="key", ylabel=ylabel)
    axes.legend()


def draw_sums(axes: Axes, words: Sequence[str], sums: Mapping[str, Reals], title: str) -> None:
    """Draw one number per row of the map to the left, several kinds of it as markers."""
    at = np.arange(len(words)) + 0.5
    for index, (label, values) in enumerate(sums.items()):
        axes.plot(values, at, "osD^"[index], color=LINES[index], markersize=5, label=label)
    axes.set_yticks(at, [""] * len(words))
    axes.set(title=title, ylim=(len(words), 0))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", linewidth=0.5)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18))


def draw_masks(
    figure: Figure,
    panels: Sequence[tuple[str, NDArray[np.bool_], Sequence[str]]],
    keys: Sequence[Sequence[str]] | None = None,
) -> list[Axes]:
    """Draw boolean masks (title, mask, labels of queries and keys): filled where query i may attend to key j."""
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    faint = str(matplotlib.rcParams["grid.color"])
    for index, (axes, (title, mask, queries)) in enumerate(zip(all_axes, panels, strict=True)):
        columns = queries if keys is None else keys[index]
        axes.pcolormesh(mask, cmap=ListedColormap(["none", LINES[0]]), vmin=0, vmax=1, edgecolors=faint, linewidth=0.6)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=90)
        axes.set_yticks(np.arange(len(queries)) + 0.5, queries)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set(title=title, xlabel="key")
    all_axes[0].set_ylabel("query")
    return list(all_axes)
