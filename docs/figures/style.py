"""How the figures look: one size of type, one map for weights, one for signed quantities, two themes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

WEIGHTS = "viridis"
"""For weights from 0 to 1: lightness alone orders it."""
SIGNED = "RdBu_r"
"""For signed quantities: 0 in the middle."""
LINES = ("#3b8ed0", "#e08a1e", "#35a26b", "#b866b8")
"""Line colors that stand out on a white and on a dark page."""
DASHES = ("-", "--", "-.", ":")
"""Drawn together with LINES, so that lines can be told apart without color."""


@dataclass(frozen=True)
class Theme:
    """The colors of one page theme."""

    name: str
    text: str
    faint: str


THEMES = (Theme("light", text="#333333", faint="#c8c8c8"), Theme("dark", text="#dddddd", faint="#555555"))


def settings(theme: Theme) -> dict[str, Any]:
    """Return matplotlib's settings for a theme: a transparent ground, small and reproducible SVG."""
    return {
        "font.size": 10.5,
        "font.family": "sans-serif",
        "axes.titlesize": 10.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": theme.faint,
        "axes.labelcolor": theme.text,
        "axes.titlecolor": theme.text,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "grid.color": theme.faint,
        "legend.frameon": False,
        "lines.linewidth": 2,
        "text.color": theme.text,
        "xtick.color": theme.faint,
        "xtick.labelcolor": theme.text,
        "ytick.color": theme.faint,
        "ytick.labelcolor": theme.text,
        "savefig.dpi": 200,  # of what is rasterized: maps of many cells
        "svg.fonttype": "none",  # the reader's own font: small files, text that can be searched
        "svg.hashsalt": "attlas",
    }


@contextmanager
def themed(theme: Theme) -> Iterator[None]:
    """Draw in the colors of a theme."""
    with matplotlib.rc_context(settings(theme)):
        yield


def recolored(svg: str, theme: Theme) -> str:
    """Return a figure that was drawn in the first theme in the colors of another; black is a color of text."""
    drawn = THEMES[0]
    for before, after in (("#000000", theme.text), (drawn.text, theme.text), (drawn.faint, theme.faint)):
        svg = svg.replace(before, after)
    return svg


def show_weights(
    axes: Axes,
    weights: NDArray[Any],
    words: Sequence[str],
    title: str,
    *,
    keys: Sequence[str] | None = None,
    limits: tuple[float, float] = (0, 1),
    map_: str = WEIGHTS,
    label_queries: bool = True,
) -> Any:
    """Draw a matrix over words: the queries down the side, the keys (the same words if not given) along the foot."""
    keys = words if keys is None else keys
    mesh = axes.pcolormesh(weights, cmap=map_, vmin=limits[0], vmax=limits[1], rasterized=True)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.set_xticks(np.arange(len(keys)) + 0.5, keys, rotation=90)
    axes.set_yticks(np.arange(len(words)) + 0.5, words if label_queries else [""] * len(words))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title)
    axes.set_xlabel("key")
    if label_queries:
        axes.set_ylabel("query")
    return mesh


def color_scale(figure: Figure, mesh: Any, axes: Any, label: str, *, below: bool = False) -> None:
    """Put the color scale beside the panels, or below them, where many panels need the width."""
    place: dict[str, Any] = {"location": "bottom", "shrink": 0.5, "aspect": 40} if below else {"shrink": 0.7}
    bar = figure.colorbar(mesh, ax=axes, pad=0.02, ticks=MaxNLocator(6), **place)
    bar.set_label(label)
    bar.solids.set_rasterized(True)
    bar.outline.set_visible(False)


def line(index: int) -> dict[str, Any]:
    """The look of the index-th line of a panel."""
    return {"color": LINES[index % len(LINES)], "linestyle": DASHES[index % len(DASHES)]}
