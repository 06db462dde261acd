"""Who sees whom: causal alignment, empty rows, and what stands behind a mask."""

from typing import Any

import numpy as np
import pytest

from attlas_ref.contract import Array
from attlas_ref.contract.results import flat
from attlas_ref.records import Record, find
from attlas_ref.testing import Call, Candidate, Plan, assert_within_budget, build, compare, high_and_lows
from attlas_ref.testing.laws.dense import COUPLED
from attlas_ref.testing.laws.inputs import is_attention
from attlas_ref.testing.pairs import is_dense, visible_in

PAIRWISE = (
    "no output per query from keys and values with a mask between them: what their masks hide has laws of its own"
)
ATTENTION = pytest.mark.formulations.with_args(is_attention, because=PAIRWISE)
ROW_BY_ROW = pytest.mark.formulations.with_args(
    lambda r: is_attention(r) and r.name not in COUPLED, because=f"{PAIRWISE}; or rows compete with each other"
)
"""A row of weights depends on the row's own scores: not where they are normalized over the queries."""
BY_KEY = pytest.mark.formulations.with_args(
    lambda r: is_attention(r) and r.name != "sinkhorn_attention", because=f"{PAIRWISE}; or keys compete with each other"
)
"""A key reaches those that see it: not where they compete for other keys with the rest."""
WEIGHTS = pytest.mark.formulations.with_args(
    lambda record: is_attention(record) and record.returns_weights, because=PAIRWISE
)
READS_ALL = pytest.mark.formulations.with_args(
    lambda r: is_attention(r) and r.name != "hard_attention",
    because=f"{PAIRWISE}; or one value is chosen and the rest not read",
)
"""Every visible value has a weight: not where one is chosen and the others are not read."""
STRANGE = pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])

SIZES = {"m": 4, "n": 6, "d": 3, "e": 2}


def _call(name: str, mask: str | None = "columns", seed: int = 3, **options: Any) -> Call:
    return build(Plan(name, SIZES, batch=(2,), mask=mask, bias="normal", dtype="float64", seed=seed, options=options))


def _planted(array: np.ndarray, place: Any, strange: float) -> np.ndarray:
    changed = array.copy()
    changed[place] = strange
    return changed


@READS_ALL
@pytest.mark.parametrize(("m", "n"), [(3, 3), (2, 5), (5, 2), (1, 4), (4, 1)])
def test_causal_lets_the_last_query_see_the_last_key(candidate: Candidate, name: str, m: int, n: int) -> None:
    # A value with a NaN in row j makes exactly the queries that see key j NaN.
    call = build(Plan(name, {"m": m, "n": n, "d": 3, "e": 1}, options={"causal": True}))
    query, key, value = call.arrays
    for j in range(n):
        output = call.given(query, key, _planted(value, (..., j, 0), np.nan)).by(candidate)
        reached = np.isnan(output[..., 0])
        np.testing.assert_array_equal(reached, np.broadcast_to([j <= i + n - m for i in range(m)], reached.shape))


@ATTENTION
@pytest.mark.parametrize("causal", [False, True])
def test_a_query_that_sees_nothing_gets_zeros(candidate: Candidate, name: str, causal: bool) -> None:
    mask = np.ones((4, 6), dtype=bool)
    mask[2] = False
    options = find(name).options
    # Of sinks, only those without values: a row that sees nothing else gets theirs.
    arrays = {key: option for key, option in options.items() if isinstance(option, Array)}
    absent = {key: None for key, option in arrays.items() if option.optional and key not in ("mask", "bias")}
    output = _call(name, mask=None).given(mask=mask, causal=causal, **absent).by(candidate)
    assert not output[..., 2, :].any()
    assert output[..., 3, :].all()


def test_finish_attention_partial_gives_zeros_for_nothing(candidate: Candidate) -> None:
    nothing = np.full((2, 3), -np.inf), np.zeros((2, 3)), np.zeros((2, 3, 4))
    assert not candidate("finish_attention_partial", nothing).any()
    merged = candidate("merge_attention_partials", nothing, nothing)
    assert not candidate("finish_attention_partial", tuple(merged)).any()


def _masks(record: Record) -> set[str]:
    """The options that say what may be seen."""
    return {name for name, option in record.options.items() if isinstance(option, Array) and option.boolean}


@pytest.mark.formulations.with_args(_masks, because="they take no mask")
def test_where_nothing_is_visible_there_is_no_nan(candidate: Candidate, name: str) -> None:
    masks = _masks(find(name))
    call = build(Plan(name, {}, batch=(2,), mask="nothing", dtype="float64"), masks)
    call = call.given(**{mask: np.zeros_like(call.options[mask]) for mask in masks & set(call.options)})
    for part in flat(call.by(candidate)):
        assert not np.isnan(part).any()
    compare(candidate, call)


@pytest.mark.formulations.with_args(
    lambda r: is_attention(r) and r.name != "cog_attention", because=PAIRWISE
)  # it weighs by |score|
def test_a_row_whose_scores_are_all_minus_infinity_is_no_nan(candidate: Candidate, name: str) -> None:
    output = _call(name, mask=None).given(bias=np.full((4, 6), -np.inf)).by(candidate)
    assert np.isfinite(output).all()


@ATTENTION
@STRANGE
@pytest.mark.parametrize("causal", [False, True])
def test_what_stands_behind_the_mask_cannot_leak(candidate: Candidate, name: str, strange: float, causal: bool) -> None:
    call = _call(name, causal=causal)
    visible = visible_in(call)
    seen, sees = visible.any(axis=-2)[..., None], visible.any(axis=-1)[..., None]
    assert not seen.all()
    query, key, value = call.arrays
    fouled = call.given(
        np.where(sees, query, strange),
        np.where(seen, key, strange),
        np.where(seen, value, strange),
        bias=np.where(visible, call.options["bias"], strange),
    )
    cleaned = call.given(
        np.where(sees, query, 0),
        np.where(seen, key, 0),
        np.where(seen, value, 0),
        bias=np.where(visible, call.options["bias"], 0),
    )
    high, lows = high_and_lows(name, cleaned.arrays, cleaned.options)
    assert_within_budget(fouled.by(candidate), high, lows)


@BY_KEY
def test_a_visible_nan_in_a_key_reaches_exactly_the_queries_that_see_it(candidate: Candidate, name: str) -> None:
    call = _call(name, mask="random")
    query, key, value = call.arrays
    for j in range(SIZES["n"]):
        output = call.given(query, _planted(key, (..., j, 1), np.nan), value).by(candidate)
        np.testing.assert_array_equal(np.isnan(output), np.broadcast_to(visible_in(call)[..., j, None], output.shape))


@READS_ALL
def test_a_visible_nan_in_a_value_reaches_exactly_its_column(candidate: Candidate, name: str) -> None:
    call = _call(name, mask="random")
    query, key, value = call.arrays
    for j in range(SIZES["n"]):
        output = call.given(query, key, _planted(value, (..., j, 1), np.nan)).by(candidate)
        assert not np.isnan(output[..., 0]).any()
        np.testing.assert_array_equal(np.isnan(output[..., 1]), visible_in(call)[..., j])


@ROW_BY_ROW
def test_a_nan_in_a_query_reaches_exactly_its_row(candidate: Candidate, name: str) -> None:
    call = _call(name, mask="rows")
    query, key, value = call.arrays
    for i in range(SIZES["m"]):
        output = call.given(_planted(query, (..., i, 0), np.nan), key, value).by(candidate)
        reached = visible_in(call).any(axis=-1) & (np.arange(SIZES["m"]) == i)
        np.testing.assert_array_equal(np.isnan(output), np.broadcast_to(reached[..., None], output.shape))


@ROW_BY_ROW
def test_a_nan_in_the_bias_reaches_exactly_the_row_that_sees_it(candidate: Candidate, name: str) -> None:
    call = _call(name, mask="random")
    for i, j in np.ndindex(SIZES["m"], SIZES["n"]):
        output = call.given(bias=_planted(call.options["bias"], (..., i, j), np.nan)).by(candidate)
        reached = visible_in(call)[..., j] & (np.arange(SIZES["m"]) == i)
        np.testing.assert_array_equal(np.isnan(output), np.broadcast_to(reached[..., None], output.shape))


@WEIGHTS
def test_hidden_weights_are_zero_also_beside_a_visible_nan(candidate: Candidate, name: str) -> None:
    call = _call(name, mask="random", return_weights=True)
    query, key, value = call.arrays
    for j in range(SIZES["n"]):
        weights = call.given(query, _planted(key, (..., j, 1), np.nan), value).by(candidate).weights
        assert not np.where(visible_in(call), 0, weights).any()
        assert np.isnan(weights[visible_in(call)[..., j]]).any(axis=-1).all()


@pytest.mark.formulations.with_args(
    lambda r: is_attention(r) and r.returns_weights and r.name != "hard_attention", because=PAIRWISE
)
def test_weights_are_zero_where_nothing_is_seen_and_not_elsewhere(candidate: Candidate, name: str) -> None:
    equal_scores = {"scale": 0.0} if "scale" in find(name).options else {"beta": 1e-9}
    call = _call(name, mask="random", return_weights=True, **equal_scores).given(bias=np.ones((4, 6)))
    result = call.by(candidate)
    np.testing.assert_array_equal(result.weights != 0, visible_in(call))


@pytest.mark.formulations.with_args(
    lambda record: record.name == "stacked_cross_attention", because="what they share is a row"
)
def test_a_visible_nan_reaches_all_that_share_its_column(candidate: Candidate, name: str) -> None:
    call = build(Plan(name, {"m": 3, "n": 2, "d": 3, "e": 2}, dtype="float64", seed=3))
    query, key, value = call.arrays
    call = call.given(mask=np.array([[True, False], [True, True], [False, True]]), factors=None, return_weights=False)
    # Query 0 shares key 0 with query 1, and nothing with query 2.
    by_query = call.given(_planted(query, (0, 0), np.nan), key, value).by(candidate)
    np.testing.assert_array_equal(np.isnan(by_query).all(axis=-1), [True, True, False])
    by_key = call.given(query, _planted(key, (1, 0), np.nan), value).by(candidate)
    np.testing.assert_array_equal(np.isnan(by_key).all(axis=-1), [False, True, True])
    assert not np.isnan(by_query[2]).any()
    assert not np.isnan(by_key[0]).any()


@pytest.mark.formulations.with_args(
    lambda r: r.name.endswith("_vjp") and is_dense(r) and "value" in r.takes,
    because="they are no gradients of such attention",
)
@STRANGE
def test_gradients_of_what_is_hidden_are_exactly_zero(candidate: Candidate, name: str, strange: float) -> None:
    call = build(Plan(name, SIZES, mask="columns", dtype="float64", seed=3))
    mask = np.array(call.options["mask"])
    mask[1] = False
    seen, sees = mask.any(axis=0)[:, None], mask.any(axis=1)[:, None]
    query, key, value, gradient = call.arrays
    fouled = call.given(
        np.where(sees, query, strange),
        np.where(seen, key, strange),
        np.where(seen, value, strange),
        np.where(sees, gradient, strange),
        mask=mask,
        **{name: True for name in find(name).options if name == "return_grad_bias"},
    ).by(candidate)
    hidden = (
        fouled.grad_query[~sees[:, 0]],
        fouled.grad_key[~seen[:, 0]],
        fouled.grad_value[~seen[:, 0]],
        *([fouled.grad_bias[~mask]] if len(fouled) > 3 else []),
    )
    assert all(part.size and not part.any() for part in hidden)
    assert all(np.isfinite(part).all() for part in fouled)
