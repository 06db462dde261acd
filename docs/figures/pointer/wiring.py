"""A pointer network wired by hand, cities to visit, and how tours are drawn.

The network needs no training, since what it does can be written down: its LSTM forgets all but where it stands, and the
hidden units of its pointer make a hill around there. Along a direction, tanh(z + 1) − tanh(z − 1) is a bump at z = 0
that falls off on both sides; summed over many directions it falls off with the distance. So near cities are likely.
"""

from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from attlas_ref.pointer.tour_length import tour_length

from ..style import LINES

Reals = NDArray[Any]
CITIES = 12
SEED = 6
FAINT = 0.1
"""How strongly a position enters the LSTM: weakly, where tanh is straight."""
OPEN = 20.0
"""The bias of a gate that is open; one that is shut has the other sign."""


def hill(gain: float, steepness: float = 4.0, directions: int = 12) -> dict[str, Reals]:
    """Return the parameters of additive scores that are high where the query and the key are near, in the plane."""
    angle = np.pi * np.arange(directions) / directions
    along = steepness * np.tile(np.stack([np.cos(angle), np.sin(angle)]), 2)  # (2, 2 directions)
    sides = np.repeat([1.0, -1.0], directions)
    return {"w_query": -along, "w_key": along, "b_key": sides, "v": gain * sides}


def nearest_network(start: Reals, gain: float = 1.5) -> dict[str, Any]:
    """Return the parameters of a pointer network that goes to near cities, the first near the start."""
    shut = np.repeat([OPEN, -OPEN, 0.0, OPEN], 2)  # i, f, g, o
    w_ih = np.zeros((2, 8))
    w_ih[:, 4:6] = FAINT * np.eye(2)
    near = hill(gain)
    network = {"h0": np.zeros(2), "c0": np.zeros(2), "w_hh": np.zeros((2, 8)), "b_hh": np.zeros(8)}
    return {
        **network,
        **near,
        "w_query": near["w_query"] / FAINT,
        "start": np.asarray(start),
        "w_ih": w_ih,
        "b_ih": shut,
    }


@cache
def cities(count: int = CITIES, seed: int = SEED) -> Reals:
    """Return cities in a square around the origin."""
    return np.random.default_rng(seed).random((count, 2)) - 0.5


def distances(points: Reals) -> Reals:
    """Return all distances, (..., n, n)."""
    return np.asarray(np.linalg.norm(points[..., :, None, :] - points[..., None, :, :], axis=-1))


def draw_tour(axes: Axes, points: Reals, tour: Reals, title: str, index: int = 0) -> float:
    """Draw a closed tour with its length below the title, and return it."""
    length = float(tour_length(points, tour))
    around = points[np.append(tour, tour[0])]
    axes.plot(*around.T, color=LINES[index], zorder=1)
    draw_points(axes, points)
    axes.plot(*points[tour[0]], "s", color=LINES[index], markersize=9, zorder=2)
    axes.set_title(f"{title}\nlength {length:.3f}")
    return length


def draw_points(axes: Axes, points: Reals, size: float = 5) -> None:
    """Draw points on a plane without axes."""
    axes.plot(*points.T, "o", color="gray", markersize=size, zorder=3)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.margins(0.08)
