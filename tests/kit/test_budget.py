"""The bound on errors: what it accepts, what it refuses, and that it follows the precision."""

from collections.abc import Iterator

import numpy as np
import pytest

from attlas_ref.testing import assert_within_budget, error_in_budgets, example_call, high_and_lows
from attlas_ref.testing.budget import FACTOR, LAST_UNITS, budget, unit
from attlas_ref.testing.lows import Lows, least_error
from attlas_ref.testing.stochastic import noisy, perturbed

HIGH = np.array([[1.0, -2.0], [0.5, 4.0]])


def test_an_error_of_twice_the_plain_formula_passes_and_more_does_not() -> None:
    low = HIGH + np.array([[0.25, 0], [0, 0]])
    edge = FACTOR * 0.25 + LAST_UNITS * unit(np.float64) * 4.0
    just_inside, just_outside = HIGH.copy(), HIGH.copy()
    just_inside[0, 0] += edge
    just_outside[0, 0] += np.nextafter(edge, 1) + unit(np.float64)
    assert error_in_budgets(just_inside, HIGH, [low]) <= 1 < error_in_budgets(just_outside, HIGH, [low])


@pytest.mark.parametrize(("error", "asked"), [(0.9, 1), (1.5, 6), (1.9, 24), (4.1, 3)])
def test_an_error_in_doubt_is_judged_beside_more_evaluations(error: float, asked: int) -> None:
    """The first ones are lucky: the fourth errs by 0.8, the thirteenth by 1, the others by 0.5."""
    made: list[int] = []

    def evaluations() -> Iterator[float]:
        for place in range(24):
            made.append(place)
            yield {3: 0.8, 12: 1.0}.get(place, 0.5)

    found = least_error(lambda some: error * 0.5 / max(some), Lows(evaluations(), count=3, most=24))
    assert len(made) == asked
    assert found == error * 0.5 / {1: 0.5, 3: 0.5, 6: 0.8, 24: 1.0}[asked]


def test_a_block_has_a_budget_of_its_own() -> None:
    high = np.stack([HIGH, 1000 * HIGH])
    bounds = budget(high, [high])
    assert bounds.shape == (2, 2, 2)
    assert (bounds[1] > 100 * bounds[0]).all()


def test_the_budget_follows_the_dtype_of_the_result() -> None:
    sizes = [budget(HIGH, [HIGH.astype(dtype)]).max() for dtype in (np.float64, np.float32, np.float16)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_bfloat16_has_a_budget() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    low = HIGH.astype(ml_dtypes.bfloat16)
    assert error_in_budgets(low, HIGH, [low]) <= 1
    assert error_in_budgets((1.5 * HIGH).astype(ml_dtypes.bfloat16), HIGH, [low]) > 1


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_must_stand_where_they_belong(strange: float) -> None:
    high = HIGH.copy()
    high[0, 1] = strange
    assert error_in_budgets(high, high, [high]) == 0
    for wrong in (HIGH, np.where(np.isfinite(high), high, -strange if np.isinf(strange) else np.inf)):
        assert error_in_budgets(wrong, high, [high]) == np.inf
    assert error_in_budgets(high, HIGH, [HIGH]) == np.inf


def test_an_entry_at_the_edge_of_overflow_is_not_judged() -> None:
    high, low = np.array([[65504.0, 1.0]]), np.array([[np.inf, 1.0]])
    assert error_in_budgets(low, high, [high, low]) <= 1
    assert error_in_budgets(np.array([[np.inf, 2.0]]), high, [high, low]) > 1


def test_where_rounding_decides_how_many_there_are_a_result_is_one_of_them() -> None:
    lows = [HIGH, HIGH[:1]]
    assert error_in_budgets(HIGH, HIGH, lows) == error_in_budgets(HIGH[:1], HIGH, lows) == 0
    for wrong in (2 * HIGH, 2 * HIGH[:1], HIGH[:0], np.vstack([HIGH, HIGH])):
        with pytest.raises(AssertionError, match=r"is none of .* \[\(1, 2\), \(2, 2\)\]"):
            error_in_budgets(wrong, HIGH, lows)


def test_how_many_there_are_is_judged() -> None:
    with pytest.raises(AssertionError, match="of shape"):
        error_in_budgets(HIGH[:1], HIGH, [HIGH])


def test_what_the_dtype_cannot_hold_is_infinite() -> None:
    high = np.array([[1e6]])
    low = np.array([[np.inf]], dtype=np.float16)
    assert error_in_budgets(low, high, [low]) == 0


def test_zero_by_structure_must_be_zero() -> None:
    high = np.array([[0.0, 1.0]])
    assert error_in_budgets(np.array([[1e-300, 1.0]]), high, [high]) > 1
    assert error_in_budgets(np.array([[9.0, 1.0]]), high, [high]) == np.inf
    # Where an exponential underflows, one library has 0 and another the last bits of no normal number.
    assert error_in_budgets(np.array([[1e-310, 1.0]]), high, [high]) <= 1
    assert error_in_budgets(high, high, [high]) == 0
    # A zero that rounding made by chance is judged like any other number.
    assert error_in_budgets(np.array([[1e-17, 1.0]]), high, [np.array([[1e-17, 1.0]])]) <= 1


@pytest.mark.parametrize("kind", [bool, np.int64])
def test_another_choice_is_wrong_by_any_allowance(kind: type) -> None:
    high, other = np.array([[1, 0, 1]]).astype(kind), np.array([[1, 1, 1]]).astype(kind)
    assert error_in_budgets(high, high, [high]) == 0
    assert error_in_budgets(other, high, [high]) == np.inf
    # Unless rounding decides it, which many evaluations may show.
    lows = Lows(iter([high] * 20 + [other] * 44), 8, 64)
    assert least_error(lambda some: error_in_budgets(other, high, some), lows) <= 1


@pytest.mark.parametrize("wrong", [HIGH[:1], HIGH.astype(np.float32), HIGH[None]])
def test_another_shape_or_dtype_is_an_error(wrong: np.ndarray) -> None:
    with pytest.raises(AssertionError, match="it needs float64 of shape"):
        error_in_budgets(wrong, HIGH, [HIGH])


def test_another_number_of_results_is_an_error() -> None:
    with pytest.raises(AssertionError, match="tuple of 2"):
        error_in_budgets(HIGH, (HIGH, HIGH), [(HIGH, HIGH)])


def test_the_message_says_where() -> None:
    wrong = HIGH.copy()
    wrong[1, 0] = 7
    with pytest.raises(AssertionError, match=r"at \(1, 0\) it is 7; it needs 0.5 within"):
        assert_within_budget(wrong, HIGH, HIGH)


def test_the_budget_of_float64_is_not_empty() -> None:
    # In float64 the plain formula is the standard itself; Monte Carlo arithmetic still shows what rounding may do.
    call = example_call("softmax_attention", np.random.default_rng(0), dtype="float64")
    high, lows = high_and_lows(call.name, call.arrays, call.options)
    assert 0 < max(np.abs(low - high).max() for low in lows) < 100 * unit(np.float64)


def test_the_budget_grows_with_the_condition() -> None:
    # Two equal scores: the louder they are, the more their rounding moves the weights.
    key, value = np.ones((2, 3)), np.array([[0.0], [1.0]])

    def width(loudness: float) -> float:
        high, lows = high_and_lows("softmax_attention", (np.full((1, 3), loudness), key, value), {})
        return float(budget(high, lows).max())

    assert width(1e4) > 100 * width(1)


def test_a_difference_of_equal_terms_is_uncertain_by_the_size_of_the_terms() -> None:
    # One key: the gradient of its score is exactly 0, as the difference of two numbers that a kernel computes apart.
    call = example_call("softmax_attention_vjp", np.random.default_rng(0), sizes={"n": 1}, dtype="float64")
    high, lows = high_and_lows(call.name, call.arrays, call.options)
    assert not high.grad_query.any()
    assert any(low.grad_query.any() for low in lows)


def test_noise_leaves_exact_things_exact() -> None:
    rng = np.random.default_rng(0)
    x = noisy(np.array([0.0, np.inf, -np.inf]), rng)
    assert np.array_equal(np.exp(x[2:]), [0.0])
    assert np.array_equal(np.maximum(x, 0) * 1, [0, np.inf, 0])
    assert np.array_equal(np.where(np.asarray(x) == 0, 5.0, x), [5.0, np.inf, -np.inf])


def test_noise_is_of_one_unit_and_goes_both_ways() -> None:
    moved = perturbed(np.ones(1000, dtype=np.float32), np.random.default_rng(0)).astype(np.float64) - 1
    assert set(np.round(moved / unit(np.float32)).tolist()) == {-1.0, 1.0}
    assert abs(np.sign(moved).mean()) < 0.2


def test_noise_passes_through_the_functions_of_numpy() -> None:
    x = noisy(np.ones((2, 3)), np.random.default_rng(0))
    for result in (
        np.where(x > 0, x, 0),
        np.concatenate([x, x]),
        np.broadcast_to(x, (4, 2, 3)),
        x.mT,
        x[..., 0],
        x.sum(),
    ):
        assert type(result) is type(x)
        assert (np.asarray(result + 1) != np.asarray(result) + 1).any()
