"""Combiner-Logsparse: the past in groups that double in size.

A group is the first half of a pair of blocks, and those who meet it are the second half of the same pair. So the
sequence is viewed as pairs, once per size, and each level is one score per token of the second halves: a product with
the one key that they all meet. What is found is folded into a running maximum, total and sum per token.

Bound by memory traffic: n log(n) (d + e) / 2 numbers read for the groups, and as many read and written for those who
meet them. No array is larger than n (d + e) numbers but the weights, if asked for. Differs from the reference by
rounding.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from attlas_ref.contract import AttentionResult

from ..tile import transposed
from .pieces import finite, represented, shares, summarized

__all__ = ["combiner_logsparse_attention"]


def combiner_logsparse_attention(
    query: Any, key: Any, value: Any, *, summary: str, scale: float | None, return_weights: bool
) -> Any:
    """Return the mean of the values under the softmax over oneself and a group for every bit of one's number."""
    xp, (n, d) = array_namespace(query), query.shape[-2:]
    factor = 1 / math.sqrt(d) if scale is None else scale
    leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    maximum = xp.zeros((*leading, n, 1), dtype=query.dtype) - math.inf
    total = xp.zeros_like(maximum)
    sums = xp.zeros((*np.broadcast_shapes(leading, value.shape[:-2]), n, value.shape[-1]), dtype=query.dtype)

    def fold(scores: Any, values: Any, highest: Any, weight: Any, accumulator: Any) -> None:
        larger = xp.maximum(highest, scores)
        shift = finite(xp, larger)
        rescale, exponential = xp.exp(highest - shift), xp.exp(scores - shift)
        weight[...] = rescale * weight + exponential
        accumulator[...] = rescale * accumulator + exponential * values
        highest[...] = larger

    own = factor * (query * key).sum(axis=-1, keepdims=True)
    fold(own, value, maximum, total, sums)
    for pairs in _levels(n):
        group, behind = pairs.first, pairs.second
        met, read = summarized(group(query), group(key), group(value), factor, summary)
        scores = factor * (behind(query) @ met[..., :, None])
        fold(scores, read[..., None, :], behind(maximum), behind(total), behind(sums))
    whole = xp.where(total == 0, 1, total)
    if not return_weights:
        return sums / whole
    shift, token = finite(xp, maximum), xp.arange(n)
    weights = xp.zeros((*leading, n, n), dtype=query.dtype)
    weights[..., token, token] = (xp.exp(own - shift) / whole)[..., 0]
    for pairs in _levels(n):
        group, behind = pairs.first, pairs.second
        scores = factor * (behind(query) @ transposed(represented(group(key), summary)))
        share = xp.exp(scores - behind(shift)) / behind(whole)
        inner = shares(group(query), group(key), factor, summary)
        each = xp.arange(pairs.number)
        met = xp.moveaxis(share * inner[..., None, :], -3, 0)
        pairs.of_pairs(weights)[..., each, pairs.size :, each, : pairs.size] = met
    return AttentionResult(sums / whole, weights)


class Pairs(NamedTuple):
    """Pairs of a group and of those who meet it, one behind the other."""

    start: int
    number: int
    size: int
    """Tokens of a group."""
    behind: int
    """Tokens that meet it: fewer than a group in the last pair, which is a level of its own then."""

    @property
    def tokens(self) -> slice:
        """The tokens of all pairs."""
        return slice(self.start, self.start + self.number * (self.size + self.behind))

    def first(self, x: Any) -> Any:
        """View the groups of tokens (..., n, width): (..., number, size, width)."""
        return self._halves(x)[..., : self.size, :]

    def second(self, x: Any) -> Any:
        """View those who meet them, (..., number, behind, width)."""
        return self._halves(x)[..., self.size :, :]

    def of_pairs(self, weights: Any) -> Any:
        """View (..., n, n) as (..., number, size + behind, number, size + behind)."""
        both = (self.number, self.size + self.behind)
        return weights[..., self.tokens, self.tokens].reshape(*weights.shape[:-2], *both, *both)

    def _halves(self, x: Any) -> Any:
        return x[..., self.tokens, :].reshape(*x.shape[:-2], self.number, self.size + self.behind, x.shape[-1])


def _levels(n: int) -> Iterator[Pairs]:
    """Walk over the sizes, the powers of two that leave somebody to meet a group."""
    size = 1
    while size < n:
        count = n // (2 * size)
        rest = n - count * 2 * size
        if count:
            yield Pairs(0, count, size, size)
        if rest > size:
            yield Pairs(n - rest, 1, size, rest - size)
        size *= 2
