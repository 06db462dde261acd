"""The web that the laws form: which formulations are tied to which."""

from collections import Counter
from itertools import product

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from attlas_ref.records import FAMILIES, all_records
from attlas_ref.testing.laws import all_laws

from .style import LINES


def web_of_laws(figure: Figure) -> str:
    """Draw the formulations on a circle, families side by side, and a curve for each pair that a law ties."""
    records = all_records()
    angles = 2 * np.pi * (np.arange(len(records)) + 0.5) / len(records)
    place = {record.name: np.array([np.cos(a), np.sin(a)]) for record, a in zip(records, angles, strict=True)}
    axes = figure.subplots()
    ties = pairs()
    for (one, other), count in ties.items():
        curve = Path(np.array([place[one], (0, 0), place[other]]), [Path.MOVETO, Path.CURVE3, Path.CURVE3])
        axes.add_patch(PathPatch(curve, fill=False, edgecolor="gray", linewidth=0.8 + 0.8 * count, alpha=0.6))
    for record in records:
        x, y = place[record.name]
        color = LINES[FAMILIES.index(record.family) % len(LINES)]
        axes.plot(x, y, "o", color=color, markersize=9)
        side = "left" if x >= 0 else "right"
        axes.text(1.08 * x, 1.12 * y, record.name, ha=side, va="center")
    for family, color in zip(FAMILIES, LINES, strict=False):
        axes.plot([], [], "o", color=color, label=family)
    axes.legend(loc="lower right")
    axes.set(aspect="equal", xlim=(-2.6, 2.6), ylim=(-1.25, 1.25))
    axes.axis("off")
    return "A curve is drawn where a law ties two formulations to each other; the thicker, the more laws."


def pairs() -> Counter[tuple[str, str]]:
    """Count the laws that tie each pair of formulations."""
    found: Counter[tuple[str, str]] = Counter()
    for law in all_laws():
        found.update({(min(pair), max(pair)) for pair in product(law.subjects, law.ties) if len(set(pair)) == 2})
    return found
