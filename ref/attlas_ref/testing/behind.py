"""What stands behind the masks of any formulation: which entries of its arrays no visible place can reach."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract import Array
from ..contract.signature import Core, in_line, is_group, parse_signature
from ..records import Record, find
from .drawn import build, legal
from .plan import Call, Plan

FLAGS = {"value_fixed_mask": "value_fixed"}
"""Masks that hide one argument alone."""


def masks_of(record: Record) -> dict[str, Core]:
    """The options that hide places, with the axes over which they do."""
    return {
        name: in_line(option.core, Plan.parts)
        for name, option in record.options.items()
        if isinstance(option, Array) and option.boolean and name.endswith("mask")
    }


def masked_call(name: str, seed: int = 0) -> Call:
    """Draw a call of two batch members and all its optional arrays, whose masks leave out at least one place.

    Each mask is shared by the batch and hides places at random, and all of the second row and the second column.
    """
    record = find(name)
    sizes = {"m": 4, "n": 6}
    call = build(Plan(name, sizes, batch=(2,), mask="shared", dtype="float64", seed=seed), set(record.options))
    rng = np.random.default_rng(seed)
    masks = {}
    for mask, core in masks_of(record).items():
        if call.options.get(mask) is not None:
            visible = rng.random(call.options[mask].shape[-len(core) :]) < 0.7
            visible[..., 1] = False
            if visible.ndim > 1:
                visible[..., 1, :] = False
            valid = record.options[mask].valid  # type: ignore[attr-defined]
            masks[mask] = visible if valid is None else valid(visible)
    call = call.given(**masks, **({"causal": False} if "causal" in record.options else {}))
    return call.given(*legal(record, call.arrays, {"dtype": "float64", **call.options}))


def fouled(call: Call, what: float) -> Iterator[tuple[str, Call]]:
    """Yield for each argument with entries behind a mask its name, and the call with `what` in their place."""
    record = find(call.name)
    masks = {name: core for name, core in masks_of(record).items() if call.options.get(name) is not None}
    hiding = [(name, call.options[name], core) for name, core in masks.items()]

    def changed(argument: str, arrays: tuple[Any, ...], cores: tuple[Core, ...]) -> tuple[Any, ...] | None:
        """The arrays of an argument with `what` behind the masks, or None if nothing of them is there."""
        found = [hidden_of(argument, array, core) for array, core in zip(arrays, cores, strict=True)]
        if not any(hidden.any() for hidden in found):
            return None
        return tuple(np.where(h, a.dtype.type(what), a) if h.any() else a for h, a in zip(found, arrays, strict=True))

    def hidden_of(argument: str, array: Any, core: Core) -> NDArray[np.bool_]:
        hidden = np.zeros(array.shape[array.ndim - len(core) :], dtype=bool)
        for name, mask, mask_core in hiding:
            if array.dtype.kind == "f" and FLAGS.get(name, argument) == argument:
                hidden |= hidden_by(mask, mask_core, core, hidden.shape)
        return hidden

    inputs = parse_signature(record.signature, Plan.parts).inputs
    for index, (argument, entry, old) in enumerate(zip(record.takes, inputs, call.arrays, strict=True)):
        together = is_group(entry)
        new = changed(argument, old if together else (old,), entry if together else (entry,))  # type: ignore[arg-type]
        if new is not None:
            value = new if together else new[0]
            yield argument, call.given(*call.arrays[:index], value, *call.arrays[index + 1 :])
    for name, option in record.options.items():
        array: Any = call.options.get(name)
        if isinstance(option, Array) and not option.boolean and hasattr(array, "dtype"):
            core = in_line(option.core, Plan.parts)
            new = changed(name, (array,), (core,)) if array.ndim >= len(core) else None
            if new is not None:
                yield name, call.given(**{name: new[0]})


def hidden_by(mask: NDArray[np.bool_], mask_core: Core, core: Core, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which entries of an array over the axes `core` a mask leaves no way to.

    >>> mask = np.array([[True, False, False], [True, True, False]])
    >>> hidden_by(mask, ("m", "n"), ("n", "d"), (3, 1)).ravel()
    array([False, False,  True])
    >>> hidden_by(mask[0], ("n",), ("n", "n"), (3, 3))[0]
    array([False,  True,  True])
    """
    shared = [letter for letter in dict.fromkeys(mask_core) if letter in core]
    if mask_core == core:
        return np.broadcast_to(~mask, shape)
    if not shared:
        return np.zeros(shape, dtype=bool)
    if len(set(mask_core)) < len(mask_core):  # pairs of one kind: a member is visible if any pair of it is
        *_, last = mask_core
        either: Any = mask.any(axis=-1) | mask.any(axis=-2)
        return hidden_by(either, (*mask_core[:-2], last), core, shape)
    left = [letter for letter in mask_core if letter in core]
    seen: Any = mask.any(axis=tuple(axis for axis, letter in enumerate(mask_core) if letter not in core))
    hidden = np.zeros(shape, dtype=bool)
    if len(left) == 1:  # also where the array has the axis twice
        for axis in (axis for axis, letter in enumerate(core) if letter == left[0]):
            hidden |= np.expand_dims(~seen, tuple(other for other in range(len(core)) if other != axis))
        return hidden
    ordered = seen.transpose([left.index(letter) for letter in core if letter in left])
    return hidden | np.expand_dims(~ordered, tuple(axis for axis, letter in enumerate(core) if letter not in left))
