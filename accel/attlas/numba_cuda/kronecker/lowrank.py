"""Tensor attention by monomials on Numba-CUDA: per set the monomials' sums of the values, and of 1; then one reading.

Bound by operations: (m + n_1 + ... + n_p) r (e + degree) with r monomials; memory beside the result is the sums,
r (e + 1) numbers per batch member. To tell whether the degree bounds the error takes n d² + m d² more, and the host
waits for m numbers per batch member.

Results differ from the reference by rounding only.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...bounds import warn_if_the_bound_says_nothing
from ..assemble import Assembly, product
from ..learned import multiplied
from ..operands import dtype_of, leading_axes, shape_of
from ..rules import Real
from ..target import device
from ..views import once, transposed, viewed
from .monomials import Monomials

__all__ = ["tensor_attention_lowrank"]


def tensor_attention_lowrank(
    query: Any, keys: tuple[Any, ...], values: tuple[Any, ...], *, degree: int, scale: float | None, kernel: str
) -> Any:
    """Compute `attlas_ref.tensor_attention_lowrank`."""
    (m, d), e, dtype = shape_of(query)[-2:], shape_of(values[0])[-1], dtype_of(query)
    factor = 1 / math.sqrt(d) if scale is None else scale
    batch = leading_axes(query, *keys, *values)
    if any(shape_of(key)[-2] == 0 for key in keys):
        nothing = np.broadcast_to(np.zeros(1, dtype), (m, e))
        return Assembly(batch, m, e, dtype).put(product, nothing).matrix
    warn_if_the_bound_says_nothing(_largest_mean_square(query, keys), degree, factor)
    monomials = Monomials(d, degree, dtype)
    sums: Any = None
    for key, value in zip(keys, values, strict=True):
        of_set = monomials.moments(key, beside_ones(value))
        if sums is None:
            sums = of_set
        else:
            sums = Assembly(leading_axes(sums, of_set), monomials.count, e + 1, dtype).put(product, sums, of_set).matrix
    read = monomials.read(query, sums, factor)
    numerator, denominator = viewed(read, lambda a: a[..., :e]), viewed(read, lambda a: a[..., e:])
    return Assembly(batch, m, e, dtype).put(ratio, numerator, denominator).matrix


def beside_ones(rows: Any) -> Any:
    """Return the rows with a 1 after each, (..., n, e + 1)."""
    rows = once(rows)
    *own, n, e = shape_of(rows)
    ones = np.broadcast_to(np.ones(1, dtype_of(rows)), (n, 1))
    return Assembly(tuple(own), n, e + 1, dtype_of(rows)).put(product, rows).put(product, ones, column=e).matrix


def _largest_mean_square(query: Any, keys: tuple[Any, ...]) -> float:
    """Return what `bounds.largest_mean_square` does, for arrays on the device."""
    query, (m, d), dtype = once(query), shape_of(query)[-2:], dtype_of(query)
    moments: Any = np.ones((d, d), dtype)
    for key in map(once, keys):
        own = multiplied(transposed(key), transposed(key), scale=1 / shape_of(key)[-2])
        moments = Assembly(leading_axes(moments, own), d, d, dtype).put(product, moments, own).matrix
    turned = multiplied(query, moments)  # the moments are symmetric
    terms = Assembly(leading_axes(turned), m, d, dtype).put(product, turned, query).matrix
    squares = multiplied(terms, np.ones((1, d), dtype))
    found = squares if isinstance(squares, np.ndarray) else squares.copy_to_host()
    return float(found.max()) if found.size else 0.0


def ratio(real: Real) -> Callable[..., Any]:
    """Make left divided by right."""

    @device
    def entry(left, right):
        return left / right

    return entry
