"""How the rows of a tuple's members become the row of the tuple, and how its gradient goes back to them."""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from array_api_compat import array_namespace


class Combination(NamedTuple):
    """A product of rows; all arrays are (..., n_1 or 1, ..., n_p or 1, width) and broadcast."""

    rows: Callable[[Sequence[Any]], Any]
    """Maps the members' rows to those of the tuples."""
    slope: Callable[[Any, Sequence[Any], int], Any]
    """Maps (gradient of the tuples' rows, the members' rows, r) to the gradient of member r, before it is summed."""


def _product(parts: Sequence[Any]) -> Any:
    return functools.reduce(operator.mul, parts)


def _product_slope(grad: Any, parts: Sequence[Any], r: int) -> Any:
    others = [part for s, part in enumerate(parts) if s != r]
    return grad * _product(others) if others else grad


def _cross_rows(parts: Sequence[Any]) -> Any:
    return _cross(*parts)


def _cross_slope(grad: Any, parts: Sequence[Any], r: int) -> Any:
    # g·(a × b) has the slopes b × g and g × a.
    return _cross(parts[1], grad) if r == 0 else _cross(grad, parts[0])


def _cross(a: Any, b: Any) -> Any:
    """Return the cross products of consecutive triples of channels."""
    xp, width = array_namespace(a), math.prod(a.shape[-1:])
    c = xp.arange(width)
    following, before = c // 3 * 3 + (c + 1) % 3, c // 3 * 3 + (c + 2) % 3
    return a[..., following] * b[..., before] - a[..., before] * b[..., following]


PRODUCT = Combination(_product, _product_slope)
CROSS = Combination(_cross_rows, _cross_slope)
