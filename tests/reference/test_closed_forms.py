"""Values that follow from the mathematics alone."""

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref


def test_equal_scores_give_the_mean_of_the_values() -> None:
    value = np.array([[1.0], [4.0], [10.0]])
    assert_equal_up_to_rounding(
        attlas_ref.softmax_attention(np.zeros((1, 2)), np.ones((3, 2)), value), [[5.0]], operations=8, magnitude=10.0
    )


def test_two_keys_are_a_logistic_function_of_the_score_difference() -> None:
    weights = attlas_ref.softmax_attention(np.ones((1, 1)), np.array([[2.0], [-1.0]]), np.eye(2), scale=1.0)
    logistic = 1 / (1 + np.exp(-3.0))
    assert_equal_up_to_rounding(weights, [[logistic, 1 - logistic]], operations=8)


def test_one_visible_key_gives_its_value_to_the_bit() -> None:
    rng = np.random.default_rng(3)
    query, key, value = rng.normal(size=(4, 3)) * 1e3, rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    output = attlas_ref.softmax_attention(query, key, value, mask=np.eye(4, dtype=bool))
    np.testing.assert_array_equal(output, value)


def test_scores_of_ten_thousand_stay_finite() -> None:
    query, key = np.full((1, 1), 1e4), np.array([[1.0], [-1.0], [0.5]])
    output = attlas_ref.softmax_attention(query, key, np.eye(3), scale=1.0)
    np.testing.assert_array_equal(output, [[1.0, 0.0, 0.0]])
    np.testing.assert_array_equal(attlas_ref.attention_energy(query, key, scale=1.0), [-1e4])


def test_the_first_causal_row_is_the_first_value() -> None:
    rng = np.random.default_rng(4)
    query, key, value = rng.normal(size=(3, 5, 2))
    np.testing.assert_array_equal(attlas_ref.softmax_attention(query, key, value, causal=True)[0], value[0])


@pytest.mark.parametrize(("m", "n", "sees"), [(2, 4, [3, 4]), (4, 2, [0, 0, 1, 2]), (3, 3, [1, 2, 3])])
def test_causal_aligns_the_last_query_with_the_last_key(m: int, n: int, sees: list[int]) -> None:
    weights = attlas_ref.softmax_attention(
        np.zeros((m, 1)), np.zeros((n, 1)), np.zeros((n, 1)), causal=True, return_weights=True
    ).weights
    np.testing.assert_array_equal((weights > 0).sum(axis=-1), sees)


def test_energies_of_equal_scores_count_the_keys() -> None:
    energy = attlas_ref.attention_energy(np.zeros((1, 3)), np.ones((20, 3)), temperature=2.0)
    assert_equal_up_to_rounding(energy, [-2 * np.log(20)], operations=8, magnitude=8.0)


def test_relu_weights_are_exactly_sparse() -> None:
    weights = attlas_ref.relu_attention(
        np.ones((1, 1)), np.array([[2.0], [-3.0], [0.0], [1.0]]), np.eye(4), scale=1.0, return_weights=True
    ).weights
    np.testing.assert_array_equal(weights, [[0.5, 0.0, 0.0, 0.25]])


def test_sigmoid_saturates_without_overflow() -> None:
    key = np.array([[1e4], [-1e4]])
    weights = attlas_ref.sigmoid_attention(np.ones((1, 1)), key, np.eye(2), offset=0.0, scale=1.0)
    np.testing.assert_array_equal(weights, [[1.0, 0.0]])
