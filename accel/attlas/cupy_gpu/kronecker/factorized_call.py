"""A call of Fastmax in its factorized form: what keys are hidden, what queries come first, the pairs within chunks."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import AttentionVJP

from ..tile import Tile, Tiles, dot_scores, transposed
from .factorized import Polynomial, in_chunks, lengths
from .polynomial import add_gradients, factor_of, folded


class Factorized:
    """The two passes over a call: its sums, and its gradients."""

    def __init__(
        self,
        query: Any,
        key: Any,
        value: Any,
        order: int,
        scale: float | None,
        causal: bool,
        key_mask: Any,
        centered: bool = False,
    ) -> None:
        """Prepare the rows; `centered` takes their mean off the values, which gradients do not feel.

        What the mean of <g, v> takes off is then as small as it can be, and so is its rounding.
        """
        xp = self.xp = array_namespace(query)
        n, self.arrays, self.order, self.causal = key.shape[-2], (query, key, value), order, causal
        self.unseen = max(0, query.shape[-2] - n) if causal else 0
        """How many queries come before all keys."""
        query = query[..., self.unseen :, :]
        ones = xp.full_like(key[..., :1], 1)
        self.kept = None if key_mask is None else xp.broadcast_to(key_mask, (*key_mask.shape[:-1], n))[..., None]
        if self.kept is not None:
            # Hidden rows are replaced, since 0 times what they hold may be NaN.
            key, value, ones = (xp.where(self.kept, rows, 0) for rows in (key, value, ones))
        if centered and n:
            mean = value.sum(axis=-2, keepdims=True) / xp.maximum(ones.sum(axis=-2, keepdims=True), 1)
            value = ones * (value - mean)
        leading = np.broadcast_shapes(value.shape[:-2], ones.shape[:-2])
        beside = [xp.broadcast_to(rows, (*leading, *rows.shape[-2:])) for rows in (value, ones)]
        self.core = Polynomial(query, key, xp.concatenate(beside, axis=-1), order, factor_of(query, scale), causal)

    def output(self) -> Any:
        """Return the output, zeros for queries that see nothing."""
        sums, seen = self.sums()
        output = self.xp.where(seen, sums[..., :-1] / self.xp.where(seen, sums[..., -1:], 1), 0)
        if not self.unseen:
            return output
        nothing = self.xp.zeros((*output.shape[:-2], self.unseen, output.shape[-1]), dtype=output.dtype)
        return self.xp.concatenate([nothing, output], axis=-2)

    def sums(self) -> tuple[Any, Any]:
        """Return numerators and denominators, and which queries see a key; without those that come before all keys."""
        sums = self.core.sums()
        for (query, key, beside), mask, queries, _ in self._own_chunks():
            tiles = Tiles(query, key, beside, mask=mask, bias=None, causal=True, offset=0)
            score, target = self._score(query, key), in_chunks(sums[..., queries, :], key.shape[-3])

            def contribution(weights: Any, tile: Tile, visible: Any, beside: Any = beside) -> Any:
                return weights @ tile.of_keys(beside)

            for band in tiles.bands():
                part = band.of_queries(target)
                part += folded(tiles, band, score, self.order, contribution)[1]
        return sums, self._seen()

    def gradients(self, gradient: Any) -> AttentionVJP:
        """Return the gradients of the call's arrays."""
        xp, (sums, seen) = self.xp, self.sums()
        grads: Any = tuple(xp.zeros(array.shape, dtype=array.dtype) for array in self.arrays)
        gradient = gradient[..., self.unseen :, :]
        divisor = xp.where(seen, sums[..., -1:], 1)
        mean = xp.where(seen, (gradient * (sums[..., :-1] / divisor)).sum(axis=-1, keepdims=True), 0)  # <g, out>
        slope = xp.where(seen, xp.concatenate([gradient, -mean], axis=-1) / divisor, 0)
        own = grads[0][..., self.unseen :, :], *grads[1:]
        self.core.gradients(slope, own)
        for (query, key, beside), mask, queries, keys in self._own_chunks():
            count = key.shape[-3]
            arrays = query, key, beside[..., :-1], in_chunks(gradient[..., queries, :], count)
            tiles = Tiles(*arrays, mask=mask, bias=None, causal=True, offset=0)
            whose = zip(own, (queries, keys, keys), strict=True)
            parts = [in_chunks(grad[..., rows, :], count) for grad, rows in whose]
            score = self._score(query, key)
            divisors, means = (in_chunks(row[..., queries, :], count) for row in (divisor, mean))
            for band in tiles.bands():
                statistics = band.of_queries(divisors), band.of_queries(means)
                add_gradients(tiles, band, score, self.order, arrays, statistics, parts)
        whole = grads[0]
        whole *= self.core.factor
        return AttentionVJP(*grads)

    def _score(self, query: Any, key: Any) -> Any:
        return dot_scores(query, key, 1.0, None)  # queries are scaled already

    def _seen(self) -> Any:
        """Return which queries see a key, (..., m, 1)."""
        core = self.core
        m, n = core.query.shape[-2], core.key.shape[-2]
        if self.kept is None:
            return self.xp.full_like(core.query[..., :1], 1 if n else 0) > 0
        if not self.causal:
            return self.kept.any(axis=-2)[..., None, :]
        return self.xp.cumsum(self.kept, axis=-2)[..., core.before : core.before + m, :] > 0

    def _own_chunks(self) -> Iterator[tuple[list[Any], Any, slice, slice]]:
        """Walk over the chunks of one length: queries, keys and what stands beside them, mask, and whose they are."""
        core = self.core
        for queries, keys, count in lengths(core.query.shape[-2], core.before) if self.causal else []:
            chunks = [in_chunks(core.scaled(core.query[..., queries, :]), count)]
            chunks += [in_chunks(rows[..., keys, :], count) for rows in (core.key, core.beside)]
            mask = None if self.kept is None else transposed(in_chunks(self.kept[..., keys, :], count))
            yield chunks, mask, queries, keys
