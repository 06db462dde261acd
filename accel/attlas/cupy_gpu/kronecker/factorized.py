"""Attention by a polynomial in its factorized form: queries read from moments of keys, some monomials at a time.

With x^a for the monomials |a| <= p, f_p(<q, k>) = Σ_a q^a / a! k^a: numerator and denominator of a query are
Σ_a q^a / a! M[a, :] with M[a, :] = Σ_j k_j^a (v_j, 1), which all queries share. Gradients go the same way: slopes of
what queries read, and of what keys read of the moments of queries.

Causal attention goes chunk by chunk. What a query reads of earlier chunks comes from a carried state, the moments of
their keys; what it reads of its own chunk, from pairs. Backwards keys read what later queries leave, from the last
chunk to the first. Of each slab of chunks all are computed together: their states are running sums.

Bound by memory traffic, (m + n) r passes for each degree, and matrix products of (m + n) r (e + 1) multiply-adds with
r = C(d + p, p) monomials, three times as many with gradients, and p d more. Differs from the definition by rounding,
which grows with |scale| |q| |k| rather than with the score: what cancels in a dot product cancels later here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from .. import tile as limits
from ..tile import summed_to, transposed
from .monomials import Monomials, evaluated, how_many, moments, row_slices, slopes, walk_monomials

CHUNK = 256
"""Queries that are attended to pair by pair before the moments are brought up to date."""


@dataclass(frozen=True)
class Polynomial:
    """A call whose hidden keys, values and ones are 0; causal or not, the last query sees the last key."""

    query: Any
    key: Any
    beside: Any
    """(..., n, e + 1): the values, and a 1 beside each."""
    order: int
    factor: float
    causal: bool

    @cached_property
    def xp(self) -> Any:
        """The array module."""
        return array_namespace(self.query)

    @cached_property
    def leading(self) -> tuple[int, ...]:
        """All leading axes, broadcast."""
        return np.broadcast_shapes(*(array.shape[:-2] for array in (self.query, self.key, self.beside)))

    @property
    def before(self) -> int:
        """How many keys all queries see."""
        return self.key.shape[-2] - (self.query.shape[-2] if self.causal else 0)

    def monomials(self) -> Iterator[Monomials]:
        """Walk over the monomials of the channels."""
        rows = max(self.query.shape[-2], self.key.shape[-2], min(CHUNK, self.query.shape[-2]))
        width = how_many(rows, self.beside.shape[-1], self.leading)
        return walk_monomials(self.xp, self.query.shape[-1], self.order, width, self.query.dtype)

    def scaled(self, rows: Any) -> Any:
        """Return queries as the monomials take them."""
        return self.factor * rows

    def sums(self) -> Any:
        """Return numerators and denominators, (..., m, e + 1), without the pairs of causal chunks."""
        m = self.query.shape[-2]
        result = self.xp.zeros((*self.leading, m, self.beside.shape[-1]), dtype=self.query.dtype)
        for few in self.monomials():
            known = self._first_moments(few)
            if not self.causal:
                for rows in row_slices(m):
                    result[..., rows, :] += self._features(few, rows) @ known
                continue
            for queries, keys, count in lengths(m, self.before, limits.ROWS):
                told, known = self._told(few, known, keys, count)
                features = in_chunks(self._features(few, queries), count)
                part = in_chunks(result[..., queries, :], count)
                part += features @ told
        return result

    def gradients(self, slope: Any, grads: tuple[Any, Any, Any]) -> None:
        """Add the gradients by queries (scaled), keys and values, without the pairs of causal chunks.

        `slope` (..., m, e + 1) is the gradient by numerators and denominators.
        """
        m, n = self.query.shape[-2], self.key.shape[-2]
        for few in self.monomials():
            known = self._first_moments(few)
            if not self.causal:
                for rows in row_slices(m):
                    self._pull_queries(few, rows, slope[..., rows, :], known, grads[0])
                back = moments(self.scaled(self.query), slope, few.channels) * few.shares[:, None]
                for rows in row_slices(n):
                    self._pull_keys(few, rows, back, grads)
                continue
            spans = lengths(m, self.before, limits.ROWS)
            for queries, keys, count in spans:
                told, known = self._told(few, known, keys, count)
                self._pull_queries(few, queries, in_chunks(slope[..., queries, :], count), told, grads[0], count)
            after: Any = self.xp.zeros((1, 1), dtype=self.query.dtype)
            for queries, keys, count in reversed(spans):
                features = in_chunks(self._features(few, queries), count)
                own = transposed(features) @ in_chunks(slope[..., queries, :], count)
                told, after = running(own[..., ::-1, :, :], after)
                self._pull_keys(few, keys, told[..., ::-1, :, :], grads, count)
            for rows in row_slices(self.before) if m else []:
                self._pull_keys(few, rows, after, grads)

    def _first_moments(self, few: Monomials) -> Any:
        """The moments of the keys that all queries see."""
        seen = slice(0, self.before)
        nothing = self.xp.zeros((few.shares.shape[0], self.beside.shape[-1]), dtype=self.query.dtype)
        return nothing + moments(self.key[..., seen, :], self.beside[..., seen, :], few.channels)

    def _told(self, few: Monomials, known: Any, keys: slice, count: int) -> tuple[Any, Any]:
        """The moments before each chunk of a slab, (..., count, monomials, e + 1), and after all of them."""
        features = in_chunks(evaluated(self.key[..., keys, :], few.channels), count)
        return running(transposed(features) @ in_chunks(self.beside[..., keys, :], count), known)

    def _features(self, few: Monomials, rows: slice) -> Any:
        return evaluated(self.scaled(self.query[..., rows, :]), few.channels) * few.shares

    def _pull_queries(
        self, few: Monomials, rows: slice, slope: Any, told: Any, grad: Any, count: int | None = None
    ) -> None:
        """Add to the gradient of some queries, in chunks or not."""
        query = in_chunks(self.scaled(self.query[..., rows, :]), count)
        _add(grad, rows, slopes(query, few.channels, slope @ transposed(told) * few.shares), count)

    def _pull_keys(self, few: Monomials, rows: slice, back: Any, grads: Any, count: int | None = None) -> None:
        """Add to the gradients of some keys and values, in chunks or not."""
        key, beside = in_chunks(self.key[..., rows, :], count), in_chunks(self.beside[..., rows, :], count)
        _add(grads[1], rows, slopes(key, few.channels, beside @ transposed(back)), count)
        # The ones beside the keys are 0 where a key is hidden, whose monomial of degree 0 is 1.
        _add(grads[2], rows, evaluated(key, few.channels) @ back[..., :-1] * beside[..., -1:], count)


def lengths(m: int, before: int, most: int | None = None) -> list[tuple[slice, slice, int]]:
    """Cut m queries into whole chunks, at most so many queries together, and what remains.

    Each part has its queries, their own keys, and the number of its chunks.
    """
    whole = m // CHUNK * CHUNK
    step = max(1, whole if most is None else most // CHUNK * CHUNK, CHUNK)
    cuts = [*range(0, whole, step), whole, m]
    return [
        (slice(start, stop), slice(before + start, before + stop), max(1, (stop - start) // CHUNK))
        for start, stop in pairwise(cuts)
        if stop > start
    ]


def in_chunks(rows: Any, count: int | None) -> Any:
    """View (..., n, width) as (..., count, n / count, width); as it is without a count."""
    if count is None:
        return rows
    return rows.reshape(*rows.shape[:-2], count, rows.shape[-2] // count, rows.shape[-1])


def running(steps: Any, state: Any) -> tuple[Any, Any]:
    """Return the sums of the state and all steps before each one along the third axis from the end, and of all."""
    sums = array_namespace(steps).cumsum(steps, axis=-3)
    sums += state[..., None, :, :]
    first = array_namespace(steps).broadcast_to(state[..., None, :, :], sums[..., :1, :, :].shape)
    return array_namespace(steps).concatenate([first, sums[..., :-1, :, :]], axis=-3), sums[..., -1, :, :]


def _add(grad: Any, rows: slice, step: Any, count: int | None) -> None:
    """Add to some rows of a gradient, summed over the axes along which its argument was broadcast."""
    if isinstance(step, int):  # monomials of degree 0 have no slope
        return
    whole = in_chunks(grad[..., rows, :], count)
    whole += summed_to(step, whole.shape)
