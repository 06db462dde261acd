"""Attention by a polynomial of the scores, for all engines: its monomials, and when they cost less than pairs.

A polynomial of degree p in <q, k> is a sum over the r = C(d + p, p) monomials of the channels, so that queries can read
from sums over keys (moments). Pair by pair costs m n (d + e + p) multiply-adds, half with `causal`; factorized
(m + n) r (e + 1 + p), and with `causal` the pairs within chunks besides.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

HIGHEST = 64
"""The largest degree whose monomials are counted."""


class Monomials(NamedTuple):
    """All monomials of a width up to a degree, the lower degrees first."""

    powers: NDArray[Any]
    """(r, 1 + degree): how many factors a monomial has, and their channels."""
    shares: NDArray[Any]
    """(r,): 1 / a!."""

    @property
    def number(self) -> int:
        """r = C(width + degree, degree)."""
        return len(self.shares)


@lru_cache(maxsize=8)
def monomials_of(width: int, degree: int) -> Monomials:
    """Return the monomials in the order in which each extends an earlier one by a channel not before its last.

    >>> monomials_of(2, 2).powers.tolist()
    [[0, 0, 0], [1, 0, 0], [1, 1, 0], [2, 0, 0], [2, 0, 1], [2, 1, 1]]
    >>> monomials_of(2, 2).shares.tolist()
    [1.0, 1.0, 1.0, 0.5, 1.0, 0.5]
    """
    channels = np.zeros((1, degree), dtype=np.int64)
    shares, runs = np.ones(1), np.zeros(1, dtype=np.int64)
    powers, all_shares = [np.insert(channels, 0, 0, axis=1)], [shares]
    for length in range(1, degree + 1):
        last = channels[:, length - 2] if length > 1 else np.zeros(1, dtype=np.int64)
        follow = width - last  # channels that may come next
        parent = np.repeat(np.arange(len(last)), follow)
        added = np.arange(len(parent)) - np.repeat(np.cumsum(follow) - width, follow)
        repeats = (added == last[parent]) & (length > 1)
        runs = np.where(repeats, runs[parent] + 1, 1)
        channels, shares = channels[parent], shares[parent] / runs  # a! gains the new power of the channel
        channels[:, length - 1] = added
        powers.append(np.insert(channels, 0, length, axis=1))
        all_shares.append(shares)
    table = Monomials(np.ascontiguousarray(np.concatenate(powers)), np.concatenate(all_shares))
    for array in table:
        array.flags.writeable = False
    return table


def count_monomials(width: int, degree: int) -> int:
    """C(width + degree, degree)."""
    return math.comb(width + degree, degree)


def factorized_pays(
    m: int, n: int, d: int, e: int, degree: int, *, gain: float, chunk: int | None = None, more: int = 0
) -> bool:
    """Whether the factorized form takes less than `gain` of the multiply-adds that pairs take.

    With causal attention `chunk` queries at a time are attended to pair by pair before the moments are brought up to
    date. `more` is what a token costs beside, per monomial.

    >>> factorized_pays(4096, 4096, 16, 16, 2, gain=1), factorized_pays(1024, 1024, 64, 64, 2, gain=1)
    (True, False)
    """
    pair = d + e + degree
    dense = m * n * pair / (1 if chunk is None else 2)
    # More monomials than this cost more than they save, and need not be counted.
    if degree > HIGHEST or (m + n) * d > dense:
        return False
    within = 0 if chunk is None else m * min(chunk, m) / 2 * pair
    return (m + n) * count_monomials(d, degree) * (e + 1 + degree + more) + within < gain * dense
