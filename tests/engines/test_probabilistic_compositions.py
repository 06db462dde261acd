"""What the compositions of the probabilistic family do where drawn calls do not reach: blocks, copies, infinities."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from peak_memory import peak_of

import attlas
from attlas.composites import shapes
from attlas.dispatch import call_on
from attlas.engines import TABLE, cupy_on_numpy
from attlas_ref.testing import assert_within_budget, high_and_lows

ENGINES = {"numba": TABLE["numba"], "cupy-as-numpy": cupy_on_numpy()}
engines = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)


def normal(seed: int, *shapes: tuple[int, ...], dtype: Any = np.float32) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def in_budget(engine: Any, name: str, *arrays: Any, **options: Any) -> Any:
    actual = call_on(engine, name, *arrays, **options)
    assert_within_budget(actual, *high_and_lows(name, arrays, options), what=name)
    return actual


@engines
@pytest.mark.parametrize("entries", [1, 23, 100])
def test_plans_are_made_some_rows_at_a_time(engine: Any, entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "ENTRIES", entries)
    cost, scores = normal(0, (2, 7, 5), (7, 5))
    a, b = (np.abs(x) for x in normal(1, (7,), (2, 5)))
    a[3] = 0
    options = {"row_weights": a, "column_weights": b, "column_mask": np.arange(5) != 1}
    cost[:, :, 1] = cost[:, 3, 2] = np.nan  # behind the mask, and where nothing moves
    in_budget(engine, "conditional_transport", cost, scores, **options, return_plans=True)
    in_budget(engine, "conditional_transport", np.abs(cost), **options)


def test_a_repeated_prior_is_not_spread_out() -> None:
    n, heads = 256, 64
    query, key, value = normal(2, *[(heads, n, 8)] * 3)
    prior = np.broadcast_to(np.abs(normal(3, (n, n))[0]), (heads, n, n))
    for give in ({"prior": prior}, {"prior": prior, "bias": prior}, {"log_prior": prior, "bias": prior}):
        peak = peak_of(partial(attlas.structural_prior_attention, query, key, value, **give))
        assert peak < prior.nbytes / 8


def test_sinkhorn_attention_keeps_no_plan() -> None:
    n = 1500
    arrays = normal(4, *[(n, 4)] * 3)
    peak = peak_of(lambda: attlas.sinkhorn_attention(*arrays, steps=3, tolerance=1e-9, causal=True))
    assert peak < n * n * 4 / 4


@engines
@pytest.mark.parametrize(("m", "n"), [(6, 9), (9, 6), (1, 4), (4, 1)])
def test_sinkhorn_prices_obey_masks_in_both_directions(engine: Any, m: int, n: int) -> None:
    query, key, value, bias = normal(5, (2, m, 3), (n, 3), (2, n, 2), (m, n))
    bias[m // 2, 0] = -np.inf
    mask = np.random.default_rng(6).random((2, m, n)) < 0.8
    for causal in (False, True):
        options = {"mask": mask, "bias": bias, "causal": causal, "epsilon": 0.5, "steps": 6}
        in_budget(engine, "sinkhorn_attention", query, key, value, **options, return_weights=True)
        key_marginal = np.where(np.arange(n) == 0, 0, 1.0).astype(np.float32)
        in_budget(engine, "sinkhorn_attention", query, key, value, **options, key_marginal=key_marginal)


@engines
def test_what_is_impossible_takes_no_part_in_a_plan(engine: Any) -> None:
    query, key, value, bias = normal(7, (4, 3), (5, 3), (5, 2), (4, 5))
    bias[:, 2] = -np.inf
    value[2] = np.nan
    output = call_on(engine, "sinkhorn_attention", query, key, value, bias=bias, steps=5)
    assert np.isfinite(output).all()
    key[3], value[3] = np.nan, np.nan
    mass = np.array([1, 1, 1, 0, 1], dtype=np.float32)
    output = call_on(engine, "sinkhorn_attention", query, key, value, bias=bias, key_marginal=mass, steps=5)
    assert np.isfinite(output).all()


@engines
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_point_infinitely_far_from_all_keys_is_nowhere(engine: Any, steps: int) -> None:
    query = np.array([[-np.inf], [1.0]])
    key, value = np.array([[1.0], [2.0]]), np.array([[3.0], [5.0]])
    for values in ((), (value,)):
        in_budget(
            engine, "iterative_attention", query, key, *values, steps=steps, return_weights=True, return_energy=True
        )


@engines
def test_a_nan_is_blurred_no_farther_than_the_kernel_reaches(engine: Any) -> None:
    (picture,) = normal(8, (9, 11))
    picture[4, 5] = np.nan
    blurred = call_on(engine, "gaussian_blur_2d", picture, kernel_size=5, sigma=1.0)
    near = np.zeros((9, 11), dtype=bool)
    near[2:7, 3:8] = True
    np.testing.assert_array_equal(np.isnan(blurred), near)
