"""Figures of the dense core."""

from . import coupled, exact, graphs, learned, partials, projected, several

FIGURES = {
    **exact.FIGURES,
    **partials.FIGURES,
    **several.FIGURES,
    **learned.FIGURES,
    **graphs.FIGURES,
    **projected.FIGURES,
    **coupled.FIGURES,
}
