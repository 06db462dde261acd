"""Figures of the family probabilistic."""

from . import combiner, guidance, posterior, slots, structured, structured_trees, transport

MODULES = (posterior, structured, structured_trees, transport, slots, combiner, guidance)
FIGURES = {name: draw for module in MODULES for name, draw in module.FIGURES.items()}
