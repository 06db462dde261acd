"""What every engine does with windows and segments that drawn calls are too small or too tame for."""

from typing import Any

import numpy as np
import pytest

from attlas.dispatch import call_on
from attlas.engines import TABLE, cupy_on_numpy, simulated
from attlas_ref.testing import assert_within_budget, high_and_lows

ENGINES = {"numba-cuda": TABLE["numba-cuda"]} if simulated() else {"numba": TABLE["numba"], "cupy": cupy_on_numpy()}
engines = pytest.mark.parametrize("engine", ENGINES)
LONG = 13 if simulated() else 300
"""Keys of a long run: more than the threads of a block, and no multiple of them."""


def in_budget(engine: str, name: str, *arrays: Any, **options: Any) -> Any:
    high, lows = high_and_lows(name, arrays, options)
    actual = call_on(ENGINES[engine], name, *arrays, **options)
    assert_within_budget(actual, high, lows, what=f"{engine}: {name}")
    return actual


def heads(rng: np.random.Generator, m: int, n: int) -> list[Any]:
    return [rng.normal(size=shape).astype(np.float32) for shape in ((2, m, 3), (n, 3), (2, n, 4))]


@engines
def test_long_and_empty_segments(engine):
    rng = np.random.default_rng(1)
    boundaries = np.array([[-1, LONG - 4, LONG - 4], [0, 1, LONG - 1]])
    mask, bias = rng.random((3, LONG)) < 0.7, rng.normal(size=(2, 1, LONG))
    options = {"mask": mask, "bias": bias, "return_weights": True}
    in_budget(engine, "segmental_soft_attention", *heads(rng, 3, LONG), boundaries, **options)


@engines
@pytest.mark.parametrize("center", [-50, -1, 0, 5, LONG - 1, LONG + 1, LONG + 50])
def test_windows_end_where_the_keys_do(engine, center):
    rng = np.random.default_rng(2)
    arrays = heads(rng, 1, LONG)
    for left, right in ((0, 0), (3, 0), (2, LONG), (10**9, 10**9)):
        in_budget(engine, "windowed_soft_attention", *arrays, np.array([center]), left=left, right=right)


@engines
def test_no_other_key_is_felt(engine):
    query, key, value = heads(np.random.default_rng(3), 2, LONG)
    key[:4], value[:, :4], key[7:], value[:, 7:] = np.nan, np.inf, np.inf, np.nan
    found = in_budget(engine, "windowed_soft_attention", query, key, value, np.array([5, 5]), left=1, right=1)
    assert np.isfinite(found).all()
    found = in_budget(engine, "segmental_soft_attention", query, key, value, np.array([3, 6]), return_weights=True)
    assert np.isfinite(found.output[:, 1]).all()
    assert np.isnan(found.output[:, 0]).all()


@engines
@pytest.mark.parametrize("center", [2.5, 3.5, -0.5, np.nan, np.inf, -np.inf])
def test_centers_between_keys_and_no_numbers(engine, center):
    rng = np.random.default_rng(4)
    query, key, value = heads(rng, 2, 9)
    mask = np.ones((2, 9), bool)
    mask[1] = False
    options = {"alignment": "predictive", "sigma": 0.8, "mask": mask, "return_weights": True, "return_center": True}
    places = np.array([center, center], dtype=np.float32)
    in_budget(engine, "luong_local_attention", query, key, value, window=2, center=places, **options)


@engines
def test_rows_that_are_not_contiguous(engine):
    rng = np.random.default_rng(5)
    query, key, value = heads(rng, 3, 11)
    key, value = np.asfortranarray(key)[::-1], value[..., ::-2]
    in_budget(engine, "windowed_soft_attention", query[..., ::-1], key, value, np.array([1, 5, 9]), left=2, right=2)
