r"""What a step knows of the last one: past weights, convolved or shifted.

Attention that moves feeds its weights back. The features of key j are a convolution of the past weights around j, zero
beyond the ends,

$$f_{cj} = \sum_h \sum_{t=0}^{k-1} F_{cht}\, x_{h,\,j + t - (k-1)/2},$$

with a kernel of odd width k, so that the middle tap looks at j itself. Past weights of keys that a step does not see
count as 0.
"""

import numpy as np

from .visibility import Booleans, Reals

START = ("uniform", "zeros", "first")
"""What weights before the first step may be called."""


def convolved(x: Reals, kernel: Reals) -> Reals:
    """Return the features (..., n, c) of channels (..., h, n) under a kernel (..., c, h, k).

    Examples
    --------
    The second tap of three is the place itself, the first the place before:

    >>> convolved(np.array([[1.0, 0.0, 5.0]]), np.array([[[10.0, 1.0, 0.0]]])).T
    array([[ 1., 10.,  5.]])
    """
    n, k = x.shape[-1], kernel.shape[-1]
    padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(k // 2, k // 2)])
    windows = np.take(padded, np.arange(n)[:, None] + np.arange(k), axis=-1)  # (..., h, n, k)
    return np.asanyarray(np.einsum("...hnk,...chk->...nc", windows, kernel))


def shifted(x: Reals, steps: int = 1) -> Reals:
    """Return x moved towards larger j, zeros in front.

    Examples
    --------
    >>> shifted(np.array([1.0, 2.0, 3.0]))
    array([0., 1., 2.])
    """
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(steps, 0)])[..., : x.shape[-1]]


def first_row(visible: Booleans) -> Booleans:
    """Return which keys the first step sees, (..., n): none where there is no step."""
    return np.asarray(visible[..., :1, :].any(axis=-2))


def starting_weights(initial: str | Reals, seen: Booleans, like: Reals) -> Reals:
    """Return the weights before the first step, (..., n): as given, or what the word stands for.

    Examples
    --------
    >>> starting_weights("uniform", np.array([True, True, False]), np.zeros(1))
    array([0.5, 0.5, 0. ])
    """
    if not isinstance(initial, str):
        return initial
    if initial == "uniform":
        return (seen / np.maximum(seen.sum(axis=-1, keepdims=True), 1)).astype(like.dtype)
    first = np.arange(seen.shape[-1]) == 0
    return (first & (initial == "first")).astype(like.dtype)


def stacked(rows: list[Reals], leading: tuple[int, ...], like: Reals, n: int) -> Reals:
    """Return one row of weights per step, (..., m, n)."""
    return np.stack(rows, axis=-2) if rows else np.zeros((*leading, 0, n), dtype=like.dtype)
