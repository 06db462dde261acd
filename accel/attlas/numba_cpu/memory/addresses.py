"""How many addresses lie near both of two: tables over their Hamming distance.

Counted with whole numbers of any size: moving one center a bit away (an odd distance v = 2k + 1 from the other) loses
the addresses that were on both rims, C(2k, k) C(b - v, r - k) of them; an even step loses none. Only the results are
rounded. O(b) products per table, made once per (b, r).
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=32)
def shared_addresses(bits: int, radius: int) -> tuple[int, ...]:
    """Return the numbers for the distances 0 .. bits.

    >>> shared_addresses(4, 1)
    (5, 2, 2, 0, 0)
    """
    counts = [sum(math.comb(bits, i) for i in range(min(radius, bits) + 1))]
    for v in range(1, bits + 1):
        k = v // 2
        lost = math.comb(2 * k, k) * math.comb(bits - v, radius - k) if v % 2 and k <= radius else 0
        counts.append(counts[-1] - lost)
    return tuple(counts)


@lru_cache(maxsize=32)
def log_shares(bits: int, radius: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return (2, bits + 1): the logarithms of the numbers, less that of distance 0, and what rounding took off them.

    Minus infinity, of which nothing was taken, stands where no address is shared.
    """
    logs = np.array([math.log(count) if count else -math.inf for count in shared_addresses(bits, radius)])
    logs -= logs[0]
    rounded = logs.astype(dtype)
    rest = np.where(np.isinf(logs), 0, logs) - np.where(np.isinf(logs), 0, rounded)
    return np.stack([rounded, rest.astype(dtype)])


@lru_cache(maxsize=32)
def expected_neurons(bits: int, radius: int, neurons: int) -> NDArray[np.float64]:
    """Return how many of so many neurons at random addresses are expected near both, correctly rounded."""
    return np.array([count * neurons / (1 << bits) for count in shared_addresses(bits, radius)])


def reach(bits: int, radius: int) -> int:
    """Return the largest distance at which any address is near both."""
    return max(v for v, count in enumerate(shared_addresses(bits, radius)) if count)
