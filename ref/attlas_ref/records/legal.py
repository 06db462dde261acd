"""What the arrays of a call may hold: shares, logarithms of distributions, draws, prefixes; and how to draw them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..visibility import visible_pairs

Check = Callable[[str, dict[str, Any]], None]

ROUNDINGS = 32
"""How many units in the last place a sum of rounded probabilities may be away from 1."""
IMPOSSIBLE = -1e4
"""A logarithm that every dtype holds, and whose exponential is 0."""


def host(array: Any) -> Any:
    """Return an array of any library as one that NumPy can compare with numbers."""
    for method in ("copy_to_host", "get", "cpu"):
        if hasattr(array, method):
            return np.asarray(getattr(array, method)())
    return array


def whole_numbers(function: str, name: str, array: Any, seen: Any = True) -> Any:
    """Return an array of whole numbers, 0 where it is not seen, or raise if it holds others: infinity is none."""
    numbers = np.where(seen, np.asarray(host(array)).astype(np.float64), 0)
    if not bool((np.isfinite(numbers) & (np.trunc(numbers) == numbers)).all()):
        raise TypeError(f"{function}: {name} holds a number that is not whole; it needs whole numbers")
    return numbers


def shares(name: str) -> Check:
    """Return the check that an array, where it is given, holds numbers from 0 to 1."""
    return partial(_are_shares, name=name)


def _are_shares(function: str, values: dict[str, Any], *, name: str) -> None:
    array = host(values[name])
    if array is not None and bool(((array < 0) | (array > 1)).any()):
        raise ValueError(f"{function}: {name} leaves the range; it needs numbers from 0 to 1")


def mask_is_a_prefix(function: str, values: dict[str, Any]) -> None:
    """Check that a mask is True up to some position, and False behind it."""
    mask = host(values["mask"])
    if mask is not None and bool((mask[..., 1:] & ~mask[..., :-1]).any()):
        raise ValueError(
            f"{function}: mask allows what stands behind a hidden position; it needs to be True, then False"
        )


def up_to_the_first(mask: Any) -> Any:
    """Make a prefix of any mask: True up to the first False."""
    return np.logical_and.accumulate(mask, axis=-1)


def normalized(*names: str) -> Check:
    """Return the check that arrays hold logarithms of probabilities, which sum to 1 over what the mask shows."""
    return partial(_are_normalized, names=names)


def _are_normalized(function: str, values: dict[str, Any], *, names: tuple[str, ...]) -> None:
    for name in names:
        logs = np.asarray(host(values[name]))
        mask: Any = values.get("mask")
        visible = np.broadcast_to(True if mask is None else host(mask), np.broadcast_shapes(np.shape(mask), logs.shape))
        with np.errstate(all="ignore"):
            total = np.where(visible, np.exp(logs.astype(np.float64)), 0).sum(axis=-1)
            off = visible.any(axis=-1) & (np.abs(np.log(total)) > max(1e-6, ROUNDINGS * rounding_unit(logs)))
        if off.any():
            raise ValueError(
                f"{function}: {name} is not normalized, its exponentials sum to {total[off].flat[0]:.6g}; it needs "
                "logarithms of probabilities, which sum to 1"
            )


def rounding_unit(array: Any) -> float:
    """The unit in the last place of the shortest dtype that holds all numbers: they may come from there."""
    for dtype in (np.float16, np.float32):
        if np.array_equal(array.astype(dtype).astype(array.dtype), array, equal_nan=True):
            return float(np.finfo(dtype).eps)
    return float(np.finfo(np.float64).eps)


def uniform_numbers(*, closed: bool, pairs: bool) -> Check:
    """Return the check that `uniform`, one number per pair or per query, lies in [0, 1), or in [0, 1] if closed."""
    return partial(_are_uniform, closed=closed, pairs=pairs)


def _are_uniform(function: str, values: dict[str, Any], *, closed: bool, pairs: bool) -> None:
    if values["uniform"] is None:
        return
    uniform, mask = np.asarray(host(values["uniform"])), values["mask"]
    visible = visible_pairs(values["query"], values["key"], None if mask is None else host(mask), values["causal"])
    seen = visible if pairs else visible.any(axis=-1)
    right = (uniform >= 0) & ((uniform <= 1) if closed else (uniform < 1))
    if not (right | ~seen).all():
        upper = "at most" if closed else "below"
        raise ValueError(f"{function}: uniform leaves the range; it needs numbers of at least 0 and {upper} 1")


def above_zero(*names: str) -> Check:
    """Return the check that what is visible of some arrays is above 0."""
    return partial(_are_above, names=names, zero=False)


def not_negative(name: str) -> Check:
    """Return the check that what is visible of an array is at least 0."""
    return partial(_are_above, names=(name,), zero=True)


def _are_above(function: str, values: dict[str, Any], *, names: tuple[str, ...], zero: bool) -> None:
    mask = values.get("mask")
    visible = True if mask is None else host(mask)
    for name in names:
        if values[name] is None:
            continue
        array = host(values[name])
        low = (array < 0) if zero else (array <= 0)
        if bool((low & visible).any()):
            wrong = "a negative number" if zero else "a number that is not above 0"
            raise ValueError(f"{function}: {name} holds {wrong}; it needs {'at least' if zero else 'more than'} 0")


def samples_were_possible(function: str, values: dict[str, Any]) -> None:
    """Check that no sample has the probability 0."""
    samples, logs = np.asarray(values["samples"]), np.asarray(host(values["log_posterior"]))
    leading = np.broadcast_shapes(samples.shape[:-1], logs.shape[:-1])
    samples = np.broadcast_to(samples, (*leading, samples.shape[-1]))
    chances = np.take_along_axis(np.broadcast_to(logs, (*leading, logs.shape[-1])), samples, axis=-1)
    if (chances == -np.inf).any():
        raise ValueError(
            f"{function}: samples holds {samples[chances == -np.inf][0]}, whose log_posterior is -inf; it needs places "
            "that q can draw"
        )


def draw_log_probabilities(x: Any, dtype: str | None, mask: Any = None, *, impossible: bool = False) -> Any:
    """Make logarithms of distributions of any numbers, normalized over what the mask shows.

    Where whole numbers are asked for one place has all. With `impossible` some places get -inf.
    """
    visible = np.broadcast_to(True if mask is None else mask, np.broadcast_shapes(np.shape(mask), x.shape))
    x = np.broadcast_to(x, visible.shape)
    seen = np.where(visible, x, -np.inf)
    first = seen == seen.max(axis=-1, keepdims=True, initial=-np.inf)
    first &= visible & (np.cumsum(first, axis=-1) == 1)
    if str(dtype).startswith("int"):
        return np.where(first, 0, IMPOSSIBLE)
    logs = np.where(visible, np.clip(x, -30, 30), -np.inf)
    if impossible:
        logs = np.where((x < -1) & ~first, -np.inf, logs)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = logs - np.log(np.exp(logs).sum(axis=-1, keepdims=True))
    return np.where(visible, logs, x)


def draw_uniform(x: Any) -> Any:
    """Make numbers in [0, 1) of any numbers, all different, such as half precision holds."""
    golden = (np.sqrt(5) - 1) / 2 * np.arange(x.size).reshape(x.shape)
    return (np.floor(1024 * np.mod(x + golden, 1)) + 0.5) / 1024


def draw_positive(x: Any, dtype: str | None) -> Any:
    """Make numbers above 0 of any numbers."""
    return np.exp(np.clip(x, 0 if str(dtype).startswith("int") else -5, 5))
