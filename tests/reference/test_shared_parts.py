"""What many formulations are built from: sums that look away from hidden values, vectors of unit size."""

import numpy as np
import pytest

from attlas_ref.norms import unit_length, unit_rms
from attlas_ref.visibility import weighted_sum


@pytest.mark.parametrize("strange", [np.inf, -np.inf, np.nan])
def test_what_is_seen_and_infinite_makes_the_sum_so(strange: float) -> None:
    value, weights = np.array([[strange, 1.0], [2.0, 3.0]]), np.array([[0.5, 0.5], [0.75, 0.25]])
    output = weighted_sum(weights, value, np.array([[True, True], [False, True]]))
    np.testing.assert_array_equal(output, [[strange, 2.0], [0.5, 0.75]])


def test_a_value_with_one_strange_column_is_looked_at_whole() -> None:
    value, weights = np.array([[np.nan, 8.0], [2.0, 3.0]]), np.array([[0.25, 0.75]])
    np.testing.assert_array_equal(weighted_sum(weights, value, np.array([[False, True]])), [[1.5, 2.25]])
    np.testing.assert_array_equal(weighted_sum(weights, value, np.array([[True, True]])), [[np.nan, 4.25]])


def test_the_sum_leaves_what_it_is_given_as_it_is() -> None:
    value, weights = np.array([[np.inf], [2.0]]), np.array([[0.5, 0.5]])
    before = value.copy(), weights.copy()
    weighted_sum(weights, value, np.array([[True, False]]))
    np.testing.assert_array_equal(value, before[0])
    np.testing.assert_array_equal(weights, before[1])


@pytest.mark.parametrize("width", [1, 2, 5])
def test_rows_become_units(width: int) -> None:
    x = 3.0 * np.ones((2, width))
    np.testing.assert_allclose(unit_rms(x, eps=0.0), np.ones((2, width)))
    np.testing.assert_allclose(unit_rms(x, eps=16.0), 0.6 * np.ones((2, width)))
    np.testing.assert_allclose((unit_length(x, eps=1e-12) ** 2).sum(axis=-1), 1.0)
    assert unit_rms(x[:, :0], eps=0.0).shape == (2, 0)
    np.testing.assert_array_equal(unit_rms(0 * x, eps=0.0), 0 * x)
