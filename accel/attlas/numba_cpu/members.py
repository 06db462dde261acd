"""Members of a batch in turn, where a composition makes arrays of pairs in between: a part of it, no formulation.

Bound by: what the composition is; arrays of a few members stay in a cache, and their memory is used again instead of
being handed out by the system anew, which takes as long as several kernels.
Differs from the reference by nothing: no member feels another.
"""

from collections.abc import Callable

import numpy as np

from .operands import Array

NEAR = 2**19
"""Pairs that are worked on at a time, unless one member has more."""


def in_turn(compute: Callable[..., Array], pairs: int, *arrays: tuple[Array | None, int]) -> Array:
    """Return compute(*arrays), joined from some members after the other.

    Parameters
    ----------
    compute : callable
        Takes the arrays and returns one (batch, ...).
    pairs : int
        Of one entry of the first leading axis.
    arrays : pairs of an array or None and an int
        How many of its axes are not leading ones. If one has fewer leading axes than another, but some, or another
        first one, all members are computed together.
    """
    whole = [array for array, _ in arrays]
    leading = {array.shape[: array.ndim - axes] for array, axes in arrays if array is not None and array.ndim > axes}
    alike = len({(len(shape), shape[0]) for shape in leading}) == 1
    count = next(iter(leading))[0] if alike else 0
    step = max(1, NEAR // max(1, pairs))
    if step >= count:
        return compute(*whole)
    output = None
    for start in range(0, count, step):
        some = slice(start, start + step)
        part = compute(*(x if x is None or x.ndim == axes else x[some] for x, axes in arrays))
        output = np.empty((count, *part.shape[1:]), dtype=part.dtype) if output is None else output
        output[some] = part
    assert output is not None
    return output
