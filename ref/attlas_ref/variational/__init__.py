"""Alignment as a latent variable: exact marginals, bounds, samples, relaxations, captioning."""
