"""Plans, mixtures and groups on `numba-cuda`, in the simulator: blocks, chunks, looks of the host, levels of groups.

That the results are right for every call is tested for all engines at once. Here blocks and chunks are smaller than the
arrays, and calls take the paths that few draws take.
"""

from typing import Any

import numpy as np
import pytest
from views_on_a_gpu import assert_views_are_read

from attlas.dispatch import call_on
from attlas.engines import TABLE, simulated
from attlas_ref.testing.budget import assert_within_budget, high_and_lows

if not simulated():
    pytest.skip("needs Numba's CUDA simulator: set NUMBA_ENABLE_CUDASIM=1", allow_module_level=True)

from attlas.numba_cuda import assemble, operands, target
from attlas.numba_cuda.blocks import Block
from attlas.numba_cuda.probabilistic import entries, groups, half_steps, sinkhorn
from attlas.numba_cuda.probabilistic.mixture_of_axes import other_columns
from attlas.numba_cuda.rows import RowBlock

PLANS = ("sinkhorn_plan", "unbalanced_sinkhorn_plan", "ipot_plan")
COMBINERS = tuple(f"combiner_{kind}_attention" for kind in ("fixed", "logsparse", "axial", "mixture"))
NAMES = (*PLANS, "probabilistic_attention", "competitive_attention", *COMBINERS)
BLOCKS = [
    (Block(across=1, down=1, rows=2, columns=3, outputs=3, depth=1), RowBlock(1, 1), RowBlock(3, 1)),
    (Block(across=3, down=2, rows=1, columns=1, outputs=1, depth=2), RowBlock(3, 2), RowBlock(1, 3)),
]


def computed(name: str, *arrays: Any, **options: Any) -> Any:
    return call_on(TABLE["numba-cuda"], name, *arrays, **options)


def assert_right(name: str, arrays: Any, options: Any) -> None:
    high, lows = high_and_lows(name, arrays, options)
    assert_within_budget(computed(name, *arrays, **options), high, lows, name)


def flat(result: Any) -> list[Any]:
    return [array for part in result for array in flat(part)] if isinstance(result, tuple) else [result]


def bits(result: Any) -> list[bytes]:
    return [part.tobytes() for part in flat(result)]


def call_of(name: str, m: int, n: int, dtype: Any = np.float32) -> tuple[Any, Any]:
    """Arrays and options of a call: two heads that share their keys, two batch members in the values alone."""
    rng = np.random.default_rng(0)
    d, e = 3, 3

    def draw(*shape: int) -> Any:
        return rng.normal(size=shape).astype(dtype)

    arrays: tuple[Any, ...] = draw(2, m, d), draw(n, d), draw(2, 1, n, e)
    mask = rng.random((2, m, n)) < 0.7
    if name in PLANS:
        arrays = (draw(2, m, n),)
    if name == "sinkhorn_plan":
        return arrays, {"row_marginal": np.abs(draw(2, 1, m)), "steps": 3, "mask": mask, "epsilon": 0.2}
    if name == "unbalanced_sinkhorn_plan":
        return arrays, {"row_marginal": np.abs(draw(2, 1, m)), "column_marginal": np.abs(draw(n)), "steps": 3}
    if name == "ipot_plan":
        marks = {"row_mask": rng.random((2, m)) < 0.8, "column_mask": rng.random(n) < 0.8}
        return arrays, {**marks, "steps": 3, "inner_steps": 2, "return_distance": True}
    options = {"return_weights": True}
    if name == "competitive_attention":
        return arrays, {**options, "eps": 0.01, "mask": mask, "bias": draw(m, 1)}
    if name == "probabilistic_attention":
        known = {"value_fixed": draw(2, 1, m, e), "value_fixed_mask": rng.random((2, m)) < 0.6}
        known["value_fixed"][~np.broadcast_to(known["value_fixed_mask"].any(axis=0), (2, 1, m))] = np.nan
        steps = {"key_update_steps": 1, "value_update_steps": 1, "value_prior_precision": 0.3, "value_init": draw(m, e)}
        precisions = {
            "query_precision": np.abs(draw(2, n)),
            "value_precision": 0.5,
            "key_prior_precision": draw(n) ** 2,
        }
        return arrays, {**options, **known, **steps, **precisions, "mask": mask, "prior": np.abs(draw(m, n))}
    arrays = draw(2, n, d), draw(n, d), draw(2, 1, n, e)
    if name != "combiner_logsparse_attention":
        options["block"] = next(part for part in range(int(n**0.5), 0, -1) if n % part == 0)
    if name != "combiner_axial_attention":
        options["summary"] = "mean"
    return arrays, options


def use_blocks(block: Block, row_block: RowBlock, column_block: RowBlock, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (operands, assemble, entries):
        monkeypatch.setattr(module, "default_block", lambda dtype: block)
    for module in (half_steps, groups):
        monkeypatch.setattr(module, "default_row_block", lambda: row_block)
    monkeypatch.setattr(half_steps, "COLUMN_BLOCK", column_block)


# Blocks and launches


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("blocks", BLOCKS, ids=["small", "wide"])
def test_blocks_that_do_not_fit_give_what_the_reference_gives(
    name: str, blocks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_blocks(*blocks, monkeypatch)
    assert_right(name, *call_of(name, 5, 8, np.float64))


@pytest.mark.parametrize("name", NAMES)
def test_launches_may_be_split_and_padded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, options = call_of(name, 2, 4)
    plain = bits(computed(name, *arrays, **options))
    for limit, value in (("LARGEST_GRID", 3), ("QUIET_GRID", 20)):
        with monkeypatch.context() as patch:
            patch.setattr(target, limit, value)
            assert bits(computed(name, *arrays, **options)) == plain


@pytest.mark.parametrize("name", NAMES)
def test_views_of_arrays_on_a_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, given = call_of(name, 2, 4)
    arrays = tuple(np.asfortranarray(array)[..., ::-1, :] for array in arrays)
    assert_views_are_read(name, arrays, given, computed(name, *arrays, **given), monkeypatch)


# Transport


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("epsilon", [1.0, 1e-2])
def test_plans_of_many_chunks(dtype: str, epsilon: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(half_steps, "ENOUGH", 100)
    assert half_steps.chunk_of(11, 5) == half_steps.FEWEST
    cost = np.random.default_rng(1).normal(size=(11, 5)).astype(dtype)
    assert_right("sinkhorn_plan", (cost,), {"epsilon": epsilon, "steps": 4})


def test_infinite_scores_stand_where_the_reference_has_them() -> None:
    cost = np.random.default_rng(2).normal(size=(4, 5))
    cost[1, 2], cost[3] = -np.inf, np.inf
    for name, masses in (("sinkhorn_plan", {}), ("unbalanced_sinkhorn_plan", {"row_marginal": np.ones(4)})):
        if masses:
            masses["column_marginal"] = np.array([1.0, 0.0, 2.0, 1.0, 1.0])
        for steps in (1, 2):
            assert_right(name, (cost,), {**masses, "steps": steps})


@pytest.mark.parametrize("every", [1, 3])
def test_members_come_to_rest_one_by_one(every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinkhorn, "LOOK_EVERY", every)
    cost = np.random.default_rng(3).normal(size=(2, 3, 3))
    cost[1] *= 4
    options = {"steps": 10, "tolerance": 1e-2}
    plans = computed("sinkhorn_plan", cost, **options)
    walk = [computed("sinkhorn_plan", cost, steps=steps) for steps in range(1, 11)]
    rested = [next(t for t, plans_then in enumerate(walk) if np.array_equal(plans_then[k], plans[k])) for k in (0, 1)]
    assert rested[0] != rested[1]
    for plan, member in zip(plans, cost, strict=True):
        assert plan.tobytes() == computed("sinkhorn_plan", member, **options).tobytes()
        assert np.abs(plan.sum(axis=0) - 1 / 3).max() <= 1e-2
    assert_right("sinkhorn_plan", (cost,), options)


def test_nobody_steps_on_when_all_have_come_to_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    rows = half_steps.HalfSteps.rows
    monkeypatch.setattr(half_steps.HalfSteps, "rows", lambda self, into=None: (taken.append(1), rows(self, into))[1])
    computed("sinkhorn_plan", np.zeros((2, 2)), steps=100, tolerance=1e-3)
    assert len(taken) <= sinkhorn.LOOK_EVERY + 1


# Mixtures


def test_a_query_that_is_left_out_is_not_felt_by_the_values() -> None:
    arrays, options = call_of("probabilistic_attention", 5, 4, np.float64)
    options |= {"key_update_steps": 0, "value_fixed_mask": np.array([True, True, False, True, False])}
    options["value_fixed"] = np.random.default_rng(7).normal(size=(5, 3))
    query = arrays[0].copy()
    plain = computed("probabilistic_attention", query, *arrays[1:], **options).output
    assert np.isfinite(plain).all()
    query[:, 2] = np.nan
    options["value_fixed"] = np.where(options["value_fixed_mask"][:, None], options["value_fixed"], np.inf)
    found = computed("probabilistic_attention", query, *arrays[1:], **options).output
    np.testing.assert_array_equal(found[..., [0, 1, 3, 4], :], plain[..., [0, 1, 3, 4], :])
    assert np.isnan(found[..., 2, :]).all()


# Groups


@pytest.mark.parametrize("summary", ["max", "mean"])
@pytest.mark.parametrize("n", [2, 15, 16, 17, 23])
def test_groups_of_every_level(n: int, summary: str) -> None:
    rng = np.random.default_rng(4)
    arrays = rng.normal(size=(2, n, 3)), rng.normal(size=(n, 3)), rng.normal(size=(n, 2))
    assert_right("combiner_logsparse_attention", arrays, {"summary": summary, "return_weights": True})


@pytest.mark.parametrize("block", [1, 3, 4, 12])
@pytest.mark.parametrize("name", [name for name in COMBINERS if name != "combiner_logsparse_attention"])
def test_grids_of_every_form(name: str, block: int) -> None:
    rng = np.random.default_rng(5)
    arrays = rng.normal(size=(2, 12, 3)), rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    assert_right(name, arrays, {"block": block, "return_weights": True})


@pytest.mark.parametrize("name", COMBINERS)
@pytest.mark.parametrize("place", [0, 5, 11])
def test_a_token_with_nan_reaches_those_who_meet_it(name: str, place: int) -> None:
    query, key, value = (np.random.default_rng(6).normal(size=(12, width)) for width in (3, 3, 2))
    options = {} if name == "combiner_logsparse_attention" else {"block": 4}
    for array in (key, value):
        kept, array[place] = array[place].copy(), np.nan
        assert_right(name, (query, key, value), {**options, "return_weights": True})
        array[place] = kept


def test_masks_of_other_columns_are_views() -> None:
    mask = other_columns(3, 4)
    assert mask.base is not None
    np.testing.assert_array_equal(mask, (np.arange(3) > 0)[:, None, None] & ~np.eye(4, dtype=bool))
