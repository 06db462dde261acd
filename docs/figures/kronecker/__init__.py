"""Figures of higher-order attention."""

from . import matching, polynomial, rank, tensor

FIGURES = {**tensor.FIGURES, **polynomial.FIGURES, **matching.FIGURES, **rank.FIGURES}
