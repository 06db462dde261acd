"""Landmark attention: a landmark wins a share of a softmax, and a second softmax hands it out to its block.

The host looks once at where the landmarks stand. Closed blocks of the same length are taken together, as many as fit a
tile, so that the softmax within them is one over the last axis. So a tile has *doors*, the keys that compete in the
outer softmax, and behind each landmark the same number of tokens. Tokens of the open block are doors to themselves.

Bound by memory traffic: two softmaxes over the tile.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import AttentionResult, AttentionVJP

from .. import tile as limits
from ..streams import nonzero, row_softmax, softmax_partial, softmax_weights
from ..tile import Tile, Tiles, part, summed_to, transposed

__all__ = ["landmark_attention", "landmark_attention_vjp"]


def landmark_attention(
    query: Any,
    key: Any,
    value: Any,
    *,
    is_landmark: Any,
    scale: float | None,
    top_k: int | None,
    return_weights: bool,
) -> Any:
    """Return the mean of the values under weights of two softmaxes, one within the other."""
    doors = Doors(query, key, value, is_landmark=is_landmark, scale=scale, top_k=top_k)
    strange = doors.strange(value, selects=True)

    def contribution(shares: Any, tile: DoorTile, visible: Any) -> Any:
        if tile.length == 0:
            return 0  # nobody stands behind these landmarks: what they win is lost
        weights, seen = doors.handed_out(shares, tile, visible)
        return doors.weighted_sum(weights, tile.of_tokens(value), seen, part(strange, tile.tokens))

    output = doors.zeros(doors.leading, doors.m, value.shape[-1])
    weights = doors.zeros(doors.pair_leading, doors.m, doors.n) if return_weights else None
    for band in doors.bands():
        maximum, total, accumulator = softmax_partial(doors, band, doors.score, contribution)
        band.of_queries(output)[...] = accumulator / nonzero(doors, total)
        if weights is not None:
            final, rows = softmax_weights(doors, doors.score, maximum, total), band.of_queries(weights)
            rows[...] = 0  # a band whose values have leading axes of their own has been here for others of them
            for tile, visible in doors.along(band):
                if tile.length:
                    # Each pair is in one tile only; in others that hold its token it is 0.
                    rows[..., tile.tokens_there] += doors.handed_out(final(tile), tile, visible)[0]
    return output if weights is None else AttentionResult(output, weights)


def landmark_attention_vjp(
    query: Any, key: Any, value: Any, grad_output: Any, *, is_landmark: Any, scale: float | None
) -> AttentionVJP:
    """Return the gradients, with the weights computed again tile by tile."""
    doors = Doors(query, key, value, grad_output, is_landmark=is_landmark, scale=scale, top_k=None)
    strange_query, strange_key, strange_output = (doors.strange(x, selects=True) for x in (query, key, grad_output))
    grads = [doors.zeros(array.shape) for array in (query, key, value)]

    def grad_tokens(tile: DoorTile) -> Any:
        return tile.of_queries(grad_output) @ transposed(tile.of_tokens(value))

    def grad_shares(tile: DoorTile, visible: Any) -> Any:
        """Return the gradient of the doors' shares: the mean of their tokens' gradients."""
        if tile.length == 0:
            return doors.xp.zeros_like(visible, dtype=doors.dtype)
        grad = grad_tokens(tile)
        if not tile.own:
            grad = (doors.within(tile) * tile.by_door(grad)).sum(axis=-1)
        return doors.select(visible, grad, 0)

    def weighted_gradient(shares: Any, tile: DoorTile, visible: Any) -> Any:
        return (doors.select(visible, shares, 0) * grad_shares(tile, visible)).sum(axis=-1, keepdims=True)

    def add(band: Tile, places: Any, there: Any, grad_scores: Any, visible: Any) -> None:
        q, keys = band.of_queries(query), band.of_heads(key)[..., there, :]
        whole = band.of_queries(grads[0])
        whole += summed_to(doors.weighted_sum(grad_scores, keys, visible, part(strange_key, places)), whole.shape)
        step = doors.weighted_sum(transposed(grad_scores), q, transposed(visible), part(strange_query, band.rows))
        add_rows(band.of_heads(grads[1]), there, step)

    def add_rows(whole: Any, there: Any, step: Any) -> None:
        rows = whole[..., there, :]
        whole[..., there, :] = rows + summed_to(step, rows.shape)

    for band in doors.bands():
        maximum, total, accumulator = softmax_partial(doors, band, doors.score, weighted_gradient)
        mean, final = accumulator / nonzero(doors, total), softmax_weights(doors, doors.score, maximum, total)
        for tile, visible in doors.along(band):
            shares, grad = doors.select(visible, final(tile), 0), grad_shares(tile, visible)
            add(band, tile.doors, tile.doors_there, doors.select(visible, shares * (grad - mean), 0), visible)
            if tile.length == 0:
                continue
            weights, seen = doors.handed_out(shares, tile, visible)
            if not tile.own:
                inner = doors.within(tile) * (tile.by_door(grad_tokens(tile)) - grad[..., None])
                grad_scores = tile.in_line(shares[..., None] * inner)
                add(band, tile.tokens, tile.tokens_there, doors.select(seen, grad_scores, 0), seen)
            g = band.of_queries(grad_output)
            step = doors.weighted_sum(transposed(weights), g, transposed(seen), part(strange_output, band.rows))
            add_rows(band.of_heads(grads[2]), tile.tokens_there, step)
    grads[0] *= doors.scale
    grads[1] *= doors.scale
    return AttentionVJP(*grads)


class DoorTile(NamedTuple):
    """Where some doors stand, and the tokens behind them, on the host and on the device."""

    leading: tuple[slice, ...]
    rows: slice
    doors: Any
    doors_there: Any
    tokens: Any
    tokens_there: Any
    length: int
    """Tokens behind each door."""
    own: bool
    """Whether they are tokens of the open block, each of them its own door."""

    def of_queries(self, array: Any) -> Any:
        """Return the view (..., rows, *) of an array that has a row per query."""
        return Tile(self.leading, self.rows).of_queries(array)

    def of_doors(self, array: Any) -> Any:
        """Return the rows (..., doors, *) of an array that has a row per key."""
        return Tile(self.leading, self.rows).of_heads(array)[..., self.doors_there, :]

    def of_tokens(self, array: Any) -> Any:
        """Return the rows (..., tokens, *) of an array that has a row per key."""
        return Tile(self.leading, self.rows).of_heads(array)[..., self.tokens_there, :]

    def by_door(self, pairs: Any) -> Any:
        """View (..., rows, tokens) as (..., rows, doors, length)."""
        return pairs.reshape(*pairs.shape[:-1], len(self.doors), self.length)

    def in_line(self, cube: Any) -> Any:
        """View (..., rows, doors, length) as (..., rows, tokens)."""
        return cube.reshape(*cube.shape[:-2], len(self.doors) * self.length)


class Doors(Tiles):
    """All queries beside the tokens of their own block and the landmarks of earlier ones."""

    def __init__(
        self,
        query: Any,
        key: Any,
        value: Any,
        *others: Any,
        is_landmark: Any,
        scale: float | None,
        top_k: int | None,
    ) -> None:
        """Plan the tiles; the host waits for the places of the landmarks."""
        flags = np.asarray(is_landmark.get() if hasattr(is_landmark, "get") else is_landmark)
        self.landmarks = np.flatnonzero(flags)
        self.begins = np.concatenate([[0], self.landmarks + 1])  # of each block
        self.lengths = self.landmarks - self.begins[:-1]
        widest = int(max(self.lengths, default=0))
        if top_k is not None:
            widest = max(widest, len(self.landmarks))
        rows = max(1, limits.MATRIX_ENTRIES // max(1, widest))
        super().__init__(query, key, value, *others, mask=None, bias=None, causal=True, rows=rows)
        self.columns = max(1, min(self.n, limits.MATRIX_ENTRIES // self.rows))
        self.query, self.key, self.top_k = query, key, top_k
        self.scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        self.block = self.xp.asarray(np.cumsum(flags) - flags)
        self.regular = self.xp.asarray(~flags)

    def score(self, tile: DoorTile) -> Any:
        """Return the scores of the doors."""
        return self.scale * (tile.of_queries(self.query) @ transposed(tile.of_doors(self.key)))

    def within(self, tile: DoorTile) -> Any:
        """Return the softmax within each closed block, (..., rows, doors, length)."""
        scores = self.scale * (tile.of_queries(self.query) @ transposed(tile.of_tokens(self.key)))
        return row_softmax(self, tile.by_door(scores))

    def handed_out(self, shares: Any, tile: DoorTile, visible: Any) -> tuple[Any, Any]:
        """Return the weights of the tokens behind the doors, and which of them are visible."""
        if not tile.own:
            shares = tile.in_line(shares[..., None] * self.within(tile))
            shape = (*visible.shape, tile.length)
            visible = tile.in_line(self.xp.broadcast_to(visible[..., None], shape))
        return self.select(visible, shares, 0), visible

    def along(self, band: Tile) -> Iterator[tuple[Any, Any]]:
        """Walk over the doors of a band: each tile with the doors that its queries see."""
        xp, rows = self.xp, band.rows
        i = xp.arange(rows.start, rows.stop)[:, None]
        first = int(self.begins[np.searchsorted(self.begins, rows.start, side="right") - 1])
        for start in range(first, rows.stop, self.columns):
            places = np.arange(start, min(start + self.columns, rows.stop))
            there = xp.asarray(places)
            own = (self.block[there] == self.block[i]) & (there <= i) & self.regular[there]
            yield DoorTile(band.leading, rows, places, there, places, there, 1, True), own
        if self.top_k == 0:
            return
        earlier = int(np.searchsorted(self.landmarks, rows.stop - 1))
        kept = self._kept(band, earlier)
        for length in np.unique(self.lengths[:earlier]).tolist():
            alike = np.flatnonzero(self.lengths[:earlier] == length)
            step = max(1, self.columns // max(1, length))
            for start in range(0, len(alike), step):
                few = alike[start : start + step]
                places = self.landmarks[few]
                tokens = (self.begins[few][:, None] + np.arange(length)).reshape(-1)
                there = xp.asarray(places)
                visible = there < i
                visible = visible if kept is None else visible & kept[..., xp.asarray(few)]
                yield DoorTile(band.leading, rows, places, there, tokens, xp.asarray(tokens), length, False), visible

    def _kept(self, band: Tile, earlier: int) -> Any:
        """Return which of the earlier landmarks are among the largest of a row, None if all are."""
        if self.top_k is None or self.top_k >= earlier:
            return None
        xp, there = self.xp, self.xp.asarray(self.landmarks[:earlier])
        scores = self.scale * (band.of_queries(self.query) @ transposed(band.of_heads(self.key)[..., there, :]))
        i = xp.arange(band.rows.start, band.rows.stop)[:, None]
        ordered = xp.sort(xp.where(there < i, scores, -math.inf), axis=-1)
        return ~(scores < ordered[..., earlier - self.top_k, None])
