"""Formulations that are a few lines over others: written once, for the arrays of every engine.

A composition gets `here` first, where it runs: `here.xp` is the array namespace, `here.<name>` a function of the
same engine.
"""
