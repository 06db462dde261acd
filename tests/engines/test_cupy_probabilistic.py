"""What the array programs of transport, mixtures, Combiner and choices do where drawn calls do not go."""

import numpy as np
import pytest

from attlas.cupy_gpu import tile
from attlas.cupy_gpu.probabilistic import sinkhorn
from attlas.dispatch import call_on
from attlas.engines import cupy_on_numpy
from attlas_ref.testing import assert_within_budget, high_and_lows

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def computed(name, *arrays, **options):
    return call_on(cupy_on_numpy(), name, *arrays, **options)


def normal(seed, *shapes, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def in_budget(name, *arrays, **options):
    actual = computed(name, *arrays, **options)
    assert_within_budget(actual, *high_and_lows(name, arrays, options), what=name)
    return actual


@pytest.fixture(params=[(3, 12, 24), (5, 40, 10**6)], ids=str)
def tiling(request, monkeypatch):
    for name, value in zip(("ROWS", "MATRIX_ENTRIES", "TILE_ENTRIES"), request.param, strict=True):
        monkeypatch.setattr(tile, name, value)


# Transport


@dtypes
@pytest.mark.parametrize("epsilon", [1.0, 0.05, 1e-3])
def test_plans_of_sharp_and_blunt_costs(dtype, epsilon):
    (cost,) = normal(0, (40, 50), dtype=dtype)
    in_budget("sinkhorn_plan", cost, epsilon=epsilon, steps=25)


@dtypes
def test_members_come_to_rest_one_by_one(dtype, monkeypatch):
    monkeypatch.setattr(sinkhorn, "ROUND", 4)
    (cost,) = normal(4, (2, 12, 12), dtype=dtype)
    cost[1] *= 5
    options = {"steps": 300, "tolerance": 1e-4}
    plans = computed("sinkhorn_plan", cost, **options)
    for plan, member in zip(plans, cost, strict=True):
        np.testing.assert_array_equal(plan, computed("sinkhorn_plan", member, **options))
        assert np.abs(plan.sum(axis=0) - 1 / 12).max() <= 2e-4


def test_a_plan_at_rest_takes_no_further_pass(monkeypatch):
    counts = []
    on = sinkhorn._Steps.on
    monkeypatch.setattr(sinkhorn._Steps, "on", lambda self, *args: counts.append(args[1]) or on(self, *args))
    computed("sinkhorn_plan", *normal(1, (5, 6)), steps=10_000, tolerance=1e-3)
    assert 0 < len(counts) < 10
    assert set(counts) == {sinkhorn.ROUND}


@dtypes
def test_sums_that_leave_the_range_are_taken_in_logarithms(dtype, monkeypatch):
    # Blocks of cheap pairs that hardly meet: masses flow between them at last only, against huge costs.
    monkeypatch.setattr(sinkhorn, "ROUND", 8)
    (cost,) = normal(1, (2, 40, 40), dtype=dtype)
    far = np.add.outer(np.arange(40) < 13, np.arange(40) < 27) % 2 * 300
    cost[1] = np.abs(cost[1]) + far
    plans = in_budget("sinkhorn_plan", cost, epsilon=1.0, steps=40)
    for plan, member in zip(plans, cost, strict=True):
        np.testing.assert_array_equal(plan, computed("sinkhorn_plan", member, epsilon=1.0, steps=40))


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize(
    ("name", "what"),
    [(name, what) for name in ("sinkhorn_plan", "unbalanced_sinkhorn_plan") for what in (np.nan, np.inf, -np.inf)]
    + [("ipot_plan", np.nan), ("ipot_plan", np.inf)],
)
def test_strange_costs_reach_what_is_tied_to_them(name, steps, what, tiling):
    # Two blocks of pairs that no mass can pass between, and a row and a column that take no part.
    (cost,) = normal(2, (8, 9), dtype=np.float64)
    cost[:4, 5:] = cost[4:, :5] = np.inf
    cost[1, 2] = what
    rows, columns = np.ones(8), np.ones(9) * 8 / 9
    if name == "ipot_plan":
        taken = {"row_mask": np.arange(8) != 6, "column_mask": np.arange(9) != 7}
    else:
        rows[6], columns[7] = 0, 0
        taken = {"row_marginal": rows, "column_marginal": columns * rows.sum() / columns.sum()}
    cost[6, 8] = cost[5, 7] = np.nan
    plan = in_budget(name, cost, steps=steps, **taken)
    assert np.isfinite(plan[4:]).all()


@pytest.mark.parametrize("shape", [(), (1,), (6,), (2, 1)], ids=str)
def test_masks_of_a_proximal_plan_are_broadcast(shape):
    (cost,) = normal(3, (2, 6, 6))
    mask = np.random.default_rng(1).random(shape) < 0.9
    in_budget("ipot_plan", cost, row_mask=mask, column_mask=mask, steps=4, return_distance=True)


# Mixtures


@dtypes
def test_mixtures_of_many_tiles(dtype, tiling):
    query, key, value, guess, fixed = normal(6, (2, 15, 4), (30, 4), (30, 3), (2, 15, 3), (15, 3), dtype=dtype)
    known = np.random.default_rng(7).random(15) < 0.5
    fixed[~known] = np.nan  # is not read
    mask = np.random.default_rng(8).random((15, 30)) < 0.5
    mask[:, 3] = mask[2] = False
    key[3] = query[:, 2] = np.nan
    precisions = np.abs(normal(9, (30,), (2, 30), (30,), (1,), dtype=dtype)[0]), 0.5
    options = {"query_precision": precisions[0], "value_precision": precisions[1], "value_init": guess, "mask": mask}
    updates = {"key_update_steps": 2, "value_update_steps": 2, "value_fixed": fixed, "value_fixed_mask": known}
    for prior in ("uniform", "magnitude", np.random.default_rng(2).random((15, 30))):
        options |= {"prior": prior, "return_weights": True}
        for held in ({}, {"key_prior_precision": 0.7, "value_prior_precision": precisions[0]}):
            output, _ = in_budget("probabilistic_attention", query, key, value, **options, **updates, **held)
            assert np.isfinite(output).all()


@dtypes
def test_slots_share_many_inputs(dtype, tiling):
    in_budget("competitive_attention", *normal(9, (2, 7, 4), (200, 4), (2, 200, 3), dtype=dtype), eps=1e-3)


# Groups


@dtypes
@pytest.mark.parametrize("summary", ["max", "mean"])
@pytest.mark.parametrize("n", [31, 33, 63, 64, 65])
def test_groups_of_every_size(dtype, n, summary):
    arrays = normal(10, (2, n, 3), (n, 3), (3, 1, n, 2), dtype=dtype)
    in_budget("combiner_logsparse_attention", *arrays, summary=summary, return_weights=True)


@pytest.mark.parametrize("name", ["fixed", "axial", "mixture"])
@pytest.mark.parametrize("block", [2, 9, 18])
def test_grids_of_many_tiles(name, block, tiling):
    arrays = normal(11, (2, 36, 3), (36, 3), (3, 1, 36, 2))
    in_budget(f"combiner_{name}_attention", *arrays, block=block, return_weights=True)


@pytest.mark.parametrize("place", [0, 17, 40])
def test_a_group_with_nan_reaches_only_those_who_meet_it(place):
    query, key, value = normal(12, (50, 4), (50, 4), (50, 3))
    key[place] = np.nan
    for name, options in (("fixed", {"block": 10}), ("logsparse", {}), ("axial", {"block": 10})):
        output = computed(f"combiner_{name}_attention", query, key, value, **options)
        assert np.isfinite(output[: place // 10 * 10 if name == "axial" else place]).all()
        assert np.isnan(output[place]).all()


# Choices


def draws(seed, *shape):
    return ((np.random.default_rng(seed).integers(1024, size=shape) + 0.5) / 1024).astype(np.float32)


@pytest.mark.parametrize("drawn", [False, True])
def test_choices_in_many_tiles(drawn, tiling):
    query, key, value, bias = normal(1, (2, 14, 3), (25, 3), (3, 1, 25, 2), (14, 25))
    options = {"uniform": draws(2, 3, 1, 14)} if drawn else {}
    mask = np.random.default_rng(3).random((14, 25)) < 0.6
    for causal in (False, True):
        options |= {"mask": mask, "bias": bias, "causal": causal, "return_weights": True, "return_index": True}
        in_budget("hard_attention", query, key, value, **options)


def test_equal_scores_go_to_the_first_key_wherever_it_stands(tiling):
    query, key, value = np.ones((9, 1)), np.zeros((20, 1)), np.arange(20.0)[:, None]
    for first in (0, 1, 3, 4, 11, 19):
        mask = np.arange(20) >= first
        np.testing.assert_array_equal(computed("hard_attention", query, key, value, mask=mask), first)
        noisy = {"uniform": np.full((9, 20), 0.25), "hard": True, "mask": mask}
        np.testing.assert_array_equal(computed("gumbel_softmax_attention", query, key, value, **noisy), first)


@pytest.mark.parametrize("hidden", [0, 50, 300])
def test_the_largest_draw_takes_the_last_key_that_is_seen(hidden):
    m, n = 16, 20_000
    query, key = -np.linspace(0.05, 5, m, dtype=np.float32)[:, None], np.ones((n, 1), dtype=np.float32)
    key[0] = 0
    uniform = np.full(m, np.nextafter(np.float32(1), np.float32(0)))
    options = {"uniform": uniform, "scale": 1.0, "mask": np.arange(n) < n - hidden, "return_index": True}
    np.testing.assert_array_equal(computed("hard_attention", query, key, key, **options).index, n - hidden - 1)


def test_what_has_no_weight_is_never_drawn(tiling):
    m, n = 100, 30
    bias = np.where(np.random.default_rng(0).random(n) < 0.5, -np.inf, normal(1, (n,))[0])
    bias[:9], uniform = -np.inf, np.linspace(0, 1, m, endpoint=False)
    found = computed("hard_attention", np.zeros((m, 1)), np.zeros((n, 1)), np.zeros((n, 1)), uniform=uniform,
                     bias=bias, return_index=True)  # fmt: skip
    assert np.isfinite(bias[found.index]).all()
    assert (np.diff(found.index) >= 0).all()


@pytest.mark.parametrize("drawn", [False, True])
def test_a_visible_nan_spoils_exactly_the_choices_that_see_it(drawn, tiling):
    query, key, value = normal(5, (12, 3), (14, 3), (14, 2))
    mask = np.random.default_rng(6).random((12, 14)) < 0.7
    for place in (0, 6, 13):
        fouled = key.copy()
        fouled[place] = np.nan
        options = {"uniform": draws(7, 12)} if drawn else {}
        found = computed("hard_attention", query, fouled, value, mask=mask, return_weights=True, return_index=True,
                         **options)  # fmt: skip
        np.testing.assert_array_equal(np.isnan(found.output), np.repeat(mask[:, place, None], 2, axis=1))
        np.testing.assert_array_equal(np.isnan(found.weights), mask & mask[:, place, None])
        assert (found.index[mask[:, place]] == -1).all()


def test_infinite_scores_are_chosen_but_have_no_logarithmic_weight():
    query, key, value = normal(0, (5, 2), (20, 2), (20, 3))
    bias = np.zeros((5, 20), dtype=np.float32)
    bias[1, [15, 17]] = np.inf
    assert computed("hard_attention", query, key, value, bias=bias, return_index=True).index[1] == 15
    for hard in (False, True):
        options = {"bias": bias, "uniform": draws(3, 5, 20), "hard": hard}
        output = computed("gumbel_softmax_attention", query, key, value, **options)
        np.testing.assert_array_equal(np.isnan(output).all(axis=-1), np.arange(5) == 1)


def test_values_that_are_not_chosen_are_not_read():
    query, key, value = normal(0, (100, 3), (300, 3), (4, 300, 2))
    clean = computed("hard_attention", query, key, value, return_index=True)
    assert clean.index.shape == (100,)
    value[:, np.isin(np.arange(300), clean.index, invert=True)] = np.nan
    np.testing.assert_array_equal(computed("hard_attention", query, key, value), clean.output)
