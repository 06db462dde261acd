"""Sums of paths that are known by their logarithms, where infinities stay what they are.

Impossible paths have -inf. A NaN reaches every sum that it is part of, and so does +inf.
"""

import math
from typing import Any


def log_sum(xp: Any, logs: Any, axis: int = -1) -> Any:
    """Return the logarithm of a sum of exponentials along an axis; -inf for an empty sum."""
    top = _finite(xp, logs.max(axis=axis, keepdims=True))
    return (xp.log(xp.exp(logs - top).sum(axis=axis, keepdims=True)) + top).sum(axis=axis)


def arrived(xp: Any, first: Any, second: Any, third: Any) -> Any:
    """Return the logarithm of the sum of three exponentials."""
    top = _finite(xp, xp.maximum(xp.maximum(first, second), third))
    return xp.log((xp.exp(first - top) + xp.exp(second - top)) + xp.exp(third - top)) + top


def shares(xp: Any, logs: Any, axis: int = -1) -> Any:
    """Return exponentials divided by their sum, or zeros."""
    part = xp.exp(logs - _finite(xp, logs.max(axis=axis, keepdims=True)))
    total = part.sum(axis=axis, keepdims=True)
    return part / xp.where(total == 0, 1, total)


def continued(xp: Any, logs: Any, more: Any) -> Any:
    """Return logs + more, where what is impossible stays so: -inf plus NaN is -inf."""
    return xp.where(logs == -math.inf, -math.inf, logs + more)


def level(xp: Any, logs: Any) -> Any:
    """Return what to take from logarithms to keep their digits, (..., 1): the largest finite one, or 0."""
    largest = xp.where(xp.isfinite(logs), logs, -math.inf).max(axis=-1, keepdims=True)
    return xp.where(largest == -math.inf, 0, largest)


def _finite(xp: Any, top: Any) -> Any:
    """Return what takes logarithms into the range of exp: 0 in place of infinities."""
    return xp.where(abs(top) == math.inf, 0, top)
