"""The leading axes of everything in a drawn call: all of the batch, fewer, or some of size 1."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from ..contract import Array, Indices, Option, Partial
from ..records import Record
from .layouts import is_spread

Axes = tuple[int, ...]

WAYS = 2
"""Besides leaving out axes, all or some."""


@dataclass(frozen=True)
class Leading:
    """The leading axes of a call."""

    arrays: list[Axes]
    """Of each array, those of groups in line."""
    options: dict[str, Axes]
    """Of the options that may have any."""
    results: Axes


def stretched(batch: Axes, way: int) -> Axes:
    """Leading axes that broadcast to a batch.

    >>> [stretched((2, 3), way) for way in range(2 + 1 + WAYS)]
    [(2, 3), (3,), (), (1, 1), (2, 1)]
    """
    if way <= len(batch):
        return batch[way:]
    kept = 0 if way == len(batch) + 1 else len(batch) - 1
    return tuple(size if place < kept else 1 for place, size in enumerate(batch))


def with_axes(record: Record) -> list[str]:
    """The options that may have leading axes."""
    return [name for name, option in record.options.items() if is_spread(option) or has_members(option)]


def has_members(option: Option) -> bool:
    """Whether the leading axes of an option broadcast with those of the arguments, and the results have them too."""
    if isinstance(option, Array):
        return option.batched and not option.broadcast
    return isinstance(option, Partial) or (isinstance(option, Indices) and option.batched)


def leading_axes(
    record: Record, names: Sequence[str], batch: Axes, ways: Sequence[int], given: Collection[str]
) -> Leading:
    """Choose the leading axes of arrays of these names, and of those options of the record that are given.

    `ways` are those of `stretched`, for each array and then for each option `with_axes`; the batch itself where there
    are fewer ways, and the axes of the results for all options where there are only ways for arrays.
    """
    arrays = [stretched(batch, ways[place] if place < len(ways) else 0) for place in range(len(names))]
    chosen = zip(with_axes(record), ways[len(names) :], strict=False)
    options = {name: stretched(batch, way) for name, way in chosen if name in given}
    felt = {name: axes for name, axes in options.items() if has_members(record.options[name])}
    if "grad_output" in names:  # it has the shape of the output, by contract
        others = [axes for name, axes in zip(names, arrays, strict=True) if name != "grad_output"]
        arrays[names.index("grad_output")] = np.broadcast_shapes(*others, *felt.values())
    for name, other in record.one_row.items():  # with more axes than the other its last one could be read as a row
        most = len(arrays[names.index(other)])
        axes = arrays[names.index(name)]
        arrays[names.index(name)] = axes[max(0, len(axes) - most) :]
    # What may be a word may have no axes at all.
    sure = [axes for name, axes in felt.items() if not getattr(record.options[name], "words", ())]
    results = np.broadcast_shapes(*arrays, *sure)
    for name in with_axes(record):
        if name not in felt:  # it has to broadcast to the results
            options[name] = _within(options.get(name, results), results)
    return Leading(arrays, options, results)


def _within(axes: Axes, results: Axes) -> Axes:
    """Axes as far as they broadcast to those of the results."""
    last = axes[max(0, len(axes) - len(results)) :]
    return tuple(1 if size == 1 else most for size, most in zip(last, results[len(results) - len(last) :], strict=True))
