"""Sums and shares of numbers that are known by their logarithms. Impossible things have -inf, and sums none of NaN."""

import math
from typing import Any


def weighed(xp: Any, logs: Any, axis: Any) -> tuple[Any, Any, Any]:
    """Return (parts, mass, top): parts are exponentials divided by that of `top`, and `mass` is their sum.

    The sum of all exponentials has the logarithm log(mass) + top, and shares are parts / mass. All keep their axes.
    """
    top = finite_or_zero(xp, logs.max(axis=axis, keepdims=True))
    parts = xp.exp(logs - top)
    return parts, parts.sum(axis=axis, keepdims=True), top


def log_sum_exp(xp: Any, logs: Any, axis: Any) -> Any:
    """Return the logarithm of a sum of exponentials; it keeps its axes, and -inf is the empty sum."""
    _, mass, top = weighed(xp, logs, axis)
    return xp.log(mass) + top


def shares(xp: Any, logs: Any, axis: Any) -> Any:
    """Return exponentials divided by their sum, or zeros."""
    parts, mass, _ = weighed(xp, logs, axis)
    return parts / nonzero(xp, mass)


def finite_or_zero(xp: Any, logs: Any) -> Any:
    """Return what may be subtracted from logarithms: 0 in place of -inf, which would make NaN of -inf."""
    return xp.where(logs == -math.inf, 0, logs)


def nonzero(xp: Any, mass: Any) -> Any:
    """Return what to divide by: 1 in place of 0."""
    return xp.where(mass == 0, 1, mass)


def running(xp: Any, combine: Any, array: Any) -> Any:
    """Combine each entry of the last axis with all before it; twice as far back in every round."""
    reach = 1
    while reach < array.shape[-1]:
        array = xp.concatenate([array[..., :reach], combine(array[..., reach:], array[..., :-reach])], axis=-1)
        reach *= 2
    return array
