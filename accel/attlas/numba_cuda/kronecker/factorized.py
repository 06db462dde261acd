"""Fastmax in its factorized form: queries read from moments of keys, and keys from moments of queries.

Causal attention goes chunk by chunk. What a query reads of earlier chunks comes from a carried state, the moments of
their keys; what it reads of its own chunk, from pairs. Backwards keys read what later queries leave, from the last
chunk to the first. The moments of all chunks are made side by side and summed up along the chunks, which keeps a GPU
busy; a chunk is as long as there are monomials, so that the states are not larger than the tokens. For the same reason
long sequences that are summed as a whole are summed in pieces. How they are cut depends on their lengths alone.

Bound by operations: (m + n) r (e + 1 + p) multiply-adds with r monomials, three times as many backwards, and p d more.
Differs from the definition by rounding, which grows with |scale| |q| |k| rather than with the score.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import AttentionVJP

from ..assemble import Assembly, product
from ..bands import ceil
from ..operands import dtype_of, lay_out, leading_axes, shape_of
from ..target import allocate, shaped
from ..views import as_column, once, rows_from, spread, transposed, viewed
from . import chunks
from .carry import build_join, build_turn_back
from .chunks import (
    Part,
    average,
    chunk_of,
    chunked,
    combined,
    folded,
    kept,
    launch_entries,
    minus,
    parts,
    running,
    unchunked,
)
from .lowrank import beside_ones
from .monomials import Monomials
from .pieces import Form
from .tensor import plus
from .tuples import Rows, TupleProblem

SERIES = Form(0, softmax=False)


class Told(NamedTuple):
    """What the queries of a part have found; the memories are those of (*batch, count, rows)."""

    part: Part
    states: Any
    """The moments before each chunk, (..., count, r, e + 1)."""
    output: Any
    maximum: Any
    """0, or -inf for a query that has seen nothing."""
    total: Any


class Factorized:
    """A call: its output, and its gradients."""

    def __init__(
        self, query: Any, key: Any, value: Any, *, order: int, scale: float | None, causal: bool, key_mask: Any,
        backwards: bool = False,
    ) -> None:  # fmt: skip
        """Prepare the rows; `backwards` takes their mean off the values, which gradients do not feel.

        What the mean of <g, v> takes off is then as small as it can be, and so is its rounding.
        """
        (m, d), (n, self.e), self.dtype = shape_of(query)[-2:], shape_of(value)[-2:], dtype_of(query)
        self.arrays, self.order, self.causal = (query, key, value), order, causal
        self.factor = 1 / math.sqrt(d) if scale is None else scale
        self.monomials = Monomials(d, order, self.dtype)
        self.chunk = chunk_of(d, order)
        self.unseen = max(0, m - n) if causal else 0
        """How many queries come before all keys."""
        self.before = max(0, n - m) if causal else n
        """How many keys all queries see."""
        self.m, self.query = m - self.unseen, rows_from(query, self.unseen, m)
        self.mask = None
        beside = beside_ones(value)
        if key_mask is not None:
            self.mask = viewed(key_mask, lambda a: np.broadcast_to(a, (*a.shape[:-1], n))[..., None])
            # Hidden rows are replaced, since 0 times what they hold may be NaN.
            key, beside = combined(kept, key, self.mask), combined(kept, beside, self.mask)
        if backwards:
            beside = self._centered(key, beside)
        self.key, self.beside = key, spread(beside, np.broadcast_shapes(shape_of(value)[:-2], shape_of(beside)[:-2]))
        self.batch = leading_axes(query, self.arrays[1], key, self.beside)

    def output(self) -> Any:
        """Return the output (..., m, e), zeros for queries that see nothing."""
        result = Assembly(self.batch, self.unseen + self.m, self.e, self.dtype)
        result.put(product, self._zeros(self.unseen, self.e))
        for told in self.told():
            result.put(product, unchunked(told.output), row=self.unseen + told.part.queries[0])
        return result.matrix

    def told(self) -> Iterator[Told]:
        """Walk over the parts, from the first query on."""
        key, beside = once(self.key), once(self.beside)
        known = self.moments(rows_from(key, 0, self.before), rows_from(beside, 0, self.before))
        for part in parts(self.m, self.before, self.chunk) if self.causal else [Part((0, self.m), (0, 0), 1)]:
            states = viewed(known, lambda a: a[..., None, :, :])
            if self.causal:
                keys = (chunked(rows, part.keys, part.number) for rows in (key, beside))
                states, known = running(self.monomials.moments(*keys), known)
            yield self._told(part, states)

    def gradients(self, gradient: Any) -> AttentionVJP:
        """Return the gradients of the call's arrays."""
        gradient = rows_from(gradient, self.unseen, self.unseen + self.m)
        shapes = [shape_of(array) for array in self.arrays]
        whole = [Assembly(shape[:-2], shape[-2], shape[-1], self.dtype) for shape in shapes]
        whole[0].put(product, self._zeros(self.unseen, self.monomials.d))
        later: Any = self._zeros(self.monomials.count, self.e + 1)
        for told in reversed(list(self.told())):
            part, pull = told.part, chunked(gradient, told.part.queries, told.part.number)
            queries = chunked(self.query, part.queries, part.number)
            slope, mean = self._turned_back(told, pull)
            pairs: Any = None, (None,), (None,)
            if self.causal:
                pairs = self._pairs(part, pull).gradients_with(told.maximum, told.total, mean)
            by_query = self.monomials.slopes(queries, told.states, slope, self.factor)
            self._put(whole, 0, by_query, pairs[0], self.unseen + part.queries[0])
            if self.causal:
                steps = self.monomials.moments(queries, slope, self.factor)
                states, later = running(steps, later, backwards=True)
                self._put_keys(whole, states, part.keys, part.number, *pairs[1], *pairs[2])
            else:
                later = self.moments(self.query, unchunked(slope), self.factor)
        if self.before:
            self._put_keys(whole, viewed(later, lambda a: a[..., None, :, :]), (0, self.before), 1, None, None)
        return AttentionVJP(*(part.matrix for part in whole))

    def moments(self, tokens: Any, beside: Any, factor: float | None = None) -> Any:
        """Return the moments of a whole sequence, (..., r, e + 1)."""
        return self._summed(self.monomials, tokens, beside, factor)

    def _summed(self, monomials: Monomials, tokens: Any, beside: Any, factor: float | None = None) -> Any:
        n = shape_of(tokens)[-2]
        piece = max(chunks.CHUNK, monomials.count, ceil(n, chunks.PIECES))
        count = n // piece
        if count < 2:
            return monomials.moments(tokens, beside, factor)
        rest = monomials.moments(rows_from(tokens, count * piece, n), rows_from(beside, count * piece, n), factor)
        whole = 0, count * piece
        steps = monomials.moments(chunked(tokens, whole, count), chunked(beside, whole, count), factor)
        return running(steps, rest)[1]

    def _told(self, part: Part, states: Any) -> Told:
        query = chunked(self.query, part.queries, part.number)
        rows, batch = shape_of(query)[-2], (*self.batch, part.number)
        read, own = self.monomials.read(query, states, self.factor), [self._zeros(1, 1)] * 3
        if self.causal:
            pairs = self._pairs(part)
            own = [pairs.output(normalized=False)]
            own += [as_column(shaped(found, pairs.rows)) for found in (pairs.total, pairs.maximum)]
        memories, layout = lay_out([read, *own, viewed(states, lambda a: a[..., :1, -1:])], batch)
        output, maximum, total = (allocate((*batch, rows, width), self.dtype) for width in (self.e, 1, 1))
        launch_entries(
            build_join, self.dtype, math.prod(batch), rows * (self.e + 1),
            rows, self.e, int(self.causal), *memories, layout, output, maximum, total,
        )  # fmt: skip
        return Told(part, states, shaped(output, (*batch, rows, self.e)), maximum, total)

    def _turned_back(self, told: Told, pull: Any) -> tuple[Any, Any]:
        """Return the gradient by numerators and denominators, (..., count, rows, e + 1), and the mean of <g, v>."""
        *batch, rows, e = shape_of(told.output)
        memories, layout = lay_out([told.output, pull], tuple(batch))
        slope, mean = allocate((*batch, rows, e + 1), self.dtype), allocate((*batch, rows), self.dtype)
        launch_entries(
            build_turn_back, self.dtype, math.prod(batch), rows,
            rows, e, *memories, layout, told.maximum, told.total, slope, mean,
        )  # fmt: skip
        return shaped(slope, (*batch, rows, e + 1)), mean

    def _pairs(self, part: Part, pull: Any = None) -> TupleProblem:
        """The pairs within the chunks of a part."""
        query, key, beside = (
            chunked(rows, span, part.number)
            for rows, span in ((self.query, part.queries), (self.key, part.keys), (self.beside, part.keys))
        )
        value, mask = viewed(beside, lambda a: a[..., :-1]), self.mask
        return TupleProblem(
            query, (Rows(key),), (Rows(value),), pull,
            mask=None if mask is None else transposed(chunked(mask, part.keys, part.number)),
            causal=True, windows=None, scale=self.factor, form=SERIES, order=self.order,
        )  # fmt: skip

    def _put_keys(
        self, whole: list[Assembly], states: Any, keys: tuple[int, int], count: int, pairs_key: Any, pairs_value: Any
    ) -> None:
        """Write the gradients of some keys and values: what later queries leave, and the pairs within chunks."""
        key, beside = chunked(self.key, keys, count), chunked(self.beside, keys, count)
        self._put(whole, 1, self.monomials.slopes(key, states, beside), pairs_key, keys[0])
        by_value = self.monomials.read(key, viewed(states, lambda a: a[..., :-1]))
        if self.mask is not None:
            by_value = combined(kept, by_value, chunked(self.mask, keys, count))
        self._put(whole, 2, by_value, pairs_value, keys[0])

    def _put(self, whole: list[Assembly], which: int, grad: Any, pairs: Any, row: int) -> None:
        """Write some rows of a gradient: the sum of both, where there are both."""
        own = shape_of(self.arrays[which])[:-2]
        grad, pairs = (
            None if part is None else unchunked(folded(part, (*own, shape_of(part)[-3]))) for part in (grad, pairs)
        )
        whole[which].put(product if pairs is None else plus, grad, pairs, row=row)

    def _centered(self, key: Any, beside: Any) -> Any:
        """Take the mean off the values that are seen."""
        sums = self._summed(Monomials(self.monomials.d, 0, self.dtype), once(key), beside)
        values, ones = (viewed(beside, lambda a: a[..., : self.e]), viewed(beside, lambda a: a[..., self.e :]))
        mean = combined(average, viewed(sums, lambda a: a[..., : self.e]), viewed(sums, lambda a: a[..., self.e :]))
        batch, n = leading_axes(beside, mean), shape_of(beside)[-2]
        whole = Assembly(batch, n, self.e + 1, self.dtype).put(minus, values, mean).put(product, ones, column=self.e)
        return whole.matrix if self.mask is None else combined(kept, whole.matrix, self.mask)

    def _parted(self, rows: Any) -> tuple[Any, Any]:
        return viewed(rows, lambda a: a[..., : self.e]), viewed(rows, lambda a: a[..., self.e :])

    def _zeros(self, rows: int, columns: int) -> Any:
        return np.zeros((rows, columns), self.dtype)
