"""Figures of the maps from scores to weights, of edits of weights, and of masks."""

from . import edits, maps, masks, regions, simplex

FIGURES = {**simplex.FIGURES, **maps.FIGURES, **edits.FIGURES, **regions.FIGURES, **masks.FIGURES}
