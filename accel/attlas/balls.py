"""How many addresses lie near both of two: tables over their Hamming distance, for every engine.

Counted with whole numbers of any size: moving one center a bit away (an odd distance v = 2k + 1 from the other) loses
the addresses that were on both rims, C(2k, k) C(b - v, r - k) of them; an even step loses none. Only the results are
rounded, once. O(b) products per table, made once per (b, r).
"""

import math
from functools import lru_cache

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
def shares(bits: int, radius: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return fractions and powers of two, of which the numbers are products: no float need hold these.

    A fraction is correctly rounded and lies between one half and one, or is 0, with the power of the last that is not.

    >>> shares(4, 1)
    (array([0.625, 0.5  , 0.5  , 0.   , 0.   ]), array([3, 2, 2, 2, 2]))
    """
    counts = shared_addresses(bits, radius)
    powers = [count.bit_length() for count in counts if count]
    fractions = [count / (1 << power) for count, power in zip(counts, powers, strict=False)]
    apart = len(counts) - len(powers)
    return np.array([*fractions, *[0.0] * apart]), np.array([*powers, *powers[-1:] * apart])


@lru_cache(maxsize=32)
def expected_neurons(bits: int, radius: int, neurons: int) -> NDArray[np.float64]:
    """Return how many of so many neurons at random addresses are expected near both, correctly rounded."""
    return np.array([count * neurons / (1 << bits) for count in shared_addresses(bits, radius)])


def reach(bits: int, radius: int) -> int:
    """Return the largest distance at which any address is near both."""
    return max(v for v, count in enumerate(shared_addresses(bits, radius)) if count)
