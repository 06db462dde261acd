"""How far rounding can carry a float64 result from the exact one: the only tolerance of these tests.

A sum of N products of size at most ``magnitude`` is wrong by at most about N units of rounding of that size, and an
exponential passes on the absolute error of its argument. So a caller states how many operations one entry takes and
how large its terms get; nothing else is free to choose.
"""

from typing import Any

import numpy as np


def assert_equal_up_to_rounding(actual: Any, exact: Any, *, operations: int, magnitude: float = 1.0) -> None:
    """Assert that the error of every entry is at most ``operations`` roundings of a term of size ``magnitude``."""
    actual, exact = np.asarray(actual), np.asarray(exact, dtype=np.float64)
    assert actual.shape == exact.shape
    bound = operations * np.finfo(np.float64).eps * magnitude
    np.testing.assert_array_less(np.abs(actual - exact), np.nextafter(bound, np.inf))
