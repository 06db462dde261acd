"""Sparse distributed memory on the sphere: caps against Lee and Kim's integral, closed forms and random points."""

import mpmath as mp
import numpy as np
import pytest
import scipy.special
from rounding import assert_equal_up_to_rounding

import attlas_ref

CAPS = [(dim, cap) for dim in (2, 3, 4, 7, 32, 64, 301) for cap in (0.0, 0.1, 0.5, 0.9)]


def lee_and_kim(cosine: float, dim: int, cap_cosine: float) -> mp.mpf:
    """The fraction by the incomplete beta function, in 30 digits."""
    with mp.workdps(30):
        theta, phi = mp.acos(mp.mpf(cap_cosine)), mp.acos(mp.mpf(cosine))
        if phi >= 2 * theta:
            return mp.mpf(0)
        if dim == 2:
            return (2 * theta - phi) / (2 * mp.pi)

        def slice_at(t: mp.mpf) -> mp.mpf:
            rest = 1 - (mp.tan(phi / 2) / mp.tan(t)) ** 2
            return mp.sin(t) ** (dim - 2) * mp.betainc(mp.mpf(dim - 2) / 2, mp.mpf(1) / 2, 0, rest, regularized=True)

        constant = mp.gamma(mp.mpf(dim) / 2) / (mp.sqrt(mp.pi) * mp.gamma(mp.mpf(dim - 1) / 2))
        return constant * mp.quad(slice_at, mp.linspace(phi / 2, theta, 6))


@pytest.mark.parametrize(("dim", "cap_cosine"), [(2, 0.5), (3, 0.0), (3, 0.6), (5, 0.25), (32, 0.3), (64, 0.15)])
def test_caps_intersect_as_lee_and_kim_say(dim: int, cap_cosine: float) -> None:
    cosines = [2 * cap_cosine**2 - 1 + share * 2 * (1 - cap_cosine**2) for share in (0.05, 0.4, 0.8, 0.999)]
    found = attlas_ref.sdm_cap_intersection(np.array(cosines), dim=dim, cap_cosine=cap_cosine, log=True)
    exact = [float(mp.log(lee_and_kim(cosine, dim, cap_cosine))) for cosine in cosines]
    # Each logarithm is dim / 2 times that of a ratio, and the sum has 205 terms; next to a cosine of 1 or to the rim
    # the angle has lost a few digits.
    assert_equal_up_to_rounding(found, exact, operations=205 * 10, magnitude=float(dim))


@pytest.mark.parametrize(("dim", "cap_cosine"), CAPS)
def test_a_cap_with_itself_is_the_area_of_the_cap(dim: int, cap_cosine: float) -> None:
    area = scipy.special.betainc((dim - 1) / 2, 0.5, 1 - cap_cosine**2) / 2
    logarithm = attlas_ref.sdm_cap_intersection(1.0, dim=dim, cap_cosine=cap_cosine, log=True)
    assert_equal_up_to_rounding(logarithm, np.log(area), operations=205 * 10, magnitude=float(dim))


@pytest.mark.parametrize("dim", [2, 3, 10, 101, 1000])
def test_half_spheres_share_what_the_angle_leaves(dim: int) -> None:
    angles = np.linspace(0, np.pi, 33)[:-1]
    shared = attlas_ref.sdm_cap_intersection(np.cos(angles), dim=dim, cap_cosine=0.0)
    assert_equal_up_to_rounding(shared, (np.pi - angles) / (2 * np.pi), operations=205)
    assert attlas_ref.sdm_cap_intersection(-1.0, dim=dim, cap_cosine=0.0) == 0


@pytest.mark.parametrize("cap_cosine", [0.0, 0.3, 0.9])
def test_arcs_of_a_circle_overlap_by_their_ends(cap_cosine: float) -> None:
    angles = np.linspace(0.01, np.pi, 41)
    theta = np.arccos(cap_cosine)
    shared = attlas_ref.sdm_cap_intersection(np.cos(angles), dim=2, cap_cosine=cap_cosine)
    assert_equal_up_to_rounding(shared, np.maximum(2 * theta - angles, 0) / (2 * np.pi), operations=205)


@pytest.mark.parametrize(("dim", "cap_cosine"), CAPS)
def test_the_intersection_falls_with_the_angle_and_ends_at_twice_the_cap(dim: int, cap_cosine: float) -> None:
    theta = np.arccos(cap_cosine)
    angles = np.linspace(0.01, min(np.pi, 2 * theta) - 0.01, 50)
    logs = attlas_ref.sdm_cap_intersection(np.cos(angles), dim=dim, cap_cosine=cap_cosine, log=True)
    assert np.isfinite(logs).all()
    assert (np.diff(logs) < 0).all()
    beyond = np.cos(np.linspace(min(np.pi, 2 * theta + 0.01), np.pi, 5))
    np.testing.assert_array_equal(attlas_ref.sdm_cap_intersection(beyond, dim=dim, cap_cosine=cap_cosine), 0)


@pytest.mark.parametrize(("dim", "cap_cosine", "cosine"), [(3, 0.5, 0.3), (5, 0.2, 0.8), (8, 0.1, -0.2)])
def test_a_million_random_points_agree(dim: int, cap_cosine: float, cosine: float) -> None:
    points = np.random.default_rng(43).normal(size=(1_000_000, dim))
    points /= np.linalg.norm(points, axis=-1, keepdims=True)
    second = points[:, 0] * cosine + points[:, 1] * np.sqrt(1 - cosine**2)
    share = float(((points[:, 0] >= cap_cosine) & (second >= cap_cosine)).mean())
    expected = float(attlas_ref.sdm_cap_intersection(cosine, dim=dim, cap_cosine=cap_cosine))
    assert abs(share - expected) <= 5 * np.sqrt(expected * (1 - expected) / 1_000_000)  # five standard deviations


def test_weights_are_shares_of_the_intersection_and_constants_cancel() -> None:
    rng = np.random.default_rng(47)
    query, key, value = rng.normal(size=(4, 8)), rng.normal(size=(6, 8)), rng.normal(size=(6, 2))
    key[0], key[1] = 3 * query[0], -query[0]
    units = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (query, key)]
    cosine = np.clip(units[0] @ units[1].T, -1, 1)
    area = attlas_ref.sdm_cap_intersection(cosine, dim=8, cap_cosine=0.2)
    output, weights = attlas_ref.sdm_continuous_attention(query, key, value, cap_cosine=0.2, return_weights=True)
    for constant in (1.0, np.log(2.0)):  # the official code adds 2 to the logarithm in place of log 2
        counts = constant * area
        expected = counts / counts.sum(axis=-1, keepdims=True)
        # Next to a cosine of 1 the angle is known to the root of a unit only.
        assert_equal_up_to_rounding(weights[1:], expected[1:], operations=205 * 10, magnitude=8.0)
    assert_equal_up_to_rounding(output, weights @ value, operations=50, magnitude=4.0)
    assert weights[0, 1] == 0


def test_a_key_alone_in_reach_has_all_of_the_weight() -> None:
    query, key = np.array([[2.0, 0.0, 0.0]]), np.array([[0.1, 0.0, 0.01], [-1.0, 0.0, 0.0], [-1.0, 0.3, 0.0]])
    output, weights = attlas_ref.sdm_continuous_attention(
        query, key, np.array([[7.0], [1.0], [2.0]]), cap_cosine=0.5, return_weights=True
    )
    np.testing.assert_array_equal(weights, [[1.0, 0.0, 0.0]])
    np.testing.assert_array_equal(output, [[7.0]])


def test_directions_are_needed() -> None:
    query, key = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 0.0], [1.0, 1.0]])
    output, weights = attlas_ref.sdm_continuous_attention(query, key, np.eye(2), cap_cosine=0.0, return_weights=True)
    np.testing.assert_array_equal(weights, [[0.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(output, weights)
    with pytest.raises(ValueError, match="sdm_continuous_attention: query"):
        attlas_ref.sdm_continuous_attention(query[:, :1], key[:, :1], np.eye(2), cap_cosine=0.0)
    for cosine, dim, cap_cosine in ((1.5, 3, 0.1), (0.5, 1, 0.1), (0.5, 3, 1.0), (0.5, 3, -0.1)):
        with pytest.raises(ValueError, match="sdm_cap_intersection"):
            attlas_ref.sdm_cap_intersection(cosine, dim=dim, cap_cosine=cap_cosine)


@pytest.mark.parametrize(("dim", "radius"), [(64, 19), (100, 35)])
def test_caps_are_the_continuous_hamming_balls(dim: int, radius: int) -> None:
    # Both logarithms fall nearly along a line in the cosine, over the same reach.
    v = np.arange(0, radius, 2)
    cosine = 1 - 2 * v / dim
    balls = attlas_ref.sdm_circle_intersection(v, dim=dim, radius=radius, log=True)
    caps = attlas_ref.sdm_cap_intersection(cosine, dim=dim, cap_cosine=1 - 2 * radius / dim, log=True)
    assert np.corrcoef(balls, caps)[0, 1] > 0.98
