"""Choices, noise and captions on the CPU engine: edges of blocks, the ends of rows, threads, what is hidden."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from calls_of_alignments import calls_of, draws, normal

import attlas
from attlas import threads
from attlas.numba_cpu import operands
from attlas_ref.testing import assert_within_budget, high_and_lows

RNG = np.random.default_rng
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
SIZES = pytest.mark.parametrize(("m", "n"), [(97, 129), (200, 64), (17, 300)])
NAMES = pytest.mark.parametrize(
    "name",
    ["hard_attention", "gumbel_softmax_attention", "show_attend_attention", "visual_sentinel_attention"],
)


def assert_same(one: Any, other: Any) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def num_threads() -> Iterator[Callable[[int | None], None]]:
    yield threads.set_num_threads
    threads.set_num_threads(None)


@NAMES
@SIZES
@DTYPES
def test_sizes_around_the_edges_of_blocks(name: str, m: int, n: int, dtype: Any) -> None:
    for arrays, options in calls_of(name, m, n, dtype=dtype):
        high, lows = high_and_lows(name, arrays, options)
        assert_within_budget(getattr(attlas, name)(*arrays, **options), high, lows, what=name)


@NAMES
def test_the_number_of_threads_and_the_batch_change_no_bit(name: str, num_threads: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(operands, "WORTH_A_THREAD", 0)
    function = getattr(attlas, name)
    for arrays, options in calls_of(name, 130, 150, batch=(3,)):
        num_threads(1)
        one = function(*arrays, **options)
        num_threads(4)
        assert_same(one, function(*arrays, **options))
        for member in range(3):
            own = {"uniform": options["uniform"][member]} if "uniform" in options else {}
            alone = function(*(array[member] for array in arrays), **{**options, **own})
            assert_same(alone, [part[member] for part in one])


@pytest.mark.parametrize("name", ["hard_attention", "gumbel_softmax_attention"])
@pytest.mark.parametrize("shape", [(2, 130, 150), (2, 130, 1), (130, 150), (1, 150), (150,)], ids=str)
def test_a_bias_of_another_precision_is_that_bias(name: str, shape: tuple[int, ...]) -> None:
    bias = RNG(0).integers(-2, 3, size=shape)
    for arrays, options in calls_of(name, 130, 150, batch=(2,)):
        narrow = tuple(array[..., :1] for array in arrays)
        wide, same = (
            getattr(attlas, name)(*narrow, **{**options, "bias": bias.astype(dtype)})
            for dtype in (np.float64, np.float32)
        )
        assert_same(wide, same)


@NAMES
def test_hidden_rubbish_changes_no_bit(name: str) -> None:
    hidden = np.array([3, 70, 149])
    for arrays, options in calls_of(name, 100, 150):
        options["mask"][:, hidden] = False
        clean = getattr(attlas, name)(*arrays, **options)
        fouled = [array.copy() for array in arrays]
        fouled[1][hidden] = np.nan
        if name in ("hard_attention", "gumbel_softmax_attention"):
            fouled[2][hidden] = np.inf
        if name == "gumbel_softmax_attention":
            options["uniform"] = np.where(options["mask"], options["uniform"], np.float32(np.nan))
        assert_same(getattr(attlas, name)(*fouled, **options), clean)


@pytest.mark.parametrize("hidden", [0, 50, 300])
def test_the_largest_draw_takes_the_last_key_that_is_seen(hidden: int) -> None:
    """Also where rounding leaves the running sum below what is sought."""
    m, n = 64, 20_000
    query, key = -np.linspace(0.05, 5, m, dtype=np.float32)[:, None], np.ones((n, 1), dtype=np.float32)
    key[0] = 0
    mask = np.arange(n) < n - hidden
    uniform = np.full(m, np.nextafter(np.float32(1), np.float32(0)))
    found = attlas.hard_attention(query, key, key, uniform=uniform, scale=1.0, mask=mask, return_index=True)
    np.testing.assert_array_equal(found.index, n - hidden - 1)


@DTYPES
def test_what_has_no_weight_is_never_drawn(dtype: Any) -> None:
    m, n = 1000, 700
    bias = np.where(RNG(0).random(n) < 0.5, -np.inf, RNG(1).normal(size=n)).astype(dtype)
    bias[:200] = -np.inf
    query, key = np.zeros((m, 1), dtype=dtype), np.zeros((n, 1), dtype=dtype)
    uniform = np.linspace(0, 1, m, endpoint=False, dtype=dtype)
    found = attlas.hard_attention(query, key, key, uniform=uniform, bias=bias, return_index=True)
    assert np.isfinite(bias[found.index]).all()
    weights = np.exp(bias.astype(np.float64))
    cumulative = np.cumsum(weights) / weights.sum()
    below, above = (np.searchsorted(cumulative, uniform + by, side="right") for by in (-1e-5, 1e-5))
    assert (np.minimum(below, found.index) == below).all()
    assert (np.minimum(above, found.index) == found.index).all()


def test_equal_scores_go_to_the_first_key_wherever_it_stands() -> None:
    n = 400
    key, value = np.zeros((n, 1), dtype=np.float32), np.arange(n, dtype=np.float32)[:, None]
    for first in (0, 1, 127, 128, 129, 255, 399):
        mask = np.arange(n) >= first
        output = attlas.hard_attention(np.ones((20, 1), dtype=np.float32), key, value, mask=mask)
        np.testing.assert_array_equal(output, first)
        uniform = np.full((20, n), 0.25, dtype=np.float32)
        query = np.ones((20, 1), dtype=np.float32)
        noisy = attlas.gumbel_softmax_attention(query, key, value, uniform=uniform, hard=True, mask=mask)
        np.testing.assert_array_equal(noisy, first)


@pytest.mark.parametrize("name", ["hard_attention", "gumbel_softmax_attention"])
def test_a_visible_nan_in_a_key_spoils_exactly_the_choices_that_see_it(name: str) -> None:
    for arrays, options in calls_of(name, 120, 140):
        query, key, value = arrays
        for place in (0, 64, 139):
            fouled = key.copy()
            fouled[place] = np.nan
            mask = options["mask"] & (np.arange(140) <= np.arange(120)[:, None] + 20)
            found = getattr(attlas, name)(query, fouled, value, **options)
            np.testing.assert_array_equal(np.isnan(found.output), np.repeat(mask[:, place, None], 5, axis=1))
            np.testing.assert_array_equal(np.isnan(found.weights), mask & mask[:, place, None])
            if name == "hard_attention":
                assert (found.index[mask[:, place]] == -1).all()


def test_infinite_scores_are_chosen_but_have_no_logarithmic_weight() -> None:
    query, key, value = normal(0, 5, 2), normal(1, 200, 2), normal(2, 200, 3)
    bias, uniform = np.zeros((5, 200), dtype=np.float32), draws(3, 5, 200)
    bias[1, [150, 170]] = np.inf
    assert attlas.hard_attention(query, key, value, bias=bias, return_index=True).index[1] == 150
    for hard in (False, True):
        output = attlas.gumbel_softmax_attention(query, key, value, bias=bias, uniform=uniform, hard=hard)
        np.testing.assert_array_equal(np.isnan(output).all(axis=-1), np.arange(5) == 1)


def test_values_that_are_not_chosen_are_not_read() -> None:
    query, key, value = normal(0, 100, 3), normal(1, 300, 3), normal(2, 4, 300, 2)
    clean = attlas.hard_attention(query, key, value, return_index=True)
    assert clean.index.shape == (100,)
    others = np.isin(np.arange(300), clean.index, invert=True)
    value[:, others] = np.nan
    np.testing.assert_array_equal(attlas.hard_attention(query, key, value), clean.output)
