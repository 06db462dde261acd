"""Figures of the family variational."""

from . import bounds, captioning, sampled

MODULES = (bounds, sampled, captioning)
FIGURES = {name: draw for module in MODULES for name, draw in module.FIGURES.items()}
