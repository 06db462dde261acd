"""What can be said of a formulation's error before it is computed."""

import math
import warnings
from typing import Any


def largest_mean_square(query: Any, keys: tuple[Any, ...]) -> float:
    """Return the largest mean square of a query's dot products with tuples of keys; for NumPy's arrays and CuPy's.

    It is q (M_1 ∘ ... ∘ M_p) q with the second moments M_r = k_rᵀ k_r / n_r of each set, which is not empty.
    """
    moments: Any = 1
    for key in keys:
        moments = moments * (key.swapaxes(-1, -2) @ key / key.shape[-2])
    squares = ((query @ moments) * query).sum(axis=-1)
    return float(squares.max()) if squares.size else 0.0


def warn_if_the_bound_says_nothing(mean_square: float, degree: int, scale: float) -> None:
    """Warn if the scores of low-rank tensor attention are surely too large for its degree, e^S S^(g+1) / (g+1)! >= 1.

    S is the largest root mean square of a query's scores.
    """
    if not mean_square > 0 or math.isinf(mean_square) or scale == 0:
        return
    size = abs(scale) * math.sqrt(mean_square)
    if size + (degree + 1) * math.log(size) - math.lgamma(degree + 2) >= 0:
        warnings.warn(
            f"tensor_attention_lowrank: scores reach {size:.3g} at least; degree {degree} does not bound the error",
            RuntimeWarning,
            stacklevel=5,
        )
