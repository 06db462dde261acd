"""Figures of attention as memory."""

from . import balls, betas, bits, episodes, landscapes, modules_context, modules_layers, modules_titans, spheres

MODULES = (landscapes, bits, balls, spheres, betas, modules_context, modules_titans, modules_layers, episodes)
FIGURES = {name: draw for module in MODULES for name, draw in module.FIGURES.items()}
