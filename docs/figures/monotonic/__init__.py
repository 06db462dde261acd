"""Figures of the family monotonic."""

from . import ctc, dynamics, expected, latency, latent, location, luong, policies, positions

MODULES = (expected, policies, latency, latent, luong, location, positions, ctc, dynamics)
FIGURES = {name: draw for module in MODULES for name, draw in module.FIGURES.items()}
