"""Attention that moves forward: expected and hard alignments, latency, locations, and alignment by dynamic programs."""
