"""Figures of the family pointer."""

from . import copying, networks, selection, tasks, trees

MODULES = (networks, tasks, copying, trees, selection)
FIGURES = {name: draw for module in MODULES for name, draw in module.FIGURES.items()}
