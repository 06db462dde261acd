"""What checks of laws do to calls: fill masks, take rows, move axes."""

from collections.abc import Callable
from typing import Any, TypeGuard

import numpy as np

from ...contract import Array, Indices, Option, parse_signature
from ...records import Record, find
from ..pairs import is_dense, rule_of, visible_in
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
    batch, known = visible.shape[:-2], find(call.name).options
    sizes = dict(zip("mn", visible.shape[-2:], strict=True))
    inputs = zip(call.arrays, parse_signature(find(call.name).signature).inputs, strict=True)
    arrays = [np.broadcast_to(array, (*batch, *array.shape[array.ndim - len(core) :])) for array, core in inputs]
    if options.get("causal") or options.get("mask") is not None:
        options |= {"mask": visible} | ({"causal": False} if "causal" in known else {})
    # Biases, and numbers per query: what may have been left at size 1.
    spread = {name: option.core for name, option in known.items() if isinstance(option, Array) and option.broadcast}
    for name, core in spread.items():
        if name != "mask" and set(core) <= set(sizes) and options.get(name) is not None:
            options[name] = np.broadcast_to(options[name], (*batch, *(sizes[letter] for letter in core)))
    return Call(call.name, tuple(arrays), options, call.plan)


def spread_out(call: Call) -> tuple[Any, ...]:
    """Return the arrays of a call, each with the leading axes of all of them, which a mask may have too."""
    cores = parse_signature(find(call.name).signature).inputs
    pairs = list(zip(call.arrays, cores, strict=True))
    leading = np.broadcast_shapes(*(array.shape[: array.ndim - len(core)] for array, core in pairs))
    return tuple(np.broadcast_to(array, (*leading, *array.shape[array.ndim - len(core) :])) for array, core in pairs)


def at(call: Call, place: tuple[int, ...]) -> Call:
    """Return the part of a filled call at one place of its leading axes."""
    batch, known, options = call.arrays[0].shape[:-2], find(call.name).options, dict(call.options)
    for name, value in call.options.items():
        option = known[name]
        if _has_axes(option, value) and option.batched:
            whole = np.reshape(value, (1,) * (len(batch) + len(option.core) - np.ndim(value)) + np.shape(value))
            options[name] = np.broadcast_to(whole, (*batch, *whole.shape[len(batch) :]))[place]
    return Call(call.name, tuple(array[place] for array in call.arrays), options)


def along(call: Call, letter: str, change: Change) -> Call:
    """Change every array of a filled call along the axis of a letter."""
    record = find(call.name)
    cores = parse_signature(record.signature).inputs
    arrays = tuple(_along(array, core, letter, change) for array, core in zip(call.arrays, cores, strict=True))
    options = {
        name: _along(value, option.core, letter, change) if _has_axes(option := record.options[name], value) else value
        for name, value in call.options.items()
    }
    return Call(call.name, arrays, options, call.plan)


def _has_axes(option: Option, value: Any) -> TypeGuard[Array | Indices]:
    """Whether an option is an array or a list of indices, and no word."""
    return hasattr(value, "shape") if isinstance(option, Array) else isinstance(option, Indices) and value is not None


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
    """The scores of a call with dot products, -inf where a query does not see a key; without the axes of values."""
    query, key = call.arrays[:2]
    scale = call.options.get("scale")
    scale = 1 / np.sqrt(query.shape[-1]) if scale is None else scale
    scores = float(scale) * (query @ key.mT)
    if call.options.get("bias") is not None:
        scores = scores + call.options["bias"]
    return np.where(rule_of(call), scores, -np.inf)


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


def options_of(call: Call, *names: str) -> dict[str, Any]:
    """Return some options of a call, those that it gives, for a call of something else."""
    return {name: call.options[name] for name in names if call.options.get(name) is not None}
