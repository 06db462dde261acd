"""Sparse distributed memory on bits: counted by brute force, and against the published numbers."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.stats
from rounding import assert_equal_up_to_rounding

import attlas_ref
from attlas_ref.memory.sdm_circle_intersection import intersection_counts

RNG = np.random.default_rng(37)
PUBLISHED = [(64, 27, 1.7802443), (64, 19, 5.9715733), (32, 11, 2.5193267), (100, 35, 5.3004324)]
"""dim, radius and the slope to eight digits."""


def every_address(dim: int) -> np.ndarray:
    return np.arange(2**dim)[:, None] >> np.arange(dim) & 1


def bits(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2, shape)


# The circle intersection


@pytest.mark.parametrize("dim", [1, 2, 5, 8, 12])
def test_intersections_are_what_counting_all_addresses_gives(dim: int) -> None:
    addresses = every_address(dim)
    from_x = addresses.sum(axis=-1)
    for v in range(dim + 1):
        from_y = np.abs(addresses - (np.arange(dim) < v)).sum(axis=-1)
        for radius in range(dim + 2):
            counted = int(((from_x <= radius) & (from_y <= radius)).sum())
            assert intersection_counts(dim, radius)[v] == counted
            assert attlas_ref.sdm_circle_intersection(v, dim=dim, radius=radius) == counted


@pytest.mark.parametrize(("dim", "radius"), [(7, 0), (16, 5), (33, 33), (64, 19), (100, 35)])
def test_the_double_sums_of_the_definition_and_of_the_paper(dim: int, radius: int) -> None:
    for v in range(0, dim + 1, 3):
        definition = sum(
            math.comb(v, i) * math.comb(dim - v, j)
            for i in range(v + 1)
            for j in range(dim - v + 1)
            if i + j <= radius and v - i + j <= radius
        )
        paper = sum(
            math.comb(dim - v, a) * math.comb(v, c)
            for a in range(max(0, dim - radius - v // 2), dim - v + 1)
            for c in range(max(0, dim - radius - a), min(v, v - (dim - radius - a)) + 1)
        )
        assert intersection_counts(dim, radius)[v] == definition == paper


@pytest.mark.parametrize(("dim", "radius"), [(5, 2), (16, 5), (20, 20), (20, 19), (64, 27), (1000, 451)])
def test_what_must_hold_of_the_counts(dim: int, radius: int) -> None:
    counts = intersection_counts(dim, radius)
    assert counts[0] == sum(math.comb(dim, i) for i in range(min(radius, dim) + 1))
    assert counts[1::2][: dim // 2] == counts[2::2]  # I(2k) = I(2k − 1)
    assert counts == sorted(counts, reverse=True)
    for v, count in enumerate(counts):
        assert (count == 0) == (v > 2 * radius and radius < dim)
    assert sum(math.comb(dim, v) * count for v, count in enumerate(counts)) == counts[0] ** 2
    if radius >= dim:
        assert set(counts) == {2**dim}


def test_logarithms_of_counts_that_overflow_are_finite() -> None:
    distances = np.arange(1001)
    logs = attlas_ref.sdm_circle_intersection(distances, dim=1000, radius=451, log=True)
    np.testing.assert_array_equal(np.isfinite(logs), distances <= 902)
    exact = [math.log2(count) * math.log(2) for count in intersection_counts(1000, 451)[:903]]
    assert_equal_up_to_rounding(logs[:903], exact, operations=4, magnitude=700.0)
    wide = attlas_ref.sdm_circle_intersection([0, 1], dim=2000, radius=1000)
    np.testing.assert_array_equal(wide, np.inf)


@pytest.mark.parametrize("log", [False, True])
def test_neurons_are_a_share_of_all_addresses(log: bool) -> None:
    for dim, radius, neurons in ((10, 3, 7), (1000, 451, 10**6)):
        counts = intersection_counts(dim, radius)[:30]
        exact = [float(Fraction(count * neurons, 2**dim)) for count in counts]
        found = attlas_ref.sdm_circle_intersection(
            np.arange(len(counts)), dim=dim, radius=radius, neurons=neurons, log=log
        )
        with np.errstate(divide="ignore"):
            expected = np.log(exact) if log else exact
        seen = np.isfinite(expected)
        np.testing.assert_array_equal(np.isfinite(found), seen)
        assert_equal_up_to_rounding(np.asarray(found)[seen], np.asarray(expected)[seen], operations=4, magnitude=700.0)


@pytest.mark.parametrize(
    ("error", "message", "distance", "options"),
    [
        (ValueError, "distance", [5], {"dim": 4, "radius": 1}),
        (ValueError, "distance", [-1], {"dim": 4, "radius": 1}),
        (TypeError, "distance", [0.5], {"dim": 4, "radius": 1}),
        (ValueError, "radius", [0], {"dim": 4, "radius": -1}),
        (TypeError, "dim", [0], {"dim": 4.0, "radius": 1}),
        (ValueError, "neurons", [0], {"dim": 4, "radius": 1, "neurons": 0}),
    ],
)
def test_bad_balls_are_refused(error: type[Exception], message: str, distance: Any, options: dict[str, Any]) -> None:
    with pytest.raises(error, match=f"sdm_circle_intersection: {message}"):
        attlas_ref.sdm_circle_intersection(distance, **options)


# Reading


def test_a_pattern_at_the_query_is_recalled_exactly_when_others_are_out_of_reach() -> None:
    key, value = bits(6, 64), RNG.normal(size=(6, 3))
    apart = np.abs(key[:, None] - key)[~np.eye(6, dtype=bool)].reshape(-1, 64).sum(axis=-1).min()
    assert apart > 2 * 9
    np.testing.assert_array_equal(attlas_ref.sdm_attention(key, key, value, radius=9), value)
    assert (attlas_ref.sdm_attention(key, key, value, radius=30) != value).any()


def test_a_query_that_shares_no_neuron_reads_zeros() -> None:
    key, query = np.zeros((2, 8), dtype=int), np.ones((1, 8), dtype=int)
    output, weights = attlas_ref.sdm_attention(query, key, np.ones((2, 3)), radius=3, return_weights=True)
    np.testing.assert_array_equal(output, np.zeros((1, 3)))
    np.testing.assert_array_equal(weights, np.zeros((1, 2)))


def test_bits_are_read_above_one_half() -> None:
    key, query = np.array([[0, 0, 0, 0], [1, 1, 0, 0]]), np.array([[1, 0, 0, 0]])
    value = np.array([[1.0, 1.0, 0.6], [1.0, 0.0, 0.6]])  # means 1, 1/2 and 0.6
    bits_read = attlas_ref.sdm_attention(query, key, value, radius=1, threshold=True)
    np.testing.assert_array_equal(bits_read, [[1.0, 0.0, 1.0]])


def test_the_expected_number_of_shared_neurons_is_that_of_all_addresses() -> None:
    # The mean over all places of one random neuron; r of them share r times as many.
    dim, radius = 8, 3
    query, key = bits(1, dim), bits(5, dim)
    reads = [
        attlas_ref.sdm_neuron_attention(query, key, np.eye(5), neuron[None], radius=radius, normalize=False)[0]
        for neuron in every_address(dim)
    ]
    distance = np.abs(query - key).sum(axis=-1)
    expected = attlas_ref.sdm_circle_intersection(distance, dim=dim, radius=radius, neurons=1)
    np.testing.assert_array_equal(np.mean(reads, axis=0), expected)


def test_rounding_the_expected_counts_is_right_in_the_mean() -> None:
    dim, radius, neurons, count = 6, 2, 13, 64
    query, key = np.array([[1, 0, 0, 0, 0, 0]]), np.array([[0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]])
    expected = attlas_ref.sdm_circle_intersection([1, 0], dim=dim, radius=radius, neurons=neurons)
    # The second pair's count is a whole number known from its uniforms; the first runs through an even grid.
    grid = np.stack([np.arange(count) / count, np.zeros(count)], axis=-1)[:, None, :]
    weights = attlas_ref.sdm_attention(
        query, key, np.eye(2), radius=radius, neurons=neurons, uniforms=grid, return_weights=True
    ).weights[:, 0]
    counts = weights[:, 0] / weights[:, 1] * math.ceil(expected[1])
    # E 64 = I 13 is whole, so the grid meets the mean to the bit; the ratio of weights is rounded a few times.
    assert_equal_up_to_rounding(counts.mean(), expected[0], operations=16, magnitude=neurons)


@pytest.mark.parametrize(("dim", "radius"), [(dim, radius) for dim, radius, _ in PUBLISHED])
def test_the_logarithm_of_the_overlap_is_nearly_a_line_in_the_cosine(dim: int, radius: int) -> None:
    v = np.arange(radius)
    cosine, logs = 1 - 2 * v / dim, attlas_ref.sdm_circle_intersection(v, dim=dim, radius=radius, log=True)
    assert 0.98 < np.corrcoef(cosine, logs)[0, 1] < 0.998


@pytest.mark.parametrize(("dim", "radius"), [(dim, radius) for dim, radius, _ in PUBLISHED])
def test_reading_is_nearly_cosine_attention(dim: int, radius: int) -> None:
    # Keys at every distance below the radius; the residuals of the line bound the ratio of any two weights.
    v = np.arange(radius)
    query, key = np.zeros((1, dim)), (np.arange(dim) < v[:, None]).astype(float)
    beta = attlas_ref.sdm_beta(dim=dim, radius=radius)
    logs = attlas_ref.sdm_circle_intersection(v, dim=dim, radius=radius, log=True)
    residual = logs - beta * (1 - 2 * v / dim)
    ratio = float(np.exp(np.ptp(residual)))
    exact = attlas_ref.sdm_attention(query, key, np.eye(radius), radius=radius)[0]
    softmax = attlas_ref.cosine_attention(2 * query - 1, 2 * key - 1, np.eye(radius), scale=beta)[0]
    assert (np.maximum(exact / softmax, softmax / exact) <= ratio).all()
    assert ratio < 1.5  # no ratio of two weights is off by more than half


# Beta and radius


@pytest.mark.parametrize(("dim", "radius", "published"), PUBLISHED)
def test_beta_is_the_published_slope(dim: int, radius: int, published: float) -> None:
    beta = attlas_ref.sdm_beta(dim=dim, radius=radius)
    assert round(beta, 7) == published
    v = np.arange(radius)
    logs = attlas_ref.sdm_circle_intersection(v, dim=dim, radius=radius, log=True)
    slope = scipy.stats.linregress(1 - 2 * v / dim, logs).slope
    assert_equal_up_to_rounding(beta, slope, operations=100 * radius, magnitude=beta)
    # The slope of the largest summand alone is far too small.
    assert 2 < beta / ((dim - 2 * radius) ** 2 / (4 * dim)) < 5


def test_two_distances_make_the_line() -> None:
    # Of the smallest radius, whose distances are 0 and 1.
    both = np.log([attlas_ref.sdm_circle_intersection(v, dim=9, radius=2) for v in (0, 1)])
    assert attlas_ref.sdm_beta(dim=9, radius=2) == pytest.approx((both[0] - both[1]) / (2 / 9))


def test_beta_of_chosen_distances() -> None:
    beta = attlas_ref.sdm_beta(dim=64, radius=19, distances=[2, 10])
    logs = attlas_ref.sdm_circle_intersection([2, 10], dim=64, radius=19, log=True)
    assert_equal_up_to_rounding(beta, (logs[0] - logs[1]) / (16 / 64), operations=100, magnitude=36.0)


@pytest.mark.parametrize(
    "options",
    [
        {"dim": 64, "radius": 1},
        {"dim": 64, "radius": 33},
        {"dim": 64, "radius": 10, "distances": [0, 21]},
        {"dim": 64, "radius": 10, "distances": [3]},
        {"dim": 64, "radius": 10, "distances": [3, 3]},
        {"dim": 64, "radius": 10, "distances": [-1, 3]},
    ],
)
def test_betas_that_cannot_be_fitted_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"sdm_beta: (radius|distances)"):
        attlas_ref.sdm_beta(**options)


def test_one_address_in_a_thousand_lies_within_451_of_1000_bits() -> None:
    assert attlas_ref.sdm_radius(0.001, dim=1000) == 451


@pytest.mark.parametrize("dim", [1, 2, 31, 64, 1000])
def test_radii_are_the_inverse_of_the_share_of_a_ball(dim: int) -> None:
    shares = np.sort(np.concatenate([10.0 ** RNG.uniform(-6, 0, 40), 1 - 10.0 ** RNG.uniform(-6, -1, 20)]))
    radii = attlas_ref.sdm_radius(shares, dim=dim)
    assert (np.diff(radii) >= 0).all()
    np.testing.assert_array_equal(radii, scipy.stats.binom.ppf(shares, dim, 0.5))
    for share, radius in zip(shares, radii, strict=True):
        within = [sum(math.comb(dim, i) for i in range(r + 1)) for r in (radius - 1, radius)]
        assert Fraction(within[0], 2**dim) < Fraction(share) <= Fraction(within[1], 2**dim)


def test_a_share_that_is_met_to_the_bit_needs_no_more() -> None:
    assert attlas_ref.sdm_radius(0.5, dim=3) == 1  # 4 of 8
    assert attlas_ref.sdm_radius(np.nextafter(0.5, 1), dim=3) == 2


@pytest.mark.parametrize(("fraction", "dim"), [(0.0, 4), (1.0, 4), (np.nan, 4), (0.5, 0)])
def test_radii_out_of_range_are_refused(fraction: float, dim: int) -> None:
    with pytest.raises(ValueError, match=r"sdm_radius: (fraction|dim)"):
        attlas_ref.sdm_radius(fraction, dim=dim)


def test_the_optimal_radius_is_that_of_its_share() -> None:
    for patterns, neurons in ((1, 1), (10, 1000), (10_000, 1_000_000)):
        share = (2 * patterns * neurons) ** (-1 / 3)
        for dim in (32, 64, 1000):
            found = attlas_ref.sdm_optimal_radius(dim=dim, patterns=patterns, neurons=neurons)
            assert found == attlas_ref.sdm_radius(share, dim=dim)
    for bad in ({"patterns": 0, "neurons": 1}, {"patterns": 1, "neurons": 0}):
        with pytest.raises(ValueError, match=r"sdm_optimal_radius: (patterns|neurons)"):
            attlas_ref.sdm_optimal_radius(dim=64, **bad)
