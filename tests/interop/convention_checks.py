"""The registry of tests for the cells of the table of conventions, and what they compute on."""

from collections.abc import Callable
from typing import Any

import numpy as np

from attlas.interop.conventions import find

RNG = np.random.default_rng(5)
CHECKS: dict[tuple[str, str], Callable[..., None]] = {}
"""By matter and library; each takes the library's name."""


def rows(m: int, n: int, d: int = 4, e: int | None = None, dtype: Any = np.float32, heads: int = 1) -> Any:
    """Draw queries, keys and values."""
    shapes = ((1, heads, m, d), (1, heads, n, d), (1, heads, n, d if e is None else e))
    return [RNG.normal(size=shape).astype(dtype) for shape in shapes]


def check(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a test for all cells of a row that are measured."""

    def register(test: Callable[..., None]) -> Callable[..., None]:
        for library, cell in find(name).cells.items():
            if cell.measured:
                CHECKS[name, library] = test
        return test

    return register
