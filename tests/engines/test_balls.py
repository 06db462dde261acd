"""What Hamming balls have in common, in the tables that the engines share."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from attlas.balls import expected_neurons, reach, shared_addresses, shares
from attlas.numba_cpu.memory.sdm import share_words
from attlas_ref import sdm_circle_intersection
from attlas_ref.memory.sdm_circle_intersection import intersection_counts

balls = pytest.mark.parametrize(
    ("bits", "radius"), [(0, 0), (1, 0), (1, 1), (7, 2), (12, 12), (64, 24), (301, 120), (600, 160), (5000, 2300)]
)


@balls
def test_counts_are_those_of_the_reference(bits: int, radius: int) -> None:
    counts = intersection_counts(bits, radius)
    assert list(shared_addresses(bits, radius)) == counts
    assert reach(bits, radius) == max(v for v, count in enumerate(counts) if count)
    few = sdm_circle_intersection(np.arange(bits + 1), dim=bits, radius=radius, neurons=1000)
    np.testing.assert_array_equal(expected_neurons(bits, radius, 1000), few)


@balls
def test_shares_are_the_counts_rounded_once(bits: int, radius: int) -> None:
    for count, fraction, power in zip(intersection_counts(bits, radius), *shares(bits, radius), strict=True):
        assert Fraction(fraction) == Fraction(count / (1 << count.bit_length()))
        assert 0.5 <= fraction <= 1 if count else fraction == 0
        if count:
            assert power == count.bit_length()


@balls
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_two_words_differ_by_a_float_up_to_the_furthest_distance_that_counts(
    bits: int, radius: int, dtype: Any
) -> None:
    counts, info = intersection_counts(bits, radius), np.finfo(dtype)
    words, furthest = share_words(bits, radius, np.dtype(dtype)).view(f"i{info.dtype.itemsize}")
    one = np.ones((), dtype=dtype).view(words.dtype)
    for closest in {0, 1, bits // 3, bits // 2, reach(bits, radius), bits} & set(range(bits + 1)):
        last = furthest[closest]
        if not counts[closest]:
            assert last == -1
            continue
        power = (words[closest] >> info.nmant << info.nmant) - one
        beside = np.arange(closest, last + 1)
        with np.errstate(over="ignore"):  # modulo the size of a word
            found = (words[beside] - power).view(dtype)
        assert (found >= info.smallest_normal).all()
        assert 1 <= found[0] < 2
        ratios = [float(Fraction(counts[v], counts[closest]) * Fraction(float(found[0]))) for v in beside]
        np.testing.assert_allclose(found, ratios, rtol=2 * float(info.eps))
        beyond = min(last + 1, bits)
        assert beyond <= last or Fraction(counts[beyond], counts[closest]) < 4 * Fraction(float(info.smallest_normal))
