"""What the CPU engine does with transport, mixtures and groups: cases that drawn calls are too small for."""

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import attlas
from attlas import threads
from attlas.numba_cpu.probabilistic import sinkhorn
from attlas_ref.testing import assert_within_budget, high_and_lows

dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture
def num_threads() -> Iterator[Callable[[int | None], None]]:
    yield threads.set_num_threads
    threads.set_num_threads(None)


def normal(seed: int, *shapes: tuple[int, ...], dtype: Any = np.float32) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def in_budget(name: str, *arrays: Any, **options: Any) -> Any:
    high, lows = high_and_lows(name, arrays, options)
    actual = getattr(attlas, name)(*arrays, **options)
    assert_within_budget(actual, high, lows, what=name)
    return actual


# Transport


@dtypes
@pytest.mark.parametrize("epsilon", [1.0, 0.05, 1e-3])
def test_a_plan_is_right_on_the_kernel_and_in_logarithms(dtype: str, epsilon: float) -> None:
    (cost,) = normal(0, (70, 90), dtype=dtype)
    in_budget("sinkhorn_plan", cost, epsilon=epsilon, steps=25)


@dtypes
def test_sums_that_leave_the_range_are_taken_in_logarithms(dtype: str) -> None:
    # Blocks of cheap pairs that hardly meet: masses flow between them at last only, against huge costs.
    (cost,) = normal(1, (40, 40), dtype=dtype)
    far = np.add.outer(np.arange(40) < 13, np.arange(40) < 27) % 2 * 300
    in_budget("sinkhorn_plan", (np.abs(cost) + far).astype(dtype), epsilon=1.0, steps=40)


def test_blocks_in_turn_give_the_bits_of_whole_members(
    monkeypatch: pytest.MonkeyPatch, num_threads: Callable[[int | None], None]
) -> None:
    (cost,) = normal(2, (3, 50, 30))
    cost[1] *= 40  # leaves the range
    mask = np.random.default_rng(3).random((50, 30)) < 0.7
    options = {"epsilon": 0.1, "steps": 30, "tolerance": 1e-3, "mask": mask}
    num_threads(1)
    alone = attlas.sinkhorn_plan(cost, **options)
    monkeypatch.setattr(sinkhorn, "WORTH_SHARING", 0)
    num_threads(2)
    assert attlas.sinkhorn_plan(cost, **options).tobytes() == alone.tobytes()


@dtypes
def test_members_come_to_rest_one_by_one(dtype: str) -> None:
    (cost,) = normal(4, (2, 20, 20), dtype=dtype)
    cost[1] *= 30
    plans = attlas.sinkhorn_plan(cost, steps=500, tolerance=1e-4)
    for plan, member in zip(plans, cost, strict=True):
        assert plan.tobytes() == attlas.sinkhorn_plan(member, steps=500, tolerance=1e-4).tobytes()
        assert np.abs(plan.sum(axis=0) - 1 / 20).max() <= 2e-4


def masses_of(name: str, m: int, n: int, dtype: Any) -> dict[str, Any]:
    """The keywords without which there is no plan."""
    if name != "unbalanced_sinkhorn_plan":
        return {}
    return {"row_marginal": np.full(m, 1 / m, dtype), "column_marginal": np.full(n, 1 / n, dtype)}


PLANS = pytest.mark.parametrize("name", ["sinkhorn_plan", "unbalanced_sinkhorn_plan", "ipot_plan"])


@PLANS
@dtypes
def test_rows_may_be_longer_than_a_run_of_a_sum(name: str, dtype: str) -> None:
    (cost,) = normal(14, (2, 9, 1100), dtype=dtype)
    in_budget(name, cost, steps=4, **masses_of(name, 9, 1100, dtype))


@PLANS
@dtypes
@pytest.mark.parametrize("seed", range(3))
def test_a_cost_may_be_infinite(name: str, dtype: str, seed: int) -> None:
    (cost,) = normal(15 + seed, (4, 5, 6), dtype=dtype)
    cost[1, seed, :] = np.inf  # nothing flows from here,
    cost[2, :, seed] = np.inf  # and nothing to there
    cost[3, seed, 2 * seed] = np.inf
    options = {"tolerance": 1e-3} if name == "sinkhorn_plan" else {}
    in_budget(name, cost, steps=9, **options, **masses_of(name, 5, 6, dtype))
    if name == "sinkhorn_plan":
        cost[0, seed, seed] = -np.inf
        in_budget(name, cost, steps=3, **options)


def test_a_plan_needs_little_beside_itself() -> None:
    cost = np.random.default_rng(5).random((1000, 1000), dtype=np.float32)
    attlas.sinkhorn_plan(cost, steps=2)
    tracemalloc.start()
    attlas.sinkhorn_plan(cost, steps=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < cost.nbytes * 1.3


# Mixtures and slots


@dtypes
def test_mixtures_of_many_blocks(dtype: str) -> None:
    query, key, value, fixed = normal(6, (150, 9), (300, 9), (300, 4), (150, 4), dtype=dtype)
    known = np.random.default_rng(7).random(150) < 0.3
    fixed[~known] = np.nan  # is not read
    mask = np.random.default_rng(8).random((150, 300)) < 0.5
    updates = {"key_update_steps": 2, "value_update_steps": 1, "value_fixed": fixed, "value_fixed_mask": known}
    precisions = {"value_precision": 0.5, "value_prior_precision": 0.2, "key_prior_precision": 0.7}
    in_budget("probabilistic_attention", query, key, value, mask=mask, **updates, **precisions, return_weights=True)


def test_the_scores_of_a_query_without_a_fixed_value_move_no_value() -> None:
    query, key, value, fixed = normal(24, (9, 3), (7, 3), (7, 2), (9, 2))
    known = np.arange(9) % 3 == 0
    query[1] = np.nan
    updates = {"value_update_steps": 1, "value_fixed": fixed, "value_fixed_mask": known, "value_prior_precision": 0.2}
    output = in_budget("probabilistic_attention", query, key, value, value_precision=0.5, **updates)
    np.testing.assert_array_equal(np.isnan(output).any(axis=-1), np.arange(9) == 1)


@pytest.mark.parametrize(("dtype", "far"), [("float32", 16), ("float64", 40)])
def test_a_unit_far_from_all_queries_moves_to_the_nearest(dtype: str, far: float) -> None:
    # It weighs less than the smallest normal number there, and nothing elsewhere.
    query, key, value = np.array([[0], [2]], dtype), np.array([[0], [far]], dtype), np.array([[1], [5]], dtype)
    in_budget("probabilistic_attention", query, key, value, query_precision=1.0, key_update_steps=1)


@dtypes
def test_slots_share_many_inputs(dtype: str) -> None:
    slots, inputs, value = normal(9, (2, 7, 16), (2, 5000, 16), (2, 5000, 8), dtype=dtype)
    in_budget("competitive_attention", slots, inputs, value, eps=1e-3)


# Groups


@dtypes
@pytest.mark.parametrize("n", [33, 63, 64, 65, 130])
def test_groups_before_a_chunk(dtype: str, n: int) -> None:
    arrays = normal(10, (2, n, 5), (n, 5), (2, n, 3), dtype=dtype)
    in_budget("combiner_logsparse_attention", *arrays, return_weights=True)


@pytest.mark.parametrize("name", ["combiner_fixed_attention", "combiner_axial_attention"])
def test_many_blocks(name: str) -> None:
    arrays = normal(11, (2, 400, 6), (2, 400, 6), (2, 400, 3))
    in_budget(name, *arrays, block=2)
    in_budget(name, *arrays, block=100)


def test_a_summary_may_have_axes_that_the_keys_lack() -> None:
    query, key, value, summary = normal(21, (12, 4), (12, 4), (2, 12, 3), (3, 1, 12, 4))
    in_budget("combiner_axial_attention", query, key, value, summary, block=3, return_weights=True)


@pytest.mark.parametrize("place", [0, 17, 40])
def test_a_group_with_nan_reaches_only_those_who_meet_it(place: int) -> None:
    query, key, value = normal(12, (50, 4), (50, 4), (50, 3))
    key[place] = np.nan
    for name, options in (("fixed", {"block": 10}), ("logsparse", {}), ("axial", {"block": 10})):
        output = getattr(attlas, f"combiner_{name}_attention")(query, key, value, **options)
        assert np.isfinite(output[: place // 10 * 10 if name == "axial" else place]).all()
        assert np.isnan(output[place]).all()
