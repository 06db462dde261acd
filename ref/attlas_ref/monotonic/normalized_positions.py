r"""One bell on the unit interval, whose place is fed back: what the attentions of this kind share.

The L keys that a step sees stand at $x_j = j \delta$ from 0 to 1, $\delta = 1 / (L - 1)$. A step puts a bell of the
width $\sigma$ at the mean $\mu$; its weights are

$$\lambda_j = \frac{g_j}{\sum_{j'} (g_{j'} + 10^{-20})}, \qquad g_j = \exp\Bigl(-\frac{(x_j - \mu)^2}{2\sigma^2}\Bigr),
  \qquad \sigma = \frac{\mathrm{relu}(w_\sigma \cdot s) + 0.27}{L} .$$

The next step starts where the *weights* have their mean, $\bar x = \sum_j \alpha_j x_j$, not where the bell was put:
the two differ where a bell hangs over an end.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from ..visibility import Booleans, Reals

LEAST_WIDTH = 0.27
"""Of a bell, in keys: narrow enough to choose one."""
GUARD = 1e-20
"""Keeps the sum over the bell above 0."""


class Places(NamedTuple):
    """Where the keys stand for each step, and how wide the bell is."""

    positions: Reals
    """(..., m, n): x"""
    spacing: Reals
    """(..., m): δ"""
    width: Reals
    """(..., m): σ"""


def places_of(state: Reals, w_sigma: Reals, visible: Booleans) -> Places:
    """Return positions, spacing and widths for states (..., m, d) that see what is visible, (..., m, n)."""
    count = np.maximum(visible.sum(axis=-1), 1)  # (..., m): L
    spacing = (1 / np.maximum(count - 1, 1)).astype(state.dtype)
    positions = np.arange(visible.shape[-1]).astype(state.dtype) * spacing[..., None]
    width = (np.maximum(along(state, w_sigma), 0) + LEAST_WIDTH) / count.astype(state.dtype)
    return Places(positions, spacing, width)


def leading_of(past: Reals, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the leading axes of a place (...) and of numbers per step, of shapes (..., m)."""
    return np.broadcast_shapes((*past.shape, 1), *shapes)[:-1]


def along(state: Reals, w: Reals) -> Reals:
    """Return the dot products of states (..., m, d) with one vector (..., d)."""
    return (state @ w[..., None])[..., 0]


def bell(positions: Reals, mean: Reals, width: Reals, seen: Booleans) -> Reals:
    """Return the weights of a bell (...) over the keys that are seen, (..., n).

    Examples
    --------
    >>> bell(np.array([0, 0.5, 1]), np.array(0.5), np.array(0.25), np.array([True, True, True])).round(2)
    array([0.11, 0.79, 0.11])
    """
    distance = (positions - mean[..., None]) / width[..., None]
    height = np.where(seen, np.exp(-(distance**2) / 2), 0)
    total = np.where(seen, height + GUARD, 0).sum(axis=-1, keepdims=True)
    return np.where(seen, height / np.where(total == 0, 1, total), 0)


def softstair(r: Reals, temperature: float) -> Reals:
    r"""Return $\lfloor r \rfloor + \sigma(T (r - \lfloor r \rfloor - 1/2))$: nearly whole, and yet with a slope.

    Examples
    --------
    >>> softstair(np.array([0.2, 0.5, 0.8, 1.2]), 20.0).round(2)
    array([0. , 0.5, 1. , 1. ])
    """
    whole = np.floor(r)
    return np.asanyarray(whole + expit(temperature * (r - whole - 0.5)))
