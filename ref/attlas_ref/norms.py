"""Vectors of unit size: by their length, or by their root mean square."""

import numpy as np

from .visibility import Reals


def unit_length(x: Reals, eps: float) -> Reals:
    """Return rows of length 1; rows shorter than `eps` are divided by `eps`.

    >>> unit_length(np.array([[3.0, 4.0], [0.0, 0.0]]), eps=1e-12)
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    return x / np.maximum(np.sqrt((x**2).sum(axis=-1, keepdims=True)), eps)


def unit_rms(x: Reals, eps: float) -> Reals:
    """Return rows with a mean square of 1, where `eps` is small beside it; rows of zeros stay zero.

    >>> unit_rms(np.array([[1.0, 7.0]]), eps=0.0)
    array([[0.2, 1.4]])
    """
    mean_square = (x**2).sum(axis=-1, keepdims=True) / max(x.shape[-1], 1) + eps
    return x / np.sqrt(np.where(mean_square == 0, 1, mean_square))
