"""Attention over pairs and triples: compositions of accelerated functions."""

from .products import *  # noqa: F403
