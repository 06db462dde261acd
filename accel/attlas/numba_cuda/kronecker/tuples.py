"""The host's side of tuples: lay the sets out, choose roles, launch pass by pass.

The rows of all sets are copied behind each other, so that a kernel needs one memory for any number of sets; what is
broadcast is copied once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..assemble import Entry, build_assemble, product
from ..blocks import default_block
from ..operands import contiguous_strides, dtype_of, lay_out, members_by_group, operand, shape_of
from ..target import allocate, launch, shaped, upload
from ..views import viewed
from .backward import build_tuple_gradient, build_tuple_mean, build_tuple_weights
from .forward import build_tuple_forward
from .pieces import CROSS, STRASSEN, Form

ROWS_PER_BLOCK = 8
"""Of `assemble`."""


@dataclass(frozen=True)
class Rows:
    """Rows of one set, (..., n, width), as they are copied: the parts stand beside each other."""

    array: Any
    entry: Entry = product
    number: float = 1.0
    """The right operand of every entry."""
    twice: bool = False
    """Whether the same rows follow once more to the right."""
    ones: bool = False
    """Whether ones follow to the right."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array, (..., n, width)."""
        return shape_of(self.array)


class TupleProblem:
    """One attention problem on tuples, pass by pass; what a pass finds stays on the device for the next."""

    def __init__(
        self,
        query: Any,
        keys: Sequence[Rows],
        values: Sequence[Rows],
        grad: Any = None,
        *,
        mask: Any,
        causal: bool,
        windows: tuple[int, ...] | None,
        scale: float | None,
        form: Form,
        order: int = 0,
    ) -> None:
        self.form, self.mask, self.causal, self.windows, self.order = form, mask, causal, windows, order
        self.query, self.keys, self.values = query, tuple(keys), tuple(values)
        self.scale = 1 / math.sqrt(shape_of(query)[-1]) if scale is None else scale
        p = len(keys)
        masked = () if mask is None else shape_of(mask)[: -1 - p]
        leading = [shape_of(query)[:-2], *(key.shape[:-2] for key in keys), masked]
        self.score_batch = np.broadcast_shapes(*leading)
        leading += [rows.shape[:-2] for rows in values] + ([] if grad is None else [shape_of(grad)[:-2]])
        self.batch: tuple[int, ...] = np.broadcast_shapes(*leading)
        self.m, self.counts = shape_of(query)[-2], tuple(key.shape[-2] for key in keys)
        self.d, self.e = shape_of(query)[-1], values[0].shape[-1] if values else 0
        self.dtype = dtype_of(query)
        self.real: Any = self.dtype.type
        self.block = default_block(self.dtype)
        self.members = math.prod(self.batch)
        triangle = form.fold == STRASSEN
        self.width = 2 * self.d if triangle else self.d
        own = [Rows(query, ones=triangle), *(replace(key, twice=triangle) for key in keys)]
        self.factors, factor_places = self._packed(own, self.width)
        carried = [None if grad is None else Rows(grad), *(self.values or (None,) * p)]
        self.reads, read_places = self._packed(carried, self.e)
        self._lay_out_tables(p, [*factor_places, *read_places])
        self.rows = (*self.batch, self.m)
        self.maximum, self.total = allocate(self.rows, self.dtype), allocate(self.rows, self.dtype)
        self.mean = self.maximum  # until a pass finds it; only gradients read it

    def output(self, normalized: bool = True) -> Any:
        """Return the output (..., m, e), divided by the sum of the weights or not, and keep the row statistics."""
        shape = (*self.rows, self.e)
        result = allocate(shape, self.dtype)
        blocks = self.members * _ceil(self.m, self.block.own) * max(1, _ceil(self.e, self.block.width))
        launch(
            build_tuple_forward(self.block, self.real, self.form), blocks, self.block.threads,
            self.width, self.e, *self._memories, self._roles(0), self.real(self.scale), self.order, int(normalized),
            result, self.maximum, self.total,
        )  # fmt: skip
        return shaped(result, shape)

    def weights(self) -> Any:
        """Return the weights (..., m, n_1, ..., n_p); row statistics are found anew where values have more heads."""
        if self.batch != self.score_batch:
            scores = TupleProblem(
                self.query, self.keys, (), mask=self.mask, causal=self.causal, windows=self.windows, scale=self.scale,
                form=self.form, order=self.order,
            )  # fmt: skip
            scores.output()
            return scores.weights()
        shape = (*self.rows, *self.counts)
        result, roles = allocate(shape, self.dtype), self._prefix_of(0)
        prefixes = math.prod(self.counts[key - 1] for key in roles[2:])
        factors, _, mask, layout, related = self._memories
        launch(
            build_tuple_weights(self.block, self.real, self.form),
            self.members * _ceil(self.m, self.block.own) * prefixes, self.block.threads,
            self.width, factors, mask, layout, related, self._roles(0), self.real(self.scale), self.order,
            self.maximum, self.total, prefixes, result,
        )  # fmt: skip
        return shaped(result, shape)

    def gradients(self) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
        """Return the gradients of the query, of the keys and of the values."""
        self.output()
        self.mean = allocate(self.rows, self.dtype)
        launch(
            build_tuple_mean(self.block, self.real, self.form), self.members * _ceil(self.m, self.block.own),
            self.block.threads, self.width, self.e, *self._memories, self._roles(0), self.real(self.scale), self.order,
            self.maximum, self.total, self.mean,
        )  # fmt: skip
        return self.gradients_with(self.maximum, self.total, self.mean)

    def gradients_with(self, maximum: Any, total: Any, mean: Any) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
        """Return the same with row statistics that are known: those of longer rows, say."""
        self.maximum, self.total, self.mean = maximum, total, mean
        grad_query = self._gradient(shape_of(self.query), 0, True)
        grad_keys = tuple(self._gradient(key.shape, 1 + r, True) for r, key in enumerate(self.keys))
        return (
            grad_query,
            grad_keys,
            tuple(self._gradient(value.shape, 1 + r, False) for r, value in enumerate(self.values)),
        )

    def _gradient(self, shape: tuple[int, ...], own: int, of_scores: bool) -> Any:
        members, share = members_by_group(shape[:-2], self.batch)
        result = allocate(shape, self.dtype)
        launch(
            build_tuple_gradient(self.block, self.real, self.form, own == 0, of_scores),
            math.prod(shape[:-2]) * _ceil(shape[-2], self.block.own) * _ceil(shape[-1], self.block.width),
            self.block.threads, self.width, self.e, *self._memories, self._roles(own), self.real(self.scale),
            self.real(self._turn(own)), self.order,
            self.maximum, self.total, self.mean, upload(members if members.size else np.zeros(1, np.int64)), share,
            self.real(self.scale if of_scores else 1.0), result,
        )  # fmt: skip
        return shaped(result, shape)

    def _prefix_of(self, own: int) -> list[int]:
        """List the own set, the set in tiles, and the sets of the prefix."""
        keys = range(1, 1 + len(self.keys))
        if own:
            return [own, 0, *(key for key in keys if key != own)]
        reach = [min(n, window + self.block.own) for n, window in zip(self.counts, self._windows, strict=True)]
        longest = 1 + reach.index(max(reach))
        return [0, longest, *(key for key in keys if key != longest)]

    def _roles(self, own: int) -> Any:
        return upload(np.array(self._prefix_of(own), dtype=np.int64))

    def _turn(self, own: int) -> float:
        """Return the sign of the cross product of prefix and tile in the slope of a set's score."""
        roles = self._prefix_of(own)
        return 1.0 if self.form.fold != CROSS or (own + 1) % 3 == roles[2] else -1.0

    @property
    def _memories(self) -> tuple[Any, ...]:
        return self.factors, self.reads, self.mask_memory, self.layout, self.related

    def _lay_out_tables(self, p: int, places: list[Any]) -> None:
        mask = np.ones((1,) * (p + 1), bool) if self.mask is None else self.mask
        self.mask_memory, of_mask = operand(mask, self.batch, core=p + 1)
        layout = np.zeros((len(places) + 1, self.form.members + self.members), dtype=np.int64)
        for row, starts in enumerate([*places, of_mask.offsets]):
            layout[row, self.form.members :] = starts
        layout[-1, : p + 1] = _steps(mask, p + 1)
        hides = self.causal or self.windows is not None
        # Beyond these bounds all tuples or none are visible, and the sums stay within the integers.
        offsets = [n - self.m if hides else n for n in self.counts]
        self._windows = [
            n + self.m + 1 if self.windows is None else min(self.windows[r], n + self.m + 1)
            for r, n in enumerate(self.counts)
        ]
        steps = [math.prod(self.counts[r:]) for r in range(p + 1)]
        related = [[self.m, 0, 0, steps[0]]]
        related += [list(row) for row in zip(self.counts, offsets, self._windows, steps[1:], strict=True)]
        self.layout, self.related = upload(layout), upload(np.array(related, dtype=np.int64))

    def _packed(self, sets: Sequence[Rows | None], width: int) -> tuple[Any, list[Any]]:
        """Copy sets behind each other; return the memory, and where each set's batch members begin."""
        once = [None if rows is None else replace(rows, array=_once(rows.array)) for rows in sets]
        heights = [0 if rows is None else math.prod(rows.shape[:-1]) for rows in once]
        memory, begin, places = allocate((sum(heights), width), self.dtype), 0, []
        for rows, height in zip(once, heights, strict=True):
            places.append(np.zeros(self.members, np.int64) if rows is None else self._starts(rows, begin) * width)
            if rows is not None and height and width:
                self._copy(rows, rows.array, rows.number, rows.entry, memory, begin, 0, width)
                if rows.twice:
                    self._copy(rows, rows.array, rows.number, rows.entry, memory, begin, width // 2, width)
                if rows.ones:
                    self._copy(rows, np.ones((1, 1), self.dtype), 1.0, product, memory, begin, width // 2, width)
            begin += height
        return memory, places

    def _starts(self, rows: Rows, begin: int) -> Any:
        own = rows.shape[:-2]
        members = np.broadcast_to(np.arange(math.prod(own)).reshape(own), self.batch).reshape(-1)
        return begin + members * rows.shape[-2]

    def _copy(
        self, rows: Rows, left: Any, number: float, entry: Entry, memory: Any, row: int, column: int, width: int
    ) -> None:
        *own, height, columns = rows.shape
        right = np.full((1, 1), number, self.dtype)
        memories, layout = lay_out([left, right], tuple(own))
        launch(
            build_assemble(self.real, entry), math.prod(own) * _ceil(height, ROWS_PER_BLOCK), self.block.threads,
            height, columns, *memories, layout, row, column, height, width, memory,
        )  # fmt: skip


def _once(array: Any) -> Any:
    """View an array without the leading axes along which its memory is broadcast."""
    steps = _byte_strides(array)[:-2]
    return viewed(array, lambda a: a[tuple(slice(0, 1) if step == 0 else slice(None) for step in steps)])


def _byte_strides(array: Any) -> Any:
    if isinstance(array, np.ndarray):
        return array.strides
    interface = array.__cuda_array_interface__
    shape = tuple(interface["shape"])
    return interface.get("strides") or contiguous_strides(shape, np.dtype(interface["typestr"]).itemsize)


def _steps(array: Any, core: int) -> list[int]:
    """Return the steps, in elements, of the last axes of an array, 0 where they are broadcast or missing."""
    steps = [
        0 if size <= 1 else step // dtype_of(array).itemsize
        for size, step in zip(shape_of(array), _byte_strides(array), strict=True)
    ]
    return ([0] * core + steps)[-core:]


def _ceil(size: int, part: int) -> int:
    return -(-size // part)
