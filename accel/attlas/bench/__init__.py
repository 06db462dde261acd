"""Measuring: time, memory and share of the machine's own limits, beside the reference and the best public peer."""
