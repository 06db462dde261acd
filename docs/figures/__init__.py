"""The figures of the atlas: at least one per formulation, made by its reference.

A family's module may hold a figure of its own for a formulation, `FIGURES[name]`; every other formulation gets the
general one. A figure is a function that draws onto an empty matplotlib figure and returns its caption.
"""

import importlib
import importlib.util
import io
from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from attlas_ref.records import Record

from . import aligning, choosing
from .general import weights_of_real_heads
from .style import THEMES, recolored, themed

Draw = Callable[[Figure], str]

COMPARISONS: dict[str, Draw] = {**choosing.FIGURES, **aligning.FIGURES}
"""Figures of the pages that compare formulations."""

SIZE = (8.4, 4.4)
"""Inches; the pages show it about 700 pixels wide."""

__all__ = ["COMPARISONS", "THEMES", "Draw", "drawn", "figure_of", "recolored"]


def figure_of(record: Record) -> Draw:
    """Return the figure of a formulation.

    Raises
    ------
    LookupError
        If it has none of its own and the general one does not fit it.
    """
    if importlib.util.find_spec(f"{__name__}.{record.family}"):
        own: dict[str, Draw] = importlib.import_module(f"{__name__}.{record.family}").FIGURES
        if record.name in own:
            return own[record.name]
    return weights_of_real_heads(record)


def drawn(draw: Draw) -> tuple[str, str]:
    """Draw a figure in the first theme; return its caption and the figure as SVG."""
    image = io.StringIO()
    with themed(THEMES[0]):
        # Maps that keep their aspect would touch the edges without some padding.
        figure = _DrawnOnce(figsize=SIZE, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.12))
        caption = draw(figure)
        figure.savefig(image, format="svg", transparent=True, metadata={"Date": None})
    return caption, image.getvalue()


class _DrawnOnce(Figure):
    """Does not draw all of itself in order to be laid out, as it would before it is written."""

    def draw(self, renderer: Any) -> None:
        """Lay out, or draw what has been laid out: while a file is written there is another engine, or none."""
        engine = self.get_layout_engine()
        if isinstance(engine, ConstrainedLayoutEngine):
            engine.execute(self)
        else:
            super().draw(renderer)
