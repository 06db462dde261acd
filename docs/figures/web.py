"""The map of the atlas: families as groups, formulations as points, laws as edges; drawn by the page as SVG."""

from collections import Counter
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from attlas_ref.records import FAMILIES, Record, all_records
from attlas_ref.testing.laws import all_laws

Points = NDArray[np.float64]

SPACING = 25.0
"""Units between neighboring points, of which the map is some 1000 wide."""
ROUNDS = 400
"""Rounds of moving the points, which then hardly move any more."""


@dataclass(frozen=True)
class Web:
    """Where everything stands on the map."""

    places: dict[str, tuple[float, float]]
    """Of each formulation."""
    circles: dict[str, tuple[float, float, float]]
    """Of each family: center and radius."""


def pairs() -> Counter[tuple[str, str]]:
    """Count the laws that tie each pair of formulations."""
    found: Counter[tuple[str, str]] = Counter()
    for law in all_laws():
        found.update({(min(pair), max(pair)) for pair in product(law.subjects, law.ties) if len(set(pair)) == 2})
    return found


def web() -> Web:
    """Place the families around the first one, and their formulations near those that laws tie them to."""
    records = all_records()
    circles = family_circles({family: len(all_records(family)) for family in FAMILIES})
    points = settle(records, circles)
    places = {record.name: (float(x), float(y)) for record, (x, y) in zip(records, points, strict=True)}
    return Web(places, circles)


def family_circles(sizes: dict[str, int]) -> dict[str, tuple[float, float, float]]:
    """Return center and radius of each family: the first in the middle, the others on an ellipse around it."""
    radii = {family: SPACING * (0.62 * np.sqrt(size) + 0.4) for family, size in sizes.items()}
    middle, *around = sizes
    gaps = np.array([radii[family] for family in around])
    # Each takes a part of the turn as wide as it is; the first stands on the left.
    turns = np.cumsum(gaps) - gaps / 2
    angles = np.pi + 2 * np.pi * (turns - turns[0]) / gaps.sum()
    circles = {middle: (0.0, 0.0, float(radii[middle]))}
    for family, angle in zip(around, angles, strict=True):
        circles[family] = (float(400 * np.cos(angle)), float(300 * np.sin(angle)), float(radii[family]))
    return circles


def settle(records: tuple[Record, ...], circles: dict[str, tuple[float, float, float]]) -> Points:
    """Let points push each other apart and laws pull them together, each inside the circle of its family."""
    names = [record.name for record in records]
    homes = np.array([circles[record.family] for record in records])
    centers, radii = homes[:, :2], homes[:, 2] - SPACING / 2
    ties = np.array([(names.index(one), names.index(other)) for one, other in pairs()])
    points = centers + sunflower(records) * radii[:, None]
    for strength in np.linspace(1, 0.05, ROUNDS):
        apart = points[:, None] - points
        distance = np.linalg.norm(apart, axis=-1) + np.eye(len(points))
        push = np.clip(1.1 * SPACING - distance, 0, None) / distance
        move = 0.5 * (push[..., None] * apart).sum(axis=1)
        pull = points[ties[:, 1]] - points[ties[:, 0]]
        pull *= 3 / (np.linalg.norm(pull, axis=-1, keepdims=True) + SPACING)
        np.add.at(move, ties[:, 0], strength * pull)
        np.add.at(move, ties[:, 1], -strength * pull)
        points = points + move
        # Back into the circle.
        offset = points - centers
        excess = np.linalg.norm(offset, axis=-1, keepdims=True) / radii[:, None]
        points = centers + offset / np.maximum(excess, 1)
    return points


def sunflower(records: tuple[Record, ...]) -> Points:
    """Return a first place for each formulation in the unit disk of its family, evenly spread."""
    families = [record.family for record in records]
    rank = np.array([families[:index].count(family) for index, family in enumerate(families)])
    share = (rank + 0.5) / np.array([families.count(family) for family in families])
    turn = rank * np.pi * (3 - np.sqrt(5))
    return np.sqrt(share)[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
