"""The monomials of some channels up to a degree, as tables."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..operands import Array


class Monomials(NamedTuple):
    """All monomials of a width up to a degree, the lower degrees first."""

    powers: Array
    """(r, 1 + degree): how many factors a monomial has, and their channels."""
    shares: Array
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
