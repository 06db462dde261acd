r"""Sums and shares of numbers that are known by their logarithms.

A product of many potentials overflows, its logarithm does not. Impossible things have the logarithm $-\infty$, also
where everything is impossible: there a sum is $-\infty$ and the shares are zeros, never NaN.
"""

from typing import Any

import numpy as np

from .visibility import Booleans, Reals

Axes = int | tuple[int, ...]


def log_sum_exp(logs: Reals, axis: Axes = -1, keepdims: bool = False, where: Booleans | None = None) -> Reals:
    r"""Return $\log \sum \exp$ along axes, of those entries only that are chosen; $-\infty$ for an empty sum.

    Examples
    --------
    >>> bool(log_sum_exp(np.array([1e4, 1e4])) == 1e4 + np.log(2))
    True
    >>> with np.errstate(divide="ignore"):
    ...     print(log_sum_exp(np.array([-np.inf, -np.inf])))
    -inf
    """
    if where is not None:
        logs = np.where(where, logs, -np.inf)
    top = _top(logs, axis)
    total = np.log(np.exp(logs - top).sum(axis=axis, keepdims=True)) + top
    return total if keepdims else np.squeeze(total, axis=axis)


def shares(logs: Reals, axis: Axes = -1) -> Reals:
    r"""Return $\exp(\mathrm{logs}) / \sum \exp(\mathrm{logs})$ along axes: probabilities, or zeros.

    Examples
    --------
    >>> shares(np.array([[1e4, 1e4, -np.inf], [-np.inf] * 3]))
    array([[0.5, 0.5, 0. ],
           [0. , 0. , 0. ]])
    """
    part = np.exp(logs - _top(logs, axis))
    total = part.sum(axis=axis, keepdims=True)
    return part / np.where(total == 0, 1, total)


def log_ratio(log_mass: Reals, log_total: Reals) -> Reals:
    """Return the logarithm of a mass divided by a total: nothing where the total is nothing.

    Examples
    --------
    >>> log_ratio(np.array([0.0, 0.0, -np.inf]), np.array([1.0, -np.inf, -np.inf]))
    array([ -1., -inf, -inf])
    """
    return np.where(log_total == -np.inf, -np.inf, log_mass - finite_or_zero(log_total))


def log_shares(logs: Reals, visible: Booleans) -> Reals:
    r"""Return the logarithms of the shares of what is visible along the last axis, $-\infty$ elsewhere.

    Examples
    --------
    >>> log_shares(np.log([3.0, 1.0, 9.0]), np.array([True, True, False])).round(3)
    array([-0.288, -1.386,   -inf])
    """
    return np.where(visible, log_ratio(logs, log_sum_exp(logs, keepdims=True, where=visible)), -np.inf)


def continued(logs: Reals, more: Reals) -> Reals:
    r"""Return logs + more, where what is impossible stays so: $-\infty$ plus NaN is $-\infty$.

    Examples
    --------
    >>> continued(np.array([1.0, -np.inf]), np.array([2.0, np.nan]))
    array([  3., -inf])
    """
    return np.where(logs == -np.inf, -np.inf, logs + more)


def finite_or_zero(logs: Reals) -> Reals:
    r"""Return what may be subtracted from logarithms: 0 in place of $-\infty$, which would make NaN of $-\infty$."""
    return np.where(logs == -np.inf, 0, logs)


def inverse_cdf(probability: Reals, uniform: Reals) -> Any:
    """Return how many entries have a cumulative probability of at most `uniform`, but no impossible entry.

    Where rounding leaves the sum below `uniform` that is the last possible entry; where none is possible it is 0.

    Examples
    --------
    >>> inverse_cdf(np.array([0.2, 0.0, 0.8, 0.0]), np.array([[0.1], [0.2], [1.0]]))
    array([0, 2, 2])
    """
    below = (np.cumsum(probability, axis=-1) <= uniform).sum(axis=-1)
    places = np.arange(probability.shape[-1])
    return np.minimum(below, np.where(probability > 0, places, 0).max(axis=-1, initial=0))


def _top(logs: Reals, axis: Axes) -> Any:
    """The largest of the logarithms, which takes the rest into the range of exp; 0 where it is infinite."""
    top = logs.max(axis=axis, keepdims=True, initial=-np.inf)
    return np.where(np.isinf(top), 0, top)
