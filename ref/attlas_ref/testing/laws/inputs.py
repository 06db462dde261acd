"""What checks of laws do to calls: fill masks, take rows, move axes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...contract import Array, parse_signature
from ...records import Record, find
from ..pairs import is_dense, visible_in
from ..plan import Call

Change = Callable[[Any, int], Any]
"""A change of an array along one of its axes."""

ATTENTION = "(m,d),(n,d),(n,e)->(m,e)"


def is_attention(record: Record) -> bool:
    """Whether it is a dense map from queries, keys and values to one output per query."""
    return is_dense(record) and record.signature == ATTENTION


def filled(call: Call) -> Call:
    """Return a dense call with every array at its full shape, and the causal rule written into the mask."""
    visible, options = visible_in(call), dict(call.options)
    batch = visible.shape[:-2]
    arrays = [np.broadcast_to(array, (*batch, *array.shape[-2:])) for array in call.arrays]
    if options.get("causal") or options.get("mask") is not None:
        options |= {"mask": visible, "causal": False}
    if options.get("bias") is not None:
        options["bias"] = np.broadcast_to(options["bias"], visible.shape)
    return Call(call.name, tuple(arrays), options, call.plan)


def along(call: Call, letter: str, change: Change) -> Call:
    """Change every array of a filled call along the axis of a letter."""
    record = find(call.name)
    cores = parse_signature(record.signature).inputs
    arrays = tuple(_along(array, core, letter, change) for array, core in zip(call.arrays, cores, strict=True))
    options = {
        name: _along(value, option.core, letter, change)
        if isinstance(option := record.options[name], Array) and value is not None
        else value
        for name, value in call.options.items()
    }
    return Call(call.name, arrays, options, call.plan)


def results_along(call: Call, result: Any, letter: str, change: Change) -> Any:
    """Change every result of a call along the axis of a letter."""
    cores = parse_signature(find(call.name).signature).outputs
    if not isinstance(result, tuple):
        return _along(result, cores[0], letter, change)
    return tuple(_along(part, core, letter, change) for part, core in zip(result, cores, strict=True))


def _along(array: Any, core: Any, letter: str, change: Change) -> Any:
    return change(array, core.index(letter) - len(core)) if letter in core else array


def take(indices: Any) -> Change:
    """Return the change that takes some entries along an axis."""
    return lambda array, axis: np.take(array, indices, axis=axis)


def parts(result: Any) -> tuple[Any, ...]:
    """Return the results as a tuple, also if there is one."""
    return tuple(result) if isinstance(result, tuple) else (result,)


def scores_of(call: Call) -> Any:
    """The scores of a call with dot products, -inf where a query does not see a key."""
    query, key = call.arrays[:2]
    scale = call.options.get("scale")
    scale = 1 / np.sqrt(query.shape[-1]) if scale is None else scale
    scores = float(scale) * (query @ key.mT)
    if call.options.get("bias") is not None:
        scores = scores + call.options["bias"]
    return np.where(visible_in(call), scores, -np.inf)


def extremes(array: Any, visible: Any) -> tuple[Any, Any]:
    """Smallest and largest visible entry of each row of (..., m, n); 0 where nothing is visible."""
    seen = visible.any(axis=-1)
    low = np.where(visible, array, np.inf).min(axis=-1, initial=np.inf)
    high = np.where(visible, array, -np.inf).max(axis=-1, initial=-np.inf)
    return np.where(seen, low, 0), np.where(seen, high, 0)


def spread(array: Any, visible: Any) -> Any:
    """The range of the visible entries of each row of (..., m, n)."""
    low, high = extremes(array, visible)
    return high - low
