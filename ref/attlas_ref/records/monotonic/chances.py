"""What a call of a pointer may hold: probabilities, masses, draws; and how to draw them."""

from functools import partial
from typing import Any

import numpy as np

from ..legal import ROUNDINGS, Check, host, rounding_unit


def between_zero_and_one(name: str, *, closed: bool = True) -> Check:
    """Return the check that what is visible of an array lies in [0, 1], or in [0, 1) if not closed."""
    return partial(_are_between, name=name, closed=closed)


def _are_between(function: str, values: dict[str, Any], *, name: str, closed: bool) -> None:
    array, mask = host(values[name]), values["mask"]
    if array.size == 0 or (array.min() >= 0 and (array.max() <= 1 if closed else array.max() < 1)):
        return  # two fast passes, where nothing is wrong even behind the mask
    right = (array >= 0) & ((array <= 1) if closed else (array < 1))
    if not bool((right if mask is None else right | ~host(mask)).all()):
        upper = "at most" if closed else "below"
        raise ValueError(f"{function}: {name} leaves the range; it needs numbers of at least 0 and {upper} 1")


def previous_is_a_mass(function: str, values: dict[str, Any]) -> None:
    """Check that the weights before the first row are not negative and sum to at most 1."""
    if values["previous"] is None:
        return
    previous = np.asarray(host(values["previous"]))
    total = previous.astype(np.float64).sum(axis=-1)
    most = 1 + max(1e-6, ROUNDINGS * rounding_unit(previous))
    if not bool((previous >= 0).all() and (total <= most).all()):
        raise ValueError(
            f"{function}: previous is no weights of a pointer, they run from {previous.min():.6g} and sum to at most "
            f"{total.max():.6g}; it needs numbers of at least 0 with sums of at most 1"
        )


def draw_probabilities(x: Any, dtype: str | None) -> Any:
    """Make probabilities of any numbers, some of them exactly 0 and 1; where whole numbers are asked for, all.

    Some lie below one half by less than single precision can tell.
    """
    certain = (x > 0).astype(np.float64)
    if str(dtype).startswith("int"):
        return certain
    chances = np.where(np.abs(x) > 1.5, certain, 1 / (1 + np.exp(-2 * np.clip(x, -2, 2))))
    return np.where((x > 0) & (x < 0.3), 0.5 - 2.0**-40, chances)


def draw_probabilities_beside(x: Any, dtype: str | None, uniform: Any) -> Any:
    """Make such probabilities, some of them above the draws by less than single precision can tell."""
    chances = draw_probabilities(x, dtype)
    if str(dtype).startswith("int") or np.shape(uniform) != x.shape:
        return chances
    return np.where((x < 0) & (x > -0.2), uniform + 2.0**-40, chances)


def draw_masses(x: Any) -> Any:
    """Make numbers of at least 0 that sum to less than 1 along the last axis."""
    size = np.abs(x)
    return size / (size.sum(axis=-1, keepdims=True) + 1)
