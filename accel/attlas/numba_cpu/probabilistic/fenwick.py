"""Combiner-Logsparse: the past in groups that double in size.

Tokens are cut into chunks of `CHUNK`. What a chunk meets is laid side by side: its own tokens; the groups within it,
whose pattern is the same in every chunk; and the groups before it, one for every higher bit of its number. So a chunk
is one block of queries over about 2 CHUNK + log n rows, of which a mask hides what a token does not meet, and the
keys of a chunk come in one piece.

Bound by: multiply-adds, n (2 CHUNK + log n)(d + e), n log n (d + e) / 2 for the groups, and memory: about twice the
keys and values are written once. Differs from the reference by rounding.
"""

from typing import Any, NamedTuple

import numpy as np

from attlas_ref.contract import AttentionResult

from ..attention import attend, dot_scale
from ..dense import build_softmax
from ..operands import Array
from .pieces import shares, summarized

__all__ = ["combiner_logsparse_attention"]

BITS = 4
CHUNK = 1 << BITS


class Level(NamedTuple):
    """The groups of one size that somebody meets."""

    bit: int
    groups: int

    @property
    def size(self) -> int:
        """Tokens of a group; group g begins at token 2 g size, and those who meet it follow it at once."""
        return 1 << self.bit

    def of(self, x: Array) -> Array:
        """View the groups of tokens (..., n, width): (..., count, size, width)."""
        *leading, row, column = x.strides
        shape = (*x.shape[:-2], self.groups, self.size, x.shape[-1])
        strides = (*leading, 2 * self.size * row, row, column)
        return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)


def levels_of(n: int) -> list[Level]:
    """Return the sizes of more than one token, each with its groups."""
    bits = range(1, max(1, n - 1).bit_length())
    return [Level(bit, -(-(n - (1 << bit)) // (2 << bit))) for bit in bits if n > 1 << bit]


class Places(NamedTuple):
    """Where the rows that a chunk meets stand."""

    rows: int
    within: dict[int, int]
    """By bit, the first row of the groups within the chunk."""
    before: dict[int, int]
    """By bit, the row of the group before it."""


def places_of(levels: list[Level]) -> Places:
    """Lay the rows out: the chunk's own tokens, the groups within it, those before."""
    rows, within, before = CHUNK, {}, {}
    for level in levels:
        if level.bit < BITS:
            within[level.bit] = rows
            rows += CHUNK >> level.bit + 1
        else:
            before[level.bit] = rows
            rows += 1
    return Places(rows, within, before)


def _met(n: int, places: Places) -> Array:
    """Return which token of a chunk meets which row, (chunks, CHUNK, rows)."""
    chunk, token = np.arange(-(-n // CHUNK)), np.arange(CHUNK)
    met = np.zeros((len(chunk), CHUNK, places.rows), dtype=bool)
    met[:, token, token] = True
    met[:, token[1::2], token[::2]] = True  # a group of one token is that token
    for bit, first in places.within.items():
        groups = CHUNK >> bit + 1
        met[:, :, first : first + groups] = token[:, None] >> bit == 2 * np.arange(groups) + 1
    for bit, row in places.before.items():
        met[:, :, row] = (chunk >> bit - BITS & 1 == 1)[:, None]
    return met


def _side_by_side(x: Array, groups: list[tuple[Level, Array]], places: Places) -> Array:
    """Return the rows that each chunk meets, (..., chunks, rows, width): tokens of x, and what stands for groups."""
    n, width = x.shape[-2:]
    chunks = -(-n // CHUNK)
    leading = np.broadcast_shapes(x.shape[:-2], *(stands.shape[:-2] for _, stands in groups))
    rows = np.zeros((*leading, chunks, places.rows, width), dtype=x.dtype)
    full = n // CHUNK
    rows[..., :full, :CHUNK, :] = x[..., : full * CHUNK, :].reshape(*x.shape[:-2], full, CHUNK, width)
    if full < chunks:
        rows[..., full, : n % CHUNK, :] = x[..., full * CHUNK :, :]
    for level, stands in groups:
        if level.bit < BITS:
            each = CHUNK >> level.bit + 1
            for group in range(each):  # the last chunk may lack the last ones
                own = stands[..., group::each, :]
                rows[..., : own.shape[-2], places.within[level.bit] + group, :] = own
        else:
            named = np.flatnonzero(np.arange(chunks) >> level.bit - BITS & 1)
            rows[..., named, places.before[level.bit], :] = stands[..., named >> level.bit - BITS + 1, :]
    return rows


def combiner_logsparse_attention(
    query: Array, key: Array, value: Array, *, summary: str, scale: float | None, return_weights: bool
) -> Any:
    """See `attlas_ref.probabilistic.combiner_logsparse_attention`."""
    scale, n = dot_scale(scale, query), query.shape[-2]
    levels = levels_of(n)
    places = places_of(levels)
    stand = [summarized(level.of(query), level.of(key), level.of(value), scale, summary) for level in levels]
    keys = _side_by_side(key, [(level, k) for level, (k, _) in zip(levels, stand, strict=True)], places)
    values = _side_by_side(value, [(level, v) for level, (_, v) in zip(levels, stand, strict=True)], places)
    met = _met(n, places)
    whole, tokens = n // CHUNK, n // CHUNK * CHUNK
    chunked = query[..., :tokens, :].reshape(*query.shape[:-2], whole, CHUNK, query.shape[-1])
    last = query[..., None, tokens:, :]
    parts = []
    for asked, chosen in ((chunked, slice(0, whole)), (last, slice(whole, None))):
        parts.append(
            attend(
                build_softmax,
                asked,
                keys[..., chosen, :, :],
                values[..., chosen, :, :],
                scale,
                1.0,
                mask=met[chosen, : asked.shape[-2]],
                bias=None,
                causal=False,
                return_weights=return_weights,
            )
            if asked.size
            else None
        )
    found = [part for part in parts if part is not None]
    if not return_weights:
        return _joined(found) if found else np.zeros(_shape(query, key, value), dtype=query.dtype)
    output = _joined([part.output for part in found]) if found else np.zeros(_shape(query, key, value), query.dtype)
    weights = _joined([part.weights for part in found]) if found else None
    inner = [shares(level.of(query), level.of(key), scale, summary) for level in levels]
    return AttentionResult(output, _spread(weights, inner, levels, places, query, key))


def _shape(query: Array, key: Array, value: Array) -> tuple[int, ...]:
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    return (*leading, query.shape[-2], value.shape[-1])


def _joined(parts: list[Array]) -> Array:
    """Join chunks (..., chunks, tokens, width) to tokens (..., n, width)."""
    lines = [x.reshape(*x.shape[:-3], x.shape[-3] * x.shape[-2], x.shape[-1]) for x in parts]
    return lines[0] if len(lines) == 1 else np.concatenate(lines, axis=-2)


def _spread(
    met: Array | None, inner: list[Array], levels: list[Level], places: Places, query: Array, key: Array
) -> Array:
    """Return the weights of all tokens (..., n, n), given those of the rows that each meets (..., n, rows)."""
    n = query.shape[-2]
    weights = np.zeros((*np.broadcast_shapes(query.shape[:-2], key.shape[:-2]), n, n), dtype=query.dtype)
    if met is None:
        return weights
    token = np.arange(n)
    weights[..., token, token] = met[..., token, token % CHUNK]
    odd = token[1::2]
    weights[..., odd, odd - 1] = met[..., odd, odd % CHUNK - 1]
    for level, within in zip(levels, inner, strict=True):
        for group in range(level.groups):
            first = 2 * group * level.size
            reach = slice(first + level.size, min(n, first + 2 * level.size))
            row = places.before.get(level.bit)
            if row is None:
                row = places.within[level.bit] + group % (CHUNK >> level.bit + 1)
            weights[..., reach, first : first + level.size] = met[..., reach, row, None] * within[..., group, None, :]
    return weights
