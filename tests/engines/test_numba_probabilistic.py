"""What the CPU engine does with transport, mixtures and groups: cases that drawn calls are too small for."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from peak_memory import peak_of

import attlas
import attlas_ref
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


@dtypes
@pytest.mark.parametrize("m", [1, 3, 5, 8, 131])
def test_rows_that_give_nothing_stand_among_those_that_are_swept_four_at_a_time(dtype: str, m: int) -> None:
    (cost,) = normal(28, (m, 2100), dtype=dtype)  # longer than a run of a sum of four rows
    masses = np.where(np.arange(m) % 7 == 2, 0, 120 / m).astype(dtype)
    mask = np.arange(m)[:, None] % 11 != 6  # rows without a pair
    mask = mask & (np.arange(2100) % 1000 != 3)
    in_budget("sinkhorn_plan", cost, steps=6, row_marginal=masses, mask=np.broadcast_to(mask, cost.shape))


@dtypes
@pytest.mark.parametrize("apart", [0.99, 1.01])
@pytest.mark.parametrize("level", [-1e3, 0, 1e3])
def test_scores_may_lie_as_far_apart_as_a_kernel_can_begin_with(dtype: str, apart: float, level: float) -> None:
    cost = np.random.default_rng(29).random((60, 50)).astype(dtype)
    farthest = 2 * np.log(2.0**30 if dtype == "float32" else 2.0**200)
    cost = (cost - cost.min()) * dtype_of(dtype)(apart * farthest / (cost.max() - cost.min())) + dtype_of(dtype)(level)
    for steps in (1, 30):
        in_budget("sinkhorn_plan", cost, steps=steps)
        in_budget("sinkhorn_plan", cost, steps=steps, tolerance=1e-2)


def dtype_of(dtype: str) -> Any:
    return np.dtype(dtype).type


@dtypes
def test_masses_may_lie_further_apart_than_scalings(dtype: str) -> None:
    (cost,) = normal(30, (20, 30), dtype=dtype)
    small = 1e-25 if dtype == "float32" else 1e-200
    masses = np.where(np.arange(30) % 3 == 0, small, 1).astype(dtype)
    in_budget("sinkhorn_plan", cost, steps=9, column_marginal=masses)
    in_budget("sinkhorn_plan", cost.T.copy(), steps=9, row_marginal=masses)


@dtypes
def test_a_plan_at_rest_is_not_moved_by_more_steps(dtype: str) -> None:
    cost = np.zeros((8, 16), dtype=dtype)  # at rest after two steps, without rounding
    for steps in (1, 2, 3, 10**6):
        np.testing.assert_array_equal(attlas.sinkhorn_plan(cost, steps=steps), np.full((8, 16), 2.0**-7, dtype))


def test_threads_that_lose_patience_come_to_the_same_plan(
    monkeypatch: pytest.MonkeyPatch, num_threads: Callable[[int | None], None]
) -> None:
    (cost,) = normal(32, (2, 300, 40))
    cost[1] *= 40  # leaves the range
    num_threads(1)
    alone = attlas.sinkhorn_plan(cost, steps=40)
    monkeypatch.setattr(sinkhorn, "WORTH_SHARING", 0)
    monkeypatch.setattr("attlas.numba_cpu.launch.WORTH_A_THREAD", 0)
    for patience in (0, 2**16):
        monkeypatch.setattr(sinkhorn, "PATIENCE", patience)
        for threads_ in (2, 3, 8):
            num_threads(threads_)
            assert attlas.sinkhorn_plan(cost, steps=40).tobytes() == alone.tobytes()


def test_a_plan_without_an_allowed_pair_is_empty() -> None:
    (cost,) = normal(33, (2, 9, 12))
    mask = np.ones((2, 9, 12), dtype=bool)
    mask[1] = False
    plan = in_budget("sinkhorn_plan", cost, mask=mask, row_marginal=np.full(9, 2, np.float32), steps=4)
    assert not plan[1].any()


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
    assert peak_of(lambda: attlas.sinkhorn_plan(cost, steps=2)) < cost.nbytes * 1.3


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
    slots, inputs, value = normal(9, (2, 7, 16), (2, 5000, 16), (2, 5000, 70), dtype=dtype)
    in_budget("competitive_attention", slots, inputs, value, eps=1e-3)


@dtypes
@pytest.mark.parametrize("m", [1, 4, 5, 8, 9, 17, 96, 128, 129])
def test_competitors_are_one_block_or_many(m: int, dtype: str) -> None:
    # Keys beyond a chunk, a block and a vector; the widths are no multiple of a tile.
    query, key, value = normal(30, (2, m, 5), (2, 899, 5), (899, 9), dtype=dtype)
    mask = np.random.default_rng(31).random((2, m, 899)) < 0.6
    mask[0, 0], mask[..., 850:] = False, False
    key[:, 890], value[-1], value[5, 0] = np.nan, np.nan, np.inf
    mask[:, 0, 5] = False
    in_budget("competitive_attention", query, key, value, eps=1e-3, mask=mask)
    in_budget("competitive_attention", query, key[:, ::2], value[::2, ::-1], bias=query[0, :, :1], mask=mask[..., ::2])


@pytest.mark.parametrize("m", [7, 40])
def test_shares_do_not_depend_on_the_number_of_threads(m: int, num_threads: Callable[[int | None], None]) -> None:
    arrays = normal(32, (m, 64), (3000, 64), (3000, 64))
    num_threads(1)
    alone = attlas.competitive_attention(*arrays)
    num_threads(2)
    assert attlas.competitive_attention(*arrays).tobytes() == alone.tobytes()


def layer(seed: int, n: int, wide: int, d: int, k: int, dtype: Any) -> tuple[list[Any], dict[str, Any]]:
    """Inputs, slots and the weights of slot attention."""
    shapes = {"w_query": (d, d), "w_key": (wide, d), "w_value": (wide, d), "gru_w_input": (d, 3 * d)}
    shapes |= {"gru_w_hidden": (d, 3 * d), "mlp_w1": (d, 6), "mlp_w2": (6, d), "mlp_b1": (6,), "mlp_b2": (d,)}
    shapes |= {f"b_{name}": (d,) for name in ("query", "key", "value")}
    shapes |= {f"gru_b_{name}": (3 * d,) for name in ("input", "hidden")}
    widths = {"input": wide, "slots": d, "mlp": d}
    shapes |= {f"norm_{name}_{kind}": (widths[name],) for name in widths for kind in ("gain", "bias")}
    inputs, slots, *weights = normal(seed, (2, n, wide), (2, k, d), *shapes.values(), dtype=dtype)
    return [inputs, slots], dict(zip(shapes, weights, strict=True))


@dtypes
@pytest.mark.parametrize(("wide", "d", "k"), [(6, 6, 3), (5, 2, 3), (16, 2, 9)])
def test_few_slots_are_mapped_and_many_map_the_inputs(wide: int, d: int, k: int, dtype: str) -> None:
    arrays, weights = layer(33, 140, wide, d, k, dtype)
    mask = np.random.default_rng(34).random((2, 140)) < 0.5
    mask[0], arrays[0][1, ~mask[1]] = False, np.nan
    for options in ({"return_weights": True}, {"steps": 0, "return_weights": True}, {"eps": 0.0}):
        in_budget("slot_attention", *arrays, **weights, mask=mask, **options)


def test_a_map_that_is_not_finite_maps_no_reading_to_zeros() -> None:
    arrays, weights = layer(35, 9, 4, 4, 2, "float32")
    weights["w_value"][0, 0], weights["b_value"][1] = np.inf, np.nan
    in_budget("slot_attention", *arrays, **weights, mask=np.zeros((2, 9), dtype=bool))


@dtypes
def test_wide_inputs_that_lie_anywhere(dtype: str) -> None:
    """More rows than a task has and more columns than are summed at a time, far from 0; columns are the outer axis."""
    arrays, weights = layer(36, 70, 600, 3, 2, dtype)
    inputs = np.asfortranarray(arrays[0][0] + 50)
    for return_weights in (False, True):
        in_budget("slot_attention", inputs, arrays[1], **weights, return_weights=return_weights)
    in_budget("slot_attention", np.broadcast_to(inputs, (2, 3, 70, 600))[:, ::2, ::-1, ::-2], arrays[1][:, None],
              **layer(36, 70, 300, 3, 2, dtype)[1])  # fmt: skip


@dtypes
@pytest.mark.parametrize("n", [1, 96, 97, 1000])
def test_many_inputs_some_of_them_hidden(dtype: str, n: int) -> None:
    """Blocks and chunks of keys, whole and not; what is hidden is NaN, infinite, or too long for its square."""
    arrays, weights = layer(37, n, 5, 3, 2, dtype)
    inputs, mask = arrays[0] + 50, np.ones((2, n), dtype=bool)
    for start, strange in enumerate((np.nan, np.inf, np.finfo(dtype).max)):
        inputs[:, 1 + start :: 7], mask[:, 1 + start :: 7] = strange, False
    in_budget("slot_attention", inputs, arrays[1], **weights, mask=mask)
    in_budget("slot_attention", inputs[:, mask[0]], arrays[1], **weights)


# Groups


@dtypes
@pytest.mark.parametrize("n", [1, 2, 33, 63, 64, 65, 300, 600])
def test_groups_of_all_sizes(dtype: str, n: int) -> None:
    arrays = normal(10, (2, n, 5), (n, 5), (3, 1, n, 3), dtype=dtype)
    in_budget("combiner_logsparse_attention", *arrays, return_weights=True)


def test_rows_of_groups_that_do_not_lie_in_one_piece() -> None:
    query, key, value = (np.asfortranarray(x) for x in normal(22, (70, 5), (70, 5), (70, 3)))
    in_budget("combiner_logsparse_attention", query, key[::-1], value, return_weights=True)


@pytest.mark.parametrize("summary", ["max", "mean"])
@pytest.mark.parametrize(("name", "options"), [("fixed", {"block": 50}), ("axial", {"block": 50}), ("logsparse", {})])
def test_threads_do_not_change_groups(
    name: str, options: dict[str, Any], summary: str, num_threads: Callable[[int | None], None]
) -> None:
    """A sequence for each thread, or parts of it."""
    arrays = normal(23, (4, 500, 16), (4, 500, 16), (4, 500, 16))
    options = options if name == "axial" else {**options, "summary": summary}
    outputs = []
    for threads_ in (1, 2, 8):
        num_threads(threads_)
        outputs.append(in_budget(f"combiner_{name}_attention", *arrays, **options))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])


@pytest.mark.parametrize("name", ["combiner_fixed_attention", "combiner_axial_attention"])
def test_many_blocks(name: str) -> None:
    arrays = normal(11, (2, 400, 6), (2, 400, 6), (2, 400, 3))
    for block in (2, 25, 80, 100, 200):
        in_budget(name, *arrays, block=block)


def test_groups_of_whole_sequences() -> None:
    """A token may meet groups that are later than its own block."""
    in_budget("combiner_fixed_attention", *normal(14, (2, 400, 6), (2, 400, 6), (2, 400, 3)), block=40, causal=False)


@pytest.mark.parametrize("block", [4, 20])
def test_values_may_have_axes_that_the_keys_lack(block: int) -> None:
    arrays = normal(24, (2, 40, 4), (40, 4), (3, 1, 40, 3))
    for name in ("fixed", "axial", "mixture"):
        in_budget(f"combiner_{name}_attention", *arrays, block=block, return_weights=True)


@dtypes
@pytest.mark.parametrize(("m", "n", "width"), [(16, 16, 16), (17, 33, 19), (100, 131, 24)])
def test_what_is_turned_in_squares_has_an_edge(m: int, n: int, width: int, dtype: str) -> None:
    arrays = normal(25, (2, m, width), (2, n, width), (2, n, width + 1), (m, n), dtype=dtype)
    in_budget("structural_prior_attention", *arrays[:3], log_prior=arrays[3])


@pytest.mark.parametrize("block", [4, 20, 40])
def test_a_summary_may_have_axes_that_the_keys_lack(block: int) -> None:
    query, key, value, summary = normal(21, (80, 4), (80, 4), (2, 80, 3), (3, 1, 80, 4))
    in_budget("combiner_axial_attention", query, key, value, summary, block=block, return_weights=True)


@pytest.mark.parametrize("strange", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 17, 40])
def test_a_value_that_is_no_number_is_felt_by_those_behind_it_alone(place: int, strange: float) -> None:
    query, key, value = normal(13, (60, 4), (60, 4), (60, 3))
    value[place] = strange
    for name, options in (("fixed", {"block": 20}), ("logsparse", {}), ("axial", {"block": 20})):
        output = getattr(attlas, f"combiner_{name}_attention")(query, key, value, **options)
        expected = getattr(attlas_ref, f"combiner_{name}_attention")(query, key, value, **options)
        np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


def test_tokens_whose_scores_are_all_infinitely_low() -> None:
    query, key, value = normal(15, (60, 4), (60, 4), (60, 3))
    query, key[:25] = np.abs(query), -np.inf
    for name, options in (("fixed", {"block": 20}), ("logsparse", {}), ("axial", {"block": 20})):
        output = getattr(attlas, f"combiner_{name}_attention")(query, key, value, **options)
        with np.errstate(invalid="ignore"):
            expected = getattr(attlas_ref, f"combiner_{name}_attention")(query, key, value, **options)
        assert (expected[:20] == 0).all()
        np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("which", ["query", "key"])
@pytest.mark.parametrize("place", [0, 17, 40])
def test_a_group_with_nan_reaches_only_those_who_meet_it(place: int, which: str) -> None:
    query, key, value = normal(12, (60, 4), (60, 4), (60, 3))
    (query if which == "query" else key)[place] = np.nan
    for name, options in (("fixed", {"block": 20}), ("logsparse", {}), ("axial", {"block": 20})):
        output = getattr(attlas, f"combiner_{name}_attention")(query, key, value, **options)
        assert np.isfinite(output[: place // 20 * 20 if name == "axial" else place]).all()
        assert np.isnan(output[place]).all()
        expected = getattr(attlas_ref, f"combiner_{name}_attention")(query, key, value, **options)
        np.testing.assert_array_equal(np.isnan(output), np.isnan(expected))
